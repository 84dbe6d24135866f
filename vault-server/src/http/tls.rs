//! Certificate and key from files: checked before they are used, and read again when they change.
//!
//! A file that can't be used never replaces what is in use: the server goes on with the old certificate and says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::uri::Authority;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};

use super::metrics::Metrics;
use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Why a certificate and its key can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{}: the {what} can't be read: {source}; it must be there and readable by the user that the server runs as", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which of the two.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A file is something else.
    #[error("{}: it holds no {what} in PEM: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found.
        why: String,
    },
    /// The certificate is not valid any more.
    #[error("{}: the certificate of {subject} was valid until {end}, and it is {now}: renew it", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Whom it names.
        subject: String,
        /// Its last moment.
        end: String,
        /// The machine's clock.
        now: String,
    },
    /// The certificate is not valid yet.
    #[error("{}: the certificate of {subject} is valid from {start}, and it is {now}: wait, or set the clock", path.display())]
    NotYet {
        /// The file.
        path: PathBuf,
        /// Whom it names.
        subject: String,
        /// Its first moment.
        start: String,
        /// The machine's clock.
        now: String,
    },
    /// The certificates are in the wrong order, or one is missing between them.
    #[error(
        "{}: certificate {position} is of {subject}, which did not issue the one before it ({wanted} did): the server's own stands first, then its issuer, and so on", path.display()
    )]
    Order {
        /// The file.
        path: PathBuf,
        /// The certificate's place, from 1.
        position: usize,
        /// Whom it names.
        subject: String,
        /// Who stands as issuer in the one before.
        wanted: String,
    },
    /// The key fits a later certificate than the first.
    #[error("{}: the key fits certificate {position} ({subject}) and not the first: the server's own certificate stands first", path.display())]
    OwnNotFirst {
        /// The file.
        path: PathBuf,
        /// The certificate's place, from 1.
        position: usize,
        /// Whom it names.
        subject: String,
    },
    /// Key and certificate are not of one pair.
    #[error("{}: this key is not the one of the certificate in {} ({subject})", key.display(), cert.display())]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
        /// Whom the certificate names.
        subject: String,
    },
    /// The key is of a kind that is not known here.
    #[error("{}: the key can't be used: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The server has a name that the certificate does not.
    #[error("{}: the certificate is not for {name}, by which --name says that clients know this server", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The library refuses what was put together.
    #[error("TLS can't be set up: {0}")]
    Setup(rustls::Error),
}

/// A certificate that may be used.
#[derive(Debug, Clone)]
pub struct Usable {
    key: Arc<CertifiedKey>,
    /// Its last second, since 1970.
    ends: i64,
}

/// The certificate in use, and where it comes from.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    names: Vec<Authority>,
    metrics: Arc<Metrics>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Usable {
    /// Reads and checks certificate and key.
    ///
    /// # Errors
    /// If they can't be read, are not valid at `now`, do not belong together or lack a name.
    pub fn read(files: &TlsFiles, names: &[Authority], now: SystemTime) -> Result<Self, TlsError> {
        let chain = read_chain(&files.cert)?;
        let parsed = parse_chain(&files.cert, &chain)?;
        check_dates(&files.cert, &parsed, now)?;
        let key = read_key(&files.key)?;
        check_pair(files, &chain, &parsed, &key)?;
        check_order(&files.cert, &parsed)?;
        check_names(&files.cert, &chain, names)?;
        let ends = parsed.iter().map(end_of).min().unwrap_or_default();
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), ends })
    }
}

impl Certificates {
    /// Holds a certificate for new connections.
    #[must_use]
    pub fn new(files: TlsFiles, names: Vec<Authority>, usable: Usable, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.certificate(usable.ends);
        Arc::new(Self { files, names, metrics, current: RwLock::new(usable.key) })
    }

    /// What a listener needs: TLS 1.2 or 1.3, HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(provider::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the files again and uses them, if they can be used.
    pub async fn reload(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let read = move || Usable::read(&this.files, &this.names, SystemTime::now());
        let read = tokio::task::spawn_blocking(read).await;
        match read {
            Ok(Ok(usable)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = usable.key;
                self.metrics.certificate(usable.ends);
                self.metrics.reloaded(true);
                tracing::info!(certificate = %self.files.cert.display(), "the certificate was read again and is in use");
            }
            Ok(Err(error)) => {
                self.metrics.reloaded(false);
                tracing::error!(%error, "the certificate was read again and can't be used: the old one stays in use");
            }
            Err(_) => {
                self.metrics.reloaded(false);
                tracing::error!("the certificate could not be read again: the old one stays in use");
            }
        }
    }

    /// Reloads whenever a file has changed, for ever.
    ///
    /// The two files are seldom replaced at one moment, so a change is used once it has stood for one look.
    pub async fn follow(self: Arc<Self>) {
        let mut used = self.stamps().await;
        let mut seen = used;
        loop {
            tokio::time::sleep(LOOK).await;
            let found = self.stamps().await;
            if found != used && found == seen {
                self.reload().await;
                used = found;
            }
            seen = found;
        }
    }

