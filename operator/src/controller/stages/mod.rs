//! The stages of a reconcile that touch an object or its children, a file each.

pub mod apply;
pub mod dereference;
mod named_secrets;
mod pod_trouble;
mod stateful_set;
pub mod status;
pub mod status_events;
pub mod validate;
