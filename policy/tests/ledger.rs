//! The gate over folded ledgers: what passes, what does not and why, and that readers find what slipped in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, in their fixtures too"
)]

mod scene;
#[allow(dead_code, unused_imports, reason = "a part is used here")]
#[path = "../../vault-core/tests/ledger/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use scene::{Scene, pack};
use vault_core::ids::{DatasetId, Digest, LedgerId};
use vault_core::ledger::dataset::creator_of;
use vault_core::ledger::exposure::{Creators, ExposureState, Exposures};
use vault_core::ledger::fold::At;
use vault_core::ledger::statement::*;
use vault_policy::facts::StatedError;
use vault_policy::gate::{Standing, TraceError};
use vault_policy::ledger::{
    Ask, Counted, Earlier, Ground, Need, Refusal, audit, check, check_creation, check_exposure, check_fresh,
    check_member, counted_in, decide_reserved, export_ledger, foresee, in_force, is_timed, ledgers_of, may_release,
    recipient_ledger, rests_on, standing, traced_by,
};
use vault_policy::{Lang, Outcome};
use world::*;

/// In January 2027, after everything that the world of these tests begins with.
const NOW: u64 = 1_800_100_000;

/// A gated vault; stella's dataset `d1` and the member rita state the facts of a scene, and the exposure ledgers that the test writes.
struct Gate {
    w: World,
    exposures: BTreeMap<Digest, Vec<Vec<u8>>>,
    scene: Scene,
}

fn info_of(scene: &Scene) -> Info {
    let facts = scene.facts().1.split([2; 32]).unwrap().stated;
    let jurisdiction = scene.answers["member.legal.jurisdiction"].trim_matches('"').to_owned();
    Info { facts, jurisdiction: Jurisdiction::parse(&jurisdiction).unwrap(), ..info("rita") }
}

/// Somebody is said to act for a legal entity.
fn enrolled_as(scene: &Scene, name: &str, legal: &str) -> Body {
    let info = info_of(&scene.clone().with("member.legal.id", &format!("\"{legal}\"")));
    Body::MemberAmended(MemberAmended { info, member: member(name) })
}

fn dataset_facts(scene: &Scene) -> Facts {
    scene.facts().0.split([1; 32]).unwrap().stated
}

fn amended(scene: &Scene, suspends: &[&str], reservations: &[(&str, &Reservation)]) -> FactsAmended {
    FactsAmended {
        facts: dataset_facts(scene),
        level: u64::from(scene.level),
        reservations: reservations
            .iter()
            .map(|(m, reservation)| MemberReservation { member: member(m), reservation: (*reservation).clone() })
            .collect(),
        suspends: suspends.iter().map(|m| member(m)).collect(),
        why: text("new facts"),
    }
}

fn set_pack(name: &str, on: bool) -> Body {
    Body::PackSet(PackSet { hash: pack(name).hash(), name: text(name), on })
}

impl Gate {
    fn new(scene: Scene) -> Self {
        let mut w = World::with_dataset();
        w.now = NOW - 1_000;
        w.does("stella", revoked("rita"));
        let amend = MemberAmended { info: info_of(&scene), member: member("rita") };
        w.vault_does("olga", Body::MemberAmended(amend));
        w.vault_does("olga", enrolled_as(&scene, "stella", "C-1"));
        w.does("stella", Body::FactsAmended(amended(&scene, &[], &[])));
        w.vault_does("olga", set_pack("cn-sequencing", true));
        w.now = NOW;
        Self { w, exposures: BTreeMap::new(), scene }
    }

    fn exposures(&self) -> Exposures {
        let mut all = Exposures::default();
        for recipient in self.exposures.keys() {
            all.insert(self.exposure(recipient));
        }
        all
    }

    fn exposure(&self, recipient: &Digest) -> ExposureState {
        let mut creators = Creators::new();
        let creator = creator_of(&self.w.dataset[0]).unwrap();
        for id in [dataset_id(), other_dataset()] {
            creators.insert(id, creator.clone());
        }
        let none = Vec::new();
        ExposureState::fold(&self.w.state, &creators, *recipient, self.exposures.get(recipient).unwrap_or(&none))
    }

    fn at(&self) -> At {
        self.w.at()
    }

    fn recipient(&self) -> Digest {
        recipient_ledger(&self.scene.facts().1).unwrap()
    }

    fn export(&self) -> Digest {
        export_ledger(&self.scene.facts().0, self.at().time, &[pack("cn-sequencing")]).unwrap()
    }

    fn reserved(&self, ledger: Digest, added: u64) -> Reserved {
        let total = self.exposure(&ledger).total() + added;
        Reserved { added, dataset: dataset_id(), member: member("rita"), subjects: None, total }
    }

    fn draft(&self, ledger: Digest, signer: &str, body: Body) -> Statement {
        let head = self.exposure(&ledger).judged().last().map(|last| last.hash);
        let mut statement = self.w.draft(LedgerId::Exposure(ledger), signer, body);
        statement.seq = self.exposures.get(&ledger).map_or(0, Vec::len) as u64;
        statement.prev = Some(head.unwrap_or(vault_core::ids::EntryHash(self.w.state.id().0)));
        statement
    }

    fn puts(&mut self, ledger: Digest, signer: &str, body: Body) -> Reservation {
        let statement = self.draft(ledger, signer, body);
        let stored = self.w.sign(signer, &statement);
        self.exposures.entry(ledger).or_default().push(stored);
        let state = self.exposure(&ledger);
        let last = state.judged().last().unwrap();
        assert_eq!(last.verdict, vault_core::ledger::fold::Verdict::Applied);
        Reservation { hash: last.hash, ledger: LedgerId::Exposure(ledger), seq: statement.seq }
    }

    fn reserve(&mut self, ledger: Digest, added: u64) -> Reservation {
        let body = self.reserved(ledger, added);
        self.puts(ledger, "stella", Body::Reserved(body))
    }

    /// Both reservations as the facts ask for them.
    fn reserve_all(&mut self) -> (Reservation, Reservation) {
        let count = self.scene.answers["dataset.subjects.count"].parse().unwrap();
        let (recipient, export) = (self.recipient(), self.export());
        (self.reserve(recipient, count), self.reserve(export, count))
    }

    fn grant_facts(&self) -> Facts {
        self.scene.facts().2.split([3; 32]).unwrap().stated
    }

    /// The grant that an honest client signs: decided, with an end.
    fn honest(&mut self, recipient: Option<&Reservation>, export: Option<&Reservation>) -> Granted {
        let facts = self.grant_facts();
        let exposures = self.exposures();
        let rita = member("rita");
        let mut grant = self.w.grant("rita");
        let packs = in_force(&self.w.state, self.w.state.last_seq(), &[]).unwrap();
        let ask = Ask {
            vault: &self.w.state,
            exposures: &exposures,
            dataset: self.w.data(),
            at: self.w.at(),
            member: &rita,
            facts: &facts,
        };
        let decision = decide_reserved(&ask, Counted { recipient, export }, &packs).unwrap();
        grant.terms.ends = decision.expires;
        grant.terms.facts = facts;
        grant.reservation = recipient.cloned();
        grant.trace = Some(decision.trace.stated().clone());
        grant
    }

    /// With the approval of one.
    fn approved(&mut self, mut grant: Granted) -> Granted {
        let proposed = self.w.proposed("granted", &grant.terms, Some("rita"));
        let proposal = self.w.does("sven", Body::Proposed(proposed));
        let one = self.w.does("anna", Body::Approved(Approved { proposal }));
        self.w.now = NOW;
        grant.approval = Some(Approval { approvals: [one].into_iter().collect(), proposal });
        grant
    }

    fn check(&self, body: Body) -> Result<(), Refusal> {
        let statement = self.w.dataset_draft("stella", body);
        check(&self.w.state, &self.exposures(), self.w.data(), &statement, &[])
    }

    fn check_grant(&self, grant: &Granted) -> Result<(), Refusal> {
        self.check(Body::Granted(grant.clone()))
    }
}

fn other_dataset() -> DatasetId {
    "d2".parse().unwrap()
}

#[test]
fn without_a_pack_everything_passes_and_with_one_a_grant_needs_its_decision() {
    let mut gate = Gate::new(Scene::domestic());
    let bare = gate.w.grant("rita");
    assert_eq!(gate.check_grant(&bare), Err(Refusal::NoTrace));
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    assert_eq!(gate.check_grant(&honest), Ok(()));
    gate.w.vault_does("olga", set_pack("cn-sequencing", false));
    assert_eq!(gate.check_grant(&bare), Ok(()));
}

