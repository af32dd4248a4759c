//! Messages to a TURN server (RFC 8656) and what it answers. Pure.
//!
//! They are written here, because str0m has no REQUESTED-TRANSPORT, without which no server gives an address. They are read by
//! str0m.

use super::binding::{hmac, is_answer};
use super::md5::md5;
use super::seen::shown;
use std::net::{IpAddr, SocketAddr};
use str0m::ice::StunMessage;

/// Methods, and the class of what is no request (RFC 8656 section 17).
const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const SEND_INDICATION: u16 = 0x0016;

/// Attributes (RFC 8489 section 18.3, RFC 8656 section 18).
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const LIFETIME: u16 = 0x000d;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const REQUESTED_TRANSPORT: u16 = 0x0019;

const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Length of a message's header.
const HEADER: usize = 20;
/// MESSAGE-INTEGRITY with its header.
const SIGNATURE: usize = 24;
/// The number of UDP among protocols, and three bytes that are reserved.
const OVER_UDP: [u8; 4] = [17, 0, 0, 0];
/// Longest realm, nonce, user name and password, in bytes (RFC 8489 section 14).
const MAX_TEXT: usize = 763;

/// What a server wants to be answered with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users it knows.
    pub realm: String,
    /// Proof that the request is new.
    pub nonce: String,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It does it; to an Allocate it names the address that it gives.
    Done(Option<SocketAddr>),
    /// It asks for credentials (401), or for a newer nonce (438).
    Challenge(u16, Challenge),
    /// It does not do it: code and reason.
    Denied(String),
}

/// Credentials, as an answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    challenge: Challenge,
    key: [u8; 16],
}

impl Credentials {
    /// Long-term credentials (RFC 8489 section 9.2.2); nothing where one of them is too long for a message.
    #[must_use]
    pub fn new(username: &str, password: &str, challenge: Challenge) -> Option<Self> {
        let texts = [username, password, &challenge.realm, &challenge.nonce];
        texts.iter().all(|text| text.len() <= MAX_TEXT).then(|| Self {
            key: md5(format!("{username}:{}:{password}", challenge.realm).as_bytes()),
            username: username.to_owned(),
            challenge,
        })
    }
}

/// Asks for an address that relays UDP.
#[must_use]
pub fn allocate(by: Option<&Credentials>) -> Vec<u8> {
    message(ALLOCATE, &[(REQUESTED_TRANSPORT, &OVER_UDP)], by)
}

/// Gives the address back.
#[must_use]
pub fn release(by: Option<&Credentials>) -> Vec<u8> {
    message(REFRESH, &[(LIFETIME, &[0; 4])], by)
}

/// Asks to relay to and from the address of a peer.
#[must_use]
pub fn permit(peer: SocketAddr, by: Option<&Credentials>) -> Vec<u8> {
    let id = rand::random();
    let peer = xored(peer, id);
    written(CREATE_PERMISSION, id, &[(XOR_PEER_ADDRESS, &peer)], by)
}

/// Has a datagram relayed to a peer.
#[must_use]
pub fn send(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let id = rand::random();
    let peer = xored(peer, id);
    written(SEND_INDICATION, id, &[(XOR_PEER_ADDRESS, &peer), (DATA, data)], None)
}

/// What an answer to `request` says; nothing where the message is another.
#[must_use]
pub fn reply(request: &[u8], message: &[u8]) -> Option<Reply> {
    if !is_answer(request, message) {
        return None;
    }
    let Ok(answer) = StunMessage::parse(message) else {
        return Some(Reply::Denied("its answer cannot be read".to_owned()));
    };
    Some(match (answer.error_code(), answer.realm(), answer.nonce()) {
        (None, ..) => Reply::Done(answer.xor_relayed_address()),
        (Some((code @ (401 | 438), _)), Some(realm), Some(nonce)) => {
            let challenge = Challenge {
                realm: realm.to_owned(),
                nonce: nonce.to_owned(),
            };
            Reply::Challenge(code, challenge)
        }
        (Some((code, reason)), ..) => Reply::Denied(format!("{code} {}", shown(reason))),
    })
}

/// The datagram that a server relays from a peer, if the message is one.
#[must_use]
pub fn relayed(message: &[u8]) -> Option<Vec<u8>> {
    StunMessage::parse(message).ok()?.data().map(<[u8]>::to_vec)
}

fn message(method: u16, attributes: &[(u16, &[u8])], by: Option<&Credentials>) -> Vec<u8> {
    written(method, rand::random(), attributes, by)
}

