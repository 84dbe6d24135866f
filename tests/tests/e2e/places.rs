//! Places that are wrong: an endpoint where nobody listens or something else does, a bucket that is not there or another vault's, credentials that are
//! not right, clocks that differ, a port that is taken, programs of another age. Each is told apart, in good time, with what to do.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use vault_tests::left_out;
use vault_tests::mirror::{self, BUCKET};
use vault_tests::seaweed::REGION;
use vault_tests::world::{Done, World};

use crate::mallory::vault_id;
use crate::transfer::{DATA, bench};

/// Nothing that is wrong from the beginning takes longer to say so.
const SOON: Duration = Duration::from_secs(100);

type Environment = Vec<(OsString, OsString)>;

/// The run's credentials, with one changed.
fn credentials(change: &str, to: &str) -> Environment {
    let all = mirror::seaweed().environment().into_iter();
    let all = all.filter(|(name, _)| *name != "AWS_ENDPOINT_URL_S3");
    all.map(|(name, value)| (name.into(), if name == change { to.into() } else { value.into() })).collect()
}

/// The command fails with one of these codes, says all of this and what to do, and in good time.
#[track_caller]
fn fails(run: impl FnOnce() -> Done, codes: &[i32], words: &[&str]) -> String {
    let begun = Instant::now();
    let done = run();
    assert!(done.code.is_some_and(|code| codes.contains(&code)), "{}: {:?}\n{}", done.what, done.code, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{word:?} is not in:\n{}", done.stderr);
    }
    // On a line of its own, or after a semicolon or a colon.
    let hints = |line: &str| line.starts_with("  ") && line.trim().len() > 8;
    let says = |line: &str| line.starts_with("seqvault: ") && line.len() > 25;
    assert!(done.stderr.lines().any(says), "it says nothing:\n{}", done.stderr);
    assert!(codes == [2] || done.code == Some(1) || done.stderr.lines().any(hints), "no hint:\n{}", done.stderr);
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    eprintln!("{}", done.stderr);
    done.stderr
}

/// The vault's location with another part.
fn changed(world: &World, from: &str, to: &str) -> String {
    let location = world.store_location();
    assert!(location.contains(from), "{location}");
    location.replace(from, to)
}

/// A port of loopback where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Answers everything on a port of loopback with the same bytes.
fn answers(with: &str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let with = with.to_owned();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let with = with.clone();
            thread::spawn(move || {
                let mut part = [0; 8192];
                let _ = stream.read(&mut part);
                let _ = stream.write_all(with.as_bytes());
            });
        }
    });
    port
}

