//! The table of states in docs/kubernetes.md, walked through: each state is made, and what is told of it is what the table says.
#![allow(clippy::unwrap_used)]

use super::convergence::{RECONCILING, Refusal, STALLED, STALLED_AFTER};
use super::remark::Remark;
use super::status::{Facts, FrontDoorFacts, NodeFacts, status};
use super::status_notes::{EVICTION_REFUSED, changes};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use sfumato_admin_api::types::NodeReport;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../docs/kubernetes.md");
/// The definition says what an object has that nobody has looked at (`crds.rs`).
const BY_THE_DEFINITION: &str = "no operator has looked at it";
/// Events that acts have, and not changes of a status.
const OF_ACTS: [&str; 2] = ["Draining", "Replacing"];

/// What was told before.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// Of an older manifest, which was carried out.
    Older,
    /// Of this manifest, which was carried out.
    Settled,
}

#[derive(Clone, Copy)]
struct Case {
    /// As the table calls it.
    state: &'static str,
    before: Before,
    /// From a cluster that is as it should be.
    made: fn(&mut Facts<'_>),
    linked: u32,
    reaches_redis: bool,
}

fn case(state: &'static str, before: Before, made: fn(&mut Facts<'_>)) -> Case {
    Case {
        state,
        before,
        made,
        linked: 3,
        reaches_redis: true,
    }
}

fn unlinked(case: Case) -> Case {
    Case { linked: 1, ..case }
}

fn lose_a_node(facts: &mut Facts<'_>) {
    facts.nodes[2].ready = false;
}

fn crash(facts: &mut Facts<'_>) {
    lose_a_node(facts);
    facts.nodes[2].trouble = Some(Remark::new("Crashing", "live-2 ends again and again"));
}

fn crash_for_long(facts: &mut Facts<'_>) {
    crash(facts);
    facts.effort.standstill = STALLED_AFTER;
}

fn lack_a_front_door(facts: &mut Facts<'_>) {
    facts.front_door.ready = 1;
}

/// `why` keeps something from being applied.
fn refuse(facts: &mut Facts<'_>, why: &'static str, is_final: bool) {
    let remark = Remark::new(why, "no");
    facts.degraded = vec![remark.clone()];
    facts.effort.refused = Some(Refusal { remark, is_final });
}

fn do_now(facts: &mut Facts<'_>, what: &'static str) {
    facts.effort.under_way = Some(Remark::new(what, "goes on"));
}

