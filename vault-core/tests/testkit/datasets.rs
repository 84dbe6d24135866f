//! Ledgers and their folds: a dataset's, and the exposure ledgers that it cites. Spec 4.4, 5.3 to 5.6.

use serde_json::{Value, json};
use vault_core::json::to_b64;
use vault_core::suite::Suite;

use super::book::*;
use super::kit::*;
use super::ledgers::{flipped, settles};

struct Ledgers(Cases);

impl Ledgers {
    fn add(&mut self, name: &str, spec: &'static str, expect: &'static str, what: &str, make: &dyn Fn(&mut Book)) {
        let mut book = Book::open(Suite::X25519);
        make(&mut book);
        self.0.add(name, None, spec, expect, what, book.input());
    }

    fn void(&mut self, name: &str, spec: &'static str, what: &str, make: &dyn Fn(&mut Book)) {
        self.add(name, spec, "void", what, make);
    }
}

pub(crate) fn datasets() -> Vec<Case> {
    let mut all = Ledgers(Cases::new("dataset-ledgers"));
    for suite in SUITES {
        let mut book = Book::open(suite);
        story(&mut book);
        all.0.add("story", suite, "5.3 to 5.5", "applied", "a dataset's life, each entry of it applied", book.input());
    }
    creation(&mut all);
    frames(&mut all);
    anchors(&mut all);
    facts(&mut all);
    grants(&mut all);
    ends(&mut all);
    epochs(&mut all);
    uploads(&mut all);
    removals(&mut all);
    approvals(&mut all);
    reservations(&mut all);
    all.0.done()
}

fn story(b: &mut Book) {
    let first = b.uploads();
    b.vault("olga", "role-set", role("sven", "steward"));
    b.vault("olga", "role-set", role("anna", "approver"));
    let granted = b.granted("sven");
    b.data("stella", "granted", granted);
    let grant = b.hashes(DATASET).pop().unwrap();
    b.data("sven", "agreement-accepted", json!({"agreement": no_hash(), "grant": grant}));
    let facts = json!({"category": "wgs", "n": 3});
    b.data(
        "stella",
        "facts-amended",
        json!({"facts": facts, "level": 2, "reservations": [], "suspends": [], "why": "more"}),
    );
    b.data("anna", "grade-confirmed", json!({"facts": digest(&facts), "level": 2}));
    b.new_key("rita/2", b.suite);
    let card = b.card_b64("rita/2");
    b.vault("rita", "card-added", json!({"approval": null, "terms": {"card": card, "member": "rita"}}));
    let seals = b.seals(&["rita/2"], &[1]);
    b.data("rita", "card-sealed", json!({"member": "rita", "seals": seals}));
    let late = b.upload("uma");
    b.rotates(&["stella", "reco", "sven"], &["rita"]);
    let table = b.hash();
    b.data("stella", "epoch-closed", json!({"count": 1, "epoch": 2, "table": table, "void": []}));
    b.data("uma", "upload-extended", json!({"ends": b.clock + 2 * DAY, "upload": late}));
    let commit = b.commit(&late);
    b.data("uma", "upload-committed", commit.clone());
    b.data(
        "stella",
        "path-removed",
        json!({"files": [1], "manifest": commit["manifests"][0]["manifest"], "reason": ""}),
    );
    let again = b.upload("stella");
    let mut superseding = b.commit(&again);
    superseding["manifests"][0]["root"] = first["root"].clone();
    superseding["manifests"][0]["supersedes"] = first["manifest"].clone();
    b.data("stella", "upload-committed", superseding.clone());
    b.data("stella", "manifest-removed", json!({"manifest": superseding["manifests"][0]["manifest"], "reason": ""}));
    let open = b.upload("uma");
    b.data("uma", "upload-closed", json!({"reason": "", "upload": open}));
    b.data("olga", "suspended", json!({"members": ["sven"], "reason": ""}));
    b.data("stella", "consent-withdrawn", json!({"members": [], "reason": "", "subjects": no_hash()}));
    b.data("rita", "destruction-attested", json!({"document": null, "member": "rita", "scope": "all"}));
    b.data("stella", "recovery-set", json!({"cards": [], "seals": []}));
    b.vault("olga", "pack-set", json!({"hash": no_hash(), "name": "p", "on": true}));
    b.data("mallory", "anchored", json!({}));
    b.data("stella", "dataset-deleted", json!({"approval": null, "terms": {"reason": "over"}}));
    b.data("stella", "revoked", json!({"member": "stella", "reason": ""}));
    b.mark(DATASET);
}

fn creation(all: &mut Ledgers) {
    let mut case =
        |name: &str, what: &str, who: &str, change: &dyn Fn(&mut Book, &mut Value), frame: &dyn Fn(&Book) -> Value| {
            let mut book = Book::new(Suite::X25519);
            let mut body = book.created();
            change(&mut book, &mut body);
            let frame = frame(&book);
            book.tries_with(who, DATASET, "dataset-created", body, frame);
            all.0.add(format!("created-{name}"), None, "5.3", "no dataset", what, book.input());
        };
    let same = |_: &mut Book, _: &mut Value| {};
    let right = |_: &Book| json!({});
    case(
        "by-officer",
        "by an officer who is no creator",
        "olga",
        &|b, g| g["epoch"]["seals"] = b.seals(&["olga", "reco"], &[]),
        &right,
    );
    case("level-0", "level 0", "stella", &|_, g| g["level"] = json!(0), &right);
    case("level-6", "level 6", "stella", &|_, g| g["level"] = json!(6), &right);
    case(
        "unsealed-recovery",
        "not sealed to the recovery card that it names",
        "stella",
        &|b, g| g["epoch"]["seals"] = b.seals(&["stella"], &[]),
        &right,
    );
    case(
        "unsealed-author",
        "not sealed to its author",
        "stella",
        &|b, g| g["epoch"]["seals"] = b.seals(&["reco"], &[]),
        &right,
    );
    case(
        "sealed-to-more",
        "sealed to one card too many",
        "stella",
        &|b, g| g["epoch"]["seals"] = b.seals(&["stella", "reco", "mallory"], &[]),
        &right,
    );
    case(
        "seals-order",
        "seals out of order",
        "stella",
        &|_, g| g["epoch"]["seals"].as_array_mut().unwrap().reverse(),
        &right,
    );
    case(
        "seal-of-other-member",
        "a seal to the recovery card under another member's name",
        "stella",
        &|_, g| g["epoch"]["seals"][0]["member"] = json!("olga"),
        &right,
    );
    case(
        "recovery-unknown",
        "a recovery card that is nobody's",
        "stella",
        &|b, g| g["recovery"] = json!([b.card("stranger")]),
        &right,
    );
    case(
        "public-small-order",
        "a public key of small order",
        "stella",
        &|_, g| g["epoch"]["public"] = json!(to_b64(&[0; 32])),
        &right,
    );
    case(
        "public-short",
        "a public key of 31 bytes",
        "stella",
        &|_, g| g["epoch"]["public"] = json!(to_b64(&[9; 31])),
        &right,
    );
    case("title-line-feed", "a line feed in the title", "stella", &|_, g| g["title"] = json!("a\nb"), &right);
    case("prev", "a `prev` that is not the vault id", "stella", &same, &|b| json!({"prev": b.hashes(VAULT)[1]}));
    case("seq", "number 1", "stella", &same, &|_| json!({"seq": 1}));
    case("ledger", "the ledger of another dataset", "stella", &same, &|_| json!({"ledger": "dataset/d2"}));
    case("head-null", "no vault head", "stella", &same, &|_| json!({"vault_head": null}));
    case(
        "head-before-role",
        "a vault head before its author was a creator",
        "stella",
        &same,
        &|b| json!({"vault_head": b.head(Some(0))}),
    );
    case(
        "head-hash",
        "a vault head with another hash",
        "stella",
        &same,
        &|_| json!({"vault_head": {"hash": no_hash(), "seq": 1}}),
    );
    case(
        "head-future",
        "a vault head that is not there yet",
        "stella",
        &same,
        &|_| json!({"vault_head": {"hash": no_hash(), "seq": 2}}),
    );
    let mut book = Book::new(Suite::X25519);
    book.tries("stella", DATASET, "anchored", json!({}));
    all.0.add("created-not", None, "5.3", "no dataset", "another kind as entry 0", book.input());
}

