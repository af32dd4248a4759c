//! How much of a bounded thing one client may hold, so that one that takes all it can get does not shut the others out. Pure.
//!
//! While at most half is held, nobody is refused: a thing that is mostly free is there to be used, also by one office behind
//! one address. Above that, a client that holds its share gets no more. So the other half belongs to many.

use std::collections::HashMap;
use std::hash::Hash;

/// The part that one client may hold, once more than half is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Of what a client can have for the asking.
    Tenth,
    /// Of what a client has after it has shown that it is there: many people may be behind one address.
    Half,
}

/// A bounded thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many there may be.
    pub most: u32,
    /// The part of one client.
    pub part: Part,
}

/// Why a client gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// There are as many as there may be.
    All(u32),
    /// More than half are held, and this client holds this many, which is its share.
    One(u32),
}

impl Share {
    /// What one client may hold, once more than half is held; never nothing.
    #[must_use]
    pub fn of_one(self) -> u32 {
        let parts = match self.part {
            Part::Tenth => 10,
            Part::Half => 2,
        };
        (self.most / parts).max(1)
    }

    /// Whether a client that holds `own` of the `all` that are held may have one more.
    ///
    /// # Errors
    /// When everything is held, or more than half would be and the client has its share.
    pub fn one_more(self, all: u32, own: u32) -> Result<(), Over> {
        if all >= self.most {
            return Err(Over::All(self.most));
        }
        if all >= self.most.div_ceil(2) && own >= self.of_one() {
            return Err(Over::One(self.of_one()));
        }
        Ok(())
    }
}

/// Who holds how many of a bounded thing. One holder may count as several, such as an address and a user; one that counts as
/// none is bounded by the whole alone.
#[derive(Debug)]
pub struct Shares<K> {
    share: Share,
    all: u32,
    own: HashMap<K, u32>,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// Nothing is held yet.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self {
            share,
            all: 0,
            own: HashMap::new(),
        }
    }

    /// Takes one, to be given back with the same `holder`.
    ///
    /// # Errors
    /// As of [`Share::one_more`]; nothing is taken then.
    pub fn take(&mut self, holder: &[K]) -> Result<(), Over> {
        let own = holder.iter().map(|key| self.held_by(key)).max().unwrap_or(0);
        self.share.one_more(self.all, own)?;
        self.count(holder);
        Ok(())
    }

    /// Takes one in the place of another that the same holder has just given back.
    ///
    /// # Errors
    /// When everything is held; nothing is taken then.
    pub fn take_instead(&mut self, holder: &[K]) -> Result<(), Over> {
        self.share.one_more(self.all, 0)?;
        self.count(holder);
        Ok(())
    }

    fn count(&mut self, holder: &[K]) {
        self.all += 1;
        for key in holder {
            *self.own.entry(key.clone()).or_insert(0) += 1;
        }
    }

    /// Gives one back. Who holds nothing any more is forgotten.
    pub fn give_back(&mut self, holder: &[K]) {
        self.all = self.all.saturating_sub(1);
        for key in holder {
            if let Some(own) = self.own.get_mut(key) {
                *own -= 1;
                if *own == 0 {
                    self.own.remove(key);
                }
            }
        }
    }

    /// How many are held.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.all
    }

    /// How many this one holds.
    #[must_use]
    pub fn held_by(&self, key: &K) -> u32 {
        self.own.get(key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
