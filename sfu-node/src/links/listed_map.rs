//! A map that is held while its entries are made, which takes questions to a worker, and whose keys can be read meanwhile.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::{Deref, DerefMut};

/// A map behind a lock that may be held for long, and its keys behind one that is not.
pub struct ListedMap<K, V> {
    map: tokio::sync::Mutex<HashMap<K, V>>,
    keys: Mutex<BTreeSet<K>>,
}

impl<K, V> Default for ListedMap<K, V> {
    fn default() -> Self {
        Self {
            map: tokio::sync::Mutex::new(HashMap::new()),
            keys: Mutex::default(),
        }
    }
}

impl<K: Ord + Hash + Clone, V> ListedMap<K, V> {
    /// Holds the map. What is changed in it is listed when it is released.
    pub async fn lock(&self) -> Held<'_, K, V> {
        Held {
            map: self.map.lock().await,
            keys: &self.keys,
        }
    }

    /// The keys as of the last release.
    pub fn keys(&self) -> BTreeSet<K> {
        self.keys.lock().clone()
    }
}

/// The map, held.
pub struct Held<'a, K: Ord + Hash + Clone, V> {
    map: tokio::sync::MutexGuard<'a, HashMap<K, V>>,
    keys: &'a Mutex<BTreeSet<K>>,
}

impl<K: Ord + Hash + Clone, V> Deref for Held<'_, K, V> {
    type Target = HashMap<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.map
    }
}

impl<K: Ord + Hash + Clone, V> DerefMut for Held<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.map
    }
}

impl<K: Ord + Hash + Clone, V> Drop for Held<'_, K, V> {
    // While the map is still held, so that two who release it one after the other list their changes in this order.
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        if keys.len() != self.map.len() || !self.map.keys().all(|key| keys.contains(key)) {
            *keys = self.map.keys().cloned().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_keys_are_read_while_the_map_is_held_and_tell_of_changes_when_it_is_released() {
        let map: ListedMap<&str, u8> = ListedMap::default();
        map.lock().await.insert("one", 1);
        assert_eq!(map.keys(), BTreeSet::from(["one"]));
        let mut held = map.lock().await;
        held.remove("one");
        held.insert("two", 2);
        assert_eq!(map.keys(), BTreeSet::from(["one"]), "not yet, and nobody waits");
        drop(held);
        assert_eq!(map.keys(), BTreeSet::from(["two"]));
        map.lock().await.clear();
        assert!(map.keys().is_empty());
    }
}
