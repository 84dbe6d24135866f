//! Who asks: a request's signature, verified before anything is done for it. Spec section 7.2.
//!
//! Cheap checks come first, and nothing is read from the store for a request whose signature does not verify, but for a card that no
//! look has shown yet. That a card is current is seen in a look that began after the request came.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use vault_core::hazmat::sign::VerifyingKey;
use vault_core::ids::{CardId, DatasetId, MemberId};
use vault_core::ledger::vault::VaultState;

use super::body;
use super::problem::Refused;
use super::rights::{Act, Under, Who, may};
use super::service::{Held, Kind, Place, Service};
use super::trace;
use crate::vault::View;
use crate::wire::problem::Type;
use crate::wire::signature::{Covered, Presented, digest_of, parse};
use crate::wire::{self, Object};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const VAULT: HeaderName = HeaderName::from_static(wire::VAULT);

/// A request whose signature verified. Whether its card is current is for [`Signed::asker`] or [`Signed::in_dataset`] to see.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    service: Service,
    card: CardId,
    member: MemberId,
    /// The server's clock, seconds since 1970.
    now: u64,
    /// What the body has to hash to, and its length.
    body: Option<([u8; 32], u64)>,
    held: Held,
}

/// A current member who signed with a current card, and the vault ledger that shows it.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) member: MemberId,
    pub(super) card: CardId,
    pub(super) vault: Arc<VaultState>,
    pub(super) now: u64,
}

impl Asker {
    /// Judges an act.
    pub(super) fn may(&self, act: Act<'_>, view: Option<&View>) -> Result<(), Refused> {
        let vault = view.map_or(&self.vault, |view| &view.vault);
        let under = Under { vault, dataset: view.map(|view| &*view.dataset), now: self.now };
        Ok(may(act, Who { member: &self.member, card: &self.card }, under)?)
    }
}

impl FromRequestParts<Service> for Signed {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Refused> {
        let vault = our_vault(&parts.headers, service)?;
        let body = body_of(parts)?;
        let digest = if body.is_some() { Some(header(&parts.headers, &CONTENT_DIGEST)?) } else { None };
        let mut found = Vec::new();
        for authority in authorities(parts, service)? {
            let covered = Covered {
                method: parts.method.as_str(),
                authority: &authority,
                path: parts.uri.path(),
                query: parts.uri.query(),
                vault,
                digest,
            };
            let (input, signature) = (header(&parts.headers, &SIGNATURE_INPUT)?, header(&parts.headers, &SIGNATURE)?);
            found.push(parse(&covered, input, signature).map_err(|e| Refused::new(Type::Unsigned, e.to_string()))?);
        }
        let Some(stamp) = found.first().map(|presented| presented.stamp) else {
            return Err(Refused::malformed("the request names no host"));
        };
        let now = service.now(stamp.created);
        check_clock(stamp.created, now)?;
        let (key, member) = card_of(service, &stamp.card).await?;
        verify(&found, &key)?;
        service.count(&member)?;
        service.take_nonce(&member, &stamp.card, &stamp.nonce)?;
        let held = parts.extensions.get::<Held>().cloned().unwrap_or_default();
        held.add(service.place_of(&member)?);
        trace::note_member(&member);
        Ok(Self { service: service.clone(), card: stamp.card, member, now, body, held })
    }
}

impl Signed {
    /// The member, if its card is current in a look that begins now.
    pub(super) async fn asker(&self) -> Result<Asker, Refused> {
        let vault = self.service.looks().state().await?;
        self.current(vault, false)
    }

    /// As [`Self::asker`], for entries of the vault ledger: there a recovery card of the genesis counts as current.
    pub(super) async fn asker_of_vault_ledger(&self) -> Result<Asker, Refused> {
        let vault = self.service.looks().state().await?;
        self.current(vault, true)
    }

    /// The member and a dataset, both as they are from now on; `None` if there is no such dataset.
    pub(super) async fn in_dataset(&self, dataset: &DatasetId) -> Result<(Asker, Option<View>), Refused> {
        match self.service.looks().view(dataset).await? {
            Some(view) => Ok((self.current(Arc::clone(&view.vault), false)?, Some(view))),
            None => Ok((self.asker().await?, None)),
        }
    }

    /// Gives the request's places back: for those who only wait.
    pub(super) fn leave_place(&self) {
        self.held.leave();
    }

    /// Keeps room until the answer is sent.
    pub(super) fn hold(&self, (own, all): (Place, Place)) {
        self.held.add(own);
        self.held.add(all);
    }

    /// Room for an answer of so many bytes, until it is sent.
    pub(super) async fn answer(&self, bytes: u64) -> Result<(), Refused> {
        self.hold(self.service.answer(&self.member, bytes).await?);
        Ok(())
    }

    /// Places for an object that is read.
    pub(super) async fn reading(&self) -> Result<(Place, Place), Refused> {
        self.service.reading(&self.member).await
    }

    /// Places for a pack that is put.
    pub(super) async fn putting(&self) -> Result<(Place, Place), Refused> {
        self.service.putting(&self.member).await
    }

    /// Places for a deletion.
    pub(super) async fn removal(&self) -> Result<(Place, Place), Refused> {
        self.service.removal(&self.member).await
    }

    /// Places for a deletion of what a rotation gave up.
    pub(super) async fn epoch_removal(&self) -> Result<(Place, Place), Refused> {
        self.service.epoch_removal(&self.member).await
    }

