//! The HTTP side that WHIP and WHEP share: POST an offer, take the answer, DELETE the session (RFC 9725, section 4).

use super::error::{ErrorAnswer, PeerError};
use crate::figures::millis;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SDP: &str = "application/sdp";
/// For one request; a node answers within milliseconds, a starved machine may not.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an error's body is shown, in characters.
const BODY_SHOWN: usize = 300;
/// Longest body that is read, in bytes. An answer has some kilobytes, and the list of 32 nodes with their streams some hundreds.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// Most `Link` headers of an answer that are kept, and the longest one, in bytes.
const MAX_LINKS: usize = 16;
const MAX_LINK: usize = 2048;

/// Whether a POST that is refused for now is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The first answer counts.
    No,
    /// On 409 (nothing live yet) and 503 (overload), for so long in all, after the pause that `Retry-After` names.
    For(Duration),
}

/// A session that the server has made.
#[derive(Debug)]
pub(super) struct Created {
    pub answer: String,
    pub session: Url,
    /// `Link` headers, as they are.
    pub links: Vec<String>,
    /// When the request left that was answered; earlier, refused ones do not count.
    pub started: Instant,
    answered: Instant,
}

impl Created {
    /// From the request to its answer, in milliseconds.
    pub(super) fn millis(&self) -> f64 {
        millis(self.answered - self.started)
    }
}

/// One client for the whole process: a connection pool is too heavy to have per viewer.
static CLIENT: OnceLock<Client> = OnceLock::new();

pub(crate) fn client() -> Client {
    CLIENT
        .get_or_init(|| sfumato_admin_api::files::http_client(None, |options| options))
        .clone()
}

/// Has all requests made by this client; false where some were made already.
pub(super) fn set_client(client: Client) -> bool {
    CLIENT.set(client).is_ok()
}

fn authorized(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    let request = request.timeout(REQUEST_TIMEOUT);
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Parses an endpoint's URL. For https somebody must have said whom to trust ([`super::trust`]).
///
/// # Errors
/// When it is no URL with `http` or `https`.
pub(super) fn endpoint(url: &str) -> Result<Url, PeerError> {
    let parsed = Url::parse(url).map_err(|e| not_usable(url, &e.to_string()))?;
    if ["http", "https"].contains(&parsed.scheme()) {
        Ok(parsed)
    } else {
        Err(not_usable(url, "only http and https are supported"))
    }
}

/// Parses the URL of an endpoint without TLS: benchmarks are for loopback and pod networks.
///
/// # Errors
/// When it is no URL with `http`.
pub fn plain_endpoint(url: &str) -> Result<Url, PeerError> {
    let parsed = Url::parse(url).map_err(|e| not_usable(url, &e.to_string()))?;
    if parsed.scheme() == "http" {
        Ok(parsed)
    } else {
        Err(not_usable(url, "only http is supported"))
    }
}

fn not_usable(url: &str, why: &str) -> PeerError {
    PeerError::Url {
        url: url.to_owned(),
        why: why.to_owned(),
    }
}

/// POSTs an offer. Redirects are followed by the client (307 keeps method and body).
pub(super) async fn post_offer(
    url: &Url,
    offer: &str,
    token: Option<&str>,
    retry: Retry,
) -> Result<Created, PeerError> {
    let offer = with_mux_only(offer);
    let last_try = match retry {
        Retry::No => None,
        Retry::For(limit) => Some(Instant::now() + limit),
    };
    loop {
        let started = Instant::now();
        let request = client()
            .post(url.clone())
            .header(CONTENT_TYPE, SDP)
            .header(ACCEPT, SDP)
            .body(offer.clone());
        let failed = |source| PeerError::Http {
            method: "POST",
            url: url.to_string(),
            source,
        };
        let response = authorized(request, token).send().await.map_err(failed)?;
        let status = response.status();
        if matches!(status, StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE) {
            let pause = retry_after(&response);
            if last_try.is_some_and(|last| Instant::now() + pause < last) {
                tracing::debug!(%url, %status, ?pause, "refused for now");
                tokio::time::sleep(pause).await;
                continue;
            }
        }
        if status != StatusCode::CREATED {
            return Err(refused("POST", response).await);
        }
        // Relative to where the request ended up, not to where it was sent (RFC 9725, 4.6).
        let session = session_url(&response)?;
        let links = links(response.headers());
        let answer = body(response, MAX_BODY).await.map_err(failed)?;
        return Ok(Created {
            answer,
            session,
            links,
            started,
            answered: Instant::now(),
        });
    }
}

/// Adds what RFC 9725, 4.4 wants of every bundled section and str0m leaves out: RTCP goes with RTP, or not at all.
fn with_mux_only(offer: &str) -> String {
    offer.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-mux-only\r\n")
}

/// DELETEs a session. One that is gone already (404) is as good as deleted.
pub(super) async fn delete(session: &Url, token: Option<&str>) -> Result<(), PeerError> {
    let failed = |source| PeerError::Http {
        method: "DELETE",
        url: session.to_string(),
        source,
    };
    let response = authorized(client().delete(session.clone()), token)
        .send()
        .await
        .map_err(failed)?;
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
        _ => Err(refused("DELETE", response).await),
    }
}

