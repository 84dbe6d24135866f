//! Signed requests to the real process: in work when it is told to stop, and in its log.

use std::convert::Infallible;
use std::io::Write;
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use vault_core::ids::to_hex;
use vault_server::wire::signature::{Covered, Headers, Stamp, content_digest, sign};

use crate::server::{Place, Server, read, wait_for};

const BODY: &str = "{\"repair\":false}";

/// The officer's request to examine the vault: its head, and its signature's headers.
fn examine(place: &Place, server: &Server, nonce: [u8; 16]) -> (String, Headers) {
    let (host, vault) = (server.address().to_string(), place.world.vault.id().to_string());
    let digest = content_digest(BODY.as_bytes());
    let covered = Covered {
        method: "POST",
        authority: &host,
        path: "/v1/doctor",
        query: None,
        vault: &vault,
        digest: Some(&digest),
    };
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let officer = &place.world.officer;
    let stamp = Stamp { created, nonce, card: officer.card() };
    let signed = sign(&covered, &stamp, |base| Ok::<_, Infallible>(officer.sign(base))).unwrap();
    let head = format!(
        "POST /v1/doctor HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nSeqvault-Vault: {vault}\r\nContent-Digest: {digest}\r\nSignature-Input: {}\r\nSignature: {}\r\n\r\n",
        BODY.len(),
        signed.input,
        signed.signature
    );
    (head, signed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_body_is_still_coming_is_answered_after_sigterm() {
    let place = Place::new().await;
    let mut server = place.serve(&["--metrics", "127.0.0.1:0", "--grace", "60"]);
    let (head, _) = examine(&place, &server, [1; 16]);
    let mut stream = server.begin(head + &BODY[..5]);
    server.signal("TERM");
    server.wait_for_log("stopping");
    wait_for("a closed port", || TcpStream::connect(server.address()).err());
    assert!(server.exited().is_none(), "it did not wait");
    stream.write_all(&BODY.as_bytes()[5..]).unwrap();
    let answer = read(&mut stream);
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.body);
    assert_eq!(answer.json()["damaged"], false);
    assert_eq!(server.end(), 0);
    server.wait_for_log("INFO stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_outlasts_the_grace_is_cut_and_a_second_signal_waits_for_nobody() {
    for second in [false, true] {
        let place = Place::new().await;
        let mut server = place.serve(&["--metrics", "127.0.0.1:0", "--grace", if second { "60" } else { "1" }]);
        let (head, _) = examine(&place, &server, [2; 16]);
        let _stream = server.begin(head);
        server.signal("TERM");
        server.wait_for_log("stopping");
        if second {
            server.signal("TERM");
        }
        assert_eq!(server.end(), 0, "{}", server.log());
        server.wait_for_log(if second { "by a second signal" } else { "connections were cut" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_member_and_no_part_of_the_signature_at_any_level() {
    let place = Place::new().await;
    let server = place.serve(&["--log-level", "trace", "--log", "json"]);
    let nonce = [3; 16];
    let (head, signed) = examine(&place, &server, nonce);
    for status in [200, 401] {
        let mut stream = server.connect();
        write!(stream, "{head}{BODY}").unwrap();
        assert_eq!(read(&mut stream).status, status);
    }
    let line: serde_json::Value = serde_json::from_str(&server.wait_for_log("\"status\":200")).unwrap();
    assert_eq!((&line["member"], &line["route"]), (&"officer".into(), &"/v1/doctor".into()));
    assert_eq!((&line["bytes_in"], &line["method"]), (&BODY.len().into(), &"POST".into()));
    let line = server.wait_for_log("\"status\":401");
    assert!(line.contains("\"problem\":\"replayed\""), "{line}");
    let log = server.log();
    let signature = signed.signature.trim_start_matches("sig=:").trim_end_matches(':');
    for secret in [signature, &to_hex(&nonce), BODY] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
