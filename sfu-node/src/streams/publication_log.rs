//! Which of the own publications changed at which revision: a peer that knows one revision is told only what is new since.
//! Pure; whoever changes a publication says so here afterwards.

use sfumato_admin_api::types::PublicationId;
use std::collections::{HashMap, HashSet, VecDeque};

/// Ended publications that are remembered. A peer that has missed more of them is told everything instead.
pub const MAX_ENDED: usize = 1024;

/// The revisions of this life of the node.
#[derive(Debug)]
pub struct PublicationLog {
    revision: u64,
    /// The last change of each publication that there is.
    changed: HashMap<PublicationId, u64>,
    /// Publications that ended, the latest last.
    ended: VecDeque<(u64, PublicationId)>,
    /// Every end after this revision is remembered.
    remembers_after: u64,
}

/// What changed after some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Publications that began or changed; some may have ended this moment, which a later revision will say.
    pub changed: HashSet<PublicationId>,
    /// Publications that ended.
    pub ended: Vec<PublicationId>,
}

impl Default for PublicationLog {
    fn default() -> Self {
        Self {
            revision: FIRST,
            changed: HashMap::new(),
            ended: VecDeque::new(),
            remembers_after: FIRST,
        }
    }
}

/// Before anything was published.
const FIRST: u64 = 1;

impl PublicationLog {
    /// Revision of now.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Something else that peers sync has changed.
    pub fn turn(&mut self) {
        self.revision += 1;
    }

    /// A publication began.
    pub fn began(&mut self, publication: &PublicationId) {
        self.turn();
        self.changed.insert(publication.clone(), self.revision);
    }

    /// Publications changed; those that are not known, or not any more, are left out. Answers whether any is left.
    pub fn changed<'a>(&mut self, publications: impl IntoIterator<Item = &'a PublicationId>) -> bool {
        let next = self.revision + 1;
        let mut any = false;
        for publication in publications {
            if let Some(at) = self.changed.get_mut(publication) {
                *at = next;
                any = true;
            }
        }
        if any {
            self.turn();
        }
        any
    }

    /// A publication ended.
    pub fn ended(&mut self, publication: &PublicationId) {
        self.turn();
        self.changed.remove(publication);
        self.ended.push_back((self.revision, publication.clone()));
        if self.ended.len() > MAX_ENDED
            && let Some((revision, _)) = self.ended.pop_front()
        {
            self.remembers_after = revision;
        }
    }

    /// What changed after a revision of this life; `None` if that is not remembered, or has not come yet. A revision of another
    /// life cannot be told from one of this: the caller compares the incarnation that comes with the answer.
    pub fn since(&self, revision: u64) -> Option<News> {
        if !(self.remembers_after..=self.revision).contains(&revision) {
            return None;
        }
        let ended = self.ended.iter().rev().take_while(|(at, _)| *at > revision);
        Some(News {
            changed: self
                .changed
                .iter()
                .filter(|(_, at)| **at > revision)
                .map(|(id, _)| id.clone())
                .collect(),
            ended: ended.map(|(_, id)| id.clone()).collect(),
        })
    }
}

#[cfg(test)]
#[path = "publication_log_tests.rs"]
mod tests;
