//! Mallory has a role, or somebody else's mistake: what an officer, a steward or an uploader signs validly and means ill, cards and identities that are
//! made to harm, uploads that race with those who end them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use vault_core::card::Card;
use vault_core::context::Scope;
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, Digest, LedgerId, ManifestId, MemberId, PackName, UploadId};
use vault_core::json as canonical;
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{
    Body, EpochClosed, EpochOpened, Facts, Info, Jurisdiction, ManifestHash, MemberEnrolled, OrganisationKind,
    PacksHash, Seal, Set, Text, UploadCommitted, UploadOpened,
};
use vault_core::ledger::vault::VaultState;
use vault_core::manifest::{Draft, Extras, FileRecord, Manifest};
use vault_core::pack::{PackEntry, PackHash, PackList};
use vault_core::seal;
use vault_core::secret::Secret32;
use vault_keys::custodian::Custodian;
use vault_tests::world::{Fault, Person, copy_folder, objects};

use crate::malicious::{digest, write_object};
use crate::mallory::{custodian, entries, next_statement, vault_id, write_signed};
use crate::mallory_den::{Den, GET, Kind, everywhere};
use crate::story::{COHORT, contents, shown, story};
use crate::transfer::{DATA, bench, noise};

const DAY: i64 = 86_400;

fn ledger() -> LedgerId {
    LedgerId::Dataset(COHORT.parse().unwrap())
}

fn state(vault: &Path) -> VaultState {
    VaultState::fold(&vault_id(vault), &entries(vault, "vault")).unwrap()
}

