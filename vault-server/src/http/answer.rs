//! What every request passes: a place, a path as it must be; and every answer: the request's id, a problem written out. Spec 7.1, 7.6.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use vault_core::ids::to_hex;

use super::problem::{Outcome, Refused, written};
use super::service::{Place, Service};
use super::trace;
use crate::wire;
use crate::wire::problem::{Problem, Type};

const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);

/// The outermost layer of the resources.
pub(super) async fn finish(State(service): State<Service>, request: Request, next: Next) -> Response {
    let response = match admit(&service, &request) {
        Ok(_place) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    named(response)
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
