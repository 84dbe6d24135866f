//! The server as a process: everything checked, then listening, then ended in good order.
//!
//! `vault-server` and `seqvault serve` are this one function. What it needs is asked for in the order of what it costs: settings,
//! certificates, the store, ports; nothing listens before all of it is right.

mod log;
mod notify;
mod ready;
mod start;
#[cfg(feature = "otlp")]
mod traces;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Args, Config, Links, TlsFiles};
use crate::http;
use crate::http::Service;
use crate::http::health::{self, Health};
use crate::http::metrics::{self, Metrics};
use crate::http::serve::Shared;
use crate::http::tls::{Certificates, Usable};
use crate::http::trace::{Watch, watched};
use crate::vault::Vault;

pub use start::StartError;

/// Connections at the listener for metrics and health.
const INSIDE: usize = 32;

/// Everything that a start needs, checked.
struct Prepared {
    certificate: Option<(TlsFiles, Usable)>,
    vault: Vault,
    listeners: Vec<TcpListener>,
    inside: Option<TcpListener>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop.
    Served,
    /// It was only asked something, and this is the answer.
    Said(String),
}

/// Runs a server until it is told to stop by SIGTERM or SIGINT, or answers `--print-config` and `--check`.
///
/// # Errors
/// If it can't start; once it listens, nothing but a signal ends it.
pub async fn run(args: &Args, vault: Option<String>) -> Result<Outcome, StartError> {
    if let Some(address) = args.is_ready {
        return ready::ask(address).await;
    }
    let config = Config::resolve(&args.gather(vault)?)?;
    if args.print_config {
        let text = toml::to_string(&config.as_settings()).map_err(|e| StartError::Print(e.to_string()))?;
        return Ok(Outcome::Said(text.trim_end().to_owned()));
    }
    let prepared = prepare(&config).await?;
    if args.check {
        return Ok(Outcome::Said("the settings, the certificate, the store and the ports are in order".to_owned()));
    }
    let log = log::Log::begin(&config)?;
    log_panics();
    let served = serve(&config, prepared).await;
    log.end().await;
    served.map(|()| Outcome::Served)
}

async fn prepare(config: &Config) -> Result<Prepared, StartError> {
    let certificate = match &config.tls {
        Some(files) => {
            let usable = Usable::read(files, &config.names, std::time::SystemTime::now())?;
            Some((files.clone(), usable))
        }
        None => None,
    };
    let vault = start::open_vault(config).await?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.push(start::listen(*address)?);
    }
    let inside = config.metrics.map(start::listen).transpose()?;
    Ok(Prepared { certificate, vault, listeners, inside })
}

async fn serve(config: &Config, prepared: Prepared) -> Result<(), StartError> {
    let Prepared { certificate, vault, listeners, inside } = prepared;
    start::warn_of_missing_packs(&vault);
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let (stop, stopping) = watch::channel(false);
    let (end, ending) = watch::channel(false);
    let metrics = Metrics::new(Some(&vault));
    let health = Health::new(vault.clone(), stopping.clone(), Arc::clone(&metrics));
    let watch =
        Watch { metrics: Arc::clone(&metrics), body_timeout: config.timeouts.body, behind_proxy: config.behind_proxy };
    let service = Service::new(vault.clone(), served(config));
    let app = watched(http::router(service).merge(health::router(Arc::clone(&health))), watch.clone());
    let limits = config.limits;
    let mut shared = Shared::new(app, config.timeouts, limits.connections, Arc::clone(&metrics), stopping);
    let certificates =
        certificate.map(|(files, usable)| Certificates::new(files, config.names.clone(), usable, Arc::clone(&metrics)));
    if let Some(certificates) = &certificates {
        shared = shared.with_tls(certificates.server_config()?);
        tokio::spawn(Arc::clone(certificates).follow());
    }
    let addresses = addresses(&listeners)?;
    if !config.behind_proxy {
        // Behind a proxy all clients have its address.
        shared = shared.with_share(limits.connections / 4);
    }
    for (listener, address) in listeners.into_iter().zip(&addresses) {
        // So they have at loopback, where a proxy on this machine may stand.
        let shared = if address.ip().is_loopback() { shared.clone().unshared() } else { shared.clone() };
        tokio::spawn(shared.accept(listener));
    }
    if let Some(listener) = inside {
        let address = listener.local_addr().map_err(StartError::Signals)?;
        tracing::info!(%address, "metrics and health are served inside");
        // It lasts to the end: who watches the server sees it go down.
        let app = watched(metrics::router(Arc::clone(&metrics)).merge(health::router(health)), watch);
        tokio::spawn(Shared::new(app, config.timeouts, INSIDE, Arc::clone(&metrics), ending).accept(listener));
    }
    if let Some(path) = &config.port_file {
        write_ports(path, &addresses).map_err(|source| StartError::PortFile { path: path.clone(), source })?;
    }
    for address in &addresses {
        tracing::info!(%address, tls = config.tls.is_some(), vault = %vault.id(), "listening");
    }
    notify::tell("READY=1");
    signals.stop(certificates.as_ref()).await;
    notify::tell("STOPPING=1");
    let _ = stop.send(true);
    tracing::info!(grace = config.timeouts.grace.as_secs(), "stopping: requests in work may end");
    tokio::select! {
        left = shared.drained(config.timeouts.grace) => match left {
            0 => tracing::info!("stopped"),
            left => tracing::warn!(left, "stopped: connections were cut when the time was over"),
        },
        () = signals.stop(None) => tracing::warn!("stopped at once, by a second signal"),
    }
    let _ = end.send(true);
    Ok(())
}

/// What requests are bounded by.
fn served(config: &Config) -> http::Settings {
    let limits = config.limits;
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    http::Settings {
        names: config.names.iter().map(ToString::to_string).collect(),
        links: config.links != Links::Off,
        requests: limits.requests,
        buffered: limits.body,
        rate: limits.rate,
        burst: limits.rate.saturating_mul(2),
        held_links: count(limits.links),
        open_uploads: count(limits.uploads),
        taken: config.timeouts.body,
        ..http::Settings::default()
    }
}

fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    listeners.iter().map(|listener| listener.local_addr().map_err(StartError::Signals)).collect()
}

/// Whole or not at all: whoever waits for the file may read it as soon as it is there.
fn write_ports(path: &Path, addresses: &[SocketAddr]) -> std::io::Result<()> {
    let text: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// A panic's payload may quote what it worked with, so only its place is said. The request goes on as a problem, the server as before.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(|| "an unknown place".to_owned(), |l| format!("{}:{}", l.file(), l.line()));
        tracing::error!(place, "a bug: please report it");
    }));
}

/// What the process is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the process is told to stop; a hang-up meanwhile reads certificates again.
    async fn stop(&mut self, certificates: Option<&Arc<Certificates>>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => match certificates {
                    Some(certificates) => certificates.reload().await,
                    None => tracing::info!("SIGHUP: there is no certificate to read again"),
                },
            }
        }
    }
}

/// How long after the last request threads that still work are waited for.
pub const AFTERWARDS: Duration = Duration::from_secs(2);
