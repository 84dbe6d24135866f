//! First inputs: made of the test vectors, and of what each writer writes. Nothing is stored; they are made when they are asked for.

use serde_json::{Value, json};

use crate::choices::pieces;
use crate::formats::card_payload;
use crate::kit;
use crate::mutate::Random;

/// Longest seed: a fuzzer gains nothing from a body of megabytes.
const MAX: usize = 1 << 17;

/// A member of every vector of a class, as bytes; `null` is none.
fn of(class: &str, member: &str) -> Vec<Vec<u8>> {
    let all = kit::vectors(class);
    let values = all.iter().filter_map(|vector| vector.input.get(member)).filter(|value| value.is_string());
    values.map(kit::bytes).filter(|bytes| bytes.len() <= MAX).collect()
}

/// The payload of an envelope, whatever it holds.
fn payload(stored: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(stored).ok()?;
    vault_core::json::from_b64(value.get("payload")?.as_str()?)
}

fn with_payloads(mut all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let payloads: Vec<_> = all.iter().filter_map(|stored| payload(stored)).collect();
    all.extend(payloads);
    all
}

pub fn cards() -> Vec<Vec<u8>> {
    let mut all = with_payloads(of("cards", "card"));
    all.push(card_payload());
    all
}

pub fn envelopes() -> Vec<Vec<u8>> {
    of("envelopes", "stored")
}

pub fn json() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = of("statements", "stored").iter().filter_map(|stored| payload(stored)).collect();
    all.extend(
        [&br#"{"a":[1,-2,true,null,"\n\u0001\"\\/"],"b":{"c":"x"}}"#[..], b"AAE=", b"[[[[]]]]"].map(<[u8]>::to_vec),
    );
    all
}

pub fn statements() -> Vec<Vec<u8>> {
    with_payloads(of("statements", "stored"))
}

pub fn names() -> Vec<Vec<u8>> {
    let (a, b) = ("ab".repeat(32), "cd".repeat(16));
    let all = [
        "seqvault-format".to_owned(),
        "ledger/vault/0000000007".to_owned(),
        "ledger/dataset/d1/bundle-16-0000000000".to_owned(),
        format!("ledger/exposure/{a}/bundle-256-0000000001"),
        format!("seen/{a}"),
        format!("epochs/d1/0000000001/grants/rita/{a}-{a}"),
        format!("epochs/d1/0000000001/headers/{b}-{a}"),
        format!("epochs/d1/0000000002/table-{a}"),
        format!("epochs/_subject/0000000001/rita/{a}-{a}"),
        format!("manifests/d1/{b}"),
        format!("packs/d1/{b}/{b}"),
        format!("packs/d1/{b}/{b}.list"),
        format!("packs/d1/{b}/{b}.groups"),
        "index/rita/d1".to_owned(),
        "dataset/d1".to_owned(),
        format!("exposure/{a}"),
        a,
        b,
        "cohort-7".to_owned(),
    ];
    all.map(String::into_bytes).to_vec()
}

pub fn paths() -> Vec<Vec<u8>> {
    let all = [
        "a\na/b",
        "run/a.fq\nrun/b.fq",
        "A\na",
        "e\u{301}\n\u{e9}",
        "con\nnul.txt",
        "..\n.\n/a\na//b",
        "a\u{200b}b\nab",
        "x ",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub fn manifests() -> Vec<Vec<u8>> {
    of("manifests", "plain")
}

pub fn packs() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for vector in kit::vectors("groups") {
        let part = |member: &str| vector.input.get(member).filter(|value| value.is_string()).map(kit::bytes);
        let (Some(list), Some(groups)) = (part("list"), part("groups")) else { continue };
        let rest = part("part").unwrap_or_default();
        all.push([pieces(&[&list, &groups]), rest[..rest.len().min(4096)].to_vec()].concat());
    }
    all.extend(of("pack-lists", "list").iter().map(|list| pieces(&[list])));
    all
}

pub fn pins() -> Vec<Vec<u8>> {
    let mut all: Vec<_> =
        kit::vectors("pins").iter().map(|vector| vector.input["pin"].to_string().into_bytes()).collect();
    let hash = "11".repeat(32);
    let pin = json!({"hash": hash, "seq": 3, "vault_seq": 2});
    all.push(json!({"locations": ["/v"], "pins": {"vault": pin}}).to_string().into_bytes());
    all.push(json!({"ledgers": [{"hash": hash, "ledger": "vault", "seq": 4}]}).to_string().into_bytes());
    all.push(vec![3, 1, 5, 1, 2, 0, 1, 2, 0]);
    all
}

pub fn seals() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for suite in [0u8, 1] {
        for (class, member) in [("seals", "seal"), ("epochs", "seal"), ("epochs", "public"), ("headers", "header")] {
            all.extend(of(class, member).into_iter().map(|bytes| [vec![suite, 1], bytes].concat()));
        }
    }
    all
}

pub fn tables() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = of("tables", "table").into_iter().map(|table| [vec![3], table].concat()).collect();
    let record = |id: u8| [[id; 16].as_slice(), &[id ^ 0x55; 32]].concat();
    all.push([vec![2], record(1), record(2)].concat());
    all.push([vec![2], record(2), record(1)].concat());
    all
}

