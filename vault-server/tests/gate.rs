//! The gate at the append, through servers: clients that sign what they like, and what the rules in force make of it. Spec section 7.7.
//!
//! Time is that of the requests, which only debug builds know.

#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap"
)]

#[path = "http/client.rs"]
mod client;
mod common;
#[path = "../../policy/tests/scene/mod.rs"]
mod scene;

use std::collections::BTreeSet;

use axum::Router;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId};
use vault_core::layout::ObjectName;
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::fold::{At, entry_hash};
use vault_core::ledger::statement::{
    Approval, Approved, Body, DatasetCreated, EpochSeal, Facts, FactsAmended, FirstEpoch, GrantTerms, Granted,
    MemberAmended, MemberEnrolled, MemberReservation, PackSet, Proposed, Reservation, Reserved, Revoked, Role, RoleSet,
    Seal, terms_digest,
};
use vault_core::suite::Suite;
use vault_policy::gate::pack::shipped_texts;
use vault_policy::ledger::{Ask, Counted, decide_reserved, export_ledger, foresee, in_force, recipient_ledger};
use vault_policy::{Decision, Outcome, Pack};
use vault_server::http::{Clock, Service, Settings, router};
use vault_server::vault::{AppendError, Prepared, Vault};
use vault_server::wire::problem::Type;

use client::{Answer, Asked, whole};
use common::{Person, World, dataset, dataset_ledger, epoch_public, info, text};
use scene::{NOW, Scene, pack};

const SUITE: Suite = Suite::X25519;

/// A gated vault: the officer is steward of datasets that state a scene's facts, the recipient is who the scene says.
struct Town {
    _dir: TempDir,
    world: World,
    approver: Person,
    scene: Scene,
    packs: Vec<Pack>,
}

/// A grant that an honest client would sign, but for what the gate says of it.
struct Draft {
    body: Granted,
    decision: Decision,
}

fn settings() -> Settings {
    Settings { clock: Clock::Trusting, ..Settings::default() }
}

fn id(name: &str) -> DatasetId {
    name.parse().unwrap()
}

fn ledger_of(name: &str) -> LedgerId {
    LedgerId::Dataset(id(name))
}

fn dataset_facts(scene: &Scene) -> Facts {
    scene.facts().0.split([1; 32]).unwrap().stated
}

impl Town {
    async fn new(scene: Scene) -> Self {
        Self::with(scene, &[("cohort-7", "100")]).await
    }

    /// With these datasets of so many persons.
    async fn with(scene: Scene, datasets: &[(&str, &str)]) -> Self {
        let (dir, mut world) = World::in_folder().await;
        world.set_now(NOW - 10_000);
        let approver = Person::new("approver", 9);
        let enrolled = MemberEnrolled { cards: vec![approver.stored()], info: info(), member: approver.member.clone() };
        world.say(&LedgerId::Vault, Body::MemberEnrolled(enrolled)).await;
        let facts = scene.facts().1.split([2; 32]).unwrap().stated;
        let jurisdiction = scene.answers["member.legal.jurisdiction"].trim_matches('"').to_owned();
        let jurisdiction = vault_core::ledger::statement::Jurisdiction::parse(&jurisdiction).unwrap();
        let amended = MemberAmended {
            info: vault_core::ledger::statement::Info { facts, jurisdiction, ..info() },
            member: world.recipient.member.clone(),
        };
        world.say(&LedgerId::Vault, Body::MemberAmended(amended)).await;
        let mut town = Self { _dir: dir, world, approver, scene, packs: Vec::new() };
        town.set_pack("cn-sequencing", pack("cn-sequencing").hash(), true).await;
        for (name, count) in datasets {
            town.create(name, count).await;
        }
        town.world.set_now(NOW);
        town
    }

    async fn set_pack(&mut self, name: &str, hash: Digest, on: bool) {
        self.world.say(&LedgerId::Vault, Body::PackSet(PackSet { hash, name: text(name), on })).await;
    }

