//! HTTP itself: connections, certificates, bodies that move or do not. Knows nothing of vaults.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Body, Certificate, Client, ClientBuilder, RequestBuilder, Response, redirect};
use tokio::time::timeout;
use vault_server::store::spare;

use super::place::Place;
use super::reach::Judge;
use super::trouble::{RemoteError, sort};
use crate::clock;
use crate::error::{Failure, Outcome};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection of HTTP/2 may be silent before it is asked whether it lives, and then.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Bodies above this are sent in pieces, so that progress shows.
const WHOLE: usize = 256 << 10;

/// Why nothing came back.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection.
    Transport(reqwest::Error),
    /// Nothing moved for so long.
    Stalled(Duration),
    /// More bytes came than were asked for.
    TooLong(u64),
}

impl Broken {
    /// As an error about a server.
    pub(super) fn at(self, place: &Place) -> RemoteError {
        self.of(place.as_str(), place.is_secure())
    }

    /// As an error about something that is shown by this name.
    pub(super) fn of(self, place: &str, is_secure: bool) -> RemoteError {
        match self {
            Self::Transport(error) => sort(place, is_secure, error),
            Self::Stalled(time) => RemoteError::Unreachable {
                place: place.to_owned(),
                why: format!("nothing moved for {} s", time.as_secs()),
                hint: ("check the network, or ask who runs the server", "请检查网络，或询问服务器的运营者"),
            },
            Self::TooLong(longest) => {
                RemoteError::Nonsense { place: place.to_owned(), why: format!("it is longer than {longest} bytes") }
            }
        }
    }
}

/// Whose certificates are trusted beside this machine's authorities.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust(Vec<Certificate>);

impl Trust {
    /// The authorities of the file that `SEQVAULT_CA` names.
    ///
    /// # Errors
    /// If it can't be read, or holds no certificate.
    pub(super) fn from_environment() -> Outcome<Self> {
        match std::env::var_os("SEQVAULT_CA").filter(|path| !path.is_empty()) {
            Some(path) => authorities(Path::new(&path)).map(Self),
            None => Ok(Self::default()),
        }
    }

    /// A client with these authorities, and with the proxies of the environment unless the host is this machine.
    ///
    /// # Errors
    /// If there is nobody to trust.
    pub(super) fn client(&self, place: &str, is_loopback: bool, is_secure: bool) -> Result<Client, RemoteError> {
        self.builder(is_loopback, is_secure).build().map_err(|error| sort(place, is_secure, error))
    }

    /// As [`Trust::client`], for addresses that somebody else chose.
    ///
    /// # Errors
    /// If there is nobody to trust.
    pub(super) fn judged_client(
        &self,
        place: &str,
        is_loopback: bool,
        is_secure: bool,
        judge: Judge,
    ) -> Result<Client, RemoteError> {
        let builder = self.builder(is_loopback, is_secure).dns_resolver(judge);
        builder.build().map_err(|error| sort(place, is_secure, error))
    }

    fn builder(&self, is_loopback: bool, is_secure: bool) -> ClientBuilder {
        let mut builder = Client::builder()
            .user_agent(concat!("seqvault/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .tcp_nodelay(true);
        if is_loopback {
            builder = builder.no_proxy();
        }
        // Without TLS nobody is to be trusted, and a machine without any authorities must do.
        let own = self.0.clone();
        if is_secure { builder.tls_certs_merge(own) } else { builder.tls_certs_only(own) }
    }
}

fn authorities(path: &Path) -> Outcome<Vec<Certificate>> {
    let hint = "SEQVAULT_CA names a file with the authority's certificate (PEM)";
    let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e).hint(hint))?;
    let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if found.is_empty() {
        return Err(Failure::usage(format!("{}: it holds no certificate", path.display())).hint(hint));
    }
    Ok(found)
}

/// How long an answer asks to wait, by a number of seconds or a date; more than an hour is an hour.
pub(super) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let text = said(RETRY_AFTER)?.trim();
    let wait = match text.parse().map(Duration::from_secs) {
        Ok(wait) => wait,
        Err(_) => {
            // By the clock that the date was read from, if it is said: this machine's may be another.
            let here = || UNIX_EPOCH.checked_add(Duration::from_secs(clock::now()));
            let now: SystemTime = said(DATE).and_then(date).or_else(here)?;
            date(text)?.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(Duration::from_secs(3600)))
}

