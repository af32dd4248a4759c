#![allow(clippy::unwrap_used)]
use super::*;

const OLD: bool = false;
const NEW: bool = true;
const PATIENCE: Duration = Duration::from_secs(30);
const LOST_AFTER: Duration = Duration::from_secs(30);

fn pod(ordinal: i32, current: bool) -> ObservedNode {
    ObservedNode {
        name: format!("live-{ordinal}"),
        ordinal,
        id: format!("uid-{ordinal}"),
        current: Some(current),
        ready: true,
        heard: true,
        report: Some(ObservedReport {
            reasons: Vec::new(),
            sessions: 2,
        }),
        ..ObservedNode::default()
    }
}

fn observed(desired: i32, pods: Vec<ObservedNode>) -> Observation {
    Observation {
        desired,
        live: Some(i32::try_from(pods.len()).unwrap()),
        deadline: Duration::from_secs(10),
        patience: PATIENCE,
        lost_after: LOST_AFTER,
        mesh_whole: true,
        nodes: pods,
    }
}

fn draining(mut pod: ObservedNode, reason: DrainReason, sessions: u32) -> ObservedNode {
    pod.report = Some(ObservedReport {
        reasons: vec![reason],
        sessions,
    });
    pod
}

fn drain(ordinal: i32, reason: DrainReason) -> Act {
    Act::Drain(format!("live-{ordinal}"), reason)
}

fn evicted(ordinal: i32) -> Act {
    Act::Replace {
        node: format!("live-{ordinal}"),
        id: format!("uid-{ordinal}"),
    }
}

#[test]
fn a_node_that_may_not_be_replaced_for_long_takes_sessions_until_it_may() {
    let held = |pod: ObservedNode| ObservedNode { held_up: true, ..pod };
    let asks = Act::AskToReplace {
        node: "live-2".to_owned(),
        id: "uid-2".to_owned(),
    };
    let lifts = Act::Undrain("live-2".to_owned(), DrainReason::Roll);
    let others = || vec![pod(0, OLD), pod(1, OLD)];
    for (node, acts) in [
        (
            held(draining(pod(2, OLD), DrainReason::Roll, 0)),
            vec![lifts, asks.clone()],
        ),
        (held(pod(2, OLD)), vec![asks]),
        (pod(2, OLD), vec![drain(2, DrainReason::Roll)]),
    ] {
        let is_held = node.held_up;
        let decided = decide(&observed(3, others().into_iter().chain([node]).collect()));
        assert_eq!(decided.acts, acts);
        assert_eq!(
            decided.leaving.is_empty(),
            is_held,
            "its deadline counts only while it is drained"
        );
    }
}

#[test]
fn with_nothing_to_do_nothing_is_done() {
    let decided = decide(&observed(3, (0..3).map(|n| pod(n, NEW)).collect()));
    assert_eq!(
        decided,
        Decision {
            replicas: 3,
            ..Decision::default()
        }
    );
}

#[test]
fn scaling_up_and_the_first_start_wait_for_nothing() {
    let mut first = observed(3, Vec::new());
    first.live = None;
    assert_eq!(decide(&first).replicas, 3);
    assert_eq!(decide(&observed(5, (0..3).map(|n| pod(n, NEW)).collect())).replicas, 5);
}

#[test]
fn a_scale_down_empties_all_surplus_nodes_at_once_and_keeps_them_meanwhile() {
    let decided = decide(&observed(3, (0..5).map(|n| pod(n, NEW)).collect()));
    assert_eq!(decided.replicas, 5);
    assert_eq!(
        decided.acts,
        [drain(3, DrainReason::ScaleDown), drain(4, DrainReason::ScaleDown)]
    );
    assert_eq!(decided.progress.unwrap().reason, "ScalingDown");
}

#[test]
fn the_stateful_set_shrinks_as_far_as_its_highest_numbers_are_empty() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    pods.extend([(3, 0), (4, 1), (5, 0)].map(|(n, left)| draining(pod(n, NEW), DrainReason::ScaleDown, left)));
    let decided = decide(&observed(3, pods.clone()));
    assert_eq!(
        (decided.replicas, decided.acts),
        (5, vec![]),
        "live-4 still has a session, so live-3 stays as well"
    );
    pods[4] = draining(pod(4, NEW), DrainReason::ScaleDown, 0);
    assert_eq!(decide(&observed(3, pods)).replicas, 3);
}

