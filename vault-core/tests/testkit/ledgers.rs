//! Ledgers and their folds: the vault's. Spec pages 4, 5.1 and 5.2. A case is about one entry; what becomes of every other one,
//! and the state in the end, is in its input too.

use serde_json::{Value, json};
use vault_core::json::to_b64;
use vault_core::suite::Suite;

use super::book::*;
use super::kit::*;

/// A class of ledgers in the making.
pub(crate) struct Ledgers {
    pub(crate) all: Cases,
}

impl Ledgers {
    pub(crate) const fn new(class: &'static str) -> Self {
        Self { all: Cases::new(class) }
    }

    pub(crate) fn add(&mut self, name: &str, spec: &'static str, expect: &'static str, what: &str, book: &Book) {
        self.all.add(name, None, spec, expect, what, book.input());
    }

    /// A case in a vault of suite 1 that `make` goes on with.
    pub(crate) fn vault(&mut self, name: &str, expect: &'static str, what: &str, make: impl FnOnce(&mut Book)) {
        let mut book = Book::new(Suite::X25519);
        make(&mut book);
        self.add(name, "5.2", expect, what, &book);
    }

    fn frame(
        &mut self,
        name: &str,
        spec: &'static str,
        expect: &'static str,
        what: &str,
        make: impl FnOnce(&mut Book),
    ) {
        let mut book = Book::new(Suite::X25519);
        make(&mut book);
        self.add(name, spec, expect, what, &book);
    }

    /// A case in a vault whose genesis asks for approvals.
    fn asking(&mut self, name: &str, expect: &'static str, what: &str, make: impl FnOnce(&mut Book)) {
        let mut book = Book::with(Suite::X25519, |genesis| {
            genesis["approvals"]["recovered"] = json!(1);
            genesis["approvals"]["card_added"] = json!(2);
        });
        for name in ["sven", "anna"] {
            book.vault("olga", "role-set", role(name, "officer"));
        }
        make(&mut book);
        self.add(name, "5.1, 5.2", expect, what, &book);
    }
}

fn pack(name: &str) -> Value {
    json!({"hash": "ab".repeat(32), "name": name, "on": true})
}

pub(crate) fn vaults() -> Vec<Case> {
    let mut all = Ledgers::new("vault-ledgers");
    for suite in SUITES {
        let mut book = Book::new(suite);
        story(&mut book);
        all.all.add(
            "story",
            suite,
            "5.2",
            "applied",
            "every kind of the vault ledger, each of them applied",
            book.input(),
        );
    }
    genesis(&mut all);
    frames(&mut all);
    authors(&mut all);
    members(&mut all);
    officers(&mut all);
    formats(&mut all);
    forks(&mut all);
    approvals(&mut all);
    all.all.done()
}

fn story(b: &mut Book) {
    let enrolment = b.enrolment("stranger");
    b.vault("olga", "member-enrolled", enrolment);
    b.vault("olga", "member-amended", json!({"info": with(&info(), json!({"jurisdiction": "DE"})), "member": "rita"}));
    b.new_key("rita/2", b.suite);
    let card = b.card_b64("rita/2");
    b.vault("rita", "card-added", json!({"approval": null, "terms": {"card": card, "member": "rita"}}));
    let card = b.card("rita");
    b.vault("rita/2", "card-retired", json!({"card": card, "member": "rita", "reason": "lost"}));
    b.vault("olga", "member-retired", json!({"member": "mallory", "reason": "left"}));
    b.vault("olga", "role-set", role("sven", "steward"));
    b.vault("olga", "role-set", role("anna", "auditor"));
    b.vault("reco", "officer-recovered", json!({"member": "sven"}));
    b.vault("sven", "pack-set", pack("human"));
    b.vault(
        "olga",
        "server-set",
        json!({"log_key": to_b64(&[1; 32]), "name": "s", "on": true, "witness_keys": [to_b64(&[2; 32])]}),
    );
    b.vault("olga", "seen", json!({"list": "cd".repeat(32)}));
    b.vault("stella", "subject-key-set", json!({"generation": 1, "seals": []}));
    let settled = json!({"action": "cut", "hash": "ef".repeat(32), "ledger": DATASET, "seq": 3});
    b.vault("olga", "proposed", json!({"act": "recovered", "ends": b.clock + DAY, "facts": null, "member": null, "pack": digest(&json!({"act": "pack-set", "terms": [["human", "ab".repeat(32)]]})), "terms": terms("recovered", &settled)}));
    let proposal = b.hashes(VAULT).pop().unwrap();
    b.vault("sven", "approved", json!({"proposal": proposal}));
    b.vault("olga", "recovered", json!({"approval": null, "terms": settled}));
    b.vault("olga", "format-raised", json!({"format": 2}));
    b.mark(VAULT);
}

