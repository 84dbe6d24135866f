//! Rotation, driven: asks the core for the next step, does it, asks again. Every step can be the last before a crash, and
//! anybody who holds the keys can go on. Spec 5.4 and 6.2.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use vault_core::card::Card;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, Digest, ManifestId, MemberId};
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, KeyPlace};
use vault_core::ledger::statement::{Body, EpochClosed, EpochOpened, Set, Text};
use vault_core::rotation::{self, Goal, RotationError, Step};
use vault_core::seal;
use vault_core::secret::Secret32;
use vault_policy::Lang;

use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::Keyring;
use crate::random;
use crate::seals::Seals;
use crate::session::{ATTEMPTS, Landed, Session, Signer};

/// How many manifests' keys are read at once.
const AT_ONCE: usize = 16;

/// What a rotation did.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Rotated {
    /// The newest epoch.
    pub epoch: u64,
    /// Cards that it is sealed to.
    pub sealed_to: usize,
    /// Members with a grant and no current card.
    pub unsealed: Vec<MemberId>,
    /// Manifest keys that were carried on.
    pub rewrapped: u64,
    /// Manifests whose sealed keys did not open.
    pub void: Vec<ManifestId>,
    /// Objects of older epochs that were deleted.
    pub deleted: u64,
    /// Whether the store keeps old versions of them: then they are gone from sight and not erased.
    pub versions_kept: bool,
    /// Epochs that this run opened.
    pub opened: Vec<u64>,
}

/// Drives a dataset to a goal.
///
/// # Errors
/// If a step is not this member's to do, the store fails, or a stored key is not what was signed.
pub async fn drive(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    goal: Goal,
    reason: &Text,
) -> Outcome<Rotated> {
    let mut done = Rotated::default();
    for _ in 0..ATTEMPTS {
        let step = rotation::next(dataset, &session.vault, &signer.member, &signer.card, session.at(), goal)
            .map_err(|e| not_mine(dataset, &e))?;
        match step {
            Step::Open { epoch, seal_to, unsealed } => {
                if open(session, signer, dataset, epoch, &seal_to, &unsealed, reason).await? {
                    done.opened.push(epoch);
                    done.sealed_to = seal_to.len();
                    done.unsealed = unsealed.into_iter().collect();
                }
            }
            Step::Close { epoch, manifests } => match close(session, signer, dataset, epoch, &manifests).await {
                Ok(Some((count, void))) => {
                    done.rewrapped = count;
                    done.void = void;
                }
                Ok(None) => {}
                // Whoever closed it first has deleted what was to be read.
                Err(failure) if failure.kind == Kind::NotFound && session.has_moved(dataset).await? => {}
                Err(failure) => return Err(failure),
            },
            Step::CleanUp { below } => {
                let removed = session.client.delete_epochs(dataset.id(), below).await?;
                (done.deleted, done.versions_kept) = (removed.objects, removed.kept);
                done.epoch = dataset.newest();
                return Ok(done);
            }
        }
    }
    Err(crate::session::busy(dataset.id()))
}

/// Seals a new epoch and appends `epoch-opened`. False if somebody else was first.
async fn open(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    epoch: u64,
    seal_to: &BTreeSet<(MemberId, CardId)>,
    unsealed: &BTreeSet<MemberId>,
    reason: &Text,
) -> Outcome<bool> {
    let secret = EpochSecret::generate(&mut random::system());
    let mut seals = Seals::default();
    seals.add(session, signer, dataset.id(), epoch, &secret, seal_to)?;
    say_new_cards(session, dataset, seal_to);
    let body = Body::EpochOpened(EpochOpened {
        epoch,
        public: B64(secret.public_key(&session.scope(dataset.id()), epoch).as_bytes().to_vec()),
        reason: reason.clone(),
        revokes: Set::default(),
        seals: seals.hashes().collect(),
        unsealed: unsealed.iter().cloned().collect(),
    });
    Ok(seals.append(session, signer, dataset, body).await? != Landed::Lost)
}

fn say_new_cards(session: &Session, dataset: &DatasetState, seal_to: &BTreeSet<(MemberId, CardId)>) {
    for (member, card) in seal_to {
        let known = dataset.epochs().values().any(|e| e.seals.contains_key(&(member.clone(), *card)));
        if !known && let Some(record) = session.vault.card(card) {
            say_new_card(member, &record.card, session.lang);
        }
    }
}

