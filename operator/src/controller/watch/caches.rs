//! What is known of the API server's objects: one watch for each kind, in memory, so that a reconcile that changes nothing
//! asks the API server nothing.

use super::definition::{AGAIN, Definition, is_unknown};
use super::members::Pods;
use super::owned_fields::condense;
use super::queue::{Key, Queue, cluster_key, key_of};
use super::seen::{Deployment, Service, StatefulSet, owned, resource};
use crate::controller::build::{ClusterId, MANAGED_BY, MANAGER};
use crate::controller::words::of_watch;
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Where SfuClusters are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Namespace(String),
}

/// The objects in memory; of most no more than their metadata is looked at.
#[derive(Clone)]
pub struct Caches {
    /// What this operator carries out. Untyped, so that one that cannot be read does not hide the others.
    pub clusters: Store<DynamicObject>,
    /// Nodes, front doors and Redis.
    pub pods: Pods,
    /// Nodes, and Redis with storage.
    pub stateful_sets: Store<StatefulSet>,
    /// Front doors, and Redis without storage.
    pub deployments: Store<Deployment>,
    /// Addresses, and where load balancers are reached.
    pub services: Store<Service>,
    pub accounts: Store<PartialObjectMeta<ServiceAccount>>,
    pub budgets: Store<PartialObjectMeta<PodDisruptionBudget>>,
    pub policies: Store<PartialObjectMeta<NetworkPolicy>>,
}

/// Who is told of a change at once, and not only with the next reconcile: the meshes.
pub trait Listener: Send + Sync {
    /// The pods of a cluster are others than before, or what they hang on is.
    fn pods_changed(&self, key: &Key, pods: &Pods);
    /// A cluster's object was deleted.
    fn cluster_deleted(&self, key: &Key);
    /// Clusters may have been deleted while nobody watched: those that `exists` denies are gone.
    fn clusters_listed(&self, exists: &dyn Fn(&Key) -> bool);
}

/// An API of typed objects in a scope.
pub fn api<K>(client: &Client, scope: &Scope) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match scope {
        Scope::All => Api::all(client.clone()),
        Scope::Namespace(name) => Api::namespaced(client.clone(), name),
    }
}

impl Caches {
    /// Begins to watch. The watches end with `tasks`.
    #[must_use]
    pub fn watch(
        client: &Client,
        scope: &Scope,
        queue: &Queue,
        listener: &Arc<dyn Listener>,
        (definition, tasks): (Definition, &mut JoinSet<()>),
    ) -> Self {
        let (clusters, writer) = {
            let writer = Writer::new(resource());
            (writer.as_reader(), writer)
        };
        tasks.spawn(follow_clusters(
            client.clone(),
            scope.clone(),
            writer,
            queue.clone(),
            (Arc::clone(listener), definition),
        ));
        let asker = Asker {
            clusters: clusters.clone(),
            queue: queue.clone(),
        };
        let ((store, pods_writer), (stateful_sets, sets_writer)) = (reflector::store(), reflector::store());
        let pods = Pods {
            store,
            sets: stateful_sets.clone(),
            clusters: clusters.clone(),
            known: Arc::default(),
        };
        let tell = || {
            let (pods, listener) = (pods.clone(), Arc::clone(listener));
            move |key: &Key| listener.pods_changed(key, &pods)
        };
        // Whose a pod is hangs on its StatefulSet, and either may be seen first.
        tasks.spawn(follow(api(client, scope), pods_writer, asker.clone(), tell()));
        tasks.spawn(follow(api(client, scope), sets_writer, asker.clone(), tell()));
        Self {
            clusters,
            pods,
            stateful_sets,
            deployments: child(client, scope, &asker, tasks),
            services: child(client, scope, &asker, tasks),
            accounts: child(client, scope, &asker, tasks),
            budgets: child(client, scope, &asker, tasks),
            policies: child(client, scope, &asker, tasks),
        }
    }

    /// The StatefulSet of a cluster's nodes, unless it is somebody else's.
    #[must_use]
    pub fn nodes_of(&self, id: &ClusterId) -> Option<Arc<StatefulSet>> {
        owned(&self.stateful_sets, id, &id.nodes())
    }

