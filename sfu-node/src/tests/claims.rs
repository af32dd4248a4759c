//! Claims on a real `redis-server`.

use crate::claims::{Claim, Claimed, Claims, Memory, Refreshed};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use sfumato_mesh::api::{Peer, StreamName};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// A Redis of this test; it ends with it.
pub(super) struct Redis {
    child: Child,
    port: u16,
    dir: std::path::PathBuf,
}

impl Redis {
    pub(super) fn start() -> Self {
        Self::start_with("--port", &[])
    }

    /// With this option for the port, and further ones.
    fn start_with(port_option: &str, options: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let dir = std::env::temp_dir().join(format!("sfu-node-claims-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                port_option,
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(&dir)
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: run make setup");
        let redis = Self { child, port, dir };
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops the process, or lets it go on: its connections stay, its answers do not come.
    fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let done = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(done.unwrap().success());
    }

    /// What a restart without a file leaves: nothing.
    async fn empty(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn peer(incarnation: &str) -> Peer {
    Peer {
        name: "sfu-1".parse().unwrap(),
        incarnation: incarnation.parse().unwrap(),
        admin_url: "http://127.0.0.1:4001".to_owned(),
        client_url: "http://127.0.0.1:3001".to_owned(),
    }
}

pub(super) fn claim(publication: &str, generation: u64) -> Claim {
    Claim {
        publication: publication.parse().unwrap(),
        node: "sfu-1".parse().unwrap(),
        incarnation: "0.a".parse().unwrap(),
        generation,
    }
}

#[tokio::test]
async fn a_name_has_one_holder_until_it_is_released() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    let (first, second) = (claim("a", 1), claim("b", 1));
    assert!(matches!(claims.claim(&stream, &first).await, Claimed::Ours));
    assert!(matches!(claims.claim(&stream, &second).await, Claimed::Held(holder) if holder == first));
    claims.release(&stream, &second.publication).await;
    assert!(
        matches!(claims.claim(&stream, &second).await, Claimed::Held(_)),
        "only the holder releases"
    );
    claims.release(&stream, &first.publication).await;
    assert!(matches!(claims.claim(&stream, &second).await, Claimed::Ours));
    assert!(claims.healthy());
}

#[tokio::test]
async fn the_higher_generation_keeps_the_name_and_on_a_tie_the_smaller_publication() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    let (a1, b1, a2) = (claim("a", 1), claim("b", 1), claim("a", 2));
    assert_eq!(claims.refresh(&stream, &b1).await, Refreshed::Ours);
    assert_eq!(
        claims.refresh(&stream, &a1).await,
        Refreshed::Ours,
        "the smaller id wins a tie"
    );
    assert_eq!(claims.refresh(&stream, &b1).await, Refreshed::Lost(a1.clone()));
    let b3 = claim("b", 3);
    assert_eq!(claims.refresh(&stream, &b3).await, Refreshed::Ours);
    assert_eq!(claims.refresh(&stream, &a2).await, Refreshed::Lost(b3));
}

#[tokio::test]
async fn a_take_over_replaces_exactly_the_claim_that_was_seen() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    let (gone, mine, other) = (claim("gone", 1), claim("mine", 2), claim("other", 2));
    assert!(matches!(claims.claim(&stream, &gone).await, Claimed::Ours));
    assert!(matches!(
        claims.take_over(&stream, &gone.publication, &mine).await,
        Claimed::Ours
    ));
    assert!(matches!(
        claims.take_over(&stream, &gone.publication, &other).await,
        Claimed::Held(holder) if holder == mine
    ));
}

#[tokio::test]
async fn without_an_answer_nothing_is_known_and_nobody_waits_for_long() {
    let url = {
        let redis = Redis::start();
        redis.url()
    };
    let claims = Claims::new((Some(&url), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), claims.claim(&stream, &claim("a", 1))).await;
    assert!(matches!(answer, Ok(Claimed::Unknown)));
    assert!(!claims.healthy());
}

#[tokio::test]
async fn a_redis_that_forgot_is_told_from_one_that_remembers() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let (me, next_life) = (peer("0.a"), peer("0.b"));
    assert_eq!(claims.watch(&me).await, Memory::Forgot, "it never knew this node");
    assert_eq!(claims.watch(&me).await, Memory::Kept);
    redis.empty().await;
    assert_eq!(claims.watch(&me).await, Memory::Forgot);
    assert_eq!(claims.watch(&me).await, Memory::Kept);
    assert_eq!(claims.watch(&next_life).await, Memory::Forgot, "it knew another life");
}

#[tokio::test]
async fn while_redis_is_known_to_be_away_only_the_watch_asks_it() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let (me, stream): (Peer, StreamName) = (peer("0.a"), "demo".parse().unwrap());
    assert_eq!(claims.watch(&me).await, Memory::Forgot);
    redis.freeze(true);
    assert_eq!(claims.watch(&me).await, Memory::Away);
    redis.freeze(false);
    assert!(
        matches!(claims.claim(&stream, &claim("a", 1)).await, Claimed::Unknown),
        "not asked"
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while claims.watch(&me).await == Memory::Away {
        assert!(Instant::now() < deadline, "Redis goes on, and is not seen");
    }
    assert!(matches!(claims.claim(&stream, &claim("a", 1)).await, Claimed::Ours));
}

/// A CA, and a certificate of it for 127.0.0.1 with its key, in files.
struct TlsFiles {
    ca: NamedTempFile,
    certificate: NamedTempFile,
    key: NamedTempFile,
}

impl TlsFiles {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        Self {
            ca: file(&ca.pem()),
            certificate: file(&certificate.pem()),
            key: file(&key.serialize_pem()),
        }
    }
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn a_redis_with_tls_is_reached_by_its_ca_and_by_no_other_and_the_ca_may_change() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let (right, wrong) = (TlsFiles::new(), TlsFiles::new());
    let path = |file: &NamedTempFile| file.path().display().to_string();
    let (certificate, key) = (path(&right.certificate), path(&right.key));
    let tls = [
        "--port",
        "0",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let redis = Redis::start_with("--tls-port", &tls);
    let url = format!("rediss://127.0.0.1:{}", redis.port);
    let ca = file(&std::fs::read_to_string(wrong.ca.path()).unwrap());
    let claims = Claims::new((Some(&url), Some(ca.path())), "test").unwrap();
    let me = peer("0.a");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !claims.problem().is_some_and(|problem| problem.contains("certificate")) {
        assert_eq!(claims.watch(&me).await, Memory::Away);
        assert!(
            Instant::now() < deadline,
            "the problem is not told: {:?}",
            claims.problem()
        );
    }
    std::fs::copy(right.ca.path(), ca.path()).unwrap();
    while claims.watch(&me).await == Memory::Away {
        assert!(Instant::now() < deadline, "the CA is right now: {:?}", claims.problem());
    }
    assert_eq!((claims.healthy(), claims.problem()), (true, None));
}

#[tokio::test]
async fn a_ca_for_a_redis_without_tls_is_refused_with_the_flags() {
    let ca = TlsFiles::new().ca;
    let error = Claims::new((Some("redis://127.0.0.1"), Some(ca.path())), "test")
        .err()
        .unwrap();
    assert!(error.to_string().contains("--redis-ca"), "{error}");
    assert!(error.to_string().contains("rediss://"), "{error}");
}
