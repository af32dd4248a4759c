//! The page: files that are part of the program, so that a front door needs no directory beside it.

use crate::problem::Refusal;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// Scripts, styles, workers and connections of this origin only; nothing inline, nothing from elsewhere. `blob:` is the
/// media that the page makes itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Ui;

/// Serves a file of the page; `/` is `index.html`.
///
/// # Errors
/// 404 for any other path, 405 for any other method.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let path = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let Some(file) = Ui::get(path) else {
        let detail = "there is nothing here: see / for the page, /api/v1/cluster, /whip/{stream} and /whep/{stream}";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "Not found", detail).field("path"));
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        let detail = "files of the page can only be read";
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
        return Err(refusal.header(header::ALLOW, header::HeaderValue::from_static("GET, HEAD")));
    }
    let tag = entity_tag(&file.metadata.sha256_hash());
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let common = [
        (header::ETAG, tag),
        // Asked for again each time, so that a new release shows at once; unchanged files cost one short answer.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let fixed = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let permissions = [("permissions-policy", "camera=(self), microphone=(self), geolocation=()")];
    Ok((common, fixed, permissions, file.data.into_owned()).into_response())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => mime_guess::from_path(path)
            .first_raw()
            .unwrap_or("application/octet-stream"),
    }
}

fn entity_tag(hash: &[u8; 32]) -> String {
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
