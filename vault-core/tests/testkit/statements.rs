//! Statements as bytes: canonical JSON, the frame, and every kind's body. Spec sections 1.1, 1.2, 4.2, 5. Who may say it, and when, is for
//! the ledgers' cases.

use serde_json::{Value, json};
use vault_core::json::to_b64;
use vault_core::ledger::statement::{Entry, Said};
use vault_core::suite::Suite;

use super::book::info;
use super::kit::*;

pub(crate) fn run(input: &Value) -> Outcome {
    match Entry::parse(&bytes(&input["stored"])) {
        Ok(Entry { said: Said::Known(_), envelope }) => Outcome::success(envelope.payload),
        Ok(_) => Outcome::failure("unknown", "a kind or format that this reader does not know"),
        Err(why) => Outcome::failure("malformed", why),
    }
}

/// A body of every kind, with a member that is easily put wrong.
fn bodies(key: &Key) -> Vec<(&'static str, Value)> {
    let (h, i, card) = ("ab".repeat(32), "cd".repeat(16), to_b64(key.card.stored()));
    let public = to_b64(key.card.kem().as_bytes());
    let seal = json!({"card": h, "member": "anna", "sha256": h});
    let epoch_seal = with(&seal, json!({"epoch": 1}));
    let reservation = json!({"hash": h, "ledger": format!("exposure/{h}"), "seq": 3});
    let approval = json!({"approvals": [h], "proposal": h});
    let proposed = json!({"act": "granted", "ends": START, "facts": h, "member": null, "pack": h, "terms": h});
    let manifest = json!({
        "blake3": h, "files": 1, "header": h, "length": 400, "manifest": i, "packs": {"bytes": 106, "count": 1, "list": h}, "root": h,
        "supersedes": null,
    });
    let algorithms = json!({
        "aead": "AES-256-GCM", "body": "FLOE-65568", "hash": "SHA-256", "kdf": "HKDF-SHA256", "kem": "DHKEM-X25519", "signature": "Ed25519",
        "tree_hash": "BLAKE3",
    });
    let counts =
        json!({"card_added": 0, "dataset_deleted": 1, "granted": [0, 0, 0, 1, 2], "recovered": 0, "released": 8});
    vec![
        (
            "genesis",
            json!({
                "algorithms": algorithms, "approvals": counts, "head_age": 3600, "members": [{"cards": [card], "info": info(), "member": "olga"}],
                "nonce": i, "recovery": [h], "suite": 1,
            }),
        ),
        ("member-enrolled", json!({"cards": [card], "info": info(), "member": "anna"})),
        ("member-amended", json!({"info": info(), "member": "anna"})),
        ("card-added", json!({"approval": approval, "terms": {"card": card, "member": "anna"}})),
        ("card-retired", json!({"card": h, "member": "anna", "reason": "lost"})),
        ("member-retired", json!({"member": "anna", "reason": "left"})),
        ("role-set", json!({"dataset": "d1", "member": "anna", "on": true, "role": "steward"})),
        ("officer-recovered", json!({"member": "anna"})),
        ("pack-set", json!({"hash": h, "name": "human", "on": false})),
        ("format-raised", json!({"format": 2})),
        ("server-set", json!({"log_key": null, "name": "s", "on": true, "witness_keys": [public]})),
        ("seen", json!({"list": h})),
        (
            "recovered",
            json!({"approval": null, "terms": {"action": "cut", "hash": h, "ledger": "dataset/d1", "seq": 7}}),
        ),
        ("subject-key-set", json!({"generation": 1, "seals": [seal]})),
        ("proposed", proposed),
        ("approved", json!({"proposal": h})),
        (
            "dataset-created",
            json!({"epoch": {"public": public, "seals": [seal]}, "facts": {}, "level": 5, "recovery": [], "title": "t"}),
        ),
        (
            "facts-amended",
            json!({"facts": {"a": [1, null]}, "level": 1, "reservations": [{"member": "anna", "reservation": reservation}], "suspends": ["anna"], "why": ""}),
        ),
        ("grade-confirmed", json!({"facts": h, "level": 3})),
        ("uploader-set", json!({"member": "anna", "on": true})),
        ("recovery-set", json!({"cards": [h], "seals": [epoch_seal]})),
        (
            "granted",
            json!({"approval": null, "reservation": reservation, "seals": [epoch_seal], "terms": {"ends": START, "facts": {}, "member": "anna"}, "trace": {"x": 1}}),
        ),
        ("card-sealed", json!({"member": "anna", "seals": [epoch_seal]})),
        ("agreement-accepted", json!({"agreement": h, "grant": h})),
        ("suspended", json!({"members": ["anna", "bob"], "reason": ""})),
        ("consent-withdrawn", json!({"members": [], "reason": "", "subjects": h})),
        ("revoked", json!({"member": "anna", "reason": ""})),
        ("destruction-attested", json!({"document": h, "member": "anna", "scope": "all"})),
        ("reservation-cancelled", json!({"reservation": reservation})),
        ("anchored", json!({})),
        ("dataset-deleted", json!({"approval": null, "terms": {"reason": ""}})),
        (
            "epoch-opened",
            json!({"epoch": 2, "public": public, "reason": "", "revokes": ["anna"], "seals": [seal], "unsealed": []}),
        ),
        ("epoch-closed", json!({"count": 1, "epoch": 2, "table": h, "void": [i]})),
        ("epoch-reset", json!({"epoch": 2, "public": public, "reason": "", "seals": [], "unreadable": [i]})),
        ("upload-opened", json!({"ends": START, "upload": i})),
        ("upload-extended", json!({"ends": START, "upload": i})),
        ("upload-committed", json!({"epoch": 1, "manifests": [manifest], "upload": i})),
        ("upload-closed", json!({"reason": "", "upload": i})),
        ("manifest-removed", json!({"manifest": i, "reason": ""})),
        ("path-removed", json!({"files": [0, 4_294_967_295u32], "manifest": i, "reason": ""})),
        ("reserved", json!({"added": 1, "dataset": "d1", "member": "anna", "subjects": null, "total": 1})),
        ("released", json!({"approval": null, "cites": reservation, "terms": {"reserved": h}})),
    ]
}