fn frames(all: &mut Ledgers) {
    let spec = "4.2, 4.4";
    let granted = |b: &mut Book| b.granted("anna");
    for (name, what, changes) in [
        ("frame-other-vault", "the id of another vault", json!({"vault": "00".repeat(32)})),
        ("frame-other-dataset", "the ledger of another dataset", json!({"ledger": "dataset/d2"})),
        ("frame-vault-ledger", "the vault ledger", json!({"ledger": "vault"})),
        ("frame-seq", "the number of the entry before", json!({"seq": 2})),
        ("frame-no-prev", "no entry before it, as only a genesis has none", json!({"prev": ""})),
        ("frame-no-head", "no vault head", json!({"vault_head": null})),
        ("frame-author", "another member's name over the author's card", json!({"author": "mallory"})),
    ] {
        all.void(name, spec, what, &|b| {
            let body = granted(b);
            b.tries_with("stella", DATASET, "granted", body, changes.clone());
        });
    }
    all.void("frame-replayed", spec, "an applied entry once more, at a later number", &|b| {
        let stored = b.entries(DATASET)[2].clone();
        b.test(DATASET, stored);
    });
    all.void(
        "frame-of-other-dataset",
        spec,
        "an entry of another dataset of the same steward, at the same number",
        &|b| {
            let ledger = "dataset/d2";
            let created = b.created();
            b.add("stella", ledger, "dataset-created", created);
            b.put(ledger, Vec::new());
            b.put(ledger, Vec::new());
            let body = granted(b);
            let stored = b.sign("stella", ledger, "granted", body, json!({}));
            b.ledgers.remove(ledger);
            b.test(DATASET, stored);
        },
    );
    all.void("frame-signature", "4.4", "one bit of the signature changed", &|b| {
        let body = granted(b);
        let stored = b.sign("stella", DATASET, "granted", body, json!({}));
        b.test(DATASET, flipped(&stored));
    });
    all.void("frame-no-bytes", "4.4", "an entry of no bytes", &|b| b.test(DATASET, Vec::new()));
    all.add("prev-wrong", "4.4", "fork", "a grant that does not follow the entry before it", &|b| {
        let body = granted(b);
        b.tries_with("stella", DATASET, "granted", body, json!({"prev": no_hash()}));
    });
    all.add("prev-settled", "4.5", "void", "the same, settled by an officer, and a grant behind it", &|b| {
        let body = granted(b);
        b.tries_with("stella", DATASET, "granted", body.clone(), json!({"prev": no_hash()}));
        b.data("stella", "granted", body);
        let settled = settles(b, DATASET, 3);
        b.vault("olga", "recovered", settled);
    });
    all.void("prev-wrong-by-nobody", "4.4", "a wrong `prev` by a member who may not grant: it forks nothing", &|b| {
        let body = granted(b);
        b.tries_with("mallory", DATASET, "granted", body, json!({"prev": no_hash()}));
    });
    all.add(
        "prev-settled-applied",
        "4.5",
        "applied",
        "an officer's recovery that names an applied entry takes nothing back",
        &|b| {
            b.mark(DATASET);
            let settled = settles(b, DATASET, 2);
            b.vault("olga", "recovered", settled);
        },
    );
    all.void("second-creation", "5.3", "a second creation", &|b| {
        let body = b.created();
        b.tries("stella", DATASET, "dataset-created", body);
    });
    all.void("kind-of-vault", "4.4", "a kind of the vault ledger", &|b| {
        b.tries("olga", DATASET, "seen", json!({"list": no_hash()}))
    });
    all.add("format-2", "4.4", "newer", "a critical statement of format 2, in a vault that was raised to it", &|b| {
        b.vault("olga", "format-raised", json!({"format": 2}));
        b.tries_with("stella", DATASET, "granted", json!({}), json!({"format": 2}));
    });
    all.void("format-2-head-before", "4.4", "the same with a vault head before it was raised", &|b| {
        let head = b.head(None);
        b.vault("olga", "format-raised", json!({"format": 2}));
        b.tries_with("stella", DATASET, "granted", json!({}), json!({"format": 2, "vault_head": head}));
    });
}

fn anchors(all: &mut Ledgers) {
    let spec = "4.4";
    let unseen = || json!({"vault_head": {"hash": no_hash(), "seq": 9}});
    all.void("head-older", spec, "a vault head before the one that the last applied entry cites", &|b| {
        b.vault("olga", "seen", json!({"list": no_hash()}));
        b.data("mallory", "anchored", json!({}));
        let head = b.head(Some(1));
        b.tries_with(
            "stella",
            DATASET,
            "revoked",
            json!({"member": "rita", "reason": ""}),
            json!({"vault_head": head}),
        );
    });
    all.add("head-unanchored", spec, "fork", "a vault head that is not in the vault ledger, by a member", &|b| {
        b.tries_with("mallory", DATASET, "anchored", json!({}), unseen());
    });
    all.add("head-other-hash", spec, "fork", "a vault head with the hash of another entry", &|b| {
        let hash = b.hashes(VAULT)[0].clone();
        b.tries_with("mallory", DATASET, "anchored", json!({}), json!({"vault_head": {"hash": hash, "seq": 1}}));
    });
    all.void("head-unanchored-settled", "4.5", "the same, settled by an officer", &|b| {
        b.tries_with("mallory", DATASET, "anchored", json!({}), unseen());
        let settled = settles(b, DATASET, 3);
        b.vault("olga", "recovered", settled);
    });
    all.void("head-unanchored-stranger", spec, "a vault head that is not there, by somebody who is no member", &|b| {
        b.tries_with("stranger", DATASET, "anchored", json!({}), unseen());
    });
    all.void("head-unanchored-signature", spec, "a vault head that is not there, and a changed signature", &|b| {
        let stored = b.sign("mallory", DATASET, "anchored", json!({}), unseen());
        b.test(DATASET, flipped(&stored));
    });
    all.void(
        "head-unanchored-retired",
        spec,
        "a vault head that is not there, by a member whose retirement the ledger cites",
        &|b| {
            b.vault("olga", "member-retired", json!({"member": "mallory", "reason": ""}));
            b.data("stella", "anchored", json!({}));
            b.tries_with("mallory", DATASET, "anchored", json!({}), unseen());
        },
    );
    all.add(
        "head-unanchored-retired-uncited",
        spec,
        "fork",
        "the same while the ledger does not cite that retirement yet",
        &|b| {
            b.vault("olga", "member-retired", json!({"member": "mallory", "reason": ""}));
            b.tries_with("mallory", DATASET, "anchored", json!({}), unseen());
        },
    );
    all.add(
        "backdated",
        spec,
        "applied",
        "a revocation that cites a vault entry before its author was retired: it was then",
        &|b| {
            b.vault("olga", "role-set", role("sven", "steward"));
            let head = b.head(None);
            b.vault("olga", "member-retired", json!({"member": "sven", "reason": ""}));
            b.tries_with(
                "sven",
                DATASET,
                "revoked",
                json!({"member": "rita", "reason": ""}),
                json!({"vault_head": head}),
            );
        },
    );
    all.void("backdated-behind", spec, "the same behind an entry that cites the retirement", &|b| {
        b.vault("olga", "role-set", role("sven", "steward"));
        let head = b.head(None);
        b.vault("olga", "member-retired", json!({"member": "sven", "reason": ""}));
        b.data("stella", "anchored", json!({}));
        b.tries_with("sven", DATASET, "revoked", json!({"member": "rita", "reason": ""}), json!({"vault_head": head}));
    });
    all.void("retired-author", spec, "an author who was retired, and says so by the vault head", &|b| {
        b.vault("olga", "member-retired", json!({"member": "rita", "reason": ""}));
        b.tries("rita", DATASET, "revoked", json!({"member": "rita", "reason": ""}));
    });
    all.void("anchored-nothing-newer", "5.3", "`anchored` with the vault head that the ledger cites already", &|b| {
        b.tries("mallory", DATASET, "anchored", json!({}))
    });
}

