//! What a server is told: flags, then environment, then a TOML file, then what holds by itself.
//!
//! A key of the file is called as its flag is. Everything is checked here before a port is opened, as far as no file or store has to
//! be asked; [`crate::process`] asks those.

mod settings;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::Authority;

pub use settings::{Level, Links, LogFormat, Settings};

/// Arguments of `vault-server` and of `seqvault serve`, all but the vault.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Settings from this TOML file, for what neither flag nor environment gives
    #[arg(long, value_name = "PATH", env = "SEQVAULT_SERVER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check everything that a start checks, then exit
    #[arg(long)]
    pub check: bool,
    /// Print the settings in force as TOML, then exit
    #[arg(long)]
    pub print_config: bool,
    /// Ask the server whose --metrics are at this address whether it is ready, then exit: 0 if it is
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["check", "print_config"])]
    pub is_ready: Option<SocketAddr>,
    /// All that the file may give too.
    #[command(flatten)]
    pub settings: Settings,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: the settings can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is no TOML, or holds a key that there is not.
    #[error("{}: line {line}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A variable that looks like a setting's and is none.
    #[error("{name}: there is no such setting{}; `vault-server --help` lists the variables", meant.as_ref().map_or_else(String::new, |meant| format!(" (perhaps {meant}?)")))]
    Variable {
        /// The variable.
        name: String,
        /// What may have been meant.
        meant: Option<String>,
    },
    /// No vault is named.
    #[error("which vault? Name its folder or s3:// address with --vault, SEQVAULT, or `vault` in the settings file")]
    NoVault,
    /// A value can't be.
    #[error("{setting}: {why}")]
    Value {
        /// The setting's flag.
        setting: &'static str,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// Certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// How much is taken from whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest body in bytes; what an object's kind may have comes on top.
    pub body: u64,
    /// Requests in work at once.
    pub requests: usize,
    /// Connections open at once.
    pub connections: usize,
    /// Requests a member may make in a second, on average.
    pub rate: u32,
    /// Links that a member may hold at once.
    pub links: u32,
    /// Uploads that a member may have open.
    pub uploads: u32,
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of a request, and for the next request on a connection.
    pub headers: Duration,
    /// For 4 KiB of a body, in either direction.
    pub body: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For requests in work when the server is told to stop.
    pub grace: Duration,
}

/// Settings that make sense.
#[derive(Debug, Clone)]
pub struct Config {
    /// The vault: a folder or `s3://`.
    pub vault: String,
    /// Addresses to listen at.
    pub listen: Vec<SocketAddr>,
    /// Where the addresses are written once the server listens, one a line.
    pub port_file: Option<PathBuf>,
    /// Names that requests may be addressed to; any if there are none.
    pub names: Vec<Authority>,
    /// Certificate and key; without them HTTP is plain.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy that ends TLS stands before the server.
    pub behind_proxy: bool,
    /// A folder of rule packs besides those inside the program.
    pub packs: Option<PathBuf>,
    /// Whether clients get links straight to the store.
    pub links: Links,
    /// How much is taken from whom.
    pub limits: Limits,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// How log lines look.
    pub log: LogFormat,
    /// Which log lines there are.
    pub log_level: Level,
    /// Where traces go.
    pub otlp: Option<String>,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);

impl Args {
    /// The settings of flags and environment, then of the file.
    ///
    /// # Errors
    /// If the file can't be read or understood.
    pub fn gather(&self, vault: Option<String>) -> Result<Settings, ConfigError> {
        check_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let mut given = self.settings.clone();
        given.vault = vault.filter(|vault| !vault.is_empty());
        match &self.config {
            Some(path) => Ok(given.or(read_file(path)?)),
            None => Ok(given),
        }
    }
}

