//! One received track, packet by packet: what came, what is missing, how long it took.
//!
//! Works on RTP packets instead of assembled frames, so that hundreds of viewers fit in one process: a frame is counted as
//! soon as all sequence numbers from its first packet to its marker have come, in whatever order.

use super::codec::Codec;
use super::packet::inspect;
use super::stamp::{STAMP_LEN, Stamp};
use crate::figures::millis;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Frames that may be incomplete at a time; beyond it the oldest is given up.
const MAX_PENDING: usize = 16;

/// One RTP packet as it arrived, with the sequence number and the timestamp extended beyond their wraps.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Extended RTP sequence number.
    pub sequence: u64,
    /// Extended RTP timestamp.
    pub timestamp: u64,
    /// Marker bit: for video, the last packet of a frame.
    pub marker: bool,
    /// RTP payload.
    pub payload: Arc<[u8]>,
    /// Wall clock at arrival.
    pub wall: SystemTime,
    /// Time since the peer started (the POST).
    pub since_start: Duration,
}

/// Counters of a track. Serialises to the JSON that whole-system tests read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// Codec of the last packet.
    pub codec: Codec,
    /// RTP packets received, repaired ones included, duplicates not.
    pub packets: u64,
    /// Payload bytes of those packets.
    pub bytes: u64,
    /// Sequence numbers between the first and the highest that never came; falls when a late packet fills its gap.
    pub lost: u64,
    /// Whole frames.
    pub frames: u64,
    /// Whole key frames.
    pub key_frames: u64,
    /// Frames of which packets came, but never all.
    pub broken_frames: u64,
    /// Frames that the publisher numbered and that never came whole, counted from the first that did.
    pub missed_frames: u64,
    /// From the POST to the first packet, in milliseconds.
    pub first_packet_ms: Option<f64>,
    /// From the POST to the first whole frame, in milliseconds.
    pub first_frame_ms: Option<f64>,
    /// From the POST to the first whole key frame, in milliseconds.
    pub first_key_frame_ms: Option<f64>,
    /// From the POST to the last packet, in milliseconds.
    pub last_packet_ms: Option<f64>,
}

/// How long one frame was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Number of the frame, as its publisher counts.
    pub frame: u64,
    /// From being sent to the arrival of its last packet.
    pub delay: Duration,
}

/// A frame that is still coming in.
#[derive(Debug, Default)]
struct Pending {
    first: Option<u64>,
    last: Option<u64>,
    key: bool,
    /// Payloads by sequence number; shared with the packets, not copied.
    packets: BTreeMap<u64, Arc<[u8]>>,
}

/// Counts one track.
#[derive(Debug)]
pub struct TrackMeter {
    report: TrackReport,
    sequences: Option<(u64, u64)>,
    pending: BTreeMap<u64, Pending>,
    /// First, highest and count of frame numbers since the publisher (re)started.
    numbers: Option<(u64, u64, u64)>,
    missed_before: u64,
    delays: Vec<Delay>,
    max_delays: usize,
}

impl TrackMeter {
    /// A meter that keeps at most `max_delays` delay samples, the earliest ones.
    #[must_use]
    pub fn new(codec: Codec, max_delays: usize) -> Self {
        let report = TrackReport {
            codec,
            packets: 0,
            bytes: 0,
            lost: 0,
            frames: 0,
            key_frames: 0,
            broken_frames: 0,
            missed_frames: 0,
            first_packet_ms: None,
            first_frame_ms: None,
            first_key_frame_ms: None,
            last_packet_ms: None,
        };
        Self {
            report,
            sequences: None,
            pending: BTreeMap::new(),
            numbers: None,
            missed_before: 0,
            delays: Vec::new(),
            max_delays,
        }
    }

    /// Counters so far.
    #[must_use]
    pub fn report(&self) -> TrackReport {
        self.report.clone()
    }

    /// One-way delays of whole stamped frames.
    #[must_use]
    pub fn delays(&self) -> &[Delay] {
        &self.delays
    }

    /// Forgets the delays so far and returns them.
    pub fn take_delays(&mut self) -> Vec<Delay> {
        std::mem::take(&mut self.delays)
    }

