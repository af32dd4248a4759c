use crate::sdp::SdpFault;
use crate::sdp::offer::{Offer, Section};
use crate::sdp::publish::publish;
use crate::tests::habits::DTLS_SRTP;
use mediasoup::types::rtp_parameters::{RtcpFeedback, RtpHeaderExtensionUri};
use sdp_types::Direction;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdef012345\r\na=fingerprint:sha-1 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// The one m-section of an offer with these lines, given without `a=`.
fn section(session: &[&str], media: &str, lines: &[&str]) -> Section {
    let text = |lines: &[&str]| lines.iter().map(|line| format!("a={line}\r\n")).collect::<String>();
    let offer = format!("{HEAD}{}m={media}\r\n{}", text(session), text(lines));
    Offer::parse(offer.as_bytes())
        .unwrap_or_else(|error| panic!("{offer}: {error}"))
        .sections
        .remove(0)
}

const VIDEO: &str = "video 9 UDP/TLS/RTP/SAVPF 96";

#[test]
fn every_profile_that_means_dtls_srtp_is_taken_and_no_other() {
    for proto in DTLS_SRTP {
        assert_eq!(section(&[], &format!("audio 9 {proto} 111"), &[]).proto, proto);
    }
    for proto in ["RTP/AVP", "RTP/AVPF", "UDP/DTLS/SCTP", "x/RTP/SAVPF"] {
        let error = Offer::parse(format!("{HEAD}m=audio 9 {proto} 111\r\n").as_bytes()).unwrap_err();
        assert_eq!(error.fault, SdpFault::Unsupported, "{proto}");
        let expected = format!("protocol {proto} is not supported: offer UDP/TLS/RTP/SAVPF");
        assert_eq!(error.detail, expected);
    }
}

#[test]
fn an_extmap_line_that_cannot_be_used_costs_itself() {
    for line in [
        "extmap",
        "extmap:",
        "extmap:4",
        "extmap:x urn:x",
        "extmap:-1 urn:x",
        "extmap:0 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:256 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:4096 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:4351 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:99999999999 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:3/sideways urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:3/inactive urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "extmap:3 urn:nobody:knows",
    ] {
        let mid = format!("extmap:4 {MID}");
        for lines in [[line, mid.as_str()], [mid.as_str(), line]] {
            let found = section(&[], VIDEO, &lines).extensions;
            assert_eq!(found, [(4, RtpHeaderExtensionUri::Mid)], "{lines:?}");
        }
    }
}

#[test]
fn ids_of_one_and_of_two_bytes_are_taken_and_each_means_one_extension() {
    for id in [1, 14, 15, 255] {
        let found = section(&[], VIDEO, &[&format!("extmap:{id}/sendonly {MID} some=more")]).extensions;
        assert_eq!(found, [(id, RtpHeaderExtensionUri::Mid)]);
    }
    let twice = section(
        &[],
        VIDEO,
        &[
            &format!("extmap:4 {MID}"),
            &format!("extmap:4 {RID}"),
            &format!("extmap:5 {MID}"),
        ],
    );
    assert_eq!(twice.extensions, [(4, RtpHeaderExtensionUri::Mid)]);
}

/// Lines of the session, lines of the section, extensions of the section.
type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [(u16, RtpHeaderExtensionUri)]);

#[test]
fn extensions_of_the_session_hold_where_the_section_says_nothing_else() {
    let (mid, rid) = (RtpHeaderExtensionUri::Mid, RtpHeaderExtensionUri::RtpStreamId);
    let (mid_4, rid_5, rid_4) = (
        format!("extmap:4 {MID}"),
        format!("extmap:5 {RID}"),
        format!("extmap:4 {RID}"),
    );
    let table: [Row<'_>; 6] = [
        (&[&mid_4, &rid_5], &[], &[(4, mid), (5, rid)]),
        (&[&mid_4], &[&rid_5], &[(5, rid), (4, mid)]),
        (&[&rid_4], &[&rid_5], &[(5, rid)]),
        (&[&mid_4], &[&rid_4], &[(4, rid)]),
        (&[&mid_4], &["extmap:4 urn:nobody:knows"], &[]),
        (
            &["extmap:0 urn:x", "extmap:x", &mid_4],
            &["extmap:300 urn:x"],
            &[(4, mid)],
        ),
    ];
    for (session, lines, expected) in table {
        assert_eq!(
            section(session, VIDEO, lines).extensions,
            expected,
            "{session:?} {lines:?}"
        );
    }
}

