//! `POST /admin/v1/test-faults`, with `--test-faults` only: breaks the node in ways that a signal from outside cannot.

use super::extract::Body;
use crate::media::worker::death;
use crate::node::Node;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use sfumato_admin_api::program::task;
use std::sync::Arc;

/// The route.
pub fn router() -> Router<Arc<Node>> {
    Router::new().route("/admin/v1/test-faults", post(break_it))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    fault: Fault,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Fault {
    /// What a failed assertion in a worker ends in: the whole process is aborted.
    WorkerAborts,
    /// What mediasoup tells when a worker's thread has ended in order.
    WorkerEnds,
    /// What a fault of our own code comes to: a task that the node lives by panics.
    TaskPanics,
}

async fn break_it(State(node): State<Arc<Node>>, Body(wanted): Body<Wanted>) -> StatusCode {
    match wanted.fault {
        Fault::WorkerAborts => {
            eprintln!("test fault: a media worker's assertion fails");
            std::process::abort();
        }
        Fault::WorkerEnds => {
            node.state.fatal.send_replace(Some(death(0, Ok(()))));
        }
        Fault::TaskPanics => {
            task::vital(&node.state.fatal, "a test fault", async {
                panic!("as it was asked to")
            });
        }
    }
    StatusCode::ACCEPTED
}
