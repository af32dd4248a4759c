//! `sfu-bench publish` and `sfu-bench watch` as whole-system tests in other languages use them: lines and exit codes.

#[allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#[allow(dead_code, reason = "the peers' tests use more of it")]
mod support;

use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use support::{Quirks, TestServer};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Generous: the tests wait for lines, and only a failure takes this long.
const SOON: Duration = Duration::from_secs(30);

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sfu-bench"));
        let mut child = command
            .args(args)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it is built");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(SOON, self.lines.next_line())
            .await
            .expect("a line in time");
        line.expect("text")
    }

    async fn json(&mut self) -> Value {
        let line = self.line().await.expect("one more line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Reads JSON lines until one satisfies `condition`.
    async fn json_until(&mut self, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json().await;
            if condition(&value) {
                return value;
            }
        }
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.child.id().expect("it runs")).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).expect("it is ours");
    }

    async fn exit_code(mut self) -> Option<i32> {
        tokio::time::timeout(SOON, self.child.wait())
            .await
            .expect("it ends in time")
            .expect("it is ours")
            .code()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_published_and_watched_until_the_programs_are_told_to_end() {
    let server = TestServer::start(Quirks::default()).await;
    let mut publisher = Program::start(&["publish", &server.url("whip/a")]);
    assert_eq!(publisher.line().await.as_deref(), Some("publishing"));

    let mut viewer = Program::start(&["watch", &server.url("whep/a"), "--json"]);
    let counted = viewer.json_until(|v| v["frames"].as_u64() >= Some(20)).await;
    assert_eq!((&counted["state"], &counted["lost"]), (&"connected".into(), &0.into()));
    assert!(
        counted["packets"].as_u64() >= Some(20) && counted["keyFrames"].as_u64() >= Some(1),
        "{counted}"
    );

    viewer.terminate();
    let last = viewer.json_until(|v| v["final"] == true).await;
    assert!(
        last["videoDelayUs"]["median"].as_f64().is_some_and(|us| us > 0.0),
        "{last}"
    );
    assert!(last["close"].is_null(), "it ended by itself: {last}");
    assert_eq!(viewer.exit_code().await, Some(0));

    publisher.terminate();
    let last = publisher.json().await;
    assert!(
        last["frames"].as_u64() >= Some(20) && last["audioFrames"].as_u64() >= Some(20),
        "{last}"
    );
    assert_eq!(publisher.exit_code().await, Some(0));
    assert_eq!(server.deleted(), 2, "both sessions were deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_viewers_in_one_program_are_summed_up() {
    let server = TestServer::start(Quirks::default()).await;
    let mut publisher = Program::start(&["publish", &server.url("whip/a"), "--no-audio", "--kbps", "200"]);
    publisher.line().await;
    let mut viewers = Program::start(&["watch", &server.url("whep/a"), "--json", "--viewers", "5", "--no-audio"]);
    let counted = viewers
        .json_until(|v| v["connected"] == 5 && v["withoutFrames"] == 0)
        .await;
    assert_eq!(
        (&counted["viewers"], &counted["state"]),
        (&5.into(), &"connected".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_ends_gives_exit_code_3() {
    let server = TestServer::start(Quirks::default()).await;
    let mut publisher = Program::start(&["publish", &server.url("whip/a"), "--video", "h264"]);
    publisher.line().await;
    let mut viewer = Program::start(&["watch", &server.url("whep/a"), "--json"]);
    viewer.json_until(|v| v["frames"].as_u64() >= Some(1)).await;
    server.close_all();
    let last = viewer.json_until(|v| v["final"] == true).await;
    assert_eq!(
        (&last["state"], &last["close"]["reason"]),
        (&"closed".into(), &"remote".into())
    );
    assert_eq!(viewer.exit_code().await, Some(3));
    let last = publisher.json().await;
    assert_eq!(
        (&last["state"], &last["close"]["reason"]),
        (&"closed".into(), &"remote".into())
    );
    assert_eq!(publisher.exit_code().await, Some(3));
}

#[tokio::test]
async fn what_cannot_work_ends_with_exit_code_1() {
    let server = TestServer::start(Quirks::default()).await;
    assert_eq!(
        Program::start(&["watch", &server.url("whep/nobody")]).exit_code().await,
        Some(1),
        "409 at once"
    );
    let nowhere = ["memory", "--bin-dir", "/nonexistent", "--runs", "1"];
    assert_eq!(Program::start(&nowhere).exit_code().await, Some(1), "no sfu-node there");
}
