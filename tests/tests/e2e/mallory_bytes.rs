//! Mallory changes, exchanges and forges ciphertext and sealed keys, once and for all or from one answer to the next. Readers refuse before they hand out
//! a byte; a rotation stops and keeps the old keys.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use vault_core::floe::{self, Opener, Sealer};
use vault_core::layout::ObjectName;
use vault_core::pack::{Groups, PackHash};
use vault_core::secret::Secret32;

use crate::mallory::{custodian, loot};
use crate::mallory_den::{Den, GET, everywhere, where_she_answers};
use crate::mallory_storage::{Asked, Reply};
use crate::story::{COHORT, contents, reads, shown};
use crate::transfer::noise;

/// What becomes of an answer.
type Lie = fn(&Asked, Reply) -> Reply;

/// The files of the story's two uploads: one key lies in the table, the other in a header.
const FILES: [&str; 2] = ["run/a/reads.fastq", "late/notes.txt"];

/// Somebody reads both files: each comes as it was stored, or not at all. Whether one was refused.
#[track_caller]
fn is_refused(den: &Den, who: &str, what: &str) -> bool {
    let mut refused = false;
    for file in FILES {
        let done = den.runs_without_a_trace(who, &["cat", COHORT, file]);
        let right = &contents()[file];
        match done.code {
            Some(0) => assert!(done.stdout == *right, "{:?} {what}: {file} is another", den.kind),
            Some(5) => {
                assert!(right.starts_with(&done.stdout), "{:?} {what}: {file} was handed out and is wrong", den.kind);
                assert!(done.stderr.len() > 40, "{}", done.stderr);
                refused = true;
            }
            code => panic!("{:?} {what}: {file} {code:?} {}", den.kind, done.stderr),
        }
    }
    refused
}

/// The objects of each kind that reading rests on.
fn kinds(den: &Den) -> Vec<Vec<String>> {
    let epochs = format!("epochs/{COHORT}/");
    let of =
        |part: &str| -> Vec<String> { den.named(&epochs, "").into_iter().filter(|name| name.contains(part)).collect() };
    let packs = den.named("packs/", "").into_iter().filter(|name| !name.contains('.')).collect();
    vec![
        of("/grants/"),
        of("/headers/"),
        of("/table-"),
        den.named("manifests/", ""),
        den.named("packs/", ".list"),
        packs,
    ]
}

#[test]
fn what_she_changes_cuts_or_lengthens_is_refused() {
    everywhere(|den| {
        den.sees(&["anna"]);
        let is_tried = |name: &String| !name.contains("/grants/") || name.contains("/anna/");
        // Of each kind one; how an object came here makes no difference to what is checked of it.
        for name in kinds(den).into_iter().filter_map(|names| names.into_iter().find(is_tried)) {
            let path = den.folder().join(&name);
            let whole = fs::read(&path).unwrap();
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            let changes = [
                ("a bit flipped", flipped),
                ("cut by a byte", whole[..whole.len() - 1].to_vec()),
                ("emptied", Vec::new()),
                ("a byte more", [&whole[..], b"\0"].concat()),
                ("twice", [&whole[..], &whole].concat()),
                ("its halves exchanged", [&whole[whole.len() / 2..], &whole[..whole.len() / 2]].concat()),
            ];
            let is_pack = name.starts_with("packs/") && !name.contains('.');
            for (what, bytes) in changes {
                fs::write(&path, bytes).unwrap();
                let refused = is_refused(den, "anna", &format!("{name}: {what}"));
                // A pack is read by ranges: what lies behind its signed end is not read, and `verify --data` tells of it.
                let is_behind = is_pack && ["a byte more", "twice"].contains(&what);
                assert!(refused != is_behind, "{:?} {name}: {what}", den.kind);
                if is_behind {
                    den.reports(5, &[name.rsplit('/').next().unwrap()], "anna", &["verify", "--data"]);
                }
            }
            fs::write(&path, whole).unwrap();
        }
        assert!(!is_refused(den, "anna", "whole"));
    });
}

