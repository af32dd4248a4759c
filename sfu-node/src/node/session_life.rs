//! The life of a session: opened with the answer, connected, ended.

use super::Node;
use super::inbox::TransportNews;
use crate::ids::SessionId;
use crate::ids::short;
use crate::sdp::credentials::Credentials;
use crate::sdp::fragment::BundleTag;
use crate::sessions::end_reason::EndReason;
use crate::sessions::ice::IceSession;
use crate::sessions::session::{Held, Role, Session};
use mediasoup::router::RouterId;
use mediasoup::types::data_structures::DtlsState;
use sfumato_admin_api::types::{PublicationId, StreamName};
use std::sync::Arc;

/// What a session keeps of the descriptions that it began with.
pub struct Descriptions<'a> {
    /// The client's ICE credentials.
    pub client: Vec<Credentials>,
    /// What this server wrote.
    pub ours: &'a str,
}

impl Node {
    /// Registers a session and follows its transport.
    pub fn open_session(
        &self,
        id: &SessionId,
        stream: &StreamName,
        role: Role,
        descriptions: Descriptions<'_>,
        held: Held,
    ) -> String {
        let transport = &held.transport;
        let ice = IceSession {
            client: descriptions.client,
            ours: transport.ice_parameters().clone(),
        };
        let etag = ice.etag();
        let (inbox, key) = (self.inbox.clone(), id.clone());
        transport
            .on_dtls_state_change(move |state| {
                let news = match state {
                    DtlsState::Connected => TransportNews::Connected(key.clone()),
                    DtlsState::Closed => TransportNews::Ended(key.clone(), EndReason::ClientClosed),
                    DtlsState::Failed => TransportNews::Ended(key.clone(), EndReason::HandshakeFailed),
                    DtlsState::New | DtlsState::Connecting => return,
                };
                // Nobody reads it any more when the node ends.
                let _ = inbox.send(news);
            })
            .detach();
        let session = Session::new(
            id.clone(),
            stream.clone(),
            role,
            ice,
            BundleTag::of(descriptions.ours),
            held,
        );
        session.note_given(descriptions.ours);
        self.sessions.add(Arc::new(session));
        etag
    }

    /// What is left on a profile router that made room for another one: sessions that are not connected, and copies.
    pub async fn clear_evicted(self: &Arc<Self>, router: Option<RouterId>) {
        let Some(router) = router else { return };
        for session in self.sessions.all() {
            if session.is_on(router) {
                let id = session.id.clone();
                drop(session);
                self.end_session(&id, EndReason::Evicted).await;
            }
        }
        for local in self.streams.local() {
            local.drop_copy(router).await;
        }
        // One that a request has opened which was in flight meanwhile.
        for worker in self.workers.all() {
            worker.drop_pipes(&[router]).await;
        }
    }

    /// A session's transport is connected: media may flow.
    pub async fn on_connected(self: &Arc<Self>, id: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        if !session.set_connected() {
            drop(session);
            self.end_session(id, EndReason::Evicted).await;
            return;
        }
        let Role::Viewer { seat, .. } = &session.role else {
            return;
        };
        let local = seat.local();
        let carried = self.streams.carried.get(&local.publication);
        let here = local.activate(seat.router());
        let there = async {
            if let Some(carried) = carried
                && let Some(received) = carried.received()
                && let Err(error) = self.activate_at_origin(&carried, &received).await
            {
                tracing::warn!(stream = %local.stream, %error, "asking the origin for media");
            }
        };
        let (here, ()) = tokio::join!(here, there);
        if let Err(error) = here {
            tracing::warn!(stream = %local.stream, %error, "letting media through");
        }
    }

    /// Asks the viewers of a publication that ends to open a new session, if the stream is published anew by now.
    pub(crate) fn announce_another(&self, stream: &StreamName, ended: &PublicationId) {
        if self.streams.is_published_anew(stream, ended) {
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
            let published = self.streams.published.remove(&publication);
            self.state.publication_ended(&publication);
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
            self.state.touch();
            self.names.claims.release(&stream, &publication).await;
        } else {
            self.last_look(std::slice::from_ref(&session)).await;
            drop(session);
            self.state.touch();
        }
    }
}
