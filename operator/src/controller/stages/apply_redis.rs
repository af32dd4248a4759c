//! Applies managed Redis, step by step where what is there has to go first. Each step is followed by an event, which leads to
//! the next.

use super::apply::{Applier, ApplyError, Became, error_code};
use super::redis_workload::{Next, Wanted, next};
use crate::cluster::remark::Remark;
use crate::controller::build::{CLAIMS_GO, CLAIMS_STAY, ClusterId, MANAGER, RedisWorkload};
use crate::controller::rollout::redis::REPLACED;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::{check, this_version};
use crate::controller::watch::seen::{self, owned};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

impl Applier {
    /// Applies what keeps Redis' pod. Answers what it waits for.
    pub(super) async fn apply_redis(
        &self,
        id: &ClusterId,
        workload: &RedisWorkload,
        caches: &Caches,
    ) -> Result<(Became, Option<Remark>), ApplyError> {
        let name = id.redis();
        let set = owned(&caches.stateful_sets, id, &name);
        let deployment = owned(&caches.deployments, id, &name);
        let desired = match workload {
            RedisWorkload::StatefulSet(set) => Some(Self::view(set)?),
            RedisWorkload::Deployment(_) => None,
        };
        let wanted = match &desired {
            Some(set) => Wanted::StatefulSet(&set.spec.volume_claim_templates),
            None => Wanted::Deployment,
        };
        let next = next(wanted, set.as_deref(), deployment.as_deref());
        if next.takes_away() {
            // Redis runs on where somebody else has the name of what is to take its place.
            match wanted {
                Wanted::StatefulSet(_) => self.check_name::<StatefulSet>(id, &name).await?,
                Wanted::Deployment => self.check_name::<Deployment>(id, &name).await?,
            }
        }
        match (next, &set, &deployment) {
            (Next::BindVolume, Some(set), _) => self.change(id, set, bound()).await?,
            (Next::EndPod, Some(set), _) => {
                let mut spec = bound();
                spec["replicas"] = json!(0);
                self.change(id, set, spec).await?;
            }
            (Next::RemoveStatefulSet, Some(set), _) => self.remove(id, &**set).await?,
            (Next::RemoveDeployment, _, Some(deployment)) => self.remove(id, &**deployment).await?,
            (Next::AwaitBinding | Next::AwaitRemoval, ..) => {}
            _ => {
                let became = match workload {
                    RedisWorkload::StatefulSet(set) => self.apply_set(id, set, caches).await?,
                    RedisWorkload::Deployment(it) => self.apply_one(id, it, &caches.deployments).await?,
                };
                return Ok((became, None));
            }
        }
        let message = format!("{name} is made anew, since its storage changes; nodes write their claims again");
        Ok((Became::AsDesired, Some(Remark::new(REPLACED, message))))
    }

    /// Whether a name is nobody else's among the objects of a kind. They are asked for: in memory is only what has our labels.
    async fn check_name<K>(&self, id: &ClusterId, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + 'static,
    {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client().clone(), &id.namespace);
        let live = api.get_opt(name).await.map_err(|source| ApplyError::Refused {
            kind: K::kind(&()).into_owned(),
            name: name.to_owned(),
            source,
        })?;
        check(live.map(|live| live.metadata).as_ref(), id, &K::kind(&()), name)?;
        Ok(())
    }

    /// Changes this of a StatefulSet, and nothing else.
    async fn change(&self, id: &ClusterId, set: &seen::StatefulSet, spec: Value) -> Result<(), ApplyError> {
        let patch = json!({
            "metadata": { "uid": set.uid(), "resourceVersion": set.resource_version() },
            "spec": spec,
        });
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<seen::StatefulSet> = Api::namespaced(self.client().clone(), &id.namespace);
        let patched = api.patch(&set.name_any(), &params, &Patch::Merge(patch)).await;
        settled(patched, set)
    }

    /// Deletes a workload with its pod: it is gone only when those are.
    async fn remove<K>(&self, id: &ClusterId, old: &K) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug + 'static,
    {
        let (kind, name) = (K::kind(&()), old.name_any());
        tracing::info!(
            namespace = id.namespace,
            cluster = id.name,
            kind = &*kind,
            object = name,
            "removed with its pod: Redis is made anew, since its storage changes"
        );
        let mut params = DeleteParams::default().preconditions(this_version(old.meta()));
        params.propagation_policy = Some(PropagationPolicy::Foreground);
        let api: Api<K> = Api::namespaced(self.client().clone(), &id.namespace);
        settled(api.delete(&name, &params).await, old)
    }
}

/// Has the volumes of a StatefulSet go with it. They stay when its pod ends: those that went with the pod would go later than
/// the StatefulSet, and the one after it would find them.
fn bound() -> Value {
    json!({ "persistentVolumeClaimRetentionPolicy": { "whenDeleted": CLAIMS_GO, "whenScaled": CLAIMS_STAY } })
}

/// What has changed or gone meanwhile leads back to here by its event.
fn settled<T, K: Resource<DynamicType = ()>>(answer: kube::Result<T>, of: &K) -> Result<(), ApplyError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if matches!(error_code(&error), Some(404 | 409)) => Ok(()),
        Err(source) => Err(ApplyError::Refused {
            kind: K::kind(&()).into_owned(),
            name: of.name_any(),
            source,
        }),
    }
}
