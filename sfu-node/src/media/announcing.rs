//! Where the node has the addresses from that clients are told, and whether it has them yet.

use super::announced::Announced;
use super::stun::Seen;
use crate::options::Options;
use mediasoup::types::data_structures::IceCandidate;
use sfumato_admin_api::files::{FollowedFile, Rules};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What clients are told of the media ports.
pub struct Announcing {
    source: Source,
    /// By STUN servers.
    seen: Arc<Seen>,
}

enum Source {
    /// The addresses that the node listens on.
    Listening,
    /// Others, from its start on.
    Fixed(Announced),
    /// Others, as a file says; whoever places the node writes it when they are known.
    File(FollowedFile<Option<Announced>>),
}

impl Announcing {
    /// As the options say.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(options: &Options) -> Result<Self, String> {
        let source = match &options.media_announced_file {
            None => options.media_announced.clone().map_or(Source::Listening, Source::Fixed),
            Some(path) => Source::of_file(path, options.worker_count())
                .map_err(|error| format!("--media-announced-file {}: {error}", path.display()))?,
        };
        Ok(Self {
            source,
            seen: Seen::new(options.media_ip.clone()),
        })
    }

    /// Whether there is anything to tell clients.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self.source, Source::Listening) || self.known().is_some()
    }

    /// Candidates for a client of a transport with these, whose ports begin at `media_port` for worker 0. Those of a session
    /// that has begun stay as they are until its ICE restart.
    #[must_use]
    pub fn candidates(&self, listening: &[IceCandidate], media_port: u16) -> Vec<IceCandidate> {
        if matches!(self.source, Source::Listening) {
            return listening.to_vec();
        }
        // A node that does not know them takes no sessions.
        self.known()
            .map_or_else(Vec::new, |announced| announced.candidates(listening, media_port))
    }

    /// Other addresses than those that the node listens on, as far as they are known.
    fn known(&self) -> Option<Announced> {
        let announced = self.source.announced()?;
        self.seen.only(&announced.stun_servers());
        announced.resolved(|server| self.seen.by(server))
    }
}

impl Source {
    fn of_file(path: &Path, workers: u16) -> std::io::Result<Self> {
        let was_known = AtomicBool::new(false);
        // Clients are sent on to where they were sent before while nobody says where else.
        let rules = Rules::new(move |text| match text.trim() {
            "" if was_known.load(Ordering::Relaxed) => Err("it is empty".to_owned()),
            "" => Ok(None),
            text => match parsed(text, workers) {
                Ok(announced) => {
                    was_known.store(true, Ordering::Relaxed);
                    Ok(Some(announced))
                }
                // A process that ended for it would be started again and again, and say no more.
                Err(error) if !was_known.load(Ordering::Relaxed) => {
                    tracing::warn!(
                        error,
                        "clients cannot be told where they reach this node: it takes no sessions"
                    );
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        });
        Ok(Self::File(FollowedFile::open(path, rules)?))
    }

    /// As somebody has said, STUN servers among them.
    fn announced(&self) -> Option<Announced> {
        match self {
            Self::Listening => None,
            Self::Fixed(announced) => Some(announced.clone()),
            Self::File(file) => (*file.versions(Instant::now()).current).clone(),
        }
    }
}

fn parsed(text: &str, workers: u16) -> Result<Announced, String> {
    let announced: Announced = text.parse()?;
    announced.check(workers)?;
    Ok(announced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tempfile::NamedTempFile;

    fn of_file(path: &Path) -> Announcing {
        Announcing {
            source: Source::of_file(path, 2).unwrap(),
            seen: Seen::new(Vec::new()),
        }
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < end, "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it tells these.
    fn follows(announcing: &Announcing, wanted: &str) {
        let Source::File(file) = &announcing.source else {
            panic!("it follows no file")
        };
        let told = || {
            (*file.versions(Instant::now()).current)
                .as_ref()
                .map(ToString::to_string)
        };
        eventually("it follows", || told().as_deref() == Some(wanted));
    }

    #[test]
    fn a_node_waits_for_its_addresses_and_keeps_them_when_the_file_says_nothing_more() {
        let file = NamedTempFile::new().unwrap();
        let announcing = of_file(file.path());
        assert!(!announcing.is_known());
        std::fs::write(file.path(), "203.0.113.7:30100\n").unwrap();
        eventually("it is known", || announcing.is_known());
        std::fs::write(file.path(), "").unwrap();
        std::fs::write(file.path(), "203.0.113.8:65535").unwrap();
        std::fs::write(file.path(), "203.0.113.9:30100").unwrap();
        follows(&announcing, "203.0.113.9:30100");
    }

    #[test]
    fn what_a_file_says_wrongly_is_not_known_and_replaces_nothing() {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "203.0.113.7:65535").unwrap();
        let announcing = of_file(file.path());
        assert!(!announcing.is_known());
        std::fs::write(file.path(), "203.0.113.7:30100").unwrap();
        eventually("it is known", || announcing.is_known());
        std::fs::write(file.path(), "no address").unwrap();
        std::fs::write(file.path(), "203.0.113.8:30100").unwrap();
        follows(&announcing, "203.0.113.8:30100");
    }
}
