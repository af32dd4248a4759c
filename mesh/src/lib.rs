//! The mesh of media nodes: the admin API that each node serves, a client for it, the planner that compares the desired
//! mesh with what both ends of every link report, and the driver that carries out the planner's steps.
//!
//! This crate knows neither Kubernetes nor mediasoup. The operator, its `local` mode, the nodes and the front door
//! all speak the types of [`api`]; [`plan()`] is a pure function and [`drive()`] does its I/O through [`NodeAdmin`].
//! [`MeshTask`] puts them together: targets and reports in, snapshots out.

pub mod access;
pub mod admin;
pub mod api;
pub mod auth;
pub mod backoff;
pub mod cors;
pub mod drain;
pub mod drive;
pub mod followed_file;
pub mod forwarded;
pub mod http;
mod lane_rules;
pub mod link_rules;
pub mod listen;
pub mod log;
pub mod option_values;
pub mod plan;
mod poll;
pub mod sessions;
pub mod snapshot;
mod step;
pub mod task;
pub mod tls;
mod token_file;
pub mod transport;
pub mod wait;

pub use admin::{AdminError, NodeAdmin, Reach};
pub use auth::token_matches;
pub use drive::{DriveOptions, Outcome, drive};
pub use http::{HttpNodeAdmin, TokenSource};
pub use plan::{Observed, PlanOptions, Step, plan};
pub use snapshot::{MemberSnapshot, MeshSnapshot};
pub use task::{MeshHandle, MeshOptions, MeshTask, Target};
pub use tls::{TrustedCa, client};
pub use token_file::TokenFile;
pub use wait::parse_wait;
