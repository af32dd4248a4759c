//! Which node gets a new session: a pure function of the view and of a few drawn numbers.

use crate::view::{Known, View};
use sfumato_admin_api::types::{NodeName, NodeReport};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use tokio::time::Instant;

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

/// The nodes that were asked to take a session.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    names: BTreeSet<NodeName>,
    /// Addresses of seeds at which they answer: a node may call itself otherwise at any time.
    addresses: BTreeSet<String>,
    /// Whether one of them is only a name that another node has told of.
    in_vain: bool,
}

impl Asked {
    /// Notes one more.
    pub fn add(&mut self, view: &View, name: &NodeName) {
        self.addresses.extend(view.addresses_of(name).cloned());
        self.in_vain |= !view.counts_by_itself(name);
        self.names.insert(name.clone());
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }
}

/// A node that may take a session, with what it is judged by.
struct Candidate<'a> {
    name: &'a NodeName,
    report: &'a NodeReport,
    placed: u32,
}

/// Picks a node that is reachable, ready and not draining, and none of `except`, which were asked already; `None` when there is none.
///
/// While there are others, those that have left a client without an answer are not picked. Nor are those known by the word of
/// another node alone, once one of these was asked in vain: a node that lies can name more of them than are asked for one client.
///
/// Publishers weigh much and stay long, so they go to the node with the fewest of them; of two nodes drawn by chance,
/// because several front doors with equal views would otherwise all choose the same one. Viewers go to the node with
/// the lowest load. `draw(n)` answers a number below `n`.
#[must_use]
pub fn pick(
    view: &View,
    role: Role,
    except: &Asked,
    now: Instant,
    draw: &mut dyn FnMut(usize) -> usize,
) -> Option<NodeName> {
    let is_asked = |name: &NodeName| {
        except.names.contains(name)
            || view
                .addresses_of(name)
                .any(|address| except.addresses.contains(address))
    };
    let all = view.nodes().iter().filter(|(name, _)| !is_asked(name));
    let (doubted, trusted): (Vec<_>, Vec<_>) = all
        .filter_map(candidate)
        .partition(|it| view.is_hung(it.name, now) || (except.in_vain && !view.counts_by_itself(it.name)));
    let mut candidates = if trusted.is_empty() { doubted } else { trusted };
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

    fn asked(view: &View, names: &[&str]) -> Asked {
        let mut asked = Asked::default();
        for node in names {
            asked.add(view, &name(node));
        }
        asked
    }

    #[test]
    fn a_publisher_goes_to_the_node_with_fewest_publishers() {
        let mut a = report("sfu-1");
        a.publishers = 2;
        let b = report("sfu-2");
        let view = view_of([a, b]);
        assert_eq!(
            pick(&view, Role::Publisher, &Asked::default(), Instant::now(), &mut first),
            Some(name("sfu-2"))
        );
    }

    #[test]
    fn of_nodes_with_as_many_publishers_the_less_loaded_one_is_picked() {
        let mut a = report("sfu-1");
        a.load = 0.6;
        let view = view_of([a, report("sfu-2")]);
        assert_eq!(
            pick(&view, Role::Publisher, &Asked::default(), Instant::now(), &mut first),
            Some(name("sfu-2"))
        );
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
        assert_eq!(
            pick(&view, Role::Publisher, &Asked::default(), Instant::now(), &mut |n| n
                - 1),
            Some(name("sfu-3"))
        );
    }

    #[test]
    fn a_viewer_goes_to_the_node_with_the_lowest_load() {
        let mut a = report("sfu-1");
        a.load = 0.4;
        let mut b = report("sfu-2");
        b.load = 0.2;
        b.viewers = 50;
        let view = view_of([a, b]);
        assert_eq!(
            pick(&view, Role::Viewer, &Asked::default(), Instant::now(), &mut first),
            Some(name("sfu-2"))
        );
    }

    #[test]
    fn sessions_placed_since_the_last_report_count() {
        let mut view = view_of([report("sfu-1"), report("sfu-2")]);
        view.placed(&name("sfu-1"));
        assert_eq!(
            pick(&view, Role::Viewer, &Asked::default(), Instant::now(), &mut first),
            Some(name("sfu-2"))
        );
        assert_eq!(
            pick(&view, Role::Publisher, &Asked::default(), Instant::now(), &mut first),
            Some(name("sfu-2"))
        );
    }

    #[test]
    fn equal_nodes_take_turns_by_chance() {
        let view = view_of([report("sfu-1"), report("sfu-2")]);
        assert_eq!(
            pick(&view, Role::Viewer, &Asked::default(), Instant::now(), &mut |_| 0),
            Some(name("sfu-1"))
        );
        assert_eq!(
            pick(&view, Role::Viewer, &Asked::default(), Instant::now(), &mut |n| n - 1),
            Some(name("sfu-2"))
        );
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
            assert_eq!(
                pick(&view, role, &Asked::default(), Instant::now(), &mut first),
                Some(name("sfu-4"))
            );
            assert_eq!(
                pick(&view, role, &asked(&view, &["sfu-4"]), Instant::now(), &mut first),
                None
            );
        }
        assert_eq!(
            pick(
                &View::default(),
                Role::Viewer,
                &Asked::default(),
                Instant::now(),
                &mut first
            ),
            None
        );
    }

    #[test]
    fn nodes_that_hang_cost_few_clients_their_time_and_those_that_a_liar_names_no_more_than_one_node() {
        let now = Instant::now();
        let soon = now + std::time::Duration::from_secs(10);
        let crowd: Vec<String> = (0..60).map(|n| format!("fake-{n}")).collect();
        let mut busy = report("sfu-1");
        busy.load = 0.9;
        let mut second = report("sfu-2");
        second.load = 0.9;
        let named = crowd.iter().map(|name| report(name));
        let mut view = view_of([busy, second].into_iter().chain(named));
        view.seeded(["http://sfu-1:4000".to_owned(), "http://sfu-2:4000".to_owned()]);
        view.heard(
            "http://sfu-1:4000",
            view.nodes()[&name("sfu-1")].report.clone().unwrap(),
        );
        view.heard(
            "http://sfu-2:4000",
            view.nodes()[&name("sfu-2")].report.clone().unwrap(),
        );
        let viewer =
            |view: &View, names: &[&str]| pick(view, Role::Viewer, &asked(view, names), now, &mut first).unwrap();

        assert_eq!(viewer(&view, &[]), name("fake-0"), "it says that it has no load");
        assert_eq!(viewer(&view, &["fake-0"]), name("sfu-1"), "asked in vain");
        view.hung(&name("fake-0"), soon);
        assert_eq!(viewer(&view, &[]), name("sfu-1"));
        view.hung(&name("sfu-1"), soon);
        assert_eq!(viewer(&view, &[]), name("sfu-2"));
        assert_eq!(
            viewer(&view, &["sfu-2"]),
            name("fake-0"),
            "those that hang are better than none"
        );
        let later = pick(&view, Role::Viewer, &Asked::default(), soon, &mut first);
        assert_eq!(later, Some(name("fake-0")), "not for ever");
    }

    #[test]
    fn a_node_that_calls_itself_otherwise_all_the_time_is_asked_once() {
        let now = Instant::now();
        let (liar, honest) = ("http://sfu-1:4000", "http://sfu-2:4000");
        let called = |name: &str| {
            let mut it = report(name);
            it.node.admin_url = liar.to_owned();
            it
        };
        let mut second = report("sfu-2");
        second.load = 0.9;
        let mut view = View::default();
        view.seeded([liar.to_owned(), honest.to_owned()]);
        view.heard(liar, called("a"));
        view.heard(honest, second);
        let mut tried = Asked::default();
        tried.add(&view, &name("a"));
        view.heard(liar, called("b"));
        assert_eq!(pick(&view, Role::Viewer, &tried, now, &mut first), Some(name("sfu-2")));
        view.hung(&name("b"), now + std::time::Duration::from_secs(10));
        view.heard(liar, called("c"));
        assert_eq!(
            pick(&view, Role::Viewer, &Asked::default(), now, &mut first),
            Some(name("sfu-2"))
        );
        view.heard(liar, called("sfu-2"));
        assert_eq!(
            view.nodes()[&name("sfu-2")].peer.admin_url,
            honest,
            "nor does it take another one's name"
        );
        assert!(
            view.seeds()[liar]
                .error
                .as_ref()
                .unwrap()
                .contains("calls itself sfu-2")
        );
    }

    #[test]
    fn one_that_has_answered_a_client_counts_by_itself_whoever_told_of_it() {
        let now = Instant::now();
        let mut view = view_of([report("fake"), report("sfu-2")]);
        view.proven(&name("sfu-2"));
        view.hung(&name("fake"), now + std::time::Duration::from_secs(10));
        assert!(view.is_hung(&name("fake"), now) && !view.is_hung(&name("sfu-2"), now));
        view.hung(&name("sfu-2"), now + std::time::Duration::from_secs(10));
        assert!(view.is_hung(&name("sfu-2"), now));
    }
}
