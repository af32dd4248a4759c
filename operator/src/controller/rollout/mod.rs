//! How running nodes follow what is wanted: what is seen of them ([`observe`]), who has to leave, and when ([`rules`]), what
//! is done about it ([`act`]), and which pod templates are kept meanwhile ([`adjust`]).

pub mod act;
pub mod adjust;
pub mod last_good;
pub mod observe;
pub mod rules;
mod upgrade;
