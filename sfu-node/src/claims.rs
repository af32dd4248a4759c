//! Claims on stream names in Redis, so that two nodes never both own a name for long. Media never waits for Redis: every
//! call is bounded, and without an answer the peers' own publications decide.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::{Deserialize, Serialize};
use sfumato_mesh::api::{Incarnation, NodeName, PublicationId, StreamName};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A claim that is not refreshed ends after this time, in milliseconds.
pub const CLAIM_TTL_MS: u64 = 10_000;
/// Claims are refreshed this often.
pub const REFRESH_EVERY: Duration = Duration::from_secs(3);
/// Longest wait for Redis in one call.
pub const REDIS_DEADLINE: Duration = Duration::from_millis(500);

/// Who holds a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The publication.
    pub publication: PublicationId,
    /// Its origin.
    pub node: NodeName,
    /// The life of the origin.
    pub incarnation: Incarnation,
    /// Grows with each take-over.
    pub generation: u64,
}

/// What came of asking for a name.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours,
    /// Somebody holds it.
    Held(Claim),
    /// Redis did not answer in time.
    Unknown,
}

/// What came of a refresh.
#[derive(Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Still ours.
    Ours,
    /// Somebody with a better claim holds it.
    Lost(Claim),
    /// Redis did not answer in time.
    Unknown,
}

/// The claims of one cluster.
pub struct Claims {
    connection: Option<ConnectionManager>,
    prefix: String,
    healthy: AtomicBool,
}

/// Sets the key unless a claim with another publication and a better right is there.
/// One key; ARGV: claim JSON, generation, publication, TTL in ms. Answers nil when ours, else the claim that stands.
const REFRESH: &str = r"
local there = redis.call('GET', KEYS[1])
if there then
  local ok, claim = pcall(cjson.decode, there)
  if ok and claim.publication ~= ARGV[3] then
    local mine, theirs = tonumber(ARGV[2]), tonumber(claim.generation)
    if theirs > mine or (theirs == mine and claim.publication < ARGV[3]) then return there end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return nil";

/// Replaces exactly the claim that was seen. One key; ARGV: claim JSON, publication seen, TTL in ms.
const TAKE_OVER: &str = r"
local there = redis.call('GET', KEYS[1])
if there then
  local ok, claim = pcall(cjson.decode, there)
  if ok and claim.publication ~= ARGV[2] then return there end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return nil";

/// Deletes the key if the claim is ours. One key; ARGV: publication.
const RELEASE: &str = r"
local there = redis.call('GET', KEYS[1])
if there then
  local ok, claim = pcall(cjson.decode, there)
  if ok and claim.publication == ARGV[1] then redis.call('DEL', KEYS[1]) end
end
return nil";

