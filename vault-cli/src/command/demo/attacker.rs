//! What a former recipient can do with everything it ever had: its identity, the epoch secrets and key tables that it could
//! open while it had a grant, and the vault's folder as it is now. It tries each key on each sealed object.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use vault_core::context::Scope;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::ids::{CardId, DatasetId, ManifestId, MemberId};
use vault_core::layout::ObjectName;
use vault_core::seal::{self, PrivateKey};
use vault_keys::custodian::Custodian;
use vault_keys::file;
use vault_keys::passphrase::Passphrase;

use crate::error::{Failure, Kind, Outcome};
use crate::keyring::Keyring;
use crate::session::{Session, Signer};
use crate::settings::Globals;
use crate::transfer::plain_len;

/// Everything that a recipient had while it had a grant.
pub(super) struct Loot {
    scope: Scope,
    custodian: Arc<dyn Custodian>,
    card: CardId,
    members: Vec<MemberId>,
    epochs: Vec<(u64, PrivateKey, EpochSecret)>,
}

/// Collects it, as the recipient.
pub(super) async fn collect(globals: &Globals, passphrase: &str, dataset: &str) -> Outcome<Loot> {
    let id: DatasetId = dataset.parse().map_err(|e| Failure::usage(format!("{e}")))?;
    let mut session = Session::open(globals).await?;
    let state = session.dataset(&id).await?;
    let signer = signer(&session, globals, passphrase)?;
    let keyring = Keyring::open(&session, &signer, &state).await?;
    let scope = session.scope(&id);
    let members = session.vault.members().map(|(m, _)| m.clone()).collect();
    let epochs = keyring.into_epochs().map(|(n, secret)| (n, secret.private_key(&scope, n), secret)).collect();
    Ok(Loot { scope, custodian: signer.custodian, card: signer.card, members, epochs })
}

fn signer(session: &Session, globals: &Globals, passphrase: &str) -> Outcome<Signer> {
    let locked = |e: &dyn std::error::Error| Failure::new(Kind::Identity, e.to_string());
    let passphrase = Passphrase::new(passphrase.to_owned()).map_err(|e| locked(&e))?;
    let custodian = file::unlock(&globals.identity_path()?, &passphrase).map_err(|e| locked(&e))?;
    let member = session.member_of(custodian.card())?;
    Ok(Signer { member, card: *custodian.card().id(), custodian: Arc::new(custodian) })
}

impl Loot {
    /// How many epoch secrets it has.
    pub(super) fn secrets(&self) -> usize {
        self.epochs.len()
    }

    /// How many sealed objects of the vault's folder it opens now.
    pub(super) fn opens(&self, vault: &Path) -> Outcome<usize> {
        let mut count = 0;
        let mut waiting = vec![vault.join("epochs")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder).map_err(|e| Failure::file(&folder, &e))?.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                let name = path.strip_prefix(vault).ok().and_then(|p| p.to_str()).and_then(|p| p.parse().ok());
                let bytes = fs::read(&path).map_err(|e| Failure::file(&path, &e))?;
                count += usize::from(name.is_some_and(|name| self.opens_one(&name, &bytes)));
            }
        }
        Ok(count)
    }

    /// Every key that it has, in every context that could have been meant.
    fn opens_one(&self, name: &ObjectName, bytes: &[u8]) -> bool {
        match name {
            ObjectName::Grant { epoch, .. } => self
                .members
                .iter()
                .any(|author| self.custodian.open(bytes, &self.scope.grant(*epoch, author, &self.card)).is_ok()),
            ObjectName::Header { manifest, .. } => self.opens_header(manifest, bytes),
            ObjectName::Table { .. } => self.epochs.iter().any(|(n, _, secret)| {
                let count = plain_len(bytes.len() as u64).unwrap_or(0) / 48;
                KeyTable::open(bytes, &secret.table_key(&self.scope, *n), &self.scope, *n, count).is_ok()
                    || floe::Opener::start(
                        &secret.table_key(&self.scope, *n),
                        self.scope.table(*n).as_bytes(),
                        bytes.get(..floe::HEADER).unwrap_or_default(),
                    )
                    .is_ok()
            }),
            _ => false,
        }
    }

    fn opens_header(&self, manifest: &ManifestId, bytes: &[u8]) -> bool {
        self.epochs.iter().any(|(n, key, _)| {
            self.members
                .iter()
                .any(|author| seal::open(key, bytes, &self.scope.manifest_key(*n, manifest, author)).is_ok())
        })
    }
}
