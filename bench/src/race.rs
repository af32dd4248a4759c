//! Two publishers of one name at the same moment on two nodes, over and over: one may stay, the other must be told, and a
//! viewer must end on the one that stays.
//!
//! Everything is seen from outside, as clients see it. A publisher that was answered with 201 counts as a winner until its
//! session URL answers 404.

use crate::peer::{PeerError, Publisher, PublisherOptions, Viewer, ViewerOptions, client};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A race is over, and only one publication left, within this time: the next one must not wait for ever.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// Media reaches the viewer within this time after the race.
const PLAYS_WITHIN: Duration = Duration::from_secs(10);
/// How often sessions are asked for, and a viewer tries again.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Frames that the viewer must see after the race, so that they are the winner's.
const FRAMES: u64 = 3;

/// What to race on.
#[derive(Debug, Clone)]
pub struct RaceOptions {
    /// Base URLs of the nodes' WHIP listeners; two at least.
    pub nodes: Vec<String>,
    /// Base URL that the viewer asks.
    pub watch: String,
    /// How many races.
    pub rounds: u32,
    /// The second publisher starts at most so much later than the first.
    pub spread: Duration,
    /// Where nodes, delays and names come from.
    pub seed: u64,
}

/// What happened in one race.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// Name of the stream.
    pub stream: String,
    /// How many of the two were answered with 201.
    pub let_in: u8,
    /// How long two sessions lived side by side, in milliseconds; 0 when one was refused at once.
    pub overlap_ms: f64,
    /// From the end of the race to the winner's frames at the viewer, in milliseconds.
    pub plays_after_ms: f64,
    /// What the loser was told: the problem's detail, of its POST or of its session.
    pub told: String,
    /// What went wrong, if anything did.
    pub failure: Option<String>,
}

/// Runs all races, one after another; `each` is called after each.
pub async fn run(options: &RaceOptions, mut each: impl FnMut(&Round)) {
    let mut random = StdRng::seed_from_u64(options.seed);
    for number in 0..options.rounds {
        let first = random.random_range(0..options.nodes.len());
        let second = (first + random.random_range(1..options.nodes.len())) % options.nodes.len();
        // Squared: short delays, at which both are let in, are the more frequent ones.
        let delay = options.spread.mul_f64(random.random_range(0.0_f64..=1.0).powi(2));
        let mut round = Round {
            stream: format!("race-{}-{number}", options.seed),
            let_in: 0,
            overlap_ms: 0.0,
            plays_after_ms: 0.0,
            told: String::new(),
            failure: None,
        };
        let race = Race {
            whip: [first, second].map(|n| format!("{}/whip/{}", options.nodes[n], round.stream)),
            whep: format!("{}/whep/{}", options.watch, round.stream),
            delay,
        };
        if let Err(why) = race.run(&mut round).await {
            round.failure = Some(why);
        }
        each(&round);
    }
}

struct Race {
    whip: [String; 2],
    whep: String,
    delay: Duration,
}

impl Race {
    async fn run(&self, round: &mut Round) -> Result<(), String> {
        let player = Player::start(self.whep.clone());
        let winner = self.publish_and_settle(round).await?;
        let over = Instant::now();
        winner.connected(PLAYS_WITHIN).await.map_err(|e| e.to_string())?;
        player.plays(FRAMES, over + PLAYS_WITHIN).await?;
        round.plays_after_ms = crate::figures::millis(over.elapsed());
        if status(winner.location()).await?.0 != StatusCode::NO_CONTENT {
            return Err("the winner's session has ended as well".to_owned());
        }
        winner.stop().await.map_err(|e| e.to_string())
    }

