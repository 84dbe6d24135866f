//! What somebody can open who had a grant: with the library, all identities and epoch keys ever held, and copies of the folder from every time.

use std::path::Path;

use vault_tests::world::World;

use crate::mallory::{Loot, custodian, loot, manifests};
use crate::story::{COHORT, nothing_is_in_clear, story};

/// What one person's keys open in these folders, all of them together.
fn loot_of(world: &World, name: &str, folders: &[&Path]) -> Loot {
    loot(&[&custodian(&world.person(name))], folders, COHORT)
}

fn put(world: &World, name: &str) {
    world.write(&format!("{name}/file"), name.as_bytes());
    world.person("seq").ok(&["put", COHORT, name]);
}

#[test]
fn a_member_opens_all_and_strangers_and_instruments_nothing() {
    let world = story();
    let vault = world.vault();
    nothing_is_in_clear(&world);
    for name in ["lab", "anna", "keeper"] {
        assert_eq!(loot_of(&world, name, &[&vault]).opens(&vault).len(), manifests(&vault), "{name}");
    }
    for name in ["eve", "officer", "seq"] {
        let loot = loot_of(&world, name, &[&vault]);
        assert_eq!((loot.epochs, loot.opens(&vault).len()), (0, 0), "{name}");
    }
}

#[test]
fn who_was_revoked_opens_nothing_that_was_committed_after_it_even_with_every_copy_of_the_folder() {
    let world = story();
    let before = world.save_vault("before");
    let old = manifests(&before);
    world.person("lab").ok(&["revoke", COHORT, "ben"]);
    put(&world, "first");
    let between = world.save_vault("between");
    world.person("deputy").ok(&["rotate", COHORT]);
    put(&world, "second");
    let vault = world.vault();
    let folders = [before.as_path(), &between, &vault];
    let ben = loot_of(&world, "ben", &folders);
    // What it could read it can still read: that is the limit which revocation has without re-encryption.
    assert_eq!(ben.opens(&before).len(), old);
    assert_eq!(ben.opens(&vault).len(), old);
    assert_eq!(manifests(&vault), old + 2);
    assert_eq!(loot_of(&world, "anna", &folders).opens(&vault).len(), old + 2);
    // Without an old copy its keys open nothing at all.
    let ben = loot_of(&world, "ben", &[&vault]);
    assert_eq!((ben.epochs, ben.opens(&vault).len()), (0, 0));
}

#[test]
fn after_a_re_encryption_old_keys_open_nothing_that_is_left() {
    let world = story();
    let before = world.save_vault("before");
    world.person("lab").ok(&["revoke", COHORT, "ben", "--reencrypt"]);
    put(&world, "later");
    let vault = world.vault();
    let ben = loot_of(&world, "ben", &[&before, &vault]);
    assert_eq!(ben.opens(&before).len(), manifests(&before));
    assert_eq!(ben.opens(&vault), []);
    let anna = loot_of(&world, "anna", &[&vault]);
    assert_eq!(anna.opens(&vault).len(), manifests(&vault));
}

#[test]
fn an_upload_that_was_sealed_before_a_revoke_and_committed_after_it_is_not_opened() {
    let world = story();
    let before = world.save_vault("before");
    world.write("news/today.txt", b"sealed meanwhile");
    // Before the pack, and before the commit: packs do not depend on the epoch, headers do.
    for point in ["any:2", "append:2"] {
        let world = world.copy();
        let before = world.path(before.file_name().unwrap().to_str().unwrap());
        let mut upload = world.person("seq").start_paused(point, &["put", COHORT, "news"]);
        assert!(upload.is_paused());
        world.person("lab").ok(&["revoke", COHORT, "ben"]);
        upload.finish().ok();
        let vault = world.vault();
        let ben = loot_of(&world, "ben", &[&before, &vault]);
        assert_eq!(ben.opens(&vault).len(), manifests(&before), "{point}");
        assert_eq!(loot_of(&world, "anna", &[&vault]).opens(&vault).len(), manifests(&before) + 1);
    }
}

#[test]
fn a_replaced_identity_opens_nothing_after_the_rotation() {
    let world = story();
    let anna = world.person("anna");
    let old = anna.ok(&["identity", "show"])["card"].as_str().unwrap().to_owned();
    anna.make_identity("anna-new");
    world.person("officer").ok(&["member", "replace-key", "anna", "--old", &old, "--card", "anna-new.card"]);
    world.person("lab").ok(&["rotate", COHORT]);
    put(&world, "later");
    let vault = world.vault();
    let stolen = loot(&[&custodian(&anna)], &[&vault], COHORT);
    assert_eq!((stolen.epochs, stolen.opens(&vault).len()), (0, 0));
    let new = loot(&[&custodian(&anna.with_identity("anna-new"))], &[&vault], COHORT);
    assert_eq!(new.opens(&vault).len(), manifests(&vault));
}

#[test]
fn whoever_pools_keys_gains_no_more_than_each_had() {
    let world = story();
    let before = world.save_vault("before");
    world.person("lab").ok(&["revoke", COHORT, "ben"]);
    put(&world, "later");
    let vault = world.vault();
    let [ben, eve, seq] = ["ben", "eve", "seq"].map(|name| custodian(&world.person(name)));
    let together = loot(&[&ben, &eve, &seq], &[&before, &vault], COHORT);
    assert_eq!(together.opens(&vault).len(), manifests(&before));
}
