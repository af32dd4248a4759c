//! The stories of both platforms, told of processes.

use super::facts::{Look, facts};
use super::keeper::{Phase, State};
use super::layout::node_name;
use super::observe::{SeenDoor, SeenProcess, observe};
use crate::cluster::rollout::{Decision, Leaving, decide};
use crate::cluster::status::status;
use crate::cluster::stories::{DEADLINE, Life, Scene, Seen, UNREADY_FOR, go_through, scenes};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use std::time::{Duration, Instant};

fn pid(ordinal: u16) -> u32 {
    1_000 + u32::from(ordinal)
}

fn state(life: Life, pid: u32, now: Instant) -> State {
    let phase = match life {
        Life::Up | Life::Silent | Life::Lying => Phase::Ready,
        Life::Starting | Life::Unready => Phase::Starting,
        Life::Crashing => Phase::Waiting,
        Life::Ending => Phase::Stopping,
    };
    let crashes = life == Life::Crashing;
    State {
        phase,
        since: if life == Life::Unready { now - UNREADY_FOR } else { now },
        pid: (!crashes).then(|| i32::try_from(pid).expect("small")),
        restarts: 0,
        trouble: crashes.then(|| "exit code 1".to_owned()),
        was_started: crashes,
        pause: Duration::from_secs(if crashes { 4 } else { 0 }),
    }
}

/// What is to be done in a scene, and what is told of it.
fn tell(scene: &Scene, before: &SfuClusterStatus) -> (Decision, SfuClusterStatus) {
    let now = Instant::now() + Duration::from_secs(10_000);
    let mesh = scene.mesh(node_name, pid);
    let names: Vec<(String, String)> = (0..16).map(|at| (node_name(at), format!("slot-{at}"))).collect();
    let process = |seen: &Seen| {
        let (name, id) = &names[usize::from(seen.ordinal)];
        SeenProcess {
            name,
            ordinal: seen.ordinal,
            id,
            state: state(seen.life, pid(seen.ordinal), now),
            ending: seen.life == Life::Ending,
            current: seen.current,
            mesh: &mesh,
        }
    };
    let seen: Vec<SeenProcess<'_>> = scene.nodes.iter().map(process).collect();
    let since = |seen: &Seen| Some((names[usize::from(seen.ordinal)].1.clone(), now - seen.leaving?));
    let leaving: Leaving = scene.nodes.iter().filter_map(since).collect();
    let door = scene.door.map(|life| SeenDoor {
        name: "web",
        state: state(life, 1, now),
        current: true,
    });
    // A pause stops what would be done, as `Processes` does it.
    let decision = if scene.paused {
        Decision::default()
    } else {
        decide(&observe(scene.wanted, DEADLINE, &seen, &leaving, now))
    };
    let look = Look {
        version: scene.generation,
        wanted: scene.wanted,
        paused: scene.paused,
        refused: None,
        nodes: &seen,
        door: door.as_ref(),
        redis: Some(&state(scene.redis, 2, now)),
        progress: decision.progress.as_ref(),
        mesh: &mesh,
    };
    let mut facts = facts(&look, now);
    let waits = scene.paused || !decision.leaving.is_empty();
    scene.note_standstill(&mut facts, waits, now);
    let status = status(&facts, before, Timestamp::now());
    (decision, status)
}

#[test]
fn processes_are_treated_and_told_of_as_every_story_says() {
    go_through(node_name, tell);
}

#[test]
fn what_an_earlier_life_of_a_process_said_does_not_count() {
    let scenes = scenes();
    let scene = scenes
        .iter()
        .find(|scene| scene.story == "a surplus node goes when it is drained");
    let scene = scene.expect("it is there");
    let mesh = scene.mesh(node_name, |_| 1);
    let process = SeenProcess {
        name: "sfu-2",
        ordinal: 1,
        id: "slot-1",
        state: state(scene.nodes[1].life, pid(1), Instant::now()),
        ending: false,
        current: true,
        mesh: &mesh,
    };
    assert!(process.report().is_none(), "its pid is another");
}
