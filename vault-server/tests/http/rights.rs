//! Who may what: every row of spec section 7.3, for everybody.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;
use vault_core::ids::{CardId, Digest, LedgerId, ManifestId, MemberId, PackName, UploadId};
use vault_core::layout::{BundleSize, ObjectName};
use vault_core::ledger::statement::{
    Body, DatasetCreated, DatasetDeleted, DatasetDeletedTerms, EpochClosed, EpochOpened, EpochSeal, Facts, FirstEpoch,
    GrantTerms, Granted, MemberEnrolled, Revoked, Role, RoleSet, Seal, Suspended, UploadClosed, UploadCommitted,
    UploadOpened, UploaderSet,
};
use vault_server::http::rights::{Act, Refusal, Under, Who, may};

use crate::common::{Person, World, dataset, dataset_ledger, epoch_public, info, text};

/// The columns of the tables: one letter each.
const PEOPLE: [(char, &str); 11] = [
    ('O', "officer"),
    ('S', "steward"),
    ('G', "granted"),
    ('E', "ended"),
    ('R', "revoked"),
    ('P', "suspended"),
    ('U', "uploader"),
    ('A', "auditor"),
    ('M', "member"),
    ('Y', "recovery"),
    ('C', "creator"),
];

/// When the grant of `ended` ends.
const ENDS: u64 = 500_000;

struct Town {
    _dir: TempDir,
    world: World,
    people: BTreeMap<char, Person>,
    open: UploadId,
    closed: UploadId,
    committed: UploadId,
    manifest: ManifestId,
}

fn seal_of(seal: EpochSeal) -> Seal {
    Seal { card: seal.card, member: seal.member, sha256: seal.sha256 }
}

impl Town {
    async fn new() -> Self {
        let (dir, mut world) = World::in_folder().await;
        let mut people = BTreeMap::new();
        for (number, (letter, name)) in (20..).zip(PEOPLE) {
            if letter == 'O' {
                people.insert(letter, Person::new("officer", 1));
                continue;
            }
            let name = if letter == 'U' { "filler" } else { name };
            let person = Person::new(name, number);
            let enrolled = MemberEnrolled { cards: vec![person.stored()], info: info(), member: person.member.clone() };
            world.say(&LedgerId::Vault, Body::MemberEnrolled(enrolled)).await;
            people.insert(letter, person);
        }
        for (letter, role) in [('S', Role::Creator), ('C', Role::Creator), ('A', Role::Auditor)] {
            let member = people[&letter].member.clone();
            let body = RoleSet { dataset: None, member, on: true, role };
            world.say(&LedgerId::Vault, Body::RoleSet(body)).await;
        }
        let none = UploadId([0; 16]);
        let (open, closed, committed, manifest) = (none, none, none, ManifestId([0; 16]));
        let mut town = Self { _dir: dir, world, people, open, closed, committed, manifest };
        town.make_dataset().await;
        town
    }

    async fn say(&mut self, letter: char, body: Body) {
        let stored = self.world.sign(&self.people[&letter], &dataset_ledger(), body);
        self.world.append(&dataset_ledger(), stored).await.unwrap();
    }

    async fn seal(&mut self, epoch: u64, letter: char) -> EpochSeal {
        let (member, card) = (self.people[&letter].member.clone(), self.people[&letter].card());
        self.world.seal(epoch, &member, card).await
    }

