//! Epochs of a dataset: who opens, closes and resets them, when one is stale. Spec section 5.4.

use vault_core::ledger::dataset::KeyPlace;
use vault_core::ledger::statement::*;

use super::world::*;

const EXACTLY: &str = "not sealed to exactly those who hold it";

fn stale(w: &World) -> bool {
    w.data().is_stale(&w.state, w.at())
}

/// A world in which stella is sealed to, and another steward besides.
fn two_stewards() -> World {
    let mut w = World::with_dataset();
    let granted = w.granted("sven");
    w.does("stella", granted);
    w
}

#[test]
fn an_epoch_is_opened_by_a_holder_for_exactly_the_holders() {
    let mut w = World::with_dataset();
    w.add_card("rita/2");
    let body = w.epoch(&[]);
    let sealed: Vec<&str> = body.seals.iter().map(|s| s.member.as_str()).collect();
    assert_eq!(sealed, ["reco", "rita", "rita", "stella"]);
    let opened = |bend: &dyn Fn(&mut EpochOpened)| {
        let mut body = body.clone();
        bend(&mut body);
        Body::EpochOpened(body)
    };
    for name in ["rita", "sven", "uma", "olga", "reco"] {
        w.refuses(name, opened(&|_| {}), "not a holder of the newest epoch");
    }
    w.refuses("stella", opened(&|b| b.epoch = 1), "not the next epoch");
    w.refuses("stella", opened(&|b| b.epoch = 3), "not the next epoch");
    w.refuses("stella", opened(&|b| b.public.0 = vec![0; 32]), "an invalid public key");
    w.refuses("stella", opened(&|b| b.public.0 = vec![1; 31]), "an invalid public key");
    let without = |b: &mut EpochOpened, gone: usize| {
        b.seals = b.seals.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, s)| s.clone()).collect();
    };
    for gone in 0..4 {
        w.refuses("stella", opened(&|b| without(b, gone)), EXACTLY);
    }
    let more = Seal { card: w.card("rolf"), member: member("rolf"), sha256: w.digest() };
    w.refuses("stella", opened(&|b| b.seals = b.seals.iter().chain([&more]).cloned().collect()), EXACTLY);
    let swap = Seal { member: member("mallory"), ..more };
    w.refuses("stella", opened(&|b| b.seals = b.seals.iter().skip(1).chain([&swap]).cloned().collect()), EXACTLY);
    let cardless = "not exactly the members without a card";
    w.refuses("stella", opened(&|b| b.unsealed = [member("rita")].into_iter().collect()), cardless);
    w.does("stella", opened(&|_| {}));
    assert_eq!((w.data().newest(), w.data().closed()), (2, 1));
}

#[test]
fn an_epoch_may_revoke_others_but_not_its_author() {
    let mut w = World::with_dataset();
    let body = w.epoch_opened(&["stella"]);
    w.refuses("stella", body, "revokes its author");
    let body = w.epoch_opened(&["rolf"]);
    w.refuses("stella", body, "the member has no grant");
    // It names her and still seals to her.
    let mut both = w.epoch(&[]);
    both.revokes = [member("rita")].into_iter().collect();
    w.refuses("stella", Body::EpochOpened(both), EXACTLY);
    let body = w.epoch_opened(&["rita"]);
    w.does("stella", body);
    assert!(!w.data().has_grant(&w.state, &member("rita"), w.at()));
    assert!(!stale(&w));
    assert!(!w.data().epochs()[&2].seals.keys().any(|(m, _)| *m == member("rita")));
}

#[test]
fn a_member_without_a_card_is_listed_and_not_sealed_to() {
    let mut w = World::with_dataset();
    w.vault_does("rita", w.card_retired("rita"));
    assert!(stale(&w));
    let body = w.epoch(&[]);
    assert!(body.unsealed.iter().eq([&member("rita")]));
    let mut without = body.clone();
    without.unsealed = Set::default();
    w.refuses("stella", Body::EpochOpened(without), "not exactly the members without a card");
    w.does("stella", Body::EpochOpened(body));
    assert!(!stale(&w));
    // She comes back with a new card and is sealed to again.
    w.new_card("rita/2");
    w.vault_does("olga", w.card_added("rita/2", None));
    let card = w.card("rita/2");
    let sealed = w.card_sealed("rita", &[card]);
    w.does("stella", sealed);
    assert!(w.data().holds_all(&w.state, &member("rita"), w.at()));
}

