//! Connections: accepted up to a number, given so long for each thing that they have to do, and ended in good order.
//!
//! Nobody holds the server by being slow: a handshake, a request's head and the pause between requests have a time each, an answer
//! that is not taken ends its connection, be it that the peer's system takes nothing or that HTTP/2 gives its stream no window, and
//! [`super::trace`] bounds bodies.

mod addresses;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use addresses::{Addresses, Entered};

use super::metrics::{Arrival, Metrics};
use super::trace::Peer;
use crate::config::Timeouts;

/// How a client of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI";
/// An HTTP/2 connection without a request for so long is ended; HTTP/1.1 has the time for a head.
const IDLE: Duration = Duration::from_secs(60);
/// What a connection may have under way in HTTP/2.
const STREAMS: u32 = 32;
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 2 << 20;
const HEAD_BYTES: u32 = 32 << 10;
/// For a connection without a request to end by itself.
const FAREWELL: Duration = Duration::from_secs(1);
/// A pause when the system has no more files to give.
const BREATH: Duration = Duration::from_millis(100);

/// Said to who comes when all connections are taken, where that needs no handshake.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What all listeners of a kind share.
#[derive(Clone)]
pub struct Shared {
    app: Router,
    timeouts: Timeouts,
    connections: Arc<Semaphore>,
    most: u32,
    addresses: Option<Arc<Addresses>>,
    tls: Option<TlsAcceptor>,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("timeouts", &self.timeouts).field("most", &self.most).finish_non_exhaustive()
    }
}

impl Shared {
    /// Serves a router on at most `most` connections, until `stopping` is true.
    #[must_use]
    pub fn new(
        app: Router,
        timeouts: Timeouts,
        most: usize,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        // A semaphore counts so far, and nobody has so many files.
        let most = u32::try_from(most).unwrap_or(u32::MAX).min(1 << 20);
        let connections = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { app, timeouts, connections, most, addresses: None, tls: None, metrics, stopping }
    }

    /// The same, with at most so many of the connections for one address.
    #[must_use]
    pub fn with_share(mut self, most: usize) -> Self {
        self.addresses = Some(Addresses::new(u32::try_from(most).unwrap_or(u32::MAX).max(1)));
        self
    }

    /// The same without a share for an address: where all clients have one.
    #[must_use]
    pub fn unshared(mut self) -> Self {
        self.addresses = None;
        self
    }

