//! The page: files that are part of the program, so that a front door needs no directory beside it. For those who work on
//! the page, they can be read from a directory instead.

use crate::cors;
use crate::problem::Refusal;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Scripts, styles, workers and connections of this origin only; nothing inline, nothing from elsewhere. `blob:` is the
/// media that the page makes itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Ui;

/// Largest file that is read from a directory, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Where the files of the page come from.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Read from here at each request; without it, what is part of the program is served.
    directory: Option<Arc<Path>>,
}

struct File {
    data: Cow<'static, [u8]>,
    tag: String,
}

impl Files {
    /// Those of this directory, or those of the program.
    ///
    /// # Errors
    /// When the directory has no `index.html`.
    pub fn of(directory: Option<&Path>) -> std::io::Result<Self> {
        let Some(directory) = directory else {
            return Ok(Self::default());
        };
        let directory = directory.canonicalize()?;
        directory.join("index.html").metadata()?;
        Ok(Self {
            directory: Some(directory.into()),
        })
    }

    async fn get(&self, path: &str) -> Option<File> {
        match &self.directory {
            None => {
                let file = Ui::get(path)?;
                let tag = entity_tag(&file.metadata.sha256_hash());
                Some(File { data: file.data, tag })
            }
            Some(directory) => {
                let (directory, path) = (Arc::clone(directory), PathBuf::from(path));
                tokio::task::spawn_blocking(move || read(&directory, &path))
                    .await
                    .ok()?
            }
        }
    }
}

/// Reads a file in or below a directory. A path or a link that leads elsewhere is no file of the page.
fn read(directory: &Path, path: &Path) -> Option<File> {
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = directory.join(path).canonicalize().ok()?;
    let about = file.metadata().ok()?;
    if !is_plain || !file.starts_with(directory) || !about.is_file() || about.len() > MAX_FILE {
        return None;
    }
    let changed = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(File {
        data: std::fs::read(file).ok()?.into(),
        tag: format!("\"{:x}-{:x}\"", changed.as_nanos(), about.len()),
    })
}

/// Serves a file of the page; `/` is `index.html`. A web page of another origin can read that a path is wrong, also after a
/// preflight; files of the page are for this origin.
///
/// # Errors
/// 404 for any other path, 405 for any other method.
pub async fn serve(
    State(files): State<Files>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let path = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let Some(File { data, tag }) = files.get(path).await else {
        if method == Method::OPTIONS {
            return Ok(cors::readable((StatusCode::NO_CONTENT, cors::preflight())));
        }
        let detail = "there is nothing here: see / for the page, /api/v1/cluster, /whip/{stream} and /whep/{stream}";
        let refusal = Refusal::new(StatusCode::NOT_FOUND, "Not found", detail).field("path");
        return Ok(cors::readable(refusal));
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        let detail = "files of the page can only be read";
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
        return Err(refusal.header(header::ALLOW, header::HeaderValue::from_static("GET, HEAD")));
    }
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
    Ok((common, fixed, permissions, data.into_owned()).into_response())
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
