//! The task of a publisher: two clocks, one engine, key frames on request.

use super::engine::Engine;
use super::error::{CloseReason, PeerError};
use super::options::{PublisherOptions, PublisherReport};
use super::session::Running;
use crate::figures::millis;
use crate::media::{Codec, FrameMaker};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::PayloadParams;
use str0m::media::{Frequency, MediaTime, Mid, Pt};

/// How long an opus frame lasts.
const AUDIO_FRAME: Duration = Duration::from_millis(20);
/// About 48 kbit/s.
const AUDIO_BYTES: usize = 120;
/// A key frame that was asked for leaves within this time, even at low frame rates.
const KEY_FRAME_WITHIN: Duration = Duration::from_millis(40);

/// One track and its clock.
pub(super) struct Track {
    mid: Mid,
    pt: Pt,
    maker: FrameMaker,
    interval: Duration,
    next: Instant,
    /// RTP time of the next frame, in units of `rate`.
    time: u64,
    step: u64,
    rate: Frequency,
}

impl Track {
    pub(super) fn new(
        engine: &mut Engine,
        mid: Mid,
        codec: Codec,
        options: &PublisherOptions,
        url: &str,
    ) -> Result<Self, PeerError> {
        let lacks = || PeerError::Answer {
            url: url.to_owned(),
            what: format!("a payload type for {codec:?}"),
        };
        let pt = engine
            .rtc
            .writer(mid)
            .and_then(|w| w.payload_params().next().map(PayloadParams::pt))
            .ok_or_else(lacks)?;
        let (maker, interval, rate) = if codec.is_video() {
            let interval = Duration::from_secs(1) / options.frames_per_second.max(1);
            (
                FrameMaker::new(codec, options.frame_bytes, options.key_frame_bytes),
                interval,
                Frequency::NINETY_KHZ,
            )
        } else {
            (
                FrameMaker::new(codec, AUDIO_BYTES, AUDIO_BYTES),
                AUDIO_FRAME,
                Frequency::FORTY_EIGHT_KHZ,
            )
        };
        let step = u64::try_from(interval.as_nanos() * u128::from(rate.get()) / 1_000_000_000).unwrap_or(1);
        Ok(Self {
            mid,
            pt,
            maker,
            interval,
            next: Instant::now(),
            time: 0,
            step,
            rate,
        })
    }

    /// Writes the next frame into the engine; its size, or none when the track cannot be sent on.
    fn write(&mut self, engine: &mut Engine, key: bool) -> Result<Option<usize>, PeerError> {
        let now = Instant::now();
        self.next += self.interval;
        if self.next < now {
            // The machine was starved: go on from here instead of sending a burst, and keep RTP time true.
            let missed = (now - self.next).as_nanos() / self.interval.as_nanos().max(1) + 1;
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            self.next += self.interval * missed;
            self.time += self.step * u64::from(missed);
        }
        let time = MediaTime::new(self.time, self.rate);
        self.time += self.step;
        let Some(writer) = engine.rtc.writer(self.mid) else {
            return Ok(None);
        };
        let frame = self.maker.next(key);
        let bytes = frame.len();
        writer.write(self.pt, now, time, frame)?;
        Ok(Some(bytes))
    }
}

/// The task of a publisher.
pub(super) struct Sender {
    pub engine: Engine,
    pub audio: Option<Track>,
    pub video: Option<Track>,
    /// When the POST left.
    pub started: Instant,
    pub silence: Duration,
    /// A key frame at least this often.
    pub every: Option<Duration>,
    /// A moment at which a video frame would leave.
    pub grid: Option<Instant>,
    pub report: Arc<Mutex<PublisherReport>>,
}

impl Sender {
    pub(super) async fn run(mut self, running: Running) {
        let reason = match self.send_until_over(&running).await {
            Ok(reason) => reason,
            Err(error) => CloseReason::Failed(error.to_string()),
        };
        running.end(&mut self.engine, reason).await;
    }

    async fn send_until_over(&mut self, running: &Running) -> Result<CloseReason, PeerError> {
        let mut connected = false;
        let mut key_wanted = true;
        let mut last_key = Instant::now();
        loop {
            self.engine.drain().await?;
            for event in std::mem::take(&mut self.engine.events) {
                if let Some(reason) = running.follow(&event) {
                    return Ok(reason);
                }
                match event {
                    Event::Connected => {
                        connected = true;
                        self.report.lock().connected_ms = Some(millis(self.started.elapsed()));
                        self.start_clocks();
                    }
                    Event::KeyframeRequest(_) => {
                        self.report.lock().key_frame_requests += 1;
                        key_wanted = true;
                        if let Some(video) = &mut self.video {
                            video.next = video.next.min(Instant::now() + KEY_FRAME_WITHIN);
                        }
                    }
                    _ => {}
                }
            }
            if let Some(reason) = running.over(&self.engine.rtc, self.engine.received_at, self.silence) {
                return Ok(reason);
            }
            let now = Instant::now();
            let (mut wake, audio_due, video_due) = (
                self.engine.received_at + self.silence,
                due(self.audio.as_ref()),
                due(self.video.as_ref()),
            );
            if connected {
                if let (Some(audio), Some(true)) = (&mut self.audio, audio_due.map(|at| at <= now)) {
                    if audio.write(&mut self.engine, false)?.is_some() {
                        self.report.lock().audio_frames += 1;
                    }
                    continue;
                }
                if let (Some(video), Some(true)) = (&mut self.video, video_due.map(|at| at <= now)) {
                    let key = key_wanted || self.every.is_some_and(|every| now - last_key >= every);
                    if let Some(bytes) = video.write(&mut self.engine, key)? {
                        if key {
                            (key_wanted, last_key) = (false, now);
                        }
                        let mut report = self.report.lock();
                        report.frames += 1;
                        report.key_frames += u64::from(key);
                        report.bytes += bytes as u64;
                    }
                    continue;
                }
                wake = [audio_due, video_due].into_iter().flatten().fold(wake, Instant::min);
            }
            tokio::select! {
                biased;
                () = running.cancel.cancelled() => return Ok(CloseReason::Local),
                waited = self.engine.wait(wake) => waited?,
            }
        }
    }

    fn start_clocks(&mut self) {
        let now = Instant::now();
        for track in [&mut self.audio, &mut self.video].into_iter().flatten() {
            track.next = now;
        }
        if let (Some(video), Some(grid)) = (&mut self.video, self.grid) {
            video.next = next_on_grid(grid, video.interval, now);
        }
    }
}

/// The first moment after `now` that lies whole intervals away from `grid`.
fn next_on_grid(grid: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(grid).as_nanos() / interval.as_nanos().max(1) + 1;
    grid + interval * u32::try_from(passed).unwrap_or(u32::MAX)
}

fn due(track: Option<&Track>) -> Option<Instant> {
    track.map(|t| t.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_on_the_grid() {
        let (grid, interval) = (Instant::now(), Duration::from_millis(33));
        let next = |after| next_on_grid(grid, interval, grid + Duration::from_millis(after)) - grid;
        assert_eq!(next(0), Duration::from_millis(33));
        assert_eq!(next(32), Duration::from_millis(33));
        assert_eq!(next(100), Duration::from_millis(132));
    }
}
