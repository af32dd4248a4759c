//! Whose request it is: the peer of the connection, or whom a trusted proxy names.

use super::forwarded::FORWARDED_FOR;
use ipnet::IpNet;
use reqwest::header::HeaderMap;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Networks that an option names; `-` names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "-" {
            return Ok(Self(Vec::new()));
        }
        text.split(',')
            .map(|part| {
                let part = part.trim();
                part.parse::<IpNet>()
                    .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| format!("`{part}` is neither an address nor a network such as 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Networks {
    /// Whether one of them holds this address; an IPv4 address may be written as IPv6.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// These and those of `other`.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The client's address, where these are the networks of trusted proxies. Each proxy appends whom it got the request
    /// from. So the list is read from its end, for as long as the one who wrote the entry is trusted: what stands further
    /// left may be the client's own invention.
    /// A `front_door` is one of our own, whatever its address.
    #[must_use]
    pub fn client(&self, peer: IpAddr, front_door: bool, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut believed = front_door || self.contain(client);
        let entries = headers.get_all(FORWARDED_FOR).iter().flat_map(|value| {
            // What is no text names nobody, and ends the walk.
            value.to_str().unwrap_or("?").split(',').map(str::trim)
        });
        for entry in entries.collect::<Vec<_>>().into_iter().rev() {
            if !believed {
                break;
            }
            let Ok(named) = entry.parse::<IpAddr>() else { break };
            client = named.to_canonical();
            believed = self.contain(client);
        }
        client
    }
}

/// Who shares a limit: one IPv4 address, or one IPv6 network of 64 bits, which is what a household or a host is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(IpAddr);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Self(address),
            IpAddr::V6(six) => Self(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

/// Who has a share that a client at this address counts against. Nobody on loopback, where people's own programs are, and
/// none of those that are exempt: they are bounded by the whole alone.
#[must_use]
pub fn holder(address: IpAddr, exempt: &Networks) -> Option<ClientKey> {
    let counts = !address.to_canonical().is_loopback() && !exempt.contain(address);
    counts.then(|| ClientKey::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies: Networks = trusted.parse().unwrap();
        proxies.client(peer.parse().unwrap(), false, &headers).to_string()
    }

    #[test]
    fn a_front_door_is_believed_wherever_it_runs_and_whom_it_names_is_not() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "10.9.9.9, 198.51.100.1".parse().unwrap());
        let proxies: Networks = "-".parse().unwrap();
        let client = proxies.client("10.244.1.5".parse().unwrap(), true, &headers);
        assert_eq!(client.to_string(), "198.51.100.1");
    }

    const LOCAL: &str = "127.0.0.0/8,::1/128";

    #[test]
    fn the_peer_is_the_client_unless_it_is_a_trusted_proxy() {
        assert_eq!(client(LOCAL, "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("-", "127.0.0.1", &["198.51.100.1"]), "127.0.0.1");
        assert_eq!(client(LOCAL, "127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_the_client_cannot_name_another() {
        assert_eq!(client(LOCAL, "127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(LOCAL, "127.0.0.1", &["10.9.9.9, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client(LOCAL, "127.0.0.1", &["10.9.9.9", "198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("127.0.0.1,10.0.0.0/8", "127.0.0.1", &["198.51.100.1, 10.1.1.1"]),
            "198.51.100.1"
        );
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk() {
        assert_eq!(client(LOCAL, "127.0.0.1", &["198.51.100.1, unknown"]), "127.0.0.1");
        assert_eq!(client(LOCAL, "127.0.0.1", &["198.51.100.1, \u{e9}"]), "127.0.0.1");
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_same_client() {
        assert_eq!(
            client(LOCAL, "::ffff:127.0.0.1", &["::ffff:198.51.100.1"]),
            "198.51.100.1"
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_ipv4_addresses_do_not() {
        let key = |text: &str| ClientKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("198.51.100.1"), key("198.51.100.2"));
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        let error = "127.0.0.1,proxy".parse::<Networks>().unwrap_err();
        assert!(error.contains("`proxy`"), "{error}");
    }
}
