//! The end of media nodes whose StatefulSet, cluster or namespace is deleted. Each was told to end by Kubernetes and drains, for up to
//! `drain.deadline`, which is a day at most. But with all of them going, nobody has a place to move to: waiting would only hold
//! up the deletion of the cluster or the namespace. So they are told that their time is over.

use super::targets::{NodeAccess, targets};
use crate::controller::watch::members::is_left_behind;
use crate::controller::watch::ownership::controller;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Pod, StatefulSet};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What such a pod has to end, in seconds: as much as one that is drained.
const GRACE_SECONDS: u32 = 15;
/// How often it is tried, with pauses of 1 s, 2 s, 4 s and so on.
const ATTEMPTS: u32 = 6;

/// Sees to nodes that are left behind.
pub struct Farewells {
    api_server: Client,
    access: NodeAccess,
    /// UIDs of the pods that have been seen to, by cluster.
    told: Arc<Mutex<BTreeMap<Key, BTreeSet<String>>>>,
}

/// What is done for one pod.
struct Farewell {
    api_server: Client,
    access: NodeAccess,
    pod: Arc<Pod>,
    cluster: Key,
    /// How its node is called, if that is known: the admin Secret may be gone already.
    admin: Option<Arc<dyn NodeAdmin>>,
}

/// Why a node could not be ended.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("{0}; give the operator the rights that `sfu-operator manifests` prints")]
    Forbidden(String),
    #[error("{0}")]
    Failed(String),
}

impl From<kube::Error> for Kept {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(status.message),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Farewells {
    #[must_use]
    pub fn new(api_server: Client, access: NodeAccess) -> Self {
        Self {
            api_server,
            access,
            told: Arc::default(),
        }
    }

    /// Ends these nodes of a cluster, aside, each once. `admin` is how the node of a pod with this UID is called.
    pub fn see_to(&self, cluster: &Key, pods: Vec<Arc<Pod>>, admin: impl Fn(&str) -> Option<Arc<dyn NodeAdmin>>) {
        let mut told = self.told.lock();
        if pods.is_empty() {
            told.remove(cluster);
            return;
        }
        let known = told.entry(cluster.clone()).or_default();
        let uids: BTreeSet<String> = pods.iter().filter_map(|pod| pod.uid()).collect();
        known.retain(|uid| uids.contains(uid));
        for pod in pods {
            let Some(uid) = pod.uid().filter(|uid| known.insert(uid.clone())) else {
                continue;
            };
            let farewell = Farewell {
                api_server: self.api_server.clone(),
                access: self.access,
                admin: admin(&uid),
                cluster: cluster.clone(),
                pod,
            };
            let told = Arc::clone(&self.told);
            task::brief("ending a node whose StatefulSet is deleted", async move {
                if !farewell.carry_out().await
                    && let Some(known) = told.lock().get_mut(&farewell.cluster)
                {
                    // The next change of it is another attempt.
                    known.remove(&uid);
                }
            });
        }
    }
}

impl Farewell {
    /// Answers whether there is nothing left to be done.
    async fn carry_out(&self) -> bool {
        let (namespace, cluster, node) = (&self.cluster.namespace, &self.cluster.name, self.pod.name_any());
        let mut why = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_secs(1 << (attempt - 1))).await;
            }
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(
                        namespace,
                        cluster,
                        node,
                        "ends at once: all nodes of its cluster are deleted, and nobody has a place to move to"
                    );
                    return true;
                }
                Ok(false) => return false,
                // A right that is missing does not come by itself: a person is told at once.
                Err(error) if why.is_none() && matches!(error, Kept::Forbidden(_)) => {
                    tracing::warn!(namespace, cluster, node, %error, "it is not known whether it can be ended at once");
                    why = Some(error);
                }
                Err(error) => {
                    tracing::debug!(namespace, cluster, node, %error, "cannot be ended yet");
                    why = Some(error);
                }
            }
        }
        tracing::warn!(
            namespace,
            cluster,
            node,
            error = why.map(|error| error.to_string()),
            "could not be ended at once; it ends by its own deadline"
        );
        false
    }

    /// Tells the node that its time is over, and Kubernetes as well, in case that the node is not reached. Answers whether it is
    /// left behind indeed.
    async fn attempt(&self) -> Result<bool, Kept> {
        if !self.is_left_behind().await? {
            return Ok(false);
        }
        let drained = self.drain().await;
        let shortened = self.shorten().await;
        // Either ends it.
        drained.or(shortened).map(|()| true).map_err(Kept::Failed)
    }

    /// Looks once more, at the API server's own: what was seen of a StatefulSet and of its pods comes by two watches, and a
    /// StatefulSet that goes without its pods has let them go before it is gone. So it is looked at first, and the pod then.
    ///
    /// That it may not look says nothing of what is there, and ends nobody.
    async fn is_left_behind(&self) -> Result<bool, Kept> {
        let Some(owner) = controller(&self.pod.metadata) else {
            return Ok(false);
        };
        let sets: Api<StatefulSet> = Api::namespaced(self.api_server.clone(), &self.cluster.namespace);
        let pods: Api<Pod> = Api::namespaced(self.api_server.clone(), &self.cluster.namespace);
        let set = sets.get_opt(&owner.name).await?;
        let pod = pods.get_opt(&self.pod.name_any()).await?;
        match pod.filter(|pod| pod.metadata.uid == self.pod.metadata.uid) {
            None => Ok(false),
            Some(pod) => Ok(is_left_behind(&pod, &owner.name, set.as_ref()) || self.namespace_goes().await?),
        }
    }

    /// Whether the namespace is being deleted. Kubernetes deletes its pods first, and all else, roles too, when these are gone.
    async fn namespace_goes(&self) -> Result<bool, Kept> {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.api_server.clone());
        let namespace = api.get_opt(&self.cluster.namespace).await?;
        Ok(namespace.is_none_or(|it| it.metadata.deletion_timestamp.is_some()))
    }

    async fn drain(&self) -> Result<(), String> {
        let admin = self.admin.as_ref().ok_or("its token is not known any more")?;
        let target = targets(std::slice::from_ref(&self.pod), self.access);
        let url = &target.first().ok_or("it has no address")?.admin_url;
        let request = DrainRequest {
            reason: DrainReason::ScaleDown,
            deadline_seconds: Some(0),
        };
        let drained = admin.drain(url, &request).await;
        drained.map(drop).map_err(|error| error.to_string())
    }

    /// Has Kubernetes wait no longer than is usual.
    async fn shorten(&self) -> Result<(), String> {
        let params = DeleteParams {
            grace_period_seconds: Some(GRACE_SECONDS),
            ..DeleteParams::default()
        }
        .preconditions(Preconditions {
            uid: self.pod.uid(),
            resource_version: None,
        });
        let api: Api<Pod> = Api::namespaced(self.api_server.clone(), &self.cluster.namespace);
        match api.delete(&self.pod.name_any(), &params).await {
            Ok(_) => Ok(()),
            // Gone, or another by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