#[test]
fn what_she_puts_in_anothers_place_is_refused() {
    everywhere(|den| {
        den.sees(&["anna", "ben"]);
        let mut tried = 0;
        for names in kinds(den) {
            for (one, other) in names.iter().zip(names.iter().skip(1)) {
                let [first, second] = [one, other].map(|name| den.folder().join(name));
                let [a, b] = [&first, &second].map(|path| fs::read(path).unwrap());
                fs::write(&first, &b).unwrap();
                fs::write(&second, &a).unwrap();
                let is_seal_of_others = one.contains("/grants/") && ![one, other].iter().any(|n| n.contains("/ben/"));
                let who = if one.contains("/grants/") { "ben" } else { "anna" };
                let refused = is_refused(den, who, &format!("{one} and {other}"));
                assert_eq!(refused, !is_seal_of_others, "{:?} {one} and {other}", den.kind);
                tried += usize::from(refused);
                fs::write(&first, a).unwrap();
                fs::write(&second, b).unwrap();
            }
        }
        assert!(tried >= 5, "{tried}");
    });
}

/// An upload of one file of more than a group, as `big`.
fn with_big(den: &Den) -> Vec<u8> {
    let bytes = noise(3_000_000, 7);
    den.world.write("big", &bytes);
    den.person("seq").ok(&["put", COHORT, "big"]);
    den.sees(&["anna", "ben"]);
    bytes
}

#[test]
fn a_segment_that_a_reader_forges_for_others_is_refused() {
    everywhere(|den| {
        let bytes = with_big(den);
        // Ben reads the dataset, so he holds the file's key.
        let loot = loot(&[&custodian(&den.world.person("ben"))], &[&den.folder()], COHORT);
        let all = loot.manifests(&den.folder());
        let (id, author, manifest) = all.iter().find(|(_, _, m)| m.files()[0].path.as_str() == "big").unwrap();
        let file = &manifest.files()[0];
        let context = loot.scope().file(id, author, file.number);
        let list = den.named("packs/", &format!("{id}.list")).remove(0);
        let folder = list.rsplit_once('/').unwrap().0.to_owned();
        let pack = den.named(&folder, "").into_iter().find(|name| !name.contains('.')).unwrap();
        let path = den.folder().join(pack);
        let mut forged = fs::read(&path).unwrap();
        let (position, start) = (20, floe::HEADER + 20 * floe::SEGMENT);
        let segment = &mut forged[start..start + floe::SEGMENT];
        segment[floe::BODY_START..floe::BODY_START + floe::SEGMENT_PLAIN].fill(b'!');
        let header = fs::read(&path).unwrap()[..floe::HEADER].to_vec();
        let sealer = Sealer::resume(&file.key, context.as_bytes(), &header).unwrap();
        sealer.seal_segment(position, false, &[9; 12], segment).unwrap();
        // To the cipher alone it is as good as the right one.
        let opener = Opener::start(&file.key, context.as_bytes(), &header).unwrap();
        assert_eq!(opener.open_segment(position, false, &mut segment.to_vec()).unwrap(), [b'!'; floe::SEGMENT_PLAIN]);
        fs::write(&path, &forged).unwrap();
        let from = 20 * floe::SEGMENT_PLAIN;
        let range = format!("{from}-{}", from + 99);
        let outside = "0-99";
        for groups in ["the right groups", "groups of the forged pack", "no groups"] {
            let at = den.folder().join(list.replace(".list", ".groups"));
            match groups {
                "the right groups" => assert!(at.exists()),
                "no groups" => fs::remove_file(&at).unwrap(),
                _ => fs::write(&at, Groups::new(vec![PackHash::of(&forged).groups]).emit()).unwrap(),
            }
            den.refuses(5, &["not what was signed"], "anna", &["cat", COHORT, "big", "--range", &range]);
            den.refuses(5, &["not what was signed"], "anna", &["get", COHORT, "big", "--output", "out"]);
            // What lies in another group is either proven or refused.
            let done = den.runs_without_a_trace("anna", &["cat", COHORT, "big", "--range", outside]);
            assert!(done.code == Some(5) && done.stdout.is_empty() || done.stdout == bytes[..100], "{groups}");
        }
    });
}

