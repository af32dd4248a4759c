//! The profile routers of a worker: small routers with the payload types of one kind of viewer, at most [`MAX_PROFILES`].
//!
//! When all are taken, one on which nobody is connected makes room: whoever POSTs offers and never connects keeps nobody out,
//! and costs nobody the router on which he is about to connect. [`room`] decides which.

use crate::limits::Holder;
use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use parking_lot::Mutex;
use sfumato_admin_api::server::shares::{Part, Share};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most profile routers a worker.
pub const MAX_PROFILES: usize = 16;
/// How long a player has from its request until others may have its router, if its client has no more than its share: what
/// ICE and DTLS take on a slow line.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What one client may have of all routers, in use or not: many people may be behind one address.
const IN_USE: Share = Share {
    most: MAX_PROFILES as u32,
    part: Part::Half,
};
/// The same of those on which nobody is connected yet.
const WAITING: Share = Share {
    most: MAX_PROFILES as u32,
    part: Part::Tenth,
};

/// Whom a use counts against; nobody where the client has no share.
type Holders = Arc<[Holder]>;

/// How a profile router is used at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Requests that negotiate, and sessions.
    pub uses: Vec<Holders>,
    /// Sessions among them that are connected.
    pub connected: u32,
    /// When it was asked for or given up last.
    pub last_used: Instant,
}

/// Why there is no profile router for another set of payload types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// Somebody is connected on each that could make room.
    AllConnected,
    /// On some of them somebody is about to connect, and the first of these has had its time after so long.
    Connecting(Duration),
}

/// Which of these profile routers makes room for one of a `newcomer`; none has to while there are places.
///
/// One that nobody uses goes first. Then those of the client that has most on which nobody is connected, the one that was asked
/// for longest ago before others. One that was asked for less than [`CONNECT_TIME`] ago goes only if its client has more than
/// its share. A newcomer that has its share of all routers takes one of its own, or none. Pure.
pub fn room<I: Copy>(profiles: &[(I, Usage)], newcomer: &[Holder], now: Instant) -> Result<Option<I>, NoRoom> {
    let all = count_of(profiles.len());
    let own = most_of(newcomer, &held(profiles.iter()));
    let over = own >= IN_USE.of_one() && all >= IN_USE.most / 2;
    if !over && profiles.len() < MAX_PROFILES {
        return Ok(None);
    }
    let free = profiles.iter().filter(|(_, usage)| usage.connected == 0);
    if over {
        let is_own = |usage: &Usage| {
            let by_newcomer = |holders: &Holders| holders.iter().any(|key| newcomer.contains(key));
            !usage.uses.is_empty() && usage.uses.iter().all(by_newcomer)
        };
        let oldest = free
            .filter(|(_, usage)| is_own(usage))
            .min_by_key(|(_, usage)| usage.last_used);
        return oldest.map(|(id, _)| Some(*id)).ok_or(NoRoom::AllConnected);
    }
    let waiting: Vec<_> = free.collect();
    let held = held(waiting.iter().copied());
    // Where several clients use one, it is that of the client that has least as well.
    let weight = |usage: &Usage| usage.uses.iter().map(|client| most_of(client, &held)).min();
    let waiting: Vec<_> = waiting
        .into_iter()
        .map(|(id, usage)| (id, usage, weight(usage).unwrap_or(0)))
        .collect();
    let first = waiting
        .iter()
        .filter(|(_, usage, weight)| {
            usage.uses.is_empty() || *weight > WAITING.of_one() || time_left(usage, now).is_zero()
        })
        .min_by_key(|(_, usage, weight)| (!usage.uses.is_empty(), Reverse(*weight), usage.last_used));
    if let Some((id, ..)) = first {
        return Ok(Some(**id));
    }
    let wait = waiting.iter().map(|(_, usage, _)| time_left(usage, now)).min();
    Err(wait.map_or(NoRoom::AllConnected, NoRoom::Connecting))
}

