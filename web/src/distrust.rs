//! Which nodes show certificates that are refused: the log says so once for each, and again when it is over.

use crate::pass_on::PassOnError;
use parking_lot::Mutex;
use sfumato_admin_api::types::NodeName;
use sfumato_admin_api::types::bounds::MAX_MEMBERS;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The nodes that the log has named. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Distrusted(Arc<Mutex<BTreeSet<NodeName>>>);

impl Distrusted {
    /// Notes how a request to a node went.
    pub fn note<T>(&self, node: &NodeName, answer: &Result<T, PassOnError>) {
        match answer {
            Err(error @ PassOnError::NotTrusted { .. }) if self.is_new(node) => {
                tracing::warn!(%node, %error, "clients are passed on to other nodes; see whether the admin Secret of the cluster is mounted, and which clock is wrong");
            }
            // Another failure says nothing of its certificate.
            Ok(_) if self.0.lock().remove(node) => tracing::info!(%node, "the node's certificate is accepted again"),
            _ => {}
        }
    }

    fn is_new(&self, node: &NodeName) -> bool {
        let mut named = self.0.lock();
        // Names that nobody uses any more need not be kept for ever; that some are told of twice does no harm.
        if named.len() >= MAX_MEMBERS && !named.contains(node) {
            named.clear();
        }
        named.insert(node.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_once_until_it_is_trusted_again_and_names_are_not_kept_for_ever() {
        let distrusted = Distrusted::default();
        let node = |n: usize| -> NodeName { format!("sfu-{n}").parse().unwrap() };
        assert!(distrusted.is_new(&node(1)));
        assert!(!distrusted.is_new(&node(1)));
        distrusted.note(&node(1), &Ok(()));
        assert!(distrusted.is_new(&node(1)));
        for n in 0..10 * MAX_MEMBERS {
            distrusted.is_new(&node(n));
            assert!(distrusted.0.lock().len() <= MAX_MEMBERS);
        }
    }
}
