//! One mesh task for each cluster, apart from the reconciles: a dead node's timeouts delay neither apply nor status, and
//! nothing that the API server does delays healing.

use super::farewell::Farewells;
use super::node_calls::{Counted, ThroughApiServer};
use super::targets::{NodeAccess, targets};
use crate::cluster::node_arguments::most_lanes;
use crate::controller::build::secret_keys::CA_CERT;
use crate::controller::build::{Wish, workers};
use crate::controller::process::metrics::Metrics;
use crate::controller::secret::{self, Data};
use crate::controller::watch::caches::Listener;
use crate::controller::watch::members::Pods;
use crate::controller::watch::queue::{Key, Queue};
use parking_lot::{Mutex, RwLock};
use sfumato_admin_api::client::{Building, HttpNodeAdmin, NodeAdmin, Room};
use sfumato_admin_api::client::{Straight, Transport};
use sfumato_admin_api::files::TlsError;
use sfumato_admin_api::files::{TokenSource, TrustedCa};
use sfumato_mesh::{Budget, MeshHandle, MeshOptions, MeshSnapshot, MeshTask, PlanOptions, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Meshes {
    way: Way,
    queue: Queue,
    running: Mutex<BTreeMap<Key, Running>>,
    /// How nodes of clusters that are no more are called, for as long as there are any.
    departed: Mutex<BTreeMap<Key, Departed>>,
    farewells: Farewells,
}

struct Departed {
    client: Client,
    /// UIDs of the pods.
    pods: BTreeSet<String>,
}

struct Running {
    uid: String,
    options: MeshOptions,
    client: Client,
    targets: watch::Sender<Option<Vec<Target>>>,
    snapshots: watch::Receiver<MeshSnapshot>,
    /// Holds the task, and asks for a reconcile whenever the mesh has changed.
    forward: JoinHandle<()>,
}

/// How nodes are called.
#[derive(Clone)]
pub struct Way {
    /// Straight, or through the API server.
    pub access: NodeAccess,
    pub api_server: kube::Client,
    /// How soon is looked again at what no watch tells of.
    pub every: Duration,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// Where the answers of all nodes have their room.
    pub building: Building,
    /// What the reports of all meshes may take.
    pub budget: Budget,
}

/// What the nodes of a cluster accept, and how they are known.
#[derive(Clone)]
struct Credentials {
    token: String,
    /// CAs of the admin listeners, PEM.
    ca: String,
}

impl Credentials {
    fn of(secret: &Data) -> Self {
        Self {
            token: secret::current_token(secret),
            ca: secret::text(secret, CA_CERT).unwrap_or_default(),
        }
    }
}

fn options(wish: &Wish) -> MeshOptions {
    MeshOptions {
        plan: PlanOptions {
            lanes: Some(most_lanes(&wish.spec, workers(&wish.spec))),
            link_grace: wish.spec.mesh.link_grace.0,
        },
        ..MeshOptions::default()
    }
}

/// A client whose credentials can be replaced while it is used.
#[derive(Clone)]
struct Client {
    now: Arc<RwLock<Credentials>>,
    ca: TrustedCa,
    http: HttpNodeAdmin,
}

impl Client {
    fn new(credentials: Credentials, way: &Way) -> Result<Self, TlsError> {
        let ca = TrustedCa::from_pem(CA, credentials.ca.as_bytes())?;
        let calls: Arc<dyn Transport> = match way.access {
            NodeAccess::Direct => Arc::new(Straight::new(Some(&ca))),
            NodeAccess::Proxy => Arc::new(ThroughApiServer::new(way.api_server.clone())),
        };
        let calls = Counted::new(calls, Arc::clone(&way.metrics));
        let now = Arc::new(RwLock::new(credentials));
        let token = Arc::clone(&now);
        let http = HttpNodeAdmin::over(Arc::new(calls), TokenSource::new(move || token.read().token.clone()))
            .with_room(Room::of(&way.building));
        Ok(Self { now, ca, http })
    }

    fn update(&self, credentials: Credentials) -> Result<(), TlsError> {
        if self.now.read().ca != credentials.ca {
            self.ca.replace(CA, credentials.ca.as_bytes())?;
        }
        *self.now.write() = credentials;
        Ok(())
    }
}

/// Where the CA comes from, for messages.
const CA: &str = "`ca.crt` of the admin Secret";

impl Drop for Running {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

impl Meshes {
    #[must_use]
    pub fn new(way: Way, queue: Queue) -> Self {
        Self {
            farewells: Farewells::new(way.api_server.clone(), way.access, way.every),
            way,
            queue,
            running: Mutex::default(),
            departed: Mutex::default(),
        }
    }

    /// Where their reconciles are asked for.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    #[must_use]
    pub fn access(&self) -> NodeAccess {
        self.way.access
    }

    /// Sees to it that the mesh of a cluster is looked after, as the wish wants it, with what its admin Secret holds.
    /// Its pods are looked up here: of a change before, nobody would tell a mesh that is not there yet. Answers whether that has just
    /// begun: then nothing is known of its nodes.
    ///
    /// # Errors
    /// When the CA cannot be used.
    pub fn look_after(&self, wish: &Wish, secret: &Data, pods: &Pods) -> Result<bool, TlsError> {
        let (key, uid) = (Key::from(&wish.id), &wish.id.uid);
        let (options, credentials) = (options(wish), Credentials::of(secret));
        let mut running = self.running.lock();
        let client = match running.get(&key).filter(|mesh| mesh.uid == *uid) {
            Some(mesh) => {
                mesh.client.update(credentials)?;
                if mesh.options == options && !mesh.forward.is_finished() {
                    return Ok(false);
                }
                // Other options: what is known of the nodes comes with their next answers.
                mesh.client.clone()
            }
            None => Client::new(credentials, &self.way)?,
        };
        if let Some(mesh) = running.remove(&key).filter(|mesh| mesh.uid != *uid) {
            self.part_from(key.clone(), &mesh);
        }
        let admin: Arc<dyn NodeAdmin> = Arc::new(client.http.clone());
        let (sender, receiver) = watch::channel(Some(targets(&pods.of(&key), self.way.access)));
        // Everything that is logged about this mesh says whose it is, also where only errors are logged.
        let span = tracing::error_span!("mesh", namespace = key.namespace, cluster = key.name);
        let handle = span.in_scope(|| MeshTask::spawn(receiver, Arc::clone(&admin), options.clone(), &self.way.budget));
        let snapshots = handle.snapshots.clone();
        let forward = tokio::spawn(forward(handle, key.clone(), self.queue.clone()));
        let mesh = Running {
            uid: uid.clone(),
            options,
            client,
            targets: sender,
            snapshots,
            forward,
        };
        running.insert(key, mesh);
        Ok(true)
    }

    /// A mesh as it is; empty when it is not looked after yet.
    #[must_use]
    pub fn snapshot(&self, key: &Key) -> MeshSnapshot {
        let running = self.running.lock();
        running
            .get(key)
            .map(|mesh| mesh.snapshots.borrow().clone())
            .unwrap_or_default()
    }

    /// The client for a cluster's nodes.
    #[must_use]
    pub fn admin(&self, key: &Key) -> Option<Arc<dyn NodeAdmin>> {
        self.running
            .lock()
            .get(key)
            .map(|mesh| Arc::new(mesh.client.http.clone()) as _)
    }

    /// Pairs that there should be and pairs that are whole, over all clusters.
    #[must_use]
    pub fn pairs(&self) -> (u64, u64) {
        let running = self.running.lock();
        running.values().fold((0, 0), |(desired, established), mesh| {
            let snapshot = mesh.snapshots.borrow();
            (
                desired + u64::from(snapshot.desired_pairs),
                established + u64::from(snapshot.established_pairs),
            )
        })
    }

    /// Looks after a mesh no longer: somebody else does.
    pub fn leave(&self, key: &Key) {
        self.running.lock().remove(key);
    }

    /// What is left of a mesh when its cluster is deleted.
    fn part_from(&self, key: Key, mesh: &Running) {
        let told = mesh.targets.borrow();
        let pods: BTreeSet<String> = told.iter().flatten().map(|target| target.uid.clone()).collect();
        if !pods.is_empty() {
            let client = mesh.client.clone();
            self.departed.lock().insert(key, Departed { client, pods });
        }
    }

    /// How the node in the pod with this UID is called, which may be one of a cluster that is no more.
    fn admin_of(&self, key: &Key, uid: &str) -> Option<Arc<dyn NodeAdmin>> {
        let http = |departed: &Departed| departed.pods.contains(uid).then(|| departed.client.http.clone());
        let departed = self.departed.lock().get(key).and_then(http);
        if let Some(http) = departed {
            return Some(Arc::new(http));
        }
        let running = self.running.lock();
        let mesh = running.get(key)?;
        let is_its = mesh.targets.borrow().iter().flatten().any(|target| target.uid == uid);
        is_its.then(|| Arc::new(mesh.client.http.clone()) as _)
    }
}

impl Listener for Meshes {
    fn pods_changed(&self, key: &Key, pods: &Pods) {
        if let Some(mesh) = self.running.lock().get(key) {
            let now = Some(targets(&pods.of(key), self.way.access));
            mesh.targets.send_if_modified(|told| {
                let changed = *told != now;
                *told = now;
                changed
            });
        }
        self.farewells
            .see_to(key, pods.left_behind(key), |uid| self.admin_of(key, uid));
        let mut departed = self.departed.lock();
        if departed.get(key).is_some_and(|it| it.pods.is_disjoint(&pods.uids(key))) {
            departed.remove(key);
        }
    }

    fn cluster_deleted(&self, key: &Key) {
        if let Some(mesh) = self.running.lock().remove(key) {
            self.part_from(key.clone(), &mesh);
        }
    }

    fn clusters_listed(&self, exists: &dyn Fn(&Key) -> bool) {
        let gone = |key: &Key, _: &mut Running| !exists(key);
        for (key, mesh) in self.running.lock().extract_if(.., gone) {
            self.part_from(key, &mesh);
        }
    }
}

async fn forward(mut mesh: MeshHandle, key: Key, queue: Queue) {
    while mesh.snapshots.changed().await.is_ok() {
        mesh.snapshots.borrow_and_update();
        queue.ask(key.clone());
    }
    tracing::error!(
        namespace = key.namespace,
        cluster = key.name,
        "the mesh task has ended; the next reconcile starts another"
    );
    queue.ask(key);
}
