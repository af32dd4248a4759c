//! Carries out what [`super::rules`] has decided: calls to nodes, evictions, deletions. Every act can be repeated, so one
//! that fails is only told: the next look decides again.

use super::rules::Act;
use crate::controller::build::ClusterId;
use crate::controller::context::Context;
use crate::controller::process::events::{Note, Tone, about};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Anything, Pod};
use futures::future::join_all;
use k8s_openapi::api::policy::v1::Eviction;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use sfumato_admin_api::client::{AdminError, NodeAdmin};
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use sfumato_mesh::Target;
use std::sync::Arc;
use std::time::Duration;

/// Carries out all acts side by side.
pub async fn carry_out(acts: &[Act], id: &ClusterId, targets: &[Target], deadline: Duration, context: &Context) {
    let key = Key::from(id);
    let Some(admin) = context.meshes.admin(&key) else {
        return;
    };
    join_all(acts.iter().map(|act| one(act, id, targets, deadline, &admin, context))).await;
}

async fn one(
    act: &Act,
    id: &ClusterId,
    targets: &[Target],
    deadline: Duration,
    admin: &Arc<dyn NodeAdmin>,
    context: &Context,
) {
    let done = match act {
        Act::Drain(pod, reason) => drain(pod, *reason, targets, deadline, admin).await,
        Act::Undrain(pod, reason) => undrain(pod, *reason, targets, admin).await,
        Act::Evict { pod, uid } => evict(pod, uid, id, context).await,
        Act::ForceDelete { pod, uid } => force_delete(pod, uid, id, context).await,
    };
    match done {
        Ok(Some(note)) => context.events.tell(&about(id), note),
        Ok(None) => {}
        Err(why) => tracing::info!(
            namespace = id.namespace,
            cluster = id.name,
            ?act,
            error = why,
            "not yet"
        ),
    }
}

type Done = Result<Option<Note>, String>;

fn url<'a>(pod: &str, targets: &'a [Target]) -> Result<&'a str, String> {
    let target = targets.iter().find(|target| target.name.as_str() == pod);
    target
        .map(|target| target.admin_url.as_str())
        .ok_or_else(|| format!("{pod} has no address"))
}

async fn drain(
    pod: &str,
    reason: DrainReason,
    targets: &[Target],
    deadline: Duration,
    admin: &Arc<dyn NodeAdmin>,
) -> Done {
    let request = DrainRequest {
        reason,
        deadline_seconds: Some(deadline.as_secs()),
    };
    admin
        .drain(url(pod, targets)?, &request)
        .await
        .map_err(|e: AdminError| e.to_string())?;
    Ok(Some(Note {
        tone: Tone::Normal,
        reason: "Draining",
        action: "Draining",
        text: format!(
            "{pod} takes no new sessions and is emptied within {} s ({reason})",
            deadline.as_secs()
        ),
    }))
}

async fn undrain(pod: &str, reason: DrainReason, targets: &[Target], admin: &Arc<dyn NodeAdmin>) -> Done {
    admin
        .undrain(url(pod, targets)?, reason)
        .await
        .map_err(|e| e.to_string())?;
    Ok(Some(Note {
        tone: Tone::Normal,
        reason: "DrainLifted",
        action: "Draining",
        text: format!("{pod} is wanted again ({reason})"),
    }))
}

/// The client library's own eviction writes its options under a wrong key, which would drop the precondition.
async fn evict(pod: &str, uid: &str, id: &ClusterId, context: &Context) -> Done {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &id.namespace);
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(pod.to_owned()),
            namespace: Some(id.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions {
            preconditions: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Preconditions {
                uid: Some(uid.to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let params = PostParams::default();
    let answer: kube::Result<Anything> = api.create_subresource("eviction", pod, &params, &eviction).await;
    let note = Note {
        tone: Tone::Normal,
        reason: "Replacing",
        action: "Rolling",
        text: format!("{pod} is replaced"),
    };
    removed(answer, note)
}

async fn force_delete(pod: &str, uid: &str, id: &ClusterId, context: &Context) -> Done {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &id.namespace);
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
        text: format!("{pod} was removed: its host is lost, and neither the operator nor another node hears it"),
    };
    removed(api.delete(pod, &params).await, note)
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
