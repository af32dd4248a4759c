//! What an SfuCluster means, wherever its nodes run. Pods and processes are both described in the terms of this folder, and
//! both act on what it decides, so they cannot come to differ. Everything here is pure.
//!
//! - [`rollout`]: which node is drained, replaced or removed next, and what that waits for
//! - [`convergence`]: whether a manifest is carried out
//! - [`status`]: the status with its conditions; [`status_notes`]: which changes of it are worth an event
//! - [`node_arguments`]: workers, lanes, and the arguments that a node is started with
//! - [`large_packets`]: links that carry small packets only
//! - [`remark`], [`note`]: reason and message of a condition, and of an event

pub mod convergence;
pub mod large_packets;
pub mod node_arguments;
pub mod note;
pub mod remark;
pub mod rollout;
#[cfg(test)]
mod state_table_tests;
pub mod status;
pub mod status_notes;
#[cfg(test)]
pub mod stories;
