//! Tries a TURN server: asks it for an address, sends a check to the node from there, and gives the address back.

use super::binding;
use super::framing::Framing;
use super::seen::{Fault, Relay, Through, TriedRelay};
use super::servers::{Place, TurnServer};
use super::session::Session;
use super::turn_messages::{Credentials, Reply, allocate, permit, relayed, release, reply, send};
use super::wire::{Wire, addresses};
use crate::peer::Transport;
use futures::future::join_all;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a server may take to answer one request, and the node to answer through it.
const STEP_WITHIN: Duration = Duration::from_secs(3);
/// How long giving an address back may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);
/// Most Allocates: without credentials, with them, and with a newer nonce.
const MAX_ALLOCATES: usize = 3;
/// Most addresses of the node that are tried through a server.
const MAX_PEERS: usize = 2;

/// What comes of a server, by each transport that its URL leaves open. `node` has the addresses of the node's candidates for UDP.
pub async fn all(session: Session<'_>, server: &TurnServer, node: &[SocketAddr]) -> Vec<TriedRelay> {
    let place = match &server.place {
        Ok(place) => place,
        Err(why) => {
            return vec![TriedRelay {
                server: server.url.clone(),
                outcome: Relay::NotTried(why),
            }];
        }
    };
    let login = server.login.as_ref();
    let tries = match place.transport {
        Some(transport) => vec![(transport, format!("{} ({transport})", server.url))],
        None => vec![
            (Transport::Udp, format!("{} (udp)", server.url)),
            (
                Transport::Tcp,
                format!("{} (tcp, which clients try only with ?transport=tcp)", server.url),
            ),
        ],
    };
    let tries = tries.into_iter().map(|(transport, server)| async move {
        let outcome = one(session, place, transport, login, node).await;
        TriedRelay {
            server,
            outcome: outcome.unwrap_or_else(Relay::Unreached),
        }
    });
    join_all(tries).await
}

async fn one(
    session: Session<'_>,
    place: &Place,
    transport: Transport,
    login: Option<&(String, String)>,
    node: &[SocketAddr],
) -> Result<Relay, Fault> {
    let to = addresses(&place.host, place.port).await?[0];
    let mut wire = Wire::open(transport, to, session.bind, Framing::Stun, STEP_WITHIN).await?;
    let (relayed, by) = match allocated(&mut wire, login).await? {
        Ok(allocated) => allocated,
        Err(outcome) => return Ok(outcome),
    };
    let outcome = to_node(&mut wire, session, by.as_ref(), node).await;
    let request = release(by.as_ref());
    // An address that is not given back is free again after ten minutes.
    let _ = wire
        .ask(&request, RELEASE_WITHIN, |message| reply(&request, message))
        .await;
    Ok(match outcome {
        Ok(through) => Relay::ToNode(through),
        Err(why) => Relay::NotToNode { relayed, why },
    })
}

/// An address of the server, with the credentials that it was given for; or what to tell instead.
async fn allocated(
    wire: &mut Wire,
    login: Option<&(String, String)>,
) -> Result<Result<(SocketAddr, Option<Credentials>), Relay>, Fault> {
    let denied = |why: &str| Ok(Err(Relay::Denied(why.to_owned())));
    let mut by = None;
    for _ in 0..MAX_ALLOCATES {
        let request = allocate(by.as_ref());
        let (said, _) = wire
            .ask(&request, STEP_WITHIN, |message| reply(&request, message))
            .await?;
        let (code, challenge) = match said {
            Reply::Done(Some(relayed)) => return Ok(Ok((relayed, by))),
            Reply::Done(None) => return denied("its answer names no address"),
            Reply::Denied(why) => return denied(&why),
            Reply::Challenge(code, challenge) => (code, challenge),
        };
        let Some((username, password)) = login else {
            return Ok(Err(Relay::AsksForCredentials));
        };
        if by.is_some() && code == 401 {
            return denied("the credentials that the node names are not those of a user (401)");
        }
        by = Credentials::new(username, password, challenge);
        if by.is_none() {
            return denied("the credentials that the node names are too long");
        }
    }
    denied("it asks for a newer nonce again and again (438)")
}

/// The way through the server to the node and back; on an error why there is none.
async fn to_node(
    wire: &mut Wire,
    session: Session<'_>,
    by: Option<&Credentials>,
    node: &[SocketAddr],
) -> Result<Through, String> {
    let mut why = "it has no IPv4 candidate for UDP".to_owned();
    // The address that a server gives is an IPv4 one (RFC 8656 section 7.2).
    for peer in node.iter().filter(|address| address.is_ipv4()).take(MAX_PEERS) {
        match to_peer(wire, session, by, *peer).await {
            Ok(through) => return Ok(through),
            Err(not) => why = format!("{peer}: {not}"),
        }
    }
    Err(why)
}

