//! Requests that no client of ours sends: expired, tampered, said again, signed by the wrong key, too long, too slow, out of place. Each gets the
//! answer that the spec names, has no effect, and keeps nobody else waiting.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use vault_keys::custodian::Custodian;
use vault_tests::left_out;
use vault_tests::server::Server;
use vault_tests::world::World;

use crate::ask::{Ask, now, read, send, try_send};
use crate::bad_input::next_entry;
use crate::mallory::{custodian, entries, vault_id};
use crate::story::{COHORT, is_sound, story};

/// A story and a server of its own, whose clock is its machine's.
struct Served {
    world: World,
    server: Server,
    vault: String,
}

fn served() -> Served {
    served_with(&[])
}

fn served_with(options: &[&str]) -> Served {
    let world = story();
    let vault = vault_id(&world.vault()).to_string();
    let server = world.new_server(options);
    Served { world, server, vault }
}

impl Served {
    fn port(&self) -> u16 {
        self.server.port()
    }

    fn who(&self, name: &str) -> impl Custodian + use<> {
        custodian(&self.world.person(name))
    }

    /// A request that anybody may make.
    fn get(&self) -> Ask {
        Ask::get(&self.vault, "/v1/ledgers")
    }

    /// The next entry of the dataset's ledger, by its steward: what an honest command appends, made in a copy.
    fn append(&self) -> (String, Vec<u8>) {
        let args = ["member", "role", "eve", "uploader", "--dataset", COHORT];
        let (name, entry) = next_entry(&self.world, "lab", &args, &format!("ledger/dataset/{COHORT}/"));
        let seq: u64 = name.rsplit('/').next().unwrap().parse().unwrap();
        (format!("/v1/ledgers/dataset/{COHORT}/entries/{seq}"), entry)
    }
}

#[test]
fn what_answers_says_which_vault_it_is_without_a_signature() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let hello = send(served.port(), b"GET /v1/vault HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(hello.status, 200, "{hello}");
    let hello = hello.json();
    assert_eq!(hello["vault"], served.vault.as_str());
    assert_eq!(hello["api"], json!([1]));
    assert!(hello["time"].as_u64().unwrap().abs_diff(now()) < 5, "{hello}");
    for path in ["/healthz", "/readyz", "/v1/openapi.json"] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(send(served.port(), text.as_bytes()).status, 200, "{path}");
    }
}

#[test]
fn a_request_that_is_made_by_the_spec_alone_is_answered() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let answer = served.get().send(&served.who("eve"), served.port());
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.json()["ledgers"].as_array().unwrap().contains(&json!("vault")), "{answer}");
    let first = Ask::get(&served.vault, "/v1/ledgers/vault/entries?from=0").send(&served.who("eve"), served.port());
    assert_eq!(first.status, 200, "{first}");
    let genesis = &entries(&served.world.vault(), "vault")[0];
    let length = u32::from_be_bytes(first.body[..4].try_into().unwrap()) as usize;
    assert_eq!(&first.body[4..4 + length], genesis);
    let (path, entry) = served.append();
    let put = Ask::put(&served.vault, &path, &entry);
    assert_eq!(put.send(&served.who("lab"), served.port()).status, 201);
    // The same entry at the same place, asked for again, is no conflict.
    let again = Ask::put(&served.vault, &path, &entry);
    assert_eq!(again.send(&served.who("lab"), served.port()).status, 201);
    is_sound(&served.world);
}

#[test]
fn a_request_whose_time_is_not_now_is_refused_with_the_servers_time() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    for offset in [-100_000, -310, 310, 100_000_i64] {
        let ask = Ask { created: now().saturating_add_signed(offset), ..served.get() };
        let answer = ask.send(&served.who("eve"), served.port());
        answer.is("clock", 401);
        assert!(answer.json()["time"].as_u64().unwrap().abs_diff(now()) < 5, "{answer}");
    }
    for offset in [-280, 280_i64] {
        let ask = Ask { created: now().saturating_add_signed(offset), ..served.get() };
        assert_eq!(ask.send(&served.who("eve"), served.port()).status, 200, "{offset}");
    }
}

