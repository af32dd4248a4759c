//! Whom something bounded counts against.

use sfumato_admin_api::server::client_address::ClientKey;
use std::sync::Arc;

/// The subject of a token.
pub type Subject = Arc<str>;

/// A client as an address and, where its token names one, as a subject. It counts as both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Everybody at an address, or in an IPv6 network of 64 bits.
    Address(ClientKey),
    /// Everybody with tokens of one subject.
    Subject(Subject),
}
