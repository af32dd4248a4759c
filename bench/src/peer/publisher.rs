//! A WHIP publisher that sends made-up frames at a steady rate.

use super::candidates::{self, Candidate};
use super::config::{HeaderExtensions, Setup};
use super::error::{CloseReason, PeerError};
use super::http;
use super::options::{PublisherOptions, PublisherReport};
use super::sender::{Sender, Track};
use super::session::{ConnectionState, Session};
use crate::media::Codec;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use str0m::media::{Direction, MediaKind};

/// A publisher under way. Dropping it closes the session; [`Publisher::stop`] ends it as the protocol wants.
pub struct Publisher {
    session: Session,
    report: Arc<Mutex<PublisherReport>>,
    candidates: Vec<Candidate>,
}

impl Publisher {
    /// POSTs an offer to a WHIP endpoint and starts sending as soon as the connection is up.
    ///
    /// # Errors
    /// When the server refuses, or answers with an SDP that leaves out what was offered.
    pub async fn start(whip_url: &str, options: PublisherOptions) -> Result<Self, PeerError> {
        let url = http::endpoint(whip_url)?;
        let codecs: Vec<Codec> = options
            .audio
            .then_some(Codec::Opus)
            .into_iter()
            .chain(options.video)
            .collect();
        let setup = Setup {
            codecs: &codecs,
            extensions: HeaderExtensions::Browser,
            rtp_mode: false,
            bind: options.bind,
            port: options.port,
        };
        let mut engine = setup.engine().await?;

        let mut change = engine.rtc.sdp_api();
        // RFC 9725, 4.4.1: both tracks belong to one MediaStream.
        let mut add = |kind| change.add_media(kind, Direction::SendOnly, Some("sfumato".to_owned()), None, None);
        let audio = options.audio.then(|| add(MediaKind::Audio));
        let video = options.video.map(|_| add(MediaKind::Video));
        let nothing = || PeerError::Url {
            url: whip_url.to_owned(),
            why: "neither audio nor video is switched on".to_owned(),
        };
        let (offer, pending) = change.apply().ok_or_else(nothing)?;

        let created = http::post_offer(&url, &offer.to_sdp_string(), options.token.as_deref(), options.retry).await?;
        engine.accept(pending, &created.answer, url.as_str())?;
        let audio = audio
            .map(|mid| Track::new(&mut engine, mid, Codec::Opus, &options, url.as_str()))
            .transpose()?;
        let video = match (video, options.video) {
            (Some(mid), Some(codec)) => Some(Track::new(&mut engine, mid, codec, &options, url.as_str())?),
            _ => None,
        };

        let report = PublisherReport {
            answered_ms: created.millis(),
            ..PublisherReport::default()
        };
        let report = Arc::new(Mutex::new(report));
        let started = created.started;
        let sender = Sender {
            engine,
            audio,
            video,
            started,
            silence: options.silence,
            every: options.key_frame_every,
            grid: options.frame_grid,
            report: Arc::clone(&report),
        };
        let candidates = candidates::candidates(&created.answer);
        let session = Session::spawn(url, created.session, options.token, |running| sender.run(running));
        Ok(Self {
            session,
            report,
            candidates,
        })
    }

    /// Counters so far.
    #[must_use]
    pub fn report(&self) -> PublisherReport {
        self.report.lock().clone()
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

    /// Resolves when the session has ended.
    pub async fn closed(&self) -> CloseReason {
        self.session.closed().await
    }

    /// Waits until media can flow.
    ///
    /// # Errors
    /// When it does not come to that within the time.
    pub async fn connected(&self, within: Duration) -> Result<(), PeerError> {
        let state = || self.state().name().to_owned();
        let connected = || (self.state() == ConnectionState::Connected).then_some(());
        self.session.wait_for("connection", within, state, connected).await
    }

    /// Waits until the counters satisfy `condition`.
    ///
    /// # Errors
    /// When they do not within the time, or the session ends.
    pub async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&PublisherReport) -> bool,
    ) -> Result<PublisherReport, PeerError> {
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

    /// Leaves without a DELETE, as a browser does whose page is closed: DTLS is closed, nothing more.
    pub async fn leave(self) {
        self.session.close().await;
    }

    /// Vanishes without a word, as a crashed process does: no DELETE, no goodbye, nothing more is sent.
    pub fn vanish(self) {
        self.session.vanish();
    }
}