fn genesis(all: &mut Ledgers) {
    let mut case = |name: &str, what: &str, change: &dyn Fn(&Book, &mut Value), frame: Value| {
        let mut book = Book::empty(Suite::X25519);
        let mut genesis = book.genesis();
        change(&book, &mut genesis);
        book.begin(genesis, frame);
        book.mark(VAULT);
        all.add(&format!("genesis-{name}"), "5.2", "no vault", what, &book);
    };
    let body = |change: fn(&Book, &mut Value)| change;
    for (name, what, change) in [
        ("head-age", "a head age below an hour", body(|_, g| g["head_age"] = json!(3599))),
        ("approvals-nine", "nine approvals for one act", body(|_, g| g["approvals"]["recovered"] = json!(9))),
        (
            "approvals-four-levels",
            "approvals for four levels",
            body(|_, g| g["approvals"]["granted"] = json!([0, 0, 0, 0])),
        ),
        (
            "algorithms",
            "the KEM's name is that of the other suite",
            body(|_, g| g["algorithms"]["kem"] = json!("X-Wing")),
        ),
        ("algorithms-aead", "another AEAD's name", body(|_, g| g["algorithms"]["aead"] = json!("AES-128-GCM"))),
        ("suite-3", "suite 3", body(|_, g| g["suite"] = json!(3))),
        (
            "suite-other",
            "suite 2, names and all, with cards of suite 1",
            body(|_, g| {
                g["suite"] = json!(2);
                g["algorithms"]["kem"] = json!("X-Wing");
            }),
        ),
        ("members-none", "no member", body(|_, g| g["members"] = json!([]))),
        (
            "member-twice",
            "a member id twice, with different cards",
            body(|b, g| {
                let extra = with(&b.enrolment("stranger"), json!({"member": "rita"}));
                g["members"].as_array_mut().unwrap().push(extra);
            }),
        ),
        (
            "card-twice",
            "one card of two members",
            body(|b, g| {
                let extra = json!({"cards": [b.card_b64("rita")], "info": info(), "member": "stranger"});
                g["members"].as_array_mut().unwrap().push(extra);
            }),
        ),
        ("cards-none", "a member without a card", body(|_, g| g["members"][1]["cards"] = json!([]))),
        (
            "recovery-unknown",
            "a recovery card that is nobody's",
            body(|b, g| g["recovery"] = json!([b.card("stranger")])),
        ),
        (
            "author-second",
            "the author is the second of the members",
            body(|_, g| g["members"].as_array_mut().unwrap().swap(0, 1)),
        ),
        ("nonce-short", "a nonce of 15 bytes", body(|_, g| g["nonce"] = json!("00".repeat(15)))),
    ] {
        case(name, what, &change, json!({}));
    }
    let none = |_: &Book, _: &mut Value| {};
    case("prev", "a `prev` before which nothing is", &none, json!({"prev": "00".repeat(32)}));
    case("vault", "a vault id, which it can't know", &none, json!({"vault": "00".repeat(32)}));
    case("seq", "number 1", &none, json!({"seq": 1}));
    case(
        "ledger",
        "the ledger of a dataset",
        &none,
        json!({"ledger": DATASET, "vault_head": {"hash": "00".repeat(32), "seq": 0}}),
    );
    case("head", "a vault head", &none, json!({"vault_head": {"hash": "00".repeat(32), "seq": 0}}));
    case("not-critical", "not critical", &none, json!({"critical": false}));
    case("format", "format 2", &none, json!({"format": 2}));
    case("kind", "another kind in its place", &none, json!({"body": {}, "kind": "anchored"}));

    let mut book = Book::empty(Suite::X25519);
    let genesis = book.genesis();
    book.begin(genesis, json!({}));
    book.mark(VAULT);
    all.add("genesis-valid", "5.2", "applied", "a genesis alone", &book);
    book.vault_id = "00".repeat(32);
    all.add(
        "genesis-other-vault",
        "4.4",
        "no vault",
        "a valid genesis of another vault than the one that was pinned",
        &book,
    );

    for (name, what, signer) in [
        ("genesis-signed-by-other", "signed by the card of another member, under the author's name", "rita"),
        ("genesis-signed-by-stranger", "signed by a card that is nobody's", "stranger"),
    ] {
        let mut book = Book::empty(Suite::X25519);
        let genesis = book.genesis();
        let stored = book.sign(signer, VAULT, "genesis", genesis, json!({"author": "olga", "prev": "", "vault": ""}));
        resealed(&mut book, stored);
        all.add(name, "5.2", "no vault", what, &book);
    }
    let mut book = Book::empty(Suite::X25519);
    let genesis = book.genesis();
    let stored = book.sign("olga", VAULT, "genesis", genesis, json!({"prev": "", "vault": ""}));
    resealed(&mut book, flipped(&stored));
    all.add(
        "genesis-signature",
        "5.2",
        "no vault",
        "one bit of the signature changed; the vault id is that of these bytes",
        &book,
    );
}

