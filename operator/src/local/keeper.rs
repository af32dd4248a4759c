//! Keeps one program running: starts it, waits until it is ready, restarts it with backoff when it dies, and ends it
//! when told to.

use super::backoff::Backoff;
use super::child::{Life, Program};
use super::exit::Exit;
use super::probe::Probe;
use crate::terminal::Terminal;
use nix::sys::signal::Signal;
use sfumato_admin_api::program::task;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// What all keepers share.
#[derive(Debug)]
pub struct Host {
    /// Where output is shown.
    pub terminal: Terminal,
    /// Where output is kept, a file a process.
    pub logs: PathBuf,
    /// Client for readiness, without a proxy: everything is on this machine.
    pub http: reqwest::Client,
    /// Who wants to know what happens.
    pub news: mpsc::UnboundedSender<News>,
}

#[derive(Debug)]
pub struct News {
    pub name: String,
    pub what: What,
}

/// What happened to a process.
#[derive(Debug)]
pub enum What {
    /// It runs, and is not ready yet.
    Started,
    Ready {
        pid: i32,
        /// Time since it was started.
        after: Duration,
    },
    /// It ended although nobody had asked.
    Died {
        exit: Exit,
        /// Time to the next start.
        restart_in: Duration,
    },
    NotStarted {
        why: String,
        /// Time to the next attempt.
        restart_in: Duration,
    },
    /// It ended because it was asked to; its keeper is done.
    Stopped {
        /// Whether it had to be killed.
        killed: bool,
    },
}

/// What a keeper is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Run,
    /// End it in order, a node by draining it: SIGTERM, and SIGKILL after this time.
    Stop(Duration),
    /// End it at once, in order: SIGINT, and SIGKILL after this time.
    Interrupt(Duration),
    /// End it now.
    Kill,
}

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Runs, and is not ready.
    Starting,
    /// Runs and is ready.
    Ready,
    /// Died, and will be started again.
    Waiting,
    /// Was told to end.
    Stopping,
    /// Has ended for good.
    Gone,
}

impl Phase {
    /// As the status file writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Gone => "gone",
        }
    }
}

/// State of a process, for those who look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub phase: Phase,
    /// Since when it has been there.
    pub since: Instant,
    pub pid: Option<i32>,
    pub restarts: u32,
    /// How it died last, or why it could not be started.
    pub trouble: Option<String>,
    /// Whether it ran before that.
    pub was_started: bool,
    /// How long it waited, or waits, for its next start: zero while it has not died.
    pub pause: Duration,
}

/// Keeps one program running until told otherwise. Dropped, it ends the program at once.
#[derive(Debug)]
pub struct Keeper {
    orders: watch::Sender<Order>,
    state: watch::Receiver<State>,
    task: AbortHandle,
}

