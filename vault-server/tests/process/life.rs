//! From the first request to the last: health, signals, requests in work.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::{Place, ask, read, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_it_lives_and_that_the_store_answers_and_when_that_ends() {
    let place = Place::new().await;
    let server = place.serve(&["--metrics", "127.0.0.1:0"]);
    for path in ["/healthz", "/readyz"] {
        let answer = server.ask("GET", path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        assert_eq!(answer.header("seqvault-request-id").unwrap().len(), 16);
    }
    let ledger = place.vault.path().join("ledger");
    fs::rename(&ledger, place.vault.path().join("away")).unwrap();
    let lost = wait_for("not ready", || Some(server.ask("GET", "/readyz")).filter(|answer| answer.status == 503));
    assert_eq!(lost.header("content-type"), Some("application/problem+json"));
    assert_eq!(lost.json()["type"], "urn:seqvault:problem:storage");
    assert_eq!(lost.json()["request"], lost.header("seqvault-request-id").unwrap());
    assert_eq!(server.ask("GET", "/healthz").status, 200);
    // Why it is so stands in the log and not in what anybody may read.
    server.wait_for_log("not ready");
    assert!(!lost.body.contains("ledger/"), "{}", lost.body);
    fs::rename(place.vault.path().join("away"), &ledger).unwrap();
    wait_for("ready again", || Some(()).filter(|()| server.ask("GET", "/readyz").status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_addresses_stand_in_the_port_file_in_their_order() {
    let place = Place::new().await;
    let server = place.serve(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    assert_eq!(server.addresses.len(), 2);
    assert!(server.addresses[0].is_ipv4() && server.addresses[1].is_ipv6());
    for address in &server.addresses {
        assert_eq!(ask(*address, "GET", "/healthz").status, 200);
    }
    assert_eq!(fs::read_dir(place.files.path()).unwrap().count(), 1, "a file beside the port file was left");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_end_an_idle_server_with_code_zero() {
    for signal in ["TERM", "INT"] {
        let place = Place::new().await;
        let mut server = place.serve(&[]);
        let mut idle = server.connect();
        write!(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        server.wait_for_log("listening");
        let began = Instant::now();
        server.signal(signal);
        assert_eq!(server.end(), 0, "{}", server.log());
        assert!(began.elapsed() < Duration::from_secs(5), "an idle connection held it up");
        server.wait_for_log("stopped");
        assert!(TcpStream::connect(server.address()).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_refuses_who_comes_and_tells_who_is_there_that_it_stops() {
    let place = Place::new().await;
    let mut server = place.serve(&["--metrics", "127.0.0.1:0", "--grace", "60"]);
    // The head is sent in two parts, the second after the signal: it is a request in work.
    let mut slow = server.begin("GET /readyz HTTP/1.1\r\nHost: x\r\n");
    server.signal("TERM");
    server.wait_for_log("stopping");
    wait_for("a closed port", || TcpStream::connect(server.address()).err());
    assert!(server.exited().is_none(), "it did not wait for the request");
    write!(slow, "\r\n").unwrap();
    let answer = read(&mut slow);
    assert_eq!((answer.status, &answer.json()["type"]), (503, &"urn:seqvault:problem:stopping".into()));
    assert_eq!(server.end(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_when_it_listens_and_when_it_stops() {
    let place = Place::new().await;
    let path = place.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut server = place.serve_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())], &[]);
    assert_eq!(heard(), "READY=1");
    assert_eq!(server.ask("GET", "/readyz").status, 200);
    server.signal("TERM");
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(server.end(), 0);
}
