//! Objects and removals over requests. Spec sections 7.1 and 7.3.

use vault_core::ids::PackName;
use vault_core::layout::ObjectName;
use vault_server::wire::problem::Type;

use crate::client::{Asked, Served};
use crate::common::dataset;

fn at(name: &ObjectName) -> String {
    format!("/v1/objects/{name}")
}

#[tokio::test]
async fn a_pack_is_put_by_its_uploader_and_read_by_the_granted() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    let (world, bytes) = (&served.world, vec![7; 3 << 20]);
    served.put(&world.officer, at(&pack), bytes.clone()).await.is(Type::NotAllowed);
    served.put(&world.uploader, at(&pack), bytes.clone()).await.ok(201);
    served.put(&world.uploader, at(&pack), bytes.clone()).await.ok(201);
    served.put(&world.uploader, at(&pack), "other").await.is(Type::Differs);
    served.get(&world.recipient, at(&pack)).await.is(Type::NotAllowed);
    served.world.grant().await.unwrap();
    let world = &served.world;
    let answer = served.get(&world.recipient, at(&pack)).await.ok(200);
    assert!(answer.body == bytes && answer.headers["content-length"] == "3145728");
    let ask = |range| Asked { range: Some(range), ..Asked::new(world, "GET", at(&pack)) }.by(&world.recipient);
    let answer = served.send(ask("bytes=10-19")).await.ok(206);
    assert_eq!((answer.body.len(), &answer.headers["content-range"]), (10, &"bytes 10-19/3145728".parse().unwrap()));
    assert_eq!(served.send(ask("bytes=0-3145727")).await.ok(206).body.len(), 3 << 20);
    assert_eq!(served.send(ask("bytes=0-3145728")).await.is(Type::Range).size, Some(3 << 20));
    for bad in ["bytes=5-4", "bytes=-5", "bytes=5-", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2"] {
        served.send(ask(bad)).await.is(Type::Malformed);
    }
    let head = served.send(Asked::new(world, "HEAD", at(&pack)).by(&world.recipient)).await.ok(200);
    assert_eq!(head.headers["content-length"], "3145728");
    let none = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([2; 16]) };
    served.get(&world.recipient, at(&none)).await.is(Type::NotFound);
    served.get(&world.recipient, "/v1/objects/packs/x").await.is(Type::Malformed);
}
