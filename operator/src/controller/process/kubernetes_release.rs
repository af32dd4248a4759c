//! Whether the API server is of a release of Kubernetes that this operator was made for.

use k8s_openapi::apimachinery::pkg::version::Info;
use kube::Client;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest time to connect to the API server, and to hear which release it is of.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Releases of Kubernetes that this one was made for: 1.x.
const MINORS: RangeInclusive<u32> = 33..=37;

/// Writes to the log whether it is; the operator works on in any case.
pub async fn check(client: &Client) {
    let Ok(Ok(version)) = tokio::time::timeout(CONNECT_TIMEOUT, client.apiserver_version()).await else {
        tracing::warn!("the API server does not say of which release it is");
        return;
    };
    match warning(&version) {
        None => tracing::info!(
            kubernetes = version.git_version,
            "the API server is of a release that this one was made for"
        ),
        Some(warning) => tracing::warn!(kubernetes = version.git_version, "{warning}"),
    }
}

/// What to warn of, if anything. Providers append signs to the minor number: `36+`.
fn warning(version: &Info) -> Option<String> {
    let minor: Option<u32> = version.minor.trim_end_matches('+').parse().ok();
    let known = version.major == "1" && minor.is_some_and(|minor| MINORS.contains(&minor));
    (!known).then(|| {
        format!(
            "this operator was made for Kubernetes 1.{} to 1.{}, and the API server is of {}.{}; it may work",
            MINORS.start(),
            MINORS.end(),
            version.major,
            version.minor
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warns(major: &str, minor: &str) -> bool {
        let version = Info {
            major: major.to_owned(),
            minor: minor.to_owned(),
            ..Info::default()
        };
        warning(&version).is_some()
    }

    #[test]
    fn releases_from_1_33_to_1_37_are_known_and_all_others_warned_of() {
        for minor in ["33", "36", "36+", "37"] {
            assert!(!warns("1", minor), "1.{minor}");
        }
        for (major, minor) in [("1", "32"), ("1", "38"), ("1", "38+"), ("2", "36"), ("1", ""), ("", "")] {
            assert!(warns(major, minor), "{major}.{minor}");
        }
    }
}
