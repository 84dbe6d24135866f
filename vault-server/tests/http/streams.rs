//! Packs that pass into a folder as they come: whatever ends one early leaves nothing and its name free, and slow ones keep no reader
//! waiting. Spec sections 7.1, 7.2 and 7.5.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::poll_fn;
use futures_util::stream::{self, StreamExt};
use http::Request;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use vault_core::ids::{LedgerId, PackName, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{Body as Said, MemberRetired, UploaderSet};
use vault_server::http::Settings;
use vault_server::wire::problem::Type;

use crate::client::{Answer, Asked, Served, whole};
use crate::common::{dataset, dataset_ledger, text};

/// Longer than what is held in memory and shorter than what would take long.
const LENGTH: usize = 3 << 19;

/// A vault in a folder with an open upload and a recipient, and its server.
struct Scene {
    served: Served,
    upload: UploadId,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let mut served = Served::with(settings).await;
        served.world.create_dataset().await;
        served.world.grant().await.unwrap();
        let upload = served.world.open_upload().await;
        Self { served, upload }
    }

    fn pack(&self, number: u8) -> ObjectName {
        ObjectName::Pack { dataset: dataset(), upload: self.upload, pack: PackName([number; 16]) }
    }

    /// The uploader's put of these bytes, of which `body` is what comes.
    fn put(&self, pack: &ObjectName, bytes: &Bytes, body: Body) -> Request<Body> {
        let asked = Asked::new(&self.served.world, "PUT", at(pack)).with(bytes.clone());
        let mut request = asked.by(&self.served.world.uploader);
        *request.body_mut() = body;
        request
    }

    fn spawn(&self, request: Request<Body>) -> JoinHandle<Answer> {
        let router = self.served.router.clone();
        tokio::spawn(async move { whole(router.oneshot(request).await.unwrap()).await })
    }

    /// The officer appends through the server.
    async fn say(&mut self, ledger: &LedgerId, body: Said) {
        let entry = self.served.world.sign(&self.served.world.officer, ledger, body);
        let target = format!("/v1/ledgers/{ledger}/entries/{}", self.served.world.next_seq(ledger));
        self.served.put(&self.served.world.officer, target, entry.clone()).await.ok(201);
        self.served.world.follow(ledger, &entry);
    }

    async fn leftovers(&self) -> usize {
        self.served.world.vault.store().leftovers(Duration::ZERO).await.unwrap().len()
    }

    /// Waits until so many packs are on their way into the folder.
    async fn on_their_way(&self, packs: usize) {
        let wait = async {
            while self.leftovers().await != packs {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "{} are on their way", self.leftovers().await);
    }

    /// Nothing has the name or lies beside it, and whoever brings the bytes gets them there.
    async fn is_free(&self, pack: &ObjectName, bytes: &Bytes) {
        assert_eq!(self.leftovers().await, 0);
        assert_eq!(self.served.world.vault.size(pack).await.unwrap(), None);
        self.takes(pack, bytes).await;
    }

    /// The honest upload, read again.
    async fn takes(&self, pack: &ObjectName, bytes: &Bytes) {
        self.served.put(&self.served.world.uploader, at(pack), bytes.clone()).await.ok(201);
        assert!(self.served.get(&self.served.world.recipient, at(pack)).await.ok(200).body == bytes);
        assert_eq!(self.leftovers().await, 0);
    }
}

fn at(name: &ObjectName) -> String {
    format!("/v1/objects/{name}")
}

fn noise() -> Bytes {
    (0..LENGTH).map(|n| (n / 7) as u8).collect()
}

/// A body that comes in pieces of 256 KiB.
fn in_pieces(bytes: &Bytes) -> Vec<io::Result<Bytes>> {
    let starts = (0..bytes.len()).step_by(256 << 10);
    starts.map(|from| Ok(bytes.slice(from..bytes.len().min(from + (256 << 10))))).collect()
}

/// A body whose last piece waits for a word.
fn held_back(bytes: &Bytes) -> (Body, oneshot::Sender<()>) {
    let (word, heard) = oneshot::channel();
    let last = bytes.slice(LENGTH - 1000..);
    let last = stream::once(async move { heard.await.map(|()| last).map_err(io::Error::other) });
    (Body::from_stream(stream::iter(in_pieces(&bytes.slice(..LENGTH - 1000))).chain(last)), word)
}

/// A future that is dropped once it has waited so often; what it came to, if that was earlier.
async fn given_up<T>(future: impl Future<Output = T>, after: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut waits = 0;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if waits == after => Poll::Ready(None),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    })
    .await
}

