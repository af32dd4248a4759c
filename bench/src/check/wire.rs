//! One socket to one address: requests go out, repeated as RFC 8489 section 6.2.1 says, and answers come in.

use super::framing::Framing;
use super::seen::Fault;
use crate::peer::{Host, Transport};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket, lookup_host};
use tokio::time::{timeout, timeout_at};

/// Pause before a request is sent again over UDP; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long a name may take to be resolved.
const NAME_WITHIN: Duration = Duration::from_secs(5);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Bytes that are read at once: more than any datagram of a check.
const CHUNK: usize = 2048;

/// A socket, and what has come in that is no complete message yet.
pub struct Wire {
    socket: Socket,
    received: Vec<u8>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Framing),
}

/// The addresses of a host.
///
/// # Errors
/// When a name has none.
pub async fn addresses(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => name,
    };
    let found: Vec<SocketAddr> = match timeout(NAME_WITHIN, lookup_host((name.as_str(), port))).await {
        Ok(Ok(all)) => all.take(MAX_ADDRESSES).collect(),
        Ok(Err(error)) => return Err(Fault::UnknownName(error.to_string())),
        Err(_) => return Err(Fault::UnknownName(format!("no answer within {NAME_WITHIN:?}"))),
    };
    if found.is_empty() {
        return Err(Fault::UnknownName("it has no address".to_owned()));
    }
    Ok(found)
}

impl Wire {
    /// Opens a socket to an address, from a local one of the same family if `bind` is. Over TCP it is connected within the time.
    ///
    /// # Errors
    /// When there is no way to it, or nobody listens.
    pub async fn open(
        transport: Transport,
        to: SocketAddr,
        bind: Option<IpAddr>,
        framing: Framing,
        within: Duration,
    ) -> Result<Self, Fault> {
        let from = local(bind, to);
        let no_socket = |error: io::Error| Fault::Failed(format!("no socket at {}: {error}", from.ip()));
        let failed = |error: io::Error| Fault::of(&error, within);
        let socket = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(from).await.map_err(no_socket)?;
                socket.connect(to).await.map_err(failed)?;
                Socket::Udp(socket)
            }
            Transport::Tcp => {
                let socket = if to.is_ipv4() {
                    TcpSocket::new_v4()
                } else {
                    TcpSocket::new_v6()
                };
                let socket = socket.map_err(no_socket)?;
                socket.bind(from).map_err(no_socket)?;
                let connected = timeout(within, socket.connect(to))
                    .await
                    .map_err(|_| Fault::Silent(within))?;
                Socket::Tcp(connected.map_err(failed)?, framing)
            }
        };
        Ok(Self {
            socket,
            received: Vec::new(),
        })
    }

    /// Sends a request until an answer comes that `read` understands; answers that, and the time since the request was sent last.
    /// Over TCP it is sent once.
    ///
    /// # Errors
    /// When none comes within the time, or the socket fails.
    pub async fn ask<T>(
        &mut self,
        request: &[u8],
        within: Duration,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(T, Duration), Fault> {
        let pause = match self.socket {
            Socket::Udp(_) => FIRST_PAUSE,
            Socket::Tcp(..) => within,
        };
        self.exchange(request, within, pause, read).await
    }

    /// The same for what is relayed as a datagram: it may be lost behind a TCP connection as well.
    ///
    /// # Errors
    /// The same.
    pub async fn ask_again<T>(
        &mut self,
        request: &[u8],
        within: Duration,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(T, Duration), Fault> {
        self.exchange(request, within, FIRST_PAUSE, read).await
    }

    async fn exchange<T>(
        &mut self,
        request: &[u8],
        within: Duration,
        mut pause: Duration,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(T, Duration), Fault> {
        let failed = |error: io::Error| Fault::of(&error, within);
        let last = Instant::now() + within;
        while Instant::now() < last {
            let sent = Instant::now();
            self.send(request).await.map_err(failed)?;
            let again = (sent + pause).min(last);
            pause *= 2;
            // What comes late, and what answers something else, does not end the waiting.
            while let Ok(message) = timeout_at(again.into(), self.receive()).await {
                if let Some(answer) = read(&message.map_err(failed)?) {
                    return Ok((answer, sent.elapsed()));
                }
            }
        }
        Err(Fault::Silent(within))
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(message).await.map(|_| ()),
            Socket::Tcp(stream, framing) => stream.write_all(&framing.framed(message)).await,
        }
    }

    /// The next message. What was read stays when this is dropped before it ends.
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = [0; CHUNK];
        loop {
            match &mut self.socket {
                Socket::Udp(socket) => {
                    let length = socket.recv(&mut chunk).await?;
                    return Ok(chunk[..length].to_vec());
                }
                Socket::Tcp(stream, framing) => {
                    if let Some(message) = framing.next_message(&mut self.received)? {
                        return Ok(message);
                    }
                    match stream.read(&mut chunk).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        length => self.received.extend_from_slice(&chunk[..length]),
                    }
                }
            }
        }
    }
}

