//! Offers of this server to players (draft-ietf-wish-whep): as a counter-offer where a player's own offer cannot be
//! answered well, and for players that ask for one by an empty POST.

use super::lifecycle::new_session_id;
use super::offers::{OFFER_LIFE, OfferedTrack, PendingOffer};
use super::play::Fetched;
use super::{Answered, Given, short};
use crate::deadline::within;
use crate::ice::Condition;
use crate::layers::request::MediaId;
use crate::node::Node;
use crate::presence::Presence;
use crate::problem::Problem;
use crate::sdp::capabilities::{all_capabilities, capabilities_of, track_kind};
use crate::sdp::lines;
use crate::sdp::player_answer::{PlayerAnswer, Taken, taken};
use crate::sdp::server_offer::{self, Track};
use crate::session::EndReason;
use axum::http::StatusCode;
use mediasoup::prelude::*;
use sfumato_admin_api::types::{StreamName, TrackKind};
use std::sync::Arc;
use std::time::Instant;

impl Node {
    /// Offers the tracks of these kinds, on the main router: everything as mediasoup sends it by itself.
    pub(super) async fn offer(
        &self,
        stream: &StreamName,
        presence: &Arc<Presence>,
        fetched: Fetched,
        kinds: &[TrackKind],
        given: Given,
        max_height: Option<u32>,
    ) -> Result<Answered, Problem> {
        self.check_viewers(presence.viewers())?;
        let worker = self.worker_for_viewer(presence);
        let listen = self.inner_listen();
        let seat = self.seated(presence.seat(&self.workers, &worker, None, &listen).await?)?;
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
            let detail = format!("{stream} has no track of a kind that the offer asks for");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", detail).field("m="));
        }
        let sdp = {
            let fingerprints = transport.dtls_parameters().fingerprints;
            let ours = lines::Transport::of(&transport, &fingerprints)?;
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
            presence: Arc::clone(presence),
            fetched,
            seat,
            worker,
            transport,
            tracks,
            sdp: sdp.clone(),
            max_height,
            expires: Instant::now() + OFFER_LIFE,
        };
        let etag = offer.etag();
        if !self.offers.add(session.clone(), offer) {
            return Err(Problem::unavailable(
                "too many offers of this node wait for an answer; try again",
            ));
        }
        tracing::info!(%stream, session = %short(&session), "offered to a viewer");
        Ok(Answered {
            session,
            sdp,
            etag,
            given,
        })
    }

    /// A player's answer to an offer of this server: the session begins. A malformed answer leaves the offer as it was.
    pub async fn take_answer(
        self: &Arc<Self>,
        id: &str,
        stream: &StreamName,
        body: &[u8],
        condition: &Condition,
    ) -> Result<(), Problem> {
        let offer = self.offers.take(id).ok_or_else(not_waiting)?;
        let checked = check(&offer, body, condition);
        let (answer, wanted) = match checked {
            Ok(checked) => checked,
            Err(problem) => {
                self.offers.put_back(id, offer);
                return Err(problem);
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
            let consumer = consume(&offer.transport, &track.producer, &track.mid, capabilities).await?;
            consumers.push((media, consumer));
        }
        let remote = WebRtcTransportRemoteParameters {
            dtls_parameters: answer.dtls_parameters(),
        };
        let transport = offer.transport.clone();
        let viewer = super::play::Viewer {
            id: id.to_owned(),
            stream: stream.clone(),
            presence: offer.presence,
            fetched: offer.fetched,
            seat: offer.seat,
            consumers,
            max_height: offer.max_height,
            client: answer.ice,
            ours: offer.sdp,
            transport: offer.transport,
            worker: offer.worker,
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

fn not_waiting() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "No offer to answer",
        "this session waits for no answer: it began with the player's own offer, or was answered already",
    )
    .field("Content-Type")
}

/// What the answer says, and what it takes of each track.
fn check(
    offer: &PendingOffer,
    body: &[u8],
    condition: &Condition,
) -> Result<(PlayerAnswer, Vec<Option<Taken>>), Problem> {
    if *condition != Condition::Missing && !condition.names(&offer.etag()) {
        let detail = "this is not the ETag of the offer that waits here: drop what belongs to the old one";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "Stale offer", detail).field("If-Match"));
    }
    let sections: Vec<(&str, TrackKind)> = offer.tracks.iter().map(|t| (t.mid.as_str(), t.kind)).collect();
    let answer = PlayerAnswer::parse(body, &sections)?;
    let mut wanted = Vec::with_capacity(offer.tracks.len());
    for (section, track) in answer.sections.iter().zip(&offer.tracks) {
        let of = |section| taken(section, track.consumer.rtp_parameters());
        wanted.push(section.as_ref().map(of).transpose()?);
    }
    Ok((answer, wanted))
}

async fn consume(
    transport: &WebRtcTransport,
    producer: &Producer,
    mid: &str,
    capabilities: RtpCapabilities,
) -> Result<Consumer, Problem> {
    let mut options = ConsumerOptions::new(producer.id(), capabilities);
    options.mid = Some(mid.to_owned());
    Ok(within("sending a track", transport.consume(options)).await?)
}
