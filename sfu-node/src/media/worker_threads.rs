//! The threads of media workers, which end some time after their workers.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What their names begin with (mediasoup's `worker/utils.rs`). The kernel keeps 15 bytes of a name.
const NAME: &str = "mediasoup-work";
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until no such thread runs any more; answers whether that is so. A process that ends before takes OpenSSL and the worker's
/// C++ globals away from under them, and may die of a signal.
#[must_use]
pub fn have_ended(within: Duration) -> bool {
    let end = Instant::now() + within;
    while any_runs() {
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_EVERY);
    }
    true
}

fn any_runs() -> bool {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.into_iter().any(|name| name.starts_with(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::Builder;

    #[test]
    fn it_waits_for_threads_of_this_name() {
        let (begun, begins) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let worker = Builder::new().name("mediasoup-worker-x".to_owned());
        let worker = worker.spawn(move || {
            begun.send(()).unwrap();
            ended.recv()
        });
        let worker = worker.unwrap();
        // A thread takes its name itself, before it runs what it is given.
        begins.recv().unwrap();
        // Other tests of this program may run workers meanwhile, so that only this can be told.
        assert!(!have_ended(Duration::from_millis(20)));
        drop(end);
        assert!(worker.join().unwrap().is_err());
    }
}
