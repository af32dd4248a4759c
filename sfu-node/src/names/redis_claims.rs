//! Claims on stream names in Redis, so that two nodes never both own a name for long. Media never waits for Redis: every
//! call is bounded, and without an answer the peers' own publications decide.

use crate::names::redis_link::{Connecting, REDIS_DEADLINE, RedisLink};
#[cfg(test)]
use crate::names::redis_link::{RedisFiles, RedisSetupError, RedisUrl};
use crate::names::rights::{CLAIM_LIFE, MAX_GENERATION, Right};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use sfumato_admin_api::types::{Incarnation, NodeName, Peer, PublicationId, StreamName};
#[cfg(test)]
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// [`CLAIM_LIFE`] as Redis takes it, in milliseconds.
const CLAIM_TTL_MS: u64 = CLAIM_LIFE.as_secs() * 1_000;
/// Claims are refreshed this often.
pub const REFRESH_EVERY: Duration = Duration::from_secs(3);
/// Redis is asked for a sign of life, and whether it has kept its memory, this often.
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Most attempts to write one claim, where the value that it may replace is another one each time: no more than
/// [`REDIS_DEADLINE`] each.
const WRITE_ATTEMPTS: usize = 4;
/// Longest value that is taken for a claim, in bytes. What is written here has a few hundred.
const MAX_CLAIM: usize = 4_096;
/// Longest part of a value that is no claim which goes into the log, in bytes.
const MAX_LOGGED: usize = 200;

/// Who holds a name, as Redis keeps it. Nodes of several releases read it: a field that is added needs a default, or it would
/// be taken for no claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub publication: PublicationId,
    pub node: NodeName,
    /// The life of the origin.
    pub incarnation: Incarnation,
    /// Grows with each take-over.
    pub generation: u64,
}

impl Claim {
    /// How it compares with other claims on the name.
    pub fn right(&self) -> Right {
        Right {
            generation: self.generation,
            publication: self.publication.clone(),
        }
    }
}

/// What came of asking for a name.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours,
    /// Somebody holds it.
    Held(Claim),
    /// Redis did not answer in time, or what stands there changed with each attempt.
    Unknown,
}

/// What came of a refresh.
#[derive(Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Still ours.
    Ours,
    /// Somebody with a better claim holds it.
    Lost(Claim),
    /// Redis did not answer in time, or what stands there changed with each attempt.
    Unknown,
}

/// What came of watching Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// It remembers what this node wrote last time.
    Kept,
    /// It does not: it is new to this node, came back empty, or was away for longer than claims live.
    Forgot,
    /// It did not answer in time.
    Away,
}

/// The claims of one cluster.
pub struct Claims {
    redis: Option<RedisLink>,
    prefix: String,
    state: AtomicU8,
    /// Why the last call failed.
    problem: Mutex<Option<String>>,
    /// Values that were no claims, and were overwritten.
    corrupt: AtomicU64,
}

/// Redis has not been asked yet.
const UNTRIED: u8 = 0;
/// Redis answered the last call.
const ANSWERS: u8 = 1;
/// Redis did not answer the last call. Until it answers the watch again nothing else is asked, so that no publisher
/// waits for it.
const AWAY: u8 = 2;

/// Writes a claim unless something stands there other than itself or the one value that it may replace. Which value that
/// may be is decided by the caller, so what is replaced is exactly what was judged.
/// One key; ARGV: claim JSON, TTL in ms, the value that may be replaced, the longest that can be a claim. Answers nil when
/// written, else what stands; an empty text for what can be no claim.
const WRITE: &str = r"
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'table' then
  -- A key of another type is as little a claim as an empty text; SET replaces it all the same. Any other error is Redis's own.
  if not string.find(there.err or '', 'WRONGTYPE', 1, true) then return there end
  there = ''
elseif there and #there > tonumber(ARGV[4]) then
  -- Nor is what may have up to 512 MB.
  there = ''
end
if there and there ~= ARGV[1] and there ~= ARGV[3] then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return nil";

/// Deletes the key if the claim is ours. One key; ARGV: publication, the longest that can be a claim.
const RELEASE: &str = r"
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' and #there <= tonumber(ARGV[2]) then
  local ok, claim = pcall(cjson.decode, there)
  if ok and type(claim) == 'table' and claim.publication == ARGV[1] then redis.call('DEL', KEYS[1]) end
end
return nil";

/// What came of writing a claim.
enum Written {
    /// It stands there.
    Ours,
    /// Another one stands there, and may not be replaced.
    Stands(Claim),
    /// Redis did not answer in time, or what stands there changed with each attempt.
    Unknown,
}

