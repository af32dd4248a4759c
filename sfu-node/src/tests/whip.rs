//! RFC 9725, rule by rule, on the real listener and a real mediasoup worker. `docs/whip-whep.md` maps rules to tests.

use super::clients::{Reply, SDP, SDPFRAG, Site, restart, trickle};
use super::offers::{CAPTURED, captured};
use axum::body::Body;
use axum::http::{Method, Request};
use std::collections::HashSet;
use tower::ServiceExt;

/// Every captured publisher.
fn offers() -> impl Iterator<Item = &'static str> {
    CAPTURED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.contains("whip"))
}

/// A site with Chromium's session on it.
async fn with_session() -> (Site, Reply) {
    let site = Site::start(&[]).await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    (site, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_answered_by_201_with_an_answer_and_the_url_of_the_session() {
    let site = Site::start(&[]).await;
    for offer in offers() {
        let reply = site.open(&format!("/whip/{offer}"), offer).await;
        assert_eq!(reply.header("content-type"), "application/sdp");
        assert!(
            reply.body.starts_with("v=0\r\n"),
            "{offer}: some clients look for exactly this"
        );
        let location = reply.location();
        assert!(
            location.starts_with(&format!("/whip/{offer}/")) && !location.contains('?'),
            "OBS replaces the whole path and drops the query: {location}"
        );
        assert_eq!(reply.header("accept-patch"), "application/trickle-ice-sdpfrag");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_type_is_415_and_what_is_no_sdp_is_400() {
    let site = Site::start(&[]).await;
    let offer = captured("chromium-whip");
    for headers in [vec![], vec![("content-type", "application/json")]] {
        let reply = site.ask(Method::POST, "/whip/demo", &headers, offer).await;
        reply.refused(415, "Content-Type");
    }
    for body in ["", "nonsense", "v=0\r\n"] {
        site.post("/whip/demo", body).await.refused(400, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_is_a_success_without_content_and_an_unknown_method_is_405_with_allow() {
    let (site, session) = with_session().await;
    for path in ["/whip/demo", &session.location()] {
        for method in [Method::GET, Method::HEAD] {
            let reply = site.ask(method, path, &[], "").await;
            assert_eq!((reply.status.as_u16(), reply.body.as_str()), (204, ""), "{path}");
        }
        let reply = site.ask(Method::PUT, path, &[], "").await;
        reply.refused(405, "");
        assert!(reply.header("allow").contains("OPTIONS"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_says_what_may_be_posted_and_a_preflight_what_a_page_may_do() {
    let (site, session) = with_session().await;
    let preflight = [
        ("origin", "https://example.net"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,if-match"),
    ];
    for path in ["/whip/demo", &session.location()] {
        for headers in [&[] as &[_], &preflight] {
            let reply = site.ask(Method::OPTIONS, path, headers, "").await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.header("accept-post"), "application/sdp");
            assert_eq!(reply.header("access-control-allow-origin"), "*");
            for method in ["POST", "PATCH", "DELETE"] {
                assert!(reply.header("access-control-allow-methods").contains(method));
            }
            for name in ["Authorization", "Content-Type", "If-Match", "ETag"] {
                assert!(reply.header("access-control-allow-headers").contains(name));
            }
            assert!(
                !reply.has("link"),
                "a preflight carries no token, so it learns no TURN credentials"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_read_the_headers_of_every_answer() {
    let (site, session) = with_session().await;
    let refused = site.post("/whip/demo", "nonsense").await;
    for reply in [&session, &refused] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        for name in ["Location", "ETag", "Link", "Accept-Post", "Retry-After"] {
            assert!(reply.header("access-control-expose-headers").contains(name), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_receives_only_and_an_offer_that_does_not_send_is_refused() {
    let site = Site::start(&[]).await;
    for (name, direction) in [("a", "sendonly"), ("b", "sendrecv")] {
        let offer = captured("chromium-whip").replace("a=sendonly", &format!("a={direction}"));
        let reply = site.post(&format!("/whip/{name}"), &offer).await;
        assert_eq!(reply.status, 201, "{direction}");
        for section in reply.sections() {
            assert!(section.contains("a=recvonly\r\n"), "{section}");
        }
    }
    for direction in ["recvonly", "inactive"] {
        let offer = captured("chromium-whip").replace("a=sendonly", &format!("a={direction}"));
        site.post("/whip/c", &offer).await.refused(422, "m=audio (mid 0)");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_has_all_candidates_with_udp_first_and_says_that_no_more_come() {
    let (site, session) = with_session().await;
    let port = site.node.options.media_port;
    for section in session.sections() {
        let lines: Vec<&str> = section.lines().collect();
        let candidates: Vec<&&str> = lines.iter().filter(|line| line.starts_with("a=candidate:")).collect();
        assert!(
            candidates[0].starts_with("a=candidate:1 1 udp "),
            "FFmpeg 8 takes a word for the protocol"
        );
        assert!(candidates[0].ends_with("typ host"));
        assert!(candidates[0].contains(&format!(" 127.0.0.1 {port} ")), "{candidates:?}");
        assert!(
            candidates
                .iter()
                .any(|c| c.contains(" tcp ") && c.ends_with("tcptype passive"))
        );
        assert!(lines.contains(&"a=end-of-candidates"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_one_bundle_with_rtcp_mux_only_in_the_order_of_the_offer() {
    let site = Site::start(&[]).await;
    for offer in offers() {
        let reply = site.open(&format!("/whip/{offer}"), offer).await;
        let mids = super::clients::values(captured(offer), "mid");
        assert_eq!(reply.values("mid"), mids, "{offer}");
        assert_eq!(reply.values("group"), [format!("BUNDLE {}", mids.join(" "))], "{offer}");
        for section in reply.sections() {
            for line in ["a=rtcp-mux\r\n", "a=rtcp-mux-only\r\n"] {
                assert!(section.contains(line), "{offer}: no {line}");
            }
        }
    }
    let unbundled = captured("chromium-whip").replace("a=group:BUNDLE 0 1", "a=group:LS 0 1");
    site.post("/whip/x", &unbundled).await.refused(422, "a=group:BUNDLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_track_of_a_kind_is_422() {
    let site = Site::start(&[]).await;
    let offer = captured("chromium-whip");
    let (before, video) = offer.split_at(offer.find("m=video").unwrap());
    let second = video.replace("a=mid:1", "a=mid:2");
    let before = before.replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let reply = site.post("/whip/demo", &format!("{before}{video}{second}")).await;
    reply.refused(422, "m=video (mid 2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_alone_and_video_alone_are_published() {
    let site = Site::start(&[]).await;
    let offer = captured("chromium-whip");
    let (before_video, video) = offer.split_at(offer.find("m=video").unwrap());
    let session = &offer[..offer.find("m=audio").unwrap()];
    let audio = before_video.replace("BUNDLE 0 1", "BUNDLE 0");
    let video = format!("{}{video}", session.replace("BUNDLE 0 1", "BUNDLE 1"));
    for (name, offer) in [("audio", audio), ("video", video)] {
        let reply = site.post(&format!("/whip/{name}-only"), &offer).await;
        assert_eq!(
            (reply.status.as_u16(), reply.sections().len()),
            (201, 1),
            "{}",
            reply.body
        );
        assert!(reply.sections()[0].starts_with(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_m_section_cannot_be_taken_none_is() {
    let site = Site::start(&[]).await;
    let hevc = captured("chromium-whip")
        .replace("VP8/90000", "H265/90000")
        .replace("VP9/90000", "H265/90000");
    let hevc = hevc
        .replace("H264/90000", "H265/90000")
        .replace("AV1/90000", "H265/90000");
    let problem = site.post("/whip/demo", &hevc).await.refused(422, "m=video (mid 1)");
    assert!(
        problem.detail.contains("H265") && problem.detail.contains("VP8"),
        "{problem:?}"
    );
    assert_eq!(site.node.streams.published.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_dtls_client_unless_it_offers_to_be_the_server() {
    let site = Site::start(&[]).await;
    for (i, (offered, answered)) in [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
        .into_iter()
        .enumerate()
    {
        let offer = captured("chromium-whip").replace("a=setup:actpass", &format!("a=setup:{offered}"));
        let reply = site.post(&format!("/whip/s{i}"), &offer).await;
        assert!(
            reply.values("setup").iter().all(|setup| *setup == answered),
            "{offered}"
        );
    }
    let reply = site.open("/whip/ffmpeg", "ffmpeg9-whip").await;
    assert!(reply.values("setup").iter().all(|setup| *setup == "active"));
    let held = captured("chromium-whip").replace("a=setup:actpass", "a=setup:holdconn");
    site.post("/whip/x", &held).await.refused(400, "a=setup");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_ice_lite_at_session_level() {
    let (_site, session) = with_session().await;
    assert!(session.body.split("\r\nm=").next().unwrap().contains("a=ice-lite"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_another_type_is_415_and_a_malformed_fragment_is_400() {
    let (site, session) = with_session().await;
    let url = session.location();
    let tag = ("if-match", session.header("etag"));
    site.patch(&url, &[("content-type", "text/plain"), tag], &trickle("chromium-whip"))
        .await
        .refused(415, "Content-Type");
    site.patch(&url, &[SDPFRAG, tag], "{\"candidate\":\"\"}")
        .await
        .refused(400, "body");
    site.patch(&url, &[SDPFRAG, tag], "a=candidate:nonsense\r\n")
        .await
        .refused(400, "a=candidate");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ice_session_has_a_strong_etag_of_its_own() {
    let site = Site::start(&[]).await;
    let mut seen = HashSet::new();
    for i in 0..5 {
        let session = site.open(&format!("/whip/e{i}"), "chromium-whip").await;
        let mut etag = session.header("etag").to_owned();
        for _ in 0..3 {
            assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
            assert!(seen.insert(etag.clone()), "{etag} twice");
            let restarted = site
                .patch(&session.location(), &[SDPFRAG, ("if-match", "*")], &fresh(&etag))
                .await;
            etag = restarted.header("etag").to_owned();
        }
    }
}

/// A fragment whose credentials differ from those of any other tag.
fn fresh(etag: &str) -> String {
    let text = etag.trim_matches('"');
    super::clients::fragment(text, &format!("{text}0123456789abcdef01234567"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_without_if_match_is_428_and_with_a_stale_tag_412() {
    let site = Site::start(&["--strict-whip"]).await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    let url = session.location();
    for body in [trickle("chromium-whip"), restart()] {
        site.patch(&url, &[SDPFRAG], &body).await.refused(428, "If-Match");
        site.patch(&url, &[SDPFRAG, ("if-match", "\"stale\"")], &body)
            .await
            .refused(412, "If-Match");
    }
    let etag = session.header("etag");
    let restarted = site.patch(&url, &[SDPFRAG, ("if-match", "*")], &restart()).await;
    assert_eq!(restarted.status, 200);
    site.patch(&url, &[SDPFRAG, ("if-match", etag)], &restart())
        .await
        .refused(412, "If-Match");
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_of_several_media_streams_are_422_in_strict_mode_only() {
    let offer = captured("pion-whip").replacen("a=msid:sfumato", "a=msid:another", 1);
    assert!(
        offer.contains("a=msid:sfumato"),
        "one track is still of the first stream"
    );
    let strict = Site::start(&["--strict-whip"]).await;
    strict.post("/whip/demo", &offer).await.refused(422, "a=msid");
    assert_eq!(strict.post("/whip/demo", captured("pion-whip")).await.status, 201);
    let lenient = Site::start(&[]).await;
    assert_eq!(lenient.post("/whip/demo", &offer).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_lenient_mode_a_trickle_of_this_ice_session_needs_no_if_match() {
    let (site, session) = with_session().await;
    let url = session.location();
    let reply = site.patch(&url, &[SDPFRAG], &trickle("chromium-whip")).await;
    assert_eq!(reply.status, 204);
    site.patch(&url, &[SDPFRAG], &restart()).await.refused(428, "If-Match");
    // One published client sends the tag in a header of the wrong name.
    let tag = ("etag", session.header("etag"));
    let reply = site.patch(&url, &[SDPFRAG, tag], &trickle("chromium-whip")).await;
    assert_eq!(reply.status, 204);
    let stale = site
        .patch(&url, &[SDPFRAG, ("etag", "\"stale\"")], &trickle("chromium-whip"))
        .await;
    stale.refused(412, "If-Match");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_is_answered_by_204_without_an_etag_whatever_its_candidates() {
    let (site, session) = with_session().await;
    let tag = ("if-match", session.header("etag"));
    let strange = format!(
        "{}a=candidate:1 1 sctp 1 no.such.name.invalid 9 typ novel\r\na=end-of-candidates\r\n",
        trickle("chromium-whip")
    );
    let reply = site.patch(&session.location(), &[SDPFRAG, tag], &strange).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (204, ""));
    assert!(!reply.has("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_is_answered_by_200_with_new_credentials_and_the_same_candidates_and_options() {
    let (site, session) = with_session().await;
    for any in ["*", "\"*\""] {
        let body = restart().replace("fresh", if any == "*" { "fresh1" } else { "fresh2" });
        let reply = site
            .patch(&session.location(), &[SDPFRAG, ("if-match", any)], &body)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.header("content-type"), "application/trickle-ice-sdpfrag");
        assert_ne!(reply.header("etag"), session.header("etag"));
        assert_ne!(reply.values("ice-ufrag"), &session.values("ice-ufrag")[..1]);
        assert_ne!(reply.values("ice-pwd"), &session.values("ice-pwd")[..1]);
        assert_eq!(reply.values("ice-options"), &session.values("ice-options")[..1]);
        assert_eq!(reply.values("group"), session.values("group"));
        let candidates = reply.values("candidate");
        assert_eq!(candidates, &session.values("candidate")[..candidates.len()]);
        assert!(reply.body.contains("a=ice-lite\r\n") && reply.body.contains("a=mid:0\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_restart_changes_nothing() {
    let (site, session) = with_session().await;
    let url = session.location();
    for (tag, body, status) in [
        ("\"stale\"", restart(), 412),
        ("*", "a=ice-ufrag:fresh\r\n".to_owned(), 400),
        ("*", "a=ice-ufrag:fresh\r\na=ice-pwd:short\r\n".to_owned(), 400),
    ] {
        let reply = site.patch(&url, &[SDPFRAG, ("if-match", tag)], &body).await;
        assert_eq!(reply.status, status);
    }
    let tag = ("if-match", session.header("etag"));
    let reply = site.patch(&url, &[SDPFRAG, tag], &trickle("chromium-whip")).await;
    assert_eq!(reply.status, 204, "the tag of the answer is still the present one");
    assert_eq!(site.node.streams.published.count(), 1, "the stream goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_is_200_whatever_tag_it_carries_and_frees_the_name() {
    let site = Site::start(&[]).await;
    for headers in [&[] as &[_], &[("if-match", "\"stale\"")], &[("if-match", "*")]] {
        let session = site.open("/whip/demo", "chromium-whip").await;
        let reply = site.ask(Method::DELETE, &session.location(), headers, "").await;
        assert_eq!(reply.status, 200);
        let patched = site
            .patch(&session.location(), &[SDPFRAG], &trickle("chromium-whip"))
            .await;
        patched.refused(404, "session");
        let again = site.ask(Method::DELETE, &session.location(), headers, "").await;
        assert_eq!(
            again.status, 200,
            "OBS closes DTLS before it sends DELETE, and wants 200"
        );
    }
    assert_eq!(site.node.sessions.count(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_take_a_session_answers_503_with_a_time_to_come_back() {
    let site = Site::start(&[]).await;
    let admin = crate::http::admin::router(site.node.clone(), None);
    let drain = Request::post("/admin/v1/drain").body(Body::from(r#"{"reason": "manual"}"#));
    assert!(admin.oneshot(drain.unwrap()).await.unwrap().status().is_success());
    let reply = site.post("/whip/demo", captured("chromium-whip")).await;
    reply.refused(503, "");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ice_servers_are_told_in_one_link_header_each() {
    let site = Site::start(&[
        "--ice-server=stun:stun.example.net",
        "--ice-server=turn:turn.example.net?transport=udp username=user credential=secret",
    ])
    .await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    let links: Vec<&str> = session
        .headers
        .get_all("link")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert!(
        links.contains(&"<stun:stun.example.net>; rel=\"ice-server\""),
        "{links:?}"
    );
    let turn = "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"user\"; credential=\"secret\"; \
                credential-type=\"password\"";
    assert!(links.contains(&turn), "{links:?}");
    for path in ["/whip/demo", &session.location()] {
        let reply = site.ask(Method::OPTIONS, path, &[], "").await;
        assert!(!reply.has("link"), "nobody has shown a right to TURN there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulcast_is_answered_with_all_layers_in_the_order_of_the_offer() {
    let site = Site::start(&[]).await;
    let session = site.open("/whip/demo", "chromium-whip-simulcast").await;
    let offered = super::clients::values(captured("chromium-whip-simulcast"), "simulcast");
    let rids = offered[0].strip_prefix("send ").unwrap();
    assert_eq!(session.values("simulcast"), [format!("recv {rids}")]);
    let lines: Vec<String> = rids.split(';').map(|rid| format!("{rid} recv")).collect();
    assert_eq!(session.values("rid"), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_session_cannot_be_guessed_and_opens_nothing_of_the_other_protocol() {
    let (site, session) = with_session().await;
    let url = session.location();
    let id = url.rsplit('/').next().unwrap();
    assert!(id.len() >= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    for other in [format!("/whep/demo/{id}"), format!("/whip/other/{id}")] {
        site.ask(Method::DELETE, &other, &[], "").await.refused(404, "session");
    }
    assert_eq!(site.node.sessions.count(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_that_says_what_to_do() {
    let (site, session) = with_session().await;
    let taken = site.post("/whip/demo", captured("firefox-whip")).await;
    taken.refused(409, "stream");
    site.ask(Method::POST, "/whip/a%20b", &[SDP], captured("chromium-whip"))
        .await
        .refused(400, "stream");
    site.ask(Method::GET, "/nothing", &[], "").await.refused(404, "");
    site.patch(&session.location(), &[], "")
        .await
        .refused(415, "Content-Type");
}
