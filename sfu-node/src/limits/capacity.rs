//! Whether a node has room for one more session, and for one more of this client's.

use super::holder::Holder;
use parking_lot::Mutex;
use sfumato_admin_api::server::places::{Place, Places};
use sfumato_admin_api::server::shares::{Over, Part, Share};
use std::time::Duration;

/// Most offers of this server that wait for their answers: each holds a transport, for somebody who has not yet shown that
/// they will play.
pub const MAX_OFFERS: u32 = 1_000;
/// Most streams of events that are read at a time; each holds a connection.
pub const MAX_EVENT_STREAMS: u32 = 4_096;

/// Most requests with bodies that are read and answered at a time; each may hold a body of 64 KiB.
pub const MAX_REQUESTS: u32 = 512;

/// Which limit is reached, and how many that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node.
    #[error("the node has {0} sessions, as many as it may (--max-sessions)")]
    Sessions(u32),
    /// Sessions that were answered and whose clients have not come.
    #[error("{0} sessions wait for their clients to connect, as many as may (--max-half-open)")]
    HalfOpen(u32),
    /// The stream.
    #[error("the stream has {0} viewers on this node, as many as it may (--max-viewers-per-stream)")]
    Viewers(u32),
    /// Offers of this server.
    #[error("{0} offers of this node wait for an answer, as many as may")]
    Offers(u32),
    /// Streams of events.
    #[error("{0} event streams of this node are open, as many as may: do without")]
    EventStreams(u32),
    /// Requests with bodies.
    #[error("the node answers {0} requests, as many as it may at a time")]
    Requests(u32),
    /// Routers for the payload types of players, each with somebody who is about to connect; one may be free after so long.
    #[error(
        "all routers for payload types other than the usual ones are in use, and players are connecting on some of them"
    )]
    Profiles(Duration),
    /// Not the node, but what one client may have of it.
    #[error(
        "this client address or token subject has its share of {share} of the {of}, of which more than half are in use \
         (many people behind one address: --trusted-address)"
    )]
    Share {
        /// Of what.
        of: Shared,
        /// How many one client may have.
        share: u32,
    },
}

/// What is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// Sessions.
    Sessions,
    /// Sessions that are not connected.
    HalfOpen,
    /// Offers that wait.
    Offers,
    /// Streams of events.
    EventStreams,
    /// Requests with bodies.
    Requests,
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sessions => "sessions (--max-sessions)",
            Self::HalfOpen => "sessions that wait for their clients to connect (--max-half-open)",
            Self::Offers => "offers that wait for an answer",
            Self::EventStreams => "event streams",
            Self::Requests => "requests that are being answered",
        })
    }
}

/// Places of a node.
pub struct Room {
    sessions: Places<Holder>,
    half_open: Places<Holder>,
    offers: Places<Holder>,
    event_streams: Places<Holder>,
    requests: Places<Holder>,
    viewers: u32,
}

/// The place of a session, from before it is made to its end.
#[must_use]
pub struct SessionPlace {
    _session: Place<Holder>,
    half_open: Mutex<Option<Place<Holder>>>,
}

impl SessionPlace {
    /// The client has come: from now on only the session itself counts.
    pub fn connected(&self) {
        drop(self.half_open.lock().take());
    }
}

impl Room {
    /// Everything is free. A client that has not shown that it is there may hold a tenth of what more than half is in use of;
    /// of established sessions half, since many people may be behind one address.
    pub fn new(sessions: u32, half_open: u32, viewers: u32) -> Self {
        let places = |most, part| Places::new(Share { most, part });
        Self {
            sessions: places(sessions, Part::Half),
            half_open: places(half_open, Part::Tenth),
            offers: places(MAX_OFFERS, Part::Tenth),
            event_streams: places(MAX_EVENT_STREAMS, Part::Tenth),
            requests: places(MAX_REQUESTS, Part::Tenth),
            viewers,
        }
    }

    /// A place for one more session.
    pub fn session(&self, holder: &[Holder]) -> Result<SessionPlace, Full> {
        let session = take(&self.sessions, holder, Full::Sessions, Shared::Sessions)?;
        let half_open = take(&self.half_open, holder, Full::HalfOpen, Shared::HalfOpen)?;
        Ok(SessionPlace {
            _session: session,
            half_open: Mutex::new(Some(half_open)),
        })
    }

