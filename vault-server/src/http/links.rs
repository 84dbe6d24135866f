//! POST `/v1/links`: links straight to the store, for packs, for those who may read or put them. Spec section 7.4.
//!
//! Whoever holds a link can use it until it ends, so it is short-lived, counted, and never logged.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use vault_core::ids::DatasetId;
use vault_core::layout::ObjectName;

use super::objects::parse;
use super::problem::{Outcome, Refused};
use super::rights::Act;
use super::service::Service;
use super::signed::{Asker, Signed};
use super::trace;
use crate::store;
use crate::vault::{View, max_len};
use crate::wire::problem::{Problem, Type};
use crate::wire::{Link, Links, LinksWanted, MAX_GET_LINK, MAX_LINKS, MAX_PUT_LINK};

/// A link that is asked for.
struct Wanted {
    name: ObjectName,
    /// The length of a pack to write; `None` to read one.
    length: Option<u64>,
}

/// Gives links.
#[utoipa::path(
    post,
    path = "/v1/links",
    request_body(content = LinksWanted),
    responses((status = 200, description = "The links, first those to read", body = Links), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn give(State(service): State<Service>, signed: Signed, body: Body) -> Outcome<Json<Links>> {
    signed.asker().await?;
    let wanted = read(signed.json(body).await?)?;
    if !service.gives_links() {
        return Err(Refused::new(Type::NoLinks, "this server gives no links; what it keeps comes through it"));
    }
    let asker = allow(&signed, &wanted).await?;
    service.hold_links(&asker.member, wanted.len(), asker.now + MAX_PUT_LINK, asker.now)?;
    let mut links = Vec::with_capacity(wanted.len());
    for one in &wanted {
        links.push(link(&service, one, asker.now).await?);
    }
    let put = wanted.iter().filter(|one| one.length.is_some()).count();
    trace::note_links(wanted.len() - put, put);
    Ok(Json(Links { links }))
}

/// What is asked for, all of it packs.
fn read(wanted: LinksWanted) -> Result<Vec<Wanted>, Refused> {
    if wanted.get.len() + wanted.put.len() > MAX_LINKS {
        return Err(Refused::malformed(format!("one request asks for at most {MAX_LINKS} links")));
    }
    let get = wanted.get.iter().map(|name| Ok(Wanted { name: parse(name)?, length: None }));
    let put = wanted.put.iter().map(|put| Ok(Wanted { name: parse(&put.name)?, length: Some(put.length) }));
    let all: Vec<Wanted> = get.chain(put).collect::<Result<_, Refused>>()?;
    for one in &all {
        if !matches!(one.name, ObjectName::Pack { .. }) {
            return Err(Refused::new(Type::NotAllowed, "only packs have links"));
        }
        let most = max_len(&one.name);
        if one.length.is_some_and(|length| length == 0 || length > most) {
            // Not `too-large`: that is said of the body of a request.
            return Err(Refused::malformed(format!("the length of a pack is from 1 to {most}")));
        }
    }
    Ok(all)
}

/// Judges all of them, with one look at each dataset.
async fn allow(signed: &Signed, wanted: &[Wanted]) -> Result<Asker, Refused> {
    let mut views: BTreeMap<&DatasetId, (Asker, Option<View>)> = BTreeMap::new();
    for one in wanted {
        let ObjectName::Pack { dataset, .. } = &one.name else { continue };
        if !views.contains_key(dataset) {
            views.insert(dataset, signed.in_dataset(dataset).await?);
        }
        if let Some((asker, view)) = views.get(dataset) {
            let act = if one.length.is_some() { Act::Put(&one.name) } else { Act::Read(&one.name) };
            asker.may(act, view.as_ref())?;
        }
    }
    match views.into_values().next() {
        Some((asker, _)) => Ok(asker),
        None => signed.asker().await,
    }
}

async fn link(service: &Service, one: &Wanted, now: u64) -> Result<Link, Refused> {
    let store = service.vault().store();
    let (made, seconds): (store::Link, u64) = match one.length {
        None => (store.link_get(&one.name, Duration::from_secs(MAX_GET_LINK)).await?, MAX_GET_LINK),
        Some(_) => (store.link_put(&one.name, Duration::from_secs(MAX_PUT_LINK)).await?, MAX_PUT_LINK),
    };
    Ok(Link {
        name: one.name.to_string(),
        method: made.method.to_owned(),
        url: made.url,
        headers: made.headers.into_iter().collect(),
        expires: now + seconds,
    })
}
