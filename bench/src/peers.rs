//! `publish` and `watch`: the peers for scripts and for whole-system tests in other languages.

use crate::cli::{ChurnArgs, PeerArgs, PublishArgs, RaceArgs, WatchArgs};
use serde_json::{Value, json};
use sfu_bench::figures::{Spread, micros};
use sfu_bench::media::Codec;
use sfu_bench::peer::{
    CloseReason, ConnectionState, HeaderExtensions, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions,
    ViewerReport,
};
use sfu_bench::race::{self, RaceOptions};
use sfu_bench::{churn, output};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// How long ICE and DTLS may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// The other side ended the session.
const ENDED_EARLY: u8 = 3;

/// Resolves on SIGINT or SIGTERM.
pub async fn interrupted() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}

impl PeerArgs {
    fn retry(&self) -> Retry {
        match self.retry_seconds {
            0 => Retry::No,
            seconds => Retry::For(Duration::from_secs(seconds)),
        }
    }
}

impl WatchArgs {
    /// The options of each viewer.
    pub fn options(&self) -> ViewerOptions {
        ViewerOptions {
            audio: !self.no_audio,
            video: if self.no_video {
                Vec::new()
            } else {
                vec![Codec::Vp8, Codec::H264]
            },
            extensions: if self.browser_extensions {
                HeaderExtensions::Browser
            } else {
                HeaderExtensions::Mediasoup
            },
            token: self.peer.token.clone(),
            bind: self.peer.bind,
            retry: self.peer.retry(),
            ..ViewerOptions::default()
        }
    }
}

/// Publishes until the time is over.
pub async fn publish(args: &PublishArgs) -> Result<ExitCode, String> {
    let frame_bytes = args.kbps as usize * 1000 / 8 / args.fps as usize;
    let options = PublisherOptions {
        video: args.video.codec(),
        audio: !args.no_audio,
        frames_per_second: args.fps,
        frame_bytes,
        key_frame_bytes: 3 * frame_bytes,
        key_frame_every: args.key_frame_seconds.map(Duration::from_secs),
        token: args.peer.token.clone(),
        bind: args.peer.bind,
        port: args.port,
        retry: args.peer.retry(),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&args.url, options).await.map_err(|e| e.to_string())?;
    publisher.connected(CONNECT_WITHIN).await.map_err(|e| e.to_string())?;
    say("publishing")?;
    let early = tokio::select! {
        reason = publisher.closed() => Some(reason),
        () = time_is_over(args.seconds) => None,
    };
    let (report, location) = (publisher.report(), publisher.location().to_owned());
    if early.is_none() && !args.peer.no_delete {
        publisher.stop().await.map_err(|e| e.to_string())?;
    } else {
        publisher.leave().await;
    }
    let mut last = json!(report);
    last["state"] = json!(if early.is_some() { "closed" } else { "connected" });
    last["session"] = json!(location);
    last["close"] = json!(early);
    say(&last.to_string())?;
    Ok(exit_code(early.as_ref()))
}

/// Watches until the time is over.
pub async fn watch(args: &WatchArgs) -> Result<ExitCode, String> {
    let options = args.options();
    let mut viewers = Vec::new();
    for _ in 0..args.viewers {
        viewers.push(
            Viewer::start(&args.url, options.clone())
                .await
                .map_err(|e| e.to_string())?,
        );
    }
    let started = Instant::now();
    let mut tick = tokio::time::interval_at(started + Duration::from_secs(1), Duration::from_secs(1));
    let over = time_is_over(args.seconds);
    tokio::pin!(over);
    let early = loop {
        tokio::select! {
            _ = tick.tick() => say(&line(&viewers, started, args.json))?,
            () = &mut over => break None,
            reason = all_closed(&viewers) => break Some(reason),
        }
    };
    say(&last_line(&viewers, started, early.as_ref(), args.json))?;
    for viewer in viewers {
        if early.is_none() && !args.peer.no_delete {
            viewer.stop().await.map_err(|e| e.to_string())?;
        } else {
            viewer.leave().await;
        }
    }
    Ok(exit_code(early.as_ref()))
}

/// Races over names; fails when one of them went wrong.
pub async fn race(args: &RaceArgs) -> Result<ExitCode, String> {
    let options = RaceOptions {
        nodes: args.nodes.clone(),
        watch: args.watch.clone(),
        rounds: args.rounds,
        spread: Duration::from_millis(args.spread_ms),
        seed: args.seed,
    };
    let (mut failures, mut said) = (0, Ok(()));
    race::run(&options, |round| {
        failures += u32::from(round.failure.is_some());
        if said.is_ok() {
            said = say(&json!(round).to_string());
        }
    })
    .await;
    said?;
    match failures {
        0 => Ok(ExitCode::SUCCESS),
        failures => Err(format!("{failures} of {} races went wrong", args.rounds)),
    }
}