/// How many of these profile routers each client uses.
fn held<'a, I: 'a>(profiles: impl Iterator<Item = &'a (I, Usage)>) -> HashMap<&'a Holder, u32> {
    let mut held = HashMap::new();
    for (_, usage) in profiles {
        let clients: HashSet<&Holder> = usage.uses.iter().flat_map(|client| client.iter()).collect();
        for client in clients {
            *held.entry(client).or_insert(0) += 1;
        }
    }
    held
}

/// How many a client has, which counts as an address and as a subject.
fn most_of(client: &[Holder], held: &HashMap<&Holder, u32>) -> u32 {
    client
        .iter()
        .filter_map(|key| held.get(key))
        .max()
        .copied()
        .unwrap_or(0)
}

/// How long it is still there for those who are about to connect.
fn time_left(usage: &Usage, now: Instant) -> Duration {
    CONNECT_TIME.saturating_sub(now.saturating_duration_since(usage.last_used))
}

fn count_of(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A router with a viewer family's payload types.
pub struct Profile {
    router: tokio::sync::OnceCell<Router>,
    state: Mutex<State>,
}

struct State {
    uses: HashMap<u64, Use>,
    /// Of the next use.
    next: u64,
    last_used: Instant,
    /// It made room for another one: whoever still uses it is not connected, and will not be.
    evicted: bool,
}

struct Use {
    holders: Holders,
    connected: bool,
}

impl State {
    fn connected(&self) -> u32 {
        count_of(self.uses.values().filter(|used| used.connected).count())
    }
}

impl Profile {
    fn new(now: Instant) -> Self {
        Self {
            router: tokio::sync::OnceCell::new(),
            state: Mutex::new(State {
                uses: HashMap::new(),
                next: 0,
                last_used: now,
                evicted: false,
            }),
        }
    }

    /// The router, made on first use by `make`.
    pub async fn router<E>(&self, make: impl Future<Output = Result<Router, E>>) -> Result<Router, E> {
        self.router.get_or_try_init(|| make).await.cloned()
    }

    /// The router, if it has been made.
    pub fn made(&self) -> Option<&Router> {
        self.router.get()
    }

    /// Whether it made room for another one.
    pub fn is_evicted(&self) -> bool {
        self.state.lock().evicted
    }

    fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage {
            uses: state.uses.values().map(|used| Arc::clone(&used.holders)).collect(),
            connected: state.connected(),
            last_used: state.last_used,
        }
    }

    fn begin(self: &Arc<Self>, holders: &[Holder], now: Instant) -> ProfileUse {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.last_used = now;
        let used = Use {
            holders: holders.into(),
            connected: false,
        };
        state.uses.insert(id, used);
        ProfileUse {
            profile: Arc::clone(self),
            id,
        }
    }

    /// Makes room, unless somebody has connected since it was looked at.
    fn evict(&self) -> bool {
        let mut state = self.state.lock();
        state.evicted = state.connected() == 0;
        state.evicted
    }
}

/// One use of a profile router: by a request that negotiates, and then by its session.
pub struct ProfileUse {
    profile: Arc<Profile>,
    id: u64,
}

impl ProfileUse {
    /// What is used.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// The session is connected, and keeps its router from now on. Answers whether the router is still there for it.
    pub fn connect(&self) -> bool {
        let mut state = self.profile.state.lock();
        if state.evicted {
            return false;
        }
        if let Some(used) = state.uses.get_mut(&self.id) {
            used.connected = true;
        }
        true
    }
}

impl Drop for ProfileUse {
    fn drop(&mut self) {
        let mut state = self.profile.state.lock();
        state.uses.remove(&self.id);
        state.last_used = Instant::now();
    }
}

/// The profile routers of a worker, by their payload types.
#[derive(Default)]
pub struct Profiles(Mutex<HashMap<String, Arc<Profile>>>);

impl Profiles {
    /// A use of the profile router `key` by a client, and the one that had to make room for it, if there is one.
    pub fn take(
        &self,
        key: &str,
        client: &[Holder],
        now: Instant,
    ) -> Result<(ProfileUse, Option<Arc<Profile>>), NoRoom> {
        let mut profiles = self.0.lock();
        if let Some(profile) = profiles.get(key) {
            return Ok((profile.begin(client, now), None));
        }
        let evicted = loop {
            let there: Vec<_> = profiles.iter().map(|(key, it)| (key.as_str(), it.usage())).collect();
            let Some(leaves) = room(&there, client, now)?.map(str::to_owned) else {
                break None;
            };
            // Else somebody has connected on it in this moment, and it is no candidate any more.
            if profiles.get(&leaves).is_some_and(|profile| profile.evict()) {
                break profiles.remove(&leaves);
            }
        };
        let profile = Arc::new(Profile::new(now));
        let used = profile.begin(client, now);
        profiles.insert(key.to_owned(), profile);
        Ok((used, evicted))
    }

    /// Forgets a profile whose router could not be made.
    pub fn forget(&self, key: &str, profile: &Arc<Profile>) {
        let mut profiles = self.0.lock();
        // By now there may be another one under its key.
        if profiles.get(key).is_some_and(|there| Arc::ptr_eq(there, profile)) {
            profiles.remove(key);
        }
    }

    /// Drops those that nobody has used for `idle`; answers their routers.
    pub fn sweep(&self, now: Instant, idle: Duration) -> Vec<RouterId> {
        let mut dropped = Vec::new();
        self.0.lock().retain(|_, profile| {
            let usage = profile.usage();
            let keep = !usage.uses.is_empty() || now.saturating_duration_since(usage.last_used) < idle;
            if !keep {
                dropped.extend(profile.made().map(Router::id));
            }
            keep
        });
        dropped
    }

    /// The routers that have been made.
    pub fn routers(&self) -> Vec<Router> {
        let profiles = self.0.lock();
        profiles
            .values()
            .filter_map(|profile| profile.made().cloned())
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
