//! Packs straight to and from the server's store, by links that the server gives for a while. Spec 7.4.
//!
//! Links are asked for in batches, ahead of need. Whoever holds one can use it, so none is ever shown: errors name the store's host.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ETAG, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Url};
use tokio::time::Instant;
use vault_core::layout::ObjectName;
use vault_server::wire::problem::Type;
use vault_server::wire::{Link, Links as Given, LinksWanted, MAX_GET_LINK, MAX_PUT_LINK, PutWanted};

use super::channel::{Ask, Channel, STALLED};
use super::http::{Broken, Trust, asked_wait, read, send};
use super::place::is_loopback;
use super::reach::Judge;
use super::trouble::{RemoteError, words};
use crate::clock;
use crate::output::Output;

/// Links that are asked for at once.
const BATCH: usize = 32;
/// A link that ends sooner than this is not used any more.
const MARGIN: Duration = Duration::from_secs(20);
/// A bucket may have several endpoints; more than these are not asked.
const MAX_ORIGINS: usize = 4;
/// Longest answer of a store that is no object: an error in XML.
const MAX_XML: u64 = 64 << 10;

/// What is to be done to a pack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// Read it.
    Get(ObjectName),
    /// Write it; its length.
    Put(ObjectName, u64),
}

impl Move {
    const fn name(&self) -> &ObjectName {
        match self {
            Self::Get(name) | Self::Put(name, _) => name,
        }
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Get(_) => "GET",
            Self::Put(..) => "PUT",
        }
    }
}

/// What became of a pack that was to go straight.
#[derive(Debug)]
pub(super) enum Straight<T> {
    /// It went.
    Done(T),
    /// There is an object of that name already.
    Taken,
    /// It has to go through the server this time. Of a pack to write nobody knows whether it came to be.
    Not,
    /// It has to go through the server this time: nothing was asked of the store.
    NoLink,
}

/// The links that are held, and whether links are of use from here.
pub(super) struct Links {
    use_them: AtomicBool,
    worked: AtomicBool,
    told: AtomicBool,
    trust: Trust,
    judge: Judge,
    output: Output,
    held: Mutex<Held>,
    // One request for links at a time: those who come meanwhile find theirs in its answer.
    asking: tokio::sync::Mutex<()>,
    // By whether it speaks TLS, and to this machine.
    http: Mutex<HashMap<(bool, bool), reqwest::Client>>,
    origins: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Held {
    links: HashMap<Move, Lasting>,
    ahead: VecDeque<Move>,
}

#[derive(Clone)]
struct Lasting {
    link: Link,
    until: Instant,
}

impl Links {
    pub(super) fn new(use_them: bool, trust: Trust, judge: Judge, output: Output) -> Self {
        Self {
            use_them: AtomicBool::new(use_them),
            worked: AtomicBool::new(false),
            told: AtomicBool::new(false),
            trust,
            judge,
            output,
            held: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            http: Mutex::default(),
            origins: Mutex::default(),
        }
    }

    /// Whether packs go straight.
    pub(super) fn are_used(&self) -> bool {
        self.use_them.load(Ordering::Relaxed)
    }

