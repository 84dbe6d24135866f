//! Requests to a bucket on the wire: what ends one that stalls, and what an answer that is no success means.
//!
//! `object_store` signs and repeats; it sees of an answer that something is forbidden, or went wrong. What a person can do about it
//! stands in the body, which is read here. An [`Answer`] travels inside of its errors, and [`Answer::of`] finds it again.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use tokio::time::{Instant, Sleep};

/// How long nothing may move: then the request ends, and is made again where that is safe.
const STALL: Duration = Duration::from_secs(30);

/// A body of a request may take as long as this many bytes a second need, besides [`STALL`]: slower lines can't carry a vault.
const SLOWEST: u64 = 32 * 1024;

/// Longest body of an error that is read.
const MAX_ERROR: usize = 64 * 1024;

/// How to get something back from cold storage.
pub(crate) const ARCHIVED: &str = "restore it (`aws s3api restore-object`, or the bucket's console), wait until that is done, which can take hours, then run the same command again";

/// What a store said when it did not do what was asked, as far as somebody can act on it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing answers at the endpoint.
    #[error("nothing answers at {endpoint}: {why}")]
    Unreachable {
        /// Scheme, host and port.
        endpoint: String,
        /// What the system said.
        why: String,
    },
    /// TLS failed.
    #[error("{endpoint} is not trusted: {why}")]
    Untrusted {
        /// Scheme, host and port.
        endpoint: String,
        /// What is wrong with the certificate, or the handshake.
        why: String,
    },
    /// What answers is no S3.
    #[error("{endpoint} does not speak S3: it answers {status} with a page of its own")]
    NotS3 {
        /// Scheme, host and port.
        endpoint: String,
        /// The status.
        status: u16,
    },
    /// An answer of the store with its code.
    #[error("{endpoint} answers {status} {code}: {message}")]
    Refused {
        /// Scheme, host and port.
        endpoint: String,
        /// The status.
        status: u16,
        /// S3's word for it.
        code: String,
        /// S3's sentence.
        message: String,
        /// The bucket's region, where the store says it.
        region: Option<String>,
    },
    /// The answer stopped coming.
    #[error("{endpoint} stopped answering")]
    Stalled {
        /// Scheme, host and port.
        endpoint: String,
    },
    /// The connection broke off.
    #[error("the connection to {endpoint} broke off: {why}")]
    Broken {
        /// Scheme, host and port.
        endpoint: String,
        /// What the system said.
        why: String,
    },
    /// There are no credentials.
    #[error("{0}")]
    NoCredentials(String),
}

impl Answer {
    /// Its kind in one word, for numbers.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } => "untrusted",
            Self::NotS3 { .. } => "not-s3",
            Self::Refused { status: 429 | 503, .. } => "slow-down",
            Self::Refused { status: 401 | 403, .. } => "denied",
            Self::Refused { status: 500.., .. } => "failed",
            Self::Refused { .. } => "refused",
            Self::Stalled { .. } => "stalled",
            Self::Broken { .. } => "broken",
            Self::NoCredentials(_) => "credentials",
        }
    }

    /// The answer in a chain of errors, if there is one.
    #[must_use]
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(answer) = error.downcast_ref::<Self>() {
                return Some(answer);
            }
            next = error.source();
        }
        None
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Broken { .. } => true,
            Self::Refused { status, code, .. } => is_transient(*status, code),
            Self::Untrusted { .. } | Self::NotS3 { .. } | Self::NoCredentials(_) => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { .. } => {
                "check the endpoint's name and port, and that the store runs; then run the same command again"
            }
            Self::Stalled { .. } | Self::Broken { .. } => {
                "check the network and the store, then run the same command again"
            }
            Self::Untrusted { .. } => {
                "check the endpoint's name; if the store has a certificate of its own authority, AWS_CA_BUNDLE names the file with it"
            }
            Self::NotS3 { .. } => {
                "check the endpoint: its port may belong to a web page or a proxy, and not to the S3 gateway"
            }
            Self::NoCredentials(_) => "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Self::Refused { status, code, region, .. } => return refused_hint(*status, code, region.as_deref()),
        };
        Some(hint.to_owned())
    }

    /// Reads what an answer says that is no success. `content` is its type.
    pub(crate) fn read(
        endpoint: &str,
        status: StatusCode,
        content: Option<&str>,
        region: Option<&str>,
        body: &[u8],
    ) -> Self {
        let text = String::from_utf8_lossy(body);
        let endpoint = endpoint.to_owned();
        let status = status.as_u16();
        let is_page = content.is_some_and(|t| t.starts_with("text/html")) || text.trim_start().starts_with("<!");
        match element(&text, "Code") {
            Some(code) => Self::Refused {
                endpoint,
                status,
                code,
                message: element(&text, "Message").unwrap_or_default(),
                region: element(&text, "Region").or_else(|| region.map(str::to_owned)),
            },
            None if is_page && status < 500 => Self::NotS3 { endpoint, status },
            None => Self::Refused {
                endpoint,
                status,
                code: word(status).to_owned(),
                message: text.chars().take(200).collect(),
                region: region.map(str::to_owned),
            },
        }
    }
}

