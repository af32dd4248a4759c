//! Fan-out: carrying a publication over a link. The origin is the authority; a subscription is a lease that the
//! subscriber renews, so that whatever is lost on the way, neither end keeps anything for long.

mod origin;
mod subscriber;

pub use origin::SubscribeError;
pub use subscriber::{RENEW_EVERY, RelayError};