    /// Counts a packet. Duplicates must have been dropped before (SRTP replay protection does).
    pub fn packet(&mut self, codec: Codec, arrival: &Arrival) {
        let millis = millis(arrival.since_start);
        self.report.codec = codec;
        self.report.packets += 1;
        self.report.bytes += arrival.payload.len() as u64;
        self.report.first_packet_ms.get_or_insert(millis);
        self.report.last_packet_ms = Some(millis);
        let (first, highest) = self
            .sequences
            .map_or((arrival.sequence, arrival.sequence), |(first, highest)| {
                (first.min(arrival.sequence), highest.max(arrival.sequence))
            });
        self.sequences = Some((first, highest));
        self.report.lost = (highest - first + 1).saturating_sub(self.report.packets);

        let payload = inspect(codec, &arrival.payload);
        let frame = self.pending.entry(arrival.timestamp).or_default();
        if payload.starts_frame {
            // Several packets may start a frame (parameter sets, slices): the earliest counts.
            frame.first = Some(
                frame
                    .first
                    .map_or(arrival.sequence, |first| first.min(arrival.sequence)),
            );
        }
        if arrival.marker || !codec.is_video() {
            frame.last = Some(arrival.sequence);
        }
        frame.key |= payload.key_frame;
        frame.packets.insert(arrival.sequence, Arc::clone(&arrival.payload));
        if frame.is_whole()
            && let Some(frame) = self.pending.remove(&arrival.timestamp)
        {
            self.count_frame(codec, &frame, arrival, millis);
        }
        if self.pending.len() > MAX_PENDING {
            self.pending.pop_first();
            self.report.broken_frames += 1;
        }
    }

    fn count_frame(&mut self, codec: Codec, frame: &Pending, arrival: &Arrival, millis: f64) {
        self.report.frames += 1;
        self.report.first_frame_ms.get_or_insert(millis);
        if frame.key {
            self.report.key_frames += 1;
            self.report.first_key_frame_ms.get_or_insert(millis);
        }
        let Some(stamp) = frame.stamp(codec) else { return };
        self.count_number(stamp.sequence);
        if self.delays.len() < self.max_delays {
            self.delays.push(Delay {
                frame: stamp.sequence,
                delay: stamp.age_at(arrival.wall),
            });
        }
    }

    fn count_number(&mut self, number: u64) {
        let (first, highest, count) = self.numbers.unwrap_or((number, number, 0));
        // Far behind what came before: another publisher has taken the stream over and counts from 0.
        let restarted = number + (MAX_PENDING as u64) < highest;
        let (first, highest, count) = if restarted {
            self.missed_before = self.report.missed_frames;
            (number, number, 1)
        } else {
            (first.min(number), highest.max(number), count + 1)
        };
        self.numbers = Some((first, highest, count));
        self.report.missed_frames = self.missed_before + (highest - first + 1).saturating_sub(count);
    }
}

impl Pending {
    fn is_whole(&self) -> bool {
        match (self.first, self.last) {
            (Some(first), Some(last)) if first <= last => self.packets.len() as u64 > last - first,
            _ => false,
        }
    }

    /// The stamp at the end of the frame. A packetizer may cut it in two, so the tails of the last packets are joined.
    fn stamp(&self, codec: Codec) -> Option<Stamp> {
        let mut tail = Vec::with_capacity(2 * STAMP_LEN);
        for payload in self.packets.values().rev() {
            let body = inspect(codec, payload).body;
            let wanted = STAMP_LEN - tail.len();
            let end = &body[body.len().saturating_sub(wanted)..];
            tail.splice(0..0, end.iter().copied());
            if tail.len() >= STAMP_LEN {
                break;
            }
        }
        Stamp::read_from_end(&tail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FrameMaker;
    use super::*;

    /// Cuts VP8 frames as a packetizer does: a one-byte descriptor, then `mtu` bytes.
    fn packets(frames: &[Vec<u8>], mtu: usize) -> Vec<Arrival> {
        let mut sequence = 65_530;
        let mut packets = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let chunks = frame.chunks(mtu).count();
            for (i, chunk) in frame.chunks(mtu).enumerate() {
                let descriptor = if i == 0 { 0x10 } else { 0x00 };
                let payload: Vec<u8> = std::iter::once(descriptor).chain(chunk.iter().copied()).collect();
                packets.push(Arrival {
                    sequence,
                    timestamp: 3000 * number as u64,
                    marker: i + 1 == chunks,
                    payload: payload.into(),
                    wall: SystemTime::now() + Duration::from_millis(5),
                    since_start: Duration::from_millis(100 + 10 * number as u64),
                });
                sequence += 1;
            }
        }
        packets
    }

    fn frames(count: usize, bytes: usize) -> Vec<Vec<u8>> {
        let mut maker = FrameMaker::new(Codec::Vp8, bytes, 2 * bytes);
        (0..count).map(|i| maker.next(i == 0)).collect()
    }

    fn metered<'a>(packets: impl IntoIterator<Item = &'a Arrival>) -> TrackMeter {
        let mut meter = TrackMeter::new(Codec::Vp8, 100);
        packets.into_iter().for_each(|p| meter.packet(Codec::Vp8, p));
        meter
    }

