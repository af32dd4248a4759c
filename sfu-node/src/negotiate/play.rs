//! WHEP: from a viewer's offer to a viewer (draft-ietf-wish-whep).

use super::choice::{Choice, choose_tracks};
use super::{Answered, Client, Given, Refusal, one_of_each};
use crate::ids::{SessionId, new_session_id, short};
use crate::layers::request::MediaId;
use crate::layers::viewer::{ViewerLayers, estimates_bandwidth};
use crate::limits::SessionPlace;
use crate::media::deadline::within;
use crate::media::first_picture::FirstPicture;
use crate::media::worker::MediaWorker;
use crate::node::{Descriptions, Node, RelayError};
use crate::sdp::capabilities::viewer_capabilities;
use crate::sdp::credentials::Credentials;
use crate::sdp::offer::{Offer, Section};
use crate::sdp::server_offer::rtx;
use crate::sdp::{SdpError, answer};
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::{Held, Role};
use crate::streams::carried::Fetched;
use crate::streams::local_stream::{LocalStream, Seat};
use mediasoup::prelude::*;
use mediasoup::types::rtp_parameters::{RtpCapabilities, RtpHeaderExtensionUri};
use sdp_types::Direction;
use sfumato_admin_api::types::{StreamName, TrackKind};
use std::sync::Arc;

/// Everything of a viewer that negotiation yields.
pub(super) struct Viewer {
    pub(super) id: SessionId,
    pub(super) stream: StreamName,
    pub(super) local: Arc<LocalStream>,
    pub(super) fetched: Option<Fetched>,
    pub(super) seat: Seat,
    /// What it is sent, by m-section.
    pub(super) consumers: Vec<(MediaId, Consumer)>,
    /// It wants no picture higher than this many pixels.
    pub(super) max_height: Option<u32>,
    /// Its ICE credentials.
    pub(super) client: Vec<Credentials>,
    /// What this server wrote.
    pub(super) ours: String,
    pub(super) held: Held,
}

/// Where a viewer is put.
struct Placed {
    local: Arc<LocalStream>,
    fetched: Option<Fetched>,
    seat: Seat,
    worker: Arc<MediaWorker>,
    router: Router,
}

impl Node {
    /// WHEP: a viewer. An empty body asks for an offer of this server.
    pub async fn play(
        self: &Arc<Self>,
        stream: &StreamName,
        client: &Client,
        body: &[u8],
    ) -> Result<Answered, Refusal> {
        let place = self.take_place(client)?;
        if body.is_empty() {
            let found = self.find_stream(stream).await?;
            let kinds = [TrackKind::Audio, TrackKind::Video];
            return self.offer(stream, found, &kinds, Given::Offer, client, place).await;
        }
        // Before anything that the player sent is read.
        self.expect_stream(stream)?;
        let body = body.to_vec();
        let read = move || {
            let offer = Offer::parse(&body)?;
            viewer_sections(&offer).map(|()| offer)
        };
        let offer = self.parsing.run(read).await??;
        let (local, fetched) = self.find_stream(stream).await?;
        let choices = choose_tracks(&offer, &local)?;
        let kinds: Vec<TrackKind> = offer.sections.iter().map(|section| section.kind).collect();
        let worker = self.workers.for_viewer(&local.workers());
        let seated = if misreads_our_extensions(&offer, client) {
            None
        } else {
            self.seat(&local, &worker, &choices, client).await?
        };
        let Some((router, seat)) = seated else {
            let found = (local, fetched);
            return self
                .offer(stream, found, &kinds, Given::CounterOffer, client, place)
                .await;
        };
        let profile = seat.profile().cloned();
        let placed = Placed {
            local,
            fetched,
            seat,
            worker,
            router,
        };
        let answered = self
            .answer_viewer(stream, client, &offer, &choices, placed, place)
            .await;
        match profile {
            // What failed may have failed for want of the router.
            Some(profile) if answered.is_err() && profile.is_evicted() => {
                self.clear_evicted(profile.made().map(Router::id)).await;
                Err(Refusal::Evicted)
            }
            _ => answered,
        }
    }