    async fn seal(&mut self, name: &str, who: (&vault_core::ids::MemberId, CardId)) -> EpochSeal {
        let bytes = Bytes::from([self.world.random_id().to_vec(), vec![0; SUITE.seal_len() - 16]].concat());
        let hash = Digest(sha256(&bytes));
        let (member, card) = (who.0.clone(), who.1);
        let object = ObjectName::Grant { dataset: id(name), epoch: 1, member: member.clone(), card, hash };
        self.world.vault.put(&object, bytes).await.unwrap();
        EpochSeal { card, epoch: 1, member, sha256: hash }
    }

    async fn create(&mut self, name: &str, count: &str) {
        let (member, card) = (self.world.officer.member.clone(), self.world.officer.card());
        let seal = self.seal(name, (&member, card)).await;
        let scene = self.scene.clone().with("dataset.subjects.count", count);
        let seals = [Seal { card: seal.card, member: seal.member, sha256: seal.sha256 }].into_iter().collect();
        let created = DatasetCreated {
            epoch: FirstEpoch { public: epoch_public(1), seals },
            facts: dataset_facts(&scene),
            level: u64::from(scene.level),
            recovery: BTreeSet::<CardId>::new().into_iter().collect(),
            title: text("a cohort"),
        };
        self.world.say(&ledger_of(name), Body::DatasetCreated(created)).await;
        let (dataset, member) = (Some(id(name)), self.approver.member.clone());
        let role = RoleSet { dataset, member, on: true, role: Role::Approver };
        self.world.say(&LedgerId::Vault, Body::RoleSet(role)).await;
    }

    /// A server of this vault: a process of its own, which shares the store and no cache.
    async fn server(&self) -> Router {
        router(Service::new(self.world.reopen().await.with_packs(self.packs.clone()), settings()))
    }

    /// Sends an entry to a server, at its own time.
    async fn send(&self, server: &Router, ledger: &LedgerId, seq: u64, stored: Bytes, created: u64) -> Answer {
        let mut asked = Asked::new(&self.world, "PUT", format!("/v1/ledgers/{ledger}/entries/{seq}")).with(stored);
        asked.created = created;
        whole(server.clone().oneshot(asked.by(&self.world.officer)).await.unwrap()).await
    }

    /// The officer says it through a server.
    async fn asks(&self, server: &Router, ledger: &LedgerId, body: Body) -> Answer {
        let stored = self.world.sign(&self.world.officer, ledger, body);
        self.send(server, ledger, self.world.next_seq(ledger), stored, self.world.now()).await
    }