fn resealed(book: &mut Book, stored: Vec<u8>) {
    book.vault_id = vault_core::ids::to_hex(&vault_core::hazmat::kdf::sha256(&stored));
    book.put(VAULT, stored);
    book.mark(VAULT);
}

/// The entry with one bit of its signature changed.
pub(crate) fn flipped(stored: &[u8]) -> Vec<u8> {
    let mut envelope = vault_core::envelope::Envelope::parse(stored).unwrap();
    envelope.signature[0] ^= 1;
    envelope.emit()
}

fn frames(all: &mut Ledgers) {
    for (name, what, changes) in [
        ("frame-other-vault", "the id of another vault", json!({"vault": "00".repeat(32)})),
        ("frame-no-vault", "no vault id, as only a genesis has none", json!({"vault": ""})),
        ("frame-no-prev", "no entry before it, as only a genesis has none", json!({"prev": ""})),
        (
            "frame-other-ledger",
            "the ledger of a dataset, with a vault head as there",
            json!({"ledger": DATASET, "vault_head": {"hash": "00".repeat(32), "seq": 0}}),
        ),
        ("frame-seq-low", "the number of the entry before", json!({"seq": 1})),
        ("frame-seq-high", "the number of the entry after", json!({"seq": 3})),
        (
            "frame-head",
            "a vault head, which entries of the vault ledger have none of",
            json!({"vault_head": {"hash": "00".repeat(32), "seq": 1}}),
        ),
        ("frame-not-critical", "a kind of this format that says that it may be skipped", json!({"critical": false})),
        ("frame-extra", "a member more", json!({"x": null})),
    ] {
        all.frame(name, "4.2, 4.4", "void", what, |b| b.tries_with("olga", VAULT, "pack-set", pack("p"), changes));
    }
    all.frame("frame-replayed", "4.4", "void", "an applied entry once more, at a later number", |b| {
        b.vault("olga", "pack-set", pack("p"));
        let stored = b.entries(VAULT)[2].clone();
        b.test(VAULT, stored);
    });
    all.frame("frame-of-other-vault", "4.4", "void", "an entry of another vault with the same people", |b| {
        let mut other = Book::with(Suite::X25519, |genesis| genesis["head_age"] = json!(7200));
        let stored = other.sign("olga", VAULT, "pack-set", pack("p"), json!({}));
        b.test(VAULT, stored);
    });
    for (name, what, bytes) in [
        ("frame-no-bytes", "an entry of no bytes", &b""[..]),
        ("frame-not-json", "bytes that are no JSON", b"\xff\xfe{}"),
        ("frame-no-envelope", "an empty object", b"{}"),
    ] {
        all.frame(name, "4.4", "void", what, |b| b.test(VAULT, bytes.to_vec()));
    }
    all.frame("frame-card", "4.4", "void", "a card where an entry must be", |b| {
        let stored = b.keys["olga"].card.stored().to_vec();
        b.test(VAULT, stored);
    });
    all.frame("frame-space", "4.4", "void", "a space in the payload, which is rightly signed", |b| {
        let payload = canonical(&b.frame("olga", VAULT, "pack-set", pack("p")));
        let stored = b.keys["olga"].statement_of(edit(&payload, ",\"body\"", ", \"body\""));
        b.test(VAULT, stored);
    });
    all.frame("chain-after-void", "1.2, 4.4", "applied", "an entry behind a void one, whose hash it builds on", |b| {
        b.put(VAULT, b"rubbish".to_vec());
        b.tries("olga", VAULT, "pack-set", pack("p"));
    });
    all.frame(
        "chain-over-void",
        "1.2, 4.4",
        "fork",
        "an entry behind a void one, which names the entry before that",
        |b| {
            let prev = b.hashes(VAULT).pop().unwrap();
            b.put(VAULT, b"rubbish".to_vec());
            b.tries_with("olga", VAULT, "pack-set", pack("p"), json!({"prev": prev}));
        },
    );
}

