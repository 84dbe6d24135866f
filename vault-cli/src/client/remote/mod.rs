//! A vault behind a server: the same verbs over HTTP. Spec page 7.
//!
//! | to | look in |
//! |---|---|
//! | read an address | `place` |
//! | connect, send, receive | `http` |
//! | sign, greet, read answers | `channel` |
//! | try again | `patience` |
//! | move packs straight to and from the store | `links` |
//! | judge where links lead | `reach` |
//! | turn what went wrong into errors of this command | `trouble` |
//!
//! A server is trusted with nothing: who may do what, and whether bytes are those that were signed, is decided by the fold in this process.

mod channel;
mod http;
mod links;
mod patience;
mod place;
mod reach;
mod trouble;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OnceCell};
use vault_core::ids::{DatasetId, LedgerId, UploadId, VaultId};
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::MAX_ENTRY;
use vault_server::wire::problem::Type;
use vault_server::wire::{
    DeleteAll, DeleteEpochs, DeleteHidden, Deleted, Examine, Examined, Hello, Ledgers, MAX_UPLOAD, MORE, Sweep,
    entries as framed,
};

use self::channel::{Answer, Ask, Channel, Key, digest_of};
use self::http::Trust;
use self::links::{Links, Move, Straight};
use self::patience::Patience;
use self::place::Place;
use self::reach::Judge;
use super::{Append, Client, Derived, Removed};
use crate::error::{Failure, Outcome};
use crate::settings::Globals;
use crate::transfer::{Ahead, PackStore, StoreError};

pub use self::place::is_address;
pub use self::trouble::RemoteError;

/// How long a server that does not answer is waited for at the beginning: it may be a wrong address.
const GREETING: Duration = Duration::from_secs(8);
/// And later: longer than a server's restart, shorter than a user's patience.
const RESTART: Duration = Duration::from_secs(64);
/// Longest answer with entries: eight MiB and one entry, with their lengths.
const MAX_ENTRIES: u64 = (8 << 20) + MAX_ENTRY as u64 + (1 << 20);

/// A ledger of more bytes than this is not read: nothing of it is verified before its end.
const MAX_LEDGER: u64 = 4 << 30;
/// What an entry takes beside its bytes.
const PER_ENTRY: u64 = 64;
/// How long a turn is waited for.
const TURN: Duration = Duration::from_secs(20);

/// A vault behind a server.
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    channel: Channel,
    links: Links,
    // One pack at a time is on its way through the server: so its death costs no more than that one. What goes straight to the store does
    // not die with the server.
    carrying: Mutex<()>,
    vault: VaultId,
    /// The most objects that the server takes of an upload.
    max_upload: u64,
}

impl core::fmt::Debug for Remote {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Remote({})", self.inner.channel.place().as_str())
    }
}

impl Remote {
    fn new(channel: Channel, links: Links, vault: VaultId, hello: &Hello) -> Self {
        let max_upload = hello.upload_objects.unwrap_or(MAX_UPLOAD);
        Self { inner: Arc::new(Inner { channel, links, carrying: Mutex::default(), vault, max_upload }) }
    }
}

/// Greets the server at an address. Nothing is signed and nobody asked for a passphrase yet.
///
/// # Errors
/// If the address is wrong, nothing or something else answers, or its clock or version is too far from this one's.
pub async fn open(location: &str, globals: &Globals) -> Outcome<Remote> {
    let place = Place::parse(location)?;
    let (trust, output) = (Trust::from_environment()?, globals.output());
    let (channel, hello) = Channel::open(
        place,
        Key::new(globals.unlocker()),
        &trust,
        &Patience::new(GREETING, output),
        Patience::new(RESTART, output),
    )
    .await?;
    let vault = hello.vault.parse().map_err(|_| channel.nonsense("it names no vault"))?;
    let judge = Judge::new(channel.reach(), &std::env::var("SEQVAULT_STORE_HOSTS").unwrap_or_default());
    let links = Links::new(hello.links && !globals.via_server, trust, judge, output);
    Ok(Remote::new(channel, links, vault, &hello))
}

/// An address as it is remembered and handed on.
///
/// # Errors
/// If it is no server's address.
pub fn canonical(location: &str) -> Outcome<String> {
    Place::parse(location).map(|place| place.as_str().to_owned())
}

/// Why no vault is made at a server's address.
#[must_use]
pub fn no_init(location: &str) -> Failure {
    Failure::usage(format!("{location}: a vault is made in a folder or a bucket, not through a server")).hint(
        "make it there (`seqvault init s3://BUCKET/PREFIX` or `seqvault init FOLDER`), then serve it: `seqvault serve`",
    )
}

fn object(name: &ObjectName) -> String {
    format!("/v1/objects/{name}")
}

fn ledger(id: &LedgerId) -> String {
    format!("/v1/ledgers/{id}")
}

/// As the server says it of what it writes itself.
const UNSTEADY: &str = "the name is taken and yet there is nothing to read";