    /// The same with TLS.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(TlsAcceptor::from(config));
        self
    }

    /// Accepts connections until the server is told to stop.
    pub async fn accept(self, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        loop {
            let arrived = tokio::select! {
                biased;
                _ = is_told(&mut stopping) => return,
                arrived = listener.accept() => arrived,
            };
            match arrived {
                Ok((stream, peer)) => self.receive(stream, peer),
                Err(error) if is_theirs(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Waits until no connection is left, and returns how many were when the time was over.
    pub async fn drained(&self, grace: Duration) -> usize {
        let all = self.connections.acquire_many(self.most);
        match tokio::time::timeout(grace, all).await {
            Ok(_) => 0,
            Err(_) => {
                usize::try_from(self.most).unwrap_or(usize::MAX).saturating_sub(self.connections.available_permits())
            }
        }
    }

    fn receive(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.place(peer) else {
            self.metrics.arrived(Arrival::Refused);
            // Without a wait: whoever is refused may not cost anything.
            if self.tls.is_none() {
                let _ = stream.try_write(FULL);
            }
            return;
        };
        tokio::spawn(self.clone().converse(stream, peer, place));
    }

    /// A place among all connections, and among those of the peer's address where they are bounded.
    fn place(&self, peer: SocketAddr) -> Option<Seat> {
        let entered = match &self.addresses {
            Some(addresses) => Some(addresses.enter(peer.ip())?),
            None => None,
        };
        Some((Arc::clone(&self.connections).try_acquire_owned().ok()?, entered))
    }

    async fn converse(self, stream: TcpStream, peer: SocketAddr, place: Seat) {
        let _open = (place, self.metrics.connection());
        // Without it small answers wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let begun = match &self.tls {
            Some(tls) => self.secure(tls, stream).await,
            None => self.plain(stream).await,
        };
        let Some((stream, second)) = begun else {
            self.metrics.arrived(Arrival::Unready);
            tracing::debug!(%peer, "a connection did not get to its first request");
            return;
        };
        self.metrics.arrived(Arrival::Served);
        let ended = if second { self.serve_http2(stream, peer).await } else { self.serve_http1(stream, peer).await };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }

    async fn secure(&self, tls: &TlsAcceptor, stream: TcpStream) -> Option<(Conversation, bool)> {
        let accepting = tls.accept(Paced::new(stream, self.timeouts.body));
        let stream = tokio::time::timeout(self.timeouts.handshake, accepting).await.ok()?.ok()?;
        let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Some((Box::pin(stream), second))
    }

    /// Tells the two versions apart by their first bytes, which stay where they are.
    async fn plain(&self, stream: TcpStream) -> Option<(Conversation, bool)> {
        let second = tokio::time::timeout(self.timeouts.headers, is_http2(&stream)).await.ok()?.ok()?;
        Some((Box::pin(Paced::new(stream, self.timeouts.body)), second))
    }

    async fn serve_http1(&self, stream: Conversation, peer: SocketAddr) -> hyper::Result<()> {
        let mut stopping = self.stopping.clone();
        let work = Work::default();
        let service = service_fn(|request| self.answer(request, peer, &work));
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.timeouts.headers)
                .max_buf_size(64 << 10)
                .serve_connection(TokioIo::new(stream), service)
        );
        tokio::select! {
            ended = connection.as_mut() => return ended,
            _ = is_told(&mut stopping) => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn serve_http2(&self, stream: Conversation, peer: SocketAddr) -> hyper::Result<()> {
        let mut stopping = self.stopping.clone();
        let work = Work::default();
        let service = {
            let (this, work) = (self.clone(), work.clone());
            service_fn(move |request| {
                let (this, work) = (this.clone(), work.clone());
                async move { this.answer(request, peer, &work).await }
            })
        };
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .max_concurrent_streams(STREAMS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service)
        );
        let stopping = tokio::select! {
            ended = connection.as_mut() => return ended,
            () = work.idle() => false,
            () = work.untaken(self.timeouts.body) => {
                // Everything of it goes at once: whoever gives a stream no window would not take a farewell's answers either.
                tracing::debug!(%peer, "a connection was ended: an answer was not taken");
                return Ok(());
            }
            stopping = is_told(&mut stopping) => stopping,
        };
        connection.as_mut().graceful_shutdown();
        if stopping {
            return tokio::select! {
                ended = connection => ended,
                () = work.untaken(self.timeouts.body) => Ok(()),
            };
        }
        // Nothing is in work, so nothing is lost with a peer that does not even take the farewell.
        tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, work: &Work) -> Result<Response, Infallible> {
        let begun = work.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let response = self.app.clone().call(request).await?;
        let taken = work.answers();
        Ok(response.map(|body| Body::new(Outgoing { body, taken, _begun: begun })))
    }
}

/// What a connection holds while it is open.
type Seat = (OwnedSemaphorePermit, Option<Entered>);

/// A connection whose first bytes may be read.
type Conversation = Pin<Box<dyn Stream>>;

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// Waits until the server is told to stop.
async fn is_told(stopping: &mut watch::Receiver<bool>) -> bool {
    // Who would tell is gone, so there is nobody to serve for either.
    drop(stopping.wait_for(|stop| *stop).await);
    true
}

/// Failures of `accept` that are the client's, which left again.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted
    )
}

async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0u8; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        let seen = first.get(..length).unwrap_or_default();
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(seen) {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        // What was peeked at stays readable, so there is nothing to wait for but time.
        tokio::time::sleep(BREATH).await;
    }
}

/// Requests of a connection: how many there were, how many are in work, and which answers are on their way.
#[derive(Debug, Clone, Default)]
struct Work {
    begun: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
    answers: Arc<Mutex<Vec<Weak<Taken>>>>,
}

impl Work {
    fn begin(&self) -> Begun {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Begun(Arc::clone(&self.ended))
    }

    /// Counts an answer as on its way as long as what is returned lives.
    fn answers(&self) -> Arc<Taken> {
        let taken = Arc::new(Taken::default());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&taken));
        taken
    }

    /// Returns when there was no request for [`IDLE`].
    async fn idle(&self) {
        let mut before = u64::MAX;
        loop {
            tokio::time::sleep(IDLE / 2).await;
            let begun = self.begun.load(Ordering::Relaxed);
            let in_work = begun != self.ended.load(Ordering::Relaxed);
            if !in_work && begun == before {
                return;
            }
            before = begun;
        }
    }

    /// Returns when nothing of some answer was asked for in so long.
    async fn untaken(&self, patience: Duration) {
        loop {
            tokio::time::sleep(patience / 4).await;
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.iter().filter_map(Weak::upgrade).any(|answer| answer.waits() >= patience) {
                return;
            }
        }
    }
}

/// Since when an answer waits for its connection to ask for more; nothing while the connection waits for the answer.
#[derive(Debug)]
struct Taken(Mutex<Option<Instant>>);

impl Default for Taken {
    fn default() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }
}

impl Taken {
    fn polled(&self, ready: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ready.then(Instant::now);
    }

    fn waits(&self) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A request in work.
struct Begun(Arc<AtomicU64>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body that keeps its request in work until it has gone.
struct Outgoing {
    body: Body,
    taken: Arc<Taken>,
    _begun: Begun,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.taken.polled(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

/// A connection that fails when its peer takes nothing for a while.
struct Paced {
    stream: TcpStream,
    patience: Duration,
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Paced {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, deadline: None }
    }

    fn paced<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.paced(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
