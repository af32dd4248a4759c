//! From a publisher's m-section to the parameters of a producer.

use super::SdpError;
use super::capabilities::media_kind;
use super::codec::{OPUS_RATE, STEREO, SUPPORTED, VIDEO_RATE, VideoCodec, is_opus, parameters, producible};
use super::offer::{OfferedCodec, Section};
use super::simulcast::low_to_high;
use super::steps::Walk;
use super::text::clip;
use mediasoup::types::rtp_parameters::{
    MediaKind, MimeTypeAudio, MimeTypeVideo, RtcpParameters, RtpCodecParameters, RtpCodecParametersParameters,
    RtpEncodingParameters, RtpEncodingParametersRtx, RtpHeaderExtensionParameters, RtpHeaderExtensionUri,
    RtpParameters,
};
use sfumato_admin_api::types::TrackKind;

/// A publisher's m-section, ready for mediasoup.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Kind of the producer.
    pub kind: MediaKind,
    /// The one codec that is used.
    pub codec: OfferedCodec,
    /// Parameters of the producer, with the client's own payload types and extension ids.
    pub rtp: RtpParameters,
}

/// Chooses the codec of a publisher's m-section: the client's first that we know.
pub fn publish(section: &Section, user_agent: &str) -> Result<Publish, SdpError> {
    let field = section.field();
    let codec = section
        .codecs
        .iter()
        .walked()
        .find(|codec| match section.kind {
            TrackKind::Audio => is_opus(codec),
            TrackKind::Video => producible(codec),
        })
        .ok_or_else(|| {
            let offered = section.offered();
            SdpError::unsupported(
                &field,
                format!("no codec in common: offered {offered}, supported {SUPPORTED}"),
            )
        })?
        .clone();
    // mediasoup's worker switches between layers of these two only.
    let layered = [VideoCodec::Vp8, VideoCodec::H264];
    if section.layers.len() > 1 && !layered.iter().any(|known| codec.is(known.name())) {
        let detail = format!(
            "{} in several layers (a=simulcast) is not supported: offer one layer, or VP8 or H264",
            clip(&codec.name)
        );
        return Err(SdpError::unsupported(&field, detail));
    }
    let mut codecs = vec![codec_parameters(section.kind, &codec)];
    if let Some(rtx) = codec.rtx {
        codecs.push(RtpCodecParameters::Video {
            mime_type: MimeTypeVideo::Rtx,
            payload_type: rtx,
            clock_rate: VIDEO_RATE,
            parameters: RtpCodecParametersParameters::from([("apt", u32::from(codec.payload_type).into())]),
            rtcp_feedback: Vec::new(),
        });
    }
    let encodings = encodings(section, user_agent, codec.rtx.is_some())?;
    let needs_mid = encodings.iter().any(|encoding| encoding.ssrc.is_none());
    let has = |uri| section.extensions.iter().any(|(_, known)| *known == uri);
    if needs_mid && !has(RtpHeaderExtensionUri::Mid) {
        return Err(SdpError::unsupported(
            &field,
            "the section has neither a=ssrc nor the MID header extension: packets could not be told apart",
        ));
    }
    Ok(Publish {
        kind: media_kind(section.kind),
        rtp: RtpParameters {
            mid: Some(section.mid.clone()),
            codecs,
            header_extensions: section
                .extensions
                .iter()
                .map(|(id, uri)| RtpHeaderExtensionParameters {
                    uri: *uri,
                    id: *id,
                    encrypt: false,
                })
                .collect(),
            encodings,
            rtcp: RtcpParameters {
                cname: section.cname.clone(),
                reduced_size: true,
            },
            msid: section.msid.clone(),
        },
        codec,
    })
}

fn codec_parameters(kind: TrackKind, codec: &OfferedCodec) -> RtpCodecParameters {
    match kind {
        TrackKind::Audio => RtpCodecParameters::Audio {
            mime_type: MimeTypeAudio::Opus,
            payload_type: codec.payload_type,
            clock_rate: OPUS_RATE,
            channels: STEREO,
            parameters: parameters(&codec.fmtp),
            rtcp_feedback: codec.feedback.clone(),
        },
        TrackKind::Video => RtpCodecParameters::Video {
            mime_type: VideoCodec::of(&codec.name).unwrap_or(VideoCodec::Vp8).mime(),
            payload_type: codec.payload_type,
            clock_rate: VIDEO_RATE,
            parameters: parameters(&codec.fmtp),
            rtcp_feedback: codec.feedback.clone(),
        },
    }
}

/// Simulcast by rid, else the first SSRC, else one encoding that is found by MID.
fn encodings(section: &Section, user_agent: &str, rtx: bool) -> Result<Vec<RtpEncodingParameters>, SdpError> {
    if !section.layers.is_empty() {
        let has_rid = section
            .extensions
            .iter()
            .any(|(_, uri)| *uri == RtpHeaderExtensionUri::RtpStreamId);
        if !has_rid {
            return Err(SdpError::unsupported(
                section.field(),
                "a=simulcast without the rtp-stream-id header extension: its layers could not be told apart",
            ));
        }
        return Ok(low_to_high(&section.layers, user_agent)
            .into_iter()
            .map(|rid| RtpEncodingParameters {
                rid: Some(rid),
                ..RtpEncodingParameters::default()
            })
            .collect());
    }
    Ok(vec![match section.ssrc {
        Some((ssrc, repair)) => RtpEncodingParameters {
            ssrc: Some(ssrc),
            rtx: repair.filter(|_| rtx).map(|ssrc| RtpEncodingParametersRtx { ssrc }),
            ..RtpEncodingParameters::default()
        },
        None => RtpEncodingParameters::default(),
    }])
}
