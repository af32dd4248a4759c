//! The descriptions that cost the most: what they cost grows with their length and with nothing else. Steps are counted,
//! since times would say more of the machine. `--nocapture` prints what each takes here as an offer, in milliseconds, the best of three.

use super::clients::values;
use super::offers::captured;
use crate::sdp::codec::StreamCodec;
use crate::sdp::fragment::Fragment;
use crate::sdp::offer::Offer;
use crate::sdp::player_answer::PlayerAnswer;
use crate::sdp::publish::publish;
use crate::sdp::steps;
use sfumato_admin_api::types::TrackKind;
use std::time::Instant;

/// Longest body that the client listener reads, in bytes.
const BODY: usize = 64 * 1024;
/// Most steps for each byte. The shortest line of an attribute has four bytes, and each of some twenty walks over attributes
/// by name looks at it once.
pub const STEPS_A_BYTE: u64 = 12;
/// Steps that do not depend on the body: the table of payload types, the codecs of the main router.
pub const STEPS_AT_LEAST: u64 = 4_096;

/// Reads a body as each of the three that it may be meant to be. Answers whether it is a whole offer, and the most steps
/// that one of the three took.
pub fn read(body: &[u8]) -> (bool, u64) {
    let (_, fragment) = steps::of(|| Fragment::parse(body));
    let kinds = [("0", TrackKind::Audio), ("1", TrackKind::Video)];
    let (_, both) = steps::of(|| PlayerAnswer::parse(body, &kinds));
    let (_, one) = steps::of(|| PlayerAnswer::parse(body, &kinds[1..]));
    let (whole, offer) = steps::of(|| offer(body));
    (whole, fragment.max(both).max(one).max(offer))
}

