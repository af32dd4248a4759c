//! One connection, from its handshake to its end.

use super::answers;
use super::bounds::{Deadlines, MAX_HEADER};
use super::handshake::Handshake;
use super::pulse::{Cut, Pulse};
use super::question::Question;
use super::settings::Serving;
use super::watched_io::WatchedIo;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt as _;

/// Serves one connection until it ends, breaks a deadline, or is told to stop and has answered.
pub(super) async fn run<H: Handshake>(
    stream: TcpStream,
    from: SocketAddr,
    handshake: H,
    app: Router,
    serving: Arc<Serving>,
    pulse: Arc<Mutex<Pulse>>,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers and events go out at once.
    let _ = stream.set_nodelay(true);
    let deadlines = serving.bounds.deadlines;
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(deadlines.handshake, handshake.shake(stream)) => shaken,
        _ = stopped.wait_for(|stop| *stop) => return,
    };
    let io = match shaken {
        Ok(Ok(io)) => io,
        Ok(Err(error)) => {
            tracing::debug!(listener = serving.name, %from, %error, "the handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(listener = serving.name, %from, "the handshake took too long");
            return;
        }
    };
    *pulse.lock() = Pulse::new(Instant::now());
    let answering = service_fn(|request: Request<Incoming>| {
        let busy = Busy::begin(&pulse);
        let app = app.clone();
        let refusal = serving.hosts.as_ref().and_then(|hosts| hosts.refusal(&request));
        async move {
            let (head, body) = request.into_parts();
            let (body, rest) = Question::new(body);
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(ConnectInfo(from));
            let mut response = match refusal {
                Some(refusal) => refusal,
                None => app.oneshot(request).await?,
            };
            answers::secure(&mut response);
            if !rest.dropped().await {
                answers::last(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Answer { body, _busy: busy }))
        }
    });
    let http = http1::Builder::new()
        // Deadlines are those of the pulse: this one would end idle connections as well.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADER)
        .max_header_size(MAX_HEADER)
        .serve_connection(TokioIo::new(WatchedIo::new(io, Arc::clone(&pulse))), answering);
    let stop = async {
        // Without its sender there is nothing left to stop for.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(cut) = watched(pin!(http), &pulse, &deadlines, stop).await {
        tracing::debug!(listener = serving.name, %from, "a connection was closed: {cut}");
    }
}

/// A connection of hyper's.
trait Graceful: Future {
    fn end_in_order(self: Pin<&mut Self>);
}

impl<I, S> Graceful for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Self: Future,
{
    fn end_in_order(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection within its deadlines.
async fn watched(
    mut http: Pin<&mut impl Graceful>,
    pulse: &Mutex<Pulse>,
    deadlines: &Deadlines,
    stop: impl Future<Output = ()>,
) -> Result<(), Cut> {
    let mut stop = pin!(stop);
    let mut sleep = pin!(sleep_until(Instant::now()));
    let mut stopping = false;
    std::future::poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            if pulse.lock().is_new() {
                return Poll::Ready(Ok(()));
            }
            http.as_mut().end_in_order();
        }
        // Its errors are the client's: it went, or it sent what is no HTTP.
        if http.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Some((at, cut)) = pulse.lock().deadline(deadlines) else {
            return Poll::Pending;
        };
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).map(|()| Err(cut))
    })
    .await
}

/// A request that is being answered.
struct Busy(Arc<Mutex<Pulse>>);

impl Busy {
    fn begin(pulse: &Arc<Mutex<Pulse>>) -> Self {
        pulse.lock().asked();
        Self(Arc::clone(pulse))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().answered(Instant::now());
    }
}

/// The body of an answer, which is what lasts longest of a request.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
