//! Carries out what [`crate::cluster::rollout`] has decided: calls to nodes, evictions, deletions. Every act can be repeated, so one
//! that fails is only told: the next look decides again.

use crate::cluster::note::{Note, Tone};
use crate::cluster::remark::Remark;
use crate::cluster::rollout::Act;
use crate::cluster::status_notes::EVICTION_REFUSED;
use crate::controller::build::{ClusterId, Wish};
use crate::controller::mesh::meshes::Meshes;
use crate::controller::mesh::targets::targets;
use crate::controller::process::events::{Events, about};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Anything, Pod};
use futures::future::join_all;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client};
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use sfumato_mesh::Target;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a refused eviction may be one that passes: budgets are counted anew a moment after a pod has become ready.
const PASSING: Duration = Duration::from_secs(3);

/// A person is told of an eviction that is refused for so long.
const LONG: Duration = Duration::from_secs(60);

pub struct Actor {
    client: Client,
    meshes: Arc<Meshes>,
    events: Events,
    /// Pods whose eviction is refused, by namespace and name: their UID, and since when.
    refused: Mutex<BTreeMap<(String, String), (String, Instant)>>,
}

/// What is not done until somebody else lets it happen.
#[derive(Debug)]
pub struct HeldUp {
    pub remark: Remark,
    /// Since it was refused first.
    pub lasts: Duration,
}

impl HeldUp {
    /// What a person is told, once it is plain that it does not pass.
    #[must_use]
    pub fn degraded(&self) -> Option<Remark> {
        (self.lasts >= LONG).then(|| self.remark.clone())
    }
}

/// The nodes of one cluster, as acts reach them.
struct Nodes<'a> {
    id: &'a ClusterId,
    targets: Vec<Target>,
    admin: Arc<dyn NodeAdmin>,
    /// How long publishers may stay.
    deadline: Duration,
}

impl Actor {
    #[must_use]
    pub fn new(client: Client, meshes: Arc<Meshes>, events: Events) -> Self {
        Self {
            client,
            meshes,
            events,
            refused: Mutex::default(),
        }
    }

    /// Carries out all acts on these pods of a cluster, side by side. Answers which of them somebody else keeps from being done.
    pub async fn carry_out(&self, acts: &[Act], wish: &Wish, pods: &[Arc<Pod>]) -> Option<HeldUp> {
        // There is none when the cluster was deleted meanwhile.
        let admin = self.meshes.admin(&Key::from(&wish.id))?;
        let nodes = Nodes {
            id: &wish.id,
            targets: targets(pods, self.meshes.access()),
            admin,
            deadline: wish.spec.drain.deadline.0,
        };
        let done = join_all(acts.iter().map(|act| self.one(act, &nodes))).await;
        done.into_iter().flatten().next()
    }

    async fn one(&self, act: &Act, nodes: &Nodes<'_>) -> Option<HeldUp> {
        let done = match act {
            Act::Drain(pod, reason) => nodes.drain(pod, *reason).await,
            Act::Undrain(pod, reason) => nodes.undrain(pod, *reason).await,
            Act::Replace { node, id } => self.evict(node, id, nodes.id).await,
            Act::ForceDelete { node, id } => self.force_delete(node, id, nodes.id).await,
        };
        match done {
            Ok(Some(note)) => self.events.tell(&about(nodes.id), note),
            Ok(None) => {}
            Err(NotDone::Refused(held_up)) => return Some(held_up),
            Err(NotDone::NotYet(why)) => tracing::info!(
                namespace = nodes.id.namespace,
                cluster = nodes.id.name,
                ?act,
                error = why,
                "not yet"
            ),
        }
        None
    }

