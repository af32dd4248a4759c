//! The node: what its listeners and its background tasks share, and the only room that changes several others at once.
//!
//! The rooms below (`media`, `links`, `streams`, `names`, `sessions`, ...) know nothing of [`Node`]. Its files add what the
//! node does, one file a matter: links that the operator asks for, fan-out, claims on names, sync with peers, draining,
//! layers, statistics. WHIP and WHEP stand above, in `negotiate` and `http`.

mod claim_name;
mod coalesce;
mod emptying;
mod fanout;
mod inbox;
mod keep_names;
mod layer_rounds;
mod link_requests;
mod objects;
mod parts;
mod peer_sync;
mod pictures;
mod report;
mod session_life;
mod session_reports;
mod state;
mod strangers;
mod tasks;

pub use emptying::DrainRefused;
pub use fanout::{RelayError, SubscribeError};
#[cfg(test)]
pub use inbox::Inbox;
pub use link_requests::LinkError;
pub use parts::Node;
pub use session_life::Descriptions;
pub use session_reports::Question;
pub use state::NotReady;
pub use tasks::start as start_tasks;