fn refused_hint(status: u16, code: &str, region: Option<&str>) -> Option<String> {
    let hint = match code {
        "InvalidAccessKeyId" => {
            "the store does not know this access key: check AWS_ACCESS_KEY_ID, or the profile, and that the endpoint is the right one"
        }
        "SignatureDoesNotMatch" => {
            "the secret does not belong to the access key: check AWS_SECRET_ACCESS_KEY or the profile"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" => {
            "the credentials have ended: get new ones (a new login or session), then run the same command again"
        }
        "RequestTimeTooSkewed" => "this machine's clock and the store's differ by minutes: set this one by NTP",
        "NoSuchBucket" => "check the bucket's name and the endpoint; seqvault makes no buckets",
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException"
        | "TemporaryRedirect" => {
            return Some(match region {
                Some(region) => {
                    format!("the bucket is in region {region}: add region={region} to the address, or set AWS_REGION")
                }
                None => "the bucket is in another region: add region=NAME to the address, or set AWS_REGION".to_owned(),
            });
        }
        "InvalidObjectState" => ARCHIVED,
        "AccessDenied" | "AllAccessDisabled" => {
            "these credentials may not do that: check the bucket's policy, which docs/operations.md shows"
        }
        _ if is_full(status, code) => {
            "make room in the store, or raise its quota, then run the same command again: it goes on where it stopped"
        }
        _ if is_transient(status, code) => "the store is overloaded or restarting: run the same command again",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Whether nothing more can be stored.
pub(crate) fn is_full(status: u16, code: &str) -> bool {
    status == 507
        || matches!(code, "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "EntityTooManyBytes")
}

/// 507 and its like are not: a full store stays full.
fn is_transient(status: u16, code: &str) -> bool {
    let passing = matches!(code, "SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "Throttling");
    passing || matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// S3's code where there is no body that says it, as after HEAD.
const fn word(status: u16) -> &'static str {
    match status {
        301 | 307 | 308 => "PermanentRedirect",
        400 => "BadRequest",
        401 | 403 => "AccessDenied",
        503 => "ServiceUnavailable",
        507 => "InsufficientStorage",
        _ => "Error",
    }
}

/// The text of the first element of a name: errors of S3 have no attributes and nothing nested that matters.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once("</")?;
    let plain = inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    Some(plain.chars().filter(|c| !c.is_control()).take(300).collect())
}

/// Makes clients that read answers.
#[derive(Debug)]
pub(crate) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Reader { inner: ReqwestConnector::default().connect(options)? }))
    }
}

#[derive(Debug)]
struct Reader {
    inner: HttpClient,
}

#[async_trait::async_trait]
impl HttpService for Reader {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let endpoint = endpoint_of(request.uri());
        let length = u64::try_from(request.body().content_length()).unwrap_or(u64::MAX);
        let response = match tokio::time::timeout(patience(length), self.inner.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(broken(&endpoint, &error)),
            Err(_) => return Err(HttpError::new(HttpErrorKind::Timeout, Answer::Stalled { endpoint })),
        };
        let (parts, body) = response.into_parts();
        let patient = HttpResponseBody::new(Patient::new(body, endpoint.clone()));
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        // No object of a vault and no answer of S3 is a page.
        let is_page = header("content-type").is_some_and(|t| t.starts_with("text/html"));
        if means_something_to_the_caller(parts.status) && !is_page {
            return Ok(HttpResponse::from_parts(parts, patient));
        }
        let body = patient.bytes().await.unwrap_or_default();
        let shown = body.get(..body.len().min(MAX_ERROR)).unwrap_or_default();
        let content = header("content-type");
        let answer = Answer::read(&endpoint, parts.status, content, header("x-amz-bucket-region"), shown);
        // A missing object is an answer as any other, a missing bucket is not.
        let missing = parts.status == StatusCode::NOT_FOUND;
        if missing && !matches!(&answer, Answer::NotS3 { .. }) && !is_code(&answer, "NoSuchBucket") {
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        // "Request" is what is repeated whatever the method.
        let kind = if answer.is_transient() { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        Err(HttpError::new(kind, answer))
    }
}

fn is_code(answer: &Answer, wanted: &str) -> bool {
    matches!(answer, Answer::Refused { code, .. } if code == wanted)
}

fn means_something_to_the_caller(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::CONFLICT
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

pub(crate) fn patience(length: u64) -> Duration {
    STALL + Duration::from_secs(length / SLOWEST)
}

fn endpoint_of(uri: &http::Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// What a request that got no answer says.
fn broken(endpoint: &str, error: &HttpError) -> HttpError {
    let endpoint = endpoint.to_owned();
    let why = deepest(error);
    match error.kind() {
        HttpErrorKind::Connect if is_tls(error) => {
            HttpError::new(HttpErrorKind::Unknown, Answer::Untrusted { endpoint, why })
        }
        // Not repeated at once: another endpoint may answer.
        HttpErrorKind::Connect => HttpError::new(HttpErrorKind::Unknown, Answer::Unreachable { endpoint, why }),
        HttpErrorKind::Timeout => HttpError::new(HttpErrorKind::Timeout, Answer::Stalled { endpoint }),
        kind => HttpError::new(kind, Answer::Broken { endpoint, why }),
    }
}

pub(crate) fn is_tls(error: &(dyn Error + 'static)) -> bool {
    if error.downcast_ref::<rustls::Error>().is_some() {
        return true;
    }
    // What is inside of an `io::Error` is not its source.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

/// The last error of a chain, which is the system's.
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// A body that ends with an error when nothing comes any more.
struct Patient {
    inner: HttpResponseBody,
    endpoint: String,
    end: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(inner: HttpResponseBody, endpoint: String) -> Self {
        Self { inner, endpoint, end: Box::pin(tokio::time::sleep(STALL)) }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.end.as_mut().reset(Instant::now() + STALL);
                Poll::Ready(frame.map(|f| f.map_err(|e| broken(&this.endpoint, &e))))
            }
            Poll::Pending => match this.end.as_mut().poll(cx) {
                Poll::Ready(()) => {
                    let answer = Answer::Stalled { endpoint: this.endpoint.clone() };
                    Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, answer))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
