//! Storage that Mallory runs: a bucket and a server that answer from a folder, check nothing, refuse nothing, and lie where a test says how.
//! They speak what the client speaks (S3's REST with paths, spec page 7), so whatever is refused is refused by the client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use vault_tests::world::objects;

use crate::ask::now;
use crate::mallory::{entries, vault_id};

/// Where the bucket's vault lies in it.
const PREFIX: &str = "vaults/hers";
/// A connection on which nothing moves for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What she speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    /// S3.
    Bucket,
    /// Spec page 7.
    Server,
}

/// What is asked of her.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// HTTP's.
    pub(crate) method: String,
    /// An object's name; `entries:` and a ledger; or the path and query that it is.
    pub(crate) name: String,
    /// The bytes from and up to that are asked for.
    range: Option<(usize, usize)>,
    query: BTreeMap<String, String>,
    body: Vec<u8>,
    is_create: bool,
    /// The card that signed it, if one did.
    pub(crate) card: Option<String>,
}

/// What she answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// After the body this is sent again and again, until nobody listens: then no length is said.
    pub(crate) without_end: Option<Vec<u8>>,
}

type Lie = Box<dyn Fn(&Asked, Reply) -> Reply + Send + Sync>;

/// Her storage; it ends with the test's process.
pub(crate) struct Liar {
    port: u16,
    told: Arc<Told>,
}

struct Told {
    tongue: Tongue,
    folder: PathBuf,
    lie: Mutex<Option<Lie>>,
    heard: Mutex<Vec<Asked>>,
    is_over: AtomicBool,
}