fn cases() -> Vec<Case> {
    use Before::{Nothing, Older, Settled};
    vec![
        unlinked(case("first start, scale-up", Nothing, |facts| facts.nodes.clear())),
        case("first start, scale-up", Older, |facts| facts.desired = 5),
        case("a change was applied and not taken up yet", Older, |facts| {
            do_now(facts, "Applying");
        }),
        case("roll of media nodes or front door", Older, |facts| {
            do_now(facts, "Rolling");
        }),
        case("roll of media nodes or front door", Older, |facts| {
            do_now(facts, "Rolling");
            lose_a_node(facts);
        }),
        case("scale-down", Older, |facts| do_now(facts, "ScalingDown")),
        case("a drained pod may not be evicted", Older, |facts| {
            do_now(facts, EVICTION_REFUSED);
        }),
        case("a drained pod may not be evicted", Older, |facts| {
            do_now(facts, EVICTION_REFUSED);
            facts.degraded.extend(facts.effort.under_way.clone());
        }),
        case("an object of before is being deleted", Older, |facts| {
            do_now(facts, "WaitingForDeletion");
        }),
        case("paused, with changes held back", Older, |facts| {
            facts.paused = true;
            do_now(facts, "Paused");
        }),
        case("paused, with none", Settled, |facts| facts.paused = true),
        unlinked(case(
            "a pod does not start, before the manifest was carried out",
            Nothing,
            crash,
        )),
        unlinked(case(
            "a pod does not start, before the manifest was carried out",
            Nothing,
            crash_for_long,
        )),
        case("the manifest is invalid", Older, |facts| {
            refuse(facts, "InvalidSpec", true);
        }),
        case("a name is taken", Older, |facts| refuse(facts, "NameTaken", true)),
        case("the API server rejects a child, or the Secret", Older, |facts| {
            refuse(facts, "ApplyRefused", true);
        }),
        case("the API server rejects a child, or the Secret", Older, |facts| {
            refuse(facts, "SecretRefused", true);
        }),
        case("the API server fails", Older, |facts| {
            refuse(facts, "ApplyRefused", false);
        }),
        case(
            "the API server, or a webhook that it asks, takes more than 30 s",
            Older,
            |facts| refuse(facts, "ApiServerSlow", false),
        ),
        case(
            "the API server, or a webhook that it asks, takes more than 30 s",
            Older,
            |facts| {
                refuse(facts, "ApiServerSlow", false);
                facts.effort.standstill = STALLED_AFTER;
            },
        ),
        case("the API server fails", Settled, |facts| {
            refuse(facts, "ApplyRefused", false);
        }),
        case("carried out", Older, |_| {}),
        case("carried out", Nothing, |_| {}),
        case(
            "trouble afterwards: a pod, a link, a front door is lost",
            Settled,
            lose_a_node,
        ),
        case(
            "trouble afterwards: a pod, a link, a front door is lost",
            Settled,
            crash,
        ),
        case(
            "trouble afterwards: a pod, a link, a front door is lost",
            Settled,
            lack_a_front_door,
        ),
        Case {
            linked: 2,
            ..case(
                "trouble afterwards: a pod, a link, a front door is lost",
                Settled,
                |_| {},
            )
        },
        case("a child is rejected afterwards", Settled, |facts| {
            refuse(facts, "ApplyRefused", true);
        }),
        Case {
            reaches_redis: false,
            ..case("Redis is away", Settled, |_| {})
        },
        Case {
            reaches_redis: false,
            ..case("Redis is away", Settled, |facts| {
                facts.others = Some(Remark::new("NoHost", "live-redis-0 has no Kubernetes node"));
            })
        },
    ]
}

fn mesh(linked: u32, reaches_redis: bool) -> MeshSnapshot {
    let member = |ordinal: usize| {
        let report = json!({
            "apiVersion": 1, "version": "1.2.3", "name": format!("live-{ordinal}"), "incarnation": "u.1",
            "adminUrl": "https://a", "clientUrl": "http://c", "revision": 1, "workers": 1, "linkEncryption": true,
            "ready": true, "draining": false, "redis": reaches_redis, "peers": [], "links": [], "publications": [],
            "carried": [], "viewers": 0, "publishers": 0,
        });
        let report: NodeReport = serde_json::from_value(report).unwrap();
        MemberSnapshot {
            name: report.node.name.clone(),
            incarnation: Some(report.node.incarnation.clone()),
            reachable: true,
            asked: true,
            report: Some(Arc::new(report)),
            streams: 0,
            unusable: None,
            silent: None,
        }
    };
    MeshSnapshot {
        members: (0..3).map(member).collect(),
        desired_pairs: 3,
        established_pairs: linked,
        ..MeshSnapshot::default()
    }
}

fn facts(mesh: &MeshSnapshot, generation: i64) -> Facts<'_> {
    let node = |ordinal: usize| NodeFacts {
        name: format!("live-{ordinal}"),
        host: String::new(),
        ready: true,
        trouble: None,
    };
    Facts {
        generation: Some(generation),
        operator: String::new(),
        desired: 3,
        nodes: (0..3).map(node).collect(),
        selector: String::new(),
        mesh,
        paused: false,
        degraded: Vec::new(),
        front_door: FrontDoorFacts {
            desired: 2,
            ready: 2,
            trouble: None,
        },
        others: None,
        effort: super::convergence::Effort::default(),
        upgrade: None,
        unprotected: None,
    }
}