fn facts(all: &mut Ledgers) {
    let amended = |level: u64| json!({"facts": {}, "level": level, "reservations": [], "suspends": [], "why": ""});
    let mut case = |name: &str, what: &str, who: &'static str, kind: &'static str, body: Value| {
        all.void(name, "5.3", what, &|b| b.tries(who, DATASET, kind, body.clone()));
    };
    case("facts-by-officer", "facts by an officer who is no steward", "olga", "facts-amended", amended(1));
    case("facts-by-reader", "facts by a member with a grant", "rita", "facts-amended", amended(1));
    case("facts-level-6", "level 6", "stella", "facts-amended", amended(6));
    case(
        "facts-suspends-nobody",
        "the suspension of a member without a grant",
        "stella",
        "facts-amended",
        with(&amended(1), json!({"suspends": ["uma"]})),
    );
    case(
        "uploader-by-officer",
        "an uploader by an officer who is no steward",
        "olga",
        "uploader-set",
        json!({"member": "anna", "on": true}),
    );
    case(
        "uploader-unknown",
        "an uploader who is no member",
        "stella",
        "uploader-set",
        json!({"member": "stranger", "on": true}),
    );
    case(
        "grade-by-steward",
        "a grading confirmed by its own author",
        "stella",
        "grade-confirmed",
        json!({"facts": digest(&json!({"category": "wgs"})), "level": 1}),
    );
    case(
        "deleted-by-officer",
        "a deletion by an officer who is no steward",
        "olga",
        "dataset-deleted",
        json!({"approval": null, "terms": {"reason": ""}}),
    );
    all.void("grade-by-grader", "5.3", "a grading confirmed by its author, who is an approver, too", &|b| {
        b.vault("olga", "role-set", role("stella", "approver"));
        b.tries(
            "stella",
            DATASET,
            "grade-confirmed",
            json!({"facts": digest(&json!({"category": "wgs"})), "level": 1}),
        );
    });
    all.void("grade-other-facts", "5.3", "other facts than the present ones confirmed", &|b| {
        b.vault("olga", "role-set", role("anna", "approver"));
        b.tries("anna", DATASET, "grade-confirmed", json!({"facts": digest(&json!({})), "level": 1}));
    });
    all.void("steward-by-role-lost", "5.1", "the creator, whom a later `role-set` made no steward", &|b| {
        b.vault("olga", "role-set", with(&role("stella", "steward"), json!({"on": false})));
        b.tries("stella", DATASET, "uploader-set", json!({"member": "anna", "on": true}));
    });
    all.void("deleted-then-granted", "5.3", "a grant after the deletion", &|b| {
        b.data("stella", "dataset-deleted", json!({"approval": null, "terms": {"reason": ""}}));
        let body = b.granted("anna");
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("deleted-then-upload", "5.3", "an upload after the deletion", &|b| {
        b.data("stella", "dataset-deleted", json!({"approval": null, "terms": {"reason": ""}}));
        let body = json!({"ends": b.clock + DAY, "upload": b.id()});
        b.tries("uma", DATASET, "upload-opened", body);
    });
}

fn grants(all: &mut Ledgers) {
    let spec = "5.1, 5.3";
    all.void("granted-by-officer", spec, "a grant by an officer", &|b| {
        let body = b.granted("anna");
        b.tries("olga", DATASET, "granted", body);
    });
    all.void("granted-by-reader", spec, "a grant by a member with a grant", &|b| {
        let body = b.granted("anna");
        b.tries("rita", DATASET, "granted", body);
    });
    all.void("granted-by-steward-without-grant", spec, "a grant by a steward to whom nothing is sealed", &|b| {
        b.vault("olga", "role-set", role("sven", "steward"));
        let body = b.granted("anna");
        b.tries("sven", DATASET, "granted", body);
    });
    all.void(
        "granted-by-other-card",
        spec,
        "a grant signed by a steward's new card, to which nothing is sealed",
        &|b| {
            b.new_key("stella/2", b.suite);
            let card = b.card_b64("stella/2");
            b.vault("olga", "card-added", json!({"approval": null, "terms": {"card": card, "member": "stella"}}));
            let body = b.granted("anna");
            b.tries("stella/2", DATASET, "granted", body);
        },
    );
    all.void("granted-unsealed", spec, "a grant without a seal", &|b| {
        let body = with(&b.granted("anna"), json!({"seals": []}));
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-card-missing", spec, "a grant that is sealed to one of two cards", &|b| {
        b.new_key("anna/2", b.suite);
        let card = b.card_b64("anna/2");
        b.vault("anna", "card-added", json!({"approval": null, "terms": {"card": card, "member": "anna"}}));
        let body = b.granted("anna");
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-sealed-to-other", spec, "a grant that is sealed to another member, too", &|b| {
        let seals = b.seals(&["anna", "mallory"], &[1]);
        let body = with(&b.granted("anna"), json!({"seals": seals}));
        b.tries("stella", DATASET, "granted", body);
    });
    all.void(
        "granted-seal-of-other",
        spec,
        "a grant that is sealed to another member's card under the grantee's name",
        &|b| {
            let mut body = b.granted("anna");
            body["seals"][0]["card"] = json!(b.card("mallory"));
            b.tries("stella", DATASET, "granted", body);
        },
    );
    all.void("granted-other-epoch", spec, "a grant that is sealed for an epoch that there is not", &|b| {
        let seals = b.seals(&["anna"], &[2]);
        let body = with(&b.granted("anna"), json!({"seals": seals}));
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-one-of-two-epochs", spec, "a grant of the newest of two epochs that are not closed", &|b| {
        b.rotates(&["stella", "reco", "rita"], &[]);
        let body = b.granted("anna");
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-ended", spec, "a grant that ends in the second in which it is given", &|b| {
        let mut body = b.granted("anna");
        body["terms"]["ends"] = json!(b.clock + 1);
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-to-retired", spec, "a grant to a member who was retired", &|b| {
        b.vault("olga", "member-retired", json!({"member": "anna", "reason": ""}));
        let body = b.granted("anna");
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("granted-to-cardless", spec, "a grant to a member without a current card", &|b| {
        let card = b.card("anna");
        b.vault("olga", "card-retired", json!({"card": card, "member": "anna", "reason": ""}));
        let body = with(&b.granted("anna"), json!({"seals": []}));
        b.tries("stella", DATASET, "granted", body);
    });
    all.void("card-sealed-by-other", spec, "a card sealed by a member with a grant, for another", &|b| {
        let seals = b.seals(&["rita"], &[1]);
        let body = json!({"member": "stella", "seals": seals});
        b.tries("rita", DATASET, "card-sealed", body);
    });
    all.void("card-sealed-to-none", spec, "a card sealed for a member without a grant", &|b| {
        let seals = b.seals(&["anna"], &[1]);
        b.tries("stella", DATASET, "card-sealed", json!({"member": "anna", "seals": seals}));
    });
    all.void(
        "card-sealed-unopened",
        spec,
        "a member seals to its new card with that card, which opens nothing",
        &|b| {
            b.new_key("rita/2", b.suite);
            let card = b.card_b64("rita/2");
            b.vault("olga", "card-added", json!({"approval": null, "terms": {"card": card, "member": "rita"}}));
            let seals = b.seals(&["rita/2"], &[1]);
            b.tries("rita/2", DATASET, "card-sealed", json!({"member": "rita", "seals": seals}));
        },
    );
    all.void("card-sealed-nothing", spec, "a card sealed that is none", &|b| {
        b.tries("stella", DATASET, "card-sealed", json!({"member": "rita", "seals": []}))
    });
    all.void("recovery-unsealed", spec, "a recovery card added and nothing sealed to it", &|b| {
        let mut cards = [b.card("reco"), b.card("anna")];
        cards.sort();
        b.tries("stella", DATASET, "recovery-set", json!({"cards": cards, "seals": []}));
    });
    all.void("recovery-by-officer", spec, "recovery cards by an officer", &|b| {
        b.tries("olga", DATASET, "recovery-set", json!({"cards": [], "seals": []}))
    });
    all.void("agreement-of-other", spec, "an agreement to another member's grant", &|b| {
        let grant = b.hashes(DATASET)[2].clone();
        b.tries("stella", DATASET, "agreement-accepted", json!({"agreement": no_hash(), "grant": grant}));
    });
}

fn ends(all: &mut Ledgers) {
    let mut case = |name: &str, what: &str, who: &'static str, kind: &'static str, body: Value| {
        all.void(name, "5.3", what, &|b| b.tries(who, DATASET, kind, body.clone()));
    };
    case(
        "revoked-by-other",
        "a revocation by a member without a right to it",
        "mallory",
        "revoked",
        json!({"member": "rita", "reason": ""}),
    );
    case(
        "revoked-by-uploader",
        "a revocation by an uploader",
        "uma",
        "revoked",
        json!({"member": "rita", "reason": ""}),
    );
    case(
        "revoked-nothing",
        "the revocation of a grant that there is not",
        "stella",
        "revoked",
        json!({"member": "uma", "reason": ""}),
    );
    case(
        "revoked-reason-control",
        "a control character in the reason",
        "stella",
        "revoked",
        json!({"member": "rita", "reason": "\u{9b}"}),
    );
    case(
        "suspended-by-reader",
        "a suspension by a member with a grant",
        "rita",
        "suspended",
        json!({"members": ["stella"], "reason": ""}),
    );
    case("suspended-nobody", "a suspension of nobody", "olga", "suspended", json!({"members": [], "reason": ""}));
    case(
        "suspended-twice",
        "a member named twice",
        "olga",
        "suspended",
        json!({"members": ["rita", "rita"], "reason": ""}),
    );
    case(
        "withdrawn-by-reader",
        "a withdrawal of consent by a member with a grant",
        "rita",
        "consent-withdrawn",
        json!({"members": [], "reason": "", "subjects": null}),
    );
    case(
        "attested-by-other",
        "a destruction attested by another",
        "stella",
        "destruction-attested",
        json!({"document": null, "member": "rita", "scope": ""}),
    );
    case(
        "attested-by-officer",
        "a destruction attested by an officer for a member who is current",
        "olga",
        "destruction-attested",
        json!({"document": null, "member": "rita", "scope": ""}),
    );
    case(
        "attested-never-granted",
        "a destruction attested by a member who never had a grant",
        "uma",
        "destruction-attested",
        json!({"document": null, "member": "uma", "scope": ""}),
    );
    all.void("revoked-again", "5.3", "a second revocation", &|b| {
        b.data("olga", "revoked", json!({"member": "rita", "reason": ""}));
        b.tries("stella", DATASET, "revoked", json!({"member": "rita", "reason": ""}));
    });
    all.add("revoked-by-itself", "5.3", "applied", "a member that gives its own grant back", &|b| {
        b.tries("rita", DATASET, "revoked", json!({"member": "rita", "reason": ""}));
    });
}

fn epochs(all: &mut Ledgers) {
    let spec = "5.1, 5.4";
    let everybody = ["stella", "reco", "rita"];
    let mut opened = |name: &str, what: &str, who: &'static str, make: &dyn Fn(&mut Book) -> Value| {
        all.void(&format!("epoch-{name}"), spec, what, &|b| {
            let body = make(b);
            b.tries(who, DATASET, "epoch-opened", body);
        });
    };
    opened("by-reader", "an epoch opened by a member with a grant who is no steward", "rita", &|b| {
        b.epoch(&everybody, &[])
    });
    opened("by-officer", "an epoch opened by an officer", "olga", &|b| b.epoch(&everybody, &[]));
    opened("number", "an epoch that skips a number", "stella", &|b| {
        with(&b.epoch(&everybody, &[]), json!({"epoch": 3}))
    });
    opened("number-again", "an epoch with the number of the last one", "stella", &|b| {
        with(&b.epoch(&everybody, &[]), json!({"epoch": 1}))
    });
    opened("revokes-itself", "an epoch that revokes its author", "stella", &|b| {
        b.epoch(&["reco", "rita"], &["stella"])
    });
    opened("revokes-nothing", "an epoch that revokes a grant that there is not", "stella", &|b| {
        b.epoch(&everybody, &["uma"])
    });
    opened("leaves-out", "an epoch that leaves a reader out without revoking", "stella", &|b| {
        b.epoch(&["stella", "reco"], &[])
    });
    opened("sealed-to-revoked", "an epoch that is sealed to the one that it revokes", "stella", &|b| {
        b.epoch(&everybody, &["rita"])
    });
    opened("sealed-to-more", "an epoch that is sealed to a member without a grant", "stella", &|b| {
        b.epoch(&["stella", "reco", "rita", "mallory"], &[])
    });
    opened("no-recovery", "an epoch that is not sealed to the recovery card", "stella", &|b| {
        b.epoch(&["stella", "rita"], &[])
    });
    opened("public", "an epoch with a public key of small order", "stella", &|b| {
        with(
            &b.epoch(&everybody, &[]),
            json!({"public": to_b64(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])}),
        )
    });
    opened("unsealed", "an epoch that names a member with a card as one without", "stella", &|b| {
        with(&b.epoch(&everybody, &[]), json!({"unsealed": ["rita"]}))
    });
    opened("sealed-to-retired", "an epoch that is sealed to a retired card", "stella", &|b| {
        b.new_key("rita/2", b.suite);
        let (card, old) = (b.card_b64("rita/2"), b.card("rita"));
        b.vault("rita", "card-added", json!({"approval": null, "terms": {"card": card, "member": "rita"}}));
        b.vault("rita/2", "card-retired", json!({"card": old, "member": "rita", "reason": ""}));
        b.epoch(&everybody, &[])
    });
    let closed = json!({"count": 0, "epoch": 2, "table": null, "void": []});
    let mut case = |name: &str, what: &str, who: &'static str, changes: &dyn Fn(&mut Book) -> Value| {
        all.void(&format!("closed-{name}"), spec, what, &|b| {
            b.uploads();
            b.rotates(&everybody, &[]);
            let body = with(&closed, changes(b));
            b.tries(who, DATASET, "epoch-closed", body);
        });
    };
    case("count", "an epoch closed without the manifest that is in scope", "stella", &|_| json!({}));
    case(
        "count-more",
        "an epoch closed with more keys than manifests",
        "stella",
        &|_| json!({"count": 2, "table": no_hash()}),
    );
    case("no-table", "an epoch closed with one key and no table", "stella", &|_| json!({"count": 1}));
    case("table-of-none", "an epoch closed with its manifest void, and a table", "stella", &|b| {
        let id = committed(b);
        json!({"table": no_hash(), "void": [id]})
    });
    case("void-unknown", "an epoch closed with a void manifest that there is not", "stella", &|b| {
        let id = b.id();
        json!({"void": [id]})
    });
    case("by-reader", "an epoch closed by a reader", "rita", &|_| json!({"count": 1, "table": no_hash()}));
    case("number", "an older epoch closed", "stella", &|_| json!({"count": 1, "epoch": 1, "table": no_hash()}));
    all.void("closed-again", spec, "an epoch closed twice", &|b| {
        b.rotates(&everybody, &[]);
        b.data("stella", "epoch-closed", closed.clone());
        b.tries("stella", DATASET, "epoch-closed", closed.clone());
    });
    all.void(
        "closed-by-new-card",
        spec,
        "an epoch closed with a card that was added since, in the steward's name by an officer",
        &|b| {
            b.rotates(&everybody, &[]);
            b.new_key("stella/2", b.suite);
            let card = b.card_b64("stella/2");
            b.vault("olga", "card-added", json!({"approval": null, "terms": {"card": card, "member": "stella"}}));
            b.tries("stella/2", DATASET, "epoch-closed", closed.clone());
        },
    );
    let reset = |b: &mut Book| {
        let body = b.epoch(&["stella", "reco"], &[]);
        let mut body = without(&without(&body, "revokes"), "unsealed");
        body["unreadable"] = json!([]);
        body
    };
    all.void("reset-held", spec, "an epoch reset while somebody holds the newest", &|b| {
        let body = reset(b);
        b.tries("stella", DATASET, "epoch-reset", body);
    });
    let abandoned = |b: &mut Book| {
        let cards = [("reco", b.card("reco")), ("rita", b.card("rita")), ("stella", b.card("stella"))];
        b.new_key("stella/2", b.suite);
        let card = b.card_b64("stella/2");
        b.vault("olga", "card-added", json!({"approval": null, "terms": {"card": card, "member": "stella"}}));
        for (member, card) in cards {
            b.vault("olga", "card-retired", json!({"card": card, "member": member, "reason": ""}));
        }
        let body = b.epoch(&["stella/2"], &[]);
        let mut body = without(&without(&body, "revokes"), "unsealed");
        body["unreadable"] = json!([]);
        body
    };
    all.add("reset", spec, "applied", "an epoch reset when all cards of its holders are retired", &|b| {
        let body = abandoned(b);
        b.tries("stella/2", DATASET, "epoch-reset", body);
    });
    all.void("reset-not-all", spec, "an epoch reset that leaves out a manifest that can't be read any more", &|b| {
        b.uploads();
        let body = abandoned(b);
        b.tries("stella/2", DATASET, "epoch-reset", body);
    });
}

/// The id of the only manifest that was committed.
fn committed(b: &Book) -> Value {
    let input = {
        let ledgers: serde_json::Map<String, Value> = b
            .ledgers
            .iter()
            .map(|(name, entries)| (name.clone(), entries.iter().map(|stored| blob(stored)).collect()))
            .collect();
        json!({"ledgers": ledgers, "vault_id": b.vault_id})
    };
    let state = judge(&input);
    json!(state["state"][DATASET]["manifests"].as_object().unwrap().keys().next().unwrap())
}

fn uploads(all: &mut Ledgers) {
    let spec = "5.5";
    let mut commit = |name: &str, what: &str, who: &'static str, change: &dyn Fn(&mut Book, &mut Value)| {
        all.void(&format!("commit-{name}"), spec, what, &|b| {
            let upload = b.upload("uma");
            let mut body = b.commit(&upload);
            change(b, &mut body);
            b.tries(who, DATASET, "upload-committed", body);
        });
    };
    commit("by-other", "a commit by a steward who did not open the upload", "stella", &|_, _| {});
    commit("epoch", "a commit to an epoch that there is not", "uma", &|_, body| body["epoch"] = json!(2));
    commit("old-epoch", "a commit to an epoch before the newest", "uma", &|b, _| {
        b.rotates(&["stella", "reco", "rita"], &[])
    });
    commit("stale-revoked", "a commit behind a revocation, before the next epoch", "uma", &|b, _| {
        b.data("stella", "revoked", json!({"member": "rita", "reason": ""}))
    });
    commit(
        "stale-retired",
        "a commit that cites the retirement of a card to which the epoch is sealed",
        "uma",
        &|b, _| {
            let card = b.card("rita");
            b.vault("rita", "card-retired", json!({"card": card, "member": "rita", "reason": ""}));
        },
    );
    commit("unknown", "a commit of an upload that was not opened", "uma", &|b, body| body["upload"] = json!(b.id()));
    commit("none", "a commit of no manifest", "uma", &|_, body| body["manifests"] = json!([]));
    commit("twice-one", "a manifest id twice in one commit", "uma", &|b, body| {
        let other = with(&b.manifest(), json!({"manifest": body["manifests"][0]["manifest"]}));
        body["manifests"].as_array_mut().unwrap().push(other);
    });
    commit("id-taken", "a manifest id of an earlier commit", "uma", &|b, body| {
        let first = b.uploads();
        body["manifests"][0]["manifest"] = first["manifest"].clone();
    });
    commit("files-zero", "a manifest of no file", "uma", &|_, body| body["manifests"][0]["files"] = json!(0));
    commit("files-many", "a manifest of 10,001 files", "uma", &|_, body| body["manifests"][0]["files"] = json!(10_001));
    commit("packs-zero", "a manifest of no pack", "uma", &|_, body| body["manifests"][0]["packs"]["count"] = json!(0));
    commit("bytes-zero", "a manifest of an empty stream", "uma", &|_, body| {
        body["manifests"][0]["packs"]["bytes"] = json!(0)
    });
    commit("uploader-lost", "a commit by one who is no uploader any more", "uma", &|b, _| {
        b.data("stella", "uploader-set", json!({"member": "uma", "on": false}))
    });
    commit("closed", "a commit of an upload that was closed", "uma", &|b, body| {
        let upload = body["upload"].clone();
        b.data("uma", "upload-closed", json!({"reason": "", "upload": upload}));
    });
    commit("again", "a second commit of an upload", "uma", &|b, body| {
        let first = with(body, json!({"manifests": [b.manifest()]}));
        b.data("uma", "upload-committed", first);
    });
    commit("supersedes-by-uploader", "a re-encryption by an uploader", "uma", &|b, body| {
        let first = b.uploads();
        body["manifests"][0]["root"] = first["root"].clone();
        body["manifests"][0]["supersedes"] = first["manifest"].clone();
    });
    let mut again = |name: &str, what: &str, change: &dyn Fn(&mut Book, &mut Value)| {
        all.void(&format!("supersedes-{name}"), spec, what, &|b| {
            let first = b.uploads();
            let upload = b.upload("stella");
            let mut body = b.commit(&upload);
            body["manifests"][0]["root"] = first["root"].clone();
            body["manifests"][0]["supersedes"] = first["manifest"].clone();
            change(b, &mut body);
            b.tries("stella", DATASET, "upload-committed", body);
        });
    };
    again("root", "a re-encryption with another root", &|b, body| body["manifests"][0]["root"] = json!(b.hash()));
    again("unknown", "a re-encryption of a manifest that there is not", &|b, body| {
        body["manifests"][0]["supersedes"] = json!(b.id())
    });
    again("removed", "a re-encryption of a manifest that was removed", &|b, body| {
        let old = body["manifests"][0]["supersedes"].clone();
        b.data("stella", "manifest-removed", json!({"manifest": old, "reason": ""}));
    });
    again("twice", "one manifest superseded by two", &|b, body| {
        let other = with(&body["manifests"][0], json!({"manifest": b.id()}));
        body["manifests"].as_array_mut().unwrap().push(other);
    });
    again("itself", "a re-encryption of itself", &|_, body| {
        body["manifests"][0]["supersedes"] = body["manifests"][0]["manifest"].clone()
    });

    let mut case = |name: &str, what: &str, make: &dyn Fn(&mut Book, &str)| {
        all.void(&format!("upload-{name}"), spec, what, &|b| {
            let upload = b.upload("uma");
            make(b, &upload);
        });
    };
    case("by-reader", "an upload by a member with a grant who is no uploader", &|b, _| {
        let body = json!({"ends": b.clock + DAY, "upload": b.id()});
        b.tries("rita", DATASET, "upload-opened", body);
    });
    case("id-taken", "an upload id that is taken", &|b, upload| {
        let body = json!({"ends": b.clock + DAY, "upload": upload});
        b.tries("uma", DATASET, "upload-opened", body);
    });
    case("ended", "an upload that ends in the second in which it is opened", &|b, _| {
        let body = json!({"ends": b.clock + 1, "upload": b.id()});
        b.tries("uma", DATASET, "upload-opened", body);
    });
    case("extended-earlier", "an upload extended to an earlier end", &|b, upload| {
        let body = json!({"ends": b.clock + 5, "upload": upload});
        b.tries("uma", DATASET, "upload-extended", body);
    });
    case("extended-by-other", "an upload extended by another", &|b, upload| {
        let body = json!({"ends": b.clock + 2 * DAY, "upload": upload});
        b.tries("stella", DATASET, "upload-extended", body);
    });
    case("closed-early", "an upload closed by a steward before its end", &|b, upload| {
        b.tries("stella", DATASET, "upload-closed", json!({"reason": "", "upload": upload}))
    });
    case("closed-by-other", "an upload closed by a member after its end", &|b, upload| {
        b.clock += 2 * DAY;
        b.tries("mallory", DATASET, "upload-closed", json!({"reason": "", "upload": upload}));
    });
    case("closed-stale", "an upload closed by a steward after its end, while the epoch is stale", &|b, upload| {
        b.data("stella", "revoked", json!({"member": "rita", "reason": ""}));
        b.clock += 2 * DAY;
        b.tries("stella", DATASET, "upload-closed", json!({"reason": "", "upload": upload}));
    });
    case("closed-committed", "an upload closed that was committed", &|b, upload| {
        let body = b.commit(upload);
        b.data("uma", "upload-committed", body);
        b.tries("uma", DATASET, "upload-closed", json!({"reason": "", "upload": upload}));
    });
    all.add("upload-closed-ended", spec, "applied", "an upload closed by a steward after its end", &|b| {
        let upload = b.upload("uma");
        b.clock += 2 * DAY;
        b.tries("stella", DATASET, "upload-closed", json!({"reason": "", "upload": upload}));
    });
}