impl Asked {
    /// The body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: body.into(),
            without_end: None,
        }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self::new(200, "application/json", value.to_string())
    }

    /// A problem of spec 7.6.
    pub(crate) fn problem(status: u16, name: &str) -> Self {
        let body = json!({
            "type": format!("urn:seqvault:problem:{name}"), "title": "hers", "status": status, "detail": "", "request": "hers",
        });
        Self::new(status, "application/problem+json", body.to_string())
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Liar {
    /// Starts one that shows a folder.
    pub(crate) fn start(folder: &Path, tongue: Tongue) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let told = Arc::new(Told {
            tongue,
            folder: folder.to_owned(),
            lie: Mutex::new(None),
            heard: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let liar = Self { port: listener.local_addr().unwrap().port(), told: Arc::clone(&told) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let told = Arc::clone(&told);
                thread::spawn(move || serve(&told, stream));
            }
        });
        liar
    }

    /// How people name her.
    pub(crate) fn location(&self) -> String {
        match self.told.tongue {
            Tongue::Bucket => format!("s3://{PREFIX}?endpoint={}&region=us-east-1", self.url()),
            Tongue::Server => self.url(),
        }
    }

    /// Her address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on she answers what `lie` makes of the honest answer.
    pub(crate) fn lie(&self, lie: impl Fn(&Asked, Reply) -> Reply + Send + Sync + 'static) {
        *self.told.lie.lock().unwrap() = Some(Box::new(lie));
    }

    /// From now on she is honest.
    pub(crate) fn be_honest(&self) {
        *self.told.lie.lock().unwrap() = None;
    }

    /// What she was asked since this was last called.
    pub(crate) fn heard(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.told.heard.lock().unwrap())
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        // The thread ends at the next connection.
        self.told.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(told: &Told, mut stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let Some(asked) = read(told.tongue, &mut stream) else { return };
    let honest = match told.tongue {
        Tongue::Bucket => bucket(&told.folder, &asked),
        Tongue::Server => server(&told.folder, &asked),
    };
    let reply = match &*told.lie.lock().unwrap() {
        Some(lie) => lie(&asked, honest),
        None => honest,
    };
    told.heard.lock().unwrap().push(asked.clone());
    let _ = write(&mut stream, &asked, &reply);
}

/// Reads one request.
fn read(tongue: Tongue, stream: &mut TcpStream) -> Option<Asked> {
    let (mut all, mut part) = (Vec::new(), vec![0; 65_536]);
    let end = loop {
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut part) {
            Ok(n @ 1..) => all.extend_from_slice(&part[..n]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    assert!(!headers.contains_key("transfer-encoding"), "a body without a length");
    let mut body = all[end + 4..].to_vec();
    while body.len() < length {
        match stream.read(&mut part) {
            Ok(n @ 1..) => body.extend_from_slice(&part[..n]),
            _ => return None,
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect();
    let range = headers.get("range").and_then(|value| {
        let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse::<usize>().ok()? + 1))
    });
    let is_create = headers.get("if-none-match").is_some_and(|value| value == "*");
    let card = headers
        .get("signature-input")
        .and_then(|input| Some(input.split("keyid=\"").nth(1)?.split('"').next()?.to_owned()));
    Some(Asked { method, name: name_of(tongue, &plain(path)), range, query, body, is_create, card })
}

fn name_of(tongue: Tongue, path: &str) -> String {
    let name = match tongue {
        Tongue::Bucket => path.strip_prefix(&format!("/{PREFIX}/")).map(str::to_owned),
        Tongue::Server => path.strip_prefix("/v1/objects/").map(str::to_owned).or_else(|| {
            let ledger = path.strip_prefix("/v1/ledgers/")?.strip_suffix("/entries")?;
            Some(format!("entries:{ledger}"))
        }),
    };
    name.unwrap_or_else(|| path.to_owned())
}

/// Without escapes.
fn plain(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        plain.push(u8::from_str_radix(&part[..2], 16).unwrap());
        plain.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(plain).unwrap()
}

fn write(stream: &mut TcpStream, asked: &Asked, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Hers\r\nConnection: close\r\nSeqvault-Request-Id: hers\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !reply.headers.iter().any(|(name, _)| name == "Content-Length") && reply.without_end.is_none() {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if asked.method != "HEAD" {
        stream.write_all(&reply.body)?;
        while let Some(more) = &reply.without_end {
            stream.write_all(more)?;
        }
    }
    stream.flush()?;
    // Whoever reads comes to the end before the connection is cut.
    stream.shutdown(std::net::Shutdown::Write)?;
    let _ = stream.read(&mut [0; 1]);
    Ok(())
}

/// Creates what is absent. False if it is there.
fn create(folder: &Path, name: &str, bytes: &[u8]) -> bool {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match fs::File::options().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(bytes).is_ok(),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => false,
        Err(e) => panic!("{name}: {e}"),
    }
}

fn part(bytes: Vec<u8>, asked: &Asked) -> Option<(u16, Vec<u8>)> {
    match asked.range {
        None => Some((200, bytes)),
        Some((from, to)) => Some((206, bytes.get(from..to.min(bytes.len())).filter(|part| !part.is_empty())?.to_vec())),
    }
}

// ---- A bucket ----

fn xml(status: u16, body: &str) -> Reply {
    Reply::new(status, "application/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}"))
}

fn error(status: u16, code: &str) -> Reply {
    xml(status, &format!("<Error><Code>{code}</Code><Message>hers</Message></Error>"))
}

fn bucket(folder: &Path, asked: &Asked) -> Reply {
    let path = folder.join(&asked.name);
    match asked.method.as_str() {
        "GET" if asked.query.contains_key("list-type") => list(folder, asked),
        "GET" if asked.query.contains_key("versioning") => xml(200, "<VersioningConfiguration/>"),
        "GET" | "HEAD" => {
            let Ok(whole) = fs::read(path) else { return error(404, "NoSuchKey") };
            let (size, tag) = (whole.len(), blake3::hash(&whole).to_hex());
            let Some((status, bytes)) = part(whole, asked) else { return error(416, "InvalidRange") };
            let mut reply = Reply::new(status, "application/octet-stream", bytes)
                .with("ETag", format!("\"{tag}\""))
                .with("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT");
            if let Some((from, _)) = asked.range {
                let last = from + reply.body.len() - 1;
                reply = reply.with("Content-Range", format!("bytes {from}-{last}/{size}"));
            }
            reply
        }
        "PUT" => {
            if !asked.is_create {
                let _ = fs::remove_file(&path);
            }
            if !create(folder, &asked.name, &asked.body) {
                return error(412, "PreconditionFailed");
            }
            xml(200, "").with("ETag", format!("\"{}\"", blake3::hash(&asked.body).to_hex()))
        }
        "DELETE" => {
            let _ = fs::remove_file(path);
            xml(204, "")
        }
        "POST" if asked.query.contains_key("delete") => {
            let text = String::from_utf8_lossy(&asked.body).into_owned();
            let mut done = String::new();
            for key in text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
                let _ = fs::remove_file(folder.join(key.strip_prefix("hers/").unwrap_or(key)));
                done.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
            }
            xml(200, &format!("<DeleteResult>{done}</DeleteResult>"))
        }
        _ => error(501, "NotImplemented"),
    }
}

fn list(folder: &Path, asked: &Asked) -> Reply {
    let of = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
    let (prefix, delimiter, after) = (of("prefix"), of("delimiter"), of("start-after"));
    let (mut found, mut folders) = (String::new(), BTreeSet::new());
    for (name, size) in objects(folder) {
        let key = format!("hers/{name}");
        let Some(rest) = key.strip_prefix(&prefix).filter(|_| key > after) else { continue };
        if let Some((folder, _)) = rest.split_once('/').filter(|_| !delimiter.is_empty()) {
            folders.insert(format!("{prefix}{folder}/"));
            continue;
        }
        found.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"0\"</ETag><Size>{size}</Size></Contents>"
        ));
    }
    for folder in folders {
        found.push_str(&format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
    }
    let head = format!("<Name>vaults</Name><Prefix>{prefix}</Prefix><KeyCount>1</KeyCount><MaxKeys>100000</MaxKeys>");
    xml(200, &format!("<ListBucketResult>{head}<IsTruncated>false</IsTruncated>{found}</ListBucketResult>"))
}

