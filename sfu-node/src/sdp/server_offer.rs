//! Writes the offers of this server (draft-ietf-wish-whep, counter-offer): mediasoup's own payload types and extension
//! ids, RTX and transport-wide congestion control, everything that an answer to a player's own offer may have to leave out.

use super::fmtp;
use super::lines::{self, Transport, candidate_lines, codec_lines, extension_lines, payload_types, ssrc_lines};
use super::offer::OfferedCodec;
use mediasoup::types::rtp_parameters::{RtpCodecParameters, RtpParameters};
use sdp_types::{Attribute, Media};
use sfumato_admin_api::types::TrackKind;

/// One track on offer.
pub struct Track<'a> {
    /// `a=mid`.
    pub mid: &'a str,
    /// Audio or video.
    pub kind: TrackKind,
    /// Parameters of the consumer.
    pub rtp: &'a RtpParameters,
}

/// Writes the offer; `stream` is the media stream id of all its tracks.
pub fn write(tracks: &[Track<'_>], stream: &str, transport: &Transport<'_>, session_id: u64) -> String {
    let mids: Vec<&str> = tracks.iter().map(|track| track.mid).collect();
    let mut session = lines::session(session_id, &mids, true);
    for track in tracks {
        session.add_media(media(track, stream, transport));
    }
    session.to_string()
}

fn media(track: &Track<'_>, stream: &str, transport: &Transport<'_>) -> Media {
    let rtx = rtx(track.rtp);
    let codec = codec(track.rtp, rtx);
    let formats = codec
        .as_ref()
        .map_or_else(String::new, |codec| payload_types(codec, rtx));
    let proto = "UDP/TLS/RTP/SAVPF";
    let mut media = lines::media(track.kind, proto, formats, track.mid, "actpass", transport);
    if let Some(codec) = &codec {
        codec_lines(&mut media, codec, &codec.fmtp, rtx, &codec.feedback);
    }
    extension_lines(&mut media, track.rtp);
    media.add_attribute(Attribute::new("sendonly"));
    ssrc_lines(&mut media, track.mid, track.rtp, stream);
    candidate_lines(&mut media, transport);
    media
}

/// Payload type of the RTX codec, if the consumer resends by RTX.
pub fn rtx(rtp: &RtpParameters) -> Option<u8> {
    rtp.codecs
        .iter()
        .find(|c| c.is_rtx())
        .map(RtpCodecParameters::payload_type)
}

fn codec(rtp: &RtpParameters, rtx: Option<u8>) -> Option<OfferedCodec> {
    let codec = rtp.codecs.first()?;
    let name = match codec {
        RtpCodecParameters::Audio { mime_type, .. } => mime_type.as_str(),
        RtpCodecParameters::Video { mime_type, .. } => mime_type.as_str(),
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    let channels = match codec {
        RtpCodecParameters::Audio { channels, .. } => channels.get(),
        RtpCodecParameters::Video { .. } => 1,
    };
    Some(OfferedCodec {
        payload_type: codec.payload_type(),
        name: name.to_owned(),
        clock_rate: codec.clock_rate().get(),
        channels,
        fmtp: fmtp::offered(rtp),
        feedback: codec.rtcp_feedback().to_vec(),
        rtx,
    })
}