/// A future that is dropped when it is to go on and this is so; what it came to, if that was earlier.
async fn given_up_when<T>(future: impl Future<Output = T>, is_so: impl Fn() -> bool) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| if is_so() { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) }).await
}

/// Runs a test with one thread for what is done to files, which does all in its order: whoever asks what lies in the folder is answered after
/// everything that was begun before, also for a client that has hung up since.
fn in_order(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_another_leaves_nothing_and_the_name_free() {
    let scene = Scene::new().await;
    let bytes = noise();
    let mut other = bytes.to_vec();
    other[LENGTH / 2] ^= 1;
    let long = Bytes::from([&bytes[..], b"more"].concat());
    let mut broken = in_pieces(&bytes);
    broken.truncate(4);
    broken.push(Err(io::Error::other("reset")));
    let cases = [
        (broken, Type::Malformed),
        (in_pieces(&bytes.slice(..LENGTH - 1)), Type::Malformed),
        (in_pieces(&long), Type::Malformed),
        (in_pieces(&other.into()), Type::Digest),
        (Vec::new(), Type::Malformed),
    ];
    for (number, (body, problem)) in (1..).zip(cases) {
        let pack = scene.pack(number);
        let request = scene.put(&pack, &bytes, Body::from_stream(stream::iter(body)));
        scene.served.send(request).await.is(problem);
        scene.is_free(&pack, &bytes).await;
    }
}

#[test]
fn a_client_that_hangs_up_at_any_moment_leaves_nothing_or_all_of_its_pack() {
    in_order(async {
        let scene = Scene::new().await;
        let bytes = noise();
        let put = |pack: &ObjectName| {
            let request = scene.put(pack, &bytes, Body::from_stream(stream::iter(in_pieces(&bytes))));
            scene.served.send(request)
        };
        // At its first wait, at its second, and so on until it is answered before it hangs up.
        for waits in 0..=u8::MAX {
            let pack = scene.pack(waits);
            let answer = given_up(put(&pack), usize::from(waits)).await;
            assert_eq!(scene.leftovers().await, 0, "after {waits} waits");
            let size = scene.served.world.vault.size(&pack).await.unwrap();
            assert!(size.is_none_or(|size| size == LENGTH as u64), "a part has the name: {size:?}");
            assert!(size.is_none() || waits > 0, "it had not begun");
            scene.takes(&pack, &bytes).await;
            if let Some(answer) = answer {
                answer.ok(201);
                assert!(size.is_some() && waits > 0, "it is answered before it is there");
                return;
            }
        }
        panic!("it waits without end");
    });
}

#[test]
fn a_client_that_hangs_up_when_its_pack_has_its_name_leaves_all_of_it() {
    in_order(async {
        let scene = Scene::new().await;
        let bytes = noise();
        let folder = PathBuf::from(scene.served.world.vault.store().location());
        for number in 0..=u8::MAX {
            let pack = scene.pack(number);
            let at = folder.join(pack.to_string());
            let request = scene.put(&pack, &bytes, Body::from_stream(stream::iter(in_pieces(&bytes))));
            let answer = given_up_when(scene.served.send(request), || at.exists()).await;
            assert_eq!(scene.leftovers().await, 0);
            assert_eq!(scene.served.world.vault.size(&pack).await.unwrap(), Some(LENGTH as u64));
            scene.takes(&pack, &bytes).await;
            // An answer that was there by the next look is rare; then it is tried with another pack.
            let Some(answer) = answer else { return };
            answer.ok(201);
        }
        panic!("nobody ever hung up before the answer");
    });
}

#[tokio::test]
async fn who_hangs_up_while_its_body_is_awaited_leaves_nothing_and_the_name_free() {
    let scene = Scene::new().await;
    let (pack, bytes) = (scene.pack(1), noise());
    let (body, _word) = held_back(&bytes);
    let put = scene.spawn(scene.put(&pack, &bytes, body));
    scene.on_their_way(1).await;
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    scene.on_their_way(0).await;
    scene.is_free(&pack, &bytes).await;
}

#[tokio::test]
async fn who_may_upload_no_more_when_its_pack_has_come_leaves_nothing_and_the_name_free() {
    let mut scene = Scene::new().await;
    let (pack, bytes) = (scene.pack(1), noise());
    let member = scene.served.world.uploader.member.clone();
    let uploader = |on| Said::UploaderSet(UploaderSet { member: member.clone(), on });
    let retired = Said::MemberRetired(MemberRetired { member: member.clone(), reason: text("left") });
    let cases = [(dataset_ledger(), uploader(false), Type::NotAllowed), (LedgerId::Vault, retired, Type::UnknownCard)];
    for (number, (ledger, ends, problem)) in (1..).zip(cases) {
        let pack = scene.pack(number);
        let (body, word) = held_back(&bytes);
        let put = scene.spawn(scene.put(&pack, &bytes, body));
        scene.on_their_way(1).await;
        // What was judged within the last second is not judged again.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        scene.say(&ledger, ends).await;
        word.send(()).unwrap();
        put.await.unwrap().is(problem);
        assert_eq!((scene.leftovers().await, scene.served.world.vault.size(&pack).await.unwrap()), (0, None));
        if ledger == dataset_ledger() {
            scene.say(&ledger, uploader(true)).await;
            scene.is_free(&pack, &bytes).await;
        }
    }
    // Nobody else may fill a retired member's upload; that its second name is free shows in the store.
    scene.served.put(&scene.served.world.uploader, at(&pack), bytes.clone()).await.is(Type::UnknownCard);
    scene.served.world.vault.put(&scene.pack(2), bytes).await.unwrap();
}

#[tokio::test]
async fn bodies_that_come_slowly_keep_no_reader_waiting_and_slow_readers_no_body() {
    let patience = Duration::from_millis(300);
    let scene = Scene::with(Settings { transfers: 1, patience, ..Settings::default() }).await;
    let bytes = noise();
    let (there, slow, next) = (scene.pack(1), scene.pack(2), scene.pack(3));
    let (uploader, recipient) = (&scene.served.world.uploader, &scene.served.world.recipient);
    scene.served.put(uploader, at(&there), bytes.clone()).await.ok(201);
    let (body, word) = held_back(&bytes);
    let put = scene.spawn(scene.put(&slow, &bytes, body));
    scene.on_their_way(1).await;
    scene.served.put(uploader, at(&next), bytes.clone()).await.is(Type::Busy);
    let read = scene.served.get(recipient, at(&there)).await.ok(200);
    assert!(read.body == bytes, "with the one place for bodies taken");
    assert!(!put.is_finished());
    word.send(()).unwrap();
    put.await.unwrap().ok(201);
    // The other way round: an answer that nobody takes.
    let request = Asked::new(&scene.served.world, "GET", at(&there)).by(recipient);
    let untaken = scene.served.router.clone().oneshot(request).await.unwrap();
    scene.served.get(recipient, at(&slow)).await.is(Type::Busy);
    scene.served.put(uploader, at(&next), bytes.clone()).await.ok(201);
    assert!(whole(untaken).await.ok(200).body == bytes);
}
