//! What clients are told of the media ports, where they reach them at other addresses than those that the node listens on: ports
//! of a host, of a Service, of a load balancer. Pure.

use mediasoup::types::data_structures::{IceCandidate, Protocol};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Most addresses of one node.
pub const MAX_ANNOUNCED: usize = 8;
/// Longest host name (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
/// One step of the local preference in a candidate's priority (RFC 8445 section 5.1.2.1).
const PREFERENCE: u32 = 1 << 8;

/// Addresses at which clients reach the media ports; the first is preferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced(Vec<Announcement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Announcement {
    /// What comes by it, where that is not both.
    only: Option<Protocol>,
    host: Host,
    /// Port of worker 0, those of the others follow; without one, the ports that the node listens on.
    first_port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
    /// What this STUN server, as `HOST:PORT`, sees.
    Stun(String),
}

impl Announced {
    /// Candidates for a client, from those of a transport whose ports begin at `media_port` for worker 0. Each address stands
    /// for the socket of its own family; a name stands for that of the first.
    #[must_use]
    pub fn candidates(&self, listening: &[IceCandidate], media_port: u16) -> Vec<IceCandidate> {
        let mut all: Vec<IceCandidate> = Vec::new();
        for (place, announcement) in (0..).zip(&self.0) {
            let mut told = Vec::new();
            for candidate in listening {
                if told.contains(&candidate.protocol) || !announcement.is_for(candidate, listening) {
                    continue;
                }
                told.push(candidate.protocol);
                let worker = candidate.port.saturating_sub(media_port);
                all.push(IceCandidate {
                    address: announcement.host.to_string(),
                    port: (announcement.first_port).map_or(candidate.port, |first| first.saturating_add(worker)),
                    priority: candidate.priority.saturating_sub(place * PREFERENCE),
                    ..candidate.clone()
                });
            }
        }
        all
    }

    /// The STUN servers that it goes by.
    pub fn stun_servers(&self) -> Vec<&str> {
        let servers = self.0.iter().filter_map(|it| match &it.host {
            Host::Stun(server) => Some(server.as_str()),
            Host::Ip(_) | Host::Name(_) => None,
        });
        servers.collect()
    }

    /// The same with what STUN servers see instead of them; nothing, where none of it is known.
    #[must_use]
    pub fn resolved(&self, seen: impl Fn(&str) -> Vec<IpAddr>) -> Option<Self> {
        let mut all = Vec::new();
        for it in &self.0 {
            match &it.host {
                Host::Stun(server) => all.extend(seen(server).into_iter().map(|ip| Announcement {
                    host: Host::Ip(ip),
                    ..it.clone()
                })),
                Host::Ip(_) | Host::Name(_) => all.push(it.clone()),
            }
        }
        (!all.is_empty()).then_some(Self(all))
    }

    /// Checks that each worker has a port.
    ///
    /// # Errors
    /// Names the address whose ports do not suffice.
    pub fn check(&self, workers: u16) -> Result<(), String> {
        let short = (self.0.iter()).find(|it| {
            it.first_port
                .is_some_and(|first| first.checked_add(workers - 1).is_none())
        });
        short.map_or(Ok(()), |it| {
            Err(format!(
                "{it} leaves no port for each of the {workers} workers: they count upwards from it"
            ))
        })
    }
}

impl Announcement {
    /// Whether it is this socket that clients reach by the address: one of the same family, if there is any.
    fn is_for(&self, candidate: &IceCandidate, listening: &[IceCandidate]) -> bool {
        if self.only.is_some_and(|only| only != candidate.protocol) {
            return false;
        }
        let Host::Ip(ip) = self.host else { return true };
        let same = |other: &IceCandidate| is_v4(&other.address) == Some(ip.is_ipv4());
        same(candidate) || !listening.iter().any(same)
    }
}

fn is_v4(address: &str) -> Option<bool> {
    address.parse::<IpAddr>().ok().map(|ip| ip.is_ipv4())
}

/// `ADDRESS` or `ADDRESS:PORT`, with commas between; an IPv6 address before a port stands in brackets. One that is for UDP or for
/// TCP alone has `udp/` or `tcp/` before it. `stun/HOST:PORT`, or `stun/HOST:PORT/FIRSTPORT`, stands for the addresses that a STUN
/// server sees.
impl FromStr for Announced {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim) {
            if all.len() == MAX_ANNOUNCED {
                return Err(format!("more than {MAX_ANNOUNCED} addresses: leave some out"));
            }
            all.push(part.parse()?);
        }
        Ok(Self(all))
    }
}

