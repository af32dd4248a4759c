//! One end of a link: an encrypted pipe to one incarnation of a peer on one lane, its beat, and the publications that
//! this node sends over it.

use crate::links::beat::{AfterBeat, Beat, BeatMonitor, link_key};
use crate::links::beat_sender::BeatSender;
use crate::links::listed_map::ListedMap;
use crate::media::deadline::{MediaError, within};
use crate::media::first_picture::FirstPicture;
use crate::media::pipe::{PipeAddress, PipeEnd, PipeListen};
use crate::media::rtp::rtp_payload;
use crate::media::uses::UseGuard;
use crate::media::worker::MediaWorker;
use mediasoup::prelude::*;
use mediasoup::types::rtp_parameters::{MediaKind, RtpParameters};
use parking_lot::Mutex;
use sfumato_admin_api::types::{
    Incarnation, Lane, LargePackets, LinkEnd, LinkId, LinkReport, LinkState, NodeName, Peer, PublicationId,
    RenewSubscriptions, SubscribedTrack,
};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// One end of a link. Everything closes when the last reference goes.
pub struct Link {
    /// This end.
    pub id: LinkId,
    /// The node and the life at the other end.
    pub peer: Peer,
    /// Which link of the pair; also the worker that it is on.
    pub lane: Lane,
    pipe: PipeEnd,
    ip: IpAddr,
    beats: Arc<BeatSender>,
    beat_out: Consumer,
    connected: OnceLock<Connected>,
    connecting: tokio::sync::Mutex<()>,
    monitor: Mutex<BeatMonitor>,
    /// Publications that this node sends over the link.
    pub outgoing: ListedMap<PublicationId, Outgoing>,
    /// Counters, brought up to date once a second.
    pub counters: Counters,
}

/// What is there once the other end is known.
struct Connected {
    remote: LinkId,
    // Held so that beats go on arriving.
    _beat_in: Producer,
    _beat_ear: Consumer,
}

/// A publication that is sent over a link: a lease of the subscriber.
pub struct Outgoing {
    /// One consumer a track.
    pub tracks: Vec<Consumer>,
    /// Whether something of its video was sent.
    pub first: Arc<FirstPicture>,
    /// Keeps the copy on the link's worker, where the publication entered on another one.
    pub _copy_use: Option<UseGuard>,
    /// When the subscriber last asked for it.
    pub renewed: Instant,
    /// Where it stands among what the subscriber asked for ([`sfumato_admin_api::types::Subscribe::order`]).
    pub order: u64,
}

impl Outgoing {
    /// Whether a renewal still wants it. One that was written before the subscription, and arrives after it, says nothing
    /// about it.
    pub fn is_wanted_by(&self, publication: &PublicationId, renewal: &RenewSubscriptions) -> bool {
        self.order > renewal.order || renewal.publications.contains(publication)
    }

    /// What the subscriber needs to receive it.
    pub fn tracks(&self) -> Result<Vec<SubscribedTrack>, MediaError> {
        self.tracks
            .iter()
            .map(|consumer| {
                Ok(SubscribedTrack {
                    id: consumer.id().to_string(),
                    kind: crate::sdp::capabilities::track_kind(consumer.kind()),
                    rtp_parameters: serde_json::to_value(consumer.rtp_parameters())
                        .map_err(|error| unwritable("describing a track", &error))?,
                })
            })
            .collect()
    }

    /// Lets media through, which asks the publisher for a key frame.
    pub async fn resume(&self) -> Result<(), MediaError> {
        for consumer in &self.tracks {
            if consumer.paused() {
                within("resuming a track", consumer.resume()).await?;
            }
        }
        Ok(())
    }
}

/// Counters of a link.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes sent by the pipe.
    pub sent: AtomicU64,
    /// Bytes received by the pipe.
    pub received: AtomicU64,
    /// RTP packets of media lost on the way here.
    pub lost: AtomicU64,
    /// RTP packets of media received.
    pub packets: AtomicU64,
}

/// What a link tells the node.
pub trait LinkEvents: Send + Sync {
    /// The link's state changed: somebody may be waiting for a report.
    fn link_changed(&self);
}

