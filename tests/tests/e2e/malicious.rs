//! Members who misuse the roles that they have: what a steward or an uploader signs validly and means ill. Nobody believes it beyond what
//! they had in hand anyway, and others can go on and put it right.

use std::fs;
use std::path::Path;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use vault_core::card::Card;
use vault_core::context::Scope;
use vault_core::epoch::EpochSecret;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, Digest, LedgerId, ManifestId, MemberId, PackName, UploadId};
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{
    Body, EpochOpened, ManifestHash, PacksHash, Seal, Set, Text, UploadCommitted, UploadOpened,
};
use vault_core::ledger::vault::VaultState;
use vault_core::pack::{PackEntry, PackHash, PackList};
use vault_core::seal;
use vault_keys::custodian::Custodian;
use vault_tests::world::World;

use crate::mallory::{custodian, entries, next_statement, vault_id, write_signed};
use crate::story::{COHORT, contents, is_sound, settle, shown, story};

fn ledger() -> LedgerId {
    LedgerId::Dataset(COHORT.parse().unwrap())
}

fn scope(world: &World) -> Scope {
    let vault = vault_id(&world.vault());
    let state = VaultState::fold(&vault, &entries(&world.vault(), "vault")).unwrap();
    Scope { suite: state.suite(), vault: Some(vault), dataset: Some(COHORT.parse().unwrap()) }
}

/// SHA-256, as names of sealed objects hold it.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(sha256(bytes))
}

