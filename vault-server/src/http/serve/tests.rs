//! Slow and rude clients against a listener with routes of its own; what the routes of the vault do with them is tested there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use axum::routing::{get, post};
use futures_util::stream;

use super::*;
use crate::http::trace::{Watch, watched};

/// Long for a test, short for a person.
const PATIENCE: Duration = Duration::from_secs(1);

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    shared: Shared,
    metrics: Arc<Metrics>,
}

fn timeouts() -> Timeouts {
    Timeouts { headers: PATIENCE, body: PATIENCE, handshake: PATIENCE, grace: PATIENCE }
}

async fn echo(body: Body) -> Result<Bytes, http::StatusCode> {
    axum::body::to_bytes(body, 1 << 20).await.map_err(|_| http::StatusCode::REQUEST_TIMEOUT)
}

/// More than the buffers of two systems hold.
async fn flood() -> Body {
    let chunk = Bytes::from(vec![7u8; 1 << 20]);
    Body::from_stream(stream::iter((0..64).map(move |_| Ok::<_, io::Error>(chunk.clone()))))
}

async fn wait() -> &'static str {
    tokio::time::sleep(PATIENCE / 2).await;
    "waited"
}

/// A store that takes its time.
async fn halting() -> Body {
    let pieces = stream::unfold(0, async |n: u32| {
        tokio::time::sleep(PATIENCE * 3 / 2).await;
        (n < 2).then_some((Ok::<_, io::Error>(Bytes::from_static(b"piece")), n + 1))
    });
    Body::from_stream(pieces)
}

async fn panics() -> &'static str {
    panic!("a secret stands here")
}

async fn start(most: usize) -> Running {
    start_with(most, None).await
}

async fn start_with(most: usize, share: Option<usize>) -> Running {
    let metrics = Metrics::new(None);
    let app = Router::new()
        .route("/echo", post(echo))
        .route("/flood", get(flood))
        .route("/wait", get(wait))
        .route("/halting", get(halting))
        .route("/panics", get(panics));
    let watch = Watch { metrics: Arc::clone(&metrics), body_timeout: PATIENCE, behind_proxy: false };
    let (stop, stopping) = watch::channel(false);
    let mut shared = Shared::new(watched(app, watch), timeouts(), most, Arc::clone(&metrics), stopping);
    if let Some(share) = share {
        shared = shared.with_share(share);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(shared.clone().accept(listener));
    Running { address, stop, shared, metrics }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Everything until the peer ends it.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection_however_it_trickles() {
    let running = start(8).await;
    // What begins as HTTP/2 does has another bound: a minute without a request.
    for begin in ["", "G", "P", "PR", "GET / HTTP/1.1\r\nX: "] {
        let address = running.address;
        let took = blocking(move || {
            let mut stream = connect(address);
            stream.write_all(begin.as_bytes()).unwrap();
            let began = Instant::now();
            let mut trickle = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                while !begin.is_empty() && begin.len() > 3 && trickle.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let said = rest(&mut stream);
            assert!(!said.contains(" 200 "), "{said}");
            began.elapsed()
        })
        .await;
        assert!(took >= PATIENCE / 2 && took < PATIENCE * 5, "{begin:?} was ended after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stands_still_or_trickles_is_given_up() {
    let running = start(8).await;
    for pause in [Duration::from_secs(60), Duration::from_millis(50)] {
        let address = running.address;
        let (said, took) = blocking(move || {
            let mut stream = connect(address);
            stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").unwrap();
            let began = Instant::now();
            let mut trickle = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                while trickle.write_all(b"x").is_ok() {
                    std::thread::sleep(pause);
                }
            });
            (rest(&mut stream), began.elapsed())
        })
        .await;
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        assert!(took >= PATIENCE / 2 && took < PATIENCE * 5, "given up after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_body_may_take_as_long_as_it_likes() {
    let running = start(8).await;
    let address = running.address;
    let said = blocking(move || {
        let mut stream = connect(address);
        stream
            .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20480\r\n\r\n")
            .unwrap();
        for _ in 0..5 {
            std::thread::sleep(PATIENCE * 2 / 5);
            stream.write_all(&[b'x'; 4096]).unwrap();
        }
        rest(&mut stream)
    })
    .await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("xxx"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let running = start(8).await;
    let mut stream = connect(running.address);
    stream.write_all(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let began = Instant::now();
    while running.shared.connections.available_permits() == 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while running.shared.connections.available_permits() < 8 {
        assert!(began.elapsed() < PATIENCE * 10, "it is still served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(running.metrics.text().contains("seqvault_requests_in_flight 0"), "{}", running.metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_a_place_that_is_free_again_is_given() {
    let running = start(3).await;
    let address = running.address;
    blocking(move || {
        let held: Vec<_> = (0..3).map(|_| connect(address)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let mut refused = connect(address);
        assert!(rest(&mut refused).starts_with("HTTP/1.1 503"));
        drop(held);
        std::thread::sleep(Duration::from_millis(200));
        let mut served = connect(address);
        served.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(&mut served).ends_with("waited"));
    })
    .await;
    let text = running.metrics.text();
    assert!(text.contains("seqvault_connections_arrived_total{outcome=\"refused\"} 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_share_of_the_connections() {
    let running = start_with(8, Some(2)).await;
    let address = running.address;
    blocking(move || {
        let held: Vec<_> = (0..2).map(|_| connect(address)).collect();
        std::thread::sleep(Duration::from_millis(200));
        assert!(rest(&mut connect(address)).starts_with("HTTP/1.1 503"));
        drop(held);
        std::thread::sleep(Duration::from_millis(200));
        let mut served = connect(address);
        served.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(&mut served).ends_with("waited"));
    })
    .await;
    // A connection gives its place back a moment after its peer has read all.
    let began = Instant::now();
    while running.shared.connections.available_permits() < 8 {
        assert!(began.elapsed() < PATIENCE * 10, "a place is kept");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_problem_and_the_next_request_is_served_on_the_same_connection() {
    let running = start(8).await;
    let address = running.address;
    let said = blocking(move || {
        let mut stream = connect(address);
        stream.write_all(b"GET /panics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        rest(&mut stream)
    })
    .await;
    assert!(said.starts_with("HTTP/1.1 500") && said.contains("urn:seqvault:problem:internal"), "{said}");
    assert!(said.ends_with("waited") && !said.contains("secret"), "{said}");
    let text = running.metrics.text();
    for line in [
        "seqvault_panics_total 1",
        "seqvault_problems_total{problem=\"internal\"} 1",
        "seqvault_requests_total{method=\"GET\",route=\"/panics\",status=\"500\"} 1",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_work_ends_before_the_server_does_in_both_versions() {
    for second in [false, true] {
        let running = start(8).await;
        let client = reqwest::Client::builder().no_proxy();
        let client = if second { client.http2_prior_knowledge() } else { client.http1_only() }.build().unwrap();
        let url = format!("http://{}/wait", running.address);
        let asked = tokio::spawn(async move { client.get(url).send().await.unwrap().text().await.unwrap() });
        tokio::time::sleep(PATIENCE / 4).await;
        running.stop.send(true).unwrap();
        assert_eq!(running.shared.drained(PATIENCE * 5).await, 0);
        assert_eq!(asked.await.unwrap(), "waited");
        assert!(TcpStream::connect(running.address).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_outlast_the_grace_are_counted() {
    let running = start(8).await;
    let mut stream = connect(running.address);
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(true).unwrap();
    assert_eq!(running.shared.drained(PATIENCE / 5).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_server_itself_waits_for_is_not_given_up() {
    let running = start(8).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/halting", running.address);
    assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), "piecepiece");
}
