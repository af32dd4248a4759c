//! What to change where media does not get through: one sentence, from what was seen. Pure.

use super::seen::{Fault, NodeSeen, Tried};
use crate::peer::{Host, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Most addresses that are named.
const NAMED: usize = 3;

/// What to change; nothing where UDP gets through to every node, or nothing is known. `here` is this machine's address.
#[must_use]
pub fn advice(nodes: &[NodeSeen], here: IpAddr) -> Option<String> {
    let lost: Vec<&Tried> = nodes
        .iter()
        .filter(|node| node.fault.is_none() && !node.is_reached())
        .flat_map(|node| &node.tried)
        .collect();
    if !lost.is_empty() {
        return Some(unreached(&lost, here));
    }
    let nameless = |node: &NodeSeen| node.fault.is_none() && node.tried.is_empty();
    if nodes.iter().any(nameless) {
        return Some("a node names no candidates: see what its log says of its media addresses".to_owned());
    }
    let without_udp: Vec<&NodeSeen> = nodes
        .iter()
        .filter(|node| node.is_reached() && !node.is_reached_by(Transport::Udp))
        .collect();
    let udp: Vec<&Tried> = without_udp.iter().flat_map(|node| node.of(Transport::Udp)).collect();
    (!udp.is_empty()).then(|| without(&udp, &without_udp))
}

/// For nodes that something else than UDP gets through to.
fn without(udp: &[&Tried], nodes: &[&NodeSeen]) -> String {
    let instead = if nodes.iter().all(|node| node.is_reached_by(Transport::Tcp)) {
        "TCP does"
    } else {
        "only TURN does"
    };
    format!(
        "UDP to {} does not get through and {instead}: have firewalls on the way let it pass, since media without it comes late and \
         stops at every lost packet",
        ports(udp)
    )
}

/// For nodes that nothing gets through to.
fn unreached(lost: &[&Tried], here: IpAddr) -> String {
    let all = |is: &dyn Fn(&Tried) -> bool| lost.iter().all(|tried| is(tried));
    let any = |is: &dyn Fn(&Tried) -> bool| lost.iter().any(|tried| is(tried));
    let (places, ports) = (places(lost), ports(lost));
    let is_loopback = |tried: &Tried| ip(tried).is_some_and(|ip| ip.is_loopback());
    if all(&|tried| matches!(tried.outcome, Err(Fault::UnknownName(_)))) {
        format!(
            "this machine's DNS does not know {places}: add that there, or name what clients can resolve in \
             spec.media.announce.addresses"
        )
    } else if all(&is_loopback) && !here.is_loopback() {
        format!(
            "the nodes name {places}, which means each machine itself: name addresses that clients reach in spec.media.announce, or, for a \
             local cluster, by sfu-operator local --media-ip"
        )
    } else if any(&|tried| tried.outcome == Err(Fault::Refused)) {
        format!(
            "nothing listens at {ports} of {places}: with spec.media.exposure HostPort see that a CNI plugin opens host ports, with NodePort \
             and LoadBalancer that each pod has its media Service, else have UDP and TCP forwarded from there to the media node"
        )
    } else if any(&|tried| matches!(tried.outcome, Err(Fault::Stranger(_)))) {
        format!(
            "something else than the node answers at {ports} of {places}: name the node's own address in spec.media.announce, and give no two \
             nodes the same address and ports"
        )
    } else if all(&|tried| ip(tried).is_some_and(is_private)) && !is_loopback(lost[0]) {
        format!(
            "the nodes name private addresses ({places}), which only their own network reaches: set spec.media.exposure to HostPort, \
             HostNetwork, NodePort or LoadBalancer, or name the addresses that clients reach in spec.media.announce"
        )
    } else if all(&|tried| tried.outcome == Err(Fault::NoRoute)) {
        format!(
            "this machine has no route to {places}: name addresses in spec.media.announce that clients have a route to, in IPv4 and IPv6"
        )
    } else {
        format!(
            "nothing answers at {ports} of {places}: have firewalls and security groups let UDP and TCP pass there, or, if clients reach the \
             nodes at other addresses, name those in spec.media.announce"
        )
    }
}

fn ip(tried: &Tried) -> Option<IpAddr> {
    tried.address.map(|address| address.ip().to_canonical())
}

/// Whether an address is of a network that the Internet does not route to: RFC 1918, RFC 6598, RFC 4193, loopback, link-local.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, behind the address translation of a provider.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

/// `203.0.113.7, sfu-0.example.net`.
fn places(tried: &[&Tried]) -> String {
    let mut all: Vec<&Host> = Vec::new();
    for tried in tried {
        if !all.contains(&&tried.candidate.host) {
            all.push(&tried.candidate.host);
        }
    }
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `port 20000`, or `ports 20000 to 20203`.
fn ports(tried: &[&Tried]) -> String {
    let all: BTreeSet<u16> = tried.iter().map(|tried| tried.candidate.port).collect();
    match (all.first(), all.last()) {
        (Some(first), Some(last)) if first < last => format!("ports {first} to {last}"),
        (Some(port), _) => format!("port {port}"),
        (None, _) => "no port".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::seen::Through;
    use crate::peer::Candidate;
    use std::time::Duration;

    const SILENT: Fault = Fault::Silent(Duration::from_secs(5));
    const OUTSIDE: &str = "198.51.100.4";

    fn tried(transport: Transport, host: &str, port: u16, outcome: Result<(), Fault>) -> Tried {
        let host = Host::of(host).unwrap();
        let through = Through {
            round_trip: Duration::from_millis(1),
            seen_as: "198.51.100.4:1".parse().unwrap(),
        };
        Tried {
            address: match &host {
                Host::Ip(ip) => Some((*ip, port).into()),
                Host::Name(_) => None,
            },
            candidate: Candidate { transport, host, port },
            outcome: outcome.map(|()| through),
        }
    }

    /// A node whose candidates at this address come to this end, over UDP and over TCP.
    fn node(host: &str, udp: Result<(), Fault>, tcp: Result<(), Fault>) -> NodeSeen {
        NodeSeen {
            name: "live-0".to_owned(),
            fault: None,
            tried: vec![
                tried(Transport::Udp, host, 20_000, udp),
                tried(Transport::Tcp, host, 20_000, tcp),
            ],
            relays: Vec::new(),
        }
    }

    fn said(node: NodeSeen, here: &str) -> Option<String> {
        advice(&[node], here.parse().unwrap())
    }

    #[test]
    fn the_sentence_follows_from_what_was_seen() {
        let none = |host: &str, fault: Fault| node(host, Err(fault.clone()), Err(fault));
        let unknown = Fault::UnknownName("no such name".to_owned());
        let stranger = Fault::Stranger("it is another".to_owned());
        for (node, here, wanted) in [
            (none("10.1.2.3", SILENT), OUTSIDE, "private addresses (10.1.2.3)"),
            (
                none("172.16.0.1", Fault::NoRoute),
                OUTSIDE,
                "private addresses (172.16.0.1)",
            ),
            (none("fd00::5", SILENT), OUTSIDE, "private addresses (fd00::5)"),
            (
                none("10.1.2.3", Fault::Refused),
                OUTSIDE,
                "nothing listens at port 20000 of 10.1.2.3",
            ),
            (
                none("127.0.0.1", Fault::Refused),
                OUTSIDE,
                "127.0.0.1, which means each machine itself",
            ),
            (
                none("127.0.0.1", Fault::Refused),
                "127.0.0.1",
                "nothing listens at port 20000 of 127.0.0.1",
            ),
            (
                none("127.0.0.1", SILENT),
                "127.0.0.1",
                "nothing answers at port 20000 of 127.0.0.1",
            ),
            (
                none("203.0.113.7", SILENT),
                OUTSIDE,
                "nothing answers at port 20000 of 203.0.113.7",
            ),
            (none("2001:db8::7", Fault::NoRoute), OUTSIDE, "no route to 2001:db8::7"),
            (
                none("sfu-0.example.net", unknown),
                OUTSIDE,
                "DNS does not know sfu-0.example.net",
            ),
            (
                none("203.0.113.7", stranger),
                OUTSIDE,
                "something else than the node answers",
            ),
            (
                node("203.0.113.7", Err(SILENT), Ok(())),
                OUTSIDE,
                "UDP to port 20000 does not get through and TCP does",
            ),
        ] {
            let said = said(node, here).unwrap();
            assert!(said.contains(wanted), "{said}");
            assert!(!said.contains(". "), "it is one sentence: {said}");
        }
    }

    #[test]
    fn nothing_is_advised_where_udp_gets_through_or_nothing_is_known() {
        assert_eq!(said(node("203.0.113.7", Ok(()), Err(SILENT)), OUTSIDE), None);
        assert_eq!(
            said(NodeSeen::without_session("a".to_owned(), "b".to_owned()), OUTSIDE),
            None
        );
        let mut nameless = node("203.0.113.7", Ok(()), Ok(()));
        nameless.tried.clear();
        assert!(said(nameless, OUTSIDE).unwrap().contains("names no candidates"));
    }

    #[test]
    fn one_address_of_a_node_that_gets_through_is_enough() {
        let mut both = node("10.1.2.3", Err(SILENT), Err(SILENT));
        both.tried.push(tried(Transport::Udp, "203.0.113.7", 30_100, Ok(())));
        assert_eq!(said(both, OUTSIDE), None);
    }

    #[test]
    fn many_addresses_and_ports_are_told_in_short() {
        let nodes: Vec<NodeSeen> = (0..5)
            .map(|n| NodeSeen {
                tried: vec![tried(
                    Transport::Udp,
                    &format!("203.0.113.{n}"),
                    20_000 + n,
                    Err(SILENT),
                )],
                ..node("203.0.113.7", Ok(()), Ok(()))
            })
            .collect();
        let said = advice(&nodes, OUTSIDE.parse().unwrap()).unwrap();
        assert!(
            said.contains("ports 20000 to 20004 of 203.0.113.0, 203.0.113.1, 203.0.113.2 and 2 more"),
            "{said}"
        );
    }

    #[test]
    fn private_are_the_networks_that_the_internet_does_not_route_to() {
        for (ip, wanted) in [
            ("10.0.0.1", true),
            ("172.31.255.255", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("127.0.0.1", true),
            ("169.254.1.1", true),
            ("203.0.113.7", false),
            ("fd12::1", true),
            ("fe80::1", true),
            ("::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().unwrap()), wanted, "{ip}");
        }
    }
}
