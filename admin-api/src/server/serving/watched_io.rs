//! A connection that notes what passes.

use super::pulse::Pulse;
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub(super) struct WatchedIo<I> {
    inner: I,
    pulse: Arc<Mutex<Pulse>>,
    /// A flush is waiting for the client.
    flush_stalled: bool,
}

impl<I> WatchedIo<I> {
    pub fn new(inner: I, pulse: Arc<Mutex<Pulse>>) -> Self {
        Self {
            inner,
            pulse,
            flush_stalled: false,
        }
    }

    fn note_write<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &outcome {
            Poll::Pending => self.pulse.lock().stalled(Instant::now()),
            Poll::Ready(_) => self.pulse.lock().written(Instant::now()),
        }
        outcome
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WatchedIo<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pulse.lock().read(Instant::now());
        }
        outcome
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WatchedIo<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note_write(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note_write(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS holds back what the socket does not take; a plain socket has nothing to flush, which is no sign of the client.
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        match &outcome {
            Poll::Pending => {
                self.flush_stalled = true;
                self.pulse.lock().stalled(Instant::now());
            }
            // What was held back is taken now.
            Poll::Ready(Ok(())) if std::mem::take(&mut self.flush_stalled) => self.pulse.lock().written(Instant::now()),
            Poll::Ready(_) => {}
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        if outcome.is_pending() {
            self.pulse.lock().stalled(Instant::now());
        }
        outcome
    }
}