fn http(status: &str, kind: &str, body: &str) -> String {
    // As a server of ours has it, too.
    let id = if body.contains("\"api\"") { "Seqvault-Request-Id: 0\r\n" } else { "" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{id}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

// ---- Buckets ----

#[test]
fn a_bucket_that_can_t_be_used_is_told_with_the_reason() {
    left_out!(|place| !place.is_bucket(), "it is about buckets");
    let world = bench();
    let right = credentials("", "");
    let place = world.store_location();
    let anna = world.person("anna");
    let ls = |location: &str, environment: &Environment| anna.through(location, environment).run(&["ls", DATA]);
    assert_eq!(ls(&place, &right).code, Some(0));
    let [first, second] = mirror::seaweed().endpoints();
    let only = |endpoint: &str| {
        let query = place.split_once('?').unwrap().1;
        assert!(query.contains(&first) && query.contains(&second));
        format!("{}?endpoint={endpoint}&region={REGION}", place.split_once('?').unwrap().0)
    };
    let port = closed_port();
    fails(|| ls(&only(&format!("http://127.0.0.1:{port}")), &right), &[8], &[&port.to_string()]);
    fails(|| ls(&only("https://no-such-host.invalid"), &right), &[8], &["no-such-host.invalid"]);
    let html = answers(&http("200 OK", "text/html", "<html><body>Welcome to the router</body></html>"));
    fails(|| ls(&only(&format!("http://127.0.0.1:{html}")), &right), &[3, 8], &[&html.to_string()]);
    fails(|| ls(&only(&first.replace("http://", "https://")), &right), &[8], &[first.rsplit(':').next().unwrap()]);
    fails(|| ls(&place, &credentials("AWS_ACCESS_KEY_ID", "NOBODYSKEY")), &[8], &["AWS_ACCESS_KEY_ID"]);
    fails(|| ls(&place, &credentials("AWS_SECRET_ACCESS_KEY", "not the secret")), &[8], &["secret"]);
    // A machine may have a service that gives credentials, so it is asked, and named.
    let said = ls(&place, &Vec::new());
    assert_eq!(said.code, Some(8), "{}", said.stderr);
    assert!(said.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", said.stderr);
    let elsewhere = changed(&world, &format!("s3://{BUCKET}/"), "s3://no-such-bucket/");
    fails(|| ls(&elsewhere, &right), &[3, 8], &["no-such-bucket"]);
    let empty = changed(&world, &format!("s3://{BUCKET}/"), &format!("s3://{BUCKET}/nothing-here-"));
    fails(|| ls(&empty, &right), &[3], &["nothing-here-"]);
    for bad in ["s3://", "s3:///x", "s3://bucket/x?colour=red", "s3://bucket/../x", "s3://bucket?endpoint=nonsense"] {
        fails(|| ls(bad, &right), &[2], &[]);
    }
    // What a bucket of another region says, and one at a machine whose clock is off.
    let error = |code: &str, more: &str| format!("<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>");
    for (answer, words) in [
        (
            http("400 Bad Request", "application/xml", &error("AuthorizationHeaderMalformed", "<Region>eu-3</Region>")),
            ["AuthorizationHeaderMalformed", "region=eu-3"],
        ),
        (
            http("301 Moved Permanently", "text/xml\r\nx-amz-bucket-region: ap-1", &error("PermanentRedirect", "")),
            ["PermanentRedirect", "region=ap-1"],
        ),
        (
            http("403 Forbidden", "application/xml", &error("RequestTimeTooSkewed", "")),
            ["RequestTimeTooSkewed", "clock"],
        ),
    ] {
        let port = answers(&answer);
        fails(|| ls(&only(&format!("http://127.0.0.1:{port}")), &right), &[8], &words);
    }
    // One gateway away is no reason to stop.
    let one_away = place.replace(&first, &format!("http://127.0.0.1:{port}"));
    assert_eq!(ls(&one_away, &right).code, Some(0));
}

/// A store that has begun to let a second writer win: passes everything on to a gateway, and calls its refusals successes.
fn forgetful() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let [first, _] = mirror::seaweed().endpoints();
    let gateway: u16 = first.rsplit(':').next().unwrap().parse().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", gateway)).unwrap();
            let (up, back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass(up, server, |part| part));
            thread::spawn(move || pass(back, client, mended));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let mut part = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut part) {
        if to.write_all(&change(part[..n].to_vec())).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// "There is one already" becomes "it is made". Such an answer is short, and comes in one piece.
fn mended(answer: Vec<u8>) -> Vec<u8> {
    match answer.strip_prefix(b"HTTP/1.1 412 Precondition Failed\r\n") {
        Some(rest) => [b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\n", rest].concat(),
        None => answer,
    }
}

#[test]
fn a_store_that_lost_create_if_absent_is_not_served_and_doctor_says_that_nothing_may_be_written() {
    left_out!(|place| !place.is_bucket(), "it is about buckets");
    let world = bench();
    let right = world.store_environment();
    let location = mirror::of(&world.path("vault")).location_over(&format!("http://127.0.0.1:{}", forgetful()));
    let lab = world.person("lab").through(&location, &right);
    let before = world.objects();
    let said = lab.run(&["serve", "--vault", &location, "--listen", "127.0.0.1:0"]).fails(8);
    assert!(said.contains("raced to create one object") && said.contains("what changed at it?"), "{said}");
    let said = lab.run(&["doctor"]);
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
    assert!(said.contains("raced to create one object") && said.contains("write nothing more to this vault"), "{said}");
    assert_eq!(world.objects(), before);
}

#[test]
fn a_vault_is_made_neither_over_another_nor_over_something_else_in_a_bucket() {
    left_out!(|place| !place.is_bucket(), "it is about buckets");
    let world = bench();
    let before = world.objects();
    let right = credentials("", "");
    let lab = world.person("lab");
    let init =
        |location: &str| lab.through(location, &right).run(&["init", location, "--member", "lab", "--head-age", "31"]);
    let said = fails(|| init(&world.store_location()), &[6], &["already"]);
    assert!(said.contains(world.vault().to_str().unwrap()), "{said}");
    assert_eq!(world.objects(), before);
    let photos = World::new();
    photos.write("vault/photos/one.jpg", b"a picture");
    let location = photos.store_location();
    mirror::of(&photos.path("vault")).push();
    fails(|| init(&location), &[2], &["not empty", "photos"]);
    assert_eq!(photos.objects().into_keys().collect::<Vec<_>>(), ["photos/one.jpg"]);
    // Nor is what is no vault taken for one.
    let ls = || lab.through(&location, &right).run(&["verify"]);
    fails(ls, &[3], &["--vault"]);
}

#[test]
fn another_vaults_bucket_is_not_taken_for_the_one_that_was_joined() {
    left_out!(|place| !place.is_bucket(), "it is about buckets");
    let [world, other] = [bench(), World::new()];
    let _ = other.new_person("lab");
    other.person("lab").ok(&["init", other.vault().to_str().unwrap(), "--member", "lab"]);
    let right = credentials("", "");
    let anna = world.person("anna").through(&other.store_location(), &right);
    world.write("run/a", b"x");
    for args in [&["ls", DATA][..], &["put", DATA, "run"]] {
        fails(|| anna.run(args), &[4, 5], &["vault"]);
    }
}

// ---- Servers ----

#[test]
fn a_server_that_is_none_is_told_with_what_answered() {
    left_out!(|place| !place.is_served(), "there is no server");
    let world = bench();
    let anna = world.person("anna");
    let ls = |location: &str| anna.through(location, &[]).run(&["ls", DATA]);
    let port = closed_port();
    fails(|| ls(&format!("http://127.0.0.1:{port}")), &[8], &[&port.to_string()]);
    let page = "<html><body>Please log in</body></html>";
    for answer in [
        http("200 OK", "text/html", page),
        http("404 Not Found", "text/html", page),
        http("302 Found\r\nLocation: http://elsewhere.example/", "text/html", page),
        http("200 OK", "application/json", "{\"hello\":true}"),
    ] {
        let port = answers(&answer);
        fails(|| ls(&format!("http://127.0.0.1:{port}")), &[1, 2, 3, 8], &[&port.to_string(), "seqvault server"]);
    }
    let garbage = answers("SSH-2.0-OpenSSH_9.2\r\n");
    fails(|| ls(&format!("http://127.0.0.1:{garbage}")), &[2, 3, 8], &[&garbage.to_string()]);
    let url = world.location();
    fails(|| ls(&url.replace("http://", "https://")), &[2, 8], &[]);
    for bad in [
        "http://example.org/vault",
        "https://",
        "https://user:word@host",
        "https://host?x=y",
        "https://host#x",
        "ftp://host/x",
    ] {
        fails(|| ls(bad), &[2], &[]);
    }
    let said =
        fails(|| world.person("lab").through(&url, &[]).run(&["init", &url, "--member", "lab"]), &[2], &["serve"]);
    assert!(said.contains("init"), "{said}");
}

#[test]
fn programs_of_another_age_say_which_one_is_to_be_renewed() {
    left_out!(|place| !place.is_served(), "there is no server");
    let world = bench();
    let vault = vault_id(&world.vault()).to_string();
    let hello = |api: serde_json::Value, server: &str| {
        let body = json!({"vault": vault, "api": api, "server": server, "time": crate::ask::now(), "links": false});
        answers(&http("200 OK", "application/json", &body.to_string()))
    };
    let ls = |port: u16| world.person("anna").through(&format!("http://127.0.0.1:{port}"), &[]).run(&["ls", DATA]);
    let newer = hello(json!([7, 8]), "seqvault 9.9.9");
    fails(|| ls(newer), &[1], &["7, 8", "newer seqvault on this machine"]);
    let older = hello(json!([0]), "seqvault 0.0.1");
    fails(|| ls(older), &[1], &["version 0"]);
}

#[test]
fn a_server_of_another_vault_is_not_taken_for_the_one_that_was_joined() {
    left_out!(|place| !place.is_served(), "there is no server");
    let [world, other] = [bench(), World::new()];
    let _ = other.new_person("lab");
    other.person("lab").ok(&["init", other.vault().to_str().unwrap(), "--member", "lab"]);
    let server = other.new_server(&[]);
    let anna = world.person("anna").through(&server.url(), &[]);
    world.write("run/a", b"x");
    for args in [&["ls", DATA][..], &["put", DATA, "run"]] {
        fails(|| anna.run(args), &[4, 5], &["vault"]);
    }
}

#[test]
fn a_clock_five_minutes_off_is_told_by_both_times() {
    left_out!(|place| !place.is_served(), "there is no server");
    let world = bench();
    // This one has a clock of its own.
    let server = world.new_server(&[]);
    world.write("run/a", b"x");
    let before = world.objects();
    for offset in [-330, 330] {
        for (name, args) in [("anna", &["ls", DATA][..]), ("seq", &["put", DATA, "run"]), ("lab", &["rotate", DATA])] {
            let person = world.person(name).in_seconds(offset).through(&server.url(), &[]);
            let words = ["this machine's clock says", "the server's says", "set the clock that is wrong"];
            fails(|| person.run(args), &[4], &words);
        }
    }
    assert_eq!(world.objects(), before);
    for offset in [-250, 250] {
        let person = world.person("anna").in_seconds(offset).through(&server.url(), &[]);
        person.ok(&["dataset", "list"]);
    }
}

#[test]
fn a_port_that_is_taken_ends_a_server_that_says_so() {
    left_out!(|place| !place.is_served(), "there is no server");
    let world = bench();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let location = world.store_location();
    let lab = world.person("lab").through(&location, &world.store_environment());
    fails(|| lab.run(&["serve", "--vault", &location, "--listen", &listen]), &[1, 6, 8], &[&listen]);
    // So is a vault that is not there, before a port is opened.
    let nowhere = format!("{}-nowhere", world.vault().display());
    let said = lab.run(&["serve", "--vault", &nowhere, "--listen", "127.0.0.1:0"]).fails(3);
    assert!(said.contains(&nowhere) && said.contains("--vault"), "{said}");
}

#[test]
fn a_vault_that_can_t_be_understood_is_not_served() {
    left_out!(|place| !place.is_served(), "there is no server");
    let world = bench();
    let serve = |world: &World| {
        let location = world.store_location();
        let lab = world.person("lab").through(&location, &world.store_environment());
        lab.run(&["serve", "--vault", &location, "--listen", "127.0.0.1:0"])
    };
    let forged = crate::bad_input::forged_vault(&world, |genesis| genesis["body"]["suite"] = json!(9));
    let said = serve(&forged).fails(5);
    assert!(said.contains("genesis") && said.contains("suite"), "{said}");
    for (text, code) in [("seqvault 2\n", 1), ("something\n", 3)] {
        let copy = world.copy();
        std::fs::write(copy.path("vault/seqvault-format"), text).unwrap();
        let said = serve(&copy).fails(code);
        assert!(code == 3 || said.contains(text.trim()), "{said}");
    }
    let copy = world.copy();
    std::fs::remove_file(copy.path("vault/seqvault-format")).unwrap();
    serve(&copy).fails(3);
}

#[test]
fn a_server_takes_rule_packs_by_whatever_names_them() {
    let world = World::new();
    let (one, two) = (world.path("packs-1"), world.path("packs-2"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let print = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = world.person("nobody").command(args);
        command.env_remove("SEQVAULT").args(["--vault", "/srv/vault", "--print-config"]);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix("packs = ")).map(|packs| packs.trim_matches('"').to_owned())
    };
    assert_eq!(print(&["serve"], &[]), None);
    for args in [&["serve", "--packs", one][..], &["--packs", one, "serve"]] {
        assert_eq!(print(args, &[]).as_deref(), Some(one), "{args:?}");
        assert_eq!(print(args, &[("SEQVAULT_PACKS", two)]).as_deref(), Some(one), "{args:?}");
    }
    assert_eq!(print(&["serve"], &[("SEQVAULT_PACKS", one)]).as_deref(), Some(one));
    assert_eq!(print(&["serve"], &[("SEQVAULT_PACKS", two), ("SEQVAULT_SERVER_PACKS", one)]).as_deref(), Some(one));
}