#[test]
fn an_empty_node_that_was_not_asked_yet_is_asked_first() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    pods[2].report = Some(ObservedReport::default());
    let decided = decide(&observed(2, pods));
    assert_eq!(
        (decided.replicas, decided.acts),
        (3, vec![drain(2, DrainReason::ScaleDown)])
    );
}

#[test]
fn surplus_that_does_not_run_holds_nothing_up() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    (pods[2].report, pods[2].ready) = (None, false);
    assert_eq!(decide(&observed(2, pods)).replicas, 2);
}

#[test]
fn a_node_that_is_ready_and_silent_gets_its_time() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    pods[2].report = None;
    assert_eq!(decide(&observed(2, pods.clone())).replicas, 3);
    pods[2].leaving_for = Some(Duration::from_secs(10) + PATIENCE);
    assert_eq!(decide(&observed(2, pods)).replicas, 2);
}

#[test]
fn scaling_up_again_in_mid_drain_keeps_the_pod_and_lifts_the_reason() {
    let mut pods: Vec<ObservedNode> = (0..4).map(|n| pod(n, NEW)).collect();
    pods[3] = draining(pod(3, NEW), DrainReason::ScaleDown, 1);
    let decided = decide(&observed(4, pods));
    assert_eq!(decided.replicas, 4);
    assert_eq!(decided.acts, [Act::Undrain("live-3".into(), DrainReason::ScaleDown)]);
}

#[test]
fn a_roll_empties_the_highest_node_first_and_then_replaces_it() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, OLD)).collect();
    assert_eq!(decide(&observed(3, pods.clone())).acts, [drain(2, DrainReason::Roll)]);
    pods[2] = draining(pod(2, OLD), DrainReason::Roll, 1);
    assert_eq!(decide(&observed(3, pods.clone())).acts, [], "one publisher is left");
    pods[2] = draining(pod(2, OLD), DrainReason::Roll, 0);
    assert_eq!(decide(&observed(3, pods)).acts, [evicted(2)]);
}

#[test]
fn a_roll_goes_on_only_when_the_new_node_is_ready_and_every_pair_is_linked() {
    let pods = vec![pod(0, OLD), pod(1, OLD), pod(2, NEW)];
    let mut lacking = observed(3, pods.clone());
    lacking.mesh_whole = false;
    assert_eq!(decide(&lacking).acts, []);
    let mut starting = observed(3, pods.clone());
    starting.nodes[2].ready = false;
    assert_eq!(decide(&starting).acts, []);
    let mut away = observed(3, pods.clone());
    away.nodes.pop();
    assert_eq!(decide(&away).acts, []);
    assert_eq!(decide(&observed(3, pods)).acts, [drain(1, DrainReason::Roll)]);
}

#[test]
fn a_roll_that_was_begun_goes_on_with_the_same_node() {
    // The node being emptied is not ready, and so is its pod; nothing but its own emptying is waited for.
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, OLD)).collect();
    pods[1] = draining(pod(1, OLD), DrainReason::Roll, 0);
    pods[1].ready = false;
    assert_eq!(decide(&observed(3, pods)).acts, [evicted(1)]);
}

#[test]
fn outdated_nodes_that_do_not_run_are_replaced_first_and_at_once() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, OLD)).collect();
    (pods[0].ready, pods[0].report) = (false, None);
    let mut observed = observed(3, pods);
    observed.mesh_whole = false;
    assert_eq!(decide(&observed).acts, [evicted(0)]);
}

#[test]
fn a_new_template_that_does_not_start_stops_the_roll_at_the_first_node() {
    let mut pods = vec![pod(0, OLD), pod(1, OLD), pod(2, NEW)];
    (pods[2].ready, pods[2].report) = (false, None);
    assert_eq!(decide(&observed(3, pods)).acts, []);
}

#[test]
fn the_reason_of_a_roll_is_lifted_when_the_template_is_taken_back() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    pods[2] = draining(pod(2, NEW), DrainReason::Roll, 1);
    assert_eq!(
        decide(&observed(3, pods)).acts,
        [Act::Undrain("live-2".into(), DrainReason::Roll)]
    );
}