fn removals(all: &mut Ledgers) {
    let mut case =
        |name: &str, what: &str, who: &'static str, kind: &'static str, body: &dyn Fn(&mut Book, Value) -> Value| {
            all.void(&format!("removed-{name}"), "5.5", what, &|b| {
                let manifest = b.uploads()["manifest"].clone();
                let body = body(b, manifest);
                b.tries(who, DATASET, kind, body);
            });
        };
    case(
        "by-uploader",
        "a manifest removed by its uploader",
        "uma",
        "manifest-removed",
        &|_, m| json!({"manifest": m, "reason": ""}),
    );
    case(
        "unknown",
        "a manifest removed that there is not",
        "stella",
        "manifest-removed",
        &|b, _| json!({"manifest": b.id(), "reason": ""}),
    );
    case("again", "a manifest removed twice", "stella", "manifest-removed", &|b, m| {
        b.data("stella", "manifest-removed", json!({"manifest": m, "reason": ""}));
        json!({"manifest": m, "reason": ""})
    });
    case(
        "no-file",
        "no file removed",
        "stella",
        "path-removed",
        &|_, m| json!({"files": [], "manifest": m, "reason": ""}),
    );
    case(
        "files-order",
        "file numbers out of order",
        "stella",
        "path-removed",
        &|_, m| json!({"files": [2, 1], "manifest": m, "reason": ""}),
    );
    case(
        "files-order-as-text",
        "file numbers in the order of their digits",
        "stella",
        "path-removed",
        &|_, m| json!({"files": [10, 9], "manifest": m, "reason": ""}),
    );
    case(
        "file-too-high",
        "a file number of 2^32, which no record can hold",
        "stella",
        "path-removed",
        &|_, m| json!({"files": [1u64 << 32], "manifest": m, "reason": ""}),
    );
    case(
        "files-by-uploader",
        "files removed by their uploader",
        "uma",
        "path-removed",
        &|_, m| json!({"files": [1], "manifest": m, "reason": ""}),
    );
}

