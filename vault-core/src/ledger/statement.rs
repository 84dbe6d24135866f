//! Statements as bytes: the payload, every kind's body, and the limits on their shape. Spec sections 4.2 and 5.
//!
//! What is checked here needs no state. Who may say it, and when, is the fold's business.

use core::fmt;

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::envelope::{Envelope, PayloadType};
use crate::hazmat::kdf::sha256;
use crate::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, UploadId, VaultId, VaultNonce};
use crate::json::{self, B64, JsonError};
use crate::suite::Suite;

/// The format that this crate writes, and the newest that it reads.
pub const FORMAT: u64 = 1;
/// Largest stored entry in bytes.
pub const MAX_ENTRY: usize = 16 << 20;
/// Largest canonical encoding of a facts object in bytes.
pub const MAX_FACTS: usize = 256 << 10;

/// A vault entry that an author saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultHead {
    /// Its hash.
    pub hash: EntryHash,
    /// Its number.
    pub seq: u64,
}

/// What an author says, before it is signed and after it was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Who says it.
    pub author: MemberId,
    /// What.
    pub body: Body,
    /// The author's card whose key signs.
    pub card: CardId,
    /// In which ledger.
    pub ledger: LedgerId,
    /// Hash of the entry before; `None` for the genesis alone.
    pub prev: Option<EntryHash>,
    /// Its number in the ledger.
    pub seq: u64,
    /// The author's clock, seconds since 1970.
    pub time: u64,
    /// The vault; `None` for the genesis alone.
    pub vault: Option<VaultId>,
    /// The newest vault entry that the author saw; `None` in the vault ledger.
    pub vault_head: Option<VaultHead>,
}

impl Statement {
    /// The canonical payload to sign.
    ///
    /// # Errors
    /// If a value breaks a limit of the format (an integer of 2^53, a facts object that is too deep).
    pub fn payload(&self) -> Result<Vec<u8>, JsonError> {
        json::emit(&Wire {
            author: self.author.clone(),
            body: self.body.to_value()?,
            card: self.card,
            critical: true,
            format: FORMAT,
            kind: self.body.kind().to_owned(),
            ledger: self.ledger.clone(),
            prev: OrEmpty(self.prev),
            seq: self.seq,
            time: self.time,
            vault: OrEmpty(self.vault),
            vault_head: self.vault_head,
        })
    }

    /// Signs the statement with `sign`, which gets DSSE's pre-authentication encoding, and returns the stored bytes.
    ///
    /// # Errors
    /// If the payload breaks a limit or signing fails.
    pub fn sign<E>(&self, sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>) -> Result<Vec<u8>, SignError<E>> {
        let payload = self.payload().map_err(SignError::Payload)?;
        let envelope =
            Envelope::signed_with(PayloadType::Statement, payload, self.card, sign).map_err(SignError::Key)?;
        let stored = envelope.emit();
        if stored.len() > MAX_ENTRY {
            return Err(SignError::TooLong);
        }
        // A statement that its own reader would not take is refused before it is anywhere.
        Entry::parse(&stored).map_err(SignError::Shape)?;
        Ok(stored)
    }
}

/// Why a statement was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError<E> {
    /// The payload has no canonical form.
    #[error("statement can't be encoded: {0}")]
    Payload(JsonError),
    /// The signing key refused.
    #[error(transparent)]
    Key(E),
    /// The stored entry would be longer than 16 MiB.
    #[error("statement is longer than 16 MiB")]
    TooLong,
    /// A member is outside the limits of the format.
    #[error("statement is not valid: {0}")]
    Shape(&'static str),
}

/// The payload as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    author: MemberId,
    body: Value,
    card: CardId,
    critical: bool,
    format: u64,
    kind: String,
    ledger: LedgerId,
    prev: OrEmpty<EntryHash>,
    seq: u64,
    time: u64,
    vault: OrEmpty<VaultId>,
    vault_head: Option<VaultHead>,
}

