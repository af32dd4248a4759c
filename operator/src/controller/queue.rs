//! What asks for a reconcile: the objects themselves, their children, their meshes. Asking twice is asking once.

use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

/// Namespace and name of an SfuCluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The place where reconciles are asked for.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::UnboundedSender<Key>,
}

impl Queue {
    /// A queue and its other end. It is not bounded: what is asked for a second time while it waits is merged by the
    /// scheduler behind it, which always listens.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Key>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Asks for a reconcile of one cluster.
    pub fn ask(&self, key: Key) {
        // Nobody listens any more only while the controller ends.
        let _ = self.sender.send(key);
    }
}

/// A request in the terms of kube's scheduler.
#[must_use]
pub fn request(key: &Key, resource: &ApiResource) -> ReconcileRequest<DynamicObject> {
    ObjectRef::new_with(&key.name, resource.clone())
        .within(&key.namespace)
        .into()
}