impl Inner {
    /// Reads an object, or a range of it, straight or through the server. The status tells a part from the whole.
    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
        longest: u64,
    ) -> Result<(u16, Bytes), StoreError> {
        let mut ask = Ask::get(object(name), longest);
        ask.range.clone_from(&range);
        let (ask, range) = (&ask, range.as_ref());
        let is_pack = matches!(name, ObjectName::Pack { .. });
        let attempt = || async move {
            if is_pack
                && self.links.are_used()
                && let Straight::Done(read) = self.links.get(&self.channel, name, range, longest).await?
            {
                return Ok(read);
            }
            let Answer { status, body, .. } = self.channel.ask_once(ask).await?;
            Ok((status, body))
        };
        self.channel.patiently(attempt).await.map_err(RemoteError::of_object)
    }

    async fn write(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let is_pack = matches!(name, ObjectName::Pack { .. });
        let (ask, bytes) = (&Ask::put(object(name), bytes.clone()), &bytes);
        let (digest, is_again) = (&OnceCell::new(), &AtomicBool::new(false));
        let attempt = || async move {
            if is_pack && is_again.swap(true, Ordering::Relaxed) && self.is_there(name, bytes).await? {
                return Ok(true);
            }
            if is_pack && self.links.are_used() {
                match self.links.put(&self.channel, name, bytes).await? {
                    Straight::Done(()) => return Ok(true),
                    Straight::Taken if self.size_once(name).await?.is_some() => return Ok(false),
                    // Another upload of it was under way, of a server that died perhaps, and came to nothing.
                    Straight::Taken => return Err(RemoteError::passing(self.channel.place().as_str(), UNSTEADY)),
                    Straight::Not if self.is_there(name, bytes).await? => return Ok(true),
                    Straight::Not | Straight::NoLink => {}
                }
            }
            // Hashed while another one is on its way.
            let digest = digest.get_or_init(|| digest_of(ask)).await.as_deref();
            let _turn = if is_pack { Some(self.carrying.lock().await) } else { None };
            let answer = self.channel.ask_with(ask, digest).await?;
            self.expect_status(&answer, 201).map(|()| true)
        };
        let is_new = self.channel.patiently(attempt).await.map_err(RemoteError::of_object)?;
        if is_new || *bytes == self.read(name, None, bytes.len() as u64).await?.1 {
            Ok(())
        } else {
            Err(StoreError::Differs)
        }
    }

    /// Whether all of a pack came before, and only the answer was lost. Its name was drawn for it, and objects appear whole.
    async fn is_there(&self, name: &ObjectName, bytes: &Bytes) -> Result<bool, RemoteError> {
        Ok(self.size_once(name).await? == Some(bytes.len() as u64))
    }

    async fn size_once(&self, name: &ObjectName) -> Result<Option<u64>, RemoteError> {
        let ask = Ask { method: Method::HEAD, ..Ask::get(object(name), 0) };
        match self.channel.ask_once(&ask).await {
            Ok(answer) => {
                let length =
                    answer.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|t| t.parse().ok());
                length.map(Some).ok_or_else(|| self.channel.nonsense("it names no length"))
            }
            // An answer to HEAD has no body that would say more.
            Err(RemoteError::Status { status: 404, by_server: true, .. }) => Ok(None),
            Err(error) if error.problem() == Some(Type::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn expect_status(&self, answer: &Answer, status: u16) -> Result<(), RemoteError> {
        if answer.status == status {
            return Ok(());
        }
        Err(self.channel.nonsense(format!("status {} where {status} was to come", answer.status)))
    }

    /// Does something of which the answer tells.
    async fn act<T: DeserializeOwned>(&self, path: String, body: &impl Serialize) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(body).map_err(|e| self.channel.nonsense(e.to_string()))?;
        let answer = self.channel.ask(&Ask::post(path, body.into())).await?;
        self.json(&answer)
    }

    fn json<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, RemoteError> {
        serde_json::from_slice(&answer.body).map_err(|e| self.channel.nonsense(e.to_string()))
    }

    /// As many entries as one answer holds, and whether they are all.
    async fn some_entries(&self, id: &LedgerId, from: u64, single: bool) -> Result<(Vec<Bytes>, bool), RemoteError> {
        let mut ask = Ask::get(format!("{}/entries", ledger(id)), MAX_ENTRIES);
        ask.query = Some(format!("from={from}{}", if single { "&single=true" } else { "" }));
        let answer = self.channel.ask(&ask).await?;
        let some = framed::parse(answer.body).map_err(|e| self.channel.nonsense(e.to_string()))?;
        let is_all = answer.headers.get(MORE).is_none_or(|more| more != "true");
        if some.is_empty() && !is_all {
            return Err(self.channel.nonsense("it says that there are more entries, and sends none"));
        }
        Ok((some, is_all))
    }

    async fn entries(&self, id: &LedgerId, mut from: u64, single: bool) -> Result<Vec<Bytes>, RemoteError> {
        let (mut all, mut held) = (Vec::new(), 0);
        loop {
            let (some, is_all) = self.some_entries(id, from, single).await?;
            held = some.iter().fold(held, |held, entry| held + entry.len() as u64 + PER_ENTRY);
            if held > MAX_LEDGER {
                return Err(self.channel.nonsense("its ledger has no end"));
            }
            from = from.saturating_add(some.len() as u64);
            all.extend(some);
            if is_all {
                return Ok(all);
            }
        }
    }

    async fn append(&self, id: &LedgerId, seq: u64, entry: Bytes) -> Result<Append, RemoteError> {
        match self.channel.ask(&Ask::put(format!("{}/entries/{seq}", ledger(id)), entry)).await {
            Err(error) if error.problem() == Some(Type::Taken) => Ok(Append::Taken),
            answer => self.expect_status(&answer?, 201).map(|()| Append::Done),
        }
    }
}

