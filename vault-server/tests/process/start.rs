//! A start that can't be: one line that says what is wrong and what to do, and no open port.

use std::fs;
use std::net::TcpListener;

use vault_core::ids::LedgerId;
use vault_core::ledger::statement::{Body, PackSet};

use crate::common::text;
use crate::server::{Place, arg};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_who_to_ask() {
    let place = Place::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, line) = place.refused(&["--listen", &address]);
    assert_eq!(code, 1);
    assert!(line.contains(&address) && line.contains("another program") && line.contains("ss -ltnp"), "{line}");
    let (_, line) = place.refused(&["--listen", "127.0.0.1:0", "--metrics", &address]);
    assert!(line.contains(&address) && line.contains("another program"), "{line}");
    let (_, line) = place.refused(&["--listen", "192.0.2.1:8420", "--behind-proxy"]);
    assert!(line.contains("192.0.2.1:8420") && line.contains("no such address"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_without_a_vault_is_refused() {
    let place = Place::new().await;
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0", "--config", "/no/such.toml"]);
    assert!(code == 2 && line.contains("/no/such.toml"), "{line}");
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0", "--links", "on"]);
    assert!(code == 2 && line.contains("--links on") && line.contains("only a bucket"), "{line}");
    fs::remove_dir_all(place.vault.path().join("ledger")).unwrap();
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0"]);
    assert!(code == 1 && line.contains("not finished"), "{line}");
    fs::remove_dir_all(place.vault.path()).unwrap();
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0"]);
    assert!(code == 3 && line.contains("no such folder") && line.contains(arg(place.vault.path())), "{line}");
    fs::create_dir(place.vault.path()).unwrap();
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0"]);
    assert!(code == 3 && line.contains("there is no vault here"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_packs_of_ones_own_are_checked_before_anything_is_served() {
    let mut place = Place::new().await;
    let (code, line) = place.refused(&["--listen", "127.0.0.1:0", "--packs", "/no/such/folder"]);
    assert!(code == 2 && line.contains("--packs: /no/such/folder: rule packs can't be read"), "{line}");
    let folder = place.file("packs");
    fs::create_dir(&folder).unwrap();
    let good = vault_policy::gate::pack::shipped_texts()[1].replace("name = \"example-institute\"", "name = \"house\"");
    fs::write(folder.join("house.toml"), &good).unwrap();
    fs::write(folder.join("notes.txt"), "no pack").unwrap();
    let packs = ["--listen", "127.0.0.1:0", "--packs", arg(&folder)];
    let (code, _, err) = place.run(&[&packs[..], &["--check"]].concat());
    assert_eq!(code, 0, "{err}");
    // One that is in force and not there is said at start; it stops grants, and not the server.
    let (name, hash) = (text("house"), vault_policy::Pack::parse(&good).unwrap().hash());
    place.world.say(&LedgerId::Vault, Body::PackSet(PackSet { hash, name, on: true })).await;
    let missing = format!("rule pack house with hash {hash} is in force and not at hand");
    let without = place.serve(&[]);
    without.wait_for_log(&missing);
    let with = place.serve(&["--packs", arg(&folder)]);
    assert!(!with.log().contains("not at hand"), "{}", with.log());
    // One that does not validate, with its line and reason.
    let line_of = good.lines().position(|line| line.contains("outcome = \"deny\"")).unwrap() + 1;
    fs::write(folder.join("other.toml"), good.replace("outcome = \"deny\"", "outcome = \"forbid\"")).unwrap();
    let (code, line) = place.refused(&packs);
    assert_eq!(code, 2);
    assert!(
        line.contains("other.toml: not a valid rule pack: ") && line.contains(&format!("line {line_of}")),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_a_variables_name_ends_the_start() {
    let place = Place::new().await;
    let (code, _, err) = place.run_with(&[("SEQVAULT_SERVER_MAX_RATES", "6")], &["--listen", "127.0.0.1:0", "--check"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("SEQVAULT_SERVER_MAX_RATES: there is no such setting"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_checks_and_print_config_prints_and_neither_serves() {
    let place = Place::new().await;
    let (code, out, err) = place.run(&["--listen", "127.0.0.1:0", "--check"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("in order"), "{out}");
    let config = place.write("server.toml", "max-rate = 5\nlog = \"json\"\n");
    let vars = [("SEQVAULT_SERVER_MAX_RATE", "6"), ("SEQVAULT_SERVER_MAX_LINKS", "7")];
    let (code, out, _) = place.run_with(&vars, &["--config", &config, "--max-links", "8", "--print-config"]);
    assert_eq!(code, 0);
    for line in ["max-rate = 6", "max-links = 8", "log = \"json\"", "listen = [\"127.0.0.1:8420\"]"] {
        assert!(out.lines().any(|found| found == line), "no {line} in {out}");
    }
    // What was printed starts the same server.
    let again = place.write("printed.toml", &out);
    let (_, out_again, _) = place.run(&["--config", &again, "--print-config"]);
    assert_eq!(out, out_again);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_settings_are_understood_and_say_what_holds_by_itself() {
    let place = Place::new().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/server.toml");
    let (code, out, err) = place.run(&["--config", example, "--print-config"]);
    assert_eq!(code, 0, "{err}");
    let (_, usual, _) = place.run(&["--print-config"]);
    for line in
        usual.lines().filter(|line| line.starts_with("max-") || line.ends_with("timeout") || line.starts_with("grace"))
    {
        assert!(out.lines().any(|found| found == line), "the example has another value than {line}");
    }
}
