//! From offered m-sections to mediasoup's RTP parameters and back: which codec is used, which payload types the router
//! needs, which header extensions both sides number alike.

use super::SdpError;
use super::offer::{OfferedCodec, Section};
use super::simulcast::low_to_high;
use mediasoup::prelude::Producer;
use mediasoup::types::rtp_parameters::{
    MediaKind, MimeTypeAudio, MimeTypeVideo, RtcpFeedback, RtcpParameters, RtpCapabilities, RtpCodecCapability,
    RtpCodecParameters, RtpCodecParametersParameters, RtpCodecParametersParametersValue, RtpEncodingParameters,
    RtpEncodingParametersRtx, RtpHeaderExtension, RtpHeaderExtensionDirection, RtpHeaderExtensionParameters,
    RtpHeaderExtensionUri, RtpParameters,
};
use sfumato_mesh::api::TrackKind;
use std::num::{NonZeroU8, NonZeroU32};

/// What this server can take and give, for messages.
pub const SUPPORTED: &str =
    "opus/48000/2 audio; VP8, VP9, AV1 and H264 (baseline, main, high; packetization-mode 0 and 1) video";

const OPUS_RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
const VIDEO_RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
const STEREO: NonZeroU8 = NonZeroU8::new(2).unwrap();

/// A video codec that mediasoup forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VideoCodec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP payload format.
    Av1,
}

impl VideoCodec {
    fn of(name: &str) -> Option<Self> {
        [Self::Vp8, Self::Vp9, Self::H264, Self::Av1]
            .into_iter()
            .find(|c| c.name().eq_ignore_ascii_case(name))
    }

    /// Name as in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
        }
    }

    fn mime(self) -> MimeTypeVideo {
        match self {
            Self::Vp8 => MimeTypeVideo::Vp8,
            Self::Vp9 => MimeTypeVideo::Vp9,
            Self::H264 => MimeTypeVideo::H264,
            Self::Av1 => MimeTypeVideo::AV1,
        }
    }
}

/// Codecs of the main router: Chrome's payload types, so that most viewers need no profile router.
///
/// mediasoup draws an RTX payload type for each video codec from 100..=127 at the moment that the codec is listed, so
/// codecs with a fixed payload type in that range come first.
pub fn main_router_codecs() -> Vec<RtpCodecCapability> {
    let mut codecs = vec![opus(Some(111))];
    for (payload_type, profile, mode) in [
        (102, "42001f", 1),
        (108, "42e01f", 1),
        (116, "4d001f", 1),
        (112, "64001f", 1),
        (37, "640c1f", 1),
        (39, "42001f", 0),
        (41, "42e01f", 0),
        (43, "4d001f", 0),
        (47, "64001f", 0),
        (49, "640c1f", 0),
    ] {
        let parameters = RtpCodecParametersParameters::from([
            ("packetization-mode", RtpCodecParametersParametersValue::Number(mode)),
            ("profile-level-id", profile.into()),
            ("level-asymmetry-allowed", 1_u32.into()),
        ]);
        codecs.push(video(VideoCodec::H264, Some(payload_type), parameters, Vec::new()));
    }
    codecs.push(video(
        VideoCodec::Vp8,
        Some(96),
        RtpCodecParametersParameters::default(),
        Vec::new(),
    ));
    codecs.push(video(
        VideoCodec::Vp9,
        Some(98),
        RtpCodecParametersParameters::default(),
        Vec::new(),
    ));
    let profile_2 = RtpCodecParametersParameters::from([("profile-id", RtpCodecParametersParametersValue::Number(2))]);
    codecs.push(video(VideoCodec::Vp9, Some(51), profile_2, Vec::new()));
    codecs.push(video(
        VideoCodec::Av1,
        Some(45),
        RtpCodecParametersParameters::default(),
        Vec::new(),
    ));
    codecs
}

fn opus(payload_type: Option<u8>) -> RtpCodecCapability {
    RtpCodecCapability::Audio {
        mime_type: MimeTypeAudio::Opus,
        preferred_payload_type: payload_type,
        clock_rate: OPUS_RATE,
        channels: STEREO,
        parameters: RtpCodecParametersParameters::default(),
        rtcp_feedback: Vec::new(),
    }
}

