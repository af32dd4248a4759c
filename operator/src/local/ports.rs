//! Looks before anything starts whether every port is free: one clear sentence now, instead of a process that keeps
//! dying later.

use super::layout::{IP, Layout};
use super::port_holder::{Protocol, holder};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

/// A port that a process will listen on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortUse {
    pub ips: Vec<IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    pub who: String,
    pub what: &'static str,
    /// The option that chooses another.
    pub option: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Two of our own processes would listen on it.
    #[error("{protocol} port {port} is planned twice, for {first} and for {second}: move one with {option}")]
    Twice {
        port: u16,
        protocol: Protocol,
        first: String,
        second: String,
        /// The option that moves the second.
        option: &'static str,
    },
    #[error(
        "{protocol} port {port} is in use{}, and {who} needs it for {what}: end that program or choose another port with {option}",
        holder.as_deref().map(|h| format!(" by {h}")).unwrap_or_default()
    )]
    InUse {
        port: u16,
        protocol: Protocol,
        who: String,
        what: &'static str,
        /// The option that chooses another.
        option: &'static str,
        /// Who has it, as far as the system tells.
        holder: Option<String>,
    },
    /// The system does not give it to us.
    #[error("{who} cannot listen on {protocol} port {port} for {what} ({why}): choose another port with {option}")]
    Refused {
        port: u16,
        protocol: Protocol,
        who: String,
        what: &'static str,
        /// The option that chooses another.
        option: &'static str,
        why: String,
    },
    /// Only addresses of this machine can be listened on.
    #[error(
        "{ip} is no address of this machine, so that {who} cannot listen there for {what}: give --listen one that it has, or 0.0.0.0 \
         for all, and name where clients reach it with --public-address"
    )]
    NotOurs {
        ip: IpAddr,
        who: String,
        what: &'static str,
    },
}

/// Every port that the processes of a layout listen on, and Redis. Ports of links are left out: a node takes any that
/// is free from its range.
#[must_use]
pub fn wanted(layout: &Layout, redis: Option<SocketAddr>) -> Vec<PortUse> {
    let tcp = |address: SocketAddr, who: &str, what, option| PortUse {
        ips: vec![address.ip()],
        port: address.port(),
        protocol: Protocol::Tcp,
        who: who.to_owned(),
        what,
        option,
    };
    let mut uses = Vec::new();
    uses.extend(redis.map(|address| tcp(address, "redis", "its clients", "--redis-port")));
    for node in &layout.nodes {
        let who = node.program.name.as_str();
        uses.push(tcp(node.client, who, "WHIP and WHEP", "--client-port-base"));
        uses.push(tcp(node.admin, who, "its admin API", "--admin-port-base"));
        uses.push(tcp(node.health, who, "health and metrics", "--health-port-base"));
        for worker in 0..node.workers {
            let address = SocketAddr::from((IP, node.media_port + worker));
            let media = PortUse {
                ips: node.media_ips.clone(),
                ..tcp(address, who, "media", "--media-port-base")
            };
            uses.push(PortUse {
                protocol: Protocol::Udp,
                ..media.clone()
            });
            uses.extend(node.tcp.then_some(media));
        }
    }
    uses.push(tcp(layout.web.listen, "web", "the front door", "--web-port"));
    let health = layout.web.health.into_iter();
    uses.extend(health.map(|address| tcp(address, "web", "health", "--health-port-base")));
    uses
}

/// Whether our own processes get along.
///
/// # Errors
/// The first port that two of them want.
pub fn check_disjoint(uses: &[PortUse]) -> Result<(), PortError> {
    let mut seen: BTreeMap<(u16, Protocol), &PortUse> = BTreeMap::new();
    for new in uses {
        if let Some(first) = seen.insert((new.port, new.protocol), new) {
            let (port, protocol, option) = (new.port, new.protocol, new.option);
            let name = |it: &PortUse| format!("{} ({})", it.who, it.what);
            return Err(PortError::Twice {
                port,
                protocol,
                first: name(first),
                second: name(new),
                option,
            });
        }
    }
    Ok(())
}

/// Whether every port is free now.
///
/// # Errors
/// The first that is not.
pub fn check_free(uses: &[PortUse]) -> Result<(), PortError> {
    let each = uses.iter().flat_map(|it| it.ips.iter().map(move |ip| (it, *ip)));
    each.into_iter().try_for_each(|(it, ip)| {
        let address = SocketAddr::from((ip, it.port));
        let bound = match it.protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
        };
        let PortUse {
            ips: _,
            port,
            protocol,
            who,
            what,
            option,
        } = it.clone();
        match bound {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(PortError::NotOurs { ip, who, what }),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(PortError::InUse {
                port,
                protocol,
                who,
                what,
                option,
                holder: holder(protocol, port),
            }),
            Err(error) => Err(PortError::Refused {
                port,
                protocol,
                who,
                what,
                option,
                why: error.to_string(),
            }),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn a_use(port: u16, protocol: Protocol) -> PortUse {
        PortUse {
            ips: vec![IP.into()],
            port,
            protocol,
            who: "sfu-1".into(),
            what: "media",
            option: "--media-port-base",
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_who_has_it_and_who_needs_it() {
        let taken = TcpListener::bind((IP, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_free(&[a_use(port, Protocol::Tcp)]).unwrap_err().to_string();
        let start = format!("TCP port {port} is in use by ");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        assert!(
            error.ends_with(
                "and sfu-1 needs it for media: end that program or choose another port with --media-port-base"
            ),
            "{error}"
        );
    }

    #[test]
    fn udp_and_tcp_are_looked_at_apart() {
        // One that somebody else uses for TCP says nothing here.
        let (taken, port) = std::iter::repeat_with(|| UdpSocket::bind((IP, 0)).unwrap())
            .map(|socket| (socket.local_addr().unwrap().port(), socket))
            .find_map(|(port, socket)| TcpListener::bind((IP, port)).is_ok().then_some((socket, port)))
            .unwrap();
        assert!(
            check_free(&[a_use(port, Protocol::Udp)])
                .unwrap_err()
                .to_string()
                .starts_with("UDP port")
        );
        check_free(&[a_use(port, Protocol::Tcp)]).unwrap();
        check_disjoint(&[a_use(port, Protocol::Udp), a_use(port, Protocol::Tcp)]).unwrap();
        drop(taken);
    }

    #[test]
    fn an_address_of_another_machine_is_named_with_what_to_give_instead() {
        let elsewhere = PortUse {
            ips: vec![IP.into(), "192.0.2.1".parse().unwrap()],
            ..a_use(0, Protocol::Tcp)
        };
        let error = check_free(&[elsewhere]).unwrap_err().to_string();
        assert!(error.starts_with("192.0.2.1 is no address of this machine"), "{error}");
    }

    #[test]
    fn a_port_that_is_planned_twice_is_found_without_trying() {
        let other = PortUse {
            who: "web".into(),
            what: "the front door",
            option: "--web-port",
            ..a_use(7, Protocol::Tcp)
        };
        let error = check_disjoint(&[a_use(7, Protocol::Tcp), other]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TCP port 7 is planned twice, for sfu-1 (media) and for web (the front door): move one with --web-port"
        );
    }
}