// Deleting the dataset needs one approver besides the steward.
fn approvals(all: &mut Ledgers) {
    let body = json!({"reason": "over"});
    let mut case = |name: &str, expect: &'static str, what: &str, make: &dyn Fn(&mut Book, &str)| {
        let mut book = Book::with(Suite::X25519, |genesis| genesis["approvals"]["dataset_deleted"] = json!(1)).opened();
        book.vault("olga", "role-set", role("anna", "approver"));
        let proposed = json!({
            "act": "dataset-deleted", "ends": book.clock + DAY, "facts": digest(&json!({"category": "wgs"})), "member": null, "pack": null,
            "terms": terms("dataset-deleted", &body),
        });
        book.data("stella", "proposed", proposed);
        let proposal = book.hashes(DATASET).pop().unwrap();
        make(&mut book, &proposal);
        all.0.add(format!("approval-{name}"), None, "5.1, 5.3", expect, what, book.input());
    };
    let approved = |b: &mut Book, proposal: &str| {
        b.data("anna", "approved", json!({"proposal": proposal}));
        let one = b.hashes(DATASET).pop().unwrap();
        json!({"approval": {"approvals": [one], "proposal": proposal}, "terms": body})
    };
    case("one", "applied", "a deletion with an approval", &|b, proposal| {
        let body = approved(b, proposal);
        b.tries("stella", DATASET, "dataset-deleted", body);
    });
    case("none", "void", "a deletion without the approval that it needs", &|b, _| {
        b.tries("stella", DATASET, "dataset-deleted", json!({"approval": null, "terms": body}))
    });
    case("by-officer", "void", "an approval by an officer who is no approver", &|b, proposal| {
        b.tries("olga", DATASET, "approved", json!({"proposal": proposal}))
    });
    case("facts-changed", "void", "the facts were amended since the proposal", &|b, proposal| {
        let body = approved(b, proposal);
        b.data(
            "stella",
            "facts-amended",
            json!({"facts": {}, "level": 1, "reservations": [], "suspends": [], "why": ""}),
        );
        b.tries("stella", DATASET, "dataset-deleted", body);
    });
    case("level-changed", "void", "the level was changed since the proposal, under the same facts", &|b, proposal| {
        let body = approved(b, proposal);
        b.data(
            "stella",
            "facts-amended",
            json!({"facts": {"category": "wgs"}, "level": 2, "reservations": [], "suspends": [], "why": ""}),
        );
        b.tries("stella", DATASET, "dataset-deleted", body);
    });
    case("stated-anew", "void", "the same facts and level were stated anew since the proposal", &|b, proposal| {
        let body = approved(b, proposal);
        b.data(
            "stella",
            "facts-amended",
            json!({"facts": {"category": "wgs"}, "level": 1, "reservations": [], "suspends": [], "why": ""}),
        );
        b.tries("stella", DATASET, "dataset-deleted", body);
    });
    case("of-vault", "void", "an approval of a proposal in the vault ledger", &|b, _| {
        let body = json!({"act": "recovered", "ends": b.clock + DAY, "facts": null, "member": null, "pack": null, "terms": no_hash()});
        b.vault("olga", "proposed", body);
        let proposal = b.hashes(VAULT).pop().unwrap();
        b.tries("anna", DATASET, "approved", json!({"proposal": proposal}));
    });
    case("entry-is-none", "void", "an entry as approval that is none", &|b, proposal| {
        let one = b.hashes(DATASET)[0].clone();
        b.tries(
            "stella",
            DATASET,
            "dataset-deleted",
            json!({"approval": {"approvals": [one], "proposal": proposal}, "terms": body}),
        );
    });
}

