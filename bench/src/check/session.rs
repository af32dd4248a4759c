//! A session whose candidates are tried.

use crate::peer::IceDescription;
use std::net::IpAddr;

/// What a check needs to know of a session.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The answer.
    pub ice: &'a IceDescription,
    /// Username fragment of the offer.
    pub offered: &'a str,
    /// Local address; by default the system chooses one for each way.
    pub bind: Option<IpAddr>,
}
