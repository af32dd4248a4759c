//! A WHEP viewer that counts instead of decoding.

use super::candidates::{self, Candidate};
use super::config::{HeaderExtensions, Setup};
use super::error::{CloseReason, PeerError};
use super::http::{self, Retry};
use super::receiver::{Counted, Incoming, Receiver};
use super::session::{ConnectionState, Session};
use crate::media::{Codec, Delay, TrackMeter, TrackReport};
use parking_lot::Mutex;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use str0m::media::{Direction, MediaKind};

/// What a viewer asks for, and how it behaves.
#[derive(Debug, Clone)]
pub struct ViewerOptions {
    /// Whether sound is offered.
    pub audio: bool,
    /// Video codecs offered, the preferred one first; none for sound alone.
    pub video: Vec<Codec>,
    /// Header extension ids in the offer.
    pub extensions: HeaderExtensions,
    /// Bearer token.
    pub token: Option<String>,
    /// Local address of the media socket.
    pub bind: IpAddr,
    /// Whether a POST that is refused for now (409: nothing live yet) is tried again.
    pub retry: Retry,
    /// While video packets come but no key frame has, one is asked for this often, as a decoder would; none to never ask.
    pub ask_key_frame_every: Option<Duration>,
    /// The session counts as dead when nothing has been received for so long.
    pub silence: Duration,
    /// Delay samples kept for each track.
    pub max_delays: usize,
}

impl Default for ViewerOptions {
    fn default() -> Self {
        Self {
            audio: true,
            video: vec![Codec::Vp8, Codec::H264],
            extensions: HeaderExtensions::Mediasoup,
            token: None,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            retry: Retry::No,
            ask_key_frame_every: Some(Duration::from_millis(500)),
            silence: Duration::from_secs(8),
            max_delays: 100_000,
        }
    }
}

/// What a viewer has received so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerReport {
    /// Where the session stands.
    #[serde(flatten)]
    pub connection: ConnectionState,
    /// From the (last) POST to the answer, in milliseconds.
    pub answered_ms: f64,
    /// From the POST to the end of the DTLS handshake, in milliseconds.
    pub connected_ms: Option<f64>,
    /// The audio track, once its first packet has come.
    pub audio: Option<TrackReport>,
    /// The video track, once its first packet has come.
    pub video: Option<TrackReport>,
}

impl ViewerReport {
    /// Packets of both tracks.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.tracks().map(|t| t.packets).sum()
    }

    /// Lost packets of both tracks.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.tracks().map(|t| t.lost).sum()
    }

    /// Whole video frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.video.as_ref().map_or(0, |t| t.frames)
    }

    /// Whole key frames.
    #[must_use]
    pub fn key_frames(&self) -> u64 {
        self.video.as_ref().map_or(0, |t| t.key_frames)
    }

    fn tracks(&self) -> impl Iterator<Item = &TrackReport> {
        self.audio.iter().chain(&self.video)
    }
}

/// A viewer under way. Dropping it closes the session; [`Viewer::stop`] ends it as the protocol wants.
pub struct Viewer {
    session: Session,
    counted: Arc<Mutex<Counted>>,
    candidates: Vec<Candidate>,
}

impl Viewer {
    /// POSTs an offer to a WHEP endpoint and starts counting what comes.
    ///
    /// # Errors
    /// When the server refuses, or its answer cannot be used.
    pub async fn start(whep_url: &str, options: ViewerOptions) -> Result<Self, PeerError> {
        let url = http::endpoint(whep_url)?;
        let codecs: Vec<Codec> = options
            .audio
            .then_some(Codec::Opus)
            .into_iter()
            .chain(options.video.clone())
            .collect();
        let setup = Setup {
            codecs: &codecs,
            extensions: options.extensions,
            rtp_mode: true,
            bind: options.bind,
            port: 0,
        };
        let mut engine = setup.engine().await?;

        let mut change = engine.rtc.sdp_api();
        let mut add = |kind| change.add_media(kind, Direction::RecvOnly, None, None, None);
        let audio = options.audio.then(|| add(MediaKind::Audio));
        let video = (!options.video.is_empty()).then(|| add(MediaKind::Video));
        let nothing = || PeerError::Url {
            url: whep_url.to_owned(),
            why: "neither audio nor video is asked for".to_owned(),
        };
        let (offer, pending) = change.apply().ok_or_else(nothing)?;

        let created = http::post_offer(&url, &offer.to_sdp_string(), options.token.as_deref(), options.retry).await?;
        engine.accept(pending, &created.answer, url.as_str())?;

        let counted = Arc::new(Mutex::new(Counted {
            answered_ms: created.millis(),
            ..Counted::default()
        }));
        let receiver = Receiver {
            engine,
            audio: audio.map(Incoming::new),
            video: video.map(Incoming::new),
            started: created.started,
            ask_every: options.ask_key_frame_every,
            silence: options.silence,
            max_delays: options.max_delays,
            counted: Arc::clone(&counted),
        };
        let candidates = candidates::candidates(&created.answer);
        let session = Session::spawn(url, created.session, options.token, |running| receiver.run(running));
        Ok(Self {
            session,
            counted,
            candidates,
        })
    }

    /// Counters so far.
    #[must_use]
    pub fn report(&self) -> ViewerReport {
        let counted = self.counted.lock();
        ViewerReport {
            connection: self.session.state(),
            answered_ms: counted.answered_ms,
            connected_ms: counted.connected_ms,
            audio: counted.audio.as_ref().map(TrackMeter::report),
            video: counted.video.as_ref().map(TrackMeter::report),
        }
    }

    /// One-way delays of whole video frames since the last call.
    #[must_use]
    pub fn take_video_delays(&self) -> Vec<Delay> {
        self.counted
            .lock()
            .video
            .as_mut()
            .map(TrackMeter::take_delays)
            .unwrap_or_default()
    }

    /// One-way delays of audio frames since the last call.
    #[must_use]
    pub fn take_audio_delays(&self) -> Vec<Delay> {
        self.counted
            .lock()
            .audio
            .as_mut()
            .map(TrackMeter::take_delays)
            .unwrap_or_default()
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.session.state()
    }

    /// Where the server takes media, by its answer.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// URL of the session at the server.
    #[must_use]
    pub fn location(&self) -> &str {
        self.session.location().as_str()
    }

    /// Resolves when the session has ended: closed by the server, lost, or stopped here.
    pub async fn closed(&self) -> CloseReason {
        self.session.closed().await
    }

    /// Waits until the counters satisfy `condition`.
    ///
    /// # Errors
    /// When they do not within the time, or the session ends.
    pub async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&ViewerReport) -> bool,
    ) -> Result<ViewerReport, PeerError> {
        let state = || format!("{:?}", self.report());
        self.session
            .wait_for(what, within, state, || Some(self.report()).filter(&condition))
            .await
    }

    /// DELETEs the session and says goodbye.
    ///
    /// # Errors
    /// When the DELETE is refused; the session is over all the same.
    pub async fn stop(self) -> Result<(), PeerError> {
        self.session.stop().await
    }

    /// Leaves without a DELETE.
    pub async fn leave(self) {
        self.session.close().await;
    }

    /// Vanishes without a word, as a crashed process does: no DELETE, no goodbye, nothing more is sent.
    pub fn vanish(self) {
        self.session.vanish();
    }
}
