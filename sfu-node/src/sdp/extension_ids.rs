//! Header extensions of a session or of an m-section, under the ids that a client gives them (RFC 8285 section 5).

use super::attributes::typed;
use super::steps::Walk;
use mediasoup::types::rtp_parameters::RtpHeaderExtensionUri;
use sdp_types::{Attribute, Direction, ExtMap};

/// Ids of one and of two bytes are numbers below this. Offers may use 4096 to 4351 for more extensions than there are ids,
/// of which we know no client, and lines with these are left out like all that cannot be read.
const IDS: usize = 256;

/// What the `a=extmap` lines at one level say.
#[derive(Debug)]
pub(super) struct Extensions {
    /// Extensions that mediasoup knows; each URI and each id once.
    known: Vec<(u16, RtpHeaderExtensionUri)>,
    /// Which ids mean something, known or not.
    used: [bool; IDS],
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            used: [false; IDS],
        }
    }
}

impl Extensions {
    /// A line that cannot be read, or that gives another meaning to an id, costs itself: its extension is not used.
    pub(super) fn read(attributes: &[Attribute]) -> Self {
        let mut read = Self::default();
        for map in typed::<ExtMap>(attributes).flatten() {
            if std::mem::replace(&mut read.used[usize::from(map.id)], true)
                || map.direction == Some(Direction::Inactive)
            {
                continue;
            }
            if let Ok(uri) = map.uri.parse::<RtpHeaderExtensionUri>() {
                read.add(u16::from(map.id), uri);
            }
        }
        read
    }

    /// Those of an m-section, with those of the session that contradict none of them.
    pub(super) fn or(mut self, session: &Self) -> Vec<(u16, RtpHeaderExtensionUri)> {
        for (id, uri) in session.known.iter().walked() {
            if !self.used[usize::from(*id)] {
                self.add(*id, *uri);
            }
        }
        self.known
    }

    /// There are few that mediasoup knows, so the list stays short.
    fn add(&mut self, id: u16, uri: RtpHeaderExtensionUri) {
        if !self.known.iter().walked().any(|(_, known)| *known == uri) {
            self.known.push((id, uri));
        }
    }
}
