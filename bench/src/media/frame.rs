//! Frames with valid headers and nothing inside.

use super::bits::Bits;
use super::codec::Codec;
use super::stamp::{STAMP_LEN, Stamp};

/// Width of the pictures that the frames claim to hold.
pub const WIDTH: u16 = 640;
/// Height of the pictures that the frames claim to hold.
pub const HEIGHT: u16 = 360;
/// Every filler byte; never part of an H264 start code.
const FILLER: u8 = 0xa5;
/// The shortest frame that holds a header and a stamp, in bytes.
pub const MIN_FRAME: usize = 64 + STAMP_LEN;

/// Makes the frames of one track, one after another.
#[derive(Debug)]
pub struct FrameMaker {
    codec: Codec,
    key: Vec<u8>,
    inter: Vec<u8>,
    sequence: u64,
}

impl FrameMaker {
    /// A maker of frames of `bytes` each; key frames have `key_bytes`. Sizes below [`MIN_FRAME`] are raised to it.
    #[must_use]
    pub fn new(codec: Codec, bytes: usize, key_bytes: usize) -> Self {
        let template = |key, length: usize| {
            let length = length.max(MIN_FRAME);
            let mut frame = match codec {
                Codec::Vp8 => vp8_header(key, length),
                Codec::H264 => h264_header(key),
                Codec::Opus => vec![OPUS_TOC],
            };
            frame.resize(length, FILLER);
            frame
        };
        Self {
            codec,
            key: template(true, key_bytes),
            inter: template(false, bytes),
            sequence: 0,
        }
    }

    /// What the frames are coded in.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The next frame, stamped with the present time.
    pub fn next(&mut self, key: bool) -> Vec<u8> {
        let mut frame = if key { self.key.clone() } else { self.inter.clone() };
        Stamp::now(self.sequence).write_to_end(&mut frame);
        self.sequence += 1;
        frame
    }
}

/// CELT, full band, 20 ms, stereo, one frame in the packet (RFC 6716, 3.1).
const OPUS_TOC: u8 = 0b1111_1100;

/// Frame tag, and for key frames the start code and the dimensions (RFC 6386, 9.1).
fn vp8_header(key: bool, length: usize) -> Vec<u8> {
    let header = if key { 10 } else { 3 };
    // Half of what follows is called the first partition: any size within the frame is valid. 19 bits.
    let first_partition = (((length - header) / 2) as u32).min((1 << 19) - 1);
    let (inter_bit, show_frame) = (u32::from(!key), 1 << 4);
    let tag = inter_bit | show_frame | first_partition << 5;
    let mut frame = tag.to_le_bytes()[..3].to_vec();
    if key {
        frame.extend([0x9d, 0x01, 0x2a]);
        frame.extend(WIDTH.to_le_bytes());
        frame.extend(HEIGHT.to_le_bytes());
    }
    frame
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Annex B: a key frame is SPS, PPS and one IDR slice, any other frame one P slice.
fn h264_header(key: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    if key {
        frame.extend(START_CODE);
        frame.extend(h264_sps());
        frame.extend(START_CODE);
        frame.extend(h264_pps());
    }
    frame.extend(START_CODE);
    // nal_ref_idc 3 with type 5, or nal_ref_idc 2 with type 1.
    frame.push(if key { 0x65 } else { 0x41 });
    // Slice header: first_mb_in_slice, slice_type (7: all slices I, 5: all slices P), pic_parameter_set_id, frame_num.
    let mut slice = Bits::default();
    slice
        .golomb(0)
        .golomb(if key { 7 } else { 5 })
        .golomb(0)
        .fixed(u32::from(!key), 4);
    frame.extend(slice.finish());
    frame
}

/// Constrained baseline, level 3.1: `profile-level-id=42e01f` (ITU-T H.264, 7.3.2.1.1).
fn h264_sps() -> Vec<u8> {
    let macroblocks = |pixels: u16| u32::from(pixels).div_ceil(16);
    // Cropping counts in units of two rows, since the pictures are 4:2:0 frames.
    let crop_rows = (macroblocks(HEIGHT) * 16 - u32::from(HEIGHT)) / 2;
    let mut bits = Bits::default();
    bits.fixed(0x67, 8).fixed(0x42, 8).fixed(0xe0, 8).fixed(0x1f, 8);
    // seq_parameter_set_id, log2_max_frame_num_minus4, pic_order_cnt_type (2: output order is coding order), references.
    bits.golomb(0).golomb(0).golomb(2).golomb(1).fixed(0, 1);
    bits.golomb(macroblocks(WIDTH) - 1).golomb(macroblocks(HEIGHT) - 1);
    // frame_mbs_only, direct_8x8_inference, then cropping, then no VUI.
    bits.fixed(0b11, 2)
        .fixed(1, 1)
        .golomb(0)
        .golomb(0)
        .golomb(0)
        .golomb(crop_rows)
        .fixed(0, 1);
    bits.finish()
}

/// The plainest picture parameter set (ITU-T H.264, 7.3.2.2).
fn h264_pps() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.fixed(0x68, 8)
        .golomb(0)
        .golomb(0)
        .fixed(0, 2)
        .golomb(0)
        .golomb(0)
        .golomb(0)
        .fixed(0, 3);
    bits.golomb(0).golomb(0).golomb(0).fixed(0, 3);
    bits.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vp8_key_frame_says_so_and_names_its_size() {
        let frame = FrameMaker::new(Codec::Vp8, 1000, 3000).next(true);
        assert_eq!(frame.len(), 3000);
        assert_eq!(frame[0] & 1, 0, "P bit clear: key frame");
        assert_eq!(frame[0] >> 4 & 1, 1, "shown");
        assert_eq!(frame[3..6], [0x9d, 0x01, 0x2a]);
        assert_eq!(u16::from_le_bytes([frame[6], frame[7]]), WIDTH);
        assert_eq!(u16::from_le_bytes([frame[8], frame[9]]), HEIGHT);
        let first_partition = u32::from_le_bytes([frame[0], frame[1], frame[2], 0]) >> 5;
        assert!((first_partition as usize) < frame.len() - 10);
    }

    #[test]
    fn a_vp8_inter_frame_has_the_p_bit() {
        let frame = FrameMaker::new(Codec::Vp8, 1000, 3000).next(false);
        assert_eq!((frame.len(), frame[0] & 1), (1000, 1));
    }

    #[test]
    fn an_h264_key_frame_holds_sps_pps_and_idr_and_no_stray_start_code() {
        let types = |frame: &[u8]| -> Vec<u8> {
            frame
                .windows(4)
                .filter(|w| w[..3] == [0, 0, 1])
                .map(|w| w[3] & 0x1f)
                .collect()
        };
        let mut maker = FrameMaker::new(Codec::H264, 1000, 3000);
        assert_eq!(types(&maker.next(true)), [7, 8, 5]);
        assert_eq!(types(&maker.next(false)), [1]);
    }

    #[test]
    fn the_sps_is_constrained_baseline_at_level_3_1() {
        assert_eq!(h264_sps()[..4], [0x67, 0x42, 0xe0, 0x1f]);
    }

    #[test]
    fn frames_are_numbered_and_stamped() {
        let mut maker = FrameMaker::new(Codec::Opus, 0, 0);
        for sequence in 0..3 {
            let frame = maker.next(false);
            assert_eq!(frame.len(), MIN_FRAME);
            assert_eq!(Stamp::read_from_end(&frame).map(|s| s.sequence), Some(sequence));
        }
    }
}
