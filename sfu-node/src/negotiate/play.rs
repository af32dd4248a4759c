//! WHEP: from a viewer's offer to a viewer (draft-ietf-wish-whep).

use super::choice::choose_tracks;
use super::lifecycle::{Descriptions, new_session_id};
use super::{Answered, Client, one_of_each, short};
use crate::deadline::within;
use crate::fanout::{Carried, Received, not_live};
use crate::node::Node;
use crate::presence::Presence;
use crate::problem::Problem;
use crate::sdp::offer::Offer;
use crate::sdp::{SdpError, answer, rtp};
use crate::session::Role;
use axum::http::StatusCode;
use mediasoup::prelude::*;
use sdp_types::Direction;
use sfumato_mesh::api::{PublicationId, StreamName};
use std::sync::Arc;

impl Node {
    /// WHEP: a viewer.
    pub async fn play(
        self: &Arc<Self>,
        stream: &StreamName,
        _client: &Client,
        body: &[u8],
    ) -> Result<Answered, Problem> {
        self.check_open()?;
        let offer = Offer::parse(body)?;
        viewer_sections(&offer)?;
        let (presence, fetched) = self.find_stream(stream).await?;
        let choices = choose_tracks(&offer, &presence)?;
        let worker = self.worker_for_viewer(&presence);
        let (router, seat) = self.seat(&presence, &worker, &choices).await?;
        let transport = self.client_transport(&worker, &router).await?;
        let mut consumers: Vec<(usize, Consumer)> = Vec::new();
        for (index, choice) in choices.iter().enumerate() {
            let Some(choice) = choice else { continue };
            let Some(producer) = seat.producers.get(choice.track) else {
                continue;
            };
            let section = &offer.sections[index];
            let capabilities = rtp::viewer_capabilities(section, choice.offered, &choice.codec);
            let mut options = ConsumerOptions::new(producer.id(), capabilities);
            options.mid = (section.mid.len() <= 8).then(|| section.mid.clone());
            let consumer = within("sending a track", transport.consume(options))
                .await
                .map_err(|error| {
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", error)
                        .field(rtp::section_field(section))
                })?;
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
        let sdp = self.connect_and_answer(&offer, &replies, &transport).await?;
        let session = new_session_id();
        let role = Role::Viewer {
            seat,
            _consumers: consumers.into_iter().map(|(_, c)| c).collect(),
        };
        let descriptions = Descriptions {
            client: offer.ice.clone(),
            ours: &sdp,
        };
        let etag = self.open_session(&session, stream, role, descriptions, transport, worker);
        self.touch();
        // The stream may have ended while this viewer was being set up; nobody would close it later.
        if !self.still_live(&presence.publication, fetched.as_ref().map(|(c, _)| c)) {
            self.end_session(&session, "the stream ended").await;
            return Err(not_live(stream));
        }
        tracing::info!(%stream, session = %short(&session), "viewer");
        Ok(Answered { session, sdp, etag })
    }

    /// The stream on this node: published here, carried here, or fetched now from its origin.
    async fn find_stream(
        self: &Arc<Self>,
        stream: &StreamName,
    ) -> Result<(Arc<Presence>, Option<(Arc<Carried>, Arc<Received>)>), Problem> {
        let own = self
            .published
            .lock()
            .iter()
            .filter(|(_, p)| p.presence.stream == *stream)
            // Two for the moment of a take-over.
            .max_by_key(|(id, p)| p.right(id))
            .map(|(_, p)| Arc::clone(&p.presence));
        if let Some(presence) = own {
            return Ok((presence, None));
        }
        let (origin, publication) = self.peers.find(stream).ok_or_else(|| not_live(stream))?;
        let (carried, received) = self.carry(&origin, &publication).await?;
        Ok((Arc::clone(&received.presence), Some((carried, received))))
    }

    fn still_live(&self, publication: &PublicationId, carried: Option<&Arc<Carried>>) -> bool {
        match carried {
            None => self.published.lock().contains_key(publication),
            Some(carried) => self
                .carried
                .lock()
                .get(publication)
                .is_some_and(|now| Arc::ptr_eq(now, carried)),
        }
    }
}

fn viewer_sections(offer: &Offer) -> Result<(), SdpError> {
    for section in &offer.sections {
        if matches!(section.direction, Direction::SendOnly) {
            return Err(SdpError::unsupported(
                rtp::section_field(section),
                "a viewer offers a=recvonly",
            ));
        }
    }
    one_of_each(offer)
}
