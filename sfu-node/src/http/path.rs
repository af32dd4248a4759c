//! Path parameters whose errors are problem details: `/whip/%FF` is not UTF-8.

use crate::http::problem::Problem;
use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// As axum's, with our errors.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        AxumPath::from_request_parts(parts, state)
            .await
            .map(|AxumPath(value)| Self(value))
            .map_err(|error| {
                // The first parameter is the only one that people choose: a stream, a peer, a publication.
                let field = parts.uri.path().split('/').nth(1).map_or("path", |first| match first {
                    "whip" | "whep" => "stream",
                    _ => "path",
                });
                let detail = format!(
                    "{}: a name is 1 to {} of A-Z, a-z, 0-9, `.`, `_` and `-`",
                    error.body_text(),
                    sfumato_admin_api::types::MAX_STREAM_NAME
                );
                Problem::new(StatusCode::BAD_REQUEST, "Malformed path", detail).field(field)
            })
    }
}