impl Config {
    /// Fills in what holds by itself and refuses what can't be.
    ///
    /// # Errors
    /// If a setting is missing, makes no sense, or does not go with another.
    pub fn resolve(settings: &Settings) -> Result<Self, ConfigError> {
        let listen = addresses(settings)?;
        let tls = tls_files(settings)?;
        let behind_proxy = settings.behind_proxy.unwrap_or(false);
        refuse_plain(&listen, tls.is_some(), behind_proxy)?;
        let config = Self {
            vault: settings.vault.clone().ok_or(ConfigError::NoVault)?,
            listen,
            port_file: settings.port_file.clone(),
            names: names(settings)?,
            tls,
            behind_proxy,
            packs: settings.packs.clone(),
            links: settings.links.unwrap_or(Links::Auto),
            limits: limits(settings)?,
            timeouts: timeouts(settings)?,
            metrics: settings.metrics.as_deref().map(|text| address("--metrics", text)).transpose()?,
            log: settings.log.unwrap_or(LogFormat::Text),
            log_level: settings.log_level.unwrap_or(Level::Info),
            otlp: settings.otlp.as_deref().map(collector).transpose()?,
        };
        config.refuse_shared_port()?;
        Ok(config)
    }

    /// These settings as a file that gives the same.
    #[must_use]
    pub fn as_settings(&self) -> Settings {
        let Limits { body, requests, connections, rate, links, uploads } = self.limits;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Settings {
            vault: Some(self.vault.clone()),
            listen: self.listen.iter().map(ToString::to_string).collect(),
            port_file: self.port_file.clone(),
            name: self.names.iter().map(ToString::to_string).collect(),
            tls_cert: self.tls.as_ref().map(|files| files.cert.clone()),
            tls_key: self.tls.as_ref().map(|files| files.key.clone()),
            behind_proxy: Some(self.behind_proxy),
            packs: self.packs.clone(),
            links: Some(self.links),
            max_body: Some(body),
            max_requests: Some(count(requests)),
            max_connections: Some(count(connections)),
            max_rate: Some(rate),
            max_links: Some(links),
            max_uploads: Some(uploads),
            header_timeout: Some(self.timeouts.headers.as_secs()),
            body_timeout: Some(self.timeouts.body.as_secs()),
            handshake_timeout: Some(self.timeouts.handshake.as_secs()),
            grace: Some(self.timeouts.grace.as_secs()),
            metrics: self.metrics.map(|address| address.to_string()),
            log: Some(self.log),
            log_level: Some(self.log_level),
            otlp: self.otlp.clone(),
        }
    }

    fn refuse_shared_port(&self) -> Result<(), ConfigError> {
        let public = |address: &SocketAddr| address.port() != 0 && self.listen.contains(address);
        match self.metrics.filter(public) {
            Some(address) => Err(value(
                "--metrics",
                format!(
                    "{address} is given to --listen too: metrics are never served where clients come; take another port"
                ),
            )),
            None => Ok(()),
        }
    }
}

fn value(setting: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Value { setting, why: why.into() }
}

/// What the names of all variables for settings begin with. Nothing else may: a slip of the pen would leave a limit as it was, unseen.
const VARIABLES: &str = "SEQVAULT_SERVER_";

fn check_variables(set: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("vault-server"));
    let known: Vec<String> = command.get_arguments().filter_map(|a| a.get_env()?.to_str().map(str::to_owned)).collect();
    let mut unknown = set.filter(|name| name.starts_with(VARIABLES) && !known.contains(name));
    match unknown.next() {
        Some(name) => Err(ConfigError::Variable { meant: nearest(&name, &known), name }),
        None => Ok(()),
    }
}

/// A known name that begins or ends as this one does, the one that agrees longest.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let rest = |name: &str| name.strip_prefix(VARIABLES).unwrap_or(name).to_owned();
    let agree = |one: &str| {
        let (a, b) = (rest(name), rest(one));
        let front = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
        front.max(a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b).count())
    };
    known.iter().max_by_key(|one| agree(one)).filter(|one| agree(one) >= 4).cloned()
}

fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::File { path: path.to_owned(), line, why: error.message().replace('\n', " ") }
    })
}

