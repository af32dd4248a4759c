//! mediasoup workers: each a thread with one main router, one `WebRtcServer` on a port of its own, and small profile
//! routers for viewers whose payload types differ from the main router's.

use crate::deadline::{MediaError, within};
use crate::options::Options;
use crate::pipe::{InnerPipe, PipeListen};
use crate::sdp::codec::main_router_codecs;
use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use mediasoup::types::data_structures::{ListenInfo, Protocol};
use mediasoup::types::rtp_parameters::RtpCodecCapability;
use mediasoup::worker::{ExitError, WorkerLogLevel, WorkerLogTag};
use parking_lot::Mutex;
use sfumato_admin_api::types::WorkerObjects;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Most profile routers a worker.
pub const MAX_PROFILES: usize = 16;

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
    thread: Arc<AtomicI32>,
    cpu: Mutex<CpuClock>,
    /// Sessions on this worker, the tie-breaker between idle workers.
    pub sessions: AtomicU32,
    profiles: Mutex<HashMap<String, Arc<Profile>>>,
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

/// A router with a viewer family's payload types.
pub struct Profile {
    router: tokio::sync::OnceCell<Router>,
    last_used: Mutex<Instant>,
}

/// A pipe between two routers, for all streams that cross it.
struct KeptPipe {
    pipe: Arc<InnerPipe>,
    last_used: Instant,
}

struct CpuClock {
    at: Instant,
    ticks: u64,
    load: f64,
}