    #[track_caller]
    fn is_refused(answer: &Answer, why: &str) {
        let problem = answer.is(Type::Rules);
        let (reason, zh) = (problem.reason.unwrap(), problem.reason_zh.unwrap());
        assert!(reason.contains(why), "{why}: {reason}");
        assert!(zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{zh}");
        assert!(problem.detail.contains(why), "{}", problem.detail);
    }

    fn recipient_ledger(&self) -> Digest {
        recipient_ledger(&self.scene.facts().1).unwrap()
    }

    fn export_ledger(&self) -> Digest {
        export_ledger(&self.scene.facts().0, NOW, &[pack("cn-sequencing")]).unwrap()
    }

    /// A reservation through a server, made again on a newer total when somebody was faster.
    async fn reserve(&self, server: &Router, ledger: Digest, name: &str, added: u64) -> Result<Reservation, Answer> {
        let of = LedgerId::Exposure(ledger);
        loop {
            let state = self.world.reopen().await.exposure(ledger).await.unwrap();
            let (seq, before) = (state.judged().len() as u64, state.judged().last().map(|last| last.hash));
            let prev = before.unwrap_or(EntryHash(self.world.id().0));
            let member = self.world.recipient.member.clone();
            let body = Reserved { added, dataset: id(name), member, subjects: None, total: state.total() + added };
            let stored = self.world.sign_at(&self.world.officer, &of, Body::Reserved(body), seq, prev);
            let answer = self.send(server, &of, seq, stored.clone(), self.world.now()).await;
            match answer.status.as_u16() {
                201 => return Ok(Reservation { hash: entry_hash(Some(prev), &stored), ledger: of, seq }),
                409 => {}
                _ => return Err(answer),
            }
        }
    }

    fn facts(&self) -> Facts {
        self.scene.facts().2.split([3; 32]).unwrap().stated
    }

    /// Asks about the grant of the recipient in the ledgers as they are.
    async fn decided(&self, name: &str, reserved: Option<&[Reservation; 2]>) -> Decision {
        let vault = self.world.reopen().await;
        let view = vault.view(&id(name)).await.unwrap();
        let mut exposures = Exposures::default();
        for ledger in [self.recipient_ledger(), self.export_ledger()] {
            exposures.insert(vault.exposure(ledger).await.unwrap());
        }
        let facts = self.facts();
        let ask = Ask {
            vault: &view.vault,
            exposures: &exposures,
            dataset: &view.dataset,
            at: At { time: self.world.now(), vault: view.vault.last_seq() },
            member: &self.world.recipient.member,
            facts: &facts,
        };
        let packs = in_force(&view.vault, view.vault.last_seq(), &self.packs).unwrap();
        match reserved {
            Some([recipient, export]) => {
                let counted = Counted { recipient: Some(recipient), export: Some(export) };
                decide_reserved(&ask, counted, &packs).unwrap()
            }
            None => foresee(&ask, &packs).unwrap().0,
        }
    }

    /// Terms with an end, proposed and approved by one.
    async fn approved(&mut self, name: &str, ends: Option<u64>) -> (GrantTerms, Option<Approval>) {
        let terms = GrantTerms { ends, facts: self.facts(), member: self.world.recipient.member.clone() };
        let view = self.world.vault.view(&id(name)).await.unwrap();
        let at = view.vault.last_seq();
        let proposed = Proposed {
            act: "granted".to_owned(),
            ends: NOW + 1_000_000,
            facts: Some(view.dataset.facts().digest()),
            member: view.vault.member(&terms.member).and_then(|m| m.info_at(at)).map(|info| info.digest()),
            pack: view.vault.pack_at(at),
            terms: terms_digest("granted", &terms),
        };
        let ledger = ledger_of(name);
        // The officer is also the act's author, so somebody else has to approve.
        self.world.say(&ledger, Body::Proposed(proposed)).await;
        let proposal = self.world.hash(&ledger);
        let stored = self.world.sign(&self.approver, &ledger, Body::Approved(Approved { proposal }));
        self.world.append(&ledger, stored).await.unwrap();
        let approvals = [self.world.hash(&ledger)].into_iter().collect();
        (terms, Some(Approval { approvals, proposal }))
    }

    /// All of an honest client's work before it signs; whether the rules allow it is for the gate to say.
    async fn draft(&mut self, server: &Router, name: &str, added: u64) -> Draft {
        let counted = self.scene.answers["member.legal.jurisdiction"] != "\"CN\"";
        let ends = self.decided(name, None).await.expires;
        let (terms, approval) = self.approved(name, ends).await;
        let reserved = if counted {
            let recipient = self.reserve(server, self.recipient_ledger(), name, added).await.unwrap();
            Some([recipient, self.reserve(server, self.export_ledger(), name, added).await.unwrap()])
        } else {
            None
        };
        let (member, card) = (self.world.recipient.member.clone(), self.world.recipient.card());
        let seal = self.seal(name, (&member, card)).await;
        let decision = self.decided(name, reserved.as_ref()).await;
        let body = Granted {
            approval,
            reservation: reserved.map(|[recipient, _]| recipient),
            seals: [seal].into_iter().collect(),
            terms,
            trace: Some(decision.trace.stated().clone()),
        };
        Draft { body, decision }
    }
}

/// The vault as somebody sees it who has only the packs inside the program.
async fn without_pack(town: &Town) -> Vault {
    town.world.reopen().await
}

/// The trace with another value at a place, by members.
fn bent(trace: &Facts, path: &[&str], to: Value) -> Facts {
    let mut value = Value::Object(trace.0.clone());
    let place = path.iter().fold(&mut value, |at, name| &mut at[*name]);
    assert_ne!(*place, to, "{path:?} is bent");
    *place = to;
    let Value::Object(map) = value else { panic!("no object") };
    Facts(map)
}

#[tokio::test]
async fn a_grant_passes_with_the_record_of_its_decision_and_with_no_other() {
    let mut town = Town::new(Scene::named()).await;
    let server = town.server().await;
    let Draft { body, decision } = town.draft(&server, "cohort-7", 100).await;
    assert_eq!((decision.outcome, decision.approvals), (Outcome::Allow, 1));
    let ledger = dataset_ledger();
    let trace = body.trace.clone().unwrap();
    let with = |trace: Facts| Body::Granted(Granted { trace: Some(trace), ..body.clone() });

    let none = Body::Granted(Granted { trace: None, ..body.clone() });
    Town::is_refused(&town.asks(&server, &ledger, none).await, "has no record of a decision");
    Town::is_refused(&town.asks(&server, &ledger, with(Facts::default())).await, "record of the decision");
    let other = || json!("00".repeat(32));
    let away = json!({"hash": "00".repeat(32), "ledger": format!("exposure/{}", "00".repeat(32)), "seq": 0});
    for (name, to) in [
        ("dataset", other()),
        ("dataset_id", json!("cohort-8")),
        ("member", other()),
        ("member_id", json!("uploader")),
        ("grant", other()),
        ("level", json!(2)),
        ("grade_confirmed", json!(true)),
        ("reservation", away.clone()),
        ("recipient", json!(99)),
        ("exported", json!(99)),
        ("now", json!(NOW - 86_400)),
    ] {
        let answer = town.asks(&server, &ledger, with(bent(&trace, &["case", name], to))).await;
        Town::is_refused(&answer, &format!("of another {name}"));
    }
    let elsewhere = with(bent(&trace, &["case", "export"], away));
    Town::is_refused(&town.asks(&server, &ledger, elsewhere).await, "another ledger than the facts say");
    for (name, to) in [
        ("outcome", json!("blocked")),
        ("fired", json!([])),
        ("approvals", json!(0)),
        ("expires", json!(null)),
        ("packs", json!([["cn-sequencing", "00".repeat(32)]])),
    ] {
        let answer = town.asks(&server, &ledger, with(bent(&trace, &[name], to))).await;
        Town::is_refused(&answer, &format!("decided again, {name} differs"));
    }
    Town::is_refused(&town.asks(&server, &ledger, with(bent(&trace, &["engine"], json!(0)))).await, "engine 0");
    let extra = {
        let mut extra = trace.clone();
        extra.0.insert("more".to_owned(), json!(1));
        extra
    };
    Town::is_refused(&town.asks(&server, &ledger, with(extra)).await, "record of the decision");

    // Too few approvals, no reservation.
    let unapproved = Body::Granted(Granted { approval: None, ..body.clone() });
    Town::is_refused(&town.asks(&server, &ledger, unapproved).await, "ask for 1 approval(s) and the grant names 0");
    let uncounted = Body::Granted(Granted { reservation: None, ..body.clone() });
    let missing = format!("reserved in exposure/{}", town.recipient_ledger());
    Town::is_refused(&town.asks(&server, &ledger, uncounted).await, &missing);

    // Nothing of all that is in the ledger, and the honest grant has the number; said again, it is still there.
    let honest = Body::Granted(body.clone());
    assert_eq!(town.asks(&server, &ledger, honest.clone()).await.status, 201);
    assert_eq!(town.asks(&server, &ledger, honest).await.status, 201);
}

#[tokio::test]
async fn an_embedded_vault_asks_the_same() {
    let mut town = Town::new(Scene::domestic()).await;
    let server = town.server().await;
    let Draft { body, .. } = town.draft(&server, "cohort-7", 0).await;
    let bare = Body::Granted(Granted { trace: None, ..body.clone() });
    let refused = town.world.try_say(&dataset_ledger(), bare).await.unwrap_err();
    assert!(matches!(refused, AppendError::Gate { .. }), "{refused}");
    assert!(refused.to_string().contains("has no record of a decision"), "{refused}");
    town.world.say(&dataset_ledger(), Body::Granted(body)).await;
}

#[tokio::test]
async fn a_grant_ends_no_later_than_its_decision() {
    let mut town = Town::new(Scene::domestic()).await;
    let server = town.server().await;
    let last = town.decided("cohort-7", None).await.expires.unwrap();
    for (ends, passes) in [(None, false), (Some(last + 1), false), (Some(last), true)] {
        let (terms, approval) = town.approved("cohort-7", ends).await;
        let (member, card) = (town.world.recipient.member.clone(), town.world.recipient.card());
        let seals = [town.seal("cohort-7", (&member, card)).await].into_iter().collect();
        let trace = Some(town.decided("cohort-7", None).await.trace.stated().clone());
        let body = Body::Granted(Granted { approval, reservation: None, seals, terms, trace });
        let answer = town.asks(&server, &dataset_ledger(), body).await;
        if passes {
            assert_eq!(answer.status, 201);
        } else {
            Town::is_refused(&answer, &format!("has to end by {last}"));
        }
    }
}

#[tokio::test]
async fn what_the_rules_block_no_record_lets_pass() {
    let mut town = Town::new(Scene::domestic().with("dataset.ethics.approved", "\"unknown\"")).await;
    let server = town.server().await;
    let Draft { body, decision } = town.draft(&server, "cohort-7", 0).await;
    assert_eq!(decision.outcome, Outcome::Blocked);
    let answer = town.asks(&server, &dataset_ledger(), Body::Granted(body.clone())).await;
    Town::is_refused(&answer, "hgr-02");
    let lie = bent(&body.trace.clone().unwrap(), &["outcome"], json!("allow"));
    let answer = town.asks(&server, &dataset_ledger(), Body::Granted(Granted { trace: Some(lie), ..body })).await;
    Town::is_refused(&answer, "outcome differs");
}

#[tokio::test]
async fn a_time_that_is_not_the_servers_is_refused() {
    let mut town = Town::new(Scene::domestic()).await;
    let server = town.server().await;
    let Draft { body, .. } = town.draft(&server, "cohort-7", 0).await;
    let ledger = dataset_ledger();
    let (seq, now) = (town.world.next_seq(&ledger), town.world.now());
    let stored = town.world.sign(&town.world.officer, &ledger, Body::Granted(body));
    for apart in [-301, 301] {
        let created = now.checked_add_signed(apart).unwrap();
        let answer = town.send(&server, &ledger, seq, stored.clone(), created).await;
        Town::is_refused(&answer, "301 seconds from the server's clock");
        assert_eq!(answer.problem().time, Some(created));
    }
    assert_eq!(town.send(&server, &ledger, seq, stored.clone(), now + 300).await.status, 201);
    // What is there is there: said again later, it is not refused for its age.
    assert_eq!(town.send(&server, &ledger, seq, stored, now + 10_000).await.status, 201);
}

#[tokio::test]
async fn a_pack_that_is_not_at_hand_stops_grants_until_it_is() {
    let mut town = Town::new(Scene::domestic()).await;
    let own = shipped_texts()[1].replace("name = \"example-institute\"", "name = \"house\"");
    let house = Pack::parse(&own).unwrap();
    town.set_pack("house", house.hash(), true).await;
    town.world.set_now(NOW);
    let without = town.server().await;
    town.packs = vec![house.clone()];
    let with = town.server().await;
    let Draft { body, decision } = town.draft(&with, "cohort-7", 0).await;
    assert_eq!(decision.outcome, Outcome::Allow);
    // Nothing else waits for it: the proposal and its approval were taken by a vault without the pack, and so is a revocation.
    let officer = town.world.officer.member.clone();
    let revoked = Body::Revoked(Revoked { member: officer, reason: text("no pack is needed") });
    let stored = town.world.sign(&town.world.officer, &dataset_ledger(), revoked);
    let seq = town.world.next_seq(&dataset_ledger());
    assert!(matches!(
        without_pack(&town).await.prepare(&dataset_ledger(), seq, stored).await,
        Ok(Prepared::Checked(_))
    ));
    let answer = town.asks(&without, &dataset_ledger(), Body::Granted(body.clone())).await;
    Town::is_refused(&answer, &format!("rule pack house with hash {} is in force and not at hand", house.hash()));
    assert_eq!(town.asks(&with, &dataset_ledger(), Body::Granted(body)).await.status, 201);
}

#[tokio::test]
async fn a_reservation_is_where_the_facts_say_and_adds_all_persons() {
    let town = Town::new(Scene::named()).await;
    let server = town.server().await;
    let to = town.recipient_ledger();
    let few = town.reserve(&server, to, "cohort-7", 99).await.unwrap_err();
    Town::is_refused(&few, "adds 99 person(s), and 100 of the dataset are not counted yet");
    let many = town.reserve(&server, to, "cohort-7", 101).await.unwrap_err();
    Town::is_refused(&many, "adds 101 person(s), and the dataset has 100 that are not counted yet");
    let elsewhere = town.reserve(&server, Digest([5; 32]), "cohort-7", 100).await.unwrap_err();
    Town::is_refused(&elsewhere, "another ledger than the facts say");
    let nothing = town.reserve(&server, to, "cohort-9", 100).await.unwrap_err();
    assert!(!nothing.status.is_success(), "a dataset that does not exist");
    town.reserve(&server, to, "cohort-7", 100).await.unwrap();
    // The dataset is counted for this recipient: a second grant adds nobody.
    town.reserve(&server, to, "cohort-7", 0).await.unwrap();
}

/// Two datasets, two servers, one recipient: each alone stays below 500 persons, and together they don't.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_grants_at_once_through_two_servers_do_not_both_pass_the_500() {
    for round in 0..4 {
        let mut town = Town::with(Scene::reported(), &[("left", "300"), ("right", "300")]).await;
        let (mut terms, mut seals) = (Vec::new(), Vec::new());
        for name in ["left", "right"] {
            let ends = town.decided(name, None).await.expires;
            terms.push(town.approved(name, ends).await);
            let (member, card) = (town.world.recipient.member.clone(), town.world.recipient.card());
            seals.push(town.seal(name, (&member, card)).await);
        }
        let servers = [town.server().await, town.server().await];
        let town = &town;
        let grant = |n: usize| {
            let (server, terms, seal) = (servers[n].clone(), terms[n].clone(), seals[n].clone());
            async move {
                let name = ["left", "right"][n];
                let recipient = town.reserve(&server, town.recipient_ledger(), name, 300).await.unwrap();
                let export = town.reserve(&server, town.export_ledger(), name, 300).await.unwrap();
                let decision = town.decided(name, Some(&[recipient.clone(), export])).await;
                // A client that does not care what was decided.
                let body = Granted {
                    approval: terms.1,
                    reservation: Some(recipient),
                    seals: [seal].into_iter().collect(),
                    terms: terms.0,
                    trace: Some(decision.trace.stated().clone()),
                };
                town.asks(&server, &ledger_of(name), Body::Granted(body)).await
            }
        };
        let answers: [Answer; 2] = {
            let (left, right) = tokio::join!(grant(0), grant(1));
            [left, right]
        };
        let passed = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(passed, 1, "round {round}: {answers:?}");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            Town::is_refused(refused, "hgr-13");
        }
    }
}

