//! Entries that are made by whoever wants them first, while others may want them as well. An entry is there from the first
//! wish on. It stays once it has landed; before that, it leaves with the last one who waits for it.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Entries by key.
pub struct Flights<K, V>(Mutex<HashMap<K, Entry<V>>>);

struct Entry<V> {
    value: Arc<V>,
    /// How many wait for it to land.
    waiting: usize,
    landed: bool,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V> Flights<K, V> {
    /// Waits for the entry of a key, which is made if there is none.
    pub fn enter(&self, key: &K, make: impl FnOnce() -> V) -> Waiting<'_, K, V> {
        let mut all = self.0.lock();
        let entry = all.entry(key.clone()).or_insert_with(|| Entry {
            value: Arc::new(make()),
            waiting: 0,
            landed: false,
        });
        entry.waiting += 1;
        Waiting {
            flights: self,
            key: key.clone(),
            value: Arc::clone(&entry.value),
            landed: false,
        }
    }

    /// The entry of a key.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.0.lock().get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// Whether there is an entry of a key.
    pub fn contains(&self, key: &K) -> bool {
        self.0.lock().contains_key(key)
    }

    /// Every entry.
    pub fn all(&self) -> Vec<Arc<V>> {
        self.0.lock().values().map(|entry| Arc::clone(&entry.value)).collect()
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Takes an entry out, whoever waits for it; the next one who enters makes another.
    pub fn take(&self, key: &K) -> Option<Arc<V>> {
        self.0.lock().remove(key).map(|entry| entry.value)
    }
}

/// One who waits for an entry to land. Dropped without [`Waiting::landed`], it has failed or was given up.
pub struct Waiting<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    key: K,
    value: Arc<V>,
    landed: bool,
}

impl<K: Eq + Hash, V> Waiting<'_, K, V> {
    /// What is waited for.
    pub fn value(&self) -> &Arc<V> {
        &self.value
    }

    /// It has landed: it stays until it is taken out.
    pub fn landed(mut self) {
        self.landed = true;
    }
}

impl<K: Eq + Hash, V> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        let mut all = self.flights.0.lock();
        // Another entry may have come under this key since.
        let Some(entry) = all
            .get_mut(&self.key)
            .filter(|entry| Arc::ptr_eq(&entry.value, &self.value))
        else {
            return;
        };
        entry.waiting -= 1;
        entry.landed |= self.landed;
        if entry.waiting == 0 && !entry.landed {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights() -> Flights<&'static str, &'static str> {
        Flights::default()
    }

    #[test]
    fn an_old_flight_that_fails_leaves_the_entry_that_replaced_its_own() {
        let flights = flights();
        let old = flights.enter(&"demo", || "old");
        assert_eq!(flights.take(&"demo").as_deref(), Some(&"old"));
        let new = flights.enter(&"demo", || "new");
        drop(old);
        assert_eq!(flights.get(&"demo").as_deref(), Some(&"new"), "while it is in flight");
        new.landed();
        assert_eq!(flights.get(&"demo").as_deref(), Some(&"new"), "when it has landed");
    }

    #[test]
    fn an_old_flight_that_lands_late_keeps_nothing_of_what_replaced_it() {
        let flights = flights();
        let old = flights.enter(&"demo", || "old");
        flights.take(&"demo");
        let new = flights.enter(&"demo", || "new");
        old.landed();
        drop(new);
        assert!(flights.get(&"demo").is_none(), "the new one has failed");
    }

    #[test]
    fn all_who_want_it_at_once_wait_for_one_entry() {
        let flights = flights();
        let first = flights.enter(&"demo", || "made once");
        let second = flights.enter(&"demo", || "made twice");
        assert!(Arc::ptr_eq(first.value(), second.value()));
        assert_eq!(flights.all().len(), 1);
    }

    #[test]
    fn a_failed_entry_stays_while_another_waits_for_it_and_leaves_with_the_last() {
        let flights = flights();
        let first = flights.enter(&"demo", || "first");
        let second = flights.enter(&"demo", || "second");
        drop(first);
        assert!(flights.contains(&"demo"));
        drop(second);
        assert_eq!(flights.count(), 0, "the next one makes another");
    }

    #[test]
    fn what_has_landed_stays_whoever_else_gives_up() {
        let flights = flights();
        let first = flights.enter(&"demo", || "first");
        let second = flights.enter(&"demo", || "second");
        first.landed();
        drop(second);
        let third = flights.enter(&"demo", || "third");
        drop(third);
        assert_eq!(flights.take(&"demo").as_deref(), Some(&"first"));
        assert!(!flights.contains(&"demo"));
    }
}
