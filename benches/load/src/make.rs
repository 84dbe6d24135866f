//! A vault with many datasets, written straight into an empty store: entries, bundles, markers, and a manifest a dataset.
//!
//! What statements name beside that (sealed secrets, headers, packs) is not there: the server does not look at it when it answers for
//! ledgers and rights. The first and the last dataset are read back and folded, and each of their entries has to count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use vault_core::card::Card;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, MemberId, UploadId, VaultId, VaultNonce};
use vault_core::json::{self, B64};
use vault_core::layout::{BundleSize, FORMAT_MARKER, ObjectName};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::fold::{Verdict, entry_hash};
use vault_core::ledger::statement::{
    Algorithms, ApprovalCounts, Body, DatasetCreated, EpochSeal, Facts, FirstEpoch, Genesis, GenesisMember, GrantTerms,
    Granted, Info, Jurisdiction, ManifestHash, MemberEnrolled, OrganisationKind, PacksHash, Role, RoleSet, Seal,
    Statement, Text, UploadCommitted, UploadOpened, UploaderSet, VaultHead,
};
use vault_core::ledger::vault::VaultState;
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;

use crate::people::{self, Person, SUITE};

/// Objects written at once.
const AT_ONCE: usize = 48;

/// Write a vault with many datasets into an empty store
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder, or s3://bucket/prefix with AWS_ENDPOINT_URL and the rest in the environment
    place: String,
    /// Datasets
    #[arg(long, default_value_t = 1000)]
    datasets: usize,
    /// Statements a dataset
    #[arg(long, default_value_t = 100)]
    statements: usize,
    /// Members whose keys this program knows
    #[arg(long, default_value_t = 64)]
    members: usize,
    /// Members with a grant in each dataset
    #[arg(long, default_value_t = 8)]
    readers: usize,
    /// A member with an identity file, who may create datasets: NAME=CARD
    #[arg(long, value_name = "NAME=CARD")]
    person: Vec<String>,
    /// Where the invitation names the vault, for `seqvault join`
    #[arg(long, default_value = "")]
    invite_to: String,
}

/// A ledger that grows.
struct Ledger {
    id: LedgerId,
    entries: Vec<Bytes>,
    head: Option<EntryHash>,
}

/// The vault, as far as its statements need it.
struct Vault {
    id: VaultId,
    head: VaultHead,
    time: u64,
    entries: Vec<Bytes>,
    people: Vec<Person>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (store, prefix) = open(&args.place)?;
    ensure!(args.members >= 2 && args.readers < args.members, "more members than readers are needed");
    let began = Instant::now();
    let vault = Arc::new(vault(&args)?);
    let root = |name: &ObjectName| Key::from(format!("{prefix}{name}"));
    store.put(&root(&ObjectName::FormatMarker), Bytes::from_static(FORMAT_MARKER).into()).await?;
    let vault_ledger = Ledger { id: LedgerId::Vault, entries: vault.entries.clone(), head: None };
    write(&*store, &root, objects_of(&vault_ledger)).await?;

    let (datasets, statements, readers) = (args.datasets, args.statements, args.readers);
    let made = stream::iter(0..datasets).map(|number| {
        let vault = Arc::clone(&vault);
        tokio::task::spawn_blocking(move || dataset(&vault, number, statements, readers))
    });
    let mut made = made.buffered(4);
    let mut count = 0;
    while let Some(objects) = made.next().await {
        let objects = objects??;
        count += objects.len();
        write(&*store, &root, objects).await?;
    }
    for person in &args.person {
        let (name, _) = person.split_once('=').context("--person NAME=CARD")?;
        println!("invite {name} {}", invitation(&vault, name, &args.invite_to)?);
    }
    println!("vault {}", vault.id);
    println!("{} statements, {count} objects, {:.1} s", datasets * statements, began.elapsed().as_secs_f64());
    Ok(())
}