    /// The client library's own eviction writes its options under a wrong key, which would drop the precondition.
    async fn evict(&self, pod: &str, uid: &str, id: &ClusterId) -> Done {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &id.namespace);
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(pod.to_owned()),
                namespace: Some(id.namespace.clone()),
                ..ObjectMeta::default()
            },
            delete_options: Some(meta::DeleteOptions {
                preconditions: Some(meta::Preconditions {
                    uid: Some(uid.to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        };
        let params = PostParams::default();
        let answer: kube::Result<Anything> = api.create_subresource("eviction", pod, &params, &eviction).await;
        let done = removed(answer, Note::replacing(pod));
        let key = (id.namespace.clone(), pod.to_owned());
        let mut all_refused = self.refused.lock();
        let Err(NotDone::Refused(HeldUp { remark, .. })) = done else {
            all_refused.remove(&key);
            return done;
        };
        let refused = all_refused
            .entry(key)
            .or_insert_with(|| (uid.to_owned(), Instant::now()));
        if refused.0 != uid {
            *refused = (uid.to_owned(), Instant::now());
        }
        let lasts = refused.1.elapsed();
        if lasts < PASSING {
            return Err(NotDone::NotYet(remark.message));
        }
        let message = format!("{pod} cannot be replaced: {}", remark.message);
        let remark = Remark::new(remark.reason, message);
        Err(NotDone::Refused(HeldUp { remark, lasts }))
    }

    async fn force_delete(&self, pod: &str, uid: &str, id: &ClusterId) -> Done {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &id.namespace);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        }
        .preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let note = Note {
            tone: Tone::Warning,
            reason: "HostLost",
            action: "Replacing",
            text: format!(
                "{pod} was removed: its Kubernetes node is lost, and neither the operator nor a media node hears it"
            ),
        };
        removed(api.delete(pod, &params).await, note)
    }
}

/// What an act came to: something worth an event, or nothing.
type Done = Result<Option<Note>, NotDone>;

/// Why an act was not done. The next look decides again.
#[derive(Debug)]
enum NotDone {
    NotYet(String),
    Refused(HeldUp),
}

impl From<String> for NotDone {
    fn from(why: String) -> Self {
        Self::NotYet(why)
    }
}

impl Nodes<'_> {
    async fn drain(&self, pod: &str, reason: DrainReason) -> Done {
        let request = DrainRequest {
            reason,
            deadline_seconds: Some(self.deadline.as_secs()),
        };
        let drained = self.admin.drain(self.url(pod)?, &request).await;
        drained.map_err(|error| error.to_string())?;
        Ok(Some(Note::draining(pod, self.deadline, reason)))
    }

    async fn undrain(&self, pod: &str, reason: DrainReason) -> Done {
        let undrained = self.admin.undrain(self.url(pod)?, reason).await;
        undrained.map_err(|error| error.to_string())?;
        Ok(Some(Note::drain_lifted(pod, reason)))
    }

    fn url(&self, pod: &str) -> Result<&str, String> {
        let target = self.targets.iter().find(|target| target.name.as_str() == pod);
        target
            .map(|target| target.admin_url.as_str())
            .ok_or_else(|| format!("{pod} has no address"))
    }
}

/// What the API server says of the removal of one pod. One that is gone, or replaced already, is no news.
fn removed<T>(answer: kube::Result<T>, note: Note) -> Done {
    match answer {
        Ok(_) => Ok(Some(note)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        // 429 by one budget, 500 where several select the pod.
        Err(kube::Error::Api(status)) if matches!(status.code, 429 | 500) => Err(NotDone::Refused(HeldUp {
            remark: Remark::new(EVICTION_REFUSED, eviction_refused(&status)),
            lasts: Duration::ZERO,
        })),
        Err(error) => Err(error.to_string().into()),
    }
}

/// The words of the API server, which names the budget among the causes only.
fn eviction_refused(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let words: Vec<&str> = [status.message.as_str()]
        .into_iter()
        .chain(causes.map(|cause| cause.message.as_str()))
        .filter(|words| !words.is_empty())
        .collect();
    let words = words.join(" ");
    let hint = if words.to_lowercase().contains("budget") {
        " (see `kubectl get pdb`)"
    } else {
        ""
    };
    format!("Kubernetes refuses its eviction: {words}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refused_eviction_names_the_budget() {
        let said = |status| eviction_refused(&serde_json::from_value(status).expect("a status"));
        let cause = json!({ "reason": "DisruptionBudget", "message": "The disruption budget mine needs 3 healthy pods and has 3 currently" });
        assert_eq!(
            said(json!({ "code": 429, "message": "Cannot evict pod.", "details": { "causes": [cause] } })),
            "Kubernetes refuses its eviction: Cannot evict pod. The disruption budget mine needs 3 healthy pods and has 3 currently \
             (see `kubectl get pdb`)"
        );
        assert_eq!(
            said(json!({ "code": 429, "message": "too many requests" })),
            "Kubernetes refuses its eviction: too many requests"
        );
    }

    #[test]
    fn a_person_is_told_of_an_eviction_that_is_refused_for_a_minute() {
        let told = |seconds| {
            let (remark, lasts) = (Remark::new(EVICTION_REFUSED, "no"), Duration::from_secs(seconds));
            HeldUp { remark, lasts }.degraded().is_some()
        };
        assert_eq!((told(59), told(60)), (false, true));
    }
}
