//! The subject key: sharing it among stewards, and what they keep under it beside a dataset. Spec 2.7.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use vault_core::context::Scope;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, DatasetId, Digest, MemberId};
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{Body, Seal, SubjectKeySet};
use vault_core::subject::{KeptError, MAX_KEPT, SubjectKey, generation_of};
use vault_policy::Lang;
use zeroize::Zeroizing;

use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::random;
use crate::rotate::say_new_card;
use crate::session::{Session, Signer};
use crate::transfer::StoreError;

/// Longest kept object: what is in it, FLOE's segments, its head.
const MAX_STORED: u64 = 2 * MAX_KEPT as u64;

/// The generations of the subject key that are sealed to the signer's card.
#[derive(Debug)]
pub struct Keys(BTreeMap<u64, SubjectKey>);

/// What sharing the key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The new generation.
    pub generation: u64,
    /// Whether its key is a new one.
    pub fresh: bool,
    /// To whose cards it is sealed.
    pub members: BTreeSet<MemberId>,
}

fn scope(session: &Session) -> Scope {
    Scope { suite: session.vault.suite(), vault: Some(*session.vault.id()), dataset: None }
}

/// The cards that a generation is sealed to: all current ones of creators and of stewards of any dataset.
fn keepers(session: &Session) -> BTreeSet<(MemberId, CardId)> {
    let (vault, at) = (&session.vault, session.vault.last_seq());
    let keep = vault.members().map(|(id, _)| id).filter(|id| vault.keeps_subjects(id, at));
    keep.flat_map(|id| vault.current_cards(id, at).map(|record| (id.clone(), *record.card.id()))).collect()
}

