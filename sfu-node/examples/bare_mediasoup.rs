//! mediasoup with nothing around it, for `sfu-bench viewers`: one worker, one router, one WHIP publisher and WHEP viewers.
//! It shares the node's SDP code, so that both negotiate the same media, and nothing else: no mesh, no names, no limits, no
//! statistics, no end of a session before the process ends.
//!
//! ```sh
//! bare_mediasoup --listen 127.0.0.1:2050 --media-port 2060 [--across-a-pipe]
//! ```

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use clap::Parser;
use mediasoup::prelude::*;
use mediasoup::types::data_structures::{DtlsFingerprint, ListenInfo, Protocol};
use parking_lot::Mutex;
use sfu_node::sdp::capabilities::{track_kind, viewer_capabilities};
use sfu_node::sdp::codec::{StreamCodec, main_router_codecs, payload_type};
use sfu_node::sdp::offer::Offer;
use sfu_node::sdp::{answer, lines};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A bare mediasoup server to compare with
#[derive(Parser)]
struct Options {
    /// HTTP address of /whip/{stream} and /whep/{stream}
    #[arg(long)]
    listen: SocketAddr,
    /// UDP port of publishers; viewers across a pipe use the next one
    #[arg(long)]
    media_port: u16,
    /// Viewers on a second worker, joined to the first by a pipe
    #[arg(long)]
    across_a_pipe: bool,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A worker's router and client port.
struct Place {
    _worker: Worker,
    server: WebRtcServer,
    router: Router,
}

/// Everything that must stay alive: it ends with the process.
#[derive(Default)]
struct Kept {
    producers: Vec<Producer>,
    /// The publisher's producers where there is a pipe.
    sources: Vec<Producer>,
    consumers: Vec<Consumer>,
    transports: Vec<WebRtcTransport>,
}

struct Server {
    publishers: Place,
    viewers: Option<Place>,
    kept: Mutex<Kept>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let manager = WorkerManager::new();
    let publishers = Place::new(&manager, options.media_port).await?;
    let viewers = match options.across_a_pipe {
        true => Some(Place::new(&manager, options.media_port + 1).await?),
        false => None,
    };
    let server = Arc::new(Server {
        publishers,
        viewers,
        kept: Mutex::default(),
    });
    let session = any(|| async { StatusCode::OK });
    let routes = axum::Router::new()
        .route("/whip/{stream}", post(publish))
        .route("/whip/{stream}/{session}", session.clone())
        .route("/whep/{stream}", post(play))
        .route("/whep/{stream}/{session}", session)
        .with_state(server);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    Ok(axum::serve(listener, routes).await?)
}

impl Place {
    async fn new(manager: &WorkerManager, port: u16) -> Result<Self, Failure> {
        let worker = manager.create_worker(WorkerSettings::default()).await?;
        let listen = ListenInfo {
            protocol: Protocol::Udp,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            announced_address: None,
            expose_internal_ip: false,
            port: Some(port),
            port_range: None,
            flags: None,
            send_buffer_size: Some(4_000_000),
            recv_buffer_size: Some(4_000_000),
        };
        let listen = WebRtcServerListenInfos::new(listen);
        let server = worker.create_webrtc_server(WebRtcServerOptions::new(listen)).await?;
        let router = worker.create_router(RouterOptions::new(main_router_codecs())).await?;
        Ok(Self {
            _worker: worker,
            server,
            router,
        })
    }