/// What is told of a case: as Ready, as Reconciling or Stalled, as Degraded, and by events.
fn told(case: &Case) -> (String, String, String, Vec<&'static str>) {
    let whole = mesh(3, true);
    let at = Timestamp::UNIX_EPOCH;
    let nothing = SfuClusterStatus::default();
    let before = match case.before {
        Before::Nothing => nothing,
        Before::Older => status(&facts(&whole, 1), &nothing, at),
        Before::Settled => status(&facts(&whole, 2), &nothing, at),
    };
    let seen = mesh(case.linked, case.reaches_redis);
    let mut now = facts(&seen, 2);
    (case.made)(&mut now);
    let now = status(&now, &before, at);
    let condition = |kind: &str| now.conditions.iter().find(|it| it.type_ == kind);
    let ready = condition("Ready").unwrap();
    let open = condition(RECONCILING).or_else(|| condition(STALLED));
    let degraded = condition("Degraded").filter(|it| it.status == "True");
    (
        format!("{}: {}", ready.status, ready.reason),
        open.map_or_else(String::new, |it| format!("{}: {}", it.type_, it.reason)),
        degraded.map_or_else(String::new, |it| it.reason.clone()),
        changes(&before, &now).iter().map(|note| note.reason).collect(),
    )
}

/// The rows of the table, each with its cells.
fn rows() -> Vec<Vec<&'static str>> {
    let from = PAGE.find("| state | Ready |").unwrap();
    let table = PAGE[from..].lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    table.map(cells).collect()
}

/// Whether a cell says this. It may list several things, with when they hold.
fn says(cell: &str, what: &str) -> bool {
    if what.is_empty() {
        let at_times = [
            "after ",
            "before it was carried out: ",
            "its reason, where a person must act",
        ];
        return cell.is_empty() || at_times.iter().any(|words| cell.starts_with(words));
    }
    cell.split(", ").any(|one| {
        let one = one
            .trim_start_matches("or ")
            .trim_start_matches("before it was carried out: ");
        let one = one
            .split_once(" min")
            .map_or(one, |(_, rest)| rest.trim_start_matches(':').trim());
        let stands_for_any = ["as before", "the same"].contains(&one) || one.ends_with("its reason");
        stands_for_any || one == what || what.ends_with(&format!(": {one}"))
    })
}

#[test]
fn each_state_is_told_as_the_table_says() {
    let rows = rows();
    let mut wrong = Vec::new();
    for case in cases() {
        let row = rows.iter().find(|row| row[0] == case.state);
        let row = row.unwrap_or_else(|| panic!("the table has no row `{}`", case.state));
        let (ready, open, degraded, events) = told(&case);
        let conditions = [(row[1], ready), (row[2], open), (row[3], degraded)];
        let events = events.into_iter().map(|event| (row[4], event.to_owned()));
        let others = conditions
            .into_iter()
            .chain(events)
            .filter(|(cell, what)| !says(cell, what));
        wrong.extend(
            others.map(|(cell, what)| format!("{}: told is `{what}`, and the table says `{cell}`", case.state)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_row_of_the_table_is_walked_through() {
    let cases = cases();
    for row in rows() {
        let mut of_row = cases.iter().filter(|case| case.state == row[0]).peekable();
        assert!(
            of_row.peek().is_some() || row[0] == BY_THE_DEFINITION,
            "no case is of `{}`",
            row[0]
        );
        // What a row promises is told in one of its cases.
        let told: Vec<_> = of_row.map(told).collect();
        let plain = |cell: &'static str| {
            let words = cell.split([',', ' ', ':']).map(str::trim);
            words.filter(|word| {
                word.starts_with(char::is_uppercase)
                    && !["True", "False", "Unknown", "Reconciling", "Stalled"].contains(word)
            })
        };
        for reason in [1, 2, 3, 4].into_iter().flat_map(|at| plain(row[at])) {
            let is_told = told.iter().any(|(ready, open, degraded, events)| {
                [ready, open, degraded].iter().any(|it| it.ends_with(reason)) || events.contains(&reason)
            });
            let is_elsewhere = row[0] == BY_THE_DEFINITION || OF_ACTS.contains(&reason);
            assert!(
                is_told || is_elsewhere,
                "`{}` promises {reason}, and no case of it tells that",
                row[0]
            );
        }
    }
}
