//! Rules of the listeners, pure and the same at a node and at the front door.

pub mod admin_token;
pub mod client_token;
pub mod cors;
pub mod forwarded;
pub mod link_rules;
pub mod listen;
