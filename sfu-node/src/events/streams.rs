//! The event streams of one session: opened by POST, read by GET, closed by DELETE or with the session.

use super::kind::EventKind;
use super::status::{Event, Status, events};
use futures::Stream;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::sync::watch;

/// Most event streams that a session may have open.
pub const MAX_STREAMS: usize = 4;

/// A session has as many event streams as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this session has {MAX_STREAMS} event streams already: DELETE one of them first")]
pub struct TooManyStreams;

/// A wish to leave: asked once, told on every stream of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leave {
    url: Option<String>,
}

/// All event streams of a session.
pub struct EventStreams {
    open: Mutex<HashMap<String, Opened>>,
    leave: watch::Sender<Option<Leave>>,
}

struct Opened {
    wanted: BTreeSet<EventKind>,
    /// Readers so far: a new one takes the place of the one before, whose connection may be dead without a sign.
    readers: watch::Sender<u64>,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            leave: watch::Sender::new(None),
        }
    }
}

impl EventStreams {
    /// Opens a stream and answers its id, the last part of its URL: unguessable, since an `EventSource` shows no token.
    ///
    /// # Errors
    /// When the session has [`MAX_STREAMS`].
    pub fn open(&self, wanted: BTreeSet<EventKind>) -> Result<String, TooManyStreams> {
        let mut open = self.open.lock();
        if open.len() >= MAX_STREAMS {
            return Err(TooManyStreams);
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let readers = watch::Sender::new(0);
        open.insert(id.clone(), Opened { wanted, readers });
        Ok(id)
    }

    /// Closes a stream; false when there is none of this id.
    pub fn close(&self, id: &str) -> bool {
        self.open.lock().remove(id).is_some()
    }

    /// Closes every stream: the session ends.
    pub fn close_all(&self) {
        self.open.lock().clear();
    }

    /// Asks the player to open a new session, at `url` or where it opened this one.
    pub fn announce_reconnect(&self, url: Option<&str>) {
        let url = url.map(str::to_owned);
        self.leave.send_replace(Some(Leave { url }));
    }

    /// Starts reading a stream: first what is so, then what changes, until the stream, the session or the publication
    /// ends. `media` is the index of the video's m-section. `None` when there is no stream of this id.
    pub fn read(
        &self,
        id: &str,
        status: watch::Receiver<Status>,
        media: Option<usize>,
    ) -> Option<impl Stream<Item = Event> + Send + use<>> {
        let open = self.open.lock();
        let stream = open.get(id)?;
        stream.readers.send_modify(|readers| *readers += 1);
        let reader = Reader {
            wanted: stream.wanted.clone(),
            media,
            status,
            leave: self.leave.subscribe(),
            readers: stream.readers.subscribe(),
            told: None,
            left: None,
            ready: VecDeque::new(),
            over: false,
        };
        Some(futures::stream::unfold(reader, async |mut reader| {
            let event = reader.next().await?;
            Some((event, reader))
        }))
    }
}

struct Reader {
    wanted: BTreeSet<EventKind>,
    media: Option<usize>,
    status: watch::Receiver<Status>,
    leave: watch::Receiver<Option<Leave>>,
    readers: watch::Receiver<u64>,
    told: Option<Status>,
    left: Option<Leave>,
    ready: VecDeque<Event>,
    over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.look();
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            // A sender that is gone has left its last value, which is looked at once more before the end.
            let (over, replaced) = tokio::select! {
                changed = self.status.changed() => (changed.is_err(), false),
                changed = self.leave.changed() => (changed.is_err(), false),
                changed = self.readers.changed() => (changed.is_err(), changed.is_ok()),
            };
            if replaced {
                return None;
            }
            self.over = over;
        }
    }

    /// Turns what is new into events.
    fn look(&mut self) {
        let now = self.status.borrow_and_update().clone();
        self.ready
            .extend(events(self.told.as_ref(), &now, self.media, &self.wanted));
        self.told = Some(now);
        let leave = self.leave.borrow_and_update().clone();
        if leave != self.left {
            if let Some(leave) = &leave
                && self.wanted.contains(&EventKind::Reconnect)
            {
                self.ready.push_back(Event::reconnect(leave.url.as_deref()));
            }
            self.left = leave;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};
    use std::pin::pin;

    fn active() -> Status {
        Status {
            active: true,
            viewers: 1,
            ..Status::default()
        }
    }

    fn names(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(|event| event.kind.name()).collect()
    }

    #[tokio::test]
    async fn a_reader_gets_the_state_and_then_every_change() {
        let (status, streams) = (watch::Sender::new(active()), EventStreams::default());
        let id = streams.open(EventKind::ALL.into()).unwrap();
        let mut events = pin!(streams.read(&id, status.subscribe(), None).unwrap());
        let first = [events.next().await.unwrap(), events.next().await.unwrap()];
        assert_eq!(names(&first), ["active", "viewercount"]);
        assert!(events.next().now_or_never().is_none(), "nothing changed");
        status.send_modify(|status| status.active = false);
        assert_eq!(names(&[events.next().await.unwrap()]), ["inactive"]);
    }

    #[tokio::test]
    async fn a_reader_that_was_slow_gets_the_newest_state_only() {
        let (status, streams) = (watch::Sender::new(active()), EventStreams::default());
        let id = streams.open([EventKind::ViewerCount].into()).unwrap();
        let mut events = pin!(streams.read(&id, status.subscribe(), None).unwrap());
        events.next().await.unwrap();
        for viewers in 2..=50 {
            status.send_modify(|status| status.viewers = viewers);
        }
        assert_eq!(events.next().await.unwrap().data, r#"{"viewercount":50}"#);
        assert!(events.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn reconnect_is_told_even_when_the_session_ends_at_once() {
        let (status, streams) = (watch::Sender::new(active()), EventStreams::default());
        let id = streams.open([EventKind::Reconnect].into()).unwrap();
        let events = streams.read(&id, status.subscribe(), None).unwrap();
        streams.announce_reconnect(Some("/whep/demo"));
        streams.close_all();
        let all: Vec<Event> = events.collect().await;
        assert_eq!(
            all.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(),
            [r#"{"url":"/whep/demo"}"#]
        );
    }

    #[tokio::test]
    async fn a_closed_stream_ends_and_cannot_be_read_again() {
        let (status, streams) = (watch::Sender::new(active()), EventStreams::default());
        let id = streams.open(BTreeSet::new()).unwrap();
        let events = streams.read(&id, status.subscribe(), None).unwrap();
        assert!(streams.close(&id));
        assert_eq!(events.collect::<Vec<_>>().await, []);
        assert!(!streams.close(&id));
        assert!(streams.read(&id, status.subscribe(), None).is_none());
    }

    #[tokio::test]
    async fn a_second_reader_takes_the_place_of_the_first() {
        let (status, streams) = (watch::Sender::new(active()), EventStreams::default());
        let id = streams.open([EventKind::Active].into()).unwrap();
        let mut first = pin!(streams.read(&id, status.subscribe(), None).unwrap());
        first.next().await.unwrap();
        let mut second = pin!(streams.read(&id, status.subscribe(), None).unwrap());
        assert!(first.next().await.is_none());
        assert_eq!(names(&[second.next().await.unwrap()]), ["active"]);
    }

    #[tokio::test]
    async fn a_session_has_a_bounded_number_of_streams() {
        let streams = EventStreams::default();
        let ids: Vec<String> = (0..MAX_STREAMS)
            .map(|_| streams.open(BTreeSet::new()).unwrap())
            .collect();
        assert!(streams.open(BTreeSet::new()).is_err());
        streams.close(&ids[0]);
        assert!(streams.open(BTreeSet::new()).is_ok());
    }
}
