//! What the API server has, in memory, and which clusters are to be looked at because of it.

pub mod caches;
pub mod definition;
pub mod members;
pub mod owned_fields;
pub mod ownership;
pub mod queue;
pub mod seen;
pub mod taken_over;