fn scope(vault: &Path) -> Scope {
    Scope { suite: state(vault).suite(), vault: Some(vault_id(vault)), dataset: Some(COHORT.parse().unwrap()) }
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// Says something at the end of a ledger, as somebody.
pub(crate) fn says(vault: &Path, who: &Person, ledger: LedgerId, body: Body) {
    let signer = custodian(who);
    let author: MemberId = who.name().parse().unwrap();
    write_signed(vault, &signer, &next_statement(vault, &author, signer.card(), ledger, body));
}

// ---- Keys ----

/// A steward opens epoch 3, with what `bend` makes of the seal to anna. Returns the epoch's secret.
fn opens_an_epoch(den: &Den, bend: impl Fn(Vec<u8>, &Scope, &EpochSecret, &Card) -> Vec<u8>) -> EpochSecret {
    let (vault, rng) = (den.folder(), &mut UnwrapErr(SysRng));
    let (state, scope) = (state(&vault), scope(&vault));
    let author: MemberId = "deputy".parse().unwrap();
    let secret = EpochSecret::generate(rng);
    let mut seals: Vec<Seal> = Vec::new();
    for member in ["anna", "ben", "deputy", "keeper", "lab"] {
        let id: MemberId = member.parse().unwrap();
        let cards: Vec<&Card> = state.current_cards(&id, state.last_seq()).map(|record| &record.card).collect();
        for card in cards {
            let mut sealed = secret.seal_to(&scope, 3, &author, card, rng).unwrap();
            if member == "anna" {
                sealed = bend(sealed, &scope, &secret, card);
            }
            let hash = digest(&sealed);
            let name = ObjectName::Grant {
                dataset: COHORT.parse().unwrap(),
                epoch: 3,
                member: id.clone(),
                card: *card.id(),
                hash,
            };
            write_object(&vault, &name, &sealed);
            seals.push(Seal { card: *card.id(), member: id.clone(), sha256: hash });
        }
    }
    let body = Body::EpochOpened(EpochOpened {
        epoch: 3,
        public: B64(secret.public_key(&scope, 3).as_bytes().to_vec()),
        reason: Text::parse("hers").unwrap(),
        revokes: Set::default(),
        seals: seals.into_iter().collect(),
        unsealed: Set::default(),
    });
    says(&vault, &den.world.person("deputy"), ledger(), body);
    secret
}

#[test]
fn a_seal_that_does_not_open_is_refused_in_the_same_words_whatever_is_wrong_with_it() {
    type Bend = fn(Vec<u8>, &Scope, &EpochSecret, &Card) -> Vec<u8>;
    let bends: [(&str, Bend); 6] = [
        ("random bytes", |sealed, _, _, _| (0..sealed.len()).map(|n| u8::try_from(n * n % 251).unwrap()).collect()),
        ("zeros", |sealed, _, _, _| vec![0; sealed.len()]),
        ("a bit of its tag", |mut sealed, _, _, _| {
            *sealed.last_mut().unwrap() ^= 1;
            sealed
        }),
        ("a bit of its encapsulated key", |mut sealed, _, _, _| {
            sealed[5] ^= 1;
            sealed
        }),
        ("another epoch's context", |_, scope, secret, card| {
            secret.seal_to(scope, 2, &"deputy".parse().unwrap(), card, &mut UnwrapErr(SysRng)).unwrap()
        }),
        ("another author's context", |_, scope, secret, card| {
            secret.seal_to(scope, 3, &"lab".parse().unwrap(), card, &mut UnwrapErr(SysRng)).unwrap()
        }),
    ];
    everywhere(|den| {
        den.save("before");
        let state = den.world.person("anna").state();
        copy_folder(&state, &den.world.path("anna-before"));
        let mut words = Vec::new();
        for (what, bend) in bends {
            opens_an_epoch(den, bend);
            let said = den.refuses_but_pins(5, &["epoch 3 does not open"], "anna", &GET);
            words.push(said);
            assert_eq!(words[0], words[words.len() - 1], "{what}");
            // A fresh machine, as the story goes back to where it was.
            den.bring_back("before", "");
            fs::remove_dir_all(&state).unwrap();
            copy_folder(&den.world.path("anna-before"), &state);
        }
        // What has not the length of a seal is not even tried.
        opens_an_epoch(den, |sealed, _, _, _| sealed[..80].to_vec());
        den.refuses_but_pins(5, &[], "anna", &GET);
        // Others are not concerned, and a rotation puts it right.
        assert_eq!(den.person("ben").gets(COHORT), contents());
        den.person("lab").ok(&["rotate", COHORT]);
        den.person("lab").ok(&["rotate", COHORT]);
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}

#[test]
fn a_secret_that_is_not_the_epochs_is_refused() {
    everywhere(|den| {
        opens_an_epoch(den, |_, scope, _, card| {
            let rng = &mut UnwrapErr(SysRng);
            EpochSecret::generate(rng).seal_to(scope, 3, &"deputy".parse().unwrap(), card, rng).unwrap()
        });
        den.refuses_but_pins(5, &["epoch 3"], "anna", &GET);
        assert_eq!(den.person("ben").gets(COHORT), contents());
        den.person("lab").ok(&["rotate", COHORT]);
        den.person("lab").ok(&["rotate", COHORT]);
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}

#[test]
fn a_steward_who_closes_an_epoch_over_wrong_keys_is_found_out_by_every_reader() {
    everywhere(|den| {
        let secret = opens_an_epoch(den, |sealed, _, _, _| sealed);
        let (vault, rng) = (den.folder(), &mut UnwrapErr(SysRng));
        let scope = scope(&vault);
        let ids = den.named("manifests/", "").into_iter().map(|name| match name.parse() {
            Ok(ObjectName::Manifest { manifest, .. }) => (manifest, Secret32::generate(rng)),
            _ => panic!("{name}"),
        });
        let table = KeyTable::new(ids.collect());
        let sealed = table.seal(&secret.table_key(&scope, 3), &scope, 3, &mut UnwrapErr(SysRng)).unwrap();
        let hash = digest(&sealed);
        write_object(&vault, &ObjectName::Table { dataset: COHORT.parse().unwrap(), epoch: 3, hash }, &sealed);
        let body = EpochClosed { count: 2, epoch: 3, table: Some(hash), void: Set::default() };
        says(&vault, &den.world.person("deputy"), ledger(), Body::EpochClosed(body));
        // The ledger is as it should be: only opening shows it. Nothing is handed out, and the statement names who did it.
        for name in ["anna", "lab"] {
            let said = den.refuses_but_pins(5, &["is left out"], name, &GET);
            assert_eq!(said.matches("is left out").count(), 2, "{said}");
        }
        assert!(!den.world.path("out/run").exists());
        let log = den.person("anna").ok(&["log", COHORT]);
        let last = log.as_array().unwrap().last().unwrap();
        assert_eq!((&last["kind"], &last["author"]), (&json!("epoch-closed"), &json!("deputy")), "{last}");
        // Nobody carries the wrong keys on.
        let done = den.person("lab").run(&["rotate", COHORT]);
        assert!(matches!(done.code, Some(0 | 5)), "{:?} {}", done.code, done.stderr);
    });
}

// ---- Cards ----

/// A card of hers whose key is of small order, signed as it should be.
fn card_of_small_order(den: &Den) -> Vec<u8> {
    let mallory = custodian(&den.world.new_person("mallory"));
    let good = Envelope::parse(mallory.card().stored()).unwrap();
    let mut payload: Value = serde_json::from_slice(&good.payload).unwrap();
    let mut kem = canonical::from_b64(payload["kem"].as_str().unwrap()).unwrap();
    let length = kem.len();
    kem[length - 32..].fill(0);
    payload["kem"] = canonical::to_b64(&kem).into();
    let payload = canonical::emit(&payload).unwrap();
    let id = CardId(sha256(&payload));
    Envelope::signed_with(PayloadType::Card, payload, id, |pae| mallory.sign(pae)).unwrap().emit()
}

#[test]
fn a_card_that_nothing_can_be_sealed_to_is_never_enrolled_and_stops_no_rotation() {
    everywhere(|den| {
        den.sees(&["officer", "lab"]);
        let card = card_of_small_order(den);
        fs::write(den.world.path("bad.card"), &card).unwrap();
        den.refuses(
            5,
            &["bad.card", "not a valid card"],
            "officer",
            &["member", "add", "mallory", "--card", "bad.card"],
        );
        // An officer who means ill writes the statement by hand.
        let info = Info {
            facts: Facts::default(),
            jurisdiction: Jurisdiction::parse("ZZ").unwrap(),
            kind: OrganisationKind::Other,
            organisation: Text::parse("hers").unwrap(),
        };
        let body =
            Body::MemberEnrolled(MemberEnrolled { cards: vec![B64(card)], info, member: "mallory".parse().unwrap() });
        says(&den.folder(), &den.world.person("officer"), LedgerId::Vault, body);
        let report = den.person("lab").ok(&["verify"]);
        assert_eq!(report["ledgers"][0]["void"].as_array().unwrap().len(), 1, "{report}");
        den.refuses(3, &["mallory"], "lab", &["member", "show", "mallory"]);
        den.person("lab").ok(&["rotate", COHORT]);
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}

// ---- Uploads ----

/// The newest epoch of the dataset and its public key.
fn newest(vault: &Path) -> (u64, seal::PublicKey) {
    use vault_core::ledger::statement::{Entry, Said};
    let suite = state(vault).suite();
    let opened =
        entries(vault, &ledger().to_string()).iter().rev().find_map(|stored| match Entry::parse(stored).ok()?.said {
            Said::Known(said) => match said.body {
                Body::EpochOpened(body) => Some((body.epoch, body.public.0)),
                _ => None,
            },
            Said::Unknown { .. } => None,
        });
    let (epoch, public) = opened.unwrap();
    (epoch, seal::PublicKey::parse(suite, &public).unwrap())
}

/// An instrument's upload by hand: all of it as it should be, but for what `bend` makes of the manifest's plaintext.
fn uploads(vault: &Path, who: &Person, files: &[(&str, &[u8])], bend: impl Fn(&mut Vec<u8>)) -> ManifestId {
    let rng = &mut UnwrapErr(SysRng);
    let (author, scope, (epoch, public)): (MemberId, _, _) = (who.name().parse().unwrap(), scope(vault), newest(vault));
    let (manifest, upload) = (ManifestId(random()), UploadId(random()));
    let dataset = || COHORT.parse().unwrap();
    let (mut stream, mut records) = (Vec::new(), Vec::new());
    for (number, (path, bytes)) in (0u32..).zip(files) {
        let key = Secret32::generate(rng);
        let body = floe::seal_bytes(&key, scope.file(&manifest, &author, number).as_bytes(), bytes, rng).unwrap();
        records.push(FileRecord {
            path: path.parse().unwrap(),
            number,
            size: bytes.len() as u64,
            modified: 0,
            executable: false,
            offset: stream.len() as u64,
            key,
            blake3: Digest(*blake3::hash(bytes).as_bytes()),
            digests: Vec::new(),
        });
        stream.extend_from_slice(&body);
    }
    let pack = PackEntry {
        name: PackName(random()),
        length: u32::try_from(stream.len()).unwrap(),
        blake3: PackHash::of(&stream).root,
    };
    let list = PackList::new(vec![pack]).unwrap();
    let draft = Draft {
        files: records,
        salt: Secret32::generate(rng),
        stream_length: stream.len() as u64,
        pack_list: list.sha256(),
        extras: Extras { origin: None, replaces: Vec::new() },
    };
    let made = Manifest::new(draft).unwrap();
    let mut plain = made.emit().unwrap().to_vec();
    bend(&mut plain);
    let key = Secret32::generate(rng);
    let sealed = floe::seal_bytes(&key, scope.manifest(&manifest, &author).as_bytes(), &plain, rng).unwrap();
    let header = seal::seal(&public, &key, &scope.manifest_key(epoch, &manifest, &author), rng).unwrap();
    let hash = digest(&header);
    write_object(vault, &ObjectName::Pack { dataset: dataset(), upload, pack: list.packs()[0].name }, &stream);
    write_object(vault, &ObjectName::PackList { dataset: dataset(), upload, manifest }, &list.emit());
    write_object(vault, &ObjectName::Manifest { dataset: dataset(), manifest }, &sealed);
    write_object(vault, &ObjectName::Header { dataset: dataset(), epoch, manifest, hash }, &header);
    says(vault, who, ledger(), Body::UploadOpened(UploadOpened { ends: 4_000_000_000, upload }));
    let signed = ManifestHash {
        blake3: Digest(*blake3::hash(&sealed).as_bytes()),
        files: files.len() as u64,
        header: hash,
        length: sealed.len() as u64,
        manifest,
        packs: PacksHash { bytes: stream.len() as u64, count: 1, list: list.sha256() },
        root: made.root(),
        supersedes: None,
    };
    says(vault, who, ledger(), Body::UploadCommitted(UploadCommitted { epoch, manifests: vec![signed], upload }));
    manifest
}

/// Exchanges a path in a manifest's plaintext, wherever it stands there.
fn renamed(plain: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..plain.len() - from.len()).filter(|&at| plain[at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        plain[at..at + to.len()].copy_from_slice(to);
    }
}

#[test]
fn an_upload_whose_paths_leave_the_folder_is_named_left_out_and_writes_nothing() {
    const PATH: &str = "aaaa/evil.txt";
    let bad: [&[u8]; 10] = [
        b"../aa/evil.tx",
        b"/aaaa/evil.tx",
        b"aa/../evil.tx",
        b"aaaa/./evil.t",
        b"aaaa//evil.tx",
        b"aaaa\\evil.txt",
        b"aaaa/evil\0txt",
        b"aaaa/evil\ntxt",
        b"aaaa/evil.tx/",
        b"aaaa/evil\xff.tx",
    ];
    let den = Den::new(story(), Kind::Folder);
    let seq = den.world.person("seq");
    // As it is made, it is read: so it is the path that is refused.
    uploads(&den.folder(), &seq, &[("good/file", b"read me")], |_| ());
    assert_eq!(den.person("anna").gets(COHORT)["good/file"], b"read me");
    let ids: Vec<ManifestId> = bad
        .iter()
        .map(|path| {
            uploads(&den.folder(), &seq, &[(PATH, b"out of bounds")], |plain| renamed(plain, PATH.as_bytes(), path))
        })
        .collect();
    // One that is a file and another's folder.
    let both = uploads(&den.folder(), &seq, &[("aaab", b"a file"), ("aaac/evil.txt", b"below it")], |plain| {
        renamed(plain, b"aaac/", b"aaab/");
    });
    let world = den.world;
    for kind in crate::mallory_den::ALL {
        let copy = world.copy();
        fs::remove_dir_all(copy.path("vault")).unwrap();
        fs::rename(copy.path("hers"), copy.path("vault")).unwrap();
        let den = Den::new(copy, kind);
        let before: Vec<String> = objects(den.world.root()).into_keys().collect();
        let said = den.person("anna").fails(5, &GET);
        for id in ids.iter().chain([&both]) {
            assert!(said.contains(&format!("manifest {id}")), "{said}");
        }
        let new =
            objects(den.world.root()).into_keys().filter(|name| !before.contains(name) && !name.contains(".state/"));
        let mut expected: Vec<String> = contents().into_keys().map(|path| format!("out/{path}")).collect();
        expected.push("out/good/file".to_owned());
        expected.sort();
        assert_eq!(new.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_manifest_that_is_not_what_was_signed_of_it_is_left_out() {
    everywhere(|den| {
        // Its key opens it and its commit is valid; its files are others than those that were signed.
        let id = uploads(&den.folder(), &den.world.person("seq"), &[("aaaa/one", b"x")], |plain| {
            renamed(plain, b"aaaa/one", b"aaaa/two")
        });
        let said = den.person("anna").fails(5, &["ls", COHORT]);
        assert!(said.contains(&format!("manifest {id}")), "{said}");
        let cat = den.person("anna").run(&["cat", COHORT, "aaaa/two"]);
        assert!(matches!(cat.code, Some(3 | 5)) && cat.stdout.is_empty(), "{:?} {}", cat.code, cat.stderr);
    });
}

#[test]
fn an_upload_that_is_given_up_while_it_commits_stops_and_says_so() {
    everywhere(|den| {
        den.world.write("news/today.txt", b"too late");
        let mut put = den.person("seq").start_paused("append:2", &["put", COHORT, "news"]);
        assert!(put.is_paused());
        // By a clock of months later it is past its end.
        den.person("lab").in_seconds(200 * DAY).ok(&["doctor", "--repair"]);
        let said = put.finish().fails(6);
        assert!(said.contains("was closed meanwhile"), "{said}");
        assert_eq!(den.person("anna").gets(COHORT), contents());
        assert_eq!(shown(&den.person("lab"), COHORT)["files"], 4);
    });
}

#[test]
fn an_input_that_changed_without_a_trace_in_its_size_and_time_is_read_again_under_another_key() {
    let world = bench();
    let path = world.write("run/a", &noise(40_000_000, 1));
    let seq = world.person("seq");
    let first = crate::transfer::packs(&world).len();
    assert!(seq.killed(Fault::After(2), &["put", DATA, "run"]));
    let stored: Vec<String> = crate::transfer::packs(&world).into_iter().collect();
    assert!(stored.len() > first, "no pack was stored before the kill");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000..1007].copy_from_slice(b"changed");
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    seq.ok(&["put", DATA, "run"]);
    assert!(world.person("anna").gets(DATA)["run/a"] == bytes);
    // Where two packs begin with one header, which is one key, no segment of them shares its IV with another one of other bytes.
    let vault = world.vault();
    let packs: Vec<Vec<u8>> =
        crate::transfer::packs(&world).iter().map(|name| fs::read(vault.join(name)).unwrap()).collect();
    for (n, one) in packs.iter().enumerate() {
        for other in packs[n + 1..].iter().filter(|other| other[..floe::HEADER] == one[..floe::HEADER]) {
            let segments =
                |pack: &[u8]| pack[floe::HEADER..].chunks(floe::SEGMENT).map(<[u8]>::to_vec).collect::<Vec<_>>();
            for (a, b) in segments(one).iter().zip(segments(other)) {
                assert!(a[4..floe::BODY_START] != b[4..floe::BODY_START] || *a == b, "an IV was used twice");
            }
        }
    }
}

// ---- Identities ----

/// Runs a command of somebody with 1 GB of address space.
fn limited(who: &Person, args: &[&str]) -> (Option<i32>, String, Duration) {
    let whole = who.command(args);
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]).arg(whole.get_program()).args(whole.get_args());
    command.current_dir(whole.get_current_dir().unwrap()).env_clear();
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let begun = Instant::now();
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned(), begun.elapsed())
}

#[test]
fn an_identity_file_that_asks_for_absurd_costs_is_refused_before_it_costs_anything() {
    let world = story();
    let anna = world.person("anna");
    let whole = fs::read(anna.identity()).unwrap();
    let line = b"seqvault identity 1\n".len();
    let end = line + 4 + usize::try_from(u32::from_be_bytes(whole[line..line + 4].try_into().unwrap())).unwrap();
    let head: Value = serde_json::from_slice(&whole[line + 4..end]).unwrap();
    let with = |kdf: Value| {
        let mut head = head.clone();
        for (name, value) in kdf.as_object().unwrap() {
            head["kdf"][name] = value.clone();
        }
        let head = canonical::emit(&head).unwrap();
        let length = u32::try_from(head.len()).unwrap().to_be_bytes();
        [&whole[..line], &length, &head, &whole[end..]].concat()
    };
    assert!(with(json!({})) == whole);
    for kdf in [
        json!({"m_kib": 1_048_577}),
        json!({"m_kib": 4_294_967_295_u32}),
        json!({"m_kib": 9_007_199_254_740_991_i64}),
        json!({"t": 17}),
        json!({"t": 0}),
        json!({"t": 4_294_967_295_u32}),
        json!({"p": 5}),
        json!({"p": 0}),
        json!({"m_kib": 0}),
        json!({"m_kib": -1}),
    ] {
        fs::write(anna.identity(), with(kdf.clone())).unwrap();
        fs::set_permissions(anna.identity(), fs::Permissions::from_mode(0o600)).unwrap();
        let (code, said, time) = limited(&anna, &["ls", COHORT]);
        assert_eq!(code, Some(7), "{kdf}: {said}");
        assert!(said.contains("anna.id") && time < Duration::from_secs(10), "{kdf}: {time:?} {said}");
    }
    // A weaker cost than the one that was written opens nothing: the head is bound into the key's use.
    fs::write(anna.identity(), with(json!({"t": 2}))).unwrap();
    let of_cost = anna.fails(7, &["ls", COHORT]);
    fs::write(anna.identity(), &whole).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(anna.identity(), flipped).unwrap();
    let of_secrets = anna.fails(7, &["ls", COHORT]);
    fs::write(anna.identity(), &whole).unwrap();
    let mut command = anna.command(&["ls", COHORT]);
    let done = command.env("SEQVAULT_TESTS_PASSPHRASE", "quite another one").output().unwrap();
    let of_passphrase = String::from_utf8(done.stderr).unwrap();
    // Whatever was wrong, the words are the same: they tell nobody which.
    assert_eq!(of_cost, of_secrets);
    assert_eq!(of_cost, of_passphrase);
}