impl Link {
    /// Opens a pipe and sends our beat into it; nobody hears it until both ends are connected.
    pub async fn open(
        id: LinkId,
        peer: Peer,
        lane: Lane,
        worker: &MediaWorker,
        beats: &Arc<BeatSender>,
        listen: &PipeListen,
        interval: Duration,
    ) -> Result<Self, MediaError> {
        let pipe = PipeEnd::open(&worker.main, listen).await?;
        let beat_out = pipe.send(beats.producer_id(), false).await?;
        Ok(Self {
            id,
            peer,
            lane,
            pipe,
            ip: listen.ip,
            beats: Arc::clone(beats),
            beat_out,
            connected: OnceLock::new(),
            connecting: tokio::sync::Mutex::new(()),
            monitor: Mutex::new(BeatMonitor::new(interval, Instant::now())),
            outgoing: ListedMap::default(),
            counters: Counters::default(),
        })
    }

    /// This end, as the other one needs it.
    pub fn end(&self) -> Result<LinkEnd, MediaError> {
        let address = self.pipe.address(self.ip);
        Ok(LinkEnd {
            lane: self.lane,
            id: self.id.clone(),
            ip: address.ip,
            port: address.port,
            srtp: address
                .srtp
                .map(serde_json::to_value)
                .transpose()
                .map_err(|error| unwritable("describing a link", &error))?,
            beat: serde_json::to_value(self.beat_out.rtp_parameters())
                .map_err(|error| unwritable("describing a link", &error))?,
        })
    }

    /// Connects to the other end. A second call with the same end does nothing.
    pub async fn connect(self: &Arc<Self>, remote: &LinkEnd, events: Weak<dyn LinkEvents>) -> Result<(), MediaError> {
        let _one = self.connecting.lock().await;
        if self.connected.get().is_some() {
            return Ok(());
        }
        let refused = |error: serde_json::Error| MediaError::Refused {
            what: "reading the other end of a link",
            cause: error.to_string(),
        };
        let srtp = remote
            .srtp
            .clone()
            .map(serde_json::from_value)
            .transpose()
            .map_err(refused)?;
        let beat: RtpParameters = serde_json::from_value(remote.beat.clone()).map_err(refused)?;
        self.pipe
            .connect(PipeAddress {
                ip: remote.ip,
                port: remote.port,
                srtp,
            })
            .await?;
        let beat_in = self.pipe.receive(MediaKind::Audio, beat).await?;
        let ear = self.beats.listen(&beat_in).await?;
        let weak = Arc::downgrade(self);
        let changed = events.clone();
        ear.on_rtp(move |packet| {
            if let Some(link) = weak.upgrade()
                && let Some(beat) = rtp_payload(packet).and_then(Beat::decode)
                && link.heard(&beat)
                && let Some(events) = changed.upgrade()
            {
                events.link_changed();
            }
        })
        .detach();
        let weak = Arc::downgrade(self);
        self.pipe.on_close(move || {
            if let Some(link) = weak.upgrade()
                && link.monitor.lock().died(Instant::now())
                && let Some(events) = events.upgrade()
            {
                events.link_changed();
            }
        });
        let connected = Connected {
            remote: remote.id.clone(),
            _beat_in: beat_in,
            _beat_ear: ear,
        };
        // `connecting` is held and nothing was there: this cannot fail.
        let _ = self.connected.set(connected);
        self.beats.soon();
        Ok(())
    }

    /// A beat arrived; true when the link's state changed.
    fn heard(&self, beat: &Beat) -> bool {
        let now = Instant::now();
        let ours = link_key(&self.id);
        let echoed = beat.echoes.iter().find(|echo| echo.link == ours).and_then(|echo| {
            Some((
                self.beats.sent_at(echo.sequence)?,
                Duration::from_micros(u64::from(echo.held_us)),
            ))
        });
        let mut monitor = self.monitor.lock();
        let before = monitor.state();
        let change = monitor.on_beat(beat.sequence, echoed, now);
        let large_before = monitor.large_seen();
        let of_large = beat.large.is_some_and(|large| monitor.on_large(beat.sequence, large));
        let changed = before != monitor.state() || of_large;
        let large = monitor.large_seen().filter(|_| of_large);
        drop(monitor);
        // What everybody expects is told only after it was otherwise.
        if let Some(large) = large.filter(|large| !large.carried || large_before.is_some()) {
            self.tell_of_large(large);
        }
        if change == AfterBeat::AnswerSoon {
            self.beats.soon();
        }
        changed
    }

