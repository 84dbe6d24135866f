//! What every seal, body and derivation binds: label, suite, vault, dataset, then fields. Spec section 1.4.

use crate::ids::{CardId, DatasetId, Digest, ManifestId, MemberId, UploadId, VaultId};
use crate::suite::Suite;

/// Where a context is bound: the suite, and the vault and dataset if there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The vault's suite; outside a vault, the card's.
    pub suite: Suite,
    /// The vault, if there is one.
    pub vault: Option<VaultId>,
    /// The dataset, if there is one.
    pub dataset: Option<DatasetId>,
}

/// Context bytes, ready to be an HPKE info, a FLOE AAD or an HKDF info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context(Vec<u8>);

impl Context {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One field of a context.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Scope {
    /// A scope outside any vault.
    #[must_use]
    pub const fn without_vault(suite: Suite) -> Self {
        Self { suite, vault: None, dataset: None }
    }

    /// HPKE info of an epoch secret sealed to a card.
    #[must_use]
    pub fn grant(&self, epoch: u64, author: &MemberId, card: &CardId) -> Context {
        self.bind(
            "seqvault/v1/grant",
            &[Field::Number(epoch), Field::Bytes(author.as_str().as_bytes()), Field::Bytes(&card.0)],
        )
    }

    /// HKDF info of an epoch's private key.
    #[must_use]
    pub fn epoch_key_pair(&self, epoch: u64) -> Context {
        self.bind("seqvault/v1/epoch-key-pair", &[Field::Number(epoch)])
    }

    /// HKDF info of an epoch's table key.
    #[must_use]
    pub fn table_key(&self, epoch: u64) -> Context {
        self.bind("seqvault/v1/table-key", &[Field::Number(epoch)])
    }

    /// FLOE AAD of a key table.
    #[must_use]
    pub fn table(&self, epoch: u64) -> Context {
        self.bind("seqvault/v1/table", &[Field::Number(epoch)])
    }

    /// HPKE info of a manifest key sealed to an epoch.
    #[must_use]
    pub fn manifest_key(&self, epoch: u64, manifest: &ManifestId, author: &MemberId) -> Context {
        self.bind(
            "seqvault/v1/manifest-key",
            &[Field::Number(epoch), Field::Bytes(&manifest.0), Field::Bytes(author.as_str().as_bytes())],
        )
    }

    /// FLOE AAD of a manifest.
    #[must_use]
    pub fn manifest(&self, manifest: &ManifestId, author: &MemberId) -> Context {
        self.bind("seqvault/v1/manifest", &[Field::Bytes(&manifest.0), Field::Bytes(author.as_str().as_bytes())])
    }

    /// FLOE AAD of a file's body.
    #[must_use]
    pub fn file(&self, manifest: &ManifestId, author: &MemberId, number: u32) -> Context {
        self.bind(
            "seqvault/v1/file",
            &[Field::Bytes(&manifest.0), Field::Bytes(author.as_str().as_bytes()), Field::Number(u64::from(number))],
        )
    }

    /// HPKE info of a single sealed file's key.
    #[must_use]
    pub fn sealed_file_key(&self, card: &CardId) -> Context {
        self.bind("seqvault/v1/sealed-file-key", &[Field::Bytes(&card.0)])
    }

    /// FLOE AAD of a single sealed file; `head` is the SHA-256 of its head.
    #[must_use]
    pub fn sealed_file(&self, head: &[u8; 32]) -> Context {
        self.bind("seqvault/v1/sealed-file", &[Field::Bytes(head)])
    }

    /// FLOE AAD of an identity's secrets; `head` is the SHA-256 of the file's head.
    #[must_use]
    pub fn identity(&self, head: &[u8; 32]) -> Context {
        self.bind("seqvault/v1/identity", &[Field::Bytes(head)])
    }

    /// HPKE info of a journal's key.
    #[must_use]
    pub fn journal_key(&self, upload: &UploadId, card: &CardId) -> Context {
        self.bind("seqvault/v1/journal-key", &[Field::Bytes(&upload.0), Field::Bytes(&card.0)])
    }

    /// FLOE AAD of a journal's secret record.
    #[must_use]
    pub fn journal(&self, upload: &UploadId, record: u64) -> Context {
        self.bind("seqvault/v1/journal", &[Field::Bytes(&upload.0), Field::Number(record)])
    }

    /// HPKE info of a subject key sealed to a steward's card.
    #[must_use]
    pub fn subject_key(&self, generation: u64, author: &MemberId, card: &CardId) -> Context {
        self.bind(
            "seqvault/v1/subject-key",
            &[Field::Number(generation), Field::Bytes(author.as_str().as_bytes()), Field::Bytes(&card.0)],
        )
    }

    /// HKDF info of the key under which stewards keep what goes with a dataset.
    #[must_use]
    pub fn kept_key(&self, generation: u64) -> Context {
        self.bind("seqvault/v1/kept-key", &[Field::Number(generation)])
    }

    /// HKDF info of the key of persons' marks, the same for all datasets of a vault.
    #[must_use]
    pub fn mark_key(&self) -> Context {
        self.bind("seqvault/v1/mark-key", &[])
    }

    /// FLOE AAD of what stewards keep with a dataset; `hash` is the SHA-256 of what is in it.
    #[must_use]
    pub fn kept(&self, generation: u64, hash: &Digest) -> Context {
        self.bind("seqvault/v1/kept", &[Field::Number(generation), Field::Bytes(&hash.0)])
    }

    // ctx(label, suite, vault, dataset, f1 .. fk) = LP(label) || LP(suite) || LP(vault) || LP(dataset) || LP(f1) .. LP(fk)
    fn bind(&self, label: &str, fields: &[Field<'_>]) -> Context {
        let mut out = Vec::with_capacity(160);
        put(&mut out, label.as_bytes());
        put(&mut out, &u64::from(self.suite.id()).to_be_bytes());
        put(&mut out, self.vault.as_ref().map_or(&[][..], |id| &id.0));
        put(&mut out, self.dataset.as_ref().map_or(&[][..], |id| id.as_str().as_bytes()));
        for field in fields {
            match field {
                Field::Number(n) => put(&mut out, &n.to_be_bytes()),
                Field::Bytes(bytes) => put(&mut out, bytes),
            }
        }
        Context(out)
    }
}

// LP(b) = u32(len b) || b. Every field here is far below 2^32 bytes.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_length_prefixed_fields() {
        let scope = Scope { suite: Suite::XWing, vault: Some(VaultId([7; 32])), dataset: Some("d".parse().unwrap()) };
        let mut expected = Vec::new();
        for field in [&b"seqvault/v1/table"[..], &2u64.to_be_bytes(), &[7; 32], b"d", &9u64.to_be_bytes()] {
            expected.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
            expected.extend_from_slice(field);
        }
        assert_eq!(scope.table(9).as_bytes(), expected);
    }

    #[test]
    fn scopes_and_labels_separate_contexts() {
        let none = Scope::without_vault(Suite::X25519);
        let some = Scope { vault: Some(VaultId([0; 32])), ..none.clone() };
        assert_ne!(none.table(1), some.table(1));
        assert_ne!(none.table(1), none.table_key(1));
        assert_ne!(none.table(1), Scope::without_vault(Suite::XWing).table(1));
    }
}
