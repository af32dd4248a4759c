//! Whether what was applied is carried out by the platform: an API server that has taken a change has done nothing yet.

use crate::cluster::remark::Remark;
use crate::controller::build::ClusterId;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Deployment, StatefulSet, owned};
use kube::core::ObjectMeta;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Generations that children got when they were applied.
#[derive(Default)]
pub struct Generations {
    applied: Mutex<BTreeMap<Key, OfCluster>>,
}

/// By kind and name.
type OfCluster = BTreeMap<(String, String), i64>;

impl Generations {
    /// Notes what the API server has answered.
    pub fn note(&self, id: &ClusterId, kind: &str, live: &ObjectMeta) {
        if let (Some(name), Some(generation)) = (live.name.clone(), live.generation) {
            let mut applied = self.applied.lock();
            let of_cluster = applied.entry(Key::from(id)).or_default();
            of_cluster.insert((kind.to_owned(), name), generation);
        }
    }

    pub fn forget(&self, cluster: &Key) {
        self.applied.lock().remove(cluster);
    }

    /// What nodes and front doors have not taken up: the watch may be behind, or their controller, or it is not done yet. `nodes`
    /// is the StatefulSet that it was decided upon: one that has been seen since may have pods to roll of which nobody has decided.
    #[must_use]
    pub fn behind(&self, id: &ClusterId, nodes: Option<&StatefulSet>, caches: &Caches) -> Option<Remark> {
        let door = owned(&caches.deployments, id, &id.web());
        set_behind(nodes, self.of(id, "StatefulSet", id.nodes()), &id.nodes())
            .or_else(|| deployment_behind(door.as_deref(), self.of(id, "Deployment", id.web()), &id.web()))
    }

    fn of(&self, id: &ClusterId, kind: &str, name: String) -> Option<i64> {
        let applied = self.applied.lock();
        applied.get(&Key::from(id))?.get(&(kind.to_owned(), name)).copied()
    }
}

/// `applied` is the generation that it got when it was applied last, if this process has done that.
fn set_behind(live: Option<&StatefulSet>, applied: Option<i64>, name: &str) -> Option<Remark> {
    let observed = live.map(|live| (&live.metadata, live.status.observed_generation));
    is_behind(observed, applied).then(|| taking_up("StatefulSet", name))
}

fn deployment_behind(live: Option<&Deployment>, applied: Option<i64>, name: &str) -> Option<Remark> {
    let observed = live.map(|live| (&live.metadata, live.status.observed_generation));
    if is_behind(observed, applied) {
        return Some(taking_up("Deployment", name));
    }
    let status = &live?.status;
    let (all, new) = (status.replicas, status.updated_replicas);
    (all > new).then(|| {
        Remark::new(
            "Rolling",
            format!("{} of {all} pods of {name} have an older template", all - new),
        )
    })
}

fn is_behind(live: Option<(&ObjectMeta, Option<i64>)>, applied: Option<i64>) -> bool {
    live.is_none_or(|(metadata, observed)| metadata.generation < applied || observed != metadata.generation)
}

fn taking_up(kind: &str, name: &str) -> Remark {
    Remark::new("Applying", format!("the {kind} {name} takes up a change"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployment_is_behind_until_its_controller_has_seen_it_and_no_older_pod_is_left() {
        let (taking_up, rolling) = (
            "the Deployment live-web takes up a change",
            "1 of 3 pods of live-web have an older template",
        );
        for (case, applied, generation, observed, (all, new), expected) in [
            ("as applied", Some(2), 2, 2, (2, 2), None),
            ("applied by another leader", None, 2, 2, (2, 2), None),
            ("the watch is behind", Some(3), 2, 2, (2, 2), Some(taking_up)),
            ("the controller is behind", Some(3), 3, 2, (2, 2), Some(taking_up)),
            ("an older pod is left", Some(3), 3, 3, (3, 2), Some(rolling)),
            ("a pod is lacking, which is no roll", Some(3), 3, 3, (1, 1), None),
        ] {
            let live = json!({
                "metadata": { "generation": generation },
                "status": { "observedGeneration": observed, "replicas": all, "updatedReplicas": new },
            });
            let live: Deployment = serde_json::from_value(live).unwrap();
            let told = deployment_behind(Some(&live), applied, "live-web").map(|remark| remark.message);
            assert_eq!(told.as_deref(), expected, "{case}");
        }
        assert!(
            deployment_behind(None, None, "live-web").is_some(),
            "it is not there yet"
        );
    }
}
