//! `watch --again`: viewers that open a new session when theirs ends, as players do, and tell how long they saw nothing.

use crate::cli::WatchArgs;
use crate::peers::{say, time_is_over};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sfu_bench::peer::{Viewer, ViewerOptions};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pause after an attempt that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// How often each viewer looks whether media has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a line is written.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// What is known of one viewer.
#[derive(Debug, Default, Clone)]
struct Seen {
    /// URL of its session, while it has one.
    session: Option<String>,
    /// Packets of that session.
    packets: u64,
    /// Sessions that have brought media.
    sessions: u32,
    /// From the end of a session to the first media of the next, the longest so far.
    longest_gap: Duration,
    /// Why the last attempt failed.
    refused: Option<String>,
}

type All = Arc<Mutex<Vec<Seen>>>;

/// Watches until the time is over, each viewer first at the URL of the arguments and later at `again`.
pub async fn watch(args: &WatchArgs, again: &str) -> Result<ExitCode, String> {
    let all: All = Arc::new(Mutex::new(vec![Seen::default(); args.viewers as usize]));
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for index in 0..args.viewers as usize {
        let keeping = Keeping {
            first: args.url.clone(),
            again: again.to_owned(),
            options: args.options(),
            index,
            all: Arc::clone(&all),
            stopped: stopped.clone(),
        };
        tasks.spawn(keeping.run());
    }
    let started = Instant::now();
    let mut tick = tokio::time::interval(LINE_EVERY);
    let over = time_is_over(args.seconds);
    tokio::pin!(over);
    let mut before: Vec<Seen> = Vec::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let now = all.lock().clone();
                say(&line(&before, &now, started.elapsed()).to_string())?;
                before = now;
            }
            () = &mut over => break,
        }
    }
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(ExitCode::SUCCESS)
}

/// A viewer plays when packets of its present session have come since the last line.
fn line(before: &[Seen], now: &[Seen], since: Duration) -> Value {
    let plays = |(index, seen): (usize, &Seen)| {
        let earlier = before.get(index).filter(|earlier| earlier.session == seen.session);
        seen.packets > earlier.map_or(0, |earlier| earlier.packets)
    };
    json!({
        "seconds": (since.as_secs_f64() * 10.0).round() / 10.0,
        "viewers": now.len(),
        "playing": now.iter().enumerate().filter(|viewer| plays(*viewer)).count(),
        "returned": now.iter().filter(|seen| seen.sessions > 1).count(),
        "longestGapMs": now.iter().map(|seen| seen.longest_gap.as_millis()).max(),
        "sessions": now.iter().map(|seen| &seen.session).collect::<Vec<_>>(),
        "refused": now.iter().find_map(|seen| seen.refused.as_ref()),
    })
}

/// How a session ended.
enum End {
    /// By us.
    Here,
    /// By the other side.
    There,
    /// By the other side, before it brought any media.
    Silent,
}

/// One viewer.
struct Keeping {
    first: String,
    again: String,
    options: ViewerOptions,
    index: usize,
    all: All,
    stopped: watch::Receiver<bool>,
}

impl Keeping {
    async fn run(mut self) {
        let mut url = self.first.clone();
        let mut nothing_since = None;
        loop {
            let mut stopped = self.stopped.clone();
            let attempt = tokio::select! {
                attempt = Viewer::start(&url, self.options.clone()) => attempt,
                () = told(&mut stopped) => return,
            };
            match attempt {
                Ok(viewer) => {
                    match self.live(viewer, nothing_since).await {
                        End::Here => return,
                        // A session without media ends no gap.
                        End::Silent => {}
                        End::There => nothing_since = Some(Instant::now()),
                    }
                    url.clone_from(&self.again);
                }
                Err(error) => {
                    self.with(|seen| seen.refused = Some(error.to_string()));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One session to its end.
    async fn live(&mut self, viewer: Viewer, nothing_since: Option<Instant>) -> End {
        let location = viewer.location().to_owned();
        self.with(|seen| (seen.session, seen.packets, seen.refused) = (Some(location), 0, None));
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                _ = look.tick() => {
                    let packets = viewer.report().packets();
                    self.with(|seen| {
                        if seen.packets == 0 && packets > 0 {
                            seen.sessions += 1;
                            let gap = nothing_since.map_or(Duration::ZERO, |since| since.elapsed());
                            seen.longest_gap = seen.longest_gap.max(gap);
                        }
                        seen.packets = packets;
                    });
                }
                _ = viewer.closed() => {
                    let silent = viewer.report().packets() == 0;
                    self.with(|seen| seen.session = None);
                    viewer.leave().await;
                    return if silent { End::Silent } else { End::There };
                }
                () = told(&mut stopped) => {
                    if let Err(error) = viewer.stop().await {
                        tracing::debug!(%error, "ending a session");
                    }
                    return End::Here;
                }
            }
        }
    }

    fn with(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.all.lock()[self.index]);
    }
}

async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
