//! What to say of a session that was opened, and whose media did not connect. Pure.

use crate::peer::{Candidate, Host, PeerError};
use reqwest::Url;

/// Where media was to go, why it did not, and what finds out more.
pub fn unconnected(error: &PeerError, candidates: &[Candidate], door: &Url) -> String {
    let how = match error {
        PeerError::Deadline { within, .. } => format!("within {within:?}"),
        PeerError::Closed { reason, .. } => format!("before the session ended ({reason})"),
        other => format!("({other})"),
    };
    let given = if candidates.is_empty() {
        "its answer gave no candidates".to_owned()
    } else {
        let all: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        format!("its answer gave the candidates {}", all.join(", "))
    };
    let names = if candidates.iter().any(|it| matches!(it.host, Host::Name(_))) {
        " (this run tries addresses, not names)"
    } else {
        ""
    };
    // Without the `/` that a URL ends in.
    let door = door.as_str().trim_end_matches('/');
    format!(
        "media did not connect {how}: {given}{names}. `sfu-smoke --check-media --door {door}` says from here which of them gets through"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{CloseReason, Transport};
    use std::time::Duration;

    fn candidate(transport: Transport, host: &str) -> Candidate {
        Candidate {
            transport,
            host: Host::of(host).unwrap(),
            port: 20_000,
        }
    }

    #[test]
    fn a_session_that_never_connected_names_where_media_was_to_go_and_what_finds_out_more() {
        let closed = PeerError::Closed {
            url: "http://a/".to_owned(),
            reason: CloseReason::IceLost,
            what: "frames".to_owned(),
        };
        let all = [
            candidate(Transport::Udp, "10.1.2.3"),
            candidate(Transport::Tcp, "10.1.2.3"),
        ];
        let door = "http://127.0.0.1:2020".parse().unwrap();
        assert_eq!(
            unconnected(&closed, &all, &door),
            "media did not connect before the session ended (ICE lost): its answer gave the candidates udp 10.1.2.3:20000, \
             tcp 10.1.2.3:20000. `sfu-smoke --check-media --door http://127.0.0.1:2020` says from here which of them gets through"
        );
        let late = PeerError::Deadline {
            url: "http://a/".to_owned(),
            what: "connection".to_owned(),
            within: Duration::from_secs(15),
            state: "connecting".to_owned(),
        };
        let named = [candidate(Transport::Udp, "sfu-0.example.net")];
        let said = unconnected(&late, &named, &door);
        assert!(said.contains("within 15s"), "{said}");
        assert!(
            said.contains("sfu-0.example.net:20000 (this run tries addresses, not names)"),
            "{said}"
        );
        assert!(unconnected(&late, &[], &door).contains("gave no candidates"));
    }
}