#[test]
fn a_grant_is_refused_if_it_differs_from_its_decision() {
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    let ends = honest.terms.ends.unwrap();
    let case = |what: &str| Err(Refusal::Trace(TraceError::Case(what.to_owned())));

    let mut later = honest.clone();
    later.terms.ends = Some(ends + 1);
    assert_eq!(gate.check_grant(&later), Err(Refusal::Ends(ends)));
    later.terms.ends = None;
    assert_eq!(gate.check_grant(&later), Err(Refusal::Ends(ends)));
    for at_most in [ends, ends - 1] {
        later.terms.ends = Some(at_most);
        assert_eq!(gate.check_grant(&later), Ok(()), "it may end then, and earlier");
    }

    let mut other = honest.clone();
    other.terms.facts = gate.scene.facts().2.split([9; 32]).unwrap().stated;
    // Another salt of the same sealed answers is other facts only if there are sealed answers.
    assert_eq!(gate.check_grant(&other), Ok(()));
    let clinical = gate.scene.clone().with("grant.use.scenario", "\"clinical_care\"");
    other.terms.facts = clinical.facts().2.split([3; 32]).unwrap().stated;
    assert_eq!(gate.check_grant(&other), case("grant"));

    // rolf says of himself just what rita does.
    let info = info_of(&gate.scene);
    gate.w.vault_does("olga", Body::MemberAmended(MemberAmended { info, member: member("rolf") }));
    gate.w.now = NOW;
    let mut for_rolf = honest.clone();
    for_rolf.terms.member = member("rolf");
    assert_eq!(gate.check_grant(&for_rolf), case("member_id"));

    let mut at = gate.w.dataset_draft("stella", Body::Granted(honest.clone()));
    at.time += 1;
    let asked = check(&gate.w.state, &gate.exposures(), gate.w.data(), &at, &[]);
    assert_eq!(asked, case("now"));

    // The facts, the level and the packs that it was decided on have changed since.
    gate.w.vault_does("olga", set_pack("example-institute", true));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), Err(Refusal::Trace(TraceError::Decision("packs"))));
    gate.w.vault_does("olga", set_pack("example-institute", false));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), Ok(()));
    let scene = gate.scene.clone().with("dataset.subjects.count", "99");
    gate.w.does("stella", Body::FactsAmended(amended(&scene, &[], &[])));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), case("dataset"));
}

#[test]
fn a_pack_that_is_not_at_hand_stops_every_grant() {
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let hash = Digest([4; 32]);
    gate.w.vault_does("olga", Body::PackSet(PackSet { hash, name: text("house"), on: true }));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), Err(Refusal::NoPack { name: "house".to_owned(), hash }));
}

#[test]
fn what_the_rules_block_or_deny_is_refused_with_the_rule() {
    let mut gate = Gate::new(Scene::domestic().with("dataset.ethics.approved", "\"unknown\""));
    let honest = gate.honest(None, None);
    let Err(Refusal::NotAllowed(decision)) = gate.check_grant(&honest) else { panic!("it passes") };
    assert_eq!(decision.outcome, Outcome::Blocked);
    let refusal = Refusal::NotAllowed(decision).text();
    assert!(refusal.say(Lang::En).contains("hgr-02"), "{}", refusal.say(Lang::En));
    assert!(refusal.say(Lang::Zh).contains("规则不允许"), "{}", refusal.say(Lang::Zh));
    // A record that claims the reverse does not help.
    let mut lie = honest.clone();
    let mut trace = lie.trace.take().unwrap();
    trace.0.insert("outcome".to_owned(), "allow".into());
    lie.trace = Some(trace);
    assert_eq!(gate.check_grant(&lie), Err(Refusal::Trace(TraceError::Decision("outcome"))));
}

#[test]
fn approvals_are_those_that_the_rules_ask_for_also_if_the_genesis_asks_for_none() {
    let scene = Scene::domestic().at_level(4).with("dataset.grading.health_level", "4");
    let mut gate = Gate::new(scene);
    let mut grant = gate.honest(None, None);
    assert_eq!(gate.check_grant(&grant), Err(Refusal::Approvals { needed: 2, named: 0 }));
    let proposed = gate.w.proposed("granted", &grant.terms, Some("rita"));
    let proposal = gate.w.does("sven", Body::Proposed(proposed));
    let one = gate.w.does("anna", Body::Approved(Approved { proposal }));
    let two = gate.w.does("axel", Body::Approved(Approved { proposal }));
    gate.w.now = NOW;
    grant.approval = Some(Approval { approvals: [one].into_iter().collect(), proposal });
    assert_eq!(gate.check_grant(&grant), Err(Refusal::Approvals { needed: 2, named: 1 }));
    grant.approval = Some(Approval { approvals: [one, two].into_iter().collect(), proposal });
    assert_eq!(gate.check_grant(&grant), Ok(()));
    assert!(gate.w.allows("stella", Body::Granted(grant)));
}

#[test]
fn a_counted_grant_has_its_reservations_in_the_ledgers_that_the_facts_say() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let facts = gate.grant_facts();
    let rita = member("rita");
    let exposures = gate.exposures();
    let packs = in_force(&gate.w.state, gate.w.state.last_seq(), &[]).unwrap();
    let at = gate.at();
    let ask =
        Ask { vault: &gate.w.state, exposures: &exposures, dataset: gate.w.data(), at, member: &rita, facts: &facts };
    let (decision, needs) = foresee(&ask, &packs).unwrap();
    assert_eq!(decision.outcome, Outcome::Allow);
    assert_eq!(needs.recipient, Some(Need { ledger: to, added: 100, total: 100 }));
    assert_eq!(needs.export, Some(Need { ledger: year, added: 100, total: 100 }));
    let missing = decide_reserved(&ask, Counted::default(), &packs);
    assert_eq!(missing, Err(Refusal::NotReserved(LedgerId::Exposure(to))));

    let (recipient, export) = gate.reserve_all();
    let mut grant = gate.honest(Some(&recipient), Some(&export));
    assert_eq!(gate.check_grant(&grant), Err(Refusal::Approvals { needed: 1, named: 0 }));
    grant = gate.approved(grant);
    assert_eq!(gate.check_grant(&grant), Ok(()));

    // Without one of them, or with the wrong one.
    let without = Granted { reservation: None, ..grant.clone() };
    assert_eq!(gate.check_grant(&without), Err(Refusal::NotReserved(LedgerId::Exposure(to))));
    let exchanged = Granted { reservation: Some(export), ..grant.clone() };
    let elsewhere = "it is in another ledger than the facts say";
    assert_eq!(gate.check_grant(&exchanged), Err(Refusal::Reservation(elsewhere)));
    let absent = Granted { reservation: Some(Reservation { seq: 9, ..recipient.clone() }), ..grant.clone() };
    assert_eq!(gate.check_grant(&absent), Err(Refusal::Reservation("it is not there")));
    let body = Reserved { member: member("rolf"), ..gate.reserved(to, 100) };
    let of_rolf = gate.puts(to, "stella", Body::Reserved(body));
    let stolen = Granted { reservation: Some(of_rolf), ..grant };
    assert_eq!(gate.check_grant(&stolen), Err(Refusal::Reservation("it is for another dataset or member")));
}

#[test]
fn a_reservation_adds_all_that_is_not_counted_yet() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let few = gate.reserve(to, 60);
    let export = gate.reserve(year, 100);
    let facts = gate.grant_facts();
    let rita = member("rita");
    let decided = |gate: &Gate, recipient: &Reservation| {
        let exposures = gate.exposures();
        let at = gate.at();
        let (vault, dataset) = (&gate.w.state, gate.w.data());
        let ask = Ask { vault, exposures: &exposures, dataset, at, member: &rita, facts: &facts };
        let counted = Counted { recipient: Some(recipient), export: Some(&export) };
        decide_reserved(&ask, counted, &[pack("cn-sequencing")]).map(|decision| decision.outcome)
    };
    assert_eq!(decided(&gate, &few), Err(Refusal::TooFew { added: 60, needed: 100 }));
    // The rest in a second one; from then on the dataset is counted for this recipient, whichever member of it is granted.
    let rest = gate.reserve(to, 40);
    assert_eq!(decided(&gate, &rest), Ok(Outcome::Allow));
    let nobody = gate.reserve(to, 0);
    assert_eq!(decided(&gate, &nobody), Ok(Outcome::Allow));
    // Fewer, with the hash of a set of subjects that were counted elsewhere.
    let mut gate = Gate::new(Scene::named());
    gate.reserve(year, 100);
    let body = Reserved { subjects: Some(Digest([7; 32])), ..gate.reserved(to, 10) };
    let known = gate.puts(to, "stella", Body::Reserved(body));
    assert_eq!(decided(&gate, &known), Ok(Outcome::Allow));
}

