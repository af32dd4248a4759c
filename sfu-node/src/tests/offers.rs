//! Offers of real clients, as they sent them.

use crate::sdp::offer::Offer;
use crate::sdp::publish::publish;
use proptest::prelude::*;
use sfumato_admin_api::types::TrackKind;

/// Name and text of each captured offer.
pub const CAPTURED: &[(&str, &str)] = &[
    ("chromium-whip", include_str!("../../tests/offers/chromium-whip.sdp")),
    (
        "chromium-whip-simulcast",
        include_str!("../../tests/offers/chromium-whip-simulcast.sdp"),
    ),
    ("chromium-whep", include_str!("../../tests/offers/chromium-whep.sdp")),
    (
        "chromium-whep-video-first",
        include_str!("../../tests/offers/chromium-whep-video-first.sdp"),
    ),
    ("firefox-whip", include_str!("../../tests/offers/firefox-whip.sdp")),
    ("firefox-whep", include_str!("../../tests/offers/firefox-whep.sdp")),
    ("aiortc-whip", include_str!("../../tests/offers/aiortc-whip.sdp")),
    ("aiortc-whep", include_str!("../../tests/offers/aiortc-whep.sdp")),
    ("ffmpeg9-whip", include_str!("../../tests/offers/ffmpeg9-whip.sdp")),
    ("str0m-whip", include_str!("../../tests/offers/str0m-whip.sdp")),
    ("str0m-whep", include_str!("../../tests/offers/str0m-whep.sdp")),
    ("wrtc-whip", include_str!("../../tests/offers/wrtc-whip.sdp")),
    ("wrtc-whep", include_str!("../../tests/offers/wrtc-whep.sdp")),
    ("obs-whip", include_str!("../../tests/offers/obs-whip.sdp")),
    (
        "obs-whip-simulcast",
        include_str!("../../tests/offers/obs-whip-simulcast.sdp"),
    ),
    (
        "libdatachannel-whep",
        include_str!("../../tests/offers/libdatachannel-whep.sdp"),
    ),
    ("pion-whip", include_str!("../../tests/offers/pion-whip.sdp")),
    ("pion-whep", include_str!("../../tests/offers/pion-whep.sdp")),
    (
        "ffmpeg9-whip-high",
        include_str!("../../tests/offers/ffmpeg9-whip-high.sdp"),
    ),
    ("ffmpeg8-whip", include_str!("../../tests/offers/ffmpeg8-whip.sdp")),
    ("gstreamer-whip", include_str!("../../tests/offers/gstreamer-whip.sdp")),
    (
        "gstreamer-whip-h264",
        include_str!("../../tests/offers/gstreamer-whip-h264.sdp"),
    ),
    ("gstreamer-whep", include_str!("../../tests/offers/gstreamer-whep.sdp")),
    (
        "whipclientsink-whip",
        include_str!("../../tests/offers/whipclientsink-whip.sdp"),
    ),
    (
        "whepclientsrc-whep",
        include_str!("../../tests/offers/whepclientsrc-whep.sdp"),
    ),
];

pub fn captured(name: &str) -> &'static str {
    CAPTURED.iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn every_captured_offer_is_understood() {
    for (name, text) in CAPTURED {
        let offer = Offer::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for section in &offer.sections {
            assert!(!section.codecs.is_empty(), "{name}: {section:?}");
            let opus = section.kind == TrackKind::Audio && section.codecs.iter().any(|c| c.is("opus"));
            let vp8 = section.codecs.iter().any(|c| c.is("VP8"));
            let h264 = section.codecs.iter().any(|c| c.is("H264"));
            assert!(opus || vp8 || h264, "{name}: {section:?}");
        }
    }
}

#[test]
fn every_captured_publisher_gets_a_codec_with_its_own_payload_types_and_extension_ids() {
    for (name, text) in CAPTURED.iter().filter(|(name, _)| name.contains("whip")) {
        let offer = Offer::parse(text.as_bytes()).unwrap();
        for section in &offer.sections {
            let publish = publish(section, "").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                publish.rtp.codecs[0].payload_type(),
                publish.codec.payload_type,
                "{name}"
            );
            for extension in &publish.rtp.header_extensions {
                assert!(section.extensions.contains(&(extension.id, extension.uri)), "{name}");
            }
        }
    }
}

