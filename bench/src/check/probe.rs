//! Tries the candidates of a node, and the TURN servers that it names, all at once.

use super::binding;
use super::framing::Framing;
use super::relay;
use super::seen::{Fault, Through, Tried, TriedRelay};
use super::servers::turn_servers;
use super::session::Session;
use super::wire::{Wire, addresses};
use crate::peer::{Candidate, Described, Transport};
use futures::future::join_all;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a candidate may take to answer: over UDP, a request is sent at 0, 0.5, 1.5 and 3.5 s. Connecting over TCP may take as
/// long before. A media node ends a session without media after 15 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Most addresses that are tried, where names have several.
const MAX_TRIED: usize = 64;

/// What comes back from the candidates of this session, and from its TURN servers.
pub async fn all(described: &Described, bind: Option<IpAddr>) -> (Vec<Tried>, Vec<TriedRelay>) {
    let session = Session {
        ice: &described.ice,
        offered: &described.ufrag,
        bind,
    };
    let places = places(&session.ice.candidates).await;
    let over_udp: Vec<SocketAddr> = places
        .iter()
        .filter(|(candidate, _)| candidate.transport == Transport::Udp)
        .filter_map(|(_, address)| address.as_ref().ok().copied())
        .collect();
    let servers = turn_servers(&described.links);
    let (tried, relays) = tokio::join!(
        join_all(
            places
                .into_iter()
                .map(|(candidate, address)| one(session, candidate, address))
        ),
        join_all(servers.iter().map(|server| relay::all(session, server, &over_udp))),
    );
    (tried, relays.concat())
}

/// Each candidate with each of its addresses.
async fn places(candidates: &[Candidate]) -> Vec<(Candidate, Result<SocketAddr, Fault>)> {
    let found = join_all(candidates.iter().map(|it| addresses(&it.host, it.port))).await;
    let mut places = Vec::new();
    for (candidate, found) in candidates.iter().zip(found) {
        match found {
            Ok(all) => places.extend(all.into_iter().map(|address| (candidate.clone(), Ok(address)))),
            Err(fault) => places.push((candidate.clone(), Err(fault))),
        }
    }
    places.truncate(MAX_TRIED);
    places
}

async fn one(session: Session<'_>, candidate: Candidate, address: Result<SocketAddr, Fault>) -> Tried {
    let outcome = match &address {
        Ok(address) => answer(session, candidate.transport, *address).await,
        Err(fault) => Err(fault.clone()),
    };
    Tried {
        candidate,
        address: address.ok(),
        outcome,
    }
}

async fn answer(session: Session<'_>, transport: Transport, address: SocketAddr) -> Result<Through, Fault> {
    let request = binding::request(session.ice, session.offered).map_err(Fault::Failed)?;
    let mut wire = Wire::open(transport, address, session.bind, Framing::Length, ANSWER_WITHIN).await?;
    let read = |message: &[u8]| binding::answer(&request, message, &session.ice.password);
    let (answer, round_trip) = wire.ask(&request, ANSWER_WITHIN, read).await?;
    let seen_as = answer.map_err(Fault::Stranger)?;
    Ok(Through { round_trip, seen_as })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Host, IceDescription};
    use str0m::ice::StunMessage;
    use tokio::net::UdpSocket;

    /// A node that answers one check, signed with this password.
    async fn node(password: &'static str) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = StunMessage::parse(&buffer[..length]).unwrap();
            let mut answer = [0; 256];
            let length = StunMessage::binding_reply(asked.trans_id(), from)
                .to_bytes(Some(password.as_bytes()), &mut answer, binding::hmac)
                .unwrap();
            socket.send_to(&answer[..length], from).await.unwrap();
        });
        address
    }

    async fn tried(password: &'static str) -> Tried {
        let address = node(password).await;
        let ice = IceDescription {
            ufrag: "node".to_owned(),
            password: "secret".to_owned(),
            candidates: vec![Candidate {
                transport: Transport::Udp,
                host: Host::Ip(address.ip()),
                port: address.port(),
            }],
        };
        let session = Session {
            ice: &ice,
            offered: "client",
            bind: None,
        };
        let (candidate, address) = places(&ice.candidates).await.remove(0);
        one(session, candidate, address).await
    }

    #[tokio::test]
    async fn a_node_that_answers_gets_media_and_says_from_where() {
        let through = tried("secret").await.outcome.unwrap();
        assert!(through.seen_as.ip().is_loopback());
        assert!(through.round_trip < ANSWER_WITHIN);
    }

    #[tokio::test]
    async fn an_answer_of_somebody_else_is_none() {
        let outcome = tried("guessed").await.outcome;
        assert!(matches!(outcome, Err(Fault::Stranger(_))), "{outcome:?}");
    }
}
