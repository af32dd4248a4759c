//! Which codecs are taken, which are refused, and what the refusal says.

use super::clients::{Site, values};
use super::offers::captured;
use crate::sdp::offer::Offer;
use crate::sdp::publish::publish;
use sfumato_admin_api::types::TrackKind;

/// Chromium's offer of one video codec: its entry is listed first, so that it is the one that is used.
fn offering(name: &str, fmtp: &str) -> String {
    let offer = captured("chromium-whip");
    let (before, video) = offer.split_at(offer.find("m=video").unwrap());
    let kept = |line: &&str| {
        !["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let mut lines: Vec<String> = video.lines().filter(kept).map(str::to_owned).collect();
    lines[0] = "m=video 9 UDP/TLS/RTP/SAVPF 96".to_owned();
    lines.push(format!("a=rtpmap:96 {name}/90000"));
    lines.push("a=rtcp-fb:96 nack pli".to_owned());
    if !fmtp.is_empty() {
        lines.push(format!("a=fmtp:96 {fmtp}"));
    }
    format!("{before}{}\r\n", lines.join("\r\n"))
}

fn h264(profile: &str, mode: u8) -> String {
    let fmtp = format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}");
    offering("H264", &fmtp)
}

#[tokio::test(flavor = "multi_thread")]
async fn vp8_vp9_av1_and_every_common_profile_of_h264_are_published() {
    let site = Site::start(&[]).await;
    let mut offers = vec![
        ("VP8".to_owned(), offering("VP8", "")),
        ("VP9".to_owned(), offering("VP9", "profile-id=0")),
        ("VP9-2".to_owned(), offering("VP9", "profile-id=2")),
        ("AV1".to_owned(), offering("AV1", "profile=0;tier=0")),
        ("H264-plain".to_owned(), offering("H264", "")),
    ];
    // Baseline as FFmpeg writes it, baseline, constrained baseline, main, high, constrained high; levels do not matter.
    for profile in [
        "42000a", "42001f", "42e01f", "42c01e", "4d001f", "4d0028", "64001f", "640028", "64000d", "640c1f",
    ] {
        for mode in [0, 1] {
            offers.push((format!("H264-{profile}-{mode}"), h264(profile, mode)));
        }
    }
    for (name, offer) in offers {
        let reply = site.post(&format!("/whip/{name}"), &offer).await;
        assert_eq!(reply.status, 201, "{name}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_of_any_profile_is_played_under_an_entry_that_the_player_lists() {
    let site = Site::start(&[]).await;
    for profile in ["42001f", "42e01f", "4d001f", "64001f", "640c1f"] {
        for mode in [0, 1] {
            let path = format!("{profile}-{mode}");
            let published = site.post(&format!("/whip/{path}"), &h264(profile, mode)).await;
            assert_eq!(published.status, 201, "{path}: {}", published.body);
            let reply = site.open(&format!("/whep/{path}"), "chromium-whep").await;
            let video = reply.sections().into_iter().find(|s| s.starts_with("video")).unwrap();
            let fmtp = values(video, "fmtp")[0];
            assert!(
                captured("chromium-whep").contains(fmtp),
                "{path}: {fmtp} is not what the player offered"
            );
            assert!(fmtp.contains(&format!("packetization-mode={mode}")), "{path}: {fmtp}");
            site.ask(axum::http::Method::DELETE, &published.location(), &[], "")
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_lists_h264_without_a_mode_gets_what_there_is() {
    let site = Site::start(&[]).await;
    site.post("/whip/demo", &h264("42e01f", 1)).await;
    for fmtp in ["", "profile-level-id=42e016"] {
        let offer = offering("H264", fmtp).replace("a=sendonly", "a=recvonly");
        let reply = site.post("/whep/demo", &offer).await;
        assert_eq!(reply.status, 201, "{fmtp}: {}", reply.body);
    }
    let said = offering("H264", "packetization-mode=0;profile-level-id=42e01f").replace("a=sendonly", "a=recvonly");
    site.post("/whep/demo", &said).await.refused(422, "m=video (mid 1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_is_not_supported_is_422_with_what_is() {
    let site = Site::start(&[]).await;
    for (name, fmtp) in [
        ("H265", "profile-id=1"),
        ("H266", ""),
        ("VP9", "profile-id=1"),
        ("H264", "profile-level-id=f4001f"),
    ] {
        let problem = site
            .post("/whip/demo", &offering(name, fmtp))
            .await
            .refused(422, "m=video (mid 1)");
        for supported in ["VP8", "VP9", "AV1", "H264"] {
            assert!(problem.detail.contains(supported), "{name}: {problem:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_a_codec_that_cannot_be_switched_are_422_and_one_layer_of_it_is_taken() {
    let site = Site::start(&[]).await;
    let layers = "a=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n";
    for (name, fmtp, status) in [
        ("VP8", "", 201),
        ("H264", "", 201),
        ("VP9", "profile-id=0", 422),
        ("AV1", "", 422),
    ] {
        let offer = offering(name, fmtp).replace("a=simulcast", "a=x-simulcast");
        let reply = site
            .post(&format!("/whip/{name}-layers"), &format!("{offer}{layers}"))
            .await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", reply.body);
        if status == 422 {
            let problem = reply.refused(422, "m=video (mid 1)");
            assert!(problem.detail.contains("one layer"), "{problem:?}");
        }
        assert_eq!(
            site.post(&format!("/whip/{name}"), &offer).await.status,
            201,
            "{name} in one layer"
        );
    }
}

#[test]
fn the_clients_first_codec_that_is_known_is_used() {
    let offer = Offer::parse(captured("chromium-whip").as_bytes()).unwrap();
    let video = offer
        .sections
        .iter()
        .find(|section| section.kind == TrackKind::Video)
        .unwrap();
    let first = video.codecs.iter().find(|codec| !codec.is("red")).unwrap();
    assert_eq!(publish(video, "").unwrap().codec.payload_type, first.payload_type);
}
