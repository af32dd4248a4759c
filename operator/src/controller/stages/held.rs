//! What a pause keeps from being applied of the children without pods: the API server is asked what it would make of each, once
//! for each version of child and manifest.

use super::apply::Applier;
use super::last_apply::{Compared, LastApply, Name, hash_of};
use crate::controller::build::{Children, ClusterId, MANAGER, Redis};
use crate::controller::rollout::adjust::Prepared;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::check;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::owned;
use crate::controller::words::words;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Debug;

impl Applier {
    /// Names of the children without pods that are others than a manifest says. Those with pods are compared by what their pods
    /// are built from.
    pub async fn held(&self, id: &ClusterId, prepared: &Prepared, caches: &Caches) -> Vec<String> {
        // Without `..`: a child that nobody compares does not compile.
        let Children {
            account,
            nodes: _,
            nodes_service,
            media_services,
            budget,
            web: _,
            web_budget,
            web_service,
            redis,
            policies,
        } = &prepared.children;
        let mut found = vec![self.differs(id, account, &caches.accounts).await];
        let services = redis.iter().map(|Redis { service, .. }| service);
        for service in [nodes_service, web_service]
            .into_iter()
            .chain(services)
            .chain(media_services)
        {
            found.push(self.differs(id, service, &caches.services).await);
        }
        for budget in budget.iter().chain(web_budget) {
            found.push(self.differs(id, budget, &caches.budgets).await);
        }
        for policy in policies {
            found.push(self.differs(id, policy, &caches.policies).await);
        }
        let budgets: Vec<String> = budget.iter().chain(web_budget).map(ResourceExt::name_any).collect();
        found.extend(unwanted(id, &caches.budgets, &[id.nodes(), id.web()], &budgets));
        let names: Vec<String> = media_services.iter().map(ResourceExt::name_any).collect();
        found.extend(unwanted(id, &caches.services, &id.media_services(), &names));
        let names: Vec<String> = policies.iter().map(ResourceExt::name_any).collect();
        found.extend(unwanted(id, &caches.policies, &[id.nodes(), id.redis()], &names));
        found.into_iter().flatten().collect()
    }

    /// The kind and name of a child that an apply would change.
    async fn differs<K, L>(&self, id: &ClusterId, desired: &K, cache: &Store<L>) -> Option<String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + Clone + Debug + 'static,
        L: Resource<DynamicType = ()> + Clone + 'static,
    {
        let name = Name::of(id, desired);
        let called = format!("{} {}", name.kind, name.name);
        let Some(live) = cache.get(&ObjectRef::new(&name.name).within(&name.namespace)) else {
            // Objects of somebody else are in no cache.
            return Some(match self.is_taken::<K>(id, &name).await {
                Ok(false) => called,
                Ok(true) => format!("{called}, whose name is taken"),
                Err(error) => format!("{called}, which could not be looked at: {}", words(&error)),
            });
        };
        if check(Some(live.meta()), id, &name.kind, &name.name).is_err() {
            return Some(format!("{called}, whose name is taken"));
        }
        let hash = hash_of(desired).ok()?;
        if self.applied.lock().get(&name) == Some(&LastApply::new(id, live.meta(), hash)) {
            return None;
        }
        let version = live.meta().resource_version.clone();
        let known = self.compared.lock().get(&name).cloned();
        let known = known.filter(|known| known.desired == hash && known.version == version);
        let is_same = if let Some(known) = known {
            known.is_same
        } else {
            // What cannot be told now is asked again. Until then, nobody may take it for done.
            let is_same = match self.would_stay(id, desired).await {
                Ok(is_same) => is_same,
                Err(error) => return Some(format!("{called}, which could not be compared: {}", words(&error))),
            };
            let compared = Compared {
                cluster: Key::from(id),
                desired: hash,
                version,
                is_same,
            };
            self.compared.lock().insert(name, compared);
            is_same
        };
        (!is_same).then_some(called)
    }

    /// Whether somebody else has an object of this kind and name.
    async fn is_taken<K>(&self, id: &ClusterId, name: &Name) -> kube::Result<bool>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + 'static,
    {
        let _turn = self.turn().await;
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client().clone(), &name.namespace);
        let live = api.get_opt(&name.name).await?;
        Ok(check(live.as_ref().map(|live| &live.metadata), id, &name.kind, &name.name).is_err())
    }

    /// Whether an object would be as it is after an apply.
    async fn would_stay<K>(&self, id: &ClusterId, desired: &K) -> kube::Result<bool>
    where
        K: Resource<DynamicType = ()> + Serialize + Debug,
    {
        let _turn = self.turn().await;
        let kind = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client().clone(), &id.namespace, &kind);
        let name = desired.name_any();
        let live = api.get(&name).await?;
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply(MANAGER).force()
        };
        let then = api.patch(&name, &params, &Patch::Apply(desired)).await?;
        Ok(content(live) == content(then))
    }
}

/// Those of these names that a cluster has and does not want.
fn unwanted<K>(id: &ClusterId, cache: &Store<K>, known: &[String], wanted: &[String]) -> Vec<Option<String>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let left = known.iter().filter(|name| !wanted.contains(name));
    left.filter(|name| owned(cache, id, name).is_some())
        .map(|name| Some(format!("{} {name}", K::kind(&()))))
        .collect()
}

/// What an object says, without what the API server keeps of its own.
fn content(mut object: DynamicObject) -> Value {
    let meta = &mut object.metadata;
    (meta.managed_fields, meta.resource_version, meta.generation) = (None, None, None);
    serde_json::to_value(object).unwrap_or_default()
}
