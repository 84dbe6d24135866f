//! Several servers on one bucket, each over a gateway of its own: the same answers from both, a revocation that counts at once everywhere, many people
//! at once, and a server that dies while somebody works through it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vault_tests::left_out;
use vault_tests::place::Place;
use vault_tests::server::Server;
use vault_tests::world::{Person, World};

use crate::ask::{Answer, Ask};
use crate::mallory::{custodian, vault_id};
use crate::relay::Relay;
use crate::story::{COHORT, contents, enrol, is_granted, is_sound, settle, shown, story};
use crate::transfer::{AT_ONCE, DATA, LATE_READ, bench, files, journals, noise, packs, settled, wait_until};

const PACK: usize = 33_554_432;

/// Two servers of a world's vault, the second over the other gateway.
fn two(world: &World) -> [Server; 2] {
    [0, 1].map(|gateway| world.new_server_at(gateway, &[]))
}

fn through(world: &World, name: &str, server: &Server) -> Person {
    world.person(name).through(&server.url(), &[])
}

/// Asks for something as somebody.
fn ask(world: &World, name: &str, server: &Server, path: &str) -> Answer {
    let vault = vault_id(&world.vault()).to_string();
    Ask::get(&vault, path).send(&custodian(&world.person(name)), server.port())
}

/// An answer without what differs from request to request.
fn essence(answer: &Answer) -> (u16, Value, Vec<u8>) {
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(mut object)) => {
            for changing in ["request", "time"] {
                object.remove(changing);
            }
            (answer.status, object.into(), Vec::new())
        }
        Ok(other) => (answer.status, other, Vec::new()),
        Err(_) => (answer.status, Value::Null, answer.body.clone()),
    }
}

#[test]
fn an_upload_of_more_than_a_server_takes_is_told_before_a_byte_is_sent() {
    left_out!(|place| !place.is_served(), "only a server counts an upload's objects");
    let world = story();
    fs::create_dir(world.path("huge")).unwrap();
    for name in ["one", "two"] {
        // Nothing but a length.
        fs::File::create(world.path(&format!("huge/{name}"))).unwrap().set_len(3 << 40).unwrap();
    }
    let before = world.objects();
    let begun = Instant::now();
    let done = world.person("seq").run(&["put", COHORT, "huge"]);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for word in ["2 files", "131072 an upload", "put fewer files at a time"] {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert_eq!(world.objects(), before, "nothing was opened");
    assert_eq!(journals(&world.person("seq")), 0);
}

#[test]
fn two_servers_give_everybody_the_same_answers() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let world = story();
    let servers = two(&world);
    let mut paths: Vec<String> = [
        "/v1/vault",
        "/v1/ledgers",
        "/v1/ledgers/vault/entries?from=0",
        "/v1/ledgers/vault/entries?from=3&single=true",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/v1/ledgers/dataset/{COHORT}/entries?from=0"));
    paths.push("/v1/ledgers/dataset/none/entries?from=0".to_owned());
    paths.push("/v1/nothing".to_owned());
    paths.extend(
        world
            .objects()
            .into_keys()
            .filter(|name| !name.starts_with("ledger/"))
            .map(|name| format!("/v1/objects/{name}")),
    );
    let compare = || {
        for path in &paths {
            for name in ["officer", "lab", "seq", "anna", "ben", "eve", "keeper"] {
                let [one, other] = [0, 1].map(|n| ask(&world, name, &servers[n], path));
                assert_eq!(essence(&one), essence(&other), "{name} {path}");
                assert!(one.status < 500, "{name} {path}: {one}");
            }
        }
    };
    compare();
    // After each act through one, the other says the same, and not what it knew before.
    through(&world, "lab", &servers[0]).ok(&["revoke", COHORT, "ben"]);
    compare();
    through(&world, "officer", &servers[1]).ok(&["member", "retire", "eve"]);
    compare();
}

#[test]
fn a_revoke_through_one_server_is_refused_through_the_other_from_the_next_request_on() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let world = story();
    let servers = two(&world);
    let epoch = shown(&world.person("ben"), COHORT)["epoch"].as_u64().unwrap();
    let all = world.objects();
    let find = |start: String| {
        all.keys()
            .find(|name| name.starts_with(&start) && !name.ends_with(".list") && !name.ends_with(".groups"))
            .unwrap()
            .clone()
    };
    let secret = find(format!("epochs/{COHORT}/{epoch:010}/grants/ben/"));
    let header = find(format!("epochs/{COHORT}/{epoch:010}/headers/"));
    let pack = find("packs/".to_owned());
    let objects = [&secret, &header, &pack].map(|name| format!("/v1/objects/{name}"));
    let links = |server: &Server| {
        let vault = vault_id(&world.vault()).to_string();
        let ask = Ask::post(&vault, "/v1/links", &json!({"get": [pack]}));
        ask.send(&custodian(&world.person("ben")), server.port())
    };
    // Both know him, and have everything warm.
    for server in &servers {
        for path in &objects {
            assert_eq!(ask(&world, "ben", server, path).status, 200);
        }
        assert_eq!(links(server).status, 200);
    }
    let link = links(&servers[1]).json()["links"][0].clone();
    let ends = link["expires"].as_u64().unwrap();
    assert!(ends <= crate::ask::now() + 301, "{link}");
    // The revocation stands still when its first statement is made, before the rotation.
    let mut revoke = through(&world, "lab", &servers[0]).start_paused("any:2", &["revoke", COHORT, "ben"]);
    assert!(revoke.is_paused());
    for server in servers.iter().rev() {
        for path in &objects {
            ask(&world, "ben", server, path).is("not-allowed", 403);
            assert_eq!(ask(&world, "anna", server, &path.replace(&secret, &header)).status, 200);
        }
        links(server).is("not-allowed", 403);
    }
    let said = through(&world, "ben", &servers[1]).gets_nothing(4, COHORT);
    assert!(said.contains("grant"), "{said}");
    revoke.finish().ok();
    // He is still a member, and reads the ledgers.
    assert_eq!(ask(&world, "ben", &servers[1], "/v1/ledgers").status, 200);
    for server in &servers {
        for path in &objects {
            assert!(matches!(ask(&world, "ben", server, path).status, 403 | 404), "{path}");
        }
    }
    assert_eq!(through(&world, "anna", &servers[1]).gets(COHORT), contents());
    is_sound(&world);
}

