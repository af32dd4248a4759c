//! How running nodes follow what is wanted: who has to leave, in which order, and which pod template is kept.

pub mod act;
pub mod adjust;
pub mod last_good;
pub mod observe;
mod rules;
mod upgrade;
