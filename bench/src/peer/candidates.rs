//! What a description says of ICE: the addresses of a server's media, and what checks of them are signed with. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Most candidates that are read: a media node has at most 8 addresses, each for UDP and for TCP.
pub const MAX_CANDIDATES: usize = 32;
/// Longest host name that is read, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
/// Longest `a=ice-ufrag` and `a=ice-pwd`, in bytes (RFC 8839 section 5.4).
const MAX_CREDENTIAL: usize = 256;

/// How packets get to a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection that the client opens (RFC 6544).
    Tcp,
}

/// Where a candidate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// At an address.
    Ip(IpAddr),
    /// At the addresses of a name.
    Name(String),
}

/// A place where a server takes media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// How packets get there.
    pub transport: Transport,
    /// Where it is.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// The ICE part of an offer or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceDescription {
    /// `a=ice-ufrag`: whom a check is for.
    pub ufrag: String,
    /// `a=ice-pwd`: what a check is signed with.
    pub password: String,
    /// Each candidate once, in the order of the description; at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
}

impl IceDescription {
    /// Reads it; nothing where credentials are missing or too long. All m-sections of a bundle share one transport, so the first
    /// credentials count.
    #[must_use]
    pub fn of(sdp: &str) -> Option<Self> {
        let value = |name: &str| {
            let found = sdp.lines().find_map(|line| line.strip_prefix(name))?.trim();
            (1..=MAX_CREDENTIAL).contains(&found.len()).then(|| found.to_owned())
        };
        Some(Self {
            ufrag: value("a=ice-ufrag:")?,
            password: value("a=ice-pwd:")?,
            candidates: candidates(sdp),
        })
    }
}

/// The candidates of a description that a client can send to.
#[must_use]
pub fn candidates(sdp: &str) -> Vec<Candidate> {
    let mut all = Vec::new();
    for candidate in sdp.lines().filter_map(candidate) {
        if all.len() == MAX_CANDIDATES {
            break;
        }
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    all
}

/// `a=candidate:1 1 udp 1076302079 203.0.113.7 30100 typ host` (RFC 8839 section 5.1). Only of RTP's component, and over TCP
/// only where the server listens.
fn candidate(line: &str) -> Option<Candidate> {
    let mut words = line.trim_end().strip_prefix("a=candidate:")?.split(' ').skip(1);
    let (component, transport, _priority) = (words.next()?, words.next()?, words.next()?);
    let (host, port) = (words.next()?, words.next()?);
    let transport = match transport.to_ascii_lowercase().as_str() {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return None,
    };
    let connects_itself = words.any(|word| word == "active");
    if component != "1" || connects_itself {
        return None;
    }
    Some(Candidate {
        transport,
        host: Host::of(host)?,
        port: port.parse().ok()?,
    })
}

impl Host {
    /// Reads an address or a name; nothing where it is neither. An IPv6 address may stand in brackets.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse() {
            return Some(Self::Ip(ip));
        }
        let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        ((1..=MAX_HOST).contains(&text.len()) && is_name).then(|| Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `udp 203.0.113.7:30100`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "{} {}", self.transport, SocketAddr::new(*ip, self.port)),
            Host::Name(name) => write!(f, "{} {name}:{}", self.transport, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=candidate:1 1 udp 1076302079 203.0.113.7 30100 typ host\r\n\
        a=candidate:2 1 udp 1076301823 2001:db8::7 30100 typ host\r\n\
        a=candidate:3 1 tcp 1076276479 sfu-0.example.net 30100 typ host tcptype passive\r\na=end-of-candidates\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:other\r\n\
        a=candidate:1 1 udp 1076302079 203.0.113.7 30100 typ host\r\n";

    #[test]
    fn an_answer_names_each_candidate_once_and_the_credentials_of_the_bundle() {
        let ice = IceDescription::of(ANSWER).unwrap();
        assert_eq!((ice.ufrag.as_str(), ice.password.len()), ("abcd", 22));
        let shown: Vec<String> = ice.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "udp 203.0.113.7:30100",
                "udp [2001:db8::7]:30100",
                "tcp sfu-0.example.net:30100"
            ]
        );
    }

    #[test]
    fn an_answer_without_credentials_is_none() {
        assert_eq!(IceDescription::of("v=0\r\na=ice-ufrag:abcd\r\n"), None);
        let long = format!("a=ice-ufrag:{}\r\na=ice-pwd:x\r\n", "x".repeat(MAX_CREDENTIAL + 1));
        assert_eq!(IceDescription::of(&long), None);
    }

    #[test]
    fn candidates_that_nobody_can_send_to_are_left_out() {
        for line in [
            "a=candidate:1 2 udp 1 203.0.113.7 30100 typ host",
            "a=candidate:1 1 tcp 1 203.0.113.7 9 typ host tcptype active",
            "a=candidate:1 1 ssltcp 1 203.0.113.7 443 typ host",
            "a=candidate:1 1 udp 1 203.0.113.7 70000 typ host",
            "a=candidate:1 1 udp 1 a\u{1b}[2Jb 30100 typ host",
            "a=candidate:1 1 udp 1",
            "a=candidate:",
        ] {
            assert!(candidates(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn no_more_candidates_are_read_than_a_node_can_have() {
        let many: String = (1..=1000)
            .map(|port| format!("a=candidate:1 1 udp 1 203.0.113.7 {port} typ host\r\n"))
            .collect();
        assert_eq!(candidates(&many).len(), MAX_CANDIDATES);
    }
}
