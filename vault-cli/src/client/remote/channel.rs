//! Requests to one server: signed, sent with an eye on their progress, answered in bounded memory, tried again. Spec 7.1 and 7.2.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RANGE};
use reqwest::{Method, Response};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use vault_core::ids::VaultId;
use vault_keys::custodian::Custodian;
use vault_server::wire::problem::Problem;
use vault_server::wire::signature::{self, Covered, SignError, Stamp};
use vault_server::wire::{self, API, Hello};

use super::http::{Trust, asked_wait, read, send};
use super::patience::Patience;
use super::place::Place;
use super::reach::{PROXIES, Reach};
use super::trouble::{RemoteError, skewed, words};
use crate::clock;
use crate::error::{Failure, Kind};
use crate::random;
use crate::settings::Unlocker;

/// How long nothing may move.
pub(super) const STALLED: Duration = Duration::from_secs(60);
/// How long an act that goes through a whole dataset may take.
const LONG: Duration = Duration::from_secs(1800);
/// Bodies above this are hashed on a thread of their own.
const HASHED_ASIDE: usize = 1 << 20;
/// Longest problem that is read.
const MAX_PROBLEM: u64 = 64 << 10;
/// Longest answer that is JSON.
const MAX_JSON: u64 = 64 << 20;

/// What is asked of a server.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// From `/v1` on.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) body: Option<Bytes>,
    pub(super) range: Option<Range<u64>>,
    /// Longest answer; of none the body is not read.
    pub(super) longest: u64,
    /// How long nothing may come.
    pub(super) wait: Duration,
}

impl Ask {
    /// Reads something.
    pub(super) fn get(path: String, longest: u64) -> Self {
        Self { method: Method::GET, path, query: None, body: None, range: None, longest, wait: STALLED }
    }

    /// Stores something.
    pub(super) fn put(path: String, body: Bytes) -> Self {
        Self { method: Method::PUT, body: Some(body), ..Self::get(path, MAX_JSON) }
    }

    /// Does something, which may take long.
    pub(super) fn post(path: String, body: Bytes) -> Self {
        Self { method: Method::POST, body: Some(body), wait: LONG, ..Self::get(path, MAX_JSON) }
    }
}

/// An answer that is no error.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// One server, and whoever signs what is asked of it.
pub(super) struct Channel {
    place: Place,
    http: reqwest::Client,
    vault: String,
    // How near it is, and so how near its links may lead.
    reach: Reach,
    key: Key,
    patience: Patience,
}

/// The identity, unlocked when it first has to sign.
pub(super) struct Key {
    unlocker: Unlocker,
    unlocked: OnceCell<Arc<dyn Custodian>>,
}

impl Key {
    pub(super) fn new(unlocker: Unlocker) -> Self {
        Self { unlocker, unlocked: OnceCell::new() }
    }

    /// One that is unlocked already.
    #[cfg(test)]
    pub(super) fn of(custodian: Arc<dyn Custodian>) -> Self {
        let unlocker = crate::settings::Globals::default().unlocker();
        Self { unlocker, unlocked: OnceCell::new_with(Some(custodian)) }
    }

    async fn unlocked(&self) -> Result<&Arc<dyn Custodian>, RemoteError> {
        let unlock = || async {
            // Somebody may type: that blocks a thread, which must be none of those that others wait for.
            let unlocker = self.unlocker.clone();
            match spawn_blocking(move || unlocker.unlock()).await {
                Ok(unlocked) => unlocked.map_err(RemoteError::Here),
                Err(e) => Err(RemoteError::Here(Failure::new(Kind::Identity, format!("the identity: {e}")))),
            }
        };
        self.unlocked.get_or_try_init(unlock).await
    }
}

impl Channel {
    /// Asks what answers at an address, and is ready to sign for the vault that it names.
    pub(super) async fn open(
        place: Place,
        key: Key,
        trust: &Trust,
        greeting: &Patience,
        patience: Patience,
    ) -> Result<(Self, Hello), RemoteError> {
        let http = trust.client(place.as_str(), place.is_loopback(), place.is_secure())?;
        let reach = Reach::of_host(place.host());
        let mut channel =
            Self { place, http, vault: String::new(), reach: reach.unwrap_or(Reach::World), key, patience };
        let (hello, peer) = greeting.run(|| channel.hello()).await?;
        // Of a name it counts where the connection went: what it resolves to the next time is up to whoever owns it. Behind a proxy that is
        // the proxy.
        if let (None, Some(peer)) = (reach, peer.filter(|_| !has_proxy())) {
            channel.reach = Reach::of(peer.ip());
        }
        channel.vault.clone_from(&hello.vault);
        Ok((channel, hello))
    }

