//! What a client reads besides a vault's objects: its pins, invitations, sealed single files. Spec sections 2.6, 4.6, 4.7.
//!
//! The readers of the last two live in `vault-cli`. Here they are written once more, to tell what may be released; `contrib/reader`'s
//! `vectors_by_command.py` runs the compiled command over the same files.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vault_core::card::Card;
use vault_core::context::Scope;
use vault_core::floe::{self, HEADER, Opener, SEGMENT_PLAIN};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, EntryHash, MemberId, VaultId, to_hex};
use vault_core::json::{self, from_b64, to_b64};
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::pin::{self, Pin};
use vault_core::ledger::vault::VaultState;
use vault_core::seal;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

use super::bodies::{Body, Floe, text};
use super::book::*;
use super::kit::*;

fn entries(input: &Value, ledger: &str) -> Vec<Vec<u8>> {
    input["ledgers"][ledger].as_array().unwrap().iter().map(bytes).collect()
}

fn ledgers(book: &Book) -> Value {
    let blobs = |all: &Vec<Vec<u8>>| all.iter().map(|stored| blob(stored)).collect::<Value>();
    book.ledgers.iter().map(|(name, all)| (name.clone(), blobs(all))).collect()
}

// --- pins ---

pub(crate) fn run_pin(input: &Value) -> Outcome {
    let id: VaultId = text(&input["vault_id"]).parse().unwrap();
    let vault = VaultState::fold(&id, &entries(input, VAULT)).unwrap();
    let ledger = text(&input["ledger"]);
    let mut before = (ledger != VAULT).then_some(EntryHash(id.0));
    let hash = |stored: &Vec<u8>| {
        let hash = entry_hash(before, stored);
        before = Some(hash);
        hash
    };
    let hashes: Vec<EntryHash> = entries(input, ledger).iter().map(hash).collect();
    let pin: Pin = serde_json::from_value(input["pin"].clone()).unwrap();
    let hash_at = |seq: u64| hashes.get(usize::try_from(seq).unwrap()).copied();
    match pin::check(&ledger.parse().unwrap(), &pin, hash_at, &vault) {
        Ok(()) => Outcome::success([]),
        Err(why) => Outcome::failure("rolled-back", why),
    }
}

