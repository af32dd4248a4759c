//! Writes SDP answers (RFC 9725 section 4.4, RFC 8829 section 5.3): ICE lite, one bundle, all candidates at once.

use super::fmtp;
use super::lines::{self, Transport, candidate_lines, codec_lines, extension_lines, payload_types, ssrc_lines};
use super::offer::{Offer, OfferedCodec, Section};
use mediasoup::types::rtp_parameters::{RtpCodecParameters, RtpParameters};
use sdp_types::{Attribute, Media};

/// What one m-section is answered with.
pub enum Reply<'a> {
    /// A publisher's section that is received.
    Receive {
        /// The codec that is used.
        codec: &'a OfferedCodec,
        /// Parameters of the producer.
        rtp: &'a RtpParameters,
    },
    /// A viewer's section that is sent.
    Send {
        /// The viewer's own entry for the codec that is used.
        codec: &'a OfferedCodec,
        /// Parameters of the consumer.
        rtp: &'a RtpParameters,
        /// Media stream id, the same for all sections of a session.
        stream: &'a str,
    },
    /// A section that has no track: kept in the bundle, without media.
    Inactive,
}

/// Writes the answer; `replies` has one entry for each section of the offer that its client does not reject.
pub fn write(offer: &Offer, replies: &[Reply<'_>], transport: &Transport<'_>, session_id: u64) -> String {
    let mids: Vec<&str> = offer.sections.iter().map(|section| section.mid.as_str()).collect();
    let mut session = lines::session(session_id, &mids, offer.extmap_allow_mixed);
    let rejected = offer.rejected.iter().map(|section| (section.index, section.answer()));
    let answered = offer.sections.iter().zip(replies);
    let answered = answered.map(|(section, reply)| (section.index, media(offer, section, reply, transport)));
    let mut sections: Vec<(usize, Media)> = rejected.chain(answered).collect();
    sections.sort_by_key(|(index, _)| *index);
    for (_, section) in sections {
        session.add_media(section);
    }
    session.to_string()
}

fn media(offer: &Offer, section: &Section, reply: &Reply<'_>, transport: &Transport<'_>) -> Media {
    let formats = match reply {
        Reply::Receive { codec, .. } => payload_types(codec, codec.rtx),
        Reply::Send { codec, rtp, .. } => payload_types(codec, agreed_rtx(codec, rtp)),
        Reply::Inactive => section
            .codecs
            .first()
            .map_or(section.first_format, |codec| codec.payload_type)
            .to_string(),
    };
    let setup = if offer.client_is_dtls_server {
        "active"
    } else {
        "passive"
    };
    let mut media = lines::media(section.kind, &section.proto, formats, &section.mid, setup, transport);
    match reply {
        Reply::Receive { codec, rtp } => {
            codec_lines(&mut media, codec, &fmtp::received(codec), codec.rtx, &codec.feedback);
            extension_lines(&mut media, rtp);
            media.add_attribute(Attribute::new("recvonly"));
            if !section.layers.is_empty() {
                // All of them, in the client's order: OBS gives up when one is missing.
                let rids: Vec<&str> = section.layers.iter().map(|layer| layer.rid.as_str()).collect();
                for rid in &rids {
                    media.add_attribute(Attribute::with_value("rid", format!("{rid} recv")));
                }
                media.add_attribute(Attribute::with_value("simulcast", format!("recv {}", rids.join(";"))));
            }
        }
        Reply::Send { codec, rtp, stream } => {
            let feedback = rtp
                .codecs
                .first()
                .map(|c| c.rtcp_feedback().to_vec())
                .unwrap_or_default();
            let fmtp = fmtp::sent(codec, rtp);
            codec_lines(&mut media, codec, &fmtp, agreed_rtx(codec, rtp), &feedback);
            extension_lines(&mut media, rtp);
            media.add_attribute(Attribute::new("sendonly"));
            ssrc_lines(&mut media, &section.mid, rtp, stream);
        }
        Reply::Inactive => {
            if let Some(codec) = section.codecs.first() {
                codec_lines(&mut media, codec, &fmtp::unused(codec), None, &[]);
            }
            media.add_attribute(Attribute::new("inactive"));
        }
    }
    candidate_lines(&mut media, transport);
    media
}

/// RTX is answered only where the consumer's payload type for it is the one that the viewer offered.
fn agreed_rtx(codec: &OfferedCodec, rtp: &RtpParameters) -> Option<u8> {
    let ours = rtp
        .codecs
        .iter()
        .find(|codec| codec.is_rtx())
        .map(RtpCodecParameters::payload_type)?;
    codec.rtx.filter(|theirs| *theirs == ours)
}
