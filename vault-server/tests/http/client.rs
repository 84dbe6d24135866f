//! A server without a socket, and somebody who asks it.

#![allow(unreachable_pub, dead_code, reason = "a helper of several test files")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::VaultId;
use vault_server::http::{Service, Settings, router};
use vault_server::wire::problem::{Problem, Type};
use vault_server::wire::signature::{Covered, Stamp, content_digest, sign};

use crate::common::{Person, World};

/// The host that requests go to.
pub const HOST: &str = "vault.example";

static NONCES: AtomicU64 = AtomicU64::new(0);

/// A request before it is signed; each part can be changed after.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    pub host: String,
    pub vault: VaultId,
    pub body: Option<Bytes>,
    pub created: u64,
    pub nonce: [u8; 16],
    pub range: Option<&'static str>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A nonce that no other test uses.
pub fn fresh_nonce() -> [u8; 16] {
    let n = NONCES.fetch_add(1, Ordering::Relaxed);
    sha256(&n.to_be_bytes())[..16].try_into().unwrap()
}

impl Asked {
    pub fn new(world: &World, method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            host: HOST.to_owned(),
            vault: world.id(),
            body: None,
            created: now(),
            nonce: fresh_nonce(),
            range: None,
        }
    }

    pub fn with(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Signs it as a person, with its card.
    pub fn by(&self, who: &Person) -> Request<Body> {
        let digest = self.body.as_ref().map(|body| content_digest(body));
        let (path, query) = self.target.split_once('?').map_or((self.target.as_str(), None), |(p, q)| (p, Some(q)));
        let vault = self.vault.to_string();
        let covered = Covered {
            method: self.method,
            authority: &self.host,
            path,
            query,
            vault: &vault,
            digest: digest.as_deref(),
        };
        let stamp = Stamp { created: self.created, nonce: self.nonce, card: who.card() };
        let headers = sign(&covered, &stamp, |base| Ok::<_, std::convert::Infallible>(who.sign(base))).unwrap();
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.target)
            .header("host", &self.host)
            .header("seqvault-vault", vault)
            .header("signature-input", headers.input)
            .header("signature", headers.signature);
        if let Some(digest) = digest {
            request = request.header("content-digest", digest);
        }
        if let Some(range) = self.range {
            request = request.header("range", range);
        }
        if let Some(body) = &self.body {
            request = request.header("content-length", body.len());
        }
        request.body(self.body.clone().map_or_else(Body::empty, Body::from)).unwrap()
    }
}

impl Answer {
    /// The problem that the answer is.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.request, self.headers["seqvault-request-id"].to_str().unwrap());
        assert_eq!(problem.of().unwrap().status(), problem.status);
        problem
    }

    /// The problem, which is of this type.
    #[track_caller]
    pub fn is(&self, of: Type) -> Problem {
        assert!(!self.status.is_success(), "{self:?}");
        let problem = self.problem();
        assert_eq!(problem.of(), Some(of), "{problem:?}");
        problem
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", String::from_utf8_lossy(&self.body));
        self
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A world and its server.
pub struct Served {
    _dir: Option<TempDir>,
    pub world: World,
    pub service: Service,
    pub router: Router,
}

impl Served {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let (dir, world) = World::in_folder().await;
        Self::over(Some(dir), world, settings).await
    }

    /// A server for a world in any store.
    pub async fn over(dir: Option<TempDir>, world: World, settings: Settings) -> Self {
        // A vault of its own, as another process has: it shares the store and no cache.
        let service = Service::new(world.reopen().await, settings);
        let router = router(service.clone());
        Self { _dir: dir, world, service, router }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        whole(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub async fn get(&self, who: &Person, target: impl Into<String>) -> Answer {
        self.send(Asked::new(&self.world, "GET", target).by(who)).await
    }

    pub async fn put(&self, who: &Person, target: impl Into<String>, body: impl Into<Bytes>) -> Answer {
        self.send(Asked::new(&self.world, "PUT", target).with(body).by(who)).await
    }

    pub async fn post(&self, who: &Person, target: impl Into<String>, body: impl Into<Bytes>) -> Answer {
        self.send(Asked::new(&self.world, "POST", target).with(body).by(who)).await
    }

    pub async fn delete(&self, who: &Person, target: impl Into<String>) -> Answer {
        self.send(Asked::new(&self.world, "DELETE", target).by(who)).await
    }
}

pub async fn whole(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert!(parts.headers.contains_key("seqvault-request-id"), "every answer has an id");
    Answer { status: parts.status, headers: parts.headers, body }
}
