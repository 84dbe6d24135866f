//! One folder of a bucket, reached over one endpoint or over several: requests go to the first that connects.
//!
//! What an endpoint answers is final here; errors of the server are repeated below, by `object_store`. Only where nothing answers another
//! endpoint is tried, and all of them again for a while if the store was there before.

use core::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::answer::Answer;
use crate::store::pause::Pause;

/// How long a store that was there may be away: longer than a restart.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long the preferred endpoint is left alone after it did not answer.
const GRUDGE: Duration = Duration::from_secs(30);

/// One way to the folder.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    s3: AmazonS3,
    folder: PrefixStore<AmazonS3>,
}

/// All ways to one folder. Clones share what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    ways: Arc<[Way]>,
    prefix: Key,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The way that connected last.
    current: usize,
    /// When the first way stopped to be the current one.
    left: Option<Instant>,
    /// Whether anything ever answered: a mistyped address never does.
    answered: bool,
}

impl Ways {
    pub(crate) fn new(stores: Vec<AmazonS3>, prefix: &str) -> Self {
        let prefix = Key::from(prefix);
        let way = |s3: AmazonS3| Way { folder: PrefixStore::new(s3.clone(), prefix.clone()), s3 };
        Self { ways: stores.into_iter().map(way).collect(), prefix: prefix.clone(), known: Arc::default() }
    }

    /// Each way alone.
    pub(crate) fn each(&self) -> Vec<Self> {
        let alone =
            |way: &Way| Self { ways: Arc::new([way.clone()]), prefix: self.prefix.clone(), known: Arc::default() };
        self.ways.iter().map(alone).collect()
    }

    /// The way that requests take now, and the whole name of a key in the bucket.
    pub(crate) fn signer(&self, key: &Key) -> Option<(AmazonS3, Key)> {
        let way = self.ways.get(self.current()).or_else(|| self.ways.first())?;
        Some((way.s3.clone(), self.prefix.parts().chain(key.parts()).collect()))
    }

    fn current(&self) -> usize {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.left.is_some_and(|left| left.elapsed() > GRUDGE) {
            (known.current, known.left) = (0, None);
        }
        known.current
    }

    /// Notes that a way did not connect; the next one takes over if nobody else saw to that.
    fn failed(&self, way: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.current == way {
            known.current = (way + 1) % self.ways.len().max(1);
            known.left = Some(Instant::now());
        }
    }

    fn answered(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).answered = true;
    }

    fn was_there(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).answered
    }

    /// Asks over one way after the other until something answers.
    async fn ask<T, F>(&self, request: impl Fn(PrefixStore<AmazonS3>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let begun = Instant::now();
        let mut pause = Pause::default();
        loop {
            let mut last = None;
            for _ in 0..self.ways.len() {
                let number = self.current();
                let Some(way) = self.ways.get(number) else { break };
                match request(way.folder.clone()).await {
                    Err(error) if is_unreachable(&error) => {
                        self.failed(number);
                        last = Some(error);
                    }
                    other => {
                        self.answered();
                        return other;
                    }
                }
            }
            match last {
                Some(_) if self.was_there() && begun.elapsed() < PATIENCE => pause.wait().await,
                Some(error) => return Err(error),
                None => return Err(object_store::Error::Generic { store: "S3", source: "no endpoint".into() }),
            }
        }
    }

    /// A listing, whole: one that breaks off in the middle is begun again.
    fn listing<F>(
        &self,
        list: impl Fn(PrefixStore<AmazonS3>) -> F + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>>
    where
        F: Future<Output = Result<Vec<ObjectMeta>>> + Send + 'static,
    {
        let this = self.clone();
        stream::once(async move { this.ask(list).await })
            .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}

fn is_unreachable(error: &object_store::Error) -> bool {
    matches!(Answer::of(error), Some(Answer::Unreachable { .. }))
}

impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 over {} endpoints", self.ways.len())
    }
}

#[async_trait::async_trait]
impl ObjectStore for Ways {
    async fn put_opts(&self, key: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask(async |way| way.put_opts(key, payload.clone(), options.clone()).await).await
    }

    async fn put_multipart_opts(&self, key: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.ask(async |way| way.put_multipart_opts(key, options.clone()).await).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.ask(async |way| way.get_opts(key, options.clone()).await).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        let this = self.clone();
        // Deleting twice is deleting once, so a batch may be repeated.
        keys.try_chunks(1000)
            .map_err(|e| e.1)
            .and_then(move |batch| {
                let this = this.clone();
                async move {
                    let delete = async |way: PrefixStore<AmazonS3>| {
                        let keys = stream::iter(batch.clone().into_iter().map(Ok)).boxed();
                        way.delete_stream(keys).try_collect::<Vec<Key>>().await
                    };
                    Ok(stream::iter(this.ask(delete).await?.into_iter().map(Ok)))
                }
            })
            .try_flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listing(move |way| {
            let found = way.list(prefix.as_ref());
            async move { found.try_collect().await }
        })
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.listing(move |way| {
            let found = way.list_with_offset(prefix.as_ref(), &offset);
            async move { found.try_collect().await }
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.ask(async |way| way.list_with_delimiter(prefix).await).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.ask(async |way| way.copy_opts(from, to, options.clone()).await).await
    }
}
