//! The addresses of this machine as a STUN server sees them (RFC 8489): a binding request, and what its answer says.

use parking_lot::Mutex;
use sfumato_admin_api::program::task;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::Instant;

/// How often a server is asked again: an address of a home or of a cloud changes seldom.
const EVERY: Duration = Duration::from_secs(60);
/// How often one is asked that has not answered.
const AGAIN: Duration = Duration::from_secs(5);
/// First wait for an answer, doubled with each request (RFC 8489 section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Requests that one answer may take.
const REQUESTS: u32 = 4;
/// How long a look for the addresses of a server's name may take.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
/// Longest answer that is read; longer ones are cut. What is looked for stands at the beginning.
const MAX_ANSWER: usize = 1500;
/// Most attributes of an answer that are looked at.
const MAX_ATTRIBUTES: usize = 32;

const BINDING: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const COOKIE: u32 = 0x2112_A442;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;

type Transaction = [u8; 12];

/// What servers have seen; asks those that are wanted.
pub struct Seen {
    /// Local addresses to ask from: one family may be seen otherwise than the other.
    from: Vec<IpAddr>,
    /// Whether there is a task that asks.
    asks: AtomicBool,
    servers: Mutex<BTreeMap<String, Server>>,
}

#[derive(Default)]
struct Server {
    addresses: Vec<IpAddr>,
    asked: Option<Instant>,
    /// What was told when it did not answer.
    complaint: Option<String>,
}

impl Seen {
    #[must_use]
    pub fn new(from: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self {
            from,
            asks: AtomicBool::new(false),
            servers: Mutex::default(),
        })
    }

    /// Addresses that a server sees, as far as it has answered; from now on it is asked.
    #[must_use]
    pub fn by(self: &Arc<Self>, server: &str) -> Vec<IpAddr> {
        let mut servers = self.servers.lock();
        if let Some(known) = servers.get(server) {
            return known.addresses.clone();
        }
        if !self.asks.swap(true, Ordering::Relaxed) {
            let seen = Arc::downgrade(self);
            task::serving(task::process(), "asking STUN servers", follow(seen));
        }
        servers.insert(server.to_owned(), Server::default());
        Vec::new()
    }

    /// What a server was told of that does not answer, for people.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let servers = self.servers.lock();
        servers.values().find_map(|server| server.complaint.clone())
    }

    /// Asks no server any more but these.
    pub fn only(&self, wanted: &[&str]) {
        let mut servers = self.servers.lock();
        servers.retain(|server, _| wanted.contains(&server.as_str()));
    }

    fn due(&self, now: Instant) -> Vec<String> {
        let mut servers = self.servers.lock();
        let mut due = Vec::new();
        for (name, server) in &mut *servers {
            let pause = if server.addresses.is_empty() { AGAIN } else { EVERY };
            if server.asked.is_none_or(|asked| now >= asked + pause) {
                server.asked = Some(now);
                due.push(name.clone());
            }
        }
        due
    }

    fn note(&self, name: &str, answers: Vec<io::Result<IpAddr>>) {
        let mut servers = self.servers.lock();
        let Some(server) = servers.get_mut(name) else { return };
        let mut found = Vec::new();
        let mut problem = None;
        for answer in answers {
            match answer {
                Ok(ip) if !found.contains(&ip) => found.push(ip),
                Ok(_) => {}
                Err(error) => problem = Some(error),
            }
        }
        if found.is_empty() {
            // Clients are sent on to where they were sent before.
            if let Some(error) = problem.filter(|_| server.complaint.is_none()) {
                tracing::warn!(server = name, %error, "the STUN server does not say where clients reach this node");
                server.complaint = Some(format!(
                    "the STUN server {name} does not say where clients reach this node ({error})"
                ));
            }
            return;
        }
        server.complaint = None;
        if found != server.addresses {
            let addresses = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            tracing::info!(
                server = name,
                addresses,
                "a STUN server sees this node at other addresses than before"
            );
            server.addresses = found;
        }
    }
}

