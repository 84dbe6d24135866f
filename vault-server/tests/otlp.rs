//! Traces reach a collector, and say no more than the log does. Runs with the feature `otlp`.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may unwrap and index"
)]

mod common;
#[path = "process/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use server::{Place, read};

/// A collector that takes one request after another and keeps their heads and bodies.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (keep, kept) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = keep.send(take(stream.unwrap()));
        }
    });
    (url, kept)
}

fn take(mut stream: TcpStream) -> (String, Vec<u8>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..length]);
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let mut body = bytes[end + 4..].to_vec();
            while body.len() < length {
                let more = stream.read(&mut buffer).unwrap();
                body.extend_from_slice(&buffer[..more]);
            }
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            return (head, body);
        }
        assert!(length > 0, "the exporter went away");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_with_its_route_and_without_its_secrets() {
    let place = Place::new().await;
    let (url, kept) = collector();
    let mut server = place.serve(&["--otlp", &url, "--log-level", "error"]);
    let mut stream = server.connect();
    write!(
        stream,
        "GET /v1/ledgers?sig=query-secret HTTP/1.1\r\nHost: x\r\nSignature: header-secret\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let answer = read(&mut stream);
    assert_eq!(answer.status, 401);
    // The end of the process sends what waits.
    server.signal("TERM");
    assert_eq!(server.end(), 0);
    let (head, body) = kept.recv_timeout(server::SOON).unwrap();
    assert!(head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
    // Strings stand in protobuf as they are.
    let text = String::from_utf8_lossy(&body);
    let id = answer.header("seqvault-request-id").unwrap();
    for word in ["seqvault-server", "GET /v1/ledgers", "http.response.status_code", id] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let place = Place::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = place.serve(&["--otlp", &format!("http://{gone}")]);
    assert_eq!(server.ask("GET", "/v1/vault").status, 200);
    server.signal("TERM");
    assert_eq!(server.end(), 0);
}
