//! kill -9 of clients, servers and the store itself, of which the place has, whenever it hits, while people put, get, grant, revoke and rotate: what was
//! acknowledged is there, what was not is there whole or not at all, and the same commands, run again, finish everything.
//!
//! `SEQVAULT_TEST_ROUNDS` says how many rounds (one, unless it says more), `SEQVAULT_TEST_SEED` which; the seed is printed. What is left to chance is
//! how fast everything runs, so a seed makes a run alike and not the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vault_tests::place::place;
use vault_tests::seaweed::SeaweedFs;
use vault_tests::server::Server;
use vault_tests::world::{Person, World, objects, strings};

use crate::transfer::noise;

const DATA: &str = "data";
const UPLOADERS: usize = 4;
/// How long a round's load runs.
const LOAD: Duration = Duration::from_secs(5);
/// A command that was disturbed is run again for so long: longer than everything is away, much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Small numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }

    fn wait(&mut self, milliseconds: u64) {
        sleep(Duration::from_millis(self.below(milliseconds)));
    }
}

/// A vault in a folder or in a store of its own, reached by itself or through two servers, as the place is.
struct Site {
    world: World,
    store: Option<SeaweedFs>,
    servers: Vec<Server>,
    location: String,
    environment: Vec<(OsString, OsString)>,
}

impl Site {
    fn new() -> Self {
        let world = World::new();
        let store = place().is_bucket().then(SeaweedFs::start);
        let mut environment: Vec<(OsString, OsString)> = Vec::new();
        let location = match &store {
            Some(store) => {
                environment.extend(store.environment().into_iter().map(|(name, value)| (name.into(), value.into())));
                environment.push(("SEQVAULT_TEST_AGED".into(), world.path("vault.aged").into()));
                store.location(&store.new_bucket())
            }
            None => world.path("site").display().to_string(),
        };
        let direct = |name: &str| world.person(name).through(&location, &environment);
        for name in ["lab", "deputy", "anna", "eve"] {
            let _ = world.new_person(name);
        }
        direct("lab").ok(&["init", &location, "--member", "lab"]);
        let count = if place().is_served() { 2 } else { 0 };
        let servers = (0..count).map(|_| Server::start(&location, &[], &environment)).collect();
        let site = Self { world, store, servers, location, environment };
        let lab = site.person("lab", 0);
        lab.ok(&["dataset", "create", DATA]);
        for name in ["deputy", "anna", "eve"] {
            site.enrol(name);
        }
        lab.ok(&["member", "role", "deputy", "steward", "--dataset", DATA]);
        lab.ok(&["grant", DATA, "deputy"]);
        lab.ok(&["grant", DATA, "anna"]);
        for uploader in 0..UPLOADERS {
            let name = format!("up{uploader}");
            let _ = site.world.new_person(&name);
            site.enrol(&name);
            lab.ok(&["member", "role", &name, "uploader", "--dataset", DATA]);
        }
        site
    }

    fn enrol(&self, name: &str) {
        let card = format!("{name}.card");
        let added = self.person("lab", 0).ok(&["member", "add", name, "--card", &card]);
        let at = self.servers.first().map_or_else(|| self.location.clone(), Server::url);
        self.person(name, 0).ok(&["join", added["invitation"].as_str().unwrap(), "--at", &at]);
    }

    /// Through one of the servers, or at the store where there is none.
    fn person(&self, name: &str, server: usize) -> Person {
        match self.servers.get(server % 2) {
            Some(server) => self.world.person(name).through(&server.url(), &[]),
            None => self.direct(name),
        }
    }

    /// With the store's credentials, past any server.
    fn direct(&self, name: &str) -> Person {
        self.world.person(name).through(&self.location, &self.environment)
    }

    /// As [`World::grow_old`], whose vault is not this one.
    fn grow_old(&self) {
        if self.store.is_some() {
            return self.world.grow_old();
        }
        let then = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
        for name in objects(self.location.as_ref()).keys() {
            let file = fs::File::options().write(true).open(self.world.path("site").join(name)).unwrap();
            file.set_modified(then).unwrap();
        }
    }

    /// Something dies, and comes back a little later. A folder has nothing that could but its clients.
    fn strike(&self, dice: &mut Dice) {
        let (servers, gateways) = (self.servers.len(), if self.store.is_some() { 2 } else { 0 });
        let all = servers + gateways + self.store.iter().count();
        let struck = usize::try_from(dice.below(all.max(1) as u64)).unwrap();
        if let Some(server) = self.servers.get(struck) {
            eprintln!("  server {struck} is killed");
            server.kill();
            dice.wait(600);
            server.restart();
            return;
        }
        let Some(store) = &self.store else { return };
        if struck < servers + gateways {
            let gateway = struck - servers;
            eprintln!("  gateway {gateway} is killed");
            store.kill_gateway(gateway);
            dice.wait(600);
            store.restart_gateway(gateway);
        } else {
            eprintln!("  the store is killed");
            store.kill();
            dice.wait(400);
            store.restart();
        }
    }
}