fn frame(key: &Key, kind: &str, body: &Value) -> Value {
    let hash = "12".repeat(32);
    let (vault, ledger) = match kind {
        "genesis" => (String::new(), "vault"),
        _ => (hash.clone(), "dataset/d1"),
    };
    let head = if kind == "genesis" { Value::Null } else { json!({"hash": hash, "seq": 4}) };
    json!({
        "author": "olga", "body": body, "card": key.id(), "critical": true, "format": 1, "kind": kind, "ledger": ledger, "prev": vault, "seq": 3,
        "time": START, "vault": vault, "vault_head": head,
    })
}

pub(crate) fn statements() -> Vec<Case> {
    let mut all = Cases::new("statements");
    let key = Key::new(Suite::X25519, "", &mut Rng::new("statements"));
    let bodies = bodies(&key);
    for (kind, body) in &bodies {
        let mut add = |name: String, expect, what: &str, body: &Value| {
            let stored = key.statement_of(canonical(&frame(&key, kind, body)));
            all.add(name, None, "5.2 to 5.6", expect, what, json!({"stored": blob(&stored)}));
        };
        add(format!("{kind}-valid"), "success", "a statement of this kind", body);
        add(format!("{kind}-extra"), "malformed", "a member more in the body", &with(body, json!({"zz": null})));
        if let Some(member) = body.as_object().unwrap().keys().next() {
            add(format!("{kind}-missing"), "malformed", &format!("no `{member}` in the body"), &without(body, member));
        }
    }
    let body = |kind: &str| bodies.iter().find(|(name, _)| *name == kind).unwrap().1.clone();
    members(&mut all, &key, &body);
    frames(&mut all, &key, &body("revoked"));
    texts(&mut all, &key, &body("revoked"));
    facts(&mut all, &key, &body("granted"));
    all.done()
}