fn video(
    codec: VideoCodec,
    payload_type: Option<u8>,
    parameters: RtpCodecParametersParameters,
    rtcp_feedback: Vec<RtcpFeedback>,
) -> RtpCodecCapability {
    RtpCodecCapability::Video {
        mime_type: codec.mime(),
        preferred_payload_type: payload_type,
        clock_rate: VIDEO_RATE,
        parameters,
        rtcp_feedback,
    }
}

/// Format parameters in mediasoup's form: numbers where mediasoup compares numbers, text elsewhere.
fn parameters(fmtp: &[(String, String)]) -> RtpCodecParametersParameters {
    let mut out = RtpCodecParametersParameters::default();
    for (key, value) in fmtp {
        let numeric = ["packetization-mode", "level-asymmetry-allowed", "profile-id", "apt"].contains(&key.as_str());
        match value.parse::<u32>() {
            Ok(number) if numeric => out.insert(key.clone(), number),
            _ => out.insert(key.clone(), value.clone()),
        };
    }
    out
}

fn h264_profile(parameters: &RtpCodecParametersParameters) -> Option<&str> {
    match parameters.get("profile-level-id") {
        Some(RtpCodecParametersParametersValue::String(text)) => Some(text),
        _ => None,
    }
}

fn number(parameters: &RtpCodecParametersParameters, key: &str) -> u32 {
    match parameters.get(key) {
        Some(RtpCodecParametersParametersValue::Number(number)) => *number,
        _ => 0,
    }
}

/// How well an offered codec fits a stream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// H264 of the same packetization mode but of another profile: most decoders take it all the same.
    OtherProfile,
    Exact,
}

fn fit(offered: &OfferedCodec, stream: VideoCodec, stream_parameters: &RtpCodecParametersParameters) -> Option<Fit> {
    if VideoCodec::of(&offered.name) != Some(stream) || offered.clock_rate != VIDEO_RATE.get() {
        return None;
    }
    let ours = parameters(&offered.fmtp);
    match stream {
        VideoCodec::Vp8 | VideoCodec::Av1 => Some(Fit::Exact),
        VideoCodec::Vp9 => {
            (number(&ours, "profile-id") == number(stream_parameters, "profile-id")).then_some(Fit::Exact)
        }
        VideoCodec::H264 => {
            if number(&ours, "packetization-mode") != number(stream_parameters, "packetization-mode") {
                // Players of GStreamer list H264 without a mode, which would mean 0, and take what comes.
                let unsaid = offered.fmtp.iter().all(|(key, _)| key != "packetization-mode");
                return unsaid.then_some(Fit::OtherProfile);
            }
            let same =
                h264_profile_level_id::is_same_profile(h264_profile(&ours), h264_profile(stream_parameters)).is_some();
            Some(if same { Fit::Exact } else { Fit::OtherProfile })
        }
    }
}

fn is_opus(codec: &OfferedCodec) -> bool {
    // RFC 7587 section 7 wants `/2`; GStreamer's players leave it out, which reads as 1.
    codec.is("opus") && codec.clock_rate == OPUS_RATE.get() && codec.channels <= 2
}

