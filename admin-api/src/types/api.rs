//! Admin API v1: the types that cross the admin listener of a node, in both directions.
//!
//! Conventions: JSON, camelCase, durations in milliseconds, unknown fields are ignored (releases N and N-1 work together),
//! errors are problem details (RFC 9457) as [`Problem`]. Every call is idempotent.

use crate::types::DrainState;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Version of the admin API that this build speaks, sent in [`NodeReport::api_version`].
pub const API_VERSION: u32 = 1;
/// Header that carries the admin token where a proxy strips `Authorization` (the Kubernetes API server's pod proxy does).
pub const TOKEN_HEADER: &str = "sfumato-admin-token";
/// Longest name of a stream, in characters.
pub const MAX_STREAM_NAME: usize = 128;
/// Longest name of a node, in characters (a DNS label).
pub const MAX_NODE_NAME: usize = 63;
/// Length of a session's handle, in characters. They are hexadecimal digits: 48 bits tell sessions apart, and leave more
/// than 190 bits of the id secret.
pub const SESSION_HANDLE: usize = 12;
/// Longest wait that a long poll may ask for, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 30;

/// Why a name was refused. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not allowed: use {allowed}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidName {
    /// Which kind of name it is: `stream name`, `node name`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidName { what: $what, value: value.chars().take(64).collect(), allowed: $allowed })
                }
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::try_from(value.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// Name of a node: the pod's name on Kubernetes, `sfu-1` and so on in local mode.
    NodeName,
    "node name",
    "1 to 63 of a-z, 0-9, `-` and `.`",
    |v| (1..=MAX_NODE_NAME).contains(&v.len())
        && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
);
name_type!(
    /// One life of a node: `{pod UID or 0}.{boot id}`. A restarted process is a new incarnation of the same node.
    Incarnation,
    "incarnation",
    "1 to 100 of A-Z, a-z, 0-9, `-` and `.`",
    |v| (1..=100).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
);
name_type!(
    /// Name of a stream.
    StreamName,
    "stream name",
    "1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`",
    |v| (1..=MAX_STREAM_NAME).contains(&v.len())
        && v != "."
        && v != ".."
        && v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
);
name_type!(
    /// Id of one end of a link, drawn by the node that holds that end; never used again.
    LinkId,
    "link id",
    "1 to 64 of A-Z, a-z, 0-9 and `-`",
    |v| (1..=64).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
name_type!(
    /// Names a session without giving it away: the first characters of its id, which is a credential as a whole.
    SessionHandle,
    "session id",
    "12 of a-z and 0-9",
    |v| v.len() == SESSION_HANDLE && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
);
name_type!(
    /// Id of a publication: drawn for each WHIP session.
    PublicationId,
    "publication id",
    "1 to 64 of A-Z, a-z, 0-9 and `-`",
    |v| (1..=64).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

/// The n-th link of a node pair, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Lane(pub u16);

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a node is reached by its peers and by the front door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Name of the node.
    pub name: NodeName,
    /// The life that is meant.
    pub incarnation: Incarnation,
    /// Base URL of its admin listener, without a path: `http://127.0.0.1:4001`.
    pub admin_url: String,
    /// Base URL of its WHIP and WHEP listener, without a path: `http://127.0.0.1:3001`.
    pub client_url: String,
}

/// What one node says of itself: `GET /admin/v1/node`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// [`API_VERSION`] of the node.
    pub api_version: u32,
    /// Release of the node, for people.
    pub version: String,
    /// Who answers, and how it is reached.
    #[serde(flatten)]
    pub node: Peer,
    /// Grows whenever anything in this report changes other than counters and round trip times.
    /// Starts anew with each incarnation.
    pub revision: u64,
    /// mediasoup workers; the most lanes that a link to this node can have.
    pub workers: u16,
    /// Most lanes of a node pair by the cluster's settings (`mesh.lanes`); absent means as many as both have workers.
    #[serde(default)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_problem: Option<String>,
    /// Process id, for people on one machine.
    #[serde(default)]
    pub pid: u32,
    /// Every node that this one has a link with.
    pub peers: Vec<Peer>,
    /// The links as this end sees them, ordered by peer and lane.
    pub links: Vec<LinkReport>,
    /// Publications whose origin is this node.
    pub publications: Vec<PublicationReport>,
    /// Publications of other nodes that this node carries at present.
    pub carried: Vec<CarriedReport>,
    /// WHEP sessions that are open.
    pub viewers: u32,
    /// WHIP sessions that are open.
    pub publishers: u32,
    /// Share of the busiest worker's core, 0 to 1.
    #[serde(default)]
    pub load: f64,
}

/// State of one end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// No beat has come back yet.
    Connecting,
    /// A beat that echoes a recent one of ours came within three intervals.
    Fresh,
    /// Three beats missed: no new fan-out over it; nothing is closed.
    Stale,
    /// Its transport has failed.
    Dead,
}

