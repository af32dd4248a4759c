//! STUN and TURN servers that clients are told of (RFC 9725 section 4.6).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use rand::distr::Alphanumeric;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a password of a shared secret is good unless somebody says otherwise: longer than most sessions last, since some
/// servers do not refresh an allocation after that time.
const DEFAULT_TTL: Duration = Duration::from_secs(12 * 3600);
/// How long it may be good: a session takes some time to begin, and who has one may use the relay for anything.
const TTL: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(7 * 24 * 3600);
/// Letters of what tells clients of one second apart, in the log of a TURN server.
const ID_LENGTH: usize = 8;

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    url: String,
    /// How clients show a TURN server that they may use it.
    login: Option<Login>,
}

#[derive(Clone, PartialEq, Eq)]
enum Login {
    /// The same for all.
    Password { username: String, credential: String },
    /// Made for each by a secret that the server knows (draft-uberti-behave-turn-rest; coturn: use-auth-secret).
    Shared { secret: String, ttl: Duration },
}

/// Why `--ice-server` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp username=NAME credential=SECRET` or `turn:HOST:PORT secret=SECRET ttl=12h`"
)]
pub struct InvalidIceServer(String);

impl FromStr for IceServer {
    type Err = InvalidIceServer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why: String| Err(InvalidIceServer(why));
        // OBS splits links at `,` and `;`, and a quote or `>` would end the value early.
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii() || c.is_ascii_control() || "\",;<>\\".contains(*c))
        {
            return bad(format!(
                "`{}` is not allowed: clients split the header there",
                c.escape_debug()
            ));
        }
        let mut words = text.split_ascii_whitespace();
        let url = words.next().unwrap_or_default().to_owned();
        let (scheme, host) = url.split_once(':').unwrap_or_default();
        if !["stun", "stuns", "turn", "turns"].contains(&scheme) || host.is_empty() || host.starts_with('/') {
            return bad(format!("`{url}` is no stun:, stuns:, turn: or turns: URL"));
        }
        let login = login(words).map_err(InvalidIceServer)?;
        if login.is_none() && scheme.starts_with("turn") {
            return bad("a TURN server needs username= and credential=, or secret=".to_owned());
        }
        Ok(Self { url, login })
    }
}

/// What comes after the URL.
fn login<'a>(words: impl Iterator<Item = &'a str>) -> Result<Option<Login>, String> {
    let (mut username, mut credential, mut secret, mut ttl) = (None, None, None, None);
    for word in words {
        match word.split_once('=') {
            Some(("username", value)) if !value.is_empty() => username = Some(value.to_owned()),
            Some(("credential", value)) if !value.is_empty() => credential = Some(value.to_owned()),
            Some(("secret", value)) if !value.is_empty() => secret = Some(value.to_owned()),
            Some(("ttl", value)) => ttl = Some(duration(value)?),
            _ => {
                return Err(
                    "after the URL come username=NAME and credential=SECRET, or secret=SECRET and ttl=TIME".to_owned(),
                );
            }
        }
    }
    match (username, credential, secret, ttl) {
        (Some(username), Some(credential), None, None) => Ok(Some(Login::Password { username, credential })),
        (None, None, Some(secret), ttl) => Ok(Some(Login::Shared {
            secret,
            ttl: ttl.unwrap_or(DEFAULT_TTL),
        })),
        (None, None, None, None) => Ok(None),
        (None, None, None, Some(_)) => Err("ttl= is for secret=".to_owned()),
        (_, _, Some(_), _) => {
            Err("secret= makes user names and credentials: leave username= and credential= out".to_owned())
        }
        (_, _, None, Some(_)) => Err("ttl= is for secret=, and a credential is good for ever".to_owned()),
        _ => Err("username= and credential= come together".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).ok();
    parsed
        .filter(|ttl| TTL.contains(ttl))
        .ok_or_else(|| format!("ttl={text} is no time from 10s to 7days, such as 12h"))
}

impl IceServer {
    /// What nobody else may know.
    pub fn secret(&self) -> Option<&str> {
        self.login.as_ref().map(|login| match login {
            Login::Password { credential, .. } => credential.as_str(),
            Login::Shared { secret, .. } => secret.as_str(),
        })
    }

    /// The value of its `Link` header, for one client that gets it `now`.
    #[must_use]
    pub fn link(&self, now: SystemTime) -> String {
        let login = match &self.login {
            None => None,
            Some(Login::Password { username, credential }) => Some((username.clone(), credential.clone())),
            Some(Login::Shared { secret, ttl }) => {
                let id: String = rand::rng()
                    .sample_iter(Alphanumeric)
                    .take(ID_LENGTH)
                    .map(char::from)
                    .collect();
                Some(of_shared(secret, now + *ttl, &id))
            }
        };
        let login = login.map(|(username, credential)| {
            format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"")
        });
        format!("<{}>; rel=\"ice-server\"{}", self.url, login.unwrap_or_default())
    }
}

/// User name and credential that are good until then: the time in seconds, and the user name's HMAC by the secret.
fn of_shared(secret: &str, until: SystemTime, id: &str) -> (String, String) {
    let until = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let username = format!("{until}:{id}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, credential)
}

/// Without the credential: options are logged.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceServer({})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_becomes_one_link() {
        let turn: IceServer = "turn:turn.example.net:3478?transport=udp username=user credential=secret"
            .parse()
            .unwrap();
        assert_eq!(
            turn.link(UNIX_EPOCH),
            "<turn:turn.example.net:3478?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
             credential=\"secret\"; credential-type=\"password\""
        );
        assert!(!format!("{turn:?}").contains("secret"));
        let stun: IceServer = "stun:stun.example.net".parse().unwrap();
        assert_eq!(stun.link(UNIX_EPOCH), "<stun:stun.example.net>; rel=\"ice-server\"");
    }

    #[test]
    fn a_shared_secret_makes_a_password_for_each_client_that_ends() {
        // By Python: base64(hmac.digest(b"north", b"1700043200:a1", "sha1")).
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (username, credential) = of_shared("north", at + DEFAULT_TTL, "a1");
        assert_eq!(
            (username.as_str(), credential.as_str()),
            ("1700043200:a1", "/l8/+klmNowOPc3iWPHf2XQrHvE=")
        );
        let turn: IceServer = "turn:turn.example.net secret=north ttl=90s".parse().unwrap();
        assert!(!format!("{turn:?}").contains("north"));
        let (first, second) = (turn.link(at), turn.link(at));
        assert_ne!(first, second, "each has its own");
        assert!(
            first.starts_with("<turn:turn.example.net>; rel=\"ice-server\"; username=\"1700000090:"),
            "{first}"
        );
        assert!(!first.contains("north"));
    }

    #[test]
    fn what_clients_would_misread_is_refused() {
        for text in [
            "",
            "http://example.net",
            "turn:host",
            "turn:host username=a",
            "stun:host credential=b",
            "turn:host username=a credential=b;c",
            "turn:host username=a credential=\"b\"",
            "turn:host user=a",
            "turn:host secret=a credential=b username=c",
            "turn:host secret=",
            "turn:host secret=a ttl=1s",
            "turn:host secret=a ttl=soon",
            "turn:host username=a credential=b ttl=1h",
            "stun:host ttl=1h",
            "stun:",
            "stun://host",
            "stun:host\r\nX: y",
        ] {
            assert!(text.parse::<IceServer>().is_err(), "{text}");
        }
    }
}