#[async_trait]
impl PackStore for Remote {
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.write(name, bytes).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let is_start = range.start == 0;
        let (status, bytes) = self.inner.read(name, Some(range), length).await?;
        // Who knows no ranges sends all of it, which is the range if it is that long.
        let is_range = status == 206 || status == 200 && is_start;
        if is_range && bytes.len() as u64 == length { Ok(bytes) } else { Err(StoreError::Length) }
    }

    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        Ok(self.inner.read(name, None, max).await?.1)
    }

    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.inner.channel.patiently(|| self.inner.size_once(name)).await.map_err(RemoteError::of_object)
    }

    fn expect(&self, ahead: Ahead) {
        if !self.inner.links.are_used() {
            return;
        }
        match ahead {
            Ahead::Read(names) => self.inner.links.expect(names.into_iter().map(Move::Get)),
            // Asked for while the pack is sealed. If it fails, whoever writes asks again.
            Ahead::Write(name, length) => {
                let inner = Arc::clone(&self.inner);
                drop(tokio::spawn(async move {
                    let _ = inner.links.link(&inner.channel, &Move::Put(name, length)).await;
                }));
            }
        }
    }
}

fn removed(deleted: Deleted) -> Removed {
    Removed { objects: deleted.objects, kept: deleted.kept }
}

#[async_trait]
impl Client for Remote {
    fn location(&self) -> &str {
        self.inner.channel.place().as_str()
    }

    fn max_upload(&self) -> Option<u64> {
        Some(self.inner.max_upload)
    }

    fn claims(&self) -> Option<VaultId> {
        Some(self.inner.vault)
    }

    async fn ledgers(&self) -> Outcome<Vec<LedgerId>> {
        let answer = self.inner.channel.ask(&Ask::get("/v1/ledgers".to_owned(), 64 << 20)).await?;
        let names: Ledgers = self.inner.json(&answer)?;
        Ok(names.ledgers.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        Ok(self.inner.entries(id, from, false).await?)
    }

    async fn first(&self, id: &LedgerId) -> Outcome<Option<Bytes>> {
        Ok(self.inner.some_entries(id, 0, false).await?.0.into_iter().next())
    }

    async fn single_entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        Ok(self.inner.entries(id, from, true).await?)
    }

    async fn append(&self, id: &LedgerId, seq: u64, entry: Bytes) -> Outcome<Append> {
        Ok(self.inner.append(id, seq, entry).await?)
    }

    async fn turn(&self, id: &LedgerId) {
        let mut ask = Ask::post(format!("{}/turn", ledger(id)), Bytes::new());
        ask.wait = TURN;
        // A courtesy: who gets no turn tries all the same.
        let _ = self.inner.channel.ask_once(&ask).await;
    }

    async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Outcome<Removed> {
        let path = format!("/v1/datasets/{dataset}/delete-epochs");
        Ok(removed(self.inner.act(path, &DeleteEpochs { below }).await?))
    }

    async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Outcome<Removed> {
        let path = format!("/v1/datasets/{dataset}/sweep");
        Ok(removed(self.inner.act(path, &Sweep { upload: upload.to_string() }).await?))
    }

    async fn delete_hidden(&self, dataset: &DatasetId) -> Outcome<Removed> {
        let path = format!("/v1/datasets/{dataset}/delete-hidden");
        Ok(removed(self.inner.act(path, &DeleteHidden {}).await?))
    }

    async fn delete_dataset(&self, dataset: &DatasetId) -> Outcome<Removed> {
        let path = format!("/v1/datasets/{dataset}/delete-all");
        Ok(removed(self.inner.act(path, &DeleteAll {}).await?))
    }

    async fn withdraw(&self, name: &ObjectName) -> Outcome<Removed> {
        let ask = Ask { method: Method::DELETE, ..Ask::get(object(name), 1 << 20) };
        match self.inner.channel.ask(&ask).await {
            // The first try did it, and its answer was lost.
            Err(error) if error.problem() == Some(Type::NotFound) => Ok(Removed::default()),
            answer => Ok(removed(self.inner.json(&answer?)?)),
        }
    }

    async fn doctor(&self, repair: bool) -> Outcome<Derived> {
        let Examined { findings, repaired, damaged } =
            self.inner.act("/v1/doctor".to_owned(), &Examine { repair }).await?;
        Ok(Derived { findings, repaired, damaged })
    }
}