#[test]
fn ffmpeg_is_dtls_server_and_keeps_its_profile_as_text() {
    let offer = Offer::parse(captured("ffmpeg9-whip").as_bytes()).unwrap();
    assert!(offer.client_is_dtls_server);
    let video = offer.sections.iter().find(|s| s.kind == TrackKind::Video).unwrap();
    let profile = video.codecs[0]
        .fmtp
        .iter()
        .find(|(key, _)| key == "profile-level-id")
        .unwrap();
    assert_eq!(profile.1.len(), 6, "{profile:?}");
}

#[test]
fn simulcast_layers_go_from_low_to_high() {
    let offer = Offer::parse(captured("chromium-whip-simulcast").as_bytes()).unwrap();
    let video = offer.sections.iter().find(|s| s.kind == TrackKind::Video).unwrap();
    let rids: Vec<String> = publish(video, "")
        .unwrap()
        .rtp
        .encodings
        .into_iter()
        .filter_map(|encoding| encoding.rid)
        .collect();
    assert_eq!(rids, ["q", "h", "f"]);
}

/// What hostile or broken clients do to an offer.
#[derive(Debug, Clone)]
pub enum Damage {
    DropLine(usize),
    DoubleLine(usize),
    SwapLines(usize, usize),
    CutAt(usize),
    FlipByte(usize, u8),
    ReplaceValue(usize, String),
}

pub fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0_usize..200).prop_map(Damage::DropLine),
        (0_usize..200).prop_map(Damage::DoubleLine),
        (0_usize..200, 0_usize..200).prop_map(|(a, b)| Damage::SwapLines(a, b)),
        (0_usize..12_000).prop_map(Damage::CutAt),
        (0_usize..12_000, any::<u8>()).prop_map(|(at, byte)| Damage::FlipByte(at, byte)),
        (0_usize..200, "[ -~]{0,40}").prop_map(|(line, value)| Damage::ReplaceValue(line, value)),
        (
            0_usize..200,
            prop_oneof![
                Just("4294967295".to_owned()),
                Just("0".to_owned()),
                Just("-1".to_owned()),
                Just("a".repeat(10_000)),
                Just("96 apt=96".to_owned()),
                Just("0 0".to_owned()),
                Just("BUNDLE".to_owned()),
            ]
        )
            .prop_map(|(line, value)| Damage::ReplaceValue(line, value)),
    ]
}

/// Does damage to a text. Positions wrap around, so that every damage hits something.
pub fn hurt(text: &str, damages: &[Damage]) -> Vec<u8> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut bytes_later = Vec::new();
    for damage in damages {
        let at = |index: &usize| index % lines.len().max(1);
        match damage {
            _ if lines.is_empty() => {}
            Damage::DropLine(line) => drop(lines.remove(at(line))),
            Damage::DoubleLine(line) => lines.insert(at(line), lines[at(line)].clone()),
            Damage::SwapLines(a, b) => {
                let (a, b) = (at(a), at(b));
                lines.swap(a, b);
            }
            Damage::ReplaceValue(line, value) => {
                let index = at(line);
                let head = lines[index].find([':', '=']).map_or(0, |end| end + 1);
                lines[index] = format!("{}{value}\r\n", lines[index].get(..head).unwrap_or_default());
            }
            Damage::CutAt(_) | Damage::FlipByte(..) => bytes_later.push(damage.clone()),
        }
    }
    let mut bytes = lines.concat().into_bytes();
    for damage in bytes_later {
        let length = bytes.len().max(1);
        match damage {
            Damage::CutAt(at) => bytes.truncate(at % length),
            Damage::FlipByte(at, byte) => {
                if let Some(there) = bytes.get_mut(at % length) {
                    *there = byte;
                }
            }
            _ => {}
        }
    }
    bytes
}
