//! An SDP offer as this node understands it. Tolerant where clients differ (attributes at session or media level, any
//! payload types and extension ids), strict where a wrong guess would send media nowhere.

use super::SdpError;
use super::simulcast::{Layer, layers};
use super::text::clip;
use crate::sdp::credentials::Credentials;
use mediasoup::types::data_structures::{DtlsFingerprint, DtlsParameters, DtlsRole};
use mediasoup::types::rtp_parameters::{RtcpFeedback, RtpHeaderExtensionUri};
use sdp_types::{
    Attribute, Direction, ExtMap, Fingerprint, Fmtp, HashFunc, Media, RtcpFb, RtcpFbPt, RtpMap, Session, Setup,
    SsrcGroup,
};
use sfumato_admin_api::types::TrackKind;
use std::str::FromStr;

/// Most m-sections that an offer may hold; WHIP and WHEP need two.
pub const MAX_SECTIONS: usize = 16;

/// What a client offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// ICE credentials, those of the first m-section first: they tell trickle from restart.
    pub ice: Vec<Credentials>,
    /// Fingerprints, sha-256 first: the worker reads only the first.
    pub fingerprints: Vec<DtlsFingerprint>,
    /// The client's DTLS role, resolved: with `actpass` the client becomes the DTLS client.
    pub client_is_dtls_server: bool,
    /// `a=extmap-allow-mixed` at session level.
    pub extmap_allow_mixed: bool,
    /// It offers an extension that only the WebRTC library of browsers has.
    pub is_libwebrtc: bool,
    /// m-sections in order.
    pub sections: Vec<Section>,
}

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

impl Section {
    /// How messages name it.
    pub fn field(&self) -> String {
        let kind = match self.kind {
            TrackKind::Audio => "audio",
            TrackKind::Video => "video",
        };
        format!("m={kind} (mid {})", self.mid)
    }
}

impl OfferedCodec {
    /// Whether this is codec `name` (case does not matter, RFC 8866 section 6.6).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Offer {
    /// Parses the body of a POST.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let session = Session::parse(body)
            .map_err(|error| SdpError::malformed("body", format!("the body is not SDP: {error}")))?;
        if session.medias.is_empty() {
            return Err(SdpError::malformed(
                "m=",
                "the offer has no m-section: offer audio, video or both",
            ));
        }
        if session.medias.len() > MAX_SECTIONS {
            return Err(SdpError::unsupported(
                "m=",
                format!("the offer has more than {MAX_SECTIONS} m-sections"),
            ));
        }
        let ice = credentials(&session)?;
        let fingerprints = fingerprints(&session)?;
        let client_is_dtls_server = match first_value(&session, "setup").map(|v| Setup::from_str(&v)) {
            // Absent means actpass in an offer (RFC 8842 section 5.2).
            None | Some(Ok(Setup::ActPass | Setup::Active)) => false,
            Some(Ok(Setup::Passive)) => true,
            Some(Ok(Setup::HoldConn) | Err(_)) => {
                return Err(SdpError::malformed(
                    "a=setup",
                    "a=setup must be actpass, active or passive",
                ));
            }
        };
        let mut sections: Vec<Section> = Vec::with_capacity(session.medias.len());
        for (index, media) in session.medias.iter().enumerate() {
            let section = section(media, index)?;
            if sections.iter().any(|other| other.mid == section.mid) {
                return Err(SdpError::malformed(
                    format!("a=mid:{}", section.mid),
                    "two m-sections have the same a=mid",
                ));
            }
            sections.push(section);
        }
        if sections.len() > 1 {
            bundle(&session, &sections)?;
        }
        Ok(Self {
            ice,
            fingerprints,
            client_is_dtls_server,
            extmap_allow_mixed: session.has_attribute("extmap-allow-mixed"),
            is_libwebrtc: is_libwebrtc(&session),
            sections,
        })
    }

    /// What mediasoup needs to know of the client's DTLS end. Never `auto`: the worker would then become the client.
    pub fn dtls_parameters(&self) -> DtlsParameters {
        let role = if self.client_is_dtls_server {
            DtlsRole::Server
        } else {
            DtlsRole::Client
        };
        DtlsParameters {
            role,
            fingerprints: self.fingerprints.clone(),
        }
    }
}

fn is_libwebrtc(session: &Session) -> bool {
    let mut extensions = session
        .medias
        .iter()
        .flat_map(|media| media.get_attribute_values("extmap"));
    extensions.any(|value| value.is_some_and(|value| value.contains("/rtp-hdrext/video-timing")))
}

