//! Errors that a client sees: problem details (RFC 9457) with the field at fault.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::types;
use std::fmt::Display;

/// A problem on its way to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    field: Option<String>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// `title` is the same for every occurrence, `detail` says what happened and what to do.
    pub fn new(status: StatusCode, title: &'static str, detail: impl Display) -> Self {
        Self {
            status,
            title,
            detail: detail.to_string(),
            field: None,
            headers: Vec::new(),
        }
    }

    /// Names the field, header or path part at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Asks the client to come back after this many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The node itself is at fault; the cause goes to the log, the client gets a sentence.
    pub fn internal(what: &str, cause: impl Display) -> Self {
        tracing::error!(error = %cause, "{what} failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            format!("{what} failed: {cause}"),
        )
    }

    /// The node cannot do it now; try again.
    pub fn unavailable(detail: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", detail).retry_after(1)
    }

    /// The state has changed since the caller looked.
    pub fn conflict(detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", detail)
    }
}

impl From<types::InvalidName> for Problem {
    fn from(error: types::InvalidName) -> Self {
        let field = error.what().split(' ').next().unwrap_or("name").to_owned();
        Self::new(StatusCode::BAD_REQUEST, "Invalid name", error).field(field)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = types::Problem {
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            detail: self.detail,
            field: self.field,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(types::PROBLEM_JSON));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
