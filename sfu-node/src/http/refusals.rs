//! What HTTP makes of each domain error: its status, its title and the field at fault. The words are the domain's own.

use super::problem::Problem;
use crate::access::NotAdmitted;
use crate::events::kind::InvalidEvents;
use crate::events::streams::TooManyStreams;
use crate::layers::request::InvalidLayerRequest;
use crate::limits::{Full, Shared, TooFast};
use crate::media::deadline::MediaError;
use crate::names::claiming::NameTaken;
use crate::negotiate::Refusal;
use crate::node::{DrainRefused, LinkError, RelayError, SubscribeError};
use crate::sdp::{SdpError, SdpFault};
use crate::sessions::ice::{PatchFault, PatchRefused};
use axum::http::{HeaderValue, StatusCode, header};
use sfumato_admin_api::types::ObserverRefusal;
use std::time::Duration;

/// A client whose node is full should not come back sooner: places become free when sessions end.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);
/// Requests are answered soon.
const RETRY_WHEN_BUSY: Duration = Duration::from_secs(1);
/// A viewer of a stream that nobody publishes may ask again after so many seconds.
const RETRY_NOT_LIVE: u32 = 2;

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Late { .. } | MediaError::NoPort { .. } => Self::unavailable(error),
            MediaError::Refused { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Media worker error", error),
            MediaError::Unusable { what, cause } => Self::internal(what, cause),
        }
    }
}

impl From<SdpError> for Problem {
    fn from(error: SdpError) -> Self {
        let (status, title) = match error.fault {
            SdpFault::Malformed => (StatusCode::BAD_REQUEST, "Malformed SDP"),
            SdpFault::Unsupported => (StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP"),
        };
        Self::new(status, title, error.detail).field(error.field)
    }
}

impl From<TooFast> for Problem {
    fn from(error: TooFast) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", error).retry_after(whole_seconds(error.wait))
    }
}

/// RFC 6750 section 3.
impl From<NotAdmitted> for Problem {
    fn from(error: NotAdmitted) -> Self {
        let (status, title, code) = kind(&error);
        let detail = error.to_string();
        // Ours, of printable ASCII: it is always a header.
        let challenge = HeaderValue::from_str(&challenge(code, &detail)).unwrap_or(HeaderValue::from_static(REALM));
        Self::new(status, title, detail)
            .field("Authorization")
            .header(header::WWW_AUTHENTICATE, challenge)
    }
}

/// What a front door tells a client that may not see the cluster.
pub fn observer_refusal(error: &NotAdmitted) -> ObserverRefusal {
    let (status, title, code) = kind(error);
    let detail = error.to_string();
    ObserverRefusal {
        status: status.as_u16(),
        title: title.to_owned(),
        challenge: challenge(code, &detail),
        detail,
    }
}

fn kind(error: &NotAdmitted) -> (StatusCode, &'static str, Option<&'static str>) {
    match error {
        NotAdmitted::Unusable(_) => (StatusCode::BAD_REQUEST, "Bad request", Some("invalid_request")),
        // A request without any token gets no error code (section 3.1).
        NotAdmitted::Missing(_) => (StatusCode::UNAUTHORIZED, "Unauthorized", None),
        NotAdmitted::Invalid(_) => (StatusCode::UNAUTHORIZED, "Unauthorized", Some("invalid_token")),
        NotAdmitted::Insufficient(_) => (StatusCode::FORBIDDEN, "Forbidden", Some("insufficient_scope")),
    }
}

const REALM: &str = "Bearer realm=\"sfumato\"";

fn challenge(code: Option<&str>, detail: &str) -> String {
    let Some(code) = code else {
        return REALM.to_owned();
    };
    // Neither quotes nor backslashes, nor anything beyond ASCII.
    let plain: String = detail
        .chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .collect();
    format!("{REALM}, error=\"{code}\", error_description=\"{plain}\"")
}

impl From<InvalidLayerRequest> for Problem {
    fn from(error: InvalidLayerRequest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Invalid layer request", error.detail).field(error.field)
    }
}

impl From<InvalidEvents> for Problem {
    fn from(error: InvalidEvents) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Invalid list of events", error).field("body")
    }
}