#[test]
fn a_revoke_under_load_ends_what_one_gets_and_nobody_elses_gets() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let world = bench();
    world.write("run/big", &noise(3 * PACK, 21));
    for index in 0..60 {
        world.write(&format!("run/small/{index}"), &noise(index * 500, index as u64));
    }
    let _ = world.new_person("ben");
    let added = world.person("lab").ok(&["member", "add", "ben", "--card", "ben.card"]);
    world.person("ben").ok(&["join", added["invitation"].as_str().unwrap()]);
    world.person("lab").ok(&["grant", DATA, "ben"]);
    world.person("seq").ok(&["put", DATA, "run"]);
    let servers = two(&world);
    let expected = files(&world.path("run"));
    let is_revoked = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    // Gets that came to all of it.
    let (of_ben, of_anna) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let reader = |name: &'static str, number: usize| {
            let (world, servers, is_revoked, over, expected) = (&world, &servers, &is_revoked, &over, &expected);
            let good = if name == "ben" { &of_ben } else { &of_anna };
            scope.spawn(move || {
                let person = through(world, name, &servers[number % 2]);
                for round in 0.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let out = format!("{name}-{number}-{round}");
                    // Before the command begins: what begins after the revocation was reported must fail.
                    let was_revoked = is_revoked.load(Ordering::SeqCst);
                    let done = person.run(&["get", DATA, "--output", &out]);
                    match done.code {
                        Some(0) => {
                            assert!(name == "anna" || !was_revoked, "{name} got everything after the revocation");
                            assert!(files(&world.path(&out).join("run")) == *expected, "{name} got something else");
                            good.fetch_add(1, Ordering::SeqCst);
                        }
                        Some(code) => {
                            assert!(name == "ben", "{name}: {}", done.stderr);
                            assert!(matches!(code, 3 | 4), "{code}: {}", done.stderr);
                            if was_revoked {
                                assert_eq!(code, 4, "{}", done.stderr);
                            }
                        }
                        None => panic!("{} was killed", done.what),
                    }
                    let _ = fs::remove_dir_all(world.path(&out));
                    if was_revoked && name == "ben" {
                        break;
                    }
                }
            })
        };
        let _ = [reader("ben", 0), reader("ben", 1), reader("anna", 1)];
        // Nobody who waits here panics: the readers go on until they are told.
        let wait_for = |is_so: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !is_so() && begun.elapsed() < Duration::from_secs(60) {
                sleep(Duration::from_millis(5));
            }
        };
        let counts = || [&of_ben, &of_anna].map(|good| good.load(Ordering::SeqCst));
        wait_for(&|| counts()[0] > 2 && counts()[1] > 0);
        through(&world, "lab", &servers[0]).ok(&["revoke", DATA, "ben"]);
        is_revoked.store(true, Ordering::SeqCst);
        // One of hers that began before may end after.
        let before = counts()[1];
        wait_for(&|| counts()[1] > before + 1);
        over.store(true, Ordering::SeqCst);
        assert!(counts()[0] > 2 && counts()[1] > before + 1, "{before}: {:?}", counts());
    });
    through(&world, "ben", &servers[1]).gets_nothing(4, DATA);
    assert_eq!(world.person("lab").ok(&["verify", "--data"])["sound"], true);
}

