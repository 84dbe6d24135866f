//! What every request passes: a place, a path as it must be; and every answer: the request's id, a problem written out. Spec 7.1, 7.6.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use vault_core::ids::to_hex;

use super::problem::{Outcome, Refused, written};
use super::service::{Held, LEAST_RATE, Place, Service};
use super::trace;
use crate::wire;
use crate::wire::problem::{Problem, Type};

/// Bytes of an answer that are on their way at once.
const PIECE: usize = 16 << 10;

/// What goes to a connection.
type Piece = Result<Bytes, axum::Error>;

const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);

/// The outermost layer of the resources.
pub(super) async fn finish(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let held = Held::default();
    let response = match admit(&service, &request) {
        Ok(place) => {
            held.add(place);
            request.extensions_mut().insert(held.clone());
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    };
    sent(named(response), held, service.settings().taken)
}

/// An answer that is not short goes out in pieces, and keeps its places until the last one is taken. A client that takes nothing for a while
/// gets no more: neither the places nor the memory are its to hold.
fn sent(response: Response, held: Held, patience: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    let size = body.size_hint().exact();
    if size.is_some_and(|size| size <= PIECE as u64) {
        return Response::from_parts(parts, body);
    }
    if let Some(size) = size {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(size));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // Whether it was taken or not: either way there is nothing more to do.
        let _ = pass(body, &sender, patience).await;
        drop(held);
    });
    let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Passes a body on, each piece within its time and all of them at the least rate. `None` if that was not kept. What the store takes to
/// bring the next piece is not the client's.
async fn pass(mut body: Body, to: &mpsc::Sender<Piece>, patience: Duration) -> Option<()> {
    let mut course = Course { patience, left: patience };
    while let Some(frame) = body.frame().await {
        let mut data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(e) => return course.give(to, Err(e)).await,
        };
        while data.len() > PIECE {
            // A copy: what stands in a connection's buffers must not keep all of the answer alive.
            let piece = Bytes::copy_from_slice(&data.split_to(PIECE));
            course.give(to, Ok(piece)).await?;
        }
        course.give(to, Ok(data)).await?;
    }
    Some(())
}

/// How long a client may still let an answer wait.
struct Course {
    /// For one piece.
    patience: Duration,
    /// For all that comes: what it took goes off, and what was taken earns its time.
    left: Duration,
}

impl Course {
    async fn give(&mut self, to: &mpsc::Sender<Piece>, piece: Piece) -> Option<()> {
        let (began, length) = (Instant::now(), piece.as_ref().map_or(0, |data| data.len() as u64));
        tokio::time::timeout(self.patience.min(self.left), to.send(piece)).await.ok()?.ok()?;
        let earned = Duration::from_micros(length.saturating_mul(1_000_000) / LEAST_RATE);
        self.left = self.left.saturating_sub(began.elapsed()).saturating_add(earned);
        Some(())
    }
}

/// A path that is nothing here.
pub(super) async fn no_such_resource() -> Outcome {
    let detail = "there is nothing at this path; this server may be older or newer than the client";
    Err(Refused::new(Type::NoSuchResource, detail).with(|problem| problem.api = Some(vec![wire::API])))
}

/// A method that the path does not have.
pub(super) async fn no_such_method() -> Outcome {
    Err(Refused::new(Type::Method, "the path has no such method"))
}

fn admit(service: &Service, request: &Request) -> Result<Place, Refused> {
    if service.is_stopping() {
        return Err(Refused::new(Type::Stopping, "the server is going down").after(5));
    }
    let path = request.uri().path();
    if path.contains('%') || path.contains("//") || path.split('/').any(|part| part == "." || part == "..") {
        return Err(Refused::malformed("the path is not written as it must be"));
    }
    service.place()
}

/// Gives an answer the request's id, and a problem its text.
fn named(mut response: Response) -> Response {
    let id = request_id();
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let problem = Problem { request: id.clone(), ..Problem::clone(&problem) };
        response = written(&problem, response);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The id that the log knows; a router that nobody watches makes its own.
fn request_id() -> String {
    trace::request_id().unwrap_or_else(random_id)
}

fn random_id() -> String {
    let mut random = [0; 8];
    // An id that is not random is still better than no answer.
    let _ = getrandom::fill(&mut random);
    to_hex(&random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use tokio::sync::Semaphore;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn held(places: &Arc<Semaphore>) -> Held {
        let held = Held::default();
        held.add(Arc::clone(places).try_acquire_owned().unwrap());
        held
    }

    #[tokio::test]
    async fn a_long_answer_comes_whole_and_keeps_its_place_until_then() {
        let (places, bytes) = (Arc::new(Semaphore::new(1)), vec![7; 3 * PIECE + 5]);
        let answer = sent(bytes.clone().into_response(), held(&places), PATIENCE);
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], bytes.len().to_string());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(places.available_permits(), 0);
        assert!(answer.into_body().collect().await.unwrap().to_bytes() == bytes);
        assert!(tokio::time::timeout(PATIENCE, places.acquire()).await.is_ok(), "the place is kept");
    }

    /// How many of an answer's pieces a client gets that takes one each so often, once the answer's place is free again.
    async fn taken(pieces: usize, patience: Duration, pause: Duration) -> usize {
        let places = Arc::new(Semaphore::new(1));
        let mut body = sent(vec![7; pieces * PIECE].into_response(), held(&places), patience).into_body();
        let taking = async {
            let mut taken = 0;
            while let Some(Ok(frame)) = body.frame().await {
                taken += frame.data_ref().map_or(0, Bytes::len);
                tokio::time::sleep(pause).await;
            }
            taken / PIECE
        };
        let (taken, _free) = tokio::join!(taking, places.acquire());
        taken
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_piece_by_piece_and_too_slowly_ends() {
        // Each piece is within the patience for one, and all of them are far behind the least rate.
        let few = taken(500, Duration::from_millis(500), Duration::from_millis(450)).await;
        assert!((1..8).contains(&few), "{few}");
        let all = taken(40, Duration::from_secs(5), Duration::from_millis(50)).await;
        assert_eq!(all, 40, "at a good rate all of it comes");
    }

    #[tokio::test]
    async fn who_does_not_take_an_answer_does_not_keep_its_place() {
        let places = Arc::new(Semaphore::new(1));
        let answer = sent(vec![7; 3 * PIECE].into_response(), held(&places), Duration::from_millis(50));
        assert!(tokio::time::timeout(PATIENCE, places.acquire()).await.is_ok(), "the place is kept");
        let rest = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(rest.len() < 3 * PIECE, "what was not taken in time is gone");
    }
}
