//! Codecs: which ones there are, which of a client's fits a stream's, and what a router is told of them.

use super::offered_codec::OfferedCodec;
use super::section::Section;
use super::steps::Walk;
use mediasoup::types::rtp_parameters::{
    MimeTypeAudio, MimeTypeVideo, RtcpFeedback, RtpCodecCapability, RtpCodecParameters, RtpCodecParametersParameters,
    RtpCodecParametersParametersValue, RtpParameters,
};
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::LazyLock;

/// What this server can take and give, for messages.
pub const SUPPORTED: &str =
    "opus/48000/2 audio; VP8, VP9, AV1 and H264 (baseline, main, high; packetization-mode 0 and 1) video";

pub(super) const OPUS_RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
pub(super) const VIDEO_RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
pub(super) const STEREO: NonZeroU8 = NonZeroU8::new(2).unwrap();

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
    pub(super) fn of(name: &str) -> Option<Self> {
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

    pub(super) fn mime(self) -> MimeTypeVideo {
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
pub(super) fn parameters(fmtp: &[(String, String)]) -> RtpCodecParametersParameters {
    let mut out = RtpCodecParametersParameters::default();
    for (key, value) in fmtp.iter().walked() {
        let numeric = ["packetization-mode", "level-asymmetry-allowed", "profile-id", "apt"].contains(&key.as_str());
        match value.parse::<u32>() {
            Ok(number) if numeric => out.insert(key.clone(), number),
            _ => out.insert(key.clone(), value.clone()),
        };
    }
    out
}

pub(super) fn h264_profile(parameters: &RtpCodecParametersParameters) -> Option<&str> {
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

/// A codec of a client, with its parameters as they are compared: read once, however many codecs it is compared with.
struct Compared<'a> {
    offered: &'a OfferedCodec,
    codec: VideoCodec,
    parameters: RtpCodecParametersParameters,
}

impl<'a> Compared<'a> {
    /// None for what is no video codec of ours.
    fn new(offered: &'a OfferedCodec) -> Option<Self> {
        let codec = VideoCodec::of(&offered.name).filter(|_| offered.clock_rate == VIDEO_RATE.get())?;
        Some(Self {
            offered,
            codec,
            parameters: parameters(&offered.fmtp),
        })
    }
}

fn fit(client: &Compared<'_>, stream: VideoCodec, stream_parameters: &RtpCodecParametersParameters) -> Option<Fit> {
    if client.codec != stream {
        return None;
    }
    let (offered, ours) = (client.offered, &client.parameters);
    match stream {
        VideoCodec::Vp8 | VideoCodec::Av1 => Some(Fit::Exact),
        VideoCodec::Vp9 => {
            (number(ours, "profile-id") == number(stream_parameters, "profile-id")).then_some(Fit::Exact)
        }
        VideoCodec::H264 => {
            if number(ours, "packetization-mode") != number(stream_parameters, "packetization-mode") {
                // Players of GStreamer list H264 without a mode, which would mean 0, and take what comes.
                let unsaid = offered.fmtp.iter().all(|(key, _)| key != "packetization-mode");
                return unsaid.then_some(Fit::OtherProfile);
            }
            let same =
                h264_profile_level_id::is_same_profile(h264_profile(ours), h264_profile(stream_parameters)).is_some();
            Some(if same { Fit::Exact } else { Fit::OtherProfile })
        }
    }
}

pub(super) fn is_opus(codec: &OfferedCodec) -> bool {
    // RFC 7587 section 7 wants `/2`; GStreamer's players leave it out, which reads as 1.
    codec.is("opus") && codec.clock_rate == OPUS_RATE.get() && codec.channels <= 2
}

/// The video codecs of the main router.
static PRODUCIBLE: LazyLock<Vec<(MimeTypeVideo, RtpCodecParametersParameters)>> = LazyLock::new(|| {
    let of = |capability| match capability {
        RtpCodecCapability::Video {
            mime_type, parameters, ..
        } => Some((mime_type, parameters)),
        RtpCodecCapability::Audio { .. } => None,
    };
    main_router_codecs().into_iter().filter_map(of).collect()
});

/// Whether the main router takes this video codec from a publisher.
pub(super) fn producible(codec: &OfferedCodec) -> bool {
    let Some(client) = Compared::new(codec) else {
        return false;
    };
    PRODUCIBLE.iter().walked().any(|(mime_type, parameters)| {
        *mime_type == client.codec.mime() && fit(&client, client.codec, parameters) == Some(Fit::Exact)
    })
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
            Self::Opus => section.codecs.iter().walked().find(|codec| is_opus(codec)),
            Self::Video(codec, parameters) => {
                let mut best: Option<(Fit, &OfferedCodec)> = None;
                for offered in section.codecs.iter().walked() {
                    // By name first: the parameters of other codecs need not be read.
                    if VideoCodec::of(&offered.name) == Some(*codec)
                        && let Some(client) = Compared::new(offered)
                        && let Some(fit) = fit(&client, *codec, parameters)
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
