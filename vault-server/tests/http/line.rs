//! The line of appends at a ledger, and places for deletions: what one member has done keeps nobody else waiting. Spec section 7.5.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;
use tower::ServiceExt;
use vault_core::ids::{Digest, ManifestId, PackName, UploadId};
use vault_core::layout::{ObjectName, upload_prefix};
use vault_core::ledger::statement::{Body, ManifestHash, PacksHash, Revoked, UploadCommitted, UploaderSet};
use vault_server::http::Settings;
use vault_server::store::Store;
use vault_server::wire::problem::Type;

use crate::client::{Answer, Asked, Served, whole};
use crate::common::{Person, World, dataset, dataset_ledger, text};

/// A store whose listings of uploads can be held, and are counted.
#[derive(Debug, Default)]
struct Gate {
    shut: AtomicBool,
    opened: Notify,
    /// Listings of uploads that were begun, and objects that they showed.
    listings: AtomicU64,
    shown: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Gated {
    inner: Arc<InMemory>,
    gate: Arc<Gate>,
}

impl Gate {
    async fn pass(&self) {
        self.listings.fetch_add(1, Ordering::SeqCst);
        let opened = self.opened.notified();
        if self.shut.load(Ordering::SeqCst) {
            opened.await;
        }
    }

    fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    fn listings(&self) -> u64 {
        self.listings.load(Ordering::SeqCst)
    }

