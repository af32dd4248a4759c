//! What a node says of itself.

use super::bounds;
use super::drain::DrainState;
use super::links::{LinkReport, Peer};
use super::names::Incarnation;
use super::publications::{CarriedReport, PublicationReport};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Version of the admin API that this build speaks, sent in [`NodeReport::api_version`].
pub const API_VERSION: u32 = 1;

/// Header that carries the admin token where a proxy strips `Authorization` (the Kubernetes API server's pod proxy does).
pub const TOKEN_HEADER: &str = "sfumato-admin-token";

/// What one node says of itself: `GET /admin/v1/node`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// [`API_VERSION`] of the node.
    pub api_version: u32,
    /// Release of the node, for people.
    #[serde(deserialize_with = "bounds::text::<_, { bounds::MAX_WORD }>")]
    pub version: String,
    /// Who answers, and how it is reached.
    #[serde(flatten)]
    pub node: Peer,
    /// Grows whenever anything in this report changes other than counters and round trip times.
    /// Starts anew with each incarnation.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub revision: u64,
    /// mediasoup workers; the most lanes that a link to this node can have.
    #[serde(deserialize_with = "bounds::whole::<_, u16, { bounds::MAX_WORKERS }>")]
    pub workers: u16,
    /// Most lanes of a node pair by the cluster's settings (`mesh.lanes`); absent means as many as both have workers.
    #[serde(
        default,
        deserialize_with = "bounds::optional_whole::<_, u16, { bounds::MAX_WORKERS }>"
    )]
    pub lanes: Option<u16>,
    /// Whether it was started to encrypt its links.
    pub link_encryption: bool,
    /// Whether new sessions are welcome.
    pub ready: bool,
    /// Whether the node is being emptied: no new sessions, links stay.
    pub draining: bool,
    /// Why it is being emptied, and until when.
    #[serde(default)]
    pub drain: DrainState,
    /// Whether Redis answers; media does not depend on it.
    pub redis: bool,
    /// Why Redis does not answer, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, { bounds::MAX_TEXT }>"
    )]
    pub redis_problem: Option<String>,
    /// Why the node does not find out at which addresses clients reach it, for people. It takes no sessions if it never knew.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, { bounds::MAX_TEXT }>"
    )]
    pub address_problem: Option<String>,
    /// Whether clients need tokens. Absent from nodes of a release that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_required: Option<bool>,
    /// Base URL of its WHIP and WHEP listener for front doors, in HTTPS with the certificate of its admin listener:
    /// `https://10.0.0.5:3443`. Absent where there is none, and from nodes of a release that knows none: front doors then
    /// use `clientUrl`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_secure_url"
    )]
    pub secure_client_url: Option<String>,
    /// Process id, for people on one machine.
    #[serde(default)]
    pub pid: u32,
    /// Every node that this one has a link with.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_PEERS }>")]
    pub peers: Vec<Peer>,
    /// The links as this end sees them, ordered by peer and lane.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_LINKS }>")]
    pub links: Vec<LinkReport>,
    /// Publications whose origin is this node: the first, where there are more than a reader takes.
    #[serde(deserialize_with = "bounds::first::<_, _, { bounds::MAX_REPORTED }>")]
    pub publications: Vec<PublicationReport>,
    /// Publications of other nodes that this node carries at present: the first, likewise.
    #[serde(deserialize_with = "bounds::first::<_, _, { bounds::MAX_REPORTED }>")]
    pub carried: Vec<CarriedReport>,
    /// WHEP sessions that are open.
    #[serde(deserialize_with = "bounds::whole::<_, u32, { bounds::MAX_SESSIONS }>")]
    pub viewers: u32,
    /// WHIP sessions that are open.
    #[serde(deserialize_with = "bounds::whole::<_, u32, { bounds::MAX_SESSIONS }>")]
    pub publishers: u32,
    /// Share of the busiest worker's core, 0 to 1.
    #[serde(default, deserialize_with = "bounds::load")]
    pub load: f64,
}

impl NodeReport {
    /// Whether a list of publications is as long as one may be: there may be more of them.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.publications.len() >= bounds::MAX_REPORTED || self.carried.len() >= bounds::MAX_REPORTED
    }
}

/// `GET /admin/v1/objects`: what a node and its workers hold at present, counted when asked. After sessions have ended and
/// idle times are over, the counts are back where they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objects {
    /// The life that answers.
    pub incarnation: Incarnation,
    /// WHIP and WHEP sessions.
    pub sessions: u32,
    /// Publications whose origin is this node.
    pub publications: u32,
    /// Publications of other nodes that are carried here, or are about to be.
    pub carried: u32,
    /// Publications that are sent over links, once for each link.
    pub outgoing: u32,
    /// Names that are being claimed.
    pub claiming: u32,
    /// One entry a worker, by index.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_LANES_ASKED }>")]
    pub workers: Vec<WorkerObjects>,
}

/// Objects of one mediasoup worker, from its own dump.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerObjects {
    /// Which worker, counted from 0.
    pub worker: u16,
    /// Routers: the main one, and one for each set of payload types in use.
    pub routers: u32,
    /// Transports: clients, ends of links and of pipes inside the node, and one for beats.
    pub transports: u32,
    /// Producers.
    pub producers: u32,
    /// Consumers.
    pub consumers: u32,
    /// Everything in the worker that takes requests: all of the above and what they consist of.
    pub handlers: u32,
}
