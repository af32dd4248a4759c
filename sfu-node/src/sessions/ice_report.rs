//! What the admin API says of ICE of a session: the addresses that its client was given, and the pair that is in use. Pure.

use mediasoup::types::data_structures::{IceState, Protocol, TransportTuple};
use sfumato_admin_api::types::bounds::MAX_CANDIDATES;
use sfumato_admin_api::types::{MediaProtocol, SessionCandidate, SessionIce, SessionIceState, SessionPair};

/// The candidates in a description, or in a fragment, that this server wrote. Each m-section repeats those of the first.
pub fn given(description: &str) -> Vec<SessionCandidate> {
    description
        .lines()
        .take_while(|line| *line != "a=end-of-candidates")
        .filter_map(candidate)
        .take(MAX_CANDIDATES)
        .collect()
}

/// FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ host (RFC 8839 section 5.1).
fn candidate(line: &str) -> Option<SessionCandidate> {
    let mut words = line.strip_prefix("a=candidate:")?.split(' ').skip(2);
    let protocol = match words.next()? {
        "udp" => MediaProtocol::Udp,
        "tcp" => MediaProtocol::Tcp,
        _ => return None,
    };
    let address = words.nth(1)?.to_owned();
    let port = words.next()?.parse().ok()?;
    Some(SessionCandidate {
        protocol,
        address,
        port,
    })
}

/// The report on a transport whose client was given these candidates.
pub fn report(candidates: Vec<SessionCandidate>, state: IceState, selected: Option<TransportTuple>) -> SessionIce {
    let state = match state {
        IceState::New => SessionIceState::New,
        IceState::Connected => SessionIceState::Connected,
        IceState::Completed => SessionIceState::Completed,
        IceState::Disconnected => SessionIceState::Disconnected,
    };
    SessionIce {
        state,
        candidates,
        selected: selected.and_then(pair),
    }
}

fn pair(tuple: TransportTuple) -> Option<SessionPair> {
    let TransportTuple::WithRemote {
        local_address,
        local_port,
        remote_ip,
        remote_port,
        protocol,
    } = tuple
    else {
        return None;
    };
    let protocol = match protocol {
        Protocol::Udp => MediaProtocol::Udp,
        Protocol::Tcp => MediaProtocol::Tcp,
    };
    Some(SessionPair {
        protocol,
        local_address,
        local_port,
        remote_address: remote_ip,
        remote_port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description with these candidates in each of its two sections.
    fn description(candidates: &[String]) -> String {
        let section = format!("a=mid:0\r\n{}a=end-of-candidates\r\n", candidates.concat());
        format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{section}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{section}")
    }

    fn udp(address: &str) -> String {
        format!("a=candidate:1 1 udp 1076302079 {address} 20000 typ host\r\n")
    }

    #[test]
    fn the_candidates_of_a_description_are_told_once_and_in_their_order() {
        let tcp = "a=candidate:2 1 tcp 1076276479 fd00::5 20001 typ host tcptype passive\r\n".to_owned();
        let told = given(&description(&[udp("sfu-0.example.net"), tcp]));
        let words = |it: &SessionCandidate| (it.protocol, it.address.clone(), it.port);
        let expected = [
            (MediaProtocol::Udp, "sfu-0.example.net".to_owned(), 20_000),
            (MediaProtocol::Tcp, "fd00::5".to_owned(), 20_001),
        ];
        assert_eq!(told.iter().map(words).collect::<Vec<_>>(), expected);
        assert!(given("").is_empty());
    }

    #[test]
    fn no_more_candidates_are_told_than_a_reader_takes() {
        let many: Vec<String> = (0..100).map(|n| udp(&format!("192.0.2.{n}"))).collect();
        assert_eq!(given(&description(&many)).len(), MAX_CANDIDATES);
    }

    #[test]
    fn a_pair_is_told_with_both_ends() {
        let tuple = TransportTuple::WithRemote {
            local_address: "10.1.0.5".to_owned(),
            local_port: 20_000,
            remote_ip: "203.0.113.9".parse().unwrap(),
            remote_port: 40_000,
            protocol: Protocol::Udp,
        };
        let told = report(given(&udp("203.0.113.7")), IceState::Completed, Some(tuple));
        let pair = SessionPair {
            protocol: MediaProtocol::Udp,
            local_address: "10.1.0.5".to_owned(),
            local_port: 20_000,
            remote_address: "203.0.113.9".parse().unwrap(),
            remote_port: 40_000,
        };
        assert_eq!((told.state, told.selected), (SessionIceState::Completed, Some(pair)));
        assert_eq!(told.candidates.len(), 1);
        assert_eq!(report(Vec::new(), IceState::New, None).selected, None);
    }
}
