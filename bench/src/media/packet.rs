//! The first bytes of an RTP payload: does a frame start here, is it a key frame, where does its own data begin.

use super::codec::Codec;

/// What one RTP payload shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Whether a frame may start with this packet.
    pub starts_frame: bool,
    /// Whether the frame is a key frame; only known where it starts.
    pub key_frame: bool,
    /// The codec's own bytes, behind payload descriptors and fragmentation headers.
    pub body: &'a [u8],
}

/// Reads a payload; a malformed one shows nothing and counts as filler.
#[must_use]
pub fn inspect(codec: Codec, payload: &[u8]) -> Payload<'_> {
    match codec {
        Codec::Vp8 => inspect_vp8(payload).unwrap_or(Payload {
            starts_frame: false,
            key_frame: false,
            body: &[],
        }),
        Codec::H264 => inspect_h264(payload),
        Codec::Opus => Payload {
            starts_frame: true,
            key_frame: false,
            body: payload,
        },
    }
}

/// Payload descriptor of RFC 7741, 4.2.
fn inspect_vp8(payload: &[u8]) -> Option<Payload<'_>> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(at)?;
        at += 1;
        if extensions & 0x80 != 0 {
            // A picture id has one byte, or two when its top bit is set.
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        if extensions & 0x40 != 0 {
            at += 1;
        }
        if extensions & 0x30 != 0 {
            at += 1;
        }
    }
    let body = payload.get(at..)?;
    // S bit set and partition index 0: the first packet of a frame.
    let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
    let key_frame = starts_frame && body.first().is_some_and(|b| b & 1 == 0);
    Some(Payload {
        starts_frame,
        key_frame,
        body,
    })
}

const IDR: u8 = 5;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Single NAL unit, STAP-A and FU-A of RFC 6184, 5.6 to 5.8.
fn inspect_h264(payload: &[u8]) -> Payload<'_> {
    let kind = payload.first().map_or(0, |b| b & 0x1f);
    match kind {
        STAP_A => Payload {
            starts_frame: true,
            key_frame: stap_a_holds_idr(&payload[1..]),
            body: &payload[1..],
        },
        FU_A => {
            let header = payload.get(1).copied().unwrap_or(0);
            let starts_frame = header & 0x80 != 0;
            let body = payload.get(2..).unwrap_or(&[]);
            Payload {
                starts_frame,
                key_frame: starts_frame && header & 0x1f == IDR,
                body,
            }
        }
        _ => Payload {
            starts_frame: true,
            key_frame: kind == IDR,
            body: payload,
        },
    }
}

fn stap_a_holds_idr(mut rest: &[u8]) -> bool {
    while let [high, low, unit @ ..] = rest {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        if unit.first().is_some_and(|b| b & 0x1f == IDR) {
            return true;
        }
        rest = unit.get(size..).unwrap_or(&[]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_descriptors_of_every_length_are_skipped() {
        let plain = inspect(Codec::Vp8, &[0x10, 0x00, 9]);
        assert_eq!(
            (plain.starts_frame, plain.key_frame, plain.body),
            (true, true, &[0x00, 9][..])
        );
        let short_id = inspect(Codec::Vp8, &[0x90, 0x80, 0x05, 0x01, 9]);
        assert_eq!(
            (short_id.starts_frame, short_id.key_frame, short_id.body),
            (true, false, &[0x01, 9][..])
        );
        let everything = inspect(Codec::Vp8, &[0x80, 0xf0, 0x81, 0x02, 3, 4, 0x00, 9]);
        assert_eq!(
            (everything.starts_frame, everything.key_frame, everything.body),
            (false, false, &[0x00, 9][..])
        );
        assert!(
            inspect(Codec::Vp8, &[0x80]).body.is_empty(),
            "a cut descriptor shows nothing"
        );
        assert!(inspect(Codec::Vp8, &[]).body.is_empty());
    }

    #[test]
    fn h264_key_frames_are_seen_in_single_units_fragments_and_aggregates() {
        assert!(inspect(Codec::H264, &[0x65, 1]).key_frame);
        assert!(!inspect(Codec::H264, &[0x41, 1]).key_frame);
        assert!(inspect(Codec::H264, &[0x7c, 0x85, 1]).key_frame);
        let middle = inspect(Codec::H264, &[0x7c, 0x05, 1]);
        assert_eq!(
            (middle.starts_frame, middle.key_frame, middle.body),
            (false, false, &[1][..])
        );
        assert!(
            !inspect(Codec::H264, &[0x78, 0, 1, 0x67, 0, 1, 0x68]).key_frame,
            "parameter sets alone are no picture"
        );
        assert!(inspect(Codec::H264, &[0x78, 0, 1, 0x67, 0, 1, 0x65]).key_frame);
        assert!(!inspect(Codec::H264, &[]).key_frame);
    }
}