/// A value, or the empty string where the genesis has none.
struct OrEmpty<T>(Option<T>);

impl<T: Serialize> Serialize for OrEmpty<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }
}

impl<'de, T: core::str::FromStr<Err: fmt::Display>> Deserialize<'de> for OrEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|v| Self(Some(v))).map_err(de::Error::custom) }
    }
}

/// A stored entry whose bytes are well formed; its signature and its right to speak are not checked yet.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The statement, if this reader knows its format and kind.
    pub said: Said,
    /// The envelope, for the signature.
    pub envelope: Envelope,
}

/// What an entry says, as far as this reader understands it.
#[derive(Debug, Clone)]
pub enum Said {
    /// A kind of this format.
    Known(Box<Statement>),
    /// A kind or format that this reader does not know; `body` of the statement head is left out.
    Unknown {
        /// The statement's frame, with [`Body::Anchored`] standing in for the body.
        frame: Box<Statement>,
        /// The payload's `kind`.
        kind: String,
        /// The payload's `format`.
        format: u64,
        /// Whether a reader that does not know it must stop.
        critical: bool,
    },
}

impl Said {
    /// The frame: author, card, ledger, numbers.
    #[must_use]
    pub fn frame(&self) -> &Statement {
        match self {
            Self::Known(statement) | Self::Unknown { frame: statement, .. } => statement,
        }
    }
}

impl Entry {
    /// Parses stored bytes. The error is a void reason.
    ///
    /// # Errors
    /// If the bytes are no canonical envelope of a statement, or a known kind's body has another shape.
    pub fn parse(stored: &[u8]) -> Result<Self, &'static str> {
        if stored.len() > MAX_ENTRY {
            return Err("malformed: too long");
        }
        let envelope = Envelope::parse(stored).map_err(|_| "malformed envelope")?;
        if envelope.payload_type != PayloadType::Statement {
            return Err("malformed: not a statement");
        }
        let wire: Wire = json::parse(&envelope.payload).map_err(|_| "malformed payload")?;
        if envelope.keyid != wire.card {
            return Err("malformed: keyid is not the card");
        }
        let body = if wire.format == FORMAT { Body::parse(&wire.kind, wire.body)? } else { None };
        let known = body.is_some();
        if known && !wire.critical {
            return Err("malformed: not critical");
        }
        let frame = Box::new(Statement {
            author: wire.author,
            body: body.unwrap_or(Body::Anchored(Empty {})),
            card: wire.card,
            ledger: wire.ledger,
            prev: wire.prev.0,
            seq: wire.seq,
            time: wire.time,
            vault: wire.vault.0,
            vault_head: wire.vault_head,
        });
        let said = if known {
            Said::Known(frame)
        } else {
            Said::Unknown { frame, kind: wire.kind, format: wire.format, critical: wire.critical }
        };
        Ok(Self { said, envelope })
    }
}

/// Free text: at most 1,024 bytes, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Checks a text.
    ///
    /// # Errors
    /// If it is longer than 1,024 bytes or holds a control character.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() > 1024 {
            Err(TextError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(TextError::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A text that a statement can't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// More than 1,024 bytes.
    #[error("text is longer than 1,024 bytes")]
    TooLong,
    /// A control character, such as a line feed.
    #[error("text holds a control character")]
    Control,
}

/// A set as a statement writes it: ascending, nothing twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Set<T>(Vec<T>);

impl<T> Set<T> {
    /// The members, ascending.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Ord> Set<T> {
    /// Whether it has this member.
    #[must_use]
    pub fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        Self(items)
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: DeserializeOwned + Ord> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<T>::deserialize(deserializer)?;
        if items.is_sorted_by(|a, b| a < b) {
            Ok(Self(items))
        } else {
            Err(de::Error::custom("not ascending, or twice"))
        }
    }
}

/// Facts: any canonical JSON object of at most 256 KiB.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Facts(pub Map<String, Value>);

