//! Buffers of media sockets: what the kernel grants, and what was lost for want of room.

use socket2::{Domain, Socket, Type};

/// What is asked for of each UDP socket for media, in bytes: a key frame to hundreds of viewers at once, or a burst over a link.
pub const WANTED: u32 = 4_000_000;

/// What the kernel grants, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    pub receive: usize,
    pub send: usize,
}

impl Granted {
    /// Asks the kernel by a socket of its own, which is closed again.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn ask() -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_recv_buffer_size(WANTED as usize)?;
        socket.set_send_buffer_size(WANTED as usize)?;
        // The kernel doubles what it grants, for its own bookkeeping (socket(7)).
        Ok(Self {
            receive: socket.recv_buffer_size()? / 2,
            send: socket.send_buffer_size()? / 2,
        })
    }

    /// What to set where it is less than what is wanted.
    pub fn advice(self) -> Option<String> {
        let limits = [("net.core.rmem_max", self.receive), ("net.core.wmem_max", self.send)];
        let short = limits.into_iter().filter(|(_, granted)| *granted < WANTED as usize);
        let settings: Vec<String> = short.map(|(name, _)| format!("{name}={WANTED}")).collect();
        (!settings.is_empty()).then(|| {
            format!(
                "the kernel grants media sockets less than {WANTED} bytes, and what comes in a burst may be lost: \
                 on the host, sysctl -w {}",
                settings.join(" ")
            )
        })
    }
}

/// Says once what the kernel grants, where that is less than what is wanted.
pub fn tell() {
    match Granted::ask() {
        Ok(granted) => {
            if let Some(advice) = granted.advice() {
                let Granted { receive, send } = granted;
                tracing::info!(receive, send, "{advice}");
            }
        }
        Err(error) => tracing::debug!(%error, "asking for the size of socket buffers"),
    }
}

/// Datagrams that found a full buffer in this network namespace since it began, by both address families.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    pub received: u64,
    pub sent: u64,
}

impl Lost {
    /// As the kernel counts them (`/proc/net/snmp`, `/proc/net/snmp6`); zero where it does not tell.
    pub fn counted() -> Self {
        let v4 = procfs::net::snmp().map(|it| (it.udp_rcvbuf_errors, it.udp_sndbuf_errors));
        let v6 = procfs::net::snmp6().map(|it| (it.udp_rcvbuf_errors, it.udp_sndbuf_errors));
        let (v4, v6) = (v4.unwrap_or_default(), v6.unwrap_or_default());
        Self {
            received: v4.0.saturating_add(v6.0),
            sent: v4.1.saturating_add(v6.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_grant_is_named_with_its_setting() {
        let all = WANTED as usize;
        let advice = |receive, send| Granted { receive, send }.advice();
        assert_eq!(advice(all, all), None);
        let both = advice(212_992, 212_992).unwrap();
        assert!(
            both.ends_with("sysctl -w net.core.rmem_max=4000000 net.core.wmem_max=4000000"),
            "{both}"
        );
        let one = advice(all, 212_992).unwrap();
        assert!(one.ends_with("sysctl -w net.core.wmem_max=4000000"), "{one}");
    }

    #[test]
    fn a_datagram_that_finds_a_full_buffer_is_counted() {
        let (receiver, sender) = (
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        socket2::SockRef::from(&receiver).set_recv_buffer_size(1).unwrap();
        let before = Lost::counted().received;
        let to = receiver.local_addr().unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], to).unwrap();
        }
        assert!(Lost::counted().received > before);
        let granted = Granted::ask().unwrap();
        assert!((1..=WANTED as usize).contains(&granted.receive) && granted.send > 0);
    }
}
