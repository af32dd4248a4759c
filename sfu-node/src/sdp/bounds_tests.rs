use super::*;
use crate::sdp::SdpFault;

/// A description with these lines in its one m-section.
fn with(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{lines}")
}

/// As many of `one` as may be are fine, and one more is refused with the field and the bound.
fn bounded(field: &str, most: usize, description: impl Fn(usize) -> String) {
    assert_eq!(check(description(most).as_bytes()), Ok(()), "{field}: {most}");
    let error = check(description(most + 1).as_bytes()).unwrap_err();
    assert_eq!((error.fault, error.field.as_str()), (SdpFault::Unsupported, field));
    assert!(error.detail.contains(&most.to_string()), "{}", error.detail);
}

#[test]
fn lines_of_each_kind_are_bounded_in_an_m_section() {
    for (field, most, line) in [
        ("a=rtpmap", MAX_RTPMAPS, "a=rtpmap:96 VP8/90000\r\n"),
        ("a=fmtp", MAX_FMTPS, "a=fmtp:96 a=1\r\n"),
        ("a=rtcp-fb", MAX_FEEDBACKS, "a=rtcp-fb:96 nack\r\n"),
        ("a=rid", MAX_RIDS, "a=rid:q send\r\n"),
        ("a=simulcast", MAX_SIMULCASTS, "a=simulcast:send q\r\n"),
        ("a=extmap", MAX_EXTENSIONS, "a=extmap:1 urn:x\r\n"),
        ("a=ssrc", MAX_SSRCS, "a=ssrc:1 cname:x\r\n"),
        ("a=ssrc-group", MAX_SSRC_GROUPS, "a=ssrc-group:FID 1 2\r\n"),
        (
            "a=candidate",
            MAX_CANDIDATES,
            "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
        ),
        ("a=fingerprint", MAX_FINGERPRINTS, "a=fingerprint:sha-256 AA\r\n"),
        ("a=ice-ufrag", MAX_CREDENTIALS, "a=ice-ufrag:abcd\r\n"),
        ("a=ice-pwd", MAX_CREDENTIALS, "a=ICE-PWD:abcd\r\n"),
        ("a=group", MAX_GROUPS, "a=group:BUNDLE 0\r\n"),
        ("a=", MAX_ATTRIBUTES, "a=x\n"),
    ] {
        bounded(field, most, |count| with(&line.repeat(count)));
    }
}

#[test]
fn each_m_section_has_bounds_of_its_own() {
    let section = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{}",
        "a=rid:q send\r\n".repeat(MAX_RIDS)
    );
    assert_eq!(check(with(&section.repeat(8)).as_bytes()), Ok(()));
}

#[test]
fn the_parts_of_a_line_are_bounded() {
    let words = |count: usize| vec!["1"; count].join(" ");
    bounded("m=", MAX_FORMATS, |count| {
        format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {}\r\n", words(count))
    });
    bounded("a=fmtp", MAX_FMTP_PARAMETERS, |count| {
        with(&format!("a=fmtp:96 {}\r\n", vec!["a=1"; count].join(";")))
    });
    bounded("a=rid", MAX_RID_RESTRICTIONS, |count| {
        with(&format!("a=rid:{}\r\n", words(count)))
    });
    bounded("a=simulcast", MAX_RIDS, |count| {
        with(&format!("a=simulcast:send {}\r\n", vec!["q"; count - 1].join(";")))
    });
    bounded("a=ssrc-group", MAX_MEMBERS, |count| {
        with(&format!("a=ssrc-group:{}\r\n", words(count)))
    });
    bounded("a=candidate", MAX_CANDIDATE_WORDS, |count| {
        with(&format!("a=candidate:{}\r\n", words(count)))
    });
    bounded("a=group", MAX_MEMBERS, |count| {
        format!("v=0\r\na=group:{}\r\n", words(count))
    });
}

#[test]
fn the_length_of_credentials_and_fingerprints_is_bounded() {
    for (field, most) in [
        ("ice-ufrag", MAX_CREDENTIAL),
        ("ice-pwd", MAX_CREDENTIAL),
        ("fingerprint", MAX_FINGERPRINT),
    ] {
        bounded(&format!("a={field}"), most, |length| {
            with(&format!("a={field}:{}\r\n", "x".repeat(length)))
        });
    }
}

#[test]
fn sections_lines_and_the_length_of_a_line_are_bounded() {
    bounded("m=", MAX_SECTIONS, |count| {
        format!("v=0\r\n{}", "m=audio 9 X 0\r\n".repeat(count))
    });
    bounded("body", MAX_LINES, |count| "i=x\n".repeat(count));
    bounded("body", MAX_LINE, |length| format!("v=0\n{}\n", "x".repeat(length)));
}
