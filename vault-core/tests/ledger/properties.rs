//! Random statements by random people: never a panic, never a verdict that the model does not give, never a difference between folding
//! in one go and piece by piece, and never a rotation that asks for what the fold refuses.

use proptest::prelude::*;
use vault_core::ids::{Digest, EntryHash, LedgerId, ManifestId, UploadId};
use vault_core::ledger::dataset::{DatasetState, UploadStatus};
use vault_core::ledger::statement::*;
use vault_core::ledger::vault::VaultState;
use vault_core::rotation::Goal;

use super::model::{DataModel, VaultModel, View};
use super::rotation;
use super::world::*;

/// One attempt: numbers that the run turns into a statement of the moment.
#[derive(Debug, Clone, Copy)]
struct Try {
    signer: usize,
    kind: usize,
    target: usize,
    bend: usize,
    back: usize,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0..64usize, 0..26usize, 0..64usize, 0..24usize, 0..12usize)
        .prop_map(|(signer, kind, target, bend, back)| Try { signer, kind, target, bend, back });
    proptest::collection::vec(one, 1..70)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

/// A world, the model of it, and the model of the vault after each of its entries.
struct Run {
    w: World,
    vault: Vec<VaultModel>,
    data: DataModel,
    cards: usize,
}

impl Run {
    /// Begins in a dataset with many holders, or in one that only its creator holds.
    fn new(first: Try) -> Self {
        let mut w = World::with_dataset();
        if first.bend.is_multiple_of(3) {
            w.does("stella", Body::RecoverySet(RecoverySet { cards: Set::default(), seals: Set::default() }));
            let opened = w.epoch_opened(&["rita"]);
            w.does("stella", opened);
            return Self::of(w);
        }
        // Somebody with two cards, somebody whose grant ends soon, and two stewards who hold.
        w.add_card("rita/2");
        let granted = w.granted("sven");
        w.does("stella", granted);
        let mut grant = w.grant("rolf");
        grant.terms.ends = Some(w.now + 40);
        w.does("stella", Body::Granted(grant));
        Self::of(w)
    }

    fn of(w: World) -> Self {
        let vault = (0..=w.state.last_seq()).map(|seq| vault_of(&w, seq)).collect();
        let data = data_of(&w);
        Self { w, vault, data, cards: 0 }
    }

    /// Names of all cards there are, with those of stewards more often.
    fn names(&self) -> Vec<String> {
        let extra = ["stella", "stella", "sven", "sven", "stella", "olga", "uma"].map(str::to_owned);
        self.w.people.keys().cloned().chain(extra).collect()
    }

    /// Makes the statement, gives it to the fold and to the model, and compares.
    fn attempt(&mut self, t: Try) -> Result<(), TestCaseError> {
        let names = self.names();
        let signer = names[t.signer % names.len()].clone();
        let target = names[t.target % names.len()].split('/').next().unwrap().to_owned();
        if t.kind < 6 {
            self.attempt_vault(t, &signer, &target)
        } else {
            let body = self.dataset_body(t, &signer, &target);
            self.attempt_dataset(t, &signer, body)
        }
    }

    fn attempt_vault(&mut self, t: Try, signer: &str, target: &str) -> Result<(), TestCaseError> {
        let w = &mut self.w;
        let body = match t.kind {
            0 => seen(0),
            1 => role(target, Role::Steward, t.bend.is_multiple_of(2)),
            2 if t.bend < 3 => member_retired(target),
            2 => role(target, Role::Approver, t.bend.is_multiple_of(2)),
            3 if t.bend < 12 => {
                let cards = w.current_cards(target);
                let Some(card) = cards.get(t.bend % cards.len().max(1)) else { return Ok(()) };
                Body::CardRetired(CardRetired { card: *card, member: member(target), reason: text("x") })
            }
            _ => {
                self.cards += 1;
                let name = format!("{target}/p{}", self.cards);
                w.new_card(&name);
                w.card_added(&name, None)
            }
        };
        let statement = self.w.vault_draft(signer, body);
        let stored = self.w.sign(signer, &statement);
        let outcome = self.w.put(&LedgerId::Vault, stored);
        let mut next = self.vault.last().unwrap().clone();
        let expected = next.take(&statement);
        self.vault.push(next);
        prop_assert_eq!(outcome == Applied, expected, "{:?} {:?}", outcome, statement);
        Ok(())
    }

