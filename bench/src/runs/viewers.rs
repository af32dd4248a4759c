//! How many viewers a core serves: the node, a bare mediasoup program of the same shape, and MediaMTX, one after another in
//! each run, under one load tool.
//!
//! What is compared is processor time: viewers divided by the cores that the servers used while the load was steady. So the
//! load tool may run on the same machine, as long as everybody is served; how much of the media arrived is in the figures.

use super::process::{Process, cpu_time};
use super::system::{Cluster, StateDir, SystemOptions};
use super::{Repeat, RunError, poll};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{HeaderExtensions, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions, client};
use clap::Args;
use futures::future::try_join_all;
use sfumato_admin_api::program::option_values::whole_number;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For all connections and first frames of one load.
const SOON: Duration = Duration::from_secs(60);
/// Viewers that join side by side.
const JOIN_TOGETHER: usize = 20;
/// From the last first frame to the first reading: key frames that joins asked for are over.
const SETTLE: Duration = Duration::from_secs(3);
/// Ports of the other servers, counted from the front door's.
const HTTP_PORT: u16 = 30;
const MEDIA_PORT: u16 = 40;

/// Options of `viewers`.
#[derive(Debug, Clone, Args)]
pub struct ViewersArgs {
    /// Viewers of one stream, each number a load of its own
    #[arg(long, value_delimiter = ',', default_values_t = [60, 120, 400], value_parser = whole_number::<u32>(1..=2000, 60))]
    pub viewers: Vec<u32>,
    /// Seconds of steady load that are measured
    #[arg(long, default_value_t = 10, value_parser = whole_number::<u32>(1..=600, 10))]
    pub seconds: u32,
    /// Video bitrate of the stream [kbit/s]
    #[arg(long, default_value_t = 1150, value_parser = whole_number::<u32>(10..=100_000, 1150))]
    pub kbps: u32,
    /// The bare mediasoup program [default: examples/bare_mediasoup beside the other programs]
    #[arg(long, value_name = "FILE")]
    pub bare: Option<PathBuf>,
    /// A MediaMTX to compare with, built by hand; without it that column is left out
    #[arg(long, value_name = "FILE")]
    pub mediamtx: Option<PathBuf>,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// What one load showed.
struct Load {
    /// Viewers divided by cores used.
    a_core: f64,
    /// Frames that viewers got, of those that should have come.
    delivered: f64,
}

/// Loads of one server and one number of viewers, in the order of the runs.
#[derive(Default)]
struct Column {
    a_core: Vec<f64>,
    delivered: Vec<f64>,
}

impl Column {
    fn add(&mut self, load: &Load) {
        self.a_core.push(load.a_core);
        self.delivered.push(load.delivered * 100.0);
    }

    fn rows(&self, server: &str) -> [Row; 2] {
        [
            Row::new(format!("{server}: viewers a core"), "", self.a_core.clone()),
            Row::new(format!("{server}: delivered"), "%", self.delivered.clone()),
        ]
    }
}

fn ratio(ours: &Column, theirs: &Column) -> Vec<f64> {
    ours.a_core.iter().zip(&theirs.a_core).map(|(a, b)| a / b).collect()
}

/// The server under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Viewers on the node that the stream is published on.
    Origin,
    /// Viewers on another node.
    AcrossALink,
}

/// Measures.
///
/// # Errors
/// When a server cannot be started or frames do not flow.
pub async fn run(args: &ViewersArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let bare = match &args.bare {
        Some(path) => path.clone(),
        None => system.program("examples/bare_mediasoup")?,
    };
    if args.mediamtx.is_none() {
        progress("viewers: no --mediamtx given: MediaMTX is left out");
    }
    let mut reports = Vec::new();
    for viewers in &args.viewers {
        for place in [Place::Origin, Place::AcrossALink] {
            let (mut node, mut raw, mut mtx) = (Column::default(), Column::default(), Column::default());
            let what = format!("{viewers} viewers, {}", words(place));
            for _ in args.repeat.each(&what) {
                node.add(&on_nodes(args, system, *viewers, place).await?);
                raw.add(&on_bare(args, system, &bare, *viewers, place).await?);
                if let (Some(program), Place::Origin) = (&args.mediamtx, place) {
                    mtx.add(&on_mediamtx(args, system, program, *viewers).await?);
                }
            }
            reports.push(report(args, *viewers, place, &node, &raw, &mtx));
        }
    }
    Ok(reports)
}

fn words(place: Place) -> &'static str {
    match place {
        Place::Origin => "on the origin",
        Place::AcrossALink => "across a link",
    }
}

fn report(args: &ViewersArgs, viewers: u32, place: Place, node: &Column, raw: &Column, mtx: &Column) -> Report {
    let shape = match place {
        Place::Origin => "one worker",
        Place::AcrossALink => "two workers joined by a pipe; the time of both counts",
    };
    let mut rows: Vec<Row> = node.rows("node").into();
    rows.extend(raw.rows("bare mediasoup"));
    rows.push(Row::new("ratio node / bare mediasoup", "x", ratio(node, raw)));
    if !mtx.a_core.is_empty() {
        rows.extend(mtx.rows("MediaMTX"));
        rows.push(Row::new("ratio node / MediaMTX", "x", ratio(node, mtx)));
    }
    Report {
        benchmark: "viewers",
        title: format!("{viewers} viewers of one stream, {}", words(place)),
        method: format!(
            "One VP8 stream of {} kbit/s with opus, {viewers} viewers by str0m without transport-cc, {} s of steady load each; {shape}. \
             Viewers divided by the cores that the server's processes used. Delivered: frames that came, of those that were sent.",
            args.kbps, args.seconds
        ),
        machine: Machine::this(),
        rows,
    }
}

