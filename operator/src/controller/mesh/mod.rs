//! The meshes of all clusters: who is in them, how nodes are called, and the task that keeps each whole.

mod farewell;
pub mod gauges;
pub mod meshes;
mod node_calls;
pub mod targets;