#[test]
fn a_request_is_answered_once() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let text = served.get().signed(&served.who("eve"), served.port());
    assert_eq!(send(served.port(), text.as_bytes()).status, 200);
    for _ in 0..3 {
        send(served.port(), text.as_bytes()).is("replayed", 401);
    }
    // Nor at once: of ten that come together, one is answered.
    let text = served.get().signed(&served.who("eve"), served.port());
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..10).map(|_| scope.spawn(|| send(served.port(), text.as_bytes()).status)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    // The same nonce by another card is another request.
    let mut ask = served.get();
    ask.nonce = "0123456789abcdef0123456789abcdef".to_owned();
    for name in ["eve", "anna"] {
        assert_eq!(ask.send(&served.who(name), served.port()).status, 200);
        ask.send(&served.who(name), served.port()).is("replayed", 401);
    }
}

#[test]
fn a_request_that_was_changed_in_any_part_after_it_was_signed_is_refused_and_has_no_effect() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let other = "0".repeat(64);
    let (path, entry) = served.append();
    let text = String::from_utf8(entry.clone()).unwrap();
    let signed = || Ask::put(&served.vault, &path, &entry).signed(&served.who("lab"), served.port());
    let before = served.world.objects();
    let replaced = |from: &str, to: &str| {
        let signed = signed();
        assert!(signed.contains(from), "{from} is not in {signed}");
        signed.replacen(from, to, 1)
    };
    let bent = text.replacen("\"payload\"", "\"paylaod\"", 1);
    let digest = |body: &str| vault_core::json::to_b64(&vault_core::hazmat::kdf::sha256(body.as_bytes()));
    let port = served.port();
    let cases: Vec<(&str, String, &str, u16)> = vec![
        ("the path", replaced(&path, "/v1/ledgers/vault/entries/999"), "bad-signature", 401),
        ("a query", replaced(&format!("{path} "), &format!("{path}?single=true ")), "bad-signature", 401),
        (
            "the vault",
            replaced(&format!("Seqvault-Vault: {}", served.vault), &format!("Seqvault-Vault: {other}")),
            "other-vault",
            421,
        ),
        (
            "the authority",
            replaced(&format!("Host: 127.0.0.1:{port}"), "Host: elsewhere.example"),
            "bad-signature",
            401,
        ),
        ("the body", replaced(&text, &bent), "digest", 400),
        (
            "the body with its digest",
            replaced(&text, &bent).replacen(&digest(&text), &digest(&bent), 1),
            "bad-signature",
            401,
        ),
        ("the digest", replaced(&digest(&text), &digest("x")), "bad-signature", 401),
        ("the time", replaced(";created=", ";created=1"), "clock", 401),
        ("the nonce", replaced(";nonce=\"", ";nonce=\"00"), "unsigned", 401),
        ("the algorithm", replaced("alg=\"ed25519\"", "alg=\"hmac-sha256\""), "unsigned", 401),
        ("the tag", replaced("seqvault-1", "seqvault-2"), "unsigned", 401),
        ("a component less", replaced(" \"content-digest\")", ")"), "unsigned", 401),
        ("a component more", replaced(" \"content-digest\")", " \"content-digest\" \"date\")"), "unsigned", 401),
        ("two components turned round", replaced("\"@path\" \"@query\"", "\"@query\" \"@path\""), "unsigned", 401),
        ("a parameter more", replaced(";alg=", ";expires=4000000000;alg="), "unsigned", 401),
        ("another label", replaced("Signature-Input: sig=", "Signature-Input: gis="), "unsigned", 401),
        ("no signature", replaced("Signature: sig=", "X-Signature: sig="), "unsigned", 401),
        ("no signature's input", replaced("Signature-Input: ", "X-Signature-Input: "), "unsigned", 401),
        (
            "another card",
            replaced(&served.who("lab").card().id().to_string(), &served.who("deputy").card().id().to_string()),
            "bad-signature",
            401,
        ),
        (
            "a card that nobody has",
            replaced(&served.who("lab").card().id().to_string(), &"7".repeat(64)),
            "unknown-card",
            401,
        ),
    ];
    for (what, text, problem, status) in cases {
        eprintln!("{what}");
        send(port, text.as_bytes()).is(problem, status);
    }
    // Without any vault, nobody knows which one is meant.
    let nameless = replaced("Seqvault-Vault: ", "X-Seqvault-Vault: ");
    let answer = send(port, nameless.as_bytes());
    assert!(["unsigned", "other-vault", "malformed"].contains(&answer.problem().as_str()), "{answer}");
    // Another method is another request.
    let get = served.get().signed(&served.who("eve"), port).replacen("GET ", "DELETE ", 1);
    let answer = send(port, get.as_bytes());
    assert!(answer.status >= 400, "{answer}");
    // Each bit of a signature counts.
    let whole = signed();
    let at = whole.find("Signature: sig=:").unwrap() + "Signature: sig=:".len();
    for offset in [0, 40, 80] {
        let mut bytes = signed().into_bytes();
        bytes[at + offset] = if bytes[at + offset] == b'A' { b'B' } else { b'A' };
        send(port, &bytes).is("bad-signature", 401);
    }
    assert_eq!(served.world.objects(), before, "something of it had an effect");
    assert_eq!(send(port, signed().as_bytes()).status, 201);
}

