//! What log and metrics say, and what they never say.

use std::io::Write;

use crate::server::{Place, ask, read, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_json_line_a_request_with_its_id_and_no_secret_at_any_level() {
    let place = Place::new().await;
    let server = place.serve(&["--log", "json", "--log-level", "trace"]);
    let mut stream = server.connect();
    let head = "GET /v1/nothing?X-Amz-Signature=query-secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Signature: sig=:header-secret:\r\nAuthorization: Bearer token-secret\r\nSignature-Input: input-secret\r\n\
                X-Forwarded-For: 203.0.113.9\r\n\r\n";
    write!(stream, "{head}").unwrap();
    let answer = read(&mut stream);
    assert_eq!(answer.status, 404);
    let id = answer.header("seqvault-request-id").unwrap().to_owned();
    let line = server.wait_for_log("\"status\":404");
    let found: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&found["span"]["id"], &found["method"]), (&id.as_str().into(), &"GET".into()), "{line}");
    assert!(found["milliseconds"].is_u64() && found["level"] == "INFO", "{line}");
    // Nobody stands before this server, so anybody could have written that header.
    assert_eq!(found["from"], "127.0.0.1");
    let log = server.log();
    assert!(!log.contains("secret"), "{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_the_log_has_the_address_that_the_proxy_saw() {
    let place = Place::new().await;
    let server = place.serve(&["--behind-proxy"]);
    let mut stream = server.connect();
    write!(
        stream,
        "GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n\r\n"
    )
    .unwrap();
    let _ = read(&mut stream);
    let line = server.wait_for_log("status=404");
    assert!(line.contains("from=203.0.113.9"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_inside_only_and_count_what_happened() {
    let place = Place::new().await;
    let mut server = place.serve(&["--metrics", "127.0.0.1:0", "--grace", "60"]);
    let inside = server.inside();
    assert_eq!(server.ask("GET", "/metrics").status, 404);
    assert_eq!(server.ask("GET", "/readyz").status, 200);
    let answer = ask(inside, "GET", "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "seqvault_ready 1",
        "seqvault_folds_kept 1",
        "seqvault_build_info{version=\"0.1.0\"",
        "seqvault_requests_total{method=\"GET\",route=\"/readyz\",status=\"200\"} 1",
        "seqvault_request_duration_seconds_count{route=\"/readyz\"} 1",
    ] {
        assert!(answer.body.lines().any(|found| found.starts_with(line)), "no {line} in {}", answer.body);
    }
    let number = |name: &str| -> f64 {
        let line = answer.body.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(number("process_resident_memory_bytes") > 1e6 && number("process_open_fds") > 5.0);
    assert!(number("process_start_time_seconds") > 1.7e9);
    assert!(answer.body.ends_with("# EOF\n"));
    let (code, out, _) = place.run(&["--is-ready", &inside.to_string()]);
    assert_eq!((code, out.as_str()), (0, "ready\n"));
    // Who watches sees it go down: this listener outlasts the others.
    let slow = server.begin("GET /healthz HTTP/1.1\r\nHost: x\r\n");
    server.signal("TERM");
    server.wait_for_log("stopping");
    let down = wait_for("an answer", || Some(ask(inside, "GET", "/readyz")));
    assert_eq!((down.status, &down.json()["type"]), (503, &"urn:seqvault:problem:stopping".into()));
    let (code, line) = place.refused(&["--is-ready", &inside.to_string()]);
    assert!(code == 1 && line.contains("not ready") && line.contains("stopping"), "{line}");
    drop(slow);
    assert_eq!(server.end(), 0);
}