#[test]
fn five_hundred_pass_and_one_more_does_not_however_they_are_split() {
    for (before, outcome) in [(400, Outcome::Allow), (401, Outcome::Blocked)] {
        let mut gate = Gate::new(Scene::reported());
        let to = gate.recipient();
        let elsewhere = Reserved { dataset: other_dataset(), ..gate.reserved(to, before) };
        gate.puts(to, "stella", Body::Reserved(elsewhere));
        let (recipient, export) = gate.reserve_all();
        let grant = gate.honest(Some(&recipient), Some(&export));
        let checked = gate.check_grant(&grant);
        match outcome {
            // What is missing then is the approver of an export.
            Outcome::Allow => assert_eq!(checked, Err(Refusal::Approvals { needed: 1, named: 0 })),
            _ => assert!(
                matches!(&checked, Err(Refusal::NotAllowed(d)) if d.missing().any(|f| f.rule == "hgr-13")),
                "{checked:?}"
            ),
        }
    }
}

#[test]
fn ten_thousand_exported_in_a_year_take_the_assessment_and_a_new_year_begins_at_nothing() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let elsewhere = Reserved { dataset: other_dataset(), ..gate.reserved(year, 9_900) };
    gate.puts(year, "stella", Body::Reserved(elsewhere));
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let Err(Refusal::NotAllowed(decision)) = gate.check_grant(&grant) else { panic!("it passes") };
    assert!(decision.missing().any(|fired| fired.rule == "export-assessment"));
    assert!(gate.exposure(&to).total() == 100);
    // By China's clock: eight hours before the year of UTC ends.
    let dataset = gate.scene.facts().0;
    let (packs, end) = ([pack("cn-sequencing")], 1_830_268_800);
    assert_eq!(export_ledger(&dataset, end - 1, &packs), Some(year));
    assert_ne!(export_ledger(&dataset, end, &packs), Some(year));
}

#[test]
fn new_facts_suspend_the_grants_that_they_do_not_support() {
    let mut gate = Gate::new(Scene::domestic());
    let grant = gate.honest(None, None);
    let grant = gate.approved(grant);
    gate.w.does("stella", Body::Granted(grant));
    let scene = gate.scene.clone();
    let ask =
        |gate: &Gate, scene: &Scene, suspends: &[&str]| gate.check(Body::FactsAmended(amended(scene, suspends, &[])));
    let harmless = scene.clone().with("dataset.subjects.count", "120");
    assert_eq!(ask(&gate, &harmless, &[]), Ok(()));
    let withdrawn = scene.clone().with("dataset.consent.withdrawn", "\"yes\"");
    assert_eq!(ask(&gate, &withdrawn, &[]), Err(Refusal::Suspend(member("rita"))));
    assert_eq!(ask(&gate, &withdrawn, &["rita"]), Ok(()));
    let reversed = Facts::default();
    let unknown = FactsAmended { facts: reversed, ..amended(&scene, &[], &[]) };
    assert_eq!(gate.check(Body::FactsAmended(unknown)), Err(Refusal::Suspend(member("rita"))));
    let strange =
        FactsAmended { facts: facts(serde_json::json!({"category": "wgs"})), ..amended(&scene, &["rita"], &[]) };
    assert!(matches!(gate.check(Body::FactsAmended(strange)), Err(Refusal::Facts { of: "dataset", .. })));
    // stella's own grant, of her dataset's creation, is nobody's business.
    let (vault, exposures, data) = (&gate.w.state, gate.exposures(), gate.w.data());
    let stands = standing(vault, &exposures, data, gate.at(), &[]).unwrap();
    assert_eq!(stands.iter().map(|one| one.member.as_str()).collect::<Vec<_>>(), ["rita"]);
    assert_eq!(stands[0].needs, None);
    // Years later its ends are over.
    let later = At { time: 1_900_000_000, ..gate.at() }; // 2030
    assert!(standing(vault, &exposures, data, later, &[]).unwrap().is_empty(), "the grant itself has ended");
}

#[test]
fn more_persons_are_reserved_before_they_are_stated() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    let mut grant = gate.honest(Some(&recipient), Some(&export));
    // The fold of this test does not have these exposure ledgers: so the trace names both, and the statement neither.
    let to_later = grant.reservation.take().unwrap();
    let grant = gate.approved(grant);
    gate.w.does("stella", Body::Granted(grant));
    assert!(gate.w.data().is_traced(&export) && !gate.w.data().is_traced(&to_later));
    let more = gate.scene.clone().with("dataset.subjects.count", "150");
    let refused = Err(Refusal::Suspend(member("rita")));
    assert_eq!(gate.check(Body::FactsAmended(amended(&more, &[], &[]))), refused);
    let (to, year) = (gate.recipient(), gate.export());
    let (a, b) = (gate.reserve(to, 50), gate.reserve(year, 50));
    assert_eq!(gate.check(Body::FactsAmended(amended(&more, &[], &[("rita", &a)]))), refused, "the export is not");
    let both = amended(&more, &[], &[("rita", &a), ("rita", &b)]);
    assert_eq!(gate.check(Body::FactsAmended(both)), Ok(()));
    let few = gate.reserve(to, 0);
    let more = gate.scene.clone().with("dataset.subjects.count", "151");
    assert_eq!(gate.check(Body::FactsAmended(amended(&more, &[], &[("rita", &few), ("rita", &b)]))), refused);
}

#[test]
fn recovery_cards_are_the_vaults_or_the_controllers() {
    let mut gate = Gate::new(Scene::domestic());
    let set = |gate: &mut Gate, names: &[&str]| {
        let cards: Set<_> = names.iter().map(|name| gate.w.card(name)).collect();
        gate.check(Body::RecoverySet(RecoverySet { cards, seals: Set::default() }))
    };
    assert_eq!(set(&mut gate, &["reco"]), Ok(()));
    assert_eq!(set(&mut gate, &["reco", "rita"]), Err(Refusal::Recovery(member("rita"))));
    assert_eq!(set(&mut gate, &["reco", "rolf"]), Err(Refusal::Recovery(member("rolf"))), "nobody knows whose rolf is");
    let own = gate.scene.clone().with("member.legal.id", "\"C-1\"");
    let amend = MemberAmended { info: info_of(&own), member: member("rita") };
    gate.w.vault_does("olga", Body::MemberAmended(amend));
    assert_eq!(set(&mut gate, &["reco", "rita"]), Ok(()));

    let Body::DatasetCreated(created) = gate.w.created() else { panic!("another kind") };
    let create = |gate: &Gate, name: &str, facts: &Facts| {
        let recovery = [gate.w.card(name)].into_iter().collect();
        let body = DatasetCreated { recovery, facts: facts.clone(), ..created.clone() };
        check_creation(&gate.w.state, &gate.w.dataset_draft("stella", Body::DatasetCreated(body)))
    };
    let facts = dataset_facts(&gate.scene);
    assert_eq!(create(&gate, "reco", &facts), Ok(()));
    assert_eq!(create(&gate, "reco", &Facts::default()), Ok(()), "nothing is known yet");
    assert_eq!(create(&gate, "rita", &facts), Ok(()));
    assert_eq!(create(&gate, "rolf", &facts), Err(Refusal::Recovery(member("rolf"))));
    assert!(matches!(create(&gate, "reco", &created.facts), Err(Refusal::Facts { of: "dataset", .. })));
}

#[test]
fn members_are_enrolled_with_facts_that_fit() {
    let gate = Gate::new(Scene::domestic());
    let amend = |info: Info| {
        let body = Body::MemberAmended(MemberAmended { info, member: member("rita") });
        check_member(&gate.w.state, &gate.w.vault_draft("olga", body))
    };
    assert_eq!(amend(info("rita")), Ok(()), "no facts are no wrong facts");
    assert_eq!(amend(info_of(&gate.scene)), Ok(()));
    let elsewhere = Info { jurisdiction: Jurisdiction::parse("DE").unwrap(), ..info_of(&gate.scene) };
    assert!(matches!(amend(elsewhere), Err(Refusal::Facts { of: "member", .. })));
}

