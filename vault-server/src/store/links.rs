//! Objects as streams, and links that let others move them straight to or from a bucket.
//!
//! What goes through here is not held in memory. A link carries the right to one request for one name and
//! says nothing of whoever made it; a PUT link signs `If-None-Match: *`, so it never overwrites.

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::stream::{BoxStream, StreamExt};
use http::{HeaderValue, Method, StatusCode, header};
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{GetOptions, GetRange, ObjectStore};
use vault_core::hazmat::kdf::Sha256;
use vault_core::layout::ObjectName;

use super::s3::{Answer, Bucket, deepest, is_tls, patience};
use super::{Creation, Place, Store, StoreError, key_of};

/// How long a link of our own lives, which a stream goes through: it has to begin by then, not to end.
const OWN_LINK: Duration = Duration::from_secs(300);

/// Longest answer to an upload that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// An object's bytes as they come.
pub struct ObjectStream {
    /// The size of the whole object.
    pub size: u64,
    /// Which of its bytes come.
    pub range: Range<u64>,
    /// The bytes.
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl core::fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ObjectStream").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// One request that somebody without credentials may make.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The method.
    pub method: &'static str,
    /// Where to; the signature is in it.
    pub url: String,
    /// Headers that are signed, and so have to be sent as they stand here.
    pub headers: Vec<(String, String)>,
}

/// Without the signature: whoever reads a log could use it.
impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let shown = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("Link").field("method", &self.method).field("url", &shown).finish_non_exhaustive()
    }
}

