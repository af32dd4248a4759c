//! What came back from the candidates and TURN servers of a node, and how it is told. Pure.

use crate::peer::{Candidate, Host, Transport};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Most characters that are shown of what others say.
const SHOWN: usize = 80;

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No answer within this time.
    Silent(Duration),
    /// The machine there says that nothing listens.
    Refused,
    /// This machine, or a router, knows no way there.
    NoRoute,
    /// The name has no address.
    UnknownName(String),
    /// Something answered that is not the node.
    Stranger(String),
    /// Nothing could be sent.
    Failed(String),
}

/// A candidate that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The candidate.
    pub candidate: Candidate,
    /// One of its addresses; none where its name has none.
    pub address: Option<SocketAddr>,
    /// What came back.
    pub outcome: Result<Through, Fault>,
}

/// The node has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Through {
    /// From the request that was answered to its answer.
    pub round_trip: Duration,
    /// Where the node has received it from: an address of this machine, or of the last one that translates addresses.
    pub seen_as: SocketAddr,
}

/// A TURN server that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedRelay {
    /// Its URL, and how it was tried.
    pub server: String,
    /// What came back.
    pub outcome: Relay,
}

/// What a TURN server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relay {
    /// It relayed to the node and back.
    ToNode(Through),
    /// It gave this address, but nothing came back from the node.
    NotToNode {
        /// Its own address towards nodes.
        relayed: SocketAddr,
        /// Why nothing came back.
        why: String,
    },
    /// It asks for credentials, and the answer of the node has none.
    AsksForCredentials,
    /// It refuses.
    Denied(String),
    /// It was not tried.
    NotTried(&'static str),
    /// It was not reached.
    Unreached(Fault),
}

/// What was seen of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Why no session could be opened on it, if so.
    pub fault: Option<String>,
    /// Its candidates.
    pub tried: Vec<Tried>,
    /// The TURN servers of its answer.
    pub relays: Vec<TriedRelay>,
}

impl NodeSeen {
    /// A node on which no session could be opened.
    #[must_use]
    pub fn without_session(name: String, fault: String) -> Self {
        Self {
            name,
            fault: Some(fault),
            tried: Vec::new(),
            relays: Vec::new(),
        }
    }

    /// Whether media gets to it in any way.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.is_reached_by(Transport::Udp) || self.is_reached_by(Transport::Tcp) || self.is_reached_by_turn()
    }

    /// Whether one of its candidates for this transport answers.
    #[must_use]
    pub fn is_reached_by(&self, transport: Transport) -> bool {
        self.of(transport).any(|tried| tried.outcome.is_ok())
    }

    /// Whether a TURN server relays to it.
    #[must_use]
    pub fn is_reached_by_turn(&self) -> bool {
        self.relays
            .iter()
            .any(|relay| matches!(relay.outcome, Relay::ToNode(_)))
    }

    /// What was tried for this transport.
    pub fn of(&self, transport: Transport) -> impl Iterator<Item = &Tried> {
        self.tried
            .iter()
            .filter(move |tried| tried.candidate.transport == transport)
    }

    /// A line for each thing that was tried, and one with what comes of it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let name = &self.name;
        if let Some(fault) = &self.fault {
            return vec![format!("{name}: not tried: {fault}")];
        }
        let mut lines: Vec<String> = self.tried.iter().map(|tried| format!("{name}: {tried}")).collect();
        lines.extend(self.relays.iter().map(|relay| format!("{name}: {relay}")));
        let by = |transport| match self.of(transport).next() {
            None => "no candidate",
            Some(_) if self.is_reached_by(transport) => "yes",
            Some(_) => "no",
        };
        let turn = match self.relays.as_slice() {
            [] => "no server named",
            _ if self.is_reached_by_turn() => "yes",
            relays if relays.iter().any(|relay| relay.outcome == Relay::AsksForCredentials) => {
                "server reached, credentials missing"
            }
            _ => "no",
        };
        let (udp, tcp) = (by(Transport::Udp), by(Transport::Tcp));
        lines.push(format!("{name}: UDP {udp}, TCP {tcp}, TURN {turn}"));
        lines
    }
}