/// A reservation of stella for a member, and the RES that cites it.
fn reserve(b: &mut Book, member: &str, added: u64, total: u64) -> Value {
    let ledger = exposure();
    b.add(
        "stella",
        &ledger,
        "reserved",
        json!({"added": added, "dataset": "d1", "member": member, "subjects": null, "total": total}),
    );
    let hashes = b.hashes(&ledger);
    json!({"hash": hashes[hashes.len() - 1], "ledger": ledger, "seq": hashes.len() - 1})
}

fn reservations(all: &mut Ledgers) {
    let mut case = |name: &str, expect: &'static str, what: &str, make: &dyn Fn(&mut Book, Value)| {
        all.add(&format!("reservation-{name}"), "4.4, 5.3", expect, what, &|b| {
            let reservation = reserve(b, "anna", 10, 10);
            make(b, reservation);
        });
    };
    let grants = |b: &mut Book, who: &str, reservation: Value| {
        let body = with(&b.granted(who), json!({"reservation": reservation}));
        b.tries("stella", DATASET, "granted", body);
    };
    let uses = |b: &mut Book, reservation: &Value| {
        let body = with(&b.granted("anna"), json!({"reservation": reservation}));
        b.data("stella", "granted", body);
    };
    case("used", "applied", "a grant with its reservation", &|b, r| grants(b, "anna", r));
    case("used-twice", "void", "a second grant with one reservation", &|b, r| {
        uses(b, &r);
        grants(b, "anna", r);
    });
    case("for-other", "void", "a grant with the reservation for another member", &|b, r| grants(b, "mallory", r));
    case("of-other-dataset", "void", "a grant with a reservation for another dataset", &|b, _| {
        let created = b.created();
        b.add("stella", "dataset/d2", "dataset-created", created);
        b.add(
            "stella",
            &exposure(),
            "reserved",
            json!({"added": 1, "dataset": "d2", "member": "anna", "subjects": null, "total": 11}),
        );
        let hash = b.hashes(&exposure())[1].clone();
        grants(b, "anna", json!({"hash": hash, "ledger": exposure(), "seq": 1}));
    });
    case("missing", "fork", "a grant with a reservation that is not there yet", &|b, r| {
        grants(b, "anna", with(&r, json!({"hash": no_hash(), "seq": 1})))
    });
    case("other-hash", "fork", "a grant with the number of a reservation and another hash", &|b, r| {
        grants(b, "anna", with(&r, json!({"hash": no_hash()})))
    });
    case("other-seq", "fork", "a grant with the hash of a reservation and another number", &|b, r| {
        grants(b, "anna", with(&r, json!({"seq": 1})))
    });
    case("other-seq-used", "fork", "the same when the reservation is used already", &|b, r| {
        uses(b, &r);
        grants(b, "anna", with(&r, json!({"seq": 1})));
    });
    case("no-ledger", "fork", "a grant with a reservation in an exposure ledger that has no entry", &|b, r| {
        grants(b, "anna", with(&r, json!({"ledger": format!("exposure/{}", "dd".repeat(32))})))
    });
    case("in-vault-ledger", "void", "a grant with an entry of the vault ledger as its reservation", &|b, _| {
        let hash = b.hashes(VAULT)[1].clone();
        grants(b, "anna", json!({"hash": hash, "ledger": VAULT, "seq": 1}));
    });
    case("void", "void", "a grant with a reservation that is void", &|b, _| {
        let ledger = exposure();
        b.add(
            "stella",
            &ledger,
            "reserved",
            json!({"added": 1, "dataset": "d1", "member": "anna", "subjects": null, "total": 99}),
        );
        let hash = b.hashes(&ledger)[1].clone();
        grants(b, "anna", json!({"hash": hash, "ledger": ledger, "seq": 1}));
    });
    case("missing-by-nobody", "void", "a grant with a missing reservation, by a member who may not grant", &|b, r| {
        let body = with(&b.granted("anna"), json!({"reservation": with(&r, json!({"seq": 1}))}));
        b.tries("mallory", DATASET, "granted", body);
    });
    case(
        "missing-and-for-other",
        "void",
        "two reservations, of which one is missing and one is for another member",
        &|b, r| {
            let missing = json!({"member": "rita", "reservation": with(&r, json!({"hash": no_hash(), "seq": 1}))});
            let other = json!({"member": "rita", "reservation": r});
            b.tries(
                "stella",
                DATASET,
                "facts-amended",
                json!({"facts": {}, "level": 1, "reservations": [missing, other], "suspends": [], "why": ""}),
            );
        },
    );
    case("cancelled", "void", "a grant with a reservation that was cancelled", &|b, r| {
        b.data("stella", "reservation-cancelled", json!({"reservation": r}));
        grants(b, "anna", r);
    });
    case("cancelled-by-other", "void", "a reservation cancelled by a member who did not make it", &|b, r| {
        b.tries("rita", DATASET, "reservation-cancelled", json!({"reservation": r}))
    });
    case("cancelled-by-steward", "void", "a reservation cancelled by a steward who did not make it", &|b, r| {
        b.vault("olga", "role-set", role("sven", "steward"));
        b.tries("sven", DATASET, "reservation-cancelled", json!({"reservation": r}));
    });
    case("cancelled-by-officer", "applied", "a reservation cancelled by an officer", &|b, r| {
        b.tries("olga", DATASET, "reservation-cancelled", json!({"reservation": r}))
    });
    case("cancelled-missing", "fork", "a missing reservation cancelled by a steward", &|b, r| {
        b.tries("stella", DATASET, "reservation-cancelled", json!({"reservation": with(&r, json!({"seq": 1}))}))
    });
    case(
        "cancelled-missing-by-other",
        "void",
        "a missing reservation cancelled by a member who is neither steward nor officer",
        &|b, r| {
            b.tries("rita", DATASET, "reservation-cancelled", json!({"reservation": with(&r, json!({"seq": 1}))}));
        },
    );
    case("cancelled-none", "void", "an entry cancelled that is no reservation", &|b, _| {
        let hash = b.hashes(VAULT)[1].clone();
        b.tries(
            "olga",
            DATASET,
            "reservation-cancelled",
            json!({"reservation": {"hash": hash, "ledger": VAULT, "seq": 1}}),
        );
    });
}