pub(crate) fn pins() -> Vec<Case> {
    let mut all = Cases::new("pins");
    // Four entries; the client has seen all of them when the vault ledger had two.
    let begin = || {
        let mut book = Book::open(Suite::X25519);
        book.data("stella", "uploader-set", json!({"member": "anna", "on": true}));
        let pin = json!({"hash": book.hashes(DATASET)[3], "seq": 3, "vault_seq": 1});
        (book, pin)
    };
    let cut = |b: &mut Book, who: &str, seq: usize, hash: Value, changes: Value| {
        let terms = with(&json!({"action": "cut", "hash": hash, "ledger": DATASET, "seq": seq}), changes);
        b.vault(who, "recovered", json!({"approval": null, "terms": terms}));
    };
    let mut case =
        |name: &str, expect: &'static str, what: &str, ledger: &str, make: &dyn Fn(&mut Book, &mut Value)| {
            let (mut book, mut pin) = begin();
            make(&mut book, &mut pin);
            let input = json!({"ledger": ledger, "ledgers": ledgers(&book), "pin": pin, "vault_id": book.vault_id});
            all.add(name, None, "4.6", expect, what, input);
        };
    // Takes the last two entries away, as a restored backup does.
    let back = |b: &mut Book| {
        b.ledgers.get_mut(DATASET).unwrap().truncate(2);
        json!(b.hashes(DATASET)[1])
    };
    let (same, gone) = ("success", "rolled-back");
    case("same", same, "the ledger as it was seen", DATASET, &|_, _| {});
    case("longer", same, "a ledger that goes on", DATASET, &|b, _| {
        b.data("stella", "uploader-set", json!({"member": "anna", "on": false}));
    });
    case("shorter", gone, "a ledger without its last entry", DATASET, &|b, _| {
        drop(b.ledgers.get_mut(DATASET).unwrap().pop())
    });
    case("empty", gone, "a ledger without any entry", DATASET, &|b, _| b.ledgers.get_mut(DATASET).unwrap().clear());
    case("changed", gone, "another entry in the place of the last", DATASET, &|b, _| {
        b.ledgers.get_mut(DATASET).unwrap().pop();
        b.data("stella", "uploader-set", json!({"member": "mallory", "on": true}));
    });
    case("changed-before", gone, "the entry seen last is there, behind another than before", DATASET, &|b, _| {
        b.ledgers.get_mut(DATASET).unwrap()[2] = b"rubbish".to_vec();
    });
    case("grown-from-before", gone, "a ledger that is longer, and another since the third entry", DATASET, &|b, _| {
        b.ledgers.get_mut(DATASET).unwrap().truncate(2);
        for member in ["anna", "rita", "sven"] {
            b.data("stella", "uploader-set", json!({"member": member, "on": true}));
        }
    });
    case("cut", same, "a shorter ledger, and an officer's cut behind the pin that says so", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({}));
    });
    case("cut-goes-on", same, "the same, when the ledger has gone on otherwise", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({}));
        for member in ["anna", "rita", "sven"] {
            b.data("stella", "uploader-set", json!({"member": member, "on": true}));
        }
    });
    case("cut-before-pin", gone, "a cut that the client had seen already", DATASET, &|b, pin| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({}));
        pin["vault_seq"] = json!(2);
    });
    case("cut-by-member", gone, "a cut by a member who is no officer", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "mallory", 1, hash, json!({}));
    });
    case("cut-other-ledger", gone, "a cut of another ledger", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({"ledger": "dataset/d2"}));
    });
    case("cut-other-hash", gone, "a cut to an entry that the ledger does not have", DATASET, &|b, _| {
        back(b);
        cut(b, "olga", 1, json!(no_hash()), json!({}));
    });
    case("cut-void", gone, "a recovery that voids in the place of a cut", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({"action": "void"}));
    });
    case("cut-above-pin", gone, "a cut to an entry above the pin", DATASET, &|b, pin| {
        let hash = json!(b.hashes(DATASET)[3]);
        cut(b, "olga", 3, hash, json!({}));
        *pin = json!({"hash": no_hash(), "seq": 2, "vault_seq": 1});
    });
    case("cut-further-back", gone, "a ledger that is shorter than the cut says", DATASET, &|b, _| {
        let hash = back(b);
        cut(b, "olga", 1, hash, json!({}));
        b.ledgers.get_mut(DATASET).unwrap().truncate(1);
    });
    case("vault-same", same, "the vault ledger as it was seen", VAULT, &|b, pin| {
        *pin = json!({"hash": b.hashes(VAULT)[1], "seq": 1, "vault_seq": 1});
    });
    case("vault-shorter", gone, "a vault ledger without its last entry", VAULT, &|b, pin| {
        *pin = json!({"hash": no_hash(), "seq": 2, "vault_seq": 2});
        b.clock += 1;
    });
    case("vault-cut", gone, "a cut of the vault ledger, which is never accepted by itself", VAULT, &|b, pin| {
        let hash = json!(b.hashes(VAULT)[1]);
        cut(b, "olga", 1, hash, json!({"ledger": VAULT}));
        *pin = json!({"hash": no_hash(), "seq": 4, "vault_seq": 1});
    });
    all.done()
}

// --- invitations ---

const PREFIX: &str = "seqvault-invite-1.";

#[derive(Serialize, Deserialize)]
struct Invitation {
    hash: EntryHash,
    location: String,
    member: MemberId,
    seq: u64,
    vault: VaultId,
}

fn parse(invitation: &str) -> Option<Invitation> {
    let body = invitation.strip_prefix(PREFIX)?;
    if body.contains(['+', '/', '=']) {
        return None;
    }
    let padding = "=".repeat((4 - body.len() % 4) % 4);
    let standard = body.replace('-', "+").replace('_', "/") + &padding;
    json::parse(&from_b64(&standard)?).ok()
}

