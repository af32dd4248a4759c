//! How the WebRTC engine of a peer is set up.

use super::engine::Engine;
use super::error::PeerError;
use crate::media::Codec;
use socket2::SockRef;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use str0m::media::Pt;
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};
use tokio::net::UdpSocket;

/// Which header extension ids a viewer offers.
///
/// mediasoup writes its own fixed ids into every packet and negotiates an extension only where uri **and** id agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderExtensions {
    /// mediasoup's ids (1 mid, 4 abs-send-time, 5 transport-cc, 6 audio level): everything is negotiated.
    #[default]
    Mediasoup,
    /// A browser's ids, audio first (1 audio level, 2 abs-send-time, 3 transport-cc, 4 mid): little or nothing is negotiated,
    /// and packets must be told apart by their SSRCs.
    Browser,
}

/// Time without any STUN answer after which ICE gives up: 0.5 + 1 + 1 + 1 + 1 + 1 s.
const MAX_STUN_RTO: Duration = Duration::from_secs(1);
const MAX_STUN_RETRANSMITS: usize = 6;

/// Receive buffer of a peer's socket, in bytes, where the system allows it (`net.core.rmem_max`). The usual 208 KiB hold some 90
/// packets: on a starved machine a peer that waits a second for its turn would count packets as lost that reached it.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Settings that publishers and viewers share.
pub(super) struct Setup<'a> {
    pub codecs: &'a [Codec],
    pub extensions: HeaderExtensions,
    pub rtp_mode: bool,
    pub bind: IpAddr,
    /// Local port of the media socket; 0 has the system choose one.
    pub port: u16,
}

impl Setup<'_> {
    /// Opens the socket and builds the engine with its one host candidate.
    pub(super) async fn engine(&self) -> Result<Engine, PeerError> {
        let no_socket = |source| PeerError::Socket {
            bind: self.bind,
            source,
        };
        let socket = UdpSocket::bind(SocketAddr::new(self.bind, self.port))
            .await
            .map_err(no_socket)?;
        SockRef::from(&socket)
            .set_recv_buffer_size(RECEIVE_BUFFER)
            .map_err(no_socket)?;
        let local = socket.local_addr().map_err(no_socket)?;
        let mut rtc = self.rtc();
        let candidate = Candidate::host(local, "udp")
            .map_err(|e| no_socket(std::io::Error::other(format!("no candidate: {e}"))))?;
        rtc.add_local_candidate(candidate);
        Ok(Engine::new(rtc, socket, local))
    }

    fn rtc(&self) -> Rtc {
        let mut config = RtcConfig::new().clear_codecs().set_rtp_mode(self.rtp_mode);
        for codec in self.codecs {
            let codecs = config.codec_config();
            match codec {
                Codec::Vp8 => codecs.enable_vp8(true),
                Codec::Opus => codecs.enable_opus(true, false),
                Codec::H264 => codecs.add_h264(Pt::from(108), Some(Pt::from(109)), true, 0x42e01f),
            }
        }
        if self.extensions == HeaderExtensions::Mediasoup {
            config = config
                .clear_extension_map()
                .set_extension(1, Extension::RtpMid)
                .set_extension(4, Extension::AbsoluteSendTime)
                .set_extension(5, Extension::TransportSequenceNumber)
                .set_extension(6, Extension::AudioLevel);
        }
        config.set_max_stun_rto(MAX_STUN_RTO);
        config.set_max_stun_retransmits(MAX_STUN_RETRANSMITS);
        config.build(Instant::now())
    }
}
