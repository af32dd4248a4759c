//! Refusals of the front door itself, as problem details (RFC 9457) that name the field at fault.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::types::{PROBLEM_JSON, Problem};

/// Seconds after which a client may ask again when no node can take a session.
pub const RETRY_AFTER_SECONDS: u32 = 2;

/// A refusal: problem details and the headers that belong to it.
///
/// Boxed, because it is the error of many functions whose success is small.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    problem: Problem,
    headers: HeaderMap,
}

impl Refusal {
    /// A refusal with this status; `title` is the same for every occurrence, `detail` says what to do.
    #[must_use]
    pub fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            status: status.as_u16(),
            title: title.to_owned(),
            detail: detail.into(),
            field: None,
        };
        Self(Box::new(Parts {
            problem,
            headers: HeaderMap::new(),
        }))
    }

    /// Names the field, header or path part at fault.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.0.problem.field = Some(field.to_owned());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub fn retry(self) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Parts { problem, headers } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, headers, axum::Json(problem)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}
