//! From an offer to a session: WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) on mediasoup.

use crate::deadline::within;
use crate::fanout::{Carried, Received, not_live};
use crate::node::{Node, Published};
use crate::presence::{Presence, Seat};
use crate::problem::Problem;
use crate::sdp::offer::{Offer, OfferedCodec, Section};
use crate::sdp::rtp::{self, StreamCodec};
use crate::sdp::{SdpError, answer};
use crate::session::{Role, Session, SessionId};
use crate::worker::{MediaWorker, ProfileError};
use axum::http::StatusCode;
use mediasoup::prelude::*;
use mediasoup::types::data_structures::{DtlsFingerprint, DtlsState};
use sdp_types::Direction;
use sfumato_mesh::api::{PublicationId, StreamName, TrackKind};
use std::sync::Arc;

/// What a client is answered with.
pub struct Answered {
    /// The new session.
    pub session: SessionId,
    /// The SDP answer.
    pub sdp: String,
    /// ETag of the ICE session.
    pub etag: String,
}

impl Node {
    /// WHIP: a publisher.
    pub async fn publish(self: &Arc<Self>, stream: &StreamName, body: &[u8]) -> Result<Answered, Problem> {
        self.check_open()?;
        let offer = Offer::parse(body)?;
        let tracks = publisher_tracks(&offer)?;
        let id = PublicationId::try_from(uuid::Uuid::new_v4().simple().to_string())?;
        let claim = self.claim_name(stream, &id).await?;
        match self
            .publish_claimed(stream, &id, claim.generation, &offer, &tracks)
            .await
        {
            Ok(answered) => {
                drop(claim);
                tracing::info!(%stream, publication = %id, session = %short(&answered.session), "published");
                Ok(answered)
            }
            Err(problem) => {
                self.claims.release(stream, &id).await;
                Err(problem)
            }
        }
    }