fn members(all: &mut Cases, key: &Key, body: &dyn Fn(&str) -> Value) {
    let h = "ab".repeat(32);
    let mut add = |name: &str, expect, what: &str, kind: &str, changes: Value| {
        let stored = key.statement_of(canonical(&frame(key, kind, &with(&body(kind), changes))));
        all.add(name, None, "5", expect, what, json!({"stored": blob(&stored)}));
    };
    let seal = |member: &str, card: &str, epoch: u64| json!({"card": card.repeat(32), "epoch": epoch, "member": member, "sha256": h});
    let order = [seal("anna", "01", 1), seal("anna", "01", 2), seal("anna", "02", 1), seal("bob", "00", 1)];
    add("seals-ascend", "success", "seals in order of member, card, epoch", "recovery-set", json!({"seals": order}));
    add("set-empty", "success", "a set of nothing", "suspended", json!({"members": []}));
    add("text-longest", "success", "a reason of 1,024 bytes", "revoked", json!({"reason": "x".repeat(1024)}));
    add(
        "text-any",
        "success",
        "a reason with a letter outside the basic plane, U+2028 and U+FEFF",
        "revoked",
        json!({"reason": "\u{1f9ec}\u{2028}\u{feff}"}),
    );
    add("member-longest", "success", "a member id of 63 letters", "revoked", json!({"member": "a".repeat(63)}));
    add("time-largest", "success", "an end of 2^53 - 1", "upload-opened", json!({"ends": (1u64 << 53) - 1}));
    for (name, what, kind, changes) in [
        ("seals-by-card", "seals in order of card", "recovery-set", json!({"seals": [order[3], order[0]]})),
        (
            "seals-by-epoch",
            "seals in order of epoch before card",
            "recovery-set",
            json!({"seals": [order[0], order[2], order[1]]}),
        ),
        (
            "seal-twice",
            "two seals for one card and epoch, with different hashes",
            "recovery-set",
            json!({"seals": [order[0], with(&order[0], json!({"sha256": "ff".repeat(32)}))]}),
        ),
        ("seal-extra", "a seal with an epoch where it has none", "subject-key-set", json!({"seals": [order[0]]})),
        ("seal-no-epoch", "a seal without its epoch", "recovery-set", json!({"seals": [without(&order[0], "epoch")]})),
        ("set-order", "members out of order", "suspended", json!({"members": ["bob", "anna"]})),
        ("set-twice", "a member twice", "suspended", json!({"members": ["anna", "anna"]})),
        ("hashes-order", "hashes out of order", "recovery-set", json!({"cards": ["ff".repeat(32), "00".repeat(32)]})),
        ("ids-twice", "a manifest id twice", "epoch-closed", json!({"void": ["cd".repeat(16), "cd".repeat(16)]})),
        ("numbers-order", "numbers out of order", "path-removed", json!({"files": [10, 9]})),
        ("number-high", "a file number of 2^32", "path-removed", json!({"files": [1u64 << 32]})),
        ("text-long", "a reason of 1,025 bytes", "revoked", json!({"reason": "x".repeat(1025)})),
        ("text-long-bytes", "a reason of 342 letters of three bytes", "revoked", json!({"reason": "中".repeat(342)})),
        ("text-tab", "a tab in a reason", "revoked", json!({"reason": "a\tb"})),
        ("text-delete", "U+007F in a reason", "revoked", json!({"reason": "a\u{7f}"})),
        ("text-c1", "U+0085 in a reason", "revoked", json!({"reason": "a\u{85}"})),
        ("text-null", "a reason that is null", "revoked", json!({"reason": null})),
        ("member-capital", "a capital letter in a member id", "revoked", json!({"member": "Anna"})),
        ("member-empty", "an empty member id", "revoked", json!({"member": ""})),
        ("member-hyphen", "a member id that ends with a hyphen", "revoked", json!({"member": "anna-"})),
        ("member-long", "a member id of 64 letters", "revoked", json!({"member": "a".repeat(64)})),
        ("member-underscore", "an underscore in a member id", "revoked", json!({"member": "a_b"})),
        ("member-cyrillic", "a letter that looks like another", "revoked", json!({"member": "ann\u{430}"})),
        ("hash-capital", "a hash in capital letters", "seen", json!({"list": "AB".repeat(32)})),
        ("hash-short", "a hash of 31 bytes", "seen", json!({"list": "ab".repeat(31)})),
        ("hash-null", "a hash that is null where one must be", "seen", json!({"list": null})),
        ("id-long", "a manifest id of 17 bytes", "manifest-removed", json!({"manifest": "cd".repeat(17)})),
        ("bool-number", "a number where a bool must be", "uploader-set", json!({"on": 1})),
        ("bool-text", "a text where a bool must be", "uploader-set", json!({"on": "true"})),
        ("number-text", "a text where a number must be", "upload-opened", json!({"ends": "1790000000"})),
        ("number-negative", "a negative number", "upload-opened", json!({"ends": -1})),
        ("number-null", "null where a number must be", "upload-opened", json!({"ends": null})),
        ("list-null", "null where a set must be", "suspended", json!({"members": null})),
        ("list-object", "an object where a set must be", "suspended", json!({"members": {}})),
        (
            "jurisdiction-small",
            "a jurisdiction in small letters",
            "member-amended",
            json!({"info": with(&info(), json!({"jurisdiction": "cn"}))}),
        ),
        (
            "jurisdiction-three",
            "a jurisdiction of three letters",
            "member-amended",
            json!({"info": with(&info(), json!({"jurisdiction": "CHN"}))}),
        ),
        (
            "kind-of-organisation",
            "a kind of organisation that there is not",
            "member-amended",
            json!({"info": with(&info(), json!({"kind": "Hospital"}))}),
        ),
        ("role-unknown", "a role that there is not", "role-set", json!({"role": "owner"})),
        (
            "action-unknown",
            "an action that there is not",
            "recovered",
            json!({"terms": {"action": "undo", "hash": h, "ledger": "vault", "seq": 1}}),
        ),
        (
            "ledger-unknown",
            "a ledger id of no kind",
            "recovered",
            json!({"terms": {"action": "cut", "hash": h, "ledger": "datasets/d1", "seq": 1}}),
        ),
        (
            "ledger-climbs",
            "a ledger id that leaves its folder",
            "recovered",
            json!({"terms": {"action": "cut", "hash": h, "ledger": "dataset/../vault", "seq": 1}}),
        ),
        (
            "ledger-exposure-short",
            "an exposure ledger's id with a short hash",
            "recovered",
            json!({"terms": {"action": "cut", "hash": h, "ledger": "exposure/ab", "seq": 1}}),
        ),
        (
            "ledger-vault-slash",
            "`vault/`",
            "recovered",
            json!({"terms": {"action": "cut", "hash": h, "ledger": "vault/", "seq": 1}}),
        ),
        (
            "levels-four",
            "approvals for four levels",
            "genesis",
            json!({"approvals": {"card_added": 0, "dataset_deleted": 0, "granted": [0, 0, 0, 0], "recovered": 0, "released": 0}}),
        ),
        ("base64-unpadded", "a public key in base64 without padding", "epoch-opened", json!({"public": "AAA"})),
        (
            "base64-trailing-bits",
            "a public key in base64 whose unused bits are not zero",
            "epoch-opened",
            json!({"public": "AAF="}),
        ),
        ("base64-url", "a public key in base64url", "epoch-opened", json!({"public": "-_-_"})),
        ("base64-space", "a space in base64", "epoch-opened", json!({"public": "AA A"})),
        (
            "approval-extra",
            "a member more in an approval",
            "card-added",
            json!({"approval": {"approvals": [], "proposal": h, "x": 1}}),
        ),
        (
            "man-extra",
            "a member more in a manifest's description",
            "upload-committed",
            json!({"manifests": [with(&body("upload-committed")["manifests"][0], json!({"x": 1}))]}),
        ),
        (
            "man-packs-missing",
            "a description without the count of its packs",
            "upload-committed",
            json!({"manifests": [with(&body("upload-committed")["manifests"][0], json!({"packs": {"bytes": 106, "list": h}}))]}),
        ),
    ] {
        add(name, "malformed", what, kind, changes);
    }
}

