//! The benchmarks. Each starts its own system on loopback, measures it several times, and stops what it has started.

pub mod delay;
pub mod descriptions;
pub mod failover;
pub mod first_frame;
pub mod joins;
pub mod memory;
pub mod mesh;
mod process;
pub mod soak;
pub mod system;
pub mod viewers;

use crate::output;
use crate::peer::PeerError;
use clap::Args;
use sfumato_admin_api::client::AdminError;
use sfumato_admin_api::program::option_values::whole_number;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why a benchmark came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A program of the system cannot be started.
    #[error(
        "cannot start {program}: {source}; build the workspace, or name the directory of the programs with --bin-dir"
    )]
    Start {
        /// Path of the program.
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A program of the system ended by itself.
    #[error("{name} ended by itself ({how}); its log says:\n{log}")]
    Ended {
        /// Name of the process.
        name: String,
        /// Exit code or signal.
        how: String,
        /// Last lines of its log.
        log: String,
    },
    /// A condition did not come true in time.
    #[error("no {what} within {within:?} ({state})")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// What there was instead.
        state: String,
    },
    /// Files of the run.
    #[error("cannot use {path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A number that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A peer failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A node's admin API failed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A node did not answer a request.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// A node answered otherwise than it should.
    #[error("{what}: the node answered {status} ({said})")]
    Answer {
        /// What it was sent.
        what: &'static str,
        status: u16,
        said: String,
    },
    /// The process to kill could not be killed.
    #[error("cannot send {signal} to process {pid}: {why}")]
    Signal {
        signal: &'static str,
        pid: u32,
        why: String,
    },
}

/// How often to measure.
#[derive(Debug, Clone, Args)]
pub struct Repeat {
    /// Runs, each with a system of its own
    #[arg(long, default_value_t = 5, value_parser = whole_number::<u32>(1..=50, 5))]
    pub runs: u32,
}

impl Repeat {
    /// Numbers of the runs, said on standard error as they begin.
    fn each<'a>(&self, what: &'a str) -> impl Iterator<Item = u32> + use<'a> {
        let runs = self.runs;
        (1..=runs).inspect(move |run| output::progress(&format!("{what}: run {run} of {runs}")))
    }
}

/// Tries every `pause` until `attempt` gives a value.
async fn poll<T, F>(
    what: &str,
    within: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, RunError>
where
    F: Future<Output = Result<T, String>>,
{
    let last = Instant::now() + within;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(state) if Instant::now() >= last => {
                return Err(RunError::Deadline {
                    what: what.to_owned(),
                    within,
                    state,
                });
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
    }
}