    async fn transport(&self) -> Result<WebRtcTransport, Failure> {
        let mut options = WebRtcTransportOptions::new_with_server(self.server.clone());
        options.ice_consent_timeout = 0;
        Ok(self.router.create_webrtc_transport(options).await?)
    }
}

async fn publish(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    answered(server.publish(&body).await)
}

async fn play(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    answered(server.play(&body).await)
}

fn answered(sdp: Result<String, Failure>) -> Response {
    match sdp {
        Ok(sdp) => {
            let headers = [
                (header::CONTENT_TYPE, "application/sdp"),
                (header::LOCATION, "load/session"),
            ];
            (StatusCode::CREATED, headers, sdp).into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    }
}

impl Server {
    async fn publish(&self, body: &[u8]) -> Result<String, Failure> {
        let offer = Offer::parse(body)?;
        let transport = self.publishers.transport().await?;
        let mut tracks = Vec::new();
        for section in &offer.sections {
            let track = sfu_node::sdp::publish::publish(section, "")?;
            let producer = transport
                .produce(ProducerOptions::new(track.kind, track.rtp.clone()))
                .await?;
            tracks.push((track, producer));
        }
        let replies: Vec<answer::Reply<'_>> = tracks
            .iter()
            .map(|(track, _)| answer::Reply::Receive {
                codec: &track.codec,
                rtp: &track.rtp,
            })
            .collect();
        let sdp = connect(&offer, &replies, &transport).await?;
        for (_, source) in tracks {
            if let Some(viewers) = &self.viewers {
                let mut options = PipeToRouterOptions::new(viewers.router.clone());
                options.enable_rtx = true;
                options.enable_srtp = true;
                let pair = self
                    .publishers
                    .router
                    .pipe_producer_to_router(source.id(), options)
                    .await?;
                self.kept.lock().producers.push(pair.pipe_producer.into_inner());
                self.kept.lock().sources.push(source);
            } else {
                self.kept.lock().producers.push(source);
            }
        }
        self.kept.lock().transports.push(transport);
        Ok(sdp)
    }

    async fn play(&self, body: &[u8]) -> Result<String, Failure> {
        let offer = Offer::parse(body)?;
        let transport = self.viewers.as_ref().unwrap_or(&self.publishers).transport().await?;
        let producers = self.kept.lock().producers.clone();
        let mut consumers = Vec::new();
        for section in &offer.sections {
            let producer = producers
                .iter()
                .find(|p| track_kind(p.kind()) == section.kind)
                .ok_or("nothing is published")?;
            let codec = StreamCodec::of(producer.consumable_rtp_parameters()).ok_or("an unknown codec")?;
            let offered = codec.choose(section).ok_or("no codec in common")?;
            if payload_type(producer.consumable_rtp_parameters()) != Some(offered.payload_type) {
                return Err("this program has no profile routers: offer Chrome's payload types".into());
            }
            let capabilities = viewer_capabilities(section, offered, &codec, None);
            let mut options = ConsumerOptions::new(producer.id(), capabilities);
            options.mid = Some(section.mid.clone());
            consumers.push((offered, transport.consume(options).await?));
        }
        let replies: Vec<answer::Reply<'_>> = consumers
            .iter()
            .map(|(codec, consumer)| answer::Reply::Send {
                codec,
                rtp: consumer.rtp_parameters(),
                stream: "load",
            })
            .collect();
        let sdp = connect(&offer, &replies, &transport).await?;
        let mut kept = self.kept.lock();
        kept.consumers
            .extend(consumers.into_iter().map(|(_, consumer)| consumer));
        kept.transports.push(transport);
        Ok(sdp)
    }
}

async fn connect(offer: &Offer, replies: &[answer::Reply<'_>], transport: &WebRtcTransport) -> Result<String, Failure> {
    let remote = WebRtcTransportRemoteParameters {
        dtls_parameters: offer.dtls_parameters(),
    };
    transport.connect(remote).await?;
    let fingerprints = transport.dtls_parameters().fingerprints;
    let fingerprint = fingerprints
        .iter()
        .find(|f| matches!(f, DtlsFingerprint::Sha256 { .. }))
        .ok_or("the worker has no certificate")?;
    let ours = lines::Transport {
        ice: transport.ice_parameters(),
        candidates: transport.ice_candidates().clone(),
        fingerprint,
    };
    Ok(answer::write(offer, replies, &ours, rand::random::<u64>() >> 1))
}
