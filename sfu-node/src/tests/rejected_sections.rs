//! Port 0: sections that a client rejects, those that it wants in the bundle only, and those that get no track.

use super::clients::{SDP, SDPFRAG, Site, answer_to, restart, values};
use super::offers::captured;
use axum::http::Method;

const PUBLISHER: &str = "chromium-whip";
const VIEWER: &str = "chromium-whep";

/// An offer or an answer that rejects its sections of this kind.
pub fn rejecting(description: &str, kind: &str) -> String {
    let start = format!("m={kind} ");
    let line = |line: &str| match line.strip_prefix(&start).and_then(|rest| rest.split_once(' ')) {
        Some((_, rest)) => format!("{start}0 {rest}\r\n"),
        None => format!("{line}\r\n"),
    };
    description.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_the_client_rejects_is_rejected_in_the_answer_and_not_in_its_bundle() {
    let site = Site::start(&[]).await;
    for (number, (kind, first, rejected, other)) in [("audio", 111, 0, 1), ("video", 96, 1, 0)].into_iter().enumerate()
    {
        for (path, offer) in [("whip", PUBLISHER), ("whep", VIEWER)] {
            let offer = rejecting(captured(offer), kind);
            let reply = site.post(&format!("/{path}/{number}"), &offer).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
            let sections = reply.sections();
            assert_eq!(sections.len(), 2);
            let expected =
                format!("{kind} 0 UDP/TLS/RTP/SAVPF {first}\r\nc=IN IP4 0.0.0.0\r\na=mid:{rejected}\r\na=inactive");
            assert_eq!(sections[rejected].trim_end(), expected);
            assert!(sections[other].contains("a=candidate:"), "{}", sections[other]);
            assert!(sections[other].contains(" 9 UDP/TLS/RTP/SAVPF "), "{}", sections[other]);
            assert_eq!(reply.values("group"), [format!("BUNDLE {other}")]);
        }
        let published = site.node.streams.published.all();
        let stream = published
            .iter()
            .find(|local| local.stream.as_str() == number.to_string());
        assert_eq!(stream.unwrap().codecs().len(), 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn port_0_with_bundle_only_asks_for_a_place_in_the_bundle() {
    let site = Site::start(&[]).await;
    for offer in ["gstreamer-whip", "whipclientsink-whip"] {
        assert!(captured(offer).contains("a=bundle-only\r\n"));
        let reply = site.open(&format!("/whip/{offer}"), offer).await;
        for section in reply.sections() {
            assert!(section.contains(" 9 UDP/TLS/RTP/SAVPF "), "{section}");
        }
        assert_eq!(reply.values("group"), values(captured(offer), "group"));
        assert!(
            !reply.body.contains("bundle-only"),
            "it is for offers (RFC 9143 section 6)"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_rejects_everything_is_refused_and_one_that_rejects_an_unknown_kind_is_not() {
    let site = Site::start(&[]).await;
    let nothing = rejecting(&rejecting(captured(PUBLISHER), "audio"), "video");
    let problem = site.post("/whip/nothing", &nothing).await.refused(422, "m=");
    assert!(problem.detail.contains("port 0"), "{problem:?}");
    let data = |port: u16| {
        let section = format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n");
        captured(PUBLISHER).replacen("m=audio", &format!("{section}m=audio"), 1)
    };
    let reply = site.post("/whip/data", &data(0)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let section = reply.sections()[0];
    assert!(
        section.starts_with("application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
        "{section}"
    );
    assert_eq!(reply.sections().len(), 3);
    site.post("/whip/more", &data(9)).await.refused(422, "m=application");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_rejected_section_a_restart_and_a_choice_of_layers_find_theirs() {
    let site = Site::start(&[]).await;
    let publisher = rejecting(captured("chromium-whip-simulcast"), "audio");
    let publisher = site.post("/whip/demo", &publisher).await;
    let any = [SDPFRAG, ("if-match", "*")];
    let reply = site.patch(&publisher.location(), &any, &restart()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("\r\nm=video 9 "), "{}", reply.body);
    assert_eq!(
        (reply.values("mid"), reply.values("group")),
        (vec!["1"], vec!["BUNDLE 1"])
    );
    let viewer = captured(VIEWER)
        .replace("a=mid:1", "a=mid:v")
        .replace("BUNDLE 0 1", "BUNDLE 0 v");
    let viewer = site.post("/whep/demo", &rejecting(&viewer, "audio")).await.location();
    let json = [("content-type", "application/json")];
    for (media, status) in [("1", 200), ("v", 200), ("0", 400)] {
        let body = format!("{{\"mediaId\":\"{media}\"}}");
        let reply = site.ask(Method::POST, &format!("{viewer}/layer"), &json, body).await;
        assert_eq!(reply.status.as_u16(), status, "{media}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_players_answer_says_in_a_refused_section_counts() {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", PUBLISHER).await;
    for (refused, status) in [(&["audio"][..], 204), (&["video"], 204), (&["audio", "video"], 422)] {
        let offer = site.post("/whep/demo", "").await;
        let mut answer = answer_to(&offer.body);
        for kind in refused {
            answer = rejecting(&answer, kind);
            let at = answer.find(&format!("m={kind} 0 ")).unwrap();
            let (before, section) = answer.split_at(at);
            let spoilt = section.replacen("a=setup:active", "a=setup:holdconn", 1);
            let spoilt = spoilt.replacen("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 nonsense", 1);
            answer = format!("{before}{spoilt}");
        }
        let reply = site.patch(&offer.location(), &[SDP], &answer).await;
        assert_eq!(reply.status.as_u16(), status, "{refused:?}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_without_a_track_is_answered_with_a_format_that_it_offers() {
    let site = Site::start(&[]).await;
    let video = rejecting(captured(PUBLISHER), "audio");
    assert_eq!(site.post("/whip/demo", &video).await.status, 201);
    for (formats, described, answered) in [("8 18", "", "8"), ("18 8", "", "18"), ("18 8", "8 PCMA/8000", "8")] {
        let (before, video) = captured(VIEWER).split_at(captured(VIEWER).find("m=video").unwrap());
        let kept = |line: &&str| !line.starts_with("a=rtpmap") && !line.starts_with("a=fmtp");
        let audio: String = before.lines().filter(kept).map(|line| format!("{line}\r\n")).collect();
        let line = audio
            .lines()
            .find(|line| line.starts_with("m=audio"))
            .unwrap()
            .to_owned();
        let audio = audio.replace(&line, &format!("m=audio 9 UDP/TLS/RTP/SAVPF {formats}"));
        let map = if described.is_empty() {
            String::new()
        } else {
            format!("a=rtpmap:{described}\r\n")
        };
        let reply = site.post("/whep/demo", &format!("{audio}{map}{video}")).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let expected = format!("audio 9 UDP/TLS/RTP/SAVPF {answered}\r\n");
        assert!(reply.sections()[0].starts_with(&expected), "{}", reply.body);
    }
}
