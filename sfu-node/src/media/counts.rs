//! Sums of RTP streams. Pure.

use mediasoup::consumer::ConsumerStat;
use mediasoup::producer::ProducerStat;
use sfumato_admin_api::types::SessionMedia;

/// What has been counted since the beginning of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// RTP bytes.
    pub bytes: u64,
    /// RTP packets.
    pub packets: u64,
    /// Packets lost.
    pub lost: u64,
    pub nacks: u64,
    /// PLI and FIR.
    pub key_frame_requests: u64,
}

impl Counts {
    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            bytes: each(self.bytes, other.bytes),
            packets: each(self.packets, other.packets),
            lost: each(self.lost, other.lost),
            nacks: each(self.nacks, other.nacks),
            key_frame_requests: each(self.key_frame_requests, other.key_frame_requests),
        }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// The higher of each. Packets that were thought lost may still come, and what was told must not be taken back.
    pub fn highest(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// What has come since `before`.
    pub fn since(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }
}

/// A session at one moment: its counts, and how it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Look {
    /// Since the beginning.
    pub counts: Counts,
    bitrate: u64,
    loss: f64,
    rtt_ms: Option<f64>,
}

/// What mediasoup tells of one RTP stream in either direction.
struct Stream {
    bytes: u64,
    packets: u64,
    lost: i32,
    fraction_lost: u8,
    nacks: u64,
    plis: u64,
    firs: u64,
    bitrate: u64,
    rtt: Option<f32>,
}

impl Look {
    /// Adds a stream that is received.
    pub fn add_received(&mut self, stat: &ProducerStat) {
        self.add(&Stream {
            bytes: stat.byte_count,
            packets: stat.packet_count,
            lost: stat.packets_lost,
            fraction_lost: stat.fraction_lost,
            nacks: stat.nack_count,
            plis: stat.pli_count,
            firs: stat.fir_count,
            bitrate: stat.bitrate,
            rtt: stat.round_trip_time,
        });
    }

    /// Adds a stream that is sent.
    pub fn add_sent(&mut self, stat: &ConsumerStat) {
        self.add(&Stream {
            bytes: stat.byte_count,
            packets: stat.packet_count,
            lost: stat.packets_lost,
            fraction_lost: stat.fraction_lost,
            nacks: stat.nack_count,
            plis: stat.pli_count,
            firs: stat.fir_count,
            bitrate: stat.bitrate,
            rtt: stat.round_trip_time,
        });
    }

    fn add(&mut self, stream: &Stream) {
        self.counts = self.counts.plus(Counts {
            bytes: stream.bytes,
            packets: stream.packets,
            // Below zero when duplicates came (RFC 3550 section 6.4.1).
            lost: u64::try_from(stream.lost).unwrap_or(0),
            nacks: stream.nacks,
            key_frame_requests: stream.plis.saturating_add(stream.firs),
        });
        self.bitrate = self.bitrate.saturating_add(stream.bitrate);
        // A fraction of 256 (RFC 3550 section 6.4.1).
        self.loss = self.loss.max(f64::from(stream.fraction_lost) / 256.0);
        // Milliseconds; zero is what mediasoup says before the first report.
        let rtt = stream.rtt.map(f64::from).filter(|rtt| *rtt > 0.0);
        self.rtt_ms = match (self.rtt_ms, rtt) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }

    /// Of all streams together, in bit/s.
    pub fn bitrate(&self) -> u64 {
        self.bitrate
    }

    /// As the admin API tells it.
    pub fn report(&self) -> SessionMedia {
        SessionMedia {
            bitrate: self.bitrate,
            bytes: self.counts.bytes,
            packets: self.counts.packets,
            packets_lost: self.counts.lost,
            loss: self.loss,
            rtt_ms: self.rtt_ms,
            nacks: self.counts.nacks,
            key_frame_requests: self.counts.key_frame_requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream {
            bytes: 1_000,
            packets: 10,
            lost: 2,
            fraction_lost: 64,
            nacks: 3,
            plis: 4,
            firs: 1,
            bitrate: 8_000,
            rtt: Some(20.0),
        }
    }

    #[test]
    fn tracks_are_summed_and_of_loss_and_round_trip_the_worst_counts() {
        let mut look = Look::default();
        look.add(&stream());
        look.add(&Stream {
            fraction_lost: 128,
            rtt: Some(0.0),
            lost: -5,
            ..stream()
        });
        let report = look.report();
        assert_eq!((report.bytes, report.packets, report.packets_lost), (2_000, 20, 2));
        assert_eq!(
            (report.nacks, report.key_frame_requests, report.bitrate),
            (6, 10, 16_000)
        );
        assert_eq!((report.loss, report.rtt_ms), (0.5, Some(20.0)));
    }

    #[test]
    fn sums_of_what_came_since_never_fall_even_if_what_is_told_does() {
        let told = [(5, 3), (9, 2), (4, 4), (12, 4)];
        let (mut last, mut sum) = (Counts::default(), Counts::default());
        for (packets, lost) in told {
            let now = Counts {
                packets,
                lost,
                ..Counts::default()
            };
            let grown = sum.plus(now.since(last));
            assert!(grown.packets >= sum.packets && grown.lost >= sum.lost);
            sum = grown;
            last = last.highest(now);
        }
        assert_eq!((sum.packets, sum.lost), (12, 4));
    }
}
