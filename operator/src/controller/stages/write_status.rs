//! Writes a status where that is due, and events of what has changed in it.

use crate::cluster::status::is_due;
use crate::cluster::status_notes::changes;
use crate::controller::build::{ClusterId, MANAGER};
use crate::controller::process::events::{Events, about};
use crate::controller::process::metrics::Metrics;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::resource;
use crate::crd::status::SfuClusterStatus;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written: {0}")]
pub struct StatusError(#[source] kube::Error);

/// Writes statuses, and remembers which, and when.
pub struct StatusWriter {
    client: Client,
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
    pub fn new(client: Client, events: Events, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            events,
            metrics,
            written: Mutex::default(),
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.written.lock().remove(cluster);
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
        let patch = serde_json::json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": id.name, "uid": id.uid },
            "status": now,
        });
        let params = PatchParams::apply(MANAGER).force();
        match api.patch_status(&id.name, &params, &Patch::Apply(patch)).await {
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
