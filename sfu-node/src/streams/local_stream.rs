//! A publication as it is present on this node: the producers where it enters (by WHIP, or over a link) and its copies on
//! other routers of this process, each carried there once and shared by all viewers on that router.

use crate::events::status::{Activity, Status};
use crate::layers::probe::SizeProbe;
use crate::media::deadline::{MediaError, within};
use crate::media::first_picture::FirstPicture;
use crate::media::inner_addresses::InnerAddresses;
use crate::media::pipe::{Hop, InnerPipe};
use crate::media::profiles::{Profile, ProfileUse};
use crate::media::uses::{UseGuard, Uses};
use crate::media::worker::MediaWorker;
use crate::media::workers::Workers;
use crate::sdp::capabilities::track_kind;
use crate::sdp::codec::StreamCodec;
use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use mediasoup::types::rtp_parameters::RtpEncodingParameters;
use parking_lot::Mutex;
use sfumato_admin_api::types::{LayerReport, PublicationId, StreamName, TrackReport};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A publication on this node.
pub struct LocalStream {
    pub publication: PublicationId,
    pub stream: StreamName,
    /// Worker on which it enters.
    pub root_worker: u16,
    root: Vec<Producer>,
    copies: tokio::sync::Mutex<HashMap<RouterId, Copy>>,
    /// Routers and workers that carry it, for quick looks without waiting for a copy in the making.
    carried_by: Mutex<HashMap<RouterId, u16>>,
    viewers: AtomicU32,
    idle_since: Mutex<Instant>,
    /// Reads the sizes of simulcast layers, at the origin.
    probe: OnceLock<SizeProbe>,
    sampled: Mutex<Sampled>,
    status: watch::Sender<Status>,
}

/// What the producers' statistics said last.
#[derive(Default)]
struct Sampled {
    activity: Activity,
    active: bool,
    /// Bitrate of each simulcast layer, in bit/s.
    bitrates: Vec<u64>,
}

struct Copy {
    worker: u16,
    hops: Vec<Hop>,
    /// Held, since a pipe that nothing uses is dropped after a while.
    _pipe: Arc<InnerPipe>,
    uses: Uses,
    idle_since: Instant,
    /// The copy that this one is fed from, unless it is the root.
    from: RouterId,
}

/// The right to watch on one router; the copy lives at least as long.
pub struct Seat {
    local: Arc<LocalStream>,
    router: RouterId,
    _copy_use: Option<UseGuard>,
    /// The use of a profile router, on which it is then.
    profile: Option<ProfileUse>,
    /// The producers to consume, one a track.
    pub producers: Vec<Producer>,
}

impl LocalStream {
    /// A publication that enters on `root_worker`'s main router.
    pub fn new(publication: PublicationId, stream: StreamName, root_worker: u16, root: Vec<Producer>) -> Self {
        Self {
            publication,
            stream,
            root_worker,
            root,
            copies: tokio::sync::Mutex::new(HashMap::new()),
            carried_by: Mutex::new(HashMap::new()),
            viewers: AtomicU32::new(0),
            idle_since: Mutex::new(Instant::now()),
            probe: OnceLock::new(),
            sampled: Mutex::default(),
            status: watch::Sender::default(),
        }
    }

    /// The video, if it has several layers.
    pub fn simulcast(&self) -> Option<&Producer> {
        self.root
            .iter()
            .find(|producer| producer.rtp_parameters().encodings.len() > 1)
    }

    /// What reads the sizes of its layers; only at the origin.
    pub fn probe(&self) -> Option<&SizeProbe> {
        self.probe.get()
    }

    /// Keeps what reads the sizes of its layers, for as long as it is here.
    pub fn set_probe(&self, probe: SizeProbe) {
        // A second one is dropped: a publication has one video.
        let _ = self.probe.set(probe);
    }

    /// What its copies are fed with, of which the first picture has not been sent.
    pub async fn without_picture(&self) -> Vec<(Vec<Consumer>, Arc<FirstPicture>)> {
        let copies = self.copies.lock().await;
        let hops = copies.values().flat_map(|copy| &copy.hops);
        hops.filter_map(Hop::without_picture).collect()
    }