/// Every set of credentials in an offer; sections of one bundle mostly repeat the same.
pub(super) fn credentials(session: &Session) -> Result<Vec<Credentials>, SdpError> {
    let of = |ufrag: Option<&str>, pwd: Option<&str>| Some((ufrag?.to_owned(), pwd?.to_owned()));
    let (ufrag, pwd) = ("ice-ufrag", "ice-pwd");
    let at_session = of(
        session.get_first_attribute_value(ufrag).flatten(),
        session.get_first_attribute_value(pwd).flatten(),
    );
    let at_media = session.medias.iter().filter_map(|media| {
        of(
            media.get_first_attribute_value(ufrag).flatten(),
            media.get_first_attribute_value(pwd).flatten(),
        )
    });
    let mut found: Vec<Credentials> = Vec::new();
    for (ufrag, pwd) in at_session.into_iter().chain(at_media) {
        let credentials = Credentials { ufrag, pwd };
        if !found.contains(&credentials) {
            found.push(credentials);
        }
    }
    if found.is_empty() {
        let missing = if first_value(session, ufrag).is_some() {
            "a=ice-pwd"
        } else {
            "a=ice-ufrag"
        };
        return Err(SdpError::malformed(missing, format!("there is no {missing}")));
    }
    Ok(found)
}

/// Value of an attribute at session level, else in the first m-section that has it.
pub(super) fn first_value(session: &Session, name: &str) -> Option<String> {
    let at_session = session.get_first_attribute_value(name).flatten().map(str::to_owned);
    at_session.or_else(|| {
        session
            .medias
            .iter()
            .find_map(|media| media.get_first_attribute_value(name).flatten().map(str::to_owned))
    })
}

pub(super) fn fingerprints(session: &Session) -> Result<Vec<DtlsFingerprint>, SdpError> {
    let attributes = |list: &[Attribute]| -> Vec<String> {
        list.iter()
            .filter(|a| a.attribute.eq_ignore_ascii_case("fingerprint"))
            .filter_map(|a| a.value.clone())
            .collect()
    };
    let mut values = attributes(&session.attributes);
    for media in &session.medias {
        values.extend(attributes(&media.attributes));
    }
    let mut found: Vec<DtlsFingerprint> = Vec::new();
    for value in &values {
        let parsed = Fingerprint::from_str(value)
            .map_err(|error| SdpError::malformed("a=fingerprint", format!("a=fingerprint:{value}: {error}")))?;
        if let Some(fingerprint) = fingerprint(&parsed)
            && !found.contains(&fingerprint)
        {
            found.push(fingerprint);
        }
    }
    if found.is_empty() {
        return Err(SdpError::malformed(
            "a=fingerprint",
            "the offer has no a=fingerprint of sha-256 or a sibling",
        ));
    }
    found.sort_by_key(|f| !matches!(f, DtlsFingerprint::Sha256 { .. }));
    Ok(found)
}