fn addresses(settings: &Settings) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut found = Vec::new();
    for text in &settings.listen {
        let address = address("--listen", text)?;
        if found.contains(&address) && address.port() != 0 {
            return Err(value("--listen", format!("{address} is given twice")));
        }
        found.push(address);
    }
    if found.is_empty() {
        found.push(DEFAULT_LISTEN);
    }
    Ok(found)
}

fn address(setting: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        value(setting, format!("{text:?} is no address: give an IP address and a port, as 127.0.0.1:8420 or [::]:443"))
    })
}

fn names(settings: &Settings) -> Result<Vec<Authority>, ConfigError> {
    let parse = |text: &String| {
        let name: Result<Authority, _> = text.to_ascii_lowercase().parse();
        match name {
            Ok(name) if !name.host().is_empty() && !text.contains('@') => Ok(name),
            _ => Err(value(
                "--name",
                format!(
                    "{text:?} is no name: give a host as in https://HOST, with its port if that is not the usual one"
                ),
            )),
        }
    };
    settings.name.iter().map(parse).collect()
}

fn tls_files(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    match (settings.tls_cert.clone(), settings.tls_key.clone()) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(value("--tls-key", "--tls-cert is given without it: a certificate needs its private key"))
        }
        (None, Some(_)) => Err(value("--tls-cert", "--tls-key is given without it: a key needs its certificate")),
    }
}

/// Signatures protect what is asked and not what is answered: over plain HTTP anybody on the way reads who works with what.
fn refuse_plain(listen: &[SocketAddr], tls: bool, behind_proxy: bool) -> Result<(), ConfigError> {
    let open = listen.iter().find(|address| !address.ip().is_loopback());
    match open {
        Some(address) if !tls && !behind_proxy => Err(value(
            "--listen",
            format!(
                "{address} can be reached from other machines and there is no TLS: give --tls-cert and --tls-key, or --behind-proxy if a proxy before it ends TLS"
            ),
        )),
        _ => Ok(()),
    }
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    let wide = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(Limits {
        body: at_least("--max-body", settings.max_body.unwrap_or(80 << 20), 1 << 20)?,
        requests: wide(at_least("--max-requests", settings.max_requests.unwrap_or(256), 1)?),
        connections: wide(at_least("--max-connections", settings.max_connections.unwrap_or(1024), 1)?),
        rate: at_least("--max-rate", settings.max_rate.unwrap_or(1000), 1)?,
        links: at_least("--max-links", settings.max_links.unwrap_or(20_000), 1)?,
        uploads: at_least("--max-uploads", settings.max_uploads.unwrap_or(64), 1)?,
    })
}

fn timeouts(settings: &Settings) -> Result<Timeouts, ConfigError> {
    let seconds = |setting, given: Option<u64>, usual| {
        let given = at_least(setting, given.unwrap_or(usual), 1)?;
        if given > 3600 {
            return Err(value(
                setting,
                format!("{given} seconds are more than an hour: whoever is slow would hold the server"),
            ));
        }
        Ok(Duration::from_secs(given))
    };
    Ok(Timeouts {
        headers: seconds("--header-timeout", settings.header_timeout, 10)?,
        body: seconds("--body-timeout", settings.body_timeout, 30)?,
        handshake: seconds("--handshake-timeout", settings.handshake_timeout, 10)?,
        grace: seconds("--grace", settings.grace, 30)?,
    })
}

fn at_least<T: PartialOrd + core::fmt::Display>(setting: &'static str, given: T, least: T) -> Result<T, ConfigError> {
    if given < least {
        return Err(value(setting, format!("{given} is too little: with less than {least} nothing can be served")));
    }
    Ok(given)
}

fn collector(text: &str) -> Result<String, ConfigError> {
    let uri: Result<http::Uri, _> = text.parse();
    let fits = uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some_and(|a| !a.as_str().contains('@'))
    });
    if !fits {
        return Err(value("--otlp", "it is no address of a collector: give one as http://127.0.0.1:4318"));
    }
    if cfg!(not(feature = "otlp")) {
        return Err(value(
            "--otlp",
            "this program was built without traces: build it with `--features otlp`, or leave it out",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
