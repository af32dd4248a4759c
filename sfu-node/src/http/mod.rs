//! What the listeners serve: clients (WHIP and WHEP), admin (operator, peers, front door), health and metrics.

pub mod admin;
pub mod clients;
pub mod health;
mod merged;

mod metrics;
mod path;
pub mod problem;
mod refusals;
