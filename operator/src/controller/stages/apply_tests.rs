#![allow(clippy::unwrap_used)]
use super::super::dereference::Dereferencer;
use super::super::write_status::StatusWriter;
use super::*;
use crate::controller::build::Wish;
use crate::controller::pace::{Pace, REQUESTS_AT_ONCE};
use crate::controller::process::events::Events;
use crate::controller::process::metrics::Metrics;
use crate::crd::status::SfuClusterStatus;
use futures::future::join_all;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::DynamicObject;
use kube::client::Body;
use kube::runtime::reflector;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What an API server is asked at once.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    full: Notify,
}

impl Load {
    /// Answers a request once as many are open as may be, and never before.
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if self.most.load(Ordering::SeqCst) < REQUESTS_AT_ONCE {
            self.full.notified().await;
        }
        // The first who need not wait wakes one, who wakes the next.
        self.full.notify_one();
        // Whoever else is about to ask does it now.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        let (status, answer) = if request.method() == "GET" {
            let words = json!({ "kind": "Status", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404 });
            (404, words)
        } else {
            let path = request.uri().path();
            let (name, kind) = match path.rsplit_once("/serviceaccounts/") {
                Some((_, name)) => (name, "ServiceAccount"),
                None => ("made", "Secret"),
            };
            let metadata = json!({ "name": name, "namespace": "media", "uid": name });
            (200, json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata }))
        };
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        Response::builder().status(status).body(body).unwrap()
    }
}

/// A client of a server that is so loaded, and turns for whoever calls it.
fn client(load: &Arc<Load>) -> (Client, Arc<Semaphore>) {
    let server = Arc::clone(load);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    (
        Client::new(service, "media"),
        Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
    )
}

fn ids() -> impl Iterator<Item = ClusterId> {
    (0..4 * REQUESTS_AT_ONCE).map(|number| ClusterId {
        namespace: "media".to_owned(),
        name: format!("cluster-{number}"),
        uid: format!("uid-{number}"),
    })
}

#[tokio::test]
async fn a_leader_that_has_applied_nothing_yet_applies_so_many_children_at_once_and_no_more() {
    let load = Arc::new(Load::default());
    let (client, turns) = client(&load);
    let applier = Applier::new(client, turns);
    let (cache, _writer) = reflector::store::<PartialObjectMeta<ServiceAccount>>();
    let children = ids().map(|id| {
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(id.nodes_service());
        (id, account)
    });
    let children: Vec<(ClusterId, ServiceAccount)> = children.collect();
    let all = children
        .iter()
        .map(|(id, account)| applier.apply_one(id, account, &cache));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(load.most.load(Ordering::SeqCst), REQUESTS_AT_ONCE);
}

#[tokio::test]
async fn a_leader_that_has_read_nothing_yet_reads_so_many_secrets_at_once_and_no_more() {
    let load = Arc::new(Load::default());
    let (client, turns) = client(&load);
    let dereferencer = Dereferencer::new(client, Pace::for_tests(), turns);
    let wishes: Vec<Wish> = ids().map(|id| wish(&id)).collect();
    let pods = [];
    let all = wishes
        .iter()
        .map(|wish| dereferencer.dereference(wish, (None, None), &pods, false));
    let read = join_all(all).await;
    let troubles = read
        .iter()
        .map(|read| read.as_ref().unwrap().trouble.as_ref().unwrap().reason);
    assert!(troubles.into_iter().all(|reason| reason == "SecretMissing"));
    assert_eq!(load.most.load(Ordering::SeqCst), REQUESTS_AT_ONCE);
}

#[tokio::test]
async fn a_leader_that_has_written_no_status_yet_writes_so_many_at_once_and_no_more() {
    let load = Arc::new(Load::default());
    let (client, turns) = client(&load);
    let events = Events::new(client.clone(), "operator".to_owned());
    let writer = StatusWriter::new(client, turns, events, Arc::new(Metrics::new()));
    let (before, now) = (
        SfuClusterStatus::default(),
        SfuClusterStatus {
            observed_generation: Some(1),
            ..SfuClusterStatus::default()
        },
    );
    let ids: Vec<ClusterId> = ids().collect();
    let all = ids.iter().map(|id| writer.write(id, &before, &now));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(load.most.load(Ordering::SeqCst), REQUESTS_AT_ONCE);
}

/// A cluster with an admin Secret to be made, and one that its manifest names.
fn wish(id: &ClusterId) -> Wish {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
        "metadata": { "name": id.name, "namespace": id.namespace, "uid": id.uid },
    }))
    .unwrap();
    let from = json!({ "name": "mine", "key": "url" });
    let spec = json!({ "redis": { "external": { "urlSecretRef": from } } });
    Wish::new(&object, serde_json::from_value(spec).unwrap())
}