#[test]
fn an_older_version_of_a_file_does_not_pass_for_the_file() {
    everywhere(|den| {
        let before = den.named("manifests/", "");
        den.world.write("late/notes.txt", b"the second version");
        den.person("lab").ok(&["put", COHORT, "late", "--replace"]);
        den.sees(&["anna"]);
        let cat = ["cat", COHORT, "late/notes.txt"];
        assert_eq!(den.person("anna").run(&cat).bytes(), b"the second version");
        let newest = den.named("manifests/", "").into_iter().find(|name| !before.contains(name)).unwrap();
        let path = den.folder().join(newest);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[1..]).unwrap();
        // What is left is shown, as a manifest that its author spoilt must keep nobody from the rest; but nobody takes it for all there is.
        for args in [&cat[..], &["ls", COHORT]] {
            let done = den.runs_without_a_trace("anna", args);
            assert_eq!(done.code, Some(5), "{:?} {}: {}", den.kind, done.what, done.stderr);
            assert!(done.stderr.contains("is left out"), "{}", done.stderr);
        }
        // Nor is a path gone while a manifest is hidden that may hold it.
        let done = den.person("lab").run(&["rm", COHORT, "late/notes.txt"]);
        assert_eq!(done.code, Some(5), "{}", done.stderr);
        fs::write(&path, whole).unwrap();
        assert_eq!(den.person("anna").run(&cat).bytes(), b"the second version");
    });
}

/// Answers for packs are bent.
fn packs(
    bend: impl Fn(&Asked, Reply) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Asked, Reply) -> Reply + Send + Sync {
    move |asked, reply| {
        let is_pack = asked.method == "GET" && asked.name.starts_with("packs/") && !asked.name.contains('.');
        if is_pack { bend(asked, reply) } else { reply }
    }
}

#[test]
fn a_range_that_is_answered_with_other_bytes_is_refused() {
    where_she_answers(|den| {
        let bytes = with_big(den);
        let lies: [(&str, Lie); 5] = [
            ("shifted", |_, mut reply| {
                let by = 65_568.min(reply.body.len() / 2);
                reply.body.rotate_left(by);
                reply
            }),
            ("of zeros", |_, mut reply| {
                reply.body.fill(0);
                reply
            }),
            ("short", |_, mut reply| {
                reply.body.truncate(reply.body.len() / 2);
                reply
            }),
            ("long", |_, mut reply| {
                reply.body.extend_from_slice(&[0; 100]);
                reply
            }),
            ("empty", |_, mut reply| {
                reply.body.clear();
                reply
            }),
        ];
        for (what, lie) in lies {
            den.liar().lie(packs(lie));
            for args in
                [&["cat", COHORT, "big", "--range", "2000000-2000099"][..], &["get", COHORT, "big", "--output", "out"]]
            {
                let done = den.person("anna").run(args);
                let out = den.world.path("out/big");
                let given = if args[0] == "cat" { done.stdout } else { fs::read(&out).unwrap_or_default() };
                let right = if args[0] == "cat" { &bytes[2_000_000..2_000_100] } else { &bytes[..] };
                match done.code {
                    // A store whose answers have not the length that they say is broken, too.
                    Some(5 | 8) => assert!(given.is_empty(), "{:?} {what}: something was handed out", den.kind),
                    // What is missing was asked for again, and what is too much was not taken.
                    Some(0) => assert!(
                        ["short", "long"].contains(&what) && given == right,
                        "{:?} {what} {}: {} of {}",
                        den.kind,
                        args[0],
                        given.len(),
                        right.len()
                    ),
                    code => panic!("{:?} {what}: {code:?} {}", den.kind, done.stderr),
                }
                let _ = fs::remove_dir_all(out.parent().unwrap());
            }
        }
        den.liar().be_honest();
        let range = den.person("anna").run(&["cat", COHORT, "big", "--range", "2000000-2000099"]).bytes();
        assert!(range == bytes[2_000_000..2_000_100]);
    });
}

/// Every object's answer is right the first time and wrong from then on.
fn right_once() -> impl Fn(&Asked, Reply) -> Reply + Send + Sync + 'static {
    let seen: Mutex<BTreeMap<String, u32>> = Mutex::default();
    move |asked, mut reply| {
        let is_object = ["epochs/", "manifests/", "packs/"].iter().any(|start| asked.name.starts_with(start));
        if asked.method == "GET" && is_object && reply.status < 300 {
            let times = *seen.lock().unwrap().entry(asked.name.clone()).and_modify(|n| *n += 1).or_insert(1);
            let middle = reply.body.len() / 2;
            if let Some(byte) = reply.body.get_mut(middle).filter(|_| times > 1) {
                *byte ^= 1;
            }
        }
        reply
    }
}

