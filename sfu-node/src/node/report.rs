//! What the node says of itself.

use super::Node;
use sfumato_admin_api::types::{API_VERSION, NodeReport, PublicationId, PublicationReport, Publications};
use std::time::Instant;

impl Node {
    /// `GET /admin/v1/node`.
    pub fn report(&self) -> NodeReport {
        let revision = *self.state.revision().borrow();
        let (publishers, viewers) = self.sessions.count();
        NodeReport {
            api_version: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.me.clone(),
            revision,
            workers: self.options.worker_count(),
            lanes: self.options.lanes,
            link_encryption: self.options.link_encryption,
            ready: self.state.is_ready(),
            draining: self.state.is_draining(),
            drain: self.drain_state(),
            redis: self.names.claims.healthy(),
            redis_problem: self.names.claims.problem(),
            tokens_required: Some(self.gate.is_closed()),
            pid: std::process::id(),
            peers: self.streams.peers.list(),
            links: self.links.reports(Instant::now()),
            publications: self.publication_reports(),
            carried: self.streams.carried.reports(),
            viewers,
            publishers,
            load: self.workers.load(),
        }
    }

    /// `GET /admin/v1/publications`: what has changed after a revision, if one is given and the node remembers it; else
    /// everything.
    pub fn publications(&self, after: Option<u64>) -> Publications {
        let log = self.state.publication_log();
        let (revision, news) = {
            let log = log.borrow();
            (log.revision(), after.and_then(|after| Some((after, log.since(after)?))))
        };
        // Read after the revision: what changes in between is told now and, with the next revision, once more.
        let publications = match &news {
            None => self.publication_reports(),
            Some((_, news)) => self.publication_reports_of(|id| news.changed.contains(id)),
        };
        let (changes_since, ended) = news.map(|(after, news)| (after, news.ended)).unzip();
        Publications {
            incarnation: self.me.incarnation.clone(),
            revision,
            ready: self.state.is_ready(),
            publications,
            changes_since,
            ended: ended.unwrap_or_default(),
        }
    }

    /// Own publications as peers and operator see them.
    pub fn publication_reports(&self) -> Vec<PublicationReport> {
        self.publication_reports_of(|_| true)
    }

    fn publication_reports_of(&self, wanted: impl Fn(&PublicationId) -> bool) -> Vec<PublicationReport> {
        self.streams.published.reports(&self.links.subscribers(), wanted)
    }
}
