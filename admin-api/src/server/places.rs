//! Places of a bounded thing, which are free again when they are dropped.

use super::shares::{Over, Share, Shares};
use parking_lot::Mutex;
use std::hash::Hash;
use std::sync::Arc;

/// Places of one thing. Cheap to clone; all clones are the same places.
#[derive(Debug)]
pub struct Places<K>(Arc<Mutex<Shares<K>>>);

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One place, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Place<K: Hash + Eq + Clone> {
    shares: Arc<Mutex<Shares<K>>>,
    holder: Vec<K>,
}

impl<K: Hash + Eq + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        self.shares.lock().give_back(&self.holder);
    }
}

impl<K: Hash + Eq + Clone> Places<K> {
    /// As many as there may be, all free.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(share))))
    }

    /// Takes one for a client that counts as each of `holder`.
    ///
    /// # Errors
    /// As of [`Share::one_more`].
    pub fn take(&self, holder: Vec<K>) -> Result<Place<K>, Over> {
        self.0.lock().take(&holder)?;
        Ok(self.place(holder))
    }

    /// Takes one in the place of another that the same client has just given back.
    ///
    /// # Errors
    /// When all are taken.
    pub fn take_instead(&self, holder: Vec<K>) -> Result<Place<K>, Over> {
        self.0.lock().take_instead(&holder)?;
        Ok(self.place(holder))
    }

    fn place(&self, holder: Vec<K>) -> Place<K> {
        Place {
            shares: Arc::clone(&self.0),
            holder,
        }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.0.lock().all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::shares::Part;

    #[test]
    fn a_client_over_its_share_may_have_another_place_for_one_that_it_gives_back_and_no_further_one() {
        let places = Places::new(Share {
            most: 20,
            part: Part::Tenth,
        });
        let mut attacker: Vec<_> = std::iter::from_fn(|| places.take(vec!["a"]).ok()).collect();
        assert_eq!(attacker.len(), 10);
        drop(attacker.pop());
        attacker.push(places.take_instead(vec!["a"]).unwrap());
        assert_eq!(
            (places.taken(), places.take(vec!["a"]).unwrap_err()),
            (10, Over::One(2))
        );
        let others: Vec<_> = (0..10).map(|_| places.take(vec![]).unwrap()).collect();
        assert_eq!(places.take_instead(vec!["a"]).unwrap_err(), Over::All(20));
        drop(others);
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(Share {
            most: 2,
            part: Part::Tenth,
        });
        let one = places.take(vec!["a"]).unwrap();
        assert_eq!(places.take(vec!["a"]).unwrap_err(), Over::One(1));
        let other = places.take(vec!["b"]).unwrap();
        assert_eq!(places.take(vec!["c"]).unwrap_err(), Over::All(2));
        drop(one);
        assert!(places.take(vec!["c"]).is_ok());
        drop(other);
        assert_eq!(places.taken(), 0);
    }
}
