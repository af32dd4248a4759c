//! PATCH of a session: trickle ICE, and ICE restart.

use super::Refusal;
use crate::ids::short;
use crate::media::deadline::within;
use crate::node::Node;
use crate::sdp::fragment::{self, Fragment};
use crate::sessions::ice::{Condition, IceSession, PatchAction, judge, precondition};
use crate::sessions::session::Session;

/// What a PATCH with a fragment is answered with.
pub enum Patched {
    /// The candidates are known, or not needed.
    Trickled,
    /// ICE was restarted.
    Restarted {
        /// Our new credentials and our candidates, as a fragment.
        fragment: String,
        /// ETag of the new ICE session.
        etag: String,
    },
}

impl Node {
    /// Whether a PATCH under this condition is about the present ICE session; asked before its body is read.
    pub async fn may_patch(&self, session: &Session, condition: &Condition) -> Result<(), Refusal> {
        let ice = session.ice.lock().await;
        Ok(precondition(condition, &ice, self.options.strict_whip)?)
    }

    /// Takes a fragment (RFC 8840). Media and DTLS go on through a restart: the worker takes checks with the old credentials
    /// until the first one with the new comes, so a restart that fails, or that the client forgets, leaves all as it was.
    pub async fn patch_ice(&self, session: &Session, body: &[u8], condition: &Condition) -> Result<Patched, Refusal> {
        let body = body.to_vec();
        let given = self.parsing.run(move || Fragment::parse(&body)).await??;
        // Held to the end: two restarts at once would each believe that theirs are the present credentials.
        let mut ice = session.ice.lock().await;
        match judge(&given, condition, &ice, self.options.strict_whip)? {
            PatchAction::Trickle => Ok(Patched::Trickled),
            PatchAction::Restart(client) => {
                let ours = within("restarting ICE", session.transport.restart_ice()).await?;
                *ice = IceSession {
                    client: vec![client],
                    ours,
                };
                tracing::info!(stream = %session.stream, session = %short(&session.id), "ICE restarted");
                let fragment = fragment::write(&session.bundle, &ice.ours, &self.candidates(&session.transport));
                session.note_given(&fragment);
                Ok(Patched::Restarted {
                    fragment,
                    etag: ice.etag(),
                })
            }
        }
    }
}
