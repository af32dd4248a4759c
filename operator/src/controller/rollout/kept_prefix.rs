//! What the keys of adopted nodes in Redis begin with. They hold their streams' names under the UID of the cluster that made
//! them. If it changed with the adoption, the next roll would have nodes under two prefixes, which do not see each other's
//! claims: two publishers could hold one name. So it stays for as long as there are nodes that run by it. Pure.

use crate::controller::build::ClusterId;
use crate::controller::watch::seen::{Pod, PodSpec, StatefulSet};
use std::sync::Arc;

/// Option of a node with the prefix.
const OPTION: &str = "cluster";

/// The prefix by which the nodes of a cluster run, where it is not the cluster's own. `live` is their StatefulSet. While that
/// is made anew around its pods, `uncontrolled` are those.
#[must_use]
pub fn kept_prefix(id: &ClusterId, live: Option<&StatefulSet>, uncontrolled: &[Arc<Pod>]) -> Option<String> {
    let written = |spec: &PodSpec| spec.argument(OPTION).filter(|prefix| is_of(id, prefix));
    let found = match live {
        Some(live) => written(&live.spec.template.spec),
        None => uncontrolled.iter().find_map(|pod| written(&pod.spec)),
    };
    found.filter(|prefix| *prefix != id.redis_prefix())
}

/// Whether it is the prefix of a cluster of this name in this namespace. One of a backup of another namespace is not kept: the
/// cluster that it was taken from may still run, at the same Redis.
fn is_of(id: &ClusterId, prefix: &str) -> bool {
    let uid = prefix.strip_prefix(&format!("{}/{}/", id.namespace, id.name));
    uid.is_some_and(|uid| !uid.is_empty() && uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(prefix: &str) -> Value {
        json!({ "containers": [{ "args": ["--workers=1", format!("--cluster={prefix}")] }] })
    }

    fn kept(live: Option<&str>, pod: Option<&str>) -> Option<String> {
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "now".to_owned(),
        };
        let live: Option<StatefulSet> = live
            .map(|prefix| serde_json::from_value(json!({ "spec": { "template": { "spec": spec(prefix) } } })).unwrap());
        let pods: Vec<Arc<Pod>> = pod
            .map(|prefix| Arc::new(serde_json::from_value(json!({ "spec": spec(prefix) })).unwrap()))
            .into_iter()
            .collect();
        kept_prefix(&id, live.as_ref(), &pods)
    }

    #[test]
    fn nodes_that_were_adopted_keep_their_prefix_and_no_others_do() {
        let then = || Some("media/live/then".to_owned());
        assert_eq!(kept(None, None), None, "nothing is there");
        assert_eq!(kept(Some("media/live/now"), None), None, "its own");
        assert_eq!(kept(Some("media/live/then"), None), then());
        assert_eq!(
            kept(None, Some("media/live/then")),
            then(),
            "the StatefulSet is made anew"
        );
        assert_eq!(kept(Some("media/live/now"), Some("media/live/then")), None);
        for foreign in [
            "other/live/then",
            "media/other/then",
            "media/live/",
            "media/live/a/b",
            "x",
        ] {
            assert_eq!(kept(Some(foreign), None), None, "{foreign}");
        }
    }
}
