//! Admin API v1: the types that cross the admin listener of a node, in both directions.
//!
//! Conventions: JSON, camelCase, durations in milliseconds, unknown fields are ignored (releases N and N-1 work together),
//! errors are problem details (RFC 9457) as [`Problem`]. Every call is idempotent.

mod api;
mod drain;
mod long_poll;
mod sessions;

pub use api::*;
pub use drain::*;
pub use long_poll::*;
pub use sessions::*;
