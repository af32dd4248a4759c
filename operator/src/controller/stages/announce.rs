//! Tells each node at which addresses its clients reach it, by an annotation of its pod: it goes with the pod that it is of, and
//! the kubelet gives it to the node within moments, also after a restart while no operator runs.

use super::apply::{Applied, Applier};
use super::apply_error::{ApplyError, error_code};
use super::places::Found;
use crate::controller::build::{MEDIA_ADDRESSES, Reached, Wish, media_addresses};
use crate::controller::pace::Pace;
use crate::controller::rollout::adjust::Prepared;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::change_of;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Pod, is_node};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Applier {
    /// Brings the annotations of these pods up to date, as far as clients can reach what they would be told. In a pause, only
    /// pods that were told nothing yet: without an address, a node that was started anew takes no sessions. What the pause keeps
    /// from the others is added to what is `held`. A pod that lacks an address is told of after some time.
    pub async fn announce(
        &self,
        wish: &Wish,
        pods: &[Arc<Pod>],
        (prepared, caches): (&Prepared, &Caches),
        (mut applied, pace): (Applied, Pace),
        held: &mut Vec<String>,
    ) -> Applied {
        let sought = pods.iter().filter(|pod| is_node(pod)).filter_map(|pod| {
            let reached = Reached::running(wish, &pod.metadata, &pod.spec)?;
            let source = reached.source(wish)?;
            let is_going = pod.metadata.deletion_timestamp.is_some();
            (!is_going).then_some(async move {
                (
                    pod,
                    reached,
                    self.places.find(wish, pod, source, (caches, pace.read_every())).await,
                )
            })
        });
        let all = futures::future::join_all(sought).await;
        self.note_lacking(&Key::from(&wish.id), &all, &mut applied, pace.address_patience);
        for (pod, reached, found) in all {
            applied.again_after = applied.again_after.into_iter().chain(found.again_after).min();
            let Some(addresses) = media_addresses(&wish.spec, &reached, &found.places) else {
                continue;
            };
            let told = pod.annotations().get(MEDIA_ADDRESSES);
            if told == Some(&addresses) {
                continue;
            }
            let name = pod.name_any();
            if wish.spec.paused && told.is_some() {
                held.push(format!("addresses of {name}"));
                continue;
            }
            let before_it = reached.services(wish);
            let services = prepared.children.media_services.iter();
            let mut before_it = services.filter(|service| before_it.contains(&service.name_any()));
            if !wish.spec.paused && before_it.any(|service| !self.is_applied(&wish.id, service, &caches.services)) {
                continue;
            }
            let api: Api<Pod> = Api::namespaced(self.client().clone(), &wish.id.namespace);
            let change = json!({ "metadata": { "annotations": { MEDIA_ADDRESSES: addresses } } });
            let (params, patch) = change_of(&pod.metadata, change);
            let _turn = self.turn().await;
            match api.patch(&name, &params, &patch).await {
                Ok(_) => tracing::info!(
                    namespace = wish.id.namespace,
                    cluster = wish.id.name,
                    node = name,
                    addresses,
                    "told where its clients reach it"
                ),
                // It has changed meanwhile, or is another one.
                Err(error) if matches!(error_code(&error), Some(404 | 409)) => applied.again = true,
                Err(source) => {
                    let kind = "Pod".to_owned();
                    applied
                        .refused
                        .get_or_insert(ApplyError::Refused { kind, name, source });
                }
            }
        }
        applied
    }

    /// Tells of a pod whose clients cannot be told where they reach it: as what is waited for at first, and as trouble when it has
    /// taken long, or waiting cannot help.
    fn note_lacking(
        &self,
        cluster: &Key,
        all: &[(&Arc<Pod>, Reached, Found)],
        applied: &mut Applied,
        patience: Duration,
    ) {
        let now = Instant::now();
        let names: BTreeSet<String> = all
            .iter()
            .filter(|(_, _, found)| found.lacking.is_some())
            .map(|(pod, ..)| pod.name_any())
            .collect();
        let since = self.places.lacking_since(cluster, &names, now);
        for (pod, _, found) in all {
            let Some(lacking) = &found.lacking else { continue };
            let waited = since
                .get(&pod.name_any())
                .map(|since| now.saturating_duration_since(*since));
            let left = patience.saturating_sub(waited.unwrap_or_default());
            let is_new = !pod.annotations().contains_key(MEDIA_ADDRESSES);
            if left.is_zero() || !lacking.may_come {
                applied.lacking.get_or_insert_with(|| lacking.remark.clone());
            } else {
                applied.again_after = applied.again_after.into_iter().chain([left]).min();
                if is_new {
                    applied.waits.get_or_insert_with(|| lacking.remark.clone());
                }
            }
        }
    }
}
