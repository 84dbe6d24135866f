//! What this machine remembers: which vaults it has joined, where they are, and the last entry seen of each ledger.
//!
//! Nothing here is secret. Losing it means joining again with an invitation. Files are replaced whole, under a lock, so that
//! two commands at once never lose a pin.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vault_core::ids::{LedgerId, VaultId};
use vault_core::ledger::pin::Pin;

use crate::error::{Failure, Kind, Outcome};

/// The user's state folder.
#[derive(Debug, Clone)]
pub struct StateFolder(PathBuf);

/// What is remembered of one vault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Where it was seen.
    pub locations: Vec<String>,
    /// The last entry seen of each ledger.
    pub pins: BTreeMap<String, Pin>,
}

impl StateFolder {
    /// The folder given, or `$XDG_STATE_HOME/seqvault`, or `~/.local/state/seqvault`.
    ///
    /// # Errors
    /// If there is no home to put it in.
    pub fn find(given: Option<&Path>) -> Outcome<Self> {
        if let Some(path) = given {
            return Ok(Self(path.to_owned()));
        }
        let base = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from).or_else(|| {
            std::env::var_os("HOME").filter(|v| !v.is_empty()).map(|home| Path::new(&home).join(".local/state"))
        });
        base.map(|b| Self(b.join("seqvault"))).ok_or_else(|| {
            Failure::usage("no folder for seqvault's state: HOME is not set")
                .or_in_chinese("没有 seqvault 的状态目录：HOME 未设置")
                .hints("name one with --state or SEQVAULT_STATE", "请以 --state 或 SEQVAULT_STATE 指定")
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A vault's own folder: pins, journals.
    #[must_use]
    pub fn vault(&self, id: &VaultId) -> PathBuf {
        self.0.join("vaults").join(id.to_string())
    }

    /// What is remembered of a vault; `None` if it was never joined.
    ///
    /// # Errors
    /// If the file is there and can't be read.
    pub fn known(&self, id: &VaultId) -> Outcome<Option<Known>> {
        read(&self.vault(id).join("known.json"))
    }

    /// The vault that was last seen at a location.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn at_location(&self, location: &str) -> Outcome<Option<VaultId>> {
        self.at_location_but(location, None)
    }

    fn at_location_but(&self, location: &str, but: Option<&VaultId>) -> Outcome<Option<VaultId>> {
        let folder = self.0.join("vaults");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::file(&folder, &e)),
        };
        for entry in entries.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|n| n.parse::<VaultId>().ok()) else { continue };
            if Some(&id) != but && self.known(&id)?.is_some_and(|known| known.locations.iter().any(|l| l == location)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Remembers a location and pins. A pin only ever moves forward, unless an officer cut its ledger (`true` beside it); `reset`
    /// replaces all of them.
    ///
    /// # Errors
    /// If the state can't be written, or another command on this machine was shown another entry at a pin's number.
    pub fn remember(&self, id: &VaultId, location: &str, pins: &[(LedgerId, Pin, bool)], reset: bool) -> Outcome<()> {
        let folder = self.vault(id);
        create_private(&folder)?;
        let _lock = self.lock(id)?;
        let before = if reset { None } else { self.known(id)? };
        let mut known = before.clone().unwrap_or_default();
        if !known.locations.iter().any(|l| l == location) {
            known.locations.push(location.to_owned());
        }
        for (ledger, pin, was_cut) in pins {
            let place = known.pins.entry(ledger.to_string()).or_insert(*pin);
            if pin.seq == place.seq && pin.hash != place.hash && !was_cut {
                return Err(Failure::integrity(format!(
                    "ledger {ledger}: another command on this machine was shown another entry {}",
                    pin.seq
                ))
                .or_in_chinese(format!("账本 {ledger}：本机的另一命令所见的第 {} 条与此不同", pin.seq))
                .hints(
                    "two views of one vault are shown: ask an officer",
                    "同一保险库向本机显示了两种内容：请询问管理员",
                ));
            }
            if pin.seq >= place.seq || *was_cut {
                *place = *pin;
            }
        }
        if before.as_ref() == Some(&known) {
            return Ok(());
        }
        write(&folder.join("known.json"), &known)
    }

    /// Keeps other commands from changing what is known of a vault, until it is dropped.
    fn lock(&self, id: &VaultId) -> Outcome<File> {
        let path = self.vault(id).join("lock");
        let lock = File::create(&path).map_err(|e| Failure::file(&path, &e))?;
        lock.lock().map_err(|e| Failure::file(&path, &e))?;
        Ok(lock)
    }

    /// Forgets every other vault at a location: it is this one's now.
    ///
    /// # Errors
    /// If the state can't be read or written.
    pub fn take_location(&self, id: &VaultId, location: &str) -> Outcome<()> {
        while let Some(other) = self.at_location_but(location, Some(id))? {
            self.forget_location(&other, location)?;
        }
        Ok(())
    }

    /// Forgets that a vault is at a location, because another one is.
    fn forget_location(&self, id: &VaultId, location: &str) -> Outcome<()> {
        let _lock = self.lock(id)?;
        let Some(mut known) = self.known(id)? else { return Ok(()) };
        known.locations.retain(|l| l != location);
        write(&self.vault(id).join("known.json"), &known)
    }
}

/// Creates a folder, and those above it, that only the user can enter.
///
/// # Errors
/// If it can't be made.
pub fn create_private(folder: &Path) -> Outcome<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| Failure::file(folder, &e))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Outcome<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Failure::new(Kind::Storage, format!("{} is damaged: {e}", path.display()))
                .or_in_chinese(format!("{} 已损坏", path.display()))
                .hints(
                    "restore it from a backup, or delete it and join the vault again with an invitation",
                    "请从备份恢复，或将其删除后凭邀请重新加入",
                )
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::file(path, &e)),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> Outcome<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| Failure::new(Kind::Other, e.to_string()))?;
    replace(path, &bytes)
}

/// Writes a file that only the user can read, whole or not at all: what was there before stays until the new one is on the disk.
///
/// # Errors
/// If it can't be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    };
    save().map_err(|e| Failure::file(path, &e))
}
