//! Text of clients in our messages.

/// Client text in a message is kept short.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
