//! The invariants of the control path (docs: design, "Control path"), each as a property over a simulated world.

#![allow(clippy::unwrap_used)]

mod world;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{EndAction, Incarnation, Lane, LinkReport, LinkState, NodeName};
use sfumato_mesh::plan::{AgedReport, PairStep};
use sfumato_mesh::{Budget, MeshOptions, MeshTask, Observed, PlanOptions, Step, plan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use world::rounds::check_plan;
use world::{Faults, World, name};

const NODES: usize = 5;

/// Something that happens to the world.
#[derive(Debug, Clone)]
enum Event {
    Join(usize, u16),
    Crash(usize),
    Restart(usize),
    Leave(usize),
    CutMedia(usize, usize),
    MendMedia(usize, usize),
    Hide(usize),
    Show(usize),
    Drain(usize),
    TransportFails(usize, usize),
    /// A plan and a drive, with this share of calls (in percent) that something happens to.
    Round(u8),
    /// A drive of which only the first steps are begun, and the last of those ends after so many calls.
    OperatorDies {
        calls: u8,
    },
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let node = 0..NODES;
    prop_oneof![
        2 => (node.clone(), 1u16..4).prop_map(|(n, w)| Event::Join(n, w)),
        1 => node.clone().prop_map(Event::Crash),
        2 => node.clone().prop_map(Event::Restart),
        1 => node.clone().prop_map(Event::Leave),
        1 => (node.clone(), node.clone()).prop_map(|(a, b)| Event::CutMedia(a, b)),
        1 => (node.clone(), node.clone()).prop_map(|(a, b)| Event::MendMedia(a, b)),
        1 => node.clone().prop_map(Event::Hide),
        1 => node.clone().prop_map(Event::Show),
        1 => node.clone().prop_map(Event::Drain),
        1 => (node.clone(), node).prop_map(|(n, nth)| Event::TransportFails(n, nth)),
        4 => (0u8..60).prop_map(Event::Round),
        2 => (1u8..20).prop_map(|calls| Event::OperatorDies { calls }),
        2 => (0u16..12_000).prop_map(Event::Wait),
    ]
}

fn pair(a: usize, b: usize) -> (NodeName, NodeName) {
    (name(a.min(b)), name(a.max(b)))
}

async fn happen(world: &World, event: Event, seed: u64, options: &PlanOptions) {
    match event {
        Event::Join(n, workers) => {
            if world.with(|s| !s.nodes.contains_key(&name(n))) {
                world.join(&name(n), workers);
            }
        }
        Event::Crash(n) => world.crash(&name(n)),
        Event::Restart(n) => world.restart(&name(n)),
        Event::Leave(n) => world.leave(&name(n)),
        Event::CutMedia(a, b) => {
            world.with(|s| s.cut.insert(pair(a, b)));
        }
        Event::MendMedia(a, b) => {
            world.with(|s| s.cut.remove(&pair(a, b)));
        }
        Event::Hide(n) => {
            world.with(|s| s.hidden.insert(name(n)));
        }
        Event::Show(n) => {
            world.with(|s| s.hidden.remove(&name(n)));
        }
        Event::Drain(n) => world.with(|s| s.nodes.get_mut(&name(n)).into_iter().for_each(|n| n.draining = true)),
        Event::TransportFails(n, nth) => world.with(|s| {
            let link = s
                .nodes
                .get_mut(&name(n))
                .and_then(|node| node.links.values_mut().nth(nth));
            link.into_iter().for_each(|link| link.state = LinkState::Dead);
        }),
        Event::Round(percent) => {
            world.with(|s| s.faults = Faults::new(seed, f64::from(percent) / 100.0));
            let _ = world.round(options).await;
            world.with(|s| s.faults = Faults::default());
        }
        Event::OperatorDies { calls } => {
            world.with(|s| s.faults = Faults::new(seed, 0.0));
            // Latencies are up to 20 ms a way, so this ends somewhere among the calls.
            let _ = tokio::time::timeout(Duration::from_millis(u64::from(calls) * 5), world.round(options)).await;
            world.with(|s| s.faults = Faults::default());
        }
        Event::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
    }
}

/// A runtime whose clock jumps: ten seconds of grace cost nothing.
fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// The world after some events, with faults still in place.
async fn world_after(events: Vec<Event>, seed: u64, options: &PlanOptions) -> World {
    let world = World::of(3, 2);
    for (n, event) in events.into_iter().enumerate() {
        happen(&world, event, seed.wrapping_add(n as u64), options).await;
    }
    world
}

fn names_and_calls(steps: &[Step]) -> String {
    format!("{steps:#?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn repeating_plan_and_drive_ends_in_the_full_mesh_of_the_living(
        events in prop::collection::vec(event(), 0..40), seed: u64,
    ) {
        in_paused_time(async {
            let options = PlanOptions::default();
            let world = world_after(events, seed, &options).await;
            world.heal();
            let mut rounds = 0;
            while let Some(fault) = world.fault_in_mesh(None) {
                rounds += 1;
                assert!(rounds <= 4, "still not whole after {rounds} rounds: {fault}");
                tokio::time::sleep(options.link_grace).await;
                for outcome in world.round(&options).await {
                    assert!(outcome.calls <= 3);
                }
            }
            assert_eq!(plan(&world.observe(), &options), []);
        });
    }

    #[test]
    fn planning_again_with_nothing_changed_gives_no_steps(
        events in prop::collection::vec(event(), 0..40), seed: u64, lanes in prop::option::of(1u16..4),
    ) {
        in_paused_time(async {
            let world = world_after(events, seed, &PlanOptions::default()).await;
            // Late calls of the past would be changes.
            tokio::time::sleep(Duration::from_secs(6)).await;
            let options = PlanOptions { lanes, ..PlanOptions::default() };
            for outcome in world.round(&options).await {
                assert!(outcome.result.is_ok(), "{:?}", outcome.result);
            }
            let again = plan(&world.observe(), &options);
            assert!(again.is_empty(), "{}", names_and_calls(&again));
        });
    }

    #[test]
    fn a_member_that_drains_or_is_not_ready_keeps_its_links(
        events in prop::collection::vec(event(), 0..30), seed: u64, draining in 0..NODES,
    ) {
        in_paused_time(async {
            let options = PlanOptions::default();
            let world = world_after(events, seed, &options).await;
            let before = plan(&world.observe(), &options);
            world.with(|s| s.nodes.get_mut(&name(draining)).into_iter().for_each(|n| n.draining ^= true));
            assert_eq!(plan(&world.observe(), &options), before);
        });
    }

    #[test]
    fn a_node_that_does_not_answer_costs_only_its_own_pairs(
        events in prop::collection::vec(event(), 0..30), seed: u64, hidden in 0..NODES,
    ) {
        in_paused_time(async {
            let options = PlanOptions::default();
            let world = world_after(events, seed, &options).await;
            let hidden = name(hidden);
            let touches_hidden = |step: &Step| step.pairs().iter().any(|p| p.a.0 == hidden || p.b.0 == hidden);
            let member = world.with(|s| s.nodes.contains_key(&hidden));
            let mut expected = plan(&world.observe(), &options);
            if member {
                expected.retain(|step| !touches_hidden(step));
            }
            world.with(|s| s.hidden.insert(hidden.clone()));
            let without = plan(&world.observe(), &options);
            assert_eq!(without, expected);
        });
    }

    #[test]
    fn two_drivers_at_once_end_where_one_would(
        events in prop::collection::vec(event(), 0..30), seed: u64, percent in 0u8..30,
    ) {
        in_paused_time(async {
            let options = PlanOptions::default();
            let world = world_after(events, seed, &options).await;
            world.heal();
            world.with(|s| s.faults = Faults::new(seed, f64::from(percent) / 100.0));
            // Two leaders that know nothing of each other, out of step by the latencies of their calls.
            let leader = |late: u64| {
                let (world, options) = (world.clone(), options.clone());
                async move {
                    tokio::time::sleep(Duration::from_millis(late)).await;
                    for _ in 0..3 {
                        let _ = world.round(&options).await;
                        tokio::time::sleep(Duration::from_millis(1_000 + late)).await;
                    }
                }
            };
            tokio::join!(leader(0), leader(seed % 50));
            world.heal();
            tokio::time::sleep(Duration::from_secs(15)).await;
            let mut rounds = 0;
            while let Some(fault) = world.fault_in_mesh(None) {
                rounds += 1;
                assert!(rounds <= 3, "still not whole after {rounds} rounds: {fault}");
                let _ = world.round(&options).await;
            }
            assert_eq!(plan(&world.observe(), &options), []);
        });
    }
}

/// Reports that no sane node would write, to see that the planner's care does not rest on good manners.
fn wild_world(seed: u64) -> Vec<Observed> {
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::of(4, random.random_range(0..3));
    let mut observed = in_paused_time(async { world.observe() });
    let states = [
        LinkState::Connecting,
        LinkState::Fresh,
        LinkState::Stale,
        LinkState::Dead,
    ];
    let lives = (0..6)
        .map(|n| format!("pod.{n}").parse().unwrap())
        .collect::<Vec<Incarnation>>();
    for member in &mut observed {
        if random.random_bool(0.1) {
            member.report = None;
            continue;
        }
        let node = member.name.clone();
        let mut report = (*member.report.take().unwrap().report).clone();
        for n in 0..random.random_range(0..12) {
            let remote = format!("{}-{}", name(random.random_range(0..5)), random.random_range(0..12));
            report.links.push(LinkReport {
                id: format!("{node}-{n}").parse().unwrap(),
                peer: name(random.random_range(0..5)),
                peer_incarnation: lives[random.random_range(0..lives.len())].clone(),
                lane: Lane(random.random_range(0..3)),
                remote: random.random_bool(0.7).then(|| remote.parse().unwrap()),
                state: states[random.random_range(0..4)],
                since_ms: random.random_range(0..20_000),
                rtt_us: None,
                beats_received: 0,
                large_packets: None,
                packets_lost: 0,
                packets_received: 0,
                bytes_sent: 0,
                bytes_received: 0,
            });
        }
        let age = Duration::from_millis(random.random_range(0..20_000));
        member.report = Some(AgedReport {
            report: Arc::new(report),
            age,
        });
    }
    observed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_step_touches_a_living_link_that_is_fresh_at_either_end_or_a_node_that_does_not_answer(seed: u64) {
        let observed = wild_world(seed);
        check_plan(&observed, &plan(&observed, &PlanOptions::default()));
    }

    #[test]
    fn the_order_of_members_does_not_matter(seed: u64) {
        let mut observed = wild_world(seed);
        let steps = plan(&observed, &PlanOptions::default());
        observed.reverse();
        prop_assert_eq!(plan(&observed, &PlanOptions::default()), steps);
    }

    #[test]
    fn a_step_that_is_restricted_touches_nothing_else(seed: u64, keep: u64) {
        let observed = wild_world(seed);
        for step in plan(&observed, &PlanOptions::default()) {
            let mut random = StdRng::seed_from_u64(keep);
            let verdicts: BTreeMap<_, _> = step.pairs().into_iter().map(|p| (p, random.random_bool(0.5))).collect();
            let kept = step.restricted(|pair| verdicts[pair]).map(|step| step.pairs()).unwrap_or_default();
            let allowed = verdicts.into_iter().filter(|(_, v)| *v).map(|(p, _)| p).collect();
            prop_assert_eq!(kept, allowed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn mesh_tasks_that_come_and_go_end_in_the_full_mesh_and_never_interleave_steps_of_one_pair(
        events in prop::collection::vec(event(), 0..25), seed: u64, operators in 1usize..=2, percent in 0u8..40,
    ) {
        in_paused_time(async {
            let world = World::of(3, 2);
            let (targets, seen) = watch::channel(Some(world.targets()));
            let spawn = || {
                let admin: Arc<dyn NodeAdmin> = Arc::new(world.clone());
                MeshTask::spawn(seen.clone(), admin, MeshOptions::default(), &Budget::default())
            };
            let mut handles: Vec<_> = (0..operators).map(|_| spawn()).collect();
            world.with(|s| s.faults = Faults::new(seed, f64::from(percent) / 100.0));
            for event in events {
                match event {
                    Event::Round(_) => tokio::time::sleep(Duration::from_millis(700)).await,
                    Event::OperatorDies { .. } => {
                        drop(handles.remove(0));
                        handles.push(spawn());
                        // The calls of the one that died have ended with it; counting starts anew.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    other => happen(&world, other, seed, &PlanOptions::default()).await,
                }
                targets.send_replace(Some(world.targets()));
            }
            world.heal();
            // Nodes that are down stay members, so the snapshot is only whole without them.
            world.with(|s| s.nodes.retain(|_, n| n.up));
            targets.send_replace(Some(world.targets()));
            for handle in &handles {
                let n = world.targets().len();
                let mut snapshots = handle.snapshots.clone();
                let whole = snapshots.wait_for(|s| s.members.len() == n && s.is_whole());
                let whole = tokio::time::timeout(Duration::from_secs(120), whole).await.is_ok();
                assert!(whole, "{:?}\n{:#?}", world.fault_in_mesh(None), *handle.snapshots.borrow());
            }
            // Calls that come late may still spoil something.
            tokio::time::sleep(Duration::from_secs(15)).await;
            // Whole pairs are not all: ends that nobody wants go as well.
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            while let Some(fault) = world.fault_in_mesh(None) {
                assert!(tokio::time::Instant::now() < deadline, "{fault}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            let (ends, puts) = (world.ends(), world.with(|s| s.puts));
            tokio::time::sleep(Duration::from_secs(120)).await;
            assert_eq!(world.ends(), ends, "a whole mesh is left alone");
            assert_eq!(world.with(|s| s.puts), puts, "a whole mesh needs no calls");
            if operators == 1 {
                assert!(world.with(|s| s.most_at_once) <= 1, "two calls of one pair ran at once");
            }
        });
    }
}

#[test]
fn a_pair_costs_three_calls_whatever_the_number_of_lanes() {
    in_paused_time(async {
        let world = World::of(2, 16);
        let outcomes = world.round(&PlanOptions::default()).await;
        assert_eq!((outcomes.len(), outcomes[0].calls), (1, 3));
        assert_eq!(outcomes[0].result.as_ref().unwrap().len(), 16);
        assert_eq!(world.with(|s| s.puts), 3);
    });
}

#[test]
fn a_link_is_encrypted_when_either_of_its_nodes_was_started_to() {
    in_paused_time(async {
        let world = World::of(4, 1);
        let wants = [true, true, false, false];
        world.with(|s| {
            for (node, encrypts) in s.nodes.values_mut().zip(wants) {
                node.encrypts = encrypts;
            }
        });
        let _ = world.round(&PlanOptions::default()).await;
        assert_eq!(world.fault_in_mesh(None), None);
        world.with(|s| {
            for (node, own) in s.nodes.values().zip(wants) {
                for ((peer, ..), link) in &node.links {
                    assert_eq!(link.encrypted, own || s.nodes[peer].encrypts, "{} to {peer}", node.name);
                }
            }
        });
    });
}

#[test]
fn ends_to_an_earlier_life_are_closed_by_the_calls_that_make_the_new_links() {
    in_paused_time(async {
        let world = World::of(2, 1);
        let _ = world.round(&PlanOptions::default()).await;
        world.restart(&name(1));
        let steps = plan(&world.observe(), &PlanOptions::default());
        let [Step::Pair(PairStep { a, b, lanes, .. })] = &steps[..] else {
            panic!("{steps:#?}")
        };
        assert_eq!((a.close.len(), b.close.len(), &lanes[0].a), (1, 0, &EndAction::Ensure));
        let _ = world.round(&PlanOptions::default()).await;
        assert_eq!(world.fault_in_mesh(None), None);
        assert_eq!(world.with(|s| s.closes), 0);
    });
}

#[test]
fn ends_to_nodes_that_are_gone_are_closed_by_one_call_a_survivor() {
    in_paused_time(async {
        let world = World::of(5, 2);
        let _ = world.round(&PlanOptions::default()).await;
        world.leave(&name(0));
        world.leave(&name(4));
        let outcomes = world.round(&PlanOptions::default()).await;
        assert_eq!(outcomes.len(), 3);
        assert_eq!(world.with(|s| s.closes), 3);
        assert_eq!(world.fault_in_mesh(None), None);
    });
}

#[test]
fn a_blip_replaces_nothing_and_a_long_cut_does() {
    in_paused_time(async {
        let (world, options) = (World::of(2, 1), PlanOptions::default());
        let _ = world.round(&options).await;
        assert_eq!(world.fault_in_mesh(None), None);
        let ends = world.ends();
        world.with(|s| s.cut.insert(pair(0, 1)));
        for _ in 0..11 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(plan(&world.observe(), &options), []);
        }
        world.with(|s| s.cut.clear());
        assert_eq!(plan(&world.observe(), &options), []);
        assert_eq!(world.ends(), ends, "the blip has closed nothing");
        world.with(|s| s.cut.insert(pair(0, 1)));
        for _ in 0..13 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.observe();
        }
        assert_eq!(world.round(&options).await.len(), 1);
        assert!(world.ends().is_disjoint(&ends), "both ends are new");
    });
}