#[tokio::test]
async fn a_split_into_small_datasets_passes_up_to_500_and_not_with_one_more() {
    let parts = [("p1", "100"), ("p2", "100"), ("p3", "100"), ("p4", "100"), ("p5", "100"), ("p6", "1")];
    let mut town = Town::with(Scene::reported(), &parts).await;
    let server = town.server().await;
    for (n, (name, count)) in parts.into_iter().enumerate() {
        let Draft { body, .. } = town.draft(&server, name, count.parse().unwrap()).await;
        let ledger = ledger_of(name);
        let stored = town.world.sign(&town.world.officer, &ledger, Body::Granted(body));
        let answer = town.send(&server, &ledger, town.world.next_seq(&ledger), stored.clone(), town.world.now()).await;
        if n < 5 {
            assert_eq!(answer.status, 201, "{name}: {answer:?}");
            town.world.follow(&ledger, &stored);
        } else {
            Town::is_refused(&answer, "hgr-13");
        }
    }
}

#[tokio::test]
async fn new_facts_take_the_grants_with_them_that_they_do_not_support() {
    let mut town = Town::new(Scene::named()).await;
    let server = town.server().await;
    let Draft { body, .. } = town.draft(&server, "cohort-7", 100).await;
    town.world.say(&dataset_ledger(), Body::Granted(body)).await;
    let more = town.scene.clone().with("dataset.subjects.count", "120");
    let amended = |suspends: &[&vault_core::ids::MemberId], reservations: Vec<MemberReservation>| {
        Body::FactsAmended(FactsAmended {
            facts: dataset_facts(&more),
            level: u64::from(more.level),
            reservations,
            suspends: suspends.iter().map(|one| (*one).clone()).collect(),
            why: text("twenty more"),
        })
    };
    // The persons that were added are not counted: the grant rests, or they are reserved first.
    let recipient = town.world.recipient.member.clone();
    let answer = town.asks(&server, &dataset_ledger(), amended(&[], Vec::new())).await;
    Town::is_refused(&answer, "under these facts the grant of recipient does not stand");
    assert_eq!(town.asks(&server, &dataset_ledger(), amended(&[&recipient], Vec::new())).await.status, 201);
}

