//! Reads what a manifest names and what is not in the caches: Secrets, and why pods are refused.

use super::named_secrets::named;
use super::pod_events::Obstacle;
use super::pod_trouble::{is_slow, refused};
use crate::cluster::remark::{EVENTS_REFUSED, Remark};
use crate::controller::build::{Component, Wish};
use crate::controller::pace::Pace;
use crate::controller::rollout::password::nodes_read;
use crate::controller::secret::{Data, SecretError, Secrets, redis_password};
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Pod, StatefulSet, is_node, is_of};
use crate::controller::words::words;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Events that are read at once: more of one kind about one object are merged by their writer.
const MAX_EVENTS: u32 = 20;
/// Refusals of pods that are older are over: the StatefulSet controller tries again after 1,000 s at most.
const RECENT: SignedDuration = SignedDuration::from_secs(1_200);

#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// The admin Secret, or one that the manifest names.
    #[error("the Secret {name} cannot be used: {source}")]
    Secret { name: String, source: SecretError },
}

/// That events cannot be read. They say why pods are refused, or do not start.
fn unread(error: &kube::Error) -> Remark {
    let words = words(error);
    Remark::new(
        EVENTS_REFUSED,
        format!("events cannot be read, so it is not known why pods are missing or do not start: {words}"),
    )
}

impl DereferenceError {
    /// What is waited for, where the admin Secret is about to be another one.
    #[must_use]
    pub fn waits(&self) -> Option<Remark> {
        match self {
            Self::Secret {
                name,
                source: SecretError::Going,
            } => Some(Remark::waiting_for_deletion(&[format!("Secret {name}")])),
            Self::Secret { .. } => None,
        }
    }

    /// Whether a second look finds what this one did not: somebody else has just written the admin Secret.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let passes = |source: &SecretError| matches!(source, SecretError::Going | SecretError::Changed);
        matches!(self, Self::Secret { source, .. } if passes(source))
    }
}

#[derive(Debug)]
pub struct Dereferenced {
    pub secret: Data,
    /// What nodes need and do not get: a Secret that the manifest names, or the permission to exist.
    pub trouble: Option<Remark>,
    /// What a pod waits for that is about to start for long.
    pub obstacle: Option<Obstacle>,
}

/// Reads Secrets, and remembers for a while what it has read: nobody tells of changes of Secrets, and looking at them
/// costs requests.
pub struct Dereferencer {
    client: Client,
    pace: Pace,
    /// As many requests are open at once as there are turns, of all clusters, also of other namespaces.
    turns: Arc<Semaphore>,
    admin_secrets: Secrets,
    named_secrets: Mutex<BTreeMap<Key, Looked>>,
}

/// When the Secrets that a manifest names were looked at, and what was wrong with them.
struct Looked {
    at: Instant,
    trouble: Option<Remark>,
}

