//! The end of media nodes whose StatefulSet, cluster or namespace is deleted. Each was told to end by Kubernetes and drains, for up to
//! `drain.deadline`, which is a day at most. But with all of them going, nobody has a place to move to: waiting would only hold
//! up the deletion of the cluster or the namespace. So they are told that their time is over.

use super::targets::{NodeAccess, targets};
use crate::controller::build::ClusterId;
use crate::controller::watch::members::is_left_behind;
use crate::controller::watch::ownership::{Whose, controller, is_set, whose};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Pod, StatefulSet};
use crate::controller::words::words;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What such a pod has to end, in seconds: as much as one that is drained.
const GRACE_SECONDS: u32 = 15;
/// How often it is tried, with pauses of 1 s, 2 s, 4 s and so on.
const ATTEMPTS: u32 = 6;

/// Sees to nodes that are left behind.
pub struct Farewells {
    api_server: Client,
    access: NodeAccess,
    /// How soon is looked again at a node that drains, as its StatefulSet or its namespace may go meanwhile. Of a namespace no
    /// watch tells, which would need the right to list all.
    every: Duration,
    /// UIDs of the pods that are seen to, by cluster, and how whoever does that is woken.
    told: Arc<Mutex<BTreeMap<Key, Wakers>>>,
}

type Wakers = BTreeMap<String, Arc<Notify>>;

/// What has become of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    /// It ends at once, as it was told.
    Ended,
    /// It drains: others of its cluster may still be there, or come.
    Drains,
    Gone,
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
            other => Self::Failed(words(&other)),
        }
    }
}

impl Farewells {
    #[must_use]
    pub fn new(api_server: Client, access: NodeAccess, every: Duration) -> Self {
        Self {
            api_server,
            access,
            every,
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
        known.retain(|uid, _| pods.iter().any(|pod| pod.metadata.uid.as_ref() == Some(uid)));
        for pod in pods {
            let Some(uid) = pod.uid() else {
                continue;
            };
            if let Some(waker) = known.get(&uid) {
                waker.notify_one();
                continue;
            }
            let changed = Arc::clone(known.entry(uid.clone()).or_default());
            let farewell = Farewell {
                api_server: self.api_server.clone(),
                access: self.access,
                admin: admin(&uid),
                cluster: cluster.clone(),
                pod,
            };
            let (told, every) = (Arc::clone(&self.told), self.every);
            task::brief("ending a node whose StatefulSet is deleted", async move {
                loop {
                    match farewell.carry_out().await {
                        // Woken or not, it is looked at.
                        Some(Became::Drains) => drop(tokio::time::timeout(every, changed.notified()).await),
                        Some(Became::Ended | Became::Gone) => return,
                        None => break,
                    }
                }
                // The next change of it is another attempt.
                if let Some(known) = told.lock().get_mut(&farewell.cluster) {
                    known.remove(&uid);
                }
            });
        }
    }
}

impl Farewell {
    /// Answers what has become of it, if it came to anything.
    async fn carry_out(&self) -> Option<Became> {
        let (namespace, cluster, node) = (&self.cluster.namespace, &self.cluster.name, self.pod.name_any());
        let mut why = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_secs(1 << (attempt - 1))).await;
            }
            match self.attempt().await {
                Ok(Became::Ended) => {
                    tracing::info!(
                        namespace,
                        cluster,
                        node,
                        "ends at once: all nodes of its cluster are deleted, and nobody has a place to move to"
                    );
                    return Some(Became::Ended);
                }
                Ok(became) => return Some(became),
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
        None
    }

    /// Tells the node that its time is over, and Kubernetes as well, in case that the node is not reached: if it is left behind
    /// indeed.
    async fn attempt(&self) -> Result<Became, Kept> {
        match self.look().await? {
            Became::Ended => {}
            became => return Ok(became),
        }
        let drained = self.drain().await;
        let shortened = self.shorten().await;
        // Either ends it.
        drained.or(shortened).map(|()| Became::Ended).map_err(Kept::Failed)
    }

    /// Looks once more, at the API server's own: what was seen of a StatefulSet and of its pods comes by two watches, and a
    /// StatefulSet that goes without its pods has let them go before it is gone. So it is looked at first, and the pod then.
    ///
    /// That it may not look says nothing of what is there, and ends nobody.
    async fn look(&self) -> Result<Became, Kept> {
        let Some(owner) = controller(&self.pod.metadata).filter(|owner| is_set(owner, &self.cluster.name)) else {
            return Ok(Became::Gone);
        };
        let sets: Api<StatefulSet> = Api::namespaced(self.api_server.clone(), &self.cluster.namespace);
        let pods: Api<Pod> = Api::namespaced(self.api_server.clone(), &self.cluster.namespace);
        let set = sets.get_opt(&owner.name).await?;
        let pod = pods.get_opt(&self.pod.name_any()).await?;
        let Some(pod) = pod.filter(|pod| pod.metadata.uid == self.pod.metadata.uid) else {
            return Ok(Became::Gone);
        };
        if set.as_ref().is_some_and(|set| self.is_others(set)) {
            return Ok(Became::Gone);
        }
        let goes = is_left_behind(&pod, &owner.name, set.as_ref()) || self.namespace_goes().await?;
        Ok(if goes { Became::Ended } else { Became::Drains })
    }

    /// Whether a StatefulSet is of nobody who has had a cluster of this name: whatever labels its pods have, they are not ours.
    fn is_others(&self, set: &StatefulSet) -> bool {
        let id = ClusterId {
            namespace: self.cluster.namespace.clone(),
            name: self.cluster.name.clone(),
            // It may be any of them.
            uid: String::new(),
        };
        whose(&set.metadata, &id) == Whose::Others
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