#[test]
fn two_stewards_and_ten_uploaders_at_once_through_two_servers_lose_nothing() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let world = story();
    let names: Vec<String> = (0..10).map(|n| format!("up{n}")).collect();
    for name in &names {
        let _ = world.new_person(name);
        enrol(&world, name, &[]);
        world.person("lab").ok(&["member", "role", name, "uploader", "--dataset", COHORT]);
    }
    let servers = two(&world);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for (number, name) in names.iter().enumerate() {
            let (world, servers) = (&world, &servers);
            scope.spawn(move || {
                for round in [0, 1] {
                    let folder = format!("{name}/{round}");
                    world.write(&format!("{folder}/first"), format!("{name} {round}").as_bytes());
                    world.write(&format!("{folder}/second"), &noise(100_000 + number * 1000, round as u64));
                    // A change of servers on the way.
                    let person = through(world, name, &servers[(number + round) % 2]);
                    put_until_taken(world, &person, &folder);
                }
            });
        }
        let steward = |name: &'static str, server: usize, acts: Vec<Vec<&'static str>>| {
            let person = through(&world, name, &servers[server]);
            scope.spawn(move || {
                for act in acts {
                    let done = person.run(&act);
                    // Another one may have been first.
                    assert!(matches!(done.code, Some(0 | 6)), "{}: {:?} {}", done.what, done.code, done.stderr);
                }
            })
        };
        steward(
            "lab",
            0,
            vec![
                vec!["rotate", COHORT],
                vec!["grant", COHORT, "eve"],
                vec!["rotate", COHORT],
                vec!["revoke", COHORT, "ben"],
            ],
        );
        steward(
            "deputy",
            1,
            vec![
                vec!["grant", COHORT, "seq"],
                vec!["rotate", COHORT],
                vec!["revoke", COHORT, "seq"],
                vec!["rotate", COHORT],
            ],
        );
    });
    eprintln!("all done after {:?}", begun.elapsed());
    let shown = shown(&world.person("lab"), COHORT);
    assert!(is_granted(&shown, "eve") && !is_granted(&shown, "ben") && !is_granted(&shown, "seq"), "{shown}");
    let got = through(&world, "eve", &servers[0]).gets(COHORT);
    for (number, name) in names.iter().enumerate() {
        for round in 0..2 {
            assert_eq!(got[&format!("{name}-{round}/first")], format!("{name} {round}").as_bytes());
            assert!(got[&format!("{name}-{round}/second")] == noise(100_000 + number * 1000, round));
        }
    }
    is_sound(&world);
    settle(&world, COHORT);
    is_sound(&world);
}

/// Puts a folder `NAME/ROUND` under the name `NAME-ROUND`; an upload that meets a revocation before its rotation is tried again.
fn put_until_taken(world: &World, person: &Person, folder: &str) {
    let flat = folder.replace('/', "-");
    fs::rename(world.path(folder), world.path(&flat)).unwrap();
    let begun = Instant::now();
    loop {
        let done = person.run(&["put", COHORT, &flat]);
        match done.code {
            Some(0) => return,
            Some(4) => assert!(done.stderr.contains("rotate"), "{}", done.stderr),
            other => panic!("{}: {other:?} {}", done.what, done.stderr),
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", done.stderr);
        sleep(Duration::from_millis(100));
    }
}

/// What it cost: bytes of packs that were sent more than once, packs that are stored, and what went through the servers.
#[derive(Debug)]
struct Cost {
    twice: u64,
    stored: usize,
    through_servers: u64,
}

/// Ledgers, links, lists and heads of requests.
const CONTROL: u64 = 2_000_000;

/// Two servers behind one name, and a store behind one name, each of which counts what is sent to it.
struct Passage {
    world: World,
    servers: [Server; 2],
    to_servers: Relay,
    to_store: Relay,
}

impl Passage {
    /// With a file of so many packs and a bit.
    fn new(packs: usize) -> Self {
        let world = bench();
        world.write("run/big", &noise(packs * PACK, 31));
        let to_store = Relay::to(world.gateway_port());
        let servers = [0, 1].map(|_| world.new_server_over(&to_store.url()));
        let to_servers = Relay::to(servers[0].port());
        Self { world, servers, to_servers, to_store }
    }

    fn seq(&self) -> Person {
        self.world.person("seq").through(&self.to_servers.url(), &[])
    }

    /// One server dies, and a while later the other one stands in its place.
    fn fail_over(&self, from: usize) {
        self.servers[from].kill();
        sleep(Duration::from_millis(300));
        let other = &self.servers[1 - from];
        if from == 1 {
            other.restart();
        }
        self.to_servers.turn_to(other.port());
    }

    /// What everything cost, when the file is committed.
    fn cost(&self, through_server: bool) -> Cost {
        let objects = self.world.objects();
        let packs: Vec<u64> = objects
            .iter()
            .filter(|(name, _)| name.starts_with("packs/") && !name.contains('.'))
            .map(|(_, n)| *n)
            .collect();
        let sent = if through_server { self.to_servers.up() } else { self.to_store.up() };
        let twice = sent.saturating_sub(packs.iter().sum());
        let cost = Cost { twice, stored: packs.len(), through_servers: self.to_servers.up() };
        eprintln!("through the server: {through_server}: {cost:?}");
        let anna = self.world.person("anna");
        assert!(anna.run(&["cat", DATA, "run/big"]).bytes() == fs::read(self.world.path("run/big")).unwrap());
        assert_eq!(self.world.person("lab").ok(&["verify", "--data"])["sound"], true);
        cost
    }
}

#[test]
fn a_put_whose_server_dies_goes_on_through_another_and_sends_nothing_twice_that_goes_straight() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let passage = Passage::new(8);
    // Its fifth pack waits until the server is dead, however quick the others are.
    let mut put = passage.seq().start_paused("any:6", &["put", DATA, "run"]);
    assert!(put.is_paused());
    wait_until(|| packs(&passage.world).len() >= 2);
    passage.fail_over(0);
    assert_eq!(put.finish().ok()["files"], 1);
    assert_eq!(journals(&passage.seq()), 0);
    let cost = passage.cost(false);
    // 8 packs of plaintext are 8 and a bit of ciphertext.
    assert!(cost.stored == 9 && cost.twice < CONTROL && cost.through_servers < CONTROL, "{cost:?}");
}

