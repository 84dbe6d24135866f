//! New statements of every kind, signed with the keys of a small vault: by whom, about whom, on time or late, whole or bent, as the
//! input's bytes say.

use serde_json::Value;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId, ManifestId, UploadId};
use vault_core::json::{B64, emit_value};
use vault_core::ledger::fold::Verdict;
use vault_core::ledger::statement::*;

use super::check;
use super::world::{self, World, dataset_id, facts, info, member, recipient, text};
use crate::choices::Choices;
use crate::mutate::Random;

/// The state that every input begins with.
pub(super) fn begin() -> World {
    let mut w = World::with_dataset();
    w.compare = false;
    w.uploads("uma");
    let granted = w.granted("sven");
    w.does("stella", granted);
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    w.uploads("stella");
    w.add_card("rita/2");
    let reserved = Reserved { added: 10, dataset: dataset_id(), member: member("rolf"), subjects: None, total: 10 };
    w.counts_does("stella", Body::Reserved(reserved));
    w
}

/// An entry in the making: written for a ledger, perhaps appended later, perhaps never.
type Stored = (LedgerId, Vec<u8>);

/// Statements said one after the other; after them, the same entries in another order.
pub fn fold(bytes: &[u8]) {
    let mut w = super::base().clone();
    let mut choices = Choices(bytes);
    w.rng = world::TestRng::new(Random::of(bytes).next());
    let mut kept: Vec<Stored> = Vec::new();
    for _ in 0..20 {
        if choices.is_empty() {
            break;
        }
        let Some((ledger, stored)) = next(&mut w, &mut choices, &mut kept) else { continue };
        append(&mut w, &ledger, stored);
    }
    whole(&w);
    let mut edited = w;
    let shuffled = shuffle(&mut edited.dataset, &mut choices) | shuffle(&mut edited.exposure, &mut choices);
    if shuffled {
        in_one_go(&edited);
    }
}

/// Appends, and sees that what does not count changes no right.
fn append(w: &mut World, ledger: &LedgerId, stored: Vec<u8>) {
    let before = check::rights(w.data());
    w.put(ledger, stored);
    let counts = w.data().judged().last().is_some_and(|last| last.verdict == Verdict::Applied);
    if !counts || !matches!(ledger, LedgerId::Dataset(_)) || w.data().stop().is_some() {
        assert_eq!(check::rights(w.data()), before, "an entry that does not count changes something");
    }
}

/// What was folded entry by entry is what is folded in one go, and keeps the rules. The vault ledger is folded on from
/// what every input begins with, which is folded from nothing once: a third of the time went into doing so for each.
fn whole(w: &World) {
    let base = super::base();
    let (before, after) = w.vault.split_at(base.vault.len());
    assert_eq!(before, base.vault, "the vault ledger only grows here");
    let mut state = base.state.clone();
    state.extend(after);
    assert_eq!(state.judged(), w.state.judged());
    check::vault(&state, &w.vault);
    check::exposure(&w.state, &w.counts, recipient(), &w.exposure);
    check::dataset(&w.state, w.data(), &w.dataset);
    // A ledger that had stopped is folded anew by whoever reads on.
    if w.data().stop().is_none() {
        let again = w.fold_dataset(&w.dataset);
        assert_eq!(check::rights(&again), check::rights(w.data()));
        assert_eq!(again.judged(), w.data().judged());
    }
}

fn in_one_go(w: &World) {
    if let Some(first) = w.dataset.first() {
        let creators = vault_core::ledger::dataset::creator_of(first).map(|c| (dataset_id(), c)).into_iter().collect();
        let counts = vault_core::ledger::exposure::ExposureState::fold(&w.state, &creators, recipient(), &w.exposure);
        check::exposure(&w.state, &counts, recipient(), &w.exposure);
    }
    let folded = vault_core::ledger::DatasetState::fold(&w.state, &w.exposures(), &dataset_id(), &w.dataset);
    if let Ok(state) = folded {
        check::dataset(&w.state, &state, &w.dataset);
    }
}