/// What an upload holds: a few files, now and then a long one.
fn upload_of(uploader: usize, number: usize) -> BTreeMap<String, Vec<u8>> {
    let name = |file: &str| format!("up{uploader}-{number}/{file}");
    let seed = (uploader * 1000 + number) as u64;
    let long = if number % 3 == 2 { 3_000_000 } else { 3_000 };
    [(name("first"), format!("{uploader} {number}").into_bytes()), (name("second"), noise(long, seed))].into()
}

/// Runs a command until it succeeds; what may happen to it on the way is that the store or a server is away, or a rotation is needed first.
fn insist(site: &Site, who: &str, dice: &mut Dice, args: &[&str]) {
    let begun = Instant::now();
    loop {
        let done = site.person(who, usize::try_from(dice.below(2)).unwrap()).run(args);
        match done.code {
            Some(0) => return,
            Some(8 | 6) => {}
            Some(4) if done.stderr.contains("rotate") => {}
            code => panic!("{}: {code:?} {}", done.what, done.stderr),
        }
        assert!(begun.elapsed() < PATIENCE, "{}: {}", done.what, done.stderr);
        dice.wait(300);
    }
}

/// Whether an upload was killed at its very end: committed, and its journal gone. Run again it would be another upload of the same files.
fn is_committed(site: &Site, who: &str, folder: &str, dice: &mut Dice) -> bool {
    if crate::transfer::journals(&site.world.person(who)) > 0 {
        return false;
    }
    let begun = Instant::now();
    loop {
        let done = site.person("anna", usize::try_from(dice.below(2)).unwrap()).run(&["ls", DATA, "--json"]);
        match done.code {
            Some(0) => {
                return done.stdout.windows(folder.len() + 1).any(|part| part == format!("{folder}/").as_bytes());
            }
            Some(3) => return false,
            Some(8) => assert!(begun.elapsed() < PATIENCE, "{}: {}", done.what, done.stderr),
            code => panic!("{}: {code:?} {}", done.what, done.stderr),
        }
        dice.wait(300);
    }
}

/// Puts one upload after the other, now and then killed and run again, until told to stop. Returns how many there are, all acknowledged.
fn uploads(site: &Site, uploader: usize, from: usize, stop: &AtomicBool, kills: &AtomicUsize, mut dice: Dice) -> usize {
    let name = format!("up{uploader}");
    for number in from.. {
        if stop.load(Ordering::SeqCst) {
            return number;
        }
        for (path, bytes) in upload_of(uploader, number) {
            site.world.write(&path, &bytes);
        }
        let folder = format!("up{uploader}-{number}");
        let args = ["put", DATA, &folder];
        let mut is_done = false;
        if dice.below(3) == 0 {
            let put = site.person(&name, number).start(&args);
            dice.wait(900);
            let was_killed = put.kill();
            kills.fetch_add(usize::from(was_killed), Ordering::SeqCst);
            is_done = !was_killed || is_committed(site, &name, &folder, &mut dice);
        }
        if !is_done {
            insist(site, &name, &mut dice, &args);
        }
        fs::remove_dir_all(site.world.path(&folder)).unwrap();
    }
    unreachable!("numbers do not end")
}

