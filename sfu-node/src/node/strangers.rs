//! TCP connections to the media ports over which no session plays: mediasoup would keep them for ever.

use super::Node;
use crate::limits::media_tcp::Playing;
use crate::media::tcp_connections;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often they are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Node {
    /// Ends those that have to go at `now`.
    pub async fn end_strangers(&self, now: Instant) {
        match self.try_ending_strangers(now).await {
            Ok(0) => {}
            Ok(ended) => {
                let ended = ended as u64;
                let before = self.limits.strangers_ended.fetch_add(ended, Ordering::Relaxed);
                if self.limits.strangers_complaints.complain().is_some() {
                    tracing::warn!(
                        ended = before + ended,
                        "TCP connections to the media ports were ended since the start: no session played over them, and they were silent or too many"
                    );
                }
            }
            // Without /proc nothing can be bounded here, as `docs/security.md` says.
            Err(error) => tracing::debug!(%error, "connections to the media ports cannot be looked at"),
        }
    }

    async fn try_ending_strangers(&self, now: Instant) -> io::Result<usize> {
        let first = self.options.media_port;
        let ports = first..=first.saturating_add(self.options.worker_count() - 1);
        let open = tokio::task::spawn_blocking(move || tcp_connections::open(&ports)).await??;
        let sessions = self.sessions.all();
        let playing: Playing = sessions
            .iter()
            .filter_map(|session| session.transport.ice_selected_tuple())
            .collect();
        let gone = self.limits.strangers.lock().overstaying(&open, &playing, now);
        if gone.is_empty() {
            return Ok(0);
        }
        tokio::task::spawn_blocking(move || tcp_connections::end(&gone)).await?
    }
}
