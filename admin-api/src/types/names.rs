//! Names of everything that the admin API speaks of. Each is checked when it is parsed, and trusted from then on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Longest name of a stream, in characters.
pub const MAX_STREAM_NAME: usize = 128;

/// Longest name of a node, in characters (a DNS label).
pub const MAX_NODE_NAME: usize = 63;

/// Length of a session's handle, in characters. They are hexadecimal digits: 48 bits tell sessions apart, and leave more
/// than 190 bits of the id secret.
pub const SESSION_HANDLE: usize = 12;

/// Why a name was refused. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not allowed: use {allowed}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidName {
    /// Which kind of name it is: `stream name`, `node name`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidName { what: $what, value: value.chars().take(64).collect(), allowed: $allowed })
                }
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::try_from(value.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// Name of a node: the pod's name on Kubernetes, `sfu-1` and so on in local mode.
    NodeName,
    "node name",
    "1 to 63 of a-z, 0-9, `-` and `.`",
    |v| (1..=MAX_NODE_NAME).contains(&v.len())
        && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
);

name_type!(
    /// One life of a node: `{pod UID or 0}.{boot id}`. A restarted process is a new incarnation of the same node.
    Incarnation,
    "incarnation",
    "1 to 100 of A-Z, a-z, 0-9, `-` and `.`",
    |v| (1..=100).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
);

name_type!(
    /// Name of a stream.
    StreamName,
    "stream name",
    "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`",
    |v| (1..=MAX_STREAM_NAME).contains(&v.len())
        && v != "."
        && v != ".."
        && v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
);

name_type!(
    /// Id of one end of a link, drawn by the node that holds that end; never used again.
    LinkId,
    "link id",
    "1 to 64 of A-Z, a-z, 0-9 and `-`",
    |v| (1..=64).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

name_type!(
    /// Names a session without giving it away: the first characters of its id, which is a credential as a whole.
    SessionHandle,
    "session id",
    "12 of a-z and 0-9",
    |v| v.len() == SESSION_HANDLE && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
);

name_type!(
    /// Id of a publication: drawn for each WHIP session.
    PublicationId,
    "publication id",
    "1 to 64 of A-Z, a-z, 0-9 and `-`",
    |v| (1..=64).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
