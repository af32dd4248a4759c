//! `Link` headers of a new session: ICE servers (RFC 9725 section 4.6), one header each, since published clients lose
//! entries of a joined one. Links of protocol extensions belong here too.

use super::Protocol;
use crate::node::Node;
use crate::session::SessionId;
use axum::http::HeaderValue;
use sfumato_mesh::api::StreamName;

/// The links of a session at `/{protocol}/{stream}/{session}`.
pub(super) fn links(node: &Node, _protocol: Protocol, _stream: &StreamName, _session: &SessionId) -> Vec<HeaderValue> {
    let servers = node.options.ice_servers.iter().map(ToString::to_string);
    servers.filter_map(|link| HeaderValue::from_str(&link).ok()).collect()
}
