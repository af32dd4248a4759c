//! The run loop of a sans-IO WebRTC engine on one UDP socket.
//!
//! str0m's one rule: after every mutation all output is drained before the next one. [`Engine::wait`] feeds exactly one
//! input, [`Engine::drain`] empties the output; the owner alternates between the two and looks at the events in between.

use super::error::PeerError;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Event, Input, Output, Rtc};
use tokio::net::UdpSocket;

/// Larger than any datagram on a path with an ordinary MTU.
const DATAGRAM: usize = 2048;

/// An [`Rtc`], its socket, and what came out of it.
pub(super) struct Engine {
    pub rtc: Rtc,
    /// Events since they were last taken, in order.
    pub events: Vec<Event>,
    /// Wall clock at the last datagram, read right after it left the socket.
    pub received_wall: SystemTime,
    /// When the last datagram came; the engine's birth before the first.
    pub received_at: Instant,
    socket: UdpSocket,
    local: SocketAddr,
    deadline: Instant,
    buffer: Box<[u8; DATAGRAM]>,
}

impl Engine {
    pub(super) fn new(rtc: Rtc, socket: UdpSocket, local: SocketAddr) -> Self {
        let now = Instant::now();
        Self {
            rtc,
            events: Vec::new(),
            received_wall: SystemTime::now(),
            received_at: now,
            socket,
            local,
            deadline: now,
            buffer: Box::new([0; DATAGRAM]),
        }
    }

    /// Takes the server's answer to our offer.
    pub(super) fn accept(&mut self, pending: SdpPendingOffer, answer: &str, url: &str) -> Result<(), PeerError> {
        let bad = |source| PeerError::Sdp {
            what: "answer",
            url: url.to_owned(),
            source,
        };
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|e| bad(e.into()))?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(bad)
    }

    /// Sends what is to be sent and collects events, until the engine only waits for time or input.
    pub(super) async fn drain(&mut self) -> Result<(), PeerError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return Ok(());
                }
                Output::Transmit(datagram) => self.send(&datagram).await,
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Feeds one input: a datagram, or the time when the engine or the owner (at `wake`) wants to run.
    pub(super) async fn wait(&mut self, wake: Instant) -> Result<(), PeerError> {
        let until = self.deadline.min(wake);
        let received = match self.socket.try_recv_from(&mut self.buffer[..]) {
            Ok(received) => Some(received),
            Err(_) if until <= Instant::now() => None,
            Err(_) => tokio::time::timeout_at(until.into(), self.socket.recv_from(&mut self.buffer[..]))
                .await
                .ok()
                .and_then(Result::ok),
        };
        let now = Instant::now();
        let Some((length, source)) = received else {
            return Ok(self.rtc.handle_input(Input::Timeout(now))?);
        };
        self.received_wall = SystemTime::now();
        self.received_at = now;
        // What is no STUN, DTLS, RTP or RTCP is nobody's fault and no reason to end.
        match Receive::new(Protocol::Udp, source, self.local, &self.buffer[..length]) {
            Ok(datagram) => Ok(self.rtc.handle_input(Input::Receive(now, datagram))?),
            Err(_) => Ok(self.rtc.handle_input(Input::Timeout(now))?),
        }
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify), as far as that goes without waiting for answers.
    pub(super) async fn close(&mut self) {
        if self.rtc.close().is_ok() {
            let last = Instant::now() + Duration::from_millis(50);
            while self.drain().await.is_ok() && self.rtc.is_alive() && Instant::now() < last {
                if self.wait(Instant::now() + Duration::from_millis(5)).await.is_err() {
                    break;
                }
            }
        }
    }

    /// A datagram that cannot be sent is a lost one: WebRTC repairs that, or notices.
    async fn send(&self, datagram: &Transmit) {
        if self
            .socket
            .try_send_to(&datagram.contents, datagram.destination)
            .is_ok()
        {
            return;
        }
        if let Err(error) = self.socket.send_to(&datagram.contents, datagram.destination).await {
            tracing::debug!(%error, to = %datagram.destination, "datagram not sent");
        }
    }
}
