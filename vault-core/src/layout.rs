//! Where everything lies in a bucket: one name per kind of object, written and read strictly. Spec section 6.1.
//!
//! Names only: what an object holds is its own module's business, and reading or writing it is the caller's.

use core::fmt;
use core::str::FromStr;

use crate::ids::{CardId, DatasetId, Digest, IdError, LedgerId, ManifestId, MemberId, PackName, UploadId, from_hex};

/// What the object [`ObjectName::FormatMarker`] holds.
pub const FORMAT_MARKER: &[u8] = b"seqvault 1\n";

/// Numbers in names have ten digits; the largest one.
pub const MAX_NUMBER: u64 = 9_999_999_999;

/// How many ledger entries a bundle copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BundleSize {
    /// Sixteen entries.
    Sixteen,
    /// Two hundred and fifty-six entries.
    TwoFiftySix,
}

impl BundleSize {
    /// The number of entries.
    #[must_use]
    pub const fn entries(self) -> u64 {
        match self {
            Self::Sixteen => 16,
            Self::TwoFiftySix => 256,
        }
    }
}

/// The name of an object; `Display` gives its path in the bucket, `FromStr` reads exactly such paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// Tells a vault from another folder.
    FormatMarker,
    /// A ledger entry.
    Entry {
        /// Its ledger.
        ledger: LedgerId,
        /// Its number, at most [`MAX_NUMBER`].
        seq: u64,
    },
    /// Copies of ledger entries `[size * index, size * (index + 1))`.
    Bundle {
        /// Its ledger.
        ledger: LedgerId,
        /// How many entries.
        size: BundleSize,
        /// Which bundle of that size.
        index: u64,
    },
    /// A list of all ledgers' heads, named by its SHA-256.
    Seen(Digest),
    /// An epoch's secret, sealed to a card.
    Grant {
        /// The dataset.
        dataset: DatasetId,
        /// The epoch.
        epoch: u64,
        /// Whose card it is.
        member: MemberId,
        /// The card.
        card: CardId,
        /// SHA-256 of the object.
        hash: Digest,
    },
    /// A manifest's key, sealed to an epoch.
    Header {
        /// The dataset.
        dataset: DatasetId,
        /// The epoch.
        epoch: u64,
        /// The manifest.
        manifest: ManifestId,
        /// SHA-256 of the object.
        hash: Digest,
    },
    /// An epoch's table of older manifests' keys.
    Table {
        /// The dataset.
        dataset: DatasetId,
        /// The epoch.
        epoch: u64,
        /// SHA-256 of the object.
        hash: Digest,
    },
    /// A subject key, sealed to a card.
    SubjectSeal {
        /// The key's generation.
        generation: u64,
        /// Whose card it is.
        member: MemberId,
        /// The card.
        card: CardId,
        /// SHA-256 of the object.
        hash: Digest,
    },
    /// What stewards keep with a dataset, under the subject key.
    Kept {
        /// The dataset.
        dataset: DatasetId,
        /// SHA-256 of what is in it, not of the object.
        hash: Digest,
    },
    /// A sealed manifest.
    Manifest {
        /// The dataset.
        dataset: DatasetId,
        /// The manifest.
        manifest: ManifestId,
    },
    /// A pack.
    Pack {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// The pack.
        pack: PackName,
    },
    /// A manifest's pack list.
    PackList {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// The manifest.
        manifest: ManifestId,
    },
    /// The chaining values of a manifest's packs; derived.
    Groups {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// The manifest.
        manifest: ManifestId,
    },
    /// Says that a member may have a grant in a dataset; derived.
    Marker {
        /// The member.
        member: MemberId,
        /// The dataset.
        dataset: DatasetId,
    },
}

