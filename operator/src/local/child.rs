//! One life of one child process: started so that it cannot outlive us, its lines shown and kept.

use super::exit::{Exit, How};
use super::log_file::{LogFile, MAX_LOG_BYTES};
use crate::terminal::Terminal;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// The variable of this program with the URL of Redis.
const REDIS_URL: &str = "SFUMATO_REDIS_URL";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name that people know it by: `sfu-1`, `web`, `redis`.
    pub name: String,
    /// File to execute.
    pub bin: PathBuf,
    pub args: Vec<String>,
    /// Whether its lines are shown; they are kept in any case.
    pub shown: bool,
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {name} ({bin}): {source}")]
pub struct StartError {
    name: String,
    bin: PathBuf,
    source: std::io::Error,
}

/// Longest line that is shown in one piece, in bytes; longer ones are broken, so that no child can fill our memory.
const MAX_LINE: u64 = 16 * 1024;
/// How long to wait for the rest of a dead process's output: another process may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Life {
    child: Child,
    pid: Pid,
    since: Instant,
    stderr: LastLine,
    stdout: LastLine,
    readers: JoinSet<()>,
}

type LastLine = Arc<Mutex<Option<String>>>;

impl Life {
    /// Starts `program`; its output goes to the terminal and to the file `log`.
    ///
    /// Must be called from a thread that lives as long as this program: the kernel ends the child when the **thread**
    /// that started it ends. That is why local mode runs on one thread (see [`super::main`]).
    ///
    /// # Errors
    /// When the file cannot be executed, or the log not be opened.
    pub fn start(program: &Program, log: &Path, terminal: &Terminal) -> Result<Self, StartError> {
        let fail = |source| StartError {
            name: program.name.clone(),
            bin: program.bin.clone(),
            source,
        };
        let log = Arc::new(Mutex::new(LogFile::open(log, MAX_LOG_BYTES).map_err(fail)?));
        let mut command = Command::new(&program.bin);
        command
            .args(&program.args)
            // Nodes get it by a file. The variable is this program's own, may hold a password, and would contradict the file.
            .env_remove(REDIS_URL)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal reaches us alone, and we end things in order.
            .process_group(0)
            .kill_on_drop(true);
        let parent = getpid();
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are system calls
        // without locks or allocation, and an error is returned without formatting.
        unsafe {
            command.pre_exec(move || {
                // Nobody is left to look after it: not SIGTERM, which has a node drained first.
                prctl::set_pdeathsig(Signal::SIGINT)?;
                // Had we died before the line above, no signal would ever come.
                if getppid() == parent {
                    Ok(())
                } else {
                    Err(nix::errno::Errno::ESRCH.into())
                }
            });
        }
        let mut child = command.spawn().map_err(fail)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| fail(std::io::Error::other("the system gave it no process id")))?;
        let (stdout, stderr) = (LastLine::default(), LastLine::default());
        let mut readers = JoinSet::new();
        let reader = |last_line: &LastLine| Reader {
            name: program.name.clone(),
            log: Arc::clone(&log),
            terminal: program.shown.then(|| terminal.clone()),
            last_line: Arc::clone(last_line),
        };
        if let Some(pipe) = child.stdout.take() {
            readers.spawn(reader(&stdout).read(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.spawn(reader(&stderr).read(pipe));
        }
        Ok(Self {
            child,
            pid,
            since: Instant::now(),
            stderr,
            stdout,
            readers,
        })
    }

    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Waits for its end. Cancel safe.
    pub async fn ended(&mut self) -> Exit {
        let how = self.child.wait().await.map_or(How::Unknown, How::from);
        let lived = self.since.elapsed();
        let _ = tokio::time::timeout(LAST_WORDS, async { while self.readers.join_next().await.is_some() {} }).await;
        // Redis, for one, complains on stdout.
        let last = |line: &LastLine| line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last_line = last(&self.stderr).or_else(|| last(&self.stdout));
        Exit { how, last_line, lived }
    }

    /// Sends a signal to the process and to what it has started. Does nothing once [`Self::ended`] has answered: the
    /// number may by then belong to somebody else.
    pub fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            let _ = killpg(self.pid, signal);
        }
    }
}

/// Copies one output of a child to the terminal and the log, line by line.
struct Reader {
    name: String,
    log: Arc<Mutex<LogFile>>,
    terminal: Option<Terminal>,
    last_line: LastLine,
}

impl Reader {
    async fn read(mut self, from: impl AsyncRead + Unpin) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut from).take(MAX_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.keep(String::from_utf8_lossy(&line).trim_end()),
            }
        }
    }

    fn keep(&mut self, line: &str) {
        if let Some(terminal) = &self.terminal {
            terminal.child(&self.name, line);
        }
        // A full disk must not stop the cluster; the line was shown.
        let _ = self.log.lock().unwrap_or_else(PoisonError::into_inner).write(line);
        if is_telling(line) {
            *self.last_line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.to_owned());
        }
    }
}

/// Whether a line may be what a process died of. What Rust writes after the message of a panic (a backtrace, a note on how
/// to get one) is not.
fn is_telling(line: &str) -> bool {
    let noise = line.starts_with([' ', '\t']) || line.starts_with("note: ") || line == "stack backtrace:";
    !line.is_empty() && !noise
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sfumato_admin_api::program::log::LogFormat;

    fn shell(script: &str) -> Program {
        Program {
            name: "t".into(),
            bin: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            shown: false,
        }
    }

    fn start(script: &str) -> Life {
        Life::start(&shell(script), Path::new("/dev/null"), &Terminal::new(LogFormat::Human)).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_last_line_is_that_of_stderr_or_else_of_stdout() {
        let exit = start("echo first >&2; echo last >&2; echo >&2; echo out; exit 3")
            .ended()
            .await;
        assert_eq!((exit.how, exit.last_line.as_deref()), (How::Code(3), Some("last")));
        assert_eq!(start("echo out").ended().await.last_line.as_deref(), Some("out"));
    }

    #[test]
    fn the_message_of_a_panic_counts_and_its_backtrace_does_not() {
        let lines = [
            "thread 'main' panicked at src/main.rs:1:1:",
            "no room",
            "stack backtrace:",
            "   0: main",
            "             at ./src/main.rs:1:1",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "",
        ];
        assert_eq!(lines.iter().rfind(|line| is_telling(line)), Some(&"no room"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_signal_reaches_what_the_child_has_started_too() {
        let mut life = start("sleep 60 & echo $! >&2; wait");
        let grandchild: i32 = loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if let Some(line) = life.stderr.lock().unwrap().clone() {
                break line.parse().unwrap();
            }
        };
        life.signal(Signal::SIGKILL);
        assert_eq!(life.ended().await.how, How::Signal(9));
        let deadline = Instant::now() + Duration::from_secs(5);
        let status = format!("/proc/{grandchild}/stat");
        while std::fs::read_to_string(&status).is_ok_and(|s| !s.contains(" Z ")) {
            assert!(Instant::now() < deadline, "{grandchild} lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let program = Program {
            name: "sfu-1".into(),
            bin: "/no/such".into(),
            args: vec![],
            shown: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let error = Life::start(&program, Path::new("/dev/null"), &Terminal::new(LogFormat::Human)).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot start sfu-1 (/no/such): "),
            "{error}"
        );
    }
}
