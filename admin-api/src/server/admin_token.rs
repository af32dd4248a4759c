//! The server's side of the admin token: which header carries it, and comparing it without telling how much was right.

use super::forwarded;
use crate::types::TOKEN_HEADER;
use reqwest::Method;
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

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything: operator, peers, and people.
    Admin,
    /// Look at nodes, ask who may see the cluster, and vouch for clients' addresses: the front door.
    FrontDoor,
}

impl Role {
    /// Whether this role may make a call.
    #[must_use]
    pub fn may(self, method: &Method, path: &str) -> bool {
        match self {
            Self::Admin => true,
            // The question about an observer is a POST, because it carries a client's token, which belongs in no URL.
            Self::FrontDoor => {
                (method == Method::GET && path == "/admin/v1/node")
                    || (method == Method::POST && path == "/admin/v1/observer")
            }
        }
    }
}

/// The tokens that a node accepts at present.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Those that may do everything.
    pub admin: Vec<String>,
    /// Those of front doors. One that is among `admin` as well is a front door's all the same.
    pub front_door: Vec<String>,
}

/// How a front door's token begins where it stands among the admin tokens. Nodes of the release before know only one list, so
/// during a roll it has to stand there. Nodes of this release never take such a token for an admin's, also after it has left
/// the front doors' list.
pub const FRONT_DOOR_PREFIX: &str = "front-door-";

impl Accepted {
    /// The role of whoever sends a request, if it has one.
    #[must_use]
    pub fn role(&self, headers: &HeaderMap) -> Option<Role> {
        if token_matches(headers, &self.front_door) {
            return Some(Role::FrontDoor);
        }
        token_matches(headers, &self.admins()).then_some(Role::Admin)
    }

    /// Whether a front door vouches for the client's address. One of the release before does so by the admin token.
    #[must_use]
    pub fn vouch(&self, headers: &HeaderMap) -> bool {
        forwarded::is_proven(headers, &self.front_door) || forwarded::is_proven(headers, &self.admins())
    }

    fn admins(&self) -> Vec<&str> {
        let all = self.admin.iter().map(String::as_str);
        all.filter(|token| !token.starts_with(FRONT_DOOR_PREFIX)).collect()
    }
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

    #[test]
    fn a_front_doors_token_looks_asks_and_vouches_and_does_nothing_else() {
        let accepted = Accepted {
            admin: vec!["admin".into(), "door".into(), "front-door-leaked".into()],
            front_door: vec!["door".into()],
        };
        let role = |token: &str| accepted.role(&headers(&[("authorization", &format!("Bearer {token}"))]));
        assert_eq!(role("admin"), Some(Role::Admin));
        assert_eq!(
            role("door"),
            Some(Role::FrontDoor),
            "though it is among the others for a roll"
        );
        assert_eq!(
            role("front-door-leaked"),
            None,
            "it was taken out, and stands among the others still"
        );
        assert_eq!(role("other"), None);
        for (method, path, may) in [
            (Method::GET, "/admin/v1/node", true),
            (Method::POST, "/admin/v1/observer", true),
            (Method::POST, "/admin/v1/drain", false),
            (Method::DELETE, "/admin/v1/drain", false),
            (Method::DELETE, "/admin/v1/sessions/0123456789ab", false),
            (Method::PUT, "/admin/v1/links/sfu-2", false),
            (Method::POST, "/admin/v1/subscriptions/renew", false),
            (Method::POST, "/admin/v1/test-faults", false),
            (Method::PATCH, "/admin/v1/observer", false),
        ] {
            assert_eq!(Role::FrontDoor.may(&method, path), may, "{method} {path}");
            assert!(Role::Admin.may(&method, path));
        }
    }

    #[test]
    fn front_doors_of_this_release_and_of_the_one_before_vouch_and_nobody_else_does() {
        let accepted = Accepted {
            admin: vec!["admin".into()],
            front_door: vec!["door".into()],
        };
        let vouched_by = |token: &str| {
            let mut headers = headers(&[("x-forwarded-for", "203.0.113.7")]);
            forwarded::sign(&mut headers, token);
            accepted.vouch(&headers)
        };
        assert!(vouched_by("door") && vouched_by("admin"));
        assert!(!vouched_by("other") && !vouched_by(""));
    }
}
