//! Persons counted once over datasets by marks that only stewards can make, and the sealed parts of facts that stewards keep.

use serde_json::Value;

use crate::gate::{GRANT, Gated, approved, foreign};

const REFUSED: i32 = 4;

fn ids(range: core::ops::Range<u32>) -> Vec<u8> {
    let lines = range.map(|n| format!("11010519491231{n:04}\n"));
    lines.collect::<String>().into_bytes()
}

/// Marks a dataset's 300 persons and states the marks.
fn mark(gated: &Gated, dataset: &str, range: core::ops::Range<u32>) -> Value {
    gated.world.write("ids.txt", &ids(range));
    let marked = gated.lab.ok(&["subjects", "mark", dataset, "--ids", "ids.txt"]);
    assert_eq!(marked["marked"], 300);
    let facts = approved().replace("count = 100", &format!("count = 300\nmarked = 300\nmarks = {}", marked["marks"]));
    gated.world.write("marked.toml", facts.as_bytes());
    gated.lab.ok(&["dataset", "amend", dataset, "--facts", "marked.toml", "--why", "marked"]);
    marked
}

#[test]
fn the_same_persons_in_two_datasets_are_counted_once() {
    let facts = approved().replace("count = 100", "count = 300");
    let gated = Gated::of(&facts, &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    mark(&gated, "run-42", 0..300);
    gated.granted();
    // 200 of the next dataset's 300 are the same persons: 400 together.
    for (dataset, range) in [("run-43", 100..400), ("run-44", 350..650)] {
        gated.lab.ok(&["dataset", "create", dataset, "--facts", "run.toml"]);
        gated.officer.ok(&["member", "role", "dora", "approver", "--dataset", dataset]);
        mark(&gated, dataset, range);
    }
    // Whoever has no passphrase at hand is told the most that it can be.
    let said = gated.lab.run(&["decide", "run-43", "anna", "--facts", "grant.toml"]);
    assert_eq!(said.code, Some(REFUSED));
    for (dataset, allowed) in [("run-43", true), ("run-44", false)] {
        let terms = format!("{dataset}-anna.terms.json");
        gated.lab.ok(&["propose", dataset, "anna", "--facts", "grant.toml"]);
        gated.dora.ok(&["approve", dataset, "--terms", &terms]);
        if allowed {
            gated.lab.ok(&["grant", dataset, "anna", "--terms", &terms]);
        } else {
            // 250 of these are new: 650.
            gated.lab.fails(REFUSED, &["grant", dataset, "anna", "--terms", &terms]);
        }
    }
    let report = gated.officer.ok(&["verify"]);
    assert_eq!(report["sound"], true, "{report}");
    // No identifier is anywhere but in the lab's own file.
    let sealed = String::from_utf8_lossy(b"110105194912310001").into_owned();
    for name in gated.world.objects().keys() {
        let bytes = std::fs::read(gated.world.vault().join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&sealed), "{name}");
    }
}

#[test]
fn stewards_read_the_sealed_part_of_facts_and_recipients_do_not() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    let shown = gated.lab.ok(&["dataset", "facts", "run-42"]);
    assert_eq!((&shown["whole"], &shown["facts"]["source.collector"]["answer"]), (&true.into(), &"Example Lab".into()));
    // Another machine has the clear part alone, until its steward is given the key.
    gated.officer.ok(&["member", "role", "dora", "steward", "--dataset", "run-42"]);
    assert_eq!(gated.dora.ok(&["dataset", "facts", "run-42"])["whole"], false);
    let said = gated.dora.fails(REFUSED, &["dataset", "facts", "run-42", "--open"]);
    assert!(said.contains("subjects share"), "{said}");
    let shared = gated.lab.run(&["subjects", "share", "--json"]);
    assert!(shared.stderr.contains("seals to a card of dora that is new here"), "{}", shared.stderr);
    assert!(!shared.stderr.contains("a card of lab"), "{}", shared.stderr);
    let shared = shared.ok();
    assert_eq!((&shared["generation"], &shared["new"]), (&2.into(), &false.into()));
    let opened = gated.dora.ok(&["dataset", "facts", "run-42", "--open"]);
    assert_eq!(
        (&opened["whole"], &opened["facts"]["source.collector"]["answer"]),
        (&true.into(), &"Example Lab".into())
    );
    gated.anna.fails(REFUSED, &["dataset", "facts", "run-42", "--open"]);
    gated.anna.fails(REFUSED, &["subjects", "share"]);
    gated.world.write("ids.txt", b"1\n");
    gated.anna.fails(REFUSED, &["subjects", "mark", "run-42", "--ids", "ids.txt"]);
    gated.world.write("ids.txt", b" \n\n");
    gated.lab.fails(2, &["subjects", "mark", "run-42", "--ids", "ids.txt"]);
    // Once dora has left, another key is made; what is kept from then on she can't open.
    gated.officer.ok(&["member", "retire", "dora", "--reason", "left"]);
    let fresh = gated.lab.ok(&["subjects", "share", "--new"]);
    assert_eq!((&fresh["generation"], &fresh["new"]), (&3.into(), &true.into()));
    for name in gated.world.objects().keys() {
        let bytes = std::fs::read(gated.world.vault().join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("Example Lab"), "{name}");
    }
}