#[test]
fn exposure_ledgers_take_what_the_facts_ask_for_and_release_what_was_cancelled() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let ask = |gate: &Gate, ledger: Digest, body: Body| {
        let statement = gate.draft(ledger, "stella", body);
        check_exposure(&gate.w.state, &gate.exposure(&ledger), gate.w.data(), &statement, &[])
    };
    assert_eq!(ask(&gate, to, Body::Reserved(gate.reserved(to, 100))), Ok(()));
    assert_eq!(ask(&gate, year, Body::Reserved(gate.reserved(year, 100))), Ok(()));
    let few = Err(Refusal::TooFew { added: 99, needed: 100 });
    assert_eq!(ask(&gate, to, Body::Reserved(gate.reserved(to, 99))), few);
    // No more than the dataset has, unless its member may be about to be given more.
    let many = |most| Err(Refusal::TooMany { added: most + 1, most });
    assert_eq!(ask(&gate, to, Body::Reserved(gate.reserved(to, 101))), many(100));
    assert_eq!(ask(&gate, year, Body::Reserved(gate.reserved(year, 101))), many(100));
    let strange = Digest([9; 32]);
    let elsewhere = Err(Refusal::Reservation("it is in another ledger than the facts say"));
    assert_eq!(ask(&gate, strange, Body::Reserved(gate.reserved(strange, 100))), elsewhere);

    let reservation = gate.reserve(to, 100);
    let release = |cites: Reservation, approval: Option<Approval>| {
        let terms = ReleasedTerms { reserved: reservation.hash };
        Body::Released(Released { approval, cites, terms })
    };
    let cites = |gate: &Gate| {
        let head = gate.w.data().head().unwrap();
        Reservation { hash: head.hash, ledger: LedgerId::Dataset(dataset_id()), seq: head.seq }
    };
    let not_cancelled = Err(Refusal::Reservation("its dataset has not cancelled it"));
    assert_eq!(ask(&gate, to, release(cites(&gate), None)), not_cancelled, "an entry of the dataset, but another");
}

#[test]
fn nobody_raises_the_totals_of_others() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let ask = |gate: &Gate, ledger: Digest, signer: &str, added: u64| {
        let statement = gate.draft(ledger, signer, Body::Reserved(gate.reserved(ledger, added)));
        check_exposure(&gate.w.state, &gate.exposure(&ledger), gate.w.data(), &statement, &[])
    };
    // A dataset that is counted adds nobody; who has no grant is reserved no more than the dataset has.
    gate.reserve(to, 100);
    assert_eq!(ask(&gate, to, "stella", 0), Ok(()));
    assert_eq!(ask(&gate, to, "stella", 1), Err(Refusal::TooMany { added: 1, most: 0 }));
    let huge = u64::MAX >> 1;
    assert_eq!(ask(&gate, year, "stella", huge), Err(Refusal::TooMany { added: huge, most: 100 }));
    // Exports are counted by whoever is enrolled as the controller, also under another spelling, or by an officer: of
    // officers the fold takes it from those who are stewards.
    let provider = |who: &str| Err(Refusal::Provider(member(who)));
    assert_eq!(ask(&gate, year, "stella", 100), Ok(()));
    gate.w.vault_does("olga", enrolled_as(&gate.scene, "stella", "c - 1"));
    gate.w.now = NOW;
    assert_eq!(ask(&gate, year, "stella", 100), Ok(()));
    gate.w.vault_does("olga", enrolled_as(&gate.scene, "stella", "C-2"));
    gate.w.now = NOW;
    assert_eq!(ask(&gate, year, "stella", 100), provider("stella"));
    assert_eq!(ask(&gate, to, "stella", 0), Ok(()), "a recipient is anybody's to count");
    assert_eq!(ask(&gate, year, "sven", 100), provider("sven"), "nobody said for whom he acts");
    assert_eq!(ask(&gate, year, "olga", 100), Ok(()));
    assert!(Refusal::Provider(member("sven")).text().say(Lang::Zh).contains("控制者"));
    // Without a pack nothing of this is asked.
    gate.w.vault_does("olga", set_pack("cn-sequencing", false));
    gate.w.now = NOW;
    assert_eq!(ask(&gate, year, "sven", huge), Ok(()));
}

#[test]
fn readers_find_times_that_contradict_the_order_of_entries() {
    let early = |by: u64| {
        let mut gate = Gate::new(Scene::domestic());
        let honest = gate.honest(None, None);
        let honest = gate.approved(honest);
        let time = gate.w.now;
        gate.w.does("stella", Body::Granted(honest));
        let granted = gate.w.data().head().unwrap().seq;
        gate.w.does("stella", revoked("rita"));
        // Decided for a moment that is over: all that the rules ask of it is there, by its own words.
        gate.w.now = time - by;
        let old = gate.honest(None, None);
        let old = gate.approved(old);
        gate.w.now = time - by;
        assert_eq!(gate.check_grant(&old), Ok(()), "by its own words");
        gate.w.does("stella", Body::Granted(old));
        (granted, audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]))
    };
    let (_, found) = early(300);
    assert_eq!(found, [], "clocks may differ by five minutes");
    let (granted, found) = early(301);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    let refusal = Refusal::Order { by: 301, of: Earlier::Entry(granted) };
    assert_eq!((one.kind, &one.refusal, one.member.as_ref()), ("granted", &refusal, Some(&member("rita"))));
    assert!(refusal.text().say(Lang::En).contains(&format!("301 s before that of entry {granted}")));
    assert!(refusal.text().say(Lang::Zh).contains("301 秒"));
}

#[test]
fn a_grant_is_no_earlier_than_the_reservations_that_it_rests_on() {
    for (at, found) in [(NOW + 700, None), (NOW + 699, Some(Refusal::Order { by: 301, of: Earlier::Reservation(0) }))] {
        let mut gate = Gate::new(Scene::named());
        gate.w.now = NOW + 1_000;
        let (recipient, export) = gate.reserve_all();
        gate.w.now = at;
        let grant = gate.honest(Some(&recipient), Some(&export));
        let grant = gate.approved(grant);
        gate.w.now = at;
        let statement = gate.w.dataset_draft("stella", Body::Granted(grant));
        let stored = gate.w.sign("stella", &statement);
        gate.w.dataset.push(stored);
        gate.w.compare = false;
        let findings = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]);
        assert_eq!(findings.into_iter().map(|one| one.refusal).next(), found);
    }
}

#[test]
fn readers_find_a_grant_that_slipped_in_and_only_that() {
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    gate.w.does("stella", Body::Granted(honest));
    let bare = gate.w.granted("rita");
    gate.w.does("stella", bare);
    let slipped = gate.w.data().head().unwrap().seq;
    let found = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].seq, found[0].kind, &found[0].member), (slipped, "granted", &Some(member("rita"))));
    assert_eq!(found[0].refusal, Refusal::NoTrace);
    // The grant is current by the fold, and does not stand by the rules.
    let (vault, exposures, data) = (&gate.w.state, gate.exposures(), gate.w.data());
    let stands = standing(vault, &exposures, data, gate.at(), &[]).unwrap();
    assert_eq!(stands[0].needs, Some(Standing::Suspend));
    // What was granted before there was a pack is no finding.
    let before = &gate.w.dataset[..usize::try_from(slipped).unwrap()];
    assert_eq!(audit(vault, &exposures, &dataset_id(), before, &[]), []);
}

/// As a server asks it.
fn check_now(gate: &Gate, body: Body) -> Result<(), Refusal> {
    let statement = gate.w.dataset_draft("stella", body);
    vault_policy::ledger::check_now(&gate.w.state, &gate.exposures(), gate.w.data(), &statement, &[])
}

#[test]
fn an_old_view_of_the_vault_gets_no_old_decision() {
    // The pack was set after what this grant cites.
    let mut gate = Gate::new(Scene::domestic());
    let old = gate.w.state.head().unwrap().seq - 1;
    let bare = gate.w.grant("rita");
    let mut statement = gate.w.dataset_draft("stella", Body::Granted(bare));
    let hash = gate.w.state.entry_hash(old).unwrap();
    statement.vault_head = Some(VaultHead { hash, seq: old });
    let now = |gate: &Gate, statement: &Statement| {
        vault_policy::ledger::check_now(&gate.w.state, &gate.exposures(), gate.w.data(), statement, &[])
    };
    assert_eq!(check(&gate.w.state, &gate.exposures(), gate.w.data(), &statement, &[]), Ok(()), "by its own words");
    assert_eq!(now(&gate, &statement), Err(Refusal::Older("the rule packs")));
    // So was what the member says of itself, and an approver has gone.
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    let mut statement = gate.w.dataset_draft("stella", Body::Granted(honest));
    assert_eq!(now(&gate, &statement), Ok(()));
    gate.w.vault_does("olga", role("anna", Role::Approver, false));
    assert_eq!(now(&gate, &statement), Err(Refusal::Older("an approver")));
    gate.w.vault_does("olga", role("anna", Role::Approver, true));
    assert_eq!(now(&gate, &statement), Ok(()));
    let moved = gate.scene.clone().with("member.access.country", "\"DE\"");
    gate.w.vault_does("olga", Body::MemberAmended(MemberAmended { info: info_of(&moved), member: member("rita") }));
    assert_eq!(now(&gate, &statement), Err(Refusal::Older("the member")));
    // Readers see it in a ledger, once its author must have known; and a time before what it cites.
    statement.time = gate.w.now + 10_000;
    let stored = gate.w.sign("stella", &statement);
    gate.w.dataset.push(stored);
    gate.w.refold();
    let found = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]);
    assert!(found.iter().any(|one| one.refusal == Refusal::Older("the member")), "{found:?}");
}

