//! What a store is asked and how that goes, in numbers for whoever watches a server. No object's name is in them.
//!
//! Tries of this crate are seen one by one; those that the client of a bucket makes by itself within one of them are not.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::s3::Answer;

/// Seconds, from a disk that answers from memory to a bucket that hangs.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Requests as they are counted, copies aside, of which none is made.
const REQUESTS: [&str; 5] = ["put", "get", "head", "delete", "list"];

/// Why a request can fail: the kinds of [`Answer`], and anything else.
const FAILURES: [&str; 11] = [
    "unreachable",
    "untrusted",
    "not-s3",
    "slow-down",
    "denied",
    "failed",
    "refused",
    "stalled",
    "broken",
    "credentials",
    "other",
];

/// What is tried again, and why.
const AGAIN: [(&str, &str); 3] = [("put", "failed"), ("put", "overlap"), ("get", "failed")];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    request: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Why {
    request: &'static str,
    why: &'static str,
}

/// The numbers of a store; clones share them.
#[derive(Debug, Clone)]
pub struct Seen {
    took: Family<Request, Histogram>,
    failed: Family<Why, Counter>,
    again: Family<Why, Counter>,
}

impl Default for Seen {
    fn default() -> Self {
        let seen = Self {
            took: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            failed: Family::default(),
            again: Family::default(),
        };
        // Whoever watches a rate sees the first one only if there was a number before it.
        for (request, why) in REQUESTS.into_iter().flat_map(|request| FAILURES.map(|why| (request, why))) {
            let _ = seen.failed.get_or_create(&Why { request, why });
        }
        for (request, why) in AGAIN {
            let _ = seen.again.get_or_create(&Why { request, why });
        }
        seen
    }
}

impl Seen {
    /// Shows them to a scraper.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store_request_duration",
            "From a request to the store to its answer, of a read to its first bytes, of a listing to its end",
            Unit::Seconds,
            self.took.clone(),
        );
        registry.register("store_failures", "Requests that the store did not answer as it should", self.failed.clone());
        registry.register("store_retries", "Requests to the store that were made again", self.again.clone());
    }

    /// Counts a request that is made again.
    pub(super) fn again(&self, request: &'static str, why: &'static str) {
        self.again.get_or_create(&Why { request, why }).inc();
    }

    /// Begins a request.
    pub(super) fn ask(&self, request: &'static str) -> Asked {
        Asked { seen: self.clone(), request, began: Instant::now() }
    }
}

/// A request that is on its way.
#[derive(Debug)]
pub(super) struct Asked {
    seen: Seen,
    request: &'static str,
    began: Instant,
}

impl Asked {
    /// Counts it by its outcome, which is passed on.
    pub(super) fn told<T>(&self, outcome: Result<T>) -> Result<T> {
        self.ended(outcome.as_ref().err().and_then(kind_of));
        outcome
    }

    /// Counts it as answered, or as failed of some kind.
    pub(super) fn ended(&self, failed: Option<&'static str>) {
        let request = self.request;
        self.seen.took.get_or_create(&Request { request }).observe(self.began.elapsed().as_secs_f64());
        if let Some(why) = failed {
            self.seen.failed.get_or_create(&Why { request, why }).inc();
        }
    }
}

/// The kind of a failure; none for what is an answer like others.
fn kind_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::NotFound { .. }
        | Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. } => return None,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => return Some("denied"),
        _ => {}
    }
    Some(Answer::of(error).map_or("other", Answer::kind))
}

/// A store that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn ObjectStore>,
    seen: Seen,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, seen: &Seen) -> Arc<Self> {
        Arc::new(Self { inner, seen: seen.clone() })
    }

    /// A stream whose end is the request's, or its first failure.
    fn until_the_end<T: Send + 'static>(
        &self,
        request: &'static str,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let asked = self.seen.ask(request);
        let began = (stream, asked, false);
        futures_util::stream::unfold(began, async |(mut stream, asked, failed)| match stream.next().await {
            Some(Err(error)) => {
                if !failed {
                    asked.ended(kind_of(&error));
                }
                Some((Err(error), (stream, asked, true)))
            }
            Some(found) => Some((found, (stream, asked, failed))),
            None => {
                if !failed {
                    asked.ended(None);
                }
                None
            }
        })
        .boxed()
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let asked = self.seen.ask("put");
        asked.told(self.inner.put_opts(at, payload, options).await)
    }

    async fn put_multipart_opts(&self, at: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> Result<GetResult> {
        let asked = self.seen.ask(if options.head { "head" } else { "get" });
        asked.told(self.inner.get_opts(at, options).await)
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        self.until_the_end("delete", self.inner.delete_stream(keys))
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.until_the_end("list", self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        self.until_the_end("list", self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        let asked = self.seen.ask("list");
        asked.told(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        let asked = self.seen.ask("copy");
        asked.told(self.inner.copy_opts(from, to, options).await)
    }
}
