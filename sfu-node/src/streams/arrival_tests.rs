use super::*;

const TICK: Duration = Duration::from_secs(1);

/// A publisher that sends for a while: what each second adds.
struct Publisher {
    arrivals: Arrivals,
    received: Received,
    came: Vec<Came>,
    now: Instant,
}

/// What is sent in a second.
#[derive(Clone, Copy, Default)]
struct Sends {
    audio: u64,
    video: u64,
    key_frame: bool,
    /// Packets of 1,000 bytes that no track takes.
    strange: u64,
}

impl Publisher {
    fn new() -> Self {
        Self {
            arrivals: Arrivals::new([(TrackKind::Audio, false), (TrackKind::Video, true)]),
            received: Received::default(),
            came: vec![Came::default(); 2],
            now: Instant::now(),
        }
    }

    /// States of audio and video after so many seconds.
    fn sends(&mut self, seconds: u32, what: Sends) -> [TrackState; 2] {
        for _ in 0..seconds {
            self.now += TICK;
            self.came[0].packets += what.audio;
            self.came[1].packets += what.video;
            self.came[0].bytes += what.audio * 100;
            self.came[1].bytes += what.video * 1_000;
            self.came[1].key_frame |= what.key_frame;
            let rtp = what.audio * 100 + what.video * 1_000;
            self.received.rtp += rtp;
            // SRTP, a sender report for each track, and a check of ICE.
            self.received.all += rtp + (what.audio + what.video) * 16 + 300 + what.strange * 1_016;
            let _ = self.arrivals.look(self.received, &self.came, self.now);
        }
        [TrackKind::Audio, TrackKind::Video].map(|kind| self.arrivals.state(kind).unwrap())
    }
}

use TrackState::{Flowing, NoKeyFrame, Nothing, StrangeSsrc, Waiting};

const AUDIO: Sends = Sends {
    audio: 50,
    video: 0,
    key_frame: false,
    strange: 0,
};
const BOTH: Sends = Sends {
    video: 300,
    key_frame: true,
    ..AUDIO
};

#[test]
fn what_comes_flows_and_what_stops_or_never_comes_is_told() {
    let mut publisher = Publisher::new();
    assert_eq!(publisher.sends(1, BOTH), [Flowing, Flowing]);
    assert_eq!(publisher.sends(4, AUDIO), [Flowing, Flowing], "a short pause");
    assert_eq!(publisher.sends(1, AUDIO), [Flowing, Nothing]);
    assert_eq!(publisher.sends(1, BOTH), [Flowing, Flowing]);
    let mut publisher = Publisher::new();
    assert_eq!(publisher.sends(5, Sends::default()), [Waiting, Waiting]);
    assert_eq!(publisher.sends(1, Sends::default()), [Nothing, Nothing]);
}

#[test]
fn a_video_without_a_key_frame_is_told_until_one_comes() {
    let mut publisher = Publisher::new();
    let headless = Sends {
        key_frame: false,
        ..BOTH
    };
    assert_eq!(publisher.sends(5, headless), [Flowing, Waiting]);
    assert_eq!(publisher.sends(1, headless), [Flowing, NoKeyFrame]);
    assert_eq!(publisher.sends(1, BOTH), [Flowing, Flowing]);
    assert_eq!(publisher.sends(60, headless), [Flowing, Flowing], "one has come");
}

#[test]
fn rtp_that_no_track_takes_is_told_of_the_silent_track() {
    let strange = Sends { strange: 200, ..AUDIO };
    let mut never = Publisher::new();
    assert_eq!(never.sends(3, strange), [Flowing, Waiting]);
    assert_eq!(never.sends(1, strange), [Flowing, StrangeSsrc]);
    let mut changed = Publisher::new();
    changed.sends(10, BOTH);
    assert_eq!(changed.sends(2, strange), [Flowing, Flowing]);
    assert_eq!(changed.sends(1, strange), [Flowing, StrangeSsrc]);
}

#[test]
fn a_picture_that_is_switched_off_is_missing_whatever_padding_the_browser_sends() {
    let mut publisher = Publisher::new();
    publisher.sends(10, BOTH);
    let probing = Sends { strange: 100, ..AUDIO };
    assert_eq!(
        publisher.sends(30, probing),
        [Flowing, Nothing],
        "far less than its pictures"
    );
    publisher.sends(10, BOTH);
    let burst = Sends { strange: 400, ..AUDIO };
    for _ in 0..10 {
        let states = publisher.sends(2, burst);
        assert!(!states.contains(&StrangeSsrc), "a burst");
        publisher.sends(1, AUDIO);
    }
    assert_eq!(publisher.sends(1, BOTH), [Flowing, Flowing]);
}

#[test]
fn padding_beside_a_video_that_flows_makes_a_silent_sound_no_strange_one() {
    let mut publisher = Publisher::new();
    let probing = Sends {
        audio: 0,
        strange: 500,
        ..BOTH
    };
    assert_eq!(publisher.sends(30, probing), [Nothing, Flowing]);
    let mut alone = Publisher::new();
    alone.arrivals = Arrivals::new([(TrackKind::Audio, false)]);
    let other_ssrc = Sends {
        strange: 50,
        ..Sends::default()
    };
    alone.came.truncate(1);
    for _ in 0..4 {
        alone.now += TICK;
        alone.received.all += other_ssrc.strange * 116;
        let _ = alone.arrivals.look(alone.received, &alone.came, alone.now);
    }
    assert_eq!(alone.arrivals.state(TrackKind::Audio), Some(StrangeSsrc));
}

#[test]
fn signs_of_life_alone_are_not_rtp() {
    let mut publisher = Publisher::new();
    publisher.sends(5, BOTH);
    assert_eq!(publisher.sends(3_600, Sends::default()), [Nothing, Nothing]);
}

#[test]
fn whoever_cannot_be_shown_is_told_what_to_change() {
    for state in [Nothing, NoKeyFrame, StrangeSsrc] {
        assert!(advice(state, "VP8").is_some());
    }
    assert!(advice(Flowing, "H264").is_none() && advice(Waiting, "H264").is_none());
    let h264 = advice(NoKeyFrame, "H264").unwrap();
    assert!(h264.contains("config-interval=-1") && h264.contains("dump_extra"));
    assert!(!advice(NoKeyFrame, "VP8").unwrap().contains("SPS"));
}