    async fn publish_claimed(
        self: &Arc<Self>,
        stream: &StreamName,
        id: &PublicationId,
        generation: u64,
        offer: &Offer,
        tracks: &[rtp::Publish],
    ) -> Result<Answered, Problem> {
        let worker = self.worker_for_publisher();
        let transport = self.client_transport(&worker, &worker.main).await?;
        let mut producers = Vec::with_capacity(tracks.len());
        for track in tracks {
            let mut options = ProducerOptions::new(track.kind, track.rtp.clone());
            options.key_frame_request_delay = KEY_FRAME_REQUEST_DELAY_MS;
            let producer = within("receiving a track", transport.produce(options))
                .await
                .map_err(|error| {
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", error)
                        .field(format!("mid {}", track.rtp.mid.as_deref().unwrap_or_default()))
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
        let presence = Arc::new(Presence::new(id.clone(), stream.clone(), worker.index, producers));
        let session = new_session_id();
        let published = Published {
            presence,
            generation,
            session: session.clone(),
        };
        self.published.lock().insert(id.clone(), published);
        let role = Role::Publisher {
            publication: id.clone(),
        };
        let etag = self.open_session(&session, stream, role, offer, transport, worker);
        self.touch_publications();
        Ok(Answered { session, sdp, etag })
    }

    /// WHEP: a viewer.
    pub async fn play(self: &Arc<Self>, stream: &StreamName, body: &[u8]) -> Result<Answered, Problem> {
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
        let etag = self.open_session(&session, stream, role, &offer, transport, worker);
        self.touch();
        // The stream may have ended while this viewer was being set up; nobody would close it later.
        if !self.still_live(&presence.publication, fetched.as_ref().map(|(c, _)| c)) {
            self.end_session(&session, "the stream ended").await;
            return Err(not_live(stream));
        }
        tracing::info!(%stream, session = %short(&session), "viewer");
        Ok(Answered { session, sdp, etag })
    }

    fn check_open(&self) -> Result<(), Problem> {
        if self.is_ready() {
            return Ok(());
        }
        let why = if self.is_draining() {
            "draining"
        } else {
            "not ready yet"
        };
        Err(Problem::unavailable(format!(
            "{} is {why}: ask another node",
            self.me.name
        )))
    }

    /// The stream on this node: published here, carried here, or fetched now from its origin.
    async fn find_stream(
        self: &Arc<Self>,
        stream: &StreamName,
    ) -> Result<(Arc<Presence>, Option<(Arc<Carried>, Arc<Received>)>), Problem> {
        let own = self
            .published
            .lock()
            .values()
            .find(|p| p.presence.stream == *stream)
            .map(|p| Arc::clone(&p.presence));
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

    /// A seat on the main router where the payload types agree, else on a profile router made for the viewer's.
    async fn seat(
        &self,
        presence: &Arc<Presence>,
        worker: &Arc<MediaWorker>,
        choices: &[Option<Choice<'_>>],
    ) -> Result<(Router, Seat), Problem> {
        let listen = self.inner_listen();
        let chosen: Vec<&Choice<'_>> = choices.iter().flatten().collect();
        if chosen.iter().all(|choice| choice.on_main) {
            let seat = presence.seat(&self.workers, worker, None, &listen).await?;
            return Ok((worker.main.clone(), seat));
        }
        // Every track of the stream goes to the profile router, watched or not: viewers share it.
        let mut key = Vec::new();
        let mut codecs = Vec::new();
        for (track, (_, codec)) in presence.codecs().iter().enumerate() {
            let wanted = chosen
                .iter()
                .find(|choice| choice.track == track)
                .map(|choice| choice.offered.payload_type);
            let taken: Vec<u8> = chosen.iter().map(|choice| choice.offered.payload_type).collect();
            let payload_type = wanted.or_else(|| (96..=127).find(|pt| !taken.contains(pt)));
            key.push(format!("{}@{}", codec.key(), payload_type.unwrap_or(0)));
            codecs.push(codec.capability(payload_type, Vec::new()));
        }
        let router = worker
            .profile(&key.join("+"), codecs)
            .await
            .map_err(|error| match error {
                ProfileError::TooMany => Problem::unavailable(error),
                ProfileError::Media(error) => Problem::from(error),
            })?;
        let seat = presence.seat(&self.workers, worker, Some(&router), &listen).await?;
        Ok((router, seat))
    }

    async fn client_transport(&self, worker: &MediaWorker, router: &Router) -> Result<WebRtcTransport, Problem> {
        let mut options = WebRtcTransportOptions::new_with_server(worker.server.clone());
        options.enable_tcp = self.options.media_tcp;
        options.prefer_udp = true;
        options.initial_available_outgoing_bitrate = INITIAL_BITRATE;
        // mediasoup counts only binding requests, which some clients stop sending; silence is judged by bytes instead.
        options.ice_consent_timeout = 0;
        Ok(within("opening a client transport", router.create_webrtc_transport(options)).await?)
    }

    async fn connect_and_answer(
        &self,
        offer: &Offer,
        replies: &[answer::Reply<'_>],
        transport: &WebRtcTransport,
    ) -> Result<String, Problem> {
        let remote = WebRtcTransportRemoteParameters {
            dtls_parameters: offer.dtls_parameters(),
        };
        within("starting DTLS", transport.connect(remote)).await?;
        let fingerprints = transport.dtls_parameters().fingerprints;
        let fingerprint = fingerprints
            .iter()
            .find(|f| matches!(f, DtlsFingerprint::Sha256 { .. }))
            .or(fingerprints.first())
            .ok_or_else(|| Problem::internal("writing the answer", "the worker has no certificate"))?;
        let ours = answer::Transport {
            ice: transport.ice_parameters(),
            candidates: transport.ice_candidates(),
            fingerprint,
        };
        Ok(answer::write(offer, replies, &ours, rand::random::<u64>() >> 1))
    }

    /// Registers a session and follows its transport.
    fn open_session(
        &self,
        id: &SessionId,
        stream: &StreamName,
        role: Role,
        offer: &Offer,
        transport: WebRtcTransport,
        worker: Arc<MediaWorker>,
    ) -> String {
        let etag = format!("\"{}\"", &transport.ice_parameters().username_fragment);
        let (ended, connected, key) = (self.ended.clone(), self.connected.clone(), id.clone());
        transport
            .on_dtls_state_change(move |state| match state {
                DtlsState::Connected => {
                    let _ = connected.send(key.clone());
                }
                DtlsState::Closed => {
                    let _ = ended.send((key.clone(), "the client closed DTLS"));
                }
                DtlsState::Failed => {
                    let _ = ended.send((key.clone(), "the DTLS handshake failed"));
                }
                DtlsState::New | DtlsState::Connecting => {}
            })
            .detach();
        let session = Session::new(
            id.clone(),
            stream.clone(),
            role,
            offer.ice_ufrag.clone(),
            transport,
            worker,
        );
        self.sessions.add(Arc::new(session));
        etag
    }

    /// A session's transport is connected: media may flow.
    pub async fn on_connected(self: &Arc<Self>, id: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        session.set_connected();
        let Role::Viewer { seat, .. } = &session.role else {
            return;
        };
        let presence = seat.presence();
        let carried = self.carried.lock().get(&presence.publication).cloned();
        let local = presence.activate(seat.router());
        let remote = async {
            if let Some(carried) = carried
                && let Some(received) = carried.received()
                && let Err(error) = self.activate_at_origin(&carried, &received).await
            {
                tracing::warn!(stream = %presence.stream, %error, "asking the origin for media");
            }
        };
        let (local, ()) = tokio::join!(local, remote);
        if let Err(error) = local {
            tracing::warn!(stream = %presence.stream, %error, "letting media through");
        }
    }

    /// Ends a session, and with a publisher's the stream.
    pub async fn end_session(self: &Arc<Self>, id: &str, why: &'static str) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        tracing::info!(stream = %session.stream, session = %short(id), "session ends: {why}");
        if let Role::Publisher { publication } = &session.role {
            let publication = publication.clone();
            let stream = session.stream.clone();
            let published = self.published.lock().remove(&publication);
            self.touch_publications();
            self.drop_outgoing(&publication).await;
            for viewer in self.sessions.viewers_of(&publication) {
                // Viewers are no publishers: this goes one level deep.
                drop(self.sessions.remove(&viewer));
            }
            drop(published);
            drop(session);
            self.claims.release(&stream, &publication).await;
        } else {
            drop(session);
            self.touch();
        }
    }
}

/// A publisher is asked for key frames at most this often, in milliseconds: many viewers joining at once cost one.
const KEY_FRAME_REQUEST_DELAY_MS: u32 = 300;
/// Bitrate that bandwidth estimation starts from, in bit/s.
const INITIAL_BITRATE: u64 = 1_500_000;

fn new_session_id() -> SessionId {
    // 244 random bits from the operating system: the URL is a credential.
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// Enough of a session id to follow it in a log, too little to use it.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// RFC 9725 section 4.4: one stream, at most one track of each kind, all sent, all accepted or none.
fn publisher_tracks(offer: &Offer) -> Result<Vec<rtp::Publish>, SdpError> {
    for section in &offer.sections {
        if !matches!(section.direction, Direction::SendOnly | Direction::SendRecv) {
            return Err(SdpError::unsupported(
                rtp::section_field(section),
                "a publisher offers a=sendonly (RFC 9725 section 4.4.1)",
            ));
        }
    }
    one_of_each(offer)?;
    offer.sections.iter().map(rtp::publish).collect()
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

fn one_of_each(offer: &Offer) -> Result<(), SdpError> {
    for kind in [TrackKind::Audio, TrackKind::Video] {
        if let Some(second) = offer.sections.iter().filter(|section| section.kind == kind).nth(1) {
            return Err(SdpError::unsupported(
                rtp::section_field(second),
                "at most one audio and one video m-section are supported",
            ));
        }
    }
    Ok(())
}

/// Which track a viewer's m-section gets, on which of the viewer's payload types.
struct Choice<'a> {
    track: usize,
    offered: &'a OfferedCodec,
    codec: StreamCodec,
    on_main: bool,
}

fn choose_tracks<'a>(offer: &'a Offer, presence: &Presence) -> Result<Vec<Option<Choice<'a>>>, Problem> {
    let tracks = presence.codecs();
    let mut choices = Vec::with_capacity(offer.sections.len());
    for section in &offer.sections {
        let track = tracks
            .iter()
            .enumerate()
            .find(|(_, (producer, _))| rtp::track_kind(producer.kind()) == section.kind)
            .filter(|_| section.direction != Direction::Inactive);
        choices.push(match track {
            None => None,
            Some((track, (producer, codec))) => Some(choose(section, track, producer, codec)?),
        });
    }
    if choices.iter().all(Option::is_none) {
        let detail = format!("{} has no track of a kind that the offer asks for", presence.stream);
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unsupported SDP", detail).field("m="));
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
        let names: Vec<&str> = section.codecs.iter().map(|c| c.name.as_str()).take(8).collect();
        SdpError::unsupported(
            rtp::section_field(section),
            format!(
                "the stream is sent as {}, the offer has {names:?}; this server supports {}",
                codec.name(),
                rtp::SUPPORTED
            ),
        )
    })?;
    // Consumers keep the router's payload type, and the near fit of an H264 profile needs a router of its own.
    let on_main = rtp::payload_type(producer.consumable_rtp_parameters()) == Some(offered.payload_type);
    Ok(Choice {
        track,
        offered,
        codec: codec.clone(),
        on_main,
    })
}
