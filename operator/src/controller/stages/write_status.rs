//! Writes a status where that is due, and events of what has changed in it.

use crate::cluster::status::is_due;
use crate::cluster::status_notes::changes;
use crate::controller::build::{ClusterId, MANAGER};
use crate::controller::process::events::{Events, about};
use crate::controller::process::metrics::Metrics;
use crate::controller::watch::ownership::change_of;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::resource;
use crate::controller::words::words;
use crate::crd::status::SfuClusterStatus;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written: {}", words(.0))]
pub struct StatusError(#[source] kube::Error);

/// Writes statuses, and remembers which, and when.
pub struct StatusWriter {
    client: Client,
    /// As many requests are open at once as there are turns, of all clusters, also of other namespaces.
    turns: Arc<Semaphore>,
    events: Events,
    metrics: Arc<Metrics>,
    written: Mutex<BTreeMap<Key, Written>>,
}

/// What was written last of a cluster.
struct Written {
    /// UID of the object: one that was deleted and made again is another one.
    uid: String,
    at: Instant,
    status: SfuClusterStatus,
}

impl StatusWriter {
    #[must_use]
    pub fn new(client: Client, turns: Arc<Semaphore>, events: Events, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            turns,
            events,
            metrics,
            written: Mutex::default(),
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.written.lock().remove(cluster);
    }

    /// Writes that this installation looks after a cluster from now on, unless the object has changed since it was looked at:
    /// another one may have done the same. Answers whether it has.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn claim(&self, object: &DynamicObject, installation: &str) -> Result<bool, StatusError> {
        let namespace = object.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource());
        let (params, patch) = change_of(&object.metadata, json!({ "status": { "operator": installation } }));
        let _turn = self.turns.acquire().await;
        match api.patch_status(&object.name_any(), &params, &patch).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(StatusError(error)),
        }
    }

    /// Writes `now`, if it differs enough from `before`, which is what the object says.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn write(
        &self,
        id: &ClusterId,
        before: &SfuClusterStatus,
        now: &SfuClusterStatus,
    ) -> Result<(), StatusError> {
        let key = Key::from(id);
        let since = self.written.lock().get(&key).map(|last| last.at.elapsed());
        if !is_due(now, before, since) {
            return Ok(());
        }
        let resource = resource();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": id.name, "uid": id.uid },
            "status": now,
        });
        let params = PatchParams::apply(MANAGER).force();
        let turn = self.turns.acquire().await;
        let written = api.patch_status(&id.name, &params, &Patch::Apply(patch)).await;
        drop(turn);
        match written {
            Ok(_) => {}
            // Gone, or another by now: the next event of the object tells.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
            Err(error) => return Err(StatusError(error)),
        }
        self.metrics.status_written();
        let last = Written {
            uid: id.uid.clone(),
            at: Instant::now(),
            status: now.clone(),
        };
        let last = self.written.lock().insert(key, last);
        // `before` may be older than what was written last: the watch has not brought that back yet.
        let told = last.filter(|last| last.uid == id.uid);
        let before = told.as_ref().map_or(before, |last| &last.status);
        let reference = about(id);
        for note in changes(before, now) {
            self.events.tell(&reference, note);
        }
        Ok(())
    }
}
