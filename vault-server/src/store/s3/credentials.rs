//! Credentials for S3, from the places where AWS's tools look, in their order: environment, web identity, profile, container, instance.
//!
//! A machine that has none is told so at once, with all the places that were looked at.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::client::{ClientConfigKey, CredentialProvider};
use object_store::{BackoffConfig, ClientOptions, RetryConfig, StaticCredentialProvider};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::Answer;
use super::environment::{Environment, Profile, ProfileError, Way};

/// How long the metadata service of a cloud's machine may take to answer: it is next door.
const METADATA: Duration = Duration::from_secs(1);

/// Credentials of a process that end are asked for again after this; none live shorter than fifteen minutes.
const PROCESS_AGE: Duration = Duration::from_secs(300);

/// Longest output of a credential process.
const MAX_OUTPUT: usize = 64 * 1024;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A profile can't be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// One of the two variables is missing.
    #[error("{there} is set and {missing} is not")]
    Half {
        /// What is there.
        there: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Nothing was found anywhere.
    #[error(
        "no credentials: looked for AWS_ACCESS_KEY_ID, web identity, profile {profile:?} in {files}, a container's credentials, and {instance}"
    )]
    Nowhere {
        /// The profile.
        profile: String,
        /// The files.
        files: String,
        /// What became of the instance metadata service.
        instance: String,
    },
    /// What was found can't be used.
    #[error("{0}")]
    Unusable(object_store::Error),
}

/// Finds where credentials come from. Nothing is asked of a network but whether there is an instance metadata service.
pub(crate) async fn find(
    environment: &Environment,
    profile: &Profile,
    options: &ClientOptions,
) -> Result<AwsCredentialProvider, CredentialsError> {
    if let Some(keys) = keys_of(environment)? {
        return Ok(Arc::new(StaticCredentialProvider::new(keys)));
    }
    let set = |name| environment.variable(name);
    let web_identity = set("AWS_WEB_IDENTITY_TOKEN_FILE").zip(set("AWS_ROLE_ARN"));
    if let Some((token_file, role)) = web_identity {
        return by_web_identity(environment, options, token_file, role, set("AWS_ROLE_SESSION_NAME"));
    }
    match profile.way()? {
        Some(Way::Keys { id, secret, token }) => {
            let keys = AwsCredential { key_id: id, secret_key: secret, token };
            return Ok(Arc::new(StaticCredentialProvider::new(keys)));
        }
        Some(Way::Process(command)) => return Ok(Arc::new(Process { command, last: Mutex::new(None) })),
        Some(Way::WebIdentity { token_file, role, session }) => {
            return by_web_identity(environment, options, &token_file, &role, session.as_deref());
        }
        None => {}
    }
    check_container(environment)?;
    let mut builder = builder(options);
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
    ];
    let mut in_container = false;
    for (name, key) in container {
        if let Some(value) = set(name) {
            builder = builder.with_config(key, value);
            in_container = true;
        }
    }
    if !in_container {
        let service = set("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
        instance(environment, service).await.map_err(|instance| CredentialsError::Nowhere {
            profile: profile.name.clone(),
            files: profile.files().to_owned(),
            instance,
        })?;
        builder = builder.with_metadata_endpoint(service.trim_end_matches('/'));
    }
    provider(builder)
}

/// Refuses half of what a container has: `object_store` would take the machine for an instance, and wait for a service that is not there.
fn check_container(environment: &Environment) -> Result<(), CredentialsError> {
    const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    if environment.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some() {
        return Ok(());
    }
    match (environment.variable(URI), environment.variable(TOKEN)) {
        (Some(_), None) => Err(CredentialsError::Half { there: URI, missing: TOKEN }),
        (None, Some(_)) => Err(CredentialsError::Half { there: TOKEN, missing: URI }),
        _ => Ok(()),
    }
}

/// Two variables, or neither.
fn keys_of(environment: &Environment) -> Result<Option<AwsCredential>, CredentialsError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (environment.variable(ID), environment.variable(SECRET)) {
        (Some(id), Some(secret)) => Ok(Some(AwsCredential {
            key_id: id.to_owned(),
            secret_key: secret.to_owned(),
            token: environment.variable("AWS_SESSION_TOKEN").map(str::to_owned),
        })),
        (Some(_), None) => Err(CredentialsError::Half { there: ID, missing: SECRET }),
        (None, Some(_)) => Err(CredentialsError::Half { there: SECRET, missing: ID }),
        (None, None) => Ok(None),
    }
}