#[test]
fn an_exports_reservation_serves_one_grant_and_is_not_taken_back() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    let mut grant = gate.honest(Some(&recipient), Some(&export));
    grant.reservation = None;
    let grant = gate.approved(grant);
    gate.w.does("stella", Body::Granted(grant.clone()));
    let used = Err(Refusal::Reservation("it is used or cancelled already"));
    assert_eq!(check_now(&gate, Body::Granted(Granted { reservation: Some(recipient), ..grant })), used);
    let cancel = Body::ReservationCancelled(ReservationCancelled { reservation: export });
    assert_eq!(check_now(&gate, cancel), Err(Refusal::Reservation("a grant rests on it")));
}

#[test]
fn what_was_released_counts_no_more_and_what_others_rest_on_is_not_released() {
    let mut gate = Gate::new(Scene::named());
    let (to, year) = (gate.recipient(), gate.export());
    let (first, second) = (gate.reserve(to, 100), gate.reserve(to, 0));
    let export = gate.reserve(year, 100);
    let facts = gate.grant_facts();
    let rita = member("rita");
    let decided = |gate: &Gate| {
        let exposures = gate.exposures();
        let (vault, dataset, at) = (&gate.w.state, gate.w.data(), gate.at());
        let ask = Ask { vault, exposures: &exposures, dataset, at, member: &rita, facts: &facts };
        let counted = Counted { recipient: Some(&second), export: Some(&export) };
        decide_reserved(&ask, counted, &[pack("cn-sequencing")]).map(|decision| decision.outcome)
    };
    assert_eq!(decided(&gate), Ok(Outcome::Allow));
    let cites = |gate: &Gate| {
        let head = gate.w.data().head().unwrap();
        Reservation { hash: head.hash, ledger: LedgerId::Dataset(dataset_id()), seq: head.seq }
    };
    let terms = ReleasedTerms { reserved: first.hash };
    // By a proposal that nobody approved it is not released either.
    let proposal = vault_core::ids::EntryHash([0; 32]);
    let empty = Some(Approval { approvals: Set::default(), proposal });
    for approval in [None, empty] {
        let body = Body::Released(Released { approval, cites: cites(&gate), terms: terms.clone() });
        let statement = gate.draft(to, "stella", body);
        let asked = check_exposure(&gate.w.state, &gate.exposure(&to), gate.w.data(), &statement, &[]);
        assert_eq!(asked, Err(Refusal::Reservation("its dataset has not cancelled it")));
    }
    let one = [gate.w.data().head().unwrap().hash].into_iter().collect();
    let approved = Some(Approval { approvals: one, proposal });
    let body = Body::Released(Released { approval: approved, cites: cites(&gate), terms: terms.clone() });
    let statement = gate.draft(to, "olga", body);
    let asked = check_exposure(&gate.w.state, &gate.exposure(&to), gate.w.data(), &statement, &[]);
    assert_eq!(asked, Err(Refusal::Reservation("its member has not attested destruction")));
    // It slips in all the same, since the fold does not read the dataset's ledger: then what rested on it counts too few.
    let body = Body::Released(Released { approval: None, cites: cites(&gate), terms });
    gate.puts(to, "stella", body);
    assert_eq!(decided(&gate), Err(Refusal::TooFew { added: 0, needed: 100 }));
    // And who reads both ledgers sees it.
    let (state, entries) = (gate.exposure(&to), gate.exposures[&to].clone());
    let releases = vault_policy::ledger::releases(&state, &entries);
    let [(seq, dataset, body)] = releases.as_slice() else { panic!("{releases:?}") };
    assert_eq!((*seq, dataset), (2, &dataset_id()));
    let wrong = vault_policy::ledger::check_release(
        &gate.w.state,
        &gate.exposures(),
        &state,
        gate.w.data(),
        &gate.w.dataset,
        body,
    );
    assert_eq!(wrong, Err(Refusal::Reservation("its dataset has not cancelled it")));
}

fn attested() -> Body {
    let scope = text("all copies");
    Body::DestructionAttested(DestructionAttested { document: None, member: member("rita"), scope })
}

impl Gate {
    fn may_release(&self, one: &Reservation, ground: Ground<'_>) -> Result<(), Refusal> {
        let LedgerId::Exposure(ledger) = one.ledger else { panic!("no exposure ledger") };
        may_release(&self.exposure(&ledger), self.w.data(), &one.hash, ground)
    }

    fn cites(&self, entry: vault_core::ids::EntryHash) -> Reservation {
        let seq = self.w.data().judged().iter().position(|one| one.hash == entry).unwrap() as u64;
        Reservation { hash: entry, ledger: LedgerId::Dataset(dataset_id()), seq }
    }

    fn release(&self, of: &Reservation, cites: vault_core::ids::EntryHash, is_approved: bool) -> Body {
        let approvals = [cites].into_iter().collect();
        let approval = is_approved.then_some(Approval { approvals, proposal: cites });
        let terms = ReleasedTerms { reserved: of.hash };
        Body::Released(Released { approval, cites: self.cites(cites), terms })
    }

    /// As a server asks it.
    fn check_release(&self, of: &Reservation, cites: vault_core::ids::EntryHash) -> Result<(), Refusal> {
        let LedgerId::Exposure(ledger) = of.ledger else { panic!("no exposure ledger") };
        let statement = self.draft(ledger, "olga", self.release(of, cites, true));
        check_exposure(&self.w.state, &self.exposure(&ledger), self.w.data(), &statement, &[])
    }

    /// As a reader asks it of a release that stands, with approvals or not.
    fn was_right(&self, body: Body) -> Result<(), Refusal> {
        let Body::Released(body) = body else { panic!("another kind") };
        let state = self.exposure(&self.recipient());
        let (vault, exposures, data) = (&self.w.state, self.exposures(), self.w.data());
        vault_policy::ledger::check_release(vault, &exposures, &state, data, &self.w.dataset, &body)
    }
}

#[test]
fn an_attestation_counts_behind_the_end_of_the_last_grant() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let one = gate.reserve(to, 100);
    let asked = |gate: &Gate, entry| {
        let by_verbs = gate.may_release(&one, Ground::Destroyed(&entry));
        assert_eq!(gate.check_release(&one, entry), by_verbs, "the gate and the verbs say the same");
        assert_eq!(gate.was_right(gate.release(&one, entry, true)).is_ok(), by_verbs.is_ok(), "so do readers");
        by_verbs
    };
    // Granted, attested, revoked: what was read between the two was not destroyed.
    let granted = gate.w.granted("rita");
    gate.w.does("stella", granted);
    let early = gate.w.does("rita", attested());
    assert_eq!(asked(&gate, early), Err(Refusal::TooEarly));
    gate.w.does("stella", revoked("rita"));
    assert_eq!(asked(&gate, early), Err(Refusal::TooEarly));
    let late = gate.w.does("rita", attested());
    assert_eq!(asked(&gate, late), Ok(()));
    assert_eq!(asked(&gate, early), Err(Refusal::TooEarly), "a later one does not mend it");
    let strange = gate.w.data().judged()[0].hash;
    assert_eq!(asked(&gate, strange), Err(Refusal::Reservation("its member has not attested destruction")));
    // Attested, granted again, revoked. A reader knows that the old one was true when it was made.
    let granted = gate.w.granted("rita");
    gate.w.does("stella", granted);
    gate.w.does("stella", revoked("rita"));
    assert_eq!(gate.check_release(&one, late), Err(Refusal::TooEarly));
    assert_eq!(gate.was_right(gate.release(&one, late, true)), Ok(()));
    assert_eq!(gate.was_right(gate.release(&one, early, true)), Err(Refusal::TooEarly));
    let latest = gate.w.does("rita", attested());
    assert_eq!(asked(&gate, latest), Ok(()));
    let zh = Refusal::TooEarly.text();
    assert!(zh.say(Lang::Zh).contains("重新声明") && zh.say(Lang::En).contains("attests anew"));
}

