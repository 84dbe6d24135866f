//! Credentials that change by themselves, from services like those of a cloud and used on a real store: web identity, a container's, an
//! instance's. Keys of the environment and of profiles are in `s3` and `s3_bad_input`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may unwrap and index"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use vault_core::ids::LedgerId;
use vault_core::layout::ObjectName;
use vault_server::store::{Creation, Environment, S3Location, Store, StoreError};
use vault_tests::seaweed::SeaweedFs;

/// What the services know their clients by.
const TOKEN: &str = "token-of-the-pod";
const ROLE: &str = "arn:aws:iam::1:role/vault";

fn entry(seq: u64) -> ObjectName {
    ObjectName::Entry { ledger: LedgerId::Vault, seq }
}

/// A service on loopback that hands out SeaweedFS's key, and what it was asked: method, target and headers.
#[derive(Clone)]
struct Service {
    asked: Arc<Mutex<Vec<String>>>,
    /// Seconds that what it hands out lasts.
    lasts: u64,
}

impl Service {
    fn new(lasts: u64) -> Self {
        Self { asked: Arc::default(), lasts }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Listens at a free port; its address.
    async fn listen(&self, tls: Option<TlsAcceptor>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (service, scheme) = (self.clone(), if tls.is_some() { "https" } else { "http" });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, tls) = (service.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => service.answer(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                service.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        format!("{scheme}://localhost:{}", address.port())
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
                return;
            }
        }
        let request = String::from_utf8(request).unwrap();
        self.asked.lock().unwrap().push(request.clone());
        let (status, body) = self.said(&request);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn said(&self, request: &str) -> (&'static str, String) {
        let line = request.lines().next().unwrap();
        let has = |header: &str| request.lines().any(|line| line.eq_ignore_ascii_case(header));
        let ends = time(SystemTime::now() + Duration::from_secs(self.lasts));
        let (key, secret) = (SeaweedFs::shared().key(), SeaweedFs::shared().secret());
        // A store without a token service of its own takes no token: an empty one is none.
        let json = format!(
            r#"{{"Code":"Success","AccessKeyId":"{key}","SecretAccessKey":"{secret}","Token":"","Expiration":"{ends}"}}"#
        );
        if line.starts_with("PUT /latest/api/token ") {
            return ("200 OK", "session".to_owned());
        }
        if line.starts_with("GET /latest/meta-data/") && has("x-aws-ec2-metadata-token: session") {
            let is_role = line.contains("/security-credentials/vault-role ");
            return ("200 OK", if is_role { json } else { "vault-role".to_owned() });
        }
        if line.starts_with("GET /pod ") && has(&format!("authorization: {TOKEN}")) {
            return ("200 OK", json);
        }
        if line.starts_with("POST /?") && line.contains(&format!("WebIdentityToken={TOKEN}")) {
            let xml = format!(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken></SessionToken>\
                 <SecretAccessKey>{secret}</SecretAccessKey><Expiration>{ends}</Expiration><AccessKeyId>{key}</AccessKeyId>\
                 </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            return ("200 OK", xml);
        }
        ("403 Forbidden", String::new())
    }
}

/// A time as these services write it.
fn time(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let mut left = days;
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    while left >= length(year) {
        left -= length(year);
        year += 1;
    }
    let months = [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= months[month] {
        left -= months[month];
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}-{:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", month + 1, left + 1, second % 60)
}

/// A machine with nothing but these variables, and no instance metadata service unless they name one.
fn machine(home: &Path, variables: &[(&str, &str)]) -> Environment {
    let none = ("AWS_EC2_METADATA_DISABLED", "true");
    let mut all = vec![("HOME", home.to_str().unwrap()), ("AWS_REGION", "us-east-1")];
    if !variables.iter().any(|(name, _)| *name == "AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        all.push(none);
    }
    all.extend(variables);
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Writes and reads with what a machine gets from a service.
async fn works(environment: &Environment) -> Store {
    let server = SeaweedFs::shared();
    let location: S3Location = server.location(&format!("{}/p", server.new_bucket())).parse().unwrap();
    let store = Store::open_s3_in(&location, environment).await.unwrap();
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"one")).await.unwrap(), Creation::Created);
    assert_eq!(store.get(&entry(0), 9).await.unwrap(), "one");
    // What a server gives to its clients is signed with it too.
    let link = store.link_get(&entry(0), Duration::from_secs(60)).await.unwrap();
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(&link.url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.text().await.unwrap()[..]), (200, "one"));
    store
}

async fn fails(environment: &Environment) -> String {
    let server = SeaweedFs::shared();
    let location: S3Location = server.location(&format!("{}/p", server.new_bucket())).parse().unwrap();
    let error: StoreError = match Store::open_s3_in(&location, environment).await {
        Ok(store) => store.get(&entry(0), 9).await.unwrap_err(),
        Err(error) => error,
    };
    error.to_string()
}

fn write(home: &Path, name: &str, text: &str) -> PathBuf {
    let path = home.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn an_instance_s_credentials_open_a_store_and_are_asked_for_once_while_they_last() {
    let home = tempfile::tempdir().unwrap();
    let service = Service::new(3600);
    let url = service.listen(None).await;
    let store = works(&machine(home.path(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)])).await;
    for seq in 1..5 {
        let _ = store.create(&entry(seq), Bytes::from_static(b"more")).await.unwrap();
    }
    let asked = service.asked();
    let roles = asked.iter().filter(|request| request.contains("/security-credentials/vault-role ")).count();
    assert_eq!(roles, 1, "{asked:?}");
}

#[tokio::test]
async fn credentials_that_end_are_asked_for_anew() {
    let home = tempfile::tempdir().unwrap();
    // Nothing is used to its last minutes.
    let service = Service::new(120);
    let url = service.listen(None).await;
    let store = works(&machine(home.path(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)])).await;
    let before = service.asked().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = store.create(&entry(1), Bytes::from_static(b"two")).await.unwrap();
    assert!(service.asked().len() > before, "{:?}", service.asked());
}