    #[test]
    fn frames_that_come_whole_are_counted_with_their_delay() {
        let meter = metered(&packets(&frames(4, 1000), 400));
        let report = meter.report();
        assert_eq!(
            (report.frames, report.key_frames, report.lost, report.missed_frames),
            (4, 1, 0, 0)
        );
        assert_eq!((report.packets, report.broken_frames), (5 + 3 * 3, 0));
        assert_eq!(report.first_key_frame_ms, Some(100.0));
        assert_eq!(meter.delays().len(), 4);
        assert!(
            meter
                .delays()
                .iter()
                .all(|d| d.delay >= Duration::from_millis(5) && d.delay < Duration::from_secs(5))
        );
    }

    #[test]
    fn a_stamp_cut_in_two_by_the_packetizer_is_still_read() {
        for cut in 1..STAMP_LEN {
            let meter = metered(&packets(&frames(2, 1000), 1000 - cut));
            assert_eq!(meter.delays().len(), 2, "cut {cut} bytes before the end");
        }
    }

    #[test]
    fn the_order_of_packets_does_not_matter() {
        let mut packets = packets(&frames(3, 1000), 400);
        packets.reverse();
        let report = metered(&packets).report();
        assert_eq!((report.frames, report.key_frames, report.lost), (3, 1, 0));
    }

    #[test]
    fn a_missing_packet_is_lost_and_breaks_its_frame() {
        let mut packets = packets(&frames(40, 1000), 400);
        packets.remove(6);
        let report = metered(&packets).report();
        assert_eq!(
            (report.lost, report.frames, report.broken_frames, report.missed_frames),
            (1, 39, 0, 1)
        );
    }

    #[test]
    fn a_late_packet_fills_its_gap() {
        let mut packets = packets(&frames(4, 1000), 400);
        let late = packets.remove(6);
        packets.push(late);
        let report = metered(&packets).report();
        assert_eq!((report.lost, report.frames, report.missed_frames), (0, 4, 0));
    }

    #[test]
    fn incomplete_frames_do_not_pile_up() {
        let packets = packets(&frames(100, 1000), 400);
        let report = metered(packets.iter().filter(|p| !p.marker)).report();
        assert_eq!((report.frames, report.broken_frames), (0, 100 - MAX_PENDING as u64));
    }

    #[test]
    fn a_publisher_that_starts_anew_does_not_count_as_missed_frames() {
        let mut meter = metered(&packets(&frames(50, 1000), 1200));
        for mut packet in packets(&frames(5, 1000), 1200) {
            packet.sequence += 1000;
            packet.timestamp += 1_000_000;
            meter.packet(Codec::Vp8, &packet);
        }
        assert_eq!((meter.report().frames, meter.report().missed_frames), (55, 0));
    }

    #[test]
    fn every_audio_packet_is_a_frame() {
        let mut maker = FrameMaker::new(Codec::Opus, 160, 160);
        let mut meter = TrackMeter::new(Codec::Opus, 10);
        for i in 0..3 {
            let arrival = Arrival {
                sequence: i,
                timestamp: 960 * i,
                marker: i == 0,
                payload: maker.next(false).into(),
                wall: SystemTime::now(),
                since_start: Duration::ZERO,
            };
            meter.packet(Codec::Opus, &arrival);
        }
        assert_eq!(
            (meter.report().frames, meter.report().key_frames, meter.delays().len()),
            (3, 0, 3)
        );
    }
}
