//! Signed requests: what is refused, part by part. Spec section 7.2.

use axum::body::Body;
use http::{HeaderValue, Request};
use vault_server::http::Settings;
use vault_server::wire::problem::Type;

use crate::client::{Asked, Served, now};

const TARGET: &str = "/v1/ledgers/vault/entries?from=0";

#[tokio::test]
async fn a_signed_request_is_answered_and_an_unsigned_one_is_not() {
    let served = Served::new().await;
    served.get(&served.world.officer, TARGET).await.ok(200);
    for missing in ["signature", "signature-input", "seqvault-vault"] {
        let mut request = Asked::new(&served.world, "GET", TARGET).by(&served.world.officer);
        request.headers_mut().remove(missing);
        served.send(request).await.is(Type::Unsigned);
    }
    let bare = Request::get(TARGET).header("host", "vault.example").body(Body::empty()).unwrap();
    served.send(bare).await.is(Type::Unsigned);
}

#[tokio::test]
async fn each_covered_part_that_changes_on_the_way_is_noticed() {
    let served = Served::new().await;
    let world = &served.world;
    let asked = Asked::new(world, "PUT", "/v1/ledgers/vault/entries/9?a=b").with("{}");
    let change = |change: &dyn Fn(&mut Request<Body>)| {
        let mut request = Asked { nonce: crate::client::fresh_nonce(), ..asked.clone() }.by(&world.officer);
        change(&mut request);
        request
    };
    type Change = Box<dyn Fn(&mut Request<Body>)>;
    let header = |name: &'static str, value: &'static str| -> Change {
        Box::new(move |r| drop(r.headers_mut().insert(name, HeaderValue::from_static(value))))
    };
    let changes: Vec<(Change, Type)> = vec![
        (Box::new(|r| *r.method_mut() = http::Method::POST), Type::Method),
        (Box::new(|r| *r.uri_mut() = "/v1/ledgers/vault/entries/8?a=b".parse().unwrap()), Type::BadSignature),
        (Box::new(|r| *r.uri_mut() = "/v1/ledgers/vault/entries/9?a=c".parse().unwrap()), Type::BadSignature),
        (Box::new(|r| *r.uri_mut() = "/v1/ledgers/vault/entries/9".parse().unwrap()), Type::BadSignature),
        (header("host", "other.example"), Type::BadSignature),
        (header("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), Type::BadSignature),
        (header("content-digest", "sha-512=:AAAA:"), Type::Unsigned),
        (Box::new(|r| *r.body_mut() = Body::from("[]")), Type::Digest),
        (Box::new(|r| *r.body_mut() = Body::from("{ }")), Type::Malformed),
        (Box::new(|r| *r.body_mut() = Body::from("{")), Type::Malformed),
        (Box::new(|r| drop(r.headers_mut().remove("content-length"))), Type::Length),
        (Box::new(|r| drop(r.headers_mut().remove("content-digest"))), Type::Unsigned),
    ];
    for (at, (made, of)) in changes.iter().enumerate() {
        let answer = served.send(change(made.as_ref())).await;
        assert_eq!(answer.problem().of(), Some(*of), "change {at}: {answer:?}");
    }
    served.send(asked.by(&world.officer)).await.is(Type::NotNext);
}

#[tokio::test]
async fn parts_of_the_signature_that_change_are_noticed() {
    let served = Served::new().await;
    let world = &served.world;
    let edits: [(&str, &str, Type); 9] = [
        (";created=1", ";created=01", Type::Unsigned),
        (";alg=\"ed25519\"", "", Type::Unsigned),
        (";alg=\"ed25519\"", ";alg=\"ed448\"", Type::Unsigned),
        (";tag=\"seqvault-1\"", ";tag=\"seqvault-2\"", Type::Unsigned),
        ("\"@query\" ", "", Type::Unsigned),
        ("\"@path\" \"@query\"", "\"@query\" \"@path\"", Type::Unsigned),
        ("sig=(", "sig1=(", Type::Unsigned),
        (";nonce=\"", ";nonce=\"0", Type::Unsigned),
        (";keyid=\"", ";keyid=\"f", Type::Unsigned),
    ];
    for (from, to, of) in edits {
        let mut request = Asked::new(world, "GET", TARGET).by(&world.officer);
        let input = request.headers()["signature-input"].to_str().unwrap().replacen(from, to, 1);
        assert_ne!(input, request.headers()["signature-input"].to_str().unwrap());
        request.headers_mut().insert("signature-input", input.parse().unwrap());
        served.send(request).await.is(of);
    }
    // Another time, another nonce, another card: well formed, and not what was signed.
    let good = Asked::new(world, "GET", TARGET);
    for other in [
        Asked { created: good.created + 1, ..good.clone() }.by(&world.officer),
        Asked { nonce: [3; 16], ..good.clone() }.by(&world.officer),
        good.by(&world.recipient),
    ] {
        let mut request = good.by(&world.officer);
        let input = other.headers()["signature-input"].clone();
        request.headers_mut().insert("signature-input", input);
        served.send(request).await.is(Type::BadSignature);
    }
    // Two signatures, and a second header.
    let mut request = good.by(&world.officer);
    let again = request.headers()["signature"].clone();
    request.headers_mut().append("signature", again);
    served.send(request).await.is(Type::Unsigned);
}

#[tokio::test]
async fn a_request_for_another_vault_is_refused_before_anything_else() {
    let served = Served::new().await;
    let mut asked = Asked::new(&served.world, "GET", TARGET);
    asked.vault = vault_core::ids::VaultId([7; 32]);
    asked.created = 0;
    let problem = served.send(asked.by(&served.world.officer)).await.is(Type::OtherVault);
    assert_eq!(problem.vault, Some(served.world.id().to_string()));
}

#[tokio::test]
async fn clocks_that_differ_too_much_are_told() {
    let served = Served::new().await;
    for (created, good) in
        [(now() - 290, true), (now() + 290, true), (now() - 310, false), (now() + 310, false), (0, false)]
    {
        let answer =
            served.send(Asked { created, ..Asked::new(&served.world, "GET", TARGET) }.by(&served.world.officer)).await;
        if good {
            answer.ok(200);
        } else {
            let problem = answer.is(Type::Clock);
            assert!(problem.time.unwrap().abs_diff(now()) < 5);
        }
    }
}

#[tokio::test]
async fn a_request_counts_once() {
    let served = Served::new().await;
    let asked = Asked::new(&served.world, "GET", TARGET);
    served.send(asked.by(&served.world.officer)).await.ok(200);
    served.send(asked.by(&served.world.officer)).await.is(Type::Replayed);
    served.send(asked.by(&served.world.recipient)).await.ok(200);
    // One that does not verify uses no nonce up.
    let asked = Asked::new(&served.world, "GET", TARGET);
    let mut bad = asked.by(&served.world.officer);
    bad.headers_mut().insert("host", "other.example".parse().unwrap());
    served.send(bad).await.is(Type::BadSignature);
    served.send(asked.by(&served.world.officer)).await.ok(200);
}

/// Of cards that no look has shown some may be new: whoever makes many up keeps no one of those out.
#[tokio::test]
async fn who_was_enrolled_just_now_is_served_beside_many_who_make_cards_up() {
    let served = Served::with(Settings { requests: 160, ..Settings::default() }).await;
    let strangers: Vec<_> = (10..130).map(|number| crate::common::Person::new("stranger", number)).collect();
    let made_up = futures_util::future::join_all(strangers.iter().map(|stranger| served.get(stranger, TARGET)));
    let (made_up, new) = tokio::join!(made_up, served.get(&served.world.officer, TARGET));
    new.ok(200);
    for answer in made_up {
        answer.is(Type::UnknownCard);
    }
}

#[tokio::test]
async fn cards_that_are_not_enrolled_or_were_retired_are_unknown() {
    let mut served = Served::new().await;
    let stranger = crate::common::Person::new("stranger", 9);
    served.get(&stranger, TARGET).await.is(Type::UnknownCard);
    served.get(&served.world.recipient, TARGET).await.ok(200);
    let member = served.world.recipient.member.clone();
    let body = vault_core::ledger::statement::MemberRetired { member, reason: crate::common::text("left") };
    served.world.say(&vault_core::ids::LedgerId::Vault, vault_core::ledger::statement::Body::MemberRetired(body)).await;
    served.get(&served.world.recipient, TARGET).await.is(Type::UnknownCard);
}

#[tokio::test]
async fn a_member_who_was_enrolled_since_the_last_look_is_known() {
    let served = Served::new().await;
    served.get(&served.world.officer, TARGET).await.ok(200);
    assert!(served.service.vault().known_state().is_some());
    served.get(&served.world.uploader, TARGET).await.ok(200);
}

#[tokio::test]
async fn the_names_of_the_server_are_what_counts() {
    let served =
        Served::with(Settings { names: vec!["vault.example".into(), "vault.test:8443".into()], ..Settings::default() })
            .await;
    let ask = |host: &str| {
        Asked { host: host.to_owned(), ..Asked::new(&served.world, "GET", TARGET) }.by(&served.world.officer)
    };
    served.send(ask("vault.example")).await.ok(200);
    served.send(ask("vault.test:8443")).await.ok(200);
    served.send(ask("other.example")).await.is(Type::BadSignature);
    // A proxy that changed the host on the way: what was signed is one of the server's names.
    let mut behind = ask("vault.test:8443");
    behind.headers_mut().insert("host", "10.0.0.7".parse().unwrap());
    served.send(behind).await.ok(200);
}

#[tokio::test]
async fn a_path_has_one_spelling() {
    let served = Served::new().await;
    for target in [
        "/v1/ledgers/%76ault/entries",
        "/v1//ledgers",
        "/v1/./ledgers",
        "/v1/x/../ledgers",
        "/v1/objects/packs/../seqvault-format",
        "/v1/objects/%2e%2e/etc/passwd",
    ] {
        served.get(&served.world.officer, target).await.is(Type::Malformed);
    }
    for target in ["/", "/v2/vault", "/v1", "/v1/nothing", "/v1/ledgers/", "/v1/ledgers/vault"] {
        let problem = served.get(&served.world.officer, target).await.is(Type::NoSuchResource);
        assert_eq!(problem.api, Some(vec![1]));
    }
    served.delete(&served.world.officer, "/v1/vault").await.is(Type::Method);
}

#[tokio::test]
async fn a_get_has_no_body() {
    let served = Served::new().await;
    let mut request = Asked::new(&served.world, "GET", TARGET).by(&served.world.officer);
    request.headers_mut().insert("content-length", HeaderValue::from_static("2"));
    *request.body_mut() = Body::from("{}");
    served.send(request).await.is(Type::Malformed);
}