pub(crate) fn run_invitation(input: &Value) -> Outcome {
    let Some(said) = parse(text(&input["invitation"])) else {
        return Outcome::failure("malformed", "not an invitation");
    };
    let card = Card::parse(&bytes(&input["card"])).unwrap();
    let vault = match VaultState::fold(&said.vault, &entries(input, VAULT)) {
        Ok(vault) => vault,
        Err(why) => return Outcome::failure("differs", why),
    };
    if vault.entry_hash(said.seq) != Some(said.hash) {
        return Outcome::failure("differs", "the vault does not have the entry");
    }
    if !vault.is_current_card(card.id(), &said.member, said.seq) {
        return Outcome::failure("differs", "the member was not enrolled with this card at that entry");
    }
    Outcome::success(said.location)
}

fn invite(payload: &[u8]) -> String {
    let text = to_b64(payload).replace('+', "-").replace('/', "_");
    format!("{PREFIX}{}", text.trim_end_matches('='))
}

pub(crate) fn invitations() -> Vec<Case> {
    let mut all = Cases::new("invitations");
    let mut book = Book::new(Suite::X25519);
    let enrolment = book.enrolment("stranger");
    book.vault("olga", "member-enrolled", enrolment);
    book.vault("olga", "seen", json!({"list": no_hash()}));
    let card = book.card("rita");
    book.vault("rita", "card-retired", json!({"card": card, "member": "rita", "reason": ""}));
    let hashes = book.hashes(VAULT);
    // Its base64 has letters in which the alphabets differ, and needs padding.
    let at = |location: &str| json!({"hash": hashes[2], "location": location, "member": "stranger", "seq": 2, "vault": book.vault_id});
    let locations = ["/mnt/v\u{fb}\u{3ff}~?", "/mnt/vault\u{fb}\u{3ff}~?"];
    let good = locations.into_iter().map(at).find(|good| !canonical(good).len().is_multiple_of(3)).unwrap();
    let (ledgers, payload) = (json!({"vault": ledgers(&book)["vault"]}), canonical(&good));
    let mut add = |name: &str, expect, what: &str, invitation: String, card: &str| {
        let card = blob(book.keys[card].card.stored());
        all.add(name, None, "4.7", expect, what, json!({"card": card, "invitation": invitation, "ledgers": ledgers}));
    };
    let of = |changes: Value| invite(&canonical(&with(&good, changes)));
    let right = of(json!({}));
    assert!(right[PREFIX.len()..].contains('-') || right[PREFIX.len()..].contains('_'), "{right}");
    assert!(to_b64(&payload).contains('='), "it needs padding");
    add("enrolment", "success", "an invitation that vouches for the enrolment", right.clone(), "stranger");
    add(
        "later",
        "success",
        "an invitation that vouches for a later entry",
        of(json!({"hash": hashes[3], "seq": 3})),
        "stranger",
    );
    let padded = format!("{right}{}", "=".repeat((4 - right[PREFIX.len()..].len() % 4) % 4));
    let standard = format!("{PREFIX}{}", to_b64(&payload).trim_end_matches('='));
    for (name, what, invitation) in [
        ("prefix", "another version in the prefix", right.replace("invite-1", "invite-2")),
        ("no-prefix", "no prefix", right[PREFIX.len()..].to_owned()),
        ("padded", "padded base64url", padded),
        ("standard-alphabet", "the standard alphabet of base64", standard),
        ("cut", "the last four letters are missing", right[..right.len() - 4].to_owned()),
        ("empty", "a prefix and nothing after it", PREFIX.to_owned()),
        ("space", "a space in the JSON", invite(&edit(&payload, ",\"member\"", ", \"member\""))),
        ("doubled", "a member twice", invite(&edit(&payload, "\"seq\":2", "\"seq\":2,\"seq\":2"))),
        ("extra", "a member more", of(json!({"x": 1}))),
        ("missing", "no location", invite(&canonical(&without(&good, "location")))),
        ("seq-text", "a number that is text", of(json!({"seq": "2"}))),
        ("vault-short", "a vault id of 31 bytes", of(json!({"vault": "ab".repeat(31)}))),
        ("member-capital", "a member id with a capital letter", of(json!({"member": "Stranger"}))),
    ] {
        add(name, "malformed", what, invitation, "stranger");
    }
    for (name, what, changes, card) in [
        ("other-vault", "another vault's id", json!({"vault": "ab".repeat(32)}), "stranger"),
        (
            "other-hash",
            "another hash at that entry: the vault was made anew from there",
            json!({"hash": no_hash()}),
            "stranger",
        ),
        ("hash-of-other", "the hash of another entry", json!({"hash": hashes[1]}), "stranger"),
        (
            "not-there",
            "an entry that is not there: the vault was rolled back",
            json!({"hash": no_hash(), "seq": 9}),
            "stranger",
        ),
        ("before-enrolment", "an entry before the enrolment", json!({"hash": hashes[1], "seq": 1}), "stranger"),
        ("other-member", "another member's id over one's own card", json!({"member": "anna"}), "stranger"),
        ("other-card", "a card that is another member's", json!({}), "anna"),
        (
            "retired-card",
            "a card that was retired by that entry",
            json!({"hash": hashes[4], "member": "rita", "seq": 4}),
            "rita",
        ),
    ] {
        add(name, "differs", what, of(changes), card);
    }
    all.done()
}

