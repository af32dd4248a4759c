//! Removes what a cluster does not want any more: its own children, and what nobody controls under the names of such children, as
//! after `kubectl delete --cascade=orphan` and after a backup was restored.

use super::apply::{Applier, Became};
use super::apply_error::{ApplyError, error_code};
use crate::controller::build::{Children, ClusterId};
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::{Whose, this_version, whose};
use k8s_openapi::NamespaceResourceScope;
use kube::api::DeleteParams;
use kube::core::ObjectMeta;
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Names of the children of one kind.
struct Names {
    /// All that a cluster may have.
    known: Vec<String>,
    wanted: Vec<String>,
}

impl Applier {
    /// Removes the children of all kinds that are not wanted. A ServiceAccount always is.
    pub(super) async fn sweep_all(
        &self,
        id: &ClusterId,
        children: &Children,
        caches: &Caches,
    ) -> [Result<Became, ApplyError>; 5] {
        let redis = children.redis.as_ref().map(|redis| redis.service.name_any());
        // What keeps Redis' pod goes in an order of its own.
        let with_redis = |name: String| vec![name, id.redis()];
        let sets = Names {
            known: vec![id.nodes(), id.redis()],
            wanted: with_redis(children.nodes.name_any()),
        };
        let deployments = Names {
            known: vec![id.web(), id.redis()],
            wanted: with_redis(children.web.name_any()),
        };
        let services = [children.nodes_service.name_any(), children.web_service.name_any()];
        let media = children.media_services.iter().map(ResourceExt::name_any);
        let mut known = id.media_services();
        known.extend([id.nodes_service(), id.web(), id.redis()]);
        let services = Names {
            known,
            wanted: redis.into_iter().chain(services).chain(media).collect(),
        };
        let budgets = children.budget.iter().chain(&children.web_budget);
        let budgets = Names {
            known: vec![id.nodes(), id.web()],
            wanted: budgets.map(ResourceExt::name_any).collect(),
        };
        let policies = Names {
            known: vec![id.nodes(), id.redis()],
            wanted: children.policies.iter().map(ResourceExt::name_any).collect(),
        };
        [
            self.sweep(id, &caches.stateful_sets, &sets).await,
            self.sweep(id, &caches.deployments, &deployments).await,
            self.sweep(id, &caches.services, &services).await,
            self.sweep(id, &caches.budgets, &budgets).await,
            self.sweep(id, &caches.policies, &policies).await,
        ]
    }

    /// Removes those of one kind.
    async fn sweep<K>(&self, id: &ClusterId, cache: &Store<K>, names: &Names) -> Result<Became, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug + 'static,
    {
        for unwanted in cache.state_filter(|object| is_unwanted(object.meta(), id, names)) {
            let (kind, name) = (K::kind(&()).into_owned(), unwanted.name_any());
            let params = DeleteParams::background().preconditions(this_version(unwanted.meta()));
            let api: Api<K> = Api::namespaced(self.client().clone(), &id.namespace);
            let _turn = self.turn().await;
            match api.delete(&name, &params).await {
                Ok(_) => tracing::info!(
                    kind,
                    namespace = id.namespace,
                    cluster = id.name,
                    object = name,
                    "removed: it is not wanted any more"
                ),
                Err(error) if error_code(&error) == Some(404) => {}
                Err(error) if error_code(&error) == Some(409) => return Ok(Became::Changed),
                Err(source) => return Err(ApplyError::Refused { kind, name, source }),
            }
        }
        Ok(Became::AsDesired)
    }
}

/// Whether an object is to be removed. What is the cluster's own may be of a release that made it under another name; what
/// nobody controls is only removed where it would have been adopted.
fn is_unwanted(object: &ObjectMeta, id: &ClusterId, names: &Names) -> bool {
    let (namespace, name) = (object.namespace.as_ref(), object.name.as_ref());
    let is_one_of = |names: &[String]| name.is_some_and(|name| names.contains(name));
    let may_go = match whose(object, id) {
        Whose::Ours => true,
        Whose::Nobodys => is_one_of(&names.known),
        Whose::Predecessors | Whose::Others => false,
    };
    namespace == Some(&id.namespace) && may_go && object.deletion_timestamp.is_none() && !is_one_of(&names.wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_not_wanted_goes_if_it_is_ours_or_nobodys_under_one_of_our_names() {
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "now".to_owned(),
        };
        let names = Names {
            known: vec!["live".to_owned(), "live-web".to_owned()],
            wanted: vec!["live".to_owned()],
        };
        let labels = json!({
            "app.kubernetes.io/managed-by": "sfu-operator", "app.kubernetes.io/name": "sfumato",
            "app.kubernetes.io/instance": "live",
        });
        let owner = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "sfumato.dev/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
        let object = |name: &str, owners: Value| json!({ "namespace": "media", "name": name, "labels": labels, "ownerReferences": owners });
        let changed = |field: &str, value: Value| {
            let mut object = object("live-web", json!([]));
            object[field] = value;
            object
        };
        let (ours, none) = (|| owner("SfuCluster", "live", "now"), json!([]));
        for (what, object, goes) in [
            ("ours, wanted", object("live", ours()), false),
            ("ours, not wanted", object("live-web", ours()), true),
            ("ours, of another release", object("live-old", ours()), true),
            ("nobody's, wanted", object("live", none.clone()), false),
            ("nobody's, not wanted", object("live-web", none.clone()), true),
            ("nobody's, under no name of ours", object("live-old", none), false),
            (
                "of the cluster before",
                object("live-web", owner("SfuCluster", "live", "then")),
                false,
            ),
            (
                "of another cluster",
                object("live-web", owner("SfuCluster", "other", "o")),
                false,
            ),
            (
                "of another controller",
                object("live-web", owner("Other", "live", "x")),
                false,
            ),
            ("without our labels", changed("labels", json!({})), false),
            ("in another namespace", changed("namespace", json!("other")), false),
            (
                "going already",
                changed("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
                false,
            ),
        ] {
            let object = serde_json::from_value(object).unwrap();
            assert_eq!(is_unwanted(&object, &id, &names), goes, "{what}");
        }
    }
}
