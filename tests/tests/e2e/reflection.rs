//! The mirror by which the tests look into a bucket: what is changed on either side comes to the other, and nothing else does.

use std::fs;

use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use vault_tests::left_out;
use vault_tests::mirror::{self, bucket, runtime};
use vault_tests::world::World;

#[test]
fn what_is_changed_on_one_side_is_changed_on_the_other() {
    left_out!(|place| !place.is_bucket(), "a folder needs no mirror");
    let world = World::new();
    let mirror = mirror::of(&world.path("vault"));
    let key = |name: &str| Key::from(format!("{}/{name}", mirror.prefix()));
    let put = |name: &str, bytes: &'static [u8]| runtime().block_on(bucket().put(&key(name), bytes.into())).unwrap();
    let there = |name: &str| runtime().block_on(async { bucket().get(&key(name)).await.ok()?.bytes().await.ok() });
    let here = |name: &str| fs::read(world.path("vault").join(name)).ok();
    assert!(!mirror.push(), "an empty world has changes");
    // From here to there: new, changed to the same length at once, deleted.
    world.write("vault/a/one", b"first");
    world.write("vault/a/b/two", b"");
    assert!(mirror.push());
    assert!(!mirror.push(), "something is pushed twice");
    assert_eq!((there("a/one").as_deref(), there("a/b/two").as_deref()), (Some(&b"first"[..]), Some(&b""[..])));
    for bytes in [b"secnd", b"third", b"first"] {
        world.write("vault/a/one", bytes);
        assert!(mirror.push());
        assert_eq!(there("a/one").unwrap(), bytes.as_slice());
    }
    fs::remove_dir_all(world.path("vault/a/b")).unwrap();
    assert!(mirror.push());
    assert_eq!(there("a/b/two"), None);
    // From there to here: the same.
    put("a/three", b"new");
    put("a/one", b"other");
    mirror.begin();
    mirror.end();
    mirror.refresh();
    assert_eq!((here("a/one").as_deref(), here("a/three").as_deref()), (Some(&b"other"[..]), Some(&b"new"[..])));
    assert!(!mirror.push(), "what came from there goes back");
    runtime().block_on(bucket().delete(&key("a/three"))).unwrap();
    runtime().block_on(bucket().delete(&key("a/one"))).unwrap();
    mirror.begin();
    mirror.refresh();
    mirror.end();
    assert_eq!(mirror.objects().len(), 0);
    assert!(!world.path("vault/a").exists(), "an empty folder stays");
    // A change here while there is one there: both count.
    world.write("vault/x", b"mine");
    put("y", b"theirs");
    mirror.refresh();
    assert_eq!((there("x").as_deref(), here("y").as_deref()), (Some(&b"mine"[..]), Some(&b"theirs"[..])));
    // A copy is a vault of its own.
    let copy = world.copy();
    fs::remove_file(copy.path("vault/x")).unwrap();
    assert_eq!(mirror::of(&copy.path("vault")).objects().into_keys().collect::<Vec<_>>(), ["y"]);
    assert_eq!(mirror.objects().len(), 2);
}