// --- sealed single files ---

pub(crate) fn run_sealed(input: &Value) -> Outcome {
    let (card, private) = (Card::parse(&bytes(&input["card"])).unwrap(), secret(&input["private"]));
    let (mut released, file) = (Vec::new(), bytes(&input["file"]));
    match open_sealed(&card, private, &file, &mut released) {
        Ok(()) => Outcome::success(released),
        Err(class) => Outcome { released, ..Outcome::failure(class, class) },
    }
}

fn open_sealed(card: &Card, private: Secret32, file: &[u8], released: &mut Vec<u8>) -> Result<(), &'static str> {
    let rest = file.strip_prefix(b"SVSEAL01").ok_or("malformed")?;
    let (&[suite, high, low], rest) = rest.split_first_chunk().ok_or("malformed")?;
    let suite = Suite::from_id(suite).ok_or("malformed")?;
    let (count, entry) = (usize::from(u16::from_be_bytes([high, low])), 32 + suite.seal_len());
    if !(1..=1024).contains(&count) {
        return Err("malformed");
    }
    let (recipients, body) = rest.split_at_checked(count * entry).ok_or("malformed")?;
    let recipients: Vec<(&[u8], &[u8])> = recipients.chunks(entry).map(|entry| entry.split_at(32)).collect();
    if !recipients.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("malformed");
    }
    let mine = recipients.iter().find(|(id, _)| *id == card.id().0).filter(|_| card.suite() == suite).ok_or("open")?.1;
    let scope = Scope::without_vault(suite);
    let private = seal::PrivateKey::from_secret(suite, private);
    let key = seal::open(&private, mine, &scope.sealed_file_key(card.id())).map_err(|_| "open")?;
    let aad = scope.sealed_file(&sha256(&file[..file.len() - body.len()]));
    online(&key, aad.as_bytes(), body, released).ok_or("open")
}

fn online(key: &Secret32, aad: &[u8], body: &[u8], released: &mut Vec<u8>) -> Option<()> {
    let (header, mut rest) = body.split_at_checked(HEADER)?;
    let opener = Opener::start(key, aad, header).ok()?;
    for position in 0.. {
        let prefix = rest.first_chunk()?;
        let last = floe::is_final(prefix);
        let len = if last { u32::from_be_bytes(*prefix) as usize } else { floe::SEGMENT };
        let (segment, after) = rest.split_at_checked(len)?;
        released.extend_from_slice(opener.open_segment(position, last, &mut segment.to_vec()).ok()?);
        rest = after;
        if last {
            break;
        }
    }
    rest.is_empty().then_some(())
}

/// A sealed file in parts, so that any can be wrong.
struct Sealed {
    suite: Suite,
    key: [u8; 32],
    recipients: Vec<(CardId, Vec<u8>)>,
}

impl Sealed {
    fn to(keys: &[&Key], rng: &mut Rng) -> Self {
        let (suite, key) = (keys[0].suite, rng.array());
        let mut recipients: Vec<_> =
            keys.iter().map(|to| (to.id(), Self::seal(suite, key, to, to.id(), rng))).collect();
        recipients.sort();
        Self { suite, key, recipients }
    }

