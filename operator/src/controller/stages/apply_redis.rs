//! Applies managed Redis, step by step where what is there has to go first. Each step is followed by an event, which leads to
//! the next; only of volumes no event tells.

use super::apply::{Applier, Became};
use super::apply_error::{ApplyError, error_code};
use super::redis_leftovers::{Leftover, Volume, is_left, leftover, volume};
use super::redis_workload::{Next, Wanted, next};
use crate::cluster::remark::Remark;
use crate::controller::build::{CLAIMS_GO, CLAIMS_STAY, ClusterId, RedisWorkload, redis_volume};
use crate::controller::rollout::redis::REPLACED;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::{Taken, Whose, change_of, check, controller, this_version, whose};
use crate::controller::watch::seen::{self, Pod, VolumeClaim, owned};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kube::api::{DeleteParams, PropagationPolicy};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;

impl Applier {
    /// Applies what keeps Redis' pod, or takes it away where there is to be none. Answers what it waits for.
    pub(super) async fn apply_redis(
        &self,
        id: &ClusterId,
        workload: Option<&RedisWorkload>,
        caches: &Caches,
    ) -> Result<(Became, Option<Remark>), ApplyError> {
        let name = id.redis();
        let set = owned(&caches.stateful_sets, id, &name);
        let deployment = owned(&caches.deployments, id, &name);
        let desired = match workload {
            Some(RedisWorkload::StatefulSet(set)) => Some(Self::view(set)?),
            Some(RedisWorkload::Deployment(_)) | None => None,
        };
        let wanted = match (&desired, workload) {
            (Some(set), _) => Wanted::StatefulSet(&set.spec.volume_claim_templates),
            (None, Some(_)) => Wanted::Deployment,
            (None, None) => Wanted::Nothing,
        };
        let mut next = next(wanted, set.as_deref(), deployment.as_deref());
        if next.takes_away() {
            // Redis runs on where somebody else has the name of what is to take its place.
            match wanted {
                Wanted::StatefulSet(_) => self.check_name::<StatefulSet>(id, &name).await?,
                Wanted::Deployment => self.check_name::<Deployment>(id, &name).await?,
                Wanted::Nothing => {}
            }
        }
        if next.binds_volume(wanted, set.as_deref()) && self.is_volume_of_others(id).await? {
            // Bound to the StatefulSet, it would be deleted with it.
            if !wanted.claims().is_empty() {
                return Err(volume_taken(id));
            }
            next = Next::RemoveStatefulSet;
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
                if set.is_none() && deployment.is_none() {
                    let waits = self.clear_the_way(id, wanted, caches).await?;
                    if workload.is_some() && !waits.is_empty() {
                        return Ok((Became::WaitsUnwatched(waits), None));
                    }
                }
                let became = match workload {
                    Some(RedisWorkload::StatefulSet(set)) => self.apply_set(id, set, caches).await?,
                    Some(RedisWorkload::Deployment(it)) => self.apply_one(id, it, &caches.deployments).await?,
                    None => Became::AsDesired,
                };
                return Ok((became, None));
            }
        }
        let message = match wanted {
            Wanted::Nothing => format!("{name} gives way to the Redis of spec.redis.external"),
            _ => format!("{name} is made anew, since its storage changes; nodes write their claims again"),
        };
        Ok((Became::AsDesired, Some(Remark::new(REPLACED, message))))
    }

    /// Ends what is left of a Redis whose workload is no more. Answers what is to be gone before another one is made.
    async fn clear_the_way(
        &self,
        id: &ClusterId,
        wanted: Wanted<'_>,
        caches: &Caches,
    ) -> Result<Vec<String>, ApplyError> {
        let (name, claims) = (id.redis(), wanted.claims());
        let mut pods = caches.pods.of_redis(id);
        pods.retain(|pod| is_left(pod, &name));
        let pods = self.without_others(id, pods).await?;
        let left = pods.iter();
        // Where no volume is wanted, one is only looked for with the pod that it was left with.
        let is_looked_for = !claims.is_empty() || left.clone().any(|pod| controller(&pod.metadata).is_none());
        let claim = if is_looked_for {
            self.volume_claim(id).await?
        } else {
            None
        };
        let found = volume(claim.as_ref(), id, claims, false);
        if found == Volume::Others && !claims.is_empty() {
            return Err(volume_taken(id));
        }
        let is_volume_kept = claims.is_empty() || found == Volume::AsWanted;
        let left: Vec<(&Arc<Pod>, Leftover)> = left
            .map(|pod| (pod, leftover(pod, wanted, &name, is_volume_kept)))
            .filter(|(_, what)| *what != Leftover::Adopted)
            .collect();
        let mut waits: Vec<String> = left.iter().map(|(pod, _)| format!("Pod {}", pod.name_any())).collect();
        for (pod, what) in &left {
            match what {
                Leftover::Orphan => self.remove(id, &***pod).await?,
                Leftover::OfReplicaSet => self.remove_replica_set(id, pod).await?,
                Leftover::Goes | Leftover::Adopted => {}
            }
        }
        // What is going may still turn out to be let go of, and to use it.
        let is_unsettled = left.iter().any(|(_, what)| *what == Leftover::Goes);
        match (found, &claim) {
            (Volume::Old, Some(claim)) if !is_unsettled => {
                self.remove(id, claim).await?;
                waits.push(format!("PersistentVolumeClaim {}", claim.name_any()));
            }
            (Volume::Going, Some(claim)) => waits.push(format!("PersistentVolumeClaim {}", claim.name_any())),
            _ => {}
        }
        Ok(waits)
    }

    /// Whether the volume of the StatefulSet that is there is somebody else's, who had it there before.
    async fn is_volume_of_others(&self, id: &ClusterId) -> Result<bool, ApplyError> {
        let claim = self.volume_claim(id).await?;
        Ok(volume(claim.as_ref(), id, &[], true) == Volume::Others)
    }

    async fn volume_claim(&self, id: &ClusterId) -> Result<Option<VolumeClaim>, ApplyError> {
        self.get(id, &redis_volume(id)).await
    }

    /// Removes the ReplicaSet of a pod if that has become nobody's: whoever deleted its Deployment has kept it.
    async fn remove_replica_set(&self, id: &ClusterId, pod: &Pod) -> Result<(), ApplyError> {
        let Some(owner) = controller(&pod.metadata) else {
            return Ok(());
        };
        let found: Option<PartialObjectMeta<ReplicaSet>> = self.get(id, &owner.name).await?;
        match found.filter(|it| it.metadata.uid.as_ref() == Some(&owner.uid)) {
            Some(found) if whose(&found.metadata, id) == Whose::Nobodys => self.remove(id, &found).await,
            _ => Ok(()),
        }
    }

    async fn get<K>(&self, id: &ClusterId, name: &str) -> Result<Option<K>, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug + 'static,
    {
        let api: Api<K> = Api::namespaced(self.client().clone(), &id.namespace);
        let _turn = self.turn().await;
        api.get_opt(name).await.map_err(|source| ApplyError::Refused {
            kind: K::kind(&()).into_owned(),
            name: name.to_owned(),
            source,
        })
    }

    /// Whether a name is nobody else's among the objects of a kind. They are asked for: in memory is only what has our labels.
    async fn check_name<K>(&self, id: &ClusterId, name: &str) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + 'static,
    {
        let live: Option<PartialObjectMeta<K>> = self.get(id, name).await?;
        check(live.map(|live| live.metadata).as_ref(), id, &K::kind(&()), name)?;
        Ok(())
    }

    /// Changes this of a StatefulSet, and nothing else.
    async fn change(&self, id: &ClusterId, set: &seen::StatefulSet, spec: Value) -> Result<(), ApplyError> {
        let (params, patch) = change_of(&set.metadata, json!({ "spec": spec }));
        let api: Api<seen::StatefulSet> = Api::namespaced(self.client().clone(), &id.namespace);
        let _turn = self.turn().await;
        let patched = api.patch(&set.name_any(), &params, &patch).await;
        settled(patched, set)
    }

    /// Deletes something of Redis, a workload with its pod: it is gone only when that is.
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
            "removed: another Redis, or none, takes its place"
        );
        let mut params = DeleteParams::default().preconditions(this_version(old.meta()));
        params.propagation_policy = Some(PropagationPolicy::Foreground);
        let api: Api<K> = Api::namespaced(self.client().clone(), &id.namespace);
        let _turn = self.turn().await;
        settled(api.delete(&name, &params).await, old)
    }
}

fn volume_taken(id: &ClusterId) -> ApplyError {
    let (kind, name) = ("PersistentVolumeClaim".to_owned(), redis_volume(id));
    Taken { kind, name }.into()
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
