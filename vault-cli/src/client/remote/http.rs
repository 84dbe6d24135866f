//! HTTP itself: connections, certificates, bodies that move or do not. Knows nothing of vaults.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, Certificate, Client, RequestBuilder, Response, redirect};
use tokio::time::timeout;

use super::place::Place;
use super::trouble::{RemoteError, sort};
use crate::error::{Failure, Outcome};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
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
                hint: "check the network, or ask who runs the server",
            },
            Self::TooLong(longest) => {
                RemoteError::Nonsense { place: place.to_owned(), why: format!("it is longer than {longest} bytes") }
            }
        }
    }
}

/// A client with this machine's trusted authorities, those of `SEQVAULT_CA`, and the proxies of the environment unless the host is
/// this machine.
///
/// # Errors
/// If `SEQVAULT_CA` is no file of certificates, or there is nobody to trust.
pub(super) fn client(place: &str, is_loopback: bool, is_secure: bool) -> Result<Client, RemoteError> {
    let mut builder = Client::builder()
        .user_agent(concat!("seqvault/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(20))
        .tcp_nodelay(true);
    if is_loopback {
        builder = builder.no_proxy();
    }
    let own = match std::env::var_os("SEQVAULT_CA").filter(|path| !path.is_empty()) {
        Some(path) => authorities(Path::new(&path)).map_err(RemoteError::Here)?,
        None => Vec::new(),
    };
    // Without TLS nobody is to be trusted, and a machine without any authorities must do.
    builder = if is_secure { builder.tls_certs_merge(own) } else { builder.tls_certs_only(own) };
    builder.build().map_err(|error| sort(place, is_secure, error))
}

fn authorities(path: &Path) -> Outcome<Vec<Certificate>> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e).hint("SEQVAULT_CA names this file"))?;
    let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if found.is_empty() {
        return Err(Failure::usage(format!("{}: it holds no certificate (PEM)", path.display()))
            .hint("SEQVAULT_CA names a file with the authority's certificate"));
    }
    Ok(found)
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
    let mut bytes = BytesMut::with_capacity(ready);
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