#[test]
fn a_drain_by_hand_is_asked_for_by_annotation_and_lifted_by_annotation_only() {
    let mut pods: Vec<ObservedNode> = (0..3).map(|n| pod(n, NEW)).collect();
    pods[0].drain_wanted = Some(true);
    assert_eq!(decide(&observed(3, pods.clone())).acts, [drain(0, DrainReason::Manual)]);
    pods[0] = draining(pod(0, NEW), DrainReason::Manual, 1);
    assert_eq!(
        decide(&observed(3, pods.clone())).acts,
        [],
        "somebody set it by the admin API"
    );
    pods[0].drain_wanted = Some(false);
    assert_eq!(
        decide(&observed(3, pods)).acts,
        [Act::Undrain("live-0".into(), DrainReason::Manual)]
    );
}

#[test]
fn a_pod_of_a_lost_host_is_removed_when_nobody_has_heard_of_it_for_long_enough() {
    let mut lost = pod(1, NEW);
    (lost.ending, lost.ready, lost.report, lost.heard) = (true, false, None, false);
    lost.overdue = Some(LOST_AFTER);
    let acts = |pod: ObservedNode| decide(&observed(3, vec![self::pod(0, NEW), pod, self::pod(2, NEW)])).acts;
    let gone = Act::ForceDelete {
        node: "live-1".into(),
        id: "uid-1".into(),
    };
    assert_eq!(acts(lost.clone()), [gone]);
    let answers = ObservedNode {
        report: Some(ObservedReport::default()),
        ..lost.clone()
    };
    assert_eq!(acts(answers), [], "it answers");
    let heard = ObservedNode {
        heard: true,
        ..lost.clone()
    };
    assert_eq!(acts(heard), [], "a peer hears it");
    let early = ObservedNode {
        overdue: Some(LOST_AFTER - Duration::from_secs(1)),
        ..lost
    };
    assert_eq!(acts(early), [], "too early");
}

#[test]
fn a_roll_that_pauses_keeps_its_node_drained() {
    let begun = || draining(pod(2, OLD), DrainReason::Roll, 1);
    let mut unsaid = observed(3, vec![pod(0, OLD), pod(1, OLD), begun()]);
    unsaid.nodes.iter_mut().for_each(|node| node.current = None);
    assert_eq!(
        decide(&unsaid).acts,
        [],
        "the StatefulSet has not said its revision yet"
    );
    let broken = ObservedNode {
        ready: false,
        report: None,
        ..pod(0, OLD)
    };
    assert_eq!(
        decide(&observed(3, vec![broken, pod(1, OLD), begun()])).acts,
        [evicted(0)],
        "another one broke meanwhile"
    );
    let mut smaller = observed(3, vec![pod(0, OLD), pod(1, OLD), begun(), pod(3, OLD)]);
    assert_eq!(
        decide(&smaller).acts,
        [drain(3, DrainReason::ScaleDown)],
        "a scale-down comes first"
    );
    smaller.nodes[2].current = Some(true);
    assert!(
        decide(&smaller)
            .acts
            .contains(&Act::Undrain("live-2".into(), DrainReason::Roll)),
        "the template was taken back"
    );
}

#[test]
fn a_node_that_falls_silent_while_it_leaves_is_waited_for_until_its_time_is_over() {
    let mut silent = pod(1, OLD);
    (silent.report, silent.leaving_for) = (None, Some(Duration::from_secs(9)));
    let mut observed = observed(3, vec![pod(0, OLD), silent, pod(2, NEW)]);
    observed.mesh_whole = false;
    let decided = decide(&observed);
    assert_eq!(
        (decided.acts, decided.leaving),
        (vec![], vec!["live-1".to_owned()]),
        "its turn goes on"
    );
    observed.nodes[1].leaving_for = Some(Duration::from_secs(10) + PATIENCE);
    assert_eq!(decide(&observed).acts, [evicted(1)]);
}

#[test]
fn a_drain_that_never_reached_the_node_does_not_shorten_the_next_one() {
    let start = Instant::now();
    let mut leaving = Leaving::new();
    let cluster = observed(2, vec![pod(0, NEW), pod(1, NEW)]);
    count_leaving(&mut leaving, &cluster, &["live-1".to_owned()], start);
    let later = start + Duration::from_secs(60);
    count_leaving(&mut leaving, &cluster, &[], later);
    assert_eq!(leaving, Leaving::new(), "it is wanted again");
    count_leaving(&mut leaving, &cluster, &["live-1".to_owned()], later);
    assert_eq!(leaving["uid-1"], later);
}