/// One end of a link, as its node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkReport {
    /// This end.
    pub id: LinkId,
    /// The node at the other end.
    pub peer: NodeName,
    /// The life of that node that the link was made for.
    pub peer_incarnation: Incarnation,
    /// Which link of the pair.
    pub lane: Lane,
    /// The other end, once connected.
    pub remote: Option<LinkId>,
    /// What this end sees.
    pub state: LinkState,
    /// How long the state had lasted when the report was written, in milliseconds.
    pub since_ms: u64,
    /// Round trip time measured by beats, in microseconds; absent until the first echo.
    pub rtt_us: Option<u64>,
    /// Beats received.
    #[serde(default)]
    pub beats_received: u64,
    /// RTP packets that media pipes of this link, as seen by the receiving end, lost since it was made.
    #[serde(default)]
    pub packets_lost: u64,
    /// RTP packets that media pipes of this link received since it was made.
    #[serde(default)]
    pub packets_received: u64,
    /// Bytes sent by this end.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Bytes received by this end.
    #[serde(default)]
    pub bytes_received: u64,
}

/// Kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// One track of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// Audio or video; a publication has at most one of each.
    pub kind: TrackKind,
    /// Codec as in SDP: `opus`, `VP8`, `H264`.
    pub codec: String,
    /// Simulcast layers from the lowest to the highest; none when there is only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerReport>,
}

/// One simulcast layer of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// The publisher's name for it (RFC 8851).
    #[serde(default)]
    pub rid: Option<String>,
    /// Width of its pictures in pixels, as of its last key frame; absent before the first.
    #[serde(default)]
    pub width: Option<u32>,
    /// Height of its pictures in pixels.
    #[serde(default)]
    pub height: Option<u32>,
}

/// A publication at its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicationReport {
    /// Id of this sending.
    pub id: PublicationId,
    /// Name under which it is watched.
    pub stream: StreamName,
    /// Claim on the name: the higher generation wins, on a tie the smaller publication id.
    pub generation: u64,
    /// Worker that receives it, counted from 0; it crosses on lane `worker mod lanes`.
    pub worker: u16,
    /// What is sent.
    pub tracks: Vec<TrackReport>,
    /// Viewers on the origin itself.
    pub viewers: u32,
    /// Nodes that it is carried to at present.
    pub subscribers: Vec<NodeName>,
}

/// A publication of another node that this node carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedReport {
    /// Which publication.
    pub publication: PublicationId,
    /// Its stream.
    pub stream: StreamName,
    /// Its origin.
    pub origin: NodeName,
    /// Viewers on this node.
    pub viewers: u32,
    /// Lane that it crosses on.
    pub lane: Lane,
    /// RTP packets lost on the link, by the pipe producers' statistics.
    pub packets_lost: u64,
    /// RTP packets received over the link.
    pub packets_received: u64,
}

/// `PUT /admin/v1/links/{peer}`: make or connect links with one peer, all lanes in one call. The node answers [`Links`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutLinks {
    /// The life of this node that the caller means; another one answers 409.
    pub incarnation: Incarnation,
    /// The other end's node; its name must equal the path's.
    pub peer: Peer,
    /// One entry a lane.
    pub lanes: Vec<LaneRequest>,
    /// Whether ends that are opened are encrypted although this node was not started to: the peer was.
    #[serde(default)]
    pub encrypted: bool,
    /// Ends to close first (of dead incarnations of this peer, surplus lanes). Unknown ids count as closed.
    #[serde(default)]
    pub close: Vec<LinkId>,
}

/// What is wanted of one lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneRequest {
    /// Which lane.
    pub lane: Lane,
    /// What to do with the end that is there.
    pub end: EndAction,
    /// Other end to connect to. Absent in the first of the three calls.
    pub remote: Option<LinkEnd>,
}

/// What to do with this node's end of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", content = "link", rename_all = "lowercase")]
pub enum EndAction {
    /// Use the end that is there, else create one.
    Ensure,
    /// Use exactly this end; 409 when another or none is there.
    Keep(LinkId),
    /// Close exactly this end and create another; 409 when another or none is there.
    Replace(LinkId),
}

/// One end of a link, as the other end needs it to connect.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkEnd {
    /// Which lane.
    pub lane: Lane,
    /// Id of this end.
    pub id: LinkId,
    /// Address that the pipe listens on.
    #[schema(value_type = String)]
    pub ip: std::net::IpAddr,
    /// UDP port that the pipe listens on.
    pub port: u16,
    /// SRTP parameters in mediasoup's JSON shape, absent when links are not encrypted. A secret: never logged.
    #[schema(value_type = Option<Object>)]
    pub srtp: Option<serde_json::Value>,
    /// RTP parameters of the beat that this end sends, in mediasoup's JSON shape.
    #[schema(value_type = Object)]
    pub beat: serde_json::Value,
}