impl Claims {
    /// Prepares a connection; does not wait for it. `cluster` makes the key prefix `sfumato:{cluster}:`.
    pub fn new(url: Option<&str>, cluster: &str) -> Result<Self, redis::RedisError> {
        let connection = match url {
            None => None,
            Some(url) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(REDIS_DEADLINE))
                    .set_response_timeout(Some(REDIS_DEADLINE))
                    .set_number_of_retries(1)
                    .set_max_delay(REDIS_DEADLINE);
                Some(ConnectionManager::new_lazy_with_config(
                    redis::Client::open(url)?,
                    config,
                )?)
            }
        };
        Ok(Self {
            connection,
            prefix: format!("sfumato:{cluster}:"),
            healthy: AtomicBool::new(false),
        })
    }

    /// Whether Redis answered the last call; true when none is configured.
    pub fn healthy(&self) -> bool {
        self.connection.is_none() || self.healthy.load(Ordering::Relaxed)
    }

    /// Whether a Redis is configured.
    pub fn configured(&self) -> bool {
        self.connection.is_some()
    }

    fn key(&self, stream: &StreamName) -> String {
        format!("{}stream:{stream}", self.prefix)
    }

    async fn ask<T>(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(ConnectionManager) -> Result<T, redis::RedisError>,
    ) -> Option<T> {
        let connection = self.connection.clone()?;
        let answer = match tokio::time::timeout(REDIS_DEADLINE, call(connection)).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Redis: {what}");
                None
            }
            Err(_) => {
                tracing::debug!("Redis: {what}: no answer within {REDIS_DEADLINE:?}");
                None
            }
        };
        let healthy = answer.is_some();
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            if healthy {
                tracing::info!("Redis answers");
            } else {
                tracing::warn!("Redis does not answer; media goes on, names are agreed on between the nodes");
            }
        }
        answer
    }

    /// Claims a name that nobody holds.
    pub async fn claim(&self, stream: &StreamName, claim: &Claim) -> Claimed {
        let (key, json) = (self.key(stream), encode(claim));
        let answer = self
            .ask("claiming a name", async move |mut c| {
                let set: Option<String> = redis::cmd("SET")
                    .arg(&key)
                    .arg(json)
                    .arg("NX")
                    .arg("PX")
                    .arg(CLAIM_TTL_MS)
                    .query_async(&mut c)
                    .await?;
                if set.is_some() {
                    return Ok(None);
                }
                redis::cmd("GET").arg(&key).query_async::<Option<String>>(&mut c).await
            })
            .await;
        match answer {
            None => Claimed::Unknown,
            Some(None) => Claimed::Ours,
            Some(Some(there)) => decode(&there).map_or(Claimed::Unknown, Claimed::Held),
        }
    }

    /// Replaces a claim whose holder is gone.
    pub async fn take_over(&self, stream: &StreamName, seen: &PublicationId, claim: &Claim) -> Claimed {
        let script = redis::Script::new(TAKE_OVER);
        let mut call = script.prepare_invoke();
        call.key(self.key(stream))
            .arg(encode(claim))
            .arg(seen.as_str())
            .arg(CLAIM_TTL_MS);
        let answer = self
            .ask("taking over a name", async move |mut c| {
                call.invoke_async::<Option<String>>(&mut c).await
            })
            .await;
        match answer {
            None => Claimed::Unknown,
            Some(None) => Claimed::Ours,
            Some(Some(there)) => decode(&there).map_or(Claimed::Unknown, Claimed::Held),
        }
    }

    /// Keeps a claim, or writes it again when Redis has lost it.
    pub async fn refresh(&self, stream: &StreamName, claim: &Claim) -> Refreshed {
        let script = redis::Script::new(REFRESH);
        let mut call = script.prepare_invoke();
        call.key(self.key(stream))
            .arg(encode(claim))
            .arg(claim.generation)
            .arg(claim.publication.as_str())
            .arg(CLAIM_TTL_MS);
        let answer = self
            .ask("refreshing a name", async move |mut c| {
                call.invoke_async::<Option<String>>(&mut c).await
            })
            .await;
        match answer {
            None => Refreshed::Unknown,
            Some(None) => Refreshed::Ours,
            Some(Some(there)) => decode(&there).map_or(Refreshed::Unknown, Refreshed::Lost),
        }
    }

    /// Gives a name back.
    pub async fn release(&self, stream: &StreamName, publication: &PublicationId) {
        let script = redis::Script::new(RELEASE);
        let mut call = script.prepare_invoke();
        call.key(self.key(stream)).arg(publication.as_str());
        self.ask("releasing a name", async move |mut c| {
            call.invoke_async::<Option<String>>(&mut c).await
        })
        .await;
    }

    /// Asks Redis for a sign of life.
    pub async fn ping(&self) {
        self.ask("ping", async move |mut c| {
            redis::cmd("PING").query_async::<String>(&mut c).await
        })
        .await;
    }
}

fn encode(claim: &Claim) -> String {
    serde_json::to_string(claim).unwrap_or_default()
}

fn decode(json: &str) -> Option<Claim> {
    serde_json::from_str(json).ok()
}
