//! The parts of a node. Each has methods of its own; what concerns several of them is in the files beside this one.

use super::coalesce::Coalesced;
use super::inbox::{Inbox, InboxSender};
use super::state::State;
use crate::access::Gate;
use crate::limits::Limits;
use crate::limits::parsing::Parsing;
use crate::links::table::LinkTable;
use crate::media::announcing::Announcing;
use crate::media::deadline::MediaError;
use crate::media::workers::Workers;
use crate::names::Names;
use crate::names::redis_link::{RedisLink, RedisSetupError};
use crate::options::Options;
use crate::sessions::pending_offers::Offers;
use crate::sessions::session::Sessions;
use crate::stats::tally::Tally;
use crate::streams::Streams;
use sfumato_admin_api::client::{HttpNodeAdmin, NodeAdmin};
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{Incarnation, Peer, PublicationId};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A media node.
pub struct Node {
    /// How it was started.
    pub options: Options,
    /// How peers and front door reach it.
    pub me: Peer,
    /// mediasoup's workers.
    pub workers: Workers,
    /// What clients are told of their ports.
    pub announcing: Announcing,
    /// Ends of links to other nodes.
    pub links: LinkTable,
    /// Publications: own, carried here, and those of the peers.
    pub streams: Streams,
    /// Claims on names.
    pub names: Names,
    /// WHIP and WHEP sessions.
    pub sessions: Sessions,
    /// Offers of this node to players, which wait for their answers.
    pub offers: Offers,
    /// Who may publish and play.
    pub gate: Gate,
    /// How much clients may use.
    pub limits: Limits,
    /// Where what clients send is parsed.
    pub parsing: Parsing,
    /// What is counted over the node's life.
    pub tally: Tally,
    /// What it is doing, and who waits to hear of changes.
    pub state: State,
    /// Own publications whose layers have new sizes, which the peers are to be told of.
    pub(super) new_sizes: Coalesced<PublicationId>,
    /// Client for the peers' admin API.
    pub(super) peers_admin: Arc<dyn NodeAdmin>,
    /// Where transports leave their news.
    pub(super) inbox: InboxSender,
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
    /// The options name what is no incarnation.
    #[error("--pod-uid: {0}")]
    PodUid(String),
    /// There is no way to know what clients are to be told.
    #[error("{0}")]
    Announced(String),
    /// The keys for tokens cannot be read.
    #[error("{0}")]
    Keys(String),
}

impl Node {
    /// Starts the workers and prepares everything else.
    pub async fn start(options: Options, peers_admin: HttpNodeAdmin) -> Result<(Arc<Self>, Inbox), StartError> {
        let gate = Gate::open(&options.access).map_err(StartError::Keys)?;
        let announcing = Announcing::open(&options).map_err(StartError::Announced)?;
        let fatal = watch::Sender::new(None);
        let died = fatal.clone();
        let workers = Workers::start(&options, move |why| {
            task::give_up(&died, why);
        })
        .await?;
        let links = LinkTable::start(&workers).await?;
        let incarnation = Incarnation::try_from(format!("{}.{}", options.pod_uid, crate::ids::random_id()))
            .map_err(|error| StartError::PodUid(error.to_string()))?;
        let me = Peer {
            name: options.name.clone(),
            incarnation,
            admin_url: options.admin_base_url(),
            client_url: options.client_base_url(),
        };
        let files = options.redis_files();
        let redis = options.redis().map(|url| RedisLink::new(url, &files));
        let names = Names::new(redis.transpose()?, &options.cluster);
        let (inbox, news) = mpsc::unbounded_channel();
        let state = State::new(fatal);
        state.set_addressed(announcing.is_known());
        let node = Self {
            me,
            workers,
            announcing,
            links,
            streams: Streams::default(),
            names,
            sessions: Sessions::default(),
            offers: Offers::default(),
            gate,
            limits: Limits::new(&options.limits),
            parsing: Parsing::default(),
            tally: Tally::default(),
            state,
            new_sizes: Coalesced::default(),
            peers_admin: Arc::new(peers_admin),
            inbox,
            options,
        };
        Ok((Arc::new(node), news))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.me.name)
    }
}
