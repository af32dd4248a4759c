//! Names that are being claimed on this node at the moment: one claim of a name at a time.

use super::rights::{Right, generation_after};
use parking_lot::Mutex;
use sfumato_admin_api::types::{NodeName, StreamName};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Somebody else has the name that a publisher wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NameTaken {
    stream: StreamName,
    /// Where it is published; not known when several claimed it at one moment.
    node: Option<NodeName>,
}

impl NameTaken {
    /// It is published on this node.
    pub fn on(stream: &StreamName, node: &NodeName) -> Self {
        Self {
            stream: stream.clone(),
            node: Some(node.clone()),
        }
    }

    /// Several were claiming it at one moment, and another one got it.
    pub fn by_another(stream: &StreamName) -> Self {
        Self {
            stream: stream.clone(),
            node: None,
        }
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = &self.stream;
        match &self.node {
            Some(node) => write!(f, "{stream} is being published on {node}"),
            None => write!(f, "another publisher got {stream} at the same moment"),
        }?;
        f.write_str(": stop it there, or choose another name")
    }
}

/// The names that are being claimed.
#[derive(Default)]
pub struct Claiming(Mutex<HashMap<StreamName, Right>>);

/// A name that is being claimed; others of this node are refused until it is dropped.
pub struct ClaimInProgress {
    all: Arc<Claiming>,
    stream: StreamName,
    right: Right,
}

impl Claiming {
    /// Begins to claim a name; none while somebody else of this node does.
    pub fn begin(self: &Arc<Self>, stream: &StreamName, right: Right) -> Option<ClaimInProgress> {
        let mut claiming = self.0.lock();
        if claiming.contains_key(stream) {
            return None;
        }
        claiming.insert(stream.clone(), right.clone());
        Some(ClaimInProgress {
            all: Arc::clone(self),
            stream: stream.clone(),
            right,
        })
    }

    /// With which right a name is being claimed, if it is.
    pub fn right_to(&self, stream: &StreamName) -> Option<Right> {
        self.0.lock().get(stream).cloned()
    }

    /// How many names are being claimed.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl ClaimInProgress {
    /// The name.
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The right with which it is claimed.
    pub fn right(&self) -> &Right {
        &self.right
    }

    /// Raises the right above that of a holder.
    pub fn outrank(&mut self, generation: u64) {
        self.right.generation = self.right.generation.max(generation_after(generation));
        self.all.0.lock().insert(self.stream.clone(), self.right.clone());
    }
}

impl Drop for ClaimInProgress {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> Right {
        Right {
            generation: 1,
            publication: "a".parse().unwrap(),
        }
    }

    #[test]
    fn a_name_is_claimed_once_at_a_time_and_seen_with_its_highest_right() {
        let (all, demo) = (Arc::new(Claiming::default()), "demo".parse().unwrap());
        let mut claim = all.begin(&demo, right()).unwrap();
        assert!(all.begin(&demo, right()).is_none());
        claim.outrank(7);
        claim.outrank(3);
        assert_eq!(all.right_to(&demo).map(|right| right.generation), Some(8));
        drop(claim);
        assert_eq!((all.right_to(&demo), all.count()), (None, 0));
        assert!(all.begin(&demo, right()).is_some());
    }
}