impl MediaWorker {
    /// Starts worker `index`.
    pub async fn start(
        manager: &WorkerManager,
        index: u16,
        options: &Options,
        died: impl FnOnce(String) + Send + Sync + 'static,
    ) -> Result<Self, MediaError> {
        let thread = Arc::new(AtomicI32::new(0));
        let mut settings = WorkerSettings::default();
        settings.log_level = WorkerLogLevel::Warn;
        settings.log_tags = vec![
            WorkerLogTag::Info,
            WorkerLogTag::Ice,
            WorkerLogTag::Dtls,
            WorkerLogTag::Srtp,
        ];
        settings.rtc_port_range = options.pipe_ports.clone();
        let writer = Arc::clone(&thread);
        settings.thread_initializer = Some(Arc::new(move || {
            writer.store(current_thread_id(), Ordering::Relaxed);
        }));
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
            late @ MediaError::Late { .. } => late,
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
            thread,
            cpu: Mutex::new(CpuClock {
                at: Instant::now(),
                ticks: 0,
                load: 0.0,
            }),
            sessions: AtomicU32::new(0),
            profiles: Mutex::new(HashMap::new()),
            inner_pipes: tokio::sync::Mutex::new(HashMap::new()),
        })
    }

    /// Share of a core that the worker's thread uses, 0 to 1, as of the last [`Self::sample_load`].
    pub fn load(&self) -> f64 {
        self.cpu.lock().load
    }

    /// Reads the thread's processor time and brings [`Self::load`] up to date.
    pub fn sample_load(&self) {
        let Some(ticks) = thread_ticks(self.thread.load(Ordering::Relaxed)) else {
            return;
        };
        let mut cpu = self.cpu.lock();
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(cpu.at).as_secs_f64();
        if cpu.ticks > 0 && elapsed > 0.0 {
            cpu.load = (ticks.saturating_sub(cpu.ticks) as f64 / TICKS_PER_SECOND / elapsed).clamp(0.0, 1.0);
        }
        cpu.ticks = ticks;
        cpu.at = now;
    }

    /// The router for a profile, made on first use.
    pub async fn profile(&self, key: &str, codecs: Vec<RtpCodecCapability>) -> Result<Router, ProfileError> {
        let profile = {
            let mut profiles = self.profiles.lock();
            if let Some(profile) = profiles.get(key) {
                Arc::clone(profile)
            } else {
                if profiles.len() >= MAX_PROFILES {
                    return Err(ProfileError::TooMany);
                }
                let profile = Arc::new(Profile {
                    router: tokio::sync::OnceCell::new(),
                    last_used: Mutex::new(Instant::now()),
                });
                profiles.insert(key.to_owned(), Arc::clone(&profile));
                profile
            }
        };
        *profile.last_used.lock() = Instant::now();
        let made = profile
            .router
            .get_or_try_init(|| {
                within(
                    "making a profile router",
                    self.worker.create_router(RouterOptions::new(codecs)),
                )
            })
            .await;
        match made {
            Ok(router) => Ok(router.clone()),
            Err(error) => {
                self.profiles.lock().remove(key);
                Err(ProfileError::Media(error))
            }
        }
    }

    /// Drops profile routers that have had no use for `idle`; `in_use` says which routers carry something.
    pub async fn sweep_profiles(&self, idle: Duration, in_use: impl Fn(RouterId) -> bool) {
        let now = Instant::now();
        let mut dropped = Vec::new();
        self.profiles.lock().retain(|_, profile| {
            let Some(router) = profile.router.get() else {
                return true;
            };
            if in_use(router.id()) {
                *profile.last_used.lock() = now;
            }
            let keep = now.saturating_duration_since(*profile.last_used.lock()) < idle;
            if !keep {
                dropped.push(router.id());
            }
            keep
        });
        if !dropped.is_empty() {
            self.inner_pipes
                .lock()
                .await
                .retain(|(from, to), _| !dropped.contains(from) && !dropped.contains(to));
        }
    }

    /// The pipe from a router of this worker to another router of this process, made on first use.
    pub async fn inner_pipe(
        &self,
        from: &Router,
        to: &Router,
        listen: &PipeListen,
    ) -> Result<Arc<InnerPipe>, MediaError> {
        // Held while connecting: one flight a pair, and a failed attempt leaves nothing behind.
        let mut pipes = self.inner_pipes.lock().await;
        let now = Instant::now();
        if let Some(kept) = pipes.get_mut(&(from.id(), to.id())) {
            kept.last_used = now;
            return Ok(Arc::clone(&kept.pipe));
        }
        let pipe = Arc::new(InnerPipe::connect(from, to, listen).await?);
        let kept = KeptPipe {
            pipe: Arc::clone(&pipe),
            last_used: now,
        };
        pipes.insert((from.id(), to.id()), kept);
        Ok(pipe)
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
        routers.extend(
            self.profiles
                .lock()
                .values()
                .filter_map(|profile| profile.router.get().cloned()),
        );
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
        self.profiles.lock().len()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Why there is no profile router.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The bound is reached.
    #[error("this worker already serves {MAX_PROFILES} sets of payload types")]
    TooMany,
    /// mediasoup failed.
    #[error(transparent)]
    Media(#[from] MediaError),
}

fn server_options(options: &Options, port: u16) -> WebRtcServerOptions {
    let protocols: &[Protocol] = if options.media_tcp {
        &[Protocol::Udp, Protocol::Tcp]
    } else {
        &[Protocol::Udp]
    };
    let info = |ip: IpAddr, protocol: Protocol, announced: Option<String>| ListenInfo {
        protocol,
        ip,
        announced_address: announced,
        expose_internal_ip: false,
        port: Some(port),
        port_range: None,
        flags: None,
        send_buffer_size: (protocol == Protocol::Udp).then_some(CLIENT_SOCKET_BUFFER),
        recv_buffer_size: (protocol == Protocol::Udp).then_some(CLIENT_SOCKET_BUFFER),
    };
    let mut all = Vec::new();
    for protocol in protocols {
        for (i, ip) in options.media_ip.iter().enumerate() {
            let announced = if i == 0 { options.media_announced.clone() } else { None };
            all.push(info(*ip, *protocol, announced));
        }
    }
    let first = all.remove(0);
    WebRtcServerOptions::new(
        all.into_iter()
            .fold(WebRtcServerListenInfos::new(first), WebRtcServerListenInfos::insert),
    )
}

/// Socket buffer of the client port in bytes; the kernel caps it at net.core.rmem_max.
const CLIENT_SOCKET_BUFFER: u32 = 4_000_000;

/// `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Id of the calling thread: `/proc/thread-self` is a link to `PID/task/TID`.
fn current_thread_id() -> i32 {
    std::fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|path| path.file_name()?.to_str()?.parse().ok())
        .unwrap_or(0)
}

/// Processor time of a thread in clock ticks: fields 14 and 15 of its stat file (proc(5)).
fn thread_ticks(thread: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