fn frames(all: &mut Cases, key: &Key, body: &Value) {
    let good = frame(key, "revoked", body);
    let mut add = |name: &str, expect, what: &str, payload: Value| {
        let stored = key.statement_of(canonical(&payload));
        all.add(format!("frame-{name}"), None, "4.2", expect, what, json!({"stored": blob(&stored)}));
    };
    add("format-2", "unknown", "a format that this reader does not know", with(&good, json!({"format": 2})));
    add("format-0", "unknown", "format 0", with(&good, json!({"format": 0})));
    add("kind-unknown", "unknown", "a kind that this reader does not know", with(&good, json!({"kind": "revoke"})));
    add("kind-capital", "unknown", "a kind in capital letters", with(&good, json!({"kind": "Revoked"})));
    add("kind-empty", "unknown", "an empty kind", with(&good, json!({"kind": ""})));
    for (name, what, changes) in [
        ("extra", "a member more", json!({"zz": null})),
        ("not-critical", "a kind of this format that says that it may be skipped", json!({"critical": false})),
        ("critical-text", "a text where a bool must be", json!({"critical": "true"})),
        ("critical-null", "null where a bool must be", json!({"critical": null})),
        ("author-empty", "an empty author", json!({"author": ""})),
        ("author-capital", "a capital letter in the author's id", json!({"author": "Olga"})),
        ("card-short", "a card id of 31 bytes", json!({"card": "ab".repeat(31)})),
        ("card-other", "another card than the envelope names", json!({"card": "ab".repeat(32)})),
        ("format-text", "a format that is text", json!({"format": "1"})),
        ("kind-number", "a kind that is a number", json!({"kind": 1})),
        ("ledger-empty", "an empty ledger id", json!({"ledger": ""})),
        ("ledger-capital", "a ledger id with a capital letter", json!({"ledger": "dataset/D1"})),
        ("prev-short", "a `prev` of 31 bytes", json!({"prev": "12".repeat(31)})),
        ("prev-null", "a `prev` that is null", json!({"prev": null})),
        ("seq-negative", "a negative number", json!({"seq": -1})),
        ("seq-text", "a number that is text", json!({"seq": "3"})),
        ("time-negative", "a time before 1970", json!({"time": -1})),
        ("vault-capital", "a vault id in capital letters", json!({"vault": "AB".repeat(32)})),
        (
            "head-extra",
            "a vault head with a member more",
            json!({"vault_head": {"hash": "12".repeat(32), "seq": 4, "x": 1}}),
        ),
        ("head-missing", "a vault head without a number", json!({"vault_head": {"hash": "12".repeat(32)}})),
        ("head-list", "a vault head that is a list", json!({"vault_head": ["12".repeat(32), 4]})),
        ("body-list", "a body that is a list", json!({"body": ["anna", ""]})),
        ("body-null", "no body", json!({"body": null})),
    ] {
        add(name, "malformed", what, with(&good, changes));
    }
    for member in ["author", "critical", "format", "prev", "time", "vault_head"] {
        add(&format!("no-{member}").replace('_', "-"), "malformed", &format!("no `{member}`"), without(&good, member));
    }
}

