//! Sessions of a node in the admin API: who publishes and who watches, and how it goes.

use super::bounds;
use super::names::{PublicationId, SessionHandle, StreamName};
use super::publications::{TrackState, known_state};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Most sessions that one answer lists.
pub const MAX_SESSIONS_LISTED: u32 = 1_000;
/// Longest reason of a kick, in characters.
pub const MAX_KICK_REASON: usize = 200;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionRole {
    /// WHIP.
    Publisher,
    /// WHEP.
    Viewer,
}

impl SessionRole {
    /// As JSON and metrics write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Viewer => "viewer",
        }
    }
}

/// `GET /admin/v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// Sessions that fit the question, whether they are listed or not.
    #[serde(deserialize_with = "bounds::whole::<_, u32, { bounds::MAX_SESSIONS }>")]
    pub total: u32,
    /// By stream, then by id; at most as many as were asked for.
    #[serde(deserialize_with = "bounds::list::<_, _, { MAX_SESSIONS_LISTED as usize }>")]
    pub sessions: Vec<SessionReport>,
}

/// One session. Figures are those of the worker at the moment of the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionReport {
    /// Names the session in logs and in this API. The session's URL is a credential, and cannot be made from it.
    pub id: SessionHandle,
    /// Name of the stream.
    pub stream: StreamName,
    /// What is published or watched.
    pub publication: PublicationId,
    /// Publisher or viewer.
    pub role: SessionRole,
    /// Whether the client has connected (DTLS).
    pub connected: bool,
    /// Time since the answer, in milliseconds.
    pub age_ms: u64,
    /// Worker that serves it.
    pub worker: u16,
    /// What was measured; absent while the client has not connected, and when the worker did not answer in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<SessionMedia>,
    /// How its media goes: of a publisher the track that goes worst, of a viewer what it is sent. Absent before the client has connected.
    /// `waiting` of a viewer: no picture has been sent to it yet, and nothing is known to be wrong with the publication.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_state")]
    pub state: Option<TrackState>,
    /// Layer that a viewer of a simulcast stream is sent at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<SessionLayer>,
    /// Where the client was told to send its media, and what has come of that. Nodes of the release before do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ice: Option<SessionIce>,
}

/// How the client of a session finds the node (ICE): the addresses that it was given, and the pair that it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionIce {
    /// How far it has come.
    pub state: SessionIceState,
    /// Candidates of the last description that the client was given, UDP first; an ICE restart brings new ones. At most 32.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_CANDIDATES }>")]
    pub candidates: Vec<SessionCandidate>,
    /// Addresses between which media goes; absent in the state `new`, and in `disconnected` those of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<SessionPair>,
}

/// How far ICE of a session has come, as mediasoup says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionIceState {
    /// No check (STUN binding request) with the credentials of this session has come in: none of the candidates was tried, or
    /// the packets were lost on the way.
    New,
    /// Checks have come in, and the client has not said yet which pair it uses.
    Connected,
    /// The client has said which pair it uses.
    Completed,
    /// The TCP connection that was in use is closed, and there is no other.
    Disconnected,
}

/// Transport protocol of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum MediaProtocol {
    /// UDP.
    Udp,
    /// TCP; the client connects.
    Tcp,
}

/// An address that a client was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCandidate {
    /// Protocol.
    pub protocol: MediaProtocol,
    /// IP address, or host name.
    #[serde(deserialize_with = "bounds::text::<_, { bounds::MAX_HOST }>")]
    pub address: String,
    /// Port.
    pub port: u16,
}

/// A pair of addresses in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionPair {
    /// Protocol.
    pub protocol: MediaProtocol,
    /// The node's own end: what it listens on, which need not be what the client was given.
    #[serde(deserialize_with = "bounds::text::<_, { bounds::MAX_HOST }>")]
    pub local_address: String,
    /// Its port.
    pub local_port: u16,
    /// The client's end, as the node sees it: behind address translation, that of the translator.
    #[schema(value_type = String)]
    pub remote_address: IpAddr,
    /// Its port.
    pub remote_port: u16,
}

/// Media of a session, all its tracks together: what a publisher sends to the node, what the node sends to a viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionMedia {
    /// RTP at present, in bit/s.
    pub bitrate: u64,
    /// RTP bytes since the beginning.
    pub bytes: u64,
    /// RTP packets since the beginning.
    pub packets: u64,
    /// Packets lost on the way since the beginning; for a viewer, as it reports.
    pub packets_lost: u64,
    /// Share of packets lost lately, 0 to 1, of the track that has it worst.
    pub loss: f64,
    /// Round trip to the client, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// NACKs: sent to a publisher, received from a viewer.
    pub nacks: u64,
    /// Requests for a key frame (PLI and FIR): sent to a publisher, received from a viewer.
    pub key_frame_requests: u64,
}

/// A layer of a simulcast stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionLayer {
    /// 0 is the smallest picture.
    pub spatial: u8,
    /// 0 is the lowest frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal: Option<u8>,
}
