//! Ledgers: their names, their entries, appends and turns. Spec sections 7.1, 7.3, 7.5.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, header};
use vault_core::ids::{LedgerId, MemberId};
use vault_core::layout::MAX_NUMBER;
use vault_core::ledger::statement::{Body as Said, Entry, MAX_ENTRY, Said as Known};
use vault_policy::lang::{Bilingual, Lang};
use vault_policy::ledger::SKEW;

use super::body::Whole;
use super::looks::Looked;
use super::problem::{Outcome, Refused};
use super::rights::Act;
use super::service::{Kind, SHORT, Service, parse_query};
use super::signed::{Asker, Signed};
use crate::vault::{Append, AppendError, Prepared};
use crate::wire::problem::{Problem, Type};
use crate::wire::{self, Ledgers, Turn, entries as framing};

const MORE: HeaderName = HeaderName::from_static(wire::MORE);

/// GET `/v1/ledgers`
#[utoipa::path(
    get,
    path = "/v1/ledgers",
    responses((status = 200, description = "The names of all ledgers", body = Ledgers), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn names(State(service): State<Service>, signed: Signed) -> Outcome<Json<Ledgers>> {
    let asker = signed.asker().await?;
    asker.may(Act::Ledgers, None)?;
    signed.hold(service.answer(&asker.member, SHORT).await?);
    let names = service.looks().names().await?;
    Ok(Json(Ledgers { ledgers: names.iter().map(ToString::to_string).collect() }))
}

/// GET `/v1/ledgers/vault/entries`
#[utoipa::path(
    get,
    path = "/v1/ledgers/vault/entries",
    params(("from" = Option<u64>, Query, description = "the first number"), ("single" = Option<bool>, Query, description = "whether bundles are left out")),
    responses((status = 200, description = "Entries, each after four bytes of length", body = Vec<u8>, content_type = "application/vnd.seqvault.entries"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn vault_entries(State(service): State<Service>, signed: Signed, query: RawQuery) -> Outcome {
    let asker = signed.asker_of_vault_ledger().await?;
    read(&service, &signed, &asker, &LedgerId::Vault, query).await
}

/// GET `/v1/ledgers/<kind>/<id>/entries`
#[utoipa::path(
    get,
    path = "/v1/ledgers/{kind}/{id}/entries",
    params(("kind" = String, Path, description = "dataset or exposure"), ("id" = String, Path, description = "the dataset's id or the exposure's hash"), ("from" = Option<u64>, Query, description = "the first number"), ("single" = Option<bool>, Query, description = "whether bundles are left out")),
    responses((status = 200, description = "Entries, each after four bytes of length", body = Vec<u8>, content_type = "application/vnd.seqvault.entries"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn entries(
    State(service): State<Service>,
    signed: Signed,
    Path((kind, id)): Path<(String, String)>,
    query: RawQuery,
) -> Outcome {
    let asker = signed.asker().await?;
    read(&service, &signed, &asker, &ledger(&kind, &id)?, query).await
}

/// PUT `/v1/ledgers/vault/entries/<seq>`
#[utoipa::path(
    put,
    path = "/v1/ledgers/vault/entries/{seq}",
    params(("seq" = u64, Path, description = "the entry's number")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is there"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn append_to_vault(
    State(service): State<Service>,
    signed: Signed,
    Path(seq): Path<String>,
    body: Body,
) -> Outcome<StatusCode> {
    let asker = signed.asker_of_vault_ledger().await?;
    write(&service, &signed, &asker, LedgerId::Vault, &seq, body).await
}

/// PUT `/v1/ledgers/<kind>/<id>/entries/<seq>`
#[utoipa::path(
    put,
    path = "/v1/ledgers/{kind}/{id}/entries/{seq}",
    params(("kind" = String, Path, description = "dataset or exposure"), ("id" = String, Path, description = "the dataset's id or the exposure's hash"), ("seq" = u64, Path, description = "the entry's number")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is there"), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn append(
    State(service): State<Service>,
    signed: Signed,
    Path((kind, id, seq)): Path<(String, String, String)>,
    body: Body,
) -> Outcome<StatusCode> {
    let asker = signed.asker().await?;
    write(&service, &signed, &asker, ledger(&kind, &id)?, &seq, body).await
}

/// POST `/v1/ledgers/vault/turn`
#[utoipa::path(
    post,
    path = "/v1/ledgers/vault/turn",
    responses((status = 200, description = "A turn", body = Turn), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn vault_turn(State(service): State<Service>, signed: Signed, body: Body) -> Outcome<Json<Turn>> {
    let asker = signed.asker_of_vault_ledger().await?;
    take_turn(&service, &signed, &asker, &LedgerId::Vault, body).await
}

/// POST `/v1/ledgers/<kind>/<id>/turn`
#[utoipa::path(
    post,
    path = "/v1/ledgers/{kind}/{id}/turn",
    params(("kind" = String, Path, description = "dataset or exposure"), ("id" = String, Path, description = "the dataset's id or the exposure's hash")),
    responses((status = 200, description = "A turn", body = Turn), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn turn(
    State(service): State<Service>,
    signed: Signed,
    Path((kind, id)): Path<(String, String)>,
    body: Body,
) -> Outcome<Json<Turn>> {
    let asker = signed.asker().await?;
    take_turn(&service, &signed, &asker, &ledger(&kind, &id)?, body).await
}

async fn read(
    service: &Service,
    signed: &Signed,
    asker: &Asker,
    ledger: &LedgerId,
    RawQuery(query): RawQuery,
) -> Outcome {
    let (from, single) = span(query.as_deref())?;
    asker.may(Act::Ledgers, None)?;
    let room = service.answer(&asker.member, SHORT).await?;
    let Looked { part, entries } = service.looks().entries(ledger, from, single).await?;
    let (entries, room) = match entries {
        Some(entries) => (entries, room),
        None => {
            // Nothing is waited for with room that others wait for.
            drop(room);
            let room = service.answer(&asker.member, part.bytes).await?;
            (service.looks().read(ledger, &part, single).await?, room)
        }
    };
    let length = entries.iter().map(|entry| entry.len() + 4).sum();
    let mut bytes = BytesMut::with_capacity(length);
    for entry in entries.iter() {
        framing::emit(entry, &mut bytes).map_err(|e| Refused::new(Type::Internal, e.to_string()))?;
    }
    signed.hold(room);
    Ok(framed(bytes, part.more))
}

fn framed(bytes: BytesMut, more: bool) -> Response {
    let mut response = bytes.freeze().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(wire::ENTRIES));
    if more {
        response.headers_mut().insert(MORE, HeaderValue::from_static("true"));
    }
    response
}

async fn write(
    service: &Service,
    signed: &Signed,
    asker: &Asker,
    ledger: LedgerId,
    seq: &str,
    body: Body,
) -> Outcome<StatusCode> {
    let seq = number(seq)?;
    asker.may(Act::Append, None)?;
    let body = signed.whole(body, Kind::Said, MAX_ENTRY as u64).await?;
    check_quota(service, &asker.member, &body.bytes)?;
    match appended(service, asker, ledger, seq, body).await? {
        Append::Appended => Ok(StatusCode::CREATED),
        Append::Taken { .. } => Err(Refused::new(Type::Taken, format!("another entry has the number {seq}"))),
    }
}

/// Appends an entry. What it names is looked at before its writer stands in line with others, so that however much that is, it keeps nobody
/// else's entry waiting; and nobody stands there twice.
async fn appended(service: &Service, asker: &Asker, ledger: LedgerId, seq: u64, body: Whole) -> Outcome<Append> {
    let member = &asker.member;
    let alone = tokio::time::timeout(service.settings().patience, service.turns().alone(&ledger, member)).await;
    let alone = alone.map_err(|_| Refused::new(Type::Busy, "another append of yours is under way").after(1))?;
    let checked = match prepared(service, member, &ledger, seq, &body.bytes).await? {
        Prepared::Settled(known) => return Ok(known),
        Prepared::Checked(checked) => checked,
    };
    check_time(asker, checked.judged_time())?;
    let head = service.turns().append(&ledger, member).await;
    let vault = service.vault().clone();
    // Done to its end, whether the client waits for the answer or not.
    let write = tokio::spawn(async move {
        let appended = vault.write(&checked).await;
        drop((head, alone, body));
        if let Ok(appended) = &appended {
            vault.bundle(&ledger, seq, appended).await;
        }
        appended
    });
    Ok(write.await.map_err(|_| super::waves::Broken)??)
}

/// Rules that are in force judge an entry by the day on which it says that it was said: nobody may choose that day.
fn check_time(asker: &Asker, said: Option<u64>) -> Result<(), Refused> {
    let Some(apart) = said.map(|said| said.abs_diff(asker.now)).filter(|apart| *apart > SKEW) else {
        return Ok(());
    };
    let most = SKEW;
    let why = Bilingual::made(
        format!(
            "the entry's time is {apart} seconds from the server's clock; at most {most} are taken where rules are in force"
        ),
        format!("声明的时间与服务器时钟相差 {apart} 秒；规则生效时最多允许 {most} 秒"),
    );
    let detail = why.say(Lang::En).to_owned();
    Err(Refused::rules(detail, &why).with(|p| p.time = Some(asker.now)))
}

/// An entry that was judged, with what it names.
async fn prepared(
    service: &Service,
    member: &MemberId,
    ledger: &LedgerId,
    seq: u64,
    stored: &Bytes,
) -> Outcome<Prepared> {
    let commits = said(stored).is_some_and(|said| matches!(said, Said::UploadCommitted(_)));
    let _place = if commits {
        service.may_append(member)?;
        Some(service.commit(member).await?)
    } else {
        None
    };
    let prepared = service.vault().prepare(ledger, seq, stored.clone()).await;
    if commits {
        use AppendError::{Differs, Missing, TooMany};
        match &prepared {
            Ok(_) => service.note_append(member, true),
            Err(Missing { .. } | Differs { .. } | TooMany { .. }) => service.note_append(member, false),
            Err(_) => {}
        }
    }
    Ok(prepared?)
}

/// What an entry says, if that is known.
fn said(stored: &[u8]) -> Option<Said> {
    match Entry::parse(stored).ok()?.said {
        Known::Known(statement) => Some(statement.body),
        Known::Unknown { .. } => None,
    }
}

/// Whoever opens an upload may not have too many open already.
fn check_quota(service: &Service, member: &MemberId, stored: &[u8]) -> Result<(), Refused> {
    let opens = said(stored).is_some_and(|said| matches!(said, Said::UploadOpened(_)));
    let max = service.settings().open_uploads;
    if !opens || service.vault().open_uploads(member) < max {
        return Ok(());
    }
    Err(Refused::new(Type::Quota, format!("member {member} has {max} uploads open; commit or close some")))
}

async fn take_turn(
    service: &Service,
    signed: &Signed,
    asker: &Asker,
    ledger: &LedgerId,
    body: Body,
) -> Outcome<Json<Turn>> {
    signed.whole(body, Kind::Said, 0).await?;
    asker.may(Act::Ledgers, None)?;
    // Whoever waits takes nobody's place.
    signed.leave_place();
    let lasts = service.turns().take(ledger, &asker.member).await?;
    let next = service.vault().next(ledger).await.map_err(|e| Refused::from(&e))?;
    Ok(Json(Turn { next, milliseconds: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX) }))
}

fn ledger(kind: &str, id: &str) -> Result<LedgerId, Refused> {
    format!("{kind}/{id}").parse().map_err(|e| Refused::malformed(format!("{kind}/{id}: {e}")))
}

/// `from` and `single` of a query.
fn span(query: Option<&str>) -> Result<(u64, bool), Refused> {
    let (mut from, mut single) = (0, false);
    for (name, value) in parse_query(query)? {
        match (name, value) {
            ("from", value) => from = number(value)?,
            ("single", "true") => single = true,
            ("single", "false") => {}
            _ => return Err(Refused::malformed(format!("the query has an unknown part {name:?}"))),
        }
    }
    Ok((from, single))
}

/// A number as it must be written: digits, no zero before them.
fn number(text: &str) -> Result<u64, Refused> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|number| plain && *number <= MAX_NUMBER);
    number.ok_or_else(|| Refused::malformed(format!("{text:?} is no number of an entry")))
}