impl Facts {
    /// SHA-256 of the canonical encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(sha256(&json::emit(self).unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let facts = Self(Map::deserialize(deserializer)?);
        match json::emit(&facts) {
            Ok(bytes) if bytes.len() <= MAX_FACTS => Ok(facts),
            _ => Err(de::Error::custom("facts are longer than 256 KiB or not canonical")),
        }
    }
}

/// What kind of organisation a member belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganisationKind {
    /// A company.
    Enterprise,
    /// A hospital.
    Hospital,
    /// None of the others.
    Other,
    /// An authority.
    Regulator,
    /// A university or institute.
    Research,
    /// Several people under one member.
    Team,
}

/// What an officer says of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// Facts for the rules.
    pub facts: Facts,
    /// ISO 3166-1 alpha-2, two capital letters.
    pub jurisdiction: Jurisdiction,
    /// Kind of organisation.
    pub kind: OrganisationKind,
    /// The organisation's name.
    pub organisation: Text,
}

impl Info {
    /// SHA-256 of the canonical encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(sha256(&json::emit(self).unwrap_or_default()))
    }
}

/// A country code: two capital letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Jurisdiction(String);

impl Jurisdiction {
    /// Checks a code's form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())).then(|| Self(text.to_owned()))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Jurisdiction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("not two capital letters"))
    }
}

/// Roles that an officer sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Second signatures on a dataset's acts.
    Approver,
    /// Reads ledgers and logs.
    Auditor,
    /// May create datasets.
    Creator,
    /// Enrols, sets rules, blocks; reads nothing without a grant.
    Officer,
    /// Holds a dataset's epochs, grants, rotates.
    Steward,
}

impl Role {
    /// Whether the role is for one dataset.
    #[must_use]
    pub const fn is_of_dataset(self) -> bool {
        matches!(self, Self::Approver | Self::Steward)
    }

    /// The role's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Creator => "creator",
            Self::Officer => "officer",
            Self::Steward => "steward",
        }
    }
}

/// Declares plain body structs: public fields, canonical member names, nothing unknown.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "a body's fields are its members in spec section 5")]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
    )*};
}

/// The hash of a sealed epoch secret, for one card. Ordered by member and card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The card it is sealed to.
    pub card: CardId,
    /// The card's member.
    pub member: MemberId,
    /// SHA-256 of the sealed bytes.
    pub sha256: Digest,
}

impl PartialOrd for Seal {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seal {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (&self.member, self.card).cmp(&(&other.member, other.card))
    }
}

/// The hash of a sealed epoch secret, for one card and epoch. Ordered by member, card, epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSeal {
    /// The card it is sealed to.
    pub card: CardId,
    /// The epoch whose secret it is.
    pub epoch: u64,
    /// The card's member.
    pub member: MemberId,
    /// SHA-256 of the sealed bytes.
    pub sha256: Digest,
}

impl PartialOrd for EpochSeal {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EpochSeal {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (&self.member, self.card, self.epoch).cmp(&(&other.member, other.card, other.epoch))
    }
}

