//! Path parameters whose errors are problem details: `/whip/%FF` is not UTF-8.

use crate::problem::Problem;
use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// As axum's, with our errors.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        AxumPath::from_request_parts(parts, state).await.map(|AxumPath(value)| Self(value)).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "Malformed path", error.body_text()).field("path")
        })
    }
}
