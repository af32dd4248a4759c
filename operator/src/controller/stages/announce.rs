//! Tells each node at which addresses its clients reach it, by an annotation of its pod: it goes with the pod that it is of, and
//! the kubelet gives it to the node within moments, also after a restart while no operator runs.

use super::apply::{Applied, Applier};
use super::apply_error::{ApplyError, error_code};
use crate::controller::build::{MEDIA_ADDRESSES, Reached, Wish, media_addresses};
use crate::controller::rollout::adjust::Prepared;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::change_of;
use crate::controller::watch::seen::{Address, Pod, is_node};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

impl Applier {
    /// Brings the annotations of these pods up to date, as far as clients can reach what they would be told. In a pause, only
    /// pods that were told nothing yet: without an address, a node that was started anew takes no sessions. What the pause keeps
    /// from the others is added to what is `held`.
    pub async fn announce(
        &self,
        wish: &Wish,
        pods: &[Arc<Pod>],
        (prepared, caches): (&Prepared, &Caches),
        mut applied: Applied,
        held: &mut Vec<String>,
    ) -> Applied {
        for pod in pods.iter().filter(|pod| is_node(pod)) {
            let Some((reached, addresses)) = due(wish, pod) else {
                continue;
            };
            let name = pod.name_any();
            let service = reached.service(&wish.id);
            if wish.spec.paused && pod.annotations().contains_key(MEDIA_ADDRESSES) {
                held.push(format!("addresses of {name}"));
                continue;
            }
            let services = &prepared.children.media_services;
            let before_it = services
                .iter()
                .find(|it| service.is_some() && it.metadata.name == service);
            if !wish.spec.paused && before_it.is_some_and(|it| !self.is_applied(&wish.id, it, &caches.services)) {
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
}

/// How a pod is reached, and what it is not told yet of that.
fn due(wish: &Wish, pod: &Pod) -> Option<(Reached, String)> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let reached = Reached::running(wish, &pod.metadata, |name| pod.spec.argument(name))?;
    let status = &pod.status;
    let wanted = media_addresses(
        &wish.spec,
        &reached,
        &parsed(&status.host_ips),
        &parsed(&status.pod_ips),
    )?;
    (pod.annotations().get(MEDIA_ADDRESSES) != Some(&wanted)).then_some((reached, wanted))
}

fn parsed(addresses: &[Address]) -> Vec<IpAddr> {
    addresses.iter().filter_map(|address| address.ip.parse().ok()).collect()
}
