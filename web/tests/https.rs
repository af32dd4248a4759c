//! A front door that serves HTTPS itself, without a proxy before it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod authority;
mod door;
mod fake_node;

use authority::Authority;
use axum::http::{Method, StatusCode};
use door::{Door, header};
use fake_node::FakeNode;
use sfumato_admin_api::files::{ADMIN_SERVER_NAME, REREAD_INTERVAL, TrustedCa, http_client};
use sfumato_admin_api::server::tls::{KeyFiles, Tls};
use std::time::Duration;

/// Whether a new connection of one who trusts this CA is answered.
async fn answers(door: &Door, trusted: &TrustedCa) -> bool {
    let client = http_client(Some(trusted), |options| options);
    let answer = client.get(format!("{}/livez", door.base)).send().await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_leaves_the_last_good_one() {
    let nodes = [FakeNode::start("sfu-1").await];
    let (before, after) = (Authority::new(), Authority::new());
    // Our clients ask for this name, whatever the address.
    let (_folder, files) = before.certify(ADMIN_SERVER_NAME, 2400);
    let tls = Tls::start(files.clone()).unwrap();
    let door = Door::secure(&nodes, tls, &before.trusted()).await;
    let published = door.offer("/whip/demo").await;
    assert_eq!(published.status(), StatusCode::CREATED);
    let session = header(&published, "location").to_owned();
    assert_eq!(session, "/nodes/sfu-1/whip/demo/5e55-10n");
    // Or its connection would not be used again.
    published.text().await.unwrap();
    assert!(!answers(&door, &after.trusted()).await, "it is not renewed yet");

    after.write(&files, ADMIN_SERVER_NAME, 2400);
    let renewed = async {
        while !answers(&door, &after.trusted()).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed)
        .await
        .expect("the renewed certificate is shown");
    assert!(
        !answers(&door, &before.trusted()).await,
        "the one of before is shown no more"
    );
    let ended = door.send(Method::DELETE, &session, "").await;
    assert_eq!(ended.status(), StatusCode::OK, "connections of before go on");

    std::fs::write(&files.cert, "half a certificate").unwrap();
    tokio::time::sleep(REREAD_INTERVAL + Duration::from_secs(1)).await;
    assert!(answers(&door, &after.trusted()).await);
}

#[tokio::test]
async fn a_listener_for_https_answers_nobody_in_clear() {
    let nodes = [FakeNode::start("sfu-1").await];
    let authority = Authority::new();
    let (_folder, files) = authority.certify(ADMIN_SERVER_NAME, 2400);
    let door = Door::secure(&nodes, Tls::start(files).unwrap(), &authority.trusted()).await;
    let in_clear = door.base.replace("https://", "http://");
    let client = http_client(None, |options| options);
    assert!(client.get(in_clear).send().await.is_err());
}

#[test]
fn files_that_are_no_certificate_and_its_key_are_named_at_the_start() {
    let authority = Authority::new();
    let (folder, good) = authority.certify("live.example", 2400);
    let (_other_folder, other) = authority.certify("live.example", 2400);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let text = file("text", "no certificate\n");
    let broken = file(
        "broken",
        "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
    );
    let missing = folder.path().join("missing");
    for (cert, key, named, words) in [
        (&missing, &good.key, "missing", "No such file"),
        (&text, &good.key, "text", "it holds no certificate"),
        (&broken, &good.key, "broken", "certificate"),
        (&good.cert, &text, "text", "no items found"),
        (
            &good.cert,
            &other.key,
            "tls.key",
            "it is not the key of the certificate in",
        ),
    ] {
        let files = KeyFiles {
            cert: cert.clone(),
            key: key.clone(),
        };
        let problem = Tls::start(files).unwrap_err();
        let (path, why) = problem.split_once(": ").unwrap();
        assert!(path.ends_with(named) && why.contains(words), "{problem}");
    }
}
