//! Publications as nodes tell each other of them, names, and subscriptions.

use super::bounds;
use super::links::Lane;
use super::names::{Incarnation, LinkId, NodeName, PublicationId, StreamName};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

impl TrackKind {
    /// As JSON writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// What arrives of a track at its origin, and why nothing can be shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TrackState {
    /// Too early to tell: the publisher has just connected, or has not sent its first key frame yet.
    Waiting,
    /// RTP comes, of a video after a key frame.
    Flowing,
    /// No RTP of it has come for 5 s.
    Nothing,
    /// RTP of a video comes, and no key frame came within 5 s. Of H264, key frames are those with SPS.
    NoKeyFrame,
    /// It is silent while RTP comes with an SSRC that no track of the offer has. The session is ended.
    StrangeSsrc,
}

impl TrackState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Flowing,
        Self::Nothing,
        Self::NoKeyFrame,
        Self::StrangeSsrc,
    ];

    /// Whether nothing can be shown, and somebody has to change something.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::Waiting | Self::Flowing)
    }

    /// As JSON writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Flowing => "flowing",
            Self::Nothing => "nothing",
            Self::NoKeyFrame => "noKeyFrame",
            Self::StrangeSsrc => "strangeSsrc",
        }
    }
}

/// A state that this release knows.
pub(super) fn known_state<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TrackState>, D::Error> {
    let word = bounds::optional_text::<_, { bounds::MAX_WORD }>(from)?;
    Ok(word.and_then(|word| TrackState::ALL.into_iter().find(|state| state.as_str() == word)))
}

/// One track of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// Audio or video; a publication has at most one of each.
    pub kind: TrackKind,
    /// Codec as in SDP: `opus`, `VP8`, `H264`.
    #[serde(deserialize_with = "bounds::text::<_, { bounds::MAX_WORD }>")]
    pub codec: String,
    /// What arrives of it at its origin; absent where that is not known. A state of a later release counts as not known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_state")]
    pub state: Option<TrackState>,
    /// Simulcast layers from the lowest to the highest; none when there is only one.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, { bounds::MAX_LAYERS }>"
    )]
    pub layers: Vec<LayerReport>,
}

/// One simulcast layer of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// The publisher's name for it (RFC 8851).
    #[serde(default, deserialize_with = "bounds::optional_text::<_, { bounds::MAX_WORD }>")]
    pub rid: Option<String>,
    /// Width of its pictures in pixels, as of its last key frame; absent before the first.
    #[serde(
        default,
        deserialize_with = "bounds::optional_whole::<_, u32, { bounds::MAX_PIXELS }>"
    )]
    pub width: Option<u32>,
    /// Height of its pictures in pixels.
    #[serde(
        default,
        deserialize_with = "bounds::optional_whole::<_, u32, { bounds::MAX_PIXELS }>"
    )]
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
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub generation: u64,
    /// Worker that receives it, counted from 0; it crosses on lane `worker mod lanes`.
    #[serde(deserialize_with = "bounds::whole::<_, u16, { bounds::MAX_WORKERS }>")]
    pub worker: u16,
    /// What is sent.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_TRACKS }>")]
    pub tracks: Vec<TrackReport>,
    /// Viewers on the origin itself.
    #[serde(deserialize_with = "bounds::whole::<_, u32, { bounds::MAX_SESSIONS }>")]
    pub viewers: u32,
    /// Nodes that it is carried to at present.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_PEERS }>")]
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
    #[serde(deserialize_with = "bounds::whole::<_, u32, { bounds::MAX_SESSIONS }>")]
    pub viewers: u32,
    /// Lane that it crosses on.
    pub lane: Lane,
    /// RTP packets lost on the link, by the pipe producers' statistics.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub packets_lost: u64,
    /// RTP packets received over the link.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub packets_received: u64,
}

/// `GET /admin/v1/publications?after=REVISION&wait=20s`: what a peer syncs. With `&changes=true` only what changed after
/// that revision, if the node remembers it; else everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publications {
    /// The life that answers.
    pub incarnation: Incarnation,
    /// Revision of the set.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub revision: u64,
    /// Whether the answering node takes new sessions, so that peers know where their viewers may go.
    pub ready: bool,
    /// Every publication whose origin is the answering node; with `changesSince` those that began or changed after it. Counts
    /// of viewers, and who subscribes, are as of the answer and no change of their own.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_PUBLICATIONS }>")]
    pub publications: Vec<PublicationReport>,
    /// The revision that this answer adds to; absent when it tells everything. Only for callers that asked for changes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_whole::<_, u64, { bounds::MAX_WHOLE }>"
    )]
    pub changes_since: Option<u64>,
    /// Publications that ended after `changesSince`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, { bounds::MAX_PUBLICATIONS }>"
    )]
    pub ended: Vec<PublicationId>,
}

/// `GET /admin/v1/names/{stream}`: who on this node holds a stream name. Asked by a node that wants to publish under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameReport {
    /// The life that answers.
    pub incarnation: Incarnation,
    /// The publications that hold the name here, or are about to: none or one, and two during a take-over.
    #[serde(default, deserialize_with = "bounds::list::<_, _, { bounds::MAX_HOLDERS }>")]
    pub holders: Vec<NameHolder>,
}

/// A publication that holds a name on its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameHolder {
    /// Which.
    pub publication: PublicationId,
    /// Its right: the higher generation wins, on a tie the smaller publication id.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub generation: u64,
    /// Its offer is being answered at this moment.
    #[serde(default)]
    pub claiming: bool,
    /// Time without RTP in milliseconds; from 3,000 on, another publisher may take the name over.
    #[serde(default, deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub silent_ms: u64,
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
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
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
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_PUBLICATIONS }>")]
    pub publications: Vec<PublicationId>,
    /// The last [`Subscribe::order`] when the list was begun: what was subscribed to after that is not meant by its absence.
    #[serde(deserialize_with = "bounds::whole::<_, u64, { bounds::MAX_WHOLE }>")]
    pub order: u64,
}

/// Answer to [`RenewSubscriptions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewedSubscriptions {
    /// Publications that the origin does not carry to this subscriber: it closes them and subscribes anew if needed.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_PUBLICATIONS }>")]
    pub unknown: Vec<PublicationId>,
}

/// Answer to [`Subscribe`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// One entry a track.
    #[serde(deserialize_with = "bounds::list::<_, _, { bounds::MAX_TRACKS }>")]
    pub tracks: Vec<SubscribedTrack>,
}

/// One track that crosses the link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribedTrack {
    /// Identifies the pipe consumer; a repeated subscription answers the same id while it lives.
    #[serde(deserialize_with = "bounds::text::<_, { bounds::MAX_WORD }>")]
    pub id: String,
    /// Audio or video.
    pub kind: TrackKind,
    /// RTP parameters of the pipe consumer, in mediasoup's JSON shape.
    #[schema(value_type = Object)]
    pub rtp_parameters: serde_json::Value,
}
