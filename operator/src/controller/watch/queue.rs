//! What asks for a reconcile: the objects themselves, their children, their meshes. Asking twice is asking once.

use crate::controller::build::{ClusterId, INSTANCE};
use kube::Resource;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Namespace and name of an SfuCluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl From<&ClusterId> for Key {
    fn from(id: &ClusterId) -> Self {
        Self {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Namespace and name of a cluster's object.
#[must_use]
pub fn cluster_key(object: &DynamicObject) -> Option<Key> {
    Some(Key {
        namespace: object.metadata.namespace.clone()?,
        name: object.metadata.name.clone()?,
    })
}

/// The cluster that a child belongs to by its labels.
#[must_use]
pub fn key_of<K: Resource>(child: &K) -> Option<Key> {
    Some(Key {
        namespace: child.meta().namespace.clone()?,
        name: child.meta().labels.as_ref()?.get(INSTANCE)?.clone(),
    })
}

#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::UnboundedSender<Key>,
    /// What was asked for and has not begun.
    waiting: Arc<Mutex<BTreeSet<Key>>>,
}

impl Queue {
    /// A queue and its other end. It holds each cluster once at most, so it needs no other bound.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Key>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::default();
        (Self { sender, waiting }, receiver)
    }

    /// Asks for a reconcile of one cluster.
    pub fn ask(&self, key: Key) {
        if self.waiting.lock().insert(key.clone()) {
            // Nobody listens any more only while the controller ends.
            let _ = self.sender.send(key);
        }
    }

    /// A reconcile begins, or never will since its object is gone. What changes from now on is asked for anew.
    pub fn begun(&self, key: &Key) {
        self.waiting.lock().remove(key);
    }

    /// Clusters whose reconcile was asked for and has not begun.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.waiting.lock().len()
    }
}

/// A request in the terms of kube's scheduler.
#[must_use]
pub fn request(key: &Key, resource: &ApiResource) -> ReconcileRequest<DynamicObject> {
    ObjectRef::new_with(&key.name, resource.clone())
        .within(&key.namespace)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_waits_once_until_its_reconcile_begins() {
        let (queue, mut asked) = Queue::new();
        let key = |name: &str| Key {
            namespace: "media".to_owned(),
            name: name.to_owned(),
        };
        for name in ["a", "b", "a"] {
            queue.ask(key(name));
        }
        assert_eq!((asked.len(), queue.depth()), (2, 2));
        assert_eq!(asked.try_recv(), Ok(key("a")));
        assert_eq!(queue.depth(), 2, "it has not begun");
        queue.begun(&key("a"));
        queue.ask(key("a"));
        assert_eq!(
            (asked.len(), queue.depth()),
            (2, 2),
            "a change in the meantime is asked for"
        );
    }
}