/// Whether it did anything is the answer.
fn shuffle(entries: &mut Vec<Vec<u8>>, choices: &mut Choices<'_>) -> bool {
    let moves = choices.byte() % 6;
    for _ in 0..moves {
        let (a, b) = (choices.pick(entries.len().max(1)), choices.pick(entries.len().max(1)));
        match choices.byte() % 3 {
            0 if a < entries.len() && b < entries.len() => entries.swap(a, b),
            1 if a < entries.len() => entries.insert(b, entries[a].clone()),
            2 if a < entries.len() => drop(entries.remove(a)),
            _ => {}
        }
    }
    moves > 0
}

fn next(w: &mut World, choices: &mut Choices<'_>, kept: &mut Vec<Stored>) -> Option<Stored> {
    let ledgers = [LedgerId::Vault, LedgerId::Dataset(dataset_id()), LedgerId::Exposure(recipient())];
    match choices.byte() % 16 {
        0 => Some((ledgers[choices.pick(3)].clone(), choices.piece().to_vec())),
        1 => {
            let from = w.entries(&ledgers[choices.pick(3)]);
            let stored = from.get(choices.pick(from.len().max(1)))?.clone();
            Some((ledgers[choices.pick(3)].clone(), stored))
        }
        2 => {
            let late = choices.pick(kept.len().max(1));
            (late < kept.len()).then(|| kept.remove(late))
        }
        3 => {
            let ledger = ledgers[choices.pick(3)].clone();
            let mut stored = statement(w, choices, &ledger)?;
            let at = choices.word() as usize % stored.len();
            match choices.byte() % 3 {
                0 => stored.truncate(at),
                1 => stored.insert(at, choices.byte()),
                _ => stored[at] ^= choices.byte(),
            }
            Some((ledger, stored))
        }
        4 => {
            let ledger = ledgers[choices.pick(3)].clone();
            let stored = bent(w, choices, &ledger)?;
            Some((ledger, stored))
        }
        5 => {
            let ledger = ledgers[choices.pick(3)].clone();
            let stored = statement(w, choices, &ledger)?;
            kept.push((ledger, stored));
            None
        }
        6..=8 => Some((LedgerId::Vault, statement(w, choices, &LedgerId::Vault)?)),
        9 | 10 => Some((ledgers[2].clone(), statement(w, choices, &ledgers[2])?)),
        _ => Some((ledgers[1].clone(), statement(w, choices, &ledgers[1])?)),
    }
}

/// A statement of somebody, at the end of a ledger; its frame is right more often than not.
fn statement(w: &mut World, choices: &mut Choices<'_>, ledger: &LedgerId) -> Option<Vec<u8>> {
    let said = draft(w, choices, ledger)?;
    let signer = w.people.iter().find(|(_, p)| *p.card.id() == said.card).map(|(name, _)| name.clone())?;
    let signer = if choices.byte() == 7 { "mallory".to_owned() } else { signer };
    said.payload().ok().map(|payload| world::sign_payload(w.who(&signer), payload))
}

fn draft(w: &mut World, choices: &mut Choices<'_>, ledger: &LedgerId) -> Option<Statement> {
    let signer = name(w, choices);
    let target = name(w, choices);
    let body = match ledger {
        LedgerId::Vault => vault_body(w, choices, &target)?,
        LedgerId::Dataset(_) => dataset_body(w, choices, &signer, &target)?,
        LedgerId::Exposure(_) => exposure_body(w, choices, &target)?,
    };
    let mut said = w.draft(ledger.clone(), &signer, body);
    match choices.byte() {
        1 => said.time = said.time.saturating_sub(60),
        2 => said.time += 60,
        3 => said.prev = Some(EntryHash([choices.byte(); 32])),
        4 => said.seq = said.seq.wrapping_add(u64::from(choices.byte())) % 1000,
        5 => said.author = member(&target),
        6 => said.card = w.card(&target),
        7 => said.vault = Some(vault_core::ids::VaultId([choices.byte(); 32])),
        8..=16 if said.vault_head.is_some() => {
            let seq = w.state.last_seq().saturating_sub(u64::from(choices.byte() % 8));
            said.vault_head = w.state.entry_hash(seq).map(|hash| VaultHead { hash, seq });
        }
        17 if said.vault_head.is_some() => {
            said.vault_head = Some(VaultHead { hash: EntryHash([1; 32]), seq: u64::from(choices.byte()) });
        }
        18 => said.vault_head = None,
        _ => {}
    }
    Some(said)
}