bodies! {
    /// A body without members.
    Empty {}

    /// The fixed names of what a vault is built from.
    Algorithms { aead: String, body: String, hash: String, kdf: String, kem: String, signature: String, tree_hash: String }
    /// Approvals that each act needs.
    ApprovalCounts {
        /// For a card added by an officer in a member's name.
        card_added: u64,
        /// For the deletion of a dataset.
        dataset_deleted: u64,
        /// For a grant, by the dataset's level 1 to 5.
        granted: [u64; 5],
        /// For settling a fork or a restored ledger.
        recovered: u64,
        /// For a release after destruction.
        released: u64,
    }
    /// A member as the genesis names it.
    GenesisMember { cards: Vec<B64>, info: Info, member: MemberId }
    /// Entry 0 of the vault ledger.
    Genesis {
        /// The suite's algorithms by name.
        algorithms: Algorithms,
        /// Approvals an act.
        approvals: ApprovalCounts,
        /// Seconds after which `put` and `grant` refuse an old vault head.
        head_age: u64,
        /// The first officer, then members of recovery cards.
        members: Vec<GenesisMember>,
        /// Random: two vaults made alike, in one second, are two.
        nonce: VaultNonce,
        /// Cards that can appoint an officer and are each dataset's default.
        recovery: Set<CardId>,
        /// The suite.
        suite: Suite,
    }
    /// A new member with its cards.
    MemberEnrolled { cards: Vec<B64>, info: Info, member: MemberId }
    /// New information on a member.
    MemberAmended { info: Info, member: MemberId }
    /// What `card-added` adds.
    CardAddedTerms { card: B64, member: MemberId }
    /// A further card of a member.
    CardAdded { approval: Option<Approval>, terms: CardAddedTerms }
    /// A card that is no longer used.
    CardRetired { card: CardId, member: MemberId, reason: Text }
    /// A member that leaves.
    MemberRetired { member: MemberId, reason: Text }
    /// A role given or taken.
    RoleSet { dataset: Option<DatasetId>, member: MemberId, on: bool, role: Role }
    /// A recovery card's holder appoints an officer.
    OfficerRecovered { member: MemberId }
    /// A rule pack by hash.
    PackSet { hash: Digest, name: Text, on: bool }
    /// A newer format begins.
    FormatRaised { format: u64 }
    /// A server's log key and its witnesses' keys. This version has no such log: the entry is judged and shown, and its keys are used by nothing.
    ServerSet { log_key: Option<B64>, name: Text, on: bool, witness_keys: Vec<B64> }
    /// The heads of all ledgers, by the hash of a stored list.
    Seen { list: Digest }
    /// What `recovered` settles.
    RecoveredTerms { action: RecoveryAction, hash: EntryHash, ledger: LedgerId, seq: u64 }
    /// An officer settles a fork, or says that a ledger was restored.
    Recovered { approval: Option<Approval>, terms: RecoveredTerms }
    /// The key of subject sets, sealed to stewards.
    SubjectKeySet { generation: u64, seals: Set<Seal> }
    /// An act that waits for second signatures.
    Proposed { act: String, ends: u64, facts: Option<Digest>, member: Option<Digest>, pack: Option<Digest>, terms: Digest }
    /// A second signature.
    Approved { proposal: EntryHash }
    /// The proposal that an act carries out, and its approvals.
    Approval { approvals: Set<EntryHash>, proposal: EntryHash }

    /// A new epoch's public key and seals.
    FirstEpoch { public: B64, seals: Set<Seal> }
    /// Entry 0 of a dataset ledger.
    DatasetCreated { epoch: FirstEpoch, facts: Facts, level: u64, recovery: Set<CardId>, title: Text }
    /// A place in an exposure ledger.
    Reservation { hash: EntryHash, ledger: LedgerId, seq: u64 }
    /// New facts.
    FactsAmended { facts: Facts, level: u64, reservations: Vec<MemberReservation>, suspends: Set<MemberId>, why: Text }
    /// A reservation for one grantee.
    MemberReservation { member: MemberId, reservation: Reservation }
    /// An approver agrees with the grading.
    GradeConfirmed { facts: Digest, level: u64 }
    /// Who may upload.
    UploaderSet { member: MemberId, on: bool }
    /// The dataset's recovery cards.
    RecoverySet { cards: Set<CardId>, seals: Set<EpochSeal> }
    /// What a grant gives.
    GrantTerms { ends: Option<u64>, facts: Facts, member: MemberId }
    /// A grant.
    Granted { approval: Option<Approval>, reservation: Option<Reservation>, seals: Set<EpochSeal>, terms: GrantTerms, trace: Option<Facts> }
    /// Unclosed epochs sealed to further cards of a grantee.
    CardSealed { member: MemberId, seals: Set<EpochSeal> }
    /// The grantee accepts an agreement.
    AgreementAccepted { agreement: Digest, grant: EntryHash }
    /// Grants that rest.
    Suspended { members: Set<MemberId>, reason: Text }
    /// Consent withdrawn.
    ConsentWithdrawn { members: Set<MemberId>, reason: Text, subjects: Option<Digest> }
    /// A grant that ends.
    Revoked { member: MemberId, reason: Text }
    /// A grantee says that it destroyed its copies.
    DestructionAttested { document: Option<Digest>, member: MemberId, scope: Text }
    /// A reservation that will not be used.
    ReservationCancelled { reservation: Reservation }
    /// Why a dataset is deleted.
    DatasetDeletedTerms { reason: Text }
    /// The end of a dataset.
    DatasetDeleted { approval: Option<Approval>, terms: DatasetDeletedTerms }
    /// A new epoch.
    EpochOpened { epoch: u64, public: B64, reason: Text, revokes: Set<MemberId>, seals: Set<Seal>, unsealed: Set<MemberId> }
    /// The end of all epochs before.
    EpochClosed { count: u64, epoch: u64, table: Option<Digest>, void: Set<ManifestId> }
    /// A new beginning where nobody holds the epoch.
    EpochReset { epoch: u64, public: B64, reason: Text, seals: Set<Seal>, unreadable: Set<ManifestId> }
    /// An upload begins.
    UploadOpened { ends: u64, upload: UploadId }
    /// An upload goes on longer.
    UploadExtended { ends: u64, upload: UploadId }
    /// A manifest's packs.
    PacksHash { bytes: u64, count: u64, list: Digest }
    /// A manifest as a commit names it.
    ManifestHash {
        /// BLAKE3 of the sealed manifest.
        blake3: Digest,
        /// How many files.
        files: u64,
        /// SHA-256 of the sealed manifest key.
        header: Digest,
        /// Bytes of the sealed manifest.
        length: u64,
        /// The manifest.
        manifest: ManifestId,
        /// Its packs.
        packs: PacksHash,
        /// The file root (spec 3.6).
        root: Digest,
        /// The manifest that this one re-encrypts.
        supersedes: Option<ManifestId>,
    }
    /// An upload becomes visible.
    UploadCommitted { epoch: u64, manifests: Vec<ManifestHash>, upload: UploadId }
    /// An upload ends without a commit.
    UploadClosed { reason: Text, upload: UploadId }
    /// A manifest is hidden.
    ManifestRemoved { manifest: ManifestId, reason: Text }
    /// Files of a manifest are hidden.
    PathRemoved { files: Set<u32>, manifest: ManifestId, reason: Text }

    /// Subjects counted for a recipient.
    Reserved { added: u64, dataset: DatasetId, member: MemberId, subjects: Option<Digest>, total: u64 }
    /// Which reservation is released.
    ReleasedTerms { reserved: EntryHash }
    /// Subjects no longer counted.
    Released { approval: Option<Approval>, cites: Reservation, terms: ReleasedTerms }
}

