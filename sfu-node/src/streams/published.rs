//! Publications whose origin is this node.

use super::incoming::Incoming;
use super::local_stream::LocalStream;
use crate::ids::SessionId;
use crate::names::rights::{LastRtp, Right};
use parking_lot::Mutex;
use sfumato_admin_api::types::{NameHolder, NodeName, PublicationId, PublicationReport, StreamName, TrackReport};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// A publication whose origin is this node.
pub struct Published {
    /// Where it enters.
    pub local: Arc<LocalStream>,
    /// Right to its name.
    pub generation: u64,
    /// The session that sends it.
    pub session: SessionId,
    /// When RTP last came.
    pub last_rtp: LastRtp,
    /// What arrives of each track.
    pub incoming: Arc<Incoming>,
}

impl Published {
    /// Its right to its name.
    pub fn right(&self) -> Right {
        Right {
            generation: self.generation,
            publication: self.local.publication.clone(),
        }
    }

    fn track_reports(&self) -> Vec<TrackReport> {
        let mut reports = self.local.track_reports();
        for report in &mut reports {
            report.state = self.incoming.state(report.kind);
        }
        reports
    }
}

/// A publication of this node and its right to its name.
pub struct OwnRight {
    pub stream: StreamName,
    pub right: Right,
    /// The session that sends the publication.
    pub session: SessionId,
}

/// All of them.
#[derive(Default)]
pub struct PublishedStreams(Mutex<HashMap<PublicationId, Published>>);

impl PublishedStreams {
    /// Adds one.
    pub fn insert(&self, published: Published) {
        let id = published.local.publication.clone();
        self.0.lock().insert(id, published);
    }

    /// Takes one out.
    pub fn remove(&self, id: &PublicationId) -> Option<Published> {
        self.0.lock().remove(id)
    }

    /// Whether it is published here.
    pub fn contains(&self, id: &PublicationId) -> bool {
        self.0.lock().contains_key(id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// One by id.
    pub fn get(&self, id: &PublicationId) -> Option<Arc<LocalStream>> {
        self.0.lock().get(id).map(|published| Arc::clone(&published.local))
    }

    /// All as they enter.
    pub fn all(&self) -> Vec<Arc<LocalStream>> {
        let all = self.0.lock();
        all.values().map(|published| Arc::clone(&published.local)).collect()
    }

    /// The publication of a stream; of two, for the moment of a take-over, that with the better right.
    pub fn of_stream(&self, stream: &StreamName) -> Option<Arc<LocalStream>> {
        let all = self.0.lock();
        all.values()
            .filter(|published| published.local.stream == *stream)
            .max_by_key(|published| published.right())
            .map(|published| Arc::clone(&published.local))
    }

    /// The session that sends a publication.
    pub fn session_of(&self, id: &PublicationId) -> Option<SessionId> {
        self.0.lock().get(id).map(|published| published.session.clone())
    }

    /// What is looked at of a publication's tracks.
    pub fn incoming(&self, id: &PublicationId) -> Option<Arc<Incoming>> {
        self.0.lock().get(id).map(|published| Arc::clone(&published.incoming))
    }

    /// Sessions that publish, those of one stream or all.
    pub fn sessions(&self, stream: Option<&StreamName>) -> Vec<SessionId> {
        let all = self.0.lock();
        all.values()
            .filter(|published| stream.is_none_or(|stream| published.local.stream == *stream))
            .map(|published| published.session.clone())
            .collect()
    }

    /// Rights to names, of all.
    pub fn rights(&self) -> Vec<OwnRight> {
        let all = self.0.lock();
        all.values()
            .map(|published| OwnRight {
                stream: published.local.stream.clone(),
                right: published.right(),
                session: published.session.clone(),
            })
            .collect()
    }

    /// Who holds a name here, for a node that wants it.
    pub fn holders(&self, stream: &StreamName, now: Instant) -> Vec<NameHolder> {
        let all = self.0.lock();
        all.iter()
            .filter(|(_, published)| published.local.stream == *stream)
            .map(|(id, published)| NameHolder {
                publication: id.clone(),
                generation: published.generation,
                claiming: false,
                silent_ms: u64::try_from(published.last_rtp.silent(now).as_millis()).unwrap_or(u64::MAX),
            })
            .collect()
    }

    /// Raises the right of a publication; false when it is gone, or its right is as good already.
    pub fn raise(&self, right: &Right) -> bool {
        match self.0.lock().get_mut(&right.publication) {
            Some(published) if published.generation < right.generation => {
                published.generation = right.generation;
                true
            }
            _ => false,
        }
    }

    /// Notes how many bytes of RTP a publisher has sent so far.
    pub fn sample_rtp(&self, session: &str, bytes: u64, now: Instant) {
        let mut all = self.0.lock();
        if let Some(published) = all.values_mut().find(|published| published.session == session) {
            published.last_rtp.sample(bytes, now);
        }
    }

    /// Those that are `wanted`, as peers and operator see them; `subscribers` says which nodes each is sent to.
    pub fn reports(
        &self,
        subscribers: &HashMap<PublicationId, Vec<NodeName>>,
        wanted: impl Fn(&PublicationId) -> bool,
    ) -> Vec<PublicationReport> {
        let mut reports: Vec<PublicationReport> = self
            .0
            .lock()
            .iter()
            .filter(|(id, _)| wanted(id))
            .map(|(id, published)| PublicationReport {
                id: id.clone(),
                stream: published.local.stream.clone(),
                generation: published.generation,
                worker: published.local.root_worker,
                tracks: published.track_reports(),
                viewers: published.local.viewers(),
                subscribers: subscribers.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        reports.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
        reports
    }
}
