//! Asks a process whether it is ready.

use std::time::Duration;

/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(100);
/// Deadline of one question.
const DEADLINE: Duration = Duration::from_secs(1);

/// How a process shows that it is ready.
#[derive(Debug, Clone)]
pub enum Probe {
    /// This URL answers with a success.
    Http(String),
    /// This Redis answers PING.
    Redis(Box<redis::Client>),
}

impl Probe {
    /// Returns once the process is ready.
    pub async fn ready(&self, http: &reqwest::Client) {
        while tokio::time::timeout(DEADLINE, self.ask(http)).await != Ok(true) {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn ask(&self, http: &reqwest::Client) -> bool {
        match self {
            Self::Http(url) => http
                .get(url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success()),
            Self::Redis(client) => ping(client).await.is_ok(),
        }
    }
}

/// Asks Redis once.
///
/// # Errors
/// When it cannot be reached, or refuses.
pub async fn ping(client: &redis::Client) -> redis::RedisResult<()> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("PING").query_async(&mut connection).await
}
