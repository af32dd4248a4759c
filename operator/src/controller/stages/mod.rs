//! The stages of a reconcile that read and write objects, a file each; [`crate::controller::reconcile`] calls them in turn.
//! Each has an error of its own.

mod adopt;
mod announce;
pub mod apply;
pub mod apply_error;
mod apply_redis;
pub mod dereference;
pub mod facts;
mod generations;
mod held;
pub mod installation;
mod last_apply;
mod named_secrets;
mod places;
mod pod_events;
pub mod pod_trouble;
mod redis_leftovers;
mod redis_workload;
mod scalers;
mod stateful_set;
mod sweep;
pub mod validate;
pub mod write_status;
