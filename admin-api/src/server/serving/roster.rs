//! Which connections of a listener are open, and which of them make room for a new one.
//!
//! A connection on which nothing is asked costs its client nothing, and whoever loses one opens another. So where there is no
//! place, the ones that ask nothing make room, first those of the address that has most: it keeps nobody out by holding them.

use super::pulse::Pulse;
use crate::server::client_address::ClientKey;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::task::{AbortHandle, Id};

/// Which connections make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MakeRoom {
    /// Those on which nothing is asked at the moment.
    Idle,
    /// These before others, and then any: for answers that are short, and questions that must be answered.
    Any,
}

/// Most connections of a client that are looked at for one on which nothing is asked: the look must not cost more than the
/// connection for which it is made.
const LOOKS: usize = 64;

/// The open connections of a listener.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Of each client in the order in which they came.
    by_client: HashMap<ClientKey, BTreeMap<u64, Open>>,
    by_task: HashMap<Id, (ClientKey, u64)>,
    /// Larger than the number of every connection that is there.
    next: u64,
}

#[derive(Debug)]
struct Open {
    pulse: Arc<Mutex<Pulse>>,
    task: AbortHandle,
}

/// What counts of an open connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    number: u64,
    from: ClientKey,
    busy: bool,
}

impl Roster {
    /// One more is open.
    pub fn add(&mut self, from: ClientKey, pulse: Arc<Mutex<Pulse>>, task: AbortHandle) {
        self.put(from, Open { pulse, task });
    }

    /// The task of one has ended. To remember it would keep what the task has held.
    pub fn ended(&mut self, task: Id) {
        let Some((client, number)) = self.by_task.remove(&task) else {
            return;
        };
        if let Entry::Occupied(mut theirs) = self.by_client.entry(client) {
            theirs.get_mut().remove(&number);
            if theirs.get().is_empty() {
                theirs.remove();
            }
        }
    }

    /// Ends an old connection of this client on which nothing is asked, if there is one. Its task ends soon.
    pub fn end_of(&mut self, client: ClientKey) -> Option<AbortHandle> {
        for _ in 0..LOOKS {
            let theirs = self.by_client.get_mut(&client)?;
            let oldest = theirs.first_entry()?;
            let (ended, busy) = (oldest.get().task.is_finished(), oldest.get().is_busy());
            if !ended && !busy {
                let task = oldest.get().task.clone();
                task.abort();
                return Some(task);
            }
            // The next look begins after it.
            let passed = oldest.remove();
            self.put(client, passed);
        }
        None
    }

    /// Ends up to `count` connections, if there are such besides the `spared` one. Their tasks end soon.
    pub fn end(&mut self, rule: MakeRoom, count: usize, spared: Option<Id>) -> Vec<AbortHandle> {
        let mut open: Vec<(ClientKey, u64, &Open)> = Vec::with_capacity(self.by_task.len());
        for (from, theirs) in &self.by_client {
            // What has ended has given its place back already.
            let theirs = theirs
                .iter()
                .filter(|(_, open)| !open.task.is_finished() && Some(open.task.id()) != spared);
            open.extend(theirs.map(|(number, open)| (*from, *number, open)));
        }
        let standing = open.iter().map(|(from, number, open)| Standing {
            number: *number,
            from: *from,
            busy: open.is_busy(),
        });
        let ended = whom_to_end(standing.collect(), rule, count);
        let ended = open.into_iter().filter(|(_, number, _)| ended.contains(number));
        let ended: Vec<AbortHandle> = ended.map(|(.., open)| open.task.clone()).collect();
        for task in &ended {
            task.abort();
        }
        ended
    }

    fn put(&mut self, from: ClientKey, open: Open) {
        let number = self.next;
        self.next += 1;
        self.by_task.insert(open.task.id(), (from, number));
        self.by_client.entry(from).or_default().insert(number, open);
    }
}

impl Open {
    fn is_busy(&self) -> bool {
        self.pulse.lock().is_busy()
    }
}

