//! Who may say what: each kind, well formed and in its right time, by everybody. Spec section 5.

use vault_core::ids::Digest;
use vault_core::ledger::statement::*;

use super::world::*;

const EVERYBODY: [&str; 13] =
    ["anna", "axel", "mallory", "olga", "otto", "reco", "rita", "rolf", "stella", "sven", "ulf", "uma", "xeno"];

/// Asserts that exactly these people may say it in the dataset.
#[track_caller]
fn only(w: &World, body: &Body, allowed: &[&str]) {
    let mut may: Vec<&str> = EVERYBODY.into_iter().filter(|name| w.allows(name, body.clone())).collect();
    may.sort_unstable();
    assert_eq!(may, allowed, "{}", body.kind());
}

/// Asserts that exactly these people may say it in the vault.
#[track_caller]
fn vault_only(w: &World, body: &Body, allowed: &[&str]) {
    let may = |name: &&str| {
        let stored = w.sign(name, &w.vault_draft(name, body.clone()));
        w.would(&vault_core::ids::LedgerId::Vault, stored) == Applied
    };
    let mut who: Vec<&str> = EVERYBODY.into_iter().filter(may).collect();
    who.sort_unstable();
    assert_eq!(who, allowed, "{}", body.kind());
}

#[test]
fn in_a_dataset() {
    let mut w = World::with_dataset();
    let manifest = w.uploads("uma");
    let (upload, opened) = w.upload_opened();
    w.does("uma", opened);
    w.add_card("rita/2");
    let stewards = ["stella", "sven"];
    let stop = ["olga", "otto", "stella", "sven"];

    let amended = FactsAmended {
        facts: Facts::default(),
        level: 2,
        reservations: vec![],
        suspends: Set::default(),
        why: text("x"),
    };
    only(&w, &Body::FactsAmended(amended), &stewards);
    let graded = GradeConfirmed { facts: w.data().facts().digest(), level: 1 };
    only(&w, &Body::GradeConfirmed(graded), &["anna", "axel"]);
    only(&w, &Body::UploaderSet(UploaderSet { member: member("rolf"), on: true }), &stewards);
    let cards: Vec<_> = w.data().recovery().iter().copied().collect();
    only(
        &w,
        &Body::RecoverySet(RecoverySet { cards: cards.into_iter().collect(), seals: Set::default() }),
        &["stella"],
    );
    only(&w, &Body::RecoverySet(RecoverySet { cards: Set::default(), seals: Set::default() }), &["stella"]);
    for name in ["rolf", "rita", "sven", "mallory", "uma", "olga"] {
        let granted = w.granted(name);
        only(&w, &granted, &["stella"]);
    }
    let card = w.card("rita/2");
    let sealed = w.card_sealed("rita", &[card]);
    only(&w, &sealed, &["rita", "stella"]);
    let grant = w.data().grants()[&member("rita")].entry;
    only(&w, &Body::AgreementAccepted(AgreementAccepted { agreement: Digest([0; 32]), grant }), &["rita"]);
    let members: Set<_> = [member("rita")].into_iter().collect();
    only(&w, &Body::Suspended(Suspended { members: members.clone(), reason: text("x") }), &stop);
    only(&w, &Body::ConsentWithdrawn(ConsentWithdrawn { members, reason: text("x"), subjects: None }), &stop);
    only(&w, &revoked("rita"), &["olga", "otto", "rita", "stella", "sven"]);
    only(&w, &revoked("stella"), &stop);
    let attested = DestructionAttested { document: None, member: member("rita"), scope: text("all") };
    only(&w, &Body::DestructionAttested(attested), &["rita"]);
    let terms = DatasetDeletedTerms { reason: text("x") };
    only(&w, &Body::Proposed(w.proposed("dataset-deleted", &terms, None)), &stewards);
    only(&w, &Body::DatasetDeleted(DatasetDeleted { approval: None, terms }), &stewards);
    let (opened, revoking) = (w.epoch_opened(&[]), w.epoch_opened(&["rita"]));
    only(&w, &opened, &["stella"]);
    only(&w, &revoking, &["stella"]);
    for name in ["sven", "rita", "mallory", "olga"] {
        let reset = Body::EpochReset(w.reset(name));
        only(&w, &reset, &[]);
    }
    let (_, another) = w.upload_opened();
    only(&w, &another, &["stella", "sven", "ulf", "uma"]);
    only(&w, &Body::UploadExtended(UploadExtended { ends: w.now + 9 * DAY, upload }), &["uma"]);
    let commit = Body::UploadCommitted(w.commit(upload));
    only(&w, &commit, &["uma"]);
    only(&w, &Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("x") }), &stewards);
    let files = [1].into_iter().collect();
    only(&w, &Body::PathRemoved(PathRemoved { files, manifest, reason: text("x") }), &stewards);
    let closed = Body::UploadClosed(UploadClosed { reason: text("x"), upload });
    only(&w, &closed, &["uma"]);
    w.now += 2 * DAY;
    only(&w, &closed, &["olga", "otto", "stella", "sven", "uma"]);
    let all = ["anna", "axel", "mallory", "olga", "otto", "reco", "rita", "rolf", "stella", "sven", "ulf", "uma"];
    only(&w, &anchored(), &all);
    w.does("stella", opened);
    let closed = w.epoch_closed();
    only(&w, &closed, &["stella"]);
}