#[test]
fn who_is_no_member_now_is_not_answered() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let stranger = served.world.new_person("stranger");
    served.get().send(&custodian(&stranger), served.port()).is("unknown-card", 401);
    let eve = served.who("eve");
    assert_eq!(served.get().send(&eve, served.port()).status, 200);
    served.world.person("officer").ok(&["member", "retire", "eve"]);
    // From the next request on, though another server was told.
    served.get().send(&eve, served.port()).is("unknown-card", 401);
    // A key that is replaced is nobody's.
    let anna = served.world.person("anna");
    let old = anna.ok(&["identity", "show"])["card"].as_str().unwrap().to_owned();
    anna.make_identity("anna-new");
    served.world.person("officer").ok(&["member", "replace-key", "anna", "--old", &old, "--card", "anna-new.card"]);
    served.get().send(&custodian(&anna), served.port()).is("unknown-card", 401);
    assert_eq!(served.get().send(&custodian(&anna.with_identity("anna-new")), served.port()).status, 200);
}

#[test]
fn paths_that_are_none_are_refused_by_name() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let port = served.port();
    let eve = served.who("eve");
    for path in [
        "/v1/objects/../../etc/passwd",
        "/v1/objects/packs/./x",
        "/v1/objects/%2e%2e/etc/passwd",
        "/v1//ledgers",
        "/v1/ledgers/vault/entries/%30",
        "/v1/objects/packs/%00",
        "/v1/ledgers/..",
    ] {
        let answer = Ask::get(&served.vault, path).send(&eve, port);
        answer.is("malformed", 400);
    }
    for path in
        ["/v1/objects/no-such-kind/x", "/v1/ledgers/vault/entries?from=-1", "/v1/ledgers/dataset/UPPER/entries?from=0"]
    {
        let answer = Ask::get(&served.vault, path).send(&eve, port);
        assert!(
            matches!((answer.status, answer.problem().as_str()), (400, "malformed") | (404, "not-found")),
            "{path}: {answer}"
        );
    }
    // An old server, as a newer client sees it.
    for path in ["/v1/no-such-thing", "/v2/ledgers", "/", "/v1"] {
        let answer = Ask::get(&served.vault, path).send(&eve, port);
        answer.is("no-such-resource", 404);
        assert_eq!(answer.json()["api"], json!([1]), "{answer}");
    }
    let answer = Ask::post(&served.vault, "/v1/ledgers", &json!({})).send(&eve, port);
    answer.is("method", 405);
    // Bodies that are something else.
    for body in ["{", "[]", "{\"repair\":1}", "{\"repair\":true,\"more\":1}", ""] {
        let answer = Ask::put(&served.vault, "/v1/doctor", body.as_bytes());
        let answer = Ask { method: "POST", ..answer }.send(&served.who("officer"), port);
        answer.is("malformed", 400);
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let port = served.port();
    let (path, entry) = served.append();
    let length = format!("Content-Length: {}", entry.len());
    let signed = || Ask::put(&served.vault, &path, &entry).signed(&served.who("lab"), port);
    let end = signed().find("\r\n\r\n").unwrap() + 4;
    for claimed in [1u64 << 30, 1 << 40, u64::MAX] {
        // The head alone: an answer means that it did not wait for the body.
        let head = signed()[..end].replacen(&length, &format!("Content-Length: {claimed}"), 1);
        let begun = Instant::now();
        let answer = send(port, head.as_bytes());
        assert!(begun.elapsed() < Duration::from_secs(20), "it waited for the body");
        assert!((400..500).contains(&answer.status), "{answer}");
        if claimed == 1 << 30 {
            answer.is("too-large", 413);
            assert!(answer.json()["max"].as_u64().unwrap() < 1 << 30, "{answer}");
        }
    }
    // Without a length, chunk after chunk.
    let head = signed()[..end].replacen(&length, "Transfer-Encoding: chunked", 1);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    let answer = read(&mut stream);
    assert!(sent < 64 << 20 || answer.is_some(), "64 MiB were taken without a word");
    if let Some(answer) = answer {
        assert!(matches!(answer.status, 411 | 413), "{answer}");
    }
    // Headers without end.
    let mut long = String::from("GET /v1/vault HTTP/1.1\r\nHost: x\r\n");
    for index in 0..20_000 {
        long.push_str(&format!("X-Header-{index}: {}\r\n", "y".repeat(100)));
    }
    long.push_str("\r\n");
    if let Some(answer) = try_send(port, long.as_bytes()) {
        assert!((400..500).contains(&answer.status), "{answer}");
    }
    assert_eq!(served.get().send(&served.who("eve"), port).status, 200);
    assert_eq!(send(port, signed().as_bytes()).status, 201);
}

