//! The mesh of media nodes: a planner that compares the desired mesh with what both ends of every link report, and a driver
//! that carries out the planner's steps.
//!
//! This crate knows neither Kubernetes nor mediasoup. [`plan()`] is a pure function, and [`drive()`] does its I/O through
//! [`sfumato_admin_api::client::NodeAdmin`]. [`MeshTask`] puts them together: targets and reports in, snapshots out.

pub mod backoff;
mod budget;
pub mod drive;
mod ends;
mod lane_rules;
pub mod plan;
mod poll;
pub mod snapshot;
mod step;
mod target;
pub mod task;

pub use budget::Budget;
pub use drive::{DriveOptions, Outcome, drive};
pub use plan::{Observed, PlanOptions, Step, plan};
pub use snapshot::{MemberSnapshot, MeshSnapshot};
pub use target::Target;
pub use task::{MeshHandle, MeshOptions, MeshTask};
