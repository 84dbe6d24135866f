//! A vault in a bucket: from an address and this machine's environment to an object store.

mod answer;
mod credentials;
mod environment;
mod location;
mod split;
mod ways;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider, S3ConditionalPut};
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use answer::Connector;
use environment::Profile;
use split::Split;

pub use answer::Answer;
pub(crate) use answer::{ARCHIVED, deepest, is_full, is_tls, patience};
pub use credentials::CredentialsError;
pub use environment::{Environment, ProfileError};
pub use location::{Endpoint, LocationError, Place, S3Location};
pub(crate) use split::is_of_epochs;
pub(crate) use ways::Ways;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// What is signed for where nobody names a region: AWS says the right one when it refuses, other stores take it.
const REGION: &str = "us-east-1";

/// Where the environment names proxies for plain HTTP.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Why a bucket could not even be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenS3Error {
    /// The address is wrong.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A variable or a profile's setting is wrong.
    #[error("{name}: {source}")]
    Setting {
        /// Which.
        name: String,
        /// What is wrong with it.
        source: LocationError,
    },
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The file of certificates can't be used.
    #[error("AWS_CA_BUNDLE {}: {why}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The client could not be made.
    #[error("no client for the bucket: {0}")]
    Client(String),
}

impl OpenS3Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Credentials(CredentialsError::Nowhere { .. }) => {
                Some("set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            }
            Self::Bundle { .. } => {
                Some("AWS_CA_BUNDLE names a file with certificates in PEM; unset it to trust the system's alone")
            }
            _ => None,
        }
    }
}

/// A bucket that is open, or two.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) main: Ways,
    pub(crate) epochs: Option<Ways>,
    /// With what the environment added.
    pub(crate) location: S3Location,
    /// For bodies that `object_store` would hold in memory.
    pub(crate) plain: reqwest::Client,
}

impl Bucket {
    /// Makes the clients. No bucket is asked for anything yet.
    pub(crate) async fn open(location: &S3Location, environment: &Environment) -> Result<Self, OpenS3Error> {
        let profile = environment.profile().map_err(CredentialsError::Profile)?;
        let location = complete(location, environment, &profile)?;
        let bundle = bundle(environment)?;
        let options = client_options(&location, bundle.as_deref())?;
        let credentials = credentials::find(environment, &profile, &options).await?;
        let needs_tls = needs_tls(&location);
        // Whoever speaks no TLS has nobody to trust, and reading all of the system's certificates takes longer than many a command.
        let options = options.with_no_system_certificates(!needs_tls);
        let ways = |place: &Place| -> Result<Ways, OpenS3Error> {
            let stores = clients(&location, place, &options, &credentials)?;
            Ok(Ways::new(stores, &place.prefix))
        };
        let (main, epochs) = (ways(&location.main)?, location.epochs.as_ref().map(&ways).transpose()?);
        let plain = plain_client(bundle.as_deref(), needs_tls)?;
        Ok(Self { main, epochs, location, plain })
    }

    /// As one store.
    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        let main: Arc<dyn ObjectStore> = Arc::new(self.main.clone());
        match &self.epochs {
            Some(epochs) => Arc::new(Split { main, epochs: Arc::new(epochs.clone()) }),
            None => main,
        }
    }

    /// The ways to the place where a name lies.
    pub(crate) fn ways_of(&self, key: &object_store::path::Path) -> &Ways {
        self.epochs.as_ref().filter(|_| is_of_epochs(key)).unwrap_or(&self.main)
    }

    /// The place in which a name lies.
    pub(crate) fn place_of(&self, key: &object_store::path::Path) -> &Place {
        self.location.epochs.as_ref().filter(|_| is_of_epochs(key)).unwrap_or(&self.location.main)
    }
}

/// Adds to an address what the environment and the profile say.
fn complete(location: &S3Location, environment: &Environment, profile: &Profile) -> Result<S3Location, OpenS3Error> {
    let mut location = location.clone();
    if location.endpoints.is_empty() {
        let variable = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| Some((name.to_owned(), environment.variable(name)?)));
        let of_profile =
            || Some((format!("endpoint_url of profile {}", profile.name), profile.setting("endpoint_url")?));
        if let Some((name, value)) = variable.or_else(of_profile) {
            location.endpoints.push(value.parse().map_err(|source| OpenS3Error::Setting { name, source })?);
        }
    }
    if location.region.is_none() {
        let variable = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| Some((name.to_owned(), environment.variable(name)?)));
        let of_profile = || Some((format!("region of profile {}", profile.name), profile.setting("region")?));
        if let Some((name, value)) = variable.or_else(of_profile) {
            location.region = Some(location::region(value).map_err(|source| OpenS3Error::Setting { name, source })?);
        }
    }
    location.allow_http |= environment.is_true("AWS_ALLOW_HTTP");
    location.check_http()?;
    Ok(location)
}

