//! The `wait` parameter of long polls, written and read in one place so that client and servers agree.

use std::time::Duration;

/// Longest wait that a long poll may ask for, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 30;

/// A `wait` that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "wait `{0}` is not a duration: use whole seconds (`20s`) or milliseconds (`500ms`), at most {MAX_WAIT_SECONDS}s"
)]
pub struct InvalidWait(String);

/// Reads `20s` or `500ms`. Longer waits than [`MAX_WAIT_SECONDS`] are cut to that: the caller just asks again.
///
/// ```
/// # use {sfumato_admin_api::types::parse_wait, std::time::Duration};
/// assert_eq!(parse_wait("20s").unwrap(), Duration::from_secs(20));
/// assert_eq!(parse_wait("500ms").unwrap(), Duration::from_millis(500));
/// assert_eq!(parse_wait("9000s").unwrap(), Duration::from_secs(30));
/// assert!(parse_wait("soon").is_err());
/// ```
pub fn parse_wait(value: &str) -> Result<Duration, InvalidWait> {
    let invalid = || InvalidWait(value.chars().take(32).collect());
    let (digits, unit): (&str, fn(u64) -> Duration) = match value.strip_suffix("ms") {
        Some(digits) => (digits, Duration::from_millis),
        None => (value.strip_suffix('s').ok_or_else(invalid)?, Duration::from_secs),
    };
    // `parse` alone would take `+5`.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    // Only digits are left, so the one possible failure is that there are too many of them.
    let wait = digits.parse().map_or(Duration::MAX, unit);
    Ok(wait.min(Duration::from_secs(MAX_WAIT_SECONDS)))
}

/// Writes a wait as [`parse_wait`] reads it.
#[must_use]
pub fn format_wait(wait: Duration) -> String {
    if wait.subsec_millis() == 0 {
        format!("{}s", wait.as_secs())
    } else {
        format!("{}ms", wait.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0u64..=MAX_WAIT_SECONDS * 1000) {
            let wait = Duration::from_millis(ms);
            prop_assert_eq!(parse_wait(&format_wait(wait)), Ok(wait));
        }

        #[test]
        fn no_text_makes_it_panic_or_exceed_the_bound(text in "\\PC*") {
            if let Ok(wait) = parse_wait(&text) {
                prop_assert!(wait <= Duration::from_secs(MAX_WAIT_SECONDS));
            }
        }
    }

    #[test]
    fn numbers_beyond_any_integer_are_cut_and_other_text_is_refused() {
        assert_eq!(
            parse_wait("99999999999999999999999s"),
            Ok(Duration::from_secs(MAX_WAIT_SECONDS))
        );
        for bad in ["", "s", "ms", "20", "-1s", "+1s", "1.5s", "1 s", "20m"] {
            assert!(parse_wait(bad).is_err(), "{bad}");
        }
    }
}
