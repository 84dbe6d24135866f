//! The file that carries what is to be approved: the canonical terms, which a proposal names by hash alone, and the sealed part of their
//! facts. It goes from who proposes to who approves by a way of their own; what it says is checked against the ledger.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId, MemberId, VaultId};
use vault_core::json::B64;
use vault_core::ledger::approval::Proposal;
use vault_core::ledger::statement::{
    CardAddedTerms, DatasetDeletedTerms, GrantTerms, RecoveredTerms, ReleasedTerms, terms_digest,
};
use vault_policy::Lang;

use crate::error::{Failure, Kind, Outcome};
use crate::facts;

/// The act of a grant.
pub const GRANTED: &str = "granted";
/// The act that ends a dataset.
pub const DATASET_DELETED: &str = "dataset-deleted";
/// The act that adds a card in a member's name.
pub const CARD_ADDED: &str = "card-added";
/// The act that settles a fork or a rollback.
pub const RECOVERED: &str = "recovered";
/// The act that takes persons out of a count.
pub const RELEASED: &str = "released";

/// What an act says, without its approvals.
#[derive(Debug, Clone, PartialEq)]
pub enum Terms {
    /// Of [`GRANTED`].
    Granted(GrantTerms),
    /// Of [`DATASET_DELETED`].
    DatasetDeleted(DatasetDeletedTerms),
    /// Of [`CARD_ADDED`].
    CardAdded(CardAddedTerms),
    /// Of [`RECOVERED`].
    Recovered(RecoveredTerms),
    /// Of [`RELEASED`].
    Released(ReleasedTerms),
}

impl Terms {
    /// The act's kind.
    #[must_use]
    pub const fn act(&self) -> &'static str {
        match self {
            Self::Granted(_) => GRANTED,
            Self::DatasetDeleted(_) => DATASET_DELETED,
            Self::CardAdded(_) => CARD_ADDED,
            Self::Recovered(_) => RECOVERED,
            Self::Released(_) => RELEASED,
        }
    }

    /// The hash that a proposal names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Granted(terms) => terms_digest(GRANTED, terms),
            Self::DatasetDeleted(terms) => terms_digest(DATASET_DELETED, terms),
            Self::CardAdded(terms) => terms_digest(CARD_ADDED, terms),
            Self::Recovered(terms) => terms_digest(RECOVERED, terms),
            Self::Released(terms) => terms_digest(RELEASED, terms),
        }
    }

    fn parse(act: &str, terms: Json) -> Result<Self, serde_json::Error> {
        Ok(match act {
            GRANTED => Self::Granted(serde_json::from_value(terms)?),
            DATASET_DELETED => Self::DatasetDeleted(serde_json::from_value(terms)?),
            CARD_ADDED => Self::CardAdded(serde_json::from_value(terms)?),
            RECOVERED => Self::Recovered(serde_json::from_value(terms)?),
            RELEASED => Self::Released(serde_json::from_value(terms)?),
            _ => return Err(serde::de::Error::custom("no act that is proposed")),
        })
    }

    fn emit(&self) -> Result<Json, serde_json::Error> {
        match self {
            Self::Granted(terms) => serde_json::to_value(terms),
            Self::DatasetDeleted(terms) => serde_json::to_value(terms),
            Self::CardAdded(terms) => serde_json::to_value(terms),
            Self::Recovered(terms) => serde_json::to_value(terms),
            Self::Released(terms) => serde_json::to_value(terms),
        }
    }

    /// The member whom the terms themselves name.
    #[must_use]
    pub const fn member(&self) -> Option<&MemberId> {
        match self {
            Self::Granted(terms) => Some(&terms.member),
            Self::CardAdded(terms) => Some(&terms.member),
            Self::DatasetDeleted(_) | Self::Recovered(_) | Self::Released(_) => None,
        }
    }
}