impl Keys {
    /// Opens every generation that is sealed to the signer's card; empty if none is. One that does not open is left out and said: whoever made
    /// it would else have taken the others from everybody.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(session: &Session, signer: &Signer) -> Outcome<Self> {
        let mut keys = BTreeMap::new();
        for generation in 1..=session.vault.subject_key_generation() {
            let Some(set) = session.vault.subject_key(generation) else { continue };
            let own = |seal: &&Seal| seal.member == signer.member && seal.card == signer.card;
            let Some(seal) = set.seals.iter().find(own) else { continue };
            let name = name_of(generation, seal);
            let max = scope(session).suite.seal_len() as u64;
            let sealed = match session.client.get(&name, max).await {
                Ok(sealed) if sha256(&sealed) == seal.sha256.0 => sealed,
                Ok(_) | Err(StoreError::NotFound | StoreError::Length) => {
                    left_out(generation, &set.author, ("it is not what was signed", "与所签不符"), session.lang);
                    continue;
                }
                Err(e) => return Err(failed(&name)(e)),
            };
            let info = scope(session).subject_key(generation, &set.author, &signer.card);
            match signer.custodian.open(&sealed, &info) {
                Ok(secret) => drop(keys.insert(generation, SubjectKey::accept(secret))),
                Err(e) => left_out(generation, &set.author, (&e.to_string(), "无法打开"), session.lang),
            }
        }
        Ok(Self(keys))
    }

    /// The keys, after a first generation was made if the vault has none.
    ///
    /// # Errors
    /// If the vault has one that is not sealed to the signer, or the store fails.
    pub async fn ensure(session: &mut Session, signer: &Signer) -> Outcome<Self> {
        if session.vault.subject_key_generation() == 0 {
            share(session, signer, true).await?;
        }
        let keys = Self::open(session, signer).await?;
        if keys.0.is_empty() { Err(not_shared()) } else { Ok(keys) }
    }

    /// Whether no generation is sealed to the signer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest generation and its key.
    ///
    /// # Errors
    /// If there is none for the signer.
    pub fn newest(&self) -> Outcome<(u64, &SubjectKey)> {
        self.0.last_key_value().map(|(generation, key)| (*generation, key)).ok_or_else(not_shared)
    }

    /// Keeps something with a dataset, under the SHA-256 of what it is. What lies there already stays, and is read back: its name can be
    /// foretold, so it may be something else.
    ///
    /// # Errors
    /// If it is too long, something else lies there, or the store fails.
    pub async fn keep(&self, session: &Session, dataset: &DatasetId, plain: &[u8]) -> Outcome<Digest> {
        let (generation, key) = self.newest()?;
        let hash = Digest(sha256(plain));
        let name = ObjectName::Kept { dataset: dataset.clone(), hash };
        if session.client.size(&name).await.map_err(failed(&name))?.is_some() {
            return self.is_kept(session, dataset, hash, &name).await;
        }
        let stored = key
            .keep(&session.scope(dataset), generation, plain, &mut random::system())
            .map_err(|e| Failure::usage(e.to_string()).or_in_chinese("所保存的内容超过 16 MiB"))?;
        match session.client.put_new(&name, Bytes::from(stored)).await {
            Ok(()) => Ok(hash),
            // Another steward kept the same: other bytes, one content.
            Err(StoreError::Differs) => self.is_kept(session, dataset, hash, &name).await,
            Err(e) => Err(failed(&name)(e)),
        }
    }

    /// Whether what lies there is what its name says, as far as the signer's keys tell.
    async fn is_kept(
        &self,
        session: &Session,
        dataset: &DatasetId,
        hash: Digest,
        name: &ObjectName,
    ) -> Outcome<Digest> {
        let hint = |failure: Failure| {
            failure.hints(
                "somebody else put it there: whoever keeps the store removes the object, then run the same command again",
                "该对象由他人放置：请保管存储者将其移除，再运行同一命令",
            )
        };
        match self.read(session, dataset, &hash).await.map_err(hint)? {
            Some(_) => Ok(hash),
            None => Err(Failure::refused(format!(
                "{name}: what lies there is kept under a key that is not sealed to this card"
            ))
            .or_in_chinese(format!("{name}：该处的内容以未封装给本卡片的密钥保存"))
            .hints(
                "another steward shares the key: `seqvault subjects share`",
                "请由其他数据管理者共享密钥：`seqvault subjects share`",
            )),
        }
    }

    /// Reads what is kept with a dataset; `None` if it is not there, or is kept under a generation that is not sealed to the signer.
    ///
    /// # Errors
    /// If it is not what its name says, or the store fails.
    pub async fn read(
        &self,
        session: &Session,
        dataset: &DatasetId,
        hash: &Digest,
    ) -> Outcome<Option<Zeroizing<Vec<u8>>>> {
        let name = ObjectName::Kept { dataset: dataset.clone(), hash: *hash };
        let stored = match session.client.get(&name, MAX_STORED).await {
            Ok(stored) => stored,
            Err(StoreError::NotFound) => return Ok(None),
            Err(e) => return Err(failed(&name)(e)),
        };
        let wrong = |e: KeptError| {
            Failure::integrity(format!("{name}: {e}")).or_in_chinese(format!("{name}：其内容与名称不符，或无法打开"))
        };
        let generation = generation_of(&stored).map_err(wrong)?;
        let scope = session.scope(dataset);
        if let Some(key) = self.0.get(&generation) {
            return key.read(&scope, generation, hash, &stored).map(Some).map_err(wrong);
        }
        // A later generation may be the same key, shared with more cards.
        let mut later = self.0.range(generation..).map(|(_, key)| key.read(&scope, generation, hash, &stored));
        Ok(later.find_map(Result::ok))
    }
}

/// Keeps the sealed part of facts with its dataset, so that other stewards can read it; where the signer has no subject key and may make
/// none, it stays on this machine alone, and that is said.
///
/// # Errors
/// If the store fails.
pub async fn keep_sealed(session: &mut Session, signer: &Signer, dataset: &DatasetId, sealed: &[u8]) -> Outcome<bool> {
    let keys = match Keys::ensure(session, signer).await {
        Ok(keys) => keys,
        Err(failure) if failure.kind == Kind::Refused => return Ok(false),
        Err(failure) => return Err(failure),
    };
    keys.keep(session, dataset, sealed).await.map(|_| true)
}

