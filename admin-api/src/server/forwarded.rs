//! How a node knows that a request came through a front door of its own cluster, whose word on the client's address counts.
//!
//! The addresses of front doors come and go with their pods, and the listener for clients is open to everybody. So the front
//! door proves that it knows a token of the cluster, without sending it: it signs `X-Forwarded-For` as it sends it. Who
//! copies such a request on its way can claim the one address that it names, and nothing else.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use std::fmt::Write as _;
use subtle::{Choice, ConstantTimeEq};

/// The client's address, and the proxies that it came by.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Hexadecimal HMAC-SHA256 of [`FORWARDED_FOR`], with the front door's token as its key.
pub const PROOF: HeaderName = HeaderName::from_static("sfumato-forwarded-proof");

/// Keeps this use of the token apart from any other.
const PURPOSE: &str = "sfumato x-forwarded-for: ";

/// Adds the proof to a request that has [`FORWARDED_FOR`]; without a token there is none.
pub fn sign(headers: &mut HeaderMap, token: &str) {
    let Some(forwarded) = headers.get(FORWARDED_FOR).filter(|_| !token.is_empty()) else {
        return;
    };
    let proof = proof(token.as_bytes(), forwarded);
    if let Ok(proof) = HeaderValue::from_str(&proof) {
        headers.insert(PROOF, proof);
    }
}

/// Whether [`FORWARDED_FOR`] was written by somebody who knows one of the accepted tokens.
#[must_use]
pub fn is_proven<T: AsRef<[u8]>>(headers: &HeaderMap, accepted: &[T]) -> bool {
    let Some(presented) = headers.get(PROOF) else {
        return false;
    };
    let mut entries = headers.get_all(FORWARDED_FOR).iter();
    // A front door writes one header: a second one is somebody else's.
    let (Some(forwarded), None) = (entries.next(), entries.next()) else {
        return false;
    };
    let any = accepted
        .iter()
        .map(AsRef::as_ref)
        .filter(|token| !token.is_empty())
        .fold(Choice::from(0), |any, token| {
            any | proof(token, forwarded).as_bytes().ct_eq(presented.as_bytes())
        });
    any.into()
}

fn proof(token: &[u8], forwarded: &HeaderValue) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, token));
    context.update(PURPOSE.as_bytes());
    context.update(forwarded.as_bytes());
    context.sign().as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(forwarded: &'static str, token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, HeaderValue::from_static(forwarded));
        sign(&mut headers, token);
        headers
    }

    #[test]
    fn what_a_holder_of_an_accepted_token_signed_is_proven() {
        let headers = signed("203.0.113.7, 192.0.2.1", "old");
        assert!(is_proven(&headers, &["new", "old"]));
        assert!(!is_proven(&headers, &["new", ""]));
    }

    #[test]
    fn another_address_a_second_header_or_no_proof_is_not() {
        let mut other = signed("203.0.113.7", "token");
        other.insert(FORWARDED_FOR, HeaderValue::from_static("203.0.113.8"));
        assert!(!is_proven(&other, &["token"]));
        let mut second = signed("203.0.113.7", "token");
        second.append(FORWARDED_FOR, HeaderValue::from_static("203.0.113.8"));
        assert!(!is_proven(&second, &["token"]));
        let mut unsigned = signed("203.0.113.7", "token");
        unsigned.remove(PROOF);
        assert!(!is_proven(&unsigned, &["token"]));
    }

    #[test]
    fn without_a_token_nothing_is_signed_and_nothing_is_proven() {
        let headers = signed("203.0.113.7", "");
        assert!(!headers.contains_key(PROOF));
        let mut forged = headers;
        let empty = proof(b"", &HeaderValue::from_static("203.0.113.7"));
        forged.insert(PROOF, empty.parse().unwrap());
        assert!(!is_proven(&forged, &[""]));
    }

    #[test]
    fn the_token_cannot_be_read_from_the_request() {
        let headers = signed("203.0.113.7", "a-token");
        assert!(!format!("{headers:?}").contains("a-token"));
        assert_eq!(headers[PROOF].len(), 64);
    }
}
