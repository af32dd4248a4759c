//! Calling a node's admin API: what can be asked, how asking can fail, and how a call gets there.

mod http;
mod node_admin;
mod transport;

pub use http::HttpNodeAdmin;
pub use node_admin::{
    AdminError, CALL_DEADLINE, CONNECT_DEADLINE, LONG_POLL_SLACK, MAX_ANSWER_BYTES, MAX_PUBLICATIONS_BYTES, NodeAdmin,
    Reach,
};
pub use transport::{Request, Straight, Transport, TransportError, secret_header};
