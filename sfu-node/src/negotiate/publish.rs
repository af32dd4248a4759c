//! WHIP: from a publisher's offer to a publication (RFC 9725).

use super::{Answered, Client, Given, Refusal, one_of_each};
use crate::ids::{new_publication_id, new_session_id, short};
use crate::limits::SessionPlace;
use crate::media::deadline::within;
use crate::names::claiming::NameTaken;
use crate::names::rights::LastRtp;
use crate::node::{Descriptions, Node};
use crate::sdp::offer::Offer;
use crate::sdp::publish::{Publish, publish};
use crate::sdp::{SdpError, answer};
use crate::sessions::session::{Held, Role};
use crate::streams::incoming::Incoming;
use crate::streams::local_stream::LocalStream;
use crate::streams::published::Published;
use mediasoup::prelude::*;
use sdp_types::Direction;
use sfumato_admin_api::server::client_token::Access;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;
use std::time::Instant;

/// A publisher is asked for key frames at most this often, in milliseconds: many viewers joining at once cost one.
const KEY_FRAME_REQUEST_DELAY_MS: u32 = 300;

impl Node {
    /// WHIP: a publisher, with the rights that its token gave it.
    pub async fn publish(
        self: &Arc<Self>,
        stream: &StreamName,
        client: &Client,
        body: &[u8],
        access: Access,
    ) -> Result<Answered, Refusal> {
        let place = self.take_place(client)?;
        let id = new_publication_id();
        // Who may not have the name is told so before anything that it sent is read.
        let claim = self.begin_claim(stream, &id, access).await?;
        let (body, client, strict) = (body.to_vec(), client.clone(), self.options.strict_whip);
        let read = move || offered_tracks(&body, &client, strict);
        let (offer, tracks) = self.parsing.run(read).await??;
        let claim = self.complete_claim(claim, access).await?;
        match self
            .publish_claimed(stream, &id, claim.right().generation, &offer, &tracks, place)
            .await
        {
            Ok(answered) => {
                drop(claim);
                tracing::info!(%stream, publication = %id, session = %short(&answered.session), "published");
                // Ends the publication that this one took the name from, or this one if somebody else was faster.
                self.settle_names().await;
                if self.sessions.get(&answered.session).is_none() {
                    return Err(NameTaken::by_another(stream).into());
                }
                Ok(answered)
            }
            Err(refusal) => {
                self.names.claims.release(stream, &id).await;
                Err(refusal)
            }
        }
    }

    async fn publish_claimed(
        self: &Arc<Self>,
        stream: &StreamName,
        id: &PublicationId,
        generation: u64,
        offer: &Offer,
        tracks: &[Publish],
        place: SessionPlace,
    ) -> Result<Answered, Refusal> {
        let worker = self.workers.for_publisher();
        let transport = self.client_transport(&worker, &worker.main, true).await?;
        let most = u64::from(self.options.limits.max_publisher_bitrate) * 1_000;
        within("limiting a bitrate", transport.set_max_incoming_bitrate(most)).await?;
        let mut producers = Vec::with_capacity(tracks.len());
        for track in tracks {
            let mut options = ProducerOptions::new(track.kind, track.rtp.clone());
            options.key_frame_request_delay = KEY_FRAME_REQUEST_DELAY_MS;
            let producer = within("receiving a track", transport.produce(options))
                .await
                .map_err(|error| {
                    let mid = track.rtp.mid.as_deref().unwrap_or_default();
                    Refusal::track(format!("mid {mid}"), error)
                })?;
            producers.push(producer);
        }
        let replies: Vec<answer::Reply<'_>> = tracks
            .iter()
            .map(|track| answer::Reply::Receive {
                codec: &track.codec,
                rtp: &track.rtp,
            })
            .collect();
        let sdp = self.connect_and_answer(offer, &replies, &transport).await?;
        let local = LocalStream::new(id.clone(), stream.clone(), worker.index, producers.clone());
        let local = Arc::new(local);
        self.probe_layers(&local).await;
        let incoming = Incoming::watch(&producers).await?;
        let session = new_session_id();
        let published = Published {
            local,
            generation,
            session: session.clone(),
            last_rtp: LastRtp::new(Instant::now()),
            incoming: Arc::new(incoming),
        };
        self.streams.published.insert(published);
        // Before there is a session that could end: a publication begins before it ends.
        self.state.publication_began(id);
        let role = Role::Publisher {
            publication: id.clone(),
            producers,
        };
        let descriptions = Descriptions {
            client: offer.ice.clone(),
            ours: &sdp,
        };
        let etag = self.open_session(
            &session,
            stream,
            role,
            descriptions,
            Held {
                transport,
                worker,
                place,
            },
        );
        self.state.touch();
        Ok(Answered {
            session,
            sdp,
            etag,
            given: Given::Answer,
        })
    }
}

/// What a publisher offers.
fn offered_tracks(body: &[u8], client: &Client, strict: bool) -> Result<(Offer, Vec<Publish>), SdpError> {
    let offer = Offer::parse(body)?;
    if strict {
        one_stream(&offer)?;
    }
    let tracks = publisher_tracks(&offer, client)?;
    Ok((offer, tracks))
}

/// RFC 9725 section 4.4: all tracks belong to one MediaStream. What several would mean is not lost here, so only the strict
/// mode refuses them.
fn one_stream(offer: &Offer) -> Result<(), SdpError> {
    let streams = offer.sections.iter().filter_map(|section| section.msid.as_deref());
    let mut ids = streams.filter_map(|msid| msid.split_whitespace().next());
    let first = ids.next();
    match ids.find(|id| Some(*id) != first) {
        None => Ok(()),
        Some(_) => Err(SdpError::unsupported(
            "a=msid",
            "the tracks belong to several MediaStreams: put all of them into one (RFC 9725 section 4.4)",
        )),
    }
}

/// RFC 9725 section 4.4: one stream, at most one track of each kind, all sent, all accepted or none.
fn publisher_tracks(offer: &Offer, client: &Client) -> Result<Vec<Publish>, SdpError> {
    for section in &offer.sections {
        if !matches!(section.direction, Direction::SendOnly | Direction::SendRecv) {
            return Err(SdpError::unsupported(
                section.field(),
                "a publisher offers a=sendonly (RFC 9725 section 4.4.1)",
            ));
        }
    }
    one_of_each(offer)?;
    let sections = offer.sections.iter();
    sections.map(|section| publish(section, &client.user_agent)).collect()
}