/// What `recovered` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryAction {
    /// The named entry is void.
    Void,
    /// The ledger was restored to the named entry.
    Cut,
}

/// Declares the kinds: a variant, its body and its name.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A statement's body, by kind.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "bodies are short-lived; boxing each would hide their shape")]
        #[non_exhaustive]
        pub enum Body { $($(#[$doc])* $variant($variant)),*, /** `anchored` */ Anchored(Empty) }

        impl Body {
            /// The kind's name.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),*, Self::Anchored(_) => "anchored" }
            }

            /// Every kind's name.
            pub const KINDS: &'static [&'static str] = &[$($name),*, "anchored"];

            /// Parses the body of a kind; `None` if this reader does not know the kind.
            fn parse(kind: &str, body: Value) -> Result<Option<Self>, &'static str> {
                match kind {
                    $($name => shape(body).map(Self::$variant).map(Some)),*,
                    "anchored" => shape(body).map(Self::Anchored).map(Some),
                    _ => Ok(None),
                }
            }

            fn to_value(&self) -> Result<Value, JsonError> {
                match self { $(Self::$variant(body) => serde_json::to_value(body)),*, Self::Anchored(body) => serde_json::to_value(body) }
                    .map_err(|e| JsonError::Shape(e.to_string()))
            }
        }
    };
}