#[test]
fn a_grant_is_over_by_its_time_and_by_a_withdrawal_too() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let one = gate.reserve(to, 100);
    let mut grant = gate.w.grant("rita");
    let ends = gate.w.now + 10_000;
    grant.terms.ends = Some(ends);
    gate.w.does("stella", Body::Granted(grant));
    gate.w.now = ends - 1;
    let statement = Statement { time: ends - 1, ..gate.w.dataset_draft("rita", attested()) };
    let early = gate.w.puts("rita", &statement);
    let statement = Statement { time: ends, ..gate.w.dataset_draft("rita", attested()) };
    let late = gate.w.puts("rita", &statement);
    assert_eq!(gate.check_release(&one, early), Err(Refusal::TooEarly));
    assert_eq!(gate.check_release(&one, late), Ok(()));

    let mut gate = Gate::new(Scene::named());
    gate.reserve(to, 100);
    let granted = gate.w.granted("rita");
    gate.w.does("stella", granted);
    let early = gate.w.does("rita", attested());
    let members = [member("rita")].into_iter().collect();
    let withdrawn = ConsentWithdrawn { members, reason: text("withdrawn"), subjects: None };
    gate.w.does("stella", Body::ConsentWithdrawn(withdrawn));
    let late = gate.w.does("rita", attested());
    assert_eq!(gate.check_release(&one, early), Err(Refusal::TooEarly));
    assert_eq!(gate.check_release(&one, late), Ok(()));
    // A suspension ends it, and so does the end of the dataset.
    let granted = gate.w.granted("rita");
    gate.w.does("stella", granted);
    let suspended = Suspended { members: [member("rita")].into_iter().collect(), reason: text("rest") };
    gate.w.does("stella", Body::Suspended(suspended));
    let rests = gate.w.does("rita", attested());
    assert_eq!(gate.check_release(&one, late), Err(Refusal::TooEarly), "granted again since");
    assert_eq!(gate.check_release(&one, rests), Ok(()));
    assert_eq!(gate.was_right(gate.release(&one, rests, true)), Ok(()));
    let granted = gate.w.granted("rita");
    gate.w.does("stella", granted);
    let early = gate.w.does("rita", attested());
    let terms = DatasetDeletedTerms { reason: text("over") };
    gate.w.does("stella", Body::DatasetDeleted(DatasetDeleted { approval: None, terms }));
    let late = gate.w.does("rita", attested());
    assert_eq!(gate.check_release(&one, early), Err(Refusal::TooEarly));
    assert_eq!(gate.check_release(&one, late), Ok(()));
}

#[test]
fn what_a_later_reservation_may_rest_on_is_not_released() {
    let known = Some(Digest([7; 32]));
    // Another member of the same recipient, and a dataset with the same persons; whoever else is counted there rests on nothing.
    for (dataset, who, subjects, rests) in [
        (dataset_id(), "rolf", None, true),
        (other_dataset(), "rita", known, true),
        (other_dataset(), "rita", None, false),
    ] {
        let mut gate = Gate::new(Scene::named());
        let to = gate.recipient();
        let granted = gate.w.granted("rita");
        gate.w.does("stella", granted);
        gate.w.does("stella", revoked("rita"));
        let attested = gate.w.does("rita", attested());
        let before = Reserved { dataset: other_dataset(), subjects: known, ..gate.reserved(to, 10) };
        gate.puts(to, "stella", Body::Reserved(before));
        let one = gate.reserve(to, 100);
        assert_eq!(gate.check_release(&one, attested), Ok(()), "what was there before rests on nothing later");
        let body = Reserved { dataset, member: member(who), subjects, ..gate.reserved(to, 0) };
        let later = gate.puts(to, "stella", Body::Reserved(body));
        let refused = if rests { Err(Refusal::RestedOn(later.seq)) } else { Ok(()) };
        assert_eq!(gate.check_release(&one, attested), refused);
        assert_eq!(gate.may_release(&one, Ground::Destroyed(&attested)), refused);
        assert_eq!(gate.may_release(&one, Ground::Unused), refused);
        assert_eq!(gate.may_release(&later, Ground::Unused), Ok(()), "it adds nobody");
        // By a cancellation neither, and readers say it of one that slipped in, as it was then.
        let cancelled = ReservationCancelled { reservation: one.clone() };
        let cancelled = gate.cancels(cancelled);
        let body = gate.release(&one, cancelled, false);
        let statement = gate.draft(to, "stella", body.clone());
        let exposure = gate.exposure(&to);
        assert_eq!(check_exposure(&gate.w.state, &exposure, gate.w.data(), &statement, &[]), refused);
        gate.puts(to, "stella", body.clone());
        assert_eq!(gate.was_right(body.clone()), refused);
        let after = Reserved { subjects: known, ..gate.reserved(to, 100) };
        gate.puts(to, "stella", Body::Reserved(after));
        assert_eq!(gate.was_right(body), refused, "what came later says nothing");
    }
    let text = Refusal::RestedOn(4).text();
    assert!(text.say(Lang::En).contains("entry 4") && text.say(Lang::En).contains("release that one first"));
    assert!(text.say(Lang::Zh).contains("请先撤回该条登记"), "{}", text.say(Lang::Zh));
}

impl Gate {
    /// Cancels in the dataset's ledger, folded with the exposure ledgers of this test.
    fn cancels(&mut self, body: ReservationCancelled) -> vault_core::ids::EntryHash {
        let statement = self.w.dataset_draft("stella", Body::ReservationCancelled(body));
        let stored = self.w.sign("stella", &statement);
        self.w.dataset.push(stored);
        self.folds()
    }

    fn folds(&mut self) -> vault_core::ids::EntryHash {
        use vault_core::ledger::dataset::DatasetState;
        self.w.compare = false;
        let data = DatasetState::fold(&self.w.state, &self.exposures(), &dataset_id(), &self.w.dataset).unwrap();
        let last = data.judged().last().unwrap();
        assert_eq!(
            (data.judged().len(), last.verdict),
            (self.w.dataset.len(), vault_core::ledger::fold::Verdict::Applied)
        );
        let hash = last.hash;
        self.w.data = Some(data);
        hash
    }

    fn says(&mut self, signer: &str, body: Body) -> vault_core::ids::EntryHash {
        let statement = self.w.dataset_draft(signer, body);
        let stored = self.w.sign(signer, &statement);
        self.w.dataset.push(stored);
        self.folds()
    }
}

#[test]
fn persons_who_were_exported_stay_counted_in_their_year() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let grant = gate.approved(grant);
    gate.says("stella", Body::Granted(grant));
    // More are counted before the facts state them.
    let (to, year) = (gate.recipient(), gate.export());
    let (a, b) = (gate.reserve(to, 50), gate.reserve(year, 50));
    let more = gate.scene.clone().with("dataset.subjects.count", "150");
    gate.says("stella", Body::FactsAmended(amended(&more, &[], &[("rita", &a), ("rita", &b)])));
    gate.says("stella", revoked("rita"));
    let entry = gate.says("rita", attested());
    for (one, expected) in [(&a, Ok(())), (&export, Err(Refusal::Exported)), (&b, Err(Refusal::Exported))] {
        assert_eq!(gate.check_release(one, entry), expected);
        assert_eq!(gate.may_release(one, Ground::Destroyed(&entry)), expected);
    }
    assert_eq!(gate.check_release(&recipient, entry), Err(Refusal::RestedOn(a.seq)), "the newest goes first");
    let used = Err(Refusal::Reservation("a grant rests on it"));
    assert_eq!(gate.may_release(&recipient, Ground::Unused), used);
    assert_eq!(gate.may_release(&export, Ground::Unused), used);
    let body = gate.release(&a, entry, true);
    assert_eq!(gate.was_right(body), Ok(()));
    assert!(Refusal::Exported.text().say(Lang::Zh).contains("出境"));
}

#[test]
fn a_reservation_that_came_to_be_used_after_the_attestation_is_not_released_by_it() {
    let mut gate = Gate::new(Scene::named());
    gate.scene = Scene::named();
    let granted = gate.w.granted("rita");
    gate.says("stella", granted);
    gate.says("stella", revoked("rita"));
    let early = gate.says("rita", attested());
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let grant = gate.approved(grant);
    gate.says("stella", Body::Granted(grant));
    gate.says("stella", revoked("rita"));
    assert_eq!(gate.check_release(&recipient, early), Err(Refusal::TooEarly));
    assert_eq!(gate.was_right(gate.release(&recipient, early, true)), Err(Refusal::TooEarly));
}

