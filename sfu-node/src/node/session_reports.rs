//! Statistics of sessions: asked of the workers only when somebody wants to know, and once more when a session ends.

use super::Node;
use crate::ids::handle;
use crate::media::counts::Look;
use crate::media::deadline::{MediaError, within};
use crate::sessions::session::{Role, Session};
use futures::StreamExt;
use mediasoup::consumer::ConsumerRtpStreamStat;
use sfumato_admin_api::types::{SessionLayer, SessionReport, SessionRole, Sessions, StreamName, TrackState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sessions that the workers are asked about side by side.
const AT_ONCE: usize = 32;
/// Longest time for all questions of one answer; sessions that were not asked about by then are told without figures.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Longest wait for the last figures of a session that ends.
const LAST_LOOK: Duration = Duration::from_millis(250);

/// Which sessions somebody wants to know of.
#[derive(Debug, Default)]
pub struct Question {
    /// Of this stream alone.
    pub stream: Option<StreamName>,
    /// Of this role alone.
    pub role: Option<SessionRole>,
    /// At most so many.
    pub limit: usize,
}

impl Question {
    fn fits(&self, session: &Session) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == session.stream)
            && self.role.is_none_or(|role| role == session.role.kind())
    }
}

impl Node {
    /// Sessions and how they go.
    pub async fn session_reports(&self, question: &Question) -> Sessions {
        let mut fitting: Vec<Arc<Session>> = self.sessions.all();
        fitting.retain(|session| question.fits(session));
        fitting.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
        let total = u32::try_from(fitting.len()).unwrap_or(u32::MAX);
        fitting.truncate(question.limit);
        let looks = self.look_at_all(&fitting, PATIENCE).await;
        let now = Instant::now();
        let sessions = fitting.iter().zip(looks);
        Sessions {
            total,
            sessions: sessions
                .filter_map(|(session, look)| {
                    let state = look.and_then(|look| self.media_state(session, look.bitrate()));
                    report(session, look, state, now)
                })
                .collect(),
        }
    }

    /// Brings the sums of all sessions up to date.
    pub async fn count_media(&self) {
        self.look_at_all(&self.sessions.all(), PATIENCE).await;
    }

    /// The last figures of sessions that end, before their transports are closed.
    pub async fn last_look(&self, ending: &[Arc<Session>]) {
        self.look_at_all(ending, LAST_LOOK).await;
    }

    /// Asks about each session, and adds what is new to the sums. In the order of the sessions; those that do not answer
    /// in time are left out.
    async fn look_at_all(&self, sessions: &[Arc<Session>], patience: Duration) -> Vec<Option<Look>> {
        let until = tokio::time::Instant::now() + patience;
        futures::stream::iter(sessions.to_vec())
            .map(|session| async move {
                if !session.is_connected() {
                    return None;
                }
                let look = tokio::time::timeout_at(until, self.measure(&session))
                    .await
                    .ok()?
                    .ok()?;
                self.tally.count(session.role.kind(), session.count(look.counts));
                Some(look)
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    async fn measure(&self, session: &Session) -> Result<Look, MediaError> {
        let mut look = Look::default();
        match &session.role {
            Role::Publisher { producers, .. } => {
                for producer in producers {
                    let stats = within("reading a publisher's statistics", producer.get_stats()).await?;
                    stats.iter().for_each(|stat| look.add_received(stat));
                }
            }
            Role::Viewer { consumers, .. } => {
                for consumer in consumers {
                    let stats = within("reading a viewer's statistics", consumer.get_stats()).await?;
                    for stat in &stats {
                        // What the consumer is fed with is told beside it, and is another session's.
                        if let ConsumerRtpStreamStat::Outbound(sent) = stat {
                            look.add_sent(sent);
                        }
                    }
                }
            }
        }
        Ok(look)
    }
}

fn report(session: &Session, look: Option<Look>, state: Option<TrackState>, now: Instant) -> Option<SessionReport> {
    Some(SessionReport {
        id: handle(&session.id)?,
        stream: session.stream.clone(),
        publication: session.publication().clone(),
        role: session.role.kind(),
        connected: session.is_connected(),
        age_ms: u64::try_from(session.age(now).as_millis()).unwrap_or(u64::MAX),
        worker: session.worker(),
        media: look.map(|look| look.report()),
        state,
        layer: layer(session),
        ice: Some(session.ice_report()),
    })
}

fn layer(session: &Session) -> Option<SessionLayer> {
    let layers = session.current_layer()?;
    Some(SessionLayer {
        spatial: layers.spatial_layer,
        temporal: layers.temporal_layer,
    })
}
