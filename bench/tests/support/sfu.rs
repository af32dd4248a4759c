//! One session of the test server: an ICE-lite str0m engine that takes packets in or hands them out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use str0m::change::SdpOffer;
use str0m::format::{Codec, PayloadParams};
use str0m::media::{KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// One packet on its way from a publisher to viewers.
pub struct Forwarded {
    codec: Codec,
    packet: RtpPacket,
}

/// What a viewer needs of a publisher.
#[derive(Clone)]
pub struct Feed {
    pub packets: broadcast::Sender<Arc<Forwarded>>,
    pub key_frames: mpsc::UnboundedSender<()>,
}

pub enum Role {
    Publisher {
        packets: broadcast::Sender<Arc<Forwarded>>,
        requests: mpsc::UnboundedReceiver<()>,
    },
    Viewer {
        packets: broadcast::Receiver<Arc<Forwarded>>,
        key_frames: mpsc::UnboundedSender<()>,
        drop_every: Option<u64>,
    },
}

pub struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    role: Role,
    medias: Vec<(Mid, MediaKind)>,
    connected: bool,
    video_packets: u64,
}

impl Session {
    pub async fn accept(offer: &str, role: Role) -> Result<(Self, String), String> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(|e| e.to_string())?;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder()
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let answer = rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|e| e.to_string())?
            .to_sdp_string();
        Ok((
            Self {
                rtc,
                socket,
                local,
                role,
                medias: Vec::new(),
                connected: false,
                video_packets: 0,
            },
            answer,
        ))
    }

    pub async fn run(mut self, cancel: CancellationToken) {
        let mut buffer = vec![0; 2048];
        loop {
            let Some(deadline) = self.drain().await else { return };
            // Every branch is one mutation of the engine; the loop drains it.
            tokio::select! {
                () = cancel.cancelled() => {
                    self.rtc.close().unwrap();
                    while self.rtc.is_alive() && self.drain().await.is_some() {
                        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                    }
                    return;
                }
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, source) = received.unwrap();
                    if let Ok(datagram) = Receive::new(Protocol::Udp, source, self.local, &buffer[..length]) {
                        self.rtc.handle_input(Input::Receive(Instant::now(), datagram)).unwrap();
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
                work = next_work(&mut self.role) => match work {
                    Work::Forward(packet) => self.forward(&packet),
                    Work::AskPublisher => self.ask_publisher(),
                },
            }
        }
    }

    async fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output().ok()? {
                Output::Timeout(deadline) => return self.rtc.is_alive().then_some(deadline),
                Output::Transmit(datagram) => {
                    let _ = self.socket.send_to(&datagram.contents, datagram.destination).await;
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match (event, &self.role) {
            (Event::MediaAdded(added), _) => self.medias.push((added.mid, added.kind)),
            (Event::Connected, role) => {
                self.connected = true;
                if let Role::Viewer { key_frames, .. } = role {
                    let _ = key_frames.send(());
                }
            }
            (Event::KeyframeRequest(_), Role::Viewer { key_frames, .. }) => {
                let _ = key_frames.send(());
            }
            (Event::RtpPacket(packet), Role::Publisher { packets, .. }) => {
                if let Some(codec) = self.codec(packet.header.payload_type) {
                    let _ = packets.send(Arc::new(Forwarded { codec, packet }));
                }
            }
            _ => {}
        }
    }

    fn codec(&self, pt: Pt) -> Option<Codec> {
        self.rtc.codec_config().find(|p| p.pt() == pt).map(|p| p.spec().codec)
    }

    fn mid(&self, kind: MediaKind) -> Option<Mid> {
        self.medias.iter().find(|(_, k)| *k == kind).map(|(mid, _)| *mid)
    }

    /// The payload type that the viewer offered for a codec: the engine's own list has several for H264.
    fn negotiated(&self, mid: Mid, codec: Codec) -> Option<Pt> {
        let offered = self.rtc.media(mid)?.remote_pts();
        let offered = |pt| offered.contains(&pt);
        self.rtc
            .codec_config()
            .find(|p| p.spec().codec == codec && offered(p.pt()))
            .map(PayloadParams::pt)
    }

    fn ask_publisher(&mut self) {
        let Some(mid) = self.mid(MediaKind::Video) else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn forward(&mut self, forwarded: &Forwarded) {
        if !self.connected {
            return;
        }
        let kind = if forwarded.codec.is_audio() {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        let Some(mid) = self.mid(kind) else { return };
        let Some(pt) = self.negotiated(mid, forwarded.codec) else {
            return;
        };
        if kind == MediaKind::Video {
            self.video_packets += 1;
            if let Role::Viewer {
                drop_every: Some(every),
                ..
            } = self.role
                && self.video_packets.is_multiple_of(every)
            {
                return;
            }
        }
        let packet = &forwarded.packet;
        let time = (packet.time.numer() & 0xffff_ffff) as u32;
        let write = RtpWrite::new(pt, packet.seq_no, time, packet.timestamp, Arc::clone(&packet.payload))
            .marker(packet.header.marker)
            .nackable(true);
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
            stream.write_rtp(write);
        }
    }
}

/// What one session hears from others.
enum Work {
    Forward(Arc<Forwarded>),
    AskPublisher,
}

async fn next_work(role: &mut Role) -> Work {
    match role {
        Role::Viewer { packets, .. } => loop {
            match packets.recv().await {
                Ok(packet) => return Work::Forward(packet),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
        },
        Role::Publisher { requests, .. } => {
            if requests.recv().await.is_some() {
                return Work::AskPublisher;
            }
        }
    }
    std::future::pending().await
}
