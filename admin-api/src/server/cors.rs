//! Cross-origin rules for WHIP and WHEP, the same at a node and at the front door: any page may publish and play, and read
//! the headers that the protocols put their meaning in (RFC 9725 section 4.2; Location, ETag and Link are hidden from
//! scripts otherwise). No credentials are allowed, so that any origin can be: tokens travel in `Authorization`.

/// Response headers that a page may read.
pub const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Retry-After, WWW-Authenticate";
/// Request headers that a page may send. `ETag` because one published WHIP client sends it instead of `If-Match`.
pub const ALLOWED_HEADERS: &str = "Authorization, Content-Type, If-Match, ETag";
/// Methods of endpoints and sessions. Players decide from this list whether they may trickle and delete.
pub const ALLOWED_METHODS: &str = "POST, PATCH, DELETE, GET, HEAD, OPTIONS";
/// How long a browser may keep the answer to a preflight, in seconds; two hours is the most that Chromium keeps.
pub const MAX_AGE_SECONDS: u32 = 7_200;
