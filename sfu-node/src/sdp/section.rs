//! One m-section of an offer or an answer.

use super::SdpError;
use super::attributes::{first, has, typed, values};
use super::offered_codec::{OfferedCodec, codecs};
use super::simulcast::{Layer, layers};
use super::steps::Walk;
use super::text::clip;
use mediasoup::types::rtp_parameters::RtpHeaderExtensionUri;
use sdp_types::{Direction, ExtMap, Media, SsrcGroup};
use sfumato_admin_api::types::TrackKind;

/// One m-section.
#[derive(Debug, Clone)]
pub struct Section {
    /// `a=mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: TrackKind,
    /// Protocol of the m-line, echoed in the answer.
    pub proto: String,
    /// What the client wants to do; `sendrecv` when absent (RFC 8866 section 6.7).
    pub direction: Direction,
    /// Media codecs in the client's order; RTX is folded into [`OfferedCodec::rtx`].
    pub codecs: Vec<OfferedCodec>,
    /// Extensions that mediasoup knows, with the client's ids.
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

    /// The first few names of its codecs, for messages.
    pub fn codec_names(&self) -> Vec<String> {
        self.codecs.iter().take(8).map(|codec| clip(&codec.name)).collect()
    }
}

pub(super) fn section(media: &Media, index: usize) -> Result<Section, SdpError> {
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
    if !media.proto.ends_with("RTP/SAVPF") {
        return Err(SdpError::unsupported(
            field,
            format!(
                "protocol {} is not supported: offer UDP/TLS/RTP/SAVPF",
                clip(&media.proto)
            ),
        ));
    }
    let mut direction = Direction::SendRecv;
    for (name, value) in [
        ("sendonly", Direction::SendOnly),
        ("recvonly", Direction::RecvOnly),
        ("inactive", Direction::Inactive),
        ("sendrecv", Direction::SendRecv),
    ] {
        if has(&media.attributes, name) {
            direction = value;
            break;
        }
    }
    let ssrcs = Ssrcs::parse(media, &field)?;
    Ok(Section {
        codecs: codecs(media, &field)?,
        extensions: extensions(media, &field)?,
        layers: layers(media, &field)?,
        ssrc: ssrcs.primary,
        cname: ssrcs.cname,
        msid: first(&media.attributes, "msid").map(str::to_owned).or(ssrcs.msid),
        proto: media.proto.clone(),
        mid,
        kind,
        direction,
    })
}

fn extensions(media: &Media, field: &str) -> Result<Vec<(u16, RtpHeaderExtensionUri)>, SdpError> {
    let mut found: Vec<(u16, RtpHeaderExtensionUri)> = Vec::new();
    for map in typed::<ExtMap>(&media.attributes) {
        let map = map.map_err(|error| SdpError::malformed(field, format!("a=extmap: {error}")))?;
        if map.id == 0 {
            return Err(SdpError::malformed(
                field,
                "a=extmap:0 is not allowed (RFC 8285 section 5)",
            ));
        }
        let Ok(uri) = map.uri.parse::<RtpHeaderExtensionUri>() else {
            continue;
        };
        // There are few that mediasoup knows, so the list stays short.
        if !found.iter().walked().any(|(_, known)| *known == uri) {
            found.push((u16::from(map.id), uri));
        }
    }
    Ok(found)
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
