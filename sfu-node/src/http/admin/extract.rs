//! What calls of the admin API share: JSON bodies, and work that goes on when the caller hangs up.

use crate::http::problem::Problem;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Largest body that is read, in bytes: 64 lanes of a peer with keys and parameters are well below.
pub const MAX_BODY: usize = 1024 * 1024;

/// Longest wait for a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// JSON whose errors are problem details that name the field.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(request.into_body(), MAX_BODY)).await;
        let read = read.map_err(|_| {
            let detail = format!(
                "the body did not arrive within {}",
                humantime::format_duration(BODY_DEADLINE)
            );
            Problem::new(StatusCode::REQUEST_TIMEOUT, "Body too slow", detail).field("body")
        })?;
        let bytes = read.map_err(|_| {
            let detail = format!("the body is larger than {MAX_BODY} bytes, or broke off");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail).field("body")
        })?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        serde_path_to_error::deserialize(&mut json).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let detail = format!("{path}: {}", error.inner());
            Problem::new(StatusCode::BAD_REQUEST, "Malformed JSON", detail).field(path)
        })
    }
}

/// Work that changes something is finished even when the caller hangs up half-way.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work)
        .await
        .map_err(|panic| Problem::internal("an admin call", panic))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_408() {
        let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(silent));
        let refused = Body::<serde_json::Value>::from_request(request, &())
            .await
            .err()
            .unwrap();
        assert_eq!(refused.into_response().status(), StatusCode::REQUEST_TIMEOUT);
    }
}
