//! Pieces of the servers: tokens, CORS, forwarded addresses, what a request for links means, and listening.

pub mod admin_token;
pub mod client_token;
pub mod cors;
pub mod forwarded;
pub mod link_rules;
pub mod listen;
pub mod presented;