/// Says that something is sealed to a card which had nothing of its kind before.
pub fn say_new_card(member: &MemberId, card: &Card, lang: Lang) {
    let (print, label) = (card.fingerprint(), crate::output::printable(card.label()));
    crate::output::warn(&match lang {
        Lang::En => format!("seals to a card of {member} that is new here: {print}  {label}"),
        Lang::Zh => format!("将封装给 {member} 在此处首次出现的卡片：{print}  {label}"),
    });
}

/// Writes the key table, reads it back and appends `epoch-closed`. `None` if somebody else was first.
async fn close(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    epoch: u64,
    manifests: &[ManifestId],
) -> Outcome<Option<(u64, Vec<ManifestId>)>> {
    let mut keyring = Keyring::open(session, signer, dataset).await?;
    keyring.load_table(dataset).await?;
    let (keys, void) = collect(session, &keyring, dataset, manifests).await?;
    let count = keys.len() as u64;
    let table = if keys.is_empty() { None } else { Some(write_table(session, &keyring, dataset, epoch, keys).await?) };
    let body = EpochClosed { count, epoch, table, void: void.iter().copied().collect() };
    match session.append(signer, dataset, Body::EpochClosed(body)).await? {
        Landed::Yes { .. } => Ok(Some((count, void))),
        Landed::Lost => {
            withdraw_table(session, dataset, epoch, table).await;
            Ok(None)
        }
    }
}

/// The keys of manifests, each checked against its manifest's header tag; those that do not open are void.
async fn collect(
    session: &Session,
    keyring: &Keyring,
    dataset: &DatasetState,
    manifests: &[ManifestId],
) -> Outcome<(BTreeMap<ManifestId, Secret32>, Vec<ManifestId>)> {
    let found: Vec<(ManifestId, Option<Secret32>)> = stream::iter(
        manifests
            .iter()
            .map(|id| async move { Ok::<_, Failure>((*id, fitting_key(session, keyring, dataset, id).await?)) }),
    )
    .buffered(AT_ONCE)
    .try_collect()
    .await?;
    let mut keys = BTreeMap::new();
    let mut void = Vec::new();
    for (id, key) in found {
        match key {
            Some(key) => drop(keys.insert(id, key)),
            None => void.push(id),
        }
    }
    Ok((keys, void))
}

/// A manifest's key if it opens and fits. `None` only if what its author signed is at fault; a store that lost or changed an object is an
/// error, because voiding a manifest ends all hope of reading it.
async fn fitting_key(
    session: &Session,
    keyring: &Keyring,
    dataset: &DatasetState,
    id: &ManifestId,
) -> Outcome<Option<Secret32>> {
    let Some(committed) = dataset.manifests().get(id) else { return Ok(None) };
    let key = match committed.key {
        KeyPlace::Header => {
            let name = ObjectName::Header {
                dataset: dataset.id().clone(),
                epoch: committed.epoch,
                manifest: *id,
                hash: committed.signed.header,
            };
            let length = keyring.scope().suite.seal_len() as u64;
            // A signed seal of another length can't open; one byte more is asked for, to see that.
            let sealed = session.client.get(&name, length + 1).await.map_err(failed(&name))?;
            if sha256(&sealed) != committed.signed.header.0 {
                return Err(damaged(&name));
            }
            let private = keyring.epoch(committed.epoch)?.private_key(keyring.scope(), committed.epoch);
            let info = keyring.scope().manifest_key(committed.epoch, id, &committed.author);
            match seal::open(&private, &sealed, &info) {
                Ok(key) => key,
                Err(_) => return Ok(None),
            }
        }
        _ => keyring.manifest_key(dataset, id, committed).await?,
    };
    let name = ObjectName::Manifest { dataset: dataset.id().clone(), manifest: *id };
    let header = session.client.get_range(&name, 0..floe::HEADER as u64).await.map_err(failed(&name))?;
    if keyring.key_fits(&key, id, &committed.author, &header) {
        return Ok(Some(key));
    }
    // The whole object decides whether the author or the store is at fault.
    let whole = keyring.sealed_manifest(dataset, id, committed).await?;
    let header = whole.get(..floe::HEADER).unwrap_or_default();
    Ok(keyring.key_fits(&key, id, &committed.author, header).then_some(key))
}

