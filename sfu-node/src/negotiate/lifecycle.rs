//! The life of a session: opened with the answer, connected, ended.

use super::short;
use crate::ice::{Credentials, IceSession};
use crate::node::Node;
use crate::sdp::fragment::BundleTag;
use crate::session::{EndReason, Role, Session, SessionId};
use crate::worker::MediaWorker;
use mediasoup::prelude::*;
use mediasoup::types::data_structures::DtlsState;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;

/// What a session keeps of the descriptions that it began with.
pub(super) struct Descriptions<'a> {
    /// The client's ICE credentials.
    pub(super) client: Vec<Credentials>,
    /// What this server wrote.
    pub(super) ours: &'a str,
}

impl Node {
    /// Registers a session and follows its transport.
    pub(super) fn open_session(
        &self,
        id: &SessionId,
        stream: &StreamName,
        role: Role,
        descriptions: Descriptions<'_>,
        transport: WebRtcTransport,
        worker: Arc<MediaWorker>,
    ) -> String {
        let ice = IceSession {
            client: descriptions.client,
            ours: transport.ice_parameters().clone(),
        };
        let etag = ice.etag();
        let (ended, connected, key) = (self.ended.clone(), self.connected.clone(), id.clone());
        transport
            .on_dtls_state_change(move |state| match state {
                DtlsState::Connected => {
                    let _ = connected.send(key.clone());
                }
                DtlsState::Closed => {
                    let _ = ended.send((key.clone(), EndReason::ClientClosed));
                }
                DtlsState::Failed => {
                    let _ = ended.send((key.clone(), EndReason::HandshakeFailed));
                }
                DtlsState::New | DtlsState::Connecting => {}
            })
            .detach();
        let session = Session::new(
            id.clone(),
            stream.clone(),
            role,
            ice,
            BundleTag::of(descriptions.ours),
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
        let carried = self.carried.get(&presence.publication);
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

    /// Asks the viewers of a publication that ends to open a new session, if the stream is published anew by now.
    pub(crate) fn announce_another(&self, stream: &StreamName, ended: &PublicationId) {
        let here = self
            .published
            .lock()
            .values()
            .any(|published| published.presence.stream == *stream && published.presence.publication != *ended);
        let there = || self.peers.find(stream).is_some_and(|(_, found)| found.id != *ended);
        if here || there() {
            for viewer in self.sessions.viewers_of(ended) {
                if let Some(session) = self.sessions.get(&viewer) {
                    session.announce_reconnect(None);
                }
            }
        }
    }

    /// Ends a session, and with a publisher's the stream.
    pub async fn end_session(self: &Arc<Self>, id: &str, why: EndReason) {
        let Some(session) = self.sessions.remove(id, why) else {
            return;
        };
        self.tally.session_ended(session.role.kind(), why);
        tracing::info!(stream = %session.stream, session = %short(id), "session ends: {why}");
        if let Role::Publisher { publication, .. } = &session.role {
            let publication = publication.clone();
            let stream = session.stream.clone();
            let published = self.published.lock().remove(&publication);
            self.publication_ended(&publication);
            self.drop_outgoing(&publication).await;
            self.announce_another(&stream, &publication);
            let mut ending = vec![Arc::clone(&session)];
            for viewer in self.sessions.viewers_of(&publication) {
                // Viewers are no publishers: this goes one level deep.
                if let Some(viewer) = self.sessions.remove(&viewer, EndReason::StreamEnded) {
                    self.tally.session_ended(viewer.role.kind(), EndReason::StreamEnded);
                    ending.push(viewer);
                }
            }
            self.last_look(&ending).await;
            drop(ending);
            drop(published);
            drop(session);
            // Once more, now that the viewers are gone as well: whoever waits for an empty node looks at each change alone.
            self.touch();
            self.claims.release(&stream, &publication).await;
        } else {
            self.last_look(std::slice::from_ref(&session)).await;
            drop(session);
            self.touch();
        }
    }
}

pub(super) fn new_session_id() -> SessionId {
    // 244 random bits from the operating system: the URL is a credential. Its first 12 characters are public.
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