/// Seals the subject key to every current card of creators and stewards, as a new generation: the same key, or a fresh one.
///
/// # Errors
/// If the signer may not, has no generation to share, or the store fails.
pub async fn share(session: &mut Session, signer: &Signer, fresh: bool) -> Outcome<Shared> {
    let at = session.vault.last_seq();
    if !session.vault.keeps_subjects(&signer.member, at) {
        return Err(Failure::refused(format!("{} may not share the subject key", signer.member))
            .or_in_chinese(format!("{} 无权共享主体密钥", signer.member))
            .hints("stewards and creators can", "数据管理者和创建者可以"));
    }
    let mut rng = random::system();
    let (opened, made) = if fresh || session.vault.subject_key_generation() == 0 {
        (None, Some(SubjectKey::generate(&mut rng)))
    } else {
        (Some(Keys::open(session, signer).await?), None)
    };
    let key = match (&opened, &made) {
        (_, Some(made)) => made,
        (Some(opened), None) => opened.newest()?.1,
        (None, None) => return Err(not_shared()),
    };
    let generation = session.vault.subject_key_generation() + 1;
    let vault = scope(session);
    let mut seals = BTreeMap::new();
    for (member, card) in keepers(session) {
        let record = session.vault.card(&card).ok_or_else(|| {
            Failure::not_found(format!("no card {card} in this vault"))
                .or_in_chinese(format!("本保险库没有卡片 {card}"))
        })?;
        if member != signer.member && !had_it(session, generation, &member, card) {
            say_new_card(&member, &record.card, session.lang);
        }
        let sealed = key.seal_to(&vault, generation, &signer.member, &record.card, &mut rng).map_err(|e| {
            Failure::refused(format!("the subject key can't be sealed to {member}: {e}"))
                .or_in_chinese(format!("主体密钥无法封装给 {member}"))
        })?;
        let seal = Seal { card, member, sha256: Digest(sha256(&sealed)) };
        let name = name_of(generation, &seal);
        session.client.put_new(&name, Bytes::from(sealed)).await.map_err(failed(&name))?;
        seals.insert((seal.member.clone(), seal.card), seal);
    }
    let members = seals.keys().map(|(member, _)| member.clone()).collect();
    let names: Vec<_> = seals.values().map(|seal| name_of(generation, seal)).collect();
    let body = Body::SubjectKeySet(SubjectKeySet { generation, seals: seals.into_values().collect() });
    match session.append_vault(signer, &body).await {
        Ok(_) => Ok(Shared { generation, fresh: made.is_some(), members }),
        Err(failure) => {
            // Another steward may have made this generation: what nobody names goes again.
            // Where the store failed the entry may have landed, and then it names them.
            if failure.kind != Kind::Storage {
                for name in names {
                    let _ = session.client.withdraw(&name).await;
                }
            }
            if failure.message.contains("not the next generation") {
                return Err(Failure::new(Kind::Conflict, "another steward has shared the subject key meanwhile")
                    .or_in_chinese("其间其他数据管理者已共享主体密钥")
                    .again());
            }
            Err(failure)
        }
    }
}

/// Whether an earlier generation was sealed to the card.
fn had_it(session: &Session, generation: u64, member: &MemberId, card: CardId) -> bool {
    let mut earlier = (1..generation).filter_map(|generation| session.vault.subject_key(generation));
    earlier.any(|set| set.seals.iter().any(|seal| seal.member == *member && seal.card == card))
}

fn name_of(generation: u64, seal: &Seal) -> ObjectName {
    ObjectName::SubjectSeal { generation, member: seal.member.clone(), card: seal.card, hash: seal.sha256 }
}

fn left_out(generation: u64, author: &MemberId, (why, why_zh): (&str, &str), lang: Lang) {
    crate::output::warn(&match lang {
        Lang::En => format!(
            "seqvault: generation {generation} of the subject key, by {author}, does not open and is left out: {why}"
        ),
        Lang::Zh => format!("seqvault：已略过 {author} 所设的第 {generation} 代主体密钥：{why_zh}"),
    });
}

fn not_shared() -> Failure {
    Failure::refused("the vault's subject key is not sealed to this card")
        .or_in_chinese("保险库的主体密钥未封装给本卡片")
        .hints(
            "another steward shares it: `seqvault subjects share`",
            "请由其他数据管理者共享：`seqvault subjects share`",
        )
}
