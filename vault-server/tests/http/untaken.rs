//! Clients of HTTP/2 that ask and do not take: over a socket, with windows of their choice. Spec section 7.5.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vault_core::ids::PackName;
use vault_core::layout::ObjectName;
use vault_server::config::Timeouts;
use vault_server::http::Settings;
use vault_server::http::metrics::Metrics;
use vault_server::http::serve::Shared;
use vault_server::http::trace::{Watch, watched};

use crate::client::{Asked, Served};
use crate::common::dataset;

/// Long for a test, short for a person.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server at a port.
struct Listening {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    _stop: watch::Sender<bool>,
}

async fn listen(served: &Served, patience: Duration) -> Listening {
    let metrics = Metrics::new(None);
    let timeouts = Timeouts { headers: patience, body: patience, handshake: patience, grace: patience };
    let watch = Watch { metrics: Arc::clone(&metrics), body_timeout: patience, behind_proxy: false };
    let (stop, stopping) = watch::channel(false);
    let shared = Shared::new(watched(served.router.clone(), watch), timeouts, 8, Arc::clone(&metrics), stopping);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(shared.accept(listener));
    Listening { address, metrics, _stop: stop }
}

/// A connection on which each answer may send so many bytes before something of it is taken.
async fn connect(to: &Listening, window: u32) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(to.address).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (client, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (client, tokio::spawn(connection))
}

/// A dataset with a pack that its recipient may read.
async fn with_pack(settings: Settings, length: usize) -> (Served, ObjectName) {
    let mut served = Served::with(settings).await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    served.world.grant().await.unwrap();
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    served.put(&served.world.uploader, format!("/v1/objects/{pack}"), vec![7; length]).await.ok(201);
    (served, pack)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_its_answers_no_window_loses_its_connection_and_all_places() {
    let settings = Settings { transfers: 1, taken: PATIENCE, ..Settings::default() };
    let (served, pack) = with_pack(settings, 3 << 20).await;
    let target = format!("/v1/objects/{pack}");
    let listening = listen(&served, PATIENCE).await;
    let (client, connection) = connect(&listening, 0).await;
    let mut asked = Vec::new();
    for _ in 0..20 {
        let (mut client, request) =
            (client.clone(), Asked::new(&served.world, "GET", &target).by(&served.world.recipient));
        asked.push(tokio::spawn(async move {
            // The head comes, and nothing of the body is asked for.
            let answer = client.send_request(request).await;
            tokio::time::sleep(PATIENCE * 60).await;
            drop(answer);
        }));
    }
    let began = Instant::now();
    // All of them, if the machine is quick enough: after its patience the server has ended them.
    while !listening.metrics.text().contains("seqvault_requests_in_flight 20\n") && !connection.is_finished() {
        assert!(began.elapsed() < PATIENCE * 30, "{}", listening.metrics.text());
        tokio::time::sleep(PATIENCE / 50).await;
    }
    let began = Instant::now();
    let read = served.get(&served.world.officer, &target).await.ok(200);
    assert!(read.body.len() == 3 << 20 && began.elapsed() < PATIENCE * 15, "{:?}", began.elapsed());
    let ended = tokio::time::timeout(PATIENCE * 20, connection).await;
    assert!(ended.is_ok(), "the connection is still served");
    while !listening.metrics.text().contains("seqvault_requests_in_flight 0\n") {
        assert!(began.elapsed() < PATIENCE * 40, "{}", listening.metrics.text());
        tokio::time::sleep(PATIENCE / 20).await;
    }
    assert!(listening.metrics.text().contains("seqvault_connections 0\n"), "{}", listening.metrics.text());
    served.get(&served.world.recipient, &target).await.ok(200);
    for one in asked {
        one.abort();
    }
}

/// Asks for an object and takes 16 KiB of it each so often; the bytes that it got when it was given up.
fn trickle(client: &SendRequest<Body>, request: http::Request<Body>, pause: Duration) -> JoinHandle<usize> {
    let mut client = client.clone();
    tokio::spawn(async move {
        let (mut body, mut taken) = (client.send_request(request).await.unwrap().into_body(), 0);
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, bytes::Bytes::len);
            tokio::time::sleep(pause).await;
        }
        taken
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_little_now_and_then_holds_a_quarter_of_the_transfers_and_not_for_long() {
    let patience = PATIENCE * 2;
    let settings = Settings { transfers: 4, taken: patience, ..Settings::default() };
    let (served, pack) = with_pack(settings, 3 << 20).await;
    let target = format!("/v1/objects/{pack}");
    let listening = listen(&served, patience).await;
    let (client, _connection) = connect(&listening, 16 << 10).await;
    let asked = || Asked::new(&served.world, "GET", &target).by(&served.world.recipient);
    let mut waited = Vec::new();
    // Without a share of each member's, others wait each time until one of these is given up; on a busy machine it takes long now and then.
    while waited.iter().all(|waited| *waited >= patience) {
        assert!(waited.len() < 4, "one member has one place of four: {waited:?}");
        // Within the patience for a piece, and a quarter of the least rate.
        let slow: Vec<_> = (0..4).map(|_| trickle(&client, asked(), patience * 9 / 10)).collect();
        tokio::time::sleep(patience / 4).await;
        let began = Instant::now();
        served.get(&served.world.officer, &target).await.ok(200);
        waited.push(began.elapsed());
        for one in slow {
            let taken = tokio::time::timeout(PATIENCE * 60, one).await.unwrap().unwrap();
            assert!(taken < 1 << 20, "{taken} bytes went out at a trickle");
        }
    }
    served.get(&served.world.recipient, &target).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn short_answers_that_nobody_takes_end_their_connection_too() {
    let served = Served::with(Settings { taken: PATIENCE, ..Settings::default() }).await;
    let listening = listen(&served, PATIENCE).await;
    let (mut client, connection) = connect(&listening, 0).await;
    let request = Asked::new(&served.world, "GET", "/v1/ledgers/vault/entries").by(&served.world.officer);
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(PATIENCE * 20, connection).await;
    assert!(ended.is_ok(), "the connection is still served");
    drop(answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_its_answer_whole() {
    // All of it takes longer than the patience for a piece.
    let patience = PATIENCE * 4;
    let (served, pack) = with_pack(Settings { taken: patience, ..Settings::default() }, 400 << 10).await;
    let listening = listen(&served, patience).await;
    let (mut client, _connection) = connect(&listening, 32 << 10).await;
    let request = Asked::new(&served.world, "GET", format!("/v1/objects/{pack}")).by(&served.world.recipient);
    let mut body = client.send_request(request).await.unwrap().into_body();
    let (mut read, began) = (0, Instant::now());
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
        tokio::time::sleep(PATIENCE / 4).await;
    }
    assert!(read == 400 << 10 && began.elapsed() > patience, "{read} bytes in {:?}", began.elapsed());
}