fn by_web_identity(
    environment: &Environment,
    options: &ClientOptions,
    token_file: &str,
    role: &str,
    session: Option<&str>,
) -> Result<AwsCredentialProvider, CredentialsError> {
    let mut builder = builder(options)
        .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
        .with_config(AmazonS3ConfigKey::RoleArn, role);
    if let Some(session) = session {
        builder = builder.with_config(AmazonS3ConfigKey::RoleSessionName, session);
    }
    if let Some(service) = environment.variable("AWS_ENDPOINT_URL_STS") {
        builder = builder.with_config(AmazonS3ConfigKey::StsEndpoint, service);
    }
    if let Some(region) = environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]) {
        builder = builder.with_region(region);
    }
    provider(builder)
}

/// A builder that is used for its credentials alone.
fn builder(options: &ClientOptions) -> AmazonS3Builder {
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(1), ..BackoffConfig::default() },
        max_retries: 3,
        retry_timeout: Duration::from_secs(10),
    };
    let options = options.clone().with_config(ClientConfigKey::Timeout, "10s");
    AmazonS3Builder::new().with_bucket_name("none").with_client_options(options).with_retry(retry)
}

fn provider(builder: AmazonS3Builder) -> Result<AwsCredentialProvider, CredentialsError> {
    builder.build().map(|s3| Arc::clone(s3.credentials())).map_err(CredentialsError::Unusable)
}

/// Whether a metadata service answers, else why it is not asked. Without this look, a machine without one waits for it on each request,
/// and one that is kept from it gets that refusal in place of a bucket's answer.
async fn instance(environment: &Environment, service: &str) -> Result<(), String> {
    if environment.is_true("AWS_EC2_METADATA_DISABLED") {
        return Err("no instance metadata service (AWS_EC2_METADATA_DISABLED)".to_owned());
    }
    let service = service.trim_end_matches('/');
    let nobody = |_| format!("the instance metadata service at {service}, where nothing answers within a second");
    let client = reqwest::Client::builder().no_proxy().timeout(METADATA).build().map_err(nobody)?;
    let token = client
        .put(format!("{service}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "60")
        .header("content-length", "0");
    let answer = token.send().await.map_err(nobody)?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("the instance metadata service at {service}, which refuses ({})", answer.status()))
    }
}

/// A program that prints credentials.
#[derive(Debug)]
struct Process {
    command: String,
    last: Mutex<Option<Printed>>,
}

#[derive(Debug)]
struct Printed {
    keys: Arc<AwsCredential>,
    /// When it is asked again; `None` if its credentials do not end.
    until: Option<Instant>,
}

/// What a credential process prints.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

#[async_trait::async_trait]
impl CredentialProvider for Process {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut last = self.last.lock().await;
        if let Some(known) = last.as_ref().filter(|known| known.until.is_none_or(|until| Instant::now() < until)) {
            return Ok(Arc::clone(&known.keys));
        }
        let command = self.command.clone();
        let ran = tokio::task::spawn_blocking(move || run(&command)).await;
        let printed = ran.unwrap_or_else(|_| Err("it was stopped".to_owned())).map_err(|why| {
            let text = format!("credential_process {:?}: {why}", self.command);
            object_store::Error::Generic { store: "S3", source: Box::new(Answer::NoCredentials(text)) }
        })?;
        let keys = Arc::clone(&printed.keys);
        *last = Some(printed);
        Ok(keys)
    }
}

fn run(command: &str) -> Result<Printed, String> {
    let words = words(command).ok_or("a quote is not closed")?;
    let (program, arguments) = words.split_first().ok_or("it is empty")?;
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    if output.stdout.len() > MAX_OUTPUT {
        return Err("it prints too much".to_owned());
    }
    // What it printed is secret: no part of it may stand in an error.
    let printed: Output = serde_json::from_slice(&output.stdout).map_err(|_| "it prints no credentials")?;
    if printed.version != 1 {
        return Err(format!("it prints version {} and not 1", printed.version));
    }
    let keys = AwsCredential {
        key_id: printed.access_key_id,
        secret_key: printed.secret_access_key,
        token: printed.session_token,
    };
    let until = printed.expiration.map(|_| Instant::now() + PROCESS_AGE);
    Ok(Printed { keys: Arc::new(keys), until })
}

/// Splits a command as a shell does, but for what only a shell can do.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}
