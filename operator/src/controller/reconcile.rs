//! A reconcile, stage by stage: dereference, validate, build, apply, status. The mesh is looked after in a task of its own.

use super::build::secret_keys::CA_CERT;
use super::build::{self, ClusterId, MANAGER, Wish, fitting_lanes};
use super::context::Context;
use super::mesh::meshes::Credentials;
use super::mesh::targets::targets;
use super::process::events::about;
use super::remark::Remark;
use super::rollout::last_good::last_good;
use super::rollout::{act, adjust};
use super::secret::{self, Data, SecretError};
use super::stages::apply::{ApplyError, error_code};
use super::stages::dereference::{self, Given};
use super::stages::status::{self, Facts};
use super::stages::status_events;
use super::stages::validate::{Invalid, validate};
use super::watch::caches::{cluster_key, pods_of, resource};
use super::watch::queue::Key;
use super::watch::seen::{Pod, is_node};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use sfumato_admin_api::files::TlsError;
use sfumato_mesh::{MeshOptions, PlanOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time that one reconcile may take: an API server that does not answer holds up nothing but this.
const DEADLINE: Duration = Duration::from_secs(30);
/// A look at a cluster that is as desired. Watches tell of every change; this is for what no watch can tell, which is
/// what Secrets hold.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The same while something is not as desired.
const LOOK_AGAIN_WHEN_BUSY: Duration = Duration::from_secs(5);

/// Why a reconcile failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A child.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The admin Secret, or one that the manifest names.
    #[error("the Secret {name} cannot be used: {source}")]
    Secret {
        /// Its name.
        name: String,
        /// Why not.
        source: SecretError,
    },
    /// What the admin Secret holds.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Events of a StatefulSet.
    #[error("events cannot be read: {0}")]
    Events(#[source] kube::Error),
    /// The status.
    #[error("the status cannot be written: {0}")]
    Status(#[source] kube::Error),
    /// No end.
    #[error("the reconcile took more than {} s; does the API server answer?", DEADLINE.as_secs())]
    Deadline,
}

impl Error {
    /// One word, for metrics and conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Apply(ApplyError::Taken { .. }) => "NameTaken",
            Self::Apply(_) => "ApplyRefused",
            Self::Secret { .. } | Self::Tls(_) => "SecretRefused",
            Self::Events(_) => "EventsRefused",
            Self::Status(_) => "StatusRefused",
            Self::Deadline => "Deadline",
        }
    }
}

/// Carries out one object. The scheduler never runs two of these for the same object at once.
///
/// # Errors
/// What kept it; it is tried again after a growing pause.
pub async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(key) = cluster_key(&object) else {
        return Ok(Action::await_change());
    };
    let began = Instant::now();
    context.queue.begun(&key);
    context.metrics.running.inc();
    let ended = tokio::time::timeout(DEADLINE, stages(&object, &key, &context)).await;
    context.metrics.running.dec();
    let result = ended.unwrap_or(Err(Error::Deadline));
    let (word, reason) = match &result {
        Ok(_) => ("ok", "None"),
        Err(error) => ("failed", error.reason()),
    };
    context.metrics.reconciled(word, reason, began.elapsed());
    if result.is_ok() {
        context.remember(&key, |memory| memory.failures = 0);
    }
    result
}

async fn stages(object: &DynamicObject, key: &Key, context: &Context) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        // Kubernetes removes the children, and the mesh goes with the object.
        return Ok(Action::await_change());
    }
    let pods = pods_of(&context.caches.pods, key);
    match validated(object, key, context).await {
        Ok(wish) => carry_out(object, key, &wish, &pods, context).await,
        Err(invalid) => leave_as_it_is(object, key, &invalid, &pods, context).await,
    }
}

/// Checks an object once for each of its generations.
async fn validated(object: &DynamicObject, key: &Key, context: &Context) -> Result<Wish, Invalid> {
    let (uid, generation) = (
        object.uid().unwrap_or_default(),
        object.metadata.generation.unwrap_or(0),
    );
    let known = context.remember(key, |memory| match &memory.validated {
        Some((of, at, result)) if *of == uid && *at == generation => Some(result.clone()),
        _ => None,
    });
    if let Some(known) = known {
        return known;
    }
    // It computes for long: with many clusters at once, a new leader would not get to renew its Lease beside it.
    let _turn = context.validating.lock().await;
    let result = tokio::task::block_in_place(|| validate(object));
    context.remember(key, |memory| memory.validated = Some((uid, generation, result.clone())));
    result
}

