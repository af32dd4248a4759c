//! The admin API of a media node: its types, a client for it, and the pieces of a server that nodes and front door share.
//!
//! Everything else in the workspace builds on this crate; it builds on nothing of ours. From the bottom up:
//!
//! - [`types`]: what crosses an admin listener, in both directions, and the names that all speak in
//! - [`files`]: tokens and certificates in files, which are read again when they change
//! - [`program`]: what every program has: its log, and how values of options are read
//! - [`client`]: [`client::NodeAdmin`], a trait so that tests can stand in for nodes, and [`client::HttpNodeAdmin`], the real one
//! - [`server`]: rules of the listeners: tokens, CORS, forwarded addresses, what a request for links means

pub mod client;
pub mod files;
pub mod program;
pub mod server;
pub mod types;
