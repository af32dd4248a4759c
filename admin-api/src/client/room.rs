//! Room for answers: what nodes may put into the memory of whoever asks them, all of them together.
//!
//! Each answer has a bound of its own. That alone is not enough: a node names its peers, and a cluster has many nodes, so a
//! liar multiplies it. A node that takes long to send an answer has its room for less than a second, and small answers wait for
//! nobody. How often a node is asked is up to whoever asks.

use super::node_admin::{MAX_PUBLICATIONS_BYTES, Reach};
use super::transport_error::TransportError;
use axum::body::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Most bytes of answers that are not small which one client holds at once, until they are decoded.
pub const ROOM_BYTES: usize = 4 * MAX_PUBLICATIONS_BYTES;
/// Most bytes of such answers that a program holds at once which has a room for each of many clusters.
pub const BUILDING_BYTES: usize = 3 * ROOM_BYTES;
/// An answer of at most this many bytes is read without asking for room.
const SMALL_BYTES: usize = 64 * 1024;
/// Longest time for the rest of an answer that has its room: this, and as long as its length takes at [`BYTES_A_SECOND`].
const READ_DEADLINE: Duration = Duration::from_millis(250);
/// Slower than any network that a cluster is in.
const BYTES_A_SECOND: u32 = 8 * 1024 * 1024;
/// What a permit stands for, in bytes.
const STEP: usize = 1024;

/// An answer, and the room that it takes until it is dropped.
#[derive(Debug)]
pub struct Answer {
    /// Status of the answer.
    pub status: StatusCode,
    /// Its body, whole.
    pub body: Vec<u8>,
    _room: Vec<OwnedSemaphorePermit>,
}

/// Room for the answers of all nodes that one client asks. Cheap to clone; all clones are the same room.
#[derive(Debug, Clone)]
pub struct Room {
    own: Arc<Semaphore>,
    /// What it has in common with other rooms.
    building: Option<Building>,
    /// Whatever others do, one answer at a time has its place here.
    reserved: Arc<Semaphore>,
}

/// What all rooms of a program take together: one that asks the nodes of many clusters has a room for each. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Building(Arc<Semaphore>);

impl Default for Building {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUILDING_BYTES / STEP)))
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            own: Arc::new(Semaphore::new(ROOM_BYTES / STEP)),
            building: None,
            reserved: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Room {
    /// One of several. An answer gets its place in its own room first, so however many answers come for one, the others wait
    /// for no more than a room full of them. And one at a time needs no place in the building.
    #[must_use]
    pub fn of(building: &Building) -> Self {
        Self {
            building: Some(building.clone()),
            ..Self::default()
        }
    }

    /// Reads an answer of at most `most` bytes. One that is not small waits for its room first, in the order of arrival.
    ///
    /// # Errors
    /// When it is longer, by its own word or in truth, when it ends early, or when it does not end.
    pub async fn read<B>(
        &self,
        answer: http::Response<B>,
        most: usize,
        broken: impl Fn(B::Error) -> TransportError,
    ) -> Result<Answer, TransportError>
    where
        B: BodyExt<Data = Bytes> + Unpin,
    {
        let (parts, mut from) = answer.into_parts();
        let too_long = || TransportError::TooLong(most);
        // One that says so beforehand need not be read at all, and is no longer than it says. One that says nothing may have it all.
        let announced = usize::try_from(from.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > most {
            return Err(too_long());
        }
        let mut body = Vec::new();
        let mut place = None;
        if announced > SMALL_BYTES {
            place = Some(self.take(announced).await);
        }
        loop {
            let next = from.frame();
            let frame = match &place {
                None => next.await,
                Some(Place { until, .. }) => tokio::time::timeout_at(*until, next).await.map_err(|_| too_slow())?,
            };
            let Some(frame) = frame else { break };
            // Trailers say nothing here.
            let Ok(chunk) = frame.map_err(&broken)?.into_data() else {
                continue;
            };
            let length = body.len() + chunk.len();
            if length > most {
                return Err(too_long());
            }
            if length > SMALL_BYTES && place.is_none() {
                place = Some(self.take(most).await);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: parts.status,
            body,
            _room: place.map(|place| place.room).unwrap_or_default(),
        })
    }

    async fn take(&self, bytes: usize) -> Place {
        let steps = u32::try_from(bytes.min(ROOM_BYTES).div_ceil(STEP)).unwrap_or(u32::MAX);
        // None of them is ever closed.
        let mut room: Vec<OwnedSemaphorePermit> = Vec::new();
        room.extend(Arc::clone(&self.own).acquire_many_owned(steps).await.ok());
        if let Some(Building(building)) = &self.building {
            let place = tokio::select! {
                biased;
                place = Arc::clone(building).acquire_many_owned(steps) => place,
                place = Arc::clone(&self.reserved).acquire_owned() => place,
            };
            room.extend(place.ok());
        }
        Place {
            room,
            until: Instant::now() + READ_DEADLINE + time_of(bytes, BYTES_A_SECOND),
        }
    }
}

/// How long so many bytes take at this rate.
#[must_use]
pub fn time_of(bytes: usize, bytes_a_second: u32) -> Duration {
    Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / bytes_a_second
}

/// Room that was given to one answer.
struct Place {
    room: Vec<OwnedSemaphorePermit>,
    until: Instant,
}

fn too_slow() -> TransportError {
    let why = "the answer has begun, and its end did not come in time";
    TransportError::Unreachable {
        reach: Reach::Broken,
        source: why.into(),
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
