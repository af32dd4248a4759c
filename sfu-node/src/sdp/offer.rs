//! An SDP offer as this node understands it. Tolerant where clients differ (attributes at session or media level, any
//! payload types and extension ids), strict where a wrong guess would send media nowhere.

pub use super::offered_codec::OfferedCodec;
pub use super::rejected::Rejected;
pub use super::section::Section;

use super::attributes::{has, values};
use super::peer_transport::{credentials, fingerprints, first_value};
use super::section::{Defaults, section};
use super::steps::{self, Walk};
use super::{SdpError, bounds, rejected};
use crate::sdp::credentials::Credentials;
use mediasoup::types::data_structures::{DtlsFingerprint, DtlsParameters, DtlsRole};
use sdp_types::{Session, Setup};
use std::str::FromStr;

/// What a client offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// ICE credentials, those of the first m-section first: they tell trickle from restart.
    pub ice: Vec<Credentials>,
    /// Fingerprints, sha-256 first: the worker reads only the first.
    pub fingerprints: Vec<DtlsFingerprint>,
    /// The client's DTLS role, resolved: with `actpass` the client becomes the DTLS client.
    pub client_is_dtls_server: bool,
    /// `a=extmap-allow-mixed` at session level.
    pub extmap_allow_mixed: bool,
    /// It offers an extension that only the WebRTC library of browsers has.
    pub is_libwebrtc: bool,
    /// m-sections in order, without those that the client rejects.
    pub sections: Vec<Section>,
    /// m-sections that the client rejects, in order.
    pub rejected: Vec<Rejected>,
}

impl Offer {
    /// Parses the body of a POST.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let mut session = session(body)?;
        if session.medias.is_empty() {
            return Err(SdpError::malformed(
                "m=",
                "the offer has no m-section: offer audio, video or both",
            ));
        }
        // Before anything is taken out: what an engine writes tells it, wherever that stands.
        let is_libwebrtc = is_libwebrtc(&session);
        let (rejected, places) = rejected::take(&mut session)?;
        let ice = credentials(&session)?;
        let fingerprints = fingerprints(&session)?;
        let client_is_dtls_server = match first_value(&session, "setup").map(|v| Setup::from_str(&v)) {
            // Absent means actpass in an offer (RFC 8842 section 5.2).
            None | Some(Ok(Setup::ActPass | Setup::Active)) => false,
            Some(Ok(Setup::Passive)) => true,
            Some(Ok(Setup::HoldConn) | Err(_)) => {
                return Err(SdpError::malformed(
                    "a=setup",
                    "a=setup must be actpass, active or passive",
                ));
            }
        };
        let defaults = Defaults::of(&session.attributes);
        let mut sections: Vec<Section> = Vec::with_capacity(session.medias.len());
        for (media, index) in session.medias.iter().zip(places) {
            let section = section(media, index, &defaults)?;
            if sections.iter().walked().any(|other: &Section| other.mid == section.mid) {
                return Err(SdpError::malformed(
                    format!("a=mid:{}", section.mid),
                    "two m-sections have the same a=mid",
                ));
            }
            sections.push(section);
        }
        if sections.len() > 1 {
            bundle(&session, &sections)?;
        }
        Ok(Self {
            ice,
            fingerprints,
            client_is_dtls_server,
            extmap_allow_mixed: has(&session.attributes, "extmap-allow-mixed"),
            is_libwebrtc,
            sections,
            rejected,
        })
    }

    /// What mediasoup needs to know of the client's DTLS end. Never `auto`: the worker would then become the client.
    pub fn dtls_parameters(&self) -> DtlsParameters {
        let role = if self.client_is_dtls_server {
            DtlsRole::Server
        } else {
            DtlsRole::Client
        };
        DtlsParameters {
            role,
            fingerprints: self.fingerprints.clone(),
        }
    }
}

/// What a body says, once it is known to hold no more than it may. The crate reads it once from its beginning to its end.
pub(super) fn session(body: &[u8]) -> Result<Session, SdpError> {
    bounds::check(body)?;
    steps::add(body.len());
    Session::parse(body).map_err(|error| SdpError::malformed("body", format!("the body is not SDP: {error}")))
}

fn is_libwebrtc(session: &Session) -> bool {
    let of_medias = session.medias.iter().map(|media| &media.attributes);
    let mut extensions = std::iter::once(&session.attributes)
        .chain(of_medias)
        .flat_map(|attributes| values(attributes, "extmap"));
    extensions.any(|value| value.contains("/rtp-hdrext/video-timing"))
}

/// RFC 9725 section 4.4.1: every m-section is in one bundle.
fn bundle(session: &Session, sections: &[Section]) -> Result<(), SdpError> {
    let group = values(&session.attributes, "group")
        .find_map(|value| value.strip_prefix("BUNDLE"))
        .ok_or_else(|| SdpError::unsupported("a=group:BUNDLE", "offer all m-sections in one a=group:BUNDLE"))?;
    let mids: Vec<&str> = group.split_ascii_whitespace().collect();
    match sections
        .iter()
        .find(|section| !mids.iter().walked().any(|mid| *mid == section.mid))
    {
        Some(section) => Err(SdpError::unsupported(
            "a=group:BUNDLE",
            format!("m-section with a=mid:{} is not in a=group:BUNDLE", section.mid),
        )),
        None => Ok(()),
    }
}