/// More certificates that are trusted, as a file in PEM.
fn bundle(environment: &Environment) -> Result<Option<Vec<u8>>, OpenS3Error> {
    let Some(path) = environment.variable("AWS_CA_BUNDLE").map(PathBuf::from) else { return Ok(None) };
    let bad = |why: String| OpenS3Error::Bundle { path: path.clone(), why };
    let pem = std::fs::read(&path).map_err(|e| bad(e.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(Some(pem)),
        Ok(_) => Err(bad("there is no certificate in it".to_owned())),
        Err(e) => Err(bad(deepest(&e))),
    }
}

/// Whether a connection may be made by TLS: to the bucket, or to a proxy before it.
fn needs_tls(location: &S3Location) -> bool {
    // The client takes these from the process, whatever `Environment` it was opened in.
    let has_proxy = PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let endpoints = &location.endpoints;
    has_proxy || endpoints.is_empty() || !endpoints.iter().all(Endpoint::is_http)
}

fn client_options(location: &S3Location, bundle: Option<&[u8]>) -> Result<ClientOptions, OpenS3Error> {
    let http = location.endpoints.iter().any(|endpoint| endpoint.as_str().starts_with("http://"));
    // How long a request may take is decided where its length is known: `answer`.
    let mut options = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout_disabled().with_allow_http(http);
    for certificate in certificates(bundle)? {
        options = options.with_root_certificate(certificate);
    }
    Ok(options)
}

fn certificates(bundle: Option<&[u8]>) -> Result<Vec<Certificate>, OpenS3Error> {
    bundle.map_or(Ok(Vec::new()), Certificate::from_pem_bundle).map_err(|e| OpenS3Error::Client(deepest(&e)))
}

/// One client an endpoint.
fn clients(
    location: &S3Location,
    place: &Place,
    options: &ClientOptions,
    credentials: &AwsCredentialProvider,
) -> Result<Vec<AmazonS3>, OpenS3Error> {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_secs(60),
    };
    // TLS protects a body on its way, and this machine itself; hashing it for the signature as well costs time at both ends.
    let open = location.endpoints.iter().any(|endpoint| endpoint.is_http() && !endpoint.is_loopback());
    // Endpoints of one's own seldom have a name for each bucket; AWS has.
    let path_style = location.path_style.unwrap_or(!location.endpoints.is_empty() || place.bucket.contains('.'));
    let client = |endpoint: Option<&Endpoint>| {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&place.bucket)
            .with_region(location.region.as_deref().unwrap_or(REGION))
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_unsigned_payload(!open)
            .with_virtual_hosted_style_request(!path_style)
            .with_client_options(options.clone())
            .with_http_connector(Connector)
            .with_retry(retry.clone())
            .with_credentials(Arc::clone(credentials));
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(host(endpoint, &place.bucket, path_style));
        }
        builder.build().map_err(|e| OpenS3Error::Client(e.to_string()))
    };
    if location.endpoints.is_empty() {
        return Ok(vec![client(None)?]);
    }
    location.endpoints.iter().map(|endpoint| client(Some(endpoint))).collect()
}

/// `object_store` wants the bucket in the endpoint if it is to stand in the host.
fn host(endpoint: &Endpoint, bucket: &str, path_style: bool) -> String {
    match endpoint.as_str().split_once("://") {
        Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.as_str().to_owned(),
    }
}

fn plain_client(bundle: Option<&[u8]>, needs_tls: bool) -> Result<reqwest::Client, OpenS3Error> {
    let failed = |e: reqwest::Error| OpenS3Error::Client(deepest(&e));
    let certificates = bundle.map_or(Ok(Vec::new()), reqwest::Certificate::from_pem_bundle).map_err(failed)?;
    let builder = reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
    let builder = if needs_tls { builder.tls_certs_merge(certificates) } else { builder.tls_certs_only(certificates) };
    builder.build().map_err(failed)
}
