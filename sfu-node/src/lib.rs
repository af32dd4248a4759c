//! A media node: publishers come by WHIP, viewers by WHEP, and streams cross to every other node over links.
//!
//! From the bottom up, each room knows only those before it:
//!
//! | rooms | what they hold |
//! |---|---|
//! | [`options`], `access`, `limits`, `ids` | how the node was started, who may do what, how much; ids that it draws |
//! | [`sdp`], `media` | descriptions, parsed and written; mediasoup's workers and pipes |
//! | `names`, `links`, `layers`, `events` | rights to names, links to other nodes, simulcast layers, what viewers are told |
//! | `streams`, `sessions`, `stats` | publications on this node; WHIP and WHEP sessions; what is counted |
//! | `node` | acts on all of these; the only one that changes several of them at once |
//! | `negotiate` | from an offer to a session |
//! | [`http`] | the three listeners, and which status each error becomes |
//! | `listeners` | how much the clients of each listener may hold |
//! | `serve` | starts the node, its tasks and its listeners, and ends them |

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod events;
pub mod http;
mod ids;
mod layers;
mod limits;
mod links;
mod listeners;
mod media;
mod names;
mod negotiate;
mod node;
pub mod options;
pub mod sdp;
mod serve;
mod sessions;
mod stats;
mod streams;
#[cfg(test)]
mod tests;

pub use media::libraries::versions as libraries;
pub use media::worker_threads::have_ended as workers_have_ended;
pub use serve::run;
