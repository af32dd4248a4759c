//! Payload types of an m-section: what its `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` lines say of each.

use super::SdpError;
use super::attributes::{read, typed};
use super::steps::Walk;
use super::text::clip;
use mediasoup::types::rtp_parameters::RtcpFeedback;
use sdp_types::{Fmtp, Media, RtcpFb, RtcpFbPt, RtpMap};

/// RTP's payload types are numbers below this.
const PAYLOAD_TYPES: u8 = 128;

/// One payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedCodec {
    /// The client's payload type.
    pub payload_type: u8,
    /// Name as in `a=rtpmap`.
    pub name: String,
    /// Clock rate in Hz.
    pub clock_rate: u32,
    /// Audio channels; 1 when absent.
    pub channels: u8,
    /// `a=fmtp` parameters as text: a profile-level-id such as `42000a` is not a number.
    pub fmtp: Vec<(String, String)>,
    /// `a=rtcp-fb` that mediasoup knows, wildcards included.
    pub feedback: Vec<RtcpFeedback>,
    /// Payload type of the RTX codec that repairs this one.
    pub rtx: Option<u8>,
}

impl OfferedCodec {
    /// Whether this is codec `name` (case does not matter, RFC 8866 section 6.6).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Feedback with the number of its line, since wildcards stand between those of one payload type.
type Feedback = Vec<(usize, RtcpFeedback)>;

/// The payload types of an m-section.
pub(super) struct Listed {
    /// In the client's order, those that its lines describe.
    pub(super) codecs: Vec<OfferedCodec>,
    /// The first of the m-line, described or not.
    pub(super) first_format: u8,
    /// The first `a=rtpmap` that cannot be read, if a payload type of the m-line may be missing for it.
    pub(super) unread: Option<String>,
}

/// What the lines of a section say, by payload type: they are read once each, in whatever order they come.
#[derive(Default)]
struct Said {
    map: Option<RtpMap>,
    /// An `a=rtpmap` that cannot be read. It costs its payload type, which is then as if it were not listed.
    unread: Option<String>,
    fmtp: Vec<(String, String)>,
    feedback: Feedback,
}

/// The payload types of an m-section.
pub(super) fn listed(media: &Media, field: &str) -> Result<Listed, SdpError> {
    let (mut said, wildcards) = said(media);
    let of_no_type = rtpmaps(media, &mut said);
    let (mut first_format, mut unread) = (None, None);
    let mut codecs: Vec<OfferedCodec> = Vec::new();
    let mut place_of = [None; PAYLOAD_TYPES as usize];
    let mut repairs: Vec<(u8, u8)> = Vec::new();
    // The m-line's order is the client's preference.
    for format in media.fmt.split_ascii_whitespace().walked() {
        let payload_type: u8 =
            format.parse().ok().filter(|pt| *pt < PAYLOAD_TYPES).ok_or_else(|| {
                SdpError::malformed(field, format!("payload type `{}` is not 0 to 127", clip(format)))
            })?;
        first_format.get_or_insert(payload_type);
        let index = usize::from(payload_type);
        if place_of[index].is_some() {
            return Err(SdpError::malformed(
                field,
                format!("payload type {payload_type} is listed twice"),
            ));
        }
        let Said {
            map,
            unread: of_format,
            fmtp,
            feedback,
        } = &mut said[index];
        // Taken out: an RTX codec that is listed again repairs nothing more.
        let Some(map) = map.take() else {
            unread = unread.or_else(|| of_format.take());
            continue;
        };
        let fmtp = std::mem::take(fmtp);
        if map.encoding_name.eq_ignore_ascii_case("rtx") {
            let apt = fmtp.iter().find(|(k, _)| k == "apt").and_then(|(_, v)| v.parse().ok());
            if let Some(apt) = apt {
                repairs.push((apt, payload_type));
            }
            continue;
        }
        place_of[index] = Some(codecs.len());
        codecs.push(OfferedCodec {
            payload_type,
            name: map.encoding_name,
            clock_rate: map.clock_rate,
            channels: map.encoding_params.as_deref().and_then(|p| p.parse().ok()).unwrap_or(1),
            fmtp,
            feedback: in_order(feedback, &wildcards),
            rtx: None,
        });
    }
    for (apt, payload_type) in repairs {
        if let Some(place) = place_of.get(usize::from(apt)).copied().flatten() {
            codecs[place].rtx = Some(payload_type);
        }
    }
    Ok(Listed {
        codecs,
        first_format: first_format.ok_or_else(|| SdpError::malformed(field, "the m-line lists no payload type"))?,
        unread: unread.or(of_no_type),
    })
}

/// Files each `a=rtpmap` under its payload type, also those that cannot be read. Answers the first of these that has no
/// payload type either.
fn rtpmaps(media: &Media, said: &mut [Said]) -> Option<String> {
    let mut of_no_type = None;
    for (text, map) in read::<RtpMap>(&media.attributes) {
        let Ok(map) = map else {
            let payload_type = text.split(' ').next().and_then(|word| word.parse::<usize>().ok());
            let place = payload_type.and_then(|payload_type| said.get_mut(payload_type));
            let unread = place.map_or(&mut of_no_type, |said| &mut said.unread);
            unread.get_or_insert_with(|| format!("a=rtpmap:{}", clip(text)));
            continue;
        };
        if let Some(said) = said.get_mut(usize::from(map.payload_type)) {
            said.map.get_or_insert(map);
        }
    }
    of_no_type
}

/// What is said of each payload type besides its name, and the feedback of `*`.
fn said(media: &Media) -> (Vec<Said>, Feedback) {
    let mut said: Vec<Said> = (0..PAYLOAD_TYPES).map(|_| Said::default()).collect();
    // Some clients write parameters that the typed parser refuses; such a line only loses its parameters.
    for fmtp in typed::<Fmtp>(&media.attributes).flatten() {
        let Some(said) = said.get_mut(usize::from(fmtp.fmt)) else {
            continue;
        };
        for parameter in fmtp.format_specific_params.into_iter().walked() {
            let key = parameter.param.trim();
            if !key.is_empty() {
                let value = parameter.val.as_deref().unwrap_or_default().trim();
                said.fmtp.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    let mut wildcards = Vec::new();
    for (line, feedback) in typed::<RtcpFb>(&media.attributes).flatten().enumerate() {
        let of = match feedback.pt {
            RtcpFbPt::Wildcard => &mut wildcards,
            RtcpFbPt::Fmt(payload_type) => match said.get_mut(usize::from(payload_type)) {
                Some(said) => &mut said.feedback,
                None => continue,
            },
        };
        // There are few kinds that mediasoup knows, so the list stays short.
        if let Some(known) = known_feedback(&feedback)
            && !of.iter().walked().any(|(_, there)| *there == known)
        {
            of.push((line, known));
        }
    }
    (said, wildcards)
}

fn known_feedback(feedback: &RtcpFb) -> Option<RtcpFeedback> {
    let value = feedback.val.to_string();
    let (name, parameter) = value.split_once(' ').unwrap_or((value.as_str(), ""));
    let known = RtcpFeedback::from_type_parameter(name, parameter).ok()?;
    (known != RtcpFeedback::Unsupported).then_some(known)
}

/// Feedback of one payload type with that of all, in the client's order, each once.
fn in_order(own: &[(usize, RtcpFeedback)], wildcards: &[(usize, RtcpFeedback)]) -> Vec<RtcpFeedback> {
    let mut all: Vec<(usize, RtcpFeedback)> = own.iter().chain(wildcards).walked().copied().collect();
    all.sort_by_key(|(line, _)| *line);
    let mut found = Vec::new();
    for (_, feedback) in all {
        if !found.iter().walked().any(|there| *there == feedback) {
            found.push(feedback);
        }
    }
    found
}
