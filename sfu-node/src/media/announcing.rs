//! Where the node has the addresses from that clients are told, and whether it has them yet.

use super::announced::Announced;
use super::stun::Seen;
use crate::options::Options;
use mediasoup::types::data_structures::IceCandidate;
use parking_lot::Mutex;
use sfumato_admin_api::files::{FollowedFile, Rules};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What is wrong with the addresses in a file that has had none yet, for people.
type Wrong = Arc<Mutex<Option<String>>>;

/// What clients are told of the media ports.
pub struct Announcing {
    source: Source,
    /// By STUN servers.
    seen: Arc<Seen>,
    /// What clients were told last.
    last: Mutex<Option<Announced>>,
}

enum Source {
    /// The addresses that the node listens on.
    Listening,
    /// Others, from its start on.
    Fixed(Announced),
    /// Others, as a file says; whoever places the node writes it when they are known.
    File(FollowedFile<Option<Announced>>, Wrong),
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
            last: Mutex::default(),
        })
    }

    /// Whether clients are told the addresses that the node listens on.
    #[must_use]
    pub fn is_of_listeners(&self) -> bool {
        matches!(self.source, Source::Listening)
    }

    /// Whether there is anything to tell clients.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_of_listeners() || self.known().is_some()
    }

    /// Why it is not known what to tell clients, for people; nothing while it may yet come by itself.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.is_of_listeners() || self.found().is_some() {
            return None;
        }
        let of_file = match &self.source {
            Source::File(_, wrong) => wrong.lock().clone(),
            Source::Listening | Source::Fixed(_) => None,
        };
        of_file.or_else(|| self.seen.problem())
    }

    /// Candidates for a client of a transport with these, whose ports begin at `media_port` for worker 0. Those of a session
    /// that has begun stay as they are until its ICE restart.
    #[must_use]
    pub fn candidates(&self, listening: &[IceCandidate], media_port: u16) -> Vec<IceCandidate> {
        if self.is_of_listeners() {
            return listening.to_vec();
        }
        // A node that does not know them takes no sessions.
        self.known()
            .map_or_else(Vec::new, |announced| announced.candidates(listening, media_port))
    }

    /// Other addresses than those that the node listens on, as far as they are known.
    fn known(&self) -> Option<Announced> {
        let found = self.found();
        let mut last = self.last.lock();
        if found.is_some() {
            last.clone_from(&found);
        }
        // Clients are sent on to where they were sent before while another STUN server does not answer.
        found.or_else(|| last.clone())
    }

    fn found(&self) -> Option<Announced> {
        let announced = self.source.announced()?;
        self.seen.only(&announced.stun_servers());
        announced.resolved(|server| self.seen.by(server))
    }
}

impl Source {
    fn of_file(path: &Path, workers: u16) -> std::io::Result<Self> {
        let was_known = AtomicBool::new(false);
        let wrong = Wrong::default();
        let told = Arc::clone(&wrong);
        // Clients are sent on to where they were sent before while nobody says where else.
        let rules = Rules::new(move |text| match text.trim() {
            "" if was_known.load(Ordering::Relaxed) => Err("it is empty".to_owned()),
            "" => Ok(None),
            text => match parsed(text, workers) {
                Ok(announced) => {
                    was_known.store(true, Ordering::Relaxed);
                    *told.lock() = None;
                    Ok(Some(announced))
                }
                // A process that ended for it would be started again and again, and say no more.
                Err(error) if !was_known.load(Ordering::Relaxed) => {
                    tracing::warn!(
                        error,
                        "clients cannot be told where they reach this node: it takes no sessions"
                    );
                    *told.lock() = Some(error);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        });
        Ok(Self::File(FollowedFile::open(path, rules)?, wrong))
    }

    /// As somebody has said, STUN servers among them.
    fn announced(&self) -> Option<Announced> {
        match self {
            Self::Listening => None,
            Self::Fixed(announced) => Some(announced.clone()),
            Self::File(file, _) => (*file.versions(Instant::now()).current).clone(),
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
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use tempfile::NamedTempFile;

    fn of_file(path: &Path) -> Announcing {
        Announcing {
            source: Source::of_file(path, 2).unwrap(),
            seen: Seen::new(vec![Ipv4Addr::LOCALHOST.into()]),
            last: Mutex::default(),
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
        let Source::File(file, _) = &announcing.source else {
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
        assert!(announcing.problem().unwrap().contains("65535"));
        std::fs::write(file.path(), "203.0.113.7:30100").unwrap();
        eventually("it is known", || announcing.is_known());
        assert_eq!(announcing.problem(), None);
        std::fs::write(file.path(), "no address").unwrap();
        std::fs::write(file.path(), "203.0.113.8:30100").unwrap();
        follows(&announcing, "203.0.113.8:30100");
    }

    #[tokio::test]
    async fn a_stun_server_that_does_not_answer_is_told_of_and_replaces_nothing() {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "203.0.113.7:30100").unwrap();
        let announcing = of_file(file.path());
        assert!(announcing.is_known());
        std::fs::write(file.path(), "stun/127.0.0.1:9/30100").unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while announcing
            .problem()
            .is_none_or(|problem| !problem.contains("127.0.0.1:9"))
        {
            assert!(Instant::now() < end, "not told of within 30 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(announcing.known().unwrap().to_string(), "203.0.113.7:30100");
        let other = of_file(file.path());
        assert!(!other.is_known());
    }
}
