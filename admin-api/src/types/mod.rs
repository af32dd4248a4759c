//! Admin API v1: the types that cross the admin listener of a node, in both directions.
//!
//! Conventions: JSON, camelCase, durations in milliseconds, unknown fields are ignored (releases N and N-1 work together),
//! errors are problem details (RFC 9457) as [`Problem`]. Every call is idempotent. What is over a bound of [`bounds`] is refused.

pub mod bounds;
mod drain;
mod links;
mod long_poll;
mod names;
mod node_report;
mod observer;
mod problem;
mod publications;
mod sessions;
mod weight;

pub use drain::*;
pub use links::*;
pub use long_poll::*;
pub use names::*;
pub use node_report::*;
pub use observer::*;
pub use problem::*;
pub use publications::*;
pub use sessions::*;