/// Whether the main router takes this video codec from a publisher.
fn producible(codec: &OfferedCodec) -> bool {
    let Some(kind) = VideoCodec::of(&codec.name) else {
        return false;
    };
    main_router_codecs().iter().any(|capability| match capability {
        RtpCodecCapability::Video {
            mime_type, parameters, ..
        } => *mime_type == kind.mime() && fit(codec, kind, parameters) == Some(Fit::Exact),
        RtpCodecCapability::Audio { .. } => false,
    })
}

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
    let field = section_field(section);
    let codec = section
        .codecs
        .iter()
        .find(|codec| match section.kind {
            TrackKind::Audio => is_opus(codec),
            TrackKind::Video => producible(codec),
        })
        .ok_or_else(|| {
            let offered: Vec<&str> = section.codecs.iter().map(|codec| codec.name.as_str()).take(8).collect();
            SdpError::unsupported(
                &field,
                format!("no codec in common: offered {offered:?}, supported {SUPPORTED}"),
            )
        })?
        .clone();
    // mediasoup's worker switches between layers of these two only.
    let layered = [VideoCodec::Vp8, VideoCodec::H264];
    if section.layers.len() > 1 && !layered.iter().any(|known| codec.is(known.name())) {
        let detail = format!(
            "{} in several layers (a=simulcast) is not supported: offer one layer, or VP8 or H264",
            codec.name
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
                section_field(section),
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

/// A track of a stream as a viewer's offer must fit it: the codec that comes out of a producer.
#[derive(Debug, Clone)]
pub enum StreamCodec {
    /// Opus.
    Opus,
    /// Video with its format parameters.
    Video(VideoCodec, RtpCodecParametersParameters),
}

impl StreamCodec {
    /// Reads the media codec of a producer's parameters.
    pub fn of(rtp: &RtpParameters) -> Option<Self> {
        match rtp.codecs.first()? {
            RtpCodecParameters::Audio {
                mime_type: MimeTypeAudio::Opus,
                ..
            } => Some(Self::Opus),
            RtpCodecParameters::Audio { .. } => None,
            RtpCodecParameters::Video {
                mime_type, parameters, ..
            } => {
                let codec = match mime_type {
                    MimeTypeVideo::Vp8 => VideoCodec::Vp8,
                    MimeTypeVideo::Vp9 => VideoCodec::Vp9,
                    MimeTypeVideo::H264 => VideoCodec::H264,
                    MimeTypeVideo::AV1 => VideoCodec::Av1,
                    _ => return None,
                };
                Some(Self::Video(codec, parameters.clone()))
            }
        }
    }

    /// Name as in SDP.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Video(codec, _) => codec.name(),
        }
    }

    /// The viewer's payload type for this codec: the client's first exact fit, else its best near fit.
    pub fn choose<'a>(&self, section: &'a Section) -> Option<&'a OfferedCodec> {
        match self {
            Self::Opus => section.codecs.iter().find(|codec| is_opus(codec)),
            Self::Video(codec, parameters) => {
                let mut best: Option<(Fit, &OfferedCodec)> = None;
                for offered in &section.codecs {
                    if let Some(fit) = fit(offered, *codec, parameters)
                        && best.is_none_or(|(known, _)| fit > known)
                    {
                        best = Some((fit, offered));
                    }
                }
                best.map(|(_, offered)| offered)
            }
        }
    }

    /// The router codec that makes a router speak this codec on `payload_type`.
    pub fn capability(&self, payload_type: Option<u8>, feedback: Vec<RtcpFeedback>) -> RtpCodecCapability {
        match self {
            Self::Opus => match opus(payload_type) {
                RtpCodecCapability::Audio {
                    mime_type,
                    preferred_payload_type,
                    clock_rate,
                    channels,
                    parameters,
                    ..
                } => RtpCodecCapability::Audio {
                    mime_type,
                    preferred_payload_type,
                    clock_rate,
                    channels,
                    parameters,
                    rtcp_feedback: feedback,
                },
                RtpCodecCapability::Video { .. } => unreachable!("opus is audio"),
            },
            Self::Video(codec, parameters) => video(*codec, payload_type, parameters.clone(), feedback),
        }
    }

    /// Text that is equal for equal codecs, for use in a key.
    pub fn key(&self) -> String {
        match self {
            Self::Opus => "opus".to_owned(),
            Self::Video(codec, parameters) => {
                let mut parts: Vec<String> = parameters
                    .iter()
                    .filter(|(key, _)| ["packetization-mode", "profile-level-id", "profile-id"].contains(&key.as_ref()))
                    .map(|(key, value)| match value {
                        RtpCodecParametersParametersValue::String(text) => format!("{key}={text}"),
                        RtpCodecParametersParametersValue::Number(number) => format!("{key}={number}"),
                    })
                    .collect();
                parts.sort();
                format!("{};{}", codec.name(), parts.join(";"))
            }
        }
    }
}

/// Payload type of a producer's media codec after the router has mapped it.
pub fn payload_type(rtp: &RtpParameters) -> Option<u8> {
    rtp.codecs.first().map(RtpCodecParameters::payload_type)
}

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

/// How messages name an m-section.
pub fn section_field(section: &Section) -> String {
    let kind = match section.kind {
        TrackKind::Audio => "audio",
        TrackKind::Video => "video",
    };
    format!("m={kind} (mid {})", section.mid)
}
