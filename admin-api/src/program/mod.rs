//! What every program of the workspace has.

pub mod complaints;
pub mod log;
pub mod log_fields;
pub mod option_values;
pub mod task;