impl Claims {
    /// Claims at the end of this link; does not wait for it. `cluster` makes the key prefix `sfumato:{cluster}:`.
    pub fn over(redis: Option<RedisLink>, cluster: &str) -> Self {
        Self {
            redis,
            prefix: format!("sfumato:{cluster}:"),
            state: AtomicU8::new(UNTRIED),
            problem: Mutex::default(),
            corrupt: AtomicU64::new(0),
        }
    }

    /// Claims in the Redis at an URL, whose certificate must come from the CA in a file, if one is given.
    #[cfg(test)]
    pub fn new((url, ca): (Option<&str>, Option<&Path>), cluster: &str) -> Result<Self, RedisSetupError> {
        let url = url.map(|url| RedisUrl::Given(url.to_owned()));
        let files = RedisFiles {
            ca: ca.map(Path::to_owned),
            password: None,
        };
        let redis = url.map(|url| RedisLink::new(url, &files)).transpose()?;
        Ok(Self::over(redis, cluster))
    }

    /// Values that were no claims, and were overwritten, since the start.
    pub fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Whether Redis answered the last call; true when none is configured.
    pub fn healthy(&self) -> bool {
        self.redis.is_none() || self.state.load(Ordering::Relaxed) == ANSWERS
    }

    /// Whether a Redis is configured.
    pub fn configured(&self) -> bool {
        self.redis.is_some()
    }

    /// Why Redis does not answer, for people.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    fn key(&self, stream: &StreamName) -> String {
        format!("{}stream:{stream}", self.prefix)
    }

    /// Asks unless Redis is known to be away.
    async fn ask<T>(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Option<T> {
        if self.state.load(Ordering::Relaxed) == AWAY {
            return None;
        }
        self.try_asking(what, call).await
    }

    async fn try_asking<T>(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Option<T> {
        let redis = self.redis.as_ref()?;
        let connected = redis.connection();
        let number = connected.number();
        let (answer, why) = match answer_of(connected.connection, call).await {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        if let Some(why) = &why {
            tracing::debug!(error = why.text(), "Redis: {what}");
            // A server that refuses may refuse for as long as this connection lasts: it is a replica now, or wants another
            // password, and one that is silent may never be heard again on it.
            redis.give_up(number);
        }
        self.remember(why);
        let now = if answer.is_some() { ANSWERS } else { AWAY };
        if self.state.swap(now, Ordering::Relaxed) != now {
            if now == ANSWERS {
                tracing::info!("Redis answers");
            } else {
                let why = self.problem().unwrap_or_default();
                tracing::warn!(
                    error = why,
                    "Redis does not answer; media goes on, names are agreed on between the nodes"
                );
            }
        }
        answer
    }

    /// Keeps the reason of the last failure. Whatever Redis has said before tells more than that it is silent now.
    fn remember(&self, why: Option<Failure>) {
        let mut problem = self.problem.lock();
        match why {
            Some(Failure::Silence) if problem.is_some() => {}
            why => *problem = why.map(|why| why.text()),
        }
    }

    /// Writes a claim if nothing stands there, or a claim that may be replaced. What is no claim holds no name: it is
    /// overwritten, or the name would be locked for as long as that stands.
    async fn write(
        &self,
        what: &'static str,
        stream: &StreamName,
        claim: &Claim,
        may_replace: impl Fn(&Claim) -> bool,
    ) -> Written {
        let (key, json) = (self.key(stream), encode(claim));
        let script = redis::Script::new(WRITE);
        let mut seen: Vec<u8> = json.clone().into_bytes();
        let mut unreadable = None;
        for _ in 0..WRITE_ATTEMPTS {
            let mut call = script.prepare_invoke();
            call.key(&key).arg(&json).arg(CLAIM_TTL_MS).arg(&seen).arg(MAX_CLAIM);
            let answer = self
                .ask(what, async move |mut c| {
                    call.invoke_async::<Option<Vec<u8>>>(&mut c).await
                })
                .await;
            let there = match answer {
                None => return Written::Unknown,
                Some(None) => {
                    if let Some((was, why)) = unreadable {
                        self.corrupt.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(
                            key,
                            value = was,
                            error = why,
                            "Redis held what is no claim; it was overwritten with ours"
                        );
                    }
                    return Written::Ours;
                }
                Some(Some(there)) => there,
            };
            unreadable = match decode(&there) {
                Ok(standing) if !may_replace(&standing) => return Written::Stands(standing),
                Ok(_) => None,
                Err(why) => Some((excerpt(&there), why)),
            };
            seen = there;
        }
        tracing::warn!(
            key,
            "what stands in Redis changes with each attempt to write a claim; the peers decide"
        );
        Written::Unknown
    }

    /// Claims a name that nobody holds.
    pub async fn claim(&self, stream: &StreamName, claim: &Claim) -> Claimed {
        self.write("claiming a name", stream, claim, |_| false).await.into()
    }

    /// Replaces a claim whose holder is gone.
    pub async fn take_over(&self, stream: &StreamName, seen: &PublicationId, claim: &Claim) -> Claimed {
        let may_replace = |standing: &Claim| standing.publication == *seen;
        self.write("taking over a name", stream, claim, may_replace)
            .await
            .into()
    }

    /// Keeps a claim, or writes it again when Redis has lost it. An earlier claim of the same publication is replaced, and
    /// one with a lesser right.
    pub async fn refresh(&self, stream: &StreamName, claim: &Claim) -> Refreshed {
        let may_replace =
            |standing: &Claim| standing.publication == claim.publication || claim.right().outranks(&standing.right());
        match self.write("refreshing a name", stream, claim, may_replace).await {
            Written::Ours => Refreshed::Ours,
            Written::Stands(better) => Refreshed::Lost(better),
            Written::Unknown => Refreshed::Unknown,
        }
    }

    /// Gives a name back.
    pub async fn release(&self, stream: &StreamName, publication: &PublicationId) {
        let script = redis::Script::new(RELEASE);
        let mut call = script.prepare_invoke();
        call.key(self.key(stream)).arg(publication.as_str()).arg(MAX_CLAIM);
        self.ask("releasing a name", async move |mut c| {
            call.invoke_async::<Option<String>>(&mut c).await
        })
        .await;
    }

    /// Asks Redis for a sign of life, and whether it remembers this node: it may have come back empty between two calls.
    pub async fn watch(&self, me: &Peer) -> Memory {
        let (key, value) = (format!("{}node:{}", self.prefix, me.name), me.incarnation.to_string());
        let written = value.clone();
        let longest = isize::try_from(value.len()).unwrap_or(isize::MAX);
        let before = self
            .try_asking("watching", async move |mut c| {
                let mut both = redis::pipe();
                // No more than what was written could have: something else may stand there, of up to 512 MB.
                both.atomic()
                    .getrange(&key, 0, longest)
                    .pset_ex(&key, written, CLAIM_TTL_MS)
                    .ignore();
                let (before,): (Option<String>,) = both.query_async(&mut c).await?;
                Ok(before)
            })
            .await;
        match before {
            None => Memory::Away,
            Some(Some(before)) if before == value => Memory::Kept,
            Some(_) => Memory::Forgot,
        }
    }
}

/// Why a call came to nothing.
enum Failure {
    /// What Redis, or the way to it, says.
    Refusal(String),
    Silence,
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Refusal(text) => text.clone(),
            Self::Silence => format!("no answer within {} ms", REDIS_DEADLINE.as_millis()),
        }
    }
}