/// Writes an object as somebody with the folder can, without the service's checks.
pub(crate) fn write_object(vault: &Path, name: &ObjectName, bytes: &[u8]) {
    let path = vault.join(name.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A steward opens an epoch and seals another secret than the epoch's to some members.
fn opens_a_split_epoch(world: &World, who: &str, cheated: &[&str]) {
    let (vault, scope, rng) = (world.vault(), scope(world), &mut UnwrapErr(SysRng));
    let state = VaultState::fold(&vault_id(&vault), &entries(&vault, "vault")).unwrap();
    let steward = custodian(&world.person(who));
    let author: MemberId = who.parse().unwrap();
    let epoch = shown(&world.person("officer"), COHORT)["epoch"].as_u64().unwrap() + 1;
    let [right, wrong] = [EpochSecret::generate(rng), EpochSecret::generate(rng)];
    let mut seals: Vec<Seal> = Vec::new();
    for member in ["anna", "ben", "deputy", "keeper", "lab"] {
        let id: MemberId = member.parse().unwrap();
        let cards: Vec<&Card> = state.current_cards(&id, state.last_seq()).map(|record| &record.card).collect();
        for card in cards {
            let secret = if cheated.contains(&member) { &wrong } else { &right };
            let sealed = secret.seal_to(&scope, epoch, &author, card, rng).unwrap();
            let (dataset, hash) = (COHORT.parse().unwrap(), digest(&sealed));
            let name = ObjectName::Grant { dataset, epoch, member: id.clone(), card: *card.id(), hash };
            write_object(&vault, &name, &sealed);
            seals.push(Seal { card: *card.id(), member: id.clone(), sha256: hash });
        }
    }
    let body = Body::EpochOpened(EpochOpened {
        epoch,
        public: B64(right.public_key(&scope, epoch).as_bytes().to_vec()),
        reason: Text::parse("scheduled").unwrap(),
        revokes: Set::default(),
        seals: seals.into_iter().collect(),
        unsealed: Set::default(),
    });
    write_signed(&vault, &steward, &next_statement(&vault, &author, steward.card(), ledger(), body));
}

#[test]
fn a_steward_who_seals_another_secret_to_a_reader_is_found_out_and_a_rotation_puts_it_right() {
    let world = story();
    opens_a_split_epoch(&world, "deputy", &["anna"]);
    let said = world.person("anna").gets_nothing(5, COHORT);
    assert!(said.contains("epoch 3"), "{said}");
    assert_eq!(world.person("ben").gets(COHORT), contents());
    world.person("lab").ok(&["rotate", COHORT]);
    // It is closed as it is: who was cheated gets the next epoch.
    world.person("lab").ok(&["rotate", COHORT]);
    is_sound(&world);
    settle(&world, COHORT);
}

#[test]
fn a_steward_who_seals_another_secret_to_other_stewards_does_not_keep_the_dataset_for_himself() {
    let world = story();
    opens_a_split_epoch(&world, "deputy", &["lab"]);
    let [officer, lab, keeper, eve] = ["officer", "lab", "keeper", "eve"].map(|name| world.person(name));
    lab.fails(5, &["rotate", COHORT]);
    officer.ok(&["member", "retire", "deputy"]);
    // By the ledger lab holds the epoch, so the keeper of the recovery card is not asked; another steward can be named whom it hands it to.
    keeper.fails(4, &["grant", COHORT, "lab"]);
    officer.ok(&["member", "role", "lab", "steward", "--dataset", COHORT, "--remove"]);
    officer.ok(&["member", "role", "eve", "steward", "--dataset", COHORT]);
    keeper.ok(&["grant", COHORT, "eve"]);
    eve.ok(&["rotate", COHORT]);
    eve.ok(&["rotate", COHORT]);
    officer.ok(&["member", "role", "lab", "steward", "--dataset", COHORT]);
    lab.ok(&["rotate", COHORT]);
    is_sound(&world);
    settle(&world, COHORT);
}

/// An upload by the instrument whose manifest key, or manifest, is rubbish.
fn commits_rubbish(world: &World, header: &[u8], manifest: ManifestId) {
    let vault = world.vault();
    let seq = custodian(&world.person("seq"));
    let author: MemberId = "seq".parse().unwrap();
    let upload = UploadId([0x5a; 16]);
    let dataset = || COHORT.parse().unwrap();
    let say = |body| write_signed(&vault, &seq, &next_statement(&vault, &author, seq.card(), ledger(), body));
    say(Body::UploadOpened(UploadOpened { ends: 4_000_000_000, upload }));
    let pack = vec![7; 1000];
    let entry = PackEntry { name: PackName([1; 16]), length: 1000, blake3: PackHash::of(&pack).root };
    let list = PackList::new(vec![entry]).unwrap().emit();
    let sealed = vec![9; 4096];
    let epoch = shown(&world.person("officer"), COHORT)["epoch"].as_u64().unwrap();
    write_object(&vault, &ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) }, &pack);
    write_object(&vault, &ObjectName::PackList { dataset: dataset(), upload, manifest }, &list);
    let name = ObjectName::Manifest { dataset: dataset(), manifest };
    if !vault.join(name.to_string()).exists() {
        write_object(&vault, &name, &sealed);
    }
    let hash = digest(header);
    write_object(&vault, &ObjectName::Header { dataset: dataset(), epoch, manifest, hash }, header);
    let manifest = ManifestHash {
        blake3: Digest(*blake3::hash(&sealed).as_bytes()),
        files: 1,
        header: hash,
        length: sealed.len() as u64,
        manifest,
        packs: PacksHash { bytes: 1000, count: 1, list: digest(&list) },
        root: Digest([3; 32]),
        supersedes: None,
    };
    say(Body::UploadCommitted(UploadCommitted { epoch, manifests: vec![manifest], upload }));
}

