//! Signed requests at a rate: each has its own nonce and time and is signed just before it is sent, by many members in turn.
//!
//! The rate does not wait for answers (an open loop), and an answer's time counts from the moment at which its request was due: a
//! server that stalls is charged with everything that it held up. Little is spent here, because client and server share processors in
//! a measurement: requests are written to plain sockets, and of an answer only its status and length are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use vault_core::layout::ObjectName;
use vault_server::wire::VAULT;
use vault_server::wire::signature::{self, Covered, Stamp};

use crate::people::{self, Person};

/// Ticks a second of /proc/PID/stat; Linux tells programs 100 whatever the kernel uses.
const TICKS: f64 = 100.0;

/// Send signed requests at a rate, and time the answers
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server's address: HOST:PORT, without TLS
    server: String,
    /// The vault's id
    #[arg(long)]
    vault: String,
    /// What is asked
    #[arg(long, value_enum, default_value = "head")]
    kind: Kind,
    /// Requests a second
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Seconds
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Members who sign, in turn; as many as the vault was made with, or fewer
    #[arg(long, default_value_t = 64)]
    members: usize,
    /// Datasets that are asked about, in turn; as many as the vault was made with, or fewer
    #[arg(long, default_value_t = 1000)]
    datasets: usize,
    /// The server's process on this machine, for the CPU time that it spends
    #[arg(long)]
    pid: Option<u32>,
    /// What a line of figures is called
    #[arg(long, default_value = "")]
    name: String,
}

/// What a request asks for. All are small; none moves file bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// New entries of the vault ledger, of which there are none: what a client asks most
    Poll,
    /// New entries of a dataset's ledger, of which there are none
    Follow,
    /// A whole dataset ledger
    Ledger,
    /// Whether a manifest is there: rights are judged by two ledgers
    Head,
    /// A small sealed object
    Read,
    /// All of these but whole ledgers, in turn
    Mixed,
}

struct Load {
    args: Args,
    people: Vec<Person>,
    next: AtomicUsize,
    began: Instant,
    total: usize,
}

/// What became of one request.
struct Answer {
    status: u16,
    time: Duration,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let people = (0..args.members).map(Person::of).collect::<Result<Vec<_>>>()?;
    ensure!(args.rate > 0 && args.connections > 0 && people.len() > 1, "a rate, connections and members are needed");
    let total = usize::try_from(u64::from(args.rate) * u64::from(args.seconds))?;
    let (pid, name, rate) = (args.pid, args.name.clone(), args.rate);
    let began = Instant::now();
    let load = Arc::new(Load { args, people, next: AtomicUsize::new(0), began, total });
    let before = pid.map(cpu).transpose()?;
    let own = cpu(std::process::id())?;
    let workers: Vec<_> = (0..load.args.connections).map(|_| tokio::spawn(worker(Arc::clone(&load)))).collect();
    let mut answers = Vec::with_capacity(total);
    for worker in workers {
        answers.extend(worker.await??);
    }
    let spent = began.elapsed().as_secs_f64();
    let mut figures = serde_json::Map::new();
    figures.insert("name".into(), name.into());
    figures.insert("requests".into(), answers.len().into());
    figures.insert("asked_rate".into(), rate.into());
    figures.insert("rate".into(), round(count(answers.len()) / spent).into());
    let good = answers.iter().filter(|a| matches!(a.status, 200..300)).count();
    figures.insert("refused".into(), (answers.len() - good).into());
    if let Some(other) = answers.iter().find(|a| !matches!(a.status, 200..300)) {
        figures.insert("refused_with".into(), other.status.into());
    }
    answers.sort_unstable_by_key(|answer| answer.time);
    for (name, part) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0)] {
        figures.insert(name.into(), round(quantile(&answers, part)).into());
    }
    if let (Some(pid), Some(before)) = (pid, before) {
        figures.insert("server_us".into(), round((cpu(pid)? - before) * 1e6 / count(answers.len())).into());
    }
    figures.insert("load_us".into(), round((cpu(std::process::id())? - own) * 1e6 / count(answers.len())).into());
    println!("{}", serde_json::Value::Object(figures));
    Ok(())
}

