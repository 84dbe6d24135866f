//! Every row of every table: cases that fire it, cases that just miss it, and what wins beside the rows around it.
//!
//! `docs/rules.md` maps rows to rules to these tests; the last tests here hold the map to be whole.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may unwrap, index and panic")]

mod scene;

use scene::{APPROVAL, NOW, Scene, pack};
use vault_policy::facts::subjects::{Mark, Marks, Portion, cumulative};
use vault_policy::gate::{Effect, Standing};
use vault_policy::{Lang, Outcome};

const YES: &str = "\"yes\"";
const NO: &str = "\"no\"";
const UNKNOWN: &str = "\"unknown\"";
const NONE: &str = "\"none\"";

/// That exactly these rules stand in the way, with this outcome.
#[track_caller]
fn stopped(scene: &Scene, outcome: Outcome, rules: &[&str]) {
    assert_eq!(scene.stopped_by(), rules, "{}", scene.decide().explain(Lang::En));
    assert_eq!(scene.outcome(), outcome);
}

#[track_caller]
fn allowed(scene: &Scene) {
    stopped(scene, Outcome::Allow, &[]);
}

#[test]
fn the_three_scenes_are_allowed_and_say_by_what() {
    allowed(&Scene::domestic());
    assert_eq!(Scene::domestic().effect("hgr-07"), Some(Effect::Allow));
    allowed(&Scene::named());
    assert_eq!(Scene::named().effect("hgr-11"), Some(Effect::Allow));
    allowed(&Scene::reported());
    assert_eq!(Scene::reported().effect("hgr-12-reported"), Some(Effect::Allow));
}

#[test]
fn row_1_a_state_secret_is_denied() {
    for secret in ["\"secret\"", "\"confidential\"", "\"top_secret\""] {
        stopped(&Scene::domestic().with("dataset.grading.secrecy", secret), Outcome::Deny, &["hgr-01"]);
    }
    allowed(&Scene::domestic().with("dataset.grading.secrecy", "\"restricted\""));
    stopped(&Scene::domestic().with("dataset.grading.secrecy", UNKNOWN), Outcome::Blocked, &["hgr-01"]);
    // Deny beats what is blocked beside it.
    let both = Scene::domestic().with("dataset.grading.secrecy", "\"secret\"").with("dataset.assessment.done", NO);
    stopped(&both, Outcome::Deny, &["hgr-01", "person-assessment"]);
}

#[test]
fn row_2_no_ethics_review_or_no_consent_is_denied() {
    stopped(
        &Scene::domestic().with_all(&[("dataset.ethics.approved", NO), ("dataset.ethics.expiry", NONE)]),
        Outcome::Deny,
        &["hgr-02"],
    );
    let no_consent = Scene::domestic().with_all(&[
        ("dataset.consent.given", NO),
        ("dataset.consent.separate", NO),
        ("dataset.consent.cross_border", NO),
        ("dataset.consent.purposes", UNKNOWN),
        ("dataset.consent.is_basis", NO),
    ]);
    stopped(&no_consent, Outcome::Deny, &["hgr-02", "person-purpose"]);
    stopped(&Scene::domestic().with("dataset.ethics.approved", UNKNOWN), Outcome::Blocked, &["hgr-02"]);
    // What is no human genetic resource information is not this row's.
    assert_eq!(
        exempt().with_all(&[("dataset.ethics.approved", NO), ("dataset.ethics.expiry", NONE)]).effect("hgr-02"),
        None
    );
}

#[test]
fn row_3_a_sale_is_denied_and_cost_recovery_is_not() {
    stopped(&Scene::domestic().with("grant.use.payment", "\"beyond_cost\""), Outcome::Deny, &["hgr-03"]);
    allowed(&Scene::domestic().with("grant.use.payment", "\"cost_recovery\""));
    stopped(&Scene::domestic().with("grant.use.payment", UNKNOWN), Outcome::Blocked, &["hgr-03"]);
}

#[test]
fn row_4_foreign_collection_and_onward_provision_are_denied() {
    stopped(&Scene::domestic().with("dataset.source.collector_is_foreign", YES), Outcome::Deny, &["hgr-04"]);
    stopped(&Scene::named().with("grant.opening.onward_abroad", YES), Outcome::Deny, &["hgr-04"]);
    // Row 11 allows this party; row 4 beats it. A Chinese party's onward provision is not row 4's.
    assert_eq!(Scene::named().with("grant.opening.onward_abroad", YES).effect("hgr-11"), Some(Effect::Allow));
    allowed(&Scene::domestic().with("grant.opening.onward_abroad", YES));
    stopped(&Scene::named().with("grant.opening.onward_abroad", UNKNOWN), Outcome::Blocked, &["hgr-04"]);
}

