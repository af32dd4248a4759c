//! The front door of a running cluster, as a client sees it: which nodes there are, and where sessions are opened on each.

mod cluster;

use crate::peer::{MAX_BODY, body, client};
pub use cluster::{Cluster, Mesh, Node};
use reqwest::{StatusCode, Url};
use sfumato_admin_api::files::refused_certificate;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{UdpSocket, lookup_host};

/// Time that one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often a front door is asked that does not know every node yet.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A front door, and what is presented to it.
#[derive(Debug, Clone)]
pub struct Door {
    /// Its URL.
    pub url: Url,
    /// Bearer token.
    pub token: Option<String>,
    /// Name of the stream to publish.
    pub stream: String,
}

/// Why nothing can be tried; the text is a sentence for whoever runs it.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The front door or the nodes behind it are not as they must be.
    #[error("the cluster was not ready within {within:?}: {missing}")]
    NotReady {
        /// How long it had.
        within: Duration,
        /// What it lacks.
        missing: String,
    },
    /// The front door gives the list of nodes to nobody without a token, or to nobody with this one.
    #[error(
        "{url} was answered with {status}: this cluster asks for tokens. Give --secret-file with the secret that tokens are signed with, \
         or --token-file with a token that may observe, and publish and play `{stream}`"
    )]
    Token {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
        /// What is to be published.
        stream: String,
    },
    /// The front door shows a certificate that is not trusted.
    #[error(
        "the certificate of {url} is not trusted ({why}): give --ca with the CA that has signed it, and in --door the name that it is made out to"
    )]
    Certificate {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no way to the front door.
    #[error(
        "the front door's address cannot be found: {source}; check --door, and --bind where the machine has no way there"
    )]
    Address {
        /// What the system says.
        #[from]
        source: std::io::Error,
    },
}

impl Door {
    /// Waits until the cluster has what `pick` looks for, or says what it lacks.
    ///
    /// # Errors
    /// When it does not have that within the time, or the front door refuses.
    pub async fn wait_for<T>(
        &self,
        within: Duration,
        pick: impl Fn(&Cluster) -> Result<T, String>,
    ) -> Result<T, DoorError> {
        let last = Instant::now() + within;
        loop {
            let missing = match self.ask().await?.and_then(|cluster| pick(&cluster)) {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            if Instant::now() + ASK_EVERY > last {
                return Err(DoorError::NotReady { within, missing });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// The cluster, or why it could not be had this time.
    async fn ask(&self) -> Result<Result<Cluster, String>, DoorError> {
        let url = format!("{}api/v1/cluster", self.url);
        let mut request = client().get(&url).timeout(ANSWER_WITHIN);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match refused_certificate(&error) {
                    Some(why) => Err(DoorError::Certificate { url, why }),
                    None => Ok(Err(format!("the front door does not answer: {error}"))),
                };
            }
        };
        match answer.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(DoorError::Token {
                url,
                status,
                stream: self.stream.clone(),
            }),
            status if !status.is_success() => Ok(Err(format!("{url} was answered with {status}"))),
            _ => {
                let no_cluster = |error: &dyn std::error::Error| {
                    format!("the answer of {url} is no cluster: {error}; is this its front door?")
                };
                Ok(match body(answer, MAX_BODY).await {
                    Ok(text) => serde_json::from_str(&text).map_err(|error| no_cluster(&error)),
                    Err(error) => Err(no_cluster(&error)),
                })
            }
        }
    }

    /// Where sessions of a protocol (`whip`, `whep`) are opened on a certain node.
    #[must_use]
    pub fn endpoint(&self, protocol: &str, node: &str) -> String {
        format!("{}{protocol}/{}?node={node}", self.url, self.stream)
    }

    /// The address of this machine from which the front door is reached. Nothing is sent for that.
    ///
    /// # Errors
    /// When there is no way to it.
    pub async fn reached_from(&self) -> Result<IpAddr, DoorError> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or_default();
        let nobody = || std::io::Error::other(format!("{host} has no address"));
        let door = lookup_host((host, port)).await?.next().ok_or_else(nobody)?;
        let any: SocketAddr = if door.is_ipv4() {
            ([0; 4], 0).into()
        } else {
            ([0; 16], 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(door).await?;
        Ok(socket.local_addr()?.ip())
    }
}
