//! Tells how the mesh comes along. Pure.

use super::messages::seconds;
use sfumato_mesh::MeshSnapshot;
use std::time::Instant;

/// Turns the mesh's snapshots into a line whenever something worth telling has changed.
#[derive(Debug)]
pub struct MeshProgress {
    /// Pairs established and desired, as told last.
    told: Option<(u32, u32)>,
    /// Since when something is missing.
    broken_since: Option<Instant>,
    /// Whether it has been whole before.
    was_whole: bool,
}

impl MeshProgress {
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
                Some(format!(
                    "mesh {established}/{desired} fully connected (after {})",
                    seconds(after)
                ))
            }
            (true, None) => Some(format!("mesh {established}/{desired} fully connected")),
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
    use sfumato_mesh::MemberSnapshot;
    use std::time::Duration;

    fn mesh(established_pairs: u32, reachable: &[bool]) -> MeshSnapshot {
        let member = |(i, reachable): (usize, &bool)| MemberSnapshot {
            streams: 0,
            unusable: None,
            silent: None,
            name: format!("sfu-{}", i + 1).parse().unwrap(),
            incarnation: None,
            reachable: *reachable,
            asked: true,
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
    fn a_mesh_that_forms_breaks_and_heals_is_told_at_each_turn() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut progress = MeshProgress::new(start);
        let mut line = |mesh: MeshSnapshot, ms| progress.line(&mesh, at(ms));
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
            Some("mesh 3/3 fully connected (after 0.8 s)")
        );
        assert_eq!(line(mesh(3, &[true; 3]), 900), None);
        assert_eq!(
            line(mesh(1, &[true, false, true]), 5_000).as_deref(),
            Some("mesh 1/3 healing")
        );
        assert_eq!(
            line(mesh(3, &[true; 3]), 6_500).as_deref(),
            Some("mesh 3/3 fully connected (after 1.5 s)")
        );
        assert_eq!(
            line(mesh(10, &[true; 5]), 9_000).as_deref(),
            Some("mesh 10/10 fully connected")
        );
        assert_eq!(
            line(mesh(0, &[true]), 9_500).as_deref(),
            Some("mesh 0/0 fully connected")
        );
    }

    #[test]
    fn a_node_that_does_not_answer_is_not_a_whole_mesh() {
        let start = Instant::now();
        let mut progress = MeshProgress::new(start);
        assert_eq!(
            progress.line(&mesh(3, &[true; 3]), start).as_deref(),
            Some("mesh 3/3 fully connected (after 0.0 s)")
        );
        assert_eq!(
            progress.line(&mesh(3, &[true, true, false]), start),
            None,
            "nothing is known to be lost"
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(
            progress.line(&mesh(3, &[true; 3]), later).as_deref(),
            Some("mesh 3/3 fully connected (after 1.0 s)")
        );
    }
}
