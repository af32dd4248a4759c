//! What the node holds at present, counted by the workers themselves: how leaks are seen.

use crate::deadline::MediaError;
use crate::node::Node;
use sfumato_admin_api::types::Objects;

impl Node {
    /// Counts everything; asks each worker, so it is for people and tests and not for a scrape.
    pub async fn objects(&self) -> Result<Objects, MediaError> {
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        let mut outgoing = 0;
        for link in links {
            outgoing += link.outgoing.lock().await.len();
        }
        let mut workers = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            workers.push(worker.objects().await?);
        }
        let (publishers, viewers) = self.sessions.count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Objects {
            incarnation: self.me.incarnation.clone(),
            sessions: publishers + viewers,
            publications: count(self.published.lock().len()),
            carried: count(self.carried.count()),
            outgoing: count(outgoing),
            claiming: count(self.claiming.lock().len()),
            workers,
        })
    }
}