/// One member of a right statement's payload put in another's place, or made another value; rightly signed.
fn bent(w: &mut World, choices: &mut Choices<'_>, ledger: &LedgerId) -> Option<Vec<u8>> {
    let said = draft(w, choices, ledger)?;
    let signer = w.people.iter().find(|(_, p)| *p.card.id() == said.card).map(|(name, _)| name.clone())?;
    let mut payload: Value = serde_json::from_slice(&said.payload().ok()?).ok()?;
    let value = value(choices);
    let members = if choices.byte().is_multiple_of(2) {
        payload.as_object_mut()?
    } else {
        payload.get_mut("body")?.as_object_mut()?
    };
    let at = choices.pick(members.len().max(1));
    *members.values_mut().nth(at)? = value;
    emit_value(&payload).ok().map(|payload| world::sign_payload(w.who(&signer), payload))
}

fn value(choices: &mut Choices<'_>) -> Value {
    match choices.byte() % 8 {
        0 => Value::Null,
        1 => Value::Bool(choices.byte().is_multiple_of(2)),
        2 => Value::from(choices.word() % (1 << 53)),
        3 => Value::from(u64::from(choices.byte())),
        4 => Value::from(String::from_utf8_lossy(choices.piece()).into_owned()),
        5 => Value::Array(vec![Value::from("rita")]),
        6 => Value::from("rita"),
        _ => Value::Object(serde_json::Map::new()),
    }
}

/// Somebody with a card; stewards and officers more often.
fn name(w: &World, choices: &mut Choices<'_>) -> String {
    const OFTEN: [&str; 6] = ["stella", "olga", "sven", "stella", "olga", "uma"];
    let all: Vec<&String> = w.people.keys().collect();
    let at = choices.pick(all.len() + OFTEN.len());
    all.get(at).map_or_else(|| OFTEN[at - all.len()].to_owned(), |name| (*name).clone())
}

fn vault_body(w: &mut World, choices: &mut Choices<'_>, target: &str) -> Option<Body> {
    let kind = choices.byte() % 16;
    let on = choices.byte().is_multiple_of(2);
    let person = target.split('/').next()?.to_owned();
    Some(match kind {
        0 => w.enrolled(target),
        1 => Body::MemberAmended(MemberAmended { info: info("else"), member: member(target) }),
        2 | 3 => {
            let name = format!("{person}/f{}", w.people.len());
            w.new_card(&name);
            w.card_added(&name, approval(w, choices))
        }
        4 => w.card_retired(target),
        5 => world::member_retired(target),
        6 => world::role(target, Role::Officer, on),
        7 => world::role(target, Role::Steward, on),
        8 => world::role(target, [Role::Approver, Role::Creator, Role::Auditor][choices.pick(3)], on),
        9 => Body::OfficerRecovered(OfficerRecovered { member: member(target) }),
        10 => Body::PackSet(PackSet { hash: Digest([choices.byte(); 32]), name: text("p"), on }),
        11 => Body::FormatRaised(FormatRaised { format: u64::from(choices.byte() % 4) }),
        12 => {
            let ledger = [LedgerId::Vault, LedgerId::Dataset(dataset_id())][choices.pick(2)].clone();
            let action = if on { RecoveryAction::Void } else { RecoveryAction::Cut };
            let seq = u64::from(choices.byte());
            let hash = stopped_at(w, &ledger).unwrap_or(EntryHash([choices.byte(); 32]));
            let terms =
                RecoveredTerms { action, hash, ledger: ledger.clone(), seq: stopped_seq(w, &ledger).unwrap_or(seq) };
            Body::Recovered(Recovered { approval: approval(w, choices), terms })
        }
        13 => Body::SubjectKeySet(SubjectKeySet { generation: u64::from(choices.byte() % 3), seals: Set::default() }),
        14 => Body::ServerSet(ServerSet {
            log_key: None,
            name: text("s"),
            on,
            witness_keys: vec![B64(vec![1; choices.pick(34)])],
        }),
        _ => world::seen(choices.byte()),
    })
}