/// Rounds of publishing, playing and ending; fails with the first round that does.
pub async fn churn(args: &ChurnArgs) -> Result<ExitCode, String> {
    let next = AtomicU32::new(0);
    let one_after_another = async || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= args.rounds {
            return Ok::<(), String>(());
        }
        let stream = format!("{}-{number}", args.name);
        let (whip, whep) = (
            format!("{}/whip/{stream}", args.publish),
            format!("{}/whep/{stream}", args.watch),
        );
        let outcome = churn::round(&whip, &whep, churn::End::of(number), churn::address_of(number)).await;
        outcome.map_err(|error| format!("round {number}: {error}"))?;
    };
    futures::future::try_join_all((0..args.at_once).map(|_| one_after_another())).await?;
    say(&json!({ "rounds": args.rounds }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

pub async fn time_is_over(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            () = interrupted() => {}
        },
        None => interrupted().await,
    }
}

/// Resolves when no viewer is left, with the end of the last one asked.
async fn all_closed(viewers: &[Viewer]) -> CloseReason {
    let mut reason = CloseReason::Local;
    for viewer in viewers {
        reason = viewer.closed().await;
    }
    reason
}

pub fn say(text: &str) -> Result<(), String> {
    output::line(text).map_err(|e| format!("cannot write to standard output: {e}"))
}

fn exit_code(early: Option<&CloseReason>) -> ExitCode {
    if early.is_some() {
        ExitCode::from(ENDED_EARLY)
    } else {
        ExitCode::SUCCESS
    }
}

fn counters(viewers: &[Viewer], started: Instant) -> Value {
    let reports: Vec<ViewerReport> = viewers.iter().map(Viewer::report).collect();
    let sum = |of: fn(&ViewerReport) -> u64| reports.iter().map(of).sum::<u64>();
    let connected = reports
        .iter()
        .filter(|r| r.connection == ConnectionState::Connected)
        .count();
    let closed = reports
        .iter()
        .filter(|r| matches!(r.connection, ConnectionState::Closed(_)))
        .count();
    let state = if closed == reports.len() {
        "closed"
    } else if connected + closed == reports.len() {
        "connected"
    } else {
        "connecting"
    };
    let mut counters = json!({
        "seconds": (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "state": state,
        "packets": sum(ViewerReport::packets),
        "lost": sum(ViewerReport::lost),
        "frames": sum(ViewerReport::frames),
        "keyFrames": sum(ViewerReport::key_frames),
    });
    match reports.as_slice() {
        [one] => {
            counters["audio"] = json!(one.audio);
            counters["video"] = json!(one.video);
            counters["connectedMs"] = json!(one.connected_ms);
        }
        many => {
            counters["viewers"] = json!(many.len());
            counters["connected"] = json!(connected);
            counters["closed"] = json!(closed);
            counters["withoutFrames"] = json!(many.iter().filter(|r| r.frames() == 0).count());
        }
    }
    counters
}

fn line(viewers: &[Viewer], started: Instant, json_lines: bool) -> String {
    shown(&counters(viewers, started), json_lines)
}

fn last_line(viewers: &[Viewer], started: Instant, early: Option<&CloseReason>, json_lines: bool) -> String {
    let delays = |of: fn(&Viewer) -> Vec<sfu_bench::media::Delay>| {
        Spread::of(&viewers.iter().flat_map(of).map(|d| micros(d.delay)).collect::<Vec<_>>())
    };
    let mut last = counters(viewers, started);
    last["final"] = json!(true);
    last["close"] = json!(early);
    last["videoDelayUs"] = json!(delays(Viewer::take_video_delays));
    last["audioDelayUs"] = json!(delays(Viewer::take_audio_delays));
    shown(&last, json_lines)
}

/// JSON as it is, or the counters that a person reads.
fn shown(value: &Value, json_lines: bool) -> String {
    if json_lines {
        return value.to_string();
    }
    let number = |name: &str| value[name].to_string();
    let mut text = format!(
        "{:>7} s  {:<10}  {} packets, {} lost, {} frames, {} key frames",
        number("seconds"),
        value["state"].as_str().unwrap_or_default(),
        number("packets"),
        number("lost"),
        number("frames"),
        number("keyFrames"),
    );
    if let Some(median) = value["videoDelayUs"]["median"].as_f64() {
        text.push_str(&format!(", video delay {:.2} ms (median)", median / 1e3));
    }
    text
}
