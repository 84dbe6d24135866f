//! Wrong addresses, credentials, clocks and stores: each says what is wrong and what to do, and soon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may unwrap and index"
)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::LedgerId;
use vault_core::layout::ObjectName;
use vault_server::store::{Creation, Environment, S3Location, Store, StoreError};
use vault_tests::seaweed::SeaweedFs;

const ENTRY: ObjectName = ObjectName::Entry { ledger: LedgerId::Vault, seq: 0 };

/// Somebody waits at a terminal.
const SOON: Duration = Duration::from_secs(25);

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn keys() -> Environment {
    environment(&[("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "hush-hush")])
}

fn address(endpoint: &str) -> S3Location {
    format!("s3://bucket/vault?endpoint={endpoint}").parse().unwrap()
}

/// What a read of an entry says, and what it advises.
async fn failure(location: &S3Location, environment: &Environment) -> (String, String, StoreError) {
    let begun = Instant::now();
    let error = match Store::open_s3_in(location, environment).await {
        Ok(store) => store.get(&ENTRY, 100).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(begun.elapsed() < SOON, "{:?}: {error}", begun.elapsed());
    (error.to_string(), error.hint().unwrap_or_default(), error)
}

/// Answers every request alike; returns its endpoint.
async fn answers(status: &'static str, headers: &'static str, body: &'static str) -> String {
    answers_by(move |_| (status, headers, body)).await
}

/// Answers by a request's first bytes, its method, with status, headers and body; returns its endpoint.
async fn answers_by(
    answer: impl Fn(&[u8]) -> (&'static str, &'static str, &'static str) + Copy + Send + 'static,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                let (status, headers, body) = answer(&request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    endpoint
}

fn said(code: &str, message: &str, more: &str) -> &'static str {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>").leak()
}

#[tokio::test]
async fn an_answer_says_what_is_wrong_and_what_to_do() {
    let xml = "content-type: application/xml\r\n";
    for (status, headers, body, message, hint) in [
        (
            "403 Forbidden",
            xml,
            said("InvalidAccessKeyId", "No such key.", ""),
            "InvalidAccessKeyId: No such key.",
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "403 Forbidden",
            xml,
            said("SignatureDoesNotMatch", "Wrong.", ""),
            "SignatureDoesNotMatch",
            "AWS_SECRET_ACCESS_KEY",
        ),
        ("400 Bad Request", xml, said("ExpiredToken", "It expired.", ""), "ExpiredToken", "get new ones"),
        ("403 Forbidden", xml, said("RequestTimeTooSkewed", "Too large.", ""), "RequestTimeTooSkewed", "clock"),
        ("403 Forbidden", xml, said("AccessDenied", "No.", ""), "AccessDenied", "policy"),
        ("404 Not Found", xml, said("NoSuchBucket", "None.", ""), "NoSuchBucket", "bucket's name"),
        (
            "400 Bad Request",
            xml,
            said("AuthorizationHeaderMalformed", "Wrong region.", "<Region>eu-west-3</Region>"),
            "AuthorizationHeaderMalformed",
            "region=eu-west-3",
        ),
        (
            "301 Moved Permanently",
            "x-amz-bucket-region: ap-1\r\n",
            said("PermanentRedirect", "There.", ""),
            "PermanentRedirect",
            "region=ap-1",
        ),
        ("301 Moved Permanently", "", "", "PermanentRedirect", "another region"),
        ("200 OK", "content-type: text/html\r\n", "<html>welcome</html>", "does not speak S3", "web page or a proxy"),
        (
            "403 Forbidden",
            "content-type: text/html\r\n",
            "<html>a proxy's page</html>",
            "does not speak S3",
            "web page or a proxy",
        ),
        (
            "404 Not Found",
            "content-type: text/html\r\n",
            "<!DOCTYPE html><html>not here</html>",
            "does not speak S3",
            "web page or a proxy",
        ),
        ("507 Insufficient Storage", xml, said("InsufficientStorage", "Full.", ""), "no space is left", ""),
        ("403 Forbidden", xml, said("InvalidObjectState", "Glacier.", ""), "cold storage", "restore"),
    ] {
        let endpoint = answers(status, headers, body).await;
        let (text, advice, error) = failure(&address(&endpoint), &keys()).await;
        assert!(text.contains(message), "{status}: {text}");
        assert!(advice.contains(hint), "{status}: {advice}");
        assert!(!error.is_transient(), "{text}");
        assert!(!text.contains("hush") && !advice.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn an_overloaded_store_is_tried_again_and_then_named() {
    let endpoint = answers("503 Slow Down", "content-type: application/xml\r\n", said("SlowDown", "Please.", "")).await;
    let store = Store::open_s3_in(&address(&endpoint), &keys()).await.unwrap();
    let begun = Instant::now();
    let error = store.get(&ENTRY, 100).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("SlowDown"), "{error}");
    assert!(error.hint().unwrap().contains("overloaded"));
    assert!((Duration::from_millis(600)..Duration::from_secs(90)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_name_that_is_taken_while_nothing_lies_there_is_no_other_object() {
    // So answers a store while another upload of the name is under way, of a server that died perhaps, and comes to nothing.
    for status in ["412 Precondition Failed", "409 Conflict"] {
        let xml = "content-type: application/xml\r\n";
        let taken = said("PreconditionFailed", "It is there.", "");
        let nothing = said("NoSuchKey", "It is not there.", "");
        let endpoint = answers_by(move |request| match request {
            [b'P', b'U', b'T', ..] => (status, xml, taken),
            _ => ("404 Not Found", xml, nothing),
        });
        let store = Store::open_s3_in(&address(&endpoint.await), &keys()).await.unwrap();
        let bytes = stream::iter([Ok(Bytes::from_static(b"0123456789"))]).boxed();
        let error = store.create_streamed(&ENTRY, 10, sha256(b"0123456789"), bytes).await.unwrap_err();
        assert!(matches!(error, StoreError::Unsteady { .. }) && error.is_transient(), "{status}: {error}");
    }
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let (text, hint, error) = failure(&address(&endpoint), &keys()).await;
    assert!(text.contains(&format!("nothing answers at {endpoint}")) && text.contains("refused"), "{text}");
    assert!(hint.contains("port") && error.is_transient(), "{hint}");

    let (text, _, _) = failure(&address("https://no-such-host.invalid"), &keys()).await;
    assert!(text.contains("nothing answers at https://no-such-host.invalid"), "{text}");
}

#[tokio::test]
async fn tls_where_there_is_none_is_not_trusted() {
    let endpoint = answers("400 Bad Request", "", "").await.replace("http://", "https://");
    let (text, hint, error) = failure(&address(&endpoint), &keys()).await;
    assert!(text.contains("is not trusted"), "{text}");
    assert!(hint.contains("AWS_CA_BUNDLE") && !error.is_transient(), "{hint}");
}

#[tokio::test]
async fn http_to_another_machine_takes_a_word_for_it() {
    let (text, _, _) = failure(&address("http://s3.example.org"), &keys()).await;
    assert!(text.contains("allow-http=true"), "{text}");
}

#[tokio::test]
async fn real_refusals_of_a_real_store() {
    let server = SeaweedFs::shared();
    let [endpoint, _] = server.endpoints();
    let location = |bucket: &str| -> S3Location { format!("s3://{bucket}?endpoint={endpoint}").parse().unwrap() };
    let with = |key: &str, secret: &str| environment(&[("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)]);
    let bucket = server.new_bucket();

    let (text, _, _) = failure(&location(&bucket), &with("SOMEBODYELSE", server.secret())).await;
    assert!(text.contains("InvalidAccessKeyId"), "{text}");
    let (text, _, _) = failure(&location(&bucket), &with(server.key(), "another secret")).await;
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");
    let (text, hint, _) = failure(&location("no-such-bucket"), &with(server.key(), server.secret())).await;
    assert!(text.contains("NoSuchBucket") && hint.contains("bucket's name"), "{text}");
    let (_, _, error) = failure(&location(&bucket), &with(server.key(), server.secret())).await;
    assert!(error.is_not_found(), "an empty bucket is no error: {error}");
}

/// A machine with nothing but what is given: no instance metadata either.
fn machine(home: &Path, more: &[(&str, &str)]) -> Environment {
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let mut variables = vec![("HOME", home.to_str().unwrap()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.as_str())];
    variables.extend(more);
    environment(&variables)
}

async fn unopened(home: &Path, more: &[(&str, &str)]) -> String {
    let begun = Instant::now();
    let location: S3Location = "s3://bucket".parse().unwrap();
    let error = Store::open_s3_in(&location, &machine(home, more)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    format!("{error}; {}", error.hint().unwrap_or_default())
}

#[tokio::test]
async fn a_metadata_service_that_refuses_is_named_and_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = std::io::Write::write_all(&mut stream, refusal);
        }
    });
    let text = unopened(home.path(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service)]).await;
    for part in ["no credentials", &service, "403", "set AWS_PROFILE, or AWS_ACCESS_KEY_ID"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn missing_credentials_are_told_at_once_with_where_they_were_sought() {
    let home = tempfile::tempdir().unwrap();
    let text = unopened(home.path(), &[]).await;
    for part in [
        "no credentials",
        "AWS_ACCESS_KEY_ID",
        "web identity",
        "\"default\"",
        ".aws/credentials",
        "metadata",
        "AWS_PROFILE",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = unopened(home.path(), &[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(text.contains("AWS_EC2_METADATA_DISABLED"), "{text}");
    let text = unopened(home.path(), &[("AWS_ACCESS_KEY_ID", "KEY")]).await;
    assert!(text.contains("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not"), "{text}");
    let text = unopened(home.path(), &[("AWS_PROFILE", "lab")]).await;
    assert!(text.contains("no profile \"lab\""), "{text}");
    let text = unopened(home.path(), &[("AWS_CA_BUNDLE", "/no/such/file")]).await;
    assert!(text.contains("AWS_CA_BUNDLE /no/such/file"), "{text}");
    let empty = home.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let text = unopened(home.path(), &[("AWS_CA_BUNDLE", empty.to_str().unwrap())]).await;
    assert!(text.contains("no certificate in it"), "{text}");
    let text = unopened(home.path(), &[("AWS_ENDPOINT_URL", "s3.example.org")]).await;
    assert!(text.contains("AWS_ENDPOINT_URL: \"s3.example.org\" is no endpoint"), "{text}");
}

fn profiles(config: &str, credentials: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    home
}

#[tokio::test]
async fn profiles_that_want_more_than_there_is_are_refused_by_name() {
    let config = "[profile one]\nsource_profile = other\nrole_arn = arn:x\n[profile two]\nsso_session = corp\n\
                  [profile three]\nrole_arn = arn:x\n[profile four]\naws_access_key_id = A\n";
    let home = profiles(config, "");
    for (profile, part) in [
        ("one", "profile \"one\" uses source_profile"),
        ("two", "profile \"two\" uses sso_session"),
        ("three", "has role_arn and no web_identity_token_file"),
        ("four", "has aws_access_key_id and no aws_secret_access_key"),
    ] {
        let text = unopened(home.path(), &[("AWS_PROFILE", profile)]).await;
        assert!(text.contains(part), "{text}");
    }
    let home = profiles("[profile x\nnonsense", "");
    let text = unopened(home.path(), &[("AWS_PROFILE", "x")]).await;
    assert!(text.contains(".aws/config: line"), "{text}");
}

#[tokio::test]
async fn a_profile_opens_a_real_store_by_keys_and_by_a_process() {
    let server = SeaweedFs::shared();
    let [endpoint, _] = server.endpoints();
    let bucket = server.new_bucket();
    let location: S3Location = format!("s3://{bucket}/p").parse().unwrap();
    let home = profiles("", "");
    // A path with a space, which takes quotes.
    let script = home.path().join("print keys");
    let printed = format!(
        "#!/bin/sh\necho '{{\"Version\": 1, \"AccessKeyId\": \"{}\", \"SecretAccessKey\": \"{}\"}}'\n",
        server.key(),
        server.secret()
    );
    std::fs::write(&script, printed).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!(
        "[default]\nregion = us-east-1\nendpoint_url = {endpoint}\ns3 =\n  endpoint_url = http://ignored.example\n\
         [profile lab]\nendpoint_url = {endpoint}\ncredential_process = \"{}\"\n\
         [profile broken]\nendpoint_url = {endpoint}\ncredential_process = false\n",
        script.display()
    );
    let credentials =
        format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", server.key(), server.secret());
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();

    let by_keys = Store::open_s3_in(&location, &machine(home.path(), &[])).await.unwrap();
    assert_eq!(by_keys.create(&ENTRY, Bytes::from_static(b"one")).await.unwrap(), Creation::Created);
    assert_eq!(by_keys.location(), format!("s3://{bucket}/p?endpoint={endpoint}"));
    let lab = machine(home.path(), &[("AWS_PROFILE", "lab")]);
    let by_process = Store::open_s3_in(&location, &lab).await.unwrap();
    assert_eq!(by_process.get(&ENTRY, 9).await.unwrap(), "one");
    let broken = machine(home.path(), &[("AWS_PROFILE", "broken")]);
    let store = Store::open_s3_in(&location, &broken).await.unwrap();
    let error = store.get(&ENTRY, 9).await.unwrap_err();
    assert!(error.to_string().contains("credential_process \"false\": it ended with"), "{error}");
}
