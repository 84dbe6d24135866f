//! The file that carries what is to be approved: the canonical terms, which a proposal names by hash alone, and the sealed part of their
//! facts. It goes from who proposes to who approves by a way of their own; what it says is checked against the ledger.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vault_core::ids::{DatasetId, Digest, EntryHash, MemberId, VaultId};
use vault_core::json::B64;
use vault_core::ledger::approval::Proposal;
use vault_core::ledger::statement::{GrantTerms, terms_digest};
use vault_policy::Lang;

use crate::error::{Failure, Kind, Outcome};
use crate::facts;

/// The only act that is proposed in a dataset by this version.
pub const GRANTED: &str = "granted";

/// A terms file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsFile {
    /// The act.
    pub act: String,
    /// The vault.
    pub vault: VaultId,
    /// The dataset.
    pub dataset: DatasetId,
    /// What is granted.
    pub terms: GrantTerms,
    /// The sealed part of the terms' facts, if they have one.
    pub sealed: Option<B64>,
}

impl TermsFile {
    /// The hash that a proposal names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        terms_digest(GRANTED, &self.terms)
    }

    /// The beneficiary.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.terms.member
    }

    /// Reads a file, and checks that it is of this vault and dataset and that its sealed part is the one that its facts commit to.
    ///
    /// # Errors
    /// If it can't be read, or is of something else.
    pub fn read(path: &Path, vault: &VaultId, dataset: &DatasetId, lang: Lang) -> Outcome<Self> {
        let text = facts::text(path)?;
        let file: Self = serde_json::from_str(&text).map_err(|e| {
            Failure::usage(match lang {
                Lang::En => format!("{}: line {}: no terms file of `seqvault propose`", path.display(), e.line()),
                Lang::Zh => format!("{}：第 {} 行：不是 `seqvault propose` 生成的条款文件", path.display(), e.line()),
            })
        })?;
        if file.act != GRANTED || file.vault != *vault || file.dataset != *dataset {
            return Err(Failure::refused(match lang {
                Lang::En => format!(
                    "{}: terms for {} of {} in vault {}, and not for these",
                    path.display(),
                    file.act,
                    file.dataset,
                    file.vault
                ),
                Lang::Zh => format!(
                    "{}：条款对应保险库 {} 的 {}（{}），与此处不符",
                    path.display(),
                    file.vault,
                    file.dataset,
                    file.act
                ),
            }));
        }
        let committed = facts::commitment(&file.terms.facts);
        let given = file.sealed.as_ref().map(|sealed| Digest(vault_core::hazmat::kdf::sha256(&sealed.0)));
        if committed != given {
            return Err(Failure::integrity(match lang {
                Lang::En => format!("{}: the sealed part is not the one that the facts commit to", path.display()),
                Lang::Zh => format!("{}：密封部分与事实所承诺的散列值不一致", path.display()),
            }));
        }
        Ok(file)
    }

    /// Whether a proposal is for these terms.
    ///
    /// # Errors
    /// If it is for others.
    pub fn check(&self, path: &Path, hash: &EntryHash, proposal: &Proposal, lang: Lang) -> Outcome<()> {
        if proposal.body.act == self.act && proposal.body.terms == self.digest() {
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
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| Failure::new(Kind::Other, e.to_string()))?;
        facts::write_private(path, &bytes)
    }
}

/// A proposal by its hash, or the beginning of it.
///
/// # Errors
/// If there is none, or there are several.
pub fn find<'a>(
    proposals: impl Iterator<Item = (&'a EntryHash, &'a Proposal)>,
    text: &str,
    dataset: &DatasetId,
) -> Outcome<(EntryHash, &'a Proposal)> {
    let matches: Vec<_> = proposals.filter(|(hash, _)| hash.to_string().starts_with(text)).collect();
    match matches.as_slice() {
        [(hash, proposal)] if text.len() >= 8 => Ok((**hash, *proposal)),
        [_] => Err(Failure::usage("name at least eight digits of the proposal's hash")),
        [] => Err(Failure::not_found(format!("{dataset} has no proposal {text}"))
            .hint("`seqvault waiting` lists those that wait")),
        _ => Err(Failure::usage(format!("several proposals of {dataset} begin with {text}"))),
    }
}
