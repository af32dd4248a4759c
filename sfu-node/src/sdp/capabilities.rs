//! What a viewer can receive, in mediasoup's form: codecs, and the header extensions that both sides number alike.

use super::codec::{StreamCodec, VIDEO_RATE};
use super::offer::{OfferedCodec, Section};
use mediasoup::prelude::Producer;
use mediasoup::types::rtp_parameters::{
    MediaKind, MimeTypeVideo, RtpCapabilities, RtpCodecCapability, RtpCodecParameters, RtpCodecParametersParameters,
    RtpHeaderExtension, RtpHeaderExtensionDirection, RtpHeaderExtensionParameters, RtpHeaderExtensionUri,
};
use sfumato_admin_api::types::TrackKind;

/// What a viewer of one track can receive. Extensions only where uri **and** id agree with the fixed ids that mediasoup
/// writes: a browser refuses an answer that renumbers them, and ignores packets whose ids mean something else to it.
///
/// RTX only where the router's payload type for it (`rtx`) is the one that the viewer offered for this codec: else a
/// plain NACK is answered on the media's own SSRC.
pub fn viewer_capabilities(
    section: &Section,
    chosen: &OfferedCodec,
    stream: &StreamCodec,
    rtx: Option<u8>,
) -> RtpCapabilities {
    let kind = media_kind(section.kind);
    let known = mediasoup::supported_rtp_capabilities::get_supported_rtp_capabilities();
    let extensions: Vec<RtpHeaderExtension> = known
        .header_extensions
        .into_iter()
        .filter(|ours| {
            ours.kind == kind
                && section
                    .extensions
                    .iter()
                    .any(|(id, uri)| *uri == ours.uri && *id == ours.preferred_id)
                && matches!(
                    ours.direction,
                    RtpHeaderExtensionDirection::SendRecv | RtpHeaderExtensionDirection::SendOnly
                )
        })
        .collect();
    let mut codecs = vec![stream.capability(Some(chosen.payload_type), chosen.feedback.clone())];
    if let Some(rtx) = rtx.filter(|rtx| chosen.rtx == Some(*rtx)) {
        codecs.push(RtpCodecCapability::Video {
            mime_type: MimeTypeVideo::Rtx,
            preferred_payload_type: Some(rtx),
            clock_rate: VIDEO_RATE,
            parameters: RtpCodecParametersParameters::from([("apt", u32::from(chosen.payload_type).into())]),
            rtcp_feedback: Vec::new(),
        });
    }
    RtpCapabilities {
        codecs,
        header_extensions: extensions,
    }
}

/// Everything that a producer's router can send of it: for players that answer an offer of this server. Without
/// mediasoup's own packet id, which no player knows.
pub fn all_capabilities(producer: &Producer) -> RtpCapabilities {
    let rtp = producer.consumable_rtp_parameters();
    let mut extensions = rtp.header_extensions.clone();
    extensions.retain(|extension| extension.uri != RtpHeaderExtensionUri::MediasoupPacketId);
    capabilities_of(track_kind(producer.kind()), &rtp.codecs, &extensions)
}

/// Codecs and extensions as capabilities.
pub fn capabilities_of(
    kind: TrackKind,
    codecs: &[RtpCodecParameters],
    extensions: &[RtpHeaderExtensionParameters],
) -> RtpCapabilities {
    RtpCapabilities {
        codecs: codecs.iter().map(codec_capability).collect(),
        header_extensions: extensions
            .iter()
            .map(|extension| RtpHeaderExtension {
                kind: media_kind(kind),
                uri: extension.uri,
                preferred_id: extension.id,
                preferred_encrypt: false,
                direction: RtpHeaderExtensionDirection::SendRecv,
            })
            .collect(),
    }
}

fn codec_capability(codec: &RtpCodecParameters) -> RtpCodecCapability {
    match codec.clone() {
        RtpCodecParameters::Audio {
            mime_type,
            payload_type,
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        } => RtpCodecCapability::Audio {
            mime_type,
            preferred_payload_type: Some(payload_type),
            clock_rate,
            channels,
            parameters,
            rtcp_feedback,
        },
        RtpCodecParameters::Video {
            mime_type,
            payload_type,
            clock_rate,
            parameters,
            rtcp_feedback,
        } => RtpCodecCapability::Video {
            mime_type,
            preferred_payload_type: Some(payload_type),
            clock_rate,
            parameters,
            rtcp_feedback,
        },
    }
}

/// mediasoup's word for a kind.
pub fn media_kind(kind: TrackKind) -> MediaKind {
    match kind {
        TrackKind::Audio => MediaKind::Audio,
        TrackKind::Video => MediaKind::Video,
    }
}

/// Our word for mediasoup's.
pub fn track_kind(kind: MediaKind) -> TrackKind {
    match kind {
        MediaKind::Audio => TrackKind::Audio,
        MediaKind::Video => TrackKind::Video,
    }
}