    /// Says which packs come next.
    pub(super) fn expect(&self, moves: impl Iterator<Item = Move>) {
        if self.are_used() {
            self.held().ahead.extend(moves);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, of: &Move) -> Option<Link> {
        let held = self.held();
        let lasting = held.links.get(of)?;
        (Instant::now() < lasting.until).then(|| lasting.link.clone())
    }

    fn forget(&self, of: &Move) {
        self.held().links.remove(of);
    }

    /// A link that lasts; `None` if there is none to be had.
    pub(super) async fn link(&self, channel: &Channel, of: &Move) -> Result<Option<Link>, RemoteError> {
        if let Some(link) = self.known(of) {
            return Ok(Some(link));
        }
        let _turn = self.asking.lock().await;
        if let Some(link) = self.known(of) {
            return Ok(Some(link));
        }
        if !self.are_used() {
            return Ok(None);
        }
        let batch = self.batch(of);
        let mut given = ask(channel, &batch).await;
        // Perhaps it is the batch that is too much.
        if batch.len() > 1 && given.as_ref().is_err_and(|e| e.problem() == Some(Type::Quota)) {
            given = ask(channel, std::slice::from_ref(of)).await;
        }
        match given {
            Ok(links) => Ok(self.keep(&batch, links, of)),
            Err(error) => match error.problem() {
                Some(Type::NoLinks | Type::NoSuchResource) => {
                    self.use_them.store(false, Ordering::Relaxed);
                    Ok(None)
                }
                Some(Type::Quota) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// What is needed, and what will be.
    fn batch(&self, of: &Move) -> Vec<Move> {
        let mut held = self.held();
        let now = Instant::now();
        held.links.retain(|_, lasting| now < lasting.until);
        let mut batch = vec![of.clone()];
        while batch.len() < BATCH
            && let Some(next) = held.ahead.pop_front()
        {
            if !held.links.contains_key(&next) && !batch.contains(&next) {
                batch.push(next);
            }
        }
        batch
    }

    fn keep(&self, batch: &[Move], given: Vec<Link>, of: &Move) -> Option<Link> {
        let (now, time) = (Instant::now(), clock::now());
        let mut held = self.held();
        for link in given {
            let Some(of) = batch.iter().find(|of| of.method() == link.method && of.name().to_string() == link.name)
            else {
                continue;
            };
            let most = if matches!(of, Move::Get(_)) { MAX_GET_LINK } else { MAX_PUT_LINK };
            // The clocks may differ by minutes; then it is renewed early, or when the store says that it has ended.
            let lasts = Duration::from_secs(link.expires.saturating_sub(time).min(most));
            let until = now + lasts.saturating_sub(MARGIN).max(Duration::from_secs(1));
            held.links.insert(of.clone(), Lasting { link, until });
        }
        held.links.get(of).map(|lasting| lasting.link.clone())
    }

    /// Writes a pack.
    pub(super) async fn put(
        &self,
        channel: &Channel,
        name: &ObjectName,
        bytes: &Bytes,
    ) -> Result<Straight<()>, RemoteError> {
        let of = Move::Put(name.clone(), bytes.len() as u64);
        self.go(channel, &of, None, Some(bytes), MAX_XML).await.map(|done| match done {
            Straight::Done(_) => {
                self.forget(&of);
                Straight::Done(())
            }
            Straight::Taken => Straight::Taken,
            Straight::Not => Straight::Not,
            Straight::NoLink => Straight::NoLink,
        })
    }

    /// Reads a pack, or a range of it.
    pub(super) async fn get(
        &self,
        channel: &Channel,
        name: &ObjectName,
        range: Option<&Range<u64>>,
        longest: u64,
    ) -> Result<Straight<(u16, Bytes)>, RemoteError> {
        self.go(channel, &Move::Get(name.clone()), range, None, longest).await
    }

    async fn go(
        &self,
        channel: &Channel,
        of: &Move,
        range: Option<&Range<u64>>,
        body: Option<&Bytes>,
        longest: u64,
    ) -> Result<Straight<(u16, Bytes)>, RemoteError> {
        // A link that ended on the way is renewed once; what is refused after that is refused for another reason.
        for _ in 0..2 {
            let Some(link) = self.link(channel, of).await? else { return Ok(Straight::NoLink) };
            let Some((url, host)) = address(&link, of) else {
                return Err(channel.nonsense("it gave a link that is none"));
            };
            if let Some(why) = self.is_refused(&url) {
                self.give_up(&format!("no link to {host} is followed: {why}"));
                return Ok(Straight::NoLink);
            }
            let http = match self.client(&url, &host) {
                Ok(http) => http,
                Err(error) => return Ok(self.not_from_here(&error)),
            };
            let is_put = matches!(of, Move::Put(..));
            let mut request = http.request(if is_put { Method::PUT } else { Method::GET }, url.clone());
            for (name, value) in link.headers.iter().filter(|(name, _)| !is_our_own(name)) {
                match signed_header(name, value) {
                    Some((name, value)) => request = request.header(name, value),
                    None => return Err(channel.nonsense("it gave a link with a header that has no place there")),
                }
            }
            if let Some(range) = range {
                request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
            }
            let is_secure = url.scheme() == "https";
            let response = match send(request, body.cloned(), STALLED).await {
                Ok(response) => response,
                Err(broken) => return self.lost(broken.of(&host, is_secure)),
            };
            let status = response.status().as_u16();
            let retry_after = asked_wait(response.headers());
            let has_tag = response.headers().contains_key(ETAG);
            let limit = if matches!(status, 200 | 206) && !is_put { longest } else { MAX_XML };
            let bytes = match read(response, limit, STALLED).await {
                Ok(bytes) => bytes,
                Err(Broken::TooLong(_)) if limit == MAX_XML => Bytes::new(),
                Err(broken) => return Err(broken.of(&host, is_secure)),
            };
            match status {
                // Every store names what it stored; a login page in its place does not.
                200 | 201 if is_put && !has_tag => {
                    self.give_up(&format!("{host} does not answer as a store does"));
                    return Ok(Straight::Not);
                }
                200 | 201 if is_put => {
                    self.worked.store(true, Ordering::Relaxed);
                    return Ok(Straight::Done((status, bytes)));
                }
                200 | 206 if !is_put => {
                    self.worked.store(true, Ordering::Relaxed);
                    return Ok(Straight::Done((status, bytes)));
                }
                412 if is_put => return Ok(Straight::Taken),
                // The server knows whether there is such an object.
                404 | 416 if !is_put => return Ok(Straight::Not),
                403 if is_archived(&bytes) => return Ok(Straight::Not),
                403 | 401 | 400 => self.forget(of),
                // Somebody writes the same name at this moment: who, is known the next time.
                409 => return Err(RemoteError::passing(&host, "a write to the same name is under way")),
                429 | 500..=599 => {
                    return Err(RemoteError::Status { place: host, status, by_server: true, retry_after });
                }
                _ => {
                    self.give_up(&format!("{host} answers with status {status}"));
                    return Ok(Straight::Not);
                }
            }
        }
        self.give_up("the store refuses the links that the server gives");
        Ok(Straight::Not)
    }

    /// What it means that the store did not answer.
    fn lost<T>(&self, error: RemoteError) -> Result<Straight<T>, RemoteError> {
        // A store that was reached before will be again; one that never was may be out of reach from here.
        if self.worked.load(Ordering::Relaxed) && error.is_transient() {
            Err(error)
        } else {
            Ok(self.not_from_here(&error))
        }
    }

    fn not_from_here<T>(&self, error: &RemoteError) -> Straight<T> {
        self.give_up(&error.to_string());
        Straight::Not
    }

    /// From now on packs go through the server; it is said once.
    fn give_up(&self, why: &str) {
        self.use_them.store(false, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            self.output
                .note(&format!("warning: the server's store: {why}; packs go through the server (--via-server)"));
        }
    }

    /// Why a link leads where this machine asks nobody, if it does. The server is not trusted to send requests from here to anywhere.
    fn is_refused(&self, url: &Url) -> Option<&'static str> {
        if let Some(why) = self.judge.refuses(url) {
            return Some(why);
        }
        let origin = url.origin().ascii_serialization();
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if !origins.contains(&origin) && origins.len() >= MAX_ORIGINS {
            return Some("there were links to too many places before");
        }
        origins.insert(origin);
        None
    }

    fn client(&self, url: &Url, host: &str) -> Result<reqwest::Client, RemoteError> {
        let kind = (url.scheme() == "https", url.host_str().is_some_and(is_loopback));
        let mut clients = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = clients.get(&kind) {
            return Ok(http.clone());
        }
        let made = self.trust.judged_client(host, kind.1, kind.0, self.judge.clone())?;
        clients.insert(kind, made.clone());
        Ok(made)
    }
}

async fn ask(channel: &Channel, batch: &[Move]) -> Result<Vec<Link>, RemoteError> {
    let mut wanted = LinksWanted::default();
    for of in batch {
        match of {
            Move::Get(name) => wanted.get.push(name.to_string()),
            Move::Put(name, length) => wanted.put.push(PutWanted { name: name.to_string(), length: *length }),
        }
    }
    let body = serde_json::to_vec(&wanted).map_err(|e| channel.nonsense(e.to_string()))?;
    let mut ask = Ask::post("/v1/links".to_owned(), body.into());
    ask.wait = STALLED;
    // Whoever needs the link tries again.
    let answer = channel.ask_once(&ask).await?;
    let given: Given = serde_json::from_slice(&answer.body).map_err(|_| channel.nonsense("it gave no links"))?;
    Ok(given.links)
}

/// A link's address and how its host is shown. What a link says beside that is a secret.
fn address(link: &Link, of: &Move) -> Option<(Url, String)> {
    let url = Url::parse(&link.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str()?;
    let shown = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    (link.method == of.method()).then(|| (url.clone(), words(&shown)))
}

/// A header that HTTP itself fills in, with what the link was asked for.
fn is_our_own(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("content-length")
}

/// A header that a store's signature may cover. The server is not trusted to set others.
fn signed_header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = name.parse::<HeaderName>().ok()?;
    let known = matches!(name.as_str(), "if-none-match" | "content-type") || name.as_str().starts_with("x-amz-");
    known.then_some((name, HeaderValue::from_str(value).ok()?))
}

/// Whether a store's refusal says that the object is in cold storage; the server says how to get it back.
fn is_archived(xml: &[u8]) -> bool {
    String::from_utf8_lossy(xml).contains("InvalidObjectState")
}