/// The rubbish is named, the rest is read, rotations go on, and a steward removes it.
fn rubbish_harms_nobody(world: &World, manifest: &ManifestId) {
    for name in ["anna", "lab"] {
        let person = world.person(name);
        let folder = tempfile::TempDir::new_in(world.root()).unwrap();
        let said = person.fails(5, &["get", COHORT, "--output", folder.path().to_str().unwrap()]);
        assert!(said.contains(&manifest.to_string()), "{said}");
        for (path, bytes) in contents() {
            assert!(fs::read(folder.path().join(&path)).unwrap() == bytes, "{path}");
        }
    }
    let done = world.person("lab").ok(&["rotate", COHORT]);
    assert_eq!(done["void"], serde_json::json!([manifest.to_string()]), "{done}");
    world.write("news/today.txt", b"goes on");
    world.person("seq").ok(&["put", COHORT, "news"]);
    world.person("lab").ok(&["rotate", COHORT]);
    world.person("lab").ok(&["revoke", COHORT, "ben"]);
    let found = world.person("officer").ok(&["doctor"]);
    assert!(found["findings"].to_string().contains(&manifest.to_string()), "{found}");
}

#[test]
fn a_manifest_key_that_does_not_open_stops_no_rotation_and_no_reader() {
    let world = story();
    let manifest = ManifestId([0xee; 16]);
    commits_rubbish(&world, &[5; 1168], manifest);
    rubbish_harms_nobody(&world, &manifest);
}

#[test]
fn a_key_for_a_manifest_that_it_does_not_open_stops_no_rotation_and_no_reader() {
    let world = story();
    let (scope, manifest) = (scope(&world), ManifestId([0xee; 16]));
    // A header that opens: sealed to the epoch as it should be, and the key is for something else.
    let epoch = shown(&world.person("officer"), COHORT)["epoch"].as_u64().unwrap();
    let public = entries(&world.vault(), &ledger().to_string()).iter().rev().find_map(|stored| {
        use vault_core::ledger::statement::{Entry, Said};
        match Entry::parse(stored).unwrap().said {
            Said::Known(said) => match said.body {
                Body::EpochOpened(body) if body.epoch == epoch => Some(body.public.0),
                _ => None,
            },
            Said::Unknown { .. } => None,
        }
    });
    let public = seal::PublicKey::parse(scope.suite, &public.unwrap()).unwrap();
    let rng = &mut UnwrapErr(SysRng);
    let key = vault_core::secret::Secret32::generate(rng);
    let info = scope.manifest_key(epoch, &manifest, &"seq".parse().unwrap());
    let header = seal::seal(&public, &key, &info, rng).unwrap();
    commits_rubbish(&world, &header, manifest);
    rubbish_harms_nobody(&world, &manifest);
}

#[test]
fn a_commit_that_names_somebody_elses_manifest_is_void() {
    let world = story();
    let taken = world.objects().into_keys().find_map(|name| match name.parse() {
        Ok(ObjectName::Manifest { manifest, .. }) => Some(manifest),
        _ => None,
    });
    commits_rubbish(&world, &[5; 1168], taken.unwrap());
    let report = world.person("anna").ok(&["verify"]);
    assert_eq!(report["ledgers"][1]["void"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(world.person("anna").gets(COHORT), contents());
    world.person("lab").ok(&["rotate", COHORT]);
    is_sound(&world);
}

#[test]
fn a_steward_who_appends_by_hand_grants_nothing_that_he_can_not_seal() {
    let world = story();
    // Ben is a reader; his own statement that revokes the others, or grants, is void.
    let ben = custodian(&world.person("ben"));
    let author: MemberId = "ben".parse().unwrap();
    let eve: CardId = *custodian(&world.person("eve")).card().id();
    let seal = vault_core::ledger::statement::EpochSeal {
        card: eve,
        epoch: 2,
        member: "eve".parse().unwrap(),
        sha256: Digest([1; 32]),
    };
    let body = Body::Granted(vault_core::ledger::statement::Granted {
        approval: None,
        reservation: None,
        seals: [seal].into_iter().collect(),
        terms: vault_core::ledger::statement::GrantTerms {
            ends: None,
            facts: vault_core::ledger::statement::Facts::default(),
            member: "eve".parse().unwrap(),
        },
        trace: None,
    });
    write_signed(&world.vault(), &ben, &next_statement(&world.vault(), &author, ben.card(), ledger(), body));
    is_sound(&world);
    world.person("eve").gets_nothing(4, COHORT);
}
