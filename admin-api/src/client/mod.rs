//! Calling a node's admin API: what can be asked, how asking can fail, and how a call gets there.

mod http;
mod node_admin;
mod room;
mod transport;
mod transport_error;

pub use http::HttpNodeAdmin;
pub use node_admin::{
    AdminError, CALL_DEADLINE, CONNECT_DEADLINE, LONG_POLL_SLACK, MAX_ANSWER_BYTES, MAX_PUBLICATIONS_BYTES, NodeAdmin,
    Reach,
};
pub use room::{Answer, BUILDING_BYTES, Building, ROOM_BYTES, Room, time_of};
pub use transport::{Request, Straight, Transport, secret_header};
pub use transport_error::TransportError;
