//! Claims on a real `redis-server`.

use crate::names::redis_claims::{Claim, Claimed, Claims, Memory, Refreshed};
use crate::names::redis_link::{RedisFiles, RedisLink, RedisUrl};
use crate::names::rights::MAX_GENERATION;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use redis::aio::MultiplexedConnection;
use sfumato_admin_api::types::{Peer, StreamName};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    pub(super) fn start_with(port_option: &str, options: &[&str]) -> Self {
        // Not one of the ports that the system gives to whoever connects: it could be taken before Redis has it.
        static NEXT_PORT: AtomicU16 = AtomicU16::new(31_000);
        let port = std::iter::repeat_with(|| NEXT_PORT.fetch_add(1, Ordering::Relaxed))
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap();
        Self::start_at(port, port_option, options)
    }

    /// At a port that may have been another one's before.
    pub(super) fn start_at(port: u16, port_option: &str, options: &[&str]) -> Self {
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

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Another client of it.
    pub(super) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// What a restart without a file leaves: nothing.
    async fn empty(&self) {
        let _: () = redis::cmd("FLUSHALL")
            .query_async(&mut self.connection().await)
            .await
            .unwrap();
    }

    /// Its URL on a way on which, once `armed`, a key runs out between any two requests of one client.
    async fn url_with_expiring_key(&self, key: &'static str, armed: &Arc<AtomicBool>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (armed, port, mut other) = (Arc::clone(armed), self.port, self.connection().await);
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((mut requests, mut to_client), (mut answers, mut to_server)) = (client.split(), server.split());
            let there = async {
                let (mut buffer, mut passed) = ([0; 4096], 0);
                while let Ok(read @ 1..) = requests.read(&mut buffer).await {
                    if armed.load(Ordering::Relaxed) {
                        if passed > 0 {
                            let _: () = redis::cmd("DEL").arg(key).query_async(&mut other).await.unwrap();
                        }
                        passed += 1;
                    }
                    to_server.write_all(&buffer[..read]).await.unwrap();
                }
            };
            tokio::join!(there, tokio::io::copy(&mut answers, &mut to_client)).1
        });
        url
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(super) fn peer(incarnation: &str) -> Peer {
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

/// Where the claim on `demo` is kept.
const KEY: &str = "sfumato:test:stream:demo";

#[tokio::test]
async fn a_claim_that_runs_out_while_its_name_is_asked_for_leaves_the_name_to_one() {
    let redis = Redis::start();
    let direct = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    assert!(matches!(direct.claim(&stream, &claim("first", 1)).await, Claimed::Ours));
    let armed = Arc::new(AtomicBool::new(false));
    let url = redis.url_with_expiring_key(KEY, &armed).await;
    let claims = Claims::new((Some(&url), None), "test").unwrap();
    assert_eq!(claims.watch(&peer("0.a")).await, Memory::Forgot, "it is connected now");
    armed.store(true, Ordering::Relaxed);
    let answer = claims.claim(&stream, &claim("second", 1)).await;
    assert!(matches!(answer, Claimed::Ours | Claimed::Held(_)), "{answer:?}");
    let third = direct.claim(&stream, &claim("third", 1)).await;
    assert!(
        !matches!((&answer, &third), (Claimed::Ours, Claimed::Ours)),
        "two hold the name"
    );
}

/// Asks for `demo` in one way.
type Ask = for<'a> fn(&'a Claims, &'a Claim) -> futures::future::BoxFuture<'a, bool>;

/// Every way to ask for a name; whether it is ours then.
const WAYS: [(&str, Ask); 3] = [
    ("claim", |claims, claim| {
        Box::pin(async { matches!(claims.claim(&"demo".parse().unwrap(), claim).await, Claimed::Ours) })
    }),
    ("refresh", |claims, claim| {
        Box::pin(async { claims.refresh(&"demo".parse().unwrap(), claim).await == Refreshed::Ours })
    }),
    ("take over", |claims, claim| {
        let seen = "seen".parse().unwrap();
        Box::pin(async move {
            matches!(
                claims.take_over(&"demo".parse().unwrap(), &seen, claim).await,
                Claimed::Ours
            )
        })
    }),
];

#[tokio::test]
async fn what_stands_in_redis_and_is_no_claim_holds_no_name() {
    let redis = Redis::start();
    let mut other = redis.connection().await;
    let whole = |generation: &str| {
        format!(r#"{{"publication":"b","node":"sfu-2","incarnation":"0.b","generation":{generation}}}"#).into_bytes()
    };
    let over = (MAX_GENERATION + 1).to_string();
    let mut values: Vec<Vec<u8>> = vec![b"\xff\xfe".to_vec(), b"{\"publication\":\"b\"}".to_vec()];
    values.extend(["", "no claim", "5", "null", "true", "[]", "{}"].map(|text| text.as_bytes().to_vec()));
    values.extend(["\"7\"", "null", "{}", "-1", "1.5", &over, "18446744073709551615"].map(whole));
    values.push(br#"{"publication":"b","node":"No Node","incarnation":"0.b","generation":7}"#.to_vec());
    // A claim in all but its length.
    values.push([whole("7"), vec![b' '; 5_000]].concat());
    let ours = claim("ours", 1);
    assert_eq!(Claims::new((Some(&redis.url()), None), "test").unwrap().corrupt(), 0);
    for value in &values {
        let text = String::from_utf8_lossy(value);
        for (way, ask) in WAYS {
            let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
            let _: () = redis::cmd("SET")
                .arg(KEY)
                .arg(value)
                .query_async(&mut other)
                .await
                .unwrap();
            claims.release(&"demo".parse().unwrap(), &ours.publication).await;
            assert!(
                claims.healthy(),
                "releasing while `{text}` stands: {:?}",
                claims.problem()
            );
            assert!(ask(&claims, &ours).await, "{way} while `{text}` stands");
            assert_eq!(claims.corrupt(), 1, "{way} while `{text}` stands");
            stands_until_it_runs_out(&mut other, &ours).await;
        }
    }
    for (way, ask) in WAYS {
        let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
        let mut list = redis::pipe();
        let _: () = list
            .del(KEY)
            .lpush(KEY, "x")
            .ignore()
            .query_async(&mut other)
            .await
            .unwrap();
        claims.release(&"demo".parse().unwrap(), &ours.publication).await;
        assert!(ask(&claims, &ours).await, "{way} while a list stands");
        stands_until_it_runs_out(&mut other, &ours).await;
    }
}

/// What is logged on the thread of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_the_key_that_held_no_claim_and_what_was_done() {
    let (log, redis) = (Log::default(), Redis::start());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let _kept = tracing::subscriber::set_default(subscriber.finish());
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let mut other = redis.connection().await;
    let long = format!("no claim\n{}", "x".repeat(10_000));
    let _: () = redis::cmd("SET")
        .arg(KEY)
        .arg(long)
        .query_async(&mut other)
        .await
        .unwrap();
    let ours = claim("ours", 1);
    assert_eq!(claims.refresh(&"demo".parse().unwrap(), &ours).await, Refreshed::Ours);
    assert_eq!(claims.refresh(&"demo".parse().unwrap(), &ours).await, Refreshed::Ours);
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(
        warnings[0].contains(KEY) && warnings[0].contains("overwritten"),
        "{text}"
    );
    assert!(warnings[0].len() < 1_000, "{}", warnings[0].len());
}

async fn stands_until_it_runs_out(redis: &mut MultiplexedConnection, claim: &Claim) {
    let (there, ttl): (String, i64) = redis::pipe().get(KEY).pttl(KEY).query_async(redis).await.unwrap();
    assert_eq!(serde_json::from_str::<Claim>(&there).unwrap(), *claim);
    assert!((1..=10_000).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn the_highest_generation_that_can_be_read_exactly_is_a_claim_like_any_other() {
    let redis = Redis::start();
    let claims = Claims::new((Some(&redis.url()), None), "test").unwrap();
    let stream: StreamName = "demo".parse().unwrap();
    let highest = claim("highest", MAX_GENERATION);
    assert!(matches!(claims.claim(&stream, &highest).await, Claimed::Ours));
    let below = claim("a", MAX_GENERATION - 1);
    assert_eq!(claims.refresh(&stream, &below).await, Refreshed::Lost(highest.clone()));
    assert!(matches!(claims.claim(&stream, &below).await, Claimed::Held(holder) if holder == highest));
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

/// A CA, and a certificate of it with its key, in files.
pub(super) struct TlsFiles {
    pub(super) ca: NamedTempFile,
    pub(super) certificate: NamedTempFile,
    pub(super) key: NamedTempFile,
}

impl TlsFiles {
    fn new() -> Self {
        Self::of("127.0.0.1")
    }

    /// With a certificate for this name or address.
    pub(super) fn of(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        Self {
            ca: file(&ca.pem()),
            certificate: file(&certificate.pem()),
            key: file(&key.serialize_pem()),
        }
    }
}

pub(super) fn file(text: &str) -> NamedTempFile {
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

#[tokio::test]
async fn a_url_in_a_file_is_followed_and_what_is_wrong_with_it_is_said_without_its_password() {
    let redis = Redis::start_with("--port", &["--requirepass", "hunter2"]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}\n", redis.port);
    let file = file(&url("wrong"));
    let link = || RedisLink::new(RedisUrl::InFile(file.path().to_owned()), &RedisFiles::default());
    let claims = Claims::over(Some(link().unwrap()), "test");
    let me = peer("0.a");
    assert_eq!(claims.watch(&me).await, Memory::Away);
    std::fs::write(file.path(), url("hunter2")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while claims.watch(&me).await == Memory::Away {
        assert!(
            Instant::now() < deadline,
            "the password is right now: {:?}",
            claims.problem()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(claims.healthy());
    std::fs::write(file.path(), "redis//:hunter2@nowhere").unwrap();
    let error = link().err().unwrap().to_string();
    assert!(
        error.contains("--redis-url-file") && error.contains("redis://HOST:PORT"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}
