//! Ids that a node draws. None is ever drawn twice, whatever the node's life.

use sfumato_admin_api::types::{LinkId, PublicationId, SESSION_HANDLE, SessionHandle};
use uuid::Uuid;

/// Id of a session: the unguessable last part of its URL.
pub type SessionId = String;

/// The public part of a session's id, for the admin API: its first characters. The others stay secret.
pub fn handle(id: &str) -> Option<SessionHandle> {
    short(id).parse().ok()
}

/// The same as text, for logs: enough to follow a session, too little to use it.
pub fn short(id: &str) -> &str {
    id.get(..SESSION_HANDLE).unwrap_or(id)
}

/// 244 random bits from the operating system: the URL of a session is a credential.
pub fn new_session_id() -> SessionId {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// For each WHIP session.
pub fn new_publication_id() -> PublicationId {
    let id = PublicationId::try_from(random_id());
    id.expect("32 hexadecimal digits are an id of a publication")
}

/// For each end of a link.
pub fn new_link_id() -> LinkId {
    LinkId::try_from(random_id()).expect("32 hexadecimal digits are an id of a link")
}

/// 122 random bits as 32 hexadecimal digits.
pub fn random_id() -> String {
    Uuid::new_v4().simple().to_string()
}