pub(crate) fn exposures() -> Vec<Case> {
    let mut all = Ledgers(Cases::new("exposure-ledgers"));
    let at = exposure();
    let reserved = |added: u64, total: u64| json!({"added": added, "dataset": "d1", "member": "anna", "subjects": null, "total": total});
    let mut case = |name: &str,
                    expect: &'static str,
                    what: &str,
                    who: &'static str,
                    kind: &'static str,
                    body: Value,
                    changes: Value| {
        all.add(name, "5.6", expect, what, &|b| {
            reserve(b, "anna", 10, 10);
            b.tries_with(who, &exposure(), kind, body.clone(), changes.clone());
        });
    };
    let same = || json!({});
    case("reserved", "applied", "a second reservation", "stella", "reserved", reserved(5, 15), same());
    case("reserved-nothing", "applied", "a reservation of nothing", "stella", "reserved", reserved(0, 10), same());
    case(
        "total-low",
        "void",
        "a total that leaves out what is reserved already",
        "stella",
        "reserved",
        reserved(5, 5),
        same(),
    );
    case("total-high", "void", "a total that is one too high", "stella", "reserved", reserved(5, 16), same());
    case(
        "total-overflow",
        "void",
        "numbers whose sum is above 2^53",
        "stella",
        "reserved",
        reserved((1 << 53) - 1, 9),
        same(),
    );
    case("reserved-by-reader", "void", "a reservation by a reader", "rita", "reserved", reserved(5, 15), same());
    case("reserved-by-officer", "void", "a reservation by an officer", "olga", "reserved", reserved(5, 15), same());
    case(
        "reserved-for-unknown",
        "void",
        "a reservation for a dataset that there is not",
        "stella",
        "reserved",
        with(&reserved(5, 15), json!({"dataset": "d9"})),
        same(),
    );
    case("kind", "void", "a kind of another ledger", "stella", "anchored", json!({}), same());
    case(
        "other-recipient",
        "void",
        "the ledger of another recipient",
        "stella",
        "reserved",
        reserved(5, 15),
        json!({"ledger": format!("exposure/{}", "dd".repeat(32))}),
    );
    case("seq", "void", "the number of the entry before", "stella", "reserved", reserved(5, 15), json!({"seq": 0}));
    case(
        "prev",
        "fork",
        "a reservation that does not follow the one before it",
        "stella",
        "reserved",
        reserved(5, 15),
        json!({"prev": no_hash()}),
    );
    case(
        "head",
        "fork",
        "a vault head that is not there",
        "stella",
        "reserved",
        reserved(5, 15),
        json!({"vault_head": {"hash": no_hash(), "seq": 9}}),
    );
    case(
        "proposed-other-act",
        "void",
        "a proposal of another act",
        "stella",
        "proposed",
        json!({"act": "granted", "ends": START + DAY, "facts": null, "member": null, "pack": null, "terms": no_hash()}),
        same(),
    );
    case(
        "proposed-by-reader",
        "void",
        "a proposal by a reader",
        "rita",
        "proposed",
        json!({"act": "released", "ends": START + DAY, "facts": null, "member": null, "pack": null, "terms": no_hash()}),
        same(),
    );
    let cites = json!({"hash": no_hash(), "ledger": DATASET, "seq": 9});
    let mut released = |name: &str, expect: &'static str, what: &str, make: &dyn Fn(&mut Book, Value)| {
        all.add(&format!("released-{name}"), "5.6", expect, what, &|b| {
            let first = reserve(b, "anna", 10, 10);
            make(b, json!({"approval": null, "cites": cites, "terms": {"reserved": first["hash"]}}));
        });
    };
    released("by-reserver", "applied", "a release by the reserver", &|b, body| {
        b.tries("stella", &at, "released", body)
    });
    released("by-officer", "applied", "a release by an officer", &|b, body| b.tries("olga", &at, "released", body));
    released("by-other", "void", "a release by a member", &|b, body| b.tries("rita", &at, "released", body));
    released("again", "void", "a second release", &|b, body| {
        b.add("stella", &at, "released", body.clone());
        b.tries("stella", &at, "released", body);
    });
    released("unknown", "void", "a release of what is not reserved", &|b, body| {
        b.tries("stella", &at, "released", with(&body, json!({"terms": {"reserved": no_hash()}})))
    });
    released("then-total", "applied", "a reservation behind a release, on the lower total", &|b, body| {
        b.add("stella", &at, "released", body);
        b.tries("stella", &at, "reserved", reserved(5, 5));
    });
    released("approval-unknown", "void", "a release with approvals of a proposal that there is not", &|b, body| {
        b.tries("stella", &at, "released", with(&body, json!({"approval": {"approvals": [], "proposal": no_hash()}})));
    });
    // None is needed, and what is named is checked all the same.
    let approved = |b: &mut Book, by: &str, member: Value, body: &Value| {
        let ends = b.clock + DAY;
        let terms = terms("released", &body["terms"]);
        let proposed =
            json!({"act": "released", "ends": ends, "facts": null, "member": member, "pack": null, "terms": terms});
        b.add("stella", &exposure(), "proposed", proposed);
        let proposal = b.hashes(&exposure()).pop().unwrap();
        b.add(by, &exposure(), "approved", json!({"proposal": proposal}));
        let one = b.hashes(&exposure()).pop().unwrap();
        with(body, json!({"approval": {"approvals": [one], "proposal": proposal}}))
    };
    released("approved", "applied", "a release that an officer approved", &|b, body| {
        let body = approved(b, "olga", json!(digest(&info())), &body);
        b.tries("stella", &at, "released", body);
    });
    released("approved-no-member", "void", "a release whose proposal names no beneficiary", &|b, body| {
        let body = approved(b, "olga", Value::Null, &body);
        b.tries("stella", &at, "released", body);
    });
    released(
        "approved-by-beneficiary",
        "void",
        "a release that the member approved for whom it was reserved",
        &|b, body| {
            b.vault("olga", "role-set", role("anna", "officer"));
            let body = approved(b, "anna", json!(digest(&info())), &body);
            b.tries("stella", &at, "released", body);
        },
    );
    all.0.done()
}