    /// A place for one more offer that waits.
    pub fn offer(&self, holder: &[Holder]) -> Result<Place<Holder>, Full> {
        take(&self.offers, holder, Full::Offers, Shared::Offers)
    }

    /// A place for one more stream of events.
    pub fn event_stream(&self, holder: &[Holder]) -> Result<Place<Holder>, Full> {
        take(&self.event_streams, holder, Full::EventStreams, Shared::EventStreams)
    }

    /// A place for one more request with a body, from before that is read to the answer.
    pub fn request(&self, holder: &[Holder]) -> Result<Place<Holder>, Full> {
        take(&self.requests, holder, Full::Requests, Shared::Requests)
    }

    /// Whether one more viewer of a stream fits.
    pub fn viewer(&self, viewers: u32) -> Result<(), Full> {
        if viewers >= self.viewers {
            return Err(Full::Viewers(self.viewers));
        }
        Ok(())
    }
}

fn take(places: &Places<Holder>, holder: &[Holder], all: fn(u32) -> Full, of: Shared) -> Result<Place<Holder>, Full> {
    places.take(holder.to_vec()).map_err(|over| match over {
        Over::All(most) => all(most),
        Over::One(share) => Full::Share { of, share },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn address(text: &str) -> Vec<Holder> {
        vec![Holder::Address(text.parse::<IpAddr>().unwrap().into())]
    }

    #[test]
    fn the_last_place_is_given_and_no_further_one_until_one_is_free() {
        let room = Room::new(3, 2, 5);
        let one = room.session(&[]).ok().unwrap();
        let two = room.session(&[]).ok().unwrap();
        assert_eq!(room.session(&[]).err(), Some(Full::HalfOpen(2)));
        one.connected();
        let three = room.session(&[]).ok().unwrap();
        two.connected();
        assert_eq!(room.session(&[]).err(), Some(Full::Sessions(3)));
        drop(three);
        assert!(room.session(&[]).is_ok());
        assert_eq!(room.viewer(4), Ok(()));
        assert_eq!(room.viewer(5), Err(Full::Viewers(5)));
    }

    #[test]
    fn an_address_that_takes_all_half_open_places_it_can_get_leaves_half_to_others() {
        let room = Room::new(2_000, 500, 1_500);
        let attacker = address("198.51.100.1");
        let taken: Vec<SessionPlace> = (0..500).map_while(|_| room.session(&attacker).ok()).collect();
        assert_eq!(taken.len(), 250);
        let full = Full::Share {
            of: Shared::HalfOpen,
            share: 50,
        };
        assert_eq!(room.session(&attacker).err(), Some(full));
        assert!(room.session(&address("198.51.100.2")).is_ok());
    }

    #[test]
    fn a_campus_behind_one_address_gets_half_of_all_sessions_whose_clients_have_come() {
        let room = Room::new(100, 100, 1_500);
        let campus = address("198.51.100.1");
        let join = |_| {
            let place = room.session(&campus).ok()?;
            place.connected();
            Some(place)
        };
        let viewers: Vec<SessionPlace> = (0..100).map_while(join).collect();
        assert_eq!(viewers.len(), 50);
        assert!(room.session(&address("198.51.100.2")).is_ok());
    }

    #[test]
    fn a_refusal_that_leaves_no_half_open_place_gives_the_session_place_back() {
        let room = Room::new(2, 1, 5);
        let one = room.session(&[]).ok().unwrap();
        for _ in 0..5 {
            assert_eq!(room.session(&[]).err(), Some(Full::HalfOpen(1)));
        }
        one.connected();
        assert!(room.session(&[]).is_ok());
    }

    #[test]
    fn each_refusal_names_its_flag() {
        let share = |of| Full::Share { of, share: 1 };
        for (full, flag) in [
            (Full::Sessions(1), "--max-sessions"),
            (Full::HalfOpen(1), "--max-half-open"),
            (Full::Viewers(1), "--max-viewers-per-stream"),
            (share(Shared::Sessions), "--max-sessions"),
            (share(Shared::HalfOpen), "--max-half-open"),
            (share(Shared::Offers), "--trusted-address"),
            (share(Shared::EventStreams), "--trusted-address"),
        ] {
            assert!(full.to_string().contains(flag), "{full}");
        }
    }
}
