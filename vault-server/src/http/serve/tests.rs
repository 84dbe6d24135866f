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
    /// Lets answers of `/held` go.
    go: Arc<Semaphore>,
}

impl Running {
    /// Waits until the metrics say this.
    async fn says(&self, line: &str) {
        says(&self.metrics, line).await;
    }
}

async fn says(metrics: &Metrics, line: &str) {
    let began = Instant::now();
    while !metrics.text().lines().any(|found| found == line) {
        assert!(began.elapsed() < PATIENCE * 30, "no {line} in {}", metrics.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn timeouts(all: Duration) -> Timeouts {
    Timeouts { headers: all, body: all, handshake: all, grace: all }
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
    start_with(most, None, PATIENCE).await
}

/// With a share for one address, and with so much patience for everything.
async fn start_with(most: usize, share: Option<usize>, patience: Duration) -> Running {
    let metrics = Metrics::new(None);
    let go = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&go);
    let app = Router::new()
        .route("/held", get(async move || held.acquire().await.map_or("", |_| "held")))
        .route("/echo", post(echo))
        .route("/flood", get(flood))
        .route("/wait", get(wait))
        .route("/halting", get(halting))
        .route("/panics", get(panics));
    let watch = Watch { metrics: Arc::clone(&metrics), body_timeout: patience, behind_proxy: false };
    let (stop, stopping) = watch::channel(false);
    let mut shared = Shared::new(watched(app, watch), timeouts(patience), most, Arc::clone(&metrics), stopping);
    if let Some(share) = share {
        shared = shared.with_share(share);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(shared.clone().accept(listener));
    Running { address, stop, shared, metrics, go }
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
        assert!(took >= PATIENCE / 2 && took < PATIENCE * 10, "{begin:?} was ended after {took:?}");
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
        assert!(took >= PATIENCE / 2 && took < PATIENCE * 10, "given up after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_body_may_take_as_long_as_it_likes() {
    // The whole takes longer than the patience, and no part comes near it.
    let patience = PATIENCE * 4;
    let running = start_with(8, None, patience).await;
    let address = running.address;
    let said = blocking(move || {
        let mut stream = connect(address);
        stream
            .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20480\r\n\r\n")
            .unwrap();
        for _ in 0..5 {
            std::thread::sleep(patience / 4);
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
    running.says("seqvault_connections_arrived_total{outcome=\"served\"} 1").await;
    while running.shared.connections.available_permits() < 8 {
        assert!(began.elapsed() < PATIENCE * 10, "it is still served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(running.metrics.text().contains("seqvault_requests_in_flight 0"), "{}", running.metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_a_place_that_is_free_again_is_given() {
    let running = start_with(3, None, PATIENCE * 60).await;
    is_told_and_served(&running, 3).await;
    let text = running.metrics.text();
    assert!(text.contains("seqvault_connections_arrived_total{outcome=\"refused\"} 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_share_of_the_connections() {
    let running = start_with(8, Some(2), PATIENCE * 60).await;
    is_told_and_served(&running, 2).await;
    // A connection gives its place back a moment after its peer has read all.
    running.says("seqvault_connections 0").await;
    assert_eq!(running.shared.connections.available_permits(), 8, "a place is kept");
}

/// Takes so many places, which are all; whoever comes next is refused, and is served when they are free again.
async fn is_told_and_served(running: &Running, places: usize) {
    let address = running.address;
    // Connections are accepted in their order.
    let held = blocking(move || {
        let held: Vec<_> = (0..places).map(|_| connect(address)).collect();
        assert!(rest(&mut connect(address)).starts_with("HTTP/1.1 503"));
        held
    })
    .await;
    drop(held);
    running.says(&format!("seqvault_connections_arrived_total{{outcome=\"unready\"}} {places}")).await;
    running.says("seqvault_connections 0").await;
    blocking(move || {
        let mut served = connect(address);
        served.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(&mut served).ends_with("waited"));
    })
    .await;
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
        let url = format!("http://{}/held", running.address);
        let asked = tokio::spawn(async move { client.get(url).send().await.unwrap().text().await.unwrap() });
        running.says("seqvault_requests_in_flight 1").await;
        running.stop.send(true).unwrap();
        assert_eq!(running.shared.drained(PATIENCE / 5).await, 1, "it did not wait");
        running.go.add_permits(1);
        assert_eq!(running.shared.drained(PATIENCE * 30).await, 0);
        assert_eq!(asked.await.unwrap(), "held");
        assert!(TcpStream::connect(running.address).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_outlast_the_grace_are_counted() {
    let running = start_with(8, None, PATIENCE * 60).await;
    let mut stream = connect(running.address);
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").unwrap();
    running.says("seqvault_requests_in_flight 1").await;
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
