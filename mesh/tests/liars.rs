//! Nodes that claim what they do not have: how much is planned is decided by what is wanted, and not by what they say.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sfumato_admin_api::types::NodeReport;
use sfumato_mesh::plan::{AgedReport, MAX_CLOSED_AT_ONCE};
use sfumato_mesh::{Observed, PlanOptions, Step, plan};
use std::sync::Arc;
use std::time::Duration;

/// A node with as many workers and links as can be said at all.
fn liar(n: usize, links: &Value) -> Observed {
    let report = json!({
        "apiVersion": 1, "version": "1", "name": format!("sfu-{n}"), "incarnation": format!("0.{n}"), "revision": 1,
        "adminUrl": "http://a", "clientUrl": "http://c", "workers": 64, "linkEncryption": true, "ready": true,
        "draining": false, "redis": true, "peers": [], "links": links, "publications": [], "carried": [], "viewers": 0,
        "publishers": 0,
    });
    let report: NodeReport = serde_json::from_value(report).unwrap();
    Observed {
        name: report.node.name.clone(),
        admin_url: String::new(),
        report: Some(AgedReport {
            report: Arc::new(report),
            age: Duration::ZERO,
        }),
    }
}

fn link(id: &str, peer: &str, lane: usize) -> Value {
    json!({ "id": id, "peer": peer, "peerIncarnation": "0.x", "lane": lane, "remote": null, "state": "stale", "sinceMs": 0,
            "rttUs": null })
}

fn most_lanes(lanes: u16) -> PlanOptions {
    PlanOptions {
        lanes: Some(lanes),
        ..PlanOptions::default()
    }
}

#[test]
fn claimed_workers_add_no_lane_to_those_that_the_cluster_is_to_have() {
    let members: Vec<Observed> = (0..9).map(|n| liar(n, &json!([]))).collect();
    let steps = plan(&members, &most_lanes(2));
    assert_eq!(steps.len(), 9 * 8 / 2);
    let lanes = |step: &Step| match step {
        Step::Pair(step) => step.lanes.len(),
        Step::Close(_) => 0,
    };
    assert!(steps.iter().all(|step| lanes(step) == 2));
}

#[test]
fn claimed_links_are_closed_in_steps_of_a_bounded_size() {
    let orphans: Value = (0..2_048).map(|n| link(&format!("l{n}"), "nobody", n % 64)).collect();
    let surplus: Value = (0..2_048).map(|n| link(&format!("l{n}"), "sfu-1", n % 64)).collect();
    for links in [orphans, surplus] {
        let members = [liar(0, &links), liar(1, &json!([]))];
        for step in plan(&members, &most_lanes(1)) {
            let ends = match &step {
                Step::Pair(step) => step.a.close.len() + step.b.close.len() + step.lanes.len(),
                Step::Close(step) => step.ends.len(),
            };
            assert!((1..=MAX_CLOSED_AT_ONCE + 1).contains(&ends), "{ends}");
        }
    }
}

/// As many ends as a report may have, spread over the lanes as a node may have them, of nodes that all know each other.
#[test]
fn as_many_ends_as_may_be_reported_are_planned_in_a_bounded_time() {
    let members: Vec<Observed> = (0..32)
        .map(|n| {
            let end = |m: usize, lane: usize, copy: usize| {
                json!({ "id": format!("l{n}-{m}-{lane}-{copy}"), "peer": format!("sfu-{m}"), "peerIncarnation": format!("0.{m}"),
                        "lane": lane, "remote": format!("l{m}-{n}-{lane}-{copy}"), "state": "fresh", "sinceMs": 0, "rttUs": null })
            };
            let others = (0..32).filter(|m| *m != n);
            let links: Vec<Value> = others
                .flat_map(|m| (0..64).map(move |at| (m, at / 4, at % 4)))
                .map(|(m, lane, copy)| end(m, lane, copy))
                .collect();
            liar(n, &Value::from(links))
        })
        .collect();
    let begun = std::time::Instant::now();
    let steps = plan(&members, &most_lanes(64));
    // All pairs walked over all ends of each other took minutes; a machine that is merely busy does not.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(!steps.is_empty());
}
