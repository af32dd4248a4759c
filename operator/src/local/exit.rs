//! How a process ended, in words: the signal by name, and the last line that it wrote to stderr.

use nix::sys::signal::Signal;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub how: How,
    /// The last line that it wrote and that was not empty: on stderr, or else on stdout.
    pub last_line: Option<String>,
    /// Time from start to end.
    pub lived: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Signal(i32),
    /// Ended by itself.
    Code(i32),
    /// The system could not say.
    Unknown,
}

impl From<ExitStatus> for How {
    fn from(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Signal(signal),
            (None, Some(code)) => Self::Code(code),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {number} ({})", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Unknown => f.write_str("unknown end"),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last_line {
            Some(line) => write!(f, "{}, last line: {line}", self.how),
            None => write!(f, "{}, without a word", self.how),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_the_last_line_is_quoted() {
        let exit = |how, line: Option<&str>| {
            Exit {
                how,
                last_line: line.map(Into::into),
                lived: Duration::ZERO,
            }
            .to_string()
        };
        assert_eq!(
            exit(How::Signal(6), Some("failed assertion")),
            "signal 6 (SIGABRT), last line: failed assertion"
        );
        assert_eq!(exit(How::Signal(9), None), "signal 9 (SIGKILL), without a word");
        assert_eq!(exit(How::Code(3), None), "exit code 3, without a word");
        assert_eq!(
            exit(How::from(ExitStatus::from_raw(9)), None),
            exit(How::Signal(9), None)
        );
        assert_eq!(
            exit(How::from(ExitStatus::from_raw(3 << 8)), None),
            exit(How::Code(3), None)
        );
    }
}