/// `Link` headers that can be read, within bounds.
fn links(headers: &HeaderMap) -> Vec<String> {
    let readable = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let short = readable.filter(|text| text.len() <= MAX_LINK);
    short.take(MAX_LINKS).map(str::to_owned).collect()
}

/// The body of an answer, cut after so many bytes.
pub(crate) async fn body(mut response: Response, at_most: usize) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < at_most
        && let Some(chunk) = response.chunk().await?
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(at_most - bytes.len())]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn session_url(response: &Response) -> Result<Url, PeerError> {
    let lacks = |what: &str| PeerError::Answer {
        url: response.url().to_string(),
        what: what.to_owned(),
    };
    let location = response
        .headers()
        .get(LOCATION)
        .ok_or_else(|| lacks("a Location header"))?;
    let location = location.to_str().map_err(|_| lacks("a readable Location header"))?;
    response
        .url()
        .join(location)
        .map_err(|e| lacks(&format!("a usable Location header (`{location}`: {e})")))
}

/// The pause that the server asks for, in seconds; a date or nothing counts as half a second.
fn retry_after(response: &Response) -> Duration {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    seconds.map_or(Duration::from_millis(500), Duration::from_secs)
}

async fn refused(method: &'static str, response: Response) -> PeerError {
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let body = body(response, BODY_SHOWN * 4).await.unwrap_or_default();
    let body = body.trim().chars().take(BODY_SHOWN).collect();
    PeerError::Refused {
        method,
        url,
        problem: ErrorAnswer { status, body },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_an_offer_insists_on_multiplexing() {
        let offer = "m=audio 9\r\na=rtcp-mux\r\nm=video 9\r\na=rtcp-mux\r\na=mid:1\r\n";
        assert_eq!(
            with_mux_only(offer)
                .matches("a=rtcp-mux\r\na=rtcp-mux-only\r\n")
                .count(),
            2
        );
    }

    #[test]
    fn only_http_is_taken_and_https_where_it_is_asked_for_and_the_error_shows_how() {
        assert!(plain_endpoint("http://127.0.0.1:2020/whip/a").is_ok());
        assert!(endpoint("https://live.example.net/whip/a").is_ok());
        for error in [
            plain_endpoint("https://127.0.0.1/whip/a"),
            plain_endpoint("127.0.0.1:2020/whip/a"),
            endpoint("ftp://127.0.0.1/whip/a"),
            endpoint(""),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:2020/whip/NAME"), "{error}");
        }
    }

    #[test]
    fn links_are_kept_within_bounds() {
        let mut headers = HeaderMap::new();
        headers.append(LINK, "x".repeat(MAX_LINK + 1).parse().unwrap());
        for _ in 0..=MAX_LINKS {
            headers.append(LINK, "<stun:a>; rel=\"ice-server\"".parse().unwrap());
        }
        assert_eq!(links(&headers).len(), MAX_LINKS);
        assert!(links(&headers)[0].starts_with("<stun:a>"));
    }
}
