//! `sfu-operator local` as a user meets it: the real program and the real Redis, with stand-ins for nodes and front door
//! (`examples/fake_process.rs`). Every test ends with nothing left running, shown by the processes' ids.

#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{Cluster, Setup, all_gone, kill};

#[test]
fn three_nodes_come_up_are_linked_and_end_with_ctrl_c() {
    let mut cluster = Setup::new().start();
    cluster.waits_for_all(&["MeshWhole: 3 of 3 node pairs are linked", "mesh 3/3 fully connected"]);
    cluster.waits_for("everything is up");
    let status = cluster.status();
    let names: Vec<&str> = status["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["redis", "sfu-1", "sfu-2", "sfu-3", "web"]);
    assert_eq!(status["status"]["nodesSummary"], "3/3");
    assert_eq!(status["status"]["mesh"]["summary"], "3/3");
    assert_eq!(status["status"]["conditions"][0]["type"], "Ready");
    assert_eq!(status["status"]["conditions"][0]["status"], "True");
    cluster.waits_for(&format!("kill -9 {}", cluster.pid("sfu-2")));
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_node_that_is_killed_is_restarted_and_the_mesh_heals() {
    let mut cluster = Setup::new().start();
    cluster.waits_for("everything is up");
    let first = cluster.pid("sfu-2");
    kill(first, Signal::SIGKILL);
    // The mesh may notice before the supervisor does.
    cluster.waits_for_all(&[
        "sfu-2 died: signal 9 (SIGKILL), last line: sfu-2 says hello; restarting in 0.25 s",
        "mesh 1/3 healing",
        "MeshBroken: ",
    ]);
    cluster.waits_for_all(&[
        "MeshWhole: 3 of 3 node pairs are linked",
        "mesh 3/3 fully connected (after",
    ]);
    assert_ne!(cluster.pid("sfu-2"), first);
    cluster.ends_with(Signal::SIGTERM);
}

#[test]
fn changes_of_the_file_are_followed_and_bad_ones_refused() {
    let setup = Setup::new().manifest("{ replicas: 3 }");
    let mut cluster = setup.start();
    cluster.waits_for("everything is up");

    cluster.writes_manifest("{ replicas: 5 }");
    cluster.waits_for("has changed: 3 -> 5 nodes");
    cluster.waits_for("mesh 10/10 fully connected");

    cluster.writes_manifest("{ replicas: 33 }");
    cluster.waits_for("spec.replicas: must be between 1 and 32, and is 33; what ran before runs on");
    cluster.waits_for_condition(
        "Degraded",
        "True InvalidSpec",
        "spec.replicas: must be between 1 and 32",
    );
    let kept = [cluster.pid("sfu-1"), cluster.pid("sfu-2")];
    let removed = [cluster.pid("sfu-3"), cluster.pid("sfu-4"), cluster.pid("sfu-5")];

    cluster.writes_manifest("{ replicas: 2 }");
    cluster.waits_for("has changed: 5 -> 2 nodes");
    cluster.waits_for("mesh 1/1 fully connected");
    all_gone(&removed);
    cluster.waits_for_condition("Degraded", "False AsExpected", "nothing needs a person");
    assert_eq!(
        [cluster.pid("sfu-1"), cluster.pid("sfu-2")],
        kept,
        "those that stay are left alone"
    );
    assert_eq!(cluster.status()["status"]["nodesSummary"], "2/2");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_node_that_is_scaled_away_is_drained_first_and_ends_when_it_is_empty() {
    let setup = Setup::new().manifest("{ replicas: 3 }").env("FAKE_BUSY", "sfu-3");
    let mut cluster = setup.with(&["--drain-deadline", "3s"]).start();
    cluster.waits_for("everything is up");
    let removed = [cluster.pid("sfu-2"), cluster.pid("sfu-3")];
    cluster.writes_manifest("{ replicas: 1 }");
    cluster.waits_for_all(&[
        "Draining: sfu-2 accepts no new sessions and is drained within 3 s (scaleDown)",
        "sfu-2 is drained (scaleDown): nobody is on it",
        "sfu-3 is drained (scaleDown): 1 publisher and 0 viewers left, for at most 3.0 s",
        "sfu-2 has ended",
    ]);
    assert_eq!(
        cluster.status()["status"]["nodesSummary"],
        "1/1",
        "those that leave take no sessions"
    );
    cluster.waits_for("sfu-3 is drained: nobody is left (after");
    cluster.waits_for("sfu-3 has ended");
    all_gone(&removed);
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_node_that_is_wanted_again_while_it_is_drained_stays() {
    let setup = Setup::new().manifest("{ replicas: 2 }").env("FAKE_BUSY", "sfu-2");
    let mut cluster = setup.with(&["--drain-deadline", "1h"]).start();
    cluster.waits_for("everything is up");
    let pid = cluster.pid("sfu-2");
    cluster.writes_manifest("{ replicas: 1 }");
    cluster.waits_for("sfu-2 is drained (scaleDown)");
    cluster.writes_manifest("{ replicas: 2 }");
    cluster.waits_for("DrainLifted: sfu-2 is needed again and accepts sessions (scaleDown)");
    cluster.waits_for("sfu-2 takes sessions again");
    assert_eq!(cluster.pid("sfu-2"), pid);
    assert_eq!(cluster.status()["status"]["nodesSummary"], "2/2");
    cluster.writes_manifest("{ replicas: 1 }");
    cluster.waits_for("sfu-2 is drained (scaleDown)");
    // Ctrl-C waits for no publisher.
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn changed_fields_reach_all_nodes_one_by_one() {
    let mut cluster = Setup::new().manifest("{ replicas: 2 }").start();
    cluster.waits_for("everything is up");
    let before = [cluster.pid("sfu-1"), cluster.pid("sfu-2")];
    cluster.writes_manifest("{ replicas: 2, mesh: { fanOut: Eager } }");
    cluster.waits_for("takes over the new fields one by one");
    cluster.waits_for("Replacing: sfu-2 is replaced");
    cluster.waits_for("sfu-2 is ready");
    cluster.waits_for("sfu-1 is ready");
    all_gone(&before);
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", cluster.pid("sfu-1"))).unwrap();
    assert!(command.contains("--fan-out\0eager"), "{command}");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_paused_cluster_is_left_alone_and_its_processes_are_still_kept_running() {
    let mut cluster = Setup::new().manifest("{ replicas: 2 }").start();
    cluster.waits_for("everything is up");
    let before = [cluster.pid("sfu-1"), cluster.pid("sfu-2")];
    cluster.writes_manifest("{ replicas: 1, paused: true, mesh: { fanOut: Eager } }");
    cluster.waits_for("paused: nothing is started, drained or replaced until spec.paused is false");
    cluster.waits_for_condition("Paused", "True Paused", "spec.paused is set");
    let held_back = "spec.paused holds changes back (pods): they are carried out when it is false";
    cluster.waits_for_condition("Reconciling", "True Paused", held_back);
    kill(before[0], Signal::SIGKILL);
    cluster.waits_for("sfu-1 died: signal 9 (SIGKILL)");
    cluster.waits_for("sfu-1 is ready");
    assert_eq!(cluster.pid("sfu-2"), before[1], "neither scaled away nor replaced");
    cluster.writes_manifest("{ replicas: 2, paused: true, mesh: { fanOut: Eager } }");
    cluster.waits_for_condition("Ready", "Unknown Reconciling", held_back);
    cluster.writes_manifest("{ replicas: 2, paused: true }");
    cluster.waits_for_condition("Ready", "True AsDesired", "2 nodes, 1 pairs");
    cluster.waits_for_condition("Paused", "True Paused", "spec.paused is set");
    cluster.writes_manifest("{ replicas: 2, mesh: { fanOut: Eager } }");
    cluster.waits_for("Replacing: sfu-2 is replaced");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_node_that_keeps_dying_is_restarted_with_growing_waits() {
    let mut cluster = Setup::new().env("FAKE_DIES", "sfu-2").start();
    for wait in ["0.25 s", "0.5 s", "1.0 s"] {
        cluster.waits_for(&format!(
            "sfu-2 died: exit code 3, last line: sfu-2 cannot go on; restarting in {wait}"
        ));
    }
    cluster.waits_for("Crashing: sfu-2 ends again and again: exit code 3");
    cluster.waits_for_condition("NodesReady", "False Crashing", "sfu-2 cannot go on");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_a_process_that_will_not_end() {
    let mut cluster = Setup::new().env("FAKE_STUBBORN", "sfu-1").start();
    cluster.waits_for("everything is up");
    let pids = cluster.pids();
    cluster.signal(Signal::SIGINT);
    cluster.waits_for("sfu-1 will not end");
    let asked = Instant::now();
    cluster.signal(Signal::SIGINT);
    assert_eq!(cluster.exit_code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "before the grace of 5 s is over"
    );
    all_gone(&pids);
}

#[test]
fn nothing_survives_when_the_operator_itself_is_killed() {
    let mut cluster = Setup::new().start();
    cluster.waits_for("everything is up");
    let pids = cluster.pids();
    assert_eq!(pids.len(), 5, "Redis, three nodes and the front door");
    cluster.signal(Signal::SIGKILL);
    assert_eq!(cluster.exit_code(), None);
    all_gone(&pids);
}

#[test]
fn the_redis_that_is_started_wants_a_password_that_only_its_owner_can_read() {
    let mut cluster = Setup::new().start();
    cluster.waits_for("everything is up");
    let file = cluster.state("redis-url");
    let url = std::fs::read_to_string(&file).unwrap();
    let (password, _) = url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    assert!(password.len() >= 40, "{} characters", password.len());
    for secret in [file, cluster.state("redis/redis.conf")] {
        assert_eq!(
            std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777,
            0o600,
            "{secret:?}"
        );
    }
    for pid in cluster.pids() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!command.contains(password), "{command}");
    }
    let mut redis = TcpStream::connect(("127.0.0.1", cluster.redis_port())).unwrap();
    redis.write_all(b"KEYS *\r\n").unwrap();
    let mut answer = [0; 7];
    redis.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"-NOAUTH");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn ctrl_c_during_the_start_leaves_nothing() {
    let mut cluster = Setup::new().start();
    cluster.waits_for("redis is ready");
    cluster.ends_with(Signal::SIGINT);
}

#[test]
fn lines_are_json_objects_when_asked_for() {
    let mut cluster: Cluster = Setup::new().with(&["--log-format", "json"]).start();
    cluster.waits_for("everything is up");
    cluster.ends_with(Signal::SIGINT);
    for line in cluster.lines().iter().filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "message", "process"] {
            assert!(value[field].is_string(), "{field}: {line}");
        }
    }
}