fn open(place: &str) -> Result<(Arc<dyn ObjectStore>, String)> {
    let Some(rest) = place.strip_prefix("s3://") else {
        let folder = PathBuf::from(place);
        std::fs::create_dir_all(&folder)?;
        return Ok((Arc::new(LocalFileSystem::new_with_prefix(folder)?), String::new()));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = if prefix.is_empty() { String::new() } else { format!("{}/", prefix.trim_end_matches('/')) };
    let store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(true).build()?;
    Ok((Arc::new(store), prefix))
}

async fn write(
    store: &dyn ObjectStore,
    root: &impl Fn(&ObjectName) -> Key,
    objects: Vec<(ObjectName, Bytes)>,
) -> Result<()> {
    let puts = objects.into_iter().map(|(name, bytes)| async move { store.put(&root(&name), bytes.into()).await });
    stream::iter(puts).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}

fn vault(args: &Args) -> Result<Vault> {
    let people = (0..args.members).map(Person::of).collect::<Result<Vec<_>>>()?;
    let officer = people.first().context("an officer")?;
    // An hour ago: nothing in it is from the future, whatever the clocks do.
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3600;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    let stored = genesis(officer, time, nonce)?;
    let hash = entry_hash(None, &stored);
    let mut vault = Vault {
        id: VaultId(hash.0),
        head: VaultHead { hash, seq: 0 },
        time,
        entries: vec![stored],
        people: Vec::new(),
    };
    let mut cards: Vec<(MemberId, Card)> = people.iter().skip(1).map(|p| (p.member.clone(), p.card.clone())).collect();
    let mut creators = vec![officer.member.clone()];
    for person in &args.person {
        let (name, path) = person.split_once('=').context("--person NAME=CARD")?;
        let member: MemberId = name.parse().context("member")?;
        cards.push((member.clone(), Card::parse(std::fs::read_to_string(path)?.trim().as_bytes())?));
        creators.push(member);
    }
    for (member, card) in cards {
        let card = B64(card.stored().to_vec());
        let body = Body::MemberEnrolled(MemberEnrolled { cards: vec![card], info: info()?, member });
        vault.say(officer, body)?;
    }
    for member in creators {
        vault.say(officer, Body::RoleSet(RoleSet { dataset: None, member, on: true, role: Role::Creator }))?;
    }
    vault.people = people;
    Ok(vault)
}

fn genesis(officer: &Person, time: u64, nonce: [u8; 16]) -> Result<Bytes> {
    let card = B64(officer.card.stored().to_vec());
    let body = Body::Genesis(Genesis {
        algorithms: Algorithms::of(SUITE),
        approvals: ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 },
        head_age: 3600 * 24,
        members: vec![GenesisMember { cards: vec![card], info: info()?, member: officer.member.clone() }],
        nonce: VaultNonce(nonce),
        recovery: BTreeSet::<CardId>::new().into_iter().collect(),
        suite: SUITE,
    });
    let statement = Statement {
        author: officer.member.clone(),
        body,
        card: officer.id(),
        ledger: LedgerId::Vault,
        prev: None,
        seq: 0,
        time,
        vault: None,
        vault_head: None,
    };
    Ok(officer.says(&statement)?.into())
}

impl Vault {
    fn say(&mut self, who: &Person, body: Body) -> Result<()> {
        let seq = self.entries.len() as u64;
        let statement = Statement {
            author: who.member.clone(),
            body,
            card: who.id(),
            ledger: LedgerId::Vault,
            prev: Some(self.head.hash),
            seq,
            time: self.time,
            vault: Some(self.id),
            vault_head: None,
        };
        let stored = Bytes::from(who.says(&statement)?);
        self.head = VaultHead { hash: entry_hash(Some(self.head.hash), &stored), seq };
        self.entries.push(stored);
        Ok(())
    }
}

impl Ledger {
    fn say(&mut self, vault: &Vault, who: &Person, body: Body) -> Result<()> {
        let prev = self.head.unwrap_or(EntryHash(vault.id.0));
        let statement = Statement {
            author: who.member.clone(),
            body,
            card: who.id(),
            ledger: self.id.clone(),
            prev: Some(prev),
            seq: self.entries.len() as u64,
            time: vault.time + 1,
            vault: Some(vault.id),
            vault_head: Some(vault.head),
        };
        let stored = Bytes::from(who.says(&statement)?);
        self.head = Some(entry_hash(Some(prev), &stored));
        self.entries.push(stored);
        Ok(())
    }
}

/// A dataset as an active one looks: a creation, some uploaders and grants, then uploads to the end.
fn dataset(vault: &Vault, number: usize, statements: usize, readers: usize) -> Result<Vec<(ObjectName, Bytes)>> {
    let id = people::dataset(number)?;
    let steward = vault.people.first().context("a steward")?;
    // Other readers in other datasets, so that a member sees a part of the vault.
    let others = vault.people.len() - 1;
    let readers: Vec<&Person> = (0..readers).filter_map(|n| vault.people.get(1 + (number + n) % others)).collect();
    let mut ledger = Ledger { id: LedgerId::Dataset(id.clone()), entries: Vec::new(), head: None };
    ledger.say(vault, steward, created(steward, number)?)?;
    let body = UploaderSet { member: steward.member.clone(), on: true };
    ledger.say(vault, steward, Body::UploaderSet(body))?;
    for reader in &readers {
        ledger.say(vault, steward, granted(reader, number))?;
    }
    let mut manifests = 0;
    while ledger.entries.len() + 1 < statements {
        let upload = UploadId(people::id("upload", number, manifests));
        ledger.say(vault, steward, Body::UploadOpened(UploadOpened { ends: 1 << 40, upload }))?;
        ledger.say(vault, steward, committed(number, manifests, upload))?;
        manifests += 1;
    }
    while ledger.entries.len() < statements {
        let body = UploaderSet { member: steward.member.clone(), on: true };
        ledger.say(vault, steward, Body::UploaderSet(body))?;
    }
    if number == 0 {
        check(vault, &id, &ledger)?;
    }
    let mut objects = objects_of(&ledger);
    let marker = |member: &MemberId| ObjectName::Marker { member: member.clone(), dataset: id.clone() };
    objects.extend(readers.iter().map(|reader| (marker(&reader.member), Bytes::new())));
    objects.push((marker(&steward.member), Bytes::new()));
    let manifest = people::manifest(number, 0);
    objects.push((ObjectName::Manifest { dataset: id, manifest }, Bytes::from(vec![0; 500])));
    Ok(objects)
}

