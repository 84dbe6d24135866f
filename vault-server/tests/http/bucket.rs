//! What a bucket adds: links straight to it, and packs that pass through without being held. Spec section 7.4.

use axum::body::Body;
use futures_util::StreamExt;
use vault_core::ids::{LedgerId, PackName};
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{Body as Said, MemberRetired, Revoked};
use vault_server::http::Settings;
use vault_server::store::{Environment, S3Location, Store};
use vault_server::wire::problem::Type;
use vault_server::wire::{Hello, Link, Links, LinksWanted, PutWanted};
use vault_tests::seaweed::SeaweedFs;

use crate::client::{Asked, Served, now};
use crate::common::{World, dataset, dataset_ledger, text};

async fn served(settings: Settings) -> Served {
    let server = SeaweedFs::shared();
    let location: S3Location = server.location(&format!("{}/vault", server.new_bucket())).parse().unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", server.key()), ("AWS_SECRET_ACCESS_KEY", server.secret())];
    let environment: Environment = keys.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let store = Store::open_s3_in(&location, &environment).await.unwrap();
    let mut world = World::in_store(store).await;
    world.create_dataset().await;
    Served::over(None, world, settings).await
}

fn at(name: &ObjectName) -> String {
    format!("/v1/objects/{name}")
}

fn wanted(get: &[&ObjectName], put: &[(&ObjectName, u64)]) -> Vec<u8> {
    let wanted = LinksWanted {
        get: get.iter().map(ToString::to_string).collect(),
        put: put.iter().map(|(name, length)| PutWanted { name: name.to_string(), length: *length }).collect(),
    };
    serde_json::to_vec(&wanted).unwrap()
}

