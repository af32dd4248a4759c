//! Reads the size of pictures from RTP packets of key frames. The server is told no sizes: an SDP offer names layers, and
//! what a publisher scales them down by stays its own affair.
//!
//! VP8: RFC 7741 and RFC 6386 section 9.1. VP9: the scalability structure of RFC 9628 section 4.2. H264: the sequence
//! parameter set (ITU-T H.264 section 7.3.2.1.1) in a packet of its own or in a STAP-A (RFC 6184). Nothing of it is
//! trusted: what does not parse has no size.

use super::bits::{BitReader, without_emulation_prevention};
use crate::sdp::codec::VideoCodec;
use sfumato_admin_api::types::bounds;

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl FrameSize {
    /// None for a picture without pixels, or with more columns or rows than a report may name.
    pub fn of(width: u32, height: u32) -> Option<Self> {
        let fits = |side| (1..=bounds::MAX_PIXELS).contains(&u64::from(side));
        (fits(width) && fits(height)).then_some(Self { width, height })
    }
}

/// The size that a packet's payload tells, if it begins a key frame.
pub fn read(codec: VideoCodec, payload: &[u8]) -> Option<FrameSize> {
    match codec {
        VideoCodec::Vp8 => vp8(payload),
        VideoCodec::Vp9 => vp9(payload),
        VideoCodec::H264 => h264(payload),
        // AV1 is taken in one layer only.
        VideoCodec::Av1 => None,
    }
}

fn vp8(payload: &[u8]) -> Option<FrameSize> {
    let first = *payload.first()?;
    let (extended, starts, partition) = (first & 0x80 != 0, first & 0x10 != 0, first & 0x07);
    if !starts || partition != 0 {
        return None;
    }
    let mut offset = 1;
    if extended {
        let flags = *payload.get(offset)?;
        offset += 1;
        if flags & 0x80 != 0 {
            // A picture id of 7 bits, or of 15 when its first bit is set.
            offset += if payload.get(offset)? & 0x80 != 0 { 2 } else { 1 };
        }
        offset += usize::from(flags & 0x40 != 0);
        offset += usize::from(flags & 0x30 != 0);
    }
    let frame = payload.get(offset..)?;
    let key_frame = frame.first()? & 0x01 == 0;
    if !key_frame || frame.get(3..6)? != [0x9D, 0x01, 0x2A] {
        return None;
    }
    let side = |at: usize| {
        Some(u32::from(
            u16::from_le_bytes([*frame.get(at)?, *frame.get(at + 1)?]) & 0x3FFF,
        ))
    };
    FrameSize::of(side(6)?, side(8)?)
}

fn vp9(payload: &[u8]) -> Option<FrameSize> {
    let first = *payload.first()?;
    let has = |bit: u8| first & bit != 0;
    let (picture_id, inter, layers, flexible, structure) = (has(0x80), has(0x40), has(0x20), has(0x10), has(0x02));
    let mut offset = 1;
    if picture_id {
        offset += if payload.get(offset)? & 0x80 != 0 { 2 } else { 1 };
    }
    if layers {
        offset += if flexible { 1 } else { 2 };
    }
    if flexible && inter {
        // Up to three references; the lowest bit says that another follows.
        for _ in 0..3 {
            let more = payload.get(offset)? & 0x01 != 0;
            offset += 1;
            if !more {
                break;
            }
        }
    }
    if !structure {
        return None;
    }
    let header = *payload.get(offset)?;
    offset += 1;
    if header & 0x10 == 0 {
        return None;
    }
    // The highest spatial layer is the last one.
    offset += 4 * usize::from(header >> 5);
    let side = |at: usize| {
        Some(u32::from(u16::from_be_bytes([
            *payload.get(at)?,
            *payload.get(at + 1)?,
        ])))
    };
    FrameSize::of(side(offset)?, side(offset + 2)?)
}

/// Types of NAL units (RFC 6184 section 5.2).
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;

fn h264(payload: &[u8]) -> Option<FrameSize> {
    match payload.first()? & 0x1F {
        NAL_SPS => sequence_parameter_set(&payload[1..]),
        NAL_STAP_A => {
            let mut rest = &payload[1..];
            loop {
                let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
                let unit = rest.get(2..2 + length)?;
                if unit.first().is_some_and(|header| header & 0x1F == NAL_SPS) {
                    return sequence_parameter_set(&unit[1..]);
                }
                rest = &rest[2 + length..];
            }
        }
        _ => None,
    }
}

/// Profiles whose parameter sets say their chroma format (ITU-T H.264 section 7.3.2.1.1).
const PROFILES_WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

fn sequence_parameter_set(escaped: &[u8]) -> Option<FrameSize> {
    let bytes = without_emulation_prevention(escaped);
    let mut bits = BitReader::new(&bytes);
    let profile = bits.read(8)?;
    bits.read(16)?; // constraints, level
    bits.unsigned()?; // seq_parameter_set_id
    let (mut chroma, mut separate_planes) = (1, false);
    if PROFILES_WITH_CHROMA.contains(&profile) {
        chroma = bits.unsigned()?;
        if chroma == 3 {
            separate_planes = bits.flag()?;
        }
        bits.unsigned()?; // bit depth of luma
        bits.unsigned()?; // bit depth of chroma
        bits.flag()?; // transform bypass
        if bits.flag()? {
            let lists = if chroma == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?; // log2_max_frame_num
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?),
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.signed()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?; // max_num_ref_frames
    bits.flag()?; // gaps_in_frame_num
    let columns = bits.unsigned()?.checked_add(1)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.flag()?; // mb_adaptive_frame_field
    }
    bits.flag()?; // direct_8x8_inference
    let field_factor = if frames_only { 1 } else { 2 };
    let (mut width, mut height) = (
        columns.checked_mul(16)?,
        rows.checked_mul(16)?.checked_mul(field_factor)?,
    );
    if bits.flag()? {
        let [left, right, top, bottom] = [bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?];
        let subsampled = !separate_planes && chroma != 0;
        let unit_x = if subsampled && (chroma == 1 || chroma == 2) {
            2
        } else {
            1
        };
        let unit_y = if subsampled && chroma == 1 { 2 } else { 1 } * field_factor;
        width = width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
        height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
    }
    FrameSize::of(width, height)
}

fn skip_scaling_list(bits: &mut BitReader<'_>, length: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..length {
        if next != 0 {
            next = (last + i64::from(bits.signed()?) + 256).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

#[cfg(test)]
#[path = "frame_size_tests.rs"]
mod tests;