    fn dataset_body(&mut self, t: Try, signer: &str, target: &str) -> Body {
        let w = &mut self.w;
        let pick = |n: usize, of: usize| n % of.max(1);
        let uploads: Vec<UploadId> =
            w.data().uploads().iter().filter(|(_, u)| u.status == UploadStatus::Open).map(|(id, _)| *id).collect();
        let upload = uploads.get(pick(t.target, uploads.len())).copied().unwrap_or(UploadId([0; 16]));
        let manifests: Vec<ManifestId> = w.data().manifests().keys().copied().collect();
        let manifest = manifests.get(pick(t.target, manifests.len())).copied().unwrap_or(ManifestId([0; 16]));
        match t.kind {
            6 => revoked(target),
            7 => Body::Suspended(Suspended { members: [member(target)].into_iter().collect(), reason: text("x") }),
            8 => Body::UploaderSet(UploaderSet { member: member(target), on: t.bend.is_multiple_of(2) }),
            9 => anchored(),
            10..=12 => {
                let mut grant = w.grant(target);
                grant.seals = bent(&grant.seals, t.bend);
                grant.terms.ends = [None, None, None, Some(w.now), Some(w.now + 15)][t.back % 5];
                Body::Granted(grant)
            }
            13 => {
                let cards: Vec<_> = w.current_cards(target).into_iter().take(1 + t.back % 2).collect();
                let Body::CardSealed(mut body) = w.card_sealed(target, &cards) else { unreachable!() };
                body.seals = bent(&body.seals, t.bend);
                Body::CardSealed(body)
            }
            14 => {
                let cards: Vec<_> = w.current_cards(target).into_iter().take(1).collect();
                let epochs = w.epoch_seals(target, &cards);
                let (known, mut all): (Vec<_>, Vec<_>) = (w.data().recovery().iter().copied().collect(), cards.clone());
                if !t.bend.is_multiple_of(3) {
                    all.extend(known);
                }
                let data = w.data();
                let new = |s: &&EpochSeal| {
                    !data.recovery().contains(&s.card)
                        && !data.epochs()[&s.epoch].seals.contains_key(&(s.member.clone(), s.card))
                };
                let seals = epochs.iter().filter(new).cloned().collect();
                Body::RecoverySet(RecoverySet { cards: all.into_iter().collect(), seals: bent(&seals, t.bend) })
            }
            15..=17 => {
                let mut body = if t.bend.is_multiple_of(4) { w.epoch(&[target]) } else { w.epoch(&[]) };
                body.seals = bent(&body.seals, t.bend);
                if t.bend == 21 {
                    body.epoch += 1;
                }
                if t.bend == 19 {
                    body.unsealed = [member(target)].into_iter().collect();
                }
                Body::EpochOpened(body)
            }
            18 | 19 => {
                let mut body = w.close();
                if t.bend == 20 {
                    body.count += 1;
                }
                if t.bend % 5 == 1 && body.count > 0 && manifests.contains(&manifest) {
                    body.void = [manifest].into_iter().collect();
                    body.count -= 1;
                }
                body.table = (body.count > 0).then_some(Digest([1; 32]));
                Body::EpochClosed(body)
            }
            20 => {
                let mut body = w.reset(signer.split('/').next().unwrap());
                if t.bend == 20 {
                    body.unreadable = Set::default();
                }
                Body::EpochReset(body)
            }
            21 | 22 => w.upload_opened().1,
            23 => Body::UploadClosed(UploadClosed { reason: text("x"), upload }),
            24 => Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("x") }),
            _ => {
                let mut commit = w.commit(upload);
                if t.bend == 20 {
                    commit.manifests[0].manifest = manifest;
                }
                if t.bend == 21 {
                    commit.epoch -= 1;
                }
                Body::UploadCommitted(commit)
            }
        }
    }

    fn attempt_dataset(&mut self, t: Try, signer: &str, body: Body) -> Result<(), TestCaseError> {
        let mut statement = self.w.dataset_draft(signer, body);
        // Some look at an older vault, some have another clock; commits come from their openers more often than chance.
        if let (Body::UploadCommitted(b), true) = (&statement.body, t.bend < 16)
            && let Some(upload) = self.w.data().uploads().get(&b.upload)
        {
            let author = upload.author.as_str().to_owned();
            statement = self.w.dataset_draft(&author, statement.body);
        }
        if t.back < 3 {
            let seq = self.w.state.last_seq().saturating_sub(t.back as u64);
            statement.vault_head = Some(VaultHead { hash: self.w.state.entry_hash(seq).unwrap(), seq });
        }
        match t.back {
            3 => statement.time += 30,
            4 => statement.time -= 30,
            _ => {}
        }
        let name = self.name_of(&statement);
        let head = statement.vault_head.unwrap().seq;
        let stored = self.w.sign(&name, &statement);
        let outcome = self.w.put(&statement.ledger.clone(), stored);
        let view = View { vault: &self.vault[usize::try_from(head).unwrap()], time: statement.time };
        let expected = self.data.take(&view, head, &statement);
        prop_assert_eq!(outcome == Applied, expected, "{:?} {:?}", outcome, statement);
        prop_assert!(matches!(outcome, Applied | Void(_)));
        self.compare()
    }

    fn name_of(&self, statement: &Statement) -> String {
        let found = self.w.people.iter().find(|(_, p)| *p.card.id() == statement.card);
        found.unwrap().0.clone()
    }

    /// What the fold answers is what the model does.
    fn compare(&self) -> Result<(), TestCaseError> {
        let (data, vault) = (self.w.data(), self.vault.last().unwrap());
        let view = View { vault, time: self.w.now };
        prop_assert_eq!(
            (data.newest(), data.closed(), data.cited()),
            (self.data.newest(), self.data.closed, self.data.cited)
        );
        prop_assert_eq!(data.is_stale(&self.w.state, self.w.at()), self.data.is_stale(&view));
        prop_assert_eq!(data.recovery(), &self.data.recovery);
        prop_assert_eq!(data.uploaders(), &self.data.uploaders);
        for identity in self.w.people.values() {
            let m = &identity.member;
            prop_assert_eq!(data.has_grant(&self.w.state, m, self.w.at()), self.data.has_grant(&view, m), "{}", m);
        }
        for (n, epoch) in data.epochs() {
            let sealed: std::collections::BTreeSet<_> = epoch.seals.keys().cloned().collect();
            prop_assert_eq!(&sealed, &self.data.epochs[usize::try_from(*n).unwrap() - 1]);
        }
        Ok(())
    }
}