impl Dereferencer {
    #[must_use]
    pub fn new(client: Client, pace: Pace, turns: Arc<Semaphore>) -> Self {
        Self {
            client,
            pace,
            turns,
            admin_secrets: Secrets::default(),
            named_secrets: Mutex::default(),
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.admin_secrets.forget(cluster);
        self.named_secrets.lock().remove(cluster);
    }

    /// Reads what belongs to a wish. `live` is the nodes' StatefulSet, `redis` that of Redis, and `pods` are all pods of the cluster; `busy`:
    /// something is not as desired, so look closely.
    ///
    /// # Errors
    /// When the API server does not let us.
    pub async fn dereference(
        &self,
        wish: &Wish,
        (live, redis): (Option<&StatefulSet>, Option<&StatefulSet>),
        pods: &[Arc<Pod>],
        busy: bool,
    ) -> Result<Dereferenced, DereferenceError> {
        let secret = self.admin_secret(wish, live, busy).await?;
        let managed = wish.spec.redis.external.is_none();
        let password = managed.then(|| redis_password::trouble(&secret, nodes_read(live), &wish.id.secret()));
        let known = self.known_trouble_with_secrets(wish, busy).await?;
        let trouble = match (known.or(password.flatten()), live) {
            (None, Some(live)) if lacks_pods(wish, pods) => {
                let nodes = pods.iter().filter(|pod| is_node(pod));
                self.refused_pods(wish, live, newest(nodes)).await
            }
            (found, _) => found,
        };
        let trouble = match (trouble, redis) {
            (None, Some(redis)) if !pods.iter().any(|pod| is_of(pod, Component::Redis)) => {
                self.refused_pods(wish, redis, None).await
            }
            (found, _) => found,
        };
        // What cannot be read of events is told, and keeps nothing from being done that may cure what they are about.
        let (obstacle, unread) = match self.obstacle(wish, pods).await {
            Ok(obstacle) => (obstacle, None),
            Err(error) => (None, Some(unread(&error))),
        };
        Ok(Dereferenced {
            secret,
            trouble: trouble.or(unread),
            obstacle,
        })
    }

    /// The admin Secret, made or completed where that is needed, for the nodes of this StatefulSet.
    ///
    /// # Errors
    /// When the API server does not let us.
    pub async fn admin_secret(
        &self,
        wish: &Wish,
        live: Option<&StatefulSet>,
        busy: bool,
    ) -> Result<Data, DereferenceError> {
        let believed = self.pace.believed(busy);
        let secret = self
            .admin_secrets
            .ensure(&self.client, &self.turns, (wish, nodes_read(live)), believed)
            .await;
        secret.map_err(|source| DereferenceError::Secret {
            name: wish.id.secret(),
            source,
        })
    }

    /// Why the StatefulSet controller makes no pods: quotas and Pod Security admission are told in events only.
    /// A refusal before the last pod was made (`made`) is over.
    async fn refused_pods(&self, wish: &Wish, live: &StatefulSet, made: Option<Timestamp>) -> Option<Remark> {
        let of = format!(
            "involvedObject.uid={},reason=FailedCreate",
            live.uid().unwrap_or_default()
        );
        let found = match self.events(&wish.id.namespace, &of).await {
            Ok(found) => found,
            Err(error) => return Some(unread(&error)),
        };
        let now = Timestamp::now();
        let is_recent = |event: &Event| {
            let at = event.last_timestamp.as_ref().map(|time| time.0);
            at.is_some_and(|at| stands(at, made, now))
        };
        // Each pod is refused in its own words: always the same one is told, or every look would tell another.
        let refusal = found
            .into_iter()
            .filter(is_recent)
            .filter_map(|event| event.message)
            .min();
        refusal.map(|message| refused(&message))
    }

    /// What the first of these pods that is about to start for long waits for.
    async fn obstacle(&self, wish: &Wish, pods: &[Arc<Pod>]) -> kube::Result<Option<Obstacle>> {
        let now = Timestamp::now();
        let Some(pod) = pods.iter().find(|pod| is_slow(pod, now)) else {
            return Ok(None);
        };
        let of = format!("involvedObject.uid={},type=Warning", pod.uid().unwrap_or_default());
        Ok(Obstacle::of(pod, self.events(&wish.id.namespace, &of).await?))
    }

    /// Events that these fields select.
    async fn events(&self, namespace: &str, fields: &str) -> kube::Result<Vec<Event>> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let _turn = self.turns.acquire().await;
        let found = api.list(&ListParams::default().fields(fields).limit(MAX_EVENTS)).await;
        Ok(found?.items)
    }

    /// What is wrong with the Secrets that the manifest names, as seen a moment ago.
    async fn known_trouble_with_secrets(&self, wish: &Wish, busy: bool) -> Result<Option<Remark>, DereferenceError> {
        let key = Key::from(&wish.id);
        if let Some(looked) = self.named_secrets.lock().get(&key)
            && looked.at.elapsed() < self.pace.believed(busy)
        {
            return Ok(looked.trouble.clone());
        }
        let trouble = self.trouble_with_secrets(wish).await?;
        let looked = Looked {
            at: Instant::now(),
            trouble: trouble.clone(),
        };
        self.named_secrets.lock().insert(key, looked);
        Ok(trouble)
    }

    /// What is wrong with the first Secret that the manifest names and nodes or front doors cannot use.
    async fn trouble_with_secrets(&self, wish: &Wish) -> Result<Option<Remark>, DereferenceError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &wish.id.namespace);
        let _turn = self.turns.acquire().await;
        for named in named(wish) {
            let name = named.name;
            let live = api.get_opt(name).await.map_err(|source| DereferenceError::Secret {
                name: name.to_owned(),
                source: source.into(),
            })?;
            if let Some(trouble) = named.trouble(live.as_ref()) {
                return Ok(Some(trouble));
            }
        }
        Ok(None)
    }
}

/// Whether a refusal still holds. An old one may have been mended since, and so may one of a clock that was ahead.
fn stands(refused: Timestamp, made: Option<Timestamp>, now: Timestamp) -> bool {
    now.duration_since(refused).abs() < RECENT && made.is_none_or(|made| refused >= made)
}

/// When the last of these pods was made.
fn newest<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Option<Timestamp> {
    pods.filter_map(|pod| Some(pod.metadata.creation_timestamp.as_ref()?.0))
        .max()
}

fn lacks_pods(wish: &Wish, pods: &[Arc<Pod>]) -> bool {
    let nodes = pods.iter().filter(|pod| is_node(pod)).count();
    i32::try_from(nodes).unwrap_or(i32::MAX) < wish.spec.replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_until_a_pod_was_made_after_it_or_nobody_has_tried_for_long() {
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        for (refused, made, now, expected) in [
            (100, None, 100, true),
            (100, None, 1_200, true),
            (100, None, 1_300, false),
            (100, Some(99), 101, true),
            (100, Some(100), 101, true),
            (100, Some(101), 102, false),
            (2_000, None, 100, false),
        ] {
            let holds = stands(at(refused), made.map(at), at(now));
            assert_eq!(holds, expected, "refused at {refused}, made at {made:?}, now {now}");
        }
    }
}