    /// Waits until so many listings were begun.
    async fn begun(&self, listings: u64) {
        let wait = async {
            while self.listings() < listings {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    }
}

impl std::fmt::Display for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gated")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Gated {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let found = self.inner.list(prefix);
        if !prefix.is_some_and(|prefix| prefix.as_ref().starts_with("packs/")) {
            return found;
        }
        let (gate, counted) = (Arc::clone(&self.gate), Arc::clone(&self.gate));
        let found = found.inspect(move |_| _ = counted.shown.fetch_add(1, Ordering::SeqCst));
        stream::once(async move { gate.pass().await }).flat_map(move |()| stream::empty()).chain(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A dataset with a grant and an open upload, and its server.
struct Scene {
    served: Served,
    store: Gated,
    upload: UploadId,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let store = Gated::default();
        let mut world = World::in_store(Store::over(Arc::new(store.clone()), "a gated store")).await;
        world.create_dataset().await;
        world.grant().await.unwrap();
        let upload = world.open_upload().await;
        Self { served: Served::over(None, world, settings).await, store, upload }
    }

    fn commit(&self, manifests: Vec<ManifestHash>) -> Bytes {
        let body = Body::UploadCommitted(UploadCommitted { epoch: 1, manifests, upload: self.upload });
        self.served.world.sign(&self.served.world.uploader, &dataset_ledger(), body)
    }

    fn target(&self) -> String {
        format!("/v1/ledgers/{}/entries/{}", dataset_ledger(), self.served.world.next_seq(&dataset_ledger()))
    }

    /// The uploader's append, on its way.
    fn send(&self, entry: Bytes) -> tokio::task::JoinHandle<Answer> {
        let request = Asked::new(&self.served.world, "PUT", self.target()).with(entry).by(&self.served.world.uploader);
        let router = self.served.router.clone();
        tokio::spawn(async move { whole(router.oneshot(request).await.unwrap()).await })
    }

    /// The officer revokes, and is answered while all else waits for the gate.
    async fn revoke(&mut self) {
        let member = self.served.world.recipient.member.clone();
        self.say(Body::Revoked(Revoked { member, reason: text("over") })).await;
    }

    /// The officer appends, and nothing keeps that waiting.
    async fn say(&mut self, body: Body) {
        let entry = self.served.world.sign(&self.served.world.officer, &dataset_ledger(), body);
        let put = self.served.put(&self.served.world.officer, self.target(), entry.clone());
        tokio::time::timeout(Duration::from_secs(30), put).await.unwrap().ok(201);
        self.served.world.follow(&dataset_ledger(), &entry);
    }

    fn pack(&self, number: u64) -> ObjectName {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&number.to_be_bytes());
        ObjectName::Pack { dataset: dataset(), upload: self.upload, pack: PackName(name) }
    }

    /// Rubbish in the upload, as whoever has links may put it there.
    async fn litter(&self, packs: u64) {
        for number in 0..packs {
            let key = Key::from(self.pack(number).to_string());
            self.store.inner.put(&key, PutPayload::from_static(b"x")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_commit_that_takes_long_to_look_at_keeps_no_revocation_waiting() {
    let mut scene = Scene::new().await;
    scene.litter(5_000).await;
    let signed = scene.served.world.put_manifest(scene.upload, 1, &[9]).await;
    let gate = Arc::clone(&scene.store.gate);
    gate.shut.store(true, Ordering::SeqCst);
    let first = scene.send(scene.commit(vec![signed.clone()]));
    gate.begun(1).await;
    // More of the same stand behind the first: one of a member's is looked at, and none of them stands with the others'.
    let more: Vec<_> = (0..8).map(|_| scene.send(scene.commit(vec![signed.clone()]))).collect();
    scene.revoke().await;
    assert!(!first.is_finished() && more.iter().all(|one| !one.is_finished()));
    assert_eq!(gate.listings(), 1, "one listing, and that not in line");
    gate.open();
    first.await.unwrap().is(Type::Taken);
    for one in more {
        one.await.unwrap().is(Type::Taken);
    }
}

#[tokio::test]
async fn a_commit_that_lost_its_number_is_not_looked_at_again() {
    let mut scene = Scene::new().await;
    let signed = scene.served.world.put_manifest(scene.upload, 1, &[9]).await;
    let gate = Arc::clone(&scene.store.gate);
    gate.shut.store(true, Ordering::SeqCst);
    let first = scene.send(scene.commit(vec![signed.clone()]));
    gate.begun(1).await;
    let other = UploaderSet { member: scene.served.world.recipient.member.clone(), on: true };
    scene.say(Body::UploaderSet(other)).await;
    gate.open();
    first.await.unwrap().is(Type::Taken);
    scene.send(scene.commit(vec![signed])).await.unwrap().ok(201);
    assert_eq!(gate.listings(), 1, "whoever goes on losing would never be done");
}

#[tokio::test]
async fn an_upload_that_is_filled_with_rubbish_is_not_looked_through_and_whoever_repeats_that_waits() {
    const MOST: u64 = 1 << 17;
    let mut scene = Scene::new().await;
    scene.litter(MOST + 2_000).await;
    let lost = scene.served.world.put_manifest(scene.upload, 1, &[9]).await;
    let packs = scene.served.world.names(&upload_prefix(&dataset(), &scene.upload)).await;
    let named = packs.iter().find(|name| matches!(name, ObjectName::Pack { pack, .. } if pack.0[8..] != [0; 8]));
    scene.store.inner.delete(&Key::from(named.unwrap().to_string())).await.unwrap();
    let gate = Arc::clone(&scene.store.gate);
    gate.shown.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        scene.send(scene.commit(vec![lost.clone()])).await.unwrap().is(Type::Quota);
    }
    assert_eq!(gate.shown.swap(0, Ordering::SeqCst), 3 * (MOST + 1));
    let waits = scene.send(scene.commit(vec![lost])).await.unwrap();
    assert_eq!(waits.headers["retry-after"], "1");
    waits.is(Type::TooMany);
    assert_eq!(gate.shown.load(Ordering::SeqCst), 0, "nothing was looked at");
    scene.revoke().await;
}

#[tokio::test]
async fn a_commit_of_more_packs_than_an_upload_may_have_is_refused_by_its_words() {
    let mut scene = Scene::new().await;
    let mut signed = scene.served.world.put_manifest(scene.upload, 1, &[9]).await;
    let listings = scene.store.gate.listings();
    signed.packs = PacksHash { count: (1 << 17) + 1, ..signed.packs };
    scene.send(scene.commit(vec![signed.clone()])).await.unwrap().is(Type::Quota);
    // The count is right again, and the list that is named is not there.
    signed.packs = PacksHash { count: 1, list: Digest([5; 32]), ..signed.packs };
    signed.manifest = ManifestId([5; 16]);
    scene.send(scene.commit(vec![signed])).await.unwrap().is(Type::Missing);
    assert_eq!(scene.store.gate.listings(), listings, "the upload was not listed for either");
}

#[tokio::test]
async fn what_was_withdrawn_while_a_commit_stood_in_line_is_missed() {
    for _ in 0..5 {
        let mut scene = Scene::new().await;
        let signed = scene.served.world.put_manifest(scene.upload, 1, &[9]).await;
        let header =
            ObjectName::Header { dataset: dataset(), epoch: 1, manifest: signed.manifest, hash: signed.header };
        // Whoever has the turn keeps the commit in line for two seconds.
        let turn = format!("/v1/ledgers/{}/turn", dataset_ledger());
        let began = Instant::now();
        scene.served.post(&scene.served.world.officer, turn, "").await.ok(200);
        let commit = scene.send(scene.commit(vec![signed]));
        scene.store.gate.begun(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.served.delete(&scene.served.world.uploader, format!("/v1/objects/{header}")).await.ok(200);
        let is_in_time = began.elapsed() < Duration::from_millis(1900);
        let answer = commit.await.unwrap();
        // On a machine that stood still meanwhile the turn was over first, and this shows nothing.
        if is_in_time {
            assert_eq!(answer.is(Type::Missing).name, Some(header.to_string()));
            return;
        }
    }
    panic!("the machine is too slow for two seconds");
}

#[tokio::test]
async fn whoever_sweeps_has_one_place_and_none_of_those_for_closed_epochs() {
    let mut scene = Scene::with(Settings { patience: Duration::from_millis(300), ..Settings::default() }).await;
    let upload = scene.upload;
    scene.served.world.close_upload(upload).await;
    let gate = Arc::clone(&scene.store.gate);
    gate.shut.store(true, Ordering::SeqCst);
    let begun = gate.listings();
    let post = |who: &Person, what: &str, body: String| {
        let target = format!("/v1/datasets/{}/{what}", dataset());
        let request = Asked::new(&scene.served.world, "POST", target).with(body).by(who);
        let router = scene.served.router.clone();
        tokio::spawn(async move { whole(router.oneshot(request).await.unwrap()).await })
    };
    let (uploader, officer) = (&scene.served.world.uploader, &scene.served.world.officer);
    let sweep = || format!(r#"{{"upload":"{upload}"}}"#);
    let sweeps: Vec<_> = (0..6).map(|_| post(uploader, "sweep", sweep())).collect();
    gate.begun(begun + 1).await;
    let other = post(officer, "sweep", sweep());
    gate.begun(begun + 2).await;
    let epochs = post(officer, "delete-epochs", r#"{"below":5}"#.to_owned());
    let answer = tokio::time::timeout(Duration::from_secs(30), epochs).await.unwrap().unwrap();
    answer.is(Type::Conflict);
    while sweeps.iter().filter(|sweep| sweep.is_finished()).count() < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gate.listings(), begun + 2, "one of the uploader's runs, and the officer's");
    gate.open();
    other.await.unwrap().ok(200);
    let mut done = 0;
    for sweep in sweeps {
        let answer = sweep.await.unwrap();
        if answer.status == 200 {
            done += 1;
        } else {
            answer.is(Type::Busy);
        }
    }
    assert_eq!(done, 1);
}
