//! mediasoup workers: each a thread with one main router, one `WebRtcServer` on a port of its own, and small profile
//! routers for viewers whose payload types differ from the main router's.

use crate::limits::Holder;
use crate::media::deadline::{MediaError, within};
use crate::media::inner_addresses::{End, InnerAddresses};
use crate::media::pipe::InnerPipe;
use crate::media::profiles::{MAX_PROFILES, NoRoom, ProfileUse, Profiles};
use crate::media::socket_buffers;
use crate::media::thread_load::ThreadLoad;
use crate::options::Options;
use crate::sdp::codec::main_router_codecs;
use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use mediasoup::types::data_structures::{ListenInfo, Protocol};
use mediasoup::types::rtp_parameters::RtpCodecCapability;
use mediasoup::worker::{ExitError, WorkerLogLevel, WorkerLogTag};
use sfumato_admin_api::types::WorkerObjects;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// How long a new inner pipe waits for a port of one that was dropped: the worker closes that a moment later.
const CLOSING_WAIT: Duration = Duration::from_secs(1);
/// How often it looks for one meanwhile.
const CLOSING_POLL: Duration = Duration::from_millis(20);

/// A worker thread and what belongs to it.
pub struct MediaWorker {
    /// Counted from 0; also the lane of its links.
    pub index: u16,
    /// Router that publishers and most viewers are on.
    pub main: Router,
    /// Port that clients of this worker use.
    pub server: WebRtcServer,
    /// mediasoup's worker; closes when dropped.
    worker: Worker,
    load: ThreadLoad,
    /// Sessions on this worker, the tie-breaker between idle workers.
    pub sessions: AtomicU32,
    profiles: Profiles,
    inner_pipes: tokio::sync::Mutex<HashMap<(RouterId, RouterId), KeptPipe>>,
}

/// The last words of a process whose worker's thread has come to an end.
pub fn death(index: u16, result: Result<(), ExitError>) -> String {
    let how = match result {
        Ok(()) => "ended".to_owned(),
        Err(error) => format!("died: {error}"),
    };
    format!("media worker {index} {how}; the process ends with it, to be started again")
}

/// A pipe between two routers, for all streams that cross it.
struct KeptPipe {
    pipe: Arc<InnerPipe>,
    last_used: Instant,
}

impl MediaWorker {
    /// Starts worker `index`.
    pub async fn start(
        manager: &WorkerManager,
        index: u16,
        options: &Options,
        died: impl FnOnce(String) + Send + Sync + 'static,
    ) -> Result<Self, MediaError> {
        let load = ThreadLoad::default();
        let mut settings = WorkerSettings::default();
        settings.log_level = WorkerLogLevel::Warn;
        settings.log_tags = vec![
            WorkerLogTag::Info,
            WorkerLogTag::Ice,
            WorkerLogTag::Dtls,
            WorkerLogTag::Srtp,
        ];
        settings.rtc_port_range = options.pipe_ports.clone();
        settings.thread_initializer = Some(load.initializer());
        let worker = within("starting a media worker", manager.create_worker(settings)).await?;
        worker.on_dead(move |result| died(death(index, result))).detach();
        let port = options.media_port + index;
        let server = within(
            "opening the client port",
            worker.create_webrtc_server(server_options(options, port)),
        )
        .await
        .map_err(|error| match error {
            MediaError::Refused { cause, .. } => MediaError::Refused {
                what: "opening the client port",
                cause: format!("port {port} (--media-port + worker {index}): {cause}"),
            },
            other => other,
        })?;
        let main = within(
            "making a router",
            worker.create_router(RouterOptions::new(main_router_codecs())),
        )
        .await?;
        Ok(Self {
            index,
            main,
            server,
            worker,
            load,
            sessions: AtomicU32::new(0),
            profiles: Profiles::default(),
            inner_pipes: tokio::sync::Mutex::new(HashMap::new()),
        })
    }

    /// Share of a core that the worker's thread uses, 0 to 1, as of the last [`Self::sample_load`].
    pub fn load(&self) -> f64 {
        self.load.share()
    }

    /// Reads the thread's processor time and brings [`Self::load`] up to date.
    pub fn sample_load(&self) {
        self.load.sample();
    }

    /// The router for a profile, made on first use by this client. When there are too many, one on which nobody is connected
    /// makes room, see [`Taken::evicted`].
    pub async fn profile(
        &self,
        key: &str,
        codecs: Vec<RtpCodecCapability>,
        client: &[Holder],
    ) -> Result<Taken, ProfileError> {
        let taken = self.profiles.take(key, client, Instant::now());
        let (used, evicted) = taken.map_err(|no_room| match no_room {
            NoRoom::AllConnected => ProfileError::TooMany,
            NoRoom::Connecting(wait) => ProfileError::Connecting(wait),
        })?;
        let evicted = evicted.and_then(|profile| profile.made().map(Router::id));
        if let Some(evicted) = evicted {
            self.drop_pipes(&[evicted]).await;
        }
        let options = RouterOptions::new(codecs);
        let make = within("making a profile router", self.worker.create_router(options));
        match used.profile().router(make).await {
            Ok(router) => Ok(Taken { router, used, evicted }),
            Err(error) => {
                self.profiles.forget(key, used.profile());
                Err(ProfileError::Media { error, evicted })
            }
        }
    }

