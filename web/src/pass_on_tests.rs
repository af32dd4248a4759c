use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn node() -> NodeName {
    "sfu-2".parse().unwrap()
}

#[test]
fn session_urls_get_the_name_of_their_node() {
    for location in ["/whip/demo/1234", "http://127.0.0.1:3002/whip/demo/1234"] {
        let answer = answer_headers(
            &headers(&[("location", location)]),
            &node(),
            "http://127.0.0.1:3002/",
            "",
        )
        .unwrap();
        assert_eq!(answer[header::LOCATION], "/nodes/sfu-2/whip/demo/1234", "{location}");
    }
}

#[test]
fn a_location_that_leads_elsewhere_is_refused() {
    for location in [
        "https://evil.example/whip/demo/1",
        "//evil.example/whip/",
        "/admin/v1/node",
        "",
    ] {
        let answer = answer_headers(
            &headers(&[("location", location)]),
            &node(),
            "http://127.0.0.1:3002",
            "",
        );
        assert!(answer.is_err(), "{location}");
    }
}

#[test]
fn links_stay_separate_and_those_of_the_session_are_rewritten() {
    let from = headers(&[
        ("link", "<stun:stun.example.net>; rel=\"ice-server\""),
        (
            "link",
            "</whep/demo/1/layer>; rel=\"urn:ietf:params:whep:ext:core:layer\"",
        ),
    ]);
    let answer = answer_headers(&from, &node(), "http://n", "").unwrap();
    let links: Vec<_> = answer
        .get_all(header::LINK)
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(links.len(), 2);
    assert_eq!(links[0], "<stun:stun.example.net>; rel=\"ice-server\"");
    assert!(links[1].starts_with("</nodes/sfu-2/whep/demo/1/layer>"));
}

#[test]
fn only_needed_headers_go_back() {
    let from = headers(&[
        ("etag", "\"e1\""),
        ("retry-after", "2"),
        ("set-cookie", "a=b"),
        ("access-control-allow-origin", "https://one.example"),
        ("www-authenticate", "Bearer"),
        ("accept-post", "application/sdp"),
    ]);
    let answer = answer_headers(&from, &node(), "http://n", "").unwrap();
    let mut names: Vec<_> = answer.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-post", "etag", "retry-after", "www-authenticate"]);
}

#[test]
fn only_needed_headers_go_to_the_node_with_the_address_of_the_client_last() {
    let from = headers(&[
        ("content-type", "application/sdp"),
        ("authorization", "Bearer t"),
        ("if-match", "\"e1\""),
        ("cookie", "a=b"),
        ("host", "door.example"),
        ("sfumato-admin-token", "guess"),
        ("sfumato-forwarded-proof", "guess"),
        ("x-forwarded-for", "203.0.113.7"),
    ]);
    let sent = request_headers(&from, Some("::ffff:192.0.2.1".parse().unwrap()), "");
    let mut names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-type", "if-match", "x-forwarded-for"]);
    assert_eq!(sent["x-forwarded-for"], "203.0.113.7, 192.0.2.1");
    assert!(!request_headers(&HeaderMap::new(), None, "token").contains_key("x-forwarded-for"));
}

#[test]
fn behind_a_proxy_that_takes_a_prefix_away_session_urls_and_links_lie_below_it() {
    let from = headers(&[
        ("location", "/whep/demo/1"),
        (
            "link",
            "</whep/demo/1/layer>; rel=\"urn:ietf:params:whep:ext:core:layer\"",
        ),
    ]);
    let answer = answer_headers(&from, &node(), "http://n", "/a/live").unwrap();
    assert_eq!(answer[header::LOCATION], "/a/live/nodes/sfu-2/whep/demo/1");
    let link = answer[header::LINK].to_str().unwrap();
    assert!(link.starts_with("</a/live/nodes/sfu-2/whep/demo/1/layer>"), "{link}");
}

#[test]
fn a_prefix_is_a_plain_path_or_counts_as_none() {
    for (told, expected) in [
        ("/live", "/live"),
        ("/a/live-1/", "/a/live-1"),
        ("/", ""),
        ("", ""),
        ("live", ""),
        ("//evil.example", ""),
        ("https://evil.example", ""),
        ("/live/../admin", ""),
        ("/a, /b", ""),
        ("/a%2fb", ""),
        (&format!("/{}", "x".repeat(MAX_PREFIX)), ""),
    ] {
        assert_eq!(prefix(&headers(&[("x-forwarded-prefix", told)])), expected, "{told}");
    }
    let twice = headers(&[("x-forwarded-prefix", "/a"), ("x-forwarded-prefix", "/b")]);
    assert_eq!((prefix(&twice), prefix(&HeaderMap::new())), ("", ""));
}
