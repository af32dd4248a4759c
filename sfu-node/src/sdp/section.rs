//! One m-section of an offer or an answer.

use super::SdpError;
use super::attributes::{first, has, typed, values};
use super::extension_ids::Extensions;
use super::offered_codec::{Listed, OfferedCodec, listed};
use super::simulcast::{Layer, layers};
use super::text::clip;
use mediasoup::types::rtp_parameters::RtpHeaderExtensionUri;
use sdp_types::{Attribute, Direction, Media, SsrcGroup};
use sfumato_admin_api::types::TrackKind;

/// Protocols of an m-line that mean SRTP with keys by DTLS (RFC 9429 section 5.1.2): which of them a client writes changes
/// nothing, and the answer repeats it. That section also has plain RTP, which is refused here: who offers it may well mean it.
const PROFILES: [&str; 6] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
];

/// One m-section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its place among all m-sections, from 0.
    pub index: usize,
    /// `a=mid`, or its place if it has none.
    pub mid: String,
    /// Audio or video.
    pub kind: TrackKind,
    /// Protocol of the m-line, echoed in the answer.
    pub proto: String,
    /// What the client wants to do, as the section or the session says; else `sendrecv` (RFC 8866 section 6.7).
    pub direction: Direction,
    /// Media codecs in the client's order; RTX is folded into [`OfferedCodec::rtx`].
    pub codecs: Vec<OfferedCodec>,
    /// First format of the m-line, described or not.
    pub first_format: u8,
    /// The first `a=rtpmap` that cannot be read and may be why a codec is missing.
    pub unread_rtpmap: Option<String>,
    /// Extensions that mediasoup knows, with the client's ids, of the section or of the session.
    pub extensions: Vec<(u16, RtpHeaderExtensionUri)>,
    /// First SSRC and its RTX SSRC, if the section names them.
    pub ssrc: Option<(u32, Option<u32>)>,
    /// Layers of `a=simulcast:send`, in the client's order.
    pub layers: Vec<Layer>,
    /// RTCP CNAME.
    pub cname: Option<String>,
    /// `a=msid`, or the stream id of `a=ssrc`.
    pub msid: Option<String>,
}

impl Section {
    /// How messages name it.
    pub fn field(&self) -> String {
        let kind = match self.kind {
            TrackKind::Audio => "audio",
            TrackKind::Video => "video",
        };
        format!("m={kind} (mid {})", self.mid)
    }

    /// What it offers, for messages: the first few names of its codecs, and the line that may have cost it one.
    pub fn offered(&self) -> String {
        let names: Vec<String> = self.codecs.iter().take(8).map(|codec| clip(&codec.name)).collect();
        let names = if names.is_empty() {
            "no codec that is known".to_owned()
        } else {
            names.join(", ")
        };
        match &self.unread_rtpmap {
            None => names,
            Some(line) => format!("{names} (`{line}` was left out: it is not a=rtpmap:PAYLOAD_TYPE NAME/CLOCK_RATE)"),
        }
    }
}

/// What the session says for all its m-sections; what a section says for itself wins.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// RFC 8866 section 6.7.
    direction: Option<Direction>,
    /// RFC 8285 section 5.
    extensions: Extensions,
}

impl Defaults {
    /// Reads them from the attributes of the session.
    pub(super) fn of(session: &[Attribute]) -> Self {
        Self {
            direction: direction(session),
            extensions: Extensions::read(session),
        }
    }
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    let known = [
        ("sendonly", Direction::SendOnly),
        ("recvonly", Direction::RecvOnly),
        ("inactive", Direction::Inactive),
        ("sendrecv", Direction::SendRecv),
    ];
    let said = known.into_iter().find(|(name, _)| has(attributes, name));
    said.map(|(_, direction)| direction)
}

pub(super) fn section(media: &Media, index: usize, defaults: &Defaults) -> Result<Section, SdpError> {
    let kind = match media.media.as_str() {
        "audio" => TrackKind::Audio,
        "video" => TrackKind::Video,
        other => {
            return Err(SdpError::unsupported(
                format!("m={}", clip(other)),
                format!("m={} is not supported: offer audio and video only", clip(other)),
            ));
        }
    };
    let mid = first(&media.attributes, "mid").map_or_else(|| index.to_string(), str::to_owned);
    let field = format!("m={} (mid {})", media.media, clip(&mid));
    if mid.is_empty() || mid.len() > 64 || !mid.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SdpError::malformed(field, "a=mid must be 1 to 64 visible characters"));
    }
    if !PROFILES.contains(&media.proto.as_str()) {
        return Err(SdpError::unsupported(
            field,
            format!(
                "protocol {} is not supported: offer UDP/TLS/RTP/SAVPF",
                clip(&media.proto)
            ),
        ));
    }
    let direction = direction(&media.attributes).or(defaults.direction);
    let ssrcs = Ssrcs::parse(media, &field)?;
    let Listed {
        codecs,
        first_format,
        unread,
    } = listed(media, &field)?;
    Ok(Section {
        index,
        first_format,
        codecs,
        unread_rtpmap: unread,
        extensions: Extensions::read(&media.attributes).or(&defaults.extensions),
        layers: layers(media, &field)?,
        ssrc: ssrcs.primary,
        cname: ssrcs.cname,
        msid: first(&media.attributes, "msid").map(str::to_owned).or(ssrcs.msid),
        proto: media.proto.clone(),
        mid,
        kind,
        direction: direction.unwrap_or(Direction::SendRecv),
    })
}

#[derive(Default)]
struct Ssrcs {
    primary: Option<(u32, Option<u32>)>,
    cname: Option<String>,
    msid: Option<String>,
}

impl Ssrcs {
    fn parse(media: &Media, field: &str) -> Result<Self, SdpError> {
        let mut out = Self::default();
        let mut first = None;
        for value in values(&media.attributes, "ssrc") {
            let (id, rest) = value.split_once(' ').unwrap_or((value, ""));
            let id: u32 = id
                .parse()
                .map_err(|_| SdpError::malformed(field, format!("a=ssrc:{}: not a number of 32 bits", clip(id))))?;
            first.get_or_insert(id);
            if let Some(cname) = rest.strip_prefix("cname:") {
                out.cname.get_or_insert_with(|| cname.to_owned());
            } else if let Some(msid) = rest.strip_prefix("msid:") {
                out.msid.get_or_insert_with(|| msid.to_owned());
            }
        }
        let fid = typed::<SsrcGroup>(&media.attributes)
            .filter_map(Result::ok)
            .find(|group| group.semantics.as_str().eq_ignore_ascii_case("FID") && group.ssrc_ids.len() == 2);
        out.primary = match fid {
            Some(group) => Some((group.ssrc_ids[0], Some(group.ssrc_ids[1]))),
            None => first.map(|id| (id, None)),
        };
        Ok(out)
    }
}

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;