    /// Both publish; the one that stays.
    async fn publish_and_settle(&self, round: &mut Round) -> Result<Publisher, String> {
        let late = async {
            tokio::time::sleep(self.delay).await;
            publish(&self.whip[1]).await
        };
        let (a, b) = tokio::join!(publish(&self.whip[0]), late);
        let answered = Instant::now();
        match (a, b) {
            (Ok(one), Err(refused)) | (Err(refused), Ok(one)) => {
                round.let_in = 1;
                round.told = told(refused)?;
                Ok(one)
            }
            (Ok(a), Ok(b)) => {
                round.let_in = 2;
                let (winner, loser) = self.settled(a, b, answered).await?;
                round.overlap_ms = crate::figures::millis(answered.elapsed());
                round.told = status(loser.location()).await?.1;
                loser.leave().await;
                Ok(winner)
            }
            (Err(a), Err(b)) => Err(format!("nobody was let in: {a}; {b}")),
        }
    }

    /// Waits until one of two sessions has ended; the one that lives, then the other.
    async fn settled(&self, a: Publisher, b: Publisher, since: Instant) -> Result<(Publisher, Publisher), String> {
        loop {
            let (of_a, of_b) = tokio::join!(status(a.location()), status(b.location()));
            match (of_a?.0, of_b?.0) {
                (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND) => return Ok((a, b)),
                (StatusCode::NOT_FOUND, StatusCode::NO_CONTENT) => return Ok((b, a)),
                (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT) if since.elapsed() < SETTLED_WITHIN => {
                    tokio::time::sleep(ASK_EVERY).await;
                }
                (of_a, of_b) => {
                    return Err(format!(
                        "after {:?} the sessions answer {of_a} and {of_b}",
                        since.elapsed()
                    ));
                }
            }
        }
    }
}

async fn publish(url: &str) -> Result<Publisher, PeerError> {
    Publisher::start(url, PublisherOptions::light()).await
}

/// The words of a refusal for the name's sake; anything else is a failure.
fn told(error: PeerError) -> Result<String, String> {
    match error {
        PeerError::Refused { problem, .. } if problem.status == StatusCode::CONFLICT.as_u16() => Ok(problem.body),
        other => Err(other.to_string()),
    }
}

/// What a session's URL says: 204 while it lives, 404 with the reason once it has ended.
async fn status(session: &str) -> Result<(StatusCode, String), String> {
    let failed = |e: reqwest::Error| format!("GET {session}: {e}");
    let answer = client().get(session).send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    Ok((status, text))
}

/// A player that starts anew whenever its session ends, all through the race.
struct Player {
    current: Arc<Mutex<Option<Arc<Viewer>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Player {
    fn start(url: String) -> Self {
        let current = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&current);
        let task = tokio::spawn(async move {
            loop {
                match Viewer::start(&url, ViewerOptions::default()).await {
                    Ok(viewer) => {
                        let viewer = Arc::new(viewer);
                        *shared.lock() = Some(Arc::clone(&viewer));
                        viewer.closed().await;
                        shared.lock().take();
                    }
                    // 409: nobody publishes at this moment.
                    Err(error) => {
                        tracing::debug!(%error, "trying again");
                        tokio::time::sleep(ASK_EVERY).await;
                    }
                }
            }
        });
        Self { current, task }
    }

    /// Waits until one session of the player has received so many frames from now on.
    async fn plays(&self, frames: u64, until: Instant) -> Result<(), String> {
        let mut before: Option<(Arc<Viewer>, u64)> = None;
        loop {
            let viewer = self.current.lock().clone();
            match (&before, viewer) {
                (Some((same, count)), Some(viewer)) if Arc::ptr_eq(same, &viewer) => {
                    if viewer.report().frames() >= count + frames {
                        return Ok(());
                    }
                }
                (_, Some(viewer)) => {
                    let count = viewer.report().frames();
                    before = Some((viewer, count));
                }
                (_, None) => {}
            }
            if Instant::now() > until {
                let state = before.map(|(viewer, _)| format!("{:?}", viewer.report()));
                return Err(format!(
                    "the viewer does not get the winner's frames: {}",
                    state.unwrap_or_default()
                ));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.task.abort();
    }
}