    fn seal(suite: Suite, key: [u8; 32], to: &Key, bound: CardId, rng: &mut Rng) -> Vec<u8> {
        let info = Scope::without_vault(suite).sealed_file_key(&bound);
        seal::seal(to.card.kem(), &Secret32::take(&mut { key }), &info, rng).unwrap()
    }

    fn head(&self) -> Vec<u8> {
        let count = u16::try_from(self.recipients.len()).unwrap().to_be_bytes();
        let recipients: Vec<u8> =
            self.recipients.iter().flat_map(|(card, seal)| [&card.0[..], seal].concat()).collect();
        [&b"SVSEAL01"[..], &[self.suite.id()], &count, &recipients].concat()
    }

    fn body(&self, head: &[u8], size: usize, rng: &mut Rng) -> (Floe, Body) {
        let aad = Scope::without_vault(self.suite).sealed_file(&sha256(head));
        let floe = Floe::new(self.key, aad.as_bytes(), rng);
        let body = floe.body(size, rng);
        (floe, body)
    }

    /// A whole file with this head, whatever it says.
    fn under(&self, head: &[u8], size: usize, rng: &mut Rng) -> Vec<u8> {
        [head, &self.body(head, size, rng).1.bytes()].concat()
    }

    fn file(&self, size: usize, rng: &mut Rng) -> Vec<u8> {
        self.under(&self.head(), size, rng)
    }
}

pub(crate) fn sealed_files() -> Vec<Case> {
    let mut all = Cases::new("sealed-files");
    for suite in SUITES {
        let rng = &mut Rng::new(&format!("sealed files {}", suite.id()));
        let (me, other) = (Key::new(suite, "", rng), Key::new(suite, "", rng));
        let mut add = |name: &str, expect, what: &str, file: Vec<u8>| {
            let input = json!({"card": blob(me.card.stored()), "file": blob(&file), "private": to_hex(&me.kem_secret), "seed": to_hex(&me.seed)});
            all.add(name, suite, "2.6", expect, what, input);
        };
        let good = Sealed::to(&[&me, &other], rng);
        add("valid", "success", "a file, sealed to two cards", good.file(100, rng));
        let changed = |sealed: &Sealed, card: &CardId| {
            let recipients = sealed.recipients.iter().map(|(id, seal)| {
                (*id, if id == card { [&[seal[0] ^ 1][..], &seal[1..]].concat() } else { seal.clone() })
            });
            Sealed { recipients: recipients.collect(), ..*sealed }
        };
        add(
            "seal-changed",
            "open",
            "one bit of the reader's seal changed, and the body bound to that",
            changed(&good, &me.id()).file(100, rng),
        );
        let file = [changed(&good, &other.id()).head(), good.body(&good.head(), 100, rng).1.bytes()].concat();
        add(
            "other-seal-changed",
            "open",
            "one bit of another recipient's seal changed: the body is bound to the whole head",
            file,
        );
        let mine =
            Sealed { recipients: good.recipients.iter().filter(|(id, _)| *id == me.id()).cloned().collect(), ..good };
        let file = [mine.head(), good.body(&good.head(), 100, rng).1.bytes()].concat();
        add("recipient-removed", "open", "another recipient taken out of the head", file);
        add("not-a-recipient", "open", "a file that is sealed to others", Sealed::to(&[&other], rng).file(100, rng));
        let bound = Sealed::seal(suite, mine.key, &me, other.id(), rng);
        let elsewhere = Sealed { recipients: vec![(me.id(), bound)], ..mine };
        add("seal-of-other-card", "open", "a seal whose context names another card", elsewhere.file(100, rng));
    }
    one_suite(&mut all);
    all.done()
}

