//! What the node says of itself.

use super::Node;
use sfumato_admin_api::types::bounds::{MAX_REPORTED, fitting_text};
use sfumato_admin_api::types::{
    API_VERSION, CarriedReport, NodeReport, PublicationId, PublicationReport, Publications,
};
use std::time::Instant;

/// Most bytes of a report that own publications may take, and carried ones. With peers and links the rest of a report is well
/// below the other half of what is read of one ([`sfumato_admin_api::client::MAX_ANSWER_BYTES`]).
const PUBLICATIONS_BYTES: usize = 384 * 1024;
const CARRIED_BYTES: usize = 192 * 1024;

impl Node {
    /// `GET /admin/v1/node`. Of more publications than fit, it tells of the first: operator and front door only show them, and
    /// peers ask for all by [`Self::publications`].
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
            redis_problem: self.names.claims.problem().as_deref().map(fitting_text),
            address_problem: self.state.address_problem().as_deref().map(fitting_text),
            tokens_required: Some(self.gate.is_closed()),
            secure_client_url: self.options.secure_client_url(),
            pid: std::process::id(),
            peers: self.streams.peers.list(),
            links: self.links.reports(Instant::now()),
            publications: first_that_fit(self.publication_reports(), PUBLICATIONS_BYTES, bytes_of),
            carried: first_that_fit(self.streams.carried.reports(), CARRIED_BYTES, bytes_of_carried),
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

/// The first entries of a list that take no more than so many bytes.
fn first_that_fit<T>(mut list: Vec<T>, bytes: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<T> {
    let mut taken = 0_usize;
    let fit = list.iter().take(MAX_REPORTED).take_while(|entry| {
        taken = taken.saturating_add(bytes_of(entry));
        taken <= bytes
    });
    let count = fit.count();
    list.truncate(count);
    list
}

/// Most bytes that a publication takes as JSON: its names, and what the names of its fields and its numbers take.
fn bytes_of(report: &PublicationReport) -> usize {
    let subscribers: usize = report.subscribers.iter().map(|name| name.as_str().len() + 3).sum();
    let layer = |rid: Option<&String>| 60 + rid.map_or(0, String::len);
    let track = |codec: &str| 90 + codec.len();
    let tracks: usize = report.tracks.iter().map(|it| track(&it.codec)).sum();
    let layers = report.tracks.iter().flat_map(|it| &it.layers);
    let layers: usize = layers.map(|it| layer(it.rid.as_ref())).sum();
    160 + report.id.as_str().len() + report.stream.as_str().len() + subscribers + tracks + layers
}

/// The same of a publication that is carried.
fn bytes_of_carried(report: &CarriedReport) -> usize {
    let names = [
        report.publication.as_str(),
        report.stream.as_str(),
        report.origin.as_str(),
    ];
    190 + names.map(str::len).iter().sum::<usize>()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
