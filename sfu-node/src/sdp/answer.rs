//! Writes SDP answers (RFC 9725 section 4.4, RFC 8829 section 5.3): ICE lite, one bundle, all candidates at once.

use super::offer::{Offer, OfferedCodec, Section};
use mediasoup::types::data_structures::{DtlsFingerprint, IceCandidate, IceParameters, Protocol};
use mediasoup::types::rtp_parameters::{RtcpFeedback, RtpCodecParameters, RtpParameters};
use sdp_types::{Attribute, Connection, Media, MediaType, Origin, Session, Time, TransportProto};
use sfumato_mesh::api::TrackKind;
use std::net::{IpAddr, Ipv4Addr};

/// The server's end of the transport.
pub struct Transport<'a> {
    /// ICE user name fragment and password of this session.
    pub ice: &'a IceParameters,
    /// Candidates, in mediasoup's order.
    pub candidates: &'a [IceCandidate],
    /// The worker's certificate, sha-256.
    pub fingerprint: &'a DtlsFingerprint,
}

/// What one m-section is answered with.
pub enum Reply<'a> {
    /// A publisher's section that is received.
    Receive {
        /// The codec that is used.
        codec: &'a OfferedCodec,
        /// Parameters of the producer.
        rtp: &'a RtpParameters,
    },
    /// A viewer's section that is sent.
    Send {
        /// The viewer's own entry for the codec that is used.
        codec: &'a OfferedCodec,
        /// Parameters of the consumer.
        rtp: &'a RtpParameters,
        /// Media stream id, the same for all sections of a session.
        stream: &'a str,
    },
    /// A section that has no track: kept in the bundle, without media.
    Inactive,
}

