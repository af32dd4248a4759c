use super::*;
use DrainReason::{Manual, Roll, ScaleDown};
use Phase::{Ready, Starting, Stopping, Waiting};

fn seen(phase: Phase, current: bool) -> NodeNow {
    NodeNow {
        phase,
        current,
        reasons: Vec::new(),
        done: false,
    }
}

fn ready() -> NodeNow {
    seen(Ready, true)
}

fn outdated() -> NodeNow {
    seen(Ready, false)
}

fn drained(mut seen: NodeNow, reason: DrainReason, done: bool) -> NodeNow {
    seen.reasons.push(reason);
    seen.done = done;
    seen
}

fn steps_with(wanted: u16, there: &[(u16, NodeNow)], mesh_is_whole: bool) -> Vec<NodeStep> {
    next_steps(&(0..wanted).collect(), &there.iter().cloned().collect(), mesh_is_whole)
}

fn steps(wanted: u16, there: &[(u16, NodeNow)]) -> Vec<NodeStep> {
    steps_with(wanted, there, true)
}

#[test]
fn missing_nodes_start_together() {
    assert_eq!(
        steps(3, &[]),
        [NodeStep::Start(0), NodeStep::Start(1), NodeStep::Start(2)]
    );
    assert_eq!(steps(2, &[(0, seen(Waiting, true))]), [NodeStep::Start(1)]);
}

#[test]
fn surplus_nodes_are_drained_from_the_highest_and_end_when_they_are_done() {
    let five = [0, 1, 2, 3, 4].map(|o| (o, ready()));
    let asked = [4, 3, 2].map(|o| NodeStep::Drain(o, ScaleDown));
    assert_eq!(steps(2, &five), asked);
    let busy = drained(ready(), ScaleDown, false);
    let there = [
        (0, ready()),
        (1, ready()),
        (2, busy.clone()),
        (3, drained(ready(), ScaleDown, true)),
        (4, busy),
    ];
    assert_eq!(steps(2, &there), [NodeStep::End(3)]);
    assert_eq!(
        steps(1, &[(0, ready()), (1, seen(Stopping, true))]),
        [],
        "it is told once"
    );
}

#[test]
fn a_surplus_node_that_is_not_ready_ends_at_once() {
    assert_eq!(steps(1, &[(0, ready()), (1, seen(Starting, true))]), [NodeStep::End(1)]);
    assert_eq!(steps(1, &[(0, ready()), (1, seen(Waiting, true))]), [NodeStep::End(1)]);
}

#[test]
fn a_node_that_is_drained_for_another_reason_is_told_that_it_is_scaled_away() {
    let by_hand = drained(ready(), Manual, false);
    assert_eq!(steps(1, &[(0, ready()), (1, by_hand)]), [NodeStep::Drain(1, ScaleDown)]);
}

#[test]
fn a_node_that_is_wanted_again_before_it_has_ended_stays() {
    let there = [(0, ready()), (1, drained(ready(), ScaleDown, false))];
    assert_eq!(steps(2, &there), [NodeStep::Lift(1, ScaleDown)]);
    let by_hand = [(0, ready()), (1, drained(ready(), Manual, true))];
    assert_eq!(steps(2, &by_hand), [], "what somebody else wants is not ours to lift");
}

#[test]
fn a_node_that_is_wanted_again_starts_once_the_old_one_has_ended() {
    assert_eq!(steps(2, &[(0, ready()), (1, seen(Stopping, true))]), []);
    assert_eq!(steps(2, &[(0, ready())]), [NodeStep::Start(1)]);
}

#[test]
fn changed_nodes_are_replaced_one_at_a_time_from_the_highest() {
    let with = |last: NodeNow| steps(3, &[(0, outdated()), (1, outdated()), (2, last)]);
    assert_eq!(with(outdated()), [NodeStep::Drain(2, Roll)]);
    assert_eq!(with(drained(outdated(), Roll, false)), []);
    assert_eq!(with(drained(outdated(), Roll, true)), [NodeStep::End(2)]);
    assert_eq!(with(seen(Stopping, false)), []);
    assert_eq!(with(seen(Starting, true)), []);
    assert_eq!(with(ready()), [NodeStep::Drain(1, Roll)]);
    assert_eq!(steps(3, &[0, 1, 2].map(|o| (o, ready()))), []);
}

#[test]
fn the_next_node_is_replaced_only_when_the_mesh_is_whole_again() {
    let there = [(0, outdated()), (1, outdated()), (2, ready())];
    assert_eq!(steps_with(3, &there, false), []);
    let begun = [(0, outdated()), (1, drained(outdated(), Roll, true)), (2, ready())];
    assert_eq!(
        steps_with(3, &begun, false),
        [NodeStep::End(1)],
        "what was begun is ended"
    );
}

#[test]
fn a_node_whose_change_was_taken_back_takes_sessions_again() {
    let there = [(0, ready()), (1, drained(ready(), Roll, false))];
    assert_eq!(steps(2, &there), [NodeStep::Lift(1, Roll)]);
}

#[test]
fn changed_nodes_that_are_broken_go_at_once() {
    assert_eq!(
        steps(2, &[(0, seen(Waiting, false)), (1, outdated())]),
        [NodeStep::End(0)]
    );
    assert_eq!(
        steps(2, &[(0, seen(Waiting, false)), (1, seen(Starting, false))]),
        [NodeStep::End(1), NodeStep::End(0)]
    );
}

#[test]
fn nothing_is_replaced_while_others_are_scaled_away() {
    let there = [(0, outdated()), (1, drained(ready(), ScaleDown, false))];
    assert_eq!(steps(1, &there), []);
}
