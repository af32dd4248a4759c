//! Publications: whose origin is this node, carried here from others, and known of the peers.

pub mod arrival;
pub mod carried;
mod flights;
pub mod incoming;
pub mod local_stream;
pub mod peers;
pub mod publication_log;
pub mod published;

use carried::CarriedStreams;
use local_stream::LocalStream;
use peers::Peers;
use published::PublishedStreams;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;

/// Every publication that this node knows of.
#[derive(Default)]
pub struct Streams {
    /// Those whose origin it is.
    pub published: PublishedStreams,
    /// Those of other nodes that are carried here.
    pub carried: CarriedStreams,
    /// Those that its peers publish.
    pub peers: Peers,
}

impl Streams {
    /// What enters on this node: published here, or carried here.
    pub fn local(&self) -> Vec<Arc<LocalStream>> {
        let mut all = self.published.all();
        let received = self.carried.received();
        all.extend(received.iter().map(|received| Arc::clone(&received.local)));
        all
    }

    /// Whether a stream is published anew, here or elsewhere, by another publication than the one that ends.
    pub fn is_published_anew(&self, stream: &StreamName, ended: &PublicationId) -> bool {
        let here = self.published.all();
        here.iter()
            .any(|local| local.stream == *stream && local.publication != *ended)
            || self.peers.find(stream).is_some_and(|(_, found)| found.id != *ended)
    }
}