impl From<TooManyStreams> for Problem {
    fn from(error: TooManyStreams) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many event streams", error)
    }
}

impl From<PatchRefused> for Problem {
    fn from(error: PatchRefused) -> Self {
        let (status, title) = match error.fault {
            PatchFault::Malformed => (StatusCode::BAD_REQUEST, "Malformed fragment"),
            PatchFault::NoCondition => (StatusCode::PRECONDITION_REQUIRED, "Precondition required"),
            PatchFault::OtherSession => (StatusCode::PRECONDITION_FAILED, "Stale ICE session"),
        };
        Self::new(status, title, error.detail).field(error.field)
    }
}

impl From<NameTaken> for Problem {
    fn from(error: NameTaken) -> Self {
        Self::conflict(error).field("stream")
    }
}

/// WHEP: 409 and Retry-After where nobody publishes the stream.
impl From<RelayError> for Problem {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::NotLive(_) => Self::new(StatusCode::CONFLICT, "Stream is not live", error)
                .field("stream")
                .retry_after(RETRY_NOT_LIVE),
            RelayError::Media(error) => error.into(),
            RelayError::NoLink { .. } | RelayError::NotConnected | RelayError::Origin { .. } => {
                Self::unavailable(error)
            }
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Unknown(_) => {
                Self::new(StatusCode::NOT_FOUND, "Unknown publication", error).field("publication")
            }
            SubscribeError::LinkGone(_) => Self::conflict(error).field("link"),
            SubscribeError::OtherPeer { .. } => Self::conflict(error).field("incarnation"),
            SubscribeError::Media(error) => error.into(),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Malformed { field, .. } => Self::new(StatusCode::BAD_REQUEST, "Bad request", error).field(field),
            LinkError::OtherIncarnation { .. } => Self::conflict(error).field("incarnation"),
            LinkError::Changed(_) => Self::conflict(error),
            LinkError::Unusable(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Unusable end of a link", error).field("lanes.remote")
            }
            LinkError::Media(error) => error.into(),
        }
    }
}

impl From<DrainRefused> for Problem {
    fn from(error: DrainRefused) -> Self {
        match error {
            DrainRefused::Malformed { field, .. } => {
                Self::new(StatusCode::BAD_REQUEST, "Malformed request", error).field(field)
            }
            DrainRefused::CannotLift(_) => Self::conflict(error).field("reason"),
        }
    }
}

/// 503 sends a front door on to another node, which helps a client of a node that is full, and a campus. Who fills what is
/// given for the asking gets 429.
impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        let (status, title) = match full {
            Full::Share {
                of: Shared::HalfOpen | Shared::Offers | Shared::EventStreams | Shared::Requests,
                ..
            } => (StatusCode::TOO_MANY_REQUESTS, "Too much for one client"),
            Full::EventStreams(_) => (StatusCode::SERVICE_UNAVAILABLE, "Too many event streams"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "No room"),
        };
        let wait = match full {
            Full::Profiles(wait) => wait,
            Full::Requests(_)
            | Full::Share {
                of: Shared::Requests, ..
            } => RETRY_WHEN_BUSY,
            _ => RETRY_WHEN_FULL,
        };
        let detail = format!("{full}: ask another node, or come back later");
        Self::new(status, title, detail).retry_after(whole_seconds(wait))
    }
}

impl From<Refusal> for Problem {
    fn from(error: Refusal) -> Self {
        match error {
            Refusal::Sdp(error) => error.into(),
            Refusal::Media(error) => error.into(),
            Refusal::Name(error) => error.into(),
            Refusal::Relay(error) => error.into(),
            Refusal::Patch(error) => error.into(),
            Refusal::Track { ref field, .. } => {
                let field = field.clone();
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", error).field(field)
            }
            Refusal::NoTrack(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", error).field("m="),
            Refusal::Full(full) => full.into(),
            Refusal::NotReady { .. } | Refusal::Busy(_) | Refusal::Evicted => Self::unavailable(error),
            Refusal::NoOffer => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "No offer to answer", error).field("Content-Type")
            }
            Refusal::OtherOffer => Self::new(StatusCode::PRECONDITION_FAILED, "Stale offer", error).field("If-Match"),
        }
    }
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000))
        .unwrap_or(u32::MAX)
        .max(1)
}
