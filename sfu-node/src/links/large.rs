//! Whether a link carries packets as large as those of pictures. A path whose MTU is smaller than its interfaces say (an overlay
//! network, a tunnel; RFC 4821 section 1) drops them and nothing else: beats are small, so that it would look fresh, with sound
//! and without pictures.
//!
//! So some beats are padded, and every beat says how many were. Pure: who hears the small ones only knows it by that.

use sfumato_admin_api::types::LargePackets;

/// Size of a padded beat, as an RTP packet in bytes. Browsers, OBS and FFmpeg send pictures in packets of about 1,200.
pub const LARGE_BYTES: u16 = 1_250;
/// Of so many beats one is padded.
pub const LARGE_EVERY: u32 = 2;
/// Large packets are called lost when so many padded beats in a row did not come.
const LOST_IN_A_ROW: u32 = 5;
/// Marks what follows the echoes in a beat. Nodes that do not know it read beats all the same.
const MAGIC: [u8; 4] = *b"SFL1";

/// What a beat says of padded beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Large {
    /// How many the worker has sent, this one included.
    pub sent: u32,
    /// Their size, as RTP packets in bytes.
    pub bytes: u16,
    /// Whether this is one.
    pub is_this: bool,
}

impl Large {
    /// Appends it to the RTP payload of a beat, and pads that.
    pub fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&MAGIC);
        payload.extend_from_slice(&self.sent.to_be_bytes());
        payload.extend_from_slice(&self.bytes.to_be_bytes());
        let full = usize::from(self.bytes).saturating_sub(RTP_HEADER);
        if self.is_this && payload.len() < full {
            payload.resize(full, 0);
        }
    }

    /// Reads what follows the echoes of a beat whose whole payload has `payload` bytes; `None` from a node that does not say.
    pub fn decode(rest: &[u8], payload: usize) -> Option<Self> {
        let (magic, rest) = rest.split_first_chunk::<4>()?;
        let (sent, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, _) = rest.split_first_chunk::<2>()?;
        let bytes = u16::from_be_bytes(*bytes);
        (*magic == MAGIC).then(|| Self {
            sent: u32::from_be_bytes(*sent),
            bytes,
            is_this: payload + RTP_HEADER >= usize::from(bytes),
        })
    }
}

/// RFC 3550 section 5.1.
const RTP_HEADER: usize = 12;

/// Whether large packets come through, as one end sees it.
#[derive(Debug, Default)]
pub struct LargeMonitor {
    /// Since the last padded beat that came; before one, since the first beat that told of them.
    since: Option<Mark>,
    bytes: u16,
    state: Option<bool>,
}

/// A place in what the peer has sent.
#[derive(Debug, Clone, Copy)]
struct Mark {
    large: u32,
    beat: u32,
    /// Beats that came since.
    came: u32,
}

impl LargeMonitor {
    /// A beat arrived; true when it changed whether large packets come through.
    pub fn on_beat(&mut self, sequence: u32, large: Large) -> bool {
        let before = self.state;
        self.bytes = large.bytes;
        let here = Mark {
            large: large.sent,
            beat: sequence,
            came: 0,
        };
        match &mut self.since {
            _ if large.is_this => {
                self.since = Some(here);
                self.state = Some(true);
            }
            None => self.since = Some(here),
            Some(mark) => {
                mark.came = mark.came.saturating_add(1);
                let (missing, sent) = (large.sent.wrapping_sub(mark.large), sequence.wrapping_sub(mark.beat));
                // One that was overtaken tells of the past.
                let is_newer = missing < u32::MAX / 2 && sent < u32::MAX / 2;
                if is_newer && missing >= LOST_IN_A_ROW && mostly_came(mark.came, sent.saturating_sub(missing)) {
                    self.state = Some(false);
                }
            }
        }
        before != self.state
    }

    /// What the admin API says of them; `None` until it is known whether they come through.
    pub fn seen(&self) -> Option<LargePackets> {
        let bytes = self.bytes;
        self.state.map(|carried| LargePackets { bytes, carried })
    }
}

/// Where small packets are lost as well, size is not why.
fn mostly_came(came: u32, sent: u32) -> bool {
    u64::from(came) * 4 >= u64::from(sent) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(carried: bool) -> Option<LargePackets> {
        let bytes = LARGE_BYTES;
        Some(LargePackets { bytes, carried })
    }

    /// A peer that sends beats, and who hears them.
    #[derive(Default)]
    struct Path {
        sequence: u32,
        sent: u32,
        monitor: LargeMonitor,
    }

    impl Path {
        /// What is known after so many more beats, without those that are lost: by number, and whether it is a large one.
        fn after(&mut self, beats: u32, is_lost: impl Fn(u32, bool) -> bool) -> Option<LargePackets> {
            for _ in 0..beats {
                self.sequence += 1;
                let is_this = self.sequence.is_multiple_of(LARGE_EVERY);
                self.sent += u32::from(is_this);
                let (sent, bytes) = (self.sent, LARGE_BYTES);
                if !is_lost(self.sequence, is_this) {
                    let _ = self.monitor.on_beat(self.sequence, Large { sent, bytes, is_this });
                }
            }
            self.monitor.seen()
        }
    }

    #[test]
    fn large_packets_that_alone_are_lost_are_noticed_and_so_is_their_return() {
        let (lost, carried) = (seen(false), seen(true));
        let mut path = Path::default();
        assert_eq!(path.after(10, |_, large| large), None, "few are no proof");
        assert_eq!(path.after(2, |_, large| large), lost, "they never came");
        assert_eq!(path.after(2, |_, _| false), carried);
        assert_eq!(path.after(9, |_, large| large), carried, "few are no proof");
        assert_eq!(path.after(2, |_, large| large), lost);
        assert_eq!(path.after(40, |_, large| large), lost);
        assert_eq!(path.after(2, |_, _| false), carried);
    }

    #[test]
    fn a_path_that_loses_packets_of_any_size_is_not_called_narrow() {
        let carried = seen(true);
        let mut path = Path::default();
        path.after(20, |_, _| false);
        // Every large one, and half of the small ones; then all but one in three.
        assert_eq!(path.after(400, |number, large| large || number % 4 == 1), carried);
        assert_eq!(path.after(400, |number, _| number % 3 != 0), carried);
        assert_eq!(path.after(60, |_, _| true), carried, "silence is what staleness is for");
        assert_eq!(path.after(1, |_, _| false), carried);
    }

    #[test]
    fn a_beat_that_was_overtaken_changes_nothing() {
        let mut monitor = LargeMonitor::default();
        let beat = |sent, is_this| Large {
            sent,
            bytes: LARGE_BYTES,
            is_this,
        };
        assert!(monitor.on_beat(100, beat(50, true)));
        assert!(!monitor.on_beat(90, beat(45, false)));
        assert!(!monitor.on_beat(91, beat(44, true)));
        assert_eq!(monitor.seen(), seen(true));
    }

    #[test]
    fn what_is_written_is_read_and_what_lacks_is_nothing() {
        for is_this in [false, true] {
            let large = Large {
                sent: u32::MAX,
                bytes: LARGE_BYTES,
                is_this,
            };
            let mut payload = b"echoes".to_vec();
            large.encode(&mut payload);
            assert_eq!(payload.len() + RTP_HEADER == usize::from(LARGE_BYTES), is_this);
            assert_eq!(Large::decode(&payload[6..], payload.len()), Some(large));
        }
        for rest in [&b""[..], b"SFL", b"SFL1\0\0\0\x01\0", b"SFX1\0\0\0\x01\x04\xe2"] {
            assert_eq!(Large::decode(rest, 50), None);
        }
    }
}
