//! Offers of this server to players (draft-ietf-wish-whep): as a counter-offer where a player's own offer cannot be
//! answered well, and for players that ask for one by an empty POST.

use super::play::Viewer;
use super::transport::no_certificate;
use super::{Answered, Client, Given, Refusal};
use crate::ids::{new_session_id, short};
use crate::layers::request::MediaId;
use crate::limits::SessionPlace;
use crate::media::deadline::within;
use crate::node::Node;
use crate::sdp::capabilities::{all_capabilities, capabilities_of, track_kind};
use crate::sdp::lines;
use crate::sdp::offer::Section;
use crate::sdp::player_answer::{PlayerAnswer, Taken, taken};
use crate::sdp::server_offer::{self, Track};
use crate::sessions::end_reason::EndReason;
use crate::sessions::ice::Condition;
use crate::sessions::pending_offers::{OFFER_LIFE, OfferedTrack, PendingOffer};
use crate::sessions::session::Held;
use crate::streams::carried::Fetched;
use crate::streams::local_stream::LocalStream;
use mediasoup::prelude::*;
use sfumato_admin_api::types::{StreamName, TrackKind};
use std::sync::Arc;
use std::time::Instant;

impl Node {
    /// Offers the tracks of these kinds, on the main router: everything as mediasoup sends it by itself.
    pub(super) async fn offer(
        &self,
        stream: &StreamName,
        (local, fetched): (Arc<LocalStream>, Option<Fetched>),
        kinds: &[TrackKind],
        given: Given,
        client: &Client,
        place: SessionPlace,
    ) -> Result<Answered, Refusal> {
        let waiting = self.limits.offer(&client.holder);
        let waiting = waiting.map_err(|full| self.no_room(full))?;
        self.check_viewers(local.viewers())?;
        let worker = self.workers.for_viewer(&local.workers());
        let seat = local.seat(&self.workers, &worker, None).await?;
        let seat = self.seated(seat.ok_or(Refusal::Evicted)?)?;
        let transport = self.client_transport(&worker, &worker.main, true).await?;
        let mut tracks = Vec::new();
        for producer in &seat.producers {
            let kind = track_kind(producer.kind());
            if !kinds.contains(&kind) {
                continue;
            }
            let mid = tracks.len().to_string();
            let capabilities = all_capabilities(producer);
            let consumer = consume(&transport, producer, &mid, capabilities).await?;
            tracks.push(OfferedTrack {
                mid,
                kind,
                producer: producer.clone(),
                consumer,
            });
        }
        if tracks.is_empty() {
            return Err(Refusal::NoTrack(stream.clone()));
        }
        let sdp = {
            let fingerprints = transport.dtls_parameters().fingerprints;
            let candidates = self.candidates(&transport);
            let ours = lines::Transport::of(&transport, candidates, &fingerprints).ok_or_else(no_certificate)?;
            let written: Vec<Track<'_>> = tracks
                .iter()
                .map(|track| Track {
                    mid: &track.mid,
                    kind: track.kind,
                    rtp: track.consumer.rtp_parameters(),
                })
                .collect();
            server_offer::write(&written, stream.as_str(), &ours, rand::random::<u64>() >> 1)
        };
        let session = new_session_id();
        let offer = PendingOffer {
            stream: stream.clone(),
            local,
            fetched,
            seat,
            held: Held {
                transport,
                worker,
                place,
            },
            waiting,
            tracks,
            sdp: sdp.clone(),
            max_height: client.max_height,
            expires: Instant::now() + OFFER_LIFE,
        };
        let etag = offer.etag();
        self.offers.add(session.clone(), offer);
        tracing::info!(%stream, session = %short(&session), "offered to a viewer");
        Ok(Answered {
            session,
            sdp,
            etag,
            given,
        })
    }