/// An offer, and what follows from it: the codecs of a publisher, and those of a viewer whose stream is the first of them.
fn offer(body: &[u8]) -> bool {
    let Ok(offer) = Offer::parse(body) else {
        return false;
    };
    let published: Vec<_> = offer.sections.iter().map(|section| publish(section, "")).collect();
    let stream = published.iter().flatten().next();
    if let Some(codec) = stream.and_then(|publish| StreamCodec::of(&publish.rtp)) {
        for section in &offer.sections {
            let _ = codec.choose(section);
        }
    }
    true
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdef012345\r\na=fingerprint:sha-1 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n";
const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF";
const BUNDLE: &str = "a=group:BUNDLE 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\r\n";

/// A description with as much of `line(0)`, `line(1)`, ... as a body may hold.
fn filled(before: &str, line: impl Fn(usize) -> String) -> Vec<u8> {
    bounded(before, usize::MAX, line)
}

/// The same with at most `count` lines: as many as there may be.
fn bounded(before: &str, count: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = before.to_owned();
    for number in 0..count {
        let more = line(number);
        if text.len() + more.len() > BODY {
            break;
        }
        text += &more;
    }
    text.into_bytes()
}

/// One m-section with these lines after its rtpmap.
fn video(lines: &str) -> String {
    format!("{HEAD}{VIDEO} 96\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\n{lines}")
}

/// One m-section of all payload types.
fn all_formats(codec: &str) -> String {
    let formats: Vec<String> = (0..128).map(|format| format.to_string()).collect();
    let maps: String = (0..128)
        .map(|format| format!("a=rtpmap:{format} {codec}\r\n"))
        .collect();
    format!("{HEAD}{VIDEO} {}\r\na=mid:0\r\n{maps}", formats.join(" "))
}

/// Beyond the bounds: what froze nodes before there were any, and its kind.
fn beyond() -> Vec<(&'static str, Vec<u8>)> {
    let rtx = format!("{HEAD}a=rtpmap:97 rtx/90000\r\n{VIDEO} 96");
    vec![
        (
            "an RTX payload type again and again",
            filled(&rtx, |_| " 97".to_owned()),
        ),
        ("rids", filled(&video(""), |n| format!("a=rid:r{n} send\r\n"))),
        ("layers", filled(&video("a=simulcast:send q"), |n| format!(";r{n}"))),
        ("parameters", filled(&video("a=fmtp:96 a=1"), |n| format!(";a{n}=1"))),
        ("fmtp lines", filled(&video(""), |n| format!("a=fmtp:96 a{n}=1\r\n"))),
        (
            "rtpmaps",
            filled(&video(""), |n| format!("a=rtpmap:{} VP8/90000\r\n", n % 256)),
        ),
        (
            "feedback",
            filled(&video(""), |_| "a=rtcp-fb:* nack pli\r\n".to_owned()),
        ),
        (
            "extensions",
            filled(&video(""), |n| format!("a=extmap:{} urn:x{n}\r\n", 1 + n % 255)),
        ),
        (
            "candidates",
            filled(&video(""), |n| {
                format!("a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n")
            }),
        ),
        (
            "fingerprints",
            filled(&video(""), |n| format!("a=fingerprint:sha-1 {}\r\n", digest(n))),
        ),
        (
            "credentials",
            filled(HEAD, |n| format!("a=ice-ufrag:u{n}\r\na=ice-pwd:p{n}\r\n")),
        ),
        (
            "members of a bundle",
            filled(&format!("{HEAD}a=group:BUNDLE"), |n| format!(" {n}")),
        ),
        ("sources", filled(&video(""), |n| format!("a=ssrc:{n} cname:x\r\n"))),
        ("sections", filled(HEAD, |n| format!("{VIDEO} 96\r\na=mid:{n}\r\n"))),
        ("short attributes", filled(&video(""), |_| "a=\n".to_owned())),
        ("empty lines", filled(HEAD, |_| "\n".to_owned())),
        ("one line", filled(HEAD, |_| "x".to_owned())),
    ]
}

/// As much as is allowed.
fn within() -> Vec<(&'static str, Vec<u8>)> {
    let level = |n: usize| format!("a=fmtp:{} packetization-mode=1;profile-level-id=42e01f", n % 128);
    let h264 = all_formats("H264/90000");
    let known = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"];
    let uris = ["urn:ietf:params:rtp-hdrext:sdes:mid", "urn:3gpp:video-orientation"];
    let sections = |lines: &dyn Fn(usize) -> String| {
        let of = |n: usize| format!("{VIDEO} 96\r\na=mid:{n}\r\na=rtpmap:96 VP8/90000\r\n{}", lines(n));
        bounded(&format!("{HEAD}{BUNDLE}"), 16, of)
    };
    vec![
        (
            "parameters of all payload types",
            bounded(&h264, 128, |n| level(n) + &";p=1".repeat(30) + "\r\n"),
        ),
        (
            "profiles that nobody has",
            bounded(&h264, 128, |n| format!("a=fmtp:{n} packetization-mode=7\r\n")),
        ),
        (
            "wildcard feedback",
            bounded(&h264, 768, |n| format!("a=rtcp-fb:* {}\r\n", known[n % 5])),
        ),
        (
            "feedback",
            bounded(&h264, 640, |n| format!("a=rtcp-fb:{} {}\r\n", n / 5, known[n % 5])),
        ),
        ("short attributes", bounded(&video(""), 1_000, |_| "a=x\n".to_owned())),
        ("short attributes of all sections", sections(&|_| "a=x\n".repeat(110))),
        (
            "rids",
            bounded(&video("a=simulcast:send a;b;c;d\r\n"), 16, |n| {
                format!("a=rid:{n} send{}\r\n", " a=1".repeat(30))
            }),
        ),
        (
            "extensions",
            bounded(&video(""), 64, |n| {
                format!("a=extmap:{} {}\r\n", 1 + n % 14, uris[n % 2])
            }),
        ),
        (
            "extensions of the session and of all sections",
            bounded(&format!("{HEAD}{BUNDLE}{}", extensions()), 16, |n| {
                format!("{VIDEO} 96\r\na=mid:{n}\r\n{}", extensions())
            }),
        ),
        (
            "rtpmaps that cannot be read",
            bounded(&all_formats("VP8"), 64, |_| "a=fmtp:1 a=1\r\n".to_owned()),
        ),
        (
            "rejected sections",
            bounded(&video(""), 15, |n| {
                let formats: String = (0..128).map(|format| format!(" {format}")).collect();
                let lines = "a=x\n".repeat(130);
                format!("m=video 0 UDP/TLS/RTP/SAVPF{formats}\r\na=mid:{n}\r\n{lines}")
            }),
        ),
        ("sources", sections(&|_| "a=ssrc:1 cname:x\r\n".repeat(100))),
        (
            "groups of sources",
            sections(&|_| format!("a=ssrc-group:FID{}\r\n", " 1".repeat(60)).repeat(20)),
        ),
        (
            "candidates",
            sections(&|_| "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(80)),
        ),
        (
            "fingerprints",
            sections(&|n| {
                (0..8)
                    .map(|f| format!("a=fingerprint:sha-1 {}\r\n", digest(n * 8 + f)))
                    .collect()
            }),
        ),
        (
            "credentials",
            sections(&|n| {
                format!(
                    "a=ice-ufrag:u{n}{}\r\na=ice-pwd:p{n}{}\r\n",
                    "x".repeat(200),
                    "y".repeat(200)
                )
            }),
        ),
        (
            "long lines",
            bounded(&video(""), 15, |_| format!("a=x:{}\r\n", "y".repeat(4_080))),
        ),
    ]
}

/// As many header extensions as a section may have, those that mediasoup knows among them.
fn extensions() -> String {
    let known = values(captured("chromium-whip"), "extmap");
    let uris = known
        .iter()
        .filter_map(|value| value.split(' ').nth(1))
        .cycle()
        .take(64);
    let lines = uris
        .enumerate()
        .map(|(n, uri)| format!("a=extmap:{} {uri}\r\n", 255 - n));
    lines.collect()
}

/// A fingerprint of its own for each number.
fn digest(number: usize) -> String {
    let bytes = (0..20).map(|place| format!("{:02X}", (number >> (8 * (place % 2))) & 0xFF));
    bytes.collect::<Vec<String>>().join(":")
}

fn milliseconds(body: &[u8]) -> f64 {
    let begun = Instant::now();
    offer(body);
    begun.elapsed().as_secs_f64() * 1_000.0
}

fn costs_no_more_than_its_length(what: &str, body: &[u8]) -> bool {
    assert!(body.len() <= BODY, "{what}: {}", body.len());
    let (whole, steps) = read(body);
    let ms = (0..3).map(|_| milliseconds(body)).fold(f64::INFINITY, f64::min);
    println!("{ms:8.2} ms {steps:9} steps {:6} bytes  {what}", body.len());
    let most = STEPS_AT_LEAST + STEPS_A_BYTE * body.len() as u64;
    assert!(steps <= most, "{what}: {steps} steps for {} bytes", body.len());
    assert!(steps >= body.len() as u64, "{what}: nothing was counted");
    whole
}

#[test]
fn what_is_beyond_the_bounds_is_refused_in_steps_that_its_length_bounds() {
    for (what, body) in beyond() {
        assert!(body.len() > BODY - 200, "{what}: {}", body.len());
        assert!(!costs_no_more_than_its_length(what, &body), "{what} is taken");
    }
}

#[test]
fn as_much_as_is_allowed_is_read_in_steps_that_its_length_bounds() {
    for (what, body) in within() {
        assert!(
            costs_no_more_than_its_length(what, &body),
            "{what}: {:?}",
            Offer::parse(&body)
        );
    }
    assert!(costs_no_more_than_its_length(
        "a browser",
        captured("chromium-whip").as_bytes()
    ));
}
