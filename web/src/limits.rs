//! How much clients of a front door may hold, and who a client is.

use crate::options::LimitOptions;
use crate::problem::Refusal;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use sfumato_admin_api::server::client_address::{ClientKey, Networks, holder};
use sfumato_admin_api::server::places::{Place, Places};
use sfumato_admin_api::server::serving::{Hosts, Serving};
use sfumato_admin_api::server::shares::{Over, Part, Share};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Streams of the cluster view that are served at once; each holds a connection.
const MAX_CLUSTER_STREAMS: u32 = 256;
/// Descriptors for calls to the nodes, besides those for streams of events.
const CALLS: u32 = 512;

/// Tokens of observers that are being checked at a time; each takes a node some microseconds.
const MAX_CHECKS: u32 = 32;
/// Longest wait for a place among them.
const CHECK_WAIT: Duration = Duration::from_secs(2);

/// A place among what clients of a front door may have open.
pub type ClientPlace = Place<ClientKey>;

/// The limits of a front door.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The listener for everybody.
    pub serving: Serving,
    /// Streams of events of viewers; each holds two connections.
    pub viewers: ClientPlaces,
    /// Streams of the cluster view.
    pub cluster: ClientPlaces,
    /// Requests that are passed on to nodes, from before their bodies are read to the answer; each holds a descriptor and up to
    /// 64 KiB.
    pub calls: ClientPlaces,
    /// Tokens of those who want to see it.
    pub checks: Checks,
}

impl Limits {
    /// Those that the options name, for a listener at this address.
    #[must_use]
    pub fn of(options: &LimitOptions, listen: SocketAddr, allowed_hosts: &[String]) -> Self {
        let others = options.max_event_streams.saturating_add(CALLS);
        let exempt = options.trusted_proxy.and(&options.trusted_address);
        let mut serving = Serving::of_clients("front door", options.max_connections, others, exempt);
        let most = serving.bounds.connections;
        serving.hosts = Hosts::of(listen, allowed_hosts, Some("--allowed-host"));
        let clients = Arc::new(Clients {
            proxies: options.trusted_proxy.clone(),
            exempt: options.trusted_address.clone(),
        });
        Self {
            serving,
            // However few connections there are, streams leave some for requests.
            viewers: ClientPlaces::new(
                "event streams",
                options.max_event_streams.min(most / 2).max(1),
                Some("--max-event-streams"),
                &clients,
            ),
            cluster: ClientPlaces::new(
                "event streams",
                MAX_CLUSTER_STREAMS.min(most / 8).max(1),
                None,
                &clients,
            ),
            calls: ClientPlaces::new("requests", CALLS, None, &clients),
            checks: Checks::new(&clients),
        }
    }
}

/// Who a client is.
#[derive(Debug)]
struct Clients {
    proxies: Networks,
    exempt: Networks,
}

impl Clients {
    fn holder(&self, request: &Request) -> Option<ClientKey> {
        // Only a router that is not served over a socket has no peer.
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
        let client: IpAddr = self.proxies.client(peer, false, request.headers());
        holder(client, &self.exempt)
    }
}

/// Tokens that may be checked at a time: each has nodes asked.
#[derive(Debug, Clone)]
pub struct Checks {
    places: Places<ClientKey>,
    /// Told whenever a place may be free.
    freed: Arc<Notify>,
    clients: Arc<Clients>,
}

/// A place of a token that is being checked.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct CheckPlace {
    place: Option<Place<ClientKey>>,
    freed: Arc<Notify>,
}

impl Drop for CheckPlace {
    fn drop(&mut self) {
        drop(self.place.take());
        self.freed.notify_waiters();
    }
}

impl Checks {
    fn new(clients: &Arc<Clients>) -> Self {
        Self {
            places: Places::new(Share {
                most: MAX_CHECKS,
                part: Part::Tenth,
            }),
            freed: Arc::default(),
            clients: Arc::clone(clients),
        }
    }

    /// Whom a check counts against that this request needs.
    #[must_use]
    pub fn holder(&self, request: &Request) -> Option<ClientKey> {
        self.clients.holder(request)
    }

    /// How many are taken.
    #[cfg(test)]
    pub fn taken(&self) -> u32 {
        self.places.taken()
    }

    /// A place for the check of a client's token, waited for if need be: a check is over in a moment.
    ///
    /// # Errors
    /// Why there is none after a while.
    pub async fn take(&self, holder: Option<ClientKey>) -> Result<CheckPlace, Over> {
        let deadline = Instant::now() + CHECK_WAIT;
        loop {
            // Before the look: what becomes free in between is not missed.
            let freed = self.freed.notified();
            match self.places.take(holder.into_iter().collect()) {
                Ok(place) => {
                    return Ok(CheckPlace {
                        place: Some(place),
                        freed: Arc::clone(&self.freed),
                    });
                }
                Err(over) => tokio::time::timeout_at(deadline, freed).await.map_err(|_| over)?,
            }
        }
    }
}

/// What may be open at a time for clients.
#[derive(Debug, Clone)]
pub struct ClientPlaces {
    /// Of what.
    what: &'static str,
    places: Places<ClientKey>,
    most: u32,
    option: Option<&'static str>,
    clients: Arc<Clients>,
}

impl ClientPlaces {
    fn new(what: &'static str, most: u32, option: Option<&'static str>, clients: &Arc<Clients>) -> Self {
        Self {
            what,
            places: Places::new(Share {
                most,
                part: Part::Tenth,
            }),
            most,
            option,
            clients: Arc::clone(clients),
        }
    }

    /// A place for what this request asks for.
    ///
    /// # Errors
    /// 503 when all are taken, 429 when more than half are and the client has its share.
    pub fn take(&self, request: &Request) -> Result<ClientPlace, Refusal> {
        let holder = self.clients.holder(request);
        let taken = self.places.take(holder.into_iter().collect());
        taken.map_err(|over| {
            let (most, what) = (self.most, self.what);
            let by = self.option.map_or_else(String::new, |option| format!(" ({option})"));
            let (status, detail) = match over {
                Over::All(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{most} {what} are open, as many as may be{by}; do without, or try again"),
                ),
                Over::One(share) => (
                    StatusCode::TOO_MANY_REQUESTS,
                    format!(
                        "more than half of the {most} {what} that may be{by} are open, and this client address has \
                         its share of {share}; if many people are behind it, its network belongs into --trusted-address"
                    ),
                ),
            };
            Refusal::new(status, &format!("Too many {what}"), detail).retry()
        })
    }
}
