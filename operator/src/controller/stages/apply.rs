//! Brings the live objects in line with the desired ones: server-side apply under one field manager, and only where a
//! desired object, or what is applied of the live one, has changed since the last apply.

use super::adopt::{Look, look, take_over};
use super::apply_error::{ApplyError, error_code};
use super::generations::Generations;
use super::last_apply::{Compared, LastApply, Name, hash_of};
use super::places::Places;
use super::scalers::Scalers;
use super::stateful_set::{SetUpdate, applicable, classify};
use crate::cluster::remark::Remark;
use crate::controller::build::{Children, ClusterId, MANAGER};
use crate::controller::rollout::adjust::Prepared;
use crate::controller::rollout::controllers::is_others;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::owned_fields::condense;
use crate::controller::watch::ownership::{Checked, check, only_over, this_version};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{self, Pod, owned};
use crate::controller::words::words;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What has become of a cluster's children.
#[derive(Debug, Default)]
#[must_use]
pub struct Applied {
    /// An image of this release that was kept back.
    pub upgrade: Option<String>,
    /// Of the children that could not be applied, the first. All others were.
    pub refused: Option<ApplyError>,
    /// What has to be gone before a child can be made.
    pub waits: Option<Remark>,
    /// Who scales what the manifest says the number of.
    pub scaled: Option<Remark>,
    /// Whose clients cannot be told where they reach it.
    pub lacking: Option<Remark>,
    /// Whether it waits for what no watch shows: it is soon looked at again.
    pub unwatched: bool,
    /// What was looked up is to be looked up again after this time.
    pub again_after: Option<Duration>,
    /// Whether a child was changed while it was applied: it is soon looked at again.
    pub again: bool,
}

/// What has become of one child.
#[derive(Debug)]
pub(super) enum Became {
    AsDesired,
    /// Somebody has changed it since it was looked at, and it was not touched.
    Changed,
    /// These are to be gone before.
    Waits(Vec<String>),
    /// The same, and no event tells when they are.
    WaitsUnwatched(Vec<String>),
}

/// Applies children, and remembers what it has applied.
pub struct Applier {
    client: Client,
    /// A new leader has applied nothing yet: of all children of all clusters, also of other namespaces, as many are applied at
    /// once as there are turns.
    turns: Arc<Semaphore>,
    pub(super) applied: Mutex<HashMap<Name, LastApply>>,
    /// What a pause would keep from being applied, as the API server said.
    pub(super) compared: Mutex<HashMap<Name, Compared>>,
    /// How often in a row a child had changed since it was looked at.
    conflicts: Mutex<HashMap<Name, (Key, u32)>>,
    /// The child of each cluster that the API server was asked to change last, and has not answered about.
    asked: Mutex<HashMap<Key, String>>,
    generations: Generations,
    scalers: Scalers,
    pub(super) places: Places,
}

/// So many conflicts in a row are no coincidence: they are told as a refusal.
const MANY_CONFLICTS: u32 = 5;

impl Applier {
    #[must_use]
    pub fn new(client: Client, turns: Arc<Semaphore>) -> Self {
        Self {
            places: Places::new(client.clone(), Arc::clone(&turns)),
            client,
            turns,
            applied: Mutex::default(),
            compared: Mutex::default(),
            conflicts: Mutex::default(),
            asked: Mutex::default(),
            generations: Generations::default(),
            scalers: Scalers::default(),
        }
    }

    /// What was applied and is not carried out yet by those who watch StatefulSets and Deployments. `nodes` is the StatefulSet
    /// that it was decided upon.
    #[must_use]
    pub fn behind(&self, id: &ClusterId, nodes: Option<&seen::StatefulSet>, caches: &Caches) -> Option<Remark> {
        self.generations.behind(id, nodes, caches)
    }

    /// The child that the API server was asked to change, and has not answered about, when that was given up.
    #[must_use]
    pub fn given_up_on(&self, cluster: &Key) -> Option<String> {
        self.asked.lock().remove(cluster)
    }

