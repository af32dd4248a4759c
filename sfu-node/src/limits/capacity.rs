//! Whether a node has room for one more session. Pure.

/// What is there, what is being made included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InUse {
    pub sessions: u32,
    /// Those of them that are not connected.
    pub half_open: u32,
}

/// What there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub sessions: u32,
    /// Sessions that are not connected.
    pub half_open: u32,
    /// Viewers of one stream.
    pub viewers: u32,
}

/// Which limit is reached, and how many that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node.
    #[error("the node has {0} sessions, as many as it may (--max-sessions)")]
    Sessions(u32),
    /// Sessions that were answered and whose clients have not come.
    #[error("{0} sessions wait for their clients to connect, as many as may (--max-half-open)")]
    HalfOpen(u32),
    /// The stream.
    #[error("the stream has {0} viewers on this node, as many as it may (--max-viewers-per-stream)")]
    Viewers(u32),
}

impl Room {
    /// Whether one more session fits.
    pub fn for_session(&self, now: InUse) -> Result<(), Full> {
        if now.sessions >= self.sessions {
            return Err(Full::Sessions(self.sessions));
        }
        if now.half_open >= self.half_open {
            return Err(Full::HalfOpen(self.half_open));
        }
        Ok(())
    }

    /// Whether one more viewer of a stream fits.
    pub fn for_viewer(&self, viewers: u32) -> Result<(), Full> {
        if viewers >= self.viewers {
            return Err(Full::Viewers(self.viewers));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        sessions: 10,
        half_open: 3,
        viewers: 5,
    };

    fn session(sessions: u32, half_open: u32) -> Result<(), Full> {
        ROOM.for_session(InUse { sessions, half_open })
    }

    #[test]
    fn the_last_place_is_given_and_no_further_one() {
        assert_eq!(session(9, 2), Ok(()));
        assert_eq!(session(10, 0), Err(Full::Sessions(10)));
        assert_eq!(session(5, 3), Err(Full::HalfOpen(3)));
        assert_eq!(ROOM.for_viewer(4), Ok(()));
        assert_eq!(ROOM.for_viewer(5), Err(Full::Viewers(5)));
    }

    #[test]
    fn each_refusal_names_its_flag() {
        for (full, flag) in [
            (Full::Sessions(1), "--max-sessions"),
            (Full::HalfOpen(1), "--max-half-open"),
            (Full::Viewers(1), "--max-viewers-per-stream"),
        ] {
            assert!(full.to_string().contains(flag), "{full}");
        }
    }
}