#[test]
fn the_direction_of_the_session_holds_where_the_section_has_none() {
    for (session, lines, expected) in [
        (None, None, Direction::SendRecv),
        (Some("sendonly"), None, Direction::SendOnly),
        (Some("recvonly"), None, Direction::RecvOnly),
        (Some("inactive"), None, Direction::Inactive),
        (Some("recvonly"), Some("sendonly"), Direction::SendOnly),
        (Some("inactive"), Some("sendrecv"), Direction::SendRecv),
        (None, Some("recvonly"), Direction::RecvOnly),
    ] {
        let list = |line: Option<&'static str>| line.into_iter().collect::<Vec<_>>();
        let found = section(&list(session), VIDEO, &list(lines)).direction;
        assert_eq!(found, expected, "{session:?} {lines:?}");
    }
}

#[test]
fn a_line_of_a_payload_type_that_cannot_be_read_costs_that_payload_type_at_most() {
    for line in [
        "rtpmap",
        "rtpmap:",
        "rtpmap:VP8/90000",
        "rtpmap:97",
        "rtpmap:97 VP9",
        "rtpmap:97 VP9/",
        "rtpmap:97 VP9/99999999999",
        "rtpmap:128 VP9/90000",
        "rtpmap:50 VP9",
        "rtpmap:96 VP9",
        "fmtp",
        "fmtp:x a=1",
        "fmtp:96",
        "fmtp:300 a=1",
        "rtcp-fb:",
        "rtcp-fb:96",
        "rtcp-fb:x nack",
        "rtcp-fb:96 trr-int soon",
    ] {
        let good = ["rtpmap:96 VP8/90000", "fmtp:96 a=1", "rtcp-fb:96 nack pli"];
        for at in [0, 3] {
            let mut lines = good.to_vec();
            lines.insert(at, line);
            let codecs = section(&[], "video 9 UDP/TLS/RTP/SAVPF 97 96", &lines).codecs;
            assert_eq!(codecs.len(), 1, "{line}");
            assert_eq!((codecs[0].payload_type, codecs[0].name.as_str()), (96, "VP8"), "{line}");
            assert_eq!(codecs[0].fmtp, [("a".to_owned(), "1".to_owned())], "{line}");
            assert_eq!(codecs[0].feedback, [RtcpFeedback::NackPli], "{line}");
        }
    }
}

#[test]
fn a_refusal_for_want_of_a_codec_names_the_first_line_that_could_not_be_read() {
    let refused = |lines: &[&str]| {
        let section = section(&[], "video 9 UDP/TLS/RTP/SAVPF 97 96 98", lines);
        publish(&section, "").unwrap_err().detail
    };
    for (lines, named) in [
        (&["rtpmap:96 VP8"][..], Some("`a=rtpmap:96 VP8`")),
        (&["rtpmap:96 VP8", "rtpmap:97 VP9"], Some("`a=rtpmap:97 VP9`")),
        (
            &["rtpmap:VP8/90000", "rtpmap:98 H265/90000"],
            Some("`a=rtpmap:VP8/90000`"),
        ),
        (&["rtpmap:VP8/90000", "rtpmap:98 VP9"], Some("`a=rtpmap:98 VP9`")),
        (&["rtpmap:50 VP8", "rtpmap:98 H265/90000"], None),
    ] {
        let detail = refused(lines);
        match named {
            Some(line) => assert!(detail.contains(line), "{detail}"),
            None => assert!(!detail.contains("a=rtpmap"), "{detail}"),
        }
    }
    assert!(refused(&["rtpmap:96 H265/90000"]).contains("offered H265, supported"));
}

#[test]
fn an_engine_is_known_by_its_extension_wherever_that_stands() {
    let timing = "a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/video-timing\r\n";
    let (audio, video) = (
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n",
    );
    for (lines, known) in [
        (format!("{audio}{video}"), false),
        (format!("{timing}{audio}"), true),
        (format!("{audio}{timing}"), true),
        (format!("{audio}{video}{timing}"), true),
    ] {
        let offer = Offer::parse(format!("{HEAD}{lines}").as_bytes()).unwrap();
        assert_eq!(offer.is_libwebrtc, known, "{lines}");
    }
}
