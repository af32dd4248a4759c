//! What parsing looks at, counted in tests: the proof that work is linear in what a client sends. Outside tests nothing is
//! counted, and nothing is left of it in the program.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts so many steps.
#[inline]
pub(super) fn add(steps: usize) {
    #[cfg(test)]
    STEPS.with(|count| count.set(count.get() + steps as u64));
    #[cfg(not(test))]
    let _ = steps;
}

/// The steps that `work` takes on this thread.
#[cfg(test)]
pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = STEPS.with(std::cell::Cell::get);
    let result = work();
    (result, STEPS.with(std::cell::Cell::get) - before)
}

/// Iterators over what a client sends.
pub(super) trait Walk: Iterator + Sized {
    /// The same items, each counted as a step.
    fn walked(self) -> impl Iterator<Item = Self::Item> {
        self.inspect(|_| add(1))
    }
}

impl<I: Iterator> Walk for I {}
