//! Which track a viewer's m-section gets, and on which router: the main one where the payload types agree, else a profile
//! router made for the viewer's.

use super::{Client, Refusal};
use crate::limits::Full;
use crate::media::worker::{MediaWorker, ProfileError, Taken};
use crate::node::Node;
use crate::sdp::SdpError;
use crate::sdp::capabilities::track_kind;
use crate::sdp::codec::{SUPPORTED, StreamCodec, payload_type};
use crate::sdp::offer::{Offer, OfferedCodec, Section};
use crate::streams::local_stream::{LocalStream, Seat};
use mediasoup::prelude::*;
use sdp_types::Direction;
use std::sync::Arc;

/// Which track a viewer's m-section gets, on which of the viewer's payload types.
pub(super) struct Choice<'a> {
    pub(super) track: usize,
    pub(super) offered: &'a OfferedCodec,
    pub(super) codec: StreamCodec,
    pub(super) on_main: bool,
}

pub(super) fn choose_tracks<'a>(offer: &'a Offer, local: &LocalStream) -> Result<Vec<Option<Choice<'a>>>, Refusal> {
    let tracks = local.codecs();
    let mut choices = Vec::with_capacity(offer.sections.len());
    for section in &offer.sections {
        let track = tracks
            .iter()
            .enumerate()
            .find(|(_, (producer, _))| track_kind(producer.kind()) == section.kind)
            .filter(|_| section.direction != Direction::Inactive);
        choices.push(match track {
            None => None,
            Some((track, (producer, codec))) => Some(choose(section, track, producer, codec)?),
        });
    }
    if choices.iter().all(Option::is_none) {
        return Err(Refusal::NoTrack(local.stream.clone()));
    }
    Ok(choices)
}

fn choose<'a>(
    section: &'a Section,
    track: usize,
    producer: &Producer,
    codec: &StreamCodec,
) -> Result<Choice<'a>, SdpError> {
    let offered = codec.choose(section).ok_or_else(|| {
        let names = section.offered();
        SdpError::unsupported(
            section.field(),
            format!(
                "the stream is sent as {}, the offer has {names}; this server supports {}",
                codec.name(),
                SUPPORTED
            ),
        )
    })?;
    // Consumers keep the router's payload type, and the near fit of an H264 profile needs a router of its own.
    let on_main = payload_type(producer.consumable_rtp_parameters()) == Some(offered.payload_type);
    Ok(Choice {
        track,
        offered,
        codec: codec.clone(),
        on_main,
    })
}

impl Node {
    /// A seat on the main router where the payload types agree, else on a profile router made for the viewer's; none when
    /// there are too many of those already.
    pub(super) async fn seat(
        self: &Arc<Self>,
        local: &Arc<LocalStream>,
        worker: &Arc<MediaWorker>,
        choices: &[Option<Choice<'_>>],
        client: &Client,
    ) -> Result<Option<(Router, Seat)>, Refusal> {
        self.check_viewers(local.viewers())?;
        let chosen: Vec<&Choice<'_>> = choices.iter().flatten().collect();
        if chosen.iter().all(|choice| choice.on_main) {
            let seat = local.seat(&self.workers, worker, None).await?;
            return self
                .seated(seat.ok_or(Refusal::Evicted)?)
                .map(|seat| Some((worker.main.clone(), seat)));
        }
        // Every track of the stream goes to the profile router, watched or not: viewers share it.
        let mut key = Vec::new();
        let mut codecs = Vec::new();
        for (track, (_, codec)) in local.codecs().iter().enumerate() {
            let wanted = chosen
                .iter()
                .find(|choice| choice.track == track)
                .map(|choice| choice.offered.payload_type);
            let taken: Vec<u8> = chosen.iter().map(|choice| choice.offered.payload_type).collect();
            let payload_type = wanted.or_else(|| (96..=127).find(|pt| !taken.contains(pt)));
            key.push(format!("{}@{}", codec.key(), payload_type.unwrap_or(0)));
            codecs.push(codec.capability(payload_type, Vec::new()));
        }
        let taken = worker.profile(&key.join("+"), codecs, &client.holder).await;
        let Taken { router, used, evicted } = match taken {
            Ok(taken) => taken,
            Err(ProfileError::TooMany) => return Ok(None),
            Err(ProfileError::Connecting(wait)) => return Err(self.no_room(Full::Profiles(wait))),
            Err(ProfileError::Media { error, evicted }) => {
                self.clear_evicted(evicted).await;
                return Err(error.into());
            }
        };
        // First, so that its ports are free again.
        self.clear_evicted(evicted).await;
        let seat = local
            .seat(&self.workers, worker, Some((&router, used.profile())))
            .await?;
        let mut seat = seat.ok_or(Refusal::Evicted)?;
        seat.hold_profile(used);
        self.seated(seat).map(|seat| Some((router, seat)))
    }

    /// Of several that came for the last seat at the same moment, none too many keeps one.
    pub(super) fn seated(&self, seat: Seat) -> Result<Seat, Refusal> {
        self.check_viewers(seat.local().viewers().saturating_sub(1))?;
        Ok(seat)
    }
}