impl FromStr for Announcement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unusable = || {
            let shown: String = text.chars().take(80).collect();
            format!(
                "`{shown}` is no address for clients: use ADDRESS or ADDRESS:PORT, such as 203.0.113.7:30100, [2001:db8::7]:30100 or sfu-0.example.net"
            )
        };
        let (only, text) = match text.split_once('/') {
            Some(("udp", rest)) => (Some(Protocol::Udp), rest),
            Some(("tcp", rest)) => (Some(Protocol::Tcp), rest),
            _ => (None, text),
        };
        let (host, first_port) = if let Some(stun) = text.strip_prefix("stun/") {
            let (server, port) = match stun.split_once('/') {
                Some((server, port)) => (server, Some(port.parse().map_err(|_| unusable())?)),
                None => (stun, None),
            };
            (Host::Stun(server.to_ascii_lowercase()), port)
        } else if let Ok(address) = text.parse::<SocketAddr>() {
            (Host::Ip(address.ip()), Some(address.port()))
        } else if let Ok(ip) = text.parse::<IpAddr>() {
            (Host::Ip(ip), None)
        } else {
            match text.rsplit_once(':') {
                Some((name, port)) => (host_name(name), Some(port.parse().map_err(|_| unusable())?)),
                None => (host_name(text), None),
            }
        };
        let is_fine = match &host {
            Host::Ip(ip) => !ip.is_unspecified() && !ip.is_multicast(),
            Host::Name(name) => is_host_name(name),
            Host::Stun(server) => is_server(server),
        };
        if !is_fine || first_port == Some(0) {
            return Err(unusable());
        }
        Ok(Self { only, host, first_port })
    }
}

fn host_name(text: &str) -> Host {
    Host::Name(text.to_ascii_lowercase())
}

/// `HOST:PORT`.
fn is_server(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    let named = text
        .rsplit_once(':')
        .is_some_and(|(name, port)| is_host_name(name) && is_port(port));
    named || text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0)
}

