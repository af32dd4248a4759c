//! The body of a request, and what to do with what nobody has read of it.
//!
//! A connection on which more has come than was read cannot be closed without a reset, which may take the answer from the client, and a
//! front door's client would see a node that broke off. So the rest is read and dropped, within bounds.

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Longest rest of a body that is read and dropped, in bytes: as long as bodies of clients may be.
const MAX_REST: usize = 64 * 1024;
/// How long that may take.
const REST_DEADLINE: Duration = Duration::from_secs(1);

/// Where the rest of a body is, once its reader has dropped it.
type Left = Arc<Mutex<Option<Incoming>>>;

/// The body of a request.
pub(super) struct Question {
    body: Option<Incoming>,
    left: Left,
}

/// What is left of it.
pub(super) struct Rest(Left);

impl Question {
    pub(super) fn new(body: Incoming) -> (Self, Rest) {
        let left = Left::default();
        let rest = Rest(Arc::clone(&left));
        let body = Some(body);
        (Self { body, left }, rest)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        *self.left.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}

impl Rest {
    /// Reads what is left. Answers whether that was all of it: else the connection has to end after the answer.
    pub(super) async fn dropped(self) -> bool {
        let Some(mut body) = self.0.lock().take() else {
            return true;
        };
        let all = async {
            let mut read = 0;
            while read <= MAX_REST {
                match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            false
        };
        tokio::time::timeout(REST_DEADLINE, all).await.unwrap_or(false)
    }
}

impl Body for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}
