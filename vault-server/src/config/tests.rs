//! Every refusal names the setting and what to do; the order flags, file, default; the printed settings give themselves again.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn refused(settings: Settings) -> String {
    Config::resolve(&Settings { vault: Some("/vault".to_owned()), ..settings }).unwrap_err().to_string()
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let (_folder, path) = file("vault = \"/from-file\"\nmax-rate = 5\nlisten = [\"127.0.0.1:1\"]\nmax-links = 7\n");
    let settings = Settings { max_rate: Some(9), ..Settings::default() };
    let args = Args { config: Some(path), settings, ..Args::default() };
    let config = Config::resolve(&args.gather(None).unwrap()).unwrap();
    assert_eq!((config.vault.as_str(), config.limits.rate, config.limits.links), ("/from-file", 9, 7));
    assert_eq!((config.listen, config.limits.requests), (vec!["127.0.0.1:1".parse().unwrap()], 256));
    let config = Config::resolve(&args.gather(Some("/from-flag".to_owned())).unwrap()).unwrap();
    assert_eq!(config.vault, "/from-flag");
}

#[test]
fn an_unknown_key_or_a_wrong_value_is_refused_with_its_line() {
    for (text, line, word) in [
        ("vault = \"/v\"\n\nlissten = []\n", 3, "lissten"),
        ("max-rate = \"many\"\n", 1, "invalid type"),
        ("vault = \"/v\"\nlog = \"xml\"\n", 2, "xml"),
        ("vault = \"/v\"\nmax-links = -1\n", 2, "-1"),
        ("vault = \"/v\"\n[[\n", 2, ""),
    ] {
        let (_folder, path) = file(text);
        let args = Args { config: Some(path), ..Args::default() };
        let error = args.gather(None).unwrap_err().to_string();
        assert!(error.contains(&format!("server.toml: line {line}: ")) && error.contains(word), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let args = Args { config: Some("/no/such.toml".into()), ..Args::default() };
    assert!(args.gather(None).unwrap_err().to_string().starts_with("/no/such.toml: the settings can't be read"));
}

#[test]
fn the_settings_in_force_give_themselves_again() {
    let config = Config::resolve(&Settings {
        vault: Some("s3://bucket/prefix".to_owned()),
        name: vec!["Vault.example.org".to_owned()],
        tls_cert: Some("c.pem".into()),
        tls_key: Some("k.pem".into()),
        listen: vec!["[::]:443".to_owned()],
        metrics: Some("127.0.0.1:9100".to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let printed = toml::to_string(&config.as_settings()).unwrap();
    let again: Settings = toml::from_str(&printed).unwrap();
    assert_eq!(again, Config::resolve(&again).unwrap().as_settings());
    assert_eq!(again, config.as_settings());
    assert!(printed.contains("name = [\"vault.example.org\"]"), "{printed}");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_flag() {
    let s = Settings::default;
    let text = |v: &str| Some(v.to_owned());
    let listen = |v: &str| vec![v.to_owned()];
    for (settings, words) in [
        (Settings { listen: listen("localhost:80"), ..s() }, ["--listen", "is no address"]),
        (Settings { listen: listen("0.0.0.0:80"), ..s() }, ["--listen", "--tls-cert"]),
        (Settings { listen: vec!["127.0.0.1:80".into(), "127.0.0.1:80".into()], ..s() }, ["--listen", "twice"]),
        (Settings { tls_cert: Some("c".into()), ..s() }, ["--tls-key", "needs its private key"]),
        (Settings { tls_key: Some("k".into()), ..s() }, ["--tls-cert", "needs its certificate"]),
        (Settings { name: listen("https://x"), ..s() }, ["--name", "is no name"]),
        (Settings { name: listen(""), ..s() }, ["--name", "is no name"]),
        (Settings { max_body: Some(10), ..s() }, ["--max-body", "too little"]),
        (Settings { max_requests: Some(0), ..s() }, ["--max-requests", "too little"]),
        (Settings { header_timeout: Some(0), ..s() }, ["--header-timeout", "too little"]),
        (Settings { body_timeout: Some(86_400), ..s() }, ["--body-timeout", "more than an hour"]),
        (Settings { metrics: text("127.0.0.1:8420"), ..s() }, ["--metrics", "another port"]),
        (Settings { metrics: text("9100"), ..s() }, ["--metrics", "is no address"]),
        (Settings { otlp: text("collector:4317"), ..s() }, ["--otlp", "no address of a collector"]),
        (Settings { otlp: text("http://user:word@host"), ..s() }, ["--otlp", "no address of a collector"]),
    ] {
        let error = refused(settings);
        assert!(error.starts_with(words[0]) && error.contains(words[1]), "{words:?}: {error}");
    }
    assert!(Config::resolve(&s()).unwrap_err().to_string().contains("--vault, SEQVAULT"));
    let behind = Settings { vault: text("/v"), listen: listen("0.0.0.0:80"), behind_proxy: Some(true), ..s() };
    assert!(Config::resolve(&behind).is_ok());
}

#[test]
fn a_variable_that_is_no_setting_is_refused_by_its_name() {
    let check = |names: &[&str]| check_variables(names.iter().map(|name| (*name).to_owned()));
    assert!(
        check(&["PATH", "SEQVAULT", "SEQVAULT_SERVER_MAX_RATE", "SEQVAULT_SERVER_CONFIG", "SEQVAULT_SERVERS"]).is_ok()
    );
    for (name, meant) in [
        ("SEQVAULT_SERVER_MAX_RATES", "perhaps SEQVAULT_SERVER_MAX_RATE?"),
        ("SEQVAULT_SERVER_LISTN", "perhaps SEQVAULT_SERVER_LISTEN?"),
        ("SEQVAULT_SERVER_X", "there is no such setting; "),
        ("SEQVAULT_SERVER_", "there is no such setting; "),
    ] {
        let error = check(&["SEQVAULT_SERVER_LOG", name]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")) && error.contains(meant), "{error}");
    }
}
