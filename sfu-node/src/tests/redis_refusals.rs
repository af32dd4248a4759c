//! A real `redis-server` that refuses: whatever it refuses for, a node asks again and again on a new connection, and is let in
//! when the reason is gone.

use super::claims::{Redis, claim, file, peer};
use crate::names::redis_claims::{Claimed, Claims, Memory};
use crate::names::redis_link::{RedisFiles, RedisLink, RedisUrl};
use redis::aio::ConnectionLike;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};

/// What waits for no more than a program on this computer.
const SOON: Duration = Duration::from_secs(20);

/// Claims of a node that finds the password in a file.
fn with_password_file(url: String, password: &NamedTempFile) -> Claims {
    let files = RedisFiles {
        ca: None,
        password: Some(password.path().to_owned()),
    };
    Claims::over(Some(RedisLink::new(RedisUrl::Given(url), &files).unwrap()), "test")
}

/// Watches Redis, as a node does, until it answers.
async fn let_in(claims: &Claims, what: &str) {
    let deadline = Instant::now() + SOON;
    while claims.watch(&peer("0.a")).await == Memory::Away {
        assert!(Instant::now() < deadline, "{what}: {:?}", claims.problem());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let taken = claims.claim(&"demo".parse().unwrap(), &claim("a", 1)).await;
    assert!(matches!(taken, Claimed::Ours), "{what}: {taken:?}");
}

/// Watches Redis a few times, and is refused in these words each time.
async fn refused(claims: &Claims, words: &str) {
    for _ in 0..3 {
        assert_eq!(claims.watch(&peer("0.a")).await, Memory::Away);
        let problem = claims.problem().unwrap_or_default();
        assert!(problem.contains(words), "{problem}");
    }
}

async fn ask(connection: &mut impl ConnectionLike, words: &[&str]) {
    let (command, arguments) = words.split_first().unwrap();
    let _: () = redis::cmd(command)
        .arg(arguments)
        .query_async(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_with_the_wrong_password_is_let_in_when_its_file_has_the_right_one() {
    let redis = Redis::start_with("--port", &["--requirepass", "new"]);
    let password = file("old\n");
    let claims = with_password_file(redis.url(), &password);
    refused(&claims, "AuthenticationFailed").await;
    std::fs::write(password.path(), "new\n").unwrap();
    let_in(&claims, "the file has the right password").await;
}

#[tokio::test]
async fn a_node_that_was_refused_is_let_in_when_redis_has_its_password() {
    let redis = Redis::start();
    let mut other = redis.connection().await;
    ask(&mut other, &["CONFIG", "SET", "requirepass", "old"]).await;
    let password = file("new");
    let claims = with_password_file(redis.url(), &password);
    refused(&claims, "AuthenticationFailed").await;
    ask(&mut other, &["CONFIG", "SET", "requirepass", "new"]).await;
    let_in(&claims, "Redis has the password of the file").await;
}

#[tokio::test]
async fn the_password_of_the_file_counts_and_not_that_of_the_url() {
    let redis = Redis::start_with("--port", &["--requirepass", "new"]);
    let url = format!("redis://:old@127.0.0.1:{}", redis.port());
    let password = file("new");
    let_in(&with_password_file(url, &password), "the file has the right password").await;
}

#[tokio::test]
async fn a_password_file_without_a_password_is_refused_with_its_option() {
    let empty = file("\n");
    let files = RedisFiles {
        ca: None,
        password: Some(empty.path().to_owned()),
    };
    let error = RedisLink::new(RedisUrl::Given("redis://127.0.0.1".to_owned()), &files)
        .err()
        .unwrap();
    assert!(error.to_string().contains("--redis-password-file"), "{error}");
}

#[tokio::test]
async fn a_redis_that_was_killed_is_found_again_when_it_is_back() {
    let redis = Redis::start();
    let port = redis.port();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let_in(&claims, "it runs").await;
    drop(redis);
    refused(&claims, "").await;
    let _again = Redis::start_at(port, "--port", &[]);
    let_in(&claims, "it is back").await;
}

#[tokio::test]
async fn a_replica_is_asked_again_until_it_is_no_replica_any_more() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let_in(&claims, "it is no replica").await;
    let mut other = redis.connection().await;
    // Of nobody that there is.
    ask(&mut other, &["REPLICAOF", "127.0.0.1", "1"]).await;
    refused(&claims, "read only replica").await;
    ask(&mut other, &["REPLICAOF", "NO", "ONE"]).await;
    let_in(&claims, "it is promoted").await;
}

#[tokio::test]
async fn a_node_leaves_a_server_that_was_made_a_replica_when_its_name_means_another() {
    let (old, new) = (Redis::start(), Redis::start());
    let means = Arc::new(AtomicU16::new(old.port()));
    let url = name_that(&means).await;
    let claims = Claims::new((Some(&url), None), "test").unwrap();
    let_in(&claims, "its name means the old one").await;
    ask(
        &mut old.connection().await,
        &["REPLICAOF", "127.0.0.1", &new.port().to_string()],
    )
    .await;
    means.store(new.port(), Ordering::Relaxed);
    // The connection to the old one stays open, and would be refused for ever.
    let_in(&claims, "its name means the new one").await;
}

/// An URL that leads to the server at this port, as a name in DNS would: each connection to that of the moment.
async fn name_that(means: &Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let means = Arc::clone(means);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let port = means.load(Ordering::Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    url
}
