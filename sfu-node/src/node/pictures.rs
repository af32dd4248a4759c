//! Why there is no picture: what arrives of each publication, and viewers whose first picture has not come.

use super::Node;
use crate::ids::{SessionId, short};
use crate::media::deadline::{MediaError, within};
use crate::media::first_picture::FirstPicture;
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::{Role, Session};
use crate::streams::arrival::{Change, Received, advice};
use futures::StreamExt;
use mediasoup::prelude::*;
use rand::seq::IteratorRandom;
use sfumato_admin_api::types::{PublicationId, TrackKind, TrackState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often everything is looked at. A key frame is asked for as often, until the first picture has been sent.
pub const EVERY: Duration = Duration::from_secs(1);
/// Viewers that are looked at in a round. All that wait for one publication ask the same publisher, so that some are enough.
const MOST_VIEWERS: usize = 256;
/// A viewer that has had no picture for this time is told of, once.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// Questions to the workers at a time.
const AT_ONCE: usize = 16;

/// One look at everything.
pub async fn round(node: &Arc<Node>) {
    let now = Instant::now();
    let all = node.sessions.all();
    let looked_at = all
        .iter()
        .filter(|session| session.is_connected() && session.waits_for_pictures());
    let (publishers, viewers): (Vec<_>, Vec<_>) = looked_at.partition(|it| matches!(it.role, Role::Publisher { .. }));
    let mut ids: Vec<SessionId> = publishers.into_iter().map(|session| session.id.clone()).collect();
    // Of many that wait, others have their turn in the next round.
    let some = viewers.into_iter().sample(&mut rand::rng(), MOST_VIEWERS);
    ids.extend(some.into_iter().map(|session| session.id.clone()));
    // Nothing is held over the round: a session that ends meanwhile is closed at once.
    drop(all);
    futures::stream::iter(&ids)
        .for_each_concurrent(AT_ONCE, |id| async move {
            let Some(session) = node.sessions.get(id) else { return };
            let looked = match &session.role {
                Role::Publisher { .. } => node.look_at_publisher(&session, now).await,
                Role::Viewer { consumers, first, .. } => {
                    let asked = first.ask(consumers).await;
                    let late = session.age(now) >= TOLD_AFTER && first.is_awaited(consumers);
                    if late && first.is_news() {
                        node.tell_of_viewer(&session);
                    }
                    asked
                }
            };
            // Of a session that ends meanwhile, or a worker that does not answer: the next look says more.
            if let Err(error) = looked {
                tracing::debug!(stream = %session.stream, session = %short(id), %error, "looking for pictures");
            }
        })
        .await;
    for local in node.streams.local() {
        ask_on_the_way(local.without_picture().await).await;
    }
    for link in node.links.all() {
        ask_on_the_way(link.without_picture().await).await;
    }
}

/// Asks for first pictures that others wait for: on other routers, or other nodes.
async fn ask_on_the_way(waiting: Vec<(Vec<Consumer>, Arc<FirstPicture>)>) {
    futures::stream::iter(waiting)
        .for_each_concurrent(AT_ONCE, |(consumers, first)| async move {
            if let Err(error) = first.ask(&consumers).await {
                tracing::debug!(%error, "looking for pictures on their way to others");
            }
        })
        .await;
}

impl Node {
    /// How the media of a session goes, given what is sent to a viewer now, in bit/s.
    pub fn media_state(&self, session: &Session, bitrate: u64) -> Option<TrackState> {
        if !session.is_connected() {
            return None;
        }
        let states = self.states_of(session.publication());
        let worst = |of: Option<TrackKind>| {
            let fitting = states.iter().filter(|(kind, _)| of.is_none_or(|of| of == *kind));
            let mut states = fitting.map(|(_, state)| *state);
            let first = states.clone().next();
            states.find(|state| state.is_trouble()).or(first)
        };
        let Role::Viewer { consumers, first, .. } = &session.role else {
            return worst(None);
        };
        if first.is_awaited(consumers) {
            let of_video = worst(Some(TrackKind::Video)).filter(|state| state.is_trouble());
            return Some(of_video.unwrap_or(TrackState::Waiting));
        }
        Some(if bitrate == 0 {
            TrackState::Nothing
        } else {
            TrackState::Flowing
        })
    }

    fn states_of(&self, publication: &PublicationId) -> Vec<(TrackKind, TrackState)> {
        match self.streams.published.incoming(publication) {
            Some(incoming) => incoming.states(),
            None => self.streams.peers.states_of(publication),
        }
    }

    fn tell_of_viewer(&self, session: &Session) {
        let (stream, id) = (&session.stream, short(&session.id));
        let state = self.media_state(session, 0).unwrap_or(TrackState::Waiting).as_str();
        tracing::info!(%stream, session = %id, state, "no picture could be sent to this viewer yet: see what arrives of the publication");
    }

    async fn look_at_publisher(self: &Arc<Self>, session: &Session, now: Instant) -> Result<(), MediaError> {
        let Some(incoming) = self.streams.published.incoming(session.publication()) else {
            return Ok(());
        };
        let stats = within("reading a publisher's statistics", session.transport.get_stats()).await?;
        let Some(stat) = stats.first() else { return Ok(()) };
        let received = Received {
            all: stat.bytes_received,
            rtp: stat.rtp_bytes_received,
            rtx: stat.rtx_bytes_received,
        };
        let changes = incoming.look(received, now).await?;
        for change in &changes {
            tell(session, *change, incoming.codec(change.kind));
        }
        if !changes.is_empty() {
            self.state.publications_changed([session.publication()]);
        }
        if changes.iter().any(|change| change.now == TrackState::StrangeSsrc) {
            self.end_session(&session.id, EndReason::StrangeSsrc).await;
        }
        Ok(())
    }
}

fn tell(session: &Session, change: Change, codec: &str) {
    let (stream, id) = (&session.stream, short(&session.id));
    let (track, state) = (change.kind.as_str(), change.now.as_str());
    match advice(change.now, codec) {
        Some(advice) => tracing::warn!(%stream, session = %id, track, state, codec, "{advice}"),
        None if change.before != TrackState::Waiting => {
            tracing::info!(%stream, session = %id, track, state, codec, "the track comes again");
        }
        None => {}
    }
}
