//! Parsers of the shells: what people paste, what a network attacker sends, what a site writes into a file.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use vault_cli::command::join::Invitation;
use vault_cli::patterns::Patterns;
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::CardId;
use vault_core::manifest::VaultPath;
use vault_core::secret::Secret32;
use vault_server::config::{Config, Settings};
use vault_server::store::S3Location;
use vault_server::wire::problem::{Problem, Type};
use vault_server::wire::signature::{Covered, Stamp, digest_of, parse, sign};
use vault_server::wire::{self, entries};

use crate::choices::Choices;
use crate::formats::json_comes_back;

/// An invitation as somebody pastes it; it has one spelling, but for the white space around it.
pub fn invitation(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(invitation) = Invitation::parse(text) {
        assert_eq!(invitation.emit().ok().as_deref(), Some(text.trim()));
    }
}

/// Where a vault is, as it is typed; and patterns of file names, a line each.
pub fn location(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(location) = text.parse::<S3Location>() {
        let again = location.to_string();
        assert_eq!(again.parse::<S3Location>().as_ref(), Ok(&location), "{again}");
        assert!(!again.contains("..") || text.contains(".."));
        assert!(location.place().starts_with("s3://"));
    }
    let mut lines = text.split('\n').map(str::to_owned);
    let path = lines.next().and_then(|line| VaultPath::parse(&line).ok());
    if let (Some(path), Ok(patterns)) = (path, Patterns::parse(&lines.collect::<Vec<_>>())) {
        let fits = patterns.fit(&path);
        assert_eq!(fits, patterns.fit(&path));
    }
}

/// The parts of a request and its two headers, each with its length before it. A signature is verified only for what was signed.
pub fn request(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut text = || core::str::from_utf8(choices.piece()).unwrap_or_default();
    let (method, authority, path, query, vault, digest) = (text(), text(), text(), text(), text(), text());
    let (input, signature) = (text(), text());
    let digest_read = digest_of(digest);
    if let Some(read) = digest_read {
        assert_eq!(wire::signature::content_digest_of(&read), digest, "a digest has one spelling");
    }
    let covered = Covered {
        method,
        authority,
        path,
        query: (!query.is_empty()).then_some(query),
        vault,
        digest: (!digest.is_empty()).then_some(digest),
    };
    let key = SigningKey::from_seed(&Secret32::take(&mut [3; 32]));
    let stamp = Stamp { created: 1_790_000_000, nonce: [7; 16], card: CardId([9; 32]) };
    let right = sign(&covered, &stamp, |base| Ok::<_, core::convert::Infallible>(key.sign(base))).ok();
    if let Ok(presented) = parse(&covered, input, signature) {
        assert!(is_plain(signature), "a signature has one spelling: {signature}");
        if presented.verify(&key.verifying_key()).is_ok() {
            let signed = right.as_ref().filter(|_| presented.stamp == stamp);
            let same =
                signed.is_some_and(|right| (right.input.as_str(), right.signature.as_str()) == (input, signature));
            assert!(same || presented.stamp != stamp, "another form of the same signature verifies");
        }
    }
    let Some(right) = right else { return };
    let read = parse(&covered, &right.input, &right.signature).expect("what is signed is read");
    assert!(read.stamp == stamp && read.verify(&key.verifying_key()).is_ok());
    // The same signature over another path.
    let longer = format!("{path}x");
    let other = parse(&Covered { path: &longer, ..covered }, &right.input, &right.signature);
    assert!(other.is_err() || other.is_ok_and(|read| read.verify(&key.verifying_key()).is_err()));
}

fn is_plain(signature: &str) -> bool {
    let raw = signature.strip_prefix("sig=:").and_then(|rest| rest.strip_suffix(':'));
    raw.and_then(vault_core::json::from_b64).is_some_and(|raw| raw.len() == 64)
}

/// What a server answers, as the client reads it.
pub fn answer(bytes: &[u8]) {
    if let Ok(read) = entries::parse(Bytes::copy_from_slice(bytes)) {
        let mut again = BytesMut::new();
        read.iter().for_each(|entry| entries::emit(entry, &mut again).expect("what was read is short enough"));
        assert_eq!(&again[..], bytes);
    }
    if let Ok(problem) = serde_json::from_slice::<Problem>(bytes)
        && let Some(kind) = Type::parse(&problem.kind)
    {
        assert_eq!(kind.to_string(), problem.kind);
    }
    json_comes_back::<Problem>(bytes);
    json_comes_back::<wire::Hello>(bytes);
    json_comes_back::<wire::Ledgers>(bytes);
    json_comes_back::<wire::Turn>(bytes);
    json_comes_back::<wire::Links>(bytes);
    json_comes_back::<wire::LinksWanted>(bytes);
    json_comes_back::<wire::Examined>(bytes);
    json_comes_back::<wire::Deleted>(bytes);
    let _: Option<Value> = serde_json::from_slice(bytes).ok();
}

/// A server's settings file.
pub fn settings(bytes: &[u8]) {
    let Some(settings) = core::str::from_utf8(bytes).ok().and_then(|text| toml::from_str::<Settings>(text).ok()) else {
        return;
    };
    let again = toml::to_string(&settings).expect("what was read can be written");
    assert_eq!(toml::from_str::<Settings>(&again).ok().as_ref(), Some(&settings));
    if let Ok(config) = Config::resolve(&settings) {
        let in_force = config.as_settings();
        let again = Config::resolve(&in_force).expect("settings in force are settings");
        assert_eq!(again.as_settings(), in_force);
        let open = config.listen.iter().any(|address| !address.ip().is_loopback());
        assert!(!open || config.tls.is_some() || config.behind_proxy, "plain HTTP beyond this machine");
    }
}
