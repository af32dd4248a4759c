//! The stages of a reconcile that read and write objects, a file each; [`crate::controller::reconcile`] calls them in turn.
//! Each has an error of its own.

mod adopt;
pub mod apply;
mod apply_redis;
pub mod dereference;
pub mod facts;
mod generations;
pub mod installation;
mod named_secrets;
mod pod_trouble;
mod redis_workload;
mod stateful_set;
mod sweep;
pub mod validate;
pub mod write_status;