async fn follow(seen: Weak<Seen>) {
    loop {
        let Some(held) = seen.upgrade() else { return };
        for name in held.due(Instant::now()) {
            let asking = held.from.iter().map(|from| ask(&name, *from));
            let answers = futures::future::join_all(asking).await;
            held.note(&name, answers);
        }
        drop(held);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The address that a server, as `HOST:PORT`, sees requests from this local address come from.
async fn ask(server: &str, from: IpAddr) -> io::Result<IpAddr> {
    let late = |what: &str| io::Error::new(io::ErrorKind::TimedOut, what.to_owned());
    let found = tokio::time::timeout(RESOLVED_WITHIN, lookup_host(server)).await;
    let mut found = found.map_err(|_| late("its name was not resolved in time"))??;
    let to = found
        .find(|to| to.is_ipv4() == from.is_ipv4())
        .ok_or_else(|| io::Error::other(format!("it has no address of the family of {from}")))?;
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await?;
    // Of others, nothing is received.
    socket.connect(to).await?;
    let id: Transaction = rand::random();
    let mut wait = FIRST_WAIT;
    for _ in 0..REQUESTS {
        socket.send(&request(id)).await?;
        match tokio::time::timeout(wait, answer(&socket, id)).await {
            Ok(address) => return address,
            Err(_) => wait *= 2,
        }
    }
    Err(late("no answer"))
}

async fn answer(socket: &UdpSocket, id: Transaction) -> io::Result<IpAddr> {
    let mut buffer = [0; MAX_ANSWER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(address) = mapped(&buffer[..length], id) {
            return Ok(address);
        }
    }
}

fn request(id: Transaction) -> [u8; HEADER] {
    let mut message = [0; HEADER];
    message[..2].copy_from_slice(&BINDING.to_be_bytes());
    message[4..8].copy_from_slice(&COOKIE.to_be_bytes());
    message[8..].copy_from_slice(&id);
    message
}

/// The address in a successful answer to this transaction (section 14.2); nothing in anything else.
fn mapped(message: &[u8], id: Transaction) -> Option<IpAddr> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let is_answer =
        word(0)? == BINDING_SUCCESS && message.get(4..8)? == COOKIE.to_be_bytes() && message.get(8..HEADER)? == id;
    if !is_answer {
        return None;
    }
    let end = message.len().min(HEADER + usize::from(word(2)?));
    let mut at = HEADER;
    for _ in 0..MAX_ATTRIBUTES {
        let (kind, length) = (word(at)?, usize::from(word(at + 2)?));
        let value = message
            .get(at + 4..at + 4 + length)
            .filter(|_| at + 4 + length <= end)?;
        if kind == XOR_MAPPED_ADDRESS {
            return unmasked(value, id);
        }
        at += 4 + length.next_multiple_of(4);
    }
    None
}

fn unmasked(value: &[u8], id: Transaction) -> Option<IpAddr> {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&id);
    let plain = |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect() };
    match (value.get(1)?, value.get(4..)?) {
        (1, address) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(plain(address)).ok()?).into()),
        (2, address) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(plain(address)).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 section 2.2 and 2.3: the answers to a request of this transaction.
    const ID: Transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
    const SOFTWARE: &[u8] = b"\x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20";
    const OF_V4: &[u8] = b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
    const OF_V6: &[u8] =
        b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";

    fn message(kind: u16, id: Transaction, attributes: &[&[u8]]) -> Vec<u8> {
        let attributes = attributes.concat();
        let mut message = request(id).to_vec();
        message[..2].copy_from_slice(&kind.to_be_bytes());
        message[2..4].copy_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
        message.extend(attributes);
        message
    }

    #[test]
    fn the_address_of_an_answer_is_read() {
        let of = |attribute| mapped(&message(BINDING_SUCCESS, ID, &[SOFTWARE, attribute]), ID);
        assert_eq!(of(OF_V4), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(of(OF_V6), Some("2001:db8:1234:5678:11:2233:4455:6677".parse().unwrap()));
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        let good = message(BINDING_SUCCESS, ID, &[SOFTWARE, OF_V4]);
        assert_eq!(mapped(&good, [0; 12]), None, "to another request");
        assert_eq!(mapped(&message(BINDING, ID, &[OF_V4]), ID), None, "a request");
        for end in 0..good.len() {
            assert_eq!(mapped(&good[..end], ID), None, "cut at {end}");
        }
        let endless = [&[0x80, 0x22, 0, 0][..]; 1000].concat();
        assert_eq!(mapped(&message(BINDING_SUCCESS, ID, &[&endless, OF_V4]), ID), None);
    }

    /// Answers each request but the first, which is lost, and says something else before.
    async fn server() -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut buffer = [0; 100];
            for number in 0.. {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                assert_eq!(length, HEADER);
                if number == 0 {
                    continue;
                }
                let id: Transaction = buffer[8..HEADER].try_into().unwrap();
                // 203.0.113.7, unmasked by the cookie.
                let own = [
                    0x00,
                    0x20,
                    0x00,
                    0x08,
                    0,
                    1,
                    0,
                    0,
                    203 ^ 0x21,
                    0x12,
                    113 ^ 0xa4,
                    7 ^ 0x42,
                ];
                socket.send_to(b"something else", from).await.unwrap();
                socket
                    .send_to(&message(BINDING_SUCCESS, id, &[&own]), from)
                    .await
                    .unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_is_asked_until_it_answers_and_another_one_is_not_known() {
        let server = server().await;
        let seen = Seen::new(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert!(seen.by(&server).is_empty());
        let end = Instant::now() + Duration::from_secs(30);
        while seen.by(&server).is_empty() {
            assert!(Instant::now() < end, "no address within 30 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(seen.by(&server), ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        assert!(seen.by("127.0.0.1:9").is_empty());
        assert_eq!(seen.problem(), None);
        let end = Instant::now() + Duration::from_secs(30);
        while seen.problem().is_none_or(|problem| !problem.contains("127.0.0.1:9")) {
            assert!(Instant::now() < end, "not told of within 30 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen.only(&[&server]);
        assert_eq!(seen.servers.lock().len(), 1);
    }
}