async fn on_nodes(args: &ViewersArgs, system: &SystemOptions, viewers: u32, place: Place) -> Result<Load, RunError> {
    let cluster = Cluster::start(system, 2, 1).await?;
    let measured = async {
        let pids = [cluster.report(0).await?.pid, cluster.report(1).await?.pid];
        let (watched, pids) = match place {
            Place::Origin => (0, &pids[..1]),
            Place::AcrossALink => (1, &pids[..]),
        };
        let whip = format!("{}/whip/load", system.client_url(0));
        let whep = format!("{}/whep/load", system.client_url(watched));
        load(args, viewers, &whip, &whep, pids).await
    }
    .await;
    cluster.stop_after(&measured).await;
    measured
}

async fn on_bare(
    args: &ViewersArgs,
    system: &SystemOptions,
    program: &Path,
    viewers: u32,
    place: Place,
) -> Result<Load, RunError> {
    let (http, media) = (system.web_port + HTTP_PORT, system.web_port + MEDIA_PORT);
    let mut flags = vec![
        "--listen".to_owned(),
        format!("127.0.0.1:{http}"),
        "--media-port".to_owned(),
        media.to_string(),
    ];
    if place == Place::AcrossALink {
        flags.push("--across-a-pipe".to_owned());
    }
    let base = format!("http://127.0.0.1:{http}");
    on_process(
        args,
        viewers,
        "bare",
        program,
        &flags,
        &format!("{base}/whip/load"),
        &format!("{base}/whep/load"),
    )
    .await
}

async fn on_mediamtx(
    args: &ViewersArgs,
    system: &SystemOptions,
    program: &Path,
    viewers: u32,
) -> Result<Load, RunError> {
    let (http, media) = (system.web_port + HTTP_PORT, system.web_port + MEDIA_PORT);
    let base = format!("http://127.0.0.1:{http}/load");
    let config = format!(
        "rtsp: no\nrtmp: no\nhls: no\nsrt: no\nmoq: no\nlogLevel: error\nwebrtc: yes\nwebrtcAddress: 127.0.0.1:{http}\n\
         webrtcLocalUDPAddress: 127.0.0.1:{media}\nwebrtcIPsFromInterfaces: no\nwebrtcAdditionalHosts: [127.0.0.1]\npaths:\n  all_others:\n"
    );
    let state = StateDir::new()?;
    let file = state.write("mediamtx.yml", &config)?;
    let flags = [file.display().to_string()];
    let measured = on_process(
        args,
        viewers,
        "mediamtx",
        program,
        &flags,
        &format!("{base}/whip"),
        &format!("{base}/whep"),
    )
    .await;
    state.after(&measured);
    measured
}

async fn on_process(
    args: &ViewersArgs,
    viewers: u32,
    name: &str,
    program: &Path,
    flags: &[String],
    whip: &str,
    whep: &str,
) -> Result<Load, RunError> {
    let state = StateDir::new()?;
    let mut process = Process::start(name, program, flags, &state.0)?;
    let measured = async {
        let client = client();
        poll("listening server", SOON, Duration::from_millis(50), || async {
            client.get(whip).send().await.map(drop).map_err(|e| e.to_string())
        })
        .await?;
        process.check()?;
        load(args, viewers, whip, whep, &[process.pid]).await
    }
    .await;
    process.terminate();
    process.ended().await;
    state.after(&measured);
    measured
}

/// Publishes, lets all viewers join, and reads the servers' clocks before and after some seconds of steady load.
async fn load(args: &ViewersArgs, viewers: u32, whip: &str, whep: &str, pids: &[u32]) -> Result<Load, RunError> {
    let frame_bytes = args.kbps as usize * 1000 / 8 / 30;
    let options = PublisherOptions {
        frame_bytes,
        key_frame_bytes: 3 * frame_bytes,
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(whip, options).await?;
    publisher.wait_for("sent frames", SOON, |r| r.frames > 5).await?;
    let options = ViewerOptions {
        // As a plain WHEP player: nothing is negotiated, so that every server sends the same.
        extensions: HeaderExtensions::Browser,
        retry: Retry::For(SOON),
        max_delays: 0,
        ..ViewerOptions::default()
    };
    let mut all = Vec::new();
    let mut left = viewers as usize;
    while left > 0 {
        let together = left.min(JOIN_TOGETHER);
        left -= together;
        let joined = try_join_all((0..together).map(|_| Viewer::start(whep, options.clone()))).await?;
        for viewer in &joined {
            viewer.wait_for("first key frame", SOON, |r| r.key_frames() > 0).await?;
        }
        all.extend(joined);
    }
    tokio::time::sleep(SETTLE).await;
    let reading = || -> Result<(Duration, u64, u64), RunError> {
        let cpu = pids.iter().map(|pid| cpu_time(*pid)).sum::<Option<Duration>>();
        let cpu = cpu.ok_or_else(|| RunError::Usage("a server under load has ended".to_owned()))?;
        let sent = publisher.report();
        Ok((cpu, all.iter().map(|v| v.report().frames()).sum(), sent.frames))
    };
    let (began, before) = (Instant::now(), reading()?);
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let (elapsed, after) = (began.elapsed(), reading()?);
    let cores = (after.0 - before.0).as_secs_f64() / elapsed.as_secs_f64();
    let expected = (after.2 - before.2) as f64 * f64::from(viewers);
    for viewer in all {
        viewer.stop().await?;
    }
    publisher.stop().await?;
    Ok(Load {
        a_core: f64::from(viewers) / cores,
        delivered: (after.1 - before.1) as f64 / expected,
    })
}
