//! Which TCP connections to the media ports have to go. mediasoup accepts every one, and keeps a silent one for ever
//! (`worker/src/RTC/TcpServer.cpp`, `TcpConnection.cpp`). Pure.

use mediasoup::types::data_structures::{Protocol, TransportTuple};
use sfumato_admin_api::server::client_address::{ClientKey, Networks, holder, plain};
use sfumato_admin_api::server::shares::{Part, Share};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a connection may last of an address of which no session plays. Sessions that do not connect end sooner
/// ([`crate::sessions::session::CONNECT_TIMEOUT`]).
pub const STRANGER_LIFE: Duration = Duration::from_secs(20);
/// Most connections over which no session plays; each may hold 64 KiB.
pub const MAX_STRANGERS: u32 = 1_024;

/// A TCP connection to a media port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Of its socket, as the kernel numbers them.
    pub inode: u64,
}

/// Where sessions receive media from.
#[derive(Debug, Default)]
pub struct Playing {
    /// Ends of TCP connections.
    ends: HashSet<SocketAddr>,
    addresses: HashSet<IpAddr>,
}

impl FromIterator<TransportTuple> for Playing {
    fn from_iter<T: IntoIterator<Item = TransportTuple>>(selected: T) -> Self {
        let mut all = Self::default();
        for tuple in selected {
            if let TransportTuple::WithRemote {
                remote_ip,
                remote_port,
                protocol,
                ..
            } = tuple
            {
                let address = plain(remote_ip);
                all.addresses.insert(address);
                if protocol == Protocol::Tcp {
                    all.ends.insert(SocketAddr::new(address, remote_port));
                }
            }
        }
        all
    }
}

/// What is remembered of connections over which no session plays.
#[derive(Debug)]
pub struct Strangers {
    share: Share,
    exempt: Networks,
    since: HashMap<Connection, Instant>,
}

impl Strangers {
    /// `exempt` addresses have no share, and are bounded by the whole alone.
    pub fn new(most: u32, exempt: Networks) -> Self {
        Self {
            share: Share {
                most,
                part: Part::Tenth,
            },
            exempt,
            since: HashMap::new(),
        }
    }

    /// Of the connections that are open, those that have to go: strangers that have been here for too long, and where there are
    /// too many of them, those of whoever has most, the oldest first.
    pub fn overstaying(&mut self, open: &[Connection], playing: &Playing, now: Instant) -> Vec<Connection> {
        let before = std::mem::take(&mut self.since);
        let strangers = open.iter().filter(|it| !playing.ends.contains(&it.client));
        self.since = strangers
            .map(|it| (*it, before.get(it).copied().unwrap_or(now)))
            .collect();
        let mut staying: Vec<(Connection, Instant)> = self.since.iter().map(|(it, since)| (*it, *since)).collect();
        staying.sort_by_key(|(it, since)| (*since, it.inode));
        let mut gone = Vec::new();
        staying.retain(|(it, since)| {
            let known = playing.addresses.contains(&it.client.ip());
            let stays = known || now.saturating_duration_since(*since) < STRANGER_LIFE;
            if !stays {
                gone.push(*it);
            }
            stays
        });
        gone.extend(self.too_many(staying.iter().map(|(it, _)| *it).collect()));
        gone
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.since.len()
    }

    /// Of strangers, the oldest first, those that make room. Above half of the bound each has its share.
    fn too_many(&self, oldest_first: Vec<Connection>) -> Vec<Connection> {
        let mut by_client: HashMap<Option<ClientKey>, Vec<Connection>> = HashMap::new();
        let mut all = oldest_first.len();
        for it in oldest_first.into_iter().rev() {
            let client = holder(it.client.ip(), &self.exempt);
            by_client.entry(client).or_default().push(it);
        }
        let most = self.share.most as usize;
        let of_one = self.share.of_one() as usize;
        let mut gone = Vec::new();
        let is_over = |client: &Option<ClientKey>, held: &[Connection]| client.is_some() && held.len() > of_one;
        while all > most / 2 {
            // Who has more than a share comes before who has none.
            let largest = by_client
                .iter_mut()
                .max_by_key(|(client, held)| (is_over(client, held), held.len()));
            let may_go = largest.filter(|(client, held)| all > most || is_over(client, held));
            let Some(oldest) = may_go.and_then(|(_, held)| held.pop()) else {
                break;
            };
            gone.push(oldest);
            all -= 1;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(client: &str, inode: u64) -> Connection {
        Connection {
            client: client.parse().unwrap(),
            server: "192.0.2.1:20000".parse().unwrap(),
            inode,
        }
    }

    fn many(address: &str, count: u16) -> Vec<Connection> {
        (1..=count)
            .map(|port| connection(&format!("{address}:{port}"), u64::from(port)))
            .collect()
    }

    fn selected(remote: &str, protocol: Protocol) -> TransportTuple {
        let remote: SocketAddr = remote.parse().unwrap();
        TransportTuple::WithRemote {
            local_address: "192.0.2.1".to_owned(),
            local_port: 20_000,
            remote_ip: remote.ip(),
            remote_port: remote.port(),
            protocol,
        }
    }

    #[test]
    fn a_stranger_goes_after_a_while_and_whoever_plays_stays_with_what_its_browser_keeps_open() {
        let mut strangers = Strangers::new(MAX_STRANGERS, Networks::default());
        let open = [
            connection("198.51.100.1:1000", 1),
            connection("203.0.113.7:1000", 2),
            connection("203.0.113.7:1001", 3),
            connection("203.0.113.8:1000", 4),
        ];
        let playing: Playing = [
            selected("203.0.113.7:1000", Protocol::Tcp),
            selected("203.0.113.8:5000", Protocol::Udp),
        ]
        .into_iter()
        .collect();
        let began = Instant::now();
        assert_eq!(strangers.overstaying(&open, &playing, began), []);
        let soon = began + STRANGER_LIFE - Duration::from_secs(1);
        assert_eq!(strangers.overstaying(&open, &playing, soon), []);
        let late = began + STRANGER_LIFE;
        assert_eq!(strangers.overstaying(&open, &playing, late), open[..1]);
        // A socket of the same addresses that came later is another one.
        let again = [connection("198.51.100.1:1000", 9)];
        assert_eq!(strangers.overstaying(&again, &playing, late), []);
    }

    #[test]
    fn an_address_that_opens_all_that_it_can_leaves_room_and_keeps_its_newest() {
        let mut strangers = Strangers::new(100, Networks::default());
        let attacker = many("198.51.100.1", 90);
        let others = [connection("203.0.113.7:1", 1), connection("203.0.113.8:1", 2)];
        let open = [attacker.as_slice(), &others].concat();
        let gone = strangers.overstaying(&open, &Playing::default(), Instant::now());
        assert_eq!(gone, attacker[..42], "down to half of all");
        let few = strangers.overstaying(&attacker[..50], &Playing::default(), Instant::now());
        assert_eq!(few, [], "half of all is there to be used");
    }

    #[test]
    fn those_without_a_share_are_bounded_by_the_whole() {
        let exempt: Networks = "198.51.100.0/24".parse().unwrap();
        let mut strangers = Strangers::new(100, exempt);
        let campus = many("198.51.100.1", 100);
        assert_eq!(strangers.overstaying(&campus, &Playing::default(), Instant::now()), []);
        let more = many("198.51.100.1", 103);
        assert_eq!(
            strangers.overstaying(&more, &Playing::default(), Instant::now()),
            more[..3]
        );
    }
}
