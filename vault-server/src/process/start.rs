//! What a start asks of the store and of the system, and why it may be refused.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpSocket};
use vault_policy::ledger;

use crate::config::{Config, ConfigError, Links};
use crate::http::tls::TlsError;
use crate::packs::{self, PackError};
use crate::store::{ProbeError, Store, StoreError, probe_all};
use crate::vault::{OpenError, StateError, Vault};

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rule packs of one's own.
    #[error("--packs: {0}")]
    Packs(#[from] PackError),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store can't be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such folder.
    #[error("{path}: there is no such folder")]
    NoFolder {
        /// What was named.
        path: String,
    },
    /// Links are asked for, and the store can't make them.
    #[error("--links on: {location} can't make links, which only a bucket can")]
    NoLinks {
        /// The store.
        location: String,
    },
    /// There is no vault in it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store does not keep the promise that a ledger rests on.
    #[error(
        "{0}: no server may run on such a store, because two of its clients could both be told that their entry counts; what changed at it? An \
         upgrade or a proxy may have taken away conditional writes (If-None-Match)"
    )]
    Probe(#[source] ProbeError),
    /// The vault ledger does not fold.
    #[error(transparent)]
    State(#[from] StateError),
    /// A port can't be had.
    #[error("{address}: can't listen there: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
        /// Whom to ask.
        hint: Option<String>,
    },
    /// The file of addresses can't be written.
    #[error("{}: the addresses can't be written: {source}", path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system gives no signals or addresses.
    #[error("the system refuses what a server needs: {0}")]
    Signals(io::Error),
    /// The settings can't be printed.
    #[error("the settings can't be printed: {0}")]
    Print(String),
    /// A server that was asked is not ready.
    #[error("{address}: not ready: {why}")]
    NotReady {
        /// Where it was asked.
        address: SocketAddr,
        /// What it said, or why it said nothing.
        why: String,
    },
    /// Traces can't be sent.
    #[error("--otlp: traces can't be sent: {0}")]
    Traces(String),
    /// There is a log already.
    #[error("the log can't be started: this process has one")]
    Log,
}

impl From<ProbeError> for StartError {
    /// A store that could not be asked has not broken a promise.
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Store(error) => Self::Store(error),
            other => Self::Probe(other),
        }
    }
}

impl StartError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::NoFolder { .. } | Self::Open(OpenError::NotAVault { .. }) => {
                "name the vault with --vault or SEQVAULT; `seqvault init` makes one"
            }
            Self::NoLinks { .. } => "leave it at auto",
            Self::State(_) => "run `seqvault doctor` on the vault",
            Self::Listen { hint, .. } => return hint.clone(),
            Self::Store(error) | Self::Open(OpenError::Store(error)) => return error.hint(),
            _ => return None,
        };
        Some(fixed.to_owned())
    }

    /// The exit code, as the README's table has them.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Packs(_) | Self::NoLinks { .. } => 2,
            Self::NoFolder { .. } | Self::Open(OpenError::NotAVault { .. }) => 3,
            Self::Store(error) | Self::Open(OpenError::Store(error)) if error.is_not_found() => 3,
            Self::Open(OpenError::Genesis { .. }) | Self::State(_) => 5,
            Self::Store(_) | Self::Open(OpenError::Store(_)) | Self::Probe(_) => 8,
            _ => 1,
        }
    }
}

/// Opens the vault, lets its store prove itself, and folds the vault ledger once.
pub(super) async fn open_vault(config: &Config) -> Result<Vault, StartError> {
    let store = Store::open(&config.vault).await.map_err(|e| missing(config, e))?;
    if config.links == Links::On && !store.links() {
        return Err(StartError::NoLinks { location: store.location() });
    }
    let packs = config.packs.as_deref().map_or_else(|| Ok(Vec::new()), packs::read)?;
    let vault = Vault::open(store.clone()).await?.with_packs(packs);
    if is_probed() {
        probe_all(&store).await?;
    }
    vault.state().await?;
    Ok(vault)
}

/// Says in the log if a rule pack is in force and not at hand. It stops grants; a server without it still takes revocations.
pub(super) fn warn_of_missing_packs(vault: &Vault) {
    let Some(state) = vault.known_state() else { return };
    if let Err(missing) = ledger::in_force(&state, state.last_seq(), vault.packs()) {
        tracing::warn!("{missing}; until then every grant is refused (--packs)");
    }
}

/// Debug builds can be told not to: the end-to-end tests start a server a test over one store, which has shown itself at `init`.
fn is_probed() -> bool {
    !cfg!(debug_assertions) || std::env::var_os("SEQVAULT_TEST_UNPROBED").is_none()
}

fn missing(config: &Config, error: StoreError) -> StartError {
    if error.is_not_found() && !config.vault.starts_with("s3://") {
        StartError::NoFolder { path: config.vault.clone() }
    } else {
        error.into()
    }
}

/// Takes a port.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let taken = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A server that was just stopped leaves connections behind, and the next one may have its port all the same.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    taken().map_err(|source| StartError::Listen { address, hint: hint(address, &source), source })
}

fn hint(address: SocketAddr, error: &io::Error) -> Option<String> {
    let port = address.port();
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program has the port (`ss -ltnp 'sport = :{port}'` says which); end it, or take another with --listen"
            )
        }
        io::ErrorKind::PermissionDenied if port < 1024 => "ports below 1024 are the system's; take another, put a proxy before the server, or give it CAP_NET_BIND_SERVICE (as the unit in deploy/ can)".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address (`ip address` lists them); 0.0.0.0 or [::] means all of them".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}