#[test]
fn what_is_right_when_it_is_checked_and_wrong_when_it_is_used_is_refused() {
    where_she_answers(|den| {
        let bytes = with_big(den);
        for args in [&["cat", COHORT, "big"][..], &["cat", COHORT, "big", "--range", "2000000-2000099"], &GET] {
            den.liar().lie(right_once());
            let done = den.person("anna").run(args);
            let out = den.world.path("out");
            match (args[0], done.code) {
                ("cat", Some(0)) => {
                    assert!(bytes.starts_with(&done.stdout) || done.stdout == bytes[2_000_000..2_000_100])
                }
                ("get", Some(0)) => assert!(fs::read(out.join("big")).unwrap() == bytes),
                (_, Some(5)) => assert!(bytes.starts_with(&done.stdout) && !out.join("big").exists()),
                (_, code) => panic!("{:?} {}: {code:?} {}", den.kind, done.what, done.stderr),
            }
            let _ = fs::remove_dir_all(out);
        }
        // A rotation either carries the right keys on, or stops and keeps the old ones.
        den.liar().lie(right_once());
        let done = den.person("lab").run(&["rotate", COHORT]);
        assert!(matches!(done.code, Some(0 | 5)), "{:?} {:?} {}", den.kind, done.code, done.stderr);
        den.liar().be_honest();
        den.person("lab").ok(&["rotate", COHORT]);
        let got = den.person("anna").gets(COHORT);
        assert!(got["big"] == bytes && got[FILES[0]] == reads(70_000) && got[FILES[1]] == contents()[FILES[1]]);
    });
}

#[test]
fn a_key_table_that_is_not_kept_as_it_was_written_stops_the_rotation_and_the_old_epoch_stays() {
    where_she_answers(|den| {
        den.sees(&["lab", "anna"]);
        let old = den.named(&format!("epochs/{COHORT}/0000000002/"), "");
        let lies: [fn(Reply) -> Reply; 3] = [
            |mut reply| {
                *reply.body.last_mut().unwrap() ^= 1;
                reply
            },
            |mut reply| {
                let _ = reply.body.pop();
                reply
            },
            |_| Reply::problem(404, "not-found"),
        ];
        for lie in lies {
            den.liar().lie(move |asked, reply| {
                let is_new_table =
                    asked.method == "GET" && asked.name.contains("/table-") && !asked.name.contains("/0000000002/");
                if is_new_table { lie(reply) } else { reply }
            });
            let done = den.person("lab").run(&["rotate", COHORT]);
            assert!(matches!(done.code, Some(3 | 5)), "{:?} {:?} {}", den.kind, done.code, done.stderr);
            assert!(done.stderr.contains("table-"), "{}", done.stderr);
            let state = shown(&den.person("anna"), COHORT);
            assert_eq!((&state["epoch"], &state["closed"]), (&3.into(), &2.into()), "{state}");
            let kept = den.named(&format!("epochs/{COHORT}/0000000002/"), "");
            assert_eq!(kept, old, "{:?}: keys of the epoch before were deleted", den.kind);
        }
        den.liar().be_honest();
        let done = den.person("lab").ok(&["rotate", COHORT]);
        assert_eq!(done["void"], serde_json::json!([]), "{done}");
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}

#[test]
fn a_key_opens_nothing_in_another_context() {
    // One ciphertext under two keys can't be had: its header commits to key and context. So a key that she moves elsewhere, under a name that is right for
    // the place, opens nothing there.
    let den = Den::new(crate::story::story(), crate::mallory_den::Kind::Folder);
    let loot = loot(&[&custodian(&den.world.person("ben"))], &[&den.folder()], COHORT);
    let all = loot.manifests(&den.folder());
    assert_eq!(all.len(), 2);
    for (id, author, _) in &all {
        for (other, _, manifest) in &all {
            let name = ObjectName::Manifest { dataset: COHORT.parse().unwrap(), manifest: *other };
            let sealed = fs::read(den.folder().join(name.to_string())).unwrap();
            let opens = |key: &Secret32, aad: &[u8]| Opener::start(key, aad, &sealed[..floe::HEADER]).is_ok();
            for file in manifest.files() {
                assert!(!opens(&file.key, loot.scope().file(id, author, file.number).as_bytes()));
                assert!(!opens(&file.key, loot.scope().manifest(other, author).as_bytes()));
            }
        }
    }
}
