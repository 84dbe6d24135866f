//! What a person is told who names a server that can't be reached, can't be trusted, or is none: the compiled command, its exit codes
//! and words. A vault behind a server is in the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const VAULT: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A folder with nothing of the user's in its environment, and an identity.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        let made = room.command(&["identity", "new", "--identity", "id"]).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seqvault"));
        command.current_dir(self.0.path()).env_clear().env("HOME", self.0.path()).env("P", "correct horse");
        command.env("SEQVAULT_IDENTITY", "id").args(["--passphrase-env", "P"]).args(args).stdin(Stdio::null());
        command
    }

    /// Lists what is at a location, with more in the environment: what is said, if it fails with this exit code.
    fn fails(&self, code: i32, location: &str, environment: &[(&str, &str)]) -> String {
        let output =
            self.command(&["--vault", location, "dataset", "list"]).envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{location}: {}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn hello() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body = format!(r#"{{"vault":"{VAULT}","api":[1],"server":"test","time":{time},"links":false}}"#);
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nseqvault-request-id: r1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers each connection on a port of its own; ends with the test.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority, and a server on this machine with a certificate of it.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A server that greets, with a certificate for a name and some years.
    fn server(&self, name: &str, years: (i32, i32)) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let config = Arc::new(config);
        listen(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if read_head(&mut stream).starts_with("GET /v1/vault") {
                let _ = stream.write_all(hello().as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        })
    }
}

fn has(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
}

#[test]
fn a_certificate_that_is_not_trusted_is_said_with_what_to_do() {
    let room = Room::new();
    let authority = Authority::new();
    fs::write(room.path("ca.pem"), &authority.pem).unwrap();
    fs::write(room.path("other.pem"), Authority::new().pem).unwrap();
    let good = format!("https://localhost:{}", authority.server("localhost", (2020, 2999)));
    // A machine as it is, one with another authority, and one with the right one.
    has(&room.fails(8, &good, &[]), &["no secure connection", "SEQVAULT_CA"]);
    has(&room.fails(8, &good, &[("SSL_CERT_FILE", "other.pem")]), &["not trusted here", "SEQVAULT_CA"]);
    has(&room.fails(8, &good, &[("SEQVAULT_CA", "other.pem")]), &["not trusted here", "SEQVAULT_CA"]);
    for trusted in ["SEQVAULT_CA", "SSL_CERT_FILE"] {
        // Reached: and nothing is signed for a vault that nobody here has joined.
        has(&room.fails(4, &good, &[(trusted, "ca.pem")]), &[VAULT, "not known on this machine", "seqvault join"]);
    }
    has(&room.fails(2, &good, &[("SEQVAULT_CA", "id")]), &["holds no certificate", "SEQVAULT_CA"]);
    has(&room.fails(3, &good, &[("SEQVAULT_CA", "nowhere.pem")]), &["nowhere.pem", "SEQVAULT_CA"]);
    // A folder stands for what can't be read: root reads everything else.
    has(&room.fails(8, &good, &[("SEQVAULT_CA", ".")]), &["SEQVAULT_CA names a file"]);
    has(&room.fails(8, &good, &[("SSL_CERT_FILE", "nowhere.pem")]), &["no trusted authorities", "SSL_CERT_FILE"]);

    let cases = [
        (authority.server("localhost", (2001, 2002)), "has expired", "to renew it"),
        (authority.server("localhost", (2998, 2999)), "not valid yet", "check this machine's clock"),
        (authority.server("vault.example", (2020, 2999)), "for another name", "use the name that the certificate has"),
    ];
    for (port, why, what_to_do) in cases {
        let text = room.fails(8, &format!("https://localhost:{port}"), &[("SEQVAULT_CA", "ca.pem")]);
        has(&text, &["no secure connection", why, what_to_do]);
    }
}

#[test]
fn a_server_that_is_down_is_waited_for_a_little_and_then_named() {
    let (room, begin) = (Room::new(), Instant::now());
    let location = format!("http://127.0.0.1:{}", free_port());
    let text = room.fails(8, &location, &[]);
    has(&text, &[&location, "connection refused", "trying again", "is the server up"]);
    assert!((Duration::from_secs(3)..Duration::from_secs(30)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn a_server_that_comes_up_meanwhile_is_found() {
    let room = Room::new();
    let port = free_port();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        for mut stream in listener.incoming().flatten() {
            read_head(&mut stream);
            let _ = stream.write_all(hello().as_bytes());
        }
    });
    has(&room.fails(4, &format!("http://127.0.0.1:{port}"), &[]), &["not known on this machine"]);
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_are_told_apart() {
    let room = Room::new();
    let plain = listen(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    let bad = listen(|mut stream| {
        let _ = stream.read(&mut [0; 16]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    has(&room.fails(8, &format!("https://127.0.0.1:{bad}"), &[]), &["does not speak TLS", "check the port"]);
    has(&room.fails(3, &format!("http://127.0.0.1:{plain}"), &[]), &["is no seqvault server", "status 400"]);
    let tls = Authority::new().server("localhost", (2020, 2999));
    has(&room.fails(8, &format!("http://127.0.0.1:{tls}"), &[]), &["127.0.0.1", "https://"]);
}

#[test]
fn a_proxy_that_refuses_is_named_and_one_that_works_is_used() {
    let room = Room::new();
    let location = "https://vault.example";
    let closed = format!("http://127.0.0.1:{}", free_port());
    has(&room.fails(8, location, &[("HTTPS_PROXY", &closed)]), &["the proxy makes no connection", "HTTPS_PROXY"]);
    let asks = listen(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    });
    let asks = format!("http://127.0.0.1:{asks}");
    let text = room.fails(8, location, &[("HTTPS_PROXY", &asks)]);
    has(&text, &["the proxy asks for a name and a password", "HTTPS_PROXY=http://name:password@host:port"]);
    let forbids = listen(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    });
    let forbids = format!("http://127.0.0.1:{forbids}");
    has(&room.fails(8, location, &[("HTTPS_PROXY", &forbids)]), &["the proxy makes no connection", "NO_PROXY"]);

    // One that works, and knows where the name leads.
    let authority = Authority::new();
    fs::write(room.path("ca.pem"), &authority.pem).unwrap();
    let server = authority.server("vault.example", (2020, 2999));
    let proxy = listen(move |mut stream| {
        if !read_head(&mut stream).starts_with("CONNECT vault.example:443") {
            return;
        }
        let mut there = TcpStream::connect(("127.0.0.1", server)).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut back, mut forth) = (there.try_clone().unwrap(), stream.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back, &mut forth));
        let _ = std::io::copy(&mut stream, &mut there);
    });
    let proxy = format!("http://127.0.0.1:{proxy}");
    has(
        &room.fails(4, location, &[("HTTPS_PROXY", &proxy), ("SEQVAULT_CA", "ca.pem")]),
        &["https://vault.example", "not known on this machine"],
    );
    // This machine is reached without one.
    let direct = listen(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(hello().as_bytes());
    });
    let direct = format!("http://127.0.0.1:{direct}");
    has(&room.fails(4, &direct, &[("HTTP_PROXY", &closed), ("http_proxy", &closed)]), &["not known on this machine"]);
}

#[test]
fn no_vault_is_made_through_a_server() {
    let room = Room::new();
    for args in [&["init", "https://vault.example"][..], &["--vault", "https://vault.example", "init"]] {
        let output = room.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        has(&said(&output), &["not through a server", "seqvault serve"]);
    }
}

#[test]
fn failures_are_json_where_json_was_asked_for() {
    let room = Room::new();
    let page = listen(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>",
        );
    });
    let location = format!("http://127.0.0.1:{page}");
    let output = room.command(&["--json", "--vault", &location, "dataset", "list"]).output().unwrap();
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "not-found");
    has(error["error"]["message"].as_str().unwrap(), &["is no seqvault server"]);
}
