//! The one way in which a publication hops from router to router: between nodes, between workers, and from a main router
//! to a profile router.
//!
//! mediasoup's own `pipe_producer_to_router` is not used: it reuses the producer's id (which fails within one worker),
//! makes a second copy when called twice, frees nothing when dropped, and takes ports from the worker's whole range.
//! Here every hop has new ids, everything closes when it is dropped, and ports come from a range of their own.

use crate::media::deadline::{MediaError, within};
use crate::media::first_picture::FirstPicture;
use crate::media::socket_buffers;
use mediasoup::prelude::*;
use mediasoup::types::data_structures::{ListenInfo, Protocol};
use mediasoup::types::rtp_parameters::{MediaKind, RtpCapabilities, RtpParameters};
use mediasoup::types::srtp_parameters::SrtpParameters;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Where one end of a pipe listens.
#[derive(Debug, Clone)]
pub struct PipeListen {
    /// Local address, as the other end sees it.
    pub ip: IpAddr,
    /// Ports to choose from.
    pub ports: RangeInclusive<u16>,
    /// SRTP AES-256-GCM; both ends must agree.
    pub encrypted: bool,
}

/// What the other end must know to connect.
#[derive(Debug, Clone)]
pub struct PipeAddress {
    pub ip: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Its sending keys, when encrypted.
    pub srtp: Option<SrtpParameters>,
}

/// One end of a pipe. Closes when dropped, with everything that crosses it.
#[derive(Debug, Clone)]
pub struct PipeEnd {
    transport: PipeTransport,
}

impl PipeEnd {
    /// Opens a socket on the router's worker.
    pub async fn open(router: &Router, listen: &PipeListen) -> Result<Self, MediaError> {
        let mut options = PipeTransportOptions::new(ListenInfo {
            protocol: Protocol::Udp,
            ip: listen.ip,
            announced_address: None,
            expose_internal_ip: false,
            port: None,
            port_range: Some(listen.ports.clone()),
            flags: None,
            send_buffer_size: Some(socket_buffers::WANTED),
            recv_buffer_size: Some(socket_buffers::WANTED),
        });
        options.enable_rtx = true;
        options.enable_srtp = listen.encrypted;
        match within("opening a pipe", router.create_pipe_transport(options)).await {
            Ok(transport) => Ok(Self { transport }),
            Err(MediaError::Refused { cause, .. }) if cause.contains(NO_PORT) => {
                Err(MediaError::NoPort { ip: listen.ip })
            }
            Err(error) => Err(error),
        }
    }

    /// Where this end listens.
    pub fn address(&self, ip: IpAddr) -> PipeAddress {
        PipeAddress {
            ip,
            port: self.transport.tuple().local_port(),
            srtp: self.transport.srtp_parameters(),
        }
    }

    /// Connects to the other end; works once in the life of a pipe.
    pub async fn connect(&self, remote: PipeAddress) -> Result<(), MediaError> {
        let remote = PipeTransportRemoteParameters {
            ip: remote.ip,
            port: remote.port,
            srtp_parameters: remote.srtp,
        };
        within("connecting a pipe", self.transport.connect(remote)).await
    }

    /// Sends a producer of this end's router; all its simulcast layers.
    pub async fn send(&self, producer: ProducerId, paused: bool) -> Result<Consumer, MediaError> {
        let mut options = ConsumerOptions::new(producer, RtpCapabilities::default());
        options.paused = paused;
        within("sending over a pipe", self.transport.consume(options)).await
    }

    /// Receives what the other end sends, as a new producer of this end's router. Key frame requests pass at once.
    pub async fn receive(&self, kind: MediaKind, rtp: RtpParameters) -> Result<Producer, MediaError> {
        let mut options = ProducerOptions::new(kind, rtp);
        options.key_frame_request_delay = 0;
        within("receiving from a pipe", self.transport.produce(options)).await
    }

    /// Bytes sent and received.
    pub async fn bytes(&self) -> Result<(u64, u64), MediaError> {
        let stats = within("reading pipe statistics", self.transport.get_stats()).await?;
        Ok(stats.first().map_or((0, 0), |s| (s.bytes_sent, s.bytes_received)))
    }

    /// Calls back when the transport closes for whatever reason.
    pub fn on_close(&self, callback: impl FnOnce() + Send + 'static) {
        self.transport.on_close(Box::new(callback)).detach();
    }
}

/// What mediasoup says when each port of a range is taken (`RTC/PortManager.cpp`).
const NO_PORT: &str = "no more available ports";

/// A connected pipe between two routers of this process.
#[derive(Debug)]
pub struct InnerPipe {
    near: PipeEnd,
    far: PipeEnd,
}

impl InnerPipe {
    /// Connects two routers, each with where its end listens.
    pub async fn connect(from: (&Router, &PipeListen), to: (&Router, &PipeListen)) -> Result<Self, MediaError> {
        let (near, far) = tokio::try_join!(PipeEnd::open(from.0, from.1), PipeEnd::open(to.0, to.1))?;
        tokio::try_join!(near.connect(far.address(to.1.ip)), far.connect(near.address(from.1.ip)))?;
        Ok(Self { near, far })
    }

    /// Carries a producer across, paused until [`Hop::resume`].
    pub async fn carry(&self, producer: &Producer) -> Result<Hop, MediaError> {
        let consumer = self.near.send(producer.id(), true).await?;
        let producer = self
            .far
            .receive(consumer.kind(), consumer.rtp_parameters().clone())
            .await?;
        let first = Arc::default();
        Ok(Hop {
            consumer,
            first,
            producer,
        })
    }
}

/// One producer carried over an [`InnerPipe`].
#[derive(Debug)]
pub struct Hop {
    consumer: Consumer,
    first: Arc<FirstPicture>,
    /// The producer on the far router.
    pub producer: Producer,
}

impl Hop {
    /// What is sent over it, if it is video and its first picture has not been sent.
    pub fn without_picture(&self) -> Option<(Vec<Consumer>, Arc<FirstPicture>)> {
        let waits = self.consumer.kind() == MediaKind::Video && !self.first.was_sent();
        waits.then(|| (vec![self.consumer.clone()], Arc::clone(&self.first)))
    }

    /// Lets media through, which asks for a key frame.
    pub async fn resume(&self) -> Result<(), MediaError> {
        if self.consumer.paused() {
            within("resuming a pipe", self.consumer.resume()).await?;
        }
        Ok(())
    }
}