async fn follow(link: &Link, body: &'static [u8]) -> (u16, Vec<u8>) {
    let mut request = reqwest::Client::new().request(link.method.parse().unwrap(), &link.url);
    for (name, value) in &link.headers {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn links_read_and_write_packs_and_nothing_else() {
    let mut served = served(Settings::default()).await;
    let request = http::Request::get("/v1/vault").body(Body::empty()).unwrap();
    assert!(served.send(request).await.ok(200).json::<Hello>().links);
    let upload = served.world.open_upload().await;
    let pack = |n| ObjectName::Pack { dataset: dataset(), upload, pack: PackName([n; 16]) };
    let (one, two) = (pack(1), pack(2));
    let links: Links =
        served.post(&served.world.uploader, "/v1/links", wanted(&[&two], &[(&one, 5)])).await.ok(200).json();
    let [get, put] = links.links.as_slice() else { panic!("{links:?}") };
    assert_eq!((get.method.as_str(), put.method.as_str()), ("GET", "PUT"));
    assert_eq!((&get.name, &put.name), (&two.to_string(), &one.to_string()));
    assert!(get.expires.abs_diff(now() + 300) < 5 && put.expires.abs_diff(now() + 900) < 5);
    assert!(!format!("{links:?}").contains("ignature"), "a link's secret is not printed");
    assert_eq!(follow(get, b"").await.0, 404);
    assert_eq!(follow(put, b"bytes").await.0, 200);
    assert_eq!(follow(put, b"other").await.0, 412, "never overwrites");
    let target = at(&one);
    served.world.grant().await.unwrap();
    assert_eq!(served.get(&served.world.recipient, target.as_str()).await.ok(200).body, "bytes");
    let links: Links = served.post(&served.world.recipient, "/v1/links", wanted(&[&one], &[])).await.ok(200).json();
    assert_eq!(follow(&links.links[0], b"").await, (200, b"bytes".to_vec()));
    // Only by who may, only packs, none too long, not too many.
    let ask = |who, body| served.post(who, "/v1/links", body);
    ask(&served.world.recipient, wanted(&[], &[(&one, 5)])).await.is(Type::NotAllowed);
    ask(&served.world.uploader, wanted(&[&ObjectName::FormatMarker], &[])).await.is(Type::NotAllowed);
    ask(&served.world.uploader, wanted(&[], &[(&two, 33_554_433)])).await.is(Type::Malformed);
    ask(&served.world.uploader, wanted(&[], &[(&two, 0)])).await.is(Type::Malformed);
    ask(&served.world.uploader, wanted(&vec![&one; 65], &[])).await.is(Type::Malformed);
    ask(&served.world.uploader, b"{\"get\":[\"x\"]}".to_vec()).await.is(Type::Malformed);
    let body = Revoked { member: served.world.recipient.member.clone(), reason: text("over") };
    served.world.say(&dataset_ledger(), Said::Revoked(body)).await;
    served.post(&served.world.recipient, "/v1/links", wanted(&[&one], &[])).await.is(Type::NotAllowed);
}

#[tokio::test]
async fn a_member_holds_so_many_links_and_a_server_may_give_none() {
    let served_few = served(Settings { held_links: 3, ..Settings::default() }).await;
    let pack = |n| ObjectName::Pack {
        dataset: dataset(),
        upload: vault_core::ids::UploadId([1; 16]),
        pack: PackName([n; 16]),
    };
    let (a, b) = (pack(1), pack(2));
    served_few.post(&served_few.world.officer, "/v1/links", wanted(&[&a, &b], &[])).await.ok(200);
    let answer = served_few.post(&served_few.world.officer, "/v1/links", wanted(&[&a, &b], &[])).await;
    answer.is(Type::Quota);
    assert!(answer.headers.contains_key("retry-after"));
    let without = served(Settings { links: false, ..Settings::default() }).await;
    without.post(&without.world.officer, "/v1/links", wanted(&[&a], &[])).await.is(Type::NoLinks);
}

#[tokio::test]
async fn packs_pass_through_and_a_changed_one_leaves_nothing() {
    let mut served = served(Settings::default()).await;
    let upload = served.world.open_upload().await;
    served.world.grant().await.unwrap();
    let pack = |n| ObjectName::Pack { dataset: dataset(), upload, pack: PackName([n; 16]) };
    let bytes: Vec<u8> = (0..9_000_000u32).map(|n| (n / 7) as u8).collect();
    let (one, two) = (pack(1), pack(2));
    served.put(&served.world.uploader, at(&one), bytes.clone()).await.ok(201);
    served.put(&served.world.uploader, at(&one), bytes.clone()).await.ok(201);
    let mut other = bytes.clone();
    other[4_000_000] ^= 1;
    served.put(&served.world.uploader, at(&one), other.clone()).await.is(Type::Differs);
    assert!(served.get(&served.world.recipient, at(&one)).await.ok(200).body == bytes);
    let ask = |range| Asked { range: Some(range), ..Asked::new(&served.world, "GET", at(&one)) };
    let part = served.send(ask("bytes=1000000-4999999").by(&served.world.recipient)).await.ok(206);
    assert!(part.body == bytes[1_000_000..5_000_000]);
    let problem = served.send(ask("bytes=1000000-9000000").by(&served.world.recipient)).await.is(Type::Range);
    assert_eq!(problem.size, Some(9_000_000));
    assert_eq!(
        served.send(ask("bytes=9000000-9000001").by(&served.world.recipient)).await.is(Type::Range).size,
        Some(9_000_000)
    );
    served.get(&served.world.recipient, at(&two)).await.is(Type::NotFound);
    for body in [Body::from(other), Body::from(bytes[..8_000_000].to_vec())] {
        let mut request = Asked::new(&served.world, "PUT", at(&two)).with(bytes.clone()).by(&served.world.uploader);
        *request.body_mut() = body;
        let answer = served.send(request).await;
        assert!(matches!(answer.problem().of(), Some(Type::Digest | Type::Malformed)), "{answer:?}");
        assert_eq!(served.world.vault.size(&two).await.unwrap(), None);
    }
    served.put(&served.world.uploader, at(&two), bytes).await.ok(201);
}

#[tokio::test]
async fn who_is_retired_while_a_pack_passes_through_stores_nothing() {
    let mut served = served(Settings::default()).await;
    let upload = served.world.open_upload().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    let bytes = bytes::Bytes::from(vec![7; 3 << 20]);
    let mut request = Asked::new(&served.world, "PUT", at(&pack)).with(bytes.clone()).by(&served.world.uploader);
    let (send, rest) = tokio::sync::oneshot::channel();
    let first = bytes.slice(..2 << 20);
    let parts = futures_util::stream::iter([Ok(first)]);
    let parts = parts.chain(futures_util::stream::once(async move { rest.await.map_err(std::io::Error::other) }));
    *request.body_mut() = Body::from_stream(parts);
    let retired = MemberRetired { member: served.world.uploader.member.clone(), reason: text("left") };
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let entry = served.world.sign(&served.world.officer, &LedgerId::Vault, Said::MemberRetired(retired));
        let target = format!("/v1/ledgers/vault/entries/{}", served.world.next_seq(&LedgerId::Vault));
        served.put(&served.world.officer, target, entry).await.ok(201);
        send.send(bytes.slice(2 << 20..)).unwrap();
    };
    let (answer, ()) = tokio::join!(served.send(request), meanwhile);
    answer.is(Type::UnknownCard);
    assert_eq!(served.world.vault.size(&pack).await.unwrap(), None);
}
