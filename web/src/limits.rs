//! How much clients of a front door may hold, and who a client is.

use crate::options::LimitOptions;
use crate::problem::Refusal;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use sfumato_admin_api::server::client_address::{ClientKey, Networks, holder};
use sfumato_admin_api::server::descriptors;
use sfumato_admin_api::server::places::{Place, Places};
use sfumato_admin_api::server::serving::{Bounds, Hosts, Serving};
use sfumato_admin_api::server::shares::{Over, Part, Share};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Streams of the cluster view that are served at once; each holds a connection.
const MAX_CLUSTER_STREAMS: u32 = 256;
/// Descriptors for calls to the nodes, besides those for streams of events.
const CALLS: u32 = 512;

/// A place of a stream of events.
pub type StreamPlace = Place<ClientKey>;

/// The limits of a front door.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The listener for everybody.
    pub serving: Serving,
    /// Streams of events of viewers; each holds two connections.
    pub viewers: EventStreams,
    /// Streams of the cluster view.
    pub cluster: EventStreams,
}

impl Limits {
    /// Those that the options name, for a listener at this address.
    #[must_use]
    pub fn of(options: &LimitOptions, listen: SocketAddr, allowed_hosts: &[String]) -> Self {
        let option = "--max-connections";
        let others = options.max_event_streams.saturating_add(CALLS);
        let limit = descriptors::raise_limit();
        let most = descriptors::connections_within(limit, option, options.max_connections, others);
        let exempt = options.trusted_proxy.and(&options.trusted_address);
        let mut serving = Serving::new("front door", Bounds::of(most));
        serving.option = Some(option);
        serving.exempt = exempt;
        serving.hosts = Hosts::of(listen, allowed_hosts, Some("--allowed-host"));
        let clients = Arc::new(Clients {
            proxies: options.trusted_proxy.clone(),
            exempt: options.trusted_address.clone(),
        });
        Self {
            serving,
            // However few connections there are, streams leave some for requests.
            viewers: EventStreams::new(
                options.max_event_streams.min(most / 2).max(1),
                Some("--max-event-streams"),
                &clients,
            ),
            cluster: EventStreams::new(MAX_CLUSTER_STREAMS.min(most / 8).max(1), None, &clients),
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

/// Streams of events that may be open at a time.
#[derive(Debug, Clone)]
pub struct EventStreams {
    places: Places<ClientKey>,
    most: u32,
    option: Option<&'static str>,
    clients: Arc<Clients>,
}

impl EventStreams {
    fn new(most: u32, option: Option<&'static str>, clients: &Arc<Clients>) -> Self {
        Self {
            places: Places::new(Share {
                most,
                part: Part::Tenth,
            }),
            most,
            option,
            clients: Arc::clone(clients),
        }
    }

    /// A place for the stream that this request asks for.
    ///
    /// # Errors
    /// 503 when all are taken, 429 when more than half are and the client has its share.
    pub fn take(&self, request: &Request) -> Result<StreamPlace, Refusal> {
        let holder = self.clients.holder(request);
        let taken = self.places.take(holder.into_iter().collect());
        taken.map_err(|over| {
            let most = self.most;
            let by = self.option.map_or_else(String::new, |option| format!(" ({option})"));
            let (status, detail) = match over {
                Over::All(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{most} event streams are open, as many as may be{by}; do without, or try again"),
                ),
                Over::One(share) => (
                    StatusCode::TOO_MANY_REQUESTS,
                    format!(
                        "more than half of the {most} event streams that may be{by} are open, and this client address has \
                         its share of {share}; if many people are behind it, its network belongs into --trusted-address"
                    ),
                ),
            };
            Refusal::new(status, "Too many event streams", detail).retry()
        })
    }
}
