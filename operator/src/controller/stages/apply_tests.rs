#![allow(clippy::unwrap_used)]
use super::*;
use crate::controller::pace::APPLIED_AT_ONCE;
use futures::future::join_all;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ServiceAccount;
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
        if self.most.load(Ordering::SeqCst) < APPLIED_AT_ONCE {
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
            let name = request.uri().path().rsplit('/').next().unwrap();
            let metadata = json!({ "name": name, "namespace": "media", "uid": name });
            (
                200,
                json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
            )
        };
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        Response::builder().status(status).body(body).unwrap()
    }
}

#[tokio::test]
async fn a_leader_that_has_applied_nothing_yet_applies_so_many_children_at_once_and_no_more() {
    let load = Arc::new(Load::default());
    let server = Arc::clone(&load);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let applier = Applier::new(Client::new(service, "media"), Arc::new(Semaphore::new(APPLIED_AT_ONCE)));
    let (cache, _writer) = reflector::store::<PartialObjectMeta<ServiceAccount>>();
    let children = (0..4 * APPLIED_AT_ONCE).map(|number| {
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: format!("cluster-{number}"),
            uid: format!("uid-{number}"),
        };
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(id.nodes_service());
        (id, account)
    });
    let children: Vec<(ClusterId, ServiceAccount)> = children.collect();
    let all = children
        .iter()
        .map(|(id, account)| applier.apply_one(id, account, &cache));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(load.most.load(Ordering::SeqCst), APPLIED_AT_ONCE);
}