async fn write_table(
    session: &Session,
    keyring: &Keyring,
    dataset: &DatasetState,
    epoch: u64,
    keys: BTreeMap<ManifestId, Secret32>,
) -> Outcome<Digest> {
    let scope = keyring.scope();
    let key = keyring.epoch(epoch)?.table_key(scope, epoch);
    let table = KeyTable::new(keys);
    let broken = |e: vault_core::epoch::TableError| Failure::integrity(format!("the key table of epoch {epoch}: {e}"));
    let sealed = table.seal(&key, scope, epoch, &mut random::system()).map_err(broken)?;
    let hash = Digest(sha256(&sealed));
    let name = ObjectName::Table { dataset: dataset.id().clone(), epoch, hash };
    let length = sealed.len() as u64;
    session.client.put_new(&name, Bytes::from(sealed)).await.map_err(failed(&name))?;
    // Read back: after `epoch-closed` the old headers go, and this is all there is.
    let again = session.client.get(&name, length).await.map_err(failed(&name))?;
    if sha256(&again) != hash.0 {
        return Err(damaged(&name));
    }
    let read = KeyTable::open(&again, &key, scope, epoch, table.len() as u64).map_err(broken)?;
    let same = read.len() == table.len() && table.iter().all(|(id, key)| read.lookup(id) == Some(key));
    if same { Ok(hash) } else { Err(damaged(&name)) }
}

/// Deletes a table that no statement came to name. Nobody without the epoch opens it, so one that remains does no harm.
async fn withdraw_table(session: &Session, dataset: &DatasetState, epoch: u64, table: Option<Digest>) {
    let Some(hash) = table else { return };
    let name = ObjectName::Table { dataset: dataset.id().clone(), epoch, hash };
    if let Err(failure) = session.client.withdraw(&name).await {
        let why = failure.say(session.lang);
        crate::output::warn(&match session.lang {
            Lang::En => format!("seqvault: an unused key table remains, run `seqvault doctor`: {why}"),
            Lang::Zh => format!("seqvault：留有未使用的密钥表，请运行 `seqvault doctor`：{why}"),
        });
    }
}

fn damaged(name: &ObjectName) -> Failure {
    Failure::integrity(format!("object {name} is not what was signed: the rotation stops here and loses nothing"))
        .or_in_chinese(format!("对象 {name} 与所签不符：轮换在此停止，未丢失任何内容"))
        .hints(
            "the new epoch is open, so who was revoked can't open what is sealed from now on. Restore the object, then run `seqvault rotate` again",
            "新的密钥纪元已启用，被撤销者无法打开此后封装的内容。请恢复该对象，再运行 `seqvault rotate`",
        )
}

/// Why a rotation is somebody else's to do, in Chinese.
#[must_use]
pub fn why_not(error: &RotationError) -> String {
    match error {
        RotationError::NotHolder { epoch } => format!("只有持有密钥纪元 {epoch} 的数据管理者可以启用下一个"),
        RotationError::HoldsTooLittle { from, to } => {
            format!("只有卡片持有密钥纪元 {from} 至 {to} 的数据管理者可以关闭密钥纪元 {to}")
        }
        RotationError::Deleted => "数据集已删除".to_owned(),
        other => other.to_string(),
    }
}

fn not_mine(dataset: &DatasetState, error: &RotationError) -> Failure {
    let failure = Failure::refused(format!("{}: {error}", dataset.id())).or_in_chinese(format!(
        "{}：{}",
        dataset.id(),
        why_not(error)
    ));
    match error {
        RotationError::NotHolder { .. } => failure.hints(
            "a steward who holds it runs `seqvault rotate`, or grants it to you first",
            "由持有它的数据管理者运行 `seqvault rotate`，或先授权给您",
        ),
        _ => failure.hints(
            "the steward who began the rotation runs `seqvault rotate`, or grants again so that you hold every epoch",
            "由开始轮换的数据管理者运行 `seqvault rotate`，或重新授权使您持有全部密钥纪元",
        ),
    }
}
