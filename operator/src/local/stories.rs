//! The stories of both platforms, told of processes.

use super::keeper::{Phase, State};
use super::layout::node_name;
use super::observe::{SeenProcess, observe};
use crate::cluster::convergence::Effort;
use crate::cluster::rollout::{Leaving, decide};
use crate::cluster::status::{Facts, FrontDoorFacts, status};
use crate::cluster::stories::{DEADLINE, Life, Scene, Seen, check, scenes};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use sfumato_mesh::MeshSnapshot;
use std::time::{Duration, Instant};

fn pid(ordinal: u16) -> u32 {
    1_000 + u32::from(ordinal)
}

fn state(seen: &Seen) -> State {
    let phase = match seen.life {
        Life::Up | Life::Silent | Life::Lying => Phase::Ready,
        Life::Starting => Phase::Starting,
        Life::Crashing => Phase::Waiting,
        Life::Ending => Phase::Stopping,
    };
    let crashes = seen.life == Life::Crashing;
    State {
        phase,
        pid: (!crashes).then(|| i32::try_from(pid(seen.ordinal)).expect("small")),
        restarts: 0,
        trouble: crashes.then(|| "exit code 1".to_owned()),
        was_started: crashes,
        pause: Duration::from_secs(if crashes { 4 } else { 0 }),
    }
}

fn told(scene: &Scene, mesh: &MeshSnapshot) {
    let now = Instant::now() + Duration::from_secs(10_000);
    let names: Vec<(String, String)> = (0..16).map(|at| (node_name(at), format!("slot-{at}"))).collect();
    let process = |seen: &Seen| {
        let (name, id) = &names[usize::from(seen.ordinal)];
        SeenProcess {
            name,
            ordinal: seen.ordinal,
            id,
            state: state(seen),
            ending: seen.life == Life::Ending,
            current: seen.current,
            mesh,
        }
    };
    let seen: Vec<SeenProcess<'_>> = scene.nodes.iter().map(process).collect();
    let since = |seen: &Seen| Some((names[usize::from(seen.ordinal)].1.clone(), now - seen.leaving?));
    let leaving: Leaving = scene.nodes.iter().filter_map(since).collect();
    let decision = decide(&observe(scene.wanted, DEADLINE, &seen, &leaving, now));
    let facts = Facts {
        generation: Some(4),
        operator: String::new(),
        desired: i32::from(scene.wanted),
        nodes: seen.iter().map(SeenProcess::facts).collect(),
        selector: String::new(),
        mesh,
        paused: false,
        degraded: None,
        front_door: FrontDoorFacts {
            desired: 1,
            ready: 1,
            trouble: None,
        },
        others: None,
        effort: Effort {
            under_way: decision.progress.clone(),
            ..Effort::default()
        },
        upgrade: None,
    };
    let status = status(&facts, &SfuClusterStatus::default(), Timestamp::now());
    check(scene, &decision, &status, node_name);
}

#[test]
fn processes_are_treated_and_told_of_as_every_story_says() {
    for scene in scenes() {
        told(&scene, &scene.mesh(node_name, pid));
    }
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
        state: state(&scene.nodes[1]),
        ending: false,
        current: true,
        mesh: &mesh,
    };
    assert!(process.report().is_none(), "its pid is another");
}
