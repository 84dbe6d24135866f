//! Mallory answers without end, with nonsense, from elsewhere, or with words that are meant for a terminal: what her bucket or server sends costs the
//! client no more than its limits, leads it nowhere, and is never taken for what was asked.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::ask::now;
use crate::mallory_den::{Den, GET, Kind, where_she_answers};
use crate::mallory_storage::{Liar, Reply, Tongue, hello};
use crate::story::{COHORT, contents, story};

/// What becomes of an answer.
type Change = fn(Reply) -> Reply;

/// Memory for a command that may need some hundreds of MB of address space, and not thousands: in kB.
const ROOM: u64 = 1_500_000;

/// Whoever took all of what has no end would not be done by then.
const SOON: Duration = Duration::from_secs(60);

/// Runs a command of somebody in bounded memory: exit code, standard output, errors, time.
fn bounded(den: &Den, who: &str, args: &[&str]) -> (Option<i32>, Vec<u8>, String, Duration) {
    let whole = den.person(who).command(args);
    let mut command = Command::new("bash");
    let script = format!("ulimit -v {ROOM}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(whole.get_program()).args(whole.get_args());
    command.current_dir(whole.get_current_dir().unwrap()).env_clear();
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let begun = Instant::now();
    let done = command.output().unwrap();
    (done.status.code(), done.stdout, String::from_utf8_lossy(&done.stderr).into_owned(), begun.elapsed())
}

#[test]
fn an_answer_without_end_is_given_up_at_its_limit() {
    where_she_answers(|den| {
        den.sees(&["anna"]);
        for part in ["/grants/", "/headers/", "/table-", "manifests/", ".list"] {
            den.liar().lie(move |asked, reply| {
                let is_it = asked.method == "GET" && asked.name.contains(part) && !asked.name.contains('?');
                let headers = reply.headers.iter().filter(|(name, _)| name != "Content-Length").cloned().collect();
                if is_it { Reply { without_end: Some(vec![7; 1 << 20]), headers, ..reply } } else { reply }
            });
            let (code, out, said, time) = bounded(den, "anna", &["cat", COHORT, "late/notes.txt"]);
            if code == Some(0) {
                // It was not needed for that file: then for the other one.
                let (code, out, said, _) = bounded(den, "anna", &["cat", COHORT, "run/a/reads.fastq"]);
                assert!(matches!(code, Some(5 | 8)) && out.is_empty(), "{:?} {part}: {code:?} {said}", den.kind);
                continue;
            }
            assert!(matches!(code, Some(5 | 8)) && out.is_empty(), "{:?} {part}: {code:?} {said}", den.kind);
            assert!(time < SOON, "{:?} {part}: {time:?}", den.kind);
        }
    });
}

#[test]
fn entries_without_end_or_of_impossible_lengths_are_given_up() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    let frames: [(&str, Vec<u8>); 4] = [
        ("longer than any entry", vec![0xff; 4096]),
        ("cut in a length", vec![0, 0]),
        ("cut in an entry", vec![0, 0, 1, 0, b'{']),
        ("of no bytes", vec![0; 4096]),
    ];
    for (what, body) in frames {
        den.liar().lie(
            move |asked, reply| {
                if asked.name == "entries:vault" { Reply { body: body.clone(), ..reply } } else { reply }
            },
        );
        let said = den.refuses(5, &[], "anna", &["verify"]);
        assert!(said.len() > 40, "{what}: {said}");
    }
    // More and more, of which none comes; and one answer without end.
    den.liar().lie(|asked, mut reply| {
        if asked.name == "entries:vault" {
            reply.body.clear();
            reply.headers.push(("Seqvault-More".to_owned(), "true".to_owned()));
        }
        reply
    });
    den.refuses(5, &["more entries"], "anna", &["verify"]);
    den.liar().lie(|asked, reply| match asked.name.as_str() {
        "entries:vault" => Reply { without_end: Some(vec![0; 1 << 20]), ..reply },
        _ => reply,
    });
    let (code, out, said, time) = bounded(&den, "anna", &["verify"]);
    assert!(matches!(code, Some(5 | 8)) && out.is_empty(), "{code:?} {said}");
    assert!(time < SOON, "{time:?}");
}

#[test]
fn greetings_and_problems_without_end_or_sense_are_given_up() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    let replies: [(&str, Change); 6] = [
        ("a greeting without end", |reply| Reply { without_end: Some(vec![b' '; 1 << 20]), ..reply }),
        ("a problem without end", |_| Reply {
            without_end: Some(vec![b' '; 1 << 20]),
            ..Reply::problem(403, "not-allowed")
        }),
        ("a greeting that nests", |reply| Reply { body: "[".repeat(60_000).into_bytes(), ..reply }),
        ("no vault", |reply| Reply {
            body: b"{\"vault\":\"\",\"api\":[1],\"server\":\"\",\"time\":0,\"links\":false}".to_vec(),
            ..reply
        }),
        ("a vault of another kind", |reply| {
            let text = String::from_utf8(reply.body.clone()).unwrap().replace("\"vault\":\"", "\"vault\":\"../../");
            Reply { body: text.into_bytes(), ..reply }
        }),
        ("another age", |reply| Reply {
            body: json!({"vault": "", "api": [0], "server": "", "time": 0, "links": false}).to_string().into(),
            ..reply
        }),
    ];
    for (what, lie) in replies {
        den.liar().lie(move |asked, reply| if asked.name == "/v1/vault" { lie(reply) } else { reply });
        let begun = Instant::now();
        let done = den.runs_without_a_trace("anna", &["verify"]);
        assert!(
            matches!(done.code, Some(1 | 3 | 4 | 5 | 8)) && done.stdout.is_empty(),
            "{what}: {:?} {}",
            done.code,
            done.stderr
        );
        assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
    }
}