/// One seal left out, or a member swapped, for some values of `bend`.
fn bent<T: Clone + Ord>(seals: &Set<T>, bend: usize) -> Set<T> {
    let skip = if bend >= 22 { 1 } else { 0 };
    seals.iter().skip(skip).cloned().collect()
}

/// The model of what the world's makers did by vault entry `now`; from there on it goes on by itself.
fn vault_of(w: &World, now: u64) -> VaultModel {
    let mut model = VaultModel::default();
    for (id, _) in w.state.members().filter(|(_, m)| m.enrolled <= now) {
        model.members.insert(id.clone());
        model.cards.extend(w.state.current_cards(id, now).map(|c| (*c.card.id(), id.clone())));
    }
    model.officers = ["olga", "otto"].map(member).into();
    if w.state.has_role(Role::Steward, Some(&dataset_id()), &member("sven"), now) {
        model.stewards.insert(member("sven"), true);
    }
    model
}

fn data_of(w: &World) -> DataModel {
    let entry = Entry::parse(&w.dataset[0]).unwrap();
    let Said::Known(first) = entry.said else { panic!() };
    let Body::DatasetCreated(body) = &first.body else { panic!() };
    let mut model = DataModel::new(&first, body);
    for stored in &w.dataset[1..] {
        let Said::Known(statement) = Entry::parse(stored).unwrap().said else { panic!() };
        let head = statement.vault_head.unwrap().seq;
        let view = View { vault: &vault_of(w, head), time: statement.time };
        assert!(model.take(&view, head, &statement));
    }
    model
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn the_fold_agrees_with_the_model(tries in tries()) {
        let mut run = Run::new(tries[0]);
        for t in tries {
            run.attempt(t)?;
        }
    }

    #[test]
    fn every_step_that_a_rotation_asks_for_is_accepted(tries in tries(), goal in 0..3u64) {
        let mut run = Run::new(tries[0]);
        for t in tries {
            run.attempt(t)?;
        }
        let w = &mut run.w;
        let goal = if goal == 0 { Goal::settle(w.data()) } else { Goal { epoch: w.data().newest() + goal - 1 } };
        for name in w.people.keys().cloned().collect::<Vec<_>>() {
            let Ok(step) = rotation::next(w, &name, goal) else { continue };
            let Some(body) = rotation::statement_of(w, &step) else { continue };
            let statement = w.dataset_draft(&name, body);
            prop_assert_eq!(w.would(&statement.ledger, w.sign(&name, &statement)), Applied, "{}", name);
        }
        let able = w.people.keys().find(|name| rotation::next(w, name, goal).is_ok()).cloned();
        if let Some(name) = able {
            // Whoever can begin can end, unless its card lacks an older epoch.
            for _ in 0..6 {
                let Ok(step) = rotation::next(w, &name, goal) else { break };
                let Some(body) = rotation::statement_of(w, &step) else {
                    prop_assert_eq!(w.data().newest(), w.data().closed());
                    prop_assert!(!w.data().is_stale(&w.state, w.at()) && w.data().newest() >= goal.epoch);
                    break;
                };
                w.does(&name, body);
            }
        }
    }

    #[test]
    fn pieces_fold_like_the_whole(tries in tries(), cuts in proptest::collection::vec(1..9usize, 1..40), rubbish in 0..100usize) {
        let mut run = Run::new(tries[0]);
        for (n, t) in tries.into_iter().enumerate() {
            if (n + rubbish).is_multiple_of(7) {
                run.w.put(&LedgerId::Dataset(dataset_id()), vec![b'x'; rubbish]);
                run.w.put(&LedgerId::Vault, vec![b'x'; rubbish]);
                run.vault.push(run.vault.last().unwrap().clone());
            }
            run.attempt(t)?;
        }
        let w = &run.w;
        let whole = w.fold_dataset(&w.dataset);
        let mut pieces = DatasetState::fold(&w.state, &w.exposures(), &dataset_id(), &w.dataset[..1]).unwrap();
        let mut vault = VaultState::fold(w.state.id(), &w.vault[..1]).unwrap();
        let (mut at, mut vault_at) = (1, 1);
        for cut in cuts.iter().cycle() {
            let (to, vault_to) = ((at + cut).min(w.dataset.len()), (vault_at + cut).min(w.vault.len()));
            pieces.extend(&w.state, &w.exposures(), &w.dataset[at..to]);
            vault.extend(&w.vault[vault_at..vault_to]);
            (at, vault_at) = (to, vault_to);
            if at == w.dataset.len() && vault_at == w.vault.len() {
                break;
            }
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        prop_assert_eq!(format!("{:?}", w.state), format!("{vault:?}"));
    }

    #[test]
    fn an_entry_with_another_past_is_a_fork_if_it_would_count_and_void_if_not(tries in tries(), last in (0..64usize, 6..26usize, 0..64usize)) {
        let mut run = Run::new(tries[0]);
        for t in tries {
            run.attempt(t)?;
        }
        let names = run.names();
        let (signer, target) = (names[last.0 % names.len()].clone(), names[last.2 % names.len()].clone());
        let target = target.split('/').next().unwrap().to_owned();
        let body = run.dataset_body(Try { signer: 0, kind: last.1, target: last.2, bend: 8, back: 9 }, &signer, &target);
        let w = &run.w;
        let good = w.dataset_draft(&signer, body);
        let fork = Statement { prev: Some(EntryHash([1; 32])), ..good.clone() };
        let outcome = w.would(&good.ledger, w.sign(&signer, &good));
        let forked = w.would(&fork.ledger, w.sign(&signer, &fork));
        prop_assert_eq!(forked, if outcome == Applied { Forked } else { outcome });
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn no_changed_byte_of_an_entry_counts(which in 0..1000usize, at in 0..100_000usize, flip in 1..=255u8, cut in 0..4usize) {
        thread_local!(static WORLD: World = {
            let mut w = World::with_dataset();
            w.compare = false;
            w.uploads("uma");
            let opened = w.epoch_opened(&["rita"]);
            w.does("stella", opened);
            w
        });
        WORLD.with(|w| {
            let seq = which % w.dataset.len();
            let mut entries = w.dataset[..=seq].to_vec();
            let stored = &mut entries[seq];
            let at = at % stored.len();
            match cut {
                0 => stored.truncate(at),
                1 => stored.insert(at, flip),
                _ => stored[at] ^= flip,
            }
            match DatasetState::fold(&w.state, &w.exposures(), &dataset_id(), &entries) {
                Ok(state) => {
                    let applied = state.judged().last().unwrap().verdict == vault_core::ledger::Verdict::Applied;
                    prop_assert!(!applied && state.stop().is_none());
                }
                Err(_) => prop_assert_eq!(seq, 0),
            }
            Ok(())
        })?;
    }

    #[test]
    fn any_bytes_are_void(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    #[test]
    fn any_json_in_an_envelope_is_void_or_unknown(text in "[ -~]{0,200}") {
        let mut rng = TestRng::new(1);
        let who = identity(vault_core::suite::Suite::X25519, "uma", &mut rng);
        prop_assert!(Entry::parse(&sign_payload(&who, text.into_bytes())).is_err());
    }
}
