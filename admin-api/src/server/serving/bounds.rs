//! How much the clients of a listener may hold.

use std::time::Duration;

/// Longest header of a request, with its first line, in bytes. A token is at most half of that.
pub const MAX_HEADER: usize = 16 * 1024;

/// Bounds of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most connections.
    pub connections: u32,
    /// Longest times.
    pub deadlines: Deadlines,
}

impl Bounds {
    /// So many connections, with the usual deadlines.
    #[must_use]
    pub fn of(connections: u32) -> Self {
        Self {
            connections,
            deadlines: Deadlines::default(),
        }
    }
}

/// Longest times of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the first byte of a request to the end of its header; for the first request, from the start of the connection.
    pub header: Duration,
    /// Of a TLS handshake.
    pub handshake: Duration,
    /// Between two requests. Our own clients give a connection up after 90 s, and common proxies after 600 s: no request meets
    /// the end of its connection.
    pub idle: Duration,
    /// Without a byte taken by a client that is sent something.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(620),
            write: Duration::from_secs(30),
        }
    }
}
