//! Carries out what [`crate::cluster::rollout`] has decided: calls to nodes, evictions, deletions. Every act can be repeated, so one
//! that fails is only told: the next look decides again.

use super::controllers::is_others;
use crate::cluster::note::{Note, Tone};
use crate::cluster::remark::{HOST_LOST, Remark};
use crate::cluster::rollout::Act;
use crate::cluster::status_notes::EVICTION_REFUSED;
use crate::controller::build::{ClusterId, Wish};
use crate::controller::mesh::meshes::Meshes;
use crate::controller::mesh::targets::targets;
use crate::controller::process::events::{Events, about};
use crate::controller::watch::ownership::{check, this_version};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Anything, Pod, StatefulSet};
use crate::controller::words::words;
use futures::future::join_all;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::core::{PartialObjectMeta, Status};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use sfumato_mesh::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a refused eviction may be one that passes: budgets are counted anew a moment after a pod has become ready.
const PASSING: Duration = Duration::from_secs(3);

/// So long after its last refusal, nobody remembers a pod any more: nobody asks for one that is gone.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

pub struct Actor {
    client: Client,
    meshes: Arc<Meshes>,
    events: Events,
    /// When the eviction of pods was refused, by their UID.
    refused: Mutex<BTreeMap<String, Refused>>,
    /// A person is told of an eviction that is refused for so long, and the node takes sessions again.
    patience: Duration,
}

/// What is not done until somebody else lets it happen.
#[derive(Debug, Default)]
pub struct HeldUp {
    /// What a manifest waits for.
    pub under_way: Option<Remark>,
    /// What a person is told, once it is plain that it does not pass.
    pub degraded: Option<Remark>,
}

/// When the eviction of a pod was refused, without a success between.
#[derive(Debug, Clone, Copy)]
struct Refused {
    first: Instant,
    last: Instant,
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
    pub fn new(client: Client, meshes: Arc<Meshes>, events: Events, patience: Duration) -> Self {
        Self {
            patience,
            client,
            meshes,
            events,
            refused: Mutex::default(),
        }
    }

