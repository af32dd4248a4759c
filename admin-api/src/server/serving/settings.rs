//! How a listener is served.

use super::bounds::Bounds;
use super::held::Held;
use super::hosts::Hosts;
use super::roster::MakeRoom;
use crate::server::client_address::Networks;
use crate::server::descriptors::{self, reserve::Reserve};
use std::sync::Arc;

/// The option by which a program is told how many connections its clients may have.
const MAX_CONNECTIONS: &str = "--max-connections";

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
    /// Which connections make room for a new one when there is no place.
    pub make_room: MakeRoom,
    /// Descriptors for a listener that answers when the process has no other.
    pub reserve: Option<Reserve>,
    /// Where connections are counted, if several listeners have one bound together.
    pub(super) together: Option<Arc<Held>>,
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
            make_room: MakeRoom::Idle,
            reserve: None,
            together: None,
        }
    }

    /// Serves everybody: as many connections as are wanted, if there are descriptors for them beside `others`, and no share
    /// for these networks.
    #[must_use]
    pub fn of_clients(name: &'static str, wanted: u32, others: u32, exempt: Networks) -> Self {
        let limit = descriptors::raise_limit();
        let most = descriptors::connections_within(limit, MAX_CONNECTIONS, wanted, others);
        Self {
            option: Some(MAX_CONNECTIONS),
            exempt,
            ..Self::new(name, Bounds::of(most))
        }
    }

    /// All listeners that are served by clones of this have one bound together: what is held of one is missing at the others,
    /// and makes room for theirs. To be called when bounds and exemptions are complete.
    #[must_use]
    pub fn together(mut self) -> Self {
        self.together = Some(self.held());
        self
    }

    pub(super) fn held(&self) -> Arc<Held> {
        let own = || Arc::new(Held::new(&self.bounds, self.exempt.clone(), self.make_room));
        self.together.clone().unwrap_or_else(own)
    }
}