/// As in DNS, and not the address of nothing that has four numbers.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= MAX_HOST && name.split('.').all(is_label) && !last_is_number
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Stun(server) => write!(f, "stun/{server}"),
        }
    }
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only {
            Some(Protocol::Udp) => f.write_str("udp/")?,
            Some(Protocol::Tcp) => f.write_str("tcp/")?,
            None => {}
        }
        match (&self.host, self.first_port) {
            (host, None) => host.fmt(f),
            (Host::Ip(ip), Some(port)) => SocketAddr::new(*ip, port).fmt(f),
            (Host::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (stun @ Host::Stun(_), Some(port)) => write!(f, "{stun}/{port}"),
        }
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, announcement) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            announcement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediasoup::types::data_structures::{IceCandidateTcpType, IceCandidateType, Protocol};

    fn listening(addresses: &[&str], port: u16) -> Vec<IceCandidate> {
        let mut all = Vec::new();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            for address in addresses {
                all.push(IceCandidate {
                    foundation: "x".to_owned(),
                    priority: if protocol == Protocol::Udp {
                        1_076_302_079
                    } else {
                        1_076_276_479
                    },
                    address: (*address).to_owned(),
                    protocol,
                    port,
                    r#type: IceCandidateType::Host,
                    tcp_type: (protocol == Protocol::Tcp).then_some(IceCandidateTcpType::Passive),
                });
            }
        }
        all
    }

    fn told(announced: &str, listening: &[IceCandidate]) -> Vec<(Protocol, String, u16)> {
        let announced: Announced = announced.parse().unwrap();
        let told = announced.candidates(listening, 20_000);
        told.into_iter().map(|it| (it.protocol, it.address, it.port)).collect()
    }

    #[test]
    fn a_client_is_told_the_address_and_the_port_of_its_worker_for_both_protocols() {
        let there = |port| {
            let address = "203.0.113.7".to_owned();
            vec![(Protocol::Udp, address.clone(), port), (Protocol::Tcp, address, port)]
        };
        assert_eq!(
            told("203.0.113.7:30100", &listening(&["10.1.0.5"], 20_000)),
            there(30_100)
        );
        assert_eq!(
            told("203.0.113.7:30100", &listening(&["10.1.0.5"], 20_003)),
            there(30_103)
        );
        assert_eq!(told("203.0.113.7", &listening(&["10.1.0.5"], 20_003)), there(20_003));
    }

    #[test]
    fn an_address_may_be_for_one_protocol_alone() {
        let expected = [
            (Protocol::Udp, "203.0.113.7".to_owned(), 30_100),
            (Protocol::Tcp, "203.0.113.8".to_owned(), 443),
        ];
        let listening = listening(&["10.1.0.5"], 20_000);
        assert_eq!(told("udp/203.0.113.7:30100,tcp/203.0.113.8:443", &listening), expected);
    }

    #[test]
    fn what_a_stun_server_sees_takes_its_place() {
        let announced: Announced = "stun/stun.example.net:3478/30100,203.0.113.9".parse().unwrap();
        assert_eq!(announced.stun_servers(), ["stun.example.net:3478"]);
        let resolved = |seen: &[&str]| {
            let seen: Vec<IpAddr> = seen.iter().map(|ip| ip.parse().unwrap()).collect();
            announced.resolved(|_| seen.clone()).map(|it| it.to_string())
        };
        assert_eq!(
            resolved(&["203.0.113.7", "2001:db8::7"]).unwrap(),
            "203.0.113.7:30100,[2001:db8::7]:30100,203.0.113.9"
        );
        assert_eq!(resolved(&[]).unwrap(), "203.0.113.9");
        let alone: Announced = "stun/203.0.113.1:3478".parse().unwrap();
        assert_eq!(alone.resolved(|_| Vec::new()), None);
    }

    #[test]
    fn an_address_stands_for_the_socket_of_its_family_and_what_is_not_told_is_not_shown() {
        let both = listening(&["10.1.0.5", "fd00::5"], 20_000);
        let addresses = |announced: &str| -> Vec<String> {
            let udp = told(announced, &both)
                .into_iter()
                .filter(|(protocol, ..)| *protocol == Protocol::Udp);
            udp.map(|(_, address, _)| address).collect()
        };
        assert_eq!(addresses("203.0.113.7,2001:db8::7"), ["203.0.113.7", "2001:db8::7"]);
        assert_eq!(addresses("[2001:db8::7]:30100"), ["2001:db8::7"]);
        assert_eq!(addresses("sfu-0.example.net:30100"), ["sfu-0.example.net"]);
        // A network may translate between the families.
        let only_v6 = listening(&["fd00::5"], 20_000);
        assert_eq!(told("203.0.113.7", &only_v6).len(), 2);
    }

    #[test]
    fn the_first_address_is_preferred_and_no_two_candidates_are_alike() {
        let announced: Announced = "203.0.113.7,203.0.113.8,198.51.100.9:1024".parse().unwrap();
        let told = announced.candidates(&listening(&["10.1.0.5"], 20_000), 20_000);
        let udp: Vec<u32> = told
            .iter()
            .filter(|it| it.protocol == Protocol::Udp)
            .map(|it| it.priority)
            .collect();
        assert!(udp.is_sorted_by(|one, next| one > next), "{udp:?}");
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:30100,[2001:db8::7]:30100",
            "2001:db8::7",
            "sfu-0.example.net:30100",
            "localhost",
            "udp/203.0.113.7:30100,tcp/[2001:db8::7]:443",
            "stun/stun.example.net:3478/30100,udp/stun/[2001:db8::1]:3478",
        ] {
            assert_eq!(text.parse::<Announced>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for text in [
            "",
            ",",
            "203.0.113.7,",
            "203.0.113.7:",
            "203.0.113.7:0",
            "203.0.113.7:70000",
            "203.0.113.300",
            "0.0.0.0",
            "[::]:20000",
            "224.0.0.1",
            "2001:db8::7]:1",
            "sfu 0.example.net",
            "a=candidate\r\nb",
            "-x.example.net",
            "x..example.net",
            "udp/",
            "sctp/203.0.113.7",
            "stun/",
            "stun/stun.example.net",
            "stun/stun.example.net:0",
            "stun/stun.example.net:3478/",
            "stun/stun.example.net:3478/30100/1",
        ] {
            let error = text.parse::<Announced>().expect_err(text);
            assert!(error.contains("203.0.113.7:30100"), "{text}: {error}");
        }
        let long = "x".repeat(100_000);
        assert!(long.parse::<Announced>().unwrap_err().len() < 300);
        let many = ["203.0.113.7"; MAX_ANNOUNCED + 1].join(",");
        assert!(many.parse::<Announced>().unwrap_err().contains("8 addresses"));
    }

    #[test]
    fn each_worker_has_a_port() {
        let announced: Announced = "203.0.113.7,198.51.100.9:65533".parse().unwrap();
        assert_eq!(announced.check(3), Ok(()));
        assert!(
            announced
                .check(4)
                .unwrap_err()
                .starts_with("198.51.100.9:65533 leaves no port")
        );
    }
}
