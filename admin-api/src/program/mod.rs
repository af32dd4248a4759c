//! What every program of the workspace has.

pub mod log;
pub mod option_values;
pub mod task;
