//! Levels that are proposed: each cell of the standard's table, scale, merges, and what unknown facts leave open.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may unwrap, index and panic")]

use vault_policy::facts::subjects::{Mark, Marks, Portion};
use vault_policy::grading::{health, merge, national};
use vault_policy::{Dataset, Lang, Ternary};

/// Facts under which nothing raises a level.
const QUIET: &str = r#"
[content]
kinds = ["laboratory"]
assays = ["none_sequencing"]
[subjects]
count = 10
important_family = "no"
listed_region = "no"
public_interest = "no"
special_disease = "no"
identifying = "no"
[grading]
national_security = "none"
economy = "none"
social_order = "none"
public_interest = "none"
organisations = "none"
persons = "none"
important_data = "no"
[deidentification]
method = "deidentified"
residual_risk = "low"
"#;

/// The quiet facts with some lines replaced: `name = value` pairs by the name at the line's beginning.
fn facts(changes: &[(&str, &str)]) -> Dataset {
    let mut text = QUIET.to_owned();
    for (name, value) in changes {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} =")))
            .unwrap_or_else(|| panic!("{name}"))
            .to_owned();
        text = text.replacen(&line, &format!("{name} = {value}"), 1);
    }
    Dataset::parse_toml(&text).unwrap()
}

#[test]
fn each_object_and_degree_of_harm_gives_the_level_of_the_table() {
    use national::{CORE, GENERAL, IMPORTANT};
    for (object, levels) in [
        ("national_security", [CORE, CORE, IMPORTANT]),
        ("economy", [CORE, IMPORTANT, GENERAL]),
        ("social_order", [CORE, IMPORTANT, GENERAL]),
        ("organisations", [GENERAL, GENERAL, GENERAL]),
        ("persons", [GENERAL, GENERAL, GENERAL]),
    ] {
        for (degree, level) in ["\"particularly_serious\"", "\"serious\"", "\"general\""].into_iter().zip(levels) {
            let proposal = national::propose(&facts(&[(object, degree)]));
            assert_eq!(proposal.level(), Some(level), "{object} {degree}");
        }
    }
    // `public_interest` names a field of two groups: the second one is the grading's.
    let text = QUIET.replace("public_interest = \"none\"", "public_interest = \"serious\"");
    assert_eq!(national::propose(&Dataset::parse_toml(&text).unwrap()).level(), Some(IMPORTANT));
    assert_eq!(national::propose(&facts(&[])).level(), Some(GENERAL));
}

#[test]
fn scale_family_region_and_catalogue_make_data_important() {
    let genomes = |count: &str| facts(&[("kinds", "[\"sequence\"]"), ("assays", "[\"wgs\"]"), ("count", count)]);
    assert_eq!(national::propose(&genomes("500")).level(), Some(national::GENERAL));
    assert_eq!(national::propose(&genomes("501")).level(), Some(national::IMPORTANT));
    for field in ["important_family", "listed_region", "important_data"] {
        assert_eq!(national::propose(&facts(&[(field, "\"yes\"")])).level(), Some(national::IMPORTANT), "{field}");
    }
}

#[test]
fn sublevels_follow_harm_and_individual_genomes_default_to_four() {
    for (harm, level) in [("none", 1), ("general", 2), ("serious", 3), ("particularly_serious", 4)] {
        let proposal = national::propose_sublevel(&facts(&[("persons", &format!("\"{harm}\""))]));
        assert_eq!(proposal.level(), Some(level), "{harm}");
    }
    let genome = [("kinds", "[\"sequence\"]"), ("assays", "[\"wgs\"]")];
    assert_eq!(national::propose_sublevel(&facts(&genome)).level(), Some(4));
    let aggregated = [genome[0], genome[1], ("method", "\"aggregated\"")];
    assert_eq!(national::propose_sublevel(&facts(&aggregated)).level(), Some(1));
}

#[test]
fn health_levels_follow_what_identifies() {
    let level = |changes: &[(&str, &str)]| health::propose(&facts(changes)).level();
    assert_eq!(level(&[]), Some(2));
    assert_eq!(level(&[("residual_risk", "\"medium\"")]), Some(3));
    assert_eq!(level(&[("method", "\"pseudonymised\"")]), Some(3));
    assert_eq!(level(&[("kinds", "[\"variants\"]"), ("assays", "[\"panel\"]")]), Some(3));
    assert_eq!(level(&[("method", "\"none\"")]), Some(4));
    assert_eq!(level(&[("method", "\"none\""), ("identifying", "\"yes\"")]), Some(4));
    assert_eq!(level(&[("special_disease", "\"yes\"")]), Some(5));
}

#[test]
fn unknown_facts_leave_a_range_and_are_named() {
    let open = facts(&[("special_disease", "\"unknown\"")]);
    let proposal = health::propose(&open);
    assert_eq!((proposal.least, proposal.most, proposal.level()), (2, 5, None));
    assert_eq!(proposal.unknown(), ["subjects.special_disease"]);
    assert!(proposal.say(Lang::Zh).contains("5 尚可能：特殊病种的详细资料"), "{}", proposal.say(Lang::Zh));
    let none = national::propose(&Dataset::unknown());
    assert_eq!((none.least, none.most), (national::GENERAL, national::CORE));
}

#[test]
fn a_signed_level_is_compared_with_the_proposal_and_with_the_grading() {
    let settled = facts(&[("method", "\"none\"")]);
    assert_eq!(health::is_too_low(&settled, 4), Ternary::Unknown, "nobody wrote what it was graded as");
    let graded =
        Dataset::parse_toml(&format!("{}\n", QUIET.replace("[grading]", "[grading]\nhealth_level = 4"))).unwrap();
    assert_eq!(health::is_too_low(&graded, 3), Ternary::Yes);
    assert_eq!(health::is_too_low(&graded, 4), Ternary::No);
    assert_eq!(health::is_too_low(&facts(&[("special_disease", "\"yes\"")]), 4), Ternary::Yes);
}

#[test]
fn merging_takes_the_higher_level_and_adds_the_people_up() {
    let genomes = [("kinds", "[\"sequence\"]"), ("assays", "[\"wgs\"]"), ("count", "300")];
    let a = facts(&genomes);
    let b = facts(&[genomes[0], genomes[1], genomes[2], ("special_disease", "\"yes\"")]);
    let portion = |from: u16, to: u16| Portion {
        count: Some(300),
        marks: (from..to)
            .map(|n| Mark::from_bytes([n.to_be_bytes(); 16].concat().try_into().unwrap()))
            .collect::<Marks>(),
    };
    assert_eq!(national::propose(&a).level(), Some(national::GENERAL));
    let apart = merge(&[(&a, portion(0, 0)), (&b, portion(0, 0))]);
    assert_eq!(apart.subjects, Some(600));
    assert_eq!(apart.national.level(), Some(national::IMPORTANT));
    assert_eq!(apart.health.level(), Some(5));
    let same_people = merge(&[(&a, portion(0, 300)), (&b, portion(0, 300))]);
    assert_eq!(same_people.subjects, Some(300));
    assert_eq!(same_people.national.level(), Some(national::GENERAL));
    let open = merge(&[(&a, Portion { count: None, marks: Marks::default() }), (&b, portion(0, 0))]);
    assert_eq!((open.subjects, open.national.level()), (None, None));
}