    /// The Deployments of a cluster: of its front door, and of Redis without storage.
    #[must_use]
    pub fn deployments_of(&self, id: &ClusterId) -> Vec<Arc<Deployment>> {
        [id.web(), id.redis()]
            .iter()
            .filter_map(|name| owned(&self.deployments, id, name))
            .collect()
    }

    /// Returns once every watch has shown what there is. Nothing is planned or applied before.
    pub async fn synced(&self) {
        // An error would mean that the writing task has ended; then its scope ends as well.
        let _ = tokio::join!(
            self.clusters.wait_until_ready(),
            self.pods.store.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.services.wait_until_ready(),
            self.accounts.wait_until_ready(),
            self.budgets.wait_until_ready(),
            self.policies.wait_until_ready(),
        );
    }
}

fn child<K>(client: &Client, scope: &Scope, asker: &Asker, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync,
    K: 'static,
{
    let (store, writer) = reflector::store();
    tasks.spawn(follow(api(client, scope), writer, asker.clone(), |_| {}));
    store
}

#[derive(Clone)]
struct Asker {
    clusters: Store<DynamicObject>,
    queue: Queue,
}

impl Asker {
    fn ask_all(&self) -> Vec<Key> {
        let keys: Vec<Key> = self.clusters.state().iter().filter_map(|c| cluster_key(c)).collect();
        keys.iter().for_each(|key| self.queue.ask(key.clone()));
        keys
    }
}

/// Keeps a store in step with the API server, and asks for reconciles of the clusters that a change concerns.
async fn follow<K>(api: Api<K>, writer: Writer<K>, asker: Asker, changed: impl Fn(&Key) + Send)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
    let store = writer.as_reader();
    let mut events = std::pin::pin!(
        watcher(api, config)
            .default_backoff()
            .modify(|object: &mut K| condense(object.meta_mut()))
            .reflect(writer)
    );
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => {
                if let Some(key) = key_of(&object) {
                    changed(&key);
                    asker.queue.ask(key);
                }
            }
            // What has gone while nobody watched shows only by being absent now.
            Ok(Event::InitDone) => {
                let left = store.state().into_iter().filter_map(|object| key_of(&*object));
                let all: BTreeSet<Key> = asker.ask_all().into_iter().chain(left).collect();
                all.iter().for_each(&changed);
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => complain(&K::kind(&()), &error),
        }
    }
}

async fn follow_clusters(
    client: Client,
    scope: Scope,
    mut writer: Writer<DynamicObject>,
    queue: Queue,
    (listener, mut definition): (Arc<dyn Listener>, Definition),
) {
    let api: Api<DynamicObject> = match &scope {
        Scope::All => Api::all_with(client, &resource()),
        Scope::Namespace(name) => Api::namespaced_with(client, name, &resource()),
    };
    let asker = Asker {
        clusters: writer.as_reader(),
        queue,
    };
    let begin = || {
        let watch = watcher(api.clone(), watcher::Config::default()).default_backoff();
        Box::pin(watch.modify(|object: &mut DynamicObject| condense(&mut object.metadata)))
    };
    let mut events = begin();
    while let Some(event) = events.next().await {
        if let Ok(event) = &event {
            writer.apply_watcher_event(event);
        }
        match event {
            Ok(Event::Apply(object)) => {
                if let Some(key) = cluster_key(&object) {
                    asker.queue.ask(key);
                }
            }
            Ok(Event::Delete(object)) => {
                if let Some(key) = cluster_key(&object) {
                    tracing::info!(namespace = key.namespace, cluster = key.name, "the cluster was deleted");
                    listener.cluster_deleted(&key);
                }
            }
            Ok(Event::InitDone) => {
                definition.is_there();
                let there = asker.ask_all();
                listener.clusters_listed(&|key| there.contains(key) || !scope.holds(key));
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            // A new watch, since this one would look again after ever longer pauses.
            Err(error) if is_unknown(&error) => {
                definition.is_missing();
                tokio::time::sleep(AGAIN).await;
                events = begin();
            }
            Err(error) => complain("SfuCluster", &error),
        }
    }
}

impl Scope {
    fn holds(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(name) => *name == key.namespace,
        }
    }
}

fn complain(kind: &str, error: &watcher::Error) {
    tracing::warn!(
        kind,
        error = of_watch(error),
        "a watch was interrupted; it is taken up again"
    );
}