// Payloads that are no canonical JSON, rightly signed.
fn texts(all: &mut Cases, key: &Key, body: &Value) {
    let text = canonical(&frame(key, "revoked", body));
    let mut add = |name: &str, what: &str, payload: Vec<u8>| {
        let stored = key.statement_of(payload);
        all.add(format!("json-{name}"), None, "1.1", "malformed", what, json!({"stored": blob(&stored)}));
    };
    for (name, what, from, to) in [
        ("space", "a space behind a colon", "\"author\":", "\"author\": "),
        ("line-feed", "a line feed behind the end", "\"seq\":4}}", "\"seq\":4}}\n"),
        ("second-value", "a second value", "\"seq\":4}}", "\"seq\":4}}null"),
        ("comma", "a comma before the end", "\"seq\":4}}", "\"seq\":4},}"),
        ("comment", "a comment", "\"seq\":4}}", "\"seq\":4}/**/}"),
        ("order", "members in another order", "\"critical\":true,\"format\":1", "\"format\":1,\"critical\":true"),
        ("doubled", "a member twice, alike", "\"format\":1", "\"format\":1,\"format\":1"),
        (
            "doubled-other",
            "a member twice: the first one is another's",
            "\"author\":\"olga\"",
            "\"author\":\"anna\",\"author\":\"olga\"",
        ),
        (
            "doubled-last",
            "a member twice: the last one is another's",
            "\"author\":\"olga\"",
            "\"author\":\"olga\",\"author\":\"anna\"",
        ),
        (
            "doubled-escaped",
            "a member twice, once with an escape in its name",
            "\"author\":\"olga\"",
            "\"\\u0061uthor\":\"anna\",\"author\":\"olga\"",
        ),
        ("escape", "an escape that is not needed", "\"olga\"", "\"\\u006flga\""),
        ("escape-slash", "an escaped slash", "dataset/d1", "dataset\\/d1"),
        ("escape-capital", "an escape in capital letters", "\"reason\":\"\"", "\"reason\":\"\\u000B\""),
        ("float", "a number with a fraction of zero", "\"seq\":3", "\"seq\":3.0"),
        ("exponent", "a number with an exponent", "\"seq\":3", "\"seq\":3e0"),
        ("minus-zero", "minus zero", "\"seq\":3", "\"seq\":-0"),
        ("leading-zero", "a zero before a number", "\"seq\":3", "\"seq\":03"),
        ("plus", "a plus before a number", "\"seq\":3", "\"seq\":+3"),
        ("hex-number", "a number in hex", "\"seq\":3", "\"seq\":0x3"),
        ("big", "an integer of 2^53", "\"time\":1790000000", "\"time\":9007199254740992"),
        ("bigger", "an integer of 2^64 + 3, whose last 64 bits are 3", "\"seq\":3", "\"seq\":18446744073709551619"),
        ("huge", "a number of 400 digits", "\"seq\":3", &format!("\"seq\":3{}", "0".repeat(399))),
        ("nan", "a number that is none", "\"seq\":3", "\"seq\":NaN"),
        ("infinity", "an infinite number", "\"seq\":3", "\"seq\":1e999"),
        ("true-capital", "True", "\"critical\":true", "\"critical\":True"),
        ("quotes", "single quotes", "\"author\"", "'author'"),
        ("name-bare", "a name without quotes", "\"author\"", "author"),
        ("surrogate", "a lone surrogate in an escape", "\"reason\":\"\"", "\"reason\":\"\\ud800\""),
        ("bom", "a byte order mark", "{\"author\"", "\u{feff}{\"author\""),
        ("control", "a raw control character in a text", "\"reason\":\"\"", "\"reason\":\"\u{1}\""),
        ("empty-name", "a member without a name", "{\"author\"", "{\"\":1,\"author\""),
    ] {
        add(name, what, edit(&text, from, to));
    }
    let raw = edit(&text, "\"reason\":\"\"", "\"reason\":\"@\"");
    let at = raw.iter().position(|b| *b == b'@').unwrap();
    let bytes = |with: &[u8]| [&raw[..at], with, &raw[at + 1..]].concat();
    add("not-utf8", "a byte that is no UTF-8", bytes(&[0xff]));
    add("surrogate-utf8", "a surrogate in UTF-8", bytes(&[0xed, 0xa0, 0x80]));
    add("overlong", "a letter in two bytes that needs one", bytes(&[0xc1, 0x81]));
    add("utf16", "UTF-16", text.iter().flat_map(|b| [*b, 0]).collect());
    add("cut", "the last byte is missing", text[..text.len() - 1].to_vec());
    add("none", "no byte", Vec::new());
    add("list", "a list with the object in it", [b"[", &text[..], b"]"].concat());
}

