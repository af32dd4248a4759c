//! From a seed to admin URLs: a seed may be one node's address, or a name (a headless Service) behind which every
//! node of the cluster stands.

use reqwest::Url;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An admin URL to begin with, without a path: `http://127.0.0.1:4001`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed(Url);

/// Why a seed was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no seed: {why}; use the base URL of an admin listener, such as http://127.0.0.1:4001")]
pub struct InvalidSeed {
    value: String,
    why: String,
}

impl FromStr for Seed {
    type Err = InvalidSeed;
    fn from_str(value: &str) -> Result<Self, InvalidSeed> {
        let refuse = |why: &str| InvalidSeed {
            value: value.chars().take(200).collect(),
            why: why.to_owned(),
        };
        let url = Url::parse(value.trim()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("its scheme is neither http nor https"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a path, a query or a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or a password"));
        }
        Ok(Self(url))
    }
}

impl Seed {
    /// The admin URLs that this seed stands for now.
    ///
    /// # Errors
    /// When the name cannot be resolved at present.
    pub async fn resolve(&self) -> std::io::Result<BTreeSet<String>> {
        let as_it_is = || BTreeSet::from([self.0.as_str().trim_end_matches('/').to_owned()]);
        let (Some(host), Some(port)) = (self.0.host_str(), self.0.port_or_known_default()) else {
            return Ok(as_it_is());
        };
        let scheme = self.0.scheme();
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok();
        if literal {
            return Ok(as_it_is());
        }
        let addresses = tokio::net::lookup_host((host, port)).await?;
        Ok(addresses
            .map(|address: SocketAddr| format!("{scheme}://{address}"))
            .collect())
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_stands_for_itself() {
        let seed: Seed = "http://127.0.0.1:4001/".parse().unwrap();
        assert_eq!(
            seed.resolve().await.unwrap(),
            BTreeSet::from(["http://127.0.0.1:4001".to_owned()])
        );
    }

    #[tokio::test]
    async fn a_name_stands_for_every_address_behind_it() {
        let seed: Seed = "http://localhost:4001".parse().unwrap();
        assert!(seed.resolve().await.unwrap().contains("http://127.0.0.1:4001"));
    }

    #[test]
    fn a_seed_with_a_path_a_password_or_another_scheme_is_refused_with_the_reason() {
        for (value, why) in [
            ("http://127.0.0.1:4001/admin", "path"),
            ("http://me:secret@127.0.0.1:4001", "password"),
            ("ftp://127.0.0.1", "scheme"),
            ("127.0.0.1:4001", "no seed"),
        ] {
            let error = value.parse::<Seed>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
