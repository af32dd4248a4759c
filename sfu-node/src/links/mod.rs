//! Links to other nodes: each an encrypted pipe whose two ends hear each other's beats.

pub mod beat;
pub mod beat_sender;
pub mod large;
pub mod link;
mod listed_map;
pub mod table;