/// A terms file.
#[derive(Debug, Clone, PartialEq)]
pub struct TermsFile {
    /// The vault.
    pub vault: VaultId,
    /// The ledger of the act.
    pub ledger: LedgerId,
    /// What is to be done.
    pub terms: Terms,
    /// The sealed part of the terms' facts, if they have one.
    pub sealed: Option<B64>,
}

/// A terms file as it is stored: of a dataset's acts it names the dataset, of others the ledger.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    act: String,
    vault: VaultId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerId>,
    terms: Json,
    sealed: Option<B64>,
}

impl TermsFile {
    /// The hash that a proposal names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.terms.digest()
    }

    /// Reads a file, and checks that it is of this vault and that its sealed part is the one that its facts commit to.
    ///
    /// # Errors
    /// If it can't be read, or is of something else.
    pub fn read(path: &Path, vault: &VaultId, lang: Lang) -> Outcome<Self> {
        let text = facts::text(path)?;
        let wrong = |line: usize| {
            Failure::usage(match lang {
                Lang::En => format!("{}: line {line}: no terms file of `seqvault propose`", path.display()),
                Lang::Zh => format!("{}：第 {line} 行：不是 `seqvault propose` 生成的条款文件", path.display()),
            })
        };
        let Stored { act, vault: of, dataset, ledger, terms, sealed } =
            serde_json::from_str(&text).map_err(|e| wrong(e.line()))?;
        let terms = Terms::parse(&act, terms).map_err(|_| wrong(1))?;
        let ledger = match (dataset, ledger) {
            (Some(dataset), None) => LedgerId::Dataset(dataset),
            (None, Some(ledger)) => ledger,
            _ => return Err(wrong(1)),
        };
        let file = Self { vault: of, ledger, terms, sealed };
        if file.vault != *vault {
            return Err(file.other(path, lang));
        }
        let committed = match &file.terms {
            Terms::Granted(terms) => facts::commitment(&terms.facts),
            _ => None,
        };
        let given = file.sealed.as_ref().map(|sealed| Digest(vault_core::hazmat::kdf::sha256(&sealed.0)));
        if committed != given {
            return Err(Failure::integrity(match lang {
                Lang::En => format!("{}: the sealed part is not the one that the facts commit to", path.display()),
                Lang::Zh => format!("{}：密封部分与事实所承诺的散列值不一致", path.display()),
            }));
        }
        Ok(file)
    }

    /// Checks that the file is of an act in a ledger.
    ///
    /// # Errors
    /// If it is of another.
    pub fn is_of(&self, path: &Path, act: &str, ledger: &LedgerId, lang: Lang) -> Outcome<()> {
        if self.terms.act() == act && self.ledger == *ledger { Ok(()) } else { Err(self.other(path, lang)) }
    }

    fn other(&self, path: &Path, lang: Lang) -> Failure {
        let (act, ledger, vault) = (self.terms.act(), &self.ledger, &self.vault);
        Failure::refused(match lang {
            Lang::En => {
                format!("{}: terms for {act} of {ledger} in vault {vault}, and not for these", path.display())
            }
            Lang::Zh => format!("{}：条款对应保险库 {vault} 的 {ledger}（{act}），与此处不符", path.display()),
        })
    }

    /// Reads the terms of a grant of a dataset.
    ///
    /// # Errors
    /// As [`Self::read`], or if they are of another act or dataset.
    pub fn of_grant(path: &Path, vault: &VaultId, dataset: &DatasetId, lang: Lang) -> Outcome<(Self, GrantTerms)> {
        let file = Self::read(path, vault, lang)?;
        match &file.terms {
            Terms::Granted(terms) if file.ledger == LedgerId::Dataset(dataset.clone()) => {
                let terms = terms.clone();
                Ok((file, terms))
            }
            _ => Err(file.other(path, lang)),
        }
    }

    /// Whether a proposal is for these terms.
    ///
    /// # Errors
    /// If it is for others.
    pub fn check(&self, path: &Path, hash: &EntryHash, proposal: &Proposal, lang: Lang) -> Outcome<()> {
        if proposal.body.act == self.terms.act() && proposal.body.terms == self.digest() {
            return Ok(());
        }
        Err(Failure::integrity(match lang {
            Lang::En => format!("{}: these are not the terms that proposal {hash} names by their hash", path.display()),
            Lang::Zh => format!("{}：与提案 {hash} 所载散列值对应的条款不一致", path.display()),
        })
        .hint(match lang {
            Lang::En => "ask its author for the right file; approve nothing that does not fit",
            Lang::Zh => "请向提案人索取正确的文件；不相符的不要批准",
        }))
    }

    /// Writes the file; it must not be there.
    ///
    /// # Errors
    /// If it is there, or can't be written.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        let failed = |e: serde_json::Error| Failure::new(Kind::Other, e.to_string());
        let (dataset, ledger) = match &self.ledger {
            LedgerId::Dataset(dataset) => (Some(dataset.clone()), None),
            other => (None, Some(other.clone())),
        };
        let (act, sealed) = (self.terms.act().to_owned(), self.sealed.clone());
        let stored =
            Stored { act, vault: self.vault, dataset, ledger, terms: self.terms.emit().map_err(failed)?, sealed };
        facts::write_private(path, &serde_json::to_vec_pretty(&stored).map_err(failed)?)
    }
}