// What an author may put in at will, and its limits.
fn facts(all: &mut Cases, key: &Key, body: &Value) {
    let put = |facts: Value| {
        let mut body = body.clone();
        body["terms"]["facts"] = facts;
        frame(key, "granted", &body)
    };
    let mut add = |name: &str, expect, what: &str, payload: Vec<u8>| {
        let stored = key.statement_of(payload);
        all.add(format!("facts-{name}"), None, "1.1, 5", expect, what, json!({"stored": blob(&stored)}));
    };
    // The payload, the body and the terms are three levels, the facts the fourth.
    let deep = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    let long = |len: usize| json!({"a": "y".repeat(len - 8)});
    assert_eq!(canonical(&long(1000)).len(), 1000);
    let controls = json!({"a": "\u{0}\u{1f}\u{8}\t\n\u{c}\r\"\\/\u{7f}\u{2028}"});
    for (name, what, facts) in [
        ("controls", "every escape that there is, in the facts, where control characters may be", controls),
        (
            "numbers",
            "the largest and the smallest integer",
            json!({"a": (1i64 << 53) - 1, "b": -((1i64 << 53) - 1), "c": 0}),
        ),
        ("deepest", "sixteen levels", json!({"a": deep(12)})),
        ("name-longest", "a name of 64 letters", json!({"a".repeat(64): 1})),
        ("longest", "facts of 256 KiB", long(262_144)),
    ] {
        add(name, "success", what, canonical(&put(facts)));
    }
    let hole = |facts: &str| edit(&canonical(&put(json!({"hole": 1}))), "{\"hole\":1}", facts);
    for (name, what, facts) in [
        ("number-low", "an integer of -2^53", "{\"a\":-9007199254740992}"),
        ("fraction", "a number that is no integer", "{\"a\":0.5}"),
        ("name-capital", "a capital letter in a name", "{\"A\":1}"),
        ("name-hyphen", "a hyphen in a name", "{\"a-b\":1}"),
        ("name-empty", "an empty name", "{\"\":1}"),
        ("name-of-envelope", "`payloadType`, which is a name in envelopes only", "{\"payloadType\":1}"),
        ("name-order", "names out of order, inside", "{\"b\":1,\"a\":1}"),
        ("name-twice", "a name twice, inside", "{\"a\":1,\"a\":2}"),
        ("escape-long", "a line feed with a long escape", "{\"a\":\"\\u000a\"}"),
        ("escape-letter", "an escaped letter outside ASCII", "{\"a\":\"\\u00e9\"}"),
        ("escape-pair", "an escaped pair of surrogates", "{\"a\":\"\\ud83e\\uddec\"}"),
        ("escape-delete", "U+007F escaped", "{\"a\":\"\\u007f\"}"),
        ("list", "a list where facts must be", "[]"),
        ("null", "null where facts must be", "null"),
    ] {
        add(name, "malformed", what, hole(facts));
    }
    let levels = |n: usize| hole(&format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n)));
    add("too-deep", "malformed", "seventeen levels", levels(13));
    add("far-too-deep", "malformed", "two thousand levels", levels(1996));
    add("name-long", "malformed", "a name of 65 letters", hole(&format!("{{\"{}\":1}}", "a".repeat(65))));
    add("too-long", "malformed", "facts of 256 KiB and a byte", canonical(&put(long(262_145))));
    let mut traced = body.clone();
    traced["trace"] = long(262_145);
    add("trace-too-long", "malformed", "a trace of 256 KiB and a byte", canonical(&frame(key, "granted", &traced)));
}
