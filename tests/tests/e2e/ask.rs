//! Requests to a server, made byte by byte from spec section 7.2 alone: a second signer beside the client's, and a way to send what no client
//! would send.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vault_core::hazmat::kdf::sha256;
use vault_core::json;
use vault_keys::custodian::Custodian;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A request before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) vault: String,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) created: u64,
    pub(crate) nonce: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    vault_core::ids::to_hex(&bytes)
}

impl Ask {
    pub(crate) fn get(vault: &str, path: &str) -> Self {
        Self::new("GET", vault, path, None)
    }

    pub(crate) fn post(vault: &str, path: &str, body: &Value) -> Self {
        Self::new("POST", vault, path, Some(body.to_string().into_bytes()))
    }

    pub(crate) fn put(vault: &str, path: &str, body: &[u8]) -> Self {
        Self::new("PUT", vault, path, Some(body.to_vec()))
    }

    fn new(method: &'static str, vault: &str, target: &str, body: Option<Vec<u8>>) -> Self {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        Self { method, path: path.to_owned(), query, vault: vault.to_owned(), body, created: now(), nonce: nonce() }
    }

    fn target(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", self.path)
    }

    fn digest(&self) -> Option<String> {
        self.body.as_ref().map(|body| format!("sha-256=:{}:", json::to_b64(&sha256(body))))
    }

    /// The signature's parameters, for a card.
    fn params(&self, card: &str) -> String {
        let digest = if self.body.is_some() { " \"content-digest\"" } else { "" };
        let (created, nonce) = (self.created, &self.nonce);
        format!(
            "(\"@method\" \"@authority\" \"@path\" \"@query\" \"seqvault-vault\"{digest})\
             ;created={created};nonce=\"{nonce}\";alg=\"ed25519\";keyid=\"{card}\";tag=\"seqvault-1\""
        )
    }

    /// The whole request as it goes over the wire, signed by somebody in their own name, to a server on loopback.
    pub(crate) fn signed(&self, who: &impl Custodian, port: u16) -> String {
        self.signed_as(who, &who.card().id().to_string(), port)
    }

    /// The same in the name of any card.
    pub(crate) fn signed_as(&self, who: &impl Custodian, card: &str, port: u16) -> String {
        let authority = format!("127.0.0.1:{port}");
        let params = self.params(card);
        let digest = self.digest();
        let mut base = format!(
            "\"@method\": {}\n\"@authority\": {authority}\n\"@path\": {}\n\"@query\": ?{}\n\"seqvault-vault\": {}\n",
            self.method,
            self.path,
            self.query.as_deref().unwrap_or_default(),
            self.vault
        );
        if let Some(digest) = &digest {
            base.push_str(&format!("\"content-digest\": {digest}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {params}"));
        let signature = json::to_b64(&who.sign(base.as_bytes()).unwrap());
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nSeqvault-Vault: {}\r\n",
            self.method,
            self.target(),
            self.vault
        );
        if let (Some(digest), Some(body)) = (&digest, &self.body) {
            let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/octet-stream" };
            head.push_str(&format!(
                "Content-Digest: {digest}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        head.push_str(&format!("Signature-Input: sig={params}\r\nSignature: sig=:{signature}:\r\n\r\n"));
        // Bodies of these tests are text.
        head + &self.body.as_ref().map_or_else(String::new, |body| String::from_utf8(body.clone()).unwrap())
    }

    /// Signs and sends.
    #[track_caller]
    pub(crate) fn send(&self, who: &impl Custodian, port: u16) -> Answer {
        send(port, self.signed(who, port).as_bytes())
    }
}

impl Answer {
    /// The problem's name; empty if it is none.
    pub(crate) fn problem(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        let kind = value["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:seqvault:problem:").unwrap_or(kind).to_owned()
    }

    /// The body.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self}"))
    }

    /// It is this problem, with the status that the spec's table gives it, of the right type, with a request id.
    #[track_caller]
    pub(crate) fn is(&self, problem: &str, status: u16) {
        assert_eq!((self.problem().as_str(), self.status), (problem, status), "{self}");
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/problem+json"), "{self}");
        let id = self.headers.get("seqvault-request-id").unwrap_or_else(|| panic!("no request id: {self}"));
        assert_eq!(self.json()["request"], id.as_str(), "{self}");
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

/// Sends bytes and reads the answer to its end.
#[track_caller]
pub(crate) fn send(port: u16, bytes: &[u8]) -> Answer {
    try_send(port, bytes)
        .unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)])))
}

/// The same; none if the connection was ended without an answer.
pub(crate) fn try_send(port: u16, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    read(&mut stream)
}

/// Reads an answer to the connection's end.
pub(crate) fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut all = Vec::new();
    let mut part = [0; 65_536];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&part[..n]),
            // A reset after the answer, as its request was not read to the end.
            Err(_) => break,
        }
    }
    let end = all.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &all[end + 4..];
    let is_chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let body = if is_chunked { unchunked(rest)? } else { rest.to_vec() };
    Some(Answer { status, headers, body })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