impl Store {
    /// Reads an object, or a range of it, as a stream. A range that ends behind the object is an error.
    ///
    /// # Errors
    /// If the object does not exist or ends before the range does, or the store fails.
    pub async fn stream(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<ObjectStream, StoreError> {
        let key = key_of(name);
        self.stream_key(&key, range).await
    }

    pub(super) async fn stream_key(&self, key: &Key, range: Option<Range<u64>>) -> Result<ObjectStream, StoreError> {
        let wanted = range.clone().filter(|range| !range.is_empty()).map(GetRange::Bounded);
        let options = GetOptions { range: wanted, ..GetOptions::default() };
        let found = match self.objects.get_opts(key, options).await {
            Ok(found) => found,
            // Perhaps the range begins behind the object, which no error says.
            Err(e) => return Err(self.range_fault(key, range, e).await),
        };
        let (size, given) = (found.meta.size, found.range.clone());
        let path = self.path(key);
        match range {
            Some(range) if size < range.end => Err(StoreError::TooShort { path, size, end: range.end }),
            Some(range) if range.is_empty() => {
                Ok(ObjectStream { size, range, bytes: futures_util::stream::empty().boxed() })
            }
            _ => {
                let fault = move |e| StoreError::from_backend(path.clone(), e);
                Ok(ObjectStream { size, range: given, bytes: found.into_stream().map_err(fault).boxed() })
            }
        }
    }

    /// Whether a long object can be written as it comes, by [`Self::create_streamed`].
    #[must_use]
    pub fn streams(&self) -> bool {
        matches!(&self.place, Place::S3(_) | Place::Folder(_))
    }

    /// Whether links can be made.
    #[must_use]
    pub fn links(&self) -> bool {
        matches!(&self.place, Place::S3(_))
    }

    /// A link to read an object. That it exists is not looked at.
    ///
    /// # Errors
    /// If the store can't make links, or has no credentials any more.
    pub async fn link_get(&self, name: &ObjectName, ttl: Duration) -> Result<Link, StoreError> {
        self.link(&key_of(name), Method::GET, &SignedUrlOptions::new(), ttl).await
    }

    /// A link to write an object, if there is none of that name. Its length is not signed, for the signer has no way to; what has another one
    /// than its list says is found when it is committed.
    ///
    /// # Errors
    /// As [`Self::link_get`].
    pub async fn link_put(&self, name: &ObjectName, ttl: Duration) -> Result<Link, StoreError> {
        self.link(&key_of(name), Method::PUT, &if_none(), ttl).await
    }

    /// Writes an object of a known length and SHA-256 from a stream, if there is none of that name. No more than a few chunks are in memory, in a
    /// folder and in a bucket.
    ///
    /// # Errors
    /// If the body fails or has another length or digest, or the store fails; then there is no object, or one that is whole.
    pub async fn create_streamed(
        &self,
        name: &ObjectName,
        length: u64,
        digest: [u8; 32],
        body: BoxStream<'static, Result<Bytes, io::Error>>,
    ) -> Result<Creation, StoreError> {
        let promised = Promised { length, digest };
        match &self.place {
            Place::S3(bucket) => self.upload(bucket, &key_of(name), promised, body).await,
            Place::Folder(folder) => self.keep(folder, &key_of(name), promised, body).await,
            Place::Other(_) => {
                let bytes = self.whole(&key_of(name), promised, body).await?;
                self.create(name, bytes).await
            }
        }
    }

    async fn link(
        &self,
        key: &Key,
        method: Method,
        options: &SignedUrlOptions,
        ttl: Duration,
    ) -> Result<Link, StoreError> {
        let Place::S3(bucket) = &self.place else { return Err(StoreError::NoLinks { location: self.location() }) };
        let (s3, full) =
            bucket.ways_of(key).signer(key).ok_or_else(|| StoreError::NoLinks { location: self.location() })?;
        let url = match s3.signed_url_opts(method.clone(), &full, ttl, options).await {
            Ok(url) => url,
            Err(e) => return Err(StoreError::from_backend(self.path(key), e)),
        };
        let shown = |(name, value): (&http::HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
        };
        let method = if method == Method::PUT { "PUT" } else { "GET" };
        Ok(Link { method, url: url.into(), headers: options.signed_headers.iter().map(shown).collect() })
    }

    /// A body that is exactly what was promised.
    async fn whole(
        &self,
        key: &Key,
        promised: Promised,
        body: BoxStream<'static, Result<Bytes, io::Error>>,
    ) -> Result<Bytes, StoreError> {
        let (read, mut chunks) = relayed(self.path(key), body, promised);
        let gathered = async {
            let mut bytes = BytesMut::new();
            // It ends early where the body is not what was promised, which `read` says.
            while let Some(Ok(chunk)) = chunks.next().await {
                bytes.extend_from_slice(&chunk);
            }
            bytes.freeze()
        };
        let (read, bytes) = futures_util::join!(read, gathered);
        read.map(|()| bytes)
    }

    /// Sends a body through a link of our own.
    async fn upload(
        &self,
        bucket: &Bucket,
        key: &Key,
        promised: Promised,
        body: BoxStream<'static, Result<Bytes, io::Error>>,
    ) -> Result<Creation, StoreError> {
        let link = self.link(key, Method::PUT, &if_none(), OWN_LINK).await?;
        let (read, sent) = relayed(self.path(key), body, promised);
        let mut request = bucket.plain.put(&link.url).timeout(patience(promised.length));
        for (name, value) in &link.headers {
            request = request.header(name, value);
        }
        let request = request.header(header::CONTENT_LENGTH, promised.length).body(reqwest::Body::wrap_stream(sent));
        let asked = self.seen.ask("put");
        let (read, answer) = futures_util::join!(read, request.send());
        asked.ended(failure_of(&answer));
        // A body that failed is the caller's failure, whatever the store made of it.
        read?;
        match self.judge(key, &link, answer).await {
            Ok(Uploaded::New) => Ok(Creation::Created),
            // It was there, and is not: another upload of it was under way, and came to nothing.
            Ok(Uploaded::There) => {
                self.compare(key, promised).await?.ok_or_else(|| StoreError::Unsteady { path: self.path(key) })
            }
            // The acknowledgement may be lost, and the object there.
            Err(e) if e.is_transient() => match self.compare(key, promised).await {
                Ok(Some(found)) => Ok(found),
                _ => Err(e),
            },
            Err(e) => Err(e),
        }
    }

    async fn judge(
        &self,
        key: &Key,
        link: &Link,
        answer: Result<reqwest::Response, reqwest::Error>,
    ) -> Result<Uploaded, StoreError> {
        let endpoint = link.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let path = self.path(key);
        let response = match answer {
            Ok(response) => response,
            Err(e) => return Err(StoreError::from_answer(path, broken(endpoint, &e))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Uploaded::New);
        }
        if matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT) {
            return Ok(Uploaded::There);
        }
        let content = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.unwrap_or_default();
        let shown = body.get(..body.len().min(MAX_ANSWER)).unwrap_or_default();
        Err(StoreError::from_answer(path, Answer::read(&endpoint, status, content.as_deref(), None, shown)))
    }

