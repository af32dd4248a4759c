//! What happens, in words.

use super::keeper::{News, What};
use std::time::Duration;

/// Something that happened, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// As it should be.
    Good(String),
    /// Somebody may want to look.
    Bad(String),
    /// Nothing to tell, and yet something may be due.
    Silent,
}

/// What people are told of a process.
#[must_use]
pub fn event(news: &News) -> Event {
    let name = &news.name;
    match &news.what {
        What::Started => Event::Silent,
        What::Ready { pid, after } => Event::Good(format!("{name} is ready (pid {pid}, after {})", seconds(*after))),
        What::Died { exit, restart_in } => {
            Event::Bad(format!("{name} died: {exit}; restarting in {}", seconds(*restart_in)))
        }
        What::NotStarted { why, restart_in } => Event::Bad(format!("{why}; trying again in {}", seconds(*restart_in))),
        What::Stopped { killed: false } => Event::Good(format!("{name} has ended")),
        What::Stopped { killed: true } => Event::Bad(format!("{name} did not end in time and was killed")),
    }
}

/// A duration as people read it: `0.25 s`, `0.8 s`, `12 s`.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let hundredths = (seconds * 100.0).round();
    if seconds >= 10.0 {
        format!("{seconds:.0} s")
    } else if hundredths % 10.0 == 0.0 || seconds >= 1.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.2} s")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::local::exit::{Exit, How};

    #[test]
    fn a_death_names_signal_last_line_and_wait() {
        let exit = Exit {
            how: How::Signal(9),
            last_line: Some("bye".into()),
            lived: Duration::ZERO,
        };
        let what = What::Died {
            exit,
            restart_in: Duration::from_millis(250),
        };
        assert_eq!(
            event(&News {
                name: "sfu-2".into(),
                what
            }),
            Event::Bad("sfu-2 died: signal 9 (SIGKILL), last line: bye; restarting in 0.25 s".into())
        );
    }

    #[test]
    fn durations_are_short() {
        let text = |ms| seconds(Duration::from_millis(ms));
        assert_eq!(
            [0, 250, 500, 800, 1_000, 1_234, 12_345].map(text),
            ["0.0 s", "0.25 s", "0.5 s", "0.8 s", "1.0 s", "1.2 s", "12 s"]
        );
    }
}
