use super::*;
use proptest::prelude::*;

const SIZE: FrameSize = FrameSize {
    width: 1280,
    height: 720,
};

/// A VP8 key frame of 1280 x 720 behind the given payload descriptor.
fn vp8_frame(descriptor: &[u8]) -> Vec<u8> {
    let mut payload = descriptor.to_vec();
    payload.extend_from_slice(&[0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x02, 0xFF]);
    payload
}

#[test]
fn a_vp8_key_frame_tells_its_size_behind_every_descriptor() {
    for descriptor in [
        &[0x10][..],
        &[0x90, 0x80, 0x11],
        &[0x90, 0x80, 0x91, 0x11],
        &[0x90, 0xE0, 0x91, 0x11, 0x01, 0x20],
        &[0x90, 0x10, 0x20],
    ] {
        assert_eq!(
            read(VideoCodec::Vp8, &vp8_frame(descriptor)),
            Some(SIZE),
            "{descriptor:?}"
        );
    }
}

#[test]
fn the_scaling_bits_of_vp8_are_no_part_of_its_size() {
    let mut payload = vp8_frame(&[0x10]);
    payload[8] |= 0x40;
    payload[10] |= 0x80;
    assert_eq!(read(VideoCodec::Vp8, &payload), Some(SIZE));
}

#[test]
fn other_vp8_packets_tell_nothing() {
    let mut inter = vp8_frame(&[0x10]);
    inter[1] |= 0x01;
    assert_eq!(read(VideoCodec::Vp8, &inter), None, "an inter frame");
    assert_eq!(
        read(VideoCodec::Vp8, &vp8_frame(&[0x00])),
        None,
        "the middle of a frame"
    );
    assert_eq!(read(VideoCodec::Vp8, &vp8_frame(&[0x11])), None, "another partition");
}

#[test]
fn a_vp9_scalability_structure_tells_the_size_of_its_highest_layer() {
    // Picture id of 15 bits, layer indices, not flexible, with a structure of two layers.
    let payload = [
        0xAA, 0x81, 0x02, 0x00, 0x05, 0x30, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xD0, 0xFF,
    ];
    assert_eq!(read(VideoCodec::Vp9, &payload), Some(SIZE));
    assert_eq!(
        read(VideoCodec::Vp9, &[0x8A, 0x01, 0x00]),
        None,
        "a structure without sizes"
    );
    assert_eq!(read(VideoCodec::Vp9, &[0x88, 0x01, 0x00]), None, "no structure");
}

/// Parameter sets as x264 writes them for pictures of 1280 x 720 (High), 1920 x 1080 (Baseline) and 318 x 242 (Main).
const SPS_720P_HIGH: [u8; 26] = [
    0x67, 0x64, 0x00, 0x1F, 0xAC, 0xD9, 0x40, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03, 0xC0, 0xF1, 0x83, 0x19, 0x60,
];
const SPS_1080P_BASELINE: [u8; 26] = [
    0x67, 0x42, 0xC0, 0x28, 0xD9, 0x00, 0x78, 0x02, 0x27, 0xE5, 0xC0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00,
    0x03, 0x00, 0xF0, 0x3C, 0x60, 0xC9, 0x20,
];
const SPS_CROPPED_MAIN: [u8; 25] = [
    0x67, 0x4D, 0x40, 0x0D, 0xEC, 0xA0, 0xA0, 0x43, 0xD4, 0x46, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00,
    0x07, 0x81, 0xE2, 0x85, 0x32, 0xC0,
];

#[test]
fn an_h264_parameter_set_tells_the_size_alone_and_in_an_aggregate() {
    assert_eq!(read(VideoCodec::H264, &SPS_720P_HIGH), Some(SIZE));
    let of = |width, height| Some(FrameSize { width, height });
    assert_eq!(read(VideoCodec::H264, &SPS_1080P_BASELINE), of(1920, 1080));
    assert_eq!(read(VideoCodec::H264, &SPS_CROPPED_MAIN), of(318, 242));
    let mut aggregate = vec![0x78, 0x00, 0x02, 0x09, 0xF0, 0x00, SPS_720P_HIGH.len() as u8];
    aggregate.extend_from_slice(&SPS_720P_HIGH);
    assert_eq!(read(VideoCodec::H264, &aggregate), Some(SIZE));
    assert_eq!(read(VideoCodec::H264, &[0x65, 0x88, 0x84]), None, "a slice");
}

proptest! {
    #[test]
    fn damaged_packets_are_read_without_harm(
        codec in prop_oneof![Just(VideoCodec::Vp8), Just(VideoCodec::Vp9), Just(VideoCodec::H264), Just(VideoCodec::Av1)],
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        read(codec, &payload);
    }

    #[test]
    fn damaged_parameter_sets_are_read_without_harm(at in 0usize..26, with in any::<u8>(), length in 0usize..26) {
        let mut sps = SPS_720P_HIGH;
        sps[at] = with;
        read(VideoCodec::H264, &sps[..length]);
        read(VideoCodec::H264, &sps);
    }
}

#[test]
fn a_picture_with_more_columns_or_rows_than_a_report_may_name_has_no_size() {
    // Else every reader would refuse the whole report of the node, for as long as one publisher claims it.
    let largest = FrameSize {
        width: 65_535,
        height: 1,
    };
    assert_eq!(FrameSize::of(65_535, 1), Some(largest));
    assert_eq!(FrameSize::of(65_536, 720), None);
    assert_eq!(FrameSize::of(1280, u32::MAX), None);
}
