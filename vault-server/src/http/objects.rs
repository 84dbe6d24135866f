//! Objects: read whole or in part, looked at, made. Spec sections 7.1 and 7.3.

use std::ops::Range;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use vault_core::layout::ObjectName;

use super::body;
use super::problem::{Outcome, Refused};
use super::rights::{Act, dataset_of};
use super::service::{Kind, Place, Service};
use super::signed::Signed;
use crate::store::StoreError;
use crate::vault::{Vault, max_len};
use crate::wire::problem::{Problem, Type};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Bytes that are read from the store at once, and held for whoever reads.
const PIECE: u64 = 1 << 20;
/// A body that was there within this is stored by the judgement that was passed before it came.
const SOON: Duration = Duration::from_secs(1);

/// GET `/v1/objects/<name>`
#[utoipa::path(
    get,
    path = "/v1/objects/{name}",
    params(("name" = String, Path, description = "the object's name, with its slashes"), ("Range" = Option<String>, Header, description = "bytes=first-last")),
    responses((status = 200, description = "The object", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "The range", body = Vec<u8>, content_type = "application/octet-stream"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn read(
    State(service): State<Service>,
    signed: Signed,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Outcome {
    let name = parse(&name)?;
    let wanted = range_of(&headers)?;
    allow(&signed, Act::Read(&name), &name).await?;
    if service.vault().store().links() {
        return streamed(&service, &signed, &name, wanted).await;
    }
    let size = service.vault().size(&name).await?.ok_or_else(|| not_found(&name))?;
    let range = match &wanted {
        Some(range) if range.end > size => {
            return Err(Refused::new(Type::Range, format!("the object has {size} bytes")).with(|p| p.size = Some(size)));
        }
        Some(range) => range.clone(),
        None => 0..size,
    };
    let body = contents(&service, &signed, name, range.clone()).await?;
    Ok(answered(body, size, wanted.map(|_| range)))
}

/// HEAD `/v1/objects/<name>`
#[utoipa::path(
    head,
    path = "/v1/objects/{name}",
    params(("name" = String, Path, description = "the object's name, with its slashes")),
    responses((status = 200, description = "Its length is in the headers"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn look(State(service): State<Service>, signed: Signed, Path(name): Path<String>) -> Outcome {
    let name = parse(&name)?;
    allow(&signed, Act::Read(&name), &name).await?;
    let size = service.vault().size(&name).await?.ok_or_else(|| not_found(&name))?;
    Ok(answered(Body::empty(), size, None))
}

/// PUT `/v1/objects/<name>`
#[utoipa::path(
    put,
    path = "/v1/objects/{name}",
    params(("name" = String, Path, description = "the object's name, with its slashes")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is there"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn write(
    State(service): State<Service>,
    signed: Signed,
    Path(name): Path<String>,
    body: Body,
) -> Outcome<StatusCode> {
    let name = parse(&name)?;
    let (digest, length) = signed.signed_body()?;
    if length > max_len(&name) {
        return Err(Refused::too_large(length, max_len(&name)));
    }
    allow(&signed, Act::Put(&name), &name).await?;
    let judged = Instant::now();
    if matches!(name, ObjectName::Pack { .. }) && length > PIECE && service.vault().store().streams() {
        let _place = signed.putting().await?;
        let still = {
            let (signed, name) = (signed.clone(), name.clone());
            async move { still_allowed(&signed, &name, judged).await }
        };
        let bytes = body::checked(body, service.time_for(length), still);
        service.vault().put_pack(&name, length, digest, bytes).await?;
        return Ok(StatusCode::CREATED);
    }
    let body = signed.whole(body, kind_of(&name), max_len(&name)).await?;
    still_allowed(&signed, &name, judged).await?;
    service.vault().put(&name, body.bytes.clone()).await?;
    Ok(StatusCode::CREATED)
}

/// Judges an act on an object by ledgers that are read now.
pub(super) async fn allow(signed: &Signed, act: Act<'_>, name: &ObjectName) -> Result<(), Refused> {
    match dataset_of(name) {
        Some(dataset) => {
            let (asker, view) = signed.in_dataset(dataset).await?;
            asker.may(act, view.as_ref())
        }
        None => signed.asker().await?.may(act, None),
    }
}

/// Judges a put again once its body is there, if that took a while: whoever lost the right meanwhile stores nothing.
async fn still_allowed(signed: &Signed, name: &ObjectName, judged: Instant) -> Result<(), Refused> {
    if judged.elapsed() < SOON { Ok(()) } else { allow(signed, Act::Put(name), name).await }
}

/// Where an object waits for room: what a grant or a rotation needs goes with the entries.
const fn kind_of(name: &ObjectName) -> Kind {
    match name {
        ObjectName::Pack { .. }
        | ObjectName::PackList { .. }
        | ObjectName::Groups { .. }
        | ObjectName::Manifest { .. }
        | ObjectName::Table { .. } => Kind::Data,
        _ => Kind::Said,
    }
}

pub(super) fn parse(name: &str) -> Result<ObjectName, Refused> {
    name.parse().map_err(|_| Refused::malformed(format!("no object of a vault is named {name}")))
}

fn not_found(name: &ObjectName) -> Refused {
    Refused::new(Type::NotFound, format!("there is no object {name}")).with(|p| p.name = Some(name.to_string()))
}

/// The range that is asked for, one and with both ends.
fn range_of(headers: &HeaderMap) -> Result<Option<Range<u64>>, Refused> {
    let Some(value) = headers.get(header::RANGE) else { return Ok(None) };
    let bounds = value.to_str().ok().and_then(|text| text.strip_prefix("bytes="));
    let range = bounds.and_then(|bounds| {
        let (first, last) = bounds.split_once('-')?;
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
        (first < end).then_some(first..end)
    });
    range.map(Some).ok_or_else(|| Refused::malformed("the range must be bytes=<first>-<last>"))
}

/// From a bucket: one request there, whose bytes are passed on as they come.
async fn streamed(service: &Service, signed: &Signed, name: &ObjectName, wanted: Option<Range<u64>>) -> Outcome {
    let most = wanted.as_ref().map_or_else(|| max_len(name), |range| range.end - range.start);
    let place = if most > PIECE { Some(signed.reading().await?) } else { None };
    let found = service.vault().store().stream(name, wanted.clone()).await.map_err(|e| of(name, &e))?;
    let bytes = found.bytes.map(move |bytes| {
        let _held = &place;
        bytes
    });
    Ok(answered(Body::from_stream(bytes), found.size, wanted))
}

/// What the store says of an object, which is named.
fn of(name: &ObjectName, error: &StoreError) -> Refused {
    Refused::from(error).with(|problem| problem.name = Some(name.to_string()))
}

/// A part of an object: small ones at once, others as they are read.
async fn contents(service: &Service, signed: &Signed, name: ObjectName, range: Range<u64>) -> Result<Body, Refused> {
    if range.end - range.start <= PIECE {
        signed.answer(range.end - range.start).await?;
        return Ok(service.vault().get_range(&name, range).await?.into());
    }
    let place = signed.reading().await?;
    let reading = Reading { vault: service.vault().clone(), name, range, _place: place };
    Ok(Body::from_stream(stream::try_unfold(reading, Reading::next)))
}

/// An object that is being sent.
struct Reading {
    vault: Vault,
    name: ObjectName,
    range: Range<u64>,
    _place: (Place, Place),
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let end = self.range.end.min(self.range.start + PIECE);
        let bytes = self.vault.get_range(&self.name, self.range.start..end).await?;
        self.range.start = end;
        Ok(Some((bytes, self)))
    }
}

fn answered(body: Body, size: u64, part: Option<Range<u64>>) -> Response {
    let mut response = body.into_response();
    let length = part.as_ref().map_or(size, |range| range.end - range.start);
    if let Some(range) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        if let Ok(shown) = HeaderValue::from_str(&shown) {
            response.headers_mut().insert(header::CONTENT_RANGE, shown);
        }
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
    response
}
