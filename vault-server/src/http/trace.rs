//! What is known of a request while it runs and when it has ended: its id, its log line, its numbers. Spec 7.1.
//!
//! A log line may hold ids, routes, sizes and times. It never holds a header, a query, a body or an address of the store: a
//! signature, a link's secret or a name of a sample would go with them.
//!
//! Handlers say what they learn by [`note_member`], [`note_problem`] and [`note_links`]; what writes a problem finds its id by
//! [`request_id`]. All four reach the request that this task works for, and do nothing elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tracing::{Instrument, Span};
use vault_core::ids::{MemberId, to_hex};

use super::health;
use super::metrics::Metrics;
use crate::wire;
use crate::wire::problem::Type;

/// The header of an answer that names it in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);

/// A body that advances by less than this in its time is given up.
const PROGRESS: u64 = 4096;

/// A request's id, among its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What a server needs to watch its requests.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Where numbers go.
    pub metrics: Arc<Metrics>,
    /// How long a body may take for [`PROGRESS`] bytes.
    pub body_timeout: Duration,
    /// Whether X-Forwarded-For comes from a proxy of ours.
    pub behind_proxy: bool,
}

/// What is noted of one request.
#[derive(Debug)]
struct Notes {
    id: String,
    metrics: Arc<Metrics>,
    member: OnceLock<String>,
    problem: OnceLock<Type>,
    bytes_in: AtomicU64,
}

tokio::task_local! {
    static CURRENT: Arc<Notes>;
}

/// A body stood still, or nearly so, for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body did not advance for {} seconds", .0.as_secs())]
pub struct Stalled(Duration);

/// The id of the request that this task works for.
#[must_use]
pub fn request_id() -> Option<String> {
    CURRENT.try_with(|notes| notes.id.clone()).ok()
}

/// Notes whose card signed the request.
pub fn note_member(member: &MemberId) {
    let _ = CURRENT.try_with(|notes| notes.member.set(member.to_string()));
}

/// Notes the problem that the request is answered with.
pub fn note_problem(of: Type) {
    let _ = CURRENT.try_with(|notes| notes.problem.set(of));
}

/// Counts links that the request is answered with.
pub fn note_links(get: usize, put: usize) {
    let _ = CURRENT.try_with(|notes| notes.metrics.links(get, put));
}

/// Watches every request to a router: gives it an id, bounds its body's time, survives its panic, counts it and logs it.
pub fn watched(router: Router, watch: Watch) -> Router {
    router.layer(from_fn_with_state(watch, observe))
}

async fn observe(State(watch): State<Watch>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let notes = Arc::new(Notes {
        id: new_id(),
        metrics: Arc::clone(&watch.metrics),
        member: OnceLock::new(),
        problem: OnceLock::new(),
        bytes_in: AtomicU64::new(0),
    });
    // Of the highest level: whatever the log shows, it shows with the id.
    let span = tracing::error_span!("request", id = notes.id.as_str());
    let mut ending = Ending {
        method: method_label(request.method()),
        route: route_of(&request),
        from: from(&request, watch.behind_proxy),
        status: 0,
        bytes_out: 0,
        whole: false,
        began,
        notes: Arc::clone(&notes),
        span: span.clone(),
        _in_flight: watch.metrics.in_flight(),
    };
    request.extensions_mut().insert(RequestId(notes.id.clone()));
    let request = request.map(|body| Body::new(Incoming::new(body, Arc::clone(&notes), watch.body_timeout)));
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answered = CURRENT.scope(notes.clone(), work).instrument(span.clone()).await;
    let mut response = match answered {
        Ok(response) => response,
        Err(_) => {
            watch.metrics.panicked();
            CURRENT.sync_scope(notes.clone(), || {
                health::problem(Type::Internal, "a bug in the server; its log has more").into_response()
            })
        }
    };
    ending.status = response.status().as_u16();
    if let Ok(id) = HeaderValue::from_str(&notes.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.map(|body| Body::new(Outgoing { body, ending }))
}

fn new_id() -> String {
    let mut random = [0u8; 8];
    // A system without randomness has failed elsewhere; an id protects nothing.
    let _ = getrandom::fill(&mut random);
    to_hex(&random)
}

/// Names of methods are the client's: only known ones may become labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn route_of(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned())
}