#[test]
fn what_makes_an_epoch_stale() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 6] = [
        ("revoked", |w| {
            w.does("stella", revoked("rita"));
        }),
        ("left by itself", |w| {
            w.does("rita", revoked("rita"));
        }),
        ("retired member", |w| {
            w.vault_does("olga", member_retired("rita"));
        }),
        ("retired card", |w| {
            w.vault_does("olga", w.card_retired("rita"));
        }),
        ("retired recovery card", |w| {
            w.vault_does("olga", w.card_retired("reco"));
        }),
        ("retired steward", |w| {
            w.vault_does("olga", member_retired("stella"));
        }),
    ];
    for (what, change) in changes {
        let mut w = two_stewards();
        assert!(!stale(&w));
        change(&mut w);
        assert!(stale(&w), "{what}");
        let (upload, opened) = w.upload_opened();
        w.does("uma", opened);
        let commit = Body::UploadCommitted(w.commit(upload));
        w.refuses("uma", commit, "the epoch is stale");
        let opened = w.epoch_opened(&[]);
        w.does("sven", opened);
        assert!(!stale(&w), "{what}");
        let again = Body::UploadCommitted(w.commit(upload));
        w.does("uma", again);
    }
}

#[test]
fn what_does_not_make_an_epoch_stale() {
    let mut w = World::with_dataset();
    w.add_card("rita/2");
    w.vault_does("olga", role("stella", Role::Steward, false));
    w.vault_does("olga", member_retired("mallory"));
    let granted = w.granted("rolf");
    w.refuses("stella", granted, "not a holder of the newest epoch");
    assert!(!stale(&w));
}

#[test]
fn a_recovery_card_is_set_by_a_holder_and_sealed_to() {
    let mut w = World::with_dataset();
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let (old, new) = (w.card("reco"), w.card("rolf"));
    let seals = w.epoch_seals("rolf", &[new]);
    let set = |cards: &[vault_core::ids::CardId], seals: &Set<EpochSeal>| {
        Body::RecoverySet(RecoverySet { cards: cards.iter().copied().collect(), seals: seals.clone() })
    };
    w.refuses("sven", set(&[old, new], &seals), "not a holder of the newest epoch");
    w.refuses("olga", set(&[old, new], &seals), "not a holder of the newest epoch");
    let exactly = "not sealed to exactly those cards and epochs";
    w.refuses("stella", set(&[old, new], &Set::default()), exactly);
    w.refuses("stella", set(&[old], &seals), exactly);
    let half: Set<EpochSeal> = seals.iter().take(1).cloned().collect();
    w.refuses("stella", set(&[old, new], &half), exactly);
    w.refuses("stella", set(&[w.card("xeno")], &Set::default()), "a recovery card is not current");
    w.does("stella", set(&[old, new], &seals));
    assert!(w.data().holds_all(&w.state, &member("rolf"), w.at()));
    assert!(!stale(&w));
    // A card that is sealed to already, by a grant, needs no second seal.
    w.does("stella", set(&[old, new, w.card("rita")], &Set::default()));
    w.does("stella", set(&[new, w.card("rita")], &Set::default()));
    assert!(stale(&w), "a removed recovery card still opens the epoch");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    assert!(!w.data().epochs()[&3].seals.keys().any(|(m, _)| *m == member("reco")));
}