/// A grant of a hundred seconds: after that nobody has to act for the server to release nothing, nor for clients to see the epoch as stale.
#[tokio::test]
async fn a_grant_that_has_ended_releases_nothing_without_anybody_acting() {
    let (_dir, mut world) = World::in_folder().await;
    world.set_now(NOW);
    world.create_dataset().await;
    let (member, card) = (world.recipient.member.clone(), world.recipient.card());
    let seal = world.seal(1, &member, card).await;
    let Body::Granted(granted) = common::granted(&member, seal.clone()) else { panic!("no grant") };
    let ends = NOW + 100;
    let terms = GrantTerms { ends: Some(ends), ..granted.terms.clone() };
    world.say(&dataset_ledger(), Body::Granted(Granted { terms, ..granted })).await;
    let server = router(Service::new(world.reopen().await, settings()));
    let hash = seal.sha256;
    let object = ObjectName::Grant { dataset: dataset(), epoch: 1, member: member.clone(), card, hash };
    let view = world.vault.view(&dataset()).await.unwrap();
    for (time, released) in [(ends - 1, true), (ends, false), (ends + 1_000_000, false)] {
        let mut asked = Asked::new(&world, "GET", format!("/v1/objects/{}", object));
        asked.created = time;
        let answer = whole(server.clone().oneshot(asked.by(&world.recipient)).await.unwrap()).await;
        if released {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            answer.is(Type::NotAllowed);
        }
        let at = At { time, vault: view.vault.last_seq() };
        assert_eq!(view.dataset.is_stale(&view.vault, at), !released);
    }
}

#[tokio::test]
async fn what_is_said_of_a_member_has_to_be_facts_of_one() {
    let town = Town::new(Scene::domestic()).await;
    let server = town.server().await;
    let mut facts = town.scene.facts().1.split([2; 32]).unwrap().stated;
    facts.0.insert("no_such_group".to_owned(), json!({"x": 1}));
    let said = vault_core::ledger::statement::Info { facts, ..info() };
    let amended = Body::MemberAmended(MemberAmended { info: said, member: town.world.recipient.member.clone() });
    Town::is_refused(&town.asks(&server, &LedgerId::Vault, amended).await, "the facts of the member can't be read");
}
