//! WHEP (draft-ietf-wish-whep), rule by rule, on the real listener and a real mediasoup worker. What it shares with WHIP is
//! tested for both here or in `whip`; `docs/whip-whep.md` maps rules to tests.

use super::clients::{BROWSER, Reply, SDP, SDPFRAG, Site, answer_to, restart, trickle, values};
use super::offers::{CAPTURED, captured};
use crate::media::inner_addresses::End;
use crate::media::profiles::{CONNECT_TIME, MAX_PROFILES};
use crate::sessions::session::Role;
use axum::http::Method;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Every captured player of VP8 that is answered: the engine of `wrtc-whep` gets a counter-offer.
fn viewers() -> impl Iterator<Item = &'static str> {
    let players = CAPTURED
        .iter()
        .filter(|(name, text)| name.contains("whep") && *name != "wrtc-whep" && text.contains("VP8/90000"));
    players.map(|(name, _)| *name)
}

/// A site on which Chromium publishes `demo`.
async fn with_stream(options: &[&str]) -> Site {
    let site = Site::start(options).await;
    site.open("/whip/demo", "chromium-whip").await;
    site
}

async fn asks_for_an_offer(site: &Site) -> Reply {
    let reply = site.ask(Method::POST, "/whep/demo", &[SDP], "").await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_answered_by_201_with_what_is_sent_and_the_url_of_the_session() {
    let site = with_stream(&[]).await;
    for offer in viewers() {
        let reply = site.open("/whep/demo", offer).await;
        assert_eq!(reply.header("content-type"), "application/sdp");
        assert!(reply.location().starts_with("/whep/demo/"));
        assert!(reply.header("etag").starts_with('"'));
        assert_eq!(reply.sections().len(), 2);
        for section in reply.sections() {
            assert!(section.contains("a=sendonly\r\n"), "{offer}: {section}");
            assert!(section.contains("a=rtcp-mux-only\r\n") && section.contains("a=end-of-candidates"));
            assert!(section.contains("a=ssrc:"), "pion and libdatachannel look for it");
        }
        let msids = reply.values("msid");
        assert!(
            msids.iter().all(|msid| msid.starts_with("demo ")),
            "one media stream: {msids:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_uses_only_payload_types_and_extension_ids_of_the_offer() {
    let site = with_stream(&[]).await;
    for offer in viewers() {
        let reply = site.open("/whep/demo", offer).await;
        for (answered, offered) in reply.sections().iter().zip(captured(offer).split("\r\nm=").skip(1)) {
            for map in values(answered, "rtpmap").into_iter().chain(values(answered, "extmap")) {
                assert!(offered.contains(&format!(":{map}")), "{offer}: {map} was not offered");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_what_nobody_publishes_is_409_with_a_time_to_come_back() {
    let site = Site::start(&[]).await;
    for body in ["", captured("chromium-whep")] {
        let reply = site.post("/whep/demo", body).await;
        reply.refused(409, "stream");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_an_endpoint_tells_a_player_that_it_is_one() {
    let site = with_stream(&[]).await;
    let reply = site.ask(Method::HEAD, "/whep/demo", &[], "").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("content-type"), "application/sdp");
    let session = site.open("/whep/demo", "chromium-whep").await.location();
    for (method, path) in [
        (Method::GET, "/whep/demo"),
        (Method::GET, &session),
        (Method::HEAD, &session),
    ] {
        let reply = site.ask(method, path, &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (204, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_type_is_415_what_is_no_sdp_400_and_a_codec_that_is_missing_422() {
    let site = with_stream(&[]).await;
    let reply = site
        .ask(
            Method::POST,
            "/whep/demo",
            &[("content-type", "text/plain")],
            captured("chromium-whep"),
        )
        .await;
    reply.refused(415, "Content-Type");
    site.post("/whep/demo", "nonsense").await.refused(400, "");
    let without = captured("chromium-whep").replace("VP8/90000", "H266/90000");
    let problem = site.post("/whep/demo", &without).await.refused(422, "m=video (mid 1)");
    assert!(
        problem.detail.contains("VP8"),
        "406 would promise an offer that plays: {problem:?}"
    );
    let sends = captured("chromium-whep").replace("a=recvonly", "a=sendonly");
    site.post("/whep/demo", &sends).await.refused(422, "m=audio (mid 0)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_may_watch_one_kind_alone() {
    let site = with_stream(&[]).await;
    let offer = captured("chromium-whep");
    let (before_video, video) = offer.split_at(offer.find("m=video").unwrap());
    let session = &offer[..offer.find("m=audio").unwrap()];
    let audio = before_video.replace("BUNDLE 0 1", "BUNDLE 0");
    let video = format!("{}{video}", session.replace("BUNDLE 0 1", "BUNDLE 1"));
    for (kind, offer) in [("audio", audio), ("video", video)] {
        let reply = site.post("/whep/demo", &offer).await;
        assert_eq!(
            (reply.status.as_u16(), reply.sections().len()),
            (201, 1),
            "{}",
            reply.body
        );
        assert!(reply.sections()[0].starts_with(kind) && reply.body.contains("a=sendonly"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_trickles_restarts_and_leaves_like_a_publisher() {
    let site = with_stream(&["--strict-whip"]).await;
    let session = site.open("/whep/demo", "firefox-whep").await;
    let (url, etag) = (session.location(), session.header("etag"));
    let candidates = trickle("firefox-whep");
    site.patch(&url, &[SDPFRAG], &candidates).await.refused(428, "If-Match");
    let reply = site.patch(&url, &[SDPFRAG, ("if-match", etag)], &candidates).await;
    assert_eq!((reply.status.as_u16(), reply.has("etag")), (204, false));
    let reply = site.patch(&url, &[SDPFRAG, ("if-match", "*")], &restart()).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("etag"), etag);
    let stale = site.patch(&url, &[SDPFRAG, ("if-match", etag)], &restart()).await;
    stale.refused(412, "If-Match");
    for _ in 0..2 {
        assert_eq!(site.ask(Method::DELETE, &url, &[], "").await.status, 200);
    }
    assert_eq!(site.node.sessions.count(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_trickles_without_a_tag_is_not_refused_in_lenient_mode() {
    let site = with_stream(&[]).await;
    let session = site.open("/whep/demo", "chromium-whep").await;
    let reply = site
        .patch(&session.location(), &[SDPFRAG], &trickle("chromium-whep"))
        .await;
    assert_eq!(reply.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_post_is_201_with_an_offer_and_an_answer_by_patch_begins_the_session() {
    let site = with_stream(&[]).await;
    for headers in [&[] as &[_], &[SDP]] {
        let offer = site.ask(Method::POST, "/whep/demo", headers, "").await;
        assert_eq!(offer.status, 201, "{}", offer.body);
        let (media_type, until) = offer.header("content-type").split_once(";valid-until=").unwrap();
        assert_eq!(media_type, "application/sdp");
        assert!(
            until.starts_with('"') && until.ends_with(" GMT\""),
            "an HTTP date: {until}"
        );
        assert!(offer.body.starts_with("v=0\r\n"));
        let url = offer.location();
        let reply = site.patch(&url, &[SDP], &answer_to(&offer.body)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.body.as_str()),
            (204, ""),
            "{}",
            reply.body
        );
        assert_eq!(site.node.sessions.count(), (1, 1));
        let again = site.patch(&url, &[SDP], &answer_to(&offer.body)).await;
        again.refused(422, "Content-Type");
        assert_eq!(site.ask(Method::DELETE, &url, &[], "").await.status, 200);
    }
    assert_eq!(site.node.offers.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_offer_has_rtx_transport_cc_and_our_extension_ids_and_one_encoding_of_simulcast() {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", "chromium-whip-simulcast").await;
    let offer = asks_for_an_offer(&site).await;
    let sections = offer.sections();
    assert_eq!(sections.len(), 2);
    for section in &sections {
        assert!(section.contains("a=sendonly\r\n") && section.contains("a=setup:actpass\r\n"));
        assert!(section.contains("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"));
        assert!(section.contains("a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc"));
        assert!(!section.contains("a=rid:") && !section.contains("a=simulcast"));
    }
    let video = sections.iter().find(|section| section.starts_with("video")).unwrap();
    let media = values(video, "rtpmap")[0].split(' ').next().unwrap();
    assert!(
        values(video, "fmtp")
            .iter()
            .any(|fmtp| fmtp.ends_with(&format!("apt={media}"))),
        "{video}"
    );
    assert!(values(video, "rtcp-fb").contains(&format!("{media} transport-cc").as_str()));
    assert_eq!(values(video, "ssrc-group").len(), 1, "FID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_answer_is_4xx_and_the_offer_still_waits() {
    let site = with_stream(&[]).await;
    let offer = asks_for_an_offer(&site).await;
    let (url, good) = (offer.location(), answer_to(&offer.body));
    let without_video = good[..good.find("m=video").unwrap()].replace("BUNDLE 0 1", "BUNDLE 0");
    for (bad, field) in [
        ("nonsense".to_owned(), "body"),
        (String::new(), ""),
        (without_video, "m="),
        (good.replace("a=setup:active", "a=setup:actpass"), "a=setup"),
        (good.replace("a=recvonly", "a=sendonly"), "m=audio (mid 0)"),
        (good.replace("a=mid:1", "a=mid:x"), "a=mid:x"),
        (good.replace(" 96 ", " 97 ").replace(":96 ", ":97 "), "m=video (mid 1)"),
        (good.replace("a=extmap:5 ", "a=extmap:3 "), "m=audio (mid 0)"),
        (good.replace("a=fingerprint", "a=x-fingerprint"), "a=fingerprint"),
        (good.replace("a=recvonly", "a=inactive"), "m="),
    ] {
        let reply = site.patch(&url, &[SDP], &bad).await;
        assert!(reply.status.is_client_error(), "{field}: {reply:?}");
        reply.refused(reply.status.as_u16(), field);
    }
    let fragment = site.patch(&url, &[SDPFRAG], &trickle("chromium-whep")).await;
    fragment.refused(422, "Content-Type");
    let stale = site.patch(&url, &[SDP, ("if-match", "\"stale\"")], &good).await;
    stale.refused(412, "If-Match");
    let tag = ("if-match", offer.header("etag"));
    assert_eq!(site.patch(&url, &[SDP, tag], &good).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_leaves_out_is_not_sent() {
    let site = with_stream(&[]).await;
    let offer = asks_for_an_offer(&site).await;
    let mut lines: Vec<String> = answer_to(&offer.body).lines().map(str::to_owned).collect();
    let rtx: Vec<String> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" rtx/90000"))
        .map(str::to_owned)
        .collect();
    assert_eq!(rtx.len(), 1);
    lines.retain(|line| !line.contains(&format!(":{} ", rtx[0])) && !line.contains("transport-wide-cc"));
    for line in lines.iter_mut().filter(|line| line.starts_with("m=video")) {
        *line = line.replace(&format!(" {}", rtx[0]), "");
    }
    // The sound is refused altogether.
    for line in lines.iter_mut().filter(|line| line.starts_with("m=audio")) {
        *line = line.replace("m=audio 9", "m=audio 0");
    }
    let reply = site
        .patch(&offer.location(), &[SDP], &(lines.join("\r\n") + "\r\n"))
        .await;
    assert_eq!(reply.status, 204, "{}", reply.body);
    let sessions = site.node.sessions.all();
    let viewer = sessions.iter().find_map(|session| match &session.role {
        Role::Viewer { consumers, .. } => Some(consumers),
        Role::Publisher { .. } => None,
    });
    let consumers = viewer.unwrap();
    assert_eq!(consumers.len(), 1);
    let rtp = consumers[0].rtp_parameters();
    assert!(rtp.codecs.iter().all(|codec| !codec.is_rtx()), "{rtp:?}");
    assert!(
        rtp.header_extensions.iter().all(|extension| extension.id != 5),
        "{rtp:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_keeps_its_own_extension_ids_gets_a_counter_offer_with_406() {
    let site = with_stream(&[]).await;
    let reply = site.post("/whep/demo", captured("wrtc-whep")).await;
    assert_eq!(reply.status, 406, "{}", reply.body);
    assert!(reply.header("content-type").starts_with("application/sdp;valid-until="));
    assert!(reply.has("etag") && reply.body.contains("a=sendonly"));
    let answered = site.patch(&reply.location(), &[SDP], &answer_to(&reply.body)).await;
    assert_eq!(answered.status, 204, "{}", answered.body);
    // The same engine reads an answer rightly where MID is on an id that we do not write.
    let harmless = captured("wrtc-whep").replace("a=extmap:4 ", "a=extmap:9 ");
    assert_eq!(site.post("/whep/demo", &harmless).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_engine_is_answered_when_it_is_a_browsers_and_offered_to_when_it_is_not() {
    let site = with_stream(&[]).await;
    let offer = captured("chromium-whep");
    let mid = values(offer, "extmap")
        .into_iter()
        .find(|map| map.ends_with("sdes:mid"))
        .unwrap();
    assert!(
        mid.starts_with("4 "),
        "Chromium numbers it so when sound is offered first"
    );
    for (agent, status) in [(BROWSER.1, 201), ("okhttp/4.12", 406)] {
        let headers = [SDP, ("user-agent", agent)];
        let reply = site.ask(Method::POST, "/whep/demo", &headers, offer).await;
        assert_eq!(reply.status.as_u16(), status, "{agent}");
    }
}

/// Firefox's offer with another payload type for its sound: one that needs a profile router of its own.
fn exotic(number: usize) -> String {
    let offer = captured("firefox-whep").replace(":109 ", &format!(":{} ", 64 + number));
    offer.replace(" 109 ", &format!(" {} ", 64 + number))
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sets_of_payload_types_with_connected_viewers_than_there_are_routers_get_a_counter_offer() {
    let site = with_stream(&[]).await;
    for number in 0..MAX_PROFILES {
        let reply = site.post("/whep/demo", &exotic(number)).await;
        assert_eq!(reply.status, 201, "{number}: {}", reply.body);
        let location = reply.location();
        site.node.on_connected(location.rsplit('/').next().unwrap()).await;
    }
    assert_eq!(site.post("/whep/demo", &exotic(MAX_PROFILES)).await.status, 406);
    let shared = site.post("/whep/demo", &exotic(3)).await;
    assert_eq!(
        shared.status, 201,
        "one of payload types that are there already is answered"
    );
}

const ATTACKER: &str = "198.51.100.1";
const GOOD: &str = "203.0.113.7";

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_many_payload_types_from_one_address_keep_no_good_player_out_and_cost_none_its_router() {
    let site = with_stream(&[]).await;
    let transports = async || site.node.workers.get(0).main.dump().await.unwrap().transport_ids.len();
    let before = transports().await;
    let mut hostile = Vec::new();
    let mut flood = async || {
        // More than there are places, each a router of its own.
        for number in 0..2 * MAX_PROFILES {
            let reply = site.post_from(ATTACKER, "/whep/demo", &exotic(number), &[]).await;
            assert_eq!(reply.status, 201, "{number}: {}", reply.body);
            hostile.push(reply.location());
        }
    };
    flood().await;
    let good = site.post_from(GOOD, "/whep/demo", captured("firefox-whep"), &[]).await;
    assert_eq!(good.status, 201, "{}", good.body);
    let good = good.location();
    // It has not connected yet.
    flood().await;
    let session = site.node.sessions.get(good.rsplit('/').next().unwrap());
    assert!(session.unwrap().set_connected(), "its router is there");
    flood().await;
    assert_eq!(
        site.ask(Method::GET, &good, &[], "").await.status,
        204,
        "the good player plays on"
    );
    let ended = site
        .ask(Method::GET, &hostile[0], &[], "")
        .await
        .refused(404, "session");
    assert!(ended.detail.contains("needed its router"), "{ended:?}");
    let profiles = site.node.workers.get(0).profile_count();
    assert_eq!(
        profiles,
        MAX_PROFILES / 2 + 1,
        "half for one address, and that of the good player"
    );
    // One pipe on the main router for each profile router that is left, and nothing of those that made room.
    let deadline = Instant::now() + Duration::from_secs(10);
    while transports().await != before + profiles {
        assert!(Instant::now() < deadline, "{} transports", transports().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_client_is_connecting_on_each_router_another_is_told_when_to_come_back() {
    let site = with_stream(&[]).await;
    for number in 0..MAX_PROFILES {
        let address = format!("198.51.100.{number}");
        let reply = site.post_from(&address, "/whep/demo", &exotic(number), &[]).await;
        assert_eq!(reply.status, 201, "{number}: {}", reply.body);
    }
    let late = site.post_from(GOOD, "/whep/demo", &exotic(MAX_PROFILES), &[]).await;
    let problem = late.refused(503, "");
    assert!(problem.detail.contains("connecting"), "{problem:?}");
    let after: u64 = late.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=CONNECT_TIME.as_secs()).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_connects_when_its_router_has_made_room_is_ended_with_the_reason() {
    let site = with_stream(&[]).await;
    let first = site.post_from(ATTACKER, "/whep/demo", &exotic(0), &[]).await.location();
    let id = first.rsplit('/').next().unwrap();
    let session = site.node.sessions.get(id).unwrap();
    for number in 1..=MAX_PROFILES {
        let reply = site.post_from(ATTACKER, "/whep/demo", &exotic(number), &[]).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
    }
    assert!(!session.set_connected(), "its router is gone");
    let ended = site.ask(Method::GET, &first, &[], "").await.refused(404, "session");
    assert!(ended.detail.contains("needed its router"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_for_whom_no_port_is_left_is_told_to_ask_another_node() {
    let site = with_stream(&[]).await;
    let address = site.node.workers.inner_addresses().listen(0, End::ToProfile).ip;
    let ports = site.node.options.pipe_ports.clone();
    let taken: Vec<UdpSocket> = ports.map(|port| UdpSocket::bind((address, port)).unwrap()).collect();
    let refused = site.post("/whep/demo", &exotic(0)).await;
    let problem = refused.refused(503, "");
    assert!(problem.detail.contains("--pipe-ports"), "{problem:?}");
    assert!(refused.has("retry-after"));
    drop(taken);
    // A program that another test starts meanwhile has the sockets as well, until it has taken the place of this one.
    let end = Instant::now() + Duration::from_secs(30);
    while site.post("/whep/demo", &exotic(0)).await.status != 201 {
        assert!(Instant::now() < end, "no port is free again within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_nobody_answers_is_gone_after_its_time_and_leaves_nothing() {
    let site = with_stream(&[]).await;
    let transports = async || site.node.workers.get(0).main.dump().await.unwrap().transport_ids.len();
    let before = transports().await;
    let offer = asks_for_an_offer(&site).await;
    assert_eq!(transports().await, before + 1);
    let now = Instant::now();
    site.node
        .offers
        .sweep(now + crate::sessions::pending_offers::OFFER_LIFE - Duration::from_secs(1));
    assert_eq!(site.node.offers.count(), 1);
    site.node
        .offers
        .sweep(now + crate::sessions::pending_offers::OFFER_LIFE + Duration::from_secs(1));
    assert_eq!(site.node.offers.count(), 0);
    let late = site.patch(&offer.location(), &[SDP], &answer_to(&offer.body)).await;
    late.refused(404, "session");
    let deadline = Instant::now() + Duration::from_secs(10);
    while transports().await != before {
        assert!(Instant::now() < deadline, "its transport is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_can_be_deleted_and_its_url_tells_what_may_be_sent() {
    let site = with_stream(&[]).await;
    let url = asks_for_an_offer(&site).await.location();
    let options = site.ask(Method::OPTIONS, &url, &[], "").await;
    assert!(options.header("accept-patch").contains("application/sdp"));
    assert_eq!(site.ask(Method::GET, &url, &[], "").await.status, 204);
    for _ in 0..2 {
        assert_eq!(site.ask(Method::DELETE, &url, &[], "").await.status, 200);
    }
    assert_eq!(site.node.offers.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_ends_with_its_stream() {
    let site = Site::start(&[]).await;
    let publisher = site.open("/whip/demo", "chromium-whip").await;
    let offer = asks_for_an_offer(&site).await;
    site.ask(Method::DELETE, &publisher.location(), &[], "").await;
    let reply = site.patch(&offer.location(), &[SDP], &answer_to(&offer.body)).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
    assert_eq!(site.node.sessions.count(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_began_with_the_players_offer_takes_no_answer() {
    let site = with_stream(&[]).await;
    let offer = asks_for_an_offer(&site).await;
    let session = site.open("/whep/demo", "chromium-whep").await;
    let reply = site.patch(&session.location(), &[SDP], &answer_to(&offer.body)).await;
    reply.refused(422, "Content-Type");
}

#[tokio::test(flavor = "multi_thread")]
async fn rtx_is_answered_where_its_payload_type_is_ours_and_left_out_elsewhere() {
    let site = with_stream(&[]).await;
    let offer = asks_for_an_offer(&site).await;
    let repair = values(&offer.body, "fmtp")
        .into_iter()
        .find_map(|fmtp| fmtp.strip_suffix(" apt=96"))
        .unwrap()
        .to_owned();
    let plain = site.open("/whep/demo", "chromium-whep").await;
    assert!(!plain.body.contains("rtx/90000"), "Chromium numbers its RTX otherwise");
    assert!(
        plain.values("rtcp-fb").contains(&"96 nack"),
        "lost packets are sent again all the same"
    );
    // A player whose RTX for VP8 has our number; what had that number before goes elsewhere.
    let ours = captured("str0m-whep")
        .replace(" 96 97 ", &format!(" 96 {repair} "))
        .replace(":97 ", &format!(":{repair} "));
    let reply = site.post("/whep/demo", &ours).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert!(
        reply.values("rtpmap").contains(&format!("{repair} rtx/90000").as_str()),
        "{}",
        reply.body
    );
    assert!(reply.values("fmtp").contains(&format!("{repair} apt=96").as_str()));
    assert_eq!(reply.values("ssrc-group").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_knows_fewer_extensions_still_finds_the_ssrcs_of_the_offer() {
    let site = with_stream(&[]).await;
    let offer = asks_for_an_offer(&site).await;
    assert!(!offer.body.contains("packet-id"), "no player knows mediasoup's own");
    let known = ["sdes:mid", "transport-wide-cc"];
    let answer: String = answer_to(&offer.body)
        .lines()
        .filter(|line| !line.starts_with("a=extmap:") || known.iter().any(|uri| line.contains(uri)))
        .flat_map(|line| [line, "\r\n"])
        .collect();
    let reply = site.patch(&offer.location(), &[SDP], &answer).await;
    assert_eq!(reply.status, 204, "{}", reply.body);
    for session in site.node.sessions.all() {
        if let Role::Viewer { consumers, .. } = &session.role {
            for consumer in consumers {
                let ssrc = consumer.rtp_parameters().encodings[0].ssrc.unwrap();
                assert!(
                    offer.body.contains(&format!("a=ssrc:{ssrc} ")),
                    "{ssrc} was not offered"
                );
            }
        }
    }
}
