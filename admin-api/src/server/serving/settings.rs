//! How a listener is served.

use super::admission::Admission;
use super::bounds::Bounds;
use super::hosts::Hosts;
use crate::server::client_address::Networks;
use crate::server::descriptors::reserve::Reserve;
use std::sync::Arc;

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
    /// Where connections are counted, if several listeners have one bound together.
    pub(super) together: Option<Arc<Admission>>,
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
            together: None,
        }
    }

    /// All listeners that are served by clones of this have one bound together: what is held of one is missing at the others.
    /// To be called when bounds and exemptions are complete.
    #[must_use]
    pub fn together(mut self) -> Self {
        self.together = Some(self.admission());
        self
    }

    pub(super) fn admission(&self) -> Arc<Admission> {
        let own = || Arc::new(Admission::new(&self.bounds, self.exempt.clone()));
        self.together.clone().unwrap_or_else(own)
    }
}