    /// Follows what viewers are told.
    pub fn follow(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether anybody follows what viewers are told.
    pub fn has_followers(&self) -> bool {
        self.status.receiver_count() > 0
    }

    /// Tells those who follow, if there is news.
    pub fn tell(&self, now: Status) {
        self.status.send_if_modified(|told| {
            let news = told.differs(&now);
            *told = now;
            news
        });
    }

    /// Whether media flowed at the last [`Self::sample`].
    pub fn is_active(&self) -> bool {
        self.sampled.lock().active
    }

    /// Bitrate of each simulcast layer at the last [`Self::sample`], in bit/s.
    pub fn bitrates(&self) -> Vec<u64> {
        self.sampled.lock().bitrates.clone()
    }

    /// Reads the statistics of the producers.
    pub async fn sample(&self, now: Instant) {
        let (mut packets, mut bitrates) = (0, Vec::new());
        for producer in &self.root {
            let Ok(stats) = within("reading producer statistics", producer.get_stats()).await else {
                return;
            };
            packets += stats.iter().map(|stat| stat.packet_count).sum::<u64>();
            let encodings = &producer.rtp_parameters().encodings;
            if encodings.len() > 1 {
                let of = |encoding: &RtpEncodingParameters| {
                    stats
                        .iter()
                        .find(|stat| match &encoding.rid {
                            Some(rid) => stat.rid.as_ref() == Some(rid),
                            None => Some(stat.ssrc) == encoding.ssrc,
                        })
                        .map_or(0, |stat| stat.bitrate)
                };
                bitrates = encodings.iter().map(of).collect();
            }
        }
        let mut sampled = self.sampled.lock();
        sampled.active = sampled.activity.sample(packets, now);
        sampled.bitrates = bitrates;
    }

    /// Producers where the publication enters.
    pub fn root(&self) -> &[Producer] {
        &self.root
    }

    /// What peers and operator are told of each track.
    pub fn track_reports(&self) -> Vec<TrackReport> {
        let codecs = self.codecs();
        let of = |(producer, codec): &(Producer, StreamCodec)| TrackReport {
            kind: track_kind(producer.kind()),
            codec: codec.name().to_owned(),
            state: None,
            layers: match producer.kind() {
                MediaKind::Video => self.layer_reports(),
                MediaKind::Audio => Vec::new(),
            },
        };
        codecs.iter().map(of).collect()
    }

    /// What peers are told of the simulcast layers; only the origin knows their sizes.
    pub fn layer_reports(&self) -> Vec<LayerReport> {
        let Some(video) = self.simulcast() else {
            return Vec::new();
        };
        let sizes = self.probe().map(SizeProbe::sizes).unwrap_or_default();
        let encodings = video.rtp_parameters().encodings.iter().enumerate();
        encodings
            .map(|(index, encoding)| {
                let size = sizes.get(index).copied().flatten();
                LayerReport {
                    rid: encoding.rid.clone(),
                    width: size.map(|size| size.width),
                    height: size.map(|size| size.height),
                }
            })
            .collect()
    }

    /// Codec of each track.
    pub fn codecs(&self) -> Vec<(Producer, StreamCodec)> {
        self.root
            .iter()
            .filter_map(|producer| Some((producer.clone(), StreamCodec::of(producer.rtp_parameters())?)))
            .collect()
    }

    /// Viewers on this node.
    pub fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// How long it has had no viewer; zero while it has one.
    pub fn idle(&self, now: Instant) -> Duration {
        if self.viewers() > 0 {
            Duration::ZERO
        } else {
            now.saturating_duration_since(*self.idle_since.lock())
        }
    }

    /// Workers that carry it already, the entry first.
    pub fn workers(&self) -> Vec<u16> {
        let mut workers = vec![self.root_worker];
        for worker in self.carried_by.lock().values() {
            if !workers.contains(worker) {
                workers.push(*worker);
            }
        }
        workers
    }

    /// Drops the copy on a router that is dropped.
    pub async fn drop_copy(&self, router: RouterId) {
        let dropped = self.copies.lock().await.remove(&router);
        self.carried_by.lock().remove(&router);
        drop(dropped);
    }

    /// Takes a seat on a worker's main router, or on a profile router of that worker. None if that one had to make room for
    /// another before it was this caller's turn: nothing is built on it any more.
    pub async fn seat(
        self: &Arc<Self>,
        workers: &Workers,
        worker: &MediaWorker,
        profile: Option<(&Router, &Profile)>,
    ) -> Result<Option<Seat>, MediaError> {
        let (root, addresses) = (workers.get(self.root_worker), workers.inner_addresses());
        let mut copies = self.copies.lock().await;
        if profile.is_some_and(|(_, profile)| profile.is_evicted()) {
            return Ok(None);
        }
        let profile = profile.map(|(router, _)| router);
        if worker.index != root.index {
            self.copy(&mut copies, root, &root.main, &worker.main, worker.index, addresses)
                .await?;
        }
        if let Some(profile) = profile {
            self.copy(&mut copies, worker, &worker.main, profile, worker.index, addresses)
                .await?;
        }
        let router = profile.unwrap_or(&worker.main).id();
        let (producers, copy_use) = match copies.get(&router) {
            Some(copy) => (
                copy.hops.iter().map(|hop| hop.producer.clone()).collect(),
                Some(copy.uses.begin()),
            ),
            None => (self.root.clone(), None),
        };
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Seat {
            local: Arc::clone(self),
            router,
            _copy_use: copy_use,
            profile: None,
            producers,
        }))
    }

    /// Producers on the main router of a worker, for sending over a link; piped there once.
    pub async fn on_main(
        &self,
        workers: &Workers,
        worker: &MediaWorker,
    ) -> Result<(Vec<Producer>, Option<UseGuard>), MediaError> {
        if worker.index == self.root_worker {
            return Ok((self.root.clone(), None));
        }
        let (root, addresses) = (workers.get(self.root_worker), workers.inner_addresses());
        let mut copies = self.copies.lock().await;
        self.copy(&mut copies, root, &root.main, &worker.main, worker.index, addresses)
            .await?;
        let Some(copy) = copies.get(&worker.main.id()) else {
            return Ok((Vec::new(), None));
        };
        // The link's consumers are paused until a viewer comes, so the copy itself may run.
        for hop in &copy.hops {
            hop.resume().await?;
        }
        Ok((
            copy.hops.iter().map(|hop| hop.producer.clone()).collect(),
            Some(copy.uses.begin()),
        ))
    }

    async fn copy(
        &self,
        copies: &mut HashMap<RouterId, Copy>,
        worker: &MediaWorker,
        from: &Router,
        to: &Router,
        to_worker: u16,
        addresses: &InnerAddresses,
    ) -> Result<(), MediaError> {
        if copies.contains_key(&to.id()) {
            return Ok(());
        }
        let sources: Vec<Producer> = match copies.get(&from.id()) {
            Some(copy) => copy.hops.iter().map(|hop| hop.producer.clone()).collect(),
            None => self.root.clone(),
        };
        let pipe = worker.inner_pipe(from, (to, to_worker), addresses).await?;
        let mut hops = Vec::with_capacity(sources.len());
        for source in &sources {
            hops.push(pipe.carry(source).await?);
        }
        let copy = Copy {
            worker: to_worker,
            hops,
            _pipe: pipe,
            uses: Uses::default(),
            idle_since: Instant::now(),
            from: from.id(),
        };
        copies.insert(to.id(), copy);
        self.carried_by.lock().insert(to.id(), to_worker);
        Ok(())
    }

    /// Lets media through to a router, all the way from the entry: a viewer there is connected.
    pub async fn activate(&self, router: RouterId) -> Result<(), MediaError> {
        let copies = self.copies.lock().await;
        let mut at = router;
        while let Some(copy) = copies.get(&at) {
            for hop in &copy.hops {
                hop.resume().await?;
            }
            at = copy.from;
        }
        Ok(())
    }

    /// Drops copies that nobody has used for `idle`, leaves before what feeds them.
    pub async fn sweep(&self, now: Instant, idle: Duration) {
        let mut copies = self.copies.lock().await;
        let feeding: Vec<RouterId> = copies.values().map(|copy| copy.from).collect();
        for (id, copy) in copies.iter_mut() {
            if copy.uses.any() || feeding.contains(id) {
                copy.idle_since = now;
            }
        }
        copies.retain(|_, copy| now.saturating_duration_since(copy.idle_since) < idle);
        *self.carried_by.lock() = copies.iter().map(|(id, copy)| (*id, copy.worker)).collect();
    }
}

impl Seat {
    /// Router on which the producers are.
    pub fn router(&self) -> RouterId {
        self.router
    }

    /// Holds the profile router that the seat is on.
    pub fn hold_profile(&mut self, used: ProfileUse) {
        self.profile = Some(used);
    }

    /// The profile router that it is on, if it is on one.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref().map(ProfileUse::profile)
    }

    /// Whoever sits here is connected. Answers whether the router is still there.
    pub fn connect(&self) -> bool {
        self.profile.as_ref().is_none_or(ProfileUse::connect)
    }

    /// The publication that is watched.
    pub fn local(&self) -> &Arc<LocalStream> {
        &self.local
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.local.viewers.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.local.idle_since.lock() = Instant::now();
        }
    }
}
