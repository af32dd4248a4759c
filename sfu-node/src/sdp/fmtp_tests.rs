use super::*;
use crate::sdp::codec::parameters;
use std::num::{NonZeroU8, NonZeroU32};

fn fmtp(text: &str) -> Fmtp {
    let parameters = text.split(';').filter(|parameter| !parameter.is_empty());
    let pairs = parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn codec(name: &str, parameters: &str) -> OfferedCodec {
    let is_opus = name == "opus";
    OfferedCodec {
        payload_type: 100,
        name: name.to_owned(),
        clock_rate: if is_opus { 48_000 } else { 90_000 },
        channels: if is_opus { 2 } else { 1 },
        fmtp: fmtp(parameters),
        feedback: Vec::new(),
        rtx: None,
    }
}

/// What is sent of a publisher that offered these parameters.
fn rtp(codec: Option<MimeTypeVideo>, said: &str) -> RtpParameters {
    let parameters = parameters(&fmtp(said));
    let codec = match codec {
        None => RtpCodecParameters::Audio {
            mime_type: MimeTypeAudio::Opus,
            payload_type: 111,
            clock_rate: NonZeroU32::new(48_000).unwrap(),
            channels: NonZeroU8::new(2).unwrap(),
            parameters,
            rtcp_feedback: Vec::new(),
        },
        Some(mime_type) => RtpCodecParameters::Video {
            mime_type,
            payload_type: 100,
            clock_rate: NonZeroU32::new(90_000).unwrap(),
            parameters,
            rtcp_feedback: Vec::new(),
        },
    };
    RtpParameters {
        codecs: vec![codec],
        ..RtpParameters::default()
    }
}

#[test]
fn a_publisher_of_opus_is_asked_for_stereo_and_for_nothing_that_it_wants_for_itself() {
    for (offered, answered) in [
        ("", "stereo=1"),
        ("minptime=10;useinbandfec=1", "minptime=10;stereo=1;useinbandfec=1"),
        ("useinbandfec=1;minptime=20", "minptime=20;stereo=1;useinbandfec=1"),
        ("useinbandfec=0", "stereo=1"),
        ("stereo=0;sprop-stereo=0", "stereo=1"),
        (
            "maxplaybackrate=16000;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;sprop-maxcapturerate=48000;cbr=1;usedtx=1;x=y",
            "stereo=1",
        ),
    ] {
        assert_eq!(received(&codec("opus", offered)), fmtp(answered), "{offered}");
    }
}

#[test]
fn players_of_opus_hear_what_its_publisher_sends_and_not_what_anybody_would_receive() {
    for (published, expected) in [
        ("", "sprop-stereo=1"),
        ("minptime=10;useinbandfec=1", "sprop-stereo=1"),
        ("stereo=0;maxaveragebitrate=96000;usedtx=1", "sprop-stereo=1"),
        ("sprop-stereo=1", "sprop-stereo=1"),
        ("sprop-stereo=0", ""),
        (
            "sprop-stereo=0;sprop-maxcapturerate=16000",
            "sprop-maxcapturerate=16000",
        ),
        ("sprop-maxcapturerate=fast", "sprop-stereo=1"),
    ] {
        let opus = rtp(None, published);
        let viewer = codec("opus", "stereo=1;maxaveragebitrate=64000;minptime=10;useinbandfec=1");
        assert_eq!(sent(&viewer, &opus), fmtp(expected), "answer: {published}");
        assert_eq!(offered(&opus), fmtp(expected), "offer: {published}");
    }
    assert_eq!(unused(&codec("opus", "stereo=1;useinbandfec=1")), Fmtp::new());
}

const SETS: &str = "sprop-parameter-sets=Z0LADNoFB+wFqDAwNSgAAAMACAAAAwD0eKFV,aM48gA==";

#[test]
fn parameter_sets_of_a_publisher_reach_the_players_that_list_its_profile() {
    let h264 = |profile: &str| format!("packetization-mode=1;profile-level-id={profile}");
    for (published, viewer, agree) in [
        ("42e01f", "42e01f", true),
        ("42c00c", "42e01f", true),
        ("640028", "64001f", true),
        ("64001f", "42e01f", false),
        ("42001f", "64001f", false),
    ] {
        let stream = rtp(Some(MimeTypeVideo::H264), &format!("{};{SETS}", h264(published)));
        let own = codec("H264", &format!("{};sprop-parameter-sets=AAAA", h264(viewer)));
        let expected = if agree {
            format!("{};{SETS}", h264(viewer))
        } else {
            h264(viewer)
        };
        assert_eq!(sent(&own, &stream), fmtp(&expected), "{published} {viewer}");
    }
}

#[test]
fn an_offer_has_parameter_sets_only_of_the_profile_that_it_names() {
    for (published, sets) in [("42e01f", true), ("42c00c", true), ("64001f", false)] {
        let said = format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={published};{SETS}");
        let mut expected = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".to_owned();
        if sets {
            expected += &format!(";{SETS}");
        }
        assert_eq!(
            offered(&rtp(Some(MimeTypeVideo::H264), &said)),
            fmtp(&expected),
            "{published}"
        );
    }
}

#[test]
fn what_is_no_list_of_parameter_sets_is_passed_on_to_nobody() {
    for value in ["", "a b", "<x>", "Z0LA\u{e9}"] {
        let said = format!("profile-level-id=42e01f;sprop-parameter-sets={value}");
        let stream = rtp(Some(MimeTypeVideo::H264), &said);
        let own = codec("H264", "profile-level-id=42e01f");
        assert_eq!(sent(&own, &stream), own.fmtp, "{value}");
        assert_eq!(offered(&stream), own.fmtp, "{value}");
    }
    let vp8 = rtp(Some(MimeTypeVideo::Vp8), SETS);
    assert_eq!(sent(&codec("VP8", "max-fs=3600"), &vp8), fmtp("max-fs=3600"));
}

#[test]
fn a_publisher_is_not_told_its_own_parameter_sets() {
    let own = codec("H264", &format!("packetization-mode=1;profile-level-id=42e01f;{SETS}"));
    for ours in [received(&own), unused(&own)] {
        assert_eq!(ours, fmtp("packetization-mode=1;profile-level-id=42e01f"));
    }
}
