//! A client against servers that answer well, badly, late or not at all.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vault_core::ids::PackName;
use vault_server::wire::problem::Problem;

use super::fake::{Fake, Reply, Seen, VAULT};
use super::reach::Reach;
use super::*;
use crate::client::failed;
use crate::clock;
use crate::error::Kind;

fn pack(n: u8) -> ObjectName {
    ObjectName::Pack { dataset: "d".parse().unwrap(), upload: UploadId([7; 16]), pack: PackName([n; 16]) }
}

fn manifest() -> ObjectName {
    ObjectName::Manifest { dataset: "d".parse().unwrap(), manifest: vault_core::ids::ManifestId([3; 16]) }
}

fn framed_entries(entries: &[&[u8]]) -> Bytes {
    let mut bytes = BytesMut::new();
    entries.iter().for_each(|entry| framed::emit(entry, &mut bytes).unwrap());
    bytes.freeze()
}

fn text(failure: &Failure) -> String {
    format!("{} / {}", failure.message, failure.hint.as_deref().unwrap_or_default())
}

// --- requests -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn every_kind_of_request_is_signed_as_the_spec_says() {
    let fake = Fake::server(false, |seen, _| match (seen.method.as_str(), seen.target.as_str()) {
        ("PUT", _) => Reply::ok(201, ""),
        ("GET", "/v1/ledgers") => Reply::json(&json!({"ledgers": ["vault", "dataset/d", "of a newer kind"]})),
        ("GET", target) if target.contains("/entries?") => Reply::ok(200, framed_entries(&[b"{}"])),
        ("POST", "/v1/doctor") => Reply::json(&json!({"findings": ["x"], "repaired": [], "damaged": true})),
        ("POST", target) if target.ends_with("/turn") => Reply::json(&json!({"next": 1, "milliseconds": 2000})),
        ("POST" | "DELETE", _) => Reply::json(&json!({"objects": 3, "kept": false})),
        _ => Reply::ok(200, "body"),
    })
    .await;
    let client = fake.client().await;
    let (dataset, ledger) = ("d".parse().unwrap(), LedgerId::Vault);
    assert_eq!(client.ledgers().await.unwrap(), [LedgerId::Vault, "dataset/d".parse().unwrap()]);
    assert_eq!(client.entries(&ledger, 0).await.unwrap(), ["{}"]);
    assert_eq!(client.single_entries(&ledger, 2).await.unwrap(), ["{}"]);
    assert_eq!(client.append(&ledger, 1, "entry".into()).await.unwrap(), Append::Done);
    client.turn(&ledger).await;
    assert_eq!(client.get(&manifest(), 100).await.unwrap(), "body");
    assert_eq!(client.size(&manifest()).await.unwrap(), Some(4));
    client.put_new(&manifest(), "sealed".into()).await.unwrap();
    client.withdraw(&manifest()).await.unwrap();
    client.delete_epochs(&dataset, 3).await.unwrap();
    client.sweep(&dataset, &UploadId([7; 16])).await.unwrap();
    client.delete_hidden(&dataset).await.unwrap();
    client.delete_dataset(&dataset).await.unwrap();
    assert!(client.doctor(true).await.unwrap().damaged);

    let seen = fake.seen();
    let (hello, signed) = seen.split_first().unwrap();
    assert!(!hello.headers.contains_key("signature"));
    let authority = fake.address.to_string();
    signed.iter().for_each(|seen| assert!(seen.is_signed(&authority), "{seen:?}"));
    let nonces: HashSet<String> = signed.iter().map(Seen::nonce).collect();
    assert_eq!(nonces.len(), signed.len());
    let asked: Vec<String> = signed.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    let upload = UploadId([7; 16]).to_string();
    assert_eq!(
        asked[1..4],
        [
            "GET /v1/ledgers/vault/entries?from=0",
            "GET /v1/ledgers/vault/entries?from=2&single=true",
            "PUT /v1/ledgers/vault/entries/1",
        ]
    );
    assert_eq!(asked[4], "POST /v1/ledgers/vault/turn");
    assert_eq!(asked[5], format!("GET /v1/objects/{}", manifest()));
    assert_eq!(
        asked[9..],
        [
            "POST /v1/datasets/d/delete-epochs",
            "POST /v1/datasets/d/sweep",
            "POST /v1/datasets/d/delete-hidden",
            "POST /v1/datasets/d/delete-all",
            "POST /v1/doctor"
        ]
    );
    assert_eq!(signed[9].body, r#"{"below":3}"#);
    assert_eq!(signed[10].body, format!(r#"{{"upload":"{upload}"}}"#));
    assert_eq!(signed[11].body, "{}");
    assert_eq!(signed[12].body, "{}");
}

#[tokio::test]
async fn entries_come_in_parts_and_a_part_of_nothing_is_no_part() {
    let fake = Fake::server(false, |seen, _| match seen.target.as_str() {
        "/v1/ledgers/vault/entries?from=4" => Reply::ok(200, framed_entries(&[b"4", b"5"])).with(MORE, "true"),
        "/v1/ledgers/vault/entries?from=6" => Reply::ok(200, framed_entries(&[b"6"])).with(MORE, "true"),
        "/v1/ledgers/vault/entries?from=7" => Reply::ok(200, framed_entries(&[b"7"])),
        _ => Reply::ok(200, "").with(MORE, "true"),
    })
    .await;
    let client = fake.client().await;
    assert_eq!(client.entries(&LedgerId::Vault, 4).await.unwrap(), ["4", "5", "6", "7"]);
    let endless = client.entries(&LedgerId::Vault, 0).await.unwrap_err();
    assert_eq!(endless.kind, Kind::Integrity, "{}", text(&endless));
}

#[tokio::test]
async fn a_range_is_exactly_that_or_an_error() {
    let fake = Fake::server(false, |seen, _| match seen.headers["range"].as_str() {
        "bytes=2-5" => Reply::ok(206, "cdef"),
        "bytes=0-3" => Reply::ok(200, "abcd"),
        "bytes=1-3" => Reply::ok(200, "abc"),
        "bytes=2-8" => Reply::ok(206, "cd"),
        "bytes=2-2" => Reply::ok(206, "cd"),
        _ => Reply::problem(Type::Range),
    })
    .await;
    let client = fake.client().await;
    assert_eq!(client.get_range(&manifest(), 2..6).await.unwrap(), "cdef");
    assert_eq!(client.get_range(&manifest(), 0..4).await.unwrap(), "abcd", "all of it");
    for range in [1..4, 2..9, 50..60] {
        assert!(matches!(client.get_range(&manifest(), range).await, Err(StoreError::Length)));
    }
    assert!(client.get_range(&manifest(), 2..3).await.is_err(), "longer than asked for");
    assert!(client.get_range(&manifest(), 3..3).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let fake = Fake::server(false, |_, _| Reply::ok(200, vec![7; 1000])).await;
    let client = fake.client().await;
    assert!(matches!(client.get(&manifest(), 999).await, Err(StoreError::Failed(_))));
    assert_eq!(client.get(&manifest(), 1000).await.unwrap().len(), 1000);
}

// --- problems -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn every_problem_becomes_an_error_of_its_kind_that_names_the_request() {
    let kinds = |of: Type| match of {
        Type::Malformed | Type::Method | Type::NoSuchResource | Type::Length => Kind::Other,
        Type::Unsigned | Type::BadSignature | Type::UnknownCard | Type::Replayed | Type::Clock => Kind::Refused,
        Type::NotAllowed | Type::Rules | Type::Conflict | Type::Void | Type::Missing | Type::Misnamed | Type::Quota => {
            Kind::Refused
        }
        Type::Digest | Type::OtherVault | Type::Differs | Type::Range | Type::Stopped | Type::Damaged => {
            Kind::Integrity
        }
        Type::NotFound => Kind::NotFound,
        Type::Taken | Type::NotNext => Kind::Conflict,
        Type::TooLarge => Kind::Usage,
        Type::NoLinks | Type::TooMany | Type::Internal | Type::Busy | Type::Stopping => Kind::Storage,
        Type::Storage | Type::Archived => Kind::Storage,
    };
    let next = std::sync::Arc::new(Mutex::new(Type::Malformed));
    let now = std::sync::Arc::clone(&next);
    let fake = Fake::server(false, move |_, _| Reply::problem(*now.lock().unwrap())).await;
    let client = fake.client().await;
    for of in Type::ALL {
        *next.lock().unwrap() = of;
        let failure = client.entries(&LedgerId::Vault, 0).await.unwrap_err();
        assert_eq!(failure.kind, kinds(of), "{of}: {}", text(&failure));
        assert!(
            failure.message.contains("because of") && failure.message.contains("(request r-1)"),
            "{}",
            failure.message
        );
        let failure = failed(&manifest())(client.get(&manifest(), 9).await.unwrap_err());
        // What is known of an object without a word from the server: missing, changed, cut, archived.
        assert_eq!(failure.kind, kinds(of), "{of}: {}", text(&failure));
        assert!(failure.message.contains(&manifest().to_string()));
        match (of, client.append(&LedgerId::Vault, 3, "x".into()).await) {
            (Type::Taken, appended) => assert_eq!(appended.unwrap(), Append::Taken),
            (_, appended) => assert_eq!(appended.unwrap_err().kind, kinds(of)),
        }
        match (of, client.put_new(&manifest(), "x".into()).await.unwrap_err()) {
            (Type::Differs, StoreError::Differs) | (Type::NotFound, StoreError::NotFound) => {}
            (Type::Range, StoreError::Length) | (Type::Archived, StoreError::Archived(_)) => {}
            (_, StoreError::Failed(_)) => {}
            (_, other) => panic!("{of}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_problem_that_is_not_known_goes_by_its_status() {
    let unknown = |status: u16| {
        let mut problem = Problem::new(Type::Internal, "of a newer version");
        (problem.kind, problem.status) = ("urn:seqvault:problem:tomorrow".to_owned(), status);
        Reply::of(problem)
    };
    for (status, kind) in [(403, Kind::Refused), (404, Kind::NotFound), (418, Kind::Other), (503, Kind::Storage)] {
        let fake = Fake::server(false, move |_, _| unknown(status)).await;
        let failure = fake.client().await.entries(&LedgerId::Vault, 0).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{status}");
        assert!(failure.message.contains("of a newer version"));
    }
}

#[tokio::test]
async fn words_of_a_server_do_not_reach_the_terminal_as_they_are() {
    let fake = Fake::server(false, |_, _| {
        Reply::of(Problem::new(Type::NotAllowed, format!("\u{1b}[2J\n{}", "x".repeat(5000))))
    })
    .await;
    let failure = fake.client().await.entries(&LedgerId::Vault, 0).await.unwrap_err();
    assert!(!failure.message.contains('\u{1b}') && !failure.message.contains('\n') && failure.message.len() < 900);
}

#[tokio::test]
async fn clocks_that_differ_are_both_named() {
    let mut problem = Problem::new(Type::Clock, "the clocks differ");
    problem.time = Some(951_827_696);
    let fake = Fake::server(false, move |_, _| Reply::of(problem.clone())).await;
    let failure = fake.client().await.entries(&LedgerId::Vault, 0).await.unwrap_err();
    assert!(failure.message.contains("2000-02-29T12:34:56Z"), "{}", failure.message);
    assert!(failure.message.contains("this machine's clock says 2"));
}

// --- greeting -----------------------------------------------------------------------------------------------------

async fn greeted(reply: Reply) -> Failure {
    let fake = Fake::start(move |_, _| reply.clone()).await;
    match fake.try_client().await {
        Ok(_) => panic!("it was taken for a server"),
        Err(error) => error.into(),
    }
}

fn hello(change: impl FnOnce(&mut serde_json::Value)) -> Reply {
    let mut value = json!({"vault": VAULT, "api": [1], "server": "s", "time": clock::now(), "links": false});
    change(&mut value);
    Reply::json(&value)
}

#[tokio::test]
async fn what_is_no_server_is_told_apart() {
    let moved = Reply::html(302).with("location", "https://login.example/?token=secret");
    let cases = [
        (Reply::html(200), "is no seqvault server"),
        (Reply::html(404), "status 404"),
        (Reply::html(403), "status 403"),
        (Reply::json(&json!({"hello": "world"})), "application/json"),
        (hello(|value| value["vault"] = json!("not an id")), "names no vault"),
        (moved, "login.example"),
    ];
    for (reply, why) in cases {
        let failure = greeted(reply).await;
        assert!(failure.message.contains("is no seqvault server"), "{}", failure.message);
        assert!(failure.message.contains(why) && !failure.message.contains("secret"), "{}", failure.message);
        assert_eq!(failure.kind, Kind::NotFound);
    }
    // A proxy whose server is away is not taken for a wrong address.
    assert_eq!(greeted(Reply::html(502)).await.kind, Kind::Storage);
}

#[tokio::test]
async fn an_old_client_and_an_old_server_are_told_apart() {
    let newer = greeted(hello(|value| value["api"] = json!([2, 3]))).await;
    assert!(newer.message.contains("version 2, 3"), "{}", newer.message);
    assert!(newer.hint.unwrap().contains("newer seqvault on this machine"));
    let older = greeted(hello(|value| value["api"] = json!([0]))).await;
    assert!(older.hint.unwrap().contains("server is too old"));
    let mut problem = Problem::new(Type::NoSuchResource, "no such path");
    problem.api = Some(vec![2]);
    let gone = greeted(Reply::of(problem)).await;
    assert!(gone.message.contains("version 2"), "{}", gone.message);
    let fake = Fake::start(|_, _| hello(|value| (value["api"], value["more"]) = (json!([1, 2]), json!(0)))).await;
    assert!(fake.try_client().await.is_ok(), "what a newer server adds is passed over");
}

#[tokio::test]
async fn how_many_objects_an_upload_may_have_is_the_servers_word_and_an_older_servers_is_known() {
    let said = async |said: serde_json::Value| {
        let reply = hello(|value| {
            if !said.is_null() {
                value["upload_objects"] = said;
            }
        });
        Fake::start(move |_, _| reply.clone()).await.client().await.max_upload()
    };
    assert_eq!(said(json!(null)).await, Some(131_072), "an older server says nothing");
    for max in [1, 5, 131_072, 1 << 40] {
        assert_eq!(said(json!(max)).await, Some(max));
    }
    let nonsense = greeted(hello(|value| value["upload_objects"] = json!("many"))).await;
    assert!(nonsense.message.contains("is no seqvault server"), "{}", nonsense.message);
    let none = greeted(hello(|value| value["upload_objects"] = json!(0))).await;
    assert_eq!(none.kind, Kind::Integrity);
    assert!(none.message.contains("makes no sense: it says that it takes 0 objects"), "{}", none.message);
}

#[tokio::test]
async fn a_clock_that_is_off_is_said_before_anything_is_signed() {
    let failure = greeted(hello(|value| value["time"] = json!(clock::now() - 301))).await;
    assert!(failure.message.contains("this machine's clock"), "{}", failure.message);
    assert_eq!(failure.kind, Kind::Refused);
    let fake = Fake::start(|_, _| hello(|value| value["time"] = json!(clock::now() + 290))).await;
    assert!(fake.try_client().await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_down_and_one_that_speaks_tls_are_named() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let globals = Globals { quiet: true, ..Globals::default() };
    let place = Place::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let short = || Patience::short(Duration::from_millis(20));
    let down =
        Channel::open(place, Key::new(globals.unlocker()), &Trust::default(), &short(), short()).await.err().unwrap();
    let down = Failure::from(down);
    assert!(down.message.contains("connection refused") && down.kind == Kind::Storage, "{}", down.message);
    // A server without TLS takes a greeting in TLS for a bad request; one with TLS takes a request for a bad greeting.
    for (scheme, says, why) in [
        ("https", &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], "does not speak TLS"),
        ("http", &[0x15, 3, 3, 0, 2, 2, 50], "does not speak HTTP without TLS"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read_u8().await;
                let _ = stream.write_all(says).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let place = Place::parse(&format!("{scheme}://127.0.0.1:{port}")).unwrap();
        let other = Channel::open(place, Key::new(globals.unlocker()), &Trust::default(), &short(), short())
            .await
            .err()
            .unwrap();
        let other = Failure::from(other);
        assert!(other.message.contains(why) && other.kind == Kind::Storage, "{}", text(&other));
        task.abort();
    }
}

// --- trying again -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_passes_is_tried_again_with_a_fresh_signature() {
    let faults = [
        Reply::Close,
        Reply::html(502),
        Reply::problem(Type::Storage),
        Reply::problem(Type::Stopping),
        Reply::problem(Type::Replayed),
        Reply::problem(Type::TooMany).with("retry-after", "0"),
        Reply::Cut("short".into()),
    ];
    for fault in faults {
        let shown = format!("{fault:?}");
        let fake = Fake::server(false, move |_, n| if n < 3 { fault.clone() } else { Reply::ok(201, "") }).await;
        let client = fake.client().await;
        let appended = client.append(&LedgerId::Vault, 1, "entry".into()).await;
        assert_eq!(appended.map_err(|e| text(&e)), Ok(Append::Done), "{shown}");
        let seen = fake.seen();
        let nonces: HashSet<String> = seen[1..].iter().map(Seen::nonce).collect();
        assert_eq!((seen.len(), nonces.len()), (5, 4), "{shown}");
        assert!(seen[1..].iter().all(|seen| seen.body == "entry"));
    }
}

#[tokio::test]
async fn what_is_refused_is_asked_once() {
    for of in [Type::NotAllowed, Type::Void, Type::BadSignature, Type::Quota, Type::Damaged] {
        let fake = Fake::server(false, move |_, _| Reply::problem(of)).await;
        assert!(fake.client().await.append(&LedgerId::Vault, 1, "entry".into()).await.is_err());
        assert_eq!(fake.seen().len(), 2, "{of}");
    }
}

#[tokio::test]
async fn a_lost_acknowledgement_of_an_append_is_found_again() {
    // The server appends, its answer is lost, and it knows the same bytes again: 201.
    let held = Mutex::new(None::<Bytes>);
    let fake = Fake::server(false, move |seen, n| {
        let mut held = held.lock().unwrap();
        let is_mine = *held.get_or_insert_with(|| seen.body.clone()) == seen.body;
        match (n, is_mine) {
            (0, _) => Reply::Close,
            (_, true) => Reply::ok(201, ""),
            (_, false) => Reply::problem(Type::Taken),
        }
    })
    .await;
    let client = fake.client().await;
    assert_eq!(client.append(&LedgerId::Vault, 1, "mine".into()).await.unwrap(), Append::Done);
    assert_eq!(client.append(&LedgerId::Vault, 1, "other".into()).await.unwrap(), Append::Taken);
}

fn puts(fake: &Fake) -> usize {
    fake.seen().iter().filter(|seen| seen.method == "PUT").count()
}

#[tokio::test]
async fn a_pack_whose_acknowledgement_was_lost_is_asked_for_and_sent_again_only_if_it_is_not_there() {
    for (is_there, sent) in [(true, 1), (false, 2)] {
        let put = AtomicUsize::new(0);
        let server = Fake::server(false, move |seen, _| match seen.method.as_str() {
            "HEAD" if is_there => Reply::ok(200, "bytes"),
            "HEAD" => Reply::problem(Type::NotFound),
            _ if put.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Close,
            _ => Reply::ok(201, ""),
        })
        .await;
        server.client().await.put_new(&pack(1), "bytes".into()).await.unwrap();
        assert_eq!(puts(&server), sent, "{:?}", targets(&server));
    }
    // Straight to a store that takes it and dies, and is not there any more when the client looks again.
    let (server, store) = with_store(|_, _| Reply::Close).await;
    let client = server.client().await;
    client.put_new(&pack(1), "through the server".into()).await.unwrap();
    assert_eq!((puts(&store), puts(&server)), (1, 0), "{:?}", targets(&server));
}

#[tokio::test]
async fn packs_go_through_the_server_one_at_a_time_and_other_objects_do_not_wait() {
    const LATE: Duration = Duration::from_millis(120);
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&times);
    let server = Fake::server(false, move |seen, _| {
        noted.lock().unwrap().push((seen.target.contains("packs"), tokio::time::Instant::now()));
        Reply::Late(LATE, Box::new(Reply::ok(201, "")))
    })
    .await;
    let client = server.client().await;
    let packs = (0..3).map(|n| (pack(n), Bytes::from(vec![n; 9])));
    let all = packs.chain([(manifest(), Bytes::from_static(b"sealed"))]);
    let all = all.map(|(name, bytes)| {
        let client = &client;
        async move { client.put_new(&name, bytes).await.unwrap() }
    });
    futures_util::future::join_all(all).await;
    let times = times.lock().unwrap();
    let packs: Vec<_> = times.iter().filter(|(is_pack, _)| *is_pack).map(|(_, time)| *time).collect();
    let other = times.iter().find(|(is_pack, _)| !is_pack).unwrap().1;
    assert_eq!(packs.len(), 3);
    assert!(packs.windows(2).all(|pair| pair[1] - pair[0] >= LATE), "{packs:?}");
    assert!(other < packs[1], "the manifest waited for packs");
}

#[tokio::test]
async fn an_answer_in_the_servers_name_is_not_taken_for_its_own() {
    // A login page says 200 to everything, an append included.
    let fake = Fake::server(false, |_, _| Reply::html(200)).await;
    let failure = fake.client().await.append(&LedgerId::Vault, 1, "entry".into()).await.unwrap_err();
    assert!(failure.message.contains("is no seqvault server"), "{}", failure.message);
}

#[tokio::test]
async fn a_late_answer_is_waited_for() {
    let late = Reply::Late(Duration::from_millis(200), Box::new(Reply::ok(201, "")));
    let fake = Fake::server(false, move |_, _| late.clone()).await;
    assert_eq!(fake.client().await.append(&LedgerId::Vault, 1, "e".into()).await.unwrap(), Append::Done);
    assert_eq!(fake.seen().len(), 2);
}

// --- links --------------------------------------------------------------------------------------------------------

/// A server that gives links to a store, which is another fake. The store's answers are the test's.
async fn with_store(store: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> (Fake, Fake) {
    with_portal(move |seen, n| {
        let reply = store(seen, n);
        if seen.method == "PUT" { reply.with("etag", "\"it\"") } else { reply }
    })
    .await
}

/// The same with something in the store's place that need not answer as one.
async fn with_portal(store: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> (Fake, Fake) {
    with_both(store, || Reply::ok(200, "through the server")).await
}

/// The same with a server that says something else of what lies there.
async fn with_both(
    store: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    there: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Fake, Fake) {
    let store = Fake::start(store).await;
    let address = store.location();
    let count = AtomicUsize::new(0);
    let server = Fake::server(true, move |seen, _| {
        if seen.target == "/v1/links" {
            let wanted: vault_server::wire::LinksWanted = serde_json::from_slice(&seen.body).unwrap();
            let n = count.fetch_add(1, Ordering::SeqCst);
            let link = |name: &str, method: &str, headers: serde_json::Value| {
                json!({"name": name, "method": method, "url": format!("{address}/b/{name}?secret={n}"),
                    "headers": headers, "expires": clock::now() + 200})
            };
            let get = wanted.get.iter().map(|name| link(name, "GET", json!({})));
            let put = wanted.put.iter().map(|put| link(&put.name, "PUT", json!({"if-none-match": "*"})));
            let links: Vec<_> = get.chain(put).collect();
            return Reply::json(&json!({ "links": links }));
        }
        match seen.method.as_str() {
            "PUT" => Reply::ok(201, ""),
            _ => there(),
        }
    })
    .await;
    (server, store)
}

fn targets(fake: &Fake) -> Vec<String> {
    fake.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}

#[tokio::test]
async fn packs_go_straight_and_nothing_else_does() {
    let (server, store) = with_store(|seen, _| match seen.method.as_str() {
        "PUT" => Reply::ok(200, ""),
        _ => Reply::ok(206, "cdef"),
    })
    .await;
    let client = server.client().await;
    client.put_new(&pack(1), "bytes".into()).await.unwrap();
    client.put_new(&manifest(), "sealed".into()).await.unwrap();
    client.expect(Ahead::Read((1..=5).map(pack).collect()));
    for n in 1..=5 {
        assert_eq!(client.get_range(&pack(n), 2..6).await.unwrap(), "cdef");
        assert_eq!(client.get_range(&pack(n), 2..6).await.unwrap(), "cdef");
    }
    let store = store.seen();
    assert_eq!(store.len(), 11);
    assert_eq!(store[0].headers["if-none-match"], "*");
    assert_eq!(store[1].headers["range"], "bytes=2-5");
    assert!(store.iter().all(|seen| !seen.headers.contains_key("signature")));
    let asked = targets(&server);
    assert_eq!(
        asked.iter().filter(|a| a.contains("/v1/links")).count(),
        2,
        "one to write, one for five to read: {asked:?}"
    );
    assert_eq!(asked.last().unwrap(), "POST /v1/links");
    assert!(asked.contains(&format!("PUT /v1/objects/{}", manifest())));
}

#[tokio::test]
async fn a_link_for_a_pack_is_asked_for_before_the_pack_is_ready() {
    let (server, store) = with_store(|_, _| Reply::ok(200, "")).await;
    let client = server.client().await;
    client.expect(Ahead::Write(pack(1), 5));
    for _ in 0..200 {
        if server.seen().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(targets(&server)[1], "POST /v1/links");
    client.put_new(&pack(1), "bytes".into()).await.unwrap();
    assert_eq!((server.seen().len(), store.seen().len()), (2, 1));
}

#[tokio::test]
async fn a_pack_that_is_there_already_is_compared() {
    let (server, _store) = with_store(|seen, _| match seen.method.as_str() {
        "PUT" => Reply::html(412),
        _ => Reply::ok(200, "bytes"),
    })
    .await;
    let client = server.client().await;
    client.put_new(&pack(1), "bytes".into()).await.unwrap();
    assert!(matches!(client.put_new(&pack(1), "other".into()).await, Err(StoreError::Differs)));
}

#[tokio::test]
async fn a_name_that_is_taken_while_nothing_lies_there_is_tried_again() {
    // Somebody's upload of it, a dead server's perhaps, was under way and came to nothing.
    let put = AtomicUsize::new(0);
    let store = move |_: &Seen, _| match put.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::html(412).with("etag", "\"it\""),
        _ => Reply::ok(200, "").with("etag", "\"it\""),
    };
    let (server, store) = with_both(store, || Reply::problem(Type::NotFound)).await;
    server.client().await.put_new(&pack(1), "bytes".into()).await.unwrap();
    assert_eq!((puts(&store), puts(&server)), (2, 0), "{:?}", targets(&server));
}

#[tokio::test]
async fn a_link_that_has_ended_is_renewed() {
    let (server, store) =
        with_store(
            |seen, _| {
                if seen.target.ends_with("secret=0") { Reply::html(403) } else { Reply::ok(200, "bytes") }
            },
        )
        .await;
    let client = server.client().await;
    assert_eq!(client.get(&pack(1), 5).await.unwrap(), "bytes");
    assert_eq!((server.seen().len(), store.seen().len()), (3, 2));
    assert!(client.inner.links.are_used());
}

#[tokio::test]
async fn a_store_that_refuses_every_link_is_left_for_the_server() {
    let (server, store) = with_store(|_, _| Reply::html(403)).await;
    let client = server.client().await;
    assert_eq!(client.get(&pack(1), 50).await.unwrap(), "through the server");
    assert_eq!(client.get(&pack(2), 50).await.unwrap(), "through the server");
    assert_eq!(store.seen().len(), 2);
}

#[tokio::test]
async fn what_a_link_does_not_find_is_asked_of_the_server_and_nothing_counts_as_stored() {
    for status in [404, 416, 405, 307] {
        let (server, store) = with_store(move |_, _| Reply::html(status)).await;
        let client = server.client().await;
        client.put_new(&pack(1), "bytes".into()).await.unwrap();
        assert_eq!(store.seen().len(), 1);
        assert!(targets(&server).contains(&format!("PUT /v1/objects/{}", pack(1))), "{status}");
        let (server, _store) = with_store(move |_, _| Reply::html(status)).await;
        assert_eq!(server.client().await.get(&pack(1), 50).await.unwrap(), "through the server");
    }
}

#[tokio::test]
async fn links_to_too_many_places_or_with_a_name_are_not_followed() {
    let mut stores = Vec::new();
    for _ in 0..6 {
        stores.push(Fake::start(|_, _| Reply::ok(200, "bytes")).await);
    }
    let addresses: Vec<String> = stores.iter().map(Fake::location).collect();
    let asked = AtomicUsize::new(0);
    let server = Fake::server(true, move |seen, _| {
        if seen.target != "/v1/links" {
            return Reply::ok(200, "through the server");
        }
        let wanted: vault_server::wire::LinksWanted = serde_json::from_slice(&seen.body).unwrap();
        let to = &addresses[asked.fetch_add(1, Ordering::SeqCst)];
        let link = json!({"name": wanted.get[0], "method": "GET", "url": format!("{to}/x"), "headers": {},
            "expires": clock::now() + 200});
        Reply::json(&json!({ "links": [link] }))
    })
    .await;
    let client = server.client().await;
    for n in 0..6 {
        let wanted = if n < 4 { "bytes" } else { "through the server" };
        assert_eq!(client.get(&pack(n), 50).await.unwrap(), wanted, "{n}");
    }
    let (named, seen) = (stores[0].address, stores[0].seen().len());
    let server = Fake::server(true, move |seen, _| {
        if seen.target != "/v1/links" {
            return Reply::ok(200, "through the server");
        }
        let link = json!({"name": pack(1).to_string(), "method": "GET", "url": format!("http://a:b@{named}/x"),
            "headers": {}, "expires": clock::now() + 200});
        Reply::json(&json!({ "links": [link] }))
    })
    .await;
    assert_eq!(server.client().await.get(&pack(1), 50).await.unwrap(), "through the server");
    assert_eq!(stores[0].seen().len(), seen);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_or_its_network_is_not_connected_to() {
    let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = store.local_addr().unwrap().port();
    for (host, is_asked) in [("s3.example", false), ("named.example", true), ("127.0.0.1", false)] {
        let url = format!("https://{host}:{port}/b/x?secret=1");
        let server = Fake::server(true, move |seen, _| {
            if seen.target != "/v1/links" {
                return Reply::ok(200, "through the server");
            }
            let link = json!({"name": pack(1).to_string(), "method": "GET", "url": url, "headers": {},
                "expires": clock::now() + 200});
            Reply::json(&json!({ "links": [link] }))
        })
        .await;
        let judge = Judge::of_names(Reach::Network, "named.example", "127.0.0.1".parse().unwrap());
        let client = server.client_that_judges(judge).await;
        // A store that is asked ends the connection, and the server has to do.
        let asked = async {
            let asked = tokio::time::timeout(Duration::from_millis(if is_asked { 5000 } else { 300 }), store.accept());
            asked.await.is_ok()
        };
        let name = pack(1);
        let (got, was_asked) = tokio::join!(client.get(&name, 50), asked);
        assert_eq!(got.unwrap(), "through the server", "{host}");
        assert_eq!(was_asked, is_asked, "{host}");
        assert!(!client.inner.links.are_used());
    }
    // And by default from a server at this machine everything is followed: it is a test, a demo or a tunnel.
    assert_eq!(
        Fake::server(true, |_, _| Reply::ok(200, "")).await.client().await.inner.channel.reach(),
        Reach::Machine
    );
}

#[tokio::test]
async fn a_store_out_of_reach_is_left_for_the_server() {
    let (server, store) = with_store(|_, _| Reply::ok(200, "bytes")).await;
    let address = store.address;
    drop(store);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let client = server.client().await;
    assert_eq!(client.get(&pack(1), 50).await.unwrap(), "through the server");
    client.put_new(&pack(2), "bytes".into()).await.unwrap();
    let asked = targets(&server);
    assert_eq!(asked.iter().filter(|a| a.contains("/v1/links")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_login_page_in_a_stores_place_stores_nothing() {
    for reply in [Reply::html(200), Reply::html(201), Reply::html(206).with("etag", "\"it\"")] {
        let (server, store) = with_portal(move |_, _| reply.clone()).await;
        let client = server.client().await;
        client.put_new(&pack(1), "bytes".into()).await.unwrap();
        let asked = targets(&server);
        assert_eq!(asked.last().unwrap(), &format!("PUT /v1/objects/{}", pack(1)), "{asked:?}");
        assert_eq!(store.seen().len(), 1);
        assert!(!client.inner.links.are_used());
    }
}

#[tokio::test]
async fn a_store_that_was_reached_before_is_waited_for() {
    let (server, store) = with_store(|_, n| if n == 0 || n > 3 { Reply::ok(200, "bytes") } else { Reply::Close }).await;
    let client = server.client().await;
    for _ in 0..3 {
        assert_eq!(client.get(&pack(1), 50).await.unwrap(), "bytes");
    }
    assert_eq!(store.seen().len(), 6);
}

#[tokio::test]
async fn a_busy_store_is_tried_again() {
    let (server, _store) = with_store(|_, n| match n {
        0 => Reply::html(503),
        1 => Reply::html(409),
        2 => Reply::html(500),
        _ => Reply::ok(200, ""),
    })
    .await;
    let client = server.client().await;
    client.put_new(&pack(1), "bytes".into()).await.unwrap();
}

#[tokio::test]
async fn without_links_packs_go_through_the_server() {
    let server = Fake::server(true, |seen, _| {
        if seen.target == "/v1/links" { Reply::problem(Type::NoLinks) } else { Reply::ok(200, "bytes") }
    })
    .await;
    let client = server.client().await;
    assert_eq!(client.get(&pack(1), 5).await.unwrap(), "bytes");
    assert_eq!(client.get(&pack(2), 5).await.unwrap(), "bytes");
    assert_eq!(server.seen().len(), 4);
    // A member who holds too many links waits for none, and no pack is looked for of which nothing was sent.
    let server = Fake::server(true, |seen, _| match (seen.method.as_str(), seen.target.as_str()) {
        (_, "/v1/links") => Reply::problem(Type::Quota),
        ("PUT", _) => Reply::ok(201, ""),
        _ => Reply::ok(200, "bytes"),
    })
    .await;
    let client = server.client().await;
    assert_eq!(client.get(&pack(1), 5).await.unwrap(), "bytes");
    client.put_new(&pack(1), "bytes".into()).await.unwrap();
    assert!(targets(&server).iter().all(|asked| !asked.starts_with("HEAD")), "{:?}", targets(&server));
}

#[tokio::test]
async fn links_are_in_no_error_and_lead_nowhere_else() {
    let store = Fake::start(|_, _| Reply::Close).await;
    let url = format!("{}/b/x?X-Amz-Signature=secret", store.location());
    for (method, headers) in
        [("GET", json!({"authorization": "x"})), ("PUT", json!({})), ("GET", json!({"cookie": "x"}))]
    {
        let url = url.clone();
        let server = Fake::server(true, move |_, _| {
            let name = pack(1).to_string();
            let link =
                json!({"name": name, "method": method, "url": url, "headers": headers, "expires": clock::now() + 200});
            Reply::json(&json!({ "links": [link] }))
        })
        .await;
        let client = server.client().await;
        let error = failed(&pack(1))(client.get(&pack(1), 5).await.unwrap_err());
        assert!(!text(&error).contains("secret") && !text(&error).contains("Amz"), "{}", text(&error));
        assert_eq!(store.seen().len(), 0);
    }
    let (server, _store) = with_store(|_, n| if n == 0 { Reply::ok(200, "bytes") } else { Reply::Close }).await;
    let client = server.client().await;
    client.get(&pack(1), 5).await.unwrap();
    let lost = failed(&pack(1))(client.get(&pack(1), 5).await.unwrap_err());
    assert!(!text(&lost).contains("secret"), "{}", text(&lost));
}
