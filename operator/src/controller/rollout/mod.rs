//! How running nodes follow what is wanted: what is seen of them ([`observe`]), what is done about those that have to leave
//! ([`act`]; [`crate::cluster::rollout`] decides who, of Redis' pods [`redis`]), and which pod templates are kept meanwhile
//! ([`adjust`]).

pub mod act;
pub mod adjust;
pub mod controllers;
pub mod held_back;
pub mod kept_prefix;
pub mod last_good;
pub mod observe;
pub mod password;
pub mod redis;
pub mod upgrade;
