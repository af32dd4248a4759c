//! Decides which nodes to start and to end: a pure function of what is wanted and what is there.

use super::keeper::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// What is there under one ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it runs as is wanted now: same program, same arguments.
    pub current: bool,
}

/// What to do with one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Start it.
    Start(u16),
    /// End it; what is wanted comes back with a later `Start`.
    End(u16),
}

/// The steps that are due now.
///
/// Missing nodes are started at once, and surplus ones ended at once, highest ordinals first. Nodes whose arguments have
/// changed are replaced one at a time, and only while all are ready, so that the rest of the mesh carries on; those that
/// are not ready have nothing to lose and go at once.
#[must_use]
pub fn next_steps(wanted: &BTreeSet<u16>, there: &BTreeMap<u16, Seen>) -> Vec<Step> {
    let missing = wanted
        .iter()
        .filter(|ordinal| !there.contains_key(ordinal))
        .map(|o| Step::Start(*o));
    let alive = || there.iter().rev().filter(|(_, seen)| seen.phase != Phase::Stopping);
    let surplus = alive()
        .filter(|(ordinal, _)| !wanted.contains(ordinal))
        .map(|(o, _)| Step::End(*o));
    let mut steps: Vec<Step> = missing.chain(surplus).collect();
    if steps.is_empty() {
        let mut outdated = alive().filter(|(_, seen)| !seen.current).peekable();
        let all_ready = there.values().all(|seen| seen.phase == Phase::Ready);
        let next = outdated
            .peek()
            .filter(|_| all_ready)
            .map(|(ordinal, _)| Step::End(**ordinal));
        let broken = outdated
            .filter(|(_, seen)| seen.phase != Phase::Ready)
            .map(|(o, _)| Step::End(*o));
        steps.extend(broken.chain(next));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Ready, Starting, Stopping, Waiting};

    fn steps(wanted: u16, there: &[(u16, Phase, bool)]) -> Vec<Step> {
        let there = there
            .iter()
            .map(|(o, phase, current)| {
                (
                    *o,
                    Seen {
                        phase: *phase,
                        current: *current,
                    },
                )
            })
            .collect();
        next_steps(&(0..wanted).collect(), &there)
    }

    #[test]
    fn missing_nodes_start_together() {
        assert_eq!(steps(3, &[]), [Step::Start(0), Step::Start(1), Step::Start(2)]);
        assert_eq!(steps(2, &[(0, Waiting, true)]), [Step::Start(1)]);
    }

    #[test]
    fn surplus_nodes_end_from_the_highest() {
        let five = [0, 1, 2, 3, 4].map(|o| (o, Ready, true));
        assert_eq!(steps(2, &five), [Step::End(4), Step::End(3), Step::End(2)]);
        assert_eq!(
            steps(1, &[(0, Ready, true), (1, Stopping, true)]),
            [],
            "it is told once"
        );
    }

    #[test]
    fn a_node_that_is_wanted_again_starts_once_the_old_one_has_ended() {
        assert_eq!(steps(2, &[(0, Ready, true), (1, Stopping, true)]), []);
        assert_eq!(steps(2, &[(0, Ready, true)]), [Step::Start(1)]);
    }

    #[test]
    fn changed_nodes_are_replaced_one_at_a_time_from_the_highest() {
        assert_eq!(
            steps(3, &[(0, Ready, false), (1, Ready, false), (2, Ready, false)]),
            [Step::End(2)]
        );
        assert_eq!(
            steps(3, &[(0, Ready, false), (1, Ready, false), (2, Stopping, false)]),
            []
        );
        assert_eq!(
            steps(3, &[(0, Ready, false), (1, Ready, false), (2, Starting, true)]),
            []
        );
        assert_eq!(
            steps(3, &[(0, Ready, false), (1, Ready, false), (2, Ready, true)]),
            [Step::End(1)]
        );
        assert_eq!(steps(3, &[0, 1, 2].map(|o| (o, Ready, true))), []);
    }

    #[test]
    fn changed_nodes_that_are_broken_go_at_once() {
        assert_eq!(steps(2, &[(0, Waiting, false), (1, Ready, false)]), [Step::End(0)]);
        assert_eq!(
            steps(2, &[(0, Waiting, false), (1, Starting, false)]),
            [Step::End(1), Step::End(0)]
        );
    }
}