#[test]
fn a_time_far_ahead_hides_nothing_of_what_comes_after_it() {
    let mut gate = Gate::new(Scene::domestic());
    let now = gate.w.now;
    gate.w.now = now + 2_000_000_000;
    let facts = amended(&gate.scene.clone(), &[], &[]);
    gate.w.does("stella", Body::FactsAmended(facts));
    let ahead = gate.w.data().head().unwrap().seq;
    gate.w.now = now;
    let bare = gate.w.granted("rita");
    gate.w.does("stella", bare);
    let slipped = gate.w.data().head().unwrap().seq;
    let found = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]);
    let [order, rules] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((order.seq, rules.seq), (slipped, slipped));
    assert!(matches!(order.refusal, Refusal::Order { of: Earlier::Entry(seq), .. } if seq == ahead), "{order:?}");
    assert_eq!(rules.refusal, Refusal::NoTrace);
}

#[test]
fn a_grant_that_has_ended_reserves_no_more_than_the_dataset_has() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let mut grant = gate.w.grant("rita");
    let ends = gate.w.now + 10_000;
    grant.terms.ends = Some(ends);
    gate.w.does("stella", Body::Granted(grant));
    for (now, expected) in [(ends - 1, Ok(())), (ends, Err(Refusal::TooMany { added: 101, most: 100 }))] {
        let body = Body::Reserved(gate.reserved(to, 101));
        let statement = Statement { time: now, ..gate.draft(to, "stella", body) };
        assert_eq!(check_exposure(&gate.w.state, &gate.exposure(&to), gate.w.data(), &statement, &[]), expected);
    }
}

#[test]
fn a_missing_pack_stops_no_revocation_and_a_withdrawal_stops_grants() {
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    let withdrawn = ConsentWithdrawn { members: Set::default(), reason: text("withdrawn"), subjects: None };
    gate.w.does("stella", Body::ConsentWithdrawn(withdrawn.clone()));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), Err(Refusal::Withdrawn));
    // Facts that take it into account are stated later.
    gate.w.does("stella", Body::FactsAmended(amended(&gate.scene.clone(), &[], &[])));
    gate.w.now = NOW;
    assert_eq!(gate.check_grant(&honest), Ok(()));
    // What was approved before is approved anew.
    assert!(!gate.w.allows("stella", Body::Granted(honest.clone())));
    let honest = gate.approved(honest);
    gate.w.does("stella", Body::Granted(honest));
    let unknown = PackSet { hash: Digest([4; 32]), name: text("house"), on: true };
    gate.w.vault_does("olga", Body::PackSet(unknown));
    let suspends = amended(&gate.scene.clone(), &["rita"], &[]);
    for body in [
        revoked("rita"),
        Body::ConsentWithdrawn(withdrawn),
        gate.w.epoch_opened(&["rita"]),
        Body::FactsAmended(suspends),
    ] {
        let kind = body.kind();
        assert_eq!(check_now(&gate, body), Ok(()), "{kind}");
    }
    let keeps = amended(&gate.scene.clone(), &[], &[]);
    assert!(matches!(check_now(&gate, Body::FactsAmended(keeps)), Err(Refusal::NoPack { .. })));
}

#[test]
fn a_grant_with_too_few_approvals_or_a_later_end_does_not_stand() {
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let honest = gate.approved(honest);
    gate.w.does("stella", Body::Granted(honest));
    let suspend = Err(Refusal::Suspend(member("rita")));
    let ask = |gate: &Gate, scene: &Scene| check_now(gate, Body::FactsAmended(amended(scene, &[], &[])));
    // Level 4 asks for two approvers, and there was one.
    assert_eq!(ask(&gate, &gate.scene.clone().at_level(4)), suspend);
    // The ethics approval ends before the grant does.
    assert_eq!(ask(&gate, &gate.scene.clone().with("dataset.ethics.expiry", "2027-06-30")), suspend);
    assert_eq!(ask(&gate, &gate.scene.clone().with("dataset.ethics.expiry", "2029-06-30")), Ok(()));
}

#[test]
fn nobody_is_somebody_else_by_spelling() {
    let spelt = |id: &str| recipient_ledger(&Scene::domestic().with("member.ultimate.id", id).facts().1).unwrap();
    assert_eq!(spelt("\"U-1\""), spelt("\" u-1 \""));
    assert_eq!(spelt("\"U-1\""), spelt("\"Ｕ－１\""));
    assert_ne!(spelt("\"U-1\""), spelt("\"U-2\""));
    // The controller's own, written otherwise, is not another party.
    let own = Scene::domestic().with("member.legal.id", "\"c-1 \"").with("dataset.consent.separate", "\"no\"");
    assert_eq!(own.effect("person-separate-consent"), None);
}

#[test]
fn a_refusal_names_what_it_is_about_in_chinese_too() {
    let zh = |refusal: Refusal| refusal.text().say(Lang::Zh).to_owned();
    for (of, word) in
        [("dataset", "无法读取数据集的事实"), ("member", "无法读取成员的事实"), ("grant", "无法读取授权的事实")]
    {
        let said = zh(Refusal::Facts { of, why: StatedError::OtherSealed });
        assert!(said.contains(word), "{said}");
    }
    for (what, word) in
        [("the rule packs", "，规则包已变更"), ("the member", "，成员信息已变更"), ("an approver", "，批准人已变更")]
    {
        assert!(zh(Refusal::Older(what)).contains(word), "{what}");
    }
    for (of, word) in [
        (Earlier::Cited(3), "的保险库第 3 条记录早 9 秒"),
        (Earlier::Entry(4), "的第 4 条记录早 9 秒"),
        (Earlier::Reservation(5), "的人数登记（第 5 条记录）早 9 秒"),
    ] {
        let said = zh(Refusal::Order { by: 9, of });
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_pack_is_found_by_its_hash_among_others_and_goes_by_its_name() {
    let mut gate = Gate::new(Scene::domestic());
    let more = ["example-institute", "cn-sequencing"].map(|name| pack(name).clone());
    let found = in_force(&gate.w.state, gate.w.state.last_seq(), &more).unwrap();
    assert_eq!(found.iter().map(|pack| pack.hash()).collect::<Vec<_>>(), [pack("cn-sequencing").hash()]);
    let hash = pack("cn-sequencing").hash();
    gate.w.vault_does("olga", Body::PackSet(PackSet { hash, name: text("house"), on: true }));
    let other = in_force(&gate.w.state, gate.w.state.last_seq(), &more);
    assert_eq!(other.map(|packs| packs.len()), Err(Refusal::NoPack { name: "house".to_owned(), hash }));
}

#[test]
fn the_ledgers_to_read_are_those_of_the_facts_the_trace_and_the_grants() {
    let mut gate = Gate::new(Scene::named());
    let both = BTreeSet::from([gate.recipient(), gate.export()]);
    let asked = ledgers_of(&gate.w.state, gate.w.data(), gate.at(), &member("rita"), &[]).unwrap();
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), both);
    assert_eq!(counted_in(gate.w.data()), BTreeSet::new());
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let grant = gate.approved(grant);
    let statement = gate.w.dataset_draft("stella", Body::Granted(grant.clone()));
    assert_eq!(traced_by(&gate.w.sign("stella", &statement)), Some(gate.export()));
    assert_eq!(traced_by(&gate.w.dataset[0]), None);
    gate.says("stella", Body::Granted(grant));
    assert_eq!(counted_in(gate.w.data()), both);
}

#[test]
fn other_numbers_of_persons_change_the_totals_and_nothing_else() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let facts = gate.grant_facts();
    gate.puts(to, "stella", Body::Reserved(Reserved { dataset: other_dataset(), ..gate.reserved(to, 40) }));
    let (exposures, rita) = (gate.exposures(), member("rita"));
    let (vault, dataset, at) = (&gate.w.state, gate.w.data(), gate.at());
    let ask = Ask { vault, exposures: &exposures, dataset, at, member: &rita, facts: &facts };
    let (_, need) = foresee(&ask, &[pack("cn-sequencing")]).unwrap();
    let fewer = need.adding(|need| need.added - 93);
    let recipient = need.recipient.unwrap();
    assert_eq!((recipient.added, recipient.total), (100, 140));
    assert_eq!(fewer.recipient, Some(Need { added: 7, total: 47, ..recipient }));
    assert_eq!(fewer.export, Some(Need { added: 7, total: 7, ..need.export.unwrap() }));
}

