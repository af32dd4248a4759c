//! What published clients do that others do not, on the real listener, with their own offers where those were captured. The
//! clients themselves are in `test/e2e`.

use super::clients::{SDP, SDPFRAG, Site, answer_to, trickle};
use super::offers::captured;
use crate::sdp::offer::Offer;
use crate::sdp::publish::publish;
use crate::sessions::end_reason::EndReason;
use axum::http::Method;
use sfumato_admin_api::types::TrackKind;

#[tokio::test(flavor = "multi_thread")]
async fn obs_offers_no_candidates_and_wants_all_its_layers_in_the_first_simulcast_line() {
    assert!(!captured("obs-whip").contains("a=candidate"));
    let site = Site::start(&[]).await;
    site.open("/whip/plain", "obs-whip").await;
    let session = site.open("/whip/layers", "obs-whip-simulcast").await;
    let first = session
        .body
        .split("\r\n")
        .find(|line| line.starts_with("a=simulcast"))
        .unwrap();
    assert_eq!(first, "a=simulcast:recv 0;1;2");
    assert!(
        session.body.contains("a=simulcast:recv 0;1;2\r\n"),
        "it looks for the whole line"
    );
    // What it splits headers at would cut a value short.
    assert!(!session.location().contains([' ', '?', ',']));
}

#[test]
fn obs_numbers_its_highest_layer_0() {
    let offer = Offer::parse(captured("obs-whip-simulcast").as_bytes()).unwrap();
    let video = offer
        .sections
        .iter()
        .find(|section| section.kind == TrackKind::Video)
        .unwrap();
    let encodings = publish(video, "OBS-Studio/32.1.0").unwrap().rtp.encodings;
    let rids: Vec<&str> = encodings
        .iter()
        .filter_map(|encoding| encoding.rid.as_deref())
        .collect();
    assert_eq!(rids, ["2", "1", "0"], "the worker takes them from low to high");
}

#[tokio::test(flavor = "multi_thread")]
async fn obs_closes_its_connection_before_delete_and_wants_exactly_200() {
    let site = Site::start(&[]).await;
    let url = site.open("/whip/demo", "obs-whip").await.location();
    let id = url.rsplit('/').next().unwrap();
    site.node.end_session(id, EndReason::ClientClosed).await;
    assert_eq!(site.ask(Method::DELETE, &url, &[], "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_an_active_answer_that_begins_with_v_and_a_udp_host_candidate_first() {
    let site = Site::start(&[]).await;
    for offer in ["ffmpeg8-whip", "ffmpeg9-whip", "ffmpeg9-whip-high"] {
        let session = site.open(&format!("/whip/{offer}"), offer).await;
        assert!(session.body.starts_with("v="), "{offer}");
        assert!(
            session.values("setup").iter().all(|setup| *setup == "active"),
            "{offer}"
        );
        // Its first release looks for the first "udp" in the line, which must not be the foundation.
        let first = session.values("candidate")[0];
        assert!(
            first.starts_with("1 1 udp ") && first.ends_with(" typ host"),
            "{offer}: {first}"
        );
        assert!(!session.values("group").is_empty(), "{offer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamers_sections_are_answered_under_their_own_names() {
    let site = Site::start(&[]).await;
    for offer in ["gstreamer-whip", "gstreamer-whip-h264", "whipclientsink-whip"] {
        let session = site.open(&format!("/whip/{offer}"), offer).await;
        assert_eq!(
            session.values("mid"),
            super::clients::values(captured(offer), "mid"),
            "{offer}"
        );
        // It joins a relative Location to the URL that it was given, which is right as long as nobody redirects it.
        assert!(session.location().starts_with("/whip/"), "{offer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn meetechos_clients_send_if_match_on_delete_and_fragments_of_another_protocol() {
    let site = Site::start(&[]).await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    let tag = ("if-match", session.header("etag"));
    let fragment = trickle("chromium-whip").replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 RTP/AVP 0");
    assert_eq!(
        site.patch(&session.location(), &[SDPFRAG, tag], &fragment).await.status,
        204
    );
    let reply = site.ask(Method::DELETE, &session.location(), &[tag], "").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn eyevinns_player_offers_video_first_with_nack_in_opus_and_falls_back_to_an_empty_post() {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", "chromium-whip").await;
    let munged = captured("chromium-whep-video-first").replace(
        "a=rtcp-fb:111 transport-cc",
        "a=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack",
    );
    let reply = site.post("/whep/demo", &munged).await;
    assert_eq!(
        reply.status, 201,
        "406 would make it believe that there is no sound: {}",
        reply.body
    );
    let refused = site.post("/whep/demo", "nonsense").await;
    assert_eq!(refused.status, 400, "upon which it asks for an offer");
    let offer = site.ask(Method::POST, "/whep/demo", &[], "").await;
    assert_eq!(offer.status, 201);
    let reply = site.patch(&offer.location(), &[SDP], &answer_to(&offer.body)).await;
    assert_eq!(reply.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn eyevinns_sdk_sends_the_tag_as_etag_and_medoozes_player_none_at_all() {
    let site = Site::start(&[]).await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    let tag = ("etag", session.header("etag"));
    let candidates = trickle("chromium-whip");
    assert_eq!(
        site.patch(&session.location(), &[SDPFRAG, tag], &candidates)
            .await
            .status,
        204
    );
    assert_eq!(
        site.patch(&session.location(), &[SDPFRAG], &candidates).await.status,
        204
    );
}

#[test]
fn aiortcs_receiving_sections_name_ssrcs_and_are_no_publishers() {
    let offer = Offer::parse(captured("aiortc-whep").as_bytes()).unwrap();
    assert!(
        offer
            .sections
            .iter()
            .all(|section| section.direction == sdp_types::Direction::RecvOnly)
    );
    assert_eq!(offer.fingerprints.len(), 3, "the worker reads only the first");
    assert!(matches!(
        offer.fingerprints[0],
        mediasoup::types::data_structures::DtlsFingerprint::Sha256 { .. }
    ));
}
