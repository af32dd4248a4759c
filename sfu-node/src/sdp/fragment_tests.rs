use super::*;
use crate::sdp::SdpFault;
use proptest::prelude::*;

const TRICKLE: &str = "a=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
    a=mid:0\r\n\
    a=ice-ufrag:EsAw\r\n\
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWC0001\r\n\
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
    a=candidate:3471623853 1 tcp 1518280447 ab7ea74e-2cd1-4b2a-9a5c-0e8d51b4bd1d.local 9 typ host tcptype active\r\n\
    a=end-of-candidates\r\n";

#[test]
fn a_trickle_fragment_is_read() {
    let fragment = Fragment::parse(TRICKLE.as_bytes()).unwrap();
    assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
    assert_eq!(fragment.pwd.as_deref(), Some("P2uYro0UCOQ4zxjKXaWC0001"));
    assert_eq!(fragment.candidates, 2);
    assert!(fragment.end_of_candidates);
}

#[test]
fn credentials_count_at_session_level_and_with_bare_line_ends() {
    let fragment =
        Fragment::parse(b"a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWC0001\nm=audio 9 RTP/AVP 0\na=mid:0\n");
    assert_eq!(fragment.unwrap().ufrag.as_deref(), Some("EsAw"));
}

#[test]
fn a_candidate_of_unknown_transport_or_name_is_no_error() {
    for candidate in [
        "1 1 sctp 1 192.0.2.1 9 typ host",
        "1 1 udp 1 no.such.name.invalid 9 typ host",
        "1 1 udp 1 192.0.2.1 9 typ novel",
        "",
    ] {
        let text = format!("a=candidate:{candidate}\r\n");
        assert!(Fragment::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn what_is_no_fragment_is_400_and_the_line_is_named() {
    for (text, field) in [
        ("{\"candidate\": 1}", "body"),
        ("nonsense", "body"),
        ("m=audio\r\n", "m="),
        ("a=ice-ufrag:abc\r\n", "a=ice-ufrag"),
        ("a=ice-pwd:short\r\n", "a=ice-pwd"),
        ("a=candidate:1 1 udp\r\n", "a=candidate"),
        ("a=candidate:1 1 udp 1 192.0.2.1 70000 typ host\r\n", "a=candidate"),
    ] {
        let error = Fragment::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            (error.fault, error.field.as_str()),
            (SdpFault::Malformed, field),
            "{text}"
        );
    }
    assert_eq!(Fragment::parse(b"\xff\xfe").unwrap_err().fault, SdpFault::Malformed);
}

#[test]
fn a_fragment_repeats_the_first_section_that_is_in_the_bundle() {
    for (rejected, mid) in [
        ("", "0"),
        ("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=inactive\r\n", "1"),
    ] {
        let text = format!(
            "v=0\r\na=group:BUNDLE {mid} x\r\n{rejected}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\nm=audio 9 x\r\na=mid:x\r\n"
        );
        let tag = BundleTag {
            media: "m=video 9 UDP/TLS/RTP/SAVPF 96".to_owned(),
            mid: format!("a=mid:{mid}"),
            mids: format!("a=group:BUNDLE {mid} x"),
        };
        assert_eq!(BundleTag::of(&text), tag);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Fragment::parse(&body);
    }

    #[test]
    fn no_damage_to_a_real_fragment_makes_the_parser_panic(
        cut in 0..TRICKLE.len(), at in 0..TRICKLE.len(), byte: u8, extra in "[ -~]{0,40}"
    ) {
        let mut bytes = TRICKLE.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.truncate(cut);
        bytes.extend_from_slice(extra.as_bytes());
        if let Ok(fragment) = Fragment::parse(&bytes) {
            prop_assert!(fragment.ufrag.is_none_or(|u| (4..=256).contains(&u.len())));
            prop_assert!(fragment.pwd.is_none_or(|p| (22..=256).contains(&p.len())));
        }
    }

    #[test]
    fn credentials_come_out_as_they_went_in(ufrag in "[A-Za-z0-9+/]{4,256}", pwd in "[A-Za-z0-9+/]{22,256}") {
        let text = format!("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
        let fragment = Fragment::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(fragment.ufrag.unwrap(), ufrag);
        prop_assert_eq!(fragment.pwd.unwrap(), pwd);
    }

    #[test]
    fn what_we_write_we_can_read(ufrag in "[a-z0-9]{16,32}", password in "[a-z0-9]{32}") {
        let tag = BundleTag::of("v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n");
        let ice = IceParameters { username_fragment: ufrag.clone(), password: password.clone(), ice_lite: Some(true) };
        let text = write(&tag, &ice, &[]);
        let read = Fragment::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(read.ufrag.unwrap(), ufrag);
        prop_assert_eq!(read.pwd.unwrap(), password);
        prop_assert!(read.end_of_candidates);
        prop_assert!(text.contains("a=mid:0\r\n") && text.contains("a=group:BUNDLE 0 1\r\n"));
    }
}
