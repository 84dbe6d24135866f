//! The settings as they are given: one type for flags, environment and file, so that none of them can know more than another.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether clients get links straight to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// Yes; a store that can't make them is refused at start.
    On,
    /// No: all bytes pass through the server.
    Off,
    /// If the store can make them.
    Auto,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log lines there are: this level and those above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// One line a request, and what the server does by itself.
    Info,
    /// Steps.
    Debug,
    /// Everything.
    Trace,
}

/// What can be set. Lists that are empty and options that are `None` are not given.
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// The vault; a flag of the program, because `seqvault` has it for every verb.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// Listen at this address; may be given again. Port 0 takes a free one [default: 127.0.0.1:8420]
    #[arg(long, value_name = "IP:PORT", env = "SEQVAULT_SERVER_LISTEN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
    /// Write the addresses to this file once the server listens, one a line
    #[arg(long, value_name = "PATH", env = "SEQVAULT_SERVER_PORT_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_file: Option<PathBuf>,
    /// A name that clients know this server by, with its port if that is not the usual one; may be given again. Requests signed for
    /// another are refused [default: what `Host` says]
    #[arg(long, value_name = "HOST", env = "SEQVAULT_SERVER_NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<String>,
    /// The certificate and those that lead to its root, PEM, the server's own first; read again when it changes and on SIGHUP
    #[arg(long, value_name = "PATH", env = "SEQVAULT_SERVER_TLS_CERT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "PATH", env = "SEQVAULT_SERVER_TLS_KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// A proxy that ends TLS stands before this server: plain HTTP is allowed beyond loopback, and X-Forwarded-For is logged
    #[arg(long, env = "SEQVAULT_SERVER_BEHIND_PROXY", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_proxy: Option<bool>,
    /// Rule packs besides those inside this program: a folder of .toml files
    #[arg(long, value_name = "DIR", env = "SEQVAULT_SERVER_PACKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packs: Option<PathBuf>,
    /// Whether clients get links straight to the store [default: auto]
    #[arg(long, value_enum, env = "SEQVAULT_SERVER_LINKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
    /// Longest body in bytes, and how many bytes of bodies are held in memory at once [default: 83886080]
    #[arg(long, value_name = "BYTES", env = "SEQVAULT_SERVER_MAX_BODY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// Requests in work at once; those beyond are told to come again [default: 256]
    #[arg(long, value_name = "N", env = "SEQVAULT_SERVER_MAX_REQUESTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Connections open at once; those beyond are closed [default: 1024]
    #[arg(long, value_name = "N", env = "SEQVAULT_SERVER_MAX_CONNECTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Requests that a member may make in a second [default: 1000]
    #[arg(long, value_name = "N", env = "SEQVAULT_SERVER_MAX_RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u32>,
    /// Links that a member may hold at once [default: 20000]
    #[arg(long, value_name = "N", env = "SEQVAULT_SERVER_MAX_LINKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_links: Option<u32>,
    /// Uploads that a member may have open [default: 64]
    #[arg(long, value_name = "N", env = "SEQVAULT_SERVER_MAX_UPLOADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uploads: Option<u32>,
    /// Wait so long for a request's head, or for the next request on a connection [default: 10]
    #[arg(long, value_name = "SECONDS", env = "SEQVAULT_SERVER_HEADER_TIMEOUT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_timeout: Option<u64>,
    /// Wait so long for the next 4 KiB of a body [default: 30]
    #[arg(long, value_name = "SECONDS", env = "SEQVAULT_SERVER_BODY_TIMEOUT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_timeout: Option<u64>,
    /// Wait so long for a TLS handshake [default: 10]
    #[arg(long, value_name = "SECONDS", env = "SEQVAULT_SERVER_HANDSHAKE_TIMEOUT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_timeout: Option<u64>,
    /// Wait so long for requests in work when told to stop [default: 30]
    #[arg(long, value_name = "SECONDS", env = "SEQVAULT_SERVER_GRACE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
    /// Serve Prometheus metrics and health at this address, plain HTTP and unsigned: keep it inside
    #[arg(long, value_name = "IP:PORT", env = "SEQVAULT_SERVER_METRICS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_enum, env = "SEQVAULT_SERVER_LOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFormat>,
    /// Which log lines there are [default: info]
    #[arg(long, value_enum, env = "SEQVAULT_SERVER_LOG_LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<Level>,
    /// Send traces to this collector, OTLP over HTTP
    #[arg(long, value_name = "URL", env = "SEQVAULT_SERVER_OTLP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
}

impl Settings {
    /// These settings, and the others where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let list = |a: Vec<String>, b| if a.is_empty() { b } else { a };
        Self {
            vault: self.vault.or(other.vault),
            listen: list(self.listen, other.listen),
            port_file: self.port_file.or(other.port_file),
            name: list(self.name, other.name),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            behind_proxy: self.behind_proxy.or(other.behind_proxy),
            packs: self.packs.or(other.packs),
            links: self.links.or(other.links),
            max_body: self.max_body.or(other.max_body),
            max_requests: self.max_requests.or(other.max_requests),
            max_connections: self.max_connections.or(other.max_connections),
            max_rate: self.max_rate.or(other.max_rate),
            max_links: self.max_links.or(other.max_links),
            max_uploads: self.max_uploads.or(other.max_uploads),
            header_timeout: self.header_timeout.or(other.header_timeout),
            body_timeout: self.body_timeout.or(other.body_timeout),
            handshake_timeout: self.handshake_timeout.or(other.handshake_timeout),
            grace: self.grace.or(other.grace),
            metrics: self.metrics.or(other.metrics),
            log: self.log.or(other.log),
            log_level: self.log_level.or(other.log_level),
            otlp: self.otlp.or(other.otlp),
        }
    }
}
