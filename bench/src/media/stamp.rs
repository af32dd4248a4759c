//! The stamp at the end of every made-up frame: which frame this is, and when it was sent.
//!
//! It sits at the **end** because a frame has arrived when its last byte has, and because payload descriptors are rewritten
//! on the way (picture ids), while the tail is never touched. Every byte has its top bit set: so no stamp can
//! look like an H264 start code, and none needs emulation prevention (ITU-T H.264, 7.4.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of a stamp, in bytes.
pub const STAMP_LEN: usize = MAGIC.len() + 2 * WORD;
/// Ten groups of seven bits hold any 64-bit number.
const WORD: usize = 10;
const MAGIC: [u8; 6] = [0xd3, 0xe6, 0xf5, 0xed, 0xe1, 0xf4];

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the frame on its track, counted from 0.
    pub sequence: u64,
    /// When it was handed to the network, in nanoseconds since 1970.
    pub sent_unix_ns: u64,
}

impl Stamp {
    /// A stamp for a frame that is sent now.
    #[must_use]
    pub fn now(sequence: u64) -> Self {
        Self {
            sequence,
            sent_unix_ns: unix_ns(SystemTime::now()),
        }
    }

    /// Writes the stamp over the last [`STAMP_LEN`] bytes; a shorter frame stays as it is.
    pub fn write_to_end(self, frame: &mut [u8]) {
        let Some(start) = frame.len().checked_sub(STAMP_LEN) else {
            return;
        };
        let (magic, words) = frame[start..].split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        let (sequence, sent) = words.split_at_mut(WORD);
        write_word(self.sequence, sequence);
        write_word(self.sent_unix_ns, sent);
    }

    /// Reads the stamp from the end of a frame, or of its last packet.
    #[must_use]
    pub fn read_from_end(bytes: &[u8]) -> Option<Self> {
        let tail = &bytes[bytes.len().checked_sub(STAMP_LEN)?..];
        let words = tail.strip_prefix(&MAGIC)?;
        let (sequence, sent) = words.split_at(WORD);
        Some(Self {
            sequence: read_word(sequence)?,
            sent_unix_ns: read_word(sent)?,
        })
    }

    /// How long the frame has been under way at `arrival`; zero if the clock was set back.
    #[must_use]
    pub fn age_at(self, arrival: SystemTime) -> Duration {
        Duration::from_nanos(unix_ns(arrival).saturating_sub(self.sent_unix_ns))
    }
}

/// Nanoseconds since 1970; good until the year 2554.
fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn write_word(value: u64, out: &mut [u8]) {
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = 0x80 | ((value >> (7 * i)) & 0x7f) as u8;
    }
}

fn read_word(bytes: &[u8]) -> Option<u64> {
    bytes.iter().enumerate().try_fold(0, |value, (i, byte)| {
        let group = u64::from(byte.checked_sub(0x80)?);
        Some(value | group << (7 * i))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_the_end_of_a_frame() {
        for stamp in [
            Stamp {
                sequence: 0,
                sent_unix_ns: 0,
            },
            Stamp {
                sequence: u64::MAX,
                sent_unix_ns: u64::MAX,
            },
            Stamp {
                sequence: 1_234_567,
                sent_unix_ns: 1_795_000_000_123_456_789,
            },
        ] {
            let mut frame = vec![7; 100];
            stamp.write_to_end(&mut frame);
            assert_eq!(Stamp::read_from_end(&frame), Some(stamp));
            assert!(
                frame[100 - STAMP_LEN..].iter().all(|b| *b >= 0x80),
                "no byte may look like part of a start code"
            );
            assert_eq!(frame[100 - STAMP_LEN - 1], 7, "only the end is written");
        }
    }

    #[test]
    fn bytes_without_a_stamp_give_none() {
        assert_eq!(Stamp::read_from_end(&[]), None);
        assert_eq!(Stamp::read_from_end(&[0xff; 25]), None);
        assert_eq!(Stamp::read_from_end(&[0; 200]), None);
        let mut frame = vec![0; STAMP_LEN];
        Stamp::now(3).write_to_end(&mut frame);
        frame[STAMP_LEN - 1] = 0x01;
        assert_eq!(
            Stamp::read_from_end(&frame),
            None,
            "a word with its top bit clear is not ours"
        );
    }

    #[test]
    fn the_age_is_the_difference_of_the_clocks() {
        let sent = UNIX_EPOCH + Duration::from_secs(100);
        let stamp = Stamp {
            sequence: 1,
            sent_unix_ns: unix_ns(sent),
        };
        assert_eq!(
            stamp.age_at(sent + Duration::from_micros(250)),
            Duration::from_micros(250)
        );
        assert_eq!(stamp.age_at(sent - Duration::from_secs(1)), Duration::ZERO);
    }
}
