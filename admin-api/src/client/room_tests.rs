use super::*;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;

const MOST: usize = ROOM_BYTES / 2;
/// As long as an honest report may be.
const REPORT: usize = 128 * 1024;

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

fn answer(frames: impl Stream<Item = Bytes> + Send + 'static) -> http::Response<StreamBody<Frames>> {
    let frames = frames.map(|bytes| Ok(Frame::data(bytes)));
    http::Response::new(StreamBody::new(Box::pin(frames)))
}

/// An answer in pieces of 16 KiB.
fn long(bytes: usize) -> http::Response<StreamBody<Frames>> {
    let piece = Bytes::from(vec![b'x'; 16 * 1024]);
    answer(stream::iter(vec![piece; bytes / (16 * 1024)]))
}

/// An answer that begins and never ends.
fn endless(bytes: usize) -> http::Response<StreamBody<Frames>> {
    let begin = Bytes::from(vec![b'x'; bytes]);
    answer(stream::iter([begin]).chain(stream::pending()))
}

async fn read(room: &Room, answer: http::Response<StreamBody<Frames>>) -> Result<Answer, TransportError> {
    room.read(answer, MOST, |never| match never {}).await
}

#[tokio::test(start_paused = true)]
async fn answers_wait_until_those_before_them_are_dropped_and_small_ones_do_not() {
    let room = Room::default();
    let held = [
        read(&room, long(MOST)).await.unwrap(),
        read(&room, long(MOST)).await.unwrap(),
    ];
    let mut third = Box::pin(read(&room, long(MOST)));
    assert!(third.as_mut().now_or_never().is_none(), "there is no room for a third");
    let small = read(&room, long(SMALL_BYTES)).now_or_never().unwrap().unwrap();
    assert_eq!(small.body.len(), SMALL_BYTES);
    drop(held);
    assert_eq!(third.await.unwrap().body.len(), MOST);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_gives_its_room_back() {
    let room = Room::default();
    let slow = [
        read(&room, endless(SMALL_BYTES + 1)),
        read(&room, endless(SMALL_BYTES + 1)),
    ];
    let (slow, honest) = tokio::join!(futures::future::join_all(slow), read(&room, long(MOST)));
    for error in slow {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("its end did not come in time"), "{error}");
    }
    assert_eq!(honest.unwrap().body.len(), MOST);
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_its_bound_is_refused_wherever_that_is_seen() {
    let room = Room::default();
    let error = read(&room, long(MOST + 16 * 1024)).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLong(MOST)), "{error}");
    let whole = http::Response::new(http_body_util::Full::new(Bytes::from(vec![b'x'; MOST + 1])));
    let error = room.read(whole, MOST, |never| match never {}).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLong(MOST)), "{error}");
    assert_eq!(room.own.available_permits(), ROOM_BYTES / STEP);
}

/// Liars that begin long answers and never end them, each again and again, and an honest node between them.
#[tokio::test(start_paused = true)]
async fn many_answers_that_do_not_end_keep_an_honest_one_waiting_for_a_moment() {
    const LIARS: usize = 60;
    const LONG: usize = 1024 * 1024;
    let room = Room::default();
    let liars: Vec<_> = (0..LIARS)
        .map(|_| {
            let room = room.clone();
            tokio::spawn(async move {
                loop {
                    let stalling = endless(SMALL_BYTES + 1);
                    let _ = room.read(stalling, LONG, |never| match never {}).await;
                    // As pollers do after a failure.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..20 {
        let begun = Instant::now();
        let honest = room.read(long(REPORT), LONG, |never| match never {}).await;
        assert_eq!(honest.unwrap().body.len(), REPORT);
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    }
    liars.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn rooms_of_many_clusters_hold_no_more_than_the_building() {
    let building = Building::default();
    let rooms: Vec<Room> = (0..8).map(|_| Room::of(&building)).collect();
    let mut held = Vec::new();
    for room in &rooms {
        while let Some(answer) = read(room, long(MOST)).now_or_never() {
            held.push(answer.unwrap());
        }
    }
    let all: usize = held.iter().map(|answer| answer.body.len()).sum();
    // Three rooms have filled the building, and each of the others has one answer whatever they do.
    assert_eq!(all, BUILDING_BYTES + 5 * MOST);
    let small = read(&rooms[7], long(SMALL_BYTES)).now_or_never().unwrap().unwrap();
    assert_eq!(small.body.len(), SMALL_BYTES);
    let mut next = Box::pin(read(&rooms[7], long(REPORT)));
    assert!(next.as_mut().now_or_never().is_none());
    held.pop();
    assert_eq!(next.await.unwrap().body.len(), REPORT);
}
