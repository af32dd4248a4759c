//! The server's side of the admin token: which header carries it, and comparing it without telling how much was right.

use crate::types::TOKEN_HEADER;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use subtle::{Choice, ConstantTimeEq};

/// The token that a request presents: [`TOKEN_HEADER`] when it is there, else `Authorization: Bearer`.
///
/// Ours comes first because a proxy that uses `Authorization` for itself may pass something of its own on.
#[must_use]
pub fn presented_token(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(own) = headers.get(TOKEN_HEADER) {
        return Some(own.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    // RFC 9110 section 11.1: the scheme's name is case-insensitive.
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

/// Whether a request presents one of the accepted tokens (current and previous, while a secret is being rotated).
///
/// Takes the same time wherever a wrong token differs; its length is no secret. An empty accepted token matches nothing,
/// so that a secret file that is empty by accident does not open the door.
#[must_use]
pub fn token_matches<T: AsRef<[u8]>>(headers: &HeaderMap, accepted: &[T]) -> bool {
    let Some(presented) = presented_token(headers) else {
        return false;
    };
    let any = accepted
        .iter()
        .map(AsRef::as_ref)
        .filter(|expected| !expected.is_empty())
        .fold(Choice::from(0), |any, expected| any | presented.ct_eq(expected));
    any.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn either_header_opens_and_any_accepted_token_does() {
        let accepted = ["new", "old"];
        assert!(token_matches(&headers(&[("authorization", "Bearer new")]), &accepted));
        assert!(token_matches(&headers(&[("authorization", "bearer old")]), &accepted));
        assert!(token_matches(&headers(&[("sfumato-admin-token", "old")]), &accepted));
        assert!(token_matches(
            &headers(&[("authorization", "Bearer of-the-proxy"), ("sfumato-admin-token", "new")]),
            &accepted
        ));
    }

    #[test]
    fn a_missing_wrong_or_empty_token_does_not_open() {
        let accepted = ["new"];
        assert!(!token_matches(&headers(&[]), &accepted));
        for wrong in ["Bearer ne", "Bearer neww", "Bearer ", "Bearer", "Basic new", "new", "é"] {
            assert!(
                !token_matches(&headers(&[("authorization", wrong)]), &accepted),
                "{wrong}"
            );
        }
        assert!(!token_matches(&headers(&[("authorization", "Bearer ")]), &[""]));
        assert!(!token_matches::<&str>(
            &headers(&[("authorization", "Bearer new")]),
            &[]
        ));
    }
}
