//! The three listeners: clients (WHIP and WHEP), admin (operator, peers, front door), health and metrics.

pub mod admin;
pub mod clients;
pub mod health;

mod metrics;
pub mod openapi;
mod path;
mod sessions;
mod test_faults;
