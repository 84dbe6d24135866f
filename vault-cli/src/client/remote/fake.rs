//! A server of the tests: every answer, and every way of not answering, is the test's to choose.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may unwrap")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use vault_core::suite::Suite;
use vault_keys::custodian::Custodian;
use vault_keys::memory::MemoryCustodian;
use vault_server::wire::problem::{Problem, Type};
use vault_server::wire::{PROBLEM, signature};

use super::http::Trust;
use super::links::Links;
use super::patience::Patience;
use super::reach::Judge;
use super::{Channel, Key, Place, Remote};
use crate::clock;
use crate::output::Output;
use crate::random;

pub(super) const VAULT: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Bytes,
}

/// What is done about it.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
    },
    /// The connection ends without a word.
    Close,
    /// The head promises more bytes than come.
    Cut(Bytes),
    Late(Duration, Box<Reply>),
}

impl Reply {
    pub(super) fn ok(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Answer { status, headers: vec![id()], body: body.into() }
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self::ok(200, value.to_string()).with("content-type", "application/json")
    }

    pub(super) fn problem(of: Type) -> Self {
        Self::of(Problem::new(of, format!("because of {}", of.row().0)))
    }

    pub(super) fn of(mut problem: Problem) -> Self {
        problem.request = "r-1".to_owned();
        Self::ok(problem.status, serde_json::to_vec(&problem).unwrap()).with("content-type", PROBLEM)
    }

    pub(super) fn html(status: u16) -> Self {
        let body = "<html>Log in</html>".into();
        Self::Answer { status, headers: vec![("content-type".to_owned(), "text/html".to_owned())], body }
    }

    pub(super) fn hello(links: bool) -> Self {
        Self::json(&json!({"vault": VAULT, "api": [1], "server": "fake", "time": clock::now(), "links": links}))
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

fn id() -> (String, String) {
    ("seqvault-request-id".to_owned(), "r-1".to_owned())
}

/// A server on a port of its own, until it is dropped.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    seen: Arc<std::sync::Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// `answer` is given each request and how many came before it.
    pub(super) async fn start(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (all, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &all, &*answer).await });
            }
        });
        Self { address, seen, task }
    }

    /// One that greets, and answers what is signed as the test says.
    pub(super) async fn server(links: bool, answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen, n| if seen.target == "/v1/vault" { Reply::hello(links) } else { answer(seen, n - 1) })
            .await
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn location(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it that tries again quickly and for long enough.
    pub(super) async fn client(&self) -> Remote {
        self.try_client().await.unwrap()
    }

    pub(super) async fn try_client(&self) -> Result<Remote, super::RemoteError> {
        self.connect(None).await
    }

    /// A client that judges links otherwise than by where this server is.
    pub(super) async fn client_that_judges(&self, judge: Judge) -> Remote {
        self.connect(Some(judge)).await.unwrap()
    }

    async fn connect(&self, judge: Option<Judge>) -> Result<Remote, super::RemoteError> {
        let patience = || Patience::short(Duration::from_millis(300));
        let (trust, output) = (Trust::default(), Output { json: false, quiet: true });
        let place = Place::parse(&self.location()).map_err(super::RemoteError::Here)?;
        let (channel, hello) = Channel::open(place, Key::of(custodian()), &trust, &patience(), patience()).await?;
        let vault = hello.vault.parse().unwrap();
        let judge = judge.unwrap_or_else(|| Judge::new(channel.reach(), ""));
        let links = Links::new(hello.links, trust, judge, output);
        Ok(Remote::new(channel, links, vault, &hello))
    }
}

fn custodian() -> Arc<dyn Custodian> {
    Arc::new(MemoryCustodian::generate(Suite::X25519, "anna", 0, &mut random::system()).unwrap())
}

async fn serve(
    mut stream: TcpStream,
    all: &std::sync::Mutex<Vec<Seen>>,
    answer: &(impl Fn(&Seen, usize) -> Reply + ?Sized),
) {
    let Some(seen) = receive(&mut stream).await else { return };
    let n = {
        let mut all = all.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let mut reply = answer(&seen, n);
    while let Reply::Late(wait, then) = reply {
        tokio::time::sleep(wait).await;
        reply = *then;
    }
    let (status, headers, body, told) = match reply {
        Reply::Answer { status, headers, body } => {
            let told = body.len();
            (status, headers, if seen.method == "HEAD" { Bytes::new() } else { body }, told)
        }
        Reply::Cut(body) => (200, vec![id()], body.clone(), body.len() + 10),
        _ => return,
    };
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {told}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

async fn receive(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { method, target, headers, body: body.into() })
}

impl Seen {
    /// Whether it is signed as the spec says, for this server and this body.
    pub(super) fn is_signed(&self, authority: &str) -> bool {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let digest = header("content-digest");
        let has_body = matches!(self.method.as_str(), "PUT" | "POST");
        let covered = signature::Covered { method: &self.method, authority, path, query, vault: VAULT, digest };
        digest.is_some() == has_body
            && digest.is_none_or(|digest| signature::is_body(&self.body, digest))
            && header("seqvault-vault") == Some(VAULT)
            && header("signature-input")
                .zip(header("signature"))
                .is_some_and(|(input, signature)| signature::parse(&covered, input, signature).is_ok())
    }

    pub(super) fn nonce(&self) -> String {
        let input = &self.headers["signature-input"];
        input.split("nonce=\"").nth(1).unwrap()[..32].to_owned()
    }
}
