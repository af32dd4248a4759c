//! Whose request it is: the peer of the connection, or whom a trusted proxy names.

use super::forwarded::FORWARDED_FOR;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::header::HeaderMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where an IPv6 socket shows the addresses of IPv4 (RFC 4291 section 2.5.5.2).
const MAPPED: Ipv6Net = prefix_96(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0));
/// Where a network without IPv4 shows them, behind a translator (NAT64, RFC 6052 section 2.1).
const TRANSLATED: Ipv6Net = prefix_96(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0));

const fn prefix_96(network: Ipv6Addr) -> Ipv6Net {
    match Ipv6Net::new(network, 96) {
        Ok(net) => net,
        Err(_) => unreachable!(),
    }
}

/// The address by which a client is known: of one that is written as IPv6 and stands for an IPv4 address, that one. Everything
/// that compares addresses of clients compares these, so that all clients of IPv4 are not one network of IPv6.
#[must_use]
pub fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let within = last_32(six);
    if MAPPED.contains(&six) || TRANSLATED.contains(&six) && comes_by_a_translator(within) {
        return within.into();
    }
    address
}

/// Nothing comes from there but what a host sends to itself: an address with one of these inside is somebody's invention, and
/// must not pass for this machine.
fn comes_by_a_translator(address: Ipv4Addr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

fn last_32(six: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = six.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// A network of addresses that stand for IPv4 addresses, as a network of these.
fn plain_network(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(six) if MAPPED.contains(&six) => {
            let prefix = six.prefix_len() - MAPPED.prefix_len();
            Ipv4Net::new(last_32(six.addr()), prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

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
                    .map(plain_network)
                    .map_err(|_| format!("`{part}` is neither an address nor a network such as 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Networks {
    /// Whether one of them holds this address, as it is written or by the IPv4 address in it.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let plain = plain(address);
        self.0.iter().any(|net| net.contains(&plain) || net.contains(&address))
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
        let mut client = plain(peer);
        let mut believed = front_door || self.contain(peer);
        let entries = headers.get_all(FORWARDED_FOR).iter().flat_map(|value| {
            // What is no text names nobody, and ends the walk.
            value.to_str().unwrap_or("?").split(',').map(str::trim)
        });
        for entry in entries.collect::<Vec<_>>().into_iter().rev() {
            if !believed {
                break;
            }
            let Ok(named) = entry.parse::<IpAddr>() else { break };
            client = plain(named);
            believed = self.contain(named);
        }
        client
    }
}

/// Who shares a limit: one IPv4 address, or one IPv6 network of 64 bits, which is what a household or a host is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(IpAddr);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match plain(address) {
            address @ IpAddr::V4(_) => Self(address),
            IpAddr::V6(six) => Self(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

/// Who has a share that a client at this address counts against. Nobody on loopback, where people's own programs are, and
/// none of those that are exempt: they are bounded by the whole alone.
#[must_use]
pub fn holder(address: IpAddr, exempt: &Networks) -> Option<ClientKey> {
    let counts = !plain(address).is_loopback() && !exempt.contain(address);
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
    fn a_proxy_is_trusted_in_every_way_to_write_its_address() {
        for (proxies, peer) in [
            (LOCAL, "::ffff:127.0.0.1"),
            ("192.0.2.0/24", "::ffff:192.0.2.1"),
            ("192.0.2.0/24", "64:ff9b::192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.1"),
        ] {
            assert_eq!(client(proxies, peer, &["::ffff:198.51.100.1"]), "198.51.100.1");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_ipv4_addresses_do_not() {
        let key = |text: &str| ClientKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("198.51.100.1"), key("198.51.100.2"));
    }

    const MEANS: [(&str, &str); 9] = [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        // Private networks behind a translator of their own.
        ("64:ff9b::10.1.2.3", "10.1.2.3"),
        // Nobody is there but this machine, which speaks to itself without a translator.
        ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1"),
        ("64:ff9b::", "64:ff9b::"),
        // Another network, for translation inside of one (RFC 8215).
        ("64:ff9b:1::192.0.2.7", "64:ff9b:1::c000:207"),
    ];

    #[test]
    fn an_address_that_stands_for_an_ipv4_address_counts_as_that_one() {
        for (written, meant) in MEANS {
            let (written, meant): (IpAddr, IpAddr) = (written.parse().unwrap(), meant.parse().unwrap());
            assert_eq!(plain(written), meant, "{written}");
            assert_eq!(ClientKey::from(written), ClientKey::from(meant), "{written}");
            assert_eq!(
                client("::ffff:127.0.0.1", "127.0.0.1", &[&written.to_string()]),
                meant.to_string()
            );
        }
        let translated = |last: &str| ClientKey::from(format!("64:ff9b::198.51.100.{last}").parse::<IpAddr>().unwrap());
        assert_ne!(translated("1"), translated("2"), "each client has a share of its own");
    }

    #[test]
    fn a_network_holds_an_address_in_every_way_to_write_it() {
        for (networks, address, held) in [
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("192.0.2.0/24", "64:ff9b::192.0.2.7", true),
            ("192.0.2.0/24", "64:ff9b::198.51.100.7", false),
            ("::ffff:192.0.2.0/120", "192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "64:ff9b::192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.3.7", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("64:ff9b::/96", "64:ff9b::192.0.2.7", true),
            ("64:ff9b::/96", "192.0.2.7", false),
            ("127.0.0.0/8", "64:ff9b::127.0.0.1", false),
            ("2001:db8::/32", "2001:db8::7", true),
            ("2001:db8::/32", "192.0.2.7", false),
        ] {
            let (networks, address): (Networks, IpAddr) = (networks.parse().unwrap(), address.parse().unwrap());
            assert_eq!(networks.contain(address), held, "{networks:?} {address}");
        }
    }

    #[test]
    fn who_has_a_share_does_not_depend_on_how_its_address_is_written() {
        let exempt: Networks = "203.0.113.0/24".parse().unwrap();
        for (address, has_one) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::127.0.0.1", true),
            ("203.0.113.9", false),
            ("::ffff:203.0.113.9", false),
            ("64:ff9b::203.0.113.9", false),
            ("198.51.100.9", true),
            ("64:ff9b::198.51.100.9", true),
        ] {
            assert_eq!(
                holder(address.parse().unwrap(), &exempt).is_some(),
                has_one,
                "{address}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        let error = "127.0.0.1,proxy".parse::<Networks>().unwrap_err();
        assert!(error.contains("`proxy`"), "{error}");
    }
}
