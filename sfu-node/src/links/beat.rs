//! The beat: an RTP packet of ours that crosses every link. It proves that this link carries media, with these keys, now,
//! in both directions, and it measures the round trip. Pure: clocks come in as parameters.
//!
//! SCTP or HTTP would not do: SCTP on a pipe travels outside SRTP, so a link with wrong keys passes every SCTP probe and
//! no media. One producer a worker serves all links of its lane, so a beat lists what was heard on each of them.

use crate::links::large::{Large, LargeMonitor};
use sfumato_admin_api::types::{Lane, LargePackets, LinkId, LinkState};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// SSRC of every beat; links map it to one of their own.
pub const BEAT_SSRC: u32 = 0x5F00_0001;
/// A link is fresh while the last proof is at most this many intervals old.
pub const FRESH_INTERVALS: u32 = 3;
/// Sent beats that are remembered to recognise their echo.
const REMEMBERED: usize = 256;
/// Most links that one beat lists: 31 peers, twice while links are being replaced.
pub const MAX_ECHOES: usize = 64;
/// First bytes of the payload: name and version.
const MAGIC: [u8; 4] = *b"SFB1";
const HEADER: usize = 4 + 4 + 2 + 2;
const ECHO: usize = 8 + 4 + 4;

/// One beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Grows by one with each beat of this worker.
    pub sequence: u32,
    /// Lane of the sending worker, for people who look at packets.
    pub lane: Lane,
    /// What was heard, one entry a link.
    pub echoes: Vec<Echo>,
    /// What it says of padded beats; absent from a node that sends none.
    pub large: Option<Large>,
}

/// "On the link whose your end is `link`, I heard your beat `sequence` this long ago."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// [`link_key`] of the receiver's own end.
    pub link: u64,
    /// Last sequence heard.
    pub sequence: u32,
    /// How long ago when this beat was sent, in microseconds.
    pub held_us: u32,
}

/// 64 bits that stand for a link id in a beat (FNV-1a).
pub fn link_key(id: &LinkId) -> u64 {
    id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Beat {
    /// The RTP payload.
    pub fn encode(&self) -> Vec<u8> {
        let echoes = &self.echoes[..self.echoes.len().min(MAX_ECHOES)];
        let mut out = Vec::with_capacity(HEADER + echoes.len() * ECHO);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.lane.0.to_be_bytes());
        out.extend_from_slice(&u16::try_from(echoes.len()).unwrap_or(0).to_be_bytes());
        for echo in echoes {
            out.extend_from_slice(&echo.link.to_be_bytes());
            out.extend_from_slice(&echo.sequence.to_be_bytes());
            out.extend_from_slice(&echo.held_us.to_be_bytes());
        }
        if let Some(large) = &self.large {
            large.encode(&mut out);
        }
        out
    }

    /// Reads a payload; `None` for anything that is not a beat.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (magic, rest) = payload.split_first_chunk::<4>()?;
        if *magic != MAGIC {
            return None;
        }
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let (lane, rest) = rest.split_first_chunk::<2>()?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_be_bytes(*count));
        if count > MAX_ECHOES {
            return None;
        }
        let mut echoes = Vec::with_capacity(count);
        for _ in 0..count {
            let (link, r) = rest.split_first_chunk::<8>()?;
            let (heard, r) = r.split_first_chunk::<4>()?;
            let (held, r) = r.split_first_chunk::<4>()?;
            rest = r;
            echoes.push(Echo {
                link: u64::from_be_bytes(*link),
                sequence: u32::from_be_bytes(*heard),
                held_us: u32::from_be_bytes(*held),
            });
        }
        Some(Self {
            sequence: u32::from_be_bytes(*sequence),
            lane: Lane(u16::from_be_bytes(*lane)),
            echoes,
            large: Large::decode(rest, payload.len()),
        })
    }
}

/// Wraps a payload in an RTP packet (RFC 3550 section 5.1).
pub fn rtp_packet(payload_type: u8, sequence: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(12 + payload.len());
    packet.push(0x80);
    packet.push(payload_type & 0x7F);
    packet.extend_from_slice(&(sequence as u16).to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&BEAT_SSRC.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// When each recent beat of a worker was sent.
#[derive(Debug, Default)]
pub struct SentBeats {
    sent: VecDeque<(u32, Instant)>,
}

impl SentBeats {
    /// Remembers a beat.
    pub fn sent(&mut self, sequence: u32, now: Instant) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((sequence, now));
    }

    /// When a beat was sent, while it is remembered.
    pub fn when(&self, sequence: u32) -> Option<Instant> {
        self.sent
            .iter()
            .rev()
            .find(|(known, _)| *known == sequence)
            .map(|(_, at)| *at)
    }
}

/// What one end of a link knows of its beats.
#[derive(Debug)]
pub struct BeatMonitor {
    interval: Duration,
    heard: Option<(u32, Instant)>,
    proven: Option<Instant>,
    rtt: Option<Duration>,
    received: u64,
    large: LargeMonitor,
    state: LinkState,
    since: Instant,
}

/// What a beat changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterBeat {
    /// Nothing that anybody waits for.
    Nothing,
    /// The peer should hear of it at once: it is waiting for our echo.
    AnswerSoon,
}

