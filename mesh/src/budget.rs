//! What the reports of meshes may take in memory together: one program looks after many meshes, and none may end it for the others.

use crate::poll::What;
use parking_lot::Mutex;
use sfumato_admin_api::types::bounds::MAX_MEMBERS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes that the reports of all nodes of a mesh take. The largest mesh, 32 nodes with 64 lanes a pair, takes 24 MiB.
pub const KEPT_BYTES: usize = 32 * 1024 * 1024;
/// What each node has for its own, whatever the others say.
const SHARE: usize = KEPT_BYTES / MAX_MEMBERS;
/// What all meshes of a program have for their own, in equal shares.
const OWN_BYTES: usize = 64 * 1024 * 1024;
/// Least share of a mesh, however many there are: a mesh of three nodes with 16 lanes takes 80 KiB.
const LEAST_SHARE: usize = 256 * 1024;
/// What meshes take beyond their shares, all together: who comes first has it.
const COMMON_BYTES: usize = 64 * 1024 * 1024;

/// What the meshes of one program keep. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Budget(Arc<Mutex<Accounts>>);

#[derive(Debug, Default)]
struct Accounts {
    opened: u64,
    kept: BTreeMap<u64, usize>,
}

/// What one mesh keeps, until it is dropped.
#[derive(Debug)]
pub struct Account {
    budget: Budget,
    number: u64,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.0.lock().kept.remove(&self.number);
    }
}

impl Budget {
    /// The account of one more mesh.
    pub fn account(&self) -> Account {
        let mut accounts = self.0.lock();
        accounts.opened += 1;
        let number = accounts.opened;
        accounts.kept.insert(number, 0);
        Account {
            budget: self.clone(),
            number,
        }
    }
}

impl Account {
    /// Notes that this mesh keeps so many bytes now.
    pub fn keeps(&self, bytes: usize) {
        self.budget.0.lock().kept.insert(self.number, bytes);
    }

    /// Why this mesh may not keep a report of so many bytes beside so many of its other nodes.
    fn refuses(&self, weight: usize, of_others: usize) -> Option<String> {
        let together = of_others.saturating_add(weight);
        if weight > SHARE && together > KEPT_BYTES {
            return Some(format!(
                "its report takes {weight} bytes of memory, those of the other nodes {of_others}, and all together may take \
                 {KEPT_BYTES}: nodes of this cluster name too many links"
            ));
        }
        let accounts = self.budget.0.lock();
        let share = (OWN_BYTES / accounts.kept.len().max(1)).max(LEAST_SHARE);
        let others = accounts.kept.iter().filter(|(number, _)| **number != self.number);
        let beyond: usize = others.map(|(_, kept)| kept.saturating_sub(share)).sum();
        let room = share.saturating_add(COMMON_BYTES.saturating_sub(beyond));
        (together > share && together > room).then(|| {
            format!(
                "with its report, of {weight} bytes of memory, those of this cluster would take {together}, and {room} are left beside \
                 those of other clusters: nodes of some cluster name too many links"
            )
        })
    }
}

/// A report for which the others leave no room is no report: what was known of its node before stays. One that takes no more than
/// that (`kept`) takes no room.
pub fn within_budget(what: What, kept: usize, of_others: usize, account: &Account) -> What {
    let weight = match &what {
        What::Report { weight, .. } if *weight > kept => *weight,
        _ => return what,
    };
    account
        .refuses(weight, of_others)
        .map_or(what, |why| What::Unusable { why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use sfumato_admin_api::types::NodeReport;
    use std::sync::Arc;
    use tokio::time::Instant;

    fn report(links: &[Value]) -> NodeReport {
        let report = json!({
            "apiVersion": 1, "version": "1.2.3", "name": "live-31", "incarnation": "00000000-0000-0000-0000-000000000000.1",
            "revision": 1, "adminUrl": "https://10.0.0.1:4001", "clientUrl": "http://10.0.0.1:3001", "workers": 64,
            "linkEncryption": true, "ready": true, "draining": false, "redis": true, "peers": [], "links": links,
            "publications": [], "carried": [], "viewers": 0, "publishers": 0,
        });
        serde_json::from_value(report).unwrap()
    }

    fn heard(weight: usize, of_others: usize) -> bool {
        let what = What::Report {
            report: Arc::new(report(&[])),
            streams: 0,
            weight,
            asked: Instant::now(),
        };
        matches!(
            within_budget(what, 0, of_others, &Budget::default().account()),
            What::Report { .. }
        )
    }

    #[test]
    fn the_largest_mesh_fits_and_no_more_than_the_budget_is_kept() {
        let links: Vec<Value> = (0..31 * 64)
            .map(|n| {
                json!({
                    "id": format!("0123456789abcdef-{n}"), "peer": "live-30", "lane": n % 64, "state": "fresh", "sinceMs": 1,
                    "peerIncarnation": "00000000-0000-0000-0000-000000000000.1", "remote": format!("0123456789abcdef-{n}"),
                })
            })
            .collect();
        let one = report(&links).weight();
        assert!(heard(one, 31 * one), "{one} bytes a node");
        assert!(heard(SHARE, KEPT_BYTES), "each has its share");
        assert!(heard(SHARE + 1, KEPT_BYTES - SHARE - 1));
        assert!(!heard(SHARE + 1, KEPT_BYTES - SHARE));
        assert!(!heard(usize::MAX, 1));
    }

    #[test]
    fn meshes_that_keep_as_much_as_they_may_leave_the_others_their_shares() {
        let budget = Budget::default();
        let full: Vec<Account> = (0..4).map(|_| budget.account()).collect();
        for mesh in &full {
            assert_eq!(mesh.refuses(SHARE, KEPT_BYTES - SHARE), None);
            mesh.keeps(KEPT_BYTES);
        }
        let next: Vec<Account> = (0..96).map(|_| budget.account()).collect();
        let share = OWN_BYTES / 100;
        for mesh in &next {
            assert_eq!(mesh.refuses(share / 3, share / 2), None, "an honest mesh fits");
            let why = mesh.refuses(SHARE, SHARE).unwrap();
            assert!(why.contains("beside those of other clusters"), "{why}");
        }
        let all: usize = budget.0.lock().kept.values().sum();
        assert!(all <= OWN_BYTES + COMMON_BYTES);
        drop(full);
        assert_eq!(next[0].refuses(SHARE, KEPT_BYTES - SHARE), None, "they are gone");
    }
}
