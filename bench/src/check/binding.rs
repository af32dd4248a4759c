//! The request that a browser sends to a candidate first, and the answer to it: STUN's Binding (RFC 8489) with what ICE adds
//! (RFC 8445 section 7). Pure.
//!
//! str0m's own messages do the work. It exports them for programs that want ICE without its engine.

use super::seen::shown;
use crate::peer::IceDescription;
use std::net::SocketAddr;
use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};

/// Longest request, in bytes: names and passwords are bounded, so none comes near it.
const MAX_REQUEST: usize = 1024;
/// That of a host candidate's check (RFC 8445 sections 5.1.2 and 7.1.1): of the type "peer reflexive", of the first component.
const PRIORITY: u32 = (110 << 24) | (0xffff << 8) | 255;
/// Where the transaction id stands in a message (RFC 8489 section 5).
const TRANSACTION: std::ops::Range<usize> = 8..20;

/// HMAC-SHA1, which signs STUN messages.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    from_feature_flags().sha1_hmac_provider.sha1_hmac(key, parts)
}

/// A request to the node of this answer, in the controlling role; `offered` is the username fragment of the offer.
///
/// # Errors
/// When the names in the answer are too long for a request.
pub fn request(answer: &IceDescription, offered: &str) -> Result<Vec<u8>, String> {
    let username = format!("{}:{offered}", answer.ufrag);
    let message = StunMessage::binding_request(&username, TransId::new(), true, rand::random(), PRIORITY, false);
    let mut bytes = vec![0; MAX_REQUEST];
    let length = message
        .to_bytes(Some(answer.password.as_bytes()), &mut bytes, hmac)
        .map_err(|error| error.to_string())?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether a message has the transaction id of a request, and is not the request itself.
#[must_use]
pub fn is_answer(request: &[u8], message: &[u8]) -> bool {
    message.get(TRANSACTION).is_some() && message.get(TRANSACTION) == request.get(TRANSACTION) && message != request
}

/// What an answer to `request` says: from where the request came, or what is wrong. Nothing where the message is another.
#[must_use]
pub fn answer(request: &[u8], message: &[u8], password: &str) -> Option<Result<SocketAddr, String>> {
    if !is_answer(request, message) {
        return None;
    }
    let Ok(answer) = StunMessage::parse(message) else {
        return Some(Err("its STUN cannot be read".to_owned()));
    };
    Some(match (answer.error_code(), answer.mapped_address()) {
        (Some((code, reason)), _) => Err(format!("{code} {}", shown(reason))),
        (None, Some(seen_as)) if answer.verify(password.as_bytes(), hmac) => Ok(seen_as),
        (None, Some(_)) => Err("its answer is not signed with the password of the session".to_owned()),
        (None, None) => Err("its answer names no address".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::vectors::{PASSWORD, REQUEST, RESPONSE_IPV4, RESPONSE_IPV6};

    /// CRC-32 as in RFC 8489 section 14.7, bit by bit.
    fn fingerprint(message: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in message {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
            }
        }
        !crc ^ 0x5354_554e
    }

    fn last_four(message: &[u8]) -> u32 {
        u32::from_be_bytes(message[message.len() - 4..].try_into().unwrap())
    }

    fn ice() -> IceDescription {
        IceDescription {
            ufrag: "node".to_owned(),
            password: PASSWORD.to_owned(),
            candidates: Vec::new(),
        }
    }

    #[test]
    fn the_vectors_of_rfc_5769_are_signed_as_messages_of_ours_are() {
        for vector in [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6] {
            assert!(StunMessage::parse(vector).unwrap().verify(PASSWORD.as_bytes(), hmac));
            assert_eq!(fingerprint(&vector[..vector.len() - 8]), last_four(vector));
        }
    }

    #[test]
    fn a_request_has_what_a_node_looks_for() {
        let sent = request(&ice(), "client").unwrap();
        let message = StunMessage::parse(&sent).unwrap();
        assert!(message.is_binding_request() && !message.use_candidate());
        assert_eq!(message.split_username(), Some(("node", "client")));
        assert_eq!((message.prio(), message.ice_controlled()), (Some(1_862_270_975), None));
        assert!(message.ice_controlling().is_some());
        assert!(message.verify(PASSWORD.as_bytes(), hmac));
        assert_eq!(fingerprint(&sent[..sent.len() - 8]), last_four(&sent));
        assert_ne!(sent[TRANSACTION], request(&ice(), "client").unwrap()[TRANSACTION]);
    }

    #[test]
    fn an_answer_counts_if_it_is_to_this_request_and_signed() {
        let seen: SocketAddr = "192.0.2.1:32853".parse().unwrap();
        assert_eq!(answer(REQUEST, RESPONSE_IPV4, PASSWORD), Some(Ok(seen)));
        let seen: SocketAddr = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        assert_eq!(answer(REQUEST, RESPONSE_IPV6, PASSWORD), Some(Ok(seen)));
        let unsigned = answer(REQUEST, RESPONSE_IPV4, "other").unwrap().unwrap_err();
        assert!(unsigned.contains("not signed"), "{unsigned}");
        assert_eq!(answer(REQUEST, REQUEST, PASSWORD), None, "it comes back as it was sent");
        assert_eq!(
            answer(&request(&ice(), "client").unwrap(), RESPONSE_IPV4, PASSWORD),
            None
        );
        assert_eq!(answer(REQUEST, b"", PASSWORD), None);
        assert!(answer(REQUEST, &RESPONSE_IPV4[..40], PASSWORD).unwrap().is_err());
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error_and_no_panic() {
        let long = IceDescription {
            ufrag: "x".repeat(256),
            ..ice()
        };
        assert!(request(&long, "client").is_err());
    }
}
