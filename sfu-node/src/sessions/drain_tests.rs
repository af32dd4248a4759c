use super::*;
use DrainReason::{Manual, Roll, ScaleDown, Sigterm};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn left(publishers: usize, viewers: usize) -> Left {
    Left { publishers, viewers }
}

/// A drain that began at the instant that is answered.
fn drain(reason: DrainReason, deadline: Duration) -> (Drain, Instant) {
    let (mut drain, now) = (Drain::default(), Instant::now());
    assert!(drain.add(reason, deadline, now));
    (drain, now)
}

/// Carries out what is due every 100 ms until `until`; answers the sessions left and when each viewer went.
fn play(drain: &mut Drain, mut left: Left, start: Instant, until: Duration) -> (Left, Vec<Duration>) {
    let mut went = Vec::new();
    let mut at = Duration::ZERO;
    while at <= until {
        let due = drain.due(left, true, start + at);
        left.viewers -= due.viewers;
        went.extend((0..due.viewers).map(|_| at));
        if due.publishers {
            left.publishers = 0;
        }
        at += Duration::from_millis(100);
    }
    (left, went)
}

#[test]
fn a_node_without_a_reason_closes_nothing() {
    assert_eq!(Drain::default().due(left(3, 9), true, Instant::now()), Due::default());
}

#[test]
fn viewers_go_at_once_and_publishers_at_the_deadline() {
    let (mut drain, start) = drain(Roll, 60 * SECOND);
    let (rest, went) = play(&mut drain, left(2, 8), start, 59 * SECOND);
    assert_eq!(rest, left(2, 0));
    assert_eq!(went[0], Duration::ZERO);
    assert!(went[7] <= SECOND, "{went:?}");
    assert_eq!(
        play(&mut drain, rest, start + 60 * SECOND, Duration::ZERO).0,
        left(0, 0)
    );
}

#[test]
fn many_viewers_are_spread_over_thirty_seconds_or_half_the_deadline() {
    for (deadline, window) in [(300, 30), (20, 10)] {
        let (mut drain, start) = drain(Roll, deadline * SECOND);
        let (rest, went) = play(
            &mut drain,
            left(0, 3_000),
            start,
            u32::try_from(window).unwrap() * SECOND,
        );
        assert_eq!(rest.viewers, 0);
        let half = went
            .iter()
            .filter(|at| **at <= u32::try_from(window / 2).unwrap() * SECOND)
            .count();
        assert!((1_400..=1_600).contains(&half), "{half} of 3000 in the first half");
    }
}

#[test]
fn viewers_stay_until_the_deadline_while_nobody_can_take_them() {
    let (mut drain, start) = drain(ScaleDown, 10 * SECOND);
    assert_eq!(drain.due(left(1, 5), false, start + 9 * SECOND), Due::default());
    let all = Due {
        viewers: 5,
        publishers: true,
    };
    assert_eq!(drain.due(left(1, 5), false, start + 10 * SECOND), all);
}

#[test]
fn viewers_are_moved_as_soon_as_a_node_can_take_them() {
    let (mut drain, start) = drain(ScaleDown, 60 * SECOND);
    assert_eq!(drain.due(left(1, 5), false, start), Due::default());
    let (rest, went) = play(&mut drain, left(1, 5), start + 20 * SECOND, SECOND);
    assert_eq!((rest, went.len()), (left(1, 0), 5));
}

#[test]
fn each_reason_is_lifted_by_its_own_name_alone() {
    let (mut drain, now) = drain(Manual, SECOND);
    drain.add(Roll, 5 * SECOND, now);
    assert!(!drain.lift(ScaleDown));
    assert!(drain.lift(Manual));
    assert_eq!(drain.state(now).reasons, [Roll]);
    assert!(drain.is_on());
    assert!(drain.lift(Roll));
    assert!(!drain.is_on());
    assert_eq!(drain.state(now), DrainState::default());
}

#[test]
fn a_repeated_request_changes_nothing_and_an_earlier_deadline_counts() {
    let (mut drain, start) = drain(Roll, 60 * SECOND);
    assert!(!drain.add(Roll, 60 * SECOND, start + 30 * SECOND));
    assert_eq!(drain.state(start + 30 * SECOND).remaining_ms, Some(30_000));
    assert!(!drain.add(Roll, SECOND, start + 30 * SECOND));
    assert_eq!(drain.state(start + 30 * SECOND).remaining_ms, Some(1_000));
}

#[test]
fn the_earliest_deadline_of_all_reasons_counts_while_it_holds() {
    let (mut drain, start) = drain(Manual, 60 * SECOND);
    drain.add(ScaleDown, 5 * SECOND, start);
    assert_eq!(drain.state(start).remaining_ms, Some(5_000));
    drain.lift(ScaleDown);
    assert_eq!(drain.state(start).remaining_ms, Some(60_000));
}

#[test]
fn only_a_signal_ends_the_process() {
    for reason in [Manual, Roll, ScaleDown] {
        assert!(!drain(reason, SECOND).0.ends_process());
    }
    assert!(drain(Sigterm, SECOND).0.ends_process());
}

#[test]
fn viewers_that_come_while_others_are_moved_are_moved_too() {
    let (mut drain, start) = drain(Roll, 60 * SECOND);
    assert!(drain.due(left(0, 4), true, start).viewers >= 1);
    // Two whose offers were being answered when the drain began.
    let due = drain.due(left(0, 6), true, start + SECOND);
    assert_eq!(due.viewers, 6);
}

proptest! {
    #[test]
    fn whatever_the_numbers_everybody_is_gone_in_time_and_no_publisher_before_it(
        publishers in 0usize..50, viewers in 0usize..2_000, deadline_ms in 0u64..40_000,
    ) {
        let deadline = Duration::from_millis(deadline_ms);
        let (mut drain, start) = drain(Roll, deadline);
        let mut rest = left(publishers, viewers);
        let mut at = Duration::ZERO;
        while at <= deadline + SECOND {
            let due = drain.due(rest, true, start + at);
            prop_assert!(due.viewers <= rest.viewers);
            prop_assert!(!due.publishers || at >= deadline);
            rest.viewers -= due.viewers;
            if due.publishers { rest.publishers = 0; }
            if at >= MOVE_WINDOW.min(deadline / 2) + SECOND { prop_assert_eq!(rest.viewers, 0); }
            at += Duration::from_millis(50);
        }
        prop_assert!(rest.is_empty());
    }
}