async fn to_peer(
    wire: &mut Wire,
    session: Session<'_>,
    by: Option<&Credentials>,
    peer: SocketAddr,
) -> Result<Through, String> {
    let text = |fault: Fault| fault.to_string();
    let request = permit(peer, by);
    let (said, _) = wire
        .ask(&request, STEP_WITHIN, |message| reply(&request, message))
        .await
        .map_err(text)?;
    match said {
        Reply::Done(_) => {}
        Reply::Denied(why) => return Err(format!("the server does not relay there, {why}")),
        Reply::Challenge(code, _) => return Err(format!("the server does not relay there, {code}")),
    }
    let check = binding::request(session.ice, session.offered)?;
    let read = |message: &[u8]| binding::answer(&check, &relayed(message)?, &session.ice.password);
    let (answer, round_trip) = wire
        .ask_again(&send(peer, &check), STEP_WITHIN, read)
        .await
        .map_err(text)?;
    Ok(Through {
        round_trip,
        seen_as: answer?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Host, IceDescription};
    use str0m::ice::{StunMessage, StunMessageBuilder, TransId};
    use tokio::net::UdpSocket;

    const PASSWORD: &str = "password of the session";

    /// What a server is asked, in order.
    type Asked = Vec<&'static str>;

    fn bytes(message: StunMessage<'_>, password: Option<&str>) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        let length = message
            .to_bytes(password.map(str::as_bytes), &mut bytes, binding::hmac)
            .unwrap();
        bytes.truncate(length);
        bytes
    }

    /// A TURN server that knows one user, and relays to a node that it plays itself.
    async fn server() -> (SocketAddr, tokio::task::JoinHandle<Asked>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut asked = Asked::new();
            loop {
                let mut buffer = [0; 2048];
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let message = StunMessage::parse(&buffer[..length]).unwrap();
                let id = message.trans_id();
                let known = message.username() == Some("user") && message.nonce() == Some("new");
                let (what, answer) = if message.is_allocate_request() && !known {
                    let asks = StunMessageBuilder::new().allocate().failure();
                    let asks = asks.error_code(401, "Unauthorized").realm("r").nonce("new").build(id);
                    ("challenged", bytes(asks, None))
                } else if message.is_allocate_request() {
                    let gives = StunMessageBuilder::new().allocate().success();
                    let gives = gives.xor_relayed_address("198.51.100.9:49152".parse().unwrap());
                    ("allocated", bytes(gives.build(id), None))
                } else if message.is_create_permission_request() {
                    let permits = StunMessageBuilder::new().create_permission().success().build(id);
                    ("permitted", bytes(permits, None))
                } else if let Some(data) = message.data() {
                    let check = StunMessage::parse(data).unwrap();
                    let seen_as = "198.51.100.9:49152".parse().unwrap();
                    let answer = bytes(StunMessage::binding_reply(check.trans_id(), seen_as), Some(PASSWORD));
                    let peer = message.xor_peer_address().unwrap();
                    let relays = StunMessageBuilder::new().data().indication();
                    let relays = relays.xor_peer_address(peer).data(&answer).build(TransId::new());
                    ("relayed", bytes(relays, None))
                } else {
                    let done = StunMessageBuilder::new().refresh().success().lifetime(0).build(id);
                    socket.send_to(&bytes(done, None), from).await.unwrap();
                    asked.push("released");
                    return asked;
                };
                socket.send_to(&answer, from).await.unwrap();
                asked.push(what);
            }
        });
        (address, serving)
    }

    async fn tried(address: SocketAddr, login: Option<(&str, &str)>) -> Relay {
        let ice = IceDescription {
            ufrag: "node".to_owned(),
            password: PASSWORD.to_owned(),
            candidates: Vec::new(),
        };
        let session = Session {
            ice: &ice,
            offered: "client",
            bind: None,
        };
        let server = TurnServer {
            url: format!("turn:{address}?transport=udp"),
            place: Ok(Place {
                host: Host::Ip(address.ip()),
                port: address.port(),
                transport: Some(Transport::Udp),
            }),
            login: login.map(|(name, password)| (name.to_owned(), password.to_owned())),
        };
        let node: [SocketAddr; 1] = ["203.0.113.7:30100".parse().unwrap()];
        let tried = all(session, &server, &node).await;
        tried.into_iter().next().unwrap().outcome
    }

    #[tokio::test]
    async fn a_server_relays_to_the_node_and_gets_its_address_back() {
        let (address, serving) = server().await;
        let outcome = tried(address, Some(("user", "secret"))).await;
        let Relay::ToNode(through) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(through.seen_as.to_string(), "198.51.100.9:49152");
        assert_eq!(
            serving.await.unwrap(),
            ["challenged", "allocated", "permitted", "relayed", "released"]
        );
    }

    #[tokio::test]
    async fn without_credentials_a_server_counts_as_reached_and_with_wrong_ones_as_refusing() {
        let (address, _serving) = server().await;
        assert_eq!(tried(address, None).await, Relay::AsksForCredentials);
        let outcome = tried(address, Some(("nobody", "secret"))).await;
        assert!(
            matches!(&outcome, Relay::Denied(why) if why.contains("401")),
            "{outcome:?}"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_not_reached() {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(tried(gone, None).await, Relay::Unreached(Fault::Refused));
    }
}
