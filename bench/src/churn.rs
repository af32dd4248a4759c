//! Publishes, plays and ends, over and over: what a node keeps of sessions that are over is a leak.

use crate::peer::{PeerError, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Each step of a round comes to its end within this time.
const SOON: Duration = Duration::from_secs(20);
/// How often a viewer asks for a stream that its node has not heard of yet.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How the peers of a round go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// DELETE of the viewer, then of the publisher.
    Viewer,
    /// DELETE of the publisher, which ends the viewer.
    Publisher,
    /// Both close DTLS and send no DELETE, as closed pages do.
    Left,
    /// Both vanish without a word, as crashed ones do.
    Vanished,
}

impl End {
    /// The ways of going take turns.
    #[must_use]
    pub fn of(round: u32) -> Self {
        [Self::Viewer, Self::Publisher, Self::Left, Self::Vanished][round as usize % 4]
    }
}

/// A loopback address for the peers of a round. mediasoup's worker keeps the address and port of a client that vanished until
/// its session ends, and answers nobody else from there (`WebRtcServer.cpp`): from one address, some of a thousand peers
/// would draw a port that is still kept.
#[must_use]
pub fn address_of(round: u32) -> IpAddr {
    let [_, _, high, low] = round.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

/// One round, from the address `from`: publishes to a WHIP endpoint, plays from a WHEP endpoint until a frame has come, and
/// ends.
///
/// # Errors
/// When a step is refused or does not come to its end in time.
pub async fn round(whip: &str, whep: &str, end: End, from: IpAddr) -> Result<(), PeerError> {
    let publisher = PublisherOptions {
        bind: from,
        ..PublisherOptions::light()
    };
    let publisher = Publisher::start(whip, publisher).await?;
    publisher.connected(SOON).await?;
    let viewer = viewer(whep, from).await?;
    viewer.wait_for("a frame", SOON, |report| report.frames() > 0).await?;
    match end {
        End::Viewer => {
            viewer.stop().await?;
            publisher.stop().await
        }
        End::Publisher => {
            publisher.stop().await?;
            viewer.leave().await;
            Ok(())
        }
        End::Left => {
            publisher.leave().await;
            viewer.leave().await;
            Ok(())
        }
        End::Vanished => {
            publisher.vanish();
            viewer.vanish();
            Ok(())
        }
    }
}

/// Asks until the stream is live there.
async fn viewer(whep: &str, from: IpAddr) -> Result<Viewer, PeerError> {
    let options = ViewerOptions {
        bind: from,
        retry: Retry::No,
        ..ViewerOptions::default()
    };
    let last = std::time::Instant::now() + SOON;
    loop {
        match Viewer::start(whep, options.clone()).await {
            Err(PeerError::Refused { problem, .. }) if problem.status == 409 && std::time::Instant::now() < last => {
                tokio::time::sleep(ASK_EVERY).await;
            }
            outcome => return outcome,
        }
    }
}