    /// Where it is.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// How near it is.
    pub(super) const fn reach(&self) -> Reach {
        self.reach
    }

    /// Runs what asks, again and again while that may help.
    pub(super) async fn patiently<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        self.patience.run(attempt).await
    }

    /// Asks, again and again while that may help.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, RemoteError> {
        let digest = digest_of(ask).await;
        self.patiently(|| self.ask_with(ask, digest.as_deref())).await
    }

    /// Asks once.
    pub(super) async fn ask_once(&self, ask: &Ask) -> Result<Answer, RemoteError> {
        let digest = digest_of(ask).await;
        self.ask_with(ask, digest.as_deref()).await
    }

    /// Asks once, with the body's digest at hand.
    pub(super) async fn ask_with(&self, ask: &Ask, digest: Option<&str>) -> Result<Answer, RemoteError> {
        let mut request = self.http.request(ask.method.clone(), self.place.url(&ask.path, ask.query.as_deref()));
        for (name, value) in self.signature(ask, digest).await? {
            request = request.header(name, value);
        }
        if let Some(range) = &ask.range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        if ask.method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let response = send(request, ask.body.clone(), ask.wait).await.map_err(|broken| broken.at(&self.place))?;
        self.answer(response, ask.longest, ask.wait).await
    }

    /// The headers that say who asks, of what, when and once.
    async fn signature(&self, ask: &Ask, digest: Option<&str>) -> Result<Vec<(HeaderName, String)>, RemoteError> {
        let custodian = self.key.unlocked().await?;
        let covered = Covered {
            method: ask.method.as_str(),
            authority: self.place.authority(),
            path: &ask.path,
            query: ask.query.as_deref(),
            vault: &self.vault,
            digest,
        };
        let stamp = Stamp { created: clock::now(), nonce: random::bytes(), card: *custodian.card().id() };
        let signed = signature::sign(&covered, &stamp, |base| custodian.sign(base)).map_err(|e| {
            RemoteError::Here(match e {
                SignError::Key(e) => Failure::new(Kind::Identity, e.to_string()),
                other => Failure::new(Kind::Other, other.to_string()),
            })
        })?;
        let mut headers = vec![
            (HeaderName::from_static(wire::VAULT), self.vault.clone()),
            (HeaderName::from_static("signature-input"), signed.input),
            (HeaderName::from_static("signature"), signed.signature),
        ];
        headers.extend(digest.map(|digest| (HeaderName::from_static("content-digest"), digest.to_owned())));
        Ok(headers)
    }

    /// Reads an answer; one that is no success becomes an error.
    async fn answer(&self, response: Response, longest: u64, wait: Duration) -> Result<Answer, RemoteError> {
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            return Err(self.refusal(response).await);
        }
        if !headers.contains_key(wire::REQUEST_ID) {
            return Err(self.stranger(format!("it answered {status} as no seqvault server does")));
        }
        let body = if longest == 0 {
            Bytes::new()
        } else {
            read(response, longest, wait).await.map_err(|broken| broken.at(&self.place))?
        };
        Ok(Answer { status: status.as_u16(), headers, body })
    }

    async fn refusal(&self, response: Response) -> RemoteError {
        let (status, place) = (response.status(), self.place.as_str().to_owned());
        let headers = response.headers().clone();
        let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = asked_wait(&headers);
        if status.is_redirection() {
            let to = header(LOCATION).map_or_else(String::new, |to| format!(" to {}", words(without_query(to))));
            return self.stranger(format!("it sends requests on{to}, and they are signed for where they go"));
        }
        let by_server = headers.contains_key(wire::REQUEST_ID);
        let is_problem = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(wire::PROBLEM));
        let body = read(response, MAX_PROBLEM, STALLED).await.unwrap_or_default();
        if is_problem && let Ok(mut problem) = serde_json::from_slice::<Problem>(&body) {
            // What the answer is, and not what it says that it is.
            problem.status = status.as_u16();
            return RemoteError::Problem { place, problem: Box::new(problem), retry_after };
        }
        RemoteError::Status { place, status: status.as_u16(), by_server, retry_after }
    }

    /// What answers here and at which address, and whether it is understood.
    async fn hello(&self) -> Result<(Hello, Option<SocketAddr>), RemoteError> {
        let request = self.http.get(self.place.url("/v1/vault", None));
        let response = send(request, None, STALLED).await.map_err(|broken| broken.at(&self.place))?;
        let peer = response.remote_addr();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(words);
        let answer = match self.answer(response, MAX_PROBLEM, STALLED).await {
            Err(RemoteError::Problem { problem, .. }) if problem.api.is_some() => {
                return Err(self.too_far_apart(problem.api.as_deref().unwrap_or_default()));
            }
            // Many things say 404 or 403 of a path that they do not know.
            Err(RemoteError::Status { status, by_server: false, .. })
                if status < 500 && status != 429 && status != 407 =>
            {
                return Err(self.stranger(format!("it answered with status {status}")));
            }
            answer => answer?,
        };
        let hello: Hello = serde_json::from_slice(&answer.body).map_err(|_| {
            self.stranger(format!("it answered with {}", kind.unwrap_or_else(|| "something else".to_owned())))
        })?;
        if !hello.api.contains(&API) {
            return Err(self.too_far_apart(&hello.api));
        }
        if hello.vault.parse::<VaultId>().is_err() {
            return Err(self.stranger("it names no vault".to_owned()));
        }
        // Such a server would take nothing from anybody.
        if hello.upload_objects == Some(0) {
            return Err(self.nonsense("it says that it takes 0 objects of an upload"));
        }
        if !is_clock_moved() && hello.time.abs_diff(clock::now()) > wire::MAX_SKEW {
            let place = self.place.as_str();
            let (text, zh) = (format!("{place}: the clocks differ too much"), format!("{place}：时钟相差过大"));
            return Err(RemoteError::Here(skewed(Some(hello.time), &text, &zh)));
        }
        Ok((hello, peer))
    }

    fn stranger(&self, why: String) -> RemoteError {
        RemoteError::Stranger { place: self.place.as_str().to_owned(), why }
    }

    /// An answer that can't be what was asked for.
    pub(super) fn nonsense(&self, why: impl Into<String>) -> RemoteError {
        RemoteError::Nonsense { place: self.place.as_str().to_owned(), why: why.into() }
    }

    fn too_far_apart(&self, theirs: &[u32]) -> RemoteError {
        let place = self.place.as_str();
        let list: Vec<String> = theirs.iter().take(8).map(u32::to_string).collect();
        let list = list.join(", ");
        let failure = Failure::new(
            Kind::Other,
            format!("{place}: the server speaks version {list} of the protocol, and this seqvault version {API}"),
        )
        .or_in_chinese(format!("{place}：服务器使用协议版本 {list}，本机的 seqvault 使用版本 {API}"));
        let is_newer = theirs.iter().all(|version| *version > API);
        RemoteError::Here(if is_newer {
            failure.hints("install a newer seqvault on this machine", "请在本机安装较新版本的 seqvault")
        } else {
            failure.hints(
                "the server is too old: ask who runs it to install a newer one",
                "服务器过旧：请其运营者安装较新的版本",
            )
        })
    }
}

/// Whether a test has moved this process's clock: then the server alone judges it, at the first signed request, because a server of the
/// tests may take any clock. Never in a build that is given to people.
fn is_clock_moved() -> bool {
    cfg!(debug_assertions) && std::env::var("SEQVAULT_TEST_CLOCK").is_ok_and(|offset| offset != "0")
}

/// Whether somebody else makes the connections.
fn has_proxy() -> bool {
    PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

/// The digest of what is sent, if there is a body.
pub(super) async fn digest_of(ask: &Ask) -> Option<String> {
    let body = ask.body.clone()?;
    if body.len() > HASHED_ASIDE {
        let aside = body.clone();
        if let Ok(digest) = spawn_blocking(move || signature::content_digest(&aside)).await {
            return Some(digest);
        }
    }
    Some(signature::content_digest(&body))
}