fn authors(all: &mut Ledgers) {
    let mut case = |name: &str, what: &str, make: &dyn Fn(&mut Book)| {
        all.frame(&format!("author-{name}"), "4.4", "void", what, make)
    };
    case("stranger", "an author who is no member", &|b| b.tries("stranger", VAULT, "pack-set", pack("p")));
    case("card-unknown", "an officer's name over a card that is nobody's", &|b| {
        b.tries_with("stranger", VAULT, "pack-set", pack("p"), json!({"author": "olga"}));
    });
    case("card-of-other", "an officer's name over another member's card", &|b| {
        b.tries_with("mallory", VAULT, "pack-set", pack("p"), json!({"author": "olga"}));
    });
    case("signed-by-other", "an officer's name and card, signed by another key", &|b| {
        let payload = canonical(&b.frame("olga", VAULT, "pack-set", pack("p")));
        let id = b.keys["olga"].id();
        let kind = vault_core::envelope::PayloadType::Statement;
        let stored = b.keys["mallory"].envelope(kind, payload, id).emit();
        b.test(VAULT, stored);
    });
    case("signature", "one bit of the signature changed", &|b| {
        let stored = b.sign("olga", VAULT, "pack-set", pack("p"), json!({}));
        b.test(VAULT, flipped(&stored));
    });
    case("payload", "another payload under the signature", &|b| {
        let stored = b.sign("olga", VAULT, "pack-set", pack("p"), json!({}));
        let mut envelope = vault_core::envelope::Envelope::parse(&stored).unwrap();
        envelope.payload = canonical(&b.frame("olga", VAULT, "pack-set", pack("q")));
        b.test(VAULT, envelope.emit());
    });
    case("keyid", "an envelope that names another card than the payload", &|b| {
        let payload = canonical(&b.frame("olga", VAULT, "pack-set", pack("p")));
        let kind = vault_core::envelope::PayloadType::Statement;
        let stored = b.keys["olga"].envelope(kind, payload, b.keys["rita"].id()).emit();
        b.test(VAULT, stored);
    });
    case("card-retired", "an officer's retired card", &|b| {
        b.new_key("olga/2", b.suite);
        let (card, old) = (b.card_b64("olga/2"), b.card("olga"));
        b.vault("olga", "card-added", json!({"approval": null, "terms": {"card": card, "member": "olga"}}));
        b.vault("olga/2", "card-retired", json!({"card": old, "member": "olga", "reason": ""}));
        b.tries("olga", VAULT, "pack-set", pack("p"));
    });
    case("member-retired", "an officer who was retired", &|b| {
        b.vault("olga", "role-set", role("sven", "officer"));
        b.vault("sven", "member-retired", json!({"member": "olga", "reason": ""}));
        b.tries("olga", VAULT, "pack-set", pack("p"));
    });
}

