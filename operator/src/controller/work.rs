//! The work itself: for each scope its caches, its queue, and kube's scheduler between them.

use super::build::Settings;
use super::context::Context;
use super::error::Error;
use super::mesh::meshes::{Meshes, Way};
use super::pace::{Pace, REQUESTS_AT_ONCE};
use super::process::events::Events;
use super::process::kubernetes_release;
use super::process::lease::Standing;
use super::process::metrics::Metrics;
use super::reconcile::reconcile;
use super::rollout::act::Actor;
use super::stages::apply::Applier;
use super::stages::dereference::Dereferencer;
use super::stages::validate::Validator;
use super::stages::write_status::StatusWriter;
use super::watch::caches::{Caches, Listener, Scope};
use super::watch::definition::Definition;
use super::watch::queue::{self, Key, Queue, cluster_key};
use super::watch::seen::resource;
use crate::cli::ClusterSelector;
use crate::manifest::defaults::Defaults;
use futures::StreamExt;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Config as Concurrency, Error as Failure, applier};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

/// What belongs to one scope and exists before it is worked on, so that its metrics do.
pub struct Part {
    scope: Scope,
    queue: Queue,
    requests: mpsc::UnboundedReceiver<Key>,
    pub meshes: Arc<Meshes>,
}

impl Part {
    #[must_use]
    pub fn new(scope: Scope, way: &Way) -> Self {
        let (queue, requests) = Queue::new();
        Self {
            scope,
            meshes: Arc::new(Meshes::new(way.clone(), queue.clone())),
            queue,
            requests,
        }
    }
}

/// Everything that is to be carried out.
pub struct Work {
    pub client: Client,
    pub settings: Settings,
    /// This installation of the operator.
    pub installation: String,
    /// Which clusters it looks after.
    pub selector: ClusterSelector,
    /// What clusters have where they say nothing.
    pub defaults: Defaults,
    pub pace: Pace,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    /// What `/readyz` waits for.
    pub waiting: watch::Sender<Option<&'static str>>,
    /// One for each scope.
    pub parts: Vec<Part>,
}

impl Work {
    /// Waits for the Lease, and then works. A follower is ready as well: it could lead at once.
    pub async fn once_leading(self, mut standing: watch::Receiver<Standing>) {
        loop {
            let now = *standing.borrow_and_update();
            match now {
                Standing::Leader => return self.run().await,
                Standing::Follower => drop(self.waiting.send_replace(None)),
                Standing::Unknown => {}
            }
            if standing.changed().await.is_err() {
                return;
            }
        }
    }

    /// Works until the task is ended.
    pub async fn run(self) {
        self.metrics.set_leader(true);
        let mut scopes = JoinSet::new();
        self.waiting.send_replace(Some(
            "the API server to show what there is; is the SfuCluster CRD installed?",
        ));
        let mut synced = Vec::new();
        let turns = Arc::new(Semaphore::new(REQUESTS_AT_ONCE));
        for part in self.parts {
            let mut tasks = JoinSet::new();
            let listener: Arc<dyn Listener> = part.meshes.clone();
            let definition = Definition::new(self.waiting.clone());
            let caches = Caches::watch(
                &self.client,
                &part.scope,
                &part.queue,
                &listener,
                (definition, &mut tasks),
            );
            let (told, shown) = oneshot::channel();
            synced.push(shown);
            let client = || self.client.clone();
            let context = Arc::new(Context {
                settings: self.settings.clone(),
                installation: self.installation.clone(),
                selector: self.selector.clone(),
                events: self.events.clone(),
                pace: self.pace,
                caches,
                validator: Validator::new(self.defaults.clone()),
                dereferencer: Dereferencer::new(client(), self.pace, Arc::clone(&turns)),
                applier: Applier::new(client(), Arc::clone(&turns)),
                actor: Actor::new(
                    client(),
                    Arc::clone(&part.meshes),
                    self.events.clone(),
                    self.pace.eviction_patience,
                ),
                status_writer: StatusWriter::new(
                    client(),
                    Arc::clone(&turns),
                    self.events.clone(),
                    Arc::clone(&self.metrics),
                ),
                meshes: part.meshes,
                queue: part.queue,
                metrics: Arc::clone(&self.metrics),
                memories: Mutex::default(),
            });
            scopes.spawn(work(context, part.requests, tasks, told));
        }
        for shown in synced {
            // The work on this scope has ended, which is told below.
            if shown.await.is_err() {
                break;
            }
        }
        self.waiting.send_replace(None);
        tracing::info!("all watches have shown what there is");
        kubernetes_release::check(&self.client).await;
        // They work for ever. One that has ended takes the others with it: this is what the program lives by.
        if let Some(ended) = scopes.join_next().await {
            pass_on_panic(ended);
        }
    }
}

/// Works on one scope, for ever: until a watch ends, or the work on what it shows. Without one of them, that would be old for
/// ever.
async fn work(
    context: Arc<Context>,
    requests: mpsc::UnboundedReceiver<Key>,
    mut watches: JoinSet<()>,
    told: oneshot::Sender<()>,
) {
    let ended = tokio::select! {
        ended = watches.join_next() => ended,
        () = reconcile_all(context, requests, told) => None,
    };
    tracing::error!("a watch of the API server has ended, or the work on what it shows");
    ended.into_iter().for_each(pass_on_panic);
}

async fn reconcile_all(context: Arc<Context>, mut requests: mpsc::UnboundedReceiver<Key>, told: oneshot::Sender<()>) {
    // Without the pods, a plan would take every node for gone. kube wakes only one who waits for this.
    context.caches.synced().await;
    let _ = told.send(());
    let resource = resource();
    let requests = futures::stream::poll_fn(move |cx| requests.poll_recv(cx))
        .map(move |key| Ok::<_, Infallible>(queue::request(&key, &resource)));
    let clusters = context.caches.clusters.clone();
    applier(
        |object, context| Box::pin(reconcile(object, context)),
        after_failure,
        Arc::clone(&context),
        clusters,
        requests,
        // Side by side, without a bound: each waits for the API server most of its time, within a deadline.
        Concurrency::default(),
    )
    .for_each(|outcome| {
        if let Err(Failure::ObjectNotFound(gone)) = outcome
            && let Some(namespace) = gone.namespace
        {
            context.forget(&Key {
                namespace,
                name: gone.name,
            });
        }
        std::future::ready(())
    })
    .await;
}

#[allow(clippy::needless_pass_by_value)] // kube's signature.
fn after_failure(object: Arc<DynamicObject>, error: &Error, context: Arc<Context>) -> Action {
    let Some(key) = cluster_key(&object) else {
        return Action::await_change();
    };
    let pause = context.pause_after_failure(&key);
    tracing::warn!(namespace = key.namespace, cluster = key.name, reason = error.reason(), %error, again_in = %humantime::format_duration(pause), "a reconcile failed");
    Action::requeue(pause)
}

/// A panic of a task goes on in the one that waits for it.
fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