/// Which connections make room, at most `count`: of the client that has most, idle ones before others, and of these the
/// oldest. Pure.
fn whom_to_end(open: Vec<Standing>, rule: MakeRoom, count: usize) -> HashSet<u64> {
    let mut held: HashMap<ClientKey, usize> = HashMap::new();
    for standing in &open {
        *held.entry(standing.from).or_insert(0) += 1;
    }
    let mut candidates: Vec<_> = open
        .into_iter()
        .filter(|standing| rule == MakeRoom::Any || !standing.busy)
        .map(|standing| (Reverse(held[&standing.from]), standing.busy, standing.number))
        .collect();
    if count < candidates.len() {
        candidates.select_nth_unstable(count);
        candidates.truncate(count);
    }
    candidates.into_iter().map(|(_, _, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn key(last: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([198, 51, 100, last]))
    }

    /// Written as addresses in the order in which they came, busy ones with a star.
    fn ended(open: &str, rule: MakeRoom, count: usize) -> Vec<u64> {
        let standing = |(number, word): (usize, &str)| Standing {
            number: number as u64,
            from: key(word.trim_end_matches('*').parse().unwrap()),
            busy: word.ends_with('*'),
        };
        let open = open.split_whitespace().enumerate().map(standing).collect();
        let mut ended: Vec<u64> = whom_to_end(open, rule, count).into_iter().collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn the_address_that_has_most_makes_room_with_its_oldest_idle_connection() {
        use MakeRoom::{Any, Idle};
        for (open, rule, count, expected, why) in [
            ("", Any, 1, vec![], "there is none"),
            ("1 2 3", Idle, 1, vec![0], "each has one: the oldest"),
            ("1 2 3 2", Idle, 1, vec![1], "2 has most"),
            ("1 2* 2 3", Idle, 1, vec![2], "a busy one is left alone"),
            ("1 2* 2*", Idle, 1, vec![0], "those of 2 are busy"),
            ("1* 2*", Idle, 1, vec![], "all are busy"),
            ("1* 2*", Any, 1, vec![0], "all are busy, and one must go"),
            ("1 2* 2*", Any, 1, vec![1], "2 has most, however busy"),
            ("1* 1 2", Any, 1, vec![1], "an idle one goes first"),
            ("1 2 2 2 1", Idle, 2, vec![1, 2], "two at once"),
            ("1 2", Idle, 9, vec![0, 1], "no more than there are"),
        ] {
            assert_eq!(ended(open, rule, count), expected, "{open}: {why}");
        }
    }

    fn pulse(busy: bool) -> Arc<Mutex<Pulse>> {
        let mut pulse = Pulse::new(tokio::time::Instant::now());
        if busy {
            pulse.asked();
        }
        Arc::new(Mutex::new(pulse))
    }

    #[tokio::test]
    async fn a_client_over_its_share_ends_its_own_oldest_idle_connection_and_no_busy_one() {
        let mut roster = Roster::default();
        let mut tasks = Vec::new();
        for (client, busy) in [(2, false), (1, true), (1, false), (1, false), (1, true)] {
            let task = tokio::spawn(std::future::pending::<()>());
            roster.add(key(client), pulse(busy), task.abort_handle());
            tasks.push(task);
        }
        let mut ended = Vec::new();
        while let Some(task) = roster.end_of(key(1)) {
            roster.ended(task.id());
            ended.push(task.id());
        }
        assert_eq!(ended, [tasks[2].id(), tasks[3].id()]);
        assert!(roster.end_of(key(3)).is_none());
        for (at, task) in tasks.into_iter().enumerate() {
            if at == 2 || at == 3 {
                assert!(task.await.unwrap_err().is_cancelled());
            } else {
                assert!(!task.is_finished(), "{at}");
                task.abort();
            }
        }
    }

    #[tokio::test]
    async fn what_has_ended_is_forgotten() {
        let mut roster = Roster::default();
        let tasks = [1, 1, 2].map(|client| {
            let task = tokio::spawn(std::future::pending::<()>());
            roster.add(key(client), pulse(client == 2), task.abort_handle());
            task
        });
        assert!(roster.end(MakeRoom::Idle, 9, Some(tasks[0].id())).len() == 1);
        for task in tasks {
            task.abort();
            roster.ended(task.id());
        }
        assert!(roster.end_of(key(1)).is_none() && roster.end(MakeRoom::Any, 9, None).is_empty());
        assert!(roster.by_client.is_empty() && roster.by_task.is_empty());
    }
}
