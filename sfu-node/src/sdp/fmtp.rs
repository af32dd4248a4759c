//! Format parameters (`a=fmtp`) that this server writes. Most of them speak for one direction: for what their writer can
//! receive, or for what it sends (RFC 7587 section 7, RFC 6184 section 8.2.2). So those of a client are not ours.

use super::codec::{h264_profile, is_opus};
use super::offered_codec::OfferedCodec;
use h264_profile_level_id::is_same_profile;
use mediasoup::types::rtp_parameters::{
    MimeTypeAudio, MimeTypeVideo, RtpCodecParameters, RtpCodecParametersParameters, RtpCodecParametersParametersValue,
    RtpParameters,
};

/// Names and values, as in `NAME=VALUE;...`.
pub(super) type Fmtp = Vec<(String, String)>;

/// Constrained baseline, level 3.1: the H264 profile that every player takes. A stream of another profile is offered as
/// this one, since decoders in use take it and a player refuses an entry whose profile it does not list.
const H264_FOR_ALL: &str = "42e01f";
const PROFILE: &str = "profile-level-id";
/// SPS and PPS of H264 in base64, for players that start before these come in the stream (RFC 6184 section 8.1).
const PARAMETER_SETS: &str = "sprop-parameter-sets";

/// In the answer to a publisher. We take stereo, and otherwise what opus brings along.
pub(super) fn received(codec: &OfferedCodec) -> Fmtp {
    if !is_opus(codec) {
        return without_sprop(&codec.fmtp);
    }
    let offered = |name: &str| codec.fmtp.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut ours = Fmtp::new();
    ours.extend(offered("minptime").cloned());
    ours.push(one("stereo"));
    ours.extend(offered("useinbandfec").filter(|(_, value)| value == "1").cloned());
    ours
}

/// In the answer to a viewer, which is sent `rtp` under its own entry `codec`.
pub(super) fn sent(codec: &OfferedCodec, rtp: &RtpParameters) -> Fmtp {
    if is_opus(codec) {
        return rtp
            .codecs
            .first()
            .map_or_else(Fmtp::new, |opus| of_sender(opus.parameters()));
    }
    let mut ours = without_sprop(&codec.fmtp);
    let profile = codec.fmtp.iter().find(|(key, _)| key == PROFILE);
    ours.extend(parameter_sets(rtp, profile.map(|(_, value)| value.as_str())));
    ours
}

/// In an m-section without media.
pub(super) fn unused(codec: &OfferedCodec) -> Fmtp {
    if is_opus(codec) {
        return Fmtp::new();
    }
    without_sprop(&codec.fmtp)
}

/// In an offer of this server, which sends `rtp`.
pub(super) fn offered(rtp: &RtpParameters) -> Fmtp {
    match rtp.codecs.first() {
        None => Fmtp::new(),
        Some(RtpCodecParameters::Audio {
            mime_type: MimeTypeAudio::Opus,
            parameters,
            ..
        }) => of_sender(parameters),
        Some(codec) => {
            let is_h264 = is_h264(codec);
            let all = codec
                .parameters()
                .iter()
                .map(|(key, value)| (key.to_string(), text(value)));
            let mut ours: Fmtp = without_sprop(&all.collect::<Fmtp>());
            if is_h264 {
                for (_, value) in ours.iter_mut().filter(|(key, _)| key == PROFILE) {
                    H264_FOR_ALL.clone_into(value);
                }
                ours.extend(parameter_sets(rtp, Some(H264_FOR_ALL)));
            }
            ours.sort();
            ours
        }
    }
}

/// What opus' sender says of its sound. A publisher that says nothing may send stereo, since our answer asks for it.
fn of_sender(opus: &RtpCodecParametersParameters) -> Fmtp {
    let said = |name: &str| opus.get(name).map(text);
    let mut ours = Fmtp::new();
    if said("sprop-stereo").is_none_or(|value| value != "0") {
        ours.push(one("sprop-stereo"));
    }
    let rate = said("sprop-maxcapturerate").filter(|value| value.parse::<u32>().is_ok());
    ours.extend(rate.map(|value| ("sprop-maxcapturerate".to_owned(), value)));
    ours
}

/// The publisher's parameter sets, if it named them and they are of the profile that is written beside them.
fn parameter_sets(rtp: &RtpParameters, profile: Option<&str>) -> Option<(String, String)> {
    let codec = rtp.codecs.first().filter(|codec| is_h264(codec))?;
    is_same_profile(h264_profile(codec.parameters()), profile)?;
    let value = codec.parameters().get(PARAMETER_SETS).map(text)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=,".contains(&byte);
    (!value.is_empty() && value.bytes().all(is_base64)).then(|| (PARAMETER_SETS.to_owned(), value))
}

fn is_h264(codec: &RtpCodecParameters) -> bool {
    matches!(
        codec,
        RtpCodecParameters::Video {
            mime_type: MimeTypeVideo::H264,
            ..
        }
    )
}

/// Without what the client says of its own stream.
fn without_sprop(fmtp: &Fmtp) -> Fmtp {
    let kept = fmtp.iter().filter(|(key, _)| !key.starts_with("sprop-"));
    kept.cloned().collect()
}

fn one(name: &str) -> (String, String) {
    (name.to_owned(), "1".to_owned())
}

fn text(value: &RtpCodecParametersParametersValue) -> String {
    match value {
        RtpCodecParametersParametersValue::String(text) => text.to_string(),
        RtpCodecParametersParametersValue::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
#[path = "fmtp_tests.rs"]
mod tests;