impl Fault {
    /// What an error of a socket means.
    #[must_use]
    pub fn of(error: &io::Error, within: Duration) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            // The last one: no address of this machine fits, such as an IPv6 one.
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
                Self::NoRoute
            }
            io::ErrorKind::TimedOut => Self::Silent(within),
            io::ErrorKind::InvalidData => Self::Stranger(error.to_string()),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Stranger("the connection was closed without an answer".to_owned())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What others say, fit for a terminal: short, and without control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(within) => write!(f, "no answer within {within:?}"),
            Self::Refused => f.write_str("connection refused"),
            Self::NoRoute => f.write_str("this machine has no route there"),
            Self::UnknownName(why) => write!(f, "the name is not found ({why})"),
            Self::Stranger(what) => write!(f, "it answers, but not as this node ({what})"),
            Self::Failed(why) => write!(f, "nothing could be sent ({why})"),
        }
    }
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.round_trip.as_secs_f64() * 1000.0;
        write!(
            f,
            "gets through, back after {millis:.1} ms; the node sees {}",
            self.seen_as
        )
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.candidate)?;
        if let (Host::Name(_), Some(address)) = (&self.candidate.host, self.address) {
            write!(f, " ({})", address.ip())?;
        }
        match &self.outcome {
            Ok(through) => write!(f, ": {through}"),
            Err(fault) => write!(f, ": {fault}"),
        }
    }
}

impl fmt::Display for TriedRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.server)?;
        match &self.outcome {
            Relay::ToNode(through) => through.fmt(f),
            Relay::NotToNode { relayed, why } => write!(f, "gives {relayed}, but does not get to the node: {why}"),
            Relay::AsksForCredentials => f.write_str("answers, and asks for credentials that the node does not name"),
            Relay::Denied(why) => write!(f, "answers, and refuses: {why}"),
            Relay::NotTried(why) => write!(f, "not tried: {why}"),
            Relay::Unreached(fault) => fault.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(transport: Transport, host: &str, outcome: Result<Through, Fault>) -> Tried {
        let candidate = Candidate {
            transport,
            host: Host::of(host).unwrap(),
            port: 30_100,
        };
        Tried {
            address: Some("203.0.113.7:30100".parse().unwrap()),
            candidate,
            outcome,
        }
    }

    #[test]
    fn a_node_is_told_line_by_line_and_then_in_one() {
        let through = Through {
            round_trip: Duration::from_micros(12_340),
            seen_as: "198.51.100.4:51234".parse().unwrap(),
        };
        let silent = Err(Fault::Silent(Duration::from_secs(5)));
        let relay = TriedRelay {
            server: "turn:turn.example.net (udp)".to_owned(),
            outcome: Relay::Denied("401 Unauthorized".to_owned()),
        };
        let mut node = NodeSeen {
            name: "live-0".to_owned(),
            fault: None,
            tried: vec![
                tried(Transport::Udp, "203.0.113.7", silent),
                tried(Transport::Tcp, "sfu-0.example.net", Ok(through)),
            ],
            relays: vec![relay],
        };
        assert_eq!(
            node.lines(),
            [
                "live-0: udp 203.0.113.7:30100: no answer within 5s",
                "live-0: tcp sfu-0.example.net:30100 (203.0.113.7): gets through, back after 12.3 ms; the node sees 198.51.100.4:51234",
                "live-0: turn:turn.example.net (udp): answers, and refuses: 401 Unauthorized",
                "live-0: UDP no, TCP yes, TURN no",
            ]
        );
        assert!(node.is_reached());
        node.tried.pop();
        node.relays.clear();
        assert!(!node.is_reached());
        assert_eq!(
            node.lines().pop().unwrap(),
            "live-0: UDP no, TCP no candidate, TURN no server named"
        );
    }

    #[test]
    fn a_node_without_a_session_says_why() {
        let node = NodeSeen::without_session("live-1".to_owned(), "it is not ready".to_owned());
        assert_eq!(node.lines(), ["live-1: not tried: it is not ready"]);
        assert!(!node.is_reached());
    }

    #[test]
    fn what_others_say_cannot_write_over_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\r\nb"), "a[2Jb");
        assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN);
    }
}