fn stopped_at(w: &World, ledger: &LedgerId) -> Option<EntryHash> {
    match stop(w, ledger)? {
        vault_core::ledger::Stop::Fork { hash, .. } => Some(*hash),
        _ => None,
    }
}

fn stopped_seq(w: &World, ledger: &LedgerId) -> Option<u64> {
    match stop(w, ledger)? {
        vault_core::ledger::Stop::Fork { seq, .. } => Some(*seq),
        _ => None,
    }
}

fn stop<'a>(w: &'a World, ledger: &LedgerId) -> Option<&'a vault_core::ledger::Stop> {
    if *ledger == LedgerId::Vault { w.state.stop() } else { w.data().stop() }
}

fn approval(w: &World, choices: &mut Choices<'_>) -> Option<Approval> {
    let hash = |choices: &mut Choices<'_>| {
        let all = w.data().judged();
        all.get(choices.pick(all.len().max(1))).map(|judged| judged.hash)
    };
    match choices.byte() % 4 {
        0 => Some(Approval { approvals: [hash(choices)?].into_iter().collect(), proposal: hash(choices)? }),
        _ => None,
    }
}

fn reservation(w: &World, choices: &mut Choices<'_>) -> Reservation {
    let all = w.counts.judged();
    let seq = choices.pick(all.len().max(1));
    let hash = all.get(seq).map_or(EntryHash([choices.byte(); 32]), |judged| judged.hash);
    Reservation { hash, ledger: LedgerId::Exposure(recipient()), seq: seq as u64 }
}

fn exposure_body(w: &mut World, choices: &mut Choices<'_>, target: &str) -> Option<Body> {
    let dataset: DatasetId = if choices.byte() == 9 { "d2".parse().ok()? } else { dataset_id() };
    Some(match choices.byte() % 4 {
        0 | 1 => {
            let added = u64::from(choices.byte());
            let total = w.counts.total() + added + u64::from(choices.byte() == 3);
            Body::Reserved(Reserved { added, dataset, member: member(target), subjects: None, total })
        }
        2 => {
            let reserved = w.counts.reserved().keys().nth(choices.pick(4)).copied().unwrap_or(EntryHash([3; 32]));
            let cites = Reservation { hash: EntryHash([0; 32]), ledger: LedgerId::Dataset(dataset), seq: 0 };
            Body::Released(Released { approval: approval(w, choices), cites, terms: ReleasedTerms { reserved } })
        }
        _ => proposed(w, choices, target),
    })
}

fn proposed(w: &World, choices: &mut Choices<'_>, target: &str) -> Body {
    if choices.byte().is_multiple_of(2) {
        let all = w.data().judged();
        let proposal = all.get(choices.pick(all.len().max(1))).map_or(EntryHash([0; 32]), |judged| judged.hash);
        return Body::Approved(Approved { proposal });
    }
    let act = ["granted", "dataset-deleted", "card-added", "recovered", "released"][choices.pick(5)];
    let terms = GrantTerms { ends: None, facts: Facts::default(), member: member(target) };
    Body::Proposed(w.proposed(act, &terms, Some(target)))
}

