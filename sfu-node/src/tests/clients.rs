//! Requests of WHIP and WHEP clients through the real listener's router.

use super::offers::captured;
use crate::node::{Inbox, Node};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use sfumato_admin_api::server::admin_token::Accepted;
use sfumato_admin_api::server::forwarded;
use sfumato_admin_api::types::{PROBLEM_JSON, Problem};
use std::sync::Arc;
use tower::ServiceExt;

pub const SDP: (&str, &str) = ("content-type", "application/sdp");
pub const SDPFRAG: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// Token of the cluster that the node belongs to.
pub const ADMIN_TOKEN: &str = "an-admin-token";

/// What the client listener accepts of front doors.
fn accepted() -> Accepted {
    Accepted {
        admin: vec![ADMIN_TOKEN.to_owned()],
        front_door: Vec::new(),
    }
}

/// What a browser calls itself.
pub const BROWSER: (&str, &str) = (
    "user-agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
);

/// A node behind its client listener.
pub struct Site {
    pub node: Arc<Node>,
    app: Router,
    _inbox: Inbox,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Site {
    pub async fn start(options: &[&str]) -> Self {
        let (node, inbox) = super::node_with(options).await;
        Self {
            app: crate::http::clients::router(Arc::clone(&node), Some(Arc::new(accepted))),
            node,
            _inbox: inbox,
        }
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .app
            .clone()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub async fn post(&self, path: &str, offer: &str) -> Reply {
        self.ask(Method::POST, path, &[SDP, BROWSER], offer.to_owned()).await
    }

    /// POSTs an offer as a front door passes on what a client at this address sends.
    pub async fn post_from(&self, address: &str, path: &str, offer: &str, more: &[(&str, &str)]) -> Reply {
        self.post_body_from(address, path, offer.to_owned(), more).await
    }

    /// The same with any body.
    pub async fn post_body_from(
        &self,
        address: &str,
        path: &str,
        body: impl Into<Body>,
        more: &[(&str, &str)],
    ) -> Reply {
        let mut signed = HeaderMap::from_iter([(forwarded::FORWARDED_FOR, address.parse().unwrap())]);
        forwarded::sign(&mut signed, ADMIN_TOKEN);
        let proof = signed[forwarded::PROOF].to_str().unwrap();
        let mut headers = vec![
            SDP,
            BROWSER,
            ("x-forwarded-for", address),
            ("sfumato-forwarded-proof", proof),
        ];
        headers.extend_from_slice(more);
        self.ask(Method::POST, path, &headers, body).await
    }

    /// Opens a session with a captured offer.
    pub async fn open(&self, path: &str, offer: &str) -> Reply {
        let reply = self.post(path, captured(offer)).await;
        assert_eq!(reply.status, 201, "{offer}: {}", reply.body);
        reply
    }

    pub async fn patch(&self, session: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.ask(Method::PATCH, session, headers, body.to_owned()).await
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .to_str()
            .unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    pub fn location(&self) -> String {
        self.header("location").to_owned()
    }

    /// The problem in a refusal with this status (RFC 9457); an empty field is not looked at.
    pub fn refused(&self, status: u16, field: &str) -> Problem {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header(header::CONTENT_TYPE.as_str()), PROBLEM_JSON);
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert!(!problem.detail.is_empty());
        if !field.is_empty() {
            assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
        }
        problem
    }

    /// Values of an attribute of the body, in order.
    pub fn values(&self, attribute: &str) -> Vec<&str> {
        values(&self.body, attribute)
    }

    /// The body by m-section, without what stands before the first.
    pub fn sections(&self) -> Vec<&str> {
        self.body.split("\r\nm=").skip(1).collect()
    }
}

/// Values of an attribute of a description.
pub fn values<'a>(text: &'a str, attribute: &str) -> Vec<&'a str> {
    let prefix = format!("a={attribute}:");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).collect()
}

/// A fragment with these credentials, and one candidate.
pub fn fragment(ufrag: &str, pwd: &str) -> String {
    format!(
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
         a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n"
    )
}

/// A fragment with the credentials of a captured offer.
pub fn trickle(offer: &str) -> String {
    let text = captured(offer);
    fragment(values(text, "ice-ufrag")[0], values(text, "ice-pwd")[0])
}

/// A fragment that restarts ICE.
pub fn restart() -> String {
    fragment("fresh", "0123456789abcdef01234567")
}

/// What a player that takes everything answers to an offer.
pub fn answer_to(offer: &str) -> String {
    let dropped = [
        "a=ice-lite",
        "a=ssrc",
        "a=msid:",
        "a=candidate",
        "a=end-of",
        "a=ice-ufrag",
        "a=ice-pwd",
    ];
    let lines = offer
        .lines()
        .filter(|line| !dropped.iter().any(|start| line.starts_with(start)));
    let mut answer: Vec<String> = lines.map(str::to_owned).collect();
    for line in &mut answer {
        *line = match line.as_str() {
            "a=sendonly" => "a=recvonly".to_owned(),
            "a=setup:actpass" => "a=setup:active".to_owned(),
            other if other.starts_with("a=mid:") => {
                format!("{other}\r\na=ice-ufrag:play\r\na=ice-pwd:0123456789abcdef01234567")
            }
            other => other.to_owned(),
        };
    }
    answer.join("\r\n") + "\r\n"
}