fn one_suite(all: &mut Cases) {
    let rng = &mut Rng::new("sealed files");
    let (me, other) = (Key::new(Suite::X25519, "", rng), Key::new(Suite::X25519, "", rng));
    let mut add = |name: &str, expect, what: &str, file: Vec<u8>| {
        let input = json!({"card": blob(me.card.stored()), "file": blob(&file), "private": to_hex(&me.kem_secret), "seed": to_hex(&me.seed)});
        all.add(name, None, "2.6", expect, what, input);
    };
    let good = Sealed::to(&[&me], rng);
    for (name, what, size) in [
        ("empty", "no byte", 0),
        ("segment", "exactly one segment", SEGMENT_PLAIN),
        ("three-segments", "two segments and 5,000 bytes", 2 * SEGMENT_PLAIN + 5000),
    ] {
        add(name, "success", what, good.file(size, rng));
    }
    let head = good.head();
    let mut changed = |name: &str, what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut head = head.clone();
        change(&mut head);
        let file = good.under(&head, 100, rng);
        add(name, "malformed", what, file);
    };
    changed("magic", "other first bytes", &|h| h[0] = b'X');
    changed("version", "another version in the first bytes", &|h| h[7] = b'2');
    changed("suite-0", "suite 0", &|h| h[8] = 0);
    changed("suite-3", "suite 3", &|h| h[8] = 3);
    changed("count-zero", "a count of no recipient", &|h| h[10] = 0);
    changed("count-1025", "a count of 1,025 recipients", &|h| (h[9], h[10]) = (4, 1));
    let two = Sealed::to(&[&me, &other], rng);
    let mut turned = Sealed { recipients: two.recipients.clone(), ..two };
    turned.recipients.reverse();
    add("order", "malformed", "recipients out of order", turned.file(100, rng));
    let twice = Sealed { recipients: vec![good.recipients[0].clone(); 2], ..good };
    add("card-twice", "malformed", "a card twice", twice.file(100, rng));
    let file = good.file(100, rng);
    add("cut-in-head", "malformed", "the first 100 bytes, which end in a seal", file[..100].to_vec());
    add("cut-after-magic", "malformed", "the first 8 bytes", file[..8].to_vec());
    add("no-bytes", "malformed", "nothing at all", Vec::new());

    let (floe, body) = good.body(&head, 2 * SEGMENT_PLAIN + 5000, rng);
    let mut bodies = |name: &str, what: &str, segments: &[&[u8]]| {
        add(name, "open", what, [&[&head[..], &body.header][..], segments].concat().concat());
    };
    let s = &body.segments;
    bodies("body-none", "a head, a body's header, and no segment", &[]);
    bodies("truncated-segment", "the final segment is missing", &[&s[0], &s[1]]);
    bodies("truncated-byte", "the last byte is missing", &[&s[0], &s[1], &s[2][..s[2].len() - 1]]);
    bodies("truncated-prefix", "the last segment's length field and nothing after it", &[&s[0], &s[1], &s[2][..4]]);
    bodies("truncated-in-prefix", "two bytes of the last segment", &[&s[0], &s[1], &s[2][..2]]);
    bodies("extended-byte", "a byte after the final segment", &[&s[0], &s[1], &s[2], &[0]]);
    bodies("extended-segment", "the final segment twice", &[&s[0], &s[1], &s[2], &s[2]]);
    bodies("swapped", "two segments in each other's place", &[&s[1], &s[0], &s[2]]);
    bodies("dropped", "the second segment is missing", &[&s[0], &s[2]]);
    let said = [&(SEGMENT_PLAIN as u32 + 32).to_be_bytes()[..], &s[1][4..]].concat();
    bodies("final-said", "a second segment that says that it is the last", &[&s[0], &said]);
    let short = [&31u32.to_be_bytes()[..], &s[2][4..31]].concat();
    bodies("length-short", "a final segment of 31 bytes", &[&s[0], &s[1], &short]);
    let long = [&(SEGMENT_PLAIN as u32 + 33).to_be_bytes()[..], &[0; SEGMENT_PLAIN + 29]].concat();
    bodies("length-long", "a final segment that is a byte longer than a segment can be", &[&s[0], &s[1], &long]);
    let early = floe.segment(1, true, SEGMENT_PLAIN as u32 + 32, &[0; SEGMENT_PLAIN], rng);
    bodies("after-final", "a right final segment, and a further one", &[&s[0], &early, &s[2]]);
    let unbound = Floe::new(good.key, &[], rng).body(100, rng).bytes();
    add("body-unbound", "open", "a body that is not bound to its head", [&head[..], &unbound].concat());
}
