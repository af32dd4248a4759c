//! Which node gets a new session: a pure function of the view and of a few drawn numbers.

use crate::view::{Known, View};
use sfumato_admin_api::types::{NodeName, NodeReport};
use std::cmp::Ordering;

/// Loads closer than this share of a core count as the same: measured load is noisy, and the counts of sessions tell
/// more than its last digits.
const LOAD_STEP: f64 = 0.05;

/// What the session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A WHIP session.
    Publisher,
    /// A WHEP session.
    Viewer,
}

/// A node that may take a session, with what it is judged by.
struct Candidate<'a> {
    name: &'a NodeName,
    report: &'a NodeReport,
    placed: u32,
}

/// Picks a node that is reachable, ready and not draining, and none of `except`; `None` when there is none.
///
/// Publishers weigh much and stay long, so they go to the node with the fewest of them; of two nodes drawn by chance,
/// because several front doors with equal views would otherwise all choose the same one. Viewers go to the node with
/// the lowest load. `draw(n)` answers a number below `n`.
#[must_use]
pub fn pick(view: &View, role: Role, except: &[NodeName], draw: &mut dyn FnMut(usize) -> usize) -> Option<NodeName> {
    let mut candidates: Vec<Candidate<'_>> = view
        .nodes()
        .iter()
        .filter(|(name, _)| !except.contains(name))
        .filter_map(candidate)
        .collect();
    if candidates.is_empty() {
        return None;
    }
    if role == Role::Publisher && candidates.len() > 2 {
        let first = candidates.swap_remove(draw(candidates.len()) % candidates.len());
        let second = candidates.swap_remove(draw(candidates.len()) % candidates.len());
        candidates = vec![first, second];
    }
    let best = candidates.iter().min_by(|a, b| compare(role, a, b))?;
    let mut equals: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|other| compare(role, other, best) == Ordering::Equal)
        .collect();
    let chosen = equals.swap_remove(draw(equals.len()) % equals.len());
    Some(chosen.name.clone())
}

fn candidate<'a>((name, known): (&'a NodeName, &'a Known)) -> Option<Candidate<'a>> {
    let report = known.current()?;
    (report.ready && !report.draining).then_some(Candidate {
        name,
        report,
        placed: known.placed,
    })
}

fn compare(role: Role, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let publishers = |c: &Candidate<'_>| c.report.publishers.saturating_add(c.placed);
    let sessions = |c: &Candidate<'_>| {
        c.report
            .publishers
            .saturating_add(c.report.viewers)
            .saturating_add(c.placed)
    };
    let load = |c: &Candidate<'_>| (c.report.load / LOAD_STEP).floor();
    match role {
        Role::Publisher => publishers(a).cmp(&publishers(b)).then(load(a).total_cmp(&load(b))),
        Role::Viewer => load(a).total_cmp(&load(b)).then(sessions(a).cmp(&sessions(b))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{name, report, view_of};

    fn first(_: usize) -> usize {
        0
    }

    #[test]
    fn a_publisher_goes_to_the_node_with_fewest_publishers() {
        let mut a = report("sfu-1");
        a.publishers = 2;
        let b = report("sfu-2");
        let view = view_of([a, b]);
        assert_eq!(pick(&view, Role::Publisher, &[], &mut first), Some(name("sfu-2")));
    }

    #[test]
    fn of_nodes_with_as_many_publishers_the_less_loaded_one_is_picked() {
        let mut a = report("sfu-1");
        a.load = 0.6;
        let view = view_of([a, report("sfu-2")]);
        assert_eq!(pick(&view, Role::Publisher, &[], &mut first), Some(name("sfu-2")));
    }

    #[test]
    fn a_publisher_gets_the_better_of_two_nodes_drawn_by_chance() {
        let reports = ["sfu-1", "sfu-2", "sfu-3", "sfu-4"].map(|n| {
            let mut r = report(n);
            r.publishers = n[4..].parse().unwrap();
            r
        });
        let view = view_of(reports);
        // Draws the last of four (sfu-4), then the last of three (sfu-3): sfu-1 would be better, but was not drawn.
        assert_eq!(pick(&view, Role::Publisher, &[], &mut |n| n - 1), Some(name("sfu-3")));
    }

    #[test]
    fn a_viewer_goes_to_the_node_with_the_lowest_load() {
        let mut a = report("sfu-1");
        a.load = 0.4;
        let mut b = report("sfu-2");
        b.load = 0.2;
        b.viewers = 50;
        let view = view_of([a, b]);
        assert_eq!(pick(&view, Role::Viewer, &[], &mut first), Some(name("sfu-2")));
    }

    #[test]
    fn sessions_placed_since_the_last_report_count() {
        let mut view = view_of([report("sfu-1"), report("sfu-2")]);
        view.placed(&name("sfu-1"));
        assert_eq!(pick(&view, Role::Viewer, &[], &mut first), Some(name("sfu-2")));
        assert_eq!(pick(&view, Role::Publisher, &[], &mut first), Some(name("sfu-2")));
    }

    #[test]
    fn equal_nodes_take_turns_by_chance() {
        let view = view_of([report("sfu-1"), report("sfu-2")]);
        assert_eq!(pick(&view, Role::Viewer, &[], &mut |_| 0), Some(name("sfu-1")));
        assert_eq!(pick(&view, Role::Viewer, &[], &mut |n| n - 1), Some(name("sfu-2")));
    }

    #[test]
    fn unready_draining_unreachable_and_excluded_nodes_are_never_picked() {
        let mut unready = report("sfu-1");
        unready.ready = false;
        let mut draining = report("sfu-2");
        draining.draining = true;
        let mut view = view_of([unready, draining, report("sfu-3"), report("sfu-4")]);
        view.lost("http://sfu-3:4000", "no answer");
        for role in [Role::Publisher, Role::Viewer] {
            assert_eq!(pick(&view, role, &[], &mut first), Some(name("sfu-4")));
            assert_eq!(pick(&view, role, &[name("sfu-4")], &mut first), None);
        }
        assert_eq!(pick(&View::default(), Role::Viewer, &[], &mut first), None);
    }
}
