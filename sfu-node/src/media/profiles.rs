//! The profile routers of a worker: small routers with the payload types of one kind of viewer, at most [`MAX_PROFILES`].
//!
//! When all are taken, the one that was asked for longest ago, and on which nobody is connected, makes room: whoever POSTs
//! offers and never connects keeps nobody out.

use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Most profile routers a worker.
pub const MAX_PROFILES: usize = 16;

/// How a profile router is used at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Requests that negotiate, and sessions.
    pub uses: u32,
    /// Sessions among them that are connected.
    pub connected: u32,
    /// When it was asked for or given up last.
    pub last_used: Instant,
}

/// Which profile router makes room for another: of those on which nobody is connected the one that was used longest ago,
/// and one without any session first. None when somebody is connected on each.
pub fn whom_to_evict<K>(profiles: impl IntoIterator<Item = (K, Usage)>) -> Option<K> {
    let free = profiles.into_iter().filter(|(_, usage)| usage.connected == 0);
    let first = free.min_by_key(|(_, usage)| (usage.uses > 0, usage.last_used));
    first.map(|(key, _)| key)
}

/// A router with a viewer family's payload types.
pub struct Profile {
    router: tokio::sync::OnceCell<Router>,
    state: Mutex<State>,
}

struct State {
    usage: Usage,
    /// It made room for another one: whoever still uses it is not connected, and will not be.
    evicted: bool,
}

impl Profile {
    fn new(now: Instant) -> Self {
        Self {
            router: tokio::sync::OnceCell::new(),
            state: Mutex::new(State {
                usage: Usage {
                    uses: 0,
                    connected: 0,
                    last_used: now,
                },
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
        self.state.lock().usage
    }

    fn begin(self: &Arc<Self>, now: Instant) -> ProfileUse {
        let mut state = self.state.lock();
        state.usage.uses += 1;
        state.usage.last_used = now;
        ProfileUse {
            profile: Arc::clone(self),
            connected: AtomicBool::new(false),
        }
    }

    /// Makes room, unless somebody has connected since it was looked at.
    fn evict(&self) -> bool {
        let mut state = self.state.lock();
        state.evicted = state.usage.connected == 0;
        state.evicted
    }
}

/// One use of a profile router: by a request that negotiates, and then by its session.
pub struct ProfileUse {
    profile: Arc<Profile>,
    connected: AtomicBool,
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
        if !self.connected.swap(true, Ordering::Relaxed) {
            state.usage.connected += 1;
        }
        true
    }
}

impl Drop for ProfileUse {
    fn drop(&mut self) {
        let mut state = self.profile.state.lock();
        state.usage.uses -= 1;
        state.usage.last_used = Instant::now();
        if self.connected.load(Ordering::Relaxed) {
            state.usage.connected -= 1;
        }
    }
}

/// Somebody is connected on every profile router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllConnected;

/// The profile routers of a worker, by their payload types.
#[derive(Default)]
pub struct Profiles(Mutex<HashMap<String, Arc<Profile>>>);

impl Profiles {
    /// A use of the profile router `key`, and the one that had to make room for it, if there is one.
    pub fn take(&self, key: &str, now: Instant) -> Result<(ProfileUse, Option<Arc<Profile>>), AllConnected> {
        let mut profiles = self.0.lock();
        if let Some(profile) = profiles.get(key) {
            return Ok((profile.begin(now), None));
        }
        let mut evicted = None;
        while profiles.len() >= MAX_PROFILES {
            let usages = profiles.iter().map(|(key, profile)| (key, profile.usage()));
            let oldest = whom_to_evict(usages).cloned().ok_or(AllConnected)?;
            // Else somebody has connected on it in this moment, and it is no candidate any more.
            if profiles.get(&oldest).is_some_and(|profile| profile.evict()) {
                evicted = profiles.remove(&oldest);
            }
        }
        let profile = Arc::new(Profile::new(now));
        let used = profile.begin(now);
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
            let keep = usage.uses > 0 || now.saturating_duration_since(usage.last_used) < idle;
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
