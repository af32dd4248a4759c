//! What belongs to this process and to no cluster: its Lease, its listener, its metrics, its events.

pub mod events;
pub mod kubernetes_release;
pub mod lease;
pub mod metrics;
pub mod server;
