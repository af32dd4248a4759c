//! Starts `sfu-operator local` for a test on ports of its own, reads along, and makes sure that nothing survives.

// Each file of tests uses a part of it.
#![allow(dead_code)]

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Everything that should happen happens well within this, even on a starved machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// TCP ports of one test: front door, Redis, and three for each of up to eight nodes.
const BLOCK: u16 = 32;

/// How to start a cluster.
pub struct Setup {
    directory: PathBuf,
    base: u16,
    media: u16,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    manifest: Option<String>,
}

impl Setup {
    pub fn new() -> Self {
        let (base, media) = ports();
        let directory = std::env::temp_dir().join(format!("sfu-operator-test-{}-{base}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self {
            directory,
            base,
            media,
            options: vec![],
            environment: vec![],
            manifest: None,
        }
    }

    pub fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without_path(self) -> Self {
        self.env("PATH", "/no/such/directory")
    }

    pub fn manifest(self, spec: &str) -> Self {
        self.manifest_text(&with_spec(spec))
    }

    /// The whole text of the manifest's file.
    pub fn manifest_text(mut self, text: &str) -> Self {
        self.manifest = Some(text.to_owned());
        self
    }

    pub fn redis_port(&self) -> u16 {
        self.base + 1
    }

    pub fn client_port(&self, ordinal: u16) -> u16 {
        self.base + 8 + ordinal
    }

    /// The first port that an option of the command line stands for.
    pub fn port(&self, option: &str) -> u16 {
        let (_, port) = self.ports().into_iter().find(|(name, _)| *name == option).unwrap();
        port
    }

    fn ports(&self) -> [(&'static str, u16); 7] {
        [
            ("--web-port", self.base),
            ("--redis-port", self.base + 1),
            ("--client-port-base", self.base + 8),
            ("--admin-port-base", self.base + 16),
            ("--health-port-base", self.base + 24),
            ("--media-port-base", self.media),
            ("--pipe-port-base", self.media + 1_000),
        ]
    }

    pub fn start(self) -> Cluster {
        let mut child = self.command().spawn().unwrap();
        let lines = Arc::new(Lines::default());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reading = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                reading.all.lock().unwrap().push(line);
                reading.more.notify_all();
            }
        });
        Cluster {
            setup: self,
            child,
            lines,
            read: 0,
            exit: None,
        }
    }

    /// Expects the start to fail: exit code and stderr. Whatever it started is told by name on its stdout; nothing may be
    /// left.
    pub fn fails(self) -> (i32, String) {
        let mut cluster = self.start();
        let code = cluster.exit_code().expect("ended by itself");
        let mut message = String::new();
        cluster
            .child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut message)
            .unwrap();
        all_gone(&marked(&cluster.setup.directory));
        if code == 1 {
            assert_eq!(message.trim_end().lines().count(), 1, "one sentence: {message}");
        }
        (code, message)
    }

    fn command(&self) -> Command {
        let fake = Path::new(env!("CARGO_BIN_EXE_sfu-operator"))
            .with_file_name("examples")
            .join("fake_process");
        assert!(
            fake.exists(),
            "build the stand-in first: scripts/cargo.sh build --workspace --example fake_process"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_sfu-operator"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SFUMATO_")) {
            command.env_remove(name);
        }
        command
            .arg("local")
            .arg("--node-bin")
            .arg(&fake)
            .arg("--web-bin")
            .arg(&fake);
        for (option, port) in self.ports() {
            command.arg(option).arg(port.to_string());
        }
        command.arg("--state-dir").arg(self.directory.join("state"));
        command.arg("--status-json").arg(self.status_file()).args(&self.options);
        if let Some(text) = &self.manifest {
            std::fs::write(self.manifest_file(), text).unwrap();
            command.arg("--file").arg(self.manifest_file());
        }
        // Children inherit it: that is how a failed start's leftovers would be found.
        command
            .env("SFU_OPERATOR_TEST", &self.directory)
            .envs(self.environment.clone());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn manifest_file(&self) -> PathBuf {
        self.directory.join("cluster.yaml")
    }

    fn status_file(&self) -> PathBuf {
        self.directory.join("status.json")
    }
}

#[derive(Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

/// A cluster that runs.
pub struct Cluster {
    setup: Setup,
    child: Child,
    lines: Arc<Lines>,
    read: usize,
    exit: Option<Option<i32>>,
}

impl Cluster {
    /// A file of the state directory.
    pub fn state(&self, name: &str) -> PathBuf {
        self.setup.directory.join("state").join(name)
    }

    pub fn redis_port(&self) -> u16 {
        self.setup.redis_port()
    }