fn shape<T: DeserializeOwned + Serialize>(body: Value) -> Result<T, &'static str> {
    json::parse_shape(body).map_err(|_| "malformed body")
}

kinds! {
    /// `genesis`
    Genesis = "genesis",
    /// `member-enrolled`
    MemberEnrolled = "member-enrolled",
    /// `member-amended`
    MemberAmended = "member-amended",
    /// `card-added`
    CardAdded = "card-added",
    /// `card-retired`
    CardRetired = "card-retired",
    /// `member-retired`
    MemberRetired = "member-retired",
    /// `role-set`
    RoleSet = "role-set",
    /// `officer-recovered`
    OfficerRecovered = "officer-recovered",
    /// `pack-set`
    PackSet = "pack-set",
    /// `format-raised`
    FormatRaised = "format-raised",
    /// `server-set`
    ServerSet = "server-set",
    /// `seen`
    Seen = "seen",
    /// `recovered`
    Recovered = "recovered",
    /// `subject-key-set`
    SubjectKeySet = "subject-key-set",
    /// `proposed`
    Proposed = "proposed",
    /// `approved`
    Approved = "approved",
    /// `dataset-created`
    DatasetCreated = "dataset-created",
    /// `facts-amended`
    FactsAmended = "facts-amended",
    /// `grade-confirmed`
    GradeConfirmed = "grade-confirmed",
    /// `uploader-set`
    UploaderSet = "uploader-set",
    /// `recovery-set`
    RecoverySet = "recovery-set",
    /// `granted`
    Granted = "granted",
    /// `card-sealed`
    CardSealed = "card-sealed",
    /// `agreement-accepted`
    AgreementAccepted = "agreement-accepted",
    /// `suspended`
    Suspended = "suspended",
    /// `consent-withdrawn`
    ConsentWithdrawn = "consent-withdrawn",
    /// `revoked`
    Revoked = "revoked",
    /// `destruction-attested`
    DestructionAttested = "destruction-attested",
    /// `reservation-cancelled`
    ReservationCancelled = "reservation-cancelled",
    /// `dataset-deleted`
    DatasetDeleted = "dataset-deleted",
    /// `epoch-opened`
    EpochOpened = "epoch-opened",
    /// `epoch-closed`
    EpochClosed = "epoch-closed",
    /// `epoch-reset`
    EpochReset = "epoch-reset",
    /// `upload-opened`
    UploadOpened = "upload-opened",
    /// `upload-extended`
    UploadExtended = "upload-extended",
    /// `upload-committed`
    UploadCommitted = "upload-committed",
    /// `upload-closed`
    UploadClosed = "upload-closed",
    /// `manifest-removed`
    ManifestRemoved = "manifest-removed",
    /// `path-removed`
    PathRemoved = "path-removed",
    /// `reserved`
    Reserved = "reserved",
    /// `released`
    Released = "released",
}

impl Algorithms {
    /// The names of a suite.
    #[must_use]
    pub fn of(suite: Suite) -> Self {
        Self {
            aead: "AES-256-GCM".to_owned(),
            body: "FLOE-65568".to_owned(),
            hash: "SHA-256".to_owned(),
            kdf: "HKDF-SHA256".to_owned(),
            kem: suite.kem_name().to_owned(),
            signature: "Ed25519".to_owned(),
            tree_hash: "BLAKE3".to_owned(),
        }
    }
}

/// SHA-256 of the canonical JSON {"act":kind,"terms":terms}: what a proposal names (spec 5.1).
#[must_use]
pub fn terms_digest<T: Serialize>(act: &str, terms: &T) -> Digest {
    #[derive(Serialize)]
    struct Act<'a, T> {
        act: &'a str,
        terms: &'a T,
    }
    Digest(sha256(&json::emit(&Act { act, terms }).unwrap_or_default()))
}