fn members(all: &mut Ledgers) {
    let added = |b: &Book, card: &str, member: &str| json!({"approval": null, "terms": {"card": b.card_b64(card), "member": member}});
    let mut case = |name: &str, what: &str, make: &dyn Fn(&mut Book)| all.vault(name, "void", what, make);
    case("enrolled-by-member", "an enrolment by a member who is no officer", &|b| {
        let body = b.enrolment("stranger");
        b.tries("mallory", VAULT, "member-enrolled", body);
    });
    case("enrolled-twice", "a member id that is taken", &|b| {
        let body = with(&b.enrolment("stranger"), json!({"member": "rita"}));
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("enrolled-after-retired", "the id of a member who was retired", &|b| {
        b.vault("olga", "member-retired", json!({"member": "rita", "reason": ""}));
        let body = with(&b.enrolment("stranger"), json!({"member": "rita"}));
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("enrolled-with-known-card", "another member's card", &|b| {
        let body = json!({"cards": [b.card_b64("rita")], "info": info(), "member": "new"});
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("enrolled-with-card-twice", "a card twice", &|b| {
        let body = json!({"cards": [b.card_b64("stranger"), b.card_b64("stranger")], "info": info(), "member": "new"});
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("enrolled-without-card", "no card", &|b| {
        b.tries("olga", VAULT, "member-enrolled", json!({"cards": [], "info": info(), "member": "new"}))
    });
    case("enrolled-with-65-cards", "65 cards", &|b| {
        let cards: Vec<String> = (0..65)
            .map(|i| {
                b.new_key(&format!("new/{i}"), b.suite);
                b.card_b64(&format!("new/{i}"))
            })
            .collect();
        b.tries("olga", VAULT, "member-enrolled", json!({"cards": cards, "info": info(), "member": "new"}));
    });
    case("enrolled-with-other-suite", "a card of suite 2", &|b| {
        b.new_key("new", Suite::XWing);
        let body = b.enrolment("new");
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("enrolled-with-bad-card", "a card whose signature does not verify", &|b| {
        let card = to_b64(&flipped(b.keys["stranger"].card.stored()));
        b.tries("olga", VAULT, "member-enrolled", json!({"cards": [card], "info": info(), "member": "new"}));
    });
    case("enrolled-jurisdiction", "a jurisdiction in small letters", &|b| {
        let body = with(&b.enrolment("stranger"), json!({"info": with(&info(), json!({"jurisdiction": "cn"}))}));
        b.tries("olga", VAULT, "member-enrolled", body);
    });
    case("amended-unknown", "an amendment of nobody", &|b| {
        b.tries("olga", VAULT, "member-amended", json!({"info": info(), "member": "stranger"}))
    });
    case("amended-by-itself", "a member who amends itself", &|b| {
        b.tries("rita", VAULT, "member-amended", json!({"info": info(), "member": "rita"}))
    });
    case("card-added-by-other", "a card in another member's name, by a member who is no officer", &|b| {
        let body = added(b, "stranger", "rita");
        b.tries("mallory", VAULT, "card-added", body);
    });
    case("card-added-again", "a card that was retired", &|b| {
        b.new_key("rita/2", b.suite);
        let (body, card) = (added(b, "rita/2", "rita"), b.card("rita/2"));
        b.vault("rita", "card-added", body.clone());
        b.vault("rita", "card-retired", json!({"card": card, "member": "rita", "reason": ""}));
        b.tries("rita", VAULT, "card-added", body);
    });
    case("card-added-to-retired", "a card of a member who was retired", &|b| {
        b.vault("olga", "member-retired", json!({"member": "rita", "reason": ""}));
        let body = added(b, "stranger", "rita");
        b.tries("olga", VAULT, "card-added", body);
    });
    case("card-retired-of-other", "a card retired under another member's name", &|b| {
        let card = b.card("rita");
        b.tries("mallory", VAULT, "card-retired", json!({"card": card, "member": "mallory", "reason": ""}));
    });
    case("card-retired-by-other", "a card retired by a member whose it is not", &|b| {
        let card = b.card("rita");
        b.tries("mallory", VAULT, "card-retired", json!({"card": card, "member": "rita", "reason": ""}));
    });
    case("member-retired-by-other", "a member retired by one who is no officer", &|b| {
        b.tries("mallory", VAULT, "member-retired", json!({"member": "rita", "reason": ""}));
    });
    case("member-retired-last-officer", "the last officer retires itself", &|b| {
        b.tries("olga", VAULT, "member-retired", json!({"member": "olga", "reason": ""}));
    });
}

fn officers(all: &mut Ledgers) {
    let mut case = |name: &str, what: &str, who: &str, kind: &str, body: Value| {
        all.vault(name, "void", what, |b| b.tries(who, VAULT, kind, body));
    };
    case("role-by-member", "a role by a member who is no officer", "mallory", "role-set", role("mallory", "officer"));
    case(
        "role-last-officer",
        "the last officer's role taken",
        "olga",
        "role-set",
        with(&role("olga", "officer"), json!({"on": false})),
    );
    case(
        "role-officer-of-dataset",
        "an officer of a dataset",
        "olga",
        "role-set",
        with(&role("rita", "officer"), json!({"dataset": "d1"})),
    );
    case(
        "role-steward-of-none",
        "a steward of no dataset",
        "olga",
        "role-set",
        with(&role("rita", "steward"), json!({"dataset": null})),
    );
    case("role-of-nobody", "a role of somebody who is no member", "olga", "role-set", role("stranger", "auditor"));
    case(
        "role-unknown",
        "a role that there is not",
        "olga",
        "role-set",
        with(&role("rita", "creator"), json!({"role": "owner"})),
    );
    case(
        "recovered-without-card",
        "an officer made by a card that is no recovery card",
        "mallory",
        "officer-recovered",
        json!({"member": "mallory"}),
    );
    case("pack-by-member", "a rule pack by a member who is no officer", "rita", "pack-set", pack("p"));
    case("pack-name-control", "a control character in a rule pack's name", "olga", "pack-set", pack("p\u{7}"));
    case("format-not-above", "a format that is the present one", "olga", "format-raised", json!({"format": 1}));
    case(
        "server-key-short",
        "a witness' key of 31 bytes",
        "olga",
        "server-set",
        json!({"log_key": null, "name": "s", "on": true, "witness_keys": [to_b64(&[2; 31])]}),
    );
    case(
        "seen-by-member",
        "a list of ledgers by a member who is no officer",
        "stella",
        "seen",
        json!({"list": "cd".repeat(32)}),
    );
    case(
        "subject-key-skips",
        "the second generation of a subject key before the first",
        "stella",
        "subject-key-set",
        json!({"generation": 2, "seals": []}),
    );
    case(
        "subject-key-by-officer",
        "a subject key by one who is neither steward nor creator",
        "olga",
        "subject-key-set",
        json!({"generation": 1, "seals": []}),
    );
    case("second-genesis", "a second genesis", "olga", "genesis", Book::new(Suite::X25519).genesis());
    case("kind-of-dataset", "a kind of a dataset's ledger", "olga", "anchored", json!({}));
    let cut =
        json!({"approval": null, "terms": {"action": "void", "hash": "00".repeat(32), "ledger": VAULT, "seq": 1}});
    case("settled-by-member", "a recovery by a member who is no officer", "mallory", "recovered", cut.clone());
    case(
        "action-unknown",
        "a recovery that does what there is not",
        "olga",
        "recovered",
        json!({"approval": null, "terms": with(&cut["terms"], json!({"action": "undo"}))}),
    );
    let approval = json!({"approvals": [], "proposal": "00".repeat(32)});
    case(
        "approval-not-needed",
        "an approval of a proposal that there is not, where none is needed",
        "olga",
        "recovered",
        with(&cut, json!({"approval": approval})),
    );
    all.vault("role-of-creator-is-not-officer", "void", "an enrolment by a creator", |b| {
        let body = b.enrolment("stranger");
        b.tries("stella", VAULT, "member-enrolled", body);
    });
    all.vault("recovery-card", "applied", "an officer made by the recovery card, while there is another", |b| {
        b.tries("reco", VAULT, "officer-recovered", json!({"member": "rita"}));
    });
}

fn formats(all: &mut Ledgers) {
    let new = json!({"x": 1});
    let raised = |b: &mut Book| b.vault("olga", "format-raised", json!({"format": 2}));
    all.frame("kind-unknown", "4.4", "void", "an unknown kind of format 1", |b| {
        b.tries("olga", VAULT, "pack-moved", new.clone())
    });
    all.frame("format-2-too-early", "4.4", "void", "format 2 in a vault that no officer raised to it", |b| {
        b.tries_with("olga", VAULT, "pack-moved", new.clone(), json!({"format": 2}));
    });
    all.frame("format-2", "4.4", "newer", "a critical statement of format 2 in a vault that was raised to it", |b| {
        raised(b);
        b.tries_with("olga", VAULT, "pack-moved", new.clone(), json!({"format": 2}));
    });
    all.frame(
        "format-2-known-kind",
        "4.4",
        "newer",
        "a kind of format 1 with another body, as format 2 may have it",
        |b| {
            raised(b);
            b.tries_with("olga", VAULT, "pack-set", new.clone(), json!({"format": 2}));
        },
    );
    all.frame(
        "format-2-skipped",
        "4.4",
        "skipped",
        "a statement of format 2 that may be skipped, and an entry behind it",
        |b| {
            raised(b);
            b.tries_with("olga", VAULT, "pack-moved", new.clone(), json!({"critical": false, "format": 2}));
            b.vault("olga", "pack-set", pack("p"));
        },
    );
    all.frame("format-3", "4.4", "void", "format 3 in a vault that was raised to 2", |b| {
        raised(b);
        b.tries_with("olga", VAULT, "pack-moved", new.clone(), json!({"format": 3}));
    });
    all.frame("format-0", "4.4", "void", "format 0", |b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), json!({"format": 0}));
    });
    all.frame(
        "format-2-by-stranger",
        "4.4",
        "void",
        "a critical statement of format 2 by somebody who is no member: it stops nobody",
        |b| {
            raised(b);
            b.tries_with("stranger", VAULT, "pack-moved", new.clone(), json!({"format": 2}));
        },
    );
}

/// The recovery that settles entry `seq` of a ledger.
pub(crate) fn settles(b: &Book, ledger: &str, seq: usize) -> Value {
    json!({"approval": null, "terms": {"action": "void", "hash": b.hashes(ledger)[seq], "ledger": ledger, "seq": seq}})
}

fn forks(all: &mut Ledgers) {
    let wrong = || json!({"prev": no_hash()});
    let mut case = |name: &str, expect, what: &str, make: &dyn Fn(&mut Book)| {
        all.frame(&format!("fork-{name}"), "4.4, 4.5", expect, what, make)
    };
    case("prev", "fork", "an entry that does not follow the one before it, by a member with the right to it", &|b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
    });
    case("by-nobody", "void", "the same by a member without the right to it: it forks nothing", &|b| {
        b.tries_with("mallory", VAULT, "pack-set", pack("p"), wrong());
    });
    case("behind", "unread", "an entry behind a fork", &|b| {
        b.add("olga", VAULT, "seen", json!({"list": "cd".repeat(32)}));
        let stored = b.sign("olga", VAULT, "pack-set", pack("p"), wrong());
        b.put(VAULT, stored);
        b.tries("olga", VAULT, "pack-set", pack("q"));
    });
    case("settled", "void", "a fork that a later entry of an officer settles", &|b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
        let body = settles(b, VAULT, 2);
        b.vault("olga", "recovered", body);
        b.vault("olga", "pack-set", pack("q"));
    });
    case("settled-by-member", "fork", "a fork that a member settles who is no officer", &|b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
        let body = settles(b, VAULT, 2);
        b.vault("mallory", "recovered", body);
    });
    case("settled-otherwise", "fork", "a fork, and a recovery that names another hash", &|b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
        let body = json!({"approval": null, "terms": {"action": "void", "hash": no_hash(), "ledger": VAULT, "seq": 2}});
        b.vault("olga", "recovered", body);
    });
    case("settled-by-cut", "fork", "a fork, and a recovery that cuts", &|b| {
        b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
        let mut body = settles(b, VAULT, 2);
        body["terms"]["action"] = json!("cut");
        b.vault("olga", "recovered", body);
    });
    case(
        "settled-by-its-officer",
        "fork",
        "a fork settled by somebody whom only an entry behind the fork makes an officer",
        &|b| {
            b.tries_with("olga", VAULT, "pack-set", pack("p"), wrong());
            b.vault("olga", "role-set", role("mallory", "officer"));
            let body = settles(b, VAULT, 2);
            b.vault("mallory", "recovered", body);
        },
    );
    case("none-settled", "applied", "a recovery that names an applied entry: it takes nothing back", &|b| {
        b.vault("olga", "pack-set", pack("p"));
        let body = settles(b, VAULT, 1);
        b.tries("olga", VAULT, "recovered", body);
    });
}

fn proposal(b: &Book, act: &str, of: &Value, member: Option<&Value>) -> Value {
    json!({
        "act": act, "ends": b.clock + DAY, "facts": null, "member": member.map(digest), "pack": null, "terms": terms(act, of),
    })
}

// A card in rita's name needs two officers besides olga.
fn approvals(all: &mut Ledgers) {
    let card = |b: &Book| json!({"card": b.card_b64("stranger"), "member": "rita"});
    let proposes = |b: &mut Book| {
        let body = proposal(b, "card-added", &card(b), Some(&info()));
        b.vault("olga", "proposed", body);
        b.hashes(VAULT).pop().unwrap()
    };
    let approves = |b: &mut Book, who: &str, proposal: &str| {
        b.vault(who, "approved", json!({"proposal": proposal}));
        b.hashes(VAULT).pop().unwrap()
    };
    let added = |b: &Book, proposal: &str, mut approvals: Vec<String>| {
        approvals.sort();
        json!({"approval": {"approvals": approvals, "proposal": proposal}, "terms": card(b)})
    };
    let ready = |b: &mut Book| {
        b.vault("olga", "role-set", role("stella", "officer"));
        let proposal = proposes(b);
        let approvals = vec![approves(b, "sven", &proposal), approves(b, "anna", &proposal)];
        let body = added(b, &proposal, approvals);
        (proposal, body)
    };
    let mut case = |name: &str, expect, what: &str, make: &dyn Fn(&mut Book)| {
        all.asking(&format!("approval-{name}"), expect, what, make)
    };
    case("two", "applied", "a card in another's name, with two approvals", &|b| {
        let (_, body) = ready(b);
        b.tries("olga", VAULT, "card-added", body);
    });
    case("own-card", "applied", "a card in one's own name, which needs none", &|b| {
        let body = json!({"approval": null, "terms": card(b)});
        b.tries("rita", VAULT, "card-added", body);
    });
    case("none", "void", "no approval where two are needed", &|b| {
        let body = json!({"approval": null, "terms": card(b)});
        b.tries("olga", VAULT, "card-added", body);
    });
    case("one", "void", "one approval where two are needed", &|b| {
        let proposal = proposes(b);
        let one = approves(b, "sven", &proposal);
        let body = added(b, &proposal, vec![one]);
        b.tries("olga", VAULT, "card-added", body);
    });
    case("by-author", "void", "an approval by the act's author, who did not propose it", &|b| {
        let (_, body) = ready(b);
        b.tries("sven", VAULT, "card-added", body);
    });
    case("by-proposer", "void", "an approval by the proposal's author", &|b| {
        let proposal = proposes(b);
        b.tries("olga", VAULT, "approved", json!({"proposal": proposal}));
    });
    case("by-member", "void", "an approval by a member who is no officer", &|b| {
        let proposal = proposes(b);
        b.tries("mallory", VAULT, "approved", json!({"proposal": proposal}));
    });
    case("twice", "void", "a second approval by the same officer", &|b| {
        let proposal = proposes(b);
        approves(b, "sven", &proposal);
        b.tries("sven", VAULT, "approved", json!({"proposal": proposal}));
    });
    case("of-nothing", "void", "an approval of a proposal that there is not", &|b| {
        b.tries("sven", VAULT, "approved", json!({"proposal": no_hash()}))
    });
    case("by-beneficiary", "void", "an approval by the member whose card it is", &|b| {
        b.vault("olga", "role-set", role("rita", "officer"));
        let proposal = proposes(b);
        let approvals = vec![approves(b, "sven", &proposal), approves(b, "rita", &proposal)];
        let body = added(b, &proposal, approvals);
        b.tries("olga", VAULT, "card-added", body);
    });
    case("lost-role", "void", "an approval by an officer who is none any more", &|b| {
        let (_, body) = ready(b);
        b.vault("olga", "role-set", with(&role("anna", "officer"), json!({"on": false})));
        b.tries("olga", VAULT, "card-added", body);
    });
    case("other-terms", "void", "another card than was proposed", &|b| {
        let (_, body) = ready(b);
        b.new_key("rita/2", b.suite);
        let other = json!({"card": b.card_b64("rita/2"), "member": "rita"});
        b.tries("olga", VAULT, "card-added", with(&body, json!({"terms": other})));
    });
    case("ended", "void", "a proposal that has ended", &|b| {
        let (_, body) = ready(b);
        b.clock += DAY;
        b.tries("olga", VAULT, "card-added", body);
    });
    case("in-time", "applied", "an act in the last second before its proposal ends", &|b| {
        let (_, body) = ready(b);
        b.clock = b.clock - 5 + DAY;
        b.tries("olga", VAULT, "card-added", body);
    });
    case("ended-at", "void", "an act in the second in which its proposal ends", &|b| {
        let (_, body) = ready(b);
        // The proposal's end was told before its own entry and two approvals moved the clock; this entry moves it, too.
        b.clock = b.clock - 4 + DAY;
        b.tries("olga", VAULT, "card-added", body);
    });
    case("member-changed", "void", "the member was amended since the proposal", &|b| {
        let (_, body) = ready(b);
        b.vault(
            "olga",
            "member-amended",
            json!({"info": with(&info(), json!({"jurisdiction": "DE"})), "member": "rita"}),
        );
        b.tries("olga", VAULT, "card-added", body);
    });
    case("pack-changed", "void", "a rule pack was set since the proposal", &|b| {
        let (_, body) = ready(b);
        b.vault("olga", "pack-set", pack("p"));
        b.tries("olga", VAULT, "card-added", body);
    });
    case("other-act", "void", "a proposal of another act with these terms", &|b| {
        let body = with(&proposal(b, "card-added", &card(b), Some(&info())), json!({"act": "recovered"}));
        b.vault("olga", "proposed", body);
        let proposal = b.hashes(VAULT).pop().unwrap();
        let approvals = vec![approves(b, "sven", &proposal), approves(b, "anna", &proposal)];
        let body = added(b, &proposal, approvals);
        b.tries("olga", VAULT, "card-added", body);
    });
    case("not-an-act", "void", "a proposal of what needs no approval", &|b| {
        let body = with(&proposal(b, "card-added", &card(b), Some(&info())), json!({"act": "member-retired"}));
        b.tries("olga", VAULT, "proposed", body);
    });
    case("used", "void", "a recovery with a proposal that was used", &|b| {
        let settled = json!({"action": "cut", "hash": no_hash(), "ledger": DATASET, "seq": 1});
        let body = proposal(b, "recovered", &settled, None);
        b.vault("olga", "proposed", body);
        let proposal = b.hashes(VAULT).pop().unwrap();
        let one = approves(b, "sven", &proposal);
        let body = json!({"approval": {"approvals": [one], "proposal": proposal}, "terms": settled});
        b.vault("olga", "recovered", body.clone());
        b.tries("olga", VAULT, "recovered", body);
    });
    case("own-card-approved", "applied", "a card in one's own name, which names an approval and needs none", &|b| {
        let proposal = proposes(b);
        let one = approves(b, "sven", &proposal);
        let body = added(b, &proposal, vec![one]);
        b.tries("rita", VAULT, "card-added", body);
    });
    case("own-card-by-itself", "void", "a card in one's own name, which names an approval of one's own", &|b| {
        b.vault("olga", "role-set", role("rita", "officer"));
        let proposal = proposes(b);
        let one = approves(b, "rita", &proposal);
        let body = added(b, &proposal, vec![one]);
        b.tries("rita", VAULT, "card-added", body);
    });
    case(
        "behind-fork",
        "void",
        "a fork settled by a recovery with its proposal and approval, all behind the fork",
        &|b| {
            b.tries_with("olga", VAULT, "pack-set", pack("p"), json!({"prev": no_hash()}));
            let settled = settles(b, VAULT, b.entries(VAULT).len() - 1)["terms"].clone();
            let body = proposal(b, "recovered", &settled, None);
            b.vault("olga", "proposed", body);
            let proposal = b.hashes(VAULT).pop().unwrap();
            let one = approves(b, "sven", &proposal);
            b.vault(
                "olga",
                "recovered",
                json!({"approval": {"approvals": [one], "proposal": proposal}, "terms": settled}),
            );
        },
    );
}
