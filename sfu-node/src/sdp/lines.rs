//! Lines that offers and answers of this server share.

use super::offer::OfferedCodec;
use mediasoup::prelude::WebRtcTransport;
use mediasoup::types::data_structures::{DtlsFingerprint, IceCandidate, IceParameters, Protocol};
use mediasoup::types::rtp_parameters::{RtcpFeedback, RtpCodecParameters, RtpParameters};
use sdp_types::{Attribute, Connection, Media, MediaType, Origin, Session, Time, TransportProto};
use sfumato_admin_api::types::TrackKind;
use std::net::{IpAddr, Ipv4Addr};

/// ICE options of every session; a restart repeats them.
const ICE_OPTIONS: &str = "trickle ice2";
pub(super) const ICE_OPTIONS_LINE: &str = "a=ice-options:trickle ice2";

/// The server's end of the transport.
pub struct Transport<'a> {
    /// ICE user name fragment and password of this session.
    pub ice: &'a IceParameters,
    /// Candidates, in the order of preference.
    pub candidates: Vec<IceCandidate>,
    /// The worker's certificate, sha-256.
    pub fingerprint: &'a DtlsFingerprint,
}

impl<'a> Transport<'a> {
    /// Our end of a mediasoup transport, which clients reach at these candidates; `fingerprints` are those of its DTLS
    /// parameters. None without any fingerprint.
    pub fn of(
        transport: &'a WebRtcTransport,
        candidates: Vec<IceCandidate>,
        fingerprints: &'a [DtlsFingerprint],
    ) -> Option<Self> {
        let fingerprint = fingerprints
            .iter()
            .find(|fingerprint| matches!(fingerprint, DtlsFingerprint::Sha256 { .. }))
            .or(fingerprints.first())?;
        Some(Self {
            ice: transport.ice_parameters(),
            candidates,
            fingerprint,
        })
    }
}

/// What a description begins with.
pub(super) fn session(id: u64, mids: &[&str], extmap_allow_mixed: bool) -> Session {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut session = Session::new(Origin::with_ip_addr(id, 1, loopback), "-");
    session.times.push(Time::new(0, 0));
    session.add_attribute(Attribute::new("ice-lite"));
    session.add_attribute(Attribute::with_value("group", format!("BUNDLE {}", mids.join(" "))));
    if extmap_allow_mixed {
        session.add_attribute(Attribute::new("extmap-allow-mixed"));
    }
    session.add_attribute(Attribute::with_value("msid-semantic", " WMS *"));
    session
}