    async fn make_dataset(&mut self) {
        let recovery: BTreeSet<CardId> = [self.people[&'Y'].card()].into();
        let seals = [seal_of(self.seal(1, 'S').await), seal_of(self.seal(1, 'Y').await)];
        let created = DatasetCreated {
            epoch: FirstEpoch { public: epoch_public(1), seals: seals.into_iter().collect() },
            facts: Facts::default(),
            level: 1,
            recovery: recovery.into_iter().collect(),
            title: text("a cohort"),
        };
        self.say('S', Body::DatasetCreated(created)).await;
        for letter in ['G', 'E', 'R', 'P'] {
            let seal = self.seal(1, letter).await;
            let member = self.people[&letter].member.clone();
            let ends = (letter == 'E').then_some(ENDS);
            let granted = Granted {
                approval: None,
                reservation: None,
                seals: [seal].into_iter().collect(),
                terms: GrantTerms { ends, facts: Facts::default(), member },
                trace: None,
            };
            self.say('S', Body::Granted(granted)).await;
        }
        let member = |town: &Self, letter: char| town.people[&letter].member.clone();
        let revoked = Revoked { member: member(self, 'R'), reason: text("over") };
        self.say('S', Body::Revoked(revoked)).await;
        let suspended = Suspended { members: [member(self, 'P')].into_iter().collect(), reason: text("a question") };
        self.say('S', Body::Suspended(suspended)).await;
        self.rotate().await;
        let uploader = UploaderSet { member: member(self, 'U'), on: true };
        self.say('S', Body::UploaderSet(uploader)).await;
        (self.committed, self.closed, self.open) = (self.upload().await, self.upload().await, self.upload().await);
        let signed = self.world.put_manifest(self.committed, 2, &[9]).await;
        self.manifest = signed.manifest;
        let body = UploadCommitted { epoch: 2, manifests: vec![signed], upload: self.committed };
        self.say('U', Body::UploadCommitted(body)).await;
        let body = UploadClosed { reason: text("given up"), upload: self.closed };
        self.say('U', Body::UploadClosed(body)).await;
    }

    /// Epoch 2, to those who hold grants by the ledger's own times; epoch 1 is closed.
    async fn rotate(&mut self) {
        let mut seals = Vec::new();
        for letter in ['E', 'G', 'Y', 'S'] {
            seals.push(seal_of(self.seal(2, letter).await));
        }
        let body = EpochOpened {
            epoch: 2,
            public: epoch_public(2),
            reason: text("rotation"),
            revokes: [].into_iter().collect(),
            seals: seals.into_iter().collect(),
            unsealed: [].into_iter().collect(),
        };
        self.say('S', Body::EpochOpened(body)).await;
        let closed = EpochClosed { count: 0, epoch: 2, table: None, void: [].into_iter().collect() };
        self.say('S', Body::EpochClosed(closed)).await;
    }

    async fn upload(&mut self) -> UploadId {
        let upload = UploadId(self.world.random_id());
        self.say('U', Body::UploadOpened(UploadOpened { ends: 1 << 40, upload })).await;
        upload
    }

    fn member(&self, letter: char) -> MemberId {
        self.people[&letter].member.clone()
    }

    fn grant(&self, epoch: u64, letter: char) -> ObjectName {
        let (member, card) = (self.member(letter), self.people[&letter].card());
        ObjectName::Grant { dataset: dataset(), epoch, member, card, hash: Digest([5; 32]) }
    }
}

/// The letters of those who may, in the order of [`PEOPLE`].
async fn allowed(town: &Town, act: Act<'_>, now: u64, of_dataset: bool) -> String {
    let view = town.world.vault.view(&dataset()).await.unwrap();
    let dataset = of_dataset.then_some(&*view.dataset);
    let may = |letter: &char| {
        let person = &town.people[letter];
        let who = Who { member: &person.member, card: &person.card() };
        match may(act, who, Under { vault: &view.vault, dataset, now }) {
            Ok(()) => true,
            Err(Refusal::NotAllowed(why)) => {
                assert!(!why.is_empty());
                false
            }
            Err(Refusal::Stopped(stop)) => panic!("{stop}"),
            Err(_) => false,
        }
    };
    PEOPLE.iter().map(|(letter, _)| *letter).filter(may).collect()
}