    /// Drops profile routers that have had no use for `idle`; answers which.
    pub async fn sweep_profiles(&self, now: Instant, idle: Duration) -> Vec<RouterId> {
        let dropped = self.profiles.sweep(now, idle);
        if !dropped.is_empty() {
            self.drop_pipes(&dropped).await;
        }
        dropped
    }

    /// Drops the pipes from and to routers that are dropped.
    pub async fn drop_pipes(&self, dropped: &[RouterId]) {
        let mut pipes = self.inner_pipes.lock().await;
        pipes.retain(|(from, to), _| !dropped.contains(from) && !dropped.contains(to));
    }

    /// The pipe from a router of this worker to another router of this process, `to` on the worker of that index, made on
    /// first use.
    pub async fn inner_pipe(
        &self,
        from: &Router,
        to: (&Router, u16),
        addresses: &InnerAddresses,
    ) -> Result<Arc<InnerPipe>, MediaError> {
        let (to, to_worker) = to;
        let (near, far) = if to_worker == self.index {
            (End::ToProfile, End::OfProfile)
        } else {
            (End::ToWorker, End::FromWorker)
        };
        let (near, far) = (addresses.listen(self.index, near), addresses.listen(to_worker, far));
        let deadline = Instant::now() + CLOSING_WAIT;
        loop {
            // Held while connecting: one flight a pair, and a failed attempt leaves nothing behind.
            let mut pipes = self.inner_pipes.lock().await;
            let now = Instant::now();
            if let Some(kept) = pipes.get_mut(&(from.id(), to.id())) {
                kept.last_used = now;
                return Ok(Arc::clone(&kept.pipe));
            }
            match InnerPipe::connect((from, &near), (to, &far)).await {
                // The ports suffice for all pipes that there may be, so another one is about to give its own back. Not waited
                // for under the lock, which whoever gives it back may need.
                Err(MediaError::NoPort { .. }) if Instant::now() < deadline => drop(pipes),
                connected => {
                    let pipe = Arc::new(connected?);
                    let kept = KeptPipe {
                        pipe: Arc::clone(&pipe),
                        last_used: now,
                    };
                    pipes.insert((from.id(), to.id()), kept);
                    return Ok(pipe);
                }
            }
            tokio::time::sleep(CLOSING_POLL).await;
        }
    }

    /// Drops pipes that no copy has used for `idle`.
    pub async fn sweep_pipes(&self, now: Instant, idle: Duration) {
        self.inner_pipes.lock().await.retain(|_, kept| {
            // Whoever uses it holds it.
            if Arc::strong_count(&kept.pipe) > 1 {
                kept.last_used = now;
            }
            now.saturating_duration_since(kept.last_used) < idle
        });
    }

    /// Objects in the worker at present, as it counts them itself.
    pub async fn objects(&self) -> Result<WorkerObjects, MediaError> {
        let mut routers = vec![self.main.clone()];
        routers.extend(self.profiles.routers());
        let dump = within("counting objects", self.worker.dump()).await?;
        let mut objects = WorkerObjects {
            worker: self.index,
            routers: count(dump.router_ids.len()),
            handlers: count(dump.channel_message_handlers.channel_request_handlers.len()),
            ..WorkerObjects::default()
        };
        for router in routers {
            let dump = within("counting objects", router.dump()).await?;
            objects.transports += count(dump.transport_ids.len());
            objects.producers += count(dump.map_producer_id_consumer_ids.len());
            objects.consumers += count(dump.map_consumer_id_producer_id.len());
        }
        Ok(objects)
    }

    /// Profile routers at present.
    pub fn profile_count(&self) -> usize {
        self.profiles.count()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A profile router that somebody may use.
pub struct Taken {
    pub router: Router,
    /// Held for as long as it is used.
    pub used: ProfileUse,
    /// The router that made room for it: its sessions, which are not connected, are to end, and its copies of streams to go.
    pub evicted: Option<RouterId>,
}

/// Why there is no profile router.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The bound is reached.
    #[error("this worker already serves {MAX_PROFILES} sets of payload types")]
    TooMany,
    /// The same, and others are about to connect on some of them: one may be free after so long.
    #[error("this worker already serves {MAX_PROFILES} sets of payload types, and players are connecting on some")]
    Connecting(Duration),
    /// mediasoup failed.
    #[error("{error}")]
    Media {
        /// How.
        error: MediaError,
        /// The router that made room all the same.
        evicted: Option<RouterId>,
    },
}

fn server_options(options: &Options, port: u16) -> WebRtcServerOptions {
    let protocols: &[Protocol] = if options.media_tcp {
        &[Protocol::Udp, Protocol::Tcp]
    } else {
        &[Protocol::Udp]
    };
    let info = |ip: IpAddr, protocol: Protocol| ListenInfo {
        protocol,
        ip,
        // What clients are told instead may change, and this may not: see `announcing`.
        announced_address: None,
        expose_internal_ip: false,
        port: Some(port),
        port_range: None,
        flags: None,
        send_buffer_size: (protocol == Protocol::Udp).then_some(socket_buffers::WANTED),
        recv_buffer_size: (protocol == Protocol::Udp).then_some(socket_buffers::WANTED),
    };
    let mut all = Vec::new();
    for protocol in protocols {
        all.extend(options.media_ip.iter().map(|ip| info(*ip, *protocol)));
    }
    let first = all.remove(0);
    WebRtcServerOptions::new(
        all.into_iter()
            .fold(WebRtcServerListenInfos::new(first), WebRtcServerListenInfos::insert),
    )
}