#[tokio::test]
async fn a_container_s_credentials_open_a_store() {
    let home = tempfile::tempdir().unwrap();
    let service = Service::new(3600);
    let url = format!("{}/pod", service.listen(None).await);
    let token = write(home.path(), "token", TOKEN);
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap());
    works(&machine(home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), token])).await;
    assert_eq!(service.asked().len(), 1);
    let other = write(home.path(), "other", "somebody-else");
    let other = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", other.to_str().unwrap());
    let text = fails(&machine(home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), other])).await;
    assert!(text.contains("403"), "{text}");
    // Half of it would be taken for an instance, whose service is not there.
    for (half, missing) in [
        (("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is not"),
        (token, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not"),
    ] {
        let text = fails(&machine(home.path(), &[half])).await;
        assert!(text.contains(missing), "{text}");
    }
}

#[tokio::test]
async fn web_identity_opens_a_store_by_variables_and_by_a_profile_over_tls_alone() {
    let home = tempfile::tempdir().unwrap();
    let (tls, bundle) = secured();
    let bundle = write(home.path(), "authority.pem", &bundle);
    let bundle = ("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let token = write(home.path(), "token", TOKEN);
    let service = Service::new(3600);
    let url = service.listen(Some(tls)).await;
    let sts = ("AWS_ENDPOINT_URL_STS", url.as_str());
    let token_file = ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    works(&machine(home.path(), &[sts, bundle, token_file, ("AWS_ROLE_ARN", ROLE)])).await;
    let asked = service.asked();
    assert!(asked.len() == 1 && asked[0].contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fvault"), "{asked:?}");

    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[profile lab]\nweb_identity_token_file = {}\nrole_arn = {ROLE}\nrole_session_name = nightly\n",
        token.display()
    );
    write(&home.path().join(".aws"), "config", &config);
    works(&machine(home.path(), &[sts, bundle, ("AWS_PROFILE", "lab")])).await;
    assert!(service.asked()[1].contains("RoleSessionName=nightly"), "{:?}", service.asked());

    // Whoever the authority does not vouch for gets no token, nor does anybody in clear.
    let text = fails(&machine(home.path(), &[sts, token_file, ("AWS_ROLE_ARN", ROLE)])).await;
    assert!(!text.contains(TOKEN), "{text}");
    let open = Service::new(3600);
    let clear = open.listen(None).await;
    let sts = ("AWS_ENDPOINT_URL_STS", clear.as_str());
    let text = fails(&machine(home.path(), &[sts, bundle, token_file, ("AWS_ROLE_ARN", ROLE)])).await;
    assert!(!text.contains(TOKEN) && open.asked().is_empty(), "{text}");
    assert_eq!(service.asked().len(), 2);
}

/// TLS for localhost by an authority of the test's own, and that in PEM.
fn secured() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}