    fn tell_of_large(&self, LargePackets { bytes, carried }: LargePackets) {
        let (peer, lane) = (&self.peer.name, self.lane);
        if carried {
            tracing::info!(%peer, %lane, bytes, "the link carries large packets");
        } else {
            tracing::warn!(
                %peer, %lane, bytes,
                "the link carries small packets only: sound passes, pictures do not; check the MTU of the path from this peer"
            );
        }
    }

    /// The other end, once connected.
    pub fn remote(&self) -> Option<&LinkId> {
        self.connected.get().map(|connected| &connected.remote)
    }

    /// Whether it leads to this incarnation of a node.
    pub fn leads_to(&self, name: &NodeName, incarnation: &Incarnation) -> bool {
        self.peer.name == *name && self.peer.incarnation == *incarnation
    }

    /// What it sends of publications whose first picture has not been sent.
    pub async fn without_picture(&self) -> Vec<(Vec<Consumer>, Arc<FirstPicture>)> {
        let all = self.outgoing.lock().await;
        let waiting = all.values().filter(|sent| !sent.first.was_sent());
        waiting
            .map(|sent| (sent.tracks.clone(), Arc::clone(&sent.first)))
            .collect()
    }

    /// What to echo to the peer.
    pub fn echo(&self, now: Instant) -> Option<(u32, Duration)> {
        self.monitor.lock().echo(now)
    }

    /// Whether its transport still works.
    pub fn is_usable(&self) -> bool {
        self.state() != LinkState::Dead
    }

    /// State as of the last beat or refresh.
    pub fn state(&self) -> LinkState {
        self.monitor.lock().state()
    }

    /// Lets time pass; true when the state changed.
    pub fn refresh(&self, now: Instant) -> bool {
        self.monitor.lock().refresh(now)
    }

    /// Receives a track that the peer sends over this link.
    pub async fn receive(&self, kind: MediaKind, rtp: RtpParameters) -> Result<Producer, MediaError> {
        self.pipe.receive(kind, rtp).await
    }

    /// Sends a producer of this link's router over it.
    pub async fn send(&self, producer: ProducerId, paused: bool) -> Result<Consumer, MediaError> {
        self.pipe.send(producer, paused).await
    }

    /// Reads the pipe's byte counters.
    pub async fn sample(&self) {
        if let Ok((sent, received)) = self.pipe.bytes().await {
            self.counters.sent.store(sent, Ordering::Relaxed);
            self.counters.received.store(received, Ordering::Relaxed);
        }
    }

    /// What the admin API says of it.
    pub fn report(&self, now: Instant) -> LinkReport {
        let monitor = self.monitor.lock();
        LinkReport {
            id: self.id.clone(),
            peer: self.peer.name.clone(),
            peer_incarnation: self.peer.incarnation.clone(),
            lane: self.lane,
            remote: self.remote().cloned(),
            state: monitor.state(),
            since_ms: u64::try_from(now.saturating_duration_since(monitor.since()).as_millis()).unwrap_or(u64::MAX),
            rtt_us: monitor
                .rtt()
                .map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            beats_received: monitor.received(),
            large_packets: monitor.large_seen(),
            packets_lost: self.counters.lost.load(Ordering::Relaxed),
            packets_received: self.counters.packets.load(Ordering::Relaxed),
            bytes_sent: self.counters.sent.load(Ordering::Relaxed),
            bytes_received: self.counters.received.load(Ordering::Relaxed),
        }
    }
}

/// What mediasoup tells cannot be written as JSON.
fn unwritable(what: &'static str, error: &serde_json::Error) -> MediaError {
    let cause = error.to_string();
    MediaError::Unusable { what, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_was_written_before_a_subscription_does_not_end_it() {
        let sent = Outgoing {
            tracks: Vec::new(),
            first: Arc::default(),
            _copy_use: None,
            renewed: Instant::now(),
            order: 5,
        };
        let (demo, other): (PublicationId, PublicationId) = ("demo".parse().unwrap(), "other".parse().unwrap());
        let renewal = |order, named: &PublicationId| RenewSubscriptions {
            subscriber: "sfu-2".parse().unwrap(),
            incarnation: "0.a".parse().unwrap(),
            publications: vec![named.clone()],
            order,
        };
        assert!(sent.is_wanted_by(&demo, &renewal(4, &other)));
        assert!(
            !sent.is_wanted_by(&demo, &renewal(5, &other)),
            "written after it, without it"
        );
        assert!(!sent.is_wanted_by(&demo, &renewal(9, &other)));
        assert!(sent.is_wanted_by(&demo, &renewal(9, &demo)));
    }
}