async fn worker(load: Arc<Load>) -> Result<Vec<Answer>> {
    let mut connection = Connection::open(&load.args.server).await?;
    let mut answers = Vec::new();
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        if number >= load.total {
            return Ok(answers);
        }
        let due = load.began + Duration::from_secs_f64(count(number) / f64::from(load.args.rate));
        sleep_until(due).await;
        let request = load.request(number)?;
        let status = match connection.ask(request.as_bytes(), load.is_head(number)).await {
            Ok(status) => status,
            // A server may close a connection between requests; a new one is the client's business, and its time counts.
            Err(_) => {
                connection = Connection::open(&load.args.server).await?;
                connection.ask(load.request(number)?.as_bytes(), load.is_head(number)).await?
            }
        };
        answers.push(Answer { status, time: due.elapsed() });
    }
}

impl Load {
    fn kind(&self, number: usize) -> Kind {
        const MIXED: [Kind; 4] = [Kind::Poll, Kind::Follow, Kind::Head, Kind::Read];
        match self.args.kind {
            Kind::Mixed => MIXED.get(number % MIXED.len()).copied().unwrap_or(Kind::Poll),
            kind => kind,
        }
    }

    fn is_head(&self, number: usize) -> bool {
        self.kind(number) == Kind::Head
    }

    fn request(&self, number: usize) -> Result<String> {
        let dataset = number % self.args.datasets;
        let id = people::dataset(dataset)?;
        let object = ObjectName::Manifest { dataset: id.clone(), manifest: people::manifest(dataset, 0) };
        let (method, path, query) = match self.kind(number) {
            Kind::Poll => ("GET", "/v1/ledgers/vault/entries".to_owned(), Some("from=1000000")),
            Kind::Follow => ("GET", format!("/v1/ledgers/dataset/{id}/entries"), Some("from=1000000")),
            Kind::Ledger => ("GET", format!("/v1/ledgers/dataset/{id}/entries"), Some("from=0")),
            Kind::Head => ("HEAD", format!("/v1/objects/{object}"), None),
            Kind::Read | Kind::Mixed => ("GET", format!("/v1/objects/{object}"), None),
        };
        // A reader of this dataset: the first of those to whom `make` grants it.
        let others = self.people.len() - 1;
        let signer = self.people.get(1 + dataset % others).context("a member")?;
        self.signed(signer, method, &path, query)
    }

    fn signed(&self, signer: &Person, method: &str, path: &str, query: Option<&str>) -> Result<String> {
        let authority = self.args.server.as_str();
        let covered = Covered { method, authority, path, query, vault: &self.args.vault, digest: None };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let stamp = Stamp { created, nonce, card: signer.id() };
        let headers = signature::sign(&covered, &stamp, |base| Ok::<_, std::convert::Infallible>(signer.sign(base)))
            .map_err(|_| anyhow!("a request that can't be signed: {path}"))?;
        let mark = if query.is_some() { "?" } else { "" };
        Ok(format!(
            "{method} {path}{mark}{} HTTP/1.1\r\nHost: {authority}\r\n{VAULT}: {}\r\nSignature-Input: {}\r\nSignature: {}\r\n\r\n",
            query.unwrap_or_default(),
            self.args.vault,
            headers.input,
            headers.signature
        ))
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(server: &str) -> Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("{server} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1 << 16) })
    }

    /// Sends a request, reads its whole answer, and returns the status.
    async fn ask(&mut self, request: &[u8], head: bool) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let body = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let fields = std::str::from_utf8(self.buffer.get(..body).unwrap_or_default())?.to_ascii_lowercase();
        let status: u16 = fields.get(9..12).context("a status")?.parse()?;
        let field = |name: &str| fields.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if head || status == 204 || status == 304 {
            return Ok(status);
        }
        if let Some(length) = field("content-length:") {
            let end = body + length.parse::<usize>()?;
            while self.buffer.len() < end {
                self.more().await?;
            }
        } else if field("transfer-encoding:").is_some_and(|how| how.contains("chunked")) {
            // No body here holds this by itself at its end: the last chunk is the only empty one.
            while !self.buffer.ends_with(b"0\r\n\r\n") {
                self.more().await?;
            }
        } else {
            bail!("an answer of unknown length");
        }
        Ok(status)
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// CPU seconds that a process has spent, in its own name and in the kernel.
fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces, so what counts begins behind it.
    let fields = stat.rsplit_once(')').context("/proc/PID/stat")?.1.split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}

fn quantile(sorted: &[Answer], part: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length is a place in it")]
    let at = (count(sorted.len()) * part) as usize;
    let answer = sorted.get(at.min(sorted.len().saturating_sub(1)));
    answer.map_or(f64::NAN, |answer| answer.time.as_secs_f64() * 1e3)
}

fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[allow(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
const fn count(n: usize) -> f64 {
    n as f64
}