pub fn kept() -> Vec<Vec<u8>> {
    let mut random = Random::new(13);
    let mut change = || (0..12).map(|_| random.next() as u8).collect::<Vec<u8>>();
    let plains = [&b""[..], b"x", br#"{"marks":[]}"#, &[7; 2000]];
    let mut all: Vec<_> =
        plains.iter().flat_map(|plain| [0, 3].map(|n| [vec![n], pieces(&[plain]), change()].concat())).collect();
    // A generation, a length, and no body of it.
    all.push([vec![3, 0, 0], 3u64.to_be_bytes().to_vec(), (1u64 << 60).to_be_bytes().to_vec()].concat());
    all
}

pub fn bodies() -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let of_vectors =
        of("bodies", "body").into_iter().map(|body| [vec![1; 28], body[..body.len().min(500)].to_vec()].concat());
    let changes = (0..40u8).map(|i| {
        let numbers: Vec<u8> = (0..27).map(|_| random.next() as u8).collect();
        let tail: Vec<u8> = (0..12).map(|_| random.next() as u8).collect();
        [vec![i], numbers, tail].concat()
    });
    of_vectors.chain(changes).collect()
}

pub fn identities() -> Vec<Vec<u8>> {
    of("identities", "file")
}

pub fn sealed_files() -> Vec<Vec<u8>> {
    of("sealed-files", "file").into_iter().map(|file| file[..file.len().min(8000)].to_vec()).collect()
}

pub fn invitations() -> Vec<Vec<u8>> {
    let all = kit::vectors("invitations");
    all.iter().filter_map(|vector| Some(vector.input.get("invitation")?.as_str()?.as_bytes().to_vec())).collect()
}

pub fn locations() -> Vec<Vec<u8>> {
    let all = [
        "s3://bucket/some/folder",
        "s3://b/v?endpoint=http://127.0.0.1:8333&endpoint=http://[::1]:8334&region=eu-1&epochs=b2/v&path-style=false&allow-http=true",
        "s3://b/v/?endpoint=https://H.example:443/",
        "run/a.fq\n*.fq\nrun/**/[a-z]?.fq\nrun/",
        "a\n{a,b}\n\\*\n[!x]",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub fn requests() -> Vec<Vec<u8>> {
    use vault_core::ids::CardId;
    use vault_server::wire::signature::{Covered, Stamp, sign};
    let key = vault_core::hazmat::sign::SigningKey::from_seed(&vault_core::secret::Secret32::take(&mut [3; 32]));
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let get = Covered {
        method: "GET",
        authority: "vault.example",
        path: "/v1/ledgers",
        query: None,
        vault: "00ff",
        digest: None,
    };
    let put =
        Covered { method: "PUT", path: "/v1/ledgers/vault/entries/7", query: Some("a=b"), digest: Some(digest), ..get };
    let mut all = Vec::new();
    for covered in [get, put] {
        for nonce in [7, 8] {
            let stamp = Stamp { created: 1_790_000_000, nonce: [nonce; 16], card: CardId([9; 32]) };
            let headers = sign(&covered, &stamp, |base| Ok::<_, ()>(key.sign(base))).expect("it can be signed");
            let parts =
                [covered.method, covered.authority, covered.path, covered.query.unwrap_or_default(), covered.vault];
            let mut texts: Vec<&[u8]> = parts.iter().map(|text| text.as_bytes()).collect();
            texts.extend([
                covered.digest.unwrap_or_default().as_bytes(),
                headers.input.as_bytes(),
                headers.signature.as_bytes(),
            ]);
            all.push(pieces(&texts));
        }
    }
    all
}

pub fn answers() -> Vec<Vec<u8>> {
    let problem = vault_server::wire::problem::Problem::new(vault_server::wire::problem::Type::NotNext, "a gap");
    let hash = "11".repeat(32);
    let json = [
        serde_json::to_value(problem).expect("a problem is JSON"),
        json!({"vault": hash, "api": [1], "server": "seqvault", "time": 1, "links": true}),
        json!({"ledgers": ["vault", "dataset/d1"]}),
        json!({"next": 3, "milliseconds": 2000}),
        json!({"links": [{"name": "n", "method": "GET", "url": "https://h/x", "headers": {"a": "b"}, "expires": 9}]}),
        json!({"get": ["n"], "put": [{"name": "n", "length": 3}]}),
        json!({"findings": ["f"], "repaired": [], "damaged": false}),
        json!({"objects": 3, "kept": false}),
    ];
    let mut all: Vec<Vec<u8>> = json.iter().map(|value| value.to_string().into_bytes()).collect();
    all.extend([&b"\0\0\0\x02{}\0\0\0\0"[..], b"\0\0\0\x01x", b"\0\0\0\x05abc"].map(<[u8]>::to_vec));
    all
}

pub fn settings() -> Vec<Vec<u8>> {
    let all = [
        "vault = \"/v\"\nlisten = [\"127.0.0.1:8420\", \"[::1]:0\"]\nname = [\"vault.example:8443\"]\nlinks = \"auto\"\n",
        "vault = \"s3://b/v\"\nlisten = [\"0.0.0.0:443\"]\ntls-cert = \"c\"\ntls-key = \"k\"\nmax-body = 2000000\ngrace = 3\nlog = \"json\"\nlog-level = \"trace\"\nmetrics = \"127.0.0.1:9\"\n",
        "vault = \"/v\"\nbehind-proxy = true\nmax-rate = 1\nmax-links = 1\nmax-uploads = 1\nheader-timeout = 1\nbody-timeout = 1\n",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub fn said() -> Vec<Vec<u8>> {
    let mut random = Random::new(5);
    (0..120).map(|i| (0..40 + 3 * i).map(|_| random.next() as u8).collect()).collect()
}

pub fn edited() -> Vec<Vec<u8>> {
    let mut random = Random::new(6);
    let tail = |random: &mut Random, n: usize| (0..n).map(|_| random.next() as u8).collect::<Vec<_>>();
    let mut all = Vec::new();
    for case in 0..crate::fold::cases() {
        let head = (case as u16).to_be_bytes().to_vec();
        all.push(head.clone());
        all.push([head, tail(&mut random, 4 + case % 40)].concat());
    }
    all
}