#[test]
fn words_of_hers_do_not_reach_the_terminal_as_commands() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    for place in ["/v1/vault", "entries:vault"] {
        den.liar().lie(move |asked, reply| {
            if asked.name != place {
                return reply;
            }
            let mut problem = Reply::problem(403, "not-allowed");
            let evil = "\\u001b]0;owned\\u0007\\u001b[2J\\r\\nall is well\\u202egnp.exe";
            problem.body = String::from_utf8(problem.body).unwrap().replace("hers", evil).into_bytes();
            problem
        });
        let said = den.refuses(4, &["all is well"], "anna", &["verify"]);
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(bad), "{said:?}");
        assert!(!said.lines().any(|line| line.starts_with("all is well")), "{said:?}");
    }
}

#[test]
fn nobody_is_sent_elsewhere() {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let to = format!("http://127.0.0.1:{}/v1/vault", elsewhere.local_addr().unwrap().port());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || {
        for _ in elsewhere.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    for status in [301, 302, 303, 307, 308] {
        for place in ["/v1/vault", "entries:vault", "manifests/"] {
            let to = to.clone();
            den.liar().lie(move |asked, reply| {
                let headers = vec![("Location".to_owned(), to.clone())];
                if asked.name.starts_with(place) { Reply { status, headers, ..Reply::default() } } else { reply }
            });
            // Once of the whole, once where an object is asked for.
            den.refuses(if place == "manifests/" { 5 } else { 3 }, &["no seqvault server"], "anna", &GET);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "somebody followed");
}

#[test]
fn a_link_to_other_bytes_or_with_more_than_a_link_has_is_refused() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    let other = den.world.path("other");
    vault_tests::world::copy_folder(&den.folder(), &other);
    for name in den.named("packs/", "").into_iter().filter(|name| !name.contains('.')) {
        let mut bytes = std::fs::read(other.join(&name)).unwrap();
        bytes[100] ^= 1;
        std::fs::write(other.join(name), bytes).unwrap();
    }
    let store = Liar::start(&other, Tongue::Bucket);
    let link = move |name: &str, change: &str| {
        let mut link = json!({
            "name": name, "method": "GET", "url": format!("{}/vaults/hers/{name}", store.url()), "headers": {}, "expires": now() + 300,
        });
        match change {
            "a file" => link["url"] = "file:///etc/passwd".into(),
            "another method" => link["method"] = "DELETE".into(),
            "a member's header" => link["headers"] = json!({"authorization": "hers"}),
            "another object" => link["name"] = "packs/x".into(),
            _ => {}
        }
        link
    };
    let folder = den.folder();
    let link = Arc::new(link);
    for change in ["other bytes", "a file", "another method", "a member's header", "another object"] {
        let (link, folder) = (Arc::clone(&link), folder.clone());
        den.liar().lie(move |asked, reply| match asked.name.as_str() {
            "/v1/vault" => Reply { body: hello(&folder, true).to_string().into(), ..reply },
            "/v1/links" => {
                let wanted: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
                let links: Vec<_> =
                    wanted["get"].as_array().unwrap().iter().map(|n| link(n.as_str().unwrap(), change)).collect();
                Reply::new(200, "application/json", json!({"links": links}).to_string())
            }
            _ => reply,
        });
        let done = den.runs_without_a_trace("anna", &["cat", COHORT, "late/notes.txt"]);
        match done.code {
            // What can be no link is asked for anew, through the server itself.
            Some(0) => {
                assert_ne!(change, "other bytes");
                assert_eq!(done.stdout, contents()["late/notes.txt"], "{change}");
            }
            code => {
                assert_eq!(code, Some(5), "{change}: {}", done.stderr);
                assert!(done.stdout.is_empty(), "{change}");
            }
        }
    }
}

#[test]
fn what_she_withholds_ends_a_command_and_changes_nothing() {
    where_she_answers(|den| {
        den.sees(&["anna"]);
        for (part, args) in [
            ("/grants/", &GET[..]),
            ("/table-", &GET),
            ("/headers/", &["cat", COHORT, "late/notes.txt"]),
            ("manifests/", &["cat", COHORT, "late/notes.txt"]),
            (".list", &["cat", COHORT, "late/notes.txt"]),
            ("packs/", &["cat", COHORT, "late/notes.txt"]),
        ] {
            den.liar().lie(move |asked, reply| {
                let is_it = asked.name.contains(part) && !asked.name.starts_with('/');
                if is_it && reply.status < 300 { Reply::problem(404, "not-found") } else { reply }
            });
            let done = den.runs_without_a_trace("anna", args);
            assert!(
                matches!(done.code, Some(3 | 5)) && done.stdout.is_empty(),
                "{:?} {part}: {:?} {}",
                den.kind,
                done.code,
                done.stderr
            );
        }
        den.liar().be_honest();
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}