/// What somebody gets of the dataset while everything happens, if they get it: of each upload all or nothing, byte for byte.
fn look(site: &Site, round: usize, number: usize) -> bool {
    let out = format!("out-{round}-{number}");
    let done = site.person("anna", number).run(&["get", DATA, "--output", &out]);
    let path = site.world.path(&out);
    if done.code == Some(0) {
        let got = crate::transfer::files(&path);
        let mut seen: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (name, bytes) in &got {
            let (uploader, number) =
                name.strip_prefix("up").unwrap().split('/').next().unwrap().split_once('-').unwrap();
            let key = (uploader.parse().unwrap(), number.parse().unwrap());
            assert!(upload_of(key.0, key.1).get(name) == Some(bytes), "{name} is something else");
            *seen.entry(key).or_default() += 1;
        }
        assert!(seen.values().all(|files| *files == 2), "an upload is half visible: {seen:?}");
    } else {
        // Nothing yet, or something is away.
        assert!(matches!(done.code, Some(3 | 8)), "{}: {:?} {}", done.what, done.code, done.stderr);
    }
    let _ = fs::remove_dir_all(path);
    done.code == Some(0)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_half_visible_whatever_is_killed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = usize::try_from(number("SEQVAULT_TEST_ROUNDS").unwrap_or(1)).unwrap();
    let seed = number("SEQVAULT_TEST_SEED").unwrap_or_else(crate::ask::now);
    eprintln!("SEQVAULT_TEST_ON={} SEQVAULT_TEST_SEED={seed} SEQVAULT_TEST_ROUNDS={rounds}", place().name());
    let site = Site::new();
    let done = Mutex::new([0; UPLOADERS]);
    for round in 0..rounds {
        let begun = Instant::now();
        let (stop, kills, looks) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let dice = |of: u64| Dice((seed ^ (round as u64) << 8 ^ of << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        std::thread::scope(|scope| {
            for uploader in 0..UPLOADERS {
                let (site, stop, kills, done) = (&site, &stop, &kills, &done);
                scope.spawn(move || {
                    let from = done.lock().unwrap_or_else(PoisonError::into_inner)[uploader];
                    let now = uploads(site, uploader, from, stop, kills, dice(uploader as u64));
                    done.lock().unwrap_or_else(PoisonError::into_inner)[uploader] = now;
                });
            }
            let (site, stop, kills, looks) = (&site, &stop, &kills, &looks);
            scope.spawn(move || {
                let mut dice = dice(100);
                while !stop.load(Ordering::SeqCst) {
                    let act: &[&str] = match dice.below(4) {
                        0 => &["rotate", DATA],
                        1 => &["revoke", DATA, "eve"],
                        2 => &["grant", DATA, "eve"],
                        _ => &["grant", DATA, "deputy"],
                    };
                    if dice.below(3) == 0 {
                        let running = site.person("lab", 0).start(act);
                        dice.wait(700);
                        running.kill();
                        kills.fetch_add(1, Ordering::SeqCst);
                        insist(site, "lab", &mut dice, &["rotate", DATA]);
                    } else {
                        act_or_wait(site, &mut dice, act);
                    }
                }
                insist(site, "lab", &mut dice, &["rotate", DATA]);
            });
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    looks.fetch_add(usize::from(look(site, round, number)), Ordering::SeqCst);
                }
            });
            let mut dice = dice(200);
            while begun.elapsed() < LOAD {
                dice.wait(1500);
                site.strike(&mut dice);
            }
            stop.store(true, Ordering::SeqCst);
        });
        let done = *done.lock().unwrap();
        eprintln!(
            "round {round}: {done:?} uploads, {} commands killed, {} looks, after {:?}",
            kills.load(Ordering::SeqCst),
            looks.load(Ordering::SeqCst),
            begun.elapsed()
        );
        assert!(done.iter().sum::<usize>() > 0, "nothing was put");
        check(&site, &done);
    }
}

/// An act that may not apply now: who is revoked has no grant.
fn act_or_wait(site: &Site, dice: &mut Dice, act: &[&str]) {
    let done = site.person("lab", usize::try_from(dice.below(2)).unwrap()).run(act);
    let is_expected = match done.code {
        Some(0 | 6 | 8) => true,
        Some(3 | 4) => act[0] == "revoke",
        _ => false,
    };
    assert!(is_expected, "{}: {:?} {}", done.what, done.code, done.stderr);
}

/// Everything that was acknowledged is there byte for byte, and nothing else; whoever looks finds the vault sound, through the servers and past them.
fn check(site: &Site, done: &[usize; UPLOADERS]) {
    let expected: BTreeMap<String, Vec<u8>> = done
        .iter()
        .enumerate()
        .flat_map(|(uploader, count)| (0..*count).flat_map(move |number| upload_of(uploader, number)))
        .collect();
    for person in [site.person("anna", 0), site.person("anna", 1), site.direct("lab")] {
        let got = person.gets(DATA);
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &expected {
            assert!(got[name] == *bytes, "{name}");
        }
    }
    site.grow_old();
    for lab in [site.person("lab", 0), site.direct("lab")] {
        assert_eq!(lab.ok(&["verify", "--data"])["sound"], true);
        lab.ok(&["doctor", "--repair"]);
        let report = lab.ok(&["doctor"]);
        // An upload that was begun and not gone on with waits for its end date.
        let amiss: Vec<_> =
            strings(&report["findings"]).into_iter().filter(|finding| !finding.contains("is not finished")).collect();
        assert!(amiss.is_empty(), "{amiss:?}");
    }
}