    /// Whether the object is what was promised; `None` if there is none.
    pub(super) async fn compare(&self, key: &Key, promised: Promised) -> Result<Option<Creation>, StoreError> {
        let mut found = match self.stream_key(key, None).await {
            Ok(found) => found,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        if found.size != promised.length {
            return Ok(Some(Creation::Conflict));
        }
        let mut hash = Sha256::new();
        while let Some(chunk) = found.bytes.next().await {
            hash.update(&chunk?);
        }
        Ok(Some(if hash.finish() == promised.digest { Creation::AlreadySame } else { Creation::Conflict }))
    }

    async fn range_fault(&self, key: &Key, range: Option<Range<u64>>, error: object_store::Error) -> StoreError {
        let fault = self.fault(key, error).await;
        match (range, self.size_of(key).await) {
            (Some(range), Ok(Some(size))) if size < range.end && !fault.is_not_found() => {
                StoreError::TooShort { path: self.path(key), size, end: range.end }
            }
            _ => fault,
        }
    }
}

/// What an upload came to.
enum Uploaded {
    New,
    There,
}

/// What a body has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promised {
    pub(super) length: u64,
    pub(super) digest: [u8; 32],
}

/// Hands a body on, and says at its end whether it was what was promised. It is read to its end even if nobody takes it any more: only then is
/// it known. The last chunk is held back until length and digest are known to be right, so that no store takes for whole what is not.
pub(super) fn relayed(
    path: String,
    mut body: BoxStream<'static, Result<Bytes, io::Error>>,
    promised: Promised,
) -> (impl Future<Output = Result<(), StoreError>>, BoxStream<'static, Result<Bytes, io::Error>>) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, io::Error>>(2);
    let reading = async move {
        let (mut length, mut hash, mut held) = (0_u64, Sha256::new(), Bytes::new());
        let broken = || io::Error::other("the body broke off, or is another one");
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(source) => {
                    let _ = sender.send(Err(broken())).await;
                    return Err(StoreError::Body { path, source });
                }
            };
            length = length.saturating_add(chunk.len() as u64);
            if length > promised.length {
                break;
            }
            hash.update(&chunk);
            if !chunk.is_empty() {
                let _ = sender.send(Ok(std::mem::replace(&mut held, chunk))).await;
            }
        }
        let fits = if length != promised.length {
            Err(StoreError::BodyLength { path, length: promised.length })
        } else if hash.finish() != promised.digest {
            Err(StoreError::BodyDigest { path })
        } else {
            Ok(())
        };
        let last = if fits.is_ok() { Ok(held) } else { Err(broken()) };
        let _ = sender.send(last).await;
        fits
    };
    let taken = futures_util::stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    (reading, taken.boxed())
}

fn if_none() -> SignedUrlOptions {
    SignedUrlOptions::new().with_signed_header(header::IF_NONE_MATCH, HeaderValue::from_static("*"))
}

/// The kind of failure that an answer is, for numbers.
fn failure_of(answer: &Result<reqwest::Response, reqwest::Error>) -> Option<&'static str> {
    match answer {
        Err(error) => Some(broken(String::new(), error).kind()),
        Ok(response) => match response.status() {
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => None,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some("slow-down"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some("denied"),
            status if status.is_server_error() => Some("failed"),
            status if status.is_success() => None,
            _ => Some("refused"),
        },
    }
}

fn broken(endpoint: String, error: &reqwest::Error) -> Answer {
    let why = deepest(error);
    if is_tls(error) {
        Answer::Untrusted { endpoint, why }
    } else if error.is_connect() {
        Answer::Unreachable { endpoint, why }
    } else if error.is_timeout() {
        Answer::Stalled { endpoint }
    } else {
        Answer::Broken { endpoint, why }
    }
}