#[test]
fn in_the_vault() {
    let mut w = World::new();
    w.vault_does("olga", role("sven", Role::Steward, true));
    let officers = ["olga", "otto"];
    vault_only(&w, &w.enrolled("xeno"), &officers);
    vault_only(&w, &Body::MemberAmended(MemberAmended { info: info("x"), member: member("rita") }), &officers);
    w.new_card("rita/2");
    vault_only(&w, &w.card_added("rita/2", None), &["olga", "otto", "rita"]);
    vault_only(&w, &w.card_retired("rita"), &["olga", "otto", "rita"]);
    vault_only(&w, &member_retired("rita"), &["olga", "otto", "rita"]);
    vault_only(&w, &member_retired("olga"), &officers);
    for r in [Role::Officer, Role::Auditor, Role::Creator, Role::Steward, Role::Approver] {
        vault_only(&w, &role("rita", r, true), &officers);
        vault_only(&w, &role("rita", r, false), &officers);
    }
    vault_only(&w, &Body::OfficerRecovered(OfficerRecovered { member: member("rita") }), &["reco"]);
    vault_only(&w, &Body::PackSet(PackSet { hash: Digest([0; 32]), name: text("x"), on: true }), &officers);
    vault_only(&w, &Body::FormatRaised(FormatRaised { format: 2 }), &officers);
    let server = ServerSet { log_key: None, name: text("x"), on: true, witness_keys: vec![] };
    vault_only(&w, &Body::ServerSet(server), &officers);
    vault_only(&w, &seen(0), &officers);
    let hash = w.state.head().unwrap().hash;
    vault_only(&w, &w.recovered(RecoveryAction::Void, vault_core::ids::LedgerId::Vault, 1, hash), &officers);
    let key = SubjectKeySet { generation: 1, seals: Set::default() };
    vault_only(&w, &Body::SubjectKeySet(key), &["stella", "sven"]);
}

#[test]
fn who_left_says_nothing_once_that_is_cited() {
    let mut w = World::with_dataset();
    let manifest = w.uploads("uma");
    let removed = Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("spite") });
    let view = w.state.head();
    w.vault_does("olga", member_retired("stella"));
    w.vault_does("olga", role("sven", Role::Steward, false));
    let back_dated = |w: &World, name: &str| Statement { vault_head: view, ..w.dataset_draft(name, removed.clone()) };
    // The retirement is not cited yet: an entry that cites an older view still counts, alike for everybody.
    for name in ["stella", "sven"] {
        assert_eq!(w.would(&back_dated(&w, name).ledger, w.sign(name, &back_dated(&w, name))), Applied);
    }
    w.refuses("stella", removed.clone(), "unknown author");
    w.refuses("sven", removed.clone(), "not a steward");
    w.does("mallory", anchored());
    for name in ["stella", "sven"] {
        w.refuses_statement(name, &back_dated(&w, name), "older vault head");
    }
}

#[test]
fn the_uploading_host_can_not_stop_a_rotation() {
    let mut w = World::with_dataset();
    w.uploads("uma");
    let opened = w.epoch_opened(&["rita"]);
    // What it says between a steward's look and the steward's statement moves nothing that the steward counts.
    let (upload, body) = w.upload_opened();
    w.does("uma", body);
    let commit = Body::UploadCommitted(w.commit(upload));
    w.does("uma", commit);
    w.does("stella", opened);
    let closed = w.epoch_closed();
    w.uploads("uma");
    w.does(
        "ulf",
        w.dataset_draft(
            "ulf",
            Body::UploadOpened(UploadOpened { ends: w.now + 1, upload: vault_core::ids::UploadId([4; 16]) }),
        )
        .body,
    );
    w.does("stella", closed);
}

#[test]
fn nobody_is_kept_from_revoking_by_a_stale_epoch_or_an_old_view() {
    let mut w = World::with_dataset();
    let granted = w.granted("rolf");
    w.does("stella", granted);
    w.does("rita", revoked("rita"));
    w.now += 1000 * DAY;
    w.does("otto", revoked("rolf"));
    w.does("sven", revoked("stella"));
}

#[test]
fn a_card_that_an_officer_added_in_a_members_name_opens_nothing_by_itself() {
    let mut w = World::with_dataset();
    let granted = w.granted("sven");
    w.does("stella", granted);
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    // olga holds the key of this card and of no epoch.
    let card = w.new_card("stella/olga");
    w.vault_does("olga", w.card_added("stella/olga", None));
    let as_stella = |w: &World, body: Body, why: &'static str| {
        w.refuses_statement("stella/olga", &w.dataset_draft("stella/olga", body), why);
    };
    let not = "not a holder of the newest epoch";
    let (sealed, granted, opened) = (w.card_sealed("stella", &[card]), w.granted("rolf"), w.epoch_opened(&[]));
    as_stella(&w, sealed, not);
    as_stella(&w, granted, not);
    as_stella(&w, opened, not);
    let closed = w.epoch_closed();
    as_stella(&w, closed, "does not hold every unclosed epoch");

    // Nor where no steward holds it, for a steward of the officer's choice.
    w.new_card("rita/olga");
    w.vault_does("olga", w.card_added("rita/olga", None));
    w.vault_does("olga", role("mallory", Role::Steward, true));
    for name in ["stella", "sven"] {
        w.vault_does("olga", role(name, Role::Steward, false));
    }
    let granted = w.granted("mallory");
    w.refuses_statement("rita/olga", &w.dataset_draft("rita/olga", granted.clone()), not);
    w.does("rita", granted);
}
