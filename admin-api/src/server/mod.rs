//! Pieces of the servers: serving within bounds, TLS, health, shares of clients, tokens, CORS, forwarded addresses, and what a
//! request for links means.

pub mod admin_token;
pub mod client_address;
pub mod client_token;
pub mod cors;
pub mod descriptors;
pub mod forwarded;
pub mod health;
pub mod link_rules;
pub mod listen;
pub mod places;
pub mod presented;
pub mod serving;
pub mod shares;
pub mod tls;
pub mod token_signing;