/// An m-section with what every one has, whatever its media: transport, bundle, RTCP.
pub(super) fn media(
    kind: TrackKind,
    proto: &str,
    formats: String,
    mid: &str,
    setup: &str,
    transport: &Transport<'_>,
) -> Media {
    let kind = match kind {
        TrackKind::Audio => MediaType::Audio,
        TrackKind::Video => MediaType::Video,
    };
    let mut media = Media::new(kind, 9, TransportProto::from(proto), formats);
    media.add_connection(Connection::from_ip_addr(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let mut line = |name: &str, value: String| media.add_attribute(Attribute::with_value(name, value));
    line("mid", mid.to_owned());
    line("ice-ufrag", transport.ice.username_fragment.clone());
    line("ice-pwd", transport.ice.password.clone());
    line("ice-options", ICE_OPTIONS.to_owned());
    line(
        "fingerprint",
        format!(
            "{} {}",
            hash_name(transport.fingerprint),
            transport.fingerprint.value_string()
        ),
    );
    line("setup", setup.to_owned());
    for flag in ["rtcp-mux", "rtcp-mux-only", "rtcp-rsize"] {
        media.add_attribute(Attribute::new(flag));
    }
    media
}

pub(super) fn candidate_lines(media: &mut Media, transport: &Transport<'_>) {
    for value in candidate_values(&transport.candidates) {
        media.add_attribute(Attribute::with_value("candidate", value));
    }
    media.add_attribute(Attribute::new("end-of-candidates"));
}

fn hash_name(fingerprint: &DtlsFingerprint) -> &'static str {
    match fingerprint {
        DtlsFingerprint::Sha1 { .. } => "sha-1",
        DtlsFingerprint::Sha224 { .. } => "sha-224",
        DtlsFingerprint::Sha256 { .. } => "sha-256",
        DtlsFingerprint::Sha384 { .. } => "sha-384",
        DtlsFingerprint::Sha512 { .. } => "sha-512",
    }
}

pub(super) fn payload_types(codec: &OfferedCodec, rtx: Option<u8>) -> String {
    match rtx {
        Some(rtx) => format!("{} {rtx}", codec.payload_type),
        None => codec.payload_type.to_string(),
    }
}

/// What an m-section says of its codec: the codec as the client lists it, but with what this server says of its own end.
pub(super) fn codec_lines(
    media: &mut Media,
    codec: &OfferedCodec,
    fmtp: &[(String, String)],
    rtx: Option<u8>,
    feedback: &[RtcpFeedback],
) {
    let pt = codec.payload_type;
    let channels = if codec.channels > 1 {
        format!("/{}", codec.channels)
    } else {
        String::new()
    };
    let mut line = |name: &str, value: String| media.add_attribute(Attribute::with_value(name, value));
    line("rtpmap", format!("{pt} {}/{}{channels}", codec.name, codec.clock_rate));
    if !fmtp.is_empty() {
        let parameters: Vec<String> = fmtp
            .iter()
            .map(|(key, value)| {
                if value.is_empty() {
                    key.clone()
                } else {
                    format!("{key}={value}")
                }
            })
            .collect();
        line("fmtp", format!("{pt} {}", parameters.join(";")));
    }
    for fb in feedback {
        let (name, parameter) = fb.as_type_parameter();
        line("rtcp-fb", format!("{pt} {name} {parameter}").trim_end().to_owned());
    }
    if let Some(rtx) = rtx {
        line("rtpmap", format!("{rtx} rtx/{}", codec.clock_rate));
        line("fmtp", format!("{rtx} apt={pt}"));
    }
}

pub(super) fn extension_lines(media: &mut Media, rtp: &RtpParameters) {
    for extension in &rtp.header_extensions {
        let value = format!("{} {}", extension.id, extension.uri.as_str());
        media.add_attribute(Attribute::with_value("extmap", value));
    }
}

/// Viewers find their track by SSRC where MID was not agreed on.
pub(super) fn ssrc_lines(media: &mut Media, mid: &str, rtp: &RtpParameters, stream: &str) {
    let track = format!("{stream} {stream}-{mid}");
    media.add_attribute(Attribute::with_value("msid", track.clone()));
    let Some(encoding) = rtp.encodings.first() else { return };
    let Some(ssrc) = encoding.ssrc else { return };
    let cname = rtp.rtcp.cname.as_deref().unwrap_or(stream);
    let repair = encoding
        .rtx
        .as_ref()
        .map(|rtx| rtx.ssrc)
        .filter(|_| rtp.codecs.iter().any(RtpCodecParameters::is_rtx));
    if let Some(repair) = repair {
        media.add_attribute(Attribute::with_value("ssrc-group", format!("FID {ssrc} {repair}")));
    }
    for id in [Some(ssrc), repair].into_iter().flatten() {
        media.add_attribute(Attribute::with_value("ssrc", format!("{id} cname:{cname}")));
        media.add_attribute(Attribute::with_value("ssrc", format!("{id} msid:{track}")));
    }
}

/// Values of `a=candidate`, UDP first: some publishers use only the first UDP host candidate. Each has a base and protocol
/// of its own, and so a foundation of its own (RFC 8445 section 5.1.1.3); mediasoup's are words such as `udpcandidate`,
/// which FFmpeg 8.0 takes for the protocol.
pub(super) fn candidate_values(candidates: &[IceCandidate]) -> Vec<String> {
    let mut sorted: Vec<&IceCandidate> = candidates.iter().collect();
    sorted.sort_by_key(|candidate| candidate.protocol != Protocol::Udp);
    sorted
        .into_iter()
        .enumerate()
        .map(|(index, candidate)| {
            let (protocol, tcp_type) = match candidate.protocol {
                Protocol::Udp => ("udp", ""),
                Protocol::Tcp => ("tcp", " tcptype passive"),
            };
            format!(
                "{} 1 {protocol} {} {} {} typ host{tcp_type}",
                index + 1,
                candidate.priority,
                candidate.address,
                candidate.port
            )
        })
        .collect()
}
