//! How a listener is served.

use super::bounds::Bounds;
use super::hosts::Hosts;
use crate::server::client_address::Networks;
use crate::server::descriptors::reserve::Reserve;

/// How a listener is served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// What the log calls it.
    pub name: &'static str,
    /// How much clients may hold.
    pub bounds: Bounds,
    /// The option by which [`Bounds::connections`] is changed, for the log.
    pub option: Option<&'static str>,
    /// Addresses that are bounded by the whole alone, as loopback is: trusted proxies, through which many clients come.
    pub exempt: Networks,
    /// Names that a request may be for; any without it.
    pub hosts: Option<Hosts>,
    /// Descriptors for a listener that answers when the process has no other.
    pub reserve: Option<Reserve>,
}

impl Serving {
    /// Serves a listener of this name within these bounds, for any `Host` and with a share for each address.
    #[must_use]
    pub fn new(name: &'static str, bounds: Bounds) -> Self {
        Self {
            name,
            bounds,
            option: None,
            exempt: Networks::default(),
            hosts: None,
            reserve: None,
        }
    }
}
