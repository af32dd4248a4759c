//! What is counted over the life of a node and never falls.

pub mod tally;
