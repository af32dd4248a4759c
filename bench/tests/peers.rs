//! The peers against a server in this process: what they count is what was sent.

#[allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
mod support;

use sfu_bench::media::Codec;
use sfu_bench::peer::{
    CloseReason, ConnectionState, Described, HeaderExtensions, PeerError, Publisher, PublisherOptions, Retry,
    Transport, Viewer, ViewerOptions,
};
use std::net::Ipv4Addr;
use std::time::Duration;
use support::{Quirks, TestServer};

/// Generous: the tests wait for conditions, and only a failure takes this long.
const SOON: Duration = Duration::from_secs(20);

async fn publisher(server: &TestServer, options: PublisherOptions) -> Publisher {
    let publisher = Publisher::start(&server.url("whip/a"), options)
        .await
        .expect("the server takes the offer");
    publisher.connected(SOON).await.expect("the publisher connects");
    publisher
}

async fn viewer(server: &TestServer, options: ViewerOptions) -> Viewer {
    Viewer::start(&server.url("whep/a"), options)
        .await
        .expect("the server takes the offer")
}

async fn frames_flow(codec: Codec, quirks: Quirks, options: ViewerOptions) {
    let server = TestServer::start(quirks).await;
    let publisher = publisher(
        &server,
        PublisherOptions {
            video: Some(codec),
            ..PublisherOptions::default()
        },
    )
    .await;
    let viewer = viewer(&server, options).await;
    let report = viewer
        .wait_for("20 frames and sound", SOON, |r| {
            r.frames() >= 20 && r.audio.as_ref().is_some_and(|a| a.frames >= 20)
        })
        .await
        .expect("frames flow");
    let video = report.video.clone().expect("there is a video track");
    assert_eq!(video.codec, codec);
    assert!(
        video.key_frames >= 1,
        "the server asked for a key frame when the viewer came"
    );
    assert_eq!((report.lost(), video.broken_frames), (0, 0), "loopback loses nothing");
    assert!(video.first_key_frame_ms.expect("a key frame came") >= report.connected_ms.expect("it is connected"));
    let delays = viewer.take_video_delays();
    assert!(delays.len() >= 20, "every frame carries its time");
    assert!(delays.iter().all(|d| d.delay < SOON), "the clock is this machine's own");
    assert!(viewer.take_audio_delays().len() >= 20);
    viewer.stop().await.expect("DELETE is answered");
    publisher.stop().await.expect("DELETE is answered");
    assert_eq!(server.deleted(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_and_sound_flow_with_their_times() {
    frames_flow(Codec::Vp8, Quirks::default(), ViewerOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_and_sound_flow_with_their_times() {
    frames_flow(
        Codec::H264,
        Quirks {
            relative_location: true,
            ..Quirks::default()
        },
        ViewerOptions::default(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_header_extensions_is_told_apart_by_ssrc() {
    for extensions in [HeaderExtensions::Mediasoup, HeaderExtensions::Browser] {
        let options = ViewerOptions {
            extensions,
            ..ViewerOptions::default()
        };
        frames_flow(
            Codec::Vp8,
            Quirks {
                no_extensions: true,
                ..Quirks::default()
            },
            options,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_a_key_frame_is_answered() {
    let server = TestServer::start(Quirks::default()).await;
    // At 4 frames a second the next frame would be up to 250 ms away.
    let options = PublisherOptions {
        frames_per_second: 4,
        ..PublisherOptions::default()
    };
    let publisher = publisher(&server, options).await;
    publisher
        .wait_for("first key frame", SOON, |r| r.key_frames == 1)
        .await
        .expect("it starts with a key frame");
    let before = publisher
        .wait_for("inter frames", SOON, |r| r.frames >= 3)
        .await
        .expect("it goes on");
    assert_eq!(before.key_frames, 1, "no key frames unless asked for");
    server.request_key_frame("a");
    let asked = publisher
        .wait_for("request", SOON, |r| r.key_frame_requests > 0)
        .await
        .expect("the PLI arrives");
    let answered = publisher
        .wait_for("key frame", SOON, |r| r.key_frames == 2)
        .await
        .expect("it is answered");
    assert!(
        answered.frames <= asked.frames + 1,
        "by the very next frame: {asked:?} {answered:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_the_network_drops_count_as_lost() {
    let server = TestServer::start(Quirks {
        drop_every: Some(20),
        ..Quirks::default()
    })
    .await;
    let _publisher = publisher(&server, PublisherOptions::default()).await;
    let viewer = viewer(&server, ViewerOptions::default()).await;
    let report = viewer
        .wait_for("losses", SOON, |r| r.lost() >= 3)
        .await
        .expect("gaps are seen");
    let video = report.video.expect("there is a video track");
    assert!(video.lost * 10 <= video.packets, "about one in twenty: {video:?}");
    assert!(report.audio.is_none_or(|a| a.lost == 0), "sound was not dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_closes_is_noticed_at_both_ends() {
    let server = TestServer::start(Quirks::default()).await;
    let publisher = publisher(&server, PublisherOptions::default()).await;
    let viewer = viewer(&server, ViewerOptions::default()).await;
    viewer
        .wait_for("frames", SOON, |r| r.frames() > 0)
        .await
        .expect("frames flow");
    server.close_all();
    let viewer_end = tokio::time::timeout(SOON, viewer.closed())
        .await
        .expect("the viewer notices");
    let publisher_end = tokio::time::timeout(SOON, publisher.closed())
        .await
        .expect("the publisher notices");
    assert_eq!((viewer_end, publisher_end), (CloseReason::Remote, CloseReason::Remote));
    assert_eq!(viewer.state(), ConnectionState::Closed(CloseReason::Remote));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_without_a_word_is_noticed_by_its_silence() {
    let server = TestServer::start(Quirks::default()).await;
    let silence = Duration::from_secs(2);
    let _publisher = publisher(&server, PublisherOptions::default()).await;
    let viewer = viewer(
        &server,
        ViewerOptions {
            silence,
            ..ViewerOptions::default()
        },
    )
    .await;
    viewer
        .wait_for("frames", SOON, |r| r.frames() > 0)
        .await
        .expect("frames flow");
    server.crash();
    let end = tokio::time::timeout(SOON, viewer.closed())
        .await
        .expect("the viewer notices");
    assert_eq!(end, CloseReason::Silence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_comes_early_waits_for_its_publisher_if_asked_to() {
    let server = TestServer::start(Quirks::default()).await;
    let early = Viewer::start(&server.url("whep/a"), ViewerOptions::default()).await;
    assert!(matches!(early, Err(PeerError::Refused { problem, .. }) if problem.status == 409));

    let url = server.url("whep/a");
    let options = ViewerOptions {
        retry: Retry::For(SOON),
        ..ViewerOptions::default()
    };
    let waiting = tokio::spawn(async move { Viewer::start(&url, options).await });
    while server.refused() < 2 {
        tokio::task::yield_now().await;
    }
    let _publisher = publisher(&server, PublisherOptions::default()).await;
    let viewer = waiting.await.expect("no panic").expect("it gets in");
    viewer
        .wait_for("frames", SOON, |r| r.frames() > 0)
        .await
        .expect("frames flow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_followed_and_the_token_is_sent() {
    let server = TestServer::start(Quirks::default()).await;
    let options = PublisherOptions {
        token: Some("secret".to_owned()),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&server.url("moved/a"), options)
        .await
        .expect("307 is followed");
    publisher.connected(SOON).await.expect("it connects");
    assert!(
        publisher.location().contains("/sessions/whip-"),
        "{}",
        publisher.location()
    );
    assert_eq!(server.tokens(), ["Bearer secret"]);
    publisher
        .stop()
        .await
        .expect("the session is deleted where it was made");
    assert_eq!(server.deleted(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_can_leave_without_a_delete() {
    let server = TestServer::start(Quirks::default()).await;
    let publisher = publisher(
        &server,
        PublisherOptions {
            video: None,
            ..PublisherOptions::default()
        },
    )
    .await;
    publisher
        .wait_for("sound", SOON, |r| r.audio_frames > 5)
        .await
        .expect("sound alone is enough");
    publisher.leave().await;
    assert_eq!(server.deleted(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_viewers_fit_in_one_process() {
    let server = TestServer::start(Quirks::default()).await;
    let options = PublisherOptions {
        frames_per_second: 10,
        frame_bytes: 500,
        key_frame_bytes: 1500,
        ..PublisherOptions::default()
    };
    let _publisher = publisher(&server, options).await;
    let mut viewers = Vec::new();
    for _ in 0..20 {
        viewers.push(
            viewer(
                &server,
                ViewerOptions {
                    audio: false,
                    ..ViewerOptions::default()
                },
            )
            .await,
        );
    }
    for viewer in &viewers {
        let report = viewer
            .wait_for("frames", SOON, |r| r.frames() >= 5)
            .await
            .expect("every viewer gets frames");
        assert_eq!(report.lost(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_opened_for_its_answer_alone_and_ended() {
    let server = TestServer::start(Quirks::default()).await;
    let described = Described::open(&server.url("whip/a"), None, Ipv4Addr::LOCALHOST.into(), Retry::No)
        .await
        .expect("the server takes the offer");
    let candidates: Vec<Transport> = described.ice.candidates.iter().map(|it| it.transport).collect();
    assert_eq!(candidates, [Transport::Udp]);
    assert_ne!(described.ufrag, described.ice.ufrag);
    described.close().await.expect("DELETE is answered");
    assert_eq!(server.deleted(), 1);
}