    /// Reads on until a line contains `text`.
    pub fn waits_for(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.lines.all.lock().unwrap();
        loop {
            while self.read < lines.len() {
                self.read += 1;
                if lines[self.read - 1].contains(text) {
                    return;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "`{text}` was not said; what was said:\n{}",
                lines.join("\n")
            );
            lines = self.lines.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Reads on until each of these texts was said, in any order.
    pub fn waits_for_all(&mut self, texts: &[&str]) {
        let from = self.read;
        let ends = texts.iter().map(|text| {
            self.read = from;
            self.waits_for(text);
            self.read
        });
        self.read = ends.max().unwrap_or(from);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.all.lock().unwrap().clone()
    }

    pub fn writes_manifest(&self, spec: &str) {
        std::fs::write(self.setup.manifest_file(), with_spec(spec)).unwrap();
    }

    /// Waits until a condition is told as `STATUS REASON` and its message contains these words.
    pub fn waits_for_condition(&self, kind: &str, told: &str, words: &str) {
        until(&format!("{kind} is {told}, with \"{words}\""), || {
            let status = self.status();
            let conditions = status["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            conditions.iter().any(|condition| {
                text(&condition["type"]) == kind
                    && format!("{} {}", text(&condition["status"]), text(&condition["reason"])) == told
                    && text(&condition["message"]).contains(words)
            })
        });
    }

    /// The status file, once it is there.
    pub fn status(&self) -> serde_json::Value {
        let path = self.setup.status_file();
        let mut status = serde_json::Value::Null;
        until("the status file is there", || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            status = serde_json::from_str(&text).unwrap_or_default();
            status.is_object()
        });
        status
    }

    /// The process id of a process that runs.
    pub fn pid(&self, name: &str) -> i32 {
        let mut pid = None;
        until(name, || {
            let status = self.status();
            let process = status["processes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|p| p["name"] == name)
                .cloned();
            pid = process.and_then(|p| p["pid"].as_i64());
            pid.is_some()
        });
        i32::try_from(pid.unwrap()).unwrap()
    }

    /// Process ids of everything that was started.
    pub fn pids(&self) -> Vec<i32> {
        let own = i32::try_from(self.child.id()).unwrap();
        marked(&self.setup.directory)
            .into_iter()
            .filter(|pid| *pid != own)
            .collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill(i32::try_from(self.child.id()).unwrap(), signal);
    }

    /// Waits for the end; `None` when a signal ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let mut status = None;
        until("sfu-operator ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        let code = status.unwrap().code();
        self.exit = Some(code);
        code
    }

    /// Ends the cluster as a user would, and shows that nothing is left.
    pub fn ends_with(&mut self, signal: Signal) {
        let pids = self.pids();
        assert!(!pids.is_empty(), "something runs");
        self.signal(signal);
        assert_eq!(self.exit_code(), Some(0));
        all_gone(&pids);
        all_gone(&marked(&self.setup.directory));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Only after a failed assertion: what the test has started ends with it.
        if self.exit.is_none() {
            let pids = self.pids();
            let _ = self.child.kill();
            let _ = self.child.wait();
            for pid in pids {
                let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = std::fs::remove_dir_all(&self.setup.directory);
    }
}

pub fn kill(pid: i32, signal: Signal) {
    signal::kill(Pid::from_raw(pid), signal).unwrap();
}

/// Waits until none of these processes runs any more.
pub fn all_gone(pids: &[i32]) {
    for pid in pids {
        until(&format!("process {pid} is gone"), || !runs(*pid));
    }
}

fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Processes that a test's cluster has started: they carry the mark of the test's directory in their environment, or work
/// in that directory (Redis writes its title over its environment).
fn marked(directory: &Path) -> Vec<i32> {
    let mark = format!("SFU_OPERATOR_TEST={}", directory.display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let works_there = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        works_there
            || environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == mark.as_bytes())
    })
    .collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn with_spec(spec: &str) -> String {
    format!("apiVersion: sfumato.dev/v1alpha1\nkind: SfuCluster\nmetadata: {{ name: test }}\nspec: {spec}\n")
}

/// A block of TCP ports and the first of the media ports, all below the ephemeral range, that are free and that no other
/// test of this process gets.
fn ports() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 40).unwrap();
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let slot = (start * 7 + turn) % 280;
        let base = 6_500 + slot * BLOCK;
        // Node i has its media ports at 100 i: tests lie between one another's nodes.
        let media = 16_000 + slot * 4;
        let tcp_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let udp_free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        let mut media_ports = (0..8).flat_map(|node| (0..4).map(move |worker| media + 100 * node + worker));
        if (base..base + BLOCK).all(tcp_free) && media_ports.all(|port| tcp_free(port) && udp_free(port)) {
            return (base, media);
        }
    }
}