/// The client's address; behind a proxy the one that the proxy saw, which is the last that it added.
fn from(request: &Request, behind_proxy: bool) -> Option<IpAddr> {
    let forwarded = request.headers().get_all("x-forwarded-for").iter().next_back();
    let seen = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    if behind_proxy { seen.or(peer) } else { peer }
}

/// A request's body: counted, and ended with an error when it stands still.
struct Incoming {
    body: Body,
    notes: Arc<Notes>,
    patience: Duration,
    since: u64,
    deadline: Pin<Box<tokio::time::Sleep>>,
    waiting: bool,
}

impl Incoming {
    fn new(body: Body, notes: Arc<Notes>, patience: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(patience));
        Self { body, notes, patience, since: 0, deadline, waiting: false }
    }

    /// Time runs only while the client is waited for, and starts anew whenever enough has come.
    fn restart(&mut self) {
        self.since = 0;
        self.deadline.as_mut().reset(tokio::time::Instant::now() + self.patience);
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.notes.bytes_in.fetch_add(length, Ordering::Relaxed);
                self.since += length;
                if self.since >= PROGRESS {
                    self.waiting = false;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.restart();
                }
                match self.deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Stalled(self.patience).into()))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

/// An answer's body, and what is said when it has gone or was given up.
struct Outgoing {
    body: Body,
    ending: Ending,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let span = self.ending.span.clone();
        let _entered = span.enter();
        let polled = self.body.frame().poll_unpin(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.ending.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                // The last frame may be the last poll: of a body with a known length hyper asks no more.
                self.ending.whole = self.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => self.ending.whole = false,
            Poll::Ready(None) => self.ending.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

/// What the log and the metrics say when a request has ended, however it did.
struct Ending {
    method: &'static str,
    route: String,
    from: Option<IpAddr>,
    status: u16,
    bytes_out: u64,
    whole: bool,
    began: Instant,
    notes: Arc<Notes>,
    span: Span,
    _in_flight: super::metrics::InFlight,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        let took = self.began.elapsed();
        let bytes_in = self.notes.bytes_in.load(Ordering::Relaxed);
        let problem = self.notes.problem.get().map(|of| of.row().0);
        self.notes.metrics.request(self.method, &self.route, self.status, took, bytes_in, self.bytes_out, problem);
        let (method, route, status, bytes_out) = (self.method, self.route.as_str(), self.status, self.bytes_out);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let from = self.from.map(tracing::field::display);
        let member = self.notes.member.get().map(String::as_str);
        #[cfg(feature = "otlp")]
        describe(&self.span, method, route, status);
        // A body of no length is never polled, and one that HEAD asked for is never sent.
        let cut = !self.whole && self.bytes_out > 0 && status < 400;
        if matches!(route, "/healthz" | "/readyz" | "/metrics") {
            tracing::debug!(method, route, status, milliseconds, bytes_out, from, "answered");
        } else if status == 0 {
            tracing::info!(method, route, milliseconds, bytes_in, member, from, "given up by the client");
        } else if status >= 500 {
            tracing::error!(
                method,
                route,
                status,
                milliseconds,
                bytes_in,
                bytes_out,
                cut,
                member,
                problem,
                from,
                "failed"
            );
        } else {
            tracing::info!(
                method,
                route,
                status,
                milliseconds,
                bytes_in,
                bytes_out,
                cut,
                member,
                problem,
                from,
                "answered"
            );
        }
    }
}

/// Names a request's span in traces, as the conventions of OpenTelemetry have it.
#[cfg(feature = "otlp")]
fn describe(span: &Span, method: &'static str, route: &str, status: u16) {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    span.context().span().update_name(format!("{method} {route}"));
}