impl Keeper {
    /// Starts `program` and keeps it running.
    #[must_use]
    pub fn start(program: Program, probe: Probe, host: Arc<Host>) -> Self {
        let (orders, orders_rx) = watch::channel(Order::Run);
        let (state_tx, state) = watch::channel(State {
            phase: Phase::Starting,
            since: Instant::now(),
            pid: None,
            restarts: 0,
            trouble: None,
            was_started: false,
            pause: Duration::ZERO,
        });
        let keeping = Keeping {
            program,
            probe,
            host,
            orders: orders_rx,
            state: state_tx,
        };
        Self {
            orders,
            state,
            // It ends with its process, when that was told to end.
            task: task::serving(task::process(), "keeping a process", keeping.run()),
        }
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Tells it what to do from now on. There is no way back from an order to end.
    pub fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    /// Returns once the program has ended for good.
    pub async fn gone(&mut self) {
        let _ = self.state.wait_for(|state| state.phase == Phase::Gone).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The task owns the process, which is killed when it is dropped.
        self.task.abort();
    }
}

struct Keeping {
    program: Program,
    probe: Probe,
    host: Arc<Host>,
    orders: watch::Receiver<Order>,
    state: watch::Sender<State>,
}

enum End {
    Died(Exit),
    Stopped { killed: bool },
}

impl Keeping {
    async fn run(mut self) {
        let log = self.host.logs.join(format!("{}.log", self.program.name));
        let mut backoff = Backoff::new();
        loop {
            let restart_in = match Life::start(&self.program, &log, &self.host.terminal) {
                Ok(life) => match self.live(life).await {
                    End::Died(exit) => {
                        let restart_in = backoff.after(exit.lived);
                        self.waits(exit.to_string(), true, restart_in);
                        self.tell(What::Died { exit, restart_in });
                        restart_in
                    }
                    End::Stopped { killed } => return self.gone(killed),
                },
                Err(error) => {
                    let restart_in = backoff.after(Duration::ZERO);
                    self.waits(error.to_string(), false, restart_in);
                    self.tell(What::NotStarted {
                        why: error.to_string(),
                        restart_in,
                    });
                    restart_in
                }
            };
            tokio::select! {
                () = sleep(restart_in) => {}
                () = told(&mut self.orders, |order| order != Order::Run) => return self.gone(false),
            }
            self.state.send_modify(|state| state.restarts += 1);
        }
    }

    /// One life, to its end.
    async fn live(&mut self, mut life: Life) -> End {
        let pid = life.pid().as_raw();
        self.enters(Phase::Starting, Some(pid));
        self.tell(What::Started);
        let probe = self.probe.clone();
        let host = Arc::clone(&self.host);
        let ready = probe.ready(&host.http);
        tokio::pin!(ready);
        let mut is_ready = false;
        loop {
            tokio::select! {
                exit = life.ended() => return End::Died(exit),
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    self.enters(Phase::Ready, Some(pid));
                    self.tell(What::Ready { pid, after: life.since().elapsed() });
                }
                () = told(&mut self.orders, |order| order != Order::Run) => return self.end(life).await,
            }
        }
    }

    /// Ends a life as ordered.
    async fn end(&mut self, mut life: Life) -> End {
        self.enters(Phase::Stopping, Some(life.pid().as_raw()));
        loop {
            let order = *self.orders.borrow_and_update();
            let (signal, grace) = match order {
                Order::Stop(grace) => (Signal::SIGTERM, grace),
                Order::Interrupt(grace) => (Signal::SIGINT, grace),
                Order::Run | Order::Kill => break,
            };
            life.signal(signal);
            tokio::select! {
                _ = life.ended() => return End::Stopped { killed: false },
                () = sleep(grace) => break,
                // Somebody is in more of a hurry than before.
                () = told(&mut self.orders, |new| new != order) => {}
            }
        }
        life.signal(Signal::SIGKILL);
        life.ended().await;
        End::Stopped { killed: true }
    }

    fn waits(&self, trouble: String, was_started: bool, pause: Duration) {
        self.enters(Phase::Waiting, None);
        self.state.send_modify(|state| {
            (state.trouble, state.was_started, state.pause) = (Some(trouble), was_started, pause);
        });
    }

    fn gone(&self, killed: bool) {
        self.enters(Phase::Gone, None);
        self.tell(What::Stopped { killed });
    }

    fn enters(&self, phase: Phase, pid: Option<i32>) {
        let since = Instant::now();
        self.state
            .send_modify(|state| (state.phase, state.since, state.pid) = (phase, since, pid));
    }

    fn tell(&self, what: What) {
        // Nobody listens any more while the whole program ends.
        let _ = self.host.news.send(News {
            name: self.program.name.clone(),
            what,
        });
    }
}

/// Waits for an order of a kind. A keeper that was dropped can only mean the end.
async fn told(orders: &mut watch::Receiver<Order>, kind: impl Fn(Order) -> bool) {
    let _ = orders.wait_for(|order| kind(*order)).await;
}
