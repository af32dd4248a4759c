//! What the node holds at present, counted by the workers themselves: how leaks are seen.

use super::Node;
use crate::media::deadline::MediaError;
use sfumato_admin_api::types::Objects;

impl Node {
    /// Counts everything; asks each worker, so it is for people and tests and not for a scrape.
    pub async fn objects(&self) -> Result<Objects, MediaError> {
        let mut outgoing = 0;
        for link in self.links.all() {
            outgoing += link.outgoing.lock().await.len();
        }
        let mut workers = Vec::with_capacity(self.workers.all().len());
        for worker in self.workers.all() {
            workers.push(worker.objects().await?);
        }
        let (publishers, viewers) = self.sessions.count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Objects {
            incarnation: self.me.incarnation.clone(),
            sessions: publishers + viewers,
            publications: count(self.streams.published.count()),
            carried: count(self.streams.carried.count()),
            outgoing: count(outgoing),
            claiming: count(self.names.claiming.count()),
            workers,
        })
    }
}