#[tokio::test]
async fn each_row_of_the_table_holds_for_everybody() {
    let town = Town::new().await;
    let ds = dataset();
    let all: String = PEOPLE.iter().map(|(letter, _)| *letter).collect();
    let pack = |upload| ObjectName::Pack { dataset: ds.clone(), upload, pack: PackName([1; 16]) };
    let list = |upload| ObjectName::PackList { dataset: ds.clone(), upload, manifest: ManifestId([2; 16]) };
    let groups = |upload| ObjectName::Groups { dataset: ds.clone(), upload, manifest: ManifestId([2; 16]) };
    let manifest = |manifest| ObjectName::Manifest { dataset: ds.clone(), manifest };
    let header = ObjectName::Header { dataset: ds.clone(), epoch: 2, manifest: town.manifest, hash: Digest([3; 32]) };
    let table = ObjectName::Table { dataset: ds.clone(), epoch: 2, hash: Digest([3; 32]) };
    let entry = ObjectName::Entry { ledger: LedgerId::Vault, seq: 0 };
    let seen = ObjectName::Seen(Digest([4; 32]));
    let bundle = ObjectName::Bundle { ledger: LedgerId::Vault, size: BundleSize::Sixteen, index: 0 };
    let marker = ObjectName::Marker { member: town.member('G'), dataset: ds.clone() };
    let subject = ObjectName::SubjectSeal {
        generation: 1,
        member: town.member('M'),
        card: town.people[&'M'].card(),
        hash: Digest([5; 32]),
    };
    let kept = ObjectName::Kept { dataset: ds.clone(), hash: Digest([5; 32]) };
    let (strange, new) = (UploadId([9; 16]), ManifestId([8; 16]));
    let read: Vec<(ObjectName, &str)> = vec![
        (ObjectName::FormatMarker, &all),
        (entry.clone(), &all),
        (seen.clone(), &all),
        (bundle.clone(), ""),
        (marker.clone(), ""),
        (subject.clone(), "M"),
        (kept.clone(), "OSC"),
        (town.grant(2, 'G'), "G"),
        (town.grant(2, 'S'), "S"),
        (town.grant(2, 'Y'), "Y"),
        (town.grant(2, 'E'), ""),
        (town.grant(2, 'R'), ""),
        (town.grant(2, 'P'), ""),
        (town.grant(2, 'O'), ""),
        (town.grant(3, 'G'), "G"),
        (town.grant(1, 'G'), ""),
        (town.grant(1, 'Y'), ""),
        (header.clone(), "SGY"),
        (table.clone(), "SGY"),
        (pack(town.open), "OSGUAY"),
        (pack(town.committed), "OSGAY"),
        (pack(town.closed), "OSGAY"),
        (pack(strange), "OSGAY"),
        (list(town.open), "OSGUAY"),
        (list(town.committed), "OSGAY"),
        (groups(town.open), "OSGUAY"),
        (groups(town.committed), "OSGAY"),
        (manifest(new), "OSGUAY"),
        (manifest(town.manifest), "OSGAY"),
    ];
    for (name, who) in &read {
        assert_eq!(allowed(&town, Act::Read(name), ENDS, true).await, *who, "read {name}");
    }
    let put: Vec<(ObjectName, &str)> = vec![
        (ObjectName::FormatMarker, ""),
        (entry, ""),
        (bundle, ""),
        (marker, ""),
        (seen, "OSC"),
        (subject, "OSC"),
        (kept, "S"),
        (town.grant(2, 'M'), "SGY"),
        (table, "S"),
        (header, "U"),
        (pack(town.open), "U"),
        (pack(town.committed), ""),
        (pack(town.closed), ""),
        (pack(strange), ""),
        (list(town.open), "U"),
        (list(town.committed), ""),
        (groups(town.open), "U"),
        (groups(town.closed), ""),
        (manifest(new), "U"),
    ];
    for (name, who) in &put {
        assert_eq!(allowed(&town, Act::Put(name), ENDS, true).await, *who, "put {name}");
    }
    let withdraw: Vec<(ObjectName, &str)> = vec![
        (pack(town.committed), "SU"),
        (pack(town.open), "SU"),
        (pack(strange), "S"),
        (list(town.open), "U"),
        (town.grant(2, 'M'), "SGY"),
        (ObjectName::Table { dataset: ds.clone(), epoch: 3, hash: Digest([3; 32]) }, "S"),
        (ObjectName::Header { dataset: ds.clone(), epoch: 2, manifest: new, hash: Digest([3; 32]) }, "SU"),
        (ObjectName::Seen(Digest([4; 32])), "OSC"),
    ];
    for (name, who) in &withdraw {
        assert_eq!(allowed(&town, Act::Withdraw(name), ENDS, true).await, *who, "withdraw {name}");
    }
    for (act, who) in [
        (Act::Ledgers, all.as_str()),
        (Act::Append, &all),
        (Act::Clean, "OS"),
        (Act::Sweep(&town.closed), "OSU"),
        (Act::Sweep(&strange), "OS"),
        (Act::Doctor { repair: false }, "OSAC"),
        (Act::Doctor { repair: true }, "OSC"),
    ] {
        assert_eq!(allowed(&town, act, ENDS, true).await, who, "{act:?}");
    }
}