/// Connects, where that has not been done yet, and asks. Each has a time of its own, or a Redis that is far away would never be
/// reached.
async fn answer_of<T>(
    connecting: Connecting,
    call: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, redis::RedisError>,
) -> Result<T, Failure> {
    let connection = within_deadline(connecting).await?;
    within_deadline(call(connection)).await
}

async fn within_deadline<T>(asked: impl Future<Output = Result<T, redis::RedisError>>) -> Result<T, Failure> {
    match tokio::time::timeout(REDIS_DEADLINE, asked).await {
        Ok(answer) => answer.map_err(|error| Failure::Refusal(error.to_string())),
        Err(_) => Err(Failure::Silence),
    }
}

impl From<Written> for Claimed {
    fn from(written: Written) -> Self {
        match written {
            Written::Ours => Self::Ours,
            Written::Stands(holder) => Self::Held(holder),
            Written::Unknown => Self::Unknown,
        }
    }
}

fn encode(claim: &Claim) -> String {
    serde_json::to_string(claim).unwrap_or_default()
}

/// Reads a claim, or says why it is none.
fn decode(json: &[u8]) -> Result<Claim, String> {
    let claim: Claim = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if claim.generation > MAX_GENERATION {
        return Err(format!("its generation is over {MAX_GENERATION}"));
    }
    Ok(claim)
}

/// The begin of a value, for the log.
fn excerpt(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(MAX_LOGGED)])
        .escape_debug()
        .to_string()
}

#[cfg(test)]
#[path = "redis_claims_fuzz.rs"]
mod fuzz_tests;
