//! Tasks: those that a program lives by, and those that do one thing.
//!
//! A task that has panicked is silent: nobody else notices that names are not refreshed any more, or nodes not asked. So a
//! program ends with a task that it lives by, and says which. Whoever keeps the program starts it again.

use std::any::Any;
use std::sync::LazyLock;
use std::{io, panic, thread};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tracing::Instrument;

/// Why the program has to end; nothing while it may go on. The first reason stays.
pub type Fatal = watch::Sender<Option<String>>;

/// That of this process, for tasks that belong to no part with one of its own: those that follow files.
pub fn process() -> &'static Fatal {
    static FATAL: LazyLock<Fatal> = LazyLock::new(Fatal::default);
    &FATAL
}

/// Starts a task that the program cannot be without: when it ends, by itself or by a panic, `fatal` says that and names it.
/// A task that is aborted has not failed.
pub fn vital(fatal: &Fatal, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    supervise(fatal, name, work, true)
}

/// The same for a task that ends with what it serves: only a panic is a failure.
pub fn serving(fatal: &Fatal, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    supervise(fatal, name, work, false)
}

fn supervise(
    fatal: &Fatal,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
    for_ever: bool,
) -> AbortHandle {
    let fatal = fatal.clone();
    let task = tokio::spawn(work.in_current_span());
    let handle = task.abort_handle();
    tokio::spawn(async move {
        match task.await {
            Ok(()) if for_ever => failed(&fatal, "task", name, None),
            Ok(()) => {}
            Err(error) => {
                if let Some(message) = panic_of(error) {
                    failed(&fatal, "task", name, Some(message));
                }
            }
        }
    });
    handle
}

/// How a thread that the program cannot be without has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What it served is over.
    AsAsked,
    /// By itself.
    TooSoon,
}

/// Starts a thread that the program cannot be without, as [`vital`] starts a task. `name` is the thread's, of at most 15 bytes.
///
/// # Errors
/// When the system gives no thread.
pub fn vital_thread(
    fatal: &Fatal,
    name: &'static str,
    work: impl FnOnce() -> Ended + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let fatal = fatal.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        match panic::catch_unwind(panic::AssertUnwindSafe(work)) {
            Ok(Ended::AsAsked) => {}
            Ok(Ended::TooSoon) => failed(&fatal, "thread", name, None),
            Err(panic) => failed(&fatal, "thread", name, Some(message(&*panic))),
        }
    })
}

/// Says that a task or a thread has ended by itself, or by a panic with this message.
fn failed(fatal: &Fatal, what: &str, name: &str, panic: Option<String>) {
    let how = panic.map_or_else(|| "it ended".to_owned(), |message| format!("it panicked: {message}"));
    give_up(fatal, format!("a {what} of this program has failed: {name}: {how}"));
}

/// Says why the program has to end, unless something else has already.
pub fn give_up(fatal: &Fatal, why: String) {
    fatal.send_if_modified(|first| {
        let is_first = first.is_none();
        if is_first {
            *first = Some(why);
        }
        is_first
    });
}

/// Waits until something says why the program has to end.
pub async fn given_up(fatal: &Fatal) -> String {
    let mut seen = fatal.subscribe();
    // It cannot be closed: `fatal` is a sender of it.
    match seen.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()) {
        Some(why) => why,
        None => std::future::pending().await,
    }
}

/// Starts work that is done once. A panic in it is logged with what it was about, and ends nothing else.
pub fn brief(what: &'static str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let task = tokio::spawn(work.in_current_span());
    tokio::spawn(
        async move {
            if let Err(error) = task.await
                && let Some(message) = panic_of(error)
            {
                tracing::error!(error = message, "{what}: panicked; nothing else ends with it");
            }
        }
        .in_current_span(),
    )
}

/// What a task panicked with; nothing when it was aborted.
pub fn panic_of(error: JoinError) -> Option<String> {
    error.try_into_panic().ok().map(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_program_with_its_name_and_message() {
        let fatal = Fatal::default();
        vital(&fatal, "refreshing names", async {
            panic!("attempt to add with overflow")
        });
        let why = given_up(&fatal).await;
        assert_eq!(
            why,
            "a task of this program has failed: refreshing names: it panicked: attempt to add with overflow"
        );
    }

    #[tokio::test]
    async fn a_task_that_returns_ends_the_program_too() {
        let fatal = Fatal::default();
        vital(&fatal, "polling nodes", async {});
        assert!(given_up(&fatal).await.ends_with("polling nodes: it ended"));
    }

    #[tokio::test]
    async fn a_task_that_ends_with_what_it_serves_has_not_failed_unless_it_panics() {
        let fatal = Fatal::default();
        let ended = serving(&fatal, "following a file", async {});
        while !ended.is_finished() {
            tokio::task::yield_now().await;
        }
        serving(&fatal, "following another", async { panic!("no") });
        assert!(given_up(&fatal).await.ends_with("following another: it panicked: no"));
    }

    #[tokio::test]
    async fn a_task_that_is_aborted_has_not_failed_and_the_first_failure_is_the_one_that_is_told() {
        let fatal = Fatal::default();
        vital(&fatal, "aborted", pending()).abort();
        vital(&fatal, "first", async {});
        assert!(given_up(&fatal).await.contains("first"));
        let second = vital(&fatal, "second", async {});
        while !second.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(given_up(&fatal).await.contains("first"));
    }

    #[tokio::test]
    async fn a_thread_that_panics_or_ends_by_itself_ends_the_program_and_one_that_was_asked_to_end_does_not() {
        let fatal = Fatal::default();
        let asked = vital_thread(&fatal, "asked", || Ended::AsAsked).unwrap();
        asked.join().unwrap();
        assert_eq!(*fatal.borrow(), None);
        vital_thread(&fatal, "health", || panic!("no socket")).unwrap();
        let why = given_up(&fatal).await;
        assert_eq!(
            why,
            "a thread of this program has failed: health: it panicked: no socket"
        );
        let fatal = Fatal::default();
        vital_thread(&fatal, "health", || Ended::TooSoon).unwrap();
        assert!(given_up(&fatal).await.ends_with("health: it ended"));
    }

    #[tokio::test]
    async fn a_panic_in_brief_work_ends_nothing_else() {
        let done = brief("trying", async { panic!("{}", 1) });
        assert!(done.await.is_ok());
    }
}
