//! The node: everything that its listeners and its background tasks share.

use crate::access::Gate;
use crate::beats::Beats;
use crate::claims::Claims;
use crate::coalesce::Coalesced;
use crate::deadline::MediaError;
use crate::drain::Drain;
use crate::fanout::{Asked, Carried};
use crate::flights::Flights;
use crate::layers::task::layer_reports;
use crate::limits::Limits;
use crate::link::{Link, LinkEvents};
use crate::negotiate::Offers;
use crate::options::Options;
use crate::ownership::{LastRtp, Right};
use crate::pipe::PipeListen;
use crate::presence::Presence;
use crate::publication_log::PublicationLog;
use crate::redis_link::RedisSetupError;
use crate::session::{EndReason, SessionId, Sessions};
use crate::stats::Tally;
use crate::sync::Peers;
use crate::worker::MediaWorker;
use mediasoup::prelude::{MediaKind, WorkerManager};
use parking_lot::Mutex;
use sfumato_admin_api::client::{HttpNodeAdmin, NodeAdmin};
use sfumato_admin_api::types::{
    API_VERSION, CarriedReport, Incarnation, LinkId, NodeName, NodeReport, Peer, PublicationId, PublicationReport,
    StreamName,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// A publication whose origin is this node.
pub struct Published {
    /// Where it enters.
    pub presence: Arc<Presence>,
    /// Right to its name.
    pub generation: u64,
    /// The session that sends it.
    pub session: SessionId,
    /// When RTP last came.
    pub last_rtp: LastRtp,
}

impl Published {
    /// Its right to its name.
    pub fn right(&self, id: &PublicationId) -> Right {
        Right {
            generation: self.generation,
            publication: id.clone(),
        }
    }
}

/// A media node.
pub struct Node {
    /// How it was started.
    pub options: Options,
    /// How peers and front door reach it.
    pub me: Peer,
    /// Its workers, by index.
    pub workers: Vec<Arc<MediaWorker>>,
    /// Their beats, by index.
    pub beats: Vec<Arc<Beats>>,
    /// Ends of links, by id.
    pub links: Mutex<BTreeMap<LinkId, Arc<Link>>>,
    /// One change at a time for each peer.
    pub link_locks: Mutex<HashMap<NodeName, Arc<tokio::sync::Mutex<()>>>>,
    /// Publications whose origin is this node.
    pub published: Mutex<HashMap<PublicationId, Published>>,
    /// Names that are being claimed on this node at the moment.
    pub claiming: Mutex<HashMap<StreamName, Right>>,
    /// Publications of other nodes that are carried here, or are about to be.
    pub carried: Flights<PublicationId, Carried>,
    /// The last [`sfumato_admin_api::types::Subscribe::order`].
    pub subscription_order: AtomicU64,
    /// Origins that send something here, or did a moment ago.
    pub asked: Asked,
    /// What the peers publish.
    pub peers: Peers,
    /// Who may publish and play.
    pub gate: Gate,
    /// How much clients may use.
    pub limits: Limits,
    /// What is counted over the node's life.
    pub tally: Tally,
    /// WHIP and WHEP sessions.
    pub sessions: Sessions,
    /// Offers to players that wait for their answers.
    pub offers: Offers,
    /// Names in Redis.
    pub claims: Claims,
    /// Client for the peers' admin API.
    pub admin: Arc<dyn NodeAdmin>,
    /// Set by the first failure that ends the process.
    pub fatal: watch::Sender<Option<String>>,
    revision: watch::Sender<u64>,
    publication_log: watch::Sender<PublicationLog>,
    /// Publications of this node with layers of new sizes.
    pub new_sizes: Coalesced<PublicationId>,
    /// Why it is being emptied, and how far that has come.
    pub drain: Mutex<Drain>,
    started: AtomicBool,
    /// Sessions whose transport says that they have ended, with the reason.
    pub ended: mpsc::UnboundedSender<(SessionId, EndReason)>,
    /// Sessions whose transport says that they are connected.
    pub connected: mpsc::UnboundedSender<SessionId>,
}

/// What the transports' callbacks tell the node's tasks.
pub struct Inbox {
    /// Ended sessions.
    pub ended: mpsc::UnboundedReceiver<(SessionId, EndReason)>,
    /// Connected sessions.
    pub connected: mpsc::UnboundedReceiver<SessionId>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// mediasoup failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// There is no way to Redis.
    #[error(transparent)]
    Redis(#[from] RedisSetupError),
    /// The client for peers could not be made.
    #[error("preparing the client for peers: {0}")]
    Admin(String),
    /// The keys for tokens cannot be read.
    #[error("{0}")]
    Keys(String),
}

impl Node {
    /// Starts the workers and prepares everything else.
    pub async fn start(options: Options, admin: HttpNodeAdmin) -> Result<(Arc<Self>, Inbox), StartError> {
        let gate = Gate::open(&options.access).map_err(StartError::Keys)?;
        let manager = WorkerManager::new();
        let fatal = watch::Sender::new(None);
        let (mut workers, mut beats) = (Vec::new(), Vec::new());
        for index in 0..options.worker_count() {
            let died = fatal.clone();
            let worker = MediaWorker::start(&manager, index, &options, move |why| {
                died.send_replace(Some(why));
            })
            .await?;
            beats.push(Beats::start(&worker).await?);
            workers.push(Arc::new(worker));
        }
        let (ended, ended_inbox) = mpsc::unbounded_channel();
        let (connected, connected_inbox) = mpsc::unbounded_channel();
        let boot = uuid::Uuid::new_v4().simple().to_string();
        let incarnation = Incarnation::try_from(format!("{}.{boot}", options.pod_uid))
            .map_err(|error| StartError::Admin(error.to_string()))?;
        let me = Peer {
            name: options.name.clone(),
            incarnation,
            admin_url: options.admin_base_url(),
            client_url: options.client_base_url(),
        };
        let redis = (options.redis_url.as_deref(), options.redis_ca.as_deref());
        let claims = Claims::new(redis, &options.cluster)?;
        let node = Arc::new(Self {
            me,
            workers,
            beats,
            links: Mutex::default(),
            link_locks: Mutex::default(),
            published: Mutex::default(),
            claiming: Mutex::default(),
            carried: Flights::default(),
            subscription_order: AtomicU64::new(0),
            asked: Asked::default(),
            peers: Peers::default(),
            gate,
            limits: Limits::new(&options.limits),
            tally: Tally::default(),
            sessions: Sessions::default(),
            offers: Offers::default(),
            claims,
            admin: Arc::new(admin),
            fatal,
            revision: watch::Sender::new(1),
            publication_log: watch::Sender::default(),
            new_sizes: Coalesced::default(),
            drain: Mutex::default(),
            started: AtomicBool::new(false),
            ended,
            connected,
            options,
        });
        Ok((
            node,
            Inbox {
                ended: ended_inbox,
                connected: connected_inbox,
            },
        ))
    }

    /// A weak reference as what links report to.
    pub fn link_events(self: &Arc<Self>) -> Weak<dyn LinkEvents> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }

    /// Where pipes to other nodes listen. A node that was started to encrypt always does; another one does where its peer
    /// was, so that every pair can be linked while a change of the setting is rolled out.
    pub fn link_listen(&self, peer_encrypts: bool) -> PipeListen {
        PipeListen {
            ip: self.options.pipe_ip,
            ports: self.options.pipe_ports.clone(),
            encrypted: self.options.link_encryption || peer_encrypts,
        }
    }

    /// Where pipes inside the process listen.
    pub fn inner_listen(&self) -> PipeListen {
        PipeListen::inner(self.options.pipe_ports.clone())
    }

    /// Something in the report changed other than counters.
    pub fn touch(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Whether this node takes sessions has changed, or peers are to be answered at once.
    pub fn touch_readiness(&self) {
        self.publication_log.send_modify(PublicationLog::turn);
        self.touch();
    }

    /// An own publication has begun.
    pub fn publication_began(&self, publication: &PublicationId) {
        self.publication_log.send_modify(|log| log.began(publication));
        self.touch();
    }

    /// Own publications have changed.
    pub fn publications_changed<'a>(&self, publications: impl IntoIterator<Item = &'a PublicationId>) {
        if self.publication_log.send_if_modified(|log| log.changed(publications)) {
            self.touch();
        }
    }

    /// An own publication has ended.
    pub fn publication_ended(&self, publication: &PublicationId) {
        self.publication_log.send_modify(|log| log.ended(publication));
        self.touch();
    }

    /// Revision of the report, to wait on.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// What changed in the own publications, to wait on.
    pub fn publication_log(&self) -> watch::Receiver<PublicationLog> {
        self.publication_log.subscribe()
    }

    /// Whether new sessions are welcome.
    pub fn is_ready(&self) -> bool {
        self.started.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// The listeners are open.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Relaxed);
        self.touch_readiness();
    }

    /// Whether the node is being emptied.
    pub fn is_draining(&self) -> bool {
        self.drain.lock().is_on()
    }

    /// Links that are connected, on one worker.
    pub fn links_of_worker(&self, index: u16) -> Vec<Arc<Link>> {
        self.links
            .lock()
            .values()
            .filter(|l| l.lane.0 == index && l.remote().is_some())
            .cloned()
            .collect()
    }

    /// The worker for a new publisher: fewest sessions among the least loaded.
    pub fn worker_for_publisher(&self) -> Arc<MediaWorker> {
        least_loaded(&self.workers)
    }

    /// The worker for a new viewer: one that carries the stream while its load is under [`BUSY`], else the least loaded.
    pub fn worker_for_viewer(&self, presence: &Presence) -> Arc<MediaWorker> {
        let carrying: Vec<Arc<MediaWorker>> = presence
            .workers()
            .into_iter()
            .map(|index| Arc::clone(&self.workers[usize::from(index)]))
            .filter(|worker| worker.load() < BUSY)
            .collect();
        if carrying.is_empty() {
            least_loaded(&self.workers)
        } else {
            least_loaded(&carrying)
        }
    }

    /// Own publications as peers and operator see them.
    pub fn publication_reports(&self) -> Vec<PublicationReport> {
        self.publication_reports_of(|_| true)
    }

    /// Those that are wanted.
    pub fn publication_reports_of(&self, wanted: impl Fn(&PublicationId) -> bool) -> Vec<PublicationReport> {
        let subscribers = self.subscribers();
        let mut reports: Vec<PublicationReport> = self
            .published
            .lock()
            .iter()
            .filter(|(id, _)| wanted(id))
            .map(|(id, published)| PublicationReport {
                id: id.clone(),
                stream: published.presence.stream.clone(),
                generation: published.generation,
                worker: published.presence.root_worker,
                tracks: published
                    .presence
                    .codecs()
                    .iter()
                    .map(|(producer, codec)| sfumato_admin_api::types::TrackReport {
                        kind: crate::sdp::capabilities::track_kind(producer.kind()),
                        codec: codec.name().to_owned(),
                        layers: match producer.kind() {
                            MediaKind::Video => layer_reports(&published.presence),
                            MediaKind::Audio => Vec::new(),
                        },
                    })
                    .collect(),
                viewers: published.presence.viewers(),
                subscribers: subscribers.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        reports.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
        reports
    }

    fn subscribers(&self) -> HashMap<PublicationId, Vec<NodeName>> {
        let mut subscribers: HashMap<PublicationId, Vec<NodeName>> = HashMap::new();
        for link in self.links.lock().values() {
            for publication in link.outgoing.keys() {
                let nodes = subscribers.entry(publication).or_default();
                if !nodes.contains(&link.peer.name) {
                    nodes.push(link.peer.name.clone());
                    nodes.sort();
                }
            }
        }
        subscribers
    }

    /// What the node says of itself.
    pub fn report(&self) -> NodeReport {
        let now = Instant::now();
        let revision = *self.revision.borrow();
        let (publishers, viewers) = self.sessions.count();
        let mut links: Vec<_> = self.links.lock().values().map(|link| link.report(now)).collect();
        links.sort_by(|a, b| (&a.peer, a.lane, &a.id).cmp(&(&b.peer, b.lane, &b.id)));
        let mut carried: Vec<CarriedReport> = self.carried.all().iter().filter_map(|c| c.report()).collect();
        carried.sort_by(|a, b| (&a.stream, &a.publication).cmp(&(&b.stream, &b.publication)));
        NodeReport {
            api_version: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.me.clone(),
            revision,
            workers: self.options.worker_count(),
            lanes: self.options.lanes,
            link_encryption: self.options.link_encryption,
            ready: self.is_ready(),
            draining: self.is_draining(),
            drain: self.drain_state(),
            redis: self.claims.healthy(),
            redis_problem: self.claims.problem(),
            pid: std::process::id(),
            peers: self.peers.list(),
            links,
            publications: self.publication_reports(),
            carried,
            viewers,
            publishers,
            load: self.workers.iter().map(|worker| worker.load()).fold(0.0, f64::max),
        }
    }
}

impl LinkEvents for Node {
    fn link_changed(&self) {
        self.touch();
    }
}

/// A worker whose load is above this share of its core takes no further viewers of a stream while others are free.
pub const BUSY: f64 = 0.7;

fn least_loaded(workers: &[Arc<MediaWorker>]) -> Arc<MediaWorker> {
    // Loads within a tenth of a core are alike; then the number of sessions decides.
    let rank = |worker: &MediaWorker| {
        (
            (worker.load() * 10.0) as u32,
            worker.sessions.load(Ordering::Relaxed),
            worker.index,
        )
    };
    let best = workers.iter().min_by_key(|worker| rank(worker));
    Arc::clone(best.unwrap_or(&workers[0]))
}
