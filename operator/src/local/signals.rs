//! Ctrl-C and its relatives: the first asks for an orderly end, the second for a quick one.

use sfumato_admin_api::program::task;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the user has asked to end.
#[derive(Debug, Clone)]
pub struct Signals {
    asked: watch::Receiver<u32>,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP (a terminal that is closed) from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        let (count, asked) = watch::channel(0);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        task::vital(task::process(), "listening for Ctrl-C", async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { asked })
    }

    /// Returns once the user wants to end. Cancel safe.
    pub async fn stop(&mut self) {
        self.reaches(1).await;
    }

    /// Returns once the user is in a hurry. Cancel safe.
    pub async fn hurry(&mut self) {
        self.reaches(2).await;
    }

    async fn reaches(&mut self, times: u32) {
        if self.asked.wait_for(|asked| *asked >= times).await.is_err() {
            // The listening task never ends before the runtime does.
            std::future::pending::<()>().await;
        }
    }
}
