//! One process of the system under test: its log in a file, ended by its own pid, and never outliving us.

use super::RunError;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a process may take to end in order; a node with viewers drains before it goes.
const ORDERLY_END: Duration = Duration::from_secs(20);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 8;

/// A process under way. Dropping it kills it.
pub(super) struct Process {
    pub name: String,
    pub pid: u32,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it writes goes to `DIR/NAME.log`.
    pub(super) fn start(name: &str, program: &Path, args: &[String], dir: &Path) -> Result<Self, RunError> {
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).map_err(|source| RunError::File {
            path: log.clone(),
            source,
        })?;
        let copy = file.try_clone().map_err(|source| RunError::File {
            path: log.clone(),
            source,
        })?;
        let failed = |source| RunError::Start {
            program: program.to_owned(),
            source,
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .kill_on_drop(true);
        // What the caller's shell has set for real clusters must not leak into a measured one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SFUMATO_")) {
            command.env_remove(name);
        }
        let parent = getpid();
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are plain system
        // calls, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGINT)?;
                if getppid() == parent {
                    Ok(())
                } else {
                    Err(nix::errno::Errno::ESRCH.into())
                }
            });
        }
        let child = command.spawn().map_err(failed)?;
        let pid = child
            .id()
            .ok_or_else(|| failed(std::io::Error::other("it has ended already")))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            child,
            log,
        })
    }

    /// An error if the process has ended, which none of these does by itself.
    pub(super) fn check(&mut self) -> Result<(), RunError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(RunError::Ended {
                name: self.name.clone(),
                how: status.to_string(),
                log: self.last_words(),
            }),
            Err(source) => Err(RunError::File {
                path: self.log.clone(),
                source,
            }),
        }
    }

    /// Asks it to end at once: SIGTERM would have a node drained first. The child has not been waited for, so its pid cannot belong to anyone else.
    pub(super) fn terminate(&self) {
        if let Err(error) = signal(self.pid, Signal::SIGINT) {
            tracing::debug!(%error, name = self.name, "it has ended already");
        }
    }

    /// Waits for the end that was asked for, and kills what does not listen.
    pub(super) async fn ended(mut self) {
        if tokio::time::timeout(ORDERLY_END, self.child.wait()).await.is_err() {
            tracing::warn!(
                name = self.name,
                pid = self.pid,
                "did not end within {ORDERLY_END:?}: killed"
            );
            let _ = self.child.kill().await;
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// Sends a signal to a process that is known to be ours.
pub(super) fn signal(pid: u32, signal: Signal) -> Result<(), RunError> {
    let failed = |why: String| RunError::Signal {
        signal: signal.as_str(),
        pid,
        why,
    };
    let raw = i32::try_from(pid).map_err(|e| failed(e.to_string()))?;
    kill(Pid::from_raw(raw), signal).map_err(|e| failed(e.to_string()))
}

/// Pid of the process that started this one.
pub(super) fn parent_of(pid: u32) -> Option<u32> {
    status_field(pid, "PPid")
}

/// Memory that is resident now, in KiB.
pub(super) fn resident_kib(pid: u32) -> Option<u64> {
    status_field(pid, "VmRSS")
}

/// Processor time that a process has used, user and system, of all its threads (proc(5), fields 14 and 15 of its stat file).
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    /// `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust supports.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_A_SECOND))
}

fn status_field<T: std::str::FromStr>(pid: u32, field: &str) -> Option<T> {
    field_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, field)
}

fn field_of<T: std::str::FromStr>(status: &str, field: &str) -> Option<T> {
    let value = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_status_are_read() {
        let status = "Name:\tsfu-node\nPPid:\t42\nVmRSS:\t   36864 kB\n";
        assert_eq!(field_of(status, "PPid"), Some(42));
        assert_eq!(field_of(status, "VmRSS"), Some(36_864));
        assert_eq!(field_of::<u32>(status, "VmHWM"), None);
        assert!(resident_kib(std::process::id()).is_some_and(|kib| kib > 0));
    }
}