/// A proposal by its hash, or the beginning of it.
///
/// # Errors
/// If there is none, or there are several.
pub fn find<'a>(
    proposals: impl Iterator<Item = (&'a EntryHash, &'a Proposal)>,
    text: &str,
    ledger: &LedgerId,
) -> Outcome<(EntryHash, &'a Proposal)> {
    let matches: Vec<_> = proposals.filter(|(hash, _)| hash.to_string().starts_with(text)).collect();
    match matches.as_slice() {
        [(hash, proposal)] if text.len() >= 8 => Ok((**hash, *proposal)),
        [_] => Err(Failure::usage("name at least eight digits of the proposal's hash")
            .or_in_chinese("请至少写明提案散列值的八位")),
        [] => Err(Failure::not_found(format!("{ledger} has no proposal {text}"))
            .or_in_chinese(format!("{ledger} 没有提案 {text}"))
            .hints("`seqvault waiting` lists those that wait", "`seqvault waiting` 列出待批准的提案")),
        _ => Err(Failure::usage(format!("several proposals of {ledger} begin with {text}"))
            .or_in_chinese(format!("{ledger} 有多个提案以 {text} 开头"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_core::ledger::statement::{RecoveryAction, Text};

    #[test]
    fn terms_of_every_act_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let vault = VaultId([3; 32]);
        let hash = EntryHash([4; 32]);
        let all = [
            Terms::Granted(GrantTerms { ends: Some(9), facts: Default::default(), member: "anna".parse().unwrap() }),
            Terms::DatasetDeleted(DatasetDeletedTerms { reason: Text::parse("over").unwrap() }),
            Terms::CardAdded(CardAddedTerms { card: B64(vec![1, 2]), member: "anna".parse().unwrap() }),
            Terms::Recovered(RecoveredTerms { action: RecoveryAction::Cut, hash, ledger: LedgerId::Vault, seq: 3 }),
            Terms::Released(ReleasedTerms { reserved: hash }),
        ];
        for (n, terms) in all.into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            for ledger in ["vault", "dataset/run-42"] {
                let _ = std::fs::remove_file(&path);
                let file = TermsFile { vault, ledger: ledger.parse().unwrap(), terms: terms.clone(), sealed: None };
                file.write(&path).unwrap();
                assert_eq!(TermsFile::read(&path, &vault, Lang::En).unwrap(), file);
                assert!(TermsFile::read(&path, &VaultId([5; 32]), Lang::En).is_err());
            }
        }
    }
}