/// A path that is no object's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no object of a vault is named so: {path}")]
pub struct LayoutError {
    /// The path.
    pub path: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormatMarker => f.write_str("seqvault-format"),
            Self::Entry { ledger, seq } => write!(f, "ledger/{ledger}/{seq:010}"),
            Self::Bundle { ledger, size, index } => write!(f, "ledger/{ledger}/bundle-{}-{index:010}", size.entries()),
            Self::Seen(hash) => write!(f, "seen/{hash}"),
            Self::Grant { dataset, epoch, member, card, hash } => {
                write!(f, "epochs/{dataset}/{epoch:010}/grants/{member}/{card}-{hash}")
            }
            Self::Header { dataset, epoch, manifest, hash } => {
                write!(f, "epochs/{dataset}/{epoch:010}/headers/{manifest}-{hash}")
            }
            Self::Table { dataset, epoch, hash } => write!(f, "epochs/{dataset}/{epoch:010}/table-{hash}"),
            Self::SubjectSeal { generation, member, card, hash } => {
                write!(f, "epochs/_subject/{generation:010}/{member}/{card}-{hash}")
            }
            Self::Kept { dataset, hash } => write!(f, "kept/{dataset}/{hash}"),
            Self::Manifest { dataset, manifest } => write!(f, "manifests/{dataset}/{manifest}"),
            Self::Pack { dataset, upload, pack } => write!(f, "packs/{dataset}/{upload}/{pack}"),
            Self::PackList { dataset, upload, manifest } => write!(f, "packs/{dataset}/{upload}/{manifest}.list"),
            Self::Groups { dataset, upload, manifest } => write!(f, "packs/{dataset}/{upload}/{manifest}.groups"),
            Self::Marker { member, dataset } => write!(f, "index/{member}/{dataset}"),
        }
    }
}

impl FromStr for ObjectName {
    type Err = LayoutError;

    fn from_str(path: &str) -> Result<Self, LayoutError> {
        parse(path).ok_or_else(|| LayoutError { path: path.to_owned() })
    }
}

fn parse(path: &str) -> Option<ObjectName> {
    let parts: Vec<&str> = path.split('/').collect();
    match *parts.as_slice() {
        ["seqvault-format"] => Some(ObjectName::FormatMarker),
        ["ledger", "vault", last] => ledger_object(LedgerId::Vault, last),
        ["ledger", kind, id, last] => ledger_object(format!("{kind}/{id}").parse().ok()?, last),
        ["seen", hash] => Some(ObjectName::Seen(id(hash)?)),
        ["epochs", dataset, epoch, "grants", member, last] => {
            let (card, hash) = pair(last)?;
            Some(ObjectName::Grant { dataset: id(dataset)?, epoch: number(epoch)?, member: id(member)?, card, hash })
        }
        ["epochs", "_subject", generation, member, last] => {
            let (card, hash) = pair(last)?;
            Some(ObjectName::SubjectSeal { generation: number(generation)?, member: id(member)?, card, hash })
        }
        ["epochs", dataset, epoch, folder, last] => header(dataset, epoch, folder, last),
        ["epochs", dataset, epoch, last] => {
            let hash = id(last.strip_prefix("table-")?)?;
            Some(ObjectName::Table { dataset: id(dataset)?, epoch: number(epoch)?, hash })
        }
        ["kept", dataset, hash] => Some(ObjectName::Kept { dataset: id(dataset)?, hash: id(hash)? }),
        ["manifests", dataset, manifest] => {
            Some(ObjectName::Manifest { dataset: id(dataset)?, manifest: id(manifest)? })
        }
        ["packs", dataset, upload, last] => upload_object(id(dataset)?, id(upload)?, last),
        ["index", member, dataset] => Some(ObjectName::Marker { member: id(member)?, dataset: id(dataset)? }),
        _ => None,
    }
}

fn header(dataset: &str, epoch: &str, folder: &str, last: &str) -> Option<ObjectName> {
    if folder != "headers" {
        return None;
    }
    let (manifest, hash) = pair(last)?;
    Some(ObjectName::Header { dataset: id(dataset)?, epoch: number(epoch)?, manifest, hash })
}

fn ledger_object(ledger: LedgerId, last: &str) -> Option<ObjectName> {
    let Some(bundle) = last.strip_prefix("bundle-") else {
        return Some(ObjectName::Entry { ledger, seq: number(last)? });
    };
    let (size, index) = bundle.split_once('-')?;
    let size = match size {
        "16" => BundleSize::Sixteen,
        "256" => BundleSize::TwoFiftySix,
        _ => return None,
    };
    Some(ObjectName::Bundle { ledger, size, index: number(index)? })
}

