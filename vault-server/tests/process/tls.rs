//! Certificates: refused where they can't be used, with the reason; exchanged while the server runs.

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::server::{Place, wait_for};

/// An authority of the test's own.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str, years: (i32, i32)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }

    fn client(&self, address: SocketAddr) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.certificate.pem().as_bytes()).unwrap();
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .resolve("vault.example.org", address)
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap()
    }
}

const NAME: &str = "vault.example.org";
const NOW: (i32, i32) = (2020, 2070);

/// Whether who trusts this authority is served now: a client that knew the server before might resume what it had.
async fn healthy(authority: &Authority, address: SocketAddr) -> bool {
    let url = format!("https://{NAME}:{}/healthz", address.port());
    authority.client(address).get(url).send().await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_in_both_versions_of_http_and_nothing_else_on_that_port() {
    let place = Place::new().await;
    let authority = Authority::new("the authority");
    let pair = authority.issue(NAME, NOW);
    let (cert, key) = (place.write("cert.pem", &pair.cert), place.write("key.pem", &pair.key));
    let server = place.serve(&["--tls-cert", &cert, "--tls-key", &key, "--name", NAME]);
    let url = format!("https://{NAME}:{}/healthz", server.address().port());
    let answer = authority.client(server.address()).get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let root = reqwest::Certificate::from_pem(authority.certificate.pem().as_bytes()).unwrap();
    let first = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([root]);
    let first = first.resolve(NAME, server.address()).build().unwrap();
    assert_eq!(first.get(&url).send().await.unwrap().version(), reqwest::Version::HTTP_11);
    // Plain HTTP on the TLS port is no answer, and neither is silence for ever.
    assert_eq!(server.ask("GET", "/healthz").status, 0);
    assert!(!healthy(&Authority::new("another authority"), server.address()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_ends_the_connection() {
    let place = Place::new().await;
    let pair = Authority::new("the authority").issue(NAME, NOW);
    let (cert, key) = (place.write("cert.pem", &pair.cert), place.write("key.pem", &pair.key));
    let server = place.serve(&["--tls-cert", &cert, "--tls-key", &key, "--handshake-timeout", "1"]);
    let began = std::time::Instant::now();
    let mut silent = server.connect();
    assert_eq!(std::io::Read::read(&mut silent, &mut [0; 16]).unwrap_or(0), 0);
    assert!(began.elapsed() > Duration::from_millis(500) && began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_can_not_be_used_is_refused_with_the_reason() {
    let place = Place::new().await;
    let authority = Authority::new("the authority");
    let good = authority.issue(NAME, NOW);
    let ca = authority.certificate.pem();
    let other = Authority::new("somebody else");
    let (other_ca, other_pair) = (other.certificate.pem(), other.issue(NAME, NOW));
    let old = authority.issue(NAME, (2019, 2021));
    let early = authority.issue(NAME, (2068, 2070));
    let locked = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (cert, key, words) in [
        (old.cert.clone(), old.key.clone(), vec!["cert.pem", "vault.example.org", "until 2021-01-01", "renew"]),
        (early.cert.clone(), early.key.clone(), vec!["cert.pem", "valid from 2068-01-01", "the clock"]),
        (good.cert.clone(), other_pair.key.clone(), vec!["key.pem", "not the one of the certificate in", "cert.pem"]),
        (format!("{ca}{}", good.cert), good.key.clone(), vec!["fits certificate 2", "own certificate stands first"]),
        (
            format!("{}{other_ca}", good.cert),
            good.key.clone(),
            vec!["certificate 2 is of", "somebody else", "the authority"],
        ),
        (good.key.clone(), good.key.clone(), vec!["cert.pem", "no certificate in PEM"]),
        ("rubbish".to_owned(), good.key.clone(), vec!["cert.pem", "no certificate in PEM"]),
        (good.cert.clone(), good.cert.clone(), vec!["key.pem", "no private key in PEM"]),
        (good.cert.clone(), locked, vec!["key.pem", "passphrase"]),
    ] {
        let (cert, key) = (place.write("cert.pem", cert), place.write("key.pem", key));
        let (code, line) = place.refused(&["--listen", "0.0.0.0:0", "--tls-cert", &cert, "--tls-key", &key]);
        assert_eq!(code, 1, "{line}");
        for word in words {
            assert!(line.contains(word), "no {word:?} in {line}");
        }
    }
    let (cert, key) = (place.write("cert.pem", &good.cert), place.write("key.pem", &good.key));
    let named = ["--tls-cert", &cert, "--tls-key", &key, "--name", "other.example.org"];
    let (_, line) = place.refused(&named);
    assert!(line.contains("not for other.example.org") && line.contains("--name"), "{line}");
    // A folder stands for what can't be read: these tests may run as root, who reads everything else.
    let folder = place.files.path().to_str().unwrap();
    for (cert, key, word) in [(folder, key.as_str(), "certificate"), (cert.as_str(), "/no/such.pem", "key")] {
        let (_, line) = place.refused(&["--tls-cert", cert, "--tls-key", key]);
        assert!(line.contains(&format!("the {word} can't be read")) && line.contains("the user that"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_used_and_one_that_can_not_be_used_is_not() {
    let place = Place::new().await;
    let (first, second, third) = (Authority::new("first"), Authority::new("second"), Authority::new("third"));
    let pair = first.issue(NAME, NOW);
    let (cert, key) = (place.write("cert.pem", &pair.cert), place.write("key.pem", &pair.key));
    let server = place.serve(&["--tls-cert", &cert, "--tls-key", &key, "--name", NAME, "--metrics", "127.0.0.1:0"]);
    let address = server.address();
    assert!(healthy(&first, address).await && !healthy(&second, address).await);
    // By signal.
    let pair = second.issue(NAME, NOW);
    place.write("cert.pem", &pair.cert);
    place.write("key.pem", &pair.key);
    server.signal("HUP");
    server.wait_for_log("was read again and is in use");
    assert!(healthy(&second, address).await && !healthy(&first, address).await);
    // One that has ended changes nothing.
    let old = first.issue(NAME, (2019, 2021));
    place.write("cert.pem", &old.cert);
    place.write("key.pem", &old.key);
    server.signal("HUP");
    let line = server.wait_for_log("the old one stays in use");
    assert!(line.contains("ERROR") && line.contains("was valid until 2021-01-01"), "{line}");
    assert!(healthy(&second, address).await);
    // By itself, when the files have changed.
    let pair = third.issue(NAME, NOW);
    place.write("cert.pem", &pair.cert);
    place.write("key.pem", &pair.key);
    wait_for("the second use", || {
        Some(()).filter(|()| server.log().matches("was read again and is in use").count() == 2)
    });
    assert!(healthy(&third, address).await && !healthy(&second, address).await);
}