/// A message with these attributes, signed where there are credentials.
fn written(method: u16, id: [u8; 12], attributes: &[(u16, &[u8])], by: Option<&Credentials>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(method.to_be_bytes());
    bytes.extend([0_u8; 2]);
    bytes.extend(MAGIC);
    bytes.extend(id);
    if let Some(by) = by {
        append(&mut bytes, USERNAME, by.username.as_bytes());
        append(&mut bytes, NONCE, by.challenge.nonce.as_bytes());
        append(&mut bytes, REALM, by.challenge.realm.as_bytes());
    }
    for (kind, value) in attributes {
        append(&mut bytes, *kind, value);
    }
    match by {
        Some(by) => {
            // What is signed has the length with the signature (RFC 8489 section 14.5).
            set_length(&mut bytes, SIGNATURE);
            let signature = hmac(&by.key, &[&bytes]);
            append(&mut bytes, MESSAGE_INTEGRITY, &signature);
        }
        None => set_length(&mut bytes, 0),
    }
    bytes
}

/// Appends an attribute, padded to whole words of four bytes.
fn append(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("texts are bounded, and a check is short");
    bytes.extend(kind.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn set_length(bytes: &mut [u8], more: usize) {
    let length = u16::try_from(bytes.len() - HEADER + more).expect("four texts and a check are shorter than 64 KiB");
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

/// An address as RFC 8489 section 14.2 writes it.
fn xored(address: SocketAddr, id: [u8; 12]) -> Vec<u8> {
    let (family, mut ip) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mask: Vec<u8> = MAGIC.into_iter().chain(id).collect();
    ip.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
    let mut port = address.port().to_be_bytes();
    port.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
    [vec![0, family], port.to_vec(), ip].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::vectors::LONG_TERM_REQUEST;

    fn credentials() -> Credentials {
        let challenge = Challenge {
            realm: "example.org".to_owned(),
            nonce: "f//499k954d6OL34oL9FSTvy64sA".to_owned(),
        };
        Credentials::new("マトリックス", "TheMatrIX", challenge).unwrap()
    }

    #[test]
    fn a_request_with_credentials_is_that_of_rfc_5769() {
        let id = LONG_TERM_REQUEST[8..20].try_into().unwrap();
        assert_eq!(written(0x0001, id, &[], Some(&credentials())), LONG_TERM_REQUEST);
    }

    #[test]
    fn what_is_written_is_read_by_str0m() {
        let by = credentials();
        let peer: SocketAddr = "203.0.113.7:30100".parse().unwrap();
        let sent = permit(peer, Some(&by));
        let read = StunMessage::parse(&sent).unwrap();
        assert!(read.is_create_permission_request() && read.verify(&by.key, hmac));
        assert_eq!(read.xor_peer_address(), Some(peer));
        let peer: SocketAddr = "[2001:db8::7]:30100".parse().unwrap();
        let sent = send(peer, b"abcde");
        let read = StunMessage::parse(&sent).unwrap();
        assert!(read.is_send_indication());
        assert_eq!(
            (read.xor_peer_address(), read.data()),
            (Some(peer), Some(&b"abcde"[..]))
        );
        assert_eq!(relayed(&sent), Some(b"abcde".to_vec()));
        assert!(StunMessage::parse(&allocate(None)).unwrap().is_allocate_request());
        assert!(allocate(None).ends_with(&[0x00, 0x19, 0x00, 0x04, 17, 0, 0, 0]));
        let released = release(Some(&by));
        let read = StunMessage::parse(&released).unwrap();
        assert!(read.is_refresh_request() && read.lifetime() == Some(0));
    }

    #[test]
    fn a_challenge_a_refusal_and_an_address_are_told_apart() {
        use str0m::ice::{StunMessageBuilder, TransId};
        let id = TransId::new();
        let answer = |message: StunMessage<'_>| {
            let mut bytes = vec![0; 256];
            let length = message.to_bytes(None, &mut bytes, hmac).unwrap();
            bytes.truncate(length);
            bytes
        };
        let failed = || StunMessageBuilder::new().allocate().failure();
        let asks = failed().error_code(401, "Unauthorized").realm("r").nonce("n").build(id);
        let asks = answer(asks);
        // A request with the same transaction id.
        let request = [&[0_u8; 8][..], &asks[8..20]].concat();
        let challenge = Challenge {
            realm: "r".to_owned(),
            nonce: "n".to_owned(),
        };
        assert_eq!(reply(&request, &asks), Some(Reply::Challenge(401, challenge)));
        let full = answer(failed().error_code(486, "Allocation Quota\nReached").build(id));
        assert_eq!(
            reply(&request, &full),
            Some(Reply::Denied("486 Allocation QuotaReached".to_owned()))
        );
        let address: SocketAddr = "198.51.100.9:49152".parse().unwrap();
        let done = StunMessageBuilder::new().allocate().success();
        let done = answer(done.xor_relayed_address(address).build(id));
        assert_eq!(reply(&request, &done), Some(Reply::Done(Some(address))));
        assert_eq!(reply(&allocate(None), &done), None);
    }

    #[test]
    fn credentials_that_fit_no_message_are_none() {
        let challenge = Challenge {
            realm: "r".to_owned(),
            nonce: "n".repeat(MAX_TEXT + 1),
        };
        assert_eq!(Credentials::new("user", "password", challenge), None);
    }
}