#[test]
fn closing_counts_what_it_carries() {
    let mut w = two_stewards();
    let close = w.epoch_closed();
    w.refuses("stella", close, "not the newest epoch, or closed already");
    let old: Vec<_> = (0..4).map(|_| w.uploads("uma")).collect();
    w.does("stella", Body::ManifestRemoved(ManifestRemoved { manifest: old[3], reason: text("no") }));
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let new = w.uploads("uma");
    let good = w.close();
    assert_eq!(good.count, 3);
    let close = |count, void: &[_], table: bool| {
        let table = table.then_some(vault_core::ids::Digest([1; 32]));
        Body::EpochClosed(EpochClosed { count, epoch: 2, table, void: void.iter().copied().collect() })
    };
    let many = "not as many manifests as are in scope";
    w.refuses("stella", close(2, &[], true), many);
    w.refuses("stella", close(4, &[], true), many);
    w.refuses("stella", close(3, &[old[0]], true), many);
    w.refuses("stella", close((1 << 53) - 1, &[], true), many);
    w.refuses("stella", close(2, &[new], true), "a void manifest that is not in scope");
    w.refuses("stella", close(2, &[old[3]], true), "a void manifest that is not in scope");
    w.refuses("stella", close(3, &[], false), "table and count do not fit");
    w.refuses("stella", close(0, &old[..3], true), "table and count do not fit");
    w.refuses("rita", close(3, &[], true), "not a steward");
    w.refuses(
        "stella",
        Body::EpochClosed(EpochClosed { epoch: 1, ..good.clone() }),
        "not the newest epoch, or closed already",
    );
    w.refuses("stella", Body::EpochClosed(EpochClosed { epoch: 3, ..good }), "not the newest epoch, or closed already");
    w.does("sven", close(2, &[old[1]], true));
    let key = |id| w.data().manifests()[id].key;
    assert_eq!(key(&old[0]), KeyPlace::Table { epoch: 2 });
    assert_eq!(key(&old[1]), KeyPlace::Void);
    assert_eq!(key(&new), KeyPlace::Header);
    assert_eq!((w.data().closed(), w.data().table().unwrap().count), (2, 2));
    // The next table carries those that are left, and the one that came since.
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    assert_eq!(w.close().count, 3);
    w.does(
        "stella",
        Body::EpochClosed(EpochClosed {
            count: 0,
            epoch: 3,
            table: None,
            void: w.data().in_scope_before(3).map(|(id, _)| *id).collect(),
        }),
    );
    assert_eq!(w.data().table().unwrap().hash, None);
}

#[test]
fn a_newer_epoch_supersedes_an_unclosed_one() {
    let mut w = two_stewards();
    let first = w.uploads("uma");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let second = w.uploads("uma");
    let opened = w.epoch_opened(&["rita"]);
    w.does("sven", opened);
    assert_eq!(w.data().unclosed().map(|(n, _)| n).collect::<Vec<_>>(), [1, 2, 3]);
    let two = EpochClosed { epoch: 2, ..w.close() };
    w.refuses("stella", Body::EpochClosed(two), "not the newest epoch, or closed already");
    let close = w.epoch_closed();
    w.does("stella", close);
    for id in [first, second] {
        assert_eq!(w.data().manifests()[&id].key, KeyPlace::Table { epoch: 3 });
    }
    assert_eq!(w.data().unclosed().map(|(n, _)| n).collect::<Vec<_>>(), [3]);
}

#[test]
fn closing_takes_every_unclosed_epoch() {
    let mut w = two_stewards();
    w.uploads("uma");
    // stella gets a second card, which only the second epoch is sealed to, and loses the first.
    w.add_card("stella/2");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    w.vault_does("stella", w.card_retired("stella"));
    let close = w.epoch_closed();
    let statement = w.dataset_draft("stella/2", close.clone());
    w.refuses_statement("stella/2", &statement, "does not hold every unclosed epoch");
    // sven does; he could also seal the first one to her new card.
    let card = w.card("stella/2");
    let sealed = w.card_sealed("stella", &[card]);
    w.does("sven", sealed);
    let statement = w.dataset_draft("stella/2", close);
    assert_eq!(w.would(&statement.ledger, w.sign("stella/2", &statement)), Applied);
}

#[test]
fn a_grant_during_a_rotation_is_for_all_unclosed_epochs() {
    let mut w = World::with_dataset();
    let early = w.granted("rolf");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    w.refuses("stella", early, "not sealed to exactly those cards and epochs");
    let granted = w.granted("rolf");
    w.does("stella", granted);
    assert!(w.data().holds(&w.state, &member("rolf"), 1, w.at()));
    assert!(w.data().holds(&w.state, &member("rolf"), 2, w.at()));
}

#[test]
fn while_no_steward_holds_it_any_holder_may_give_it_to_a_steward_alone() {
    let mut w = World::with_dataset();
    let (to_sven, to_rolf) = (w.granted("sven"), w.granted("rolf"));
    w.refuses("rita", to_sven.clone(), "not a holder of the newest epoch");
    w.vault_does("olga", member_retired("stella"));
    w.refuses("rita", to_rolf.clone(), "not a holder of the newest epoch");
    w.refuses("reco", to_rolf, "not a holder of the newest epoch");
    w.refuses("sven", to_sven.clone(), "not a holder of the newest epoch");
    w.refuses("uma", to_sven.clone(), "not a holder of the newest epoch");
    let opened = w.epoch_opened(&[]);
    w.refuses("rita", opened, "not a holder of the newest epoch");
    for name in ["rita", "reco"] {
        let statement = w.dataset_draft(name, to_sven.clone());
        assert_eq!(w.would(&statement.ledger, w.sign(name, &statement)), Applied, "{name}");
    }
    w.does("reco", to_sven);
    let (again, to_rolf) = (w.granted("sven"), w.granted("rolf"));
    w.refuses("reco", again, "not a holder of the newest epoch");
    w.does("sven", to_rolf);
}