#[test]
fn each_death_of_a_server_that_packs_go_through_costs_at_most_one_pack() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    let passage = Passage::new(8);
    // Its eighth pack waits until both are dead.
    let mut put = passage.seq().start_paused("any:9", &["put", DATA, "run", "--via-server"]);
    for (from, stored) in [(0, 2), (1, 5)] {
        wait_until(|| packs(&passage.world).len() >= stored);
        passage.fail_over(from);
    }
    assert!(put.is_paused());
    assert_eq!(put.finish().ok()["files"], 1);
    assert_eq!(journals(&passage.seq()), 0);
    let cost = passage.cost(true);
    assert!(cost.stored == 9 && cost.twice <= 2 * PACK as u64 + CONTROL, "{cost:?}");
}

#[test]
fn a_put_that_was_killed_with_its_server_goes_on_in_a_later_run_through_another() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    // Straight to the store as many packs go side by side as a wide line needs, and what a client had sent half of them is lost with it.
    for (more, lost) in [(&["--via-server"][..], 1), (&[], AT_ONCE)] {
        let passage = Passage::new(6);
        let args = [&["put", DATA, "run"], more].concat();
        // Not its commit, which is the second thing that it appends.
        let put = passage.seq().start_paused("append:2", &args);
        wait_until(|| packs(&passage.world).len() >= 3);
        put.kill();
        passage.fail_over(0);
        let before = settled(&passage.world);
        passage.world.person("anna").through(&passage.servers[1].url(), &[]).gets_nothing(3, DATA);
        let done = passage.seq().ok(&args);
        assert!(packs(&passage.world).is_superset(&before));
        assert!(done["kept_bytes"].as_u64().is_some_and(|kept| kept >= 2 * PACK as u64), "{done}");
        let cost = passage.cost(lost == 1);
        assert!(cost.stored == 7 && cost.twice <= (lost * PACK) as u64 + CONTROL, "{cost:?}");
    }
}

#[test]
fn a_get_whose_server_dies_goes_on_through_another() {
    left_out!(|place| place != Place::Server, "it needs servers over one bucket");
    for more in [&[][..], &["--via-server"]] {
        let world = bench();
        world.write("run/big", &noise(6 * PACK, 33));
        world.person("seq").ok(&["put", DATA, "run"]);
        let [first, second] = two(&world);
        let relay = Relay::to(first.port());
        let anna = world.person("anna").through(&relay.url(), &[]);
        let args = [&["get", DATA, "--output", "out"], more].concat();
        let mut get = anna.start_paused(LATE_READ, &args);
        let part = world.path("out/run/.big.seqvault-part");
        wait_until(|| part.metadata().is_ok_and(|m| m.len() > 1_000_000));
        assert!(get.is_paused());
        first.kill();
        relay.turn_to(second.port());
        get.finish().ok();
        let got: BTreeMap<_, _> = files(&world.path("out/run"));
        assert!(got == files(&world.path("run")), "{:?}", got.keys());
    }
}