    /// Whether an offer waits for an answer under this condition; asked before the answer is read.
    pub fn may_answer(&self, id: &str, condition: &Condition) -> Result<(), Refusal> {
        let named = |offer: &PendingOffer| *condition == Condition::Missing || condition.names(&offer.etag());
        match self.offers.look(id, named) {
            None => Err(Refusal::NoOffer),
            Some(false) => Err(Refusal::OtherOffer),
            Some(true) => Ok(()),
        }
    }

    /// A player's answer to an offer of this server: the session begins. A malformed answer leaves the offer as it was.
    pub async fn take_answer(
        self: &Arc<Self>,
        id: &str,
        stream: &StreamName,
        body: &[u8],
        condition: &Condition,
    ) -> Result<(), Refusal> {
        self.may_answer(id, condition)?;
        let sections = |offer: &PendingOffer| {
            let of = |track: &OfferedTrack| (track.mid.clone(), track.kind);
            offer.tracks.iter().map(of).collect::<Vec<(String, TrackKind)>>()
        };
        let offered = self.offers.look(id, sections).ok_or(Refusal::NoOffer)?;
        let body = body.to_vec();
        let read = move || {
            let offered: Vec<(&str, TrackKind)> = offered.iter().map(|(mid, kind)| (mid.as_str(), *kind)).collect();
            PlayerAnswer::parse(&body, &offered)
        };
        let answer = self.parsing.run(read).await??;
        // Only now: of two answers at once, one finds the offer.
        let offer = self.offers.take(id).ok_or(Refusal::NoOffer)?;
        let wanted = match wanted(&offer, &answer) {
            Ok(wanted) => wanted,
            Err(refusal) => {
                self.offers.put_back(id, offer);
                return Err(refusal);
            }
        };
        let mut consumers = Vec::new();
        for (index, (track, taken)) in offer.tracks.into_iter().zip(wanted).enumerate() {
            let Some(taken) = taken else { continue };
            let mid = track.mid.clone();
            let media = MediaId { index, mid };
            if taken.whole {
                consumers.push((media, track.consumer));
                continue;
            }
            // A consumer cannot be told later to resend without RTX, or to estimate no more: the player gets another.
            drop(track.consumer);
            let capabilities = capabilities_of(track.kind, &taken.codecs, &taken.extensions);
            let consumer = consume(&offer.held.transport, &track.producer, &track.mid, capabilities).await?;
            consumers.push((media, consumer));
        }
        let remote = WebRtcTransportRemoteParameters {
            dtls_parameters: answer.dtls_parameters(),
        };
        let transport = offer.held.transport.clone();
        let viewer = Viewer {
            id: id.to_owned(),
            stream: stream.clone(),
            local: offer.local,
            fetched: offer.fetched,
            seat: offer.seat,
            consumers,
            max_height: offer.max_height,
            client: answer.ice,
            ours: offer.sdp,
            held: offer.held,
        };
        // The player has begun its checks and its handshake already: by the time that DTLS is connected, there must be a session
        // to be told of it.
        self.open_viewer(viewer).await?;
        if let Err(error) = within("starting DTLS", transport.connect(remote)).await {
            self.end_session(id, EndReason::HandshakeFailed).await;
            return Err(error.into());
        }
        Ok(())
    }
}

/// What the answer takes of each track.
fn wanted(offer: &PendingOffer, answer: &PlayerAnswer) -> Result<Vec<Option<Taken>>, Refusal> {
    let pairs = answer.sections.iter().zip(&offer.tracks);
    let of = |(section, track): (&Option<Section>, &OfferedTrack)| {
        let taken = |section| taken(section, track.consumer.rtp_parameters());
        section.as_ref().map(taken).transpose()
    };
    Ok(pairs.map(of).collect::<Result<_, _>>()?)
}

async fn consume(
    transport: &WebRtcTransport,
    producer: &Producer,
    mid: &str,
    capabilities: RtpCapabilities,
) -> Result<Consumer, Refusal> {
    let mut options = ConsumerOptions::new(producer.id(), capabilities);
    options.mid = Some(mid.to_owned());
    Ok(within("sending a track", transport.consume(options)).await?)
}