fn upload_object(dataset: DatasetId, upload: UploadId, last: &str) -> Option<ObjectName> {
    match last.split_once('.') {
        None => Some(ObjectName::Pack { dataset, upload, pack: id(last)? }),
        Some((manifest, "list")) => Some(ObjectName::PackList { dataset, upload, manifest: id(manifest)? }),
        Some((manifest, "groups")) => Some(ObjectName::Groups { dataset, upload, manifest: id(manifest)? }),
        Some(_) => None,
    }
}

fn id<T: FromStr<Err = IdError>>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn pair<T: FromStr<Err = IdError>>(text: &str) -> Option<(T, Digest)> {
    let (left, right) = text.split_once('-')?;
    Some((id(left)?, Digest(from_hex(right)?)))
}

// Exactly ten digits, so that every number has one name and names sort as numbers do.
fn number(text: &str) -> Option<u64> {
    (text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// All ledgers.
pub const LEDGERS: &str = "ledger/";

/// Everything of one ledger.
#[must_use]
pub fn ledger_prefix(ledger: &LedgerId) -> String {
    format!("ledger/{ledger}/")
}

/// All epochs of a dataset.
#[must_use]
pub fn epochs_prefix(dataset: &DatasetId) -> String {
    format!("epochs/{dataset}/")
}

/// Everything of one epoch: what is deleted once a later one is closed.
#[must_use]
pub fn epoch_prefix(dataset: &DatasetId, epoch: u64) -> String {
    format!("epochs/{dataset}/{epoch:010}/")
}

/// One epoch's secret, sealed to a member's cards.
#[must_use]
pub fn grants_prefix(dataset: &DatasetId, epoch: u64, member: &MemberId) -> String {
    format!("epochs/{dataset}/{epoch:010}/grants/{member}/")
}

/// The manifest keys that are sealed to an epoch.
#[must_use]
pub fn headers_prefix(dataset: &DatasetId, epoch: u64) -> String {
    format!("epochs/{dataset}/{epoch:010}/headers/")
}

/// What stewards keep with a dataset.
#[must_use]
pub fn kept_prefix(dataset: &DatasetId) -> String {
    format!("kept/{dataset}/")
}

/// The sealed subject keys of a generation.
#[must_use]
pub fn subject_prefix(generation: u64) -> String {
    format!("epochs/_subject/{generation:010}/")
}

/// A dataset's sealed manifests.
#[must_use]
pub fn manifests_prefix(dataset: &DatasetId) -> String {
    format!("manifests/{dataset}/")
}

/// All uploads of a dataset.
#[must_use]
pub fn uploads_prefix(dataset: &DatasetId) -> String {
    format!("packs/{dataset}/")
}

/// One upload's packs, pack lists and groups.
#[must_use]
pub fn upload_prefix(dataset: &DatasetId, upload: &UploadId) -> String {
    format!("packs/{dataset}/{upload}/")
}

/// The datasets in which a member may have a grant.
#[must_use]
pub fn markers_prefix(member: &MemberId) -> String {
    format!("index/{member}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<(ObjectName, String)> {
        let dataset: DatasetId = "cohort-7".parse().unwrap();
        let member: MemberId = "lab".parse().unwrap();
        let (card, hash) = (CardId([0xc1; 32]), Digest([0xd2; 32]));
        let (upload, manifest, pack) = (UploadId([0xe3; 16]), ManifestId([0xf4; 16]), PackName([0xa5; 16]));
        let (c, h) = ("c1".repeat(32), "d2".repeat(32));
        let (u, m, p) = ("e3".repeat(16), "f4".repeat(16), "a5".repeat(16));
        vec![
            (ObjectName::FormatMarker, "seqvault-format".to_owned()),
            (ObjectName::Entry { ledger: LedgerId::Vault, seq: 7 }, "ledger/vault/0000000007".to_owned()),
            (
                ObjectName::Entry { ledger: LedgerId::Dataset(dataset.clone()), seq: MAX_NUMBER },
                "ledger/dataset/cohort-7/9999999999".to_owned(),
            ),
            (
                ObjectName::Bundle { ledger: LedgerId::Exposure(hash), size: BundleSize::TwoFiftySix, index: 3 },
                format!("ledger/exposure/{h}/bundle-256-0000000003"),
            ),
            (
                ObjectName::Bundle { ledger: LedgerId::Vault, size: BundleSize::Sixteen, index: 0 },
                "ledger/vault/bundle-16-0000000000".to_owned(),
            ),
            (ObjectName::Seen(hash), format!("seen/{h}")),
            (
                ObjectName::Grant { dataset: dataset.clone(), epoch: 2, member: member.clone(), card, hash },
                format!("epochs/cohort-7/0000000002/grants/lab/{c}-{h}"),
            ),
            (
                ObjectName::Header { dataset: dataset.clone(), epoch: 2, manifest, hash },
                format!("epochs/cohort-7/0000000002/headers/{m}-{h}"),
            ),
            (
                ObjectName::Header { dataset: "subject".parse().unwrap(), epoch: 2, manifest, hash },
                format!("epochs/subject/0000000002/headers/{m}-{h}"),
            ),
            (
                ObjectName::Table { dataset: dataset.clone(), epoch: 2, hash },
                format!("epochs/cohort-7/0000000002/table-{h}"),
            ),
            (
                ObjectName::SubjectSeal { generation: 1, member: member.clone(), card, hash },
                format!("epochs/_subject/0000000001/lab/{c}-{h}"),
            ),
            (ObjectName::Kept { dataset: dataset.clone(), hash }, format!("kept/cohort-7/{h}")),
            (ObjectName::Manifest { dataset: dataset.clone(), manifest }, format!("manifests/cohort-7/{m}")),
            (ObjectName::Pack { dataset: dataset.clone(), upload, pack }, format!("packs/cohort-7/{u}/{p}")),
            (
                ObjectName::PackList { dataset: dataset.clone(), upload, manifest },
                format!("packs/cohort-7/{u}/{m}.list"),
            ),
            (
                ObjectName::Groups { dataset: dataset.clone(), upload, manifest },
                format!("packs/cohort-7/{u}/{m}.groups"),
            ),
            (ObjectName::Marker { member, dataset }, "index/lab/cohort-7".to_owned()),
        ]
    }

    #[test]
    fn every_kind_of_object_has_one_path_that_reads_back() {
        for (name, path) in examples() {
            assert_eq!(name.to_string(), path);
            assert_eq!(path.parse(), Ok(name));
        }
    }

    #[test]
    fn paths_that_differ_anywhere_are_no_other_objects_name() {
        for (_, path) in examples() {
            for bad in
                [format!("/{path}"), format!("{path}/"), format!("./{path}"), path.to_uppercase(), format!("{path}x")]
            {
                // A longer slug is another slug: the two kinds that end in one stay names, but other names.
                let read: Result<ObjectName, _> = bad.parse();
                assert!(read.is_err() || (path.starts_with("index/") && bad.ends_with('x')), "{bad}");
            }
        }
    }

    #[test]
    fn numbers_have_exactly_ten_digits() {
        for bad in ["7", "000000007", "00000000007", "+000000007", "-000000007", "000000000a", "00000 0007"] {
            assert!(format!("ledger/vault/{bad}").parse::<ObjectName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn traversal_and_empty_components_are_refused() {
        for bad in [
            "",
            "/",
            "ledger/../seqvault-format",
            "manifests//",
            "packs/a/b",
            "index/../x",
            "ledger/dataset/a/../0000000001",
        ] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_cover_their_objects() {
        let dataset: DatasetId = "cohort-7".parse().unwrap();
        let member: MemberId = "lab".parse().unwrap();
        let prefixes = [
            ledger_prefix(&LedgerId::Vault),
            epochs_prefix(&dataset),
            epoch_prefix(&dataset, 2),
            grants_prefix(&dataset, 2, &member),
            headers_prefix(&dataset, 2),
            subject_prefix(1),
            kept_prefix(&dataset),
            manifests_prefix(&dataset),
            uploads_prefix(&dataset),
            upload_prefix(&dataset, &UploadId([0xe3; 16])),
            markers_prefix(&member),
        ];
        for prefix in prefixes {
            assert!(prefix.ends_with('/'));
            assert!(examples().iter().any(|(_, path)| path.starts_with(&prefix)), "{prefix}");
        }
    }
}
