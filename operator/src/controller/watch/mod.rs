//! What the API server has, in memory, and which clusters are to be looked at because of it.

pub mod caches;
pub mod owned_fields;
pub mod queue;
pub mod seen;
