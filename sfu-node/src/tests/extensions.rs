//! The WHEP core extensions, through the real listener: what is offered, what is refused, and the word to reconnect. What
//! viewers see of it is tested in `test/e2e/test_layers.py`.

use super::clients::{Reply, Site};
use crate::names::rights::LastRtp;
use crate::sessions::end_reason::EndReason;
use crate::streams::incoming::Incoming;
use crate::streams::local_stream::LocalStream;
use crate::streams::published::Published;
use axum::http::Method;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;
use std::time::Instant;

const JSON: (&str, &str) = ("content-type", "application/json");

fn links(reply: &Reply) -> Vec<&str> {
    let links = reply.headers.get_all("link").iter();
    links.map(|link| link.to_str().unwrap()).collect()
}

/// A site with a simulcast publication `demo` and a viewer of it.
async fn watched() -> (Site, String) {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", "chromium-whip-simulcast").await;
    let viewer = site.open("/whep/demo", "chromium-whep").await.location();
    (site, viewer)
}

impl Site {
    async fn ask_json(&self, path: &str, body: &str) -> Reply {
        self.ask(Method::POST, path, &[JSON], body.to_owned()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_told_where_its_events_are_and_where_it_chooses_a_layer_if_there_are_several() {
    let site = Site::start(&[]).await;
    site.open("/whip/one", "chromium-whip").await;
    site.open("/whip/three", "chromium-whip-simulcast").await;
    for (stream, layers) in [("one", false), ("three", true)] {
        let answered = site.open(&format!("/whep/{stream}"), "chromium-whep").await;
        let offered = site.ask(Method::POST, &format!("/whep/{stream}"), &[], "").await;
        for reply in [answered, offered] {
            let url = reply.location();
            let mut expected = vec![format!(
                "<{url}/sse>; rel=\"urn:ietf:params:whep:ext:core:server-sent-events\"; \
                 events=\"active,inactive,layers,viewercount,reconnect\""
            )];
            if layers {
                expected.push(format!("<{url}/layer>; rel=\"urn:ietf:params:whep:ext:core:layer\""));
            }
            assert_eq!(links(&reply), expected);
        }
    }
    let publisher = site.open("/whip/two", "chromium-whip").await;
    assert_eq!(links(&publisher), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_choice_of_a_layer_is_refused_with_its_field() {
    let (site, viewer) = watched().await;
    let layer = format!("{viewer}/layer");
    assert_eq!(site.ask_json(&layer, r#"{"mediaId":"1","rid":"q"}"#).await.status, 200);
    assert_eq!(site.ask_json(&layer, r#"{"mediaId":"1"}"#).await.status, 200);
    site.ask_json(&layer, r#"{"rid":"x"}"#).await.refused(400, "rid");
    site.ask_json(&layer, r#"{"maxHeight":"x"}"#)
        .await
        .refused(400, "maxHeight");
    site.ask_json(&layer, "[]").await.refused(400, "body");
    site.ask(Method::POST, &layer, &[], "{}")
        .await
        .refused(415, "Content-Type");
    site.ask(Method::PUT, &layer, &[JSON], "{}").await.refused(405, "");
    let elsewhere = layer.replace("/whep/demo/", "/whep/other/");
    site.ask_json(&elsewhere, "{}").await.refused(404, "session");
    let malformed = site
        .post("/whep/demo?maxHeight=-1", super::offers::captured("chromium-whep"))
        .await;
    malformed.refused(400, "maxHeight");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_of_one_layer_offers_no_choice() {
    let site = Site::start(&[]).await;
    site.open("/whip/demo", "chromium-whip").await;
    let viewer = site.open("/whep/demo", "chromium-whep").await.location();
    site.ask_json(&format!("{viewer}/layer"), "{}")
        .await
        .refused(404, "layer");
}

/// Ends the publication that a player watches, which listens to `reconnect`; answers what it has heard.
async fn heard_at_the_end(site: &Site, viewer: &str) -> String {
    let opened = site.ask_json(&format!("{viewer}/sse"), r#"["reconnect"]"#).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let events = opened.location();
    let publisher = site.node.sessions.all();
    let publisher = publisher.iter().find(|session| session.watched().is_none()).unwrap();
    // The stream of events ends with the session, so it can be read whole.
    let (heard, ()) = tokio::join!(
        site.ask(Method::GET, &events, &[], ""),
        site.node.end_session(&publisher.id, EndReason::ClientAsked)
    );
    assert_eq!(heard.header("content-type"), "text/event-stream");
    heard.body
}

#[tokio::test(flavor = "multi_thread")]
async fn players_of_a_stream_that_is_published_anew_are_asked_to_reconnect() {
    let (site, viewer) = watched().await;
    let stream: StreamName = "demo".parse().unwrap();
    let id = PublicationId::try_from("second".to_owned()).unwrap();
    let second = Published {
        local: Arc::new(LocalStream::new(id, stream, 0, Vec::new())),
        generation: 9,
        session: "second".to_owned(),
        last_rtp: LastRtp::new(Instant::now()),
        incoming: Arc::new(Incoming::watch(&[]).await.unwrap()),
    };
    site.node.streams.published.insert(second);
    let heard = heard_at_the_end(&site, &viewer).await;
    assert!(heard.contains("event: reconnect\ndata: {}\n"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn players_of_a_stream_that_just_ends_are_not_asked_to_reconnect() {
    let (site, viewer) = watched().await;
    assert_eq!(heard_at_the_end(&site, &viewer).await, "");
}