// ---- A server ----

/// Entries as an answer holds them.
pub(crate) fn framed(entries: &[Vec<u8>]) -> Vec<u8> {
    let frame = |entry: &Vec<u8>| [&u32::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat();
    entries.iter().flat_map(frame).collect()
}

fn server(folder: &Path, asked: &Asked) -> Reply {
    if let Some(ledger) = asked.name.strip_prefix("entries:") {
        let from = asked.query.get("from").and_then(|from| from.parse().ok()).unwrap_or(0);
        let all = entries(folder, ledger);
        return Reply::new(200, "application/vnd.seqvault.entries", framed(all.get(from..).unwrap_or_default()));
    }
    if let Some(rest) = asked.name.strip_prefix("/v1/ledgers/") {
        return match rest.split_once("/entries/") {
            Some((ledger, seq)) => {
                let name = format!("ledger/{ledger}/{:010}", seq.parse::<u64>().unwrap());
                if create(folder, &name, &asked.body) || fs::read(folder.join(name)).unwrap() == asked.body {
                    Reply::new(201, "text/plain", "")
                } else {
                    Reply::problem(409, "taken")
                }
            }
            None => Reply::json(&json!({"next": 0, "milliseconds": 0})),
        };
    }
    match asked.name.as_str() {
        "/v1/vault" => Reply::json(&hello(folder, false)),
        "/v1/ledgers" => {
            let all = objects(folder);
            let ledgers: BTreeSet<&str> =
                all.keys().filter_map(|name| name.strip_prefix("ledger/")?.strip_suffix("/0000000000")).collect();
            Reply::json(&json!({"ledgers": ledgers}))
        }
        "/v1/doctor" => Reply::json(&json!({"findings": [], "repaired": [], "damaged": false})),
        // She deletes nothing, and says that she did.
        name if name.starts_with("/v1/datasets/") => Reply::json(&json!({"objects": 7, "kept": false})),
        name if name.starts_with("/v1/") => Reply::problem(409, "no-links"),
        name => object(folder, name, asked),
    }
}

/// What she says that she is.
pub(crate) fn hello(folder: &Path, links: bool) -> serde_json::Value {
    let vault = vault_id(folder).to_string();
    json!({"vault": vault, "api": [1], "server": "hers 1", "time": now(), "links": links})
}

fn object(folder: &Path, name: &str, asked: &Asked) -> Reply {
    let path = folder.join(name);
    match asked.method.as_str() {
        "PUT" if create(folder, name, &asked.body) => Reply::new(201, "text/plain", ""),
        "PUT" if fs::read(&path).unwrap() == asked.body => Reply::new(201, "text/plain", ""),
        "PUT" => Reply::problem(409, "differs"),
        "DELETE" => {
            let _ = fs::remove_file(path);
            Reply::json(&json!({"objects": 1, "kept": false}))
        }
        _ => match fs::read(path).map(|whole| part(whole, asked)) {
            Ok(Some((status, bytes))) => Reply::new(status, "application/octet-stream", bytes),
            Ok(None) => Reply::problem(416, "range"),
            Err(_) => Reply::problem(404, "not-found"),
        },
    }
}