#[tokio::test]
async fn of_a_deleted_dataset_nobody_reads_or_puts_an_object() {
    let mut town = Town::new().await;
    let terms = DatasetDeletedTerms { reason: text("over") };
    town.say('S', Body::DatasetDeleted(DatasetDeleted { approval: None, terms })).await;
    let (ds, upload, manifest) = (dataset(), town.open, town.manifest);
    for name in [
        ObjectName::Pack { dataset: ds.clone(), upload, pack: PackName([1; 16]) },
        ObjectName::PackList { dataset: ds.clone(), upload, manifest },
        ObjectName::Groups { dataset: ds.clone(), upload, manifest },
        ObjectName::Manifest { dataset: ds.clone(), manifest },
        ObjectName::Header { dataset: ds.clone(), epoch: 2, manifest, hash: Digest([3; 32]) },
        ObjectName::Table { dataset: ds.clone(), epoch: 2, hash: Digest([3; 32]) },
        town.grant(2, 'G'),
    ] {
        assert_eq!(allowed(&town, Act::Read(&name), ENDS, true).await, "", "read {name}");
        assert_eq!(allowed(&town, Act::Put(&name), ENDS, true).await, "", "put {name}");
    }
    let kept = ObjectName::Kept { dataset: ds, hash: Digest([5; 32]) };
    assert_eq!(allowed(&town, Act::Read(&kept), ENDS, true).await, "");
    assert_eq!(allowed(&town, Act::Put(&kept), ENDS, true).await, "");
    assert_eq!(allowed(&town, Act::Clean, ENDS, true).await, "OS");
    assert_eq!(allowed(&town, Act::Doctor { repair: true }, ENDS, true).await, "OSC");
}

#[tokio::test]
async fn who_may_not_upload_any_more_fills_nothing() {
    let mut town = Town::new().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload: town.open, pack: PackName([1; 16]) };
    let manifest = ObjectName::Manifest { dataset: dataset(), manifest: ManifestId([8; 16]) };
    for name in [&pack, &manifest] {
        assert_eq!(allowed(&town, Act::Put(name), ENDS, true).await, "U");
    }
    let member = town.member('U');
    town.say('S', Body::UploaderSet(UploaderSet { member, on: false })).await;
    for name in [&pack, &manifest] {
        assert_eq!(allowed(&town, Act::Put(name), ENDS, true).await, "");
        assert_eq!(allowed(&town, Act::Read(name), ENDS, true).await, "OSGAY");
    }
}

#[tokio::test]
async fn a_grant_ends_by_the_servers_clock() {
    let town = Town::new().await;
    let table = ObjectName::Table { dataset: dataset(), epoch: 2, hash: Digest([3; 32]) };
    assert_eq!(allowed(&town, Act::Read(&table), ENDS - 1, true).await, "SGEY");
    assert_eq!(allowed(&town, Act::Read(&town.grant(2, 'E')), ENDS - 1, true).await, "E");
    assert_eq!(allowed(&town, Act::Read(&table), ENDS, true).await, "SGY");
}

#[tokio::test]
async fn before_a_dataset_exists_creators_prepare_its_first_epoch_and_nothing_else() {
    let town = Town::new().await;
    let ds = dataset();
    let table = ObjectName::Table { dataset: ds.clone(), epoch: 1, hash: Digest([3; 32]) };
    for (name, who) in [(town.grant(1, 'M'), "OSC"), (town.grant(2, 'M'), ""), (table.clone(), "")] {
        assert_eq!(allowed(&town, Act::Put(&name), 0, false).await, who);
        assert_eq!(allowed(&town, Act::Withdraw(&name), 0, false).await, who);
    }
    let pack = ObjectName::Pack { dataset: ds.clone(), upload: town.open, pack: PackName([1; 16]) };
    let manifest = ObjectName::Manifest { dataset: ds, manifest: town.manifest };
    for name in [&pack, &manifest] {
        assert_eq!(allowed(&town, Act::Put(name), 0, false).await, "");
    }
    assert_eq!(allowed(&town, Act::Read(&town.grant(1, 'M')), 0, false).await, "");
    assert_eq!(allowed(&town, Act::Read(&table), 0, false).await, "");
    assert_eq!(allowed(&town, Act::Read(&pack), 0, false).await, "OA");
}
