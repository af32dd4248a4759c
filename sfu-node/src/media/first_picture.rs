//! A key frame that was asked for may be lost on the way, or never made: until something was sent, it is asked for again.

use crate::media::deadline::{MediaError, within};
use mediasoup::consumer::ConsumerRtpStreamStat;
use mediasoup::prelude::*;
use mediasoup::types::rtp_parameters::MediaKind;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether consumers of one publication have sent something of its video. The worker holds everything back before a key frame.
#[derive(Debug, Default)]
pub struct FirstPicture {
    sent: AtomicBool,
    told: AtomicBool,
}

impl FirstPicture {
    /// Whether they have.
    pub fn was_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// True once: who waits for it is told of once.
    pub fn is_news(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// Whether these consumers still have to send it: there is video among them.
    pub fn is_awaited(&self, consumers: &[Consumer]) -> bool {
        !self.was_sent() && videos(consumers).next().is_some()
    }

    /// Looks, and asks for a key frame if they have not. The worker itself asks twice, a second apart, and no more.
    pub async fn ask(&self, consumers: &[Consumer]) -> Result<(), MediaError> {
        if self.was_sent() {
            return Ok(());
        }
        for consumer in videos(consumers) {
            let stats = within("reading what is sent of a track", consumer.get_stats()).await?;
            let is_sent = stats.iter().any(|stat| match stat {
                ConsumerRtpStreamStat::Outbound(sent) => sent.packet_count > 0,
                ConsumerRtpStreamStat::Inbound(_) => false,
            });
            if is_sent {
                self.sent.store(true, Ordering::Relaxed);
            } else {
                within("asking for a key frame", consumer.request_key_frame()).await?;
            }
        }
        Ok(())
    }
}

/// Those that are to send pictures.
fn videos(consumers: &[Consumer]) -> impl Iterator<Item = &Consumer> {
    consumers
        .iter()
        .filter(|it| it.kind() == MediaKind::Video && !it.paused())
}
