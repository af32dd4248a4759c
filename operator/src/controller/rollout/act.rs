//! Carries out what [`crate::cluster::rollout`] has decided: calls to nodes, evictions, deletions. Every act can be repeated, so one
//! that fails is only told: the next look decides again.

use crate::cluster::note::{Note, Tone};
use crate::cluster::rollout::Act;
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
use kube::{Api, Client};
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use sfumato_mesh::Target;
use std::sync::Arc;
use std::time::Duration;

pub struct Actor {
    client: Client,
    meshes: Arc<Meshes>,
    events: Events,
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
        Self { client, meshes, events }
    }

    /// Carries out all acts on these pods of a cluster, side by side.
    pub async fn carry_out(&self, acts: &[Act], wish: &Wish, pods: &[Arc<Pod>]) {
        // There is none when the cluster was deleted meanwhile.
        let Some(admin) = self.meshes.admin(&Key::from(&wish.id)) else {
            return;
        };
        let nodes = Nodes {
            id: &wish.id,
            targets: targets(pods, self.meshes.access()),
            admin,
            deadline: wish.spec.drain.deadline.0,
        };
        join_all(acts.iter().map(|act| self.one(act, &nodes))).await;
    }

    async fn one(&self, act: &Act, nodes: &Nodes<'_>) {
        let done = match act {
            Act::Drain(pod, reason) => nodes.drain(pod, *reason).await,
            Act::Undrain(pod, reason) => nodes.undrain(pod, *reason).await,
            Act::Replace { node, id } => self.evict(node, id, nodes.id).await,
            Act::ForceDelete { node, id } => self.force_delete(node, id, nodes.id).await,
        };
        match done {
            Ok(Some(note)) => self.events.tell(&about(nodes.id), note),
            Ok(None) => {}
            Err(why) => tracing::info!(
                namespace = nodes.id.namespace,
                cluster = nodes.id.name,
                ?act,
                error = why,
                "not yet"
            ),
        }
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
        removed(answer, Note::replacing(pod))
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

type Done = Result<Option<Note>, String>;

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
        Err(kube::Error::Api(status)) if status.code == 429 => Err(format!(
            "the disruption budget does not allow it now: {}",
            status.message
        )),
        Err(error) => Err(error.to_string()),
    }
}