    /// Creates what a viewer needs in its place, and answers its offer.
    async fn answer_viewer(
        self: &Arc<Self>,
        stream: &StreamName,
        client: &Client,
        offer: &Offer,
        choices: &[Option<Choice<'_>>],
        placed: Placed,
        place: SessionPlace,
    ) -> Result<Answered, Refusal> {
        let Placed {
            local,
            fetched,
            seat,
            worker,
            router,
        } = placed;
        let capabilities: Vec<Option<RtpCapabilities>> = choices
            .iter()
            .zip(&offer.sections)
            .map(|(choice, section)| {
                let choice = choice.as_ref()?;
                let rtx = rtx(seat.producers.get(choice.track)?.consumable_rtp_parameters());
                Some(viewer_capabilities(section, choice.offered, &choice.codec, rtx))
            })
            .collect();
        let estimated = capabilities.iter().flatten().any(estimates_bandwidth);
        let transport = self.client_transport(&worker, &router, estimated).await?;
        let mut consumers: Vec<(usize, Consumer)> = Vec::new();
        for (index, (choice, capabilities)) in choices.iter().zip(capabilities).enumerate() {
            let (Some(choice), Some(capabilities)) = (choice, capabilities) else {
                continue;
            };
            let Some(producer) = seat.producers.get(choice.track) else {
                continue;
            };
            let section = &offer.sections[index];
            let mut options = ConsumerOptions::new(producer.id(), capabilities);
            options.mid = (section.mid.len() <= 8).then(|| section.mid.clone());
            let consumer = within("sending a track", transport.consume(options))
                .await
                .map_err(|error| Refusal::track(section.field(), error))?;
            consumers.push((index, consumer));
        }
        let replies: Vec<answer::Reply<'_>> = (0..offer.sections.len())
            .map(|index| {
                let chosen = choices[index].as_ref();
                let consumer = consumers
                    .iter()
                    .find(|(i, _)| *i == index)
                    .map(|(_, consumer)| consumer);
                match (chosen, consumer) {
                    (Some(chosen), Some(consumer)) => answer::Reply::Send {
                        codec: chosen.offered,
                        rtp: consumer.rtp_parameters(),
                        stream: stream.as_str(),
                    },
                    _ => answer::Reply::Inactive,
                }
            })
            .collect();
        let sdp = self.connect_and_answer(offer, &replies, &transport).await?;
        let consumers = consumers
            .into_iter()
            .map(|(index, consumer)| {
                let Section { index, mid, .. } = &offer.sections[index];
                let (index, mid) = (*index, mid.clone());
                (MediaId { index, mid }, consumer)
            })
            .collect();
        let viewer = Viewer {
            id: new_session_id(),
            stream: stream.clone(),
            local,
            fetched,
            seat,
            consumers,
            max_height: client.max_height,
            client: offer.ice.clone(),
            ours: sdp.clone(),
            held: Held {
                transport,
                worker,
                place,
            },
        };
        let (session, etag) = self.open_viewer(viewer).await?;
        Ok(Answered {
            session,
            sdp,
            etag,
            given: Given::Answer,
        })
    }

    /// A negotiated viewer becomes a session; answers its id and ETag.
    pub(super) async fn open_viewer(self: &Arc<Self>, viewer: Viewer) -> Result<(SessionId, String), Refusal> {
        let Viewer { id, stream, local, .. } = viewer;
        let layers = viewer.consumers.iter().find_map(|(media, consumer)| {
            let layers = ViewerLayers::of(consumer, media.clone(), viewer.max_height);
            layers.map(Box::new)
        });
        if let Some(layers) = &layers {
            layers.apply(&self.layers_of(&local)).await?;
        }
        let profile = viewer.seat.profile().cloned();
        let role = Role::Viewer {
            layers,
            seat: viewer.seat,
            consumers: viewer.consumers.into_iter().map(|(_, consumer)| consumer).collect(),
            first: FirstPicture::default(),
        };
        let descriptions = Descriptions {
            client: viewer.client,
            ours: &viewer.ours,
        };
        let etag = self.open_session(&id, &stream, role, descriptions, viewer.held);
        self.state.touch();
        // Its router may have made room for another one meanwhile, and whoever ended the sessions there did not see this one.
        if profile.is_some_and(|profile| profile.is_evicted()) {
            self.end_session(&id, EndReason::Evicted).await;
            return Err(Refusal::Evicted);
        }
        // The stream may have ended while this viewer was being set up; nobody would close it later.
        if !self.still_live(
            &local.publication,
            viewer.fetched.as_ref().map(|fetched| &fetched.carried),
        ) {
            self.end_session(&id, EndReason::StreamEnded).await;
            return Err(RelayError::NotLive(stream).into());
        }
        tracing::info!(%stream, session = %short(&id), "viewer");
        Ok((id, etag))
    }
}

fn viewer_sections(offer: &Offer) -> Result<(), SdpError> {
    for section in &offer.sections {
        if matches!(section.direction, Direction::SendOnly) {
            return Err(SdpError::unsupported(section.field(), "a viewer offers a=recvonly"));
        }
    }
    one_of_each(offer)
}

/// mediasoup writes header extensions 1, 5 and, on video, 4 under fixed ids on every packet. Most players take the ids of
/// the answer; the WebRTC library before about 2023 keeps those of its own offer, reads what we call send time as MID where
/// it numbered MID so, and drops every packet of a "MID" that it does not know. Browsers are kept up to date by themselves;
/// that library inside another program shows itself by an extension that nobody else offers, or by iSAC, which it
/// has dropped since.
fn misreads_our_extensions(offer: &Offer, client: &Client) -> bool {
    let isac = |section: &Section| section.codecs.iter().any(|codec| codec.is("ISAC"));
    let is_old = offer.sections.iter().any(isac) || offer.is_libwebrtc && !is_browser(&client.user_agent);
    let misread = |section: &Section| {
        let mid = section
            .extensions
            .iter()
            .find(|(_, uri)| *uri == RtpHeaderExtensionUri::Mid);
        mid.is_some_and(|(id, _)| *id == 5 || *id == 4 && section.kind == TrackKind::Video)
    };
    is_old && offer.sections.iter().any(misread)
}

fn is_browser(user_agent: &str) -> bool {
    ["Chrome/", "Firefox/", "Safari/"]
        .iter()
        .any(|name| user_agent.contains(name))
}
