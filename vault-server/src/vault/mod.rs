//! The vault's service: what a vault's objects mean, and in which order they may come and go. Spec pages 4 to 6.
//!
//! It holds no key and decides nothing about who may do what: rights are the fold's business, in [`vault_core::ledger`], and
//! whoever asks folds for itself. What it adds is order: what a statement names is there before the statement is, and is deleted only
//! after the statement that allows it.
//!
//! | to | look in |
//! |---|---|
//! | read ledgers, whole and without gaps | `read`, `bundle` |
//! | know their state without folding all of it again | `state` |
//! | append a statement, and what must be there before | `append`, `named` |
//! | ask the rules in force about it | `gate` |
//! | write and read packs, manifests, seals | `objects`, `lists` |
//! | delete what a statement allows to delete | `remove` |
//! | check and repair what is derived, and say it in words | `doctor`, `examine` |

mod append;
mod bundle;
mod doctor;
mod examine;
mod gate;
mod lists;
mod named;
mod objects;
mod read;
mod remove;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use vault_core::ids::{LedgerId, VaultId};
use vault_core::layout::{FORMAT_MARKER, ObjectName, ledger_prefix};
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::MAX_ENTRY;
use vault_core::ledger::vault::{GenesisError, VaultState};
use vault_core::suite::Suite;
use vault_policy::Pack;

use crate::store::{Creation, ProbeError, SCRATCH, Store, StoreError, probe_all};

pub use crate::store::Removed;
pub use append::{Append, AppendError, Checked, Prepared};
pub use doctor::{Doctor, Finding, Ledger, Report};
pub use examine::Examined;
pub use objects::{PutError, max_len};
pub use read::{LedgerError, Part};
pub use remove::RemoveError;
pub use state::{StateError, View};

/// Longest marker that is read.
const MAX_MARKER: u64 = 64;

/// A vault in a store. Cheap to clone; clones share the cache of folds.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Store,
    id: VaultId,
    suite: Suite,
    folds: Arc<state::Folds>,
    lists: lists::Room,
    commits: Arc<named::Commits>,
    packs: Arc<[Pack]>,
}

/// Why a store could not become a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not keep its promises.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The first entry is no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// There is a vault already, with another genesis.
    #[error("{location}: there is a vault already")]
    AlreadyAVault {
        /// The store.
        location: String,
    },
    /// There is a vault of a format that this version does not write.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something else.
    #[error("{location}: it is not empty (it holds {what}); a vault takes a place of its own")]
    NotEmpty {
        /// The store.
        location: String,
        /// The first thing found.
        what: String,
    },
}

/// Why a store could not be opened as a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// There is no vault.
    #[error("{location}: there is no vault here")]
    NotAVault {
        /// The store.
        location: String,
    },
    /// There is a vault of another format.
    #[error("{location}: a vault of the unknown format {found:?}; this version reads \"seqvault 1\\n\"")]
    UnknownFormat {
        /// The store.
        location: String,
        /// What its marker says.
        found: String,
    },
    /// A vault was begun, and has no genesis: `init` was interrupted.
    #[error("{location}: a vault was begun here and not finished; init it again")]
    Unfinished {
        /// The store.
        location: String,
    },
    /// Entry 0 of the vault ledger is no genesis.
    #[error("{location}: {source}")]
    Genesis {
        /// The store.
        location: String,
        /// What is wrong with it.
        source: GenesisError,
    },
}

impl Vault {
    /// Makes a vault of an empty store. Safe to repeat with the same genesis.
    ///
    /// # Errors
    /// If the genesis is not valid, the store is not empty, fails, or can't create an object only if there is none.
    pub async fn init(store: Store, genesis: Bytes) -> Result<Self, InitError> {
        let (id, suite) = check_genesis(&genesis)?;
        match read_marker(&store).await {
            Ok(()) => {}
            Err(OpenError::NotAVault { .. }) => check_empty(&store).await?,
            Err(other) => return Err(other.into()),
        }
        probe_all(&store).await?;
        let taken = || InitError::AlreadyAVault { location: store.location() };
        // The marker first: what is interrupted after it is known for what it is, and can be finished.
        match store.create(&ObjectName::FormatMarker, Bytes::from_static(FORMAT_MARKER)).await? {
            Creation::Created | Creation::AlreadySame => {}
            Creation::Conflict => return Err(taken()),
        }
        match store.create(&GENESIS, genesis).await? {
            Creation::Created | Creation::AlreadySame => Ok(Self::new(store, id, suite)),
            Creation::Conflict => Err(taken()),
        }
    }

