//! What a path and a query say: parsed once at the border, by the same rules as the nodes'.

use crate::problem::Refusal;
use axum::http::StatusCode;
use sfumato_admin_api::types::StreamName;

/// Resources of a session (WHEP extensions) lie at most this many segments below it.
const MAX_DEPTH: usize = 3;

/// `/nodes/{node}/{whip|whep}/{stream}/{session}`, and what may lie below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPath<'a> {
    /// Name of the node, not yet looked up.
    pub node: &'a str,
    /// The path at the node: `/whip/{stream}/{session}`.
    pub at_node: &'a str,
}

impl<'a> SessionPath<'a> {
    /// Reads a path as it came over the wire. Nothing is decoded: names need no escapes, and what is escaped all the
    /// same could mean something else to the node.
    ///
    /// # Errors
    /// 404 for what cannot be a session, 400 naming `stream` for a name that no stream can have.
    pub fn parse(path: &'a str) -> Result<Self, Refusal> {
        let no_session = || {
            let detail = "session URLs are /nodes/{node}/whip|whep/{stream}/{session}; use the Location that was given";
            Refusal::new(StatusCode::NOT_FOUND, "No such session", detail).field("session")
        };
        let (node, below) = path
            .strip_prefix("/nodes/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(no_session)?;
        let at_node = &path[path.len() - below.len() - 1..];
        let mut segments = below.split('/');
        if !matches!(segments.next(), Some("whip" | "whep")) {
            return Err(no_session());
        }
        stream_name(segments.next().ok_or_else(no_session)?)?;
        let rest: Vec<&str> = segments.collect();
        if rest.is_empty() || rest.len() > 1 + MAX_DEPTH || !rest.iter().all(|segment| is_plain(segment)) {
            return Err(no_session());
        }
        Ok(Self { node, at_node })
    }

    /// Whether it is a stream of events of a session.
    #[must_use]
    pub fn is_event_stream(&self) -> bool {
        // `/whep/{stream}/{session}/sse/{id}`
        self.at_node.split('/').nth(4) == Some("sse")
    }
}

/// A stream name from a path.
///
/// # Errors
/// 400 naming `stream`. `.` and `..` are refused as well: HTTP clients resolve them away before they reach the node.
pub fn stream_name(text: &str) -> Result<StreamName, Refusal> {
    let refuse = |detail: String| Refusal::new(StatusCode::BAD_REQUEST, "Invalid stream name", detail).field("stream");
    if matches!(text, "." | "..") {
        return Err(refuse(format!(
            "stream name `{text}` is not allowed: it means a directory in URLs"
        )));
    }
    text.parse()
        .map_err(|error: sfumato_admin_api::types::InvalidName| refuse(error.to_string()))
}

/// Takes `node` out of a query: its value (none when absent or empty: any node will do) and what is left for the node,
/// `?` included.
#[must_use]
pub fn split_query(query: &str) -> (Option<String>, String) {
    let mut node = None;
    let mut rest = String::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("node", value) => node = Some(value.to_owned()).filter(|value| !value.is_empty()),
            _ => {
                rest.push(if rest.is_empty() { '?' } else { '&' });
                rest.push_str(pair);
            }
        }
    }
    (node, rest)
}

/// Whether a segment of a path means itself: nothing is escaped, and it leads nowhere up.
#[must_use]
pub fn is_plain(segment: &str) -> bool {
    !segment.is_empty()
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !matches!(segment, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[test]
    fn a_session_path_gives_the_node_and_the_path_there() {
        let path = SessionPath::parse("/nodes/sfu-2/whip/demo/1234-abcd").unwrap();
        assert_eq!((path.node, path.at_node), ("sfu-2", "/whip/demo/1234-abcd"));
        let path = SessionPath::parse("/nodes/sfu-2/whep/demo/1234/layer").unwrap();
        assert_eq!(path.at_node, "/whep/demo/1234/layer");
        let streams = |path| SessionPath::parse(path).unwrap().is_event_stream();
        assert!(streams("/nodes/sfu-2/whep/demo/1234/sse/1"));
        assert!(!streams("/nodes/sfu-2/whep/demo/1234") && !streams("/nodes/sfu-2/whep/demo/1234/layer"));
    }

    #[test]
    fn what_is_no_session_is_404_and_nothing_climbs_out_of_it() {
        for path in [
            "/nodes/sfu-2",
            "/nodes/sfu-2/",
            "/nodes/sfu-2/admin/v1/node",
            "/nodes/sfu-2/whip/demo",
            "/nodes/sfu-2/whip/demo/",
            "/nodes/sfu-2/whip/demo/..",
            "/nodes/sfu-2/whip/demo/%2e%2e",
            "/nodes/sfu-2/whip/demo/1//2",
            "/nodes/sfu-2/whip/demo/1/2/3/4/5",
        ] {
            let status = SessionPath::parse(path).unwrap_err().into_response().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_name_that_no_stream_can_have_is_400() {
        for name in ["", "a b", "ä", "a/b", "%61", ".", "..", &"x".repeat(129)] {
            assert_eq!(
                stream_name(name).unwrap_err().into_response().status(),
                StatusCode::BAD_REQUEST,
                "{name}"
            );
        }
        assert!(stream_name("Stage-1_main.hd").is_ok());
    }

    #[test]
    fn node_is_taken_out_of_the_query_and_the_rest_goes_to_the_node() {
        let split = |query| {
            let (node, rest) = split_query(query);
            (node.unwrap_or_default(), rest)
        };
        assert_eq!(split(""), (String::new(), String::new()));
        assert_eq!(split("node=sfu-1"), ("sfu-1".into(), String::new()));
        assert_eq!(
            split("maxHeight=720&node=sfu-1&x=%20"),
            ("sfu-1".into(), "?maxHeight=720&x=%20".into())
        );
        assert_eq!(split("node=&a=b"), (String::new(), "?a=b".into()));
    }
}
