//! Plan and drive by hand, round by round, and what must hold in every round.

use super::{State, World};
use sfumato_admin_api::types::{EndAction, LinkId, LinkState, NodeName};
use sfumato_mesh::plan::{AgedReport, CloseStep, PairEnd, PairId, PairStep};
use sfumato_mesh::{DriveOptions, Observed, Outcome, PlanOptions, Step, drive, plan};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl World {
    /// What an operator sees at this moment, without delay.
    pub fn observe(&self) -> Vec<Observed> {
        self.with(|s| {
            s.beat();
            let now = Instant::now();
            let seen = |s: &State, name: &NodeName| {
                let node = s.nodes.get(name).filter(|n| n.up && !s.hidden.contains(name))?;
                Some(AgedReport {
                    report: Arc::new(node.report(now)),
                    age: Duration::ZERO,
                })
            };
            let observe = |node: &super::FakeNode| Observed {
                name: node.name.clone(),
                admin_url: node.url.clone(),
                report: seen(s, &node.name),
            };
            s.nodes.values().map(observe).collect()
        })
    }

    /// One plan, checked, and one drive.
    pub async fn round(&self, options: &PlanOptions) -> Vec<Outcome> {
        let observed = self.observe();
        let steps = plan(&observed, options);
        check_plan(&observed, &steps);
        drive(steps, self, &DriveOptions::default()).await
    }

    /// Whether the living have a full mesh, and nothing besides.
    pub fn fault_in_mesh(&self, lanes: Option<u16>) -> Option<String> {
        self.with(|s| {
            s.beat();
            let living: Vec<_> = s.nodes.values().filter(|n| n.up).collect();
            for a in &living {
                let mut wanted = 0;
                for b in living.iter().filter(|b| b.name != a.name) {
                    for lane in 0..a.workers.min(b.workers).min(lanes.unwrap_or(u16::MAX)) {
                        wanted += 1;
                        let lane = sfumato_admin_api::types::Lane(lane);
                        let link = a.links.get(&(b.name.clone(), b.incarnation.clone(), lane));
                        if link.is_none_or(|link| link.state != LinkState::Fresh) {
                            return Some(format!("{} to {} lane {lane}: {link:?}", a.name, b.name));
                        }
                    }
                }
                // Ends to a member that does not answer stay as they are.
                let silent = |peer: &NodeName| s.nodes.get(peer).is_some_and(|peer| !peer.up);
                let there = a.links.keys().filter(|(peer, ..)| !silent(peer)).count();
                if there != wanted {
                    return Some(format!(
                        "{} has {there} ends instead of {wanted}: {:?}",
                        a.name, a.links
                    ));
                }
            }
            None
        })
    }

    /// Every end of the living, for comparing before and after.
    pub fn ends(&self) -> BTreeSet<LinkId> {
        self.with(|s| {
            s.nodes
                .values()
                .filter(|n| n.up)
                .flat_map(|n| n.links.values().map(|l| l.id.clone()))
                .collect()
        })
    }
}

/// What no plan may ever do, whatever the reports say.
pub fn check_plan(observed: &[Observed], steps: &[Step]) {
    let mut pairs = BTreeSet::new();
    for step in steps {
        let names: BTreeSet<_> = step.pairs().iter().map(PairId::names).collect();
        for pair in names {
            assert!(pairs.insert(pair.clone()), "two steps of one plan touch {pair:?}");
        }
        check_step(observed, step);
    }
}

fn check_step(observed: &[Observed], step: &Step) {
    let silent = |name: &NodeName| observed.iter().any(|o| o.name == *name && o.report.is_none());
    for (node, id) in touched(step) {
        let seen = observed
            .iter()
            .find(|o| o.name == node)
            .and_then(|o| o.report.as_ref())
            .expect("only who answers is called");
        let link = seen
            .report
            .links
            .iter()
            .find(|l| l.id == id)
            .expect("only ends that are reported are named");
        assert!(
            !silent(&link.peer),
            "{node}: a link to {}, which does not answer, is touched",
            link.peer
        );
        let peer = observed.iter().filter_map(|o| o.report.as_ref()).find(|o| {
            o.report.node.name == link.peer && o.report.node.incarnation == link.peer_incarnation && link.peer != node
        });
        let Some(peer) = peer else { continue };
        let other = peer.report.links.iter().find(|l| {
            Some(&l.id) == link.remote.as_ref()
                && l.remote.as_ref() == Some(&id)
                && (&l.peer, &l.peer_incarnation, l.lane) == (&node, &seen.report.node.incarnation, link.lane)
        });
        for end in [Some(link), other].into_iter().flatten() {
            assert_ne!(
                end.state,
                LinkState::Fresh,
                "{node}: living link {id} is touched while it is fresh: {step:#?}"
            );
        }
    }
    if let Step::Pair(PairStep { a, b, .. }) = step {
        assert!(a.node.name < b.node.name, "the smaller name is called first");
        assert!(
            !silent(&a.node.name) && !silent(&b.node.name),
            "who does not answer is called"
        );
    }
}

/// The ends that a step names: kept ones are touched too, since they get connected.
fn touched(step: &Step) -> Vec<(NodeName, LinkId)> {
    let of = |end: &PairEnd, actions: Vec<&EndAction>| -> Vec<(NodeName, LinkId)> {
        let named = actions.into_iter().filter_map(|action| match action {
            EndAction::Ensure => None,
            EndAction::Keep(id) | EndAction::Replace(id) => Some(id),
        });
        named
            .chain(&end.close)
            .map(|id| (end.node.name.clone(), id.clone()))
            .collect()
    };
    match step {
        Step::Pair(PairStep { a, b, lanes, .. }) => {
            let mut all = of(a, lanes.iter().map(|l| &l.a).collect());
            all.extend(of(b, lanes.iter().map(|l| &l.b).collect()));
            all
        }
        Step::Close(CloseStep { node, ends, .. }) => ends.iter().map(|e| (node.name.clone(), e.id.clone())).collect(),
    }
}