    /// UIDs of those pods whose eviction has been refused for long.
    #[must_use]
    pub fn held_up(&self, pods: &[Arc<Pod>]) -> BTreeSet<String> {
        let refused = self.refused.lock();
        let is_long = |uid: &String| refused.get(uid).is_some_and(|it| it.first.elapsed() >= self.patience);
        pods.iter().filter_map(|pod| pod.uid()).filter(is_long).collect()
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
            Act::Replace { node, id } => self.evict((node, id), nodes.id, false).await,
            Act::AskToReplace { node, id } => self.evict((node, id), nodes.id, true).await,
            Act::ForceDelete { node, id } => self.force_delete(node, id, nodes.id).await,
            Act::MakeAnew { set, id } => self.make_anew(set, id, nodes.id).await,
        };
        match done {
            Ok(Some(note)) => self.events.tell(&about(nodes.id), note),
            Ok(None) => {}
            Err(NotDone::Refused(held_up)) => return Some(held_up),
            Err(NotDone::NotYet(why)) => tracing::info!(
                namespace = nodes.id.namespace,
                cluster = nodes.id.name,
                %act,
                error = why,
                "not yet"
            ),
        }
        None
    }

    /// The client library's own eviction writes its options under a wrong key, which would drop the precondition. Who only asks
    /// (`is_question`) is told what would come of it.
    async fn evict(&self, (pod, uid): (&str, &str), id: &ClusterId, is_question: bool) -> Done {
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
        let params = PostParams {
            dry_run: is_question,
            ..PostParams::default()
        };
        let answer: kube::Result<Anything> = api.create_subresource("eviction", pod, &params, &eviction).await;
        let done = removed(answer, Note::replacing(pod));
        let mut all_refused = self.refused.lock();
        let Err(Kept::Refused(words)) = done else {
            // What was not answered says nothing.
            if done.is_ok() {
                all_refused.remove(uid);
            }
            // It is drained first, and what happens then is news.
            return Ok(done?.filter(|_| !is_question));
        };
        let words = format!("Kubernetes refuses its eviction: {words}");
        let now = Instant::now();
        let refused = all_refused.entry(uid.to_owned());
        let refused = refused.or_insert(Refused { first: now, last: now });
        refused.last = now;
        let lasts = now - refused.first;
        all_refused.retain(|_, refused| now - refused.last < FORGOTTEN);
        if lasts < PASSING {
            return Err(NotDone::NotYet(words));
        }
        let is_long = lasts >= self.patience;
        let meanwhile = if is_long && id.is_node(pod) {
            "; it takes sessions meanwhile"
        } else {
            ""
        };
        let remark = Remark::new(
            EVICTION_REFUSED,
            format!("{pod} cannot be replaced: {words}{meanwhile}"),
        );
        Err(NotDone::Refused(HeldUp {
            degraded: is_long.then(|| remark.clone()),
            under_way: Some(remark),
        }))
    }

    async fn force_delete(&self, pod: &str, uid: &str, id: &ClusterId) -> Done {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &id.namespace);
        let live = api.get_opt(pod).await.map_err(|error| words(&error))?;
        let Some(live) = live.filter(|live| live.metadata.uid.as_deref() == Some(uid)) else {
            return Ok(None);
        };
        let asked = is_others(&self.client, id, &live.metadata).await;
        if asked.map_err(|error| words(&error))? {
            return Err("what controls it does not belong to this cluster".to_owned().into());
        }
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
            reason: HOST_LOST,
            action: "Replacing",
            text: format!(
                "{pod} was removed: its Kubernetes node is lost, and neither the operator nor a media node hears it"
            ),
        };
        deleted(api.delete(pod, &params).await, note, &format!("Pod {pod}"))
    }

    /// Its pods and its claim go with it. The next apply makes another.
    async fn make_anew(&self, set: &str, uid: &str, id: &ClusterId) -> Done {
        let api: Api<PartialObjectMeta<StatefulSet>> = Api::namespaced(self.client.clone(), &id.namespace);
        let live = api.get_opt(set).await.map_err(|error| words(&error))?;
        let Some(live) = live.filter(|live| live.metadata.uid.as_deref() == Some(uid)) else {
            return Ok(None);
        };
        check(Some(&live.metadata), id, "StatefulSet", set).map_err(|taken| taken.to_string())?;
        let params = DeleteParams::background().preconditions(this_version(&live.metadata));
        let note = Note {
            tone: Tone::Warning,
            reason: HOST_LOST,
            action: "Replacing",
            text: format!(
                "StatefulSet {set} is made anew with another volume: its own is on a Kubernetes node that is lost or full, and no media node \
                 reaches Redis"
            ),
        };
        deleted(api.delete(set, &params).await, note, &format!("StatefulSet {set}"))
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

/// Why something is still there.
#[derive(Debug)]
enum Kept {
    /// Nobody can say.
    NotAnswered(String),
    /// The API server does not let it go, in its words.
    Refused(String),
}

impl From<Kept> for NotDone {
    fn from(why: Kept) -> Self {
        match why {
            Kept::NotAnswered(words) | Kept::Refused(words) => Self::NotYet(words),
        }
    }
}

/// A deletion that the API server does not let happen: an admission webhook, a policy, or a right that we lack.
fn deleted<T>(answer: kube::Result<T>, note: Note, what: &str) -> Done {
    removed(answer, note).map_err(|kept| match kept {
        Kept::NotAnswered(words) => NotDone::NotYet(words),
        Kept::Refused(words) => NotDone::Refused(HeldUp {
            under_way: None,
            degraded: Some(Remark::new(
                "ApplyRefused",
                format!("{what} cannot be removed: {words}"),
            )),
        }),
    })
}

/// What the API server says of the removal of one object. One that is gone, or replaced already, is no news.
fn removed<T>(answer: kube::Result<T>, note: Note) -> Result<Option<Note>, Kept> {
    match answer {
        Ok(_) => Ok(Some(note)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        // 429 by one budget, 500 where several select the pod; 403, 400 or 422 by a webhook, a policy, or a right that we lack.
        Err(kube::Error::Api(status)) if matches!(status.code, 400..=500) => {
            Err(Kept::Refused(words_of_refusal(&status)))
        }
        Err(error) => Err(Kept::NotAnswered(words(&error))),
    }
}

/// The words of the API server, which names the budget among the causes only.
fn words_of_refusal(status: &Status) -> String {
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
    format!("{words}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refused_eviction_names_the_budget() {
        let said = |status| words_of_refusal(&serde_json::from_value(status).expect("a status"));
        let cause = json!({ "reason": "DisruptionBudget", "message": "The disruption budget mine needs 3 healthy pods and has 3 currently" });
        assert_eq!(
            said(json!({ "code": 429, "message": "Cannot evict pod.", "details": { "causes": [cause] } })),
            "Cannot evict pod. The disruption budget mine needs 3 healthy pods and has 3 currently \
             (see `kubectl get pdb`)"
        );
        assert_eq!(
            said(json!({ "code": 429, "message": "too many requests" })),
            "too many requests"
        );
    }
}
