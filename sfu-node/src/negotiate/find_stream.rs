//! What a viewer asks for: whether it is there, and how it comes to this node.

use super::Refusal;
use crate::node::{Node, RelayError};
use crate::streams::carried::{Carried, Fetched};
use crate::streams::local_stream::LocalStream;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;

impl Node {
    /// Whether the stream is known at all, and has room for one more viewer here.
    pub(super) fn expect_stream(&self, stream: &StreamName) -> Result<(), Refusal> {
        if let Some(local) = self.streams.published.of_stream(stream) {
            return self.check_viewers(local.viewers());
        }
        let known = self.streams.peers.find(stream).is_some();
        known
            .then_some(())
            .ok_or_else(|| RelayError::NotLive(stream.clone()).into())
    }

    /// The stream on this node: published here, carried here, or fetched now from its origin.
    pub(super) async fn find_stream(
        self: &Arc<Self>,
        stream: &StreamName,
    ) -> Result<(Arc<LocalStream>, Option<Fetched>), RelayError> {
        if let Some(local) = self.streams.published.of_stream(stream) {
            return Ok((local, None));
        }
        let found = self.streams.peers.find(stream);
        let (origin, publication) = found.ok_or_else(|| RelayError::NotLive(stream.clone()))?;
        let fetched = self.carry(&origin, &publication).await?;
        Ok((Arc::clone(&fetched.received.local), Some(fetched)))
    }

    pub(super) fn still_live(&self, publication: &PublicationId, carried: Option<&Arc<Carried>>) -> bool {
        match carried {
            None => self.streams.published.contains(publication),
            Some(carried) => self.streams.carried.is_current(carried),
        }
    }
}
