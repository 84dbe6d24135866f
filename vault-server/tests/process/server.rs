//! A server process of a test: started on a free port, its log kept, ended with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::World;

/// How long anything may take that should come soon.
pub const SOON: Duration = Duration::from_secs(30);

/// A vault in a folder, and place for a test's files.
pub struct Place {
    pub world: World,
    pub vault: TempDir,
    pub files: TempDir,
}

impl Place {
    pub async fn new() -> Self {
        let (vault, world) = World::in_folder().await;
        Self { world, vault, files: tempfile::tempdir().unwrap() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vault-server"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SEQVAULT") {
                command.env_remove(name);
            }
        }
        command.arg("--vault").arg(self.vault.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Starts a server on a free port of loopback, with further arguments, and waits until it listens.
    pub fn serve(&self, args: &[&str]) -> Server {
        self.serve_with(&[], args)
    }

    /// As [`Self::serve`], with environment.
    pub fn serve_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Server {
        let ports = self.file("ports");
        let _ = fs::remove_file(&ports);
        let mut command = self.command(args);
        command.envs(vars.iter().copied());
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.arg("--port-file").arg(&ports).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut server = Server { child, addresses: Vec::new(), log };
        server.addresses = wait_for("the port file", || match fs::read_to_string(&ports) {
            Ok(text) => Some(text.lines().map(|line| line.parse().unwrap()).collect()),
            Err(_) => {
                assert!(server.exited().is_none(), "the server did not start: {}", server.log());
                None
            }
        });
        server
    }

    /// A start that ends by itself: its exit code, and what it printed.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        finished(self.command(args))
    }

    /// As [`Self::run`], with a file of settings and environment.
    pub fn run_with(&self, vars: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
        let mut command = self.command(args);
        command.envs(vars.iter().copied());
        finished(command)
    }

    /// A start that must be refused with one line: its exit code and that line.
    pub fn refused(&self, args: &[&str]) -> (i32, String) {
        let (code, out, err) = self.run(args);
        assert_eq!((out.as_str(), err.trim_end().lines().count()), ("", 1), "{err}");
        assert!(err.starts_with("vault-server: "), "{err}");
        (code, err.trim_end().to_owned())
    }
}

fn finished(mut command: Command) -> (i32, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > ended {
            child.kill().unwrap();
            panic!("a start that should end by itself went on");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A running server.
pub struct Server {
    child: Child,
    pub addresses: Vec<SocketAddr>,
    log: Arc<Mutex<String>>,
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn exited(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for its end, and returns the exit code.
    pub fn end(&mut self) -> i32 {
        wait_for("the server's end", || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    pub fn wait_for_log(&self, words: &str) -> String {
        wait_for(words, || self.log().lines().find(|line| line.contains(words)).map(str::to_owned))
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Where metrics and health are, as the log says; of a server that was told `--metrics`.
    pub fn inside(&self) -> SocketAddr {
        let line = self.wait_for_log("metrics and health");
        let text = line.split("address=").nth(1).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Sends the first part of a request on a connection of its own, and returns when the server reads from it: told to stop before, it would
    /// end the connection. Of a server that was told `--metrics`.
    pub fn begin(&self, first: impl AsRef<[u8]>) -> TcpStream {
        let (inside, served) = (self.inside(), "seqvault_connections_arrived_total{outcome=\"served\"} ");
        let count = || -> usize {
            let text = ask(inside, "GET", "/metrics").body;
            let count = text.lines().find_map(|line| line.strip_prefix(served));
            count.unwrap_or_else(|| panic!("no {served} in {text}")).parse().unwrap()
        };
        let mut counted = count();
        let mut stream = self.connect();
        stream.write_all(first.as_ref()).unwrap();
        wait_for("a connection that is read", || {
            // Who asks for the number comes on a connection too.
            counted += 1;
            Some(()).filter(|()| count() > counted)
        });
        stream
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        ask(self.address(), method, path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

pub fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = connect(address);
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    read(&mut stream)
}

/// Everything up to the connection's end.
pub fn read(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is the answer's end.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let ended = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < ended, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a path into an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