#[test]
fn who_sends_slowly_is_let_go_and_keeps_nobody_waiting() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let port = served.port();
    let (path, entry) = served.append();
    let signed = Ask::put(&served.vault, &path, &entry).signed(&served.who("lab"), port);
    let half = signed.len() - entry.len() / 2;
    let before = served.world.objects();
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        // Some say nothing, some begin a head, some a body.
        let text = [&b""[..], &signed.as_bytes()[..30], &signed.as_bytes()[..half]][index % 3];
        stream.write_all(text).unwrap();
    }
    let mut open = slow.len();
    while open > 0 {
        assert!(begun.elapsed() < Duration::from_secs(75), "{open} connections are still open");
        let asked = Instant::now();
        assert_eq!(served.get().send(&served.who("eve"), port).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(9), "others wait for who is slow");
        open = 0;
        for (index, stream) in slow.iter_mut().enumerate() {
            // A byte now and then must not help.
            let is_gone = index % 3 == 1 && stream.write_all(b"x").is_err();
            open += usize::from(!is_gone && !is_closed(stream));
        }
        sleep(Duration::from_millis(700));
    }
    assert_eq!(served.world.objects(), before);
}

/// Whether the other side has ended a connection.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut part = [0; 4096];
    let closed = loop {
        match std::io::Read::read(&mut &*stream, &mut part) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

#[test]
fn nobody_gets_more_than_is_theirs() {
    left_out!(|place| !place.is_served(), "there is no server");
    let served = served();
    let port = served.port();
    let objects: Vec<String> = served.world.objects().into_keys().collect();
    let of = |start: &str| objects.iter().filter(|name| name.starts_with(start)).cloned().collect::<Vec<_>>();
    let get =
        |who: &str, name: &str| Ask::get(&served.vault, &format!("/v1/objects/{name}")).send(&served.who(who), port);
    let shown = crate::story::shown(&served.world.person("officer"), COHORT);
    let epoch = shown["epoch"].as_u64().unwrap();
    let grants = of(&format!("epochs/{COHORT}/{epoch:010}/grants/"));
    assert!(grants.len() >= 5, "{grants:?}");
    for name in &grants {
        let owner = name.split('/').nth(4).unwrap();
        assert_eq!(get(owner, name).status, 200, "{name}");
        for other in ["eve", "officer", "seq", "anna", "ben"] {
            if other != owner {
                get(other, name).is("not-allowed", 403);
            }
        }
    }
    let headers = of(&format!("epochs/{COHORT}/{epoch:010}/headers/"));
    let packs: Vec<String> = of("packs/").into_iter().filter(|name| !name.contains('.')).collect();
    assert!(!headers.is_empty() && !packs.is_empty());
    for (names, may, may_not) in [
        (&headers, ["anna", "ben", "lab"].as_slice(), ["eve", "officer", "seq"].as_slice()),
        (&packs, &["anna", "ben", "lab", "officer"], &["eve", "seq"]),
    ] {
        for name in names {
            for who in may {
                let answer = get(who, name);
                assert_eq!(answer.status, 200, "{who} {name} {answer}");
                assert!(answer.body == fs::read(served.world.vault().join(name)).unwrap());
            }
            for who in may_not {
                get(who, name).is("not-allowed", 403);
            }
        }
    }
    // Nobody writes what is the server's, or over what is there.
    for name in ["index/x", "seqvault-format", "ledger/vault/0000000000"] {
        let answer =
            Ask::put(&served.vault, &format!("/v1/objects/{name}"), b"mine").send(&served.who("officer"), port);
        assert!((400..500).contains(&answer.status), "{name}: {answer}");
    }
    let answer = Ask::put(&served.vault, &format!("/v1/objects/{}", packs[0]), b"mine").send(&served.who("seq"), port);
    assert!((400..500).contains(&answer.status), "{answer}");
    is_sound(&served.world);
}
