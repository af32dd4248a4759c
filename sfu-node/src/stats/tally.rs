//! What is counted over the life of the node and never falls.

use crate::limits::Full;
use crate::media::counts::Counts;
use crate::sessions::end_reason::EndReason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use sfumato_admin_api::types::SessionRole;

const ROLES: [SessionRole; 2] = [SessionRole::Publisher, SessionRole::Viewer];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// Why a request was refused before anything was made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `--max-sessions`.
    Sessions,
    /// `--max-half-open`.
    HalfOpen,
    /// `--max-viewers-per-stream`.
    Viewers,
    /// Offers that wait, streams of events, requests under way, or profile routers.
    Other,
    /// One client has its share.
    Share,
    /// `--max-request-rate`.
    Rate,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// Draining, or not ready yet.
    NotReady,
}

impl From<&Full> for Refused {
    fn from(full: &Full) -> Self {
        match full {
            Full::Sessions(_) => Self::Sessions,
            Full::HalfOpen(_) => Self::HalfOpen,
            Full::Viewers(_) => Self::Viewers,
            Full::Offers(_) | Full::EventStreams(_) | Full::Requests(_) | Full::Profiles(_) => Self::Other,
            Full::Share { .. } => Self::Share,
        }
    }
}

impl Refused {
    const ALL: [Self; 9] = [
        Self::Sessions,
        Self::HalfOpen,
        Self::Viewers,
        Self::Other,
        Self::Share,
        Self::Rate,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotReady,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Sessions => "max_sessions",
            Self::HalfOpen => "max_half_open",
            Self::Viewers => "max_viewers_per_stream",
            Self::Other => "other",
            Self::Share => "share",
            Self::Rate => "max_request_rate",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotReady => "not_ready",
        }
    }
}

/// Counters.
#[derive(Default)]
pub struct Tally {
    ended: Family<Two, Counter>,
    refused: Family<One, Counter>,
    bytes: Family<One, Counter>,
    packets: Family<One, Counter>,
    lost: Family<One, Counter>,
    nacks: Family<One, Counter>,
    key_frame_requests: Family<One, Counter>,
}

fn role_label(role: SessionRole) -> One {
    [("role", role.as_str())]
}

impl Tally {
    /// A session has ended.
    pub fn session_ended(&self, role: SessionRole, why: EndReason) {
        self.ended
            .get_or_create(&[("role", role.as_str()), ("reason", why.label())])
            .inc();
    }

    /// A request was refused.
    pub fn refused(&self, why: Refused) {
        self.refused.get_or_create(&[("reason", why.label())]).inc();
    }

    /// Sessions of a role have sent or received so much more.
    pub fn count(&self, role: SessionRole, more: Counts) {
        let label = role_label(role);
        for (family, more) in [
            (&self.bytes, more.bytes),
            (&self.packets, more.packets),
            (&self.lost, more.lost),
            (&self.nacks, more.nacks),
            (&self.key_frame_requests, more.key_frame_requests),
        ] {
            family.get_or_create(&label).inc_by(more);
        }
    }

    /// Makes the counters known, each with the value 0 for everything that it may count: a counter that appears with its
    /// first event would hide that event from whoever looks at rates.
    pub fn register(&self, registry: &mut Registry) {
        for role in ROLES {
            self.count(role, Counts::default());
            for why in EndReason::ALL {
                let labels = [("role", role.as_str()), ("reason", why.label())];
                self.ended.get_or_create(&labels).inc_by(0);
            }
        }
        for why in Refused::ALL {
            self.refused.get_or_create(&[("reason", why.label())]).inc_by(0);
        }
        registry.register(
            "sessions_ended",
            "sessions that have ended, by reason",
            self.ended.clone(),
        );
        registry.register(
            "requests_refused",
            "requests that were refused, by reason",
            self.refused.clone(),
        );
        let of_media = [
            ("media_bytes", "RTP bytes from publishers, to viewers", &self.bytes),
            (
                "media_packets",
                "RTP packets from publishers, to viewers",
                &self.packets,
            ),
            (
                "media_packets_lost",
                "RTP packets lost between clients and this node",
                &self.lost,
            ),
            ("media_nacks", "NACKs to publishers, from viewers", &self.nacks),
            (
                "media_key_frame_requests",
                "PLI and FIR to publishers, from viewers",
                &self.key_frame_requests,
            ),
        ];
        for (name, help, family) in of_media {
            registry.register(name, help, family.clone());
        }
    }
}