fn dataset_body(w: &mut World, choices: &mut Choices<'_>, signer: &str, target: &str) -> Option<Body> {
    let kind = choices.byte() % 32;
    let on = choices.byte().is_multiple_of(2);
    let upload = w.data().uploads().keys().nth(choices.pick(6)).copied().unwrap_or(UploadId([choices.byte(); 16]));
    let manifest =
        w.data().manifests().keys().nth(choices.pick(6)).copied().unwrap_or(ManifestId([choices.byte(); 16]));
    let members: Set<_> = [member(target)].into_iter().collect();
    let cards = w.current_cards(target);
    let some = |choices: &mut Choices<'_>| {
        let from = choices.pick(cards.len() + 1);
        cards.get(from.min(cards.len())..).map(<[_]>::to_vec).unwrap_or_default()
    };
    Some(match kind {
        0..=3 => {
            let mut grant = w.grant(target);
            grant.approval = approval(w, choices);
            grant.seals = fewer(&grant.seals, choices);
            grant.terms.ends = [None, None, Some(w.now + 5), Some(w.now + 500)][choices.pick(4)];
            grant.reservation = (choices.byte().is_multiple_of(4)).then(|| reservation(w, choices));
            Body::Granted(grant)
        }
        4 | 5 => {
            let cards = some(choices);
            let Body::CardSealed(mut body) = w.card_sealed(target, &cards) else { return None };
            body.seals = fewer(&body.seals, choices);
            Body::CardSealed(body)
        }
        6 => {
            let cards = some(choices);
            let seals = w.epoch_seals(target, &cards);
            let mut all = cards;
            if on {
                all.extend(w.data().recovery().iter().copied());
            }
            Body::RecoverySet(RecoverySet { cards: all.into_iter().collect(), seals: fewer(&seals, choices) })
        }
        7..=10 => {
            let person = target.split('/').next()?.to_owned();
            let mut body = if on { w.epoch(&[]) } else { w.epoch(&[&person]) };
            body.seals = fewer(&body.seals, choices);
            body.epoch += u64::from(choices.byte() == 1);
            Body::EpochOpened(body)
        }
        11 | 12 => {
            let mut body = w.close();
            body.count += u64::from(choices.byte() == 1);
            Body::EpochClosed(body)
        }
        13 => Body::EpochReset(w.reset(signer.split('/').next()?)),
        14 => world::revoked(target),
        15 => Body::Suspended(Suspended { members, reason: text("x") }),
        16 => Body::ConsentWithdrawn(ConsentWithdrawn { members, reason: text("x"), subjects: None }),
        17 => Body::UploaderSet(UploaderSet { member: member(target), on }),
        18 => world::anchored(),
        19 => {
            let grant = w.data().grants().get(&member(target)).map_or(EntryHash([1; 32]), |grant| grant.entry);
            Body::AgreementAccepted(AgreementAccepted { agreement: Digest([2; 32]), grant })
        }
        20 => Body::DestructionAttested(DestructionAttested {
            document: None,
            member: member(target),
            scope: text("all"),
        }),
        21 => Body::ReservationCancelled(ReservationCancelled { reservation: reservation(w, choices) }),
        22 => {
            let reservations = vec![MemberReservation { member: member("rolf"), reservation: reservation(w, choices) }];
            let reservations = if on { reservations } else { Vec::new() };
            let amended = FactsAmended {
                facts: facts(serde_json::json!({"a": choices.byte()})),
                level: u64::from(choices.byte() % 7),
                reservations,
                suspends: if choices.byte().is_multiple_of(2) { members } else { Set::default() },
                why: text("x"),
            };
            Body::FactsAmended(amended)
        }
        23 => Body::GradeConfirmed(GradeConfirmed { facts: w.data().facts().digest(), level: w.data().level() }),
        24 if choices.byte() < 40 => {
            let terms = DatasetDeletedTerms { reason: text("x") };
            Body::DatasetDeleted(DatasetDeleted { approval: approval(w, choices), terms })
        }
        24 | 25 => proposed(w, choices, target),
        26 => w.upload_opened().1,
        27 => Body::UploadExtended(UploadExtended { ends: w.now + 1000, upload }),
        28 => {
            let mut commit = w.commit(upload);
            if on {
                commit.manifests[0].supersedes = Some(manifest);
                commit.manifests[0].root =
                    w.data().manifests().get(&manifest).map_or(Digest([0; 32]), |m| m.signed.root);
            }
            commit.epoch = commit.epoch.saturating_sub(u64::from(choices.byte() == 1));
            Body::UploadCommitted(commit)
        }
        29 => Body::UploadClosed(UploadClosed { reason: text("x"), upload }),
        30 => Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("x") }),
        _ => Body::PathRemoved(PathRemoved {
            files: [u32::from(choices.byte())].into_iter().collect(),
            manifest,
            reason: text("x"),
        }),
    })
}

/// All seals, or all but one.
fn fewer<T: Clone + Ord>(seals: &Set<T>, choices: &mut Choices<'_>) -> Set<T> {
    let without = choices.byte();
    let skip = (without < 40).then(|| usize::from(without) % seals.len().max(1));
    seals.iter().enumerate().filter(|(i, _)| Some(*i) != skip).map(|(_, seal)| seal.clone()).collect()
}