/// Sends a request and waits for the head of its answer, as long as something moves.
pub(super) async fn send(request: RequestBuilder, body: Option<Bytes>, wait: Duration) -> Result<Response, Broken> {
    let Some(body) = body else { return within(wait, request.send()).await };
    let length = body.len();
    if length <= WHOLE {
        return within(wait, request.header(CONTENT_LENGTH, length).body(body).send()).await;
    }
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let pieces = (0..length).step_by(WHOLE).map(move |start| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(body.slice(start..length.min(start + WHOLE)))
    });
    let body = Body::wrap_stream(stream::iter(pieces));
    let mut sent = std::pin::pin!(request.header(CONTENT_LENGTH, length).body(body).send());
    loop {
        let before = taken.load(Ordering::Relaxed);
        match timeout(wait, &mut sent).await {
            Ok(sent) => return sent.map_err(Broken::Transport),
            Err(_) if taken.load(Ordering::Relaxed) == before => return Err(Broken::Stalled(wait)),
            Err(_) => {}
        }
    }
}

async fn within(
    wait: Duration,
    sent: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<Response, Broken> {
    timeout(wait, sent).await.map_err(|_| Broken::Stalled(wait))?.map_err(Broken::Transport)
}

/// Reads a body of at most `longest` bytes, as long as something comes.
pub(super) async fn read(mut response: Response, longest: u64, wait: Duration) -> Result<Bytes, Broken> {
    let told = response.content_length().unwrap_or_default();
    if told > longest {
        return Err(Broken::TooLong(longest));
    }
    // What is told of its length is somebody else's word: no more than a pack is made ready for it.
    let ready = usize::try_from(told.min(1 << 25)).unwrap_or_default();
    let mut bytes = spare::room(ready);
    while let Some(piece) =
        timeout(wait, response.chunk()).await.map_err(|_| Broken::Stalled(wait))?.map_err(Broken::Transport)?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > longest {
            return Err(Broken::TooLong(longest));
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    /// Sends a body to a server that takes so many bytes at a time, with a pause before each, and stops after so many.
    async fn sent(length: usize, pause: Duration, stops: usize) -> Result<u16, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut taken, mut piece) = (0, vec![0; 1 << 20]);
            while taken < length.min(stops) {
                tokio::time::sleep(pause).await;
                taken += stream.read(&mut piece).await.unwrap();
            }
            if taken >= length {
                stream.write_all(b"HTTP/1.1 201 X\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            tokio::time::sleep(WAIT * 4).await;
        });
        let http = Trust::default().client(&place, true, false).unwrap();
        let response = send(http.put(&place), Some(vec![7; length].into()), WAIT).await;
        server.abort();
        response.map(|response| response.status().as_u16())
    }

    #[tokio::test]
    async fn a_slow_body_is_waited_for_and_one_that_does_not_move_is_not() {
        // All of it takes longer than the wait, so what counts that never gets through; a machine that stands still meanwhile does once.
        let mut sents = Vec::new();
        while !matches!(sents.last(), Some(Ok(201))) {
            assert!(sents.len() < 5, "{sents:?}");
            let begun = Instant::now();
            sents.push(sent(16 << 20, Duration::from_millis(80), usize::MAX).await);
            assert!(sents.last().is_some_and(Result::is_err) || begun.elapsed() > WAIT, "{:?}", begun.elapsed());
        }
        assert!(matches!(sent(64 << 20, Duration::ZERO, 1 << 20).await, Err(Broken::Stalled(_))));
        assert!(matches!(sent(1000, Duration::ZERO, 0).await, Err(Broken::Stalled(_))));
    }

    #[test]
    fn no_wait_is_longer_than_an_hour() {
        let asked = |text: &str| asked_wait(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked(&u64::MAX.to_string()), Some(Duration::from_secs(3600)));
        assert_eq!(asked("99999999999999999999999"), None);
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn a_date_to_wait_for_is_reckoned_from_the_answers_own() {
        let asked = |date: Option<&str>, until: &str| {
            let date = date.map(|date| (DATE, date.parse().unwrap()));
            asked_wait(&HeaderMap::from_iter(date.into_iter().chain([(RETRY_AFTER, until.parse().unwrap())])))
        };
        let then = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(asked(then, "Wed, 21 Oct 2026 07:28:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(asked(then, "Wednesday, 21-Oct-26 07:28:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(asked(then, "Thu, 22 Oct 2026 07:28:00 GMT"), Some(Duration::from_secs(3600)));
        // It is over already.
        assert_eq!(asked(then, "Wed, 21 Oct 2026 07:27:00 GMT"), Some(Duration::ZERO));
        let soon = UNIX_EPOCH + Duration::from_secs(clock::now() + 50);
        let wait = asked(None, &httpdate::fmt_http_date(soon)).unwrap().as_secs();
        assert!((40..=50).contains(&wait), "{wait}");
        assert_eq!(asked(Some("yesterday"), "Thu, 01 Jan 1970 00:00:09 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert_eq!(authorities(&path).unwrap_err().kind, crate::error::Kind::NotFound);
        std::fs::write(&path, "hello").unwrap();
        assert!(authorities(&path).unwrap_err().message.contains("no certificate"));
    }
}