    async fn stamps(self: &Arc<Self>) -> [Option<Stamp>; 2] {
        let this = Arc::clone(self);
        let look = move || [stamp(&this.files.cert), stamp(&this.files.key)];
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What tells a file from what was there before, also where it is a link that now leads elsewhere.
type Stamp = (SystemTime, u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |why: String| TlsError::Malformed { path: path.to_owned(), what: "certificate", why };
    let bytes = read(path, "certificate")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|e| malformed(e.to_string()))?;
    if chain.is_empty() { Err(malformed("no block begins with BEGIN CERTIFICATE".to_owned())) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<Arc<dyn SigningKey>, TlsError> {
    let bytes = read(path, "key")?;
    if bytes.windows(9).any(|window| window == b"ENCRYPTED") {
        let why = "it is locked with a passphrase, which a server can't be asked for: store it unlocked and readable by the server alone";
        return Err(TlsError::Key { path: path.to_owned(), why: why.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| TlsError::Malformed {
        path: path.to_owned(),
        what: "private key",
        why: e.to_string(),
    })?;
    provider::sign::any_supported_type(&key).map_err(|e| TlsError::Key { path: path.to_owned(), why: e.to_string() })
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), what, source })
}

fn parse_chain(path: &Path, chain: &[CertificateDer<'static>]) -> Result<Vec<Certificate>, TlsError> {
    let parse = |der: &CertificateDer<'static>| {
        Certificate::from_der(der).map_err(|e| TlsError::Malformed {
            path: path.to_owned(),
            what: "certificate",
            why: e.to_string(),
        })
    };
    chain.iter().map(parse).collect()
}

fn check_dates(path: &Path, chain: &[Certificate], now: SystemTime) -> Result<(), TlsError> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    for certificate in chain {
        let validity = certificate.tbs_certificate().validity();
        let (path, subject) = (path.to_owned(), subject_of(certificate));
        if now > validity.not_after.to_unix_duration() {
            return Err(TlsError::Expired { path, subject, end: validity.not_after.to_string(), now: date(now) });
        }
        if now < validity.not_before.to_unix_duration() {
            return Err(TlsError::NotYet { path, subject, start: validity.not_before.to_string(), now: date(now) });
        }
    }
    Ok(())
}

fn check_pair(
    files: &TlsFiles,
    chain: &[CertificateDer<'static>],
    parsed: &[Certificate],
    key: &Arc<dyn SigningKey>,
) -> Result<(), TlsError> {
    let fits =
        |der: &CertificateDer<'static>| CertifiedKey::new(vec![der.clone()], Arc::clone(key)).keys_match().is_ok();
    match chain.iter().position(fits) {
        Some(0) => Ok(()),
        Some(place) => Err(TlsError::OwnNotFirst {
            path: files.cert.clone(),
            position: place + 1,
            subject: parsed.get(place).map(subject_of).unwrap_or_default(),
        }),
        None => Err(TlsError::OtherKey {
            key: files.key.clone(),
            cert: files.cert.clone(),
            subject: parsed.first().map(subject_of).unwrap_or_default(),
        }),
    }
}

fn check_order(path: &Path, chain: &[Certificate]) -> Result<(), TlsError> {
    for (place, pair) in chain.windows(2).enumerate() {
        let [issued, issuer] = pair else { continue };
        if issued.tbs_certificate().issuer() != issuer.tbs_certificate().subject() {
            return Err(TlsError::Order {
                path: path.to_owned(),
                position: place + 2,
                subject: subject_of(issuer),
                wanted: issued.tbs_certificate().issuer().to_string(),
            });
        }
    }
    Ok(())
}

fn check_names(path: &Path, chain: &[CertificateDer<'static>], names: &[Authority]) -> Result<(), TlsError> {
    let Some(own) = chain.first() else { return Ok(()) };
    let parsed = ParsedCertificate::try_from(own).map_err(TlsError::Setup)?;
    for name in names {
        let host = name.host().trim_start_matches('[').trim_end_matches(']');
        let fits = ServerName::try_from(host).is_ok_and(|host| verify_server_name(&parsed, &host).is_ok());
        if !fits {
            return Err(TlsError::Name { path: path.to_owned(), name: host.to_owned() });
        }
    }
    Ok(())
}

fn subject_of(certificate: &Certificate) -> String {
    let subject = certificate.tbs_certificate().subject().to_string();
    if subject.is_empty() { "no name".to_owned() } else { subject }
}

fn end_of(certificate: &Certificate) -> i64 {
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    i64::try_from(end).unwrap_or(i64::MAX)
}

fn date(since_1970: Duration) -> String {
    DateTime::from_unix_duration(since_1970).map_or_else(|_| "an unknown time".to_owned(), |date| date.to_string())
}