    /// The body, once it is what was signed; at most `max` bytes.
    pub(super) async fn whole(&self, body: Body, kind: Kind, max: u64) -> Result<body::Whole, Refused> {
        let (digest, length) = self.signed_body()?;
        if length > max {
            return Err(Refused::too_large(length, max));
        }
        let room = self.service.buffer(&self.member, kind, length).await?;
        body::whole(room, body, length, digest, self.service.time_for(length)).await
    }

    /// The body's digest and length.
    pub(super) fn signed_body(&self) -> Result<([u8; 32], u64), Refused> {
        self.body.ok_or_else(|| Refused::malformed("the request has no body"))
    }

    /// A small body of JSON, which is an object.
    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, body: Body) -> Result<T, Refused> {
        let body = self.whole(body, Kind::Said, body::MAX_JSON).await?;
        let Object(read) = serde_json::from_slice(&body.bytes)
            .map_err(|e| Refused::malformed(format!("the body can't be read: {e}")))?;
        Ok(read)
    }

    fn current(&self, vault: Arc<VaultState>, recovers: bool) -> Result<Asker, Refused> {
        let recovery = recovers && vault.recovery_cards().contains(&self.card);
        if !recovery && !vault.is_current_card(&self.card, &self.member, vault.last_seq()) {
            let detail = format!("card {} of member {} is not current", self.card, self.member);
            return Err(Refused::new(Type::UnknownCard, detail));
        }
        Ok(Asker { member: self.member.clone(), card: self.card, vault, now: self.now })
    }
}

/// The vault that the request is for, which is this one.
fn our_vault<'a>(headers: &'a HeaderMap, service: &Service) -> Result<&'a str, Refused> {
    let vault = header(headers, &VAULT)?;
    let ours = service.vault().id().to_string();
    if vault == ours {
        return Ok(vault);
    }
    let detail = "another vault is served here".to_owned();
    Err(Refused::new(Type::OtherVault, detail).with(|problem| problem.vault = Some(ours)))
}

/// The one value of a header that a signed request has.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refused> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Refused::new(Type::Unsigned, format!("the request needs one header {name}")))
}

/// The digest and length of the body that the method has; `None` if it has none.
fn body_of(parts: &Parts) -> Result<Option<([u8; 32], u64)>, Refused> {
    let length = parts.headers.get(header::CONTENT_LENGTH).map(|value| value.to_str().ok()?.parse::<u64>().ok());
    if parts.method != Method::PUT && parts.method != Method::POST {
        if length.is_some_and(|length| length != Some(0)) || parts.headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(Refused::malformed(format!("a {} has no body", parts.method)));
        }
        return Ok(None);
    }
    let digest = digest_of(header(&parts.headers, &CONTENT_DIGEST)?)
        .ok_or_else(|| Refused::new(Type::Unsigned, "content-digest is no SHA-256 as it must be"))?;
    match length {
        Some(Some(length)) => Ok(Some((digest, length))),
        Some(None) => Err(Refused::malformed("content-length is no number")),
        None => Err(Refused::new(Type::Length, "the body needs a content-length")),
    }
}

/// The names by which the request may have been signed: the one that it was sent to, if the server goes by that; else all of the server's,
/// since a proxy may have changed it on the way.
fn authorities(parts: &Parts, service: &Service) -> Result<Vec<String>, Refused> {
    let host = parts.uri.authority().map(ToString::to_string);
    let host = host.or_else(|| parts.headers.get(header::HOST)?.to_str().ok().map(str::to_owned));
    let host = host.map(|host| host.to_ascii_lowercase());
    let names = &service.settings().names;
    match host {
        Some(host) if names.is_empty() || names.contains(&host) => Ok(vec![host]),
        None if names.is_empty() => Err(Refused::malformed("the request names no host")),
        _ => Ok(names.clone()),
    }
}

fn check_clock(created: u64, now: u64) -> Result<(), Refused> {
    let apart = created.abs_diff(now);
    if apart <= wire::MAX_SKEW {
        return Ok(());
    }
    let detail = format!("the clocks are {apart} seconds apart; at most {} are taken", wire::MAX_SKEW);
    Err(Refused::new(Type::Clock, detail).with(|problem| problem.time = Some(now)))
}

/// The card's key and member: a card's id is the hash of its key, so whichever look showed it, it is the same.
async fn card_of(service: &Service, id: &CardId) -> Result<(VerifyingKey, MemberId), Refused> {
    let known = |state: &VaultState| state.card(id).map(|record| (*record.card.verifying_key(), record.member.clone()));
    let old = service.vault().known_state();
    if let Some(old) = old.as_deref().filter(|old| old.card(id).is_some()) {
        // What was retired stays so, however old the look is.
        if old.card(id).is_some_and(|card| card.retired.is_some()) && !old.recovery_cards().contains(id) {
            return Err(Refused::new(Type::UnknownCard, format!("card {id} was retired")));
        }
        return known(old).ok_or_else(|| Refused::new(Type::UnknownCard, "no such card"));
    }
    let _place = service.stranger().await?;
    let state = service.looks().state().await?;
    known(&state).ok_or_else(|| Refused::new(Type::UnknownCard, format!("no member of this vault has card {id}")))
}

fn verify(presented: &[Presented], key: &VerifyingKey) -> Result<(), Refused> {
    if presented.iter().any(|one| one.verify(key).is_ok()) {
        return Ok(());
    }
    let detail = "the signature does not verify: the request was changed on its way, or is signed for another host";
    Err(Refused::new(Type::BadSignature, detail))
}
