//! Server-sent events for viewers (WHEP core extensions, `urn:ietf:params:whep:ext:core:server-sent-events`).
//!
//! Nothing is queued: a stream of events compares the publication's [`status`] with what it has told last, so a slow
//! reader gets fewer events and never old ones, and a node never holds more for it than one status.

pub mod kind;
pub mod status;
pub mod streams;
