//! What a signed request costs the server: `cargo test --release -p vault-server --test http -- --ignored cost --nocapture`.

use std::time::Instant;

use bytes::Bytes;
use tower::Service as _;
use vault_core::ids::PackName;
use vault_core::layout::ObjectName;
use vault_server::http::{Settings, router};

use crate::client::{Asked, Served, whole};
use crate::common::dataset;

const REQUESTS: usize = 2000;

/// Milliseconds of processor time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Ticks of ten milliseconds, user and system.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}

/// Makes all requests before any is sent, so that signing them does not count; sends them 32 at once.
async fn measure(what: &str, served: &Served, target: &str) {
    let asked: Vec<_> =
        (0..REQUESTS).map(|_| Asked::new(&served.world, "GET", target).by(&served.world.officer)).collect();
    let router = router(served.service.clone());
    let (began, before) = (Instant::now(), cpu());
    let requests = std::sync::Arc::new(std::sync::Mutex::new(asked));
    let workers: Vec<_> = (0..32)
        .map(|_| {
            let (requests, mut router) = (std::sync::Arc::clone(&requests), router.clone());
            tokio::spawn(async move {
                loop {
                    let next = requests.lock().unwrap().pop();
                    let Some(request) = next else { return };
                    let answer = whole(router.call(request).await.unwrap()).await;
                    assert!(answer.status.is_success(), "{answer:?}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let each = (cpu() - before) * 1000.0 / REQUESTS as f64;
    eprintln!(
        "{what}: {each:.0} us of processor a request, {:.0} a second",
        REQUESTS as f64 / began.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn cost_of_a_signed_request() {
    let settings = Settings { rate: 1_000_000, burst: 1_000_000, ..Settings::default() };
    let mut served = Served::with(settings).await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let name = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    served.world.vault.put(&name, Bytes::from_static(b"x")).await.unwrap();
    measure("entries of a ledger, all known", &served, "/v1/ledgers/vault/entries?from=4").await;
    measure("entries of a ledger", &served, "/v1/ledgers/dataset/cohort-7/entries").await;
    measure("an object", &served, &format!("/v1/objects/{name}")).await;
    measure("names of ledgers", &served, "/v1/ledgers").await;
}