fn check(vault: &Vault, id: &DatasetId, ledger: &Ledger) -> Result<()> {
    let state = VaultState::fold(&vault.id, &vault.entries)?;
    let dataset = DatasetState::fold(&state, &Exposures::default(), id, &ledger.entries)?;
    for (seq, judged) in state.judged().iter().chain(dataset.judged()).enumerate() {
        if !matches!(judged.verdict, Verdict::Applied) {
            bail!("a statement of this program does not count: {seq}, {:?}", judged.verdict);
        }
    }
    Ok(())
}

/// Entries, and their bundles of both sizes.
fn objects_of(ledger: &Ledger) -> Vec<(ObjectName, Bytes)> {
    let mut objects = Vec::new();
    for (seq, entry) in (0..).zip(&ledger.entries) {
        objects.push((ObjectName::Entry { ledger: ledger.id.clone(), seq }, entry.clone()));
    }
    for (size, length) in [(BundleSize::Sixteen, 16), (BundleSize::TwoFiftySix, 256)] {
        for (index, entries) in (0..).zip(ledger.entries.chunks_exact(length)) {
            let mut bytes = BytesMut::new();
            for entry in entries {
                bytes.put_u32(u32::try_from(entry.len()).unwrap_or(u32::MAX));
                bytes.put_slice(entry);
            }
            objects.push((ObjectName::Bundle { ledger: ledger.id.clone(), size, index }, bytes.freeze()));
        }
    }
    objects
}

fn created(steward: &Person, number: usize) -> Result<Body> {
    let seal = Seal {
        card: steward.id(),
        member: steward.member.clone(),
        sha256: Digest(people::hash("steward's seal", number)),
    };
    let public = PrivateKey::from_secret(SUITE, Secret32::take(&mut people::hash("epoch", number))).public_key();
    Ok(Body::DatasetCreated(DatasetCreated {
        epoch: FirstEpoch { public: B64(public.as_bytes().to_vec()), seals: [seal].into_iter().collect() },
        facts: Facts::default(),
        level: 1,
        recovery: BTreeSet::<CardId>::new().into_iter().collect(),
        title: Text::parse(&format!("Measured dataset {number}"))?,
    }))
}

fn granted(reader: &Person, number: usize) -> Body {
    let sha256 = Digest(people::hash(reader.member.to_string().as_str(), number));
    let seal = EpochSeal { card: reader.id(), epoch: 1, member: reader.member.clone(), sha256 };
    Body::Granted(Granted {
        approval: None,
        reservation: None,
        seals: [seal].into_iter().collect(),
        terms: GrantTerms { ends: None, facts: Facts::default(), member: reader.member.clone() },
        trace: None,
    })
}

fn committed(dataset: usize, number: usize, upload: UploadId) -> Body {
    let digest = |what: &str| Digest(people::hash(&format!("{what} {dataset}"), number));
    let manifest = ManifestHash {
        blake3: digest("manifest"),
        files: 12,
        header: digest("header"),
        length: 500,
        manifest: people::manifest(dataset, number),
        packs: PacksHash { bytes: 64 << 25, count: 64, list: digest("list") },
        root: digest("root"),
        supersedes: None,
    };
    Body::UploadCommitted(UploadCommitted { epoch: 1, manifests: vec![manifest], upload })
}

fn info() -> Result<Info> {
    Ok(Info {
        facts: Facts::default(),
        jurisdiction: Jurisdiction::parse("CN").context("jurisdiction")?,
        kind: OrganisationKind::Hospital,
        organisation: Text::parse("a hospital")?,
    })
}

/// As `member add` prints it.
fn invitation(vault: &Vault, member: &str, location: &str) -> Result<String> {
    let fields = serde_json::json!({
        "hash": vault.head.hash.to_string(),
        "location": location,
        "member": member,
        "seq": vault.head.seq,
        "vault": vault.id.to_string(),
    });
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_value(fields)?;
    let text = json::to_b64(&json::emit(&fields)?).replace('+', "-").replace('/', "_");
    Ok(format!("seqvault-invite-1.{}", text.trim_end_matches('=')))
}
