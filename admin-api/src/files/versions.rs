//! Which versions of a file of keys count. Pure: what was read and the time are passed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

type Parse<T> = Box<dyn Fn(&str) -> Result<T, String> + Send + Sync>;

/// How the text of a file is understood, and what becomes of the version before when it changes.
pub struct Rules<T> {
    parse: Parse<T>,
    overlap: Duration,
    replaces: fn(&T, &T) -> bool,
}

impl<T> Rules<T> {
    /// Only what the file says now counts. `parse` answers with a sentence that says what is wrong with the text.
    pub fn new(parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static) -> Self {
        Self {
            parse: Box::new(parse),
            overlap: Duration::ZERO,
            replaces: |_, _| false,
        }
    }

    /// Where `replaces(before, now)`, the version before counts for another `overlap`. Elsewhere it ends at once.
    #[must_use]
    pub fn overlapping(mut self, overlap: Duration, replaces: fn(&T, &T) -> bool) -> Self {
        self.overlap = overlap;
        self.replaces = replaces;
        self
    }

    pub(super) fn parse(&self, text: &str) -> Result<T, String> {
        // A panic here would end the thread that follows the file, and a leaked key would count for ever.
        let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.parse)(text)));
        parsed.unwrap_or_else(|_| Err("reading it failed by a fault of this program: report it".to_owned()))
    }
}

/// What a file says now, and what it said before while that still counts.
pub struct Versions<T> {
    /// Now.
    pub current: Arc<T>,
    /// Before its last change.
    pub previous: Option<Arc<T>>,
}

impl<T> Versions<T> {
    /// The current one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&*self.current).chain(self.previous.as_deref())
    }
}

/// What a look at the file has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// Something new, perhaps half of it: look again soon.
    Unsettled,
    /// It has changed, and the new version is in force.
    Changed,
    /// The last good version stays in force, for this reason, which is new.
    Kept(String),
}

/// The versions of one file.
pub(super) struct Content<T> {
    text: String,
    /// What the last look found instead of `text`: an outcome counts when two looks agree on it.
    unsettled: Option<Result<String, String>>,
    broken: Option<String>,
    current: Arc<T>,
    previous: Option<(Arc<T>, Instant)>,
}

impl<T> Content<T> {
    /// The first version.
    pub fn new(text: &str, rules: &Rules<T>) -> Result<Self, String> {
        Ok(Self {
            text: text.trim().to_owned(),
            unsettled: None,
            broken: None,
            current: Arc::new(rules.parse(text)?),
            previous: None,
        })
    }

    /// Takes what the file holds at `now`, or why it cannot be read.
    pub fn look(&mut self, read: Result<String, String>, rules: &Rules<T>, now: Instant) -> Look {
        let read = read.map(|text| text.trim().to_owned());
        if read.as_ref() == Ok(&self.text) {
            self.unsettled = None;
            self.broken = None;
            return Look::Same;
        }
        // Files are often written in two steps, and the half of a secret can look like one.
        if self.unsettled.as_ref() != Some(&read) {
            self.unsettled = Some(read);
            return Look::Unsettled;
        }
        match read.and_then(|text| Ok((rules.parse(&text)?, text))) {
            Ok((new, text)) => {
                let before = std::mem::replace(&mut self.current, Arc::new(new));
                let counts = (rules.replaces)(&before, &self.current);
                self.previous = counts.then(|| (before, now + rules.overlap));
                self.text = text;
                self.unsettled = None;
                self.broken = None;
                Look::Changed
            }
            // Once for each reason: the file is looked at every second.
            Err(why) if self.broken.as_ref() == Some(&why) => Look::Same,
            Err(why) => {
                self.broken = Some(why.clone());
                Look::Kept(why)
            }
        }
    }

    /// What counts at `now`.
    pub fn at(&self, now: Instant) -> Versions<T> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        Versions {
            current: Arc::clone(&self.current),
            previous: previous.map(|(value, _)| Arc::clone(value)),
        }
    }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
