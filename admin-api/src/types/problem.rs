//! Errors (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Problem details (RFC 9457), the body of every error: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// HTTP status code, repeated.
    pub status: u16,
    /// Short, the same for every occurrence.
    pub title: String,
    /// What happened, on what, and what to do.
    pub detail: String,
    /// Field, header or path part that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

/// Media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";