#[test]
fn the_way_out_takes_every_unclosed_epoch() {
    let mut w = World::with_dataset();
    w.add_card("rita/2");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    w.vault_does("rita", w.card_retired("rita"));
    w.vault_does("olga", member_retired("stella"));
    // rita's second card holds epoch 2 and not epoch 1.
    let granted = w.granted("sven");
    let statement = w.dataset_draft("rita/2", granted.clone());
    w.refuses_statement("rita/2", &statement, "not a holder of the newest epoch");
    w.does("reco", granted);
}

#[test]
fn a_holders_card_is_the_one_that_signs() {
    let mut w = World::with_dataset();
    w.add_card("stella/2");
    let granted = w.granted("rolf");
    let statement = w.dataset_draft("stella/2", granted);
    w.refuses_statement("stella/2", &statement, "not a holder of the newest epoch");
    let card = w.card("stella/2");
    let sealed = w.card_sealed("stella", &[card]);
    w.does("stella", sealed);
    assert_eq!(
        w.would(&statement.ledger, w.sign("stella/2", &w.dataset_draft("stella/2", statement.body.clone()))),
        Applied
    );
}

#[test]
fn an_epoch_is_reset_only_when_nobody_holds_it() {
    let mut w = World::with_dataset();
    let manifest = w.uploads("uma");
    let held = "somebody still holds the epoch";
    let reset = Body::EpochReset(w.reset("sven"));
    w.refuses("sven", reset.clone(), held);
    w.vault_does("olga", member_retired("stella"));
    w.refuses("sven", reset.clone(), held);
    w.does("sven", revoked("rita"));
    w.refuses("sven", reset, held);
    // The recovery card was the last.
    w.vault_does("olga", w.card_retired("reco"));
    let good = w.reset("sven");
    assert_eq!(good.seals.len(), 1);
    let bent = |bend: &dyn Fn(&mut EpochReset)| {
        let mut body = good.clone();
        bend(&mut body);
        Body::EpochReset(body)
    };
    for name in ["rita", "uma", "olga", "mallory"] {
        w.refuses(name, bent(&|_| {}), "not a steward");
    }
    w.refuses("sven", bent(&|b| b.epoch = 1), "not the next epoch");
    w.refuses("sven", bent(&|b| b.epoch = 3), "not the next epoch");
    w.refuses("sven", bent(&|b| b.public.0 = vec![0; 32]), "an invalid public key");
    w.refuses("sven", bent(&|b| b.seals = Set::default()), EXACTLY);
    w.refuses("sven", bent(&|b| b.unreadable = Set::default()), "not exactly the manifests in scope");
    let opened = w.epoch_opened(&[]);
    w.refuses("sven", opened, "not a holder of the newest epoch");
    w.does("sven", bent(&|_| {}));
    assert_eq!((w.data().newest(), w.data().closed()), (2, 2));
    assert_eq!(w.data().manifests()[&manifest].key, KeyPlace::Unreadable);
    assert!(w.data().is_holder(&w.state, &member("sven"), &w.card("sven"), w.at()));
    assert!(!stale(&w));
    w.uploads("uma");
}

#[test]
fn a_reset_ends_all_other_grants() {
    let mut w = World::with_dataset();
    let mut grant = w.grant("rolf");
    grant.terms.ends = Some(w.now + 1000);
    w.does("stella", Body::Granted(grant));
    w.vault_does("olga", w.card_retired("rolf"));
    w.vault_does("olga", w.card_retired("rita"));
    w.vault_does("olga", w.card_retired("reco"));
    w.vault_does("olga", member_retired("stella"));
    let reset = Body::EpochReset(w.reset("sven"));
    w.does("sven", reset);
    // They have grants of before, which no new card brings back.
    w.new_card("rolf/2");
    w.vault_does("olga", w.card_added("rolf/2", None));
    let card = w.card("rolf/2");
    let sealed = w.card_sealed("rolf", &[card]);
    w.refuses("sven", sealed, "the member has no current grant");
    assert_eq!(w.data().granted(&w.state, w.at()).collect::<Vec<_>>(), [&member("sven")]);
}