// By hand, so that the keys of a link cannot reach a log through any type that holds one.
impl fmt::Debug for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lane,
            id,
            ip,
            port,
            srtp,
            beat,
        } = self;
        let srtp = srtp.as_ref().map(|_| format_args!("redacted"));
        f.debug_struct("LinkEnd")
            .field("lane", lane)
            .field("id", id)
            .field("ip", ip)
            .field("port", port)
            .field("srtp", &srtp)
            .field("beat", beat)
            .finish()
    }
}

/// Answer to [`PutLinks`]: this node's ends, in the order asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Links {
    /// One end a lane.
    pub links: Vec<LinkEnd>,
}

/// `POST /admin/v1/links/close`: close ends by id. Ids are never used again, so a stale caller can close nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseLinks {
    /// The life of this node that the caller means; another one answers 409.
    pub incarnation: Incarnation,
    /// Ends to close; unknown ids count as closed.
    pub links: Vec<LinkId>,
}

/// `GET /admin/v1/publications?after=REVISION&wait=20s`: what a peer syncs. With `&changes=true` only what changed after
/// that revision, if the node remembers it; else everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publications {
    /// The life that answers.
    pub incarnation: Incarnation,
    /// Revision of the set.
    pub revision: u64,
    /// Whether the answering node takes new sessions, so that peers know where their viewers may go.
    pub ready: bool,
    /// Every publication whose origin is the answering node; with `changesSince` those that began or changed after it. Counts
    /// of viewers, and who subscribes, are as of the answer and no change of their own.
    pub publications: Vec<PublicationReport>,
    /// The revision that this answer adds to; absent when it tells everything. Only for callers that asked for changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_since: Option<u64>,
    /// Publications that ended after `changesSince`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<PublicationId>,
}

/// `GET /admin/v1/names/{stream}`: who on this node holds a stream name. Asked by a node that wants to publish under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameReport {
    /// The life that answers.
    pub incarnation: Incarnation,
    /// The publications that hold the name here, or are about to: none or one, and two during a take-over.
    #[serde(default)]
    pub holders: Vec<NameHolder>,
}

/// A publication that holds a name on its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameHolder {
    /// Which.
    pub publication: PublicationId,
    /// Its right: the higher generation wins, on a tie the smaller publication id.
    pub generation: u64,
    /// Its offer is being answered at this moment.
    #[serde(default)]
    pub claiming: bool,
    /// Time without RTP in milliseconds; from 3,000 on, another publisher may take the name over.
    #[serde(default)]
    pub silent_ms: u64,
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

/// `PUT /admin/v1/subscriptions/{publication}` at the origin: carry a publication over a link. Renewed every 2 s, dropped
/// by the origin when not renewed for 10 s. Answers [`Subscribed`]; 404 for an unknown publication, 409 for a stale
/// incarnation or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// Who asks.
    pub subscriber: NodeName,
    /// The life that asks.
    pub incarnation: Incarnation,
    /// The origin's own end of the link.
    pub link: LinkId,
    /// Lane of that link.
    pub lane: Lane,
    /// Whether a viewer is connected: a pipe consumer made on demand starts paused and resumes with this.
    pub active: bool,
    /// Grows with each subscription of this life of the subscriber.
    pub order: u64,
}

/// Renewal of all subscriptions of one subscriber at one origin: `POST /admin/v1/subscriptions/renew`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewSubscriptions {
    /// Who asks.
    pub subscriber: NodeName,
    /// The life that asks.
    pub incarnation: Incarnation,
    /// Every publication that the subscriber still carries over this link pair. What is not listed is dropped at once.
    pub publications: Vec<PublicationId>,
    /// The last [`Subscribe::order`] when the list was begun: what was subscribed to after that is not meant by its absence.
    pub order: u64,
}

/// Answer to [`RenewSubscriptions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewedSubscriptions {
    /// Publications that the origin does not carry to this subscriber: it closes them and subscribes anew if needed.
    pub unknown: Vec<PublicationId>,
}

/// Answer to [`Subscribe`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// One entry a track.
    pub tracks: Vec<SubscribedTrack>,
}

/// One track that crosses the link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribedTrack {
    /// Identifies the pipe consumer; a repeated subscription answers the same id while it lives.
    pub id: String,
    /// Audio or video.
    pub kind: TrackKind,
    /// RTP parameters of the pipe consumer, in mediasoup's JSON shape.
    #[schema(value_type = Object)]
    pub rtp_parameters: serde_json::Value,
}

/// Problem details (RFC 9457), the body of every error: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// HTTP status code, repeated.
    pub status: u16,
    /// Short, the same for every occurrence.
    pub title: String,
    /// What happened, on what, and what to do.
    pub detail: String,
    /// Field, header or path part that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

/// Media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";