/// Where a socket is opened: any port, at `bind` if it is of the family of the other end.
fn local(bind: Option<IpAddr>, to: SocketAddr) -> SocketAddr {
    let any = if to.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let given = bind.filter(|ip| ip.is_ipv4() == to.is_ipv4());
    SocketAddr::new(given.unwrap_or(any), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const BRIEFLY: Duration = Duration::from_millis(50);

    async fn open(transport: Transport, to: SocketAddr) -> Result<Wire, Fault> {
        let bind = Some(Ipv4Addr::LOCALHOST.into());
        Wire::open(transport, to, bind, Framing::Length, SOON).await
    }

    fn whole(message: &[u8]) -> Option<Vec<u8>> {
        message.starts_with(b"answer").then(|| message.to_vec())
    }

    #[tokio::test]
    async fn a_request_is_sent_again_over_udp_and_other_datagrams_do_not_count() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut wire = open(Transport::Udp, server.local_addr().unwrap()).await.unwrap();
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 64];
            // The first one is lost.
            server.recv_from(&mut buffer).await.unwrap();
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(b"something else", from).await.unwrap();
            server.send_to(b"answer", from).await.unwrap();
            buffer[..length].to_vec()
        });
        let (answer, round_trip) = wire.ask(b"request", SOON, whole).await.unwrap();
        assert_eq!(answer, b"answer");
        assert!(round_trip < SOON);
        assert_eq!(answering.await.unwrap(), b"request");
    }

    #[tokio::test]
    async fn a_port_on_which_nobody_listens_is_told_apart_from_one_that_is_silent() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut wire = open(Transport::Udp, silent.local_addr().unwrap()).await.unwrap();
        let heard = wire.ask(b"request", BRIEFLY, whole).await;
        assert_eq!(heard, Err(Fault::Silent(BRIEFLY)));
        let gone = silent.local_addr().unwrap();
        drop(silent);
        let mut wire = open(Transport::Udp, gone).await.unwrap();
        assert_eq!(wire.ask(b"request", SOON, whole).await, Err(Fault::Refused));
        assert_eq!(open(Transport::Tcp, gone).await.err(), Some(Fault::Refused));
    }

    #[tokio::test]
    async fn messages_over_tcp_are_framed_and_a_closed_connection_is_no_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut wire = open(Transport::Tcp, listener.local_addr().unwrap()).await.unwrap();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 9];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"\0\x06ans").await.unwrap();
            stream.write_all(b"wer").await.unwrap();
            request
        });
        let (answer, _) = wire.ask(b"request", SOON, whole).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(&answering.await.unwrap(), b"\0\x07request");
        let closed = wire.ask(b"request", SOON, whole).await.unwrap_err();
        assert!(matches!(closed, Fault::Stranger(_)), "{closed:?}");
    }

    #[tokio::test]
    async fn an_address_is_its_own_and_a_name_without_one_is_told() {
        let ip = Host::of("203.0.113.7").unwrap();
        assert_eq!(addresses(&ip, 1).await, Ok(vec!["203.0.113.7:1".parse().unwrap()]));
        // RFC 6761: nobody has this name.
        let name = Host::of("media.invalid").unwrap();
        assert!(matches!(addresses(&name, 1).await, Err(Fault::UnknownName(_))));
    }
}