impl BeatMonitor {
    /// A link that has just been made.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            heard: None,
            proven: None,
            rtt: None,
            received: 0,
            large: LargeMonitor::default(),
            state: LinkState::Connecting,
            since: now,
        }
    }

    /// A beat arrived. `echoed` is when we sent the beat that it echoes, and how long the peer held that one.
    pub fn on_beat(&mut self, sequence: u32, echoed: Option<(Instant, Duration)>, now: Instant) -> AfterBeat {
        self.received = self.received.saturating_add(1);
        let first = self.heard.is_none();
        self.heard = Some((sequence, now));
        let mut became_fresh = false;
        if let Some((sent, held)) = echoed {
            let age = now.saturating_duration_since(sent);
            if age <= self.interval * FRESH_INTERVALS {
                self.rtt = Some(age.saturating_sub(held));
                self.proven = Some(now);
                became_fresh = self.refresh(now) && self.state == LinkState::Fresh;
            } else if held <= self.interval * FRESH_INTERVALS && self.state == LinkState::Stale {
                // Late, as on a starved machine, but it passed both ways: the link lives, and its time of being stale
                // begins anew, so that nobody replaces it and disconnects the viewers behind it.
                self.since = now;
            }
        }
        if first || became_fresh {
            AfterBeat::AnswerSoon
        } else {
            AfterBeat::Nothing
        }
    }

    /// A beat said this of padded ones; true when it changed whether large packets come through.
    pub fn on_large(&mut self, sequence: u32, large: Large) -> bool {
        self.large.on_beat(sequence, large)
    }

    /// What the admin API says of large packets; `None` until it is known whether they come through.
    pub fn large_seen(&self) -> Option<LargePackets> {
        self.large.seen()
    }

    /// Brings the state up to date; true when it changed.
    pub fn refresh(&mut self, now: Instant) -> bool {
        let state = match (self.state, self.proven) {
            (LinkState::Dead, _) => LinkState::Dead,
            (_, None) => LinkState::Connecting,
            (_, Some(at)) if now.saturating_duration_since(at) <= self.interval * FRESH_INTERVALS => LinkState::Fresh,
            (_, Some(_)) => LinkState::Stale,
        };
        let changed = state != self.state;
        if changed {
            self.state = state;
            self.since = now;
        }
        changed
    }

    /// The transport has failed.
    pub fn died(&mut self, now: Instant) -> bool {
        let changed = self.state != LinkState::Dead;
        if changed {
            self.state = LinkState::Dead;
            self.since = now;
        }
        changed
    }

    /// State as of the last [`Self::refresh`].
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// When the state began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Last measured round trip.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Beats received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What to echo: the last sequence heard and how long ago.
    pub fn echo(&self, now: Instant) -> Option<(u32, Duration)> {
        self.heard
            .map(|(sequence, at)| (sequence, now.saturating_duration_since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::large::LARGE_BYTES;
    use crate::media::rtp::rtp_payload;
    use crate::tests::fuzz;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_link_is_connecting_until_an_echo_of_ours_comes_back() {
        let t = Instant::now();
        let mut monitor = BeatMonitor::new(INTERVAL, t);
        assert_eq!(monitor.on_beat(1, None, t + ms(10)), AfterBeat::AnswerSoon);
        assert!(!monitor.refresh(t + ms(20)));
        assert_eq!(monitor.state(), LinkState::Connecting);
        assert_eq!(
            monitor.on_beat(2, Some((t + ms(15), ms(2))), t + ms(20)),
            AfterBeat::AnswerSoon
        );
        assert_eq!(monitor.state(), LinkState::Fresh);
        assert_eq!(monitor.rtt(), Some(ms(3)));
    }

    #[test]
    fn three_missed_beats_make_a_link_stale_and_the_next_echo_makes_it_fresh_again() {
        let t = Instant::now();
        let mut monitor = BeatMonitor::new(INTERVAL, t);
        monitor.on_beat(1, Some((t, ms(0))), t);
        assert!(!monitor.refresh(t + ms(1500)));
        assert!(monitor.refresh(t + ms(1501)));
        assert_eq!(monitor.state(), LinkState::Stale);
        monitor.on_beat(9, Some((t + ms(5000), ms(0))), t + ms(5001));
        assert_eq!(monitor.state(), LinkState::Fresh);
    }

    #[test]
    fn an_echo_of_an_old_beat_proves_nothing() {
        let t = Instant::now();
        let mut monitor = BeatMonitor::new(INTERVAL, t);
        monitor.on_beat(1, Some((t, ms(4000))), t + ms(4001));
        monitor.refresh(t + ms(4001));
        assert_eq!(monitor.state(), LinkState::Connecting);
    }

    #[test]
    fn late_echoes_keep_a_link_stale_and_its_replacement_away() {
        let start = Instant::now();
        let mut monitor = BeatMonitor::new(ms(500), start);
        monitor.on_beat(1, Some((start, ms(0))), start);
        // Every beat takes 3 s there and back; the peer answers at once.
        for second in 3..60 {
            let now = start + ms(1000 * second);
            monitor.refresh(now);
            monitor.on_beat(2, Some((now - ms(3000), ms(10))), now);
            assert_eq!(monitor.state(), LinkState::Stale);
            assert!(
                now.saturating_duration_since(monitor.since()) < ms(2000),
                "its age grows"
            );
        }
        // Our beats do not arrive any more: the peer goes on echoing the last one that did.
        for second in 60..75 {
            let now = start + ms(1000 * second);
            monitor.refresh(now);
            monitor.on_beat(3, Some((start + ms(59_000), now - start - ms(59_000))), now);
        }
        assert!(
            (start + ms(74_000)).saturating_duration_since(monitor.since()) > ms(10_000),
            "nobody will replace it"
        );
    }

    #[test]
    fn a_dead_link_stays_dead() {
        let t = Instant::now();
        let mut monitor = BeatMonitor::new(INTERVAL, t);
        assert!(monitor.died(t));
        monitor.on_beat(1, Some((t, ms(0))), t);
        assert_eq!(monitor.state(), LinkState::Dead);
    }

    proptest! {
        #[test]
        fn a_beat_survives_the_wire(sequence: u32, lane: u16, sent: Option<u32>, echoes in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u32>()), 0..MAX_ECHOES)) {
            let beat = Beat {
                sequence,
                lane: Lane(lane),
                echoes: echoes.into_iter().map(|(link, sequence, held_us)| Echo { link, sequence, held_us }).collect(),
                large: sent.map(|sent| Large { sent, bytes: LARGE_BYTES, is_this: sent % 2 == 0 }),
            };
            let packet = rtp_packet(111, sequence, 7, &beat.encode());
            prop_assert!(packet.len() <= usize::from(LARGE_BYTES));
            prop_assert_eq!(Beat::decode(rtp_payload(&packet).unwrap()), Some(beat));
        }

    }

    proptest! {
        #![proptest_config(fuzz::config())]

        #[test]
        fn no_bytes_make_the_decoder_panic_or_give_more_echoes_than_are_there(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_within_bounds(&bytes);
            let beat = [&MAGIC[..], &bytes].concat();
            decode_within_bounds(&rtp_packet(111, 1, 7, &beat));
        }

        #[test]
        fn no_damaged_heartbeat_makes_the_decoder_or_a_link_panic(
            echoes in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u32>()), 0..MAX_ECHOES),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
            cut in any::<prop::sample::Index>(),
            times in prop::collection::vec(0..u64::from(u32::MAX), 1..20),
        ) {
            let echoes: Vec<Echo> = echoes.into_iter().map(|(link, sequence, held_us)| Echo { link, sequence, held_us }).collect();
            let large = Some(Large { sent: 9, bytes: LARGE_BYTES, is_this: echoes.len().is_multiple_of(2) });
            let beat = Beat { sequence: u32::MAX, lane: Lane(1), echoes, large };
            let mut packet = rtp_packet(111, 1, 7, &beat.encode());
            for (at, byte) in damage {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            packet.truncate(packet.len() - cut.index(packet.len()));
            let start = Instant::now();
            let mut monitor = BeatMonitor::new(INTERVAL, start);
            if let Some(beat) = decode_within_bounds(&packet) {
                for (echo, time) in beat.echoes.iter().zip(times.iter().cycle()) {
                    let (sent, now) = (start + Duration::from_micros(*time), start + Duration::from_micros(*time / 2));
                    monitor.on_beat(beat.sequence, Some((sent, Duration::from_micros(u64::from(echo.held_us)))), now);
                    if let Some(large) = beat.large {
                        monitor.on_large(beat.sequence, large);
                    }
                    monitor.refresh(now);
                }
            }
        }
    }

    /// What is read of a packet, if it is a heartbeat.
    fn decode_within_bounds(packet: &[u8]) -> Option<Beat> {
        let payload = rtp_payload(packet)?;
        let beat = fuzz::in_time(|| Beat::decode(payload))?;
        assert!(beat.echoes.len() <= MAX_ECHOES && beat.echoes.len() * 16 <= payload.len());
        Some(beat)
    }
}