async fn carry_out(
    object: &DynamicObject,
    key: &Key,
    wish: &Wish,
    pods: &[Arc<Pod>],
    context: &Context,
) -> Result<Action, Error> {
    let before = told_before(object);
    let busy = is_busy(&before);
    let nodes = pods.iter().filter(|pod| is_node(pod)).count();
    let Given { secret, trouble } = dereference::dereference(wish, nodes, busy, context).await?;
    look_after_mesh(key, wish, &secret, pods, context)?;
    let mesh = context.meshes.snapshot(key);
    let retirement = adjust::retire(key, wish, pods, &mesh, context);
    let mut upgrade = None;
    let applied = if wish.spec.paused {
        Ok(())
    } else {
        let mut children = build::build(wish, &context.settings);
        adjust::keep_nodes(&mut children, retirement.replicas);
        upgrade = adjust::keep_templates(&mut children, wish, context);
        let applied = context.applier.apply_all(&wish.id, &children, &context.caches).await;
        let targets = targets(pods, context.meshes.access());
        act::carry_out(
            &retirement.acts,
            &wish.id,
            &targets,
            wish.spec.drain.deadline.0,
            context,
        )
        .await;
        applied
    };
    let degraded = match &applied {
        Err(error) => Some(Remark::new(Error::reason_of(error), error.to_string())),
        Ok(()) => trouble,
    };
    let facts = Facts {
        name: &wish.id.name,
        generation: object.metadata.generation,
        desired: wish.spec.replicas,
        pods,
        mesh: &mesh,
        paused: wish.spec.paused,
        degraded,
        progress: retirement.progress.filter(|_| !wish.spec.paused),
        upgrade,
    };
    let now = tell_status(object, key, &facts, &before, context).await?;
    applied?;
    Ok(look_again(&now))
}

/// An object that cannot be carried out changes nothing: what ran by the last good one runs on, and its mesh is healed.
async fn leave_as_it_is(
    object: &DynamicObject,
    key: &Key,
    invalid: &Invalid,
    pods: &[Arc<Pod>],
    context: &Context,
) -> Result<Action, Error> {
    let before = told_before(object);
    let set = ObjectRef::new(&ClusterId::of(&object.metadata).nodes()).within(&key.namespace);
    let live = context.caches.stateful_sets.get(&set);
    let kept = live.and_then(|live| last_good(object, &live));
    if let Some(wish) = &kept {
        let secret = dereference::admin_secret(wish, is_busy(&before), context).await?;
        look_after_mesh(key, wish, &secret, pods, context)?;
    }
    let mesh = context.meshes.snapshot(key);
    let facts = Facts {
        name: &key.name,
        generation: object.metadata.generation,
        desired: kept.map_or(0, |wish| wish.spec.replicas),
        pods,
        mesh: &mesh,
        paused: false,
        degraded: Some(Remark::new(
            "InvalidSpec",
            format!("{invalid}; what ran before runs on"),
        )),
        progress: None,
        upgrade: None,
    };
    tell_status(object, key, &facts, &before, context).await?;
    Ok(Action::requeue(LOOK_AGAIN))
}

fn look_after_mesh(
    key: &Key,
    wish: &Wish,
    secret: &Data,
    pods: &[Arc<Pod>],
    context: &Context,
) -> Result<(), TlsError> {
    let credentials = Credentials {
        token: secret::current_token(secret),
        ca: secret::text(secret, CA_CERT).unwrap_or_default(),
    };
    let (meshes, options) = (&context.meshes, mesh_options(wish));
    meshes.look_after(key, &wish.id.uid, options, pods, credentials)
}

fn mesh_options(wish: &Wish) -> MeshOptions {
    MeshOptions {
        plan: PlanOptions {
            lanes: fitting_lanes(&wish.spec),
            link_grace: wish.spec.mesh.link_grace.0,
        },
        ..MeshOptions::default()
    }
}

/// Writes the status if it is due, and events of what has changed in it.
async fn tell_status(
    object: &DynamicObject,
    key: &Key,
    facts: &Facts<'_>,
    before: &SfuClusterStatus,
    context: &Context,
) -> Result<SfuClusterStatus, Error> {
    let now = status::status(facts, before, Timestamp::now());
    let since = context.remember(key, |memory| memory.written.map(|at| at.elapsed()));
    if !status::is_due(&now, before, since) {
        return Ok(now);
    }
    let resource = resource();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &key.namespace, &resource);
    let patch = serde_json::json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": key.name, "uid": object.uid() },
        "status": now,
    });
    let params = PatchParams::apply(MANAGER).force();
    match api.patch_status(&key.name, &params, &Patch::Apply(patch)).await {
        Ok(_) => {}
        // Gone, or another by now: the next event of the object tells.
        Err(error) if matches!(error_code(&error), Some(404 | 409)) => return Ok(now),
        Err(error) => return Err(Error::Status(error)),
    }
    context.metrics.status_written();
    context.remember(key, |memory| memory.written = Some(Instant::now()));
    let reference = about(&ClusterId::of(&object.metadata));
    for note in status_events::changes(before, &now) {
        context.events.tell(&reference, note);
    }
    Ok(now)
}

fn told_before(object: &DynamicObject) -> SfuClusterStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

fn is_ready(status: &SfuClusterStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether something is not as desired.
fn is_busy(status: &SfuClusterStatus) -> bool {
    let mut conditions = status.conditions.iter();
    !is_ready(status) || conditions.any(|c| c.type_ == "Degraded" && c.status == "True")
}

fn look_again(now: &SfuClusterStatus) -> Action {
    let pause = if is_busy(now) { LOOK_AGAIN_WHEN_BUSY } else { LOOK_AGAIN };
    // Counts that were held back are written when they may be.
    let counts = now.streams > 0 || now.nodes.iter().any(|node| node.viewers > 0);
    Action::requeue(if counts { pause.min(status::COUNTS_EVERY) } else { pause })
}

impl Error {
    fn reason_of(error: &ApplyError) -> &'static str {
        match error {
            ApplyError::Taken { .. } => "NameTaken",
            ApplyError::Unchangeable { .. } => "StorageRefused",
            ApplyError::Refused { .. } | ApplyError::Unwritable { .. } => "ApplyRefused",
        }
    }
}
