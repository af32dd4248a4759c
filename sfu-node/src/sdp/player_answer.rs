//! A player's answer to an offer of this server.

use super::SdpError;
use super::offer::{self, Section};
use super::peer_transport::{credentials, fingerprints, first_value};
use super::section::{Defaults, section};
use super::text::clip;
use crate::sdp::credentials::Credentials;
use mediasoup::types::data_structures::{DtlsFingerprint, DtlsParameters, DtlsRole};
use mediasoup::types::rtp_parameters::{
    RtcpFeedback, RtpCodecParameters, RtpHeaderExtensionParameters, RtpHeaderExtensionUri, RtpParameters,
};
use sdp_types::{Direction, Setup};
use sfumato_admin_api::types::TrackKind;
use std::str::FromStr;

/// What a player answers.
#[derive(Debug, Clone)]
pub struct PlayerAnswer {
    /// ICE credentials.
    pub ice: Vec<Credentials>,
    /// Fingerprints, sha-256 first.
    pub fingerprints: Vec<DtlsFingerprint>,
    /// The player waits for our DTLS handshake.
    pub client_is_dtls_server: bool,
    /// One entry for each m-section of the offer; `None` where the player wants nothing.
    pub sections: Vec<Option<Section>>,
}

impl PlayerAnswer {
    /// Parses the body of a PATCH that answers an offer with these m-sections.
    pub fn parse(body: &[u8], offered: &[(&str, TrackKind)]) -> Result<Self, SdpError> {
        let mut session = offer::session(body)?;
        if session.medias.len() != offered.len() {
            let detail = format!(
                "the answer has {} m-sections, the offer {}: answer each, in the same order",
                session.medias.len(),
                offered.len()
            );
            return Err(SdpError::malformed("m=", detail));
        }
        // A section that is refused by port 0 needs nothing but its place, and nothing that it says counts.
        let refused: Vec<bool> = session.medias.iter().map(|media| media.port == 0).collect();
        session.medias.retain(|media| media.port != 0);
        if session.medias.is_empty() {
            return Err(nothing_taken());
        }
        let ice = credentials(&session)?;
        let fingerprints = fingerprints(&session)?;
        let client_is_dtls_server = match first_value(&session, "setup").map(|v| Setup::from_str(&v)) {
            None | Some(Ok(Setup::Active)) => false,
            Some(Ok(Setup::Passive)) => true,
            Some(_) => {
                return Err(SdpError::malformed(
                    "a=setup",
                    "an answer says a=setup:active or a=setup:passive",
                ));
            }
        };
        let defaults = Defaults::of(&session.attributes);
        let mut sections = Vec::with_capacity(offered.len());
        let mut medias = session.medias.iter();
        for (index, (refused, (mid, kind))) in refused.into_iter().zip(offered).enumerate() {
            let Some(media) = (!refused).then(|| medias.next()).flatten() else {
                sections.push(None);
                continue;
            };
            let section = section(media, index, &defaults)?;
            if section.kind != *kind || section.mid != *mid {
                let detail = format!(
                    "the offer has a=mid:{mid} here, the answer a=mid:{}",
                    clip(&section.mid)
                );
                return Err(SdpError::malformed(format!("a=mid:{}", clip(&section.mid)), detail));
            }
            sections.push(match section.direction {
                Direction::Inactive => None,
                Direction::RecvOnly | Direction::SendRecv => Some(section),
                Direction::SendOnly => {
                    let field = section.field();
                    return Err(SdpError::malformed(field, "a player answers with a=recvonly"));
                }
            });
        }
        if sections.iter().all(Option::is_none) {
            return Err(nothing_taken());
        }
        Ok(Self {
            ice,
            fingerprints,
            client_is_dtls_server,
            sections,
        })
    }

    /// What mediasoup needs to know of the player's DTLS end.
    pub fn dtls_parameters(&self) -> DtlsParameters {
        DtlsParameters {
            role: if self.client_is_dtls_server {
                DtlsRole::Server
            } else {
                DtlsRole::Client
            },
            fingerprints: self.fingerprints.clone(),
        }
    }
}

fn nothing_taken() -> SdpError {
    SdpError::unsupported("m=", "the answer takes no track: there is nothing to play")
}

/// What a player takes of a track that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Media codec with the feedback that both have, and the RTX codec if it is taken.
    pub codecs: Vec<RtpCodecParameters>,
    /// Header extensions that are taken, with the ids that were offered.
    pub extensions: Vec<RtpHeaderExtensionParameters>,
    /// The consumer that was offered serves: a player that leaves out some other extension or feedback ignores it on
    /// arrival, and may look for the SSRC of the offer, which another consumer would not have.
    pub whole: bool,
}

/// Compares an answered section with the parameters that were offered.
pub fn taken(section: &Section, offered: &RtpParameters) -> Result<Taken, SdpError> {
    let field = section.field();
    let Some(media) = offered.codecs.first() else {
        return Err(SdpError::malformed(field, "there was no codec on offer"));
    };
    let payload_type = media.payload_type();
    let answered = section
        .codecs
        .iter()
        .find(|codec| codec.payload_type == payload_type)
        .ok_or_else(|| {
            let answered = section.offered();
            let detail = format!(
                "the answer does not take payload type {payload_type}, the only one on offer: it takes {answered}"
            );
            SdpError::malformed(&field, detail)
        })?;
    let feedback: Vec<RtcpFeedback> = media
        .rtcp_feedback()
        .iter()
        .filter(|feedback| answered.feedback.contains(feedback))
        .copied()
        .collect();
    let mut whole = true;
    let mut codecs = vec![with_feedback(media.clone(), feedback)];
    for repair in offered.codecs.iter().filter(|codec| codec.is_rtx()) {
        if answered.rtx == Some(repair.payload_type()) {
            codecs.push(repair.clone());
        } else {
            whole = false;
        }
    }
    let mut extensions = Vec::new();
    for extension in &offered.header_extensions {
        match section.extensions.iter().find(|(_, uri)| *uri == extension.uri) {
            Some((id, _)) if *id == extension.id => extensions.push(extension.clone()),
            Some((id, _)) => {
                let detail = format!("a=extmap:{id} renumbers what was offered as a=extmap:{}", extension.id);
                return Err(SdpError::malformed(field, detail));
            }
            // Without it no report of arrivals comes, and an estimate that waits for them stays where it began.
            None if extension.uri == RtpHeaderExtensionUri::TransportWideCcDraft01 => whole = false,
            None => {}
        }
    }
    Ok(Taken {
        codecs,
        extensions,
        whole,
    })
}

fn with_feedback(mut codec: RtpCodecParameters, feedback: Vec<RtcpFeedback>) -> RtpCodecParameters {
    match &mut codec {
        RtpCodecParameters::Audio { rtcp_feedback, .. } | RtpCodecParameters::Video { rtcp_feedback, .. } => {
            *rtcp_feedback = feedback;
        }
    }
    codec
}