/// Imaging of patients, without population genetics.
fn exempt() -> Scene {
    Scene::domestic().with_all(&[
        ("dataset.content.kinds", r#"["imaging", "questionnaire"]"#),
        ("dataset.content.assays", r#"["none_sequencing"]"#),
        ("dataset.hgr.applies", NO),
    ])
}

#[test]
fn row_5_imaging_laboratory_measures_and_questionnaires_are_exempt() {
    for kinds in [
        r#"["imaging"]"#,
        r#"["laboratory"]"#,
        r#"["anthropometric"]"#,
        r#"["questionnaire"]"#,
        r#"["imaging", "laboratory", "anthropometric", "questionnaire"]"#,
    ] {
        let scene = exempt().with("dataset.content.kinds", kinds);
        allowed(&scene);
        assert_eq!((scene.effect("hgr-05"), scene.effect("hgr-06")), (Some(Effect::Allow), None));
    }
    let genetics = exempt().with("dataset.subjects.population_genetics", YES);
    assert_eq!((genetics.effect("hgr-05"), genetics.effect("hgr-06")), (None, Some(Effect::Note)));
    assert_eq!(exempt().with("dataset.subjects.population_genetics", UNKNOWN).outcome(), Outcome::Blocked);
    // An exempt dataset may go to a foreign party without any report.
    let abroad = exempt().with_all(&[
        ("member.legal.jurisdiction", "\"DE\""),
        ("member.access.country", "\"DE\""),
        ("member.foreign.declared", YES),
        ("grant.export.tool", "\"certification\""),
    ]);
    allowed(&abroad.exposed(100, 100));
}

#[test]
fn row_6_sequences_variants_rna_and_methylation_are_human_genetic_resources() {
    for kind in ["sequence", "variants", "rna", "methylation"] {
        let scene = Scene::domestic().with("dataset.content.kinds", &format!("[\"imaging\", \"{kind}\"]"));
        assert_eq!((scene.effect("hgr-05"), scene.effect("hgr-06")), (None, Some(Effect::Note)), "{kind}");
    }
    // What is neither listed as exempt nor genetic is no rule's: nothing allows it.
    let other = exempt().with("dataset.content.kinds", r#"["other"]"#);
    stopped(&other, Outcome::Blocked, &["hgr"]);
    stopped(
        &Scene::domestic().with_all(&[("dataset.content.kinds", UNKNOWN), ("dataset.hgr.applies", UNKNOWN)]),
        Outcome::Blocked,
        &["hgr"],
    );
}

#[test]
fn row_7_a_chinese_party_within_the_mainland_is_allowed() {
    assert_eq!(Scene::domestic().effect("hgr-07"), Some(Effect::Allow));
    let abroad = Scene::domestic()
        .with_all(&[("member.access.country", "\"DE\""), ("grant.export.tool", "\"certification\"")])
        .exposed(100, 100);
    stopped(&abroad, Outcome::Blocked, &["hgr"]);
    assert_eq!(Scene::domestic().with("member.access.country", UNKNOWN).outcome(), Outcome::Blocked);
}

/// An entity of Hong Kong or Macau under domestic control, which uses the data there.
fn hong_kong(place: &str) -> Scene {
    let place = format!("\"{place}\"");
    Scene::domestic()
        .with_all(&[
            ("member.legal.jurisdiction", &place),
            ("member.access.country", &place),
            ("member.foreign.domestic_control", YES),
            ("grant.export.tool", "\"standard_contract\""),
        ])
        .exposed(100, 100)
}

#[test]
fn row_8_hong_kong_and_macau_under_domestic_control_are_chinese_and_still_an_export() {
    for place in ["HK", "MO"] {
        allowed(&hong_kong(place));
        assert_eq!(hong_kong(place).effect("hgr-08"), Some(Effect::Allow));
        assert_eq!(hong_kong(place).effect("hgr-09"), None);
        stopped(&hong_kong(place).with("grant.export.tool", NONE), Outcome::Blocked, &["export-contract"]);
    }
    stopped(&hong_kong("HK").with("member.foreign.domestic_control", NO), Outcome::Blocked, &["hgr-12", "hgr-15"]);
    assert_eq!(hong_kong("SG").effect("hgr-08"), None);
    assert_eq!(hong_kong("SG").effect("hgr-09"), Some(Effect::Note));
}

#[test]
fn row_9_half_of_equity_or_votes_or_control_makes_a_party_foreign() {
    let owned = |field: &str, answer: &str| {
        Scene::domestic().with(&format!("member.foreign.{field}"), answer).with("member.foreign.declared", UNKNOWN)
    };
    for (field, answer) in [("equity", "50"), ("votes", "50"), ("control", YES), ("equity", "100")] {
        assert_eq!(owned(field, answer).effect("hgr-09"), Some(Effect::Note), "{field} {answer}");
        assert_eq!(owned(field, answer).effect("hgr-07"), None);
    }
    let below = Scene::domestic().with_all(&[("member.foreign.equity", "49.99"), ("member.foreign.votes", "49.99")]);
    allowed(&below);
    assert_eq!(below.effect("hgr-09"), None);
    assert_eq!(Scene::domestic().with("member.foreign.declared", YES).effect("hgr-09"), Some(Effect::Note));
    for field in ["declared", "equity", "votes", "control"] {
        let open = Scene::domestic().with(&format!("member.foreign.{field}"), UNKNOWN);
        assert_eq!(open.outcome(), Outcome::Blocked, "{field}");
        let named: Vec<_> = open
            .decide()
            .missing()
            .flat_map(|fired| fired.unknown.iter().map(ToString::to_string).collect::<Vec<_>>())
            .collect();
        assert!(named.contains(&format!("member.foreign.{field}")), "{named:?}");
    }
}

#[test]
fn row_10_a_funder_only_party_gets_no_grant() {
    stopped(&Scene::named().with("member.work.function", "\"funder_only\""), Outcome::Deny, &["hgr-10"]);
    stopped(&Scene::domestic().with("member.work.function", "\"funder_only\""), Outcome::Deny, &["hgr-10"]);
    allowed(&Scene::named().with("member.work.function", "\"service\""));
}

#[test]
fn row_11_a_named_party_within_project_purpose_and_term_needs_no_report() {
    let with = |from: &str, to: &str| {
        Scene::named().with("dataset.hgr.approvals", &format!("[{}]", APPROVAL.replace(from, to)))
    };
    // Just inside: first and last day; a filed trial.
    allowed(&with("from = 2026-01-01", "from = 2026-06-15"));
    allowed(&with("expiry = 2029-12-31", "expiry = 2026-06-15"));
    allowed(&with("cooperation", "trial_filing"));
    // Just outside: party, project, purpose, a day early, a day late.
    for (from, to) in [
        ("\"R-1\"", "\"R-2\""),
        ("cohort-7", "cohort-8"),
        ("[\"research\"]", "[\"regulation\"]"),
        ("from = 2026-01-01", "from = 2026-06-16"),
    ] {
        let scene = with(from, to);
        assert_eq!((scene.effect("hgr-11"), scene.effect("hgr-12")), (None, Some(Effect::Blocked)), "{to}");
    }
    let over = with("expiry = 2029-12-31", "expiry = 2026-06-14");
    stopped(&over, Outcome::Blocked, &["ended", "hgr-12", "hgr-15"]);
    // Unknown parts of an approval name nobody.
    let open = with("parties = [\"C-1\", \"R-1\"]", "parties = \"unknown\"");
    assert_eq!((open.effect("hgr-11"), open.outcome()), (None, Outcome::Blocked));
}

#[test]
fn row_12_any_other_foreign_party_waits_for_report_and_receipt() {
    // Each part of the evidence is needed; a day of the grant itself is not before it.
    for (fact, answer) in [
        ("grant.hgr.report_day", "2026-06-15"),
        ("grant.hgr.receipt_day", "2026-06-15"),
        ("grant.hgr.report_by_owner", NO),
        ("grant.hgr.report_party", "\"R-2\""),
        ("dataset.parties.owner_is_chinese", NO),
        ("grant.hgr.report_number", UNKNOWN),
        ("grant.hgr.receipt", UNKNOWN),
    ] {
        stopped(&Scene::reported().with(fact, answer), Outcome::Blocked, &["hgr-12"]);
    }
    allowed(
        &Scene::reported().with_all(&[("grant.hgr.report_day", "2026-06-14"), ("grant.hgr.receipt_day", "2026-06-14")]),
    );
    assert_eq!(Scene::reported().effect("hgr-12"), Some(Effect::Cleared));
    let decision = Scene::reported().with("grant.hgr.receipt_day", "2026-06-15").decide();
    let said = decision.explain(Lang::Zh);
    assert!(said.contains("hgr-12 [HGR 12] ") && said.contains("所缺证据: 由中方所有者"), "{said}");
}

#[test]
fn row_13_more_than_500_people_family_region_or_interest_wait_for_the_review() {
    allowed(&Scene::reported().exposed(500, 100));
    stopped(&Scene::reported().exposed(501, 100), Outcome::Blocked, &["hgr-13"]);
    let panel = Scene::reported().with("dataset.content.assays", r#"["panel"]"#).exposed(501, 100);
    allowed(&panel);
    stopped(
        &Scene::reported().with("dataset.content.assays", r#"["wes"]"#).exposed(501, 100),
        Outcome::Blocked,
        &["hgr-13"],
    );
    for fact in ["important_family", "listed_region", "public_interest"] {
        // A catalogue or a review's trigger also proposes important data, which an export assesses.
        let scene = Scene::reported()
            .with(&format!("dataset.subjects.{fact}"), YES)
            .with("grant.export.assessment", "\"PG-1\"");
        stopped(&scene, Outcome::Blocked, &["hgr-13"]);
        let passed = scene.with_all(&[("grant.hgr.review_number", "\"SC-1\""), ("grant.hgr.review_day", "2026-06-15")]);
        allowed(&passed);
        stopped(&passed.clone().with("grant.hgr.review_day", "2026-06-16"), Outcome::Blocked, &["hgr-13"]);
        // The review does not stand in for the report.
        stopped(&passed.with("grant.hgr.report_number", UNKNOWN), Outcome::Blocked, &["hgr-12"]);
    }
    // Within the country nothing is counted.
    allowed(&Scene::domestic().exposed(100_000, 0));
}

#[test]
fn row_13_a_split_into_small_datasets_changes_nothing() {
    let portion = |from: u16, count: u64| Portion {
        count: Some(count),
        marks: (from..from + 50)
            .map(|n| Mark::from_bytes([n.to_be_bytes(); 16].concat().try_into().unwrap()))
            .collect::<Marks>(),
    };
    // Ten datasets of 50 different people were granted; the eleventh has one more person, or the same fifty again.
    let given: Vec<_> = (0..10).map(|n| portion(n * 50, 50)).collect();
    let total = |next: &Portion| cumulative(given.iter().chain([next])).unwrap();
    let small = |total| Scene::reported().with("dataset.subjects.count", "50").exposed(total, 100);
    assert_eq!(total(&portion(0, 50)), 500);
    allowed(&small(total(&portion(0, 50))));
    assert_eq!(total(&portion(0, 51)), 501, "one person without a mark counts");
    stopped(&small(total(&portion(0, 51))), Outcome::Blocked, &["hgr-13"]);
    // A total that is not known blocks; one below the dataset's own count is not believed.
    let mut open = Scene::reported();
    open.exposure.recipient = None;
    stopped(&open, Outcome::Blocked, &["hgr-13"]);
    stopped(
        &Scene::reported()
            .with_all(&[("dataset.subjects.count", "501"), ("grant.export.assessment", "\"PG-1\"")])
            .exposed(1, 100),
        Outcome::Blocked,
        &["hgr-13"],
    );
    assert!(Scene::reported().decide().counted && !Scene::domestic().decide().counted);
}

#[test]
fn row_14_named_and_reviewable_waits_for_a_written_statement() {
    stopped(&Scene::named().exposed(501, 100), Outcome::Blocked, &["hgr-14"]);
    allowed(&Scene::named().exposed(500, 100));
    // A report and a passed review are no statement: that they cover it has to be written.
    let passed = [("grant.hgr.review_number", "\"SC-1\""), ("grant.hgr.review_day", "2026-06-01")];
    stopped(&Scene::named().with_all(&passed).exposed(501, 100), Outcome::Blocked, &["hgr-14"]);
    let hash = format!("\"{}\"", "ab".repeat(32));
    let stated = Scene::named().with("grant.hgr.review_statement", &hash).exposed(501, 100);
    allowed(&stated);
    assert_eq!((stated.effect("hgr-13"), stated.effect("hgr-14")), (None, Some(Effect::Cleared)));
}

#[test]
fn row_15_foreign_scientific_use_needs_an_approval_or_a_filing() {
    let none = Scene::reported().with("dataset.hgr.approvals", NONE);
    stopped(&none, Outcome::Blocked, &["hgr-15"]);
    let care = none.with("grant.use.scenario", "\"clinical_care\"");
    allowed(&care);
    // A filing is enough only where no material leaves.
    let filed = APPROVAL.replace("\"R-1\"", "\"R-2\"").replace("cooperation", "trial_filing");
    let trial = Scene::reported().with("dataset.hgr.approvals", &format!("[{filed}]"));
    allowed(&trial);
    stopped(&trial.with("grant.hgr.material_leaves", YES), Outcome::Blocked, &["hgr-15"]);
}

#[test]
fn row_16_a_change_suspends_until_it_is_approved() {
    let changed = Scene::named().with("grant.hgr.changed", YES);
    stopped(&changed, Outcome::Blocked, &["hgr-16"]);
    assert_eq!(changed.decide().standing(), Some(Standing::Suspend));
    allowed(&changed.with("grant.hgr.change_approval", "\"BGSP-1\""));
    // A Chinese party of the cooperation is bound too; one outside it has nothing to change.
    let chinese = Scene::domestic().with("dataset.hgr.approvals", &format!("[{APPROVAL}]"));
    stopped(&chinese.with("grant.hgr.changed", YES), Outcome::Blocked, &["hgr-16"]);
    allowed(&Scene::domestic().with("grant.hgr.changed", YES));
}

#[test]
fn row_17_an_emergency_changes_no_outcome() {
    for scene in [
        Scene::domestic(),
        Scene::named(),
        Scene::reported().exposed(501, 100),
        Scene::domestic().with("dataset.grading.secrecy", "\"secret\""),
    ] {
        let claimed = scene.clone().with("grant.use.emergency", YES);
        assert_eq!((claimed.outcome(), claimed.stopped_by()), (scene.outcome(), scene.stopped_by()));
        assert_eq!((claimed.effect("hgr-17"), scene.effect("hgr-17")), (Some(Effect::Note), None));
    }
}

/// The domestic scene at a level, graded as such.
fn graded(level: u8) -> Scene {
    Scene::domestic().with("dataset.grading.health_level", &level.to_string()).at_level(level)
}

#[test]
fn level_1_and_2_ask_for_no_and_one_approver() {
    let public = exempt().with("dataset.grading.health_level", "1").at_level(1);
    let mut confirmed = public;
    confirmed.grade_confirmed = true;
    assert_eq!(confirmed.effect("level-1"), Some(Effect::Note));
    assert_eq!((confirmed.outcome(), confirmed.decide().approvals), (Outcome::Allow, 0));
    let two = exempt().with("dataset.grading.health_level", "2").at_level(2);
    assert_eq!(
        (two.outcome(), two.decide().approvals, two.effect("level-1"), two.effect("level-2")),
        (Outcome::Allow, 1, None, Some(Effect::Note))
    );
    allowed(&two.with_all(&[
        ("grant.use.project", NONE),
        ("grant.opening.expiry", NONE),
        ("member.agreement.signed", NO),
    ]));
}

#[test]
fn level_3_asks_for_project_agreement_and_expiry() {
    for (fact, answer) in [("grant.use.project", NONE), ("grant.opening.expiry", NONE), ("member.agreement.signed", NO)]
    {
        stopped(&graded(3).with(fact, answer), Outcome::Blocked, &["level-3"]);
        // Each level also asks for what the lower ones do.
        stopped(&graded(4).with(fact, answer), Outcome::Blocked, &["level-3"]);
    }
    assert_eq!(graded(3).decide().approvals, 1);
}

#[test]
fn level_4_asks_for_two_approvers_and_for_research_de_identification() {
    assert_eq!(
        (graded(4).decide().approvals, graded(4).effect("level-4"), graded(3).effect("level-4")),
        (2, Some(Effect::Note), None)
    );
    allowed(&graded(4));
    for method in ["\"none\"", "\"pseudonymised\""] {
        stopped(&graded(4).with("dataset.deidentification.method", method), Outcome::Blocked, &["level-4-research"]);
        allowed(
            &graded(4).with("dataset.deidentification.method", method).with("grant.use.scenario", "\"clinical_care\""),
        );
    }
    assert_eq!(graded(3).with("dataset.deidentification.method", "\"pseudonymised\"").effect("level-4-research"), None);
}

#[test]
fn level_5_stays_in_the_organisation() {
    stopped(&graded(5), Outcome::Deny, &["level-5"]);
    allowed(&graded(5).with("member.legal.id", "\"C-1\""));
    stopped(&graded(5).with("member.legal.id", UNKNOWN), Outcome::Blocked, &["level-5"]);
    assert_eq!(graded(4).effect("level-5"), None);
}

#[test]
fn a_level_below_the_proposal_waits_for_somebody_elses_confirmation() {
    let low = graded(2);
    stopped(&low, Outcome::Blocked, &["level-confirmed"]);
    let mut confirmed = low;
    confirmed.grade_confirmed = true;
    allowed(&confirmed);
    assert_eq!(confirmed.effect("level-confirmed"), Some(Effect::Cleared));
    stopped(&graded(3).with("dataset.subjects.special_disease", UNKNOWN), Outcome::Blocked, &["level-confirmed"]);
}

#[test]
fn another_controller_needs_separate_consent_where_consent_is_the_basis() {
    let none = Scene::domestic().with("dataset.consent.separate", NO);
    stopped(&none, Outcome::Deny, &["person-separate-consent"]);
    allowed(&none.clone().with("dataset.consent.is_basis", NO));
    allowed(&none.clone().with("member.work.role", "\"processor\""));
    allowed(&none.with("member.legal.id", "\"C-1\""));
}

#[test]
fn under_14_needs_the_guardian() {
    let minors = Scene::domestic().with("dataset.subjects.minors", YES);
    stopped(&minors, Outcome::Deny, &["person-under-14"]);
    stopped(&minors.clone().with("dataset.consent.guardian", UNKNOWN), Outcome::Blocked, &["person-under-14"]);
    allowed(&minors.with("dataset.consent.guardian", YES));
}

#[test]
fn no_impact_assessment_blocks() {
    stopped(&Scene::domestic().with("dataset.assessment.done", NO), Outcome::Blocked, &["person-assessment"]);
    stopped(&Scene::domestic().with("dataset.assessment.done", UNKNOWN), Outcome::Blocked, &["person-assessment"]);
}

#[test]
fn a_purpose_outside_the_consent_blocks() {
    stopped(
        &Scene::domestic().with("grant.use.scenario", "\"quality_control\""),
        Outcome::Blocked,
        &["person-purpose"],
    );
    let duo =
        |consent: &str, used: &str| Scene::domestic().with("dataset.consent.duo", consent).with("grant.use.duo", used);
    allowed(&duo(r#"["HMB"]"#, r#"["DS"]"#));
    stopped(&duo(r#"["HMB"]"#, r#"["GRU"]"#), Outcome::Blocked, &["person-purpose"]);
    stopped(&duo(r#"["GRU", "NCU"]"#, r#"["GRU"]"#), Outcome::Blocked, &["person-purpose"]);
    stopped(&duo(r#"["GRU"]"#, NONE), Outcome::Blocked, &["person-purpose"]);
    allowed(&duo(r#"["GRU"]"#, NONE).with("grant.use.scenario", "\"clinical_care\""));
}

#[test]
fn withdrawn_or_over_is_denied_and_revokes() {
    for (fact, answer) in [
        ("dataset.consent.withdrawn", YES),
        ("dataset.consent.purpose_over", YES),
        ("dataset.keeping.retention", "2026-06-14"),
    ] {
        let over = Scene::domestic().with(fact, answer);
        stopped(&over, Outcome::Deny, &["person-over"]);
        assert_eq!(over.decide().standing(), Some(Standing::Revoke));
    }
    allowed(&Scene::domestic().with("dataset.keeping.retention", "2026-06-15"));
    // Where one rule lets a grant rest and another ends it, it ends.
    let both = Scene::named().with("dataset.consent.withdrawn", YES).with("grant.hgr.changed", YES);
    assert_eq!(both.decide().standing(), Some(Standing::Revoke));
    assert_eq!(Scene::domestic().decide().standing(), None);
}

#[test]
fn another_party_needs_a_contract_on_all_four() {
    for part in ["purpose", "method", "scope", "duties"] {
        let fact = format!("member.agreement.{part}");
        stopped(&Scene::domestic().with(&fact, NO), Outcome::Blocked, &["person-contract"]);
        allowed(&Scene::domestic().with(&fact, NO).with("member.legal.id", "\"C-1\""));
    }
}

#[test]
fn an_export_needs_consent_to_it_and_an_approver() {
    stopped(&Scene::named().with("dataset.consent.cross_border", NO), Outcome::Blocked, &["export-consent"]);
    assert_eq!(Scene::domestic().with("dataset.consent.cross_border", NO).outcome(), Outcome::Allow);
    let foreign = exempt().with_all(&[
        ("member.access.country", "\"SG\""),
        ("grant.export.tool", "\"certification\""),
        ("dataset.grading.health_level", "1"),
    ]);
    let mut foreign = foreign.at_level(1).exposed(100, 100);
    foreign.grade_confirmed = true;
    assert_eq!((foreign.outcome(), foreign.decide().approvals), (Outcome::Allow, 1));
    assert_eq!(
        (foreign.effect("export-approver"), Scene::domestic().effect("export-approver")),
        (Some(Effect::Note), None)
    );
}

#[test]
fn an_export_of_9_999_takes_a_contract_and_of_10_000_the_assessment() {
    allowed(&Scene::named().exposed(100, 9_999));
    stopped(&Scene::named().exposed(100, 10_000), Outcome::Blocked, &["export-assessment"]);
    let neither = Scene::named().with("grant.export.tool", NONE);
    stopped(&neither.clone().exposed(100, 9_999), Outcome::Blocked, &["export-contract"]);
    stopped(&neither.clone().exposed(100, 10_000), Outcome::Blocked, &["export-assessment"]);
    allowed(&neither.with("grant.export.assessment", "\"PG-1\"").exposed(100, 10_000));
    // Nobody at all is no export of persons.
    let nobody = Scene::named().with_all(&[("grant.export.tool", NONE), ("dataset.subjects.count", "0")]).exposed(0, 0);
    allowed(&nobody);
}

#[test]
fn important_data_and_critical_operators_take_the_assessment_however_few() {
    let important = [("dataset.grading.important_data", YES), ("dataset.grading.national_level", "\"important\"")];
    stopped(&Scene::named().with_all(&important), Outcome::Blocked, &["export-assessment"]);
    stopped(&Scene::named().with("dataset.parties.critical_operator", YES), Outcome::Blocked, &["export-assessment"]);
    allowed(&Scene::named().with("dataset.parties.critical_operator", YES).with("grant.export.assessment", "\"PG-1\""));
    allowed(&Scene::domestic().with("dataset.parties.critical_operator", YES));
    let open = Scene::named().with("dataset.parties.critical_operator", UNKNOWN);
    assert_eq!(open.outcome(), Outcome::Blocked);
}

#[test]
fn clearances_of_several_regimes_add_up() {
    let scene = Scene::reported()
        .with_all(&[
            ("grant.hgr.receipt", NONE),
            ("grant.hgr.receipt_day", NONE),
            ("grant.export.tool", NONE),
            ("dataset.subjects.origin", r#"["cn", "eu"]"#),
            ("member.access.country", "\"US\""),
        ])
        .exposed(501, 100);
    stopped(&scene, Outcome::Blocked, &["eu-transfer", "export-contract", "hgr-12", "hgr-13"]);
}

#[test]
fn a_foreign_authority_gets_nothing_without_approval() {
    let asked = Scene::domestic().with("grant.authority.foreign_request", YES);
    stopped(&asked, Outcome::Deny, &["export-authority"]);
    stopped(&asked.clone().with("grant.authority.approval", UNKNOWN), Outcome::Blocked, &["export-authority"]);
    allowed(&asked.with("grant.authority.approval", "\"SFB-1\""));
}

#[test]
fn bulk_us_person_data_does_not_go_to_a_country_of_concern() {
    let us = |count: &str, kinds: &str| {
        let change = [
            ("dataset.subjects.us_persons", count),
            ("dataset.subjects.origin", r#"["cn", "us"]"#),
            ("dataset.content.kinds", kinds),
            ("dataset.subjects.count", "5000"),
            ("dataset.content.assays", r#"["panel"]"#),
        ];
        Scene::domestic().with_all(&change).exposed(5000, 0)
    };
    stopped(&us("101", r#"["sequence"]"#), Outcome::Deny, &["us-bulk"]);
    allowed(&us("100", r#"["sequence"]"#));
    stopped(&us("1001", r#"["rna"]"#), Outcome::Deny, &["us-bulk"]);
    allowed(&us("1000", r#"["rna"]"#));
    let germany = Scene::named().with_all(&[
        ("dataset.subjects.us_persons", "100"),
        ("dataset.subjects.origin", r#"["us"]"#),
        ("dataset.subjects.count", "100"),
    ]);
    allowed(&germany);
}

#[test]
fn eu_subjects_in_a_third_country_need_a_basis_and_a_tool() {
    let eu = Scene::domestic().with("dataset.subjects.origin", r#"["cn", "eu"]"#);
    stopped(&eu, Outcome::Blocked, &["eu-transfer"]);
    let basis = eu.with("grant.eu.article_9", "\"explicit_consent\"");
    stopped(&basis, Outcome::Blocked, &["eu-transfer"]);
    allowed(&basis.with("grant.eu.chapter_v", "\"standard_clauses\""));
    allowed(&Scene::named().with("dataset.subjects.origin", r#"["eu"]"#));
}

#[test]
fn a_grant_ends_at_the_earliest_of_six_ends() {
    let six = [
        "grant.opening.expiry",
        "dataset.ethics.expiry",
        "dataset.consent.expiry",
        "member.agreement.expiry",
        "member.credential.expiry",
    ];
    for fact in six {
        let on = |day: &str| Scene::named().with(fact, day);
        allowed(&on("2026-06-15"));
        // Midnight after the 15th in China.
        assert_eq!(on("2026-06-15").decide().expires, Some(NOW + 12 * 3600), "{fact}");
        stopped(&on("2026-06-14"), Outcome::Blocked, &["ended"]);
        stopped(
            &on(UNKNOWN),
            Outcome::Blocked,
            if fact == "grant.opening.expiry" { &["ended", "level-3"] } else { &["ended"] },
        );
    }
    let approval =
        |day: &str| Scene::named().with("dataset.hgr.approvals", &format!("[{}]", APPROVAL.replace("2029-12-31", day)));
    assert_eq!(approval("2026-06-15").decide().expires, Some(NOW + 12 * 3600));
    stopped(&approval("2026-06-14"), Outcome::Blocked, &["ended", "hgr-12", "hgr-15"]);
    // Only an approval that could allow the grant carries it on: of another purpose, kind, project or party, or not begun, it does not.
    let until_june = APPROVAL.replace("2029-12-31", "2026-06-15");
    let beside = |other: &str| Scene::named().with("dataset.hgr.approvals", &format!("[{until_june}, {other}]"));
    for (from, to) in [
        ("[\"research\"]", "[\"regulation\"]"),
        ("cohort-7", "cohort-8"),
        ("\"R-1\"", "\"R-2\""),
        ("from = 2026-01-01", "from = 2026-06-16"),
    ] {
        assert_ne!(APPROVAL.replace(from, to), APPROVAL);
        let scene = beside(&APPROVAL.replace(from, to));
        allowed(&scene);
        assert_eq!(scene.decide().expires, Some(NOW + 12 * 3600), "{to}");
    }
    allowed(&beside(APPROVAL));
    assert!(beside(APPROVAL).decide().expires > Some(NOW + 12 * 3600), "one that could carries it on");
    // What may carry it on and is not known to leaves the end unknown.
    let open = beside(&APPROVAL.replace("purposes = [\"research\"]", "purposes = \"unknown\""));
    stopped(&open, Outcome::Blocked, &["ended"]);
    // A second before midnight it stands, at midnight it does not.
    let mut last = Scene::named().with("dataset.ethics.expiry", "2026-06-15");
    last.now = NOW + 12 * 3600 - 1;
    allowed(&last);
    last.now += 1;
    stopped(&last, Outcome::Blocked, &["ended"]);
    // Without any end there is none.
    let endless = six
        .into_iter()
        .chain(["member.credential.expiry"])
        .fold(exempt().at_level(2).with("dataset.grading.health_level", "2"), |scene, fact| scene.with(fact, NONE));
    allowed(&endless);
    assert_eq!(endless.decide().expires, None);
}

#[test]
fn every_fired_rule_names_its_source_and_the_facts_that_fired_it() {
    let decision = Scene::named().exposed(501, 100).with("grant.opening.onward_abroad", YES).decide();
    assert_eq!(decision.fired[0].rule, "hgr-04", "the worst comes first");
    let facts: Vec<_> =
        decision.fired[0].facts.iter().map(|(input, answer)| format!("{input} = {}", answer.show())).collect();
    assert!(facts.contains(&"grant.opening.onward_abroad = yes".to_owned()), "{facts:?}");
    assert!(decision.fired.iter().all(|fired| !fired.cites.is_empty()));
    let blocked = decision.fired.iter().find(|fired| fired.rule == "hgr-14").unwrap();
    assert!(
        blocked
            .facts
            .iter()
            .any(|(input, answer)| input.to_string() == "derived.recipient_subjects" && answer.show() == "501")
    );
    for lang in Lang::ALL {
        let text = decision.explain(lang);
        assert!(text.contains("hgr-04") && text.contains("生物安全法 56 (L)"), "{text}");
    }
}

#[test]
fn an_unknown_fact_is_named_where_it_blocks() {
    let decision = Scene::named().with("dataset.ethics.approved", UNKNOWN).decide();
    let fired = decision.missing().next().unwrap();
    assert_eq!(
        (fired.rule.as_str(), fired.unknown.len(), fired.unknown[0].to_string().as_str()),
        ("hgr-02", 1, "dataset.ethics.approved")
    );
    assert!(decision.explain(Lang::Zh).contains("须先查明: dataset.ethics.approved (是否通过伦理审查)"));
}

#[test]
fn a_rule_counts_from_its_first_day_on() {
    let text = include_str!("../packs/example-institute-1.toml").replacen("from = 2026-01-01", "from = 2026-06-16", 1);
    let pack = vault_policy::Pack::parse(&text).unwrap();
    let reads = Scene::named().with("dataset.content.tier", "\"reads\"");
    assert_eq!(reads.decide_under(&[&pack]).outcome, Outcome::Allow);
    let mut later = reads;
    later.now += 86_400;
    assert_eq!(later.decide_under(&[&pack]).outcome, Outcome::Deny);
}

#[test]
fn packs_add_up_and_none_allows_nothing() {
    let house = pack("example-institute");
    let scene = Scene::named().with("dataset.content.tier", "\"reads\"");
    assert_eq!(scene.decide().outcome, Outcome::Allow);
    assert_eq!(scene.decide_under(&[pack("cn-sequencing"), house]).outcome, Outcome::Deny);
    let company = Scene::domestic().with("member.legal.kind", "\"enterprise\"");
    assert_eq!(company.decide_under(&[house]).approvals, 2);
    assert_eq!(
        company.clone().with("member.security.expiry", "2026-06-14").decide_under(&[house]).outcome,
        Outcome::Blocked
    );
    assert_eq!(company.with("member.security.expiry", "2026-06-15").decide_under(&[house]).outcome, Outcome::Allow);
    assert_eq!(
        Scene::domestic().with("member.legal.kind", "\"team\"").decide_under(&[house]).outcome,
        Outcome::Blocked
    );
    assert_eq!(Scene::domestic().decide_under(&[]).outcome, Outcome::Blocked);
}

/// The rows of docs/rules.md: row, rules, tests.
fn mapped() -> Vec<[String; 3]> {
    let page = include_str!("../../docs/rules.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> =
            line.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim_end_matches(" |").to_owned()).collect();
        <[String; 4]>::try_from(cells)
            .ok()
            .filter(|cells| cells[2].starts_with('`'))
            .map(|[row, _, rules, tests]| [row, rules, tests])
    });
    rows.collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_maps_every_rule_to_a_row_and_to_tests_that_exist() {
    let tests = include_str!("rules.rs");
    let rows = mapped();
    let mut listed = Vec::new();
    for [row, rules, names] in &rows {
        for rule in quoted(rules) {
            let found = pack("cn-sequencing").rules().iter().find(|known| known.id == rule);
            assert_eq!(found.map(|rule| rule.row.as_str()), Some(row.as_str()), "{rule}");
            // A test of a rule names it.
            assert!(tests.contains(&format!("\"{rule}\"")), "{rule} is in no test");
            listed.push(rule);
        }
        let names = quoted(names);
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(tests.contains(&format!("fn {name}()")), "no test {name}");
        }
    }
    listed.sort();
    let mut known: Vec<_> = pack("cn-sequencing").rules().iter().map(|rule| rule.id.clone()).collect();
    known.sort();
    assert_eq!(listed, known);
}
