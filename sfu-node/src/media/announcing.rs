//! Where the node has the addresses from that clients are told, and whether it has them yet.

use super::announced::Announced;
use crate::options::Options;
use mediasoup::types::data_structures::IceCandidate;
use sfumato_admin_api::files::{FollowedFile, Rules};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What clients are told of the media ports.
pub enum Announcing {
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
        let Some(path) = &options.media_announced_file else {
            return Ok(options.media_announced.clone().map_or(Self::Listening, Self::Fixed));
        };
        Self::of_file(path, options.worker_count())
            .map_err(|error| format!("--media-announced-file {}: {error}", path.display()))
    }

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

    /// Whether there is anything to tell clients.
    #[must_use]
    pub fn is_known(&self) -> bool {
        match self {
            Self::Listening | Self::Fixed(_) => true,
            Self::File(file) => file.versions(Instant::now()).current.is_some(),
        }
    }

    /// Candidates for a client of a transport with these, whose ports begin at `media_port` for worker 0. Those of a session
    /// that has begun stay as they are until its ICE restart.
    #[must_use]
    pub fn candidates(&self, listening: &[IceCandidate], media_port: u16) -> Vec<IceCandidate> {
        match self {
            Self::Listening => listening.to_vec(),
            Self::Fixed(announced) => announced.candidates(listening, media_port),
            // A node that does not know them takes no sessions.
            Self::File(file) => (*file.versions(Instant::now()).current)
                .as_ref()
                .map_or_else(Vec::new, |announced| announced.candidates(listening, media_port)),
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

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < end, "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it tells these.
    fn follows(announcing: &Announcing, wanted: &str) {
        let Announcing::File(file) = announcing else {
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
        let announcing = Announcing::of_file(file.path(), 2).unwrap();
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
        let announcing = Announcing::of_file(file.path(), 2).unwrap();
        assert!(!announcing.is_known());
        std::fs::write(file.path(), "203.0.113.7:30100").unwrap();
        eventually("it is known", || announcing.is_known());
        std::fs::write(file.path(), "no address").unwrap();
        std::fs::write(file.path(), "203.0.113.8:30100").unwrap();
        follows(&announcing, "203.0.113.8:30100");
    }
}