fn fingerprint(parsed: &Fingerprint) -> Option<DtlsFingerprint> {
    let bytes = parsed.fingerprint.as_slice();
    match parsed.hash_func {
        HashFunc::Sha1 => Some(DtlsFingerprint::Sha1 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha224 => Some(DtlsFingerprint::Sha224 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha256 => Some(DtlsFingerprint::Sha256 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha384 => Some(DtlsFingerprint::Sha384 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha512 => Some(DtlsFingerprint::Sha512 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Md5 | HashFunc::Md2 | HashFunc::Other(_) => None,
    }
}

/// RFC 9725 section 4.4.1: every m-section is in one bundle.
fn bundle(session: &Session, sections: &[Section]) -> Result<(), SdpError> {
    let group = session
        .get_attribute_values("group")
        .flatten()
        .find_map(|value| value.strip_prefix("BUNDLE"))
        .ok_or_else(|| SdpError::unsupported("a=group:BUNDLE", "offer all m-sections in one a=group:BUNDLE"))?;
    let mids: Vec<&str> = group.split_ascii_whitespace().collect();
    match sections.iter().find(|section| !mids.contains(&section.mid.as_str())) {
        Some(section) => Err(SdpError::unsupported(
            "a=group:BUNDLE",
            format!("m-section with a=mid:{} is not in a=group:BUNDLE", section.mid),
        )),
        None => Ok(()),
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
    let mid = media
        .get_first_attribute_value("mid")
        .flatten()
        .map_or_else(|| index.to_string(), str::to_owned);
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
        if media.has_attribute(name) {
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
        msid: media
            .get_first_attribute_value("msid")
            .flatten()
            .map(str::to_owned)
            .or(ssrcs.msid),
        proto: media.proto.clone(),
        mid,
        kind,
        direction,
    })
}

fn codecs(media: &Media, field: &str) -> Result<Vec<OfferedCodec>, SdpError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| SdpError::malformed(field, format!("{what}: {error}"));
    let mut maps = Vec::new();
    for map in media.attributes_typed::<RtpMap>() {
        maps.push(map.map_err(|e| bad("a=rtpmap", &e))?);
    }
    let mut fmtps = Vec::new();
    // Some clients write parameters that the typed parser refuses; such a line only loses its parameters.
    for fmtp in media.attributes_typed::<Fmtp>().flatten() {
        fmtps.push(fmtp);
    }
    let feedbacks: Vec<RtcpFb> = media.attributes_typed::<RtcpFb>().filter_map(Result::ok).collect();
    let fmtp_of = |payload_type: u8| -> Vec<(String, String)> {
        fmtps
            .iter()
            .filter(|f| f.fmt == payload_type)
            .flat_map(|f| f.format_specific_params.iter())
            .map(|p| {
                (
                    p.param.trim().to_owned(),
                    p.val.clone().unwrap_or_default().trim().to_owned(),
                )
            })
            .filter(|(key, _)| !key.is_empty())
            .collect()
    };
    let mut codecs: Vec<OfferedCodec> = Vec::new();
    let mut repairs: Vec<(u8, u8)> = Vec::new();
    // The m-line's order is the client's preference.
    for format in media.fmt.split_ascii_whitespace() {
        let payload_type: u8 =
            format.parse().ok().filter(|pt| *pt < 128).ok_or_else(|| {
                SdpError::malformed(field, format!("payload type `{}` is not 0 to 127", clip(format)))
            })?;
        let Some(map) = maps.iter().find(|map| map.payload_type == payload_type) else {
            continue;
        };
        let fmtp = fmtp_of(payload_type);
        if map.encoding_name.eq_ignore_ascii_case("rtx") {
            let apt = fmtp.iter().find(|(k, _)| k == "apt").and_then(|(_, v)| v.parse().ok());
            if let Some(apt) = apt {
                repairs.push((apt, payload_type));
            }
            continue;
        }
        if codecs.iter().any(|codec| codec.payload_type == payload_type) {
            return Err(SdpError::malformed(
                field,
                format!("payload type {payload_type} is listed twice"),
            ));
        }
        codecs.push(OfferedCodec {
            payload_type,
            name: map.encoding_name.clone(),
            clock_rate: map.clock_rate,
            channels: map.encoding_params.as_deref().and_then(|p| p.parse().ok()).unwrap_or(1),
            fmtp,
            feedback: feedback(&feedbacks, payload_type),
            rtx: None,
        });
    }
    for (apt, payload_type) in repairs {
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload_type == apt) {
            codec.rtx = Some(payload_type);
        }
    }
    Ok(codecs)
}

fn feedback(all: &[RtcpFb], payload_type: u8) -> Vec<RtcpFeedback> {
    let mut found = Vec::new();
    for fb in all {
        if !matches!(fb.pt, RtcpFbPt::Wildcard) && fb.pt != RtcpFbPt::Fmt(payload_type) {
            continue;
        }
        let value = fb.val.to_string();
        let (name, parameter) = value.split_once(' ').unwrap_or((value.as_str(), ""));
        if let Ok(feedback) = RtcpFeedback::from_type_parameter(name, parameter)
            && feedback != RtcpFeedback::Unsupported
            && !found.contains(&feedback)
        {
            found.push(feedback);
        }
    }
    found
}

fn extensions(media: &Media, field: &str) -> Result<Vec<(u16, RtpHeaderExtensionUri)>, SdpError> {
    let mut found: Vec<(u16, RtpHeaderExtensionUri)> = Vec::new();
    for map in media.attributes_typed::<ExtMap>() {
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
        if !found.iter().any(|(_, known)| *known == uri) {
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
        for value in media.get_attribute_values("ssrc").flatten() {
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
        let fid = media
            .attributes_typed::<SsrcGroup>()
            .filter_map(Result::ok)
            .find(|group| group.semantics.as_str().eq_ignore_ascii_case("FID") && group.ssrc_ids.len() == 2);
        out.primary = match fid {
            Some(group) => Some((group.ssrc_ids[0], Some(group.ssrc_ids[1]))),
            None => first.map(|id| (id, None)),
        };
        Ok(out)
    }
}
