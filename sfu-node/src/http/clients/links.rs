//! `Link` headers of a new session: ICE servers (RFC 9725 section 4.6), one header each, since published clients lose
//! entries of a joined one; and the WHEP extensions of a viewer.

use super::extensions;
use super::protocol::Protocol;
use crate::ids::SessionId;
use crate::node::Node;
use axum::http::HeaderValue;
use sfumato_admin_api::types::StreamName;
use std::time::SystemTime;

/// The links of a session, or of one that begins with the player's answer.
pub(super) fn links(node: &Node, protocol: Protocol, stream: &StreamName, session: &SessionId) -> Vec<HeaderValue> {
    let mut links: Vec<String> = node
        .options
        .ice_servers
        .iter()
        .map(|server| server.link(SystemTime::now()))
        .collect();
    if protocol == Protocol::Whep {
        let open = node.sessions.get(session).map(|session| session.layers().is_some());
        let layers = open.or_else(|| node.offers.has_layers(session)).unwrap_or(false);
        links.extend(extensions::links(stream, session, layers));
    }
    links
        .iter()
        .filter_map(|link| HeaderValue::from_str(link).ok())
        .collect()
}
