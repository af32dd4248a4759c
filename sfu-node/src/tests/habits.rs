//! Optional lines that cannot be used, and habits of clients that the standards allow: none of them costs a session. What
//! published clients do is in `quirks.rs`, and sections that are rejected are in `rejected_sections.rs`.

use super::clients::{SDP, Site, answer_to, values};
use super::offers::captured;
use super::rejected_sections::rejecting;

/// Profiles that an answerer takes, all meaning the same (RFC 9429 section 5.1.2).
pub const DTLS_SRTP: [&str; 6] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
];
const PUBLISHER: &str = "chromium-whip";
const VIEWER: &str = "chromium-whep";

/// A captured offer with these lines at the end of its session part, given without `a=`.
fn in_session(offer: &str, lines: &[&str]) -> String {
    let text: String = lines.iter().map(|line| format!("a={line}\r\n")).collect();
    offer.replacen("m=", &format!("{text}m="), 1)
}

/// A captured offer whose sections each end with these lines.
fn in_sections(offer: &str, lines: &[&str]) -> String {
    let text: String = lines.iter().map(|line| format!("a={line}\r\n")).collect();
    format!("{}{text}", offer.replace("\r\nm=video", &format!("\r\n{text}m=video")))
}

/// The protocol of each m-line.
fn protocols(description: &str) -> Vec<&str> {
    let lines = description.lines().filter(|line| line.starts_with("m="));
    lines.filter_map(|line| line.split(' ').nth(2)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_profile_that_means_dtls_srtp_is_answered_as_it_was_offered() {
    let site = Site::start(&[]).await;
    for (number, profile) in DTLS_SRTP.into_iter().enumerate() {
        for (path, offer) in [("whip", PUBLISHER), ("whep", VIEWER)] {
            let offer = captured(offer).replace("UDP/TLS/RTP/SAVPF", profile);
            let reply = site.post(&format!("/{path}/{number}"), &offer).await;
            assert_eq!(reply.status, 201, "{profile}: {}", reply.body);
            assert_eq!(protocols(&reply.body), [profile; 2]);
        }
    }
    let plain = captured(PUBLISHER).replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let problem = site.post("/whip/plain", &plain).await.refused(422, "m=audio (mid 0)");
    assert!(problem.detail.contains("RTP/AVP is not supported"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_cannot_be_used_change_nothing_in_an_answer() {
    let site = Site::start(&[]).await;
    let lines = [
        "extmap:0 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "extmap:4096 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "extmap:x",
        "rtpmap:77 nonsense",
        "rtpmap:nonsense",
        "fmtp:nonsense",
        "rtcp-fb:96 trr-int never",
    ];
    for (path, offer) in [("whip", PUBLISHER), ("whep", VIEWER)] {
        let plain = site.open(&format!("/{path}/plain"), offer).await;
        for offer in [
            in_sections(captured(offer), &lines),
            in_session(captured(offer), &lines),
        ] {
            // A viewer watches the same stream.
            let stream = if path == "whip" {
                format!("x{}", offer.len())
            } else {
                "plain".to_owned()
            };
            let reply = site.post(&format!("/{path}/{stream}"), &offer).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
            for name in ["extmap", "rtpmap", "fmtp", "rtcp-fb"] {
                assert_eq!(reply.values(name), plain.values(name), "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_type_that_is_not_described_is_passed_over_and_named_where_no_other_is_left() {
    let site = Site::start(&[]).await;
    let offer = captured(PUBLISHER);
    let broken = offer.replace("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8");
    let reply = site.post("/whip/next", &broken).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert!(!values(&reply.body, "rtpmap").iter().any(|map| map.contains("VP8")));
    let broken = offer.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus");
    let problem = site.post("/whip/none", &broken).await.refused(422, "m=audio (mid 0)");
    assert!(problem.detail.contains("`a=rtpmap:111 opus`"), "{problem:?}");
    site.open("/whip/demo", PUBLISHER).await;
    let broken = captured(VIEWER).replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus");
    let problem = site.post("/whep/demo", &broken).await.refused(422, "m=audio (mid 0)");
    assert!(problem.detail.contains("`a=rtpmap:111 opus`"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direction_and_extensions_of_the_session_hold_for_its_sections() {
    let site = Site::start(&[]).await;
    for (path, offer, direction, answered) in [
        ("whip", PUBLISHER, "sendonly", "a=recvonly\r\n"),
        ("whep", VIEWER, "recvonly", "a=sendonly\r\n"),
    ] {
        let own = captured(offer);
        let ids = values(own, "extmap");
        let mid = ids.iter().find(|id| id.ends_with("sdes:mid")).unwrap();
        let text = own.replace(&format!("a={direction}\r\n"), "");
        let text = text.replace(&format!("a=extmap:{mid}\r\n"), "");
        let text = in_session(&text, &[direction, &format!("extmap:{mid}")]);
        let plain = site.open(&format!("/{path}/demo"), offer).await;
        let stream = if path == "whip" { "moved" } else { "demo" };
        let reply = site.post(&format!("/{path}/{stream}"), &text).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        for (section, plain) in reply.sections().iter().zip(plain.sections()) {
            assert!(section.contains(answered), "{section}");
            let sorted = |section: &'_ str| {
                let mut ids: Vec<String> = values(section, "extmap").into_iter().map(str::to_owned).collect();
                ids.sort();
                ids
            };
            assert_eq!(sorted(section), sorted(plain));
        }
    }
    let wrong = captured(PUBLISHER).replace("a=sendonly\r\n", "");
    let wrong = in_session(&wrong, &["recvonly"]);
    site.post("/whip/wrong", &wrong).await.refused(422, "m=audio (mid 0)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_players_answer_may_have_the_same_habits() {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", PUBLISHER).await;
    let lines = [
        "extmap:0 urn:x",
        "extmap:4097 urn:x",
        "rtpmap:77 nonsense",
        "rtpmap:nonsense",
    ];
    let habits: [fn(&str, &[&str]) -> String; 4] = [
        |answer, lines| in_sections(answer, lines),
        |answer, lines| in_session(answer, lines),
        |answer, _| in_session(&answer.replace("a=recvonly\r\n", ""), &["recvonly"]),
        |answer, _| answer.replace("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"),
    ];
    for habit in habits {
        let offer = site.post("/whep/demo", "").await;
        let answer = habit(&answer_to(&offer.body), &lines);
        let reply = site.patch(&offer.location(), &[SDP], &answer).await;
        assert_eq!(reply.status, 204, "{answer}\n{}", reply.body);
    }
    let offer = site.post("/whep/demo", "").await;
    let answer = answer_to(&offer.body).replace("opus/48000/2", "opus");
    let reply = site.patch(&offer.location(), &[SDP], &answer).await;
    let problem = reply.refused(400, "m=audio (mid 0)");
    assert!(problem.detail.contains(" opus` was left out"), "{problem:?}");
}

/// Parameters of the first codec of this kind in a description.
fn parameters<'a>(description: &'a str, kind: &str) -> &'a str {
    let section = description
        .split("\r\nm=")
        .find(|section| section.starts_with(kind))
        .unwrap();
    let first = values(section, "fmtp").first().copied();
    first.map_or("", |fmtp| fmtp.split_once(' ').unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_is_asked_for_in_stereo_and_its_players_are_told_of_it() {
    let site = Site::start(&[]).await;
    for (offer, received, sent) in [
        (PUBLISHER, "minptime=10;stereo=1;useinbandfec=1", "sprop-stereo=1"),
        ("obs-whip", "minptime=10;stereo=1;useinbandfec=1", "sprop-stereo=1"),
        ("whipclientsink-whip", "stereo=1", "sprop-maxcapturerate=48000"),
    ] {
        let published = site.open(&format!("/whip/{offer}"), offer).await;
        assert_eq!(parameters(&published.body, "audio"), received, "{offer}");
        let path = format!("/whep/{offer}");
        let audio = rejecting(captured(VIEWER), "video");
        let answered = site.post(&path, &audio).await;
        assert_eq!(answered.status, 201, "{}", answered.body);
        assert_eq!(parameters(&answered.body, "audio"), sent, "{offer}");
        let offered = site.post(&path, "").await;
        assert_eq!(parameters(&offered.body, "audio"), sent, "{offer}");
        let reply = site.patch(&offered.location(), &[SDP], &answer_to(&offered.body)).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameter_sets_of_h264_go_from_the_publisher_to_its_players() {
    let site = Site::start(&[]).await;
    let offer = captured("gstreamer-whip-h264");
    let sets = offer
        .split(';')
        .find(|part| part.starts_with("sprop-parameter-sets="))
        .unwrap();
    let published = site.open("/whip/demo", "gstreamer-whip-h264").await;
    assert!(!published.body.contains("sprop-parameter-sets"), "{}", published.body);
    let answered = site.open("/whep/demo", VIEWER).await;
    assert!(
        parameters(&answered.body, "video").split(';').any(|part| part == sets),
        "{}",
        answered.body
    );
    let offered = site.post("/whep/demo", "").await;
    assert!(
        parameters(&offered.body, "video").split(';').any(|part| part == sets),
        "{}",
        offered.body
    );
}