    /// Opens the vault in a store.
    ///
    /// # Errors
    /// If there is none, or one that this version does not know.
    pub async fn open(store: Store) -> Result<Self, OpenError> {
        read_marker(&store).await?;
        let location = store.location();
        let genesis = match store.get(&GENESIS, MAX_ENTRY as u64).await {
            Ok(genesis) => genesis,
            Err(e) if e.is_not_found() => {
                let later = store.list(&ledger_prefix(&LedgerId::Vault)).await.map_err(OpenError::Store)?;
                return Err(if later.is_empty() {
                    OpenError::Unfinished { location }
                } else {
                    OpenError::Genesis { location, source: GenesisError::Missing }
                });
            }
            Err(e) => return Err(OpenError::Store(e)),
        };
        let (id, suite) = check_genesis(&genesis).map_err(|source| OpenError::Genesis { location, source })?;
        Ok(Self::new(store, id, suite))
    }

    /// The vault's id: the hash of the genesis that lies in the store. A client compares it with the one that it knows.
    #[must_use]
    pub const fn id(&self) -> &VaultId {
        &self.id
    }

    /// The vault's suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The store that it lies in.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same for a server of many: with so many bytes of memory for pack lists at once, and an end to how many objects an upload has.
    /// A longer list is refused, and a commit of a fuller upload.
    #[must_use]
    pub fn with_room(self, bytes: u64) -> Self {
        Self { lists: lists::Room::new(bytes), ..self }
    }

    /// How many objects an upload may have that is committed here.
    #[must_use]
    pub const fn upload_objects(&self) -> u64 {
        self.lists.objects()
    }

    /// The same with rule packs of an institution's own at hand, beside those inside the program.
    #[must_use]
    pub fn with_packs(self, packs: Vec<Pack>) -> Self {
        Self { packs: packs.into(), ..self }
    }

    /// The rule packs of an institution's own.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    fn new(store: Store, id: VaultId, suite: Suite) -> Self {
        Self {
            store,
            id,
            suite,
            folds: Arc::default(),
            lists: lists::Room::default(),
            commits: Arc::default(),
            packs: Arc::default(),
        }
    }
}

const GENESIS: ObjectName = ObjectName::Entry { ledger: LedgerId::Vault, seq: 0 };

fn check_genesis(genesis: &Bytes) -> Result<(VaultId, Suite), GenesisError> {
    let id = VaultId(entry_hash(None, genesis).0);
    let state = VaultState::fold(&id, std::slice::from_ref(genesis))?;
    Ok((id, state.suite()))
}

async fn read_marker(store: &Store) -> Result<(), OpenError> {
    let not_a_vault = || OpenError::NotAVault { location: store.location() };
    let marker = match store.get(&ObjectName::FormatMarker, MAX_MARKER).await {
        Ok(marker) => marker,
        Err(StoreError::NotFound { .. } | StoreError::TooLong { .. }) => return Err(not_a_vault()),
        Err(e) => return Err(OpenError::Store(e)),
    };
    if marker == FORMAT_MARKER {
        return Ok(());
    }
    match std::str::from_utf8(&marker) {
        Ok(text) if text.starts_with("seqvault ") => {
            Err(OpenError::UnknownFormat { location: store.location(), found: text.to_owned() })
        }
        _ => Err(not_a_vault()),
    }
}

/// A new file system has this folder of its own; anything else means that the place is used.
const LOST_AND_FOUND: &str = "lost+found";

async fn check_empty(store: &Store) -> Result<(), InitError> {
    let strange = if store.is_bucket() {
        // Some stores go on listing a folder for a while whose last object was deleted.
        store.first_beside(SCRATCH).await?
    } else {
        let (folders, objects) = store.children("").await?;
        folders.into_iter().filter(|name| name != SCRATCH && name != LOST_AND_FOUND).chain(objects).next()
    };
    match strange {
        Some(what) => Err(InitError::NotEmpty { location: store.location(), what }),
        None => Ok(()),
    }
}
