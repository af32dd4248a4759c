//! Links between nodes: what the operator asks for, and what a node reports.

use super::bounds;
use super::names::{Incarnation, LinkId, NodeName};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The n-th link of a node pair, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Lane(#[serde(deserialize_with = "bounds::whole::<_, u16, { bounds::MAX_LANE }>")] pub u16);

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
    #[serde(deserialize_with = "bounds::url")]
    pub admin_url: String,
    /// Base URL of its WHIP and WHEP listener, without a path: `http://127.0.0.1:3001`.
    #[serde(deserialize_with = "bounds::url")]
    pub client_url: String,
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

impl LinkState {
    /// As JSON writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Dead => "dead",
        }
    }
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
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub since_ms: u64,
    /// Round trip time measured by beats, in microseconds; absent until the first echo.
    #[serde(
        default,
        deserialize_with = "bounds::optional_whole::<_, u64, { bounds::MAX_WHOLE }>"
    )]
    pub rtt_us: Option<u64>,
    /// Beats received.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub beats_received: u64,
    /// Whether packets as large as those of pictures come through to this end; absent until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_packets: Option<LargePackets>,
    /// RTP packets that media pipes of this link, as seen by the receiving end, lost since it was made.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub packets_lost: u64,
    /// RTP packets that media pipes of this link received since it was made.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub packets_received: u64,
    /// Bytes sent by this end.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub bytes_sent: u64,
    /// Bytes received by this end.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub bytes_received: u64,
}

impl LinkReport {
    /// Whether large packets are known not to come through to this end.
    #[must_use]
    pub fn loses_large_packets(&self) -> bool {
        self.large_packets.is_some_and(|large| !large.carried)
    }
}

/// What an end of a link knows of large packets, by beats that are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LargePackets {
    /// Their size in bytes, as RTP packets; SRTP, UDP and IP come on top.
    pub bytes: u16,
    /// Whether they come through. If not, the path drops them and lets small ones pass: sound plays and pictures do not.
    pub carried: bool,
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
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_LANES_ASKED }>")]
    pub lanes: Vec<LaneRequest>,
    /// Whether ends that are opened are encrypted although this node was not started to: the peer was.
    #[serde(default)]
    pub encrypted: bool,
    /// Ends to close first (of dead incarnations of this peer, surplus lanes). Unknown ids count as closed.
    #[serde(default, deserialize_with = "bounds::list::<_, _, { bounds::MAX_LINKS }>")]
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
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_LANES_ASKED }>")]
    pub links: Vec<LinkEnd>,
}

/// `POST /admin/v1/links/close`: close ends by id. Ids are never used again, so a stale caller can close nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseLinks {
    /// The life of this node that the caller means; another one answers 409.
    pub incarnation: Incarnation,
    /// Ends to close; unknown ids count as closed.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_LINKS }>")]
    pub links: Vec<LinkId>,
}
