//! Whatever comes as an offer, an answer or a fragment: nothing panics, and what it costs its length bounds.

use super::fuzz::config;
use super::offers::{CAPTURED, damage, hurt};
use super::worst::{STEPS_A_BYTE, STEPS_AT_LEAST, read};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Lines that are read for what they say, and parts of them.
const LINES: [&str; 30] = [
    "v=0\r\n",
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n",
    "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n",
    "a=mid:0\r\n",
    "a=rtpmap:96 VP8/90000\r\n",
    "a=rtpmap:97 rtx/90000\r\n",
    "a=rtpmap:111 opus/48000/2\r\n",
    "a=fmtp:97 apt=96\r\n",
    "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1\r\n",
    "a=rtcp-fb:* nack pli\r\n",
    "a=rtcp-fb:96 ccm fir\r\n",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
    "a=rid:q send max-width=320\r\n",
    "a=simulcast:send q;h,~f\r\n",
    "a=ssrc:1 cname:x\r\n",
    "a=ssrc-group:FID 1 2\r\n",
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
    "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n",
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\n",
    "a=group:BUNDLE 0 1\r\n",
    "a=setup:actpass\r\n",
    "a=sendonly\r\n",
    "a=recvonly\r\n",
    "a=bundle-only\r\n",
    "a=rtpmap:96 VP8\r\n",
    "a=rtpmap:111 opus\r\n",
    "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
    "a=extmap:4097 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
    ";a=1 97",
    "\r\n",
];

/// Runs of such lines, whole descriptions among them by chance.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let run = (0..LINES.len(), prop_oneof![4 => 1..4_usize, 1 => 1..300_usize]);
    prop::collection::vec(run, 1..24).prop_map(|runs| {
        let runs = runs.iter().map(|(line, count)| LINES[*line].repeat(*count));
        let mut text = format!("{}{}", LINES[0], runs.collect::<String>());
        text.truncate(64 * 1024);
        text.into_bytes()
    })
}

fn harmless(body: &[u8]) -> Result<(), TestCaseError> {
    let (_, steps) = read(body);
    let most = STEPS_AT_LEAST + STEPS_A_BYTE * body.len() as u64;
    prop_assert!(steps <= most, "{steps} steps for {} bytes", body.len());
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_make_a_parser_panic_or_work_more_than_they_are_long(
        bytes in prop::collection::vec(any::<u8>(), 0..1_000),
    ) {
        harmless(&bytes)?;
    }

    #[test]
    fn no_damaged_offer_makes_a_parser_panic_or_work_more_than_it_is_long(
        which in 0..CAPTURED.len(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        harmless(&hurt(CAPTURED[which].1, &damages))?;
    }

    #[test]
    fn no_lines_in_any_order_make_a_parser_panic_or_work_more_than_they_are_long(body in soup()) {
        harmless(&body)?;
    }
}
