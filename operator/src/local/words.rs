//! What happens, in words.

use super::keeper::{News, What};
use crate::platform::Event;
use sfumato_mesh::MeshSnapshot;
use std::time::{Duration, Instant};

/// What people are told of a process.
#[must_use]
pub fn event(news: &News) -> Event {
    let name = &news.name;
    match &news.what {
        What::Started => Event::Silent,
        What::Ready { pid, after } => Event::Good(format!("{name} is ready (pid {pid}, after {})", seconds(*after))),
        What::Died { exit, restart_in } => {
            Event::Bad(format!("{name} died: {exit}; restarting in {}", seconds(*restart_in)))
        }
        What::NotStarted { why, restart_in } => Event::Bad(format!("{why}; trying again in {}", seconds(*restart_in))),
        What::Stopped { killed: false } => Event::Good(format!("{name} has ended")),
        What::Stopped { killed: true } => Event::Bad(format!("{name} did not end in time and was killed")),
    }
}

/// A duration as people read it: `0.25 s`, `0.8 s`, `12 s`.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let hundredths = (seconds * 100.0).round();
    if seconds >= 10.0 {
        format!("{seconds:.0} s")
    } else if hundredths % 10.0 == 0.0 || seconds >= 1.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.2} s")
    }
}

/// Turns the mesh's snapshots into a line whenever something worth telling has changed.
#[derive(Debug)]
pub struct MeshTale {
    /// Pairs established and desired, as told last.
    told: Option<(u32, u32)>,
    /// Since when something is missing.
    broken_since: Option<Instant>,
    /// Whether it has been whole before.
    was_whole: bool,
}

impl MeshTale {
    /// The mesh is not there yet at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            told: None,
            broken_since: Some(now),
            was_whole: false,
        }
    }

    /// The line for this snapshot, if it tells something new.
    #[must_use]
    pub fn line(&mut self, mesh: &MeshSnapshot, now: Instant) -> Option<String> {
        let pairs = (mesh.established_pairs, mesh.desired_pairs);
        if mesh.members.is_empty() || (self.told.is_none() && mesh.members.iter().all(|m| !m.reachable)) {
            return None;
        }
        let whole = mesh.is_whole();
        if !whole && self.broken_since.is_none() {
            self.broken_since = Some(now);
        }
        let fresh = self.told != Some(pairs) || (whole && self.broken_since.is_some());
        if !fresh {
            return None;
        }
        self.told = Some(pairs);
        let (established, desired) = pairs;
        let after = self.broken_since.map(|since| now.duration_since(since));
        match (whole, after) {
            (true, Some(after)) => {
                (self.broken_since, self.was_whole) = (None, true);
                Some(format!("mesh {established}/{desired} whole (after {})", seconds(after)))
            }
            (true, None) => Some(format!("mesh {established}/{desired} whole")),
            (false, _) => {
                let doing = if self.was_whole { "healing" } else { "forming" };
                Some(format!("mesh {established}/{desired} {doing}"))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::local::exit::{Exit, How};
    use sfumato_mesh::MemberSnapshot;

    fn mesh(established_pairs: u32, reachable: &[bool]) -> MeshSnapshot {
        let member = |(i, reachable): (usize, &bool)| MemberSnapshot {
            name: format!("sfu-{}", i + 1).parse().unwrap(),
            incarnation: None,
            reachable: *reachable,
            report: None,
        };
        let members: Vec<_> = reachable.iter().enumerate().map(member).collect();
        let n = u32::try_from(members.len()).unwrap();
        MeshSnapshot {
            whole: Default::default(),
            members,
            desired_pairs: n * n.saturating_sub(1) / 2,
            established_pairs,
        }
    }

    #[test]
    fn a_death_names_signal_last_line_and_wait() {
        let exit = Exit {
            how: How::Signal(9),
            last_line: Some("bye".into()),
            lived: Duration::ZERO,
        };
        let what = What::Died {
            exit,
            restart_in: Duration::from_millis(250),
        };
        assert_eq!(
            event(&News {
                name: "sfu-2".into(),
                what
            }),
            Event::Bad("sfu-2 died: signal 9 (SIGKILL), last line: bye; restarting in 0.25 s".into())
        );
    }

    #[test]
    fn durations_are_short() {
        let text = |ms| seconds(Duration::from_millis(ms));
        assert_eq!(
            [0, 250, 500, 800, 1_000, 1_234, 12_345].map(text),
            ["0.0 s", "0.25 s", "0.5 s", "0.8 s", "1.0 s", "1.2 s", "12 s"]
        );
    }

    #[test]
    fn the_tale_of_a_mesh_that_forms_breaks_and_heals() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tale = MeshTale::new(start);
        let mut line = |mesh: MeshSnapshot, ms| tale.line(&mesh, at(ms));
        assert_eq!(line(mesh(0, &[]), 0), None);
        assert_eq!(line(mesh(0, &[false; 3]), 10), None, "nobody is up yet: no news");
        assert_eq!(
            line(mesh(0, &[true, false, false]), 100).as_deref(),
            Some("mesh 0/3 forming")
        );
        assert_eq!(line(mesh(0, &[true, true, false]), 200), None);
        assert_eq!(line(mesh(1, &[true; 3]), 300).as_deref(), Some("mesh 1/3 forming"));
        assert_eq!(
            line(mesh(3, &[true; 3]), 800).as_deref(),
            Some("mesh 3/3 whole (after 0.8 s)")
        );
        assert_eq!(line(mesh(3, &[true; 3]), 900), None);
        assert_eq!(
            line(mesh(1, &[true, false, true]), 5_000).as_deref(),
            Some("mesh 1/3 healing")
        );
        assert_eq!(
            line(mesh(3, &[true; 3]), 6_500).as_deref(),
            Some("mesh 3/3 whole (after 1.5 s)")
        );
        assert_eq!(line(mesh(10, &[true; 5]), 9_000).as_deref(), Some("mesh 10/10 whole"));
        assert_eq!(line(mesh(0, &[true]), 9_500).as_deref(), Some("mesh 0/0 whole"));
    }

    #[test]
    fn a_node_that_does_not_answer_is_not_a_whole_mesh() {
        let start = Instant::now();
        let mut tale = MeshTale::new(start);
        assert_eq!(
            tale.line(&mesh(3, &[true; 3]), start).as_deref(),
            Some("mesh 3/3 whole (after 0.0 s)")
        );
        assert_eq!(
            tale.line(&mesh(3, &[true, true, false]), start),
            None,
            "nothing is known to be lost"
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(
            tale.line(&mesh(3, &[true; 3]), later).as_deref(),
            Some("mesh 3/3 whole (after 1.0 s)")
        );
    }
}