/// Writes the answer; `replies` has one entry for each section of the offer.
pub fn write(offer: &Offer, replies: &[Reply<'_>], transport: &Transport<'_>, session_id: u64) -> String {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut session = Session::new(Origin::with_ip_addr(session_id, 1, loopback), "-");
    session.times.push(Time::new(0, 0));
    session.add_attribute(Attribute::new("ice-lite"));
    let mids: Vec<&str> = offer.sections.iter().map(|section| section.mid.as_str()).collect();
    session.add_attribute(Attribute::with_value("group", format!("BUNDLE {}", mids.join(" "))));
    if offer.extmap_allow_mixed {
        session.add_attribute(Attribute::new("extmap-allow-mixed"));
    }
    session.add_attribute(Attribute::with_value("msid-semantic", " WMS *"));
    for (section, reply) in offer.sections.iter().zip(replies) {
        session.add_media(media(offer, section, reply, transport));
    }
    session.to_string()
}

fn media(offer: &Offer, section: &Section, reply: &Reply<'_>, transport: &Transport<'_>) -> Media {
    let kind = match section.kind {
        TrackKind::Audio => MediaType::Audio,
        TrackKind::Video => MediaType::Video,
    };
    let formats = match reply {
        Reply::Receive { codec, .. } => payload_types(codec, codec.rtx),
        Reply::Send { codec, rtp, .. } => payload_types(codec, agreed_rtx(codec, rtp)),
        Reply::Inactive => section
            .codecs
            .first()
            .map_or_else(|| "0".to_owned(), |c| c.payload_type.to_string()),
    };
    let mut media = Media::new(kind, 9, TransportProto::from(section.proto.as_str()), formats);
    media.add_connection(Connection::from_ip_addr(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let mut line = |name: &str, value: String| media.add_attribute(Attribute::with_value(name, value));
    line("mid", section.mid.clone());
    line("ice-ufrag", transport.ice.username_fragment.clone());
    line("ice-pwd", transport.ice.password.clone());
    line("ice-options", "trickle ice2".to_owned());
    line(
        "fingerprint",
        format!(
            "{} {}",
            hash_name(transport.fingerprint),
            transport.fingerprint.value_string()
        ),
    );
    line(
        "setup",
        if offer.client_is_dtls_server {
            "active"
        } else {
            "passive"
        }
        .to_owned(),
    );
    for flag in ["rtcp-mux", "rtcp-mux-only", "rtcp-rsize"] {
        media.add_attribute(Attribute::new(flag));
    }
    match reply {
        Reply::Receive { codec, rtp } => {
            codec_lines(&mut media, codec, codec.rtx, &codec.feedback);
            extension_lines(&mut media, rtp);
            media.add_attribute(Attribute::new("recvonly"));
            if !section.rids.is_empty() {
                for rid in &section.rids {
                    media.add_attribute(Attribute::with_value("rid", format!("{rid} recv")));
                }
                media.add_attribute(Attribute::with_value(
                    "simulcast",
                    format!("recv {}", section.rids.join(";")),
                ));
            }
        }
        Reply::Send { codec, rtp, stream } => {
            let feedback = rtp
                .codecs
                .first()
                .map(|c| c.rtcp_feedback().to_vec())
                .unwrap_or_default();
            codec_lines(&mut media, codec, agreed_rtx(codec, rtp), &feedback);
            extension_lines(&mut media, rtp);
            media.add_attribute(Attribute::new("sendonly"));
            ssrc_lines(&mut media, section, rtp, stream);
        }
        Reply::Inactive => {
            if let Some(codec) = section.codecs.first() {
                codec_lines(&mut media, codec, None, &[]);
            }
            media.add_attribute(Attribute::new("inactive"));
        }
    }
    // Some publishers use only the first UDP host candidate.
    let mut candidates: Vec<&IceCandidate> = transport.candidates.iter().collect();
    candidates.sort_by_key(|candidate| candidate.protocol != Protocol::Udp);
    for candidate in candidates {
        media.add_attribute(Attribute::with_value("candidate", candidate_value(candidate)));
    }
    media.add_attribute(Attribute::new("end-of-candidates"));
    media
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

fn payload_types(codec: &OfferedCodec, rtx: Option<u8>) -> String {
    match rtx {
        Some(rtx) => format!("{} {rtx}", codec.payload_type),
        None => codec.payload_type.to_string(),
    }
}

/// RTX is answered only where the consumer's payload type for it is the one that the viewer offered.
fn agreed_rtx(codec: &OfferedCodec, rtp: &RtpParameters) -> Option<u8> {
    let ours = rtp
        .codecs
        .iter()
        .find(|codec| codec.is_rtx())
        .map(RtpCodecParameters::payload_type)?;
    codec.rtx.filter(|theirs| *theirs == ours)
}

fn codec_lines(media: &mut Media, codec: &OfferedCodec, rtx: Option<u8>, feedback: &[RtcpFeedback]) {
    let pt = codec.payload_type;
    let channels = if codec.channels > 1 {
        format!("/{}", codec.channels)
    } else {
        String::new()
    };
    let mut line = |name: &str, value: String| media.add_attribute(Attribute::with_value(name, value));
    line("rtpmap", format!("{pt} {}/{}{channels}", codec.name, codec.clock_rate));
    if !codec.fmtp.is_empty() {
        let parameters: Vec<String> = codec
            .fmtp
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

fn extension_lines(media: &mut Media, rtp: &RtpParameters) {
    for extension in &rtp.header_extensions {
        let value = format!("{} {}", extension.id, extension.uri.as_str());
        media.add_attribute(Attribute::with_value("extmap", value));
    }
}

/// Viewers find their track by SSRC where MID was not agreed on.
fn ssrc_lines(media: &mut Media, section: &Section, rtp: &RtpParameters, stream: &str) {
    let track = format!("{stream} {stream}-{}", section.mid);
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

fn candidate_value(candidate: &IceCandidate) -> String {
    let (protocol, tcp_type) = match candidate.protocol {
        Protocol::Udp => ("udp", ""),
        Protocol::Tcp => ("tcp", " tcptype passive"),
    };
    format!(
        "{} 1 {protocol} {} {} {} typ host{tcp_type}",
        candidate.foundation, candidate.priority, candidate.address, candidate.port
    )
}