    /// Forgets what was applied for a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.applied.lock().retain(|_, applied| applied.cluster != *cluster);
        self.compared.lock().retain(|_, compared| compared.cluster != *cluster);
        self.conflicts.lock().retain(|_, (of, _)| of != cluster);
        self.asked.lock().remove(cluster);
        self.generations.forget(cluster);
        self.scalers.forget(cluster);
        self.places.forget(cluster);
    }

    /// Applies all children of a cluster and removes those that are not wanted any more. Goes on after a refusal, so that
    /// one bad child does not keep the others away.
    pub async fn apply(&self, id: &ClusterId, prepared: &Prepared, caches: &Caches) -> Applied {
        let Prepared { children, upgrade } = prepared;
        // Without `..`: a child that nobody applies does not compile.
        let Children {
            account,
            nodes,
            nodes_service,
            media_services,
            budget,
            web,
            web_budget,
            web_service,
            redis,
            policies,
        } = children;
        let mut results = vec![
            self.apply_one(id, account, &caches.accounts).await,
            self.apply_one(id, nodes_service, &caches.services).await,
        ];
        for service in media_services {
            results.push(self.apply_one(id, service, &caches.services).await);
        }
        for policy in policies {
            results.push(self.apply_one(id, policy, &caches.policies).await);
        }
        let mut waiting = None;
        if let Some(redis) = redis {
            results.push(self.apply_one(id, &redis.service, &caches.services).await);
        }
        let workload = redis.as_ref().map(|redis| &redis.workload);
        let applied = self.apply_redis(id, workload, caches).await;
        results.push(applied.map(|(became, waits)| {
            waiting = waits;
            became
        }));
        for budget in [budget, web_budget].into_iter().flatten() {
            results.push(self.apply_one(id, budget, &caches.budgets).await);
        }
        results.push(self.apply_set(id, nodes, caches).await);
        results.push(self.apply_one(id, web_service, &caches.services).await);
        results.push(self.apply_one(id, web, &caches.deployments).await);

        results.extend(self.sweep_all(id, children, caches).await);
        let mut applied = summed_up(results, upgrade.clone());
        applied.waits = applied.waits.or(waiting);
        applied.scaled = self.scalers.told(id, Instant::now());
        applied
    }

    /// Whoever asks the API server something has one. Nobody takes two.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it, so that this cannot fail.
        self.turns.acquire().await.ok()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A StatefulSet as it would be seen.
    pub(super) fn view(desired: &StatefulSet) -> Result<seen::StatefulSet, ApplyError> {
        seen::StatefulSet::of(desired).map_err(unwritable(desired))
    }

    /// Applies a StatefulSet, or first removes the object around its pods where it cannot be changed.
    pub(super) async fn apply_set(
        &self,
        id: &ClusterId,
        desired: &StatefulSet,
        caches: &Caches,
    ) -> Result<Became, ApplyError> {
        let (kind, name) = ("StatefulSet".to_owned(), desired.name_any());
        let view = Self::view(desired)?;
        let live = owned(&caches.stateful_sets, id, &name);
        let desired = &applicable(desired, live.as_deref()).map_err(unwritable(desired))?;
        let Some(live) = live else {
            // Its controller would try in vain to make pods whose names are taken, after growing pauses.
            let in_the_way = self.without_others(id, caches.pods.in_the_way(id, &name)).await?;
            return if in_the_way.is_empty() {
                self.apply_one(id, desired, &caches.stateful_sets).await
            } else {
                let names = in_the_way.iter().map(|pod| format!("Pod {}", pod.name_any()));
                Ok(Became::Waits(names.collect()))
            };
        };
        match classify(&live, &view) {
            SetUpdate::Recreate(field) if live.metadata.deletion_timestamp.is_none() => {
                tracing::info!(
                    namespace = id.namespace,
                    cluster = id.name,
                    kind,
                    object = name,
                    field,
                    "recreated around its pods"
                );
                let mut params = DeleteParams::default().preconditions(this_version(&live.metadata));
                params.propagation_policy = Some(PropagationPolicy::Orphan);
                let api: Api<seen::StatefulSet> = Api::namespaced(self.client.clone(), &id.namespace);
                let _turn = self.turn().await;
                match api.delete(&name, &params).await {
                    // Its going is an event, which leads back to here.
                    Ok(_) => Ok(Became::AsDesired),
                    Err(error) if matches!(error_code(&error), Some(404 | 409)) => Ok(Became::Changed),
                    Err(source) => Err(ApplyError::Refused { kind, name, source }),
                }
            }
            _ => self.apply_one(id, desired, &caches.stateful_sets).await,
        }
    }

    /// Pods without those of somebody else, of whom the apply tells.
    pub(super) async fn without_others(
        &self,
        id: &ClusterId,
        pods: Vec<Arc<Pod>>,
    ) -> Result<Vec<Arc<Pod>>, ApplyError> {
        let mut ours = Vec::new();
        for pod in pods {
            let _turn = self.turn().await;
            let asked = is_others(&self.client, id, &pod.metadata).await;
            let is_others = asked.map_err(|source| ApplyError::Refused {
                kind: "Pod".to_owned(),
                name: pod.name_any(),
                source,
            })?;
            if !is_others {
                ours.push(pod);
            }
        }
        Ok(ours)
    }

    /// Whether a child is as it was applied last, as far as is known.
    pub(super) fn is_applied<K, L>(&self, id: &ClusterId, desired: &K, cache: &Store<L>) -> bool
    where
        K: Resource<DynamicType = ()> + Serialize,
        L: Resource<DynamicType = ()> + Clone + 'static,
    {
        let name = Name::of(id, desired);
        let live = cache.get(&ObjectRef::new(&name.name).within(&name.namespace));
        live.zip(hash_of(desired).ok())
            .is_some_and(|(live, hash)| self.is_last(&name, &LastApply::new(id, live.meta(), hash), live.meta()))
    }

    fn is_last(&self, name: &Name, now: &LastApply, live: &ObjectMeta) -> bool {
        live.deletion_timestamp.is_none() && self.applied.lock().get(name) == Some(now)
    }

    /// Applies one child unless it is as it was applied last.
    ///
    /// # Errors
    /// When the API server refuses, or the name is taken.
    pub(super) async fn apply_one<K, L>(
        &self,
        id: &ClusterId,
        desired: &K,
        cache: &Store<L>,
    ) -> Result<Became, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + Clone + Debug + 'static,
        L: Resource<DynamicType = ()> + Clone + 'static,
    {
        let name = Name::of(id, desired);
        let cluster = Key::from(id);
        let hash = hash_of(desired).map_err(unwritable(desired))?;
        let live = cache.get(&ObjectRef::new(&name.name).within(&name.namespace));
        let is_last = |live: &Arc<L>| self.is_last(&name, &LastApply::new(id, live.meta(), hash), live.meta());
        if live.as_ref().is_some_and(is_last) {
            return Ok(Became::AsDesired);
        }
        let _turn = self.turn().await;
        // The answers' metadata is all that is looked at.
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), &name.namespace);
        let refused = |source| ApplyError::Refused {
            kind: name.kind.clone(),
            name: name.name.clone(),
            source,
        };
        let cached = live.map(|live| live.meta().clone());
        let look = look(&api, (id, &name.name), cached).await.map_err(refused)?;
        let Look::At(live) = look else {
            return Ok(Became::Changed);
        };
        let Checked::Live(checked) = check(live.as_deref(), id, &name.kind, &name.name)? else {
            return Ok(Became::Waits(vec![format!("{} {}", name.kind, name.name)]));
        };
        let desired = only_over(desired, checked).map_err(unwritable(desired))?;
        // What is desired may be another thing when the fields are ours: the number of replicas, for one.
        if take_over(&api, id, live.as_deref(), &desired).await.map_err(refused)? {
            return Ok(Became::Changed);
        }
        let counts = desired.pointer("/spec/replicas").is_some();
        let scaler = live
            .as_deref()
            .and_then(|live| self.scalers.overruled(id, live, counts));
        let params = PatchParams::apply(MANAGER).force();
        let asked = format!("{} {}", name.kind, name.name);
        self.asked.lock().insert(cluster.clone(), asked);
        let answer = api.patch(&name.name, &params, &Patch::Apply(desired)).await;
        self.asked.lock().remove(&cluster);
        let mut live = match answer {
            Ok(live) => live,
            Err(error) if error_code(&error) == Some(409) => {
                tracing::debug!(
                    namespace = name.namespace,
                    cluster = id.name,
                    kind = name.kind,
                    object = name.name,
                    error = words(&error),
                    "changed since it was looked at; it is looked at again"
                );
                let mut conflicts = self.conflicts.lock();
                let (_, count) = conflicts.entry(name.clone()).or_insert((cluster, 0));
                *count += 1;
                return if *count < MANY_CONFLICTS {
                    Ok(Became::Changed)
                } else {
                    Err(refused(error))
                };
            }
            Err(source) => return Err(refused(source)),
        };
        self.conflicts.lock().remove(&name);
        condense(live.meta_mut());
        tracing::debug!(
            namespace = name.namespace,
            cluster = id.name,
            kind = name.kind,
            object = name.name,
            "applied"
        );
        let applied = LastApply::new(id, live.meta(), hash);
        self.generations.note(id, &name.kind, live.meta());
        self.scalers.applied(id, live.meta(), counts);
        if let Some(scaler) = scaler {
            self.scalers
                .reverted(id, (&name.kind, &name.name), &scaler, Instant::now());
        }
        self.applied.lock().insert(name, applied);
        Ok(Became::AsDesired)
    }
}

fn unwritable<K: Resource<DynamicType = ()>>(desired: &K) -> impl FnOnce(serde_json::Error) -> ApplyError + use<K> {
    let (kind, name) = (K::kind(&()).into_owned(), desired.name_any());
    move |source| ApplyError::Unwritable { kind, name, source }
}

/// What has become of all children.
fn summed_up(results: Vec<Result<Became, ApplyError>>, upgrade: Option<String>) -> Applied {
    let mut applied = Applied {
        upgrade,
        ..Applied::default()
    };
    let mut waits = Vec::new();
    for result in results {
        match result {
            Ok(Became::AsDesired) => {}
            Ok(Became::Changed) => applied.again = true,
            Ok(Became::Waits(names)) => waits.extend(names),
            Ok(Became::WaitsUnwatched(names)) => {
                applied.unwatched = true;
                waits.extend(names);
            }
            Err(error) => drop(applied.refused.get_or_insert(error)),
        }
    }
    applied.waits = (!waits.is_empty()).then(|| Remark::waiting_for_deletion(&waits));
    applied
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