#[test]
fn the_gate_judges_times_of_what_it_looks_at_and_of_nothing_in_a_vault_without_rules() {
    let mut gate = Gate::new(Scene::named());
    let bare = gate.w.grant("rita");
    let granted = gate.w.dataset_draft("stella", Body::Granted(bare));
    let ended = gate.w.dataset_draft("stella", revoked("rita"));
    assert!(is_timed(&gate.w.state, &granted) && !is_timed(&gate.w.state, &ended));
    // Who is counted is as they are said to be now.
    let to = gate.recipient();
    let reserved = gate.draft(to, "stella", Body::Reserved(gate.reserved(to, 100)));
    assert_eq!(check_fresh(&gate.w.state, None, &reserved), Ok(()));
    let moved = gate.scene.clone().with("member.access.country", "\"FR\"");
    gate.w.vault_does("olga", Body::MemberAmended(MemberAmended { info: info_of(&moved), member: member("rita") }));
    assert_eq!(check_fresh(&gate.w.state, None, &reserved), Err(Refusal::Older("the member")));
    gate.w.vault_does("olga", set_pack("cn-sequencing", false));
    assert!(!is_timed(&gate.w.state, &granted));
}

#[test]
fn what_no_trace_names_is_cancelled_and_what_ends_now_is_not_suspended() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    for reservation in [recipient.clone(), export.clone()] {
        let cancel = Body::ReservationCancelled(ReservationCancelled { reservation });
        assert_eq!(gate.check(cancel), Ok(()));
    }
    let mut gate = Gate::new(Scene::domestic());
    let honest = gate.honest(None, None);
    let ends = honest.terms.ends.unwrap();
    let honest = gate.approved(honest);
    gate.w.does("stella", Body::Granted(honest));
    let withdrawn = gate.scene.clone().with("dataset.consent.withdrawn", "\"yes\"");
    for (time, expected) in [(ends - 1, Err(Refusal::Suspend(member("rita")))), (ends, Ok(()))] {
        let body = Body::FactsAmended(amended(&withdrawn, &[], &[]));
        let statement = Statement { time, ..gate.w.dataset_draft("stella", body) };
        assert_eq!(check(&gate.w.state, &gate.exposures(), gate.w.data(), &statement, &[]), expected, "{time}");
    }
}

#[test]
fn who_is_enrolled_is_looked_at_where_rules_are_in_force_and_nowhere_else() {
    let mut gate = Gate::new(Scene::domestic());
    let elsewhere = Info { jurisdiction: Jurisdiction::parse("DE").unwrap(), ..info_of(&gate.scene) };
    let enrolled = |info: Info| Body::MemberEnrolled(MemberEnrolled { cards: Vec::new(), info, member: member("zoe") });
    let ask =
        |gate: &Gate, info: &Info| check_member(&gate.w.state, &gate.w.vault_draft("olga", enrolled(info.clone())));
    assert_eq!(ask(&gate, &info_of(&gate.scene)), Ok(()));
    assert!(matches!(ask(&gate, &elsewhere), Err(Refusal::Facts { of: "member", .. })));
    gate.w.vault_does("olga", set_pack("cn-sequencing", false));
    assert_eq!(ask(&gate, &elsewhere), Ok(()));
}

/// A year on, the persons who were exported are in the ledger of their year; who is added is in no ledger yet.
#[test]
fn an_export_of_last_year_stands_where_it_was_counted_and_more_persons_do_not() {
    let mut gate = Gate::new(Scene::named().with("grant.opening.expiry", "2029-01-01"));
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let ends = grant.terms.ends.unwrap();
    let grant = gate.approved(grant);
    gate.says("stella", Body::Granted(grant));
    let next = NOW + 360 * 86_400;
    assert!(next < ends, "{ends}");
    let packs = [pack("cn-sequencing")];
    let ledger = |time| export_ledger(&gate.scene.facts().0, time, &packs);
    assert_ne!(ledger(NOW), ledger(next), "another year");
    let ask = |scene: &Scene, time: u64| {
        let body = Body::FactsAmended(amended(scene, &[], &[]));
        let statement = Statement { time, ..gate.w.dataset_draft("stella", body) };
        check(&gate.w.state, &gate.exposures(), gate.w.data(), &statement, &[])
    };
    let more = gate.scene.clone().with("dataset.subjects.count", "101");
    for time in [NOW, next] {
        assert_eq!(ask(&gate.scene, time), Ok(()), "{time}");
        assert_eq!(ask(&more, time), Err(Refusal::Suspend(member("rita"))), "{time}");
    }
}

#[test]
fn a_release_without_approvals_cites_the_very_entry_that_cancelled() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let reservation = gate.reserve(to, 100);
    let entry = gate.cancels(ReservationCancelled { reservation: reservation.clone() });
    let Body::Released(honest) = gate.release(&reservation, entry, false) else { panic!("another kind") };
    let ask = |cites: Reservation| {
        let body = Body::Released(Released { cites, ..honest.clone() });
        let statement = gate.draft(to, "stella", body);
        check_exposure(&gate.w.state, &gate.exposure(&to), gate.w.data(), &statement, &[])
    };
    let cites = gate.cites(entry);
    assert_eq!(ask(cites.clone()), Ok(()));
    let refused = Err(Refusal::Reservation("its dataset has not cancelled it"));
    assert_eq!(ask(Reservation { seq: cites.seq - 1, ..cites.clone() }), refused);
    assert_eq!(ask(Reservation { hash: gate.w.data().judged()[0].hash, ..cites.clone() }), refused);
    assert_eq!(ask(Reservation { ledger: LedgerId::Exposure(to), ..cites }), refused);
}

#[test]
fn nothing_rests_on_a_reservation_that_adds_nobody() {
    let mut gate = Gate::new(Scene::named());
    let to = gate.recipient();
    let [first, none, last] = [100, 0, 0].map(|added| gate.reserve(to, added));
    let state = gate.exposure(&to);
    assert_eq!([first, none, last].map(|one| rests_on(&state, &one.hash).count()), [2, 0, 0]);
}

#[test]
fn readers_ask_nothing_of_what_is_void() {
    let mut gate = Gate::new(Scene::domestic());
    let bare = gate.w.grant("rolf");
    let void = gate.w.dataset_draft("rita", Body::Granted(bare));
    let stored = gate.w.sign("rita", &void);
    gate.w.dataset.push(stored);
    gate.w.refold();
    assert_ne!(gate.w.data().judged().last().unwrap().verdict, vault_core::ledger::fold::Verdict::Applied);
    let found = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &gate.w.dataset, &[]);
    assert!(found.iter().all(|one| one.seq != void.seq), "{found:?}");
}

#[test]
fn new_facts_are_no_earlier_than_the_reservations_that_they_rest_on() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let grant = gate.approved(grant);
    gate.says("stella", Body::Granted(grant));
    let more = gate.scene.clone().with("dataset.subjects.count", "120");
    gate.w.now = NOW + 10_000;
    let counted = [gate.recipient(), gate.export()].map(|ledger| gate.reserve(ledger, 20));
    let times: Vec<bool> = [NOW + 20_000, NOW]
        .into_iter()
        .map(|now| {
            gate.w.now = now;
            let cites = [("rita", &counted[0]), ("rita", &counted[1])];
            let body = Body::FactsAmended(amended(&more, &[], &cites));
            let statement = Statement { time: now, ..gate.w.dataset_draft("stella", body) };
            let entries = [&gate.w.dataset[..], &[gate.w.sign("stella", &statement)]].concat();
            let found = audit(&gate.w.state, &gate.exposures(), &dataset_id(), &entries, &[]);
            let of_reservation =
                |refusal: &Refusal| matches!(refusal, Refusal::Order { of: Earlier::Reservation(_), .. });
            found.iter().any(|one| one.seq == statement.seq && of_reservation(&one.refusal))
        })
        .collect();
    assert_eq!(times, [false, true]);
}

/// Who judges a grant years later counts what was there then, whatever was released since.
#[test]
fn what_was_released_since_counts_for_a_grant_that_was_made_before() {
    let mut gate = Gate::new(Scene::named());
    let (recipient, export) = gate.reserve_all();
    let grant = gate.honest(Some(&recipient), Some(&export));
    let grant = gate.approved(grant);
    let (statement, then) = (gate.w.dataset_draft("stella", Body::Granted(grant)), gate.w.data().clone());
    let ask = |gate: &Gate, now: bool| {
        let (vault, exposures) = (&gate.w.state, gate.exposures());
        if now {
            vault_policy::ledger::check_now(vault, &exposures, &then, &statement, &[])
        } else {
            check(vault, &exposures, &then, &statement, &[])
        }
    };
    assert_eq!((ask(&gate, true), ask(&gate, false)), (Ok(()), Ok(())));
    let entry = gate.cancels(ReservationCancelled { reservation: recipient.clone() });
    let (to, release) = (gate.recipient(), gate.release(&recipient, entry, false));
    gate.puts(to, "stella", release);
    let released = Err(Refusal::Reservation("it was released"));
    assert_eq!((ask(&gate, true), ask(&gate, false)), (released, Ok(())));
}
