//! Ledgers over requests. Spec sections 7.1 and 7.5.

use std::time::Instant;

use vault_core::ids::{LedgerId, UploadId};
use vault_core::ledger::statement::{Body, UploadOpened, UploaderSet};
use vault_server::wire::problem::Type;
use vault_server::wire::{Hello, Ledgers, Turn, entries};

use crate::client::Served;
use crate::common::dataset_ledger;

#[tokio::test]
async fn the_vault_says_hello_to_anybody() {
    let served = Served::new().await;
    let request = http::Request::get("/v1/vault").body(axum::body::Body::empty()).unwrap();
    let hello: Hello = served.send(request).await.ok(200).json();
    assert_eq!(hello.vault, served.world.id().to_string());
    assert_eq!(hello.api, [1]);
    assert!(hello.time.abs_diff(crate::client::now()) < 5);
    assert!(!hello.links, "a folder gives none");
    assert_eq!(hello.upload_objects, Some(131_072), "as many as a commit is judged by");
    let older = r#"{"vault":"v","api":[1],"server":"s","time":1,"links":false}"#;
    assert_eq!(serde_json::from_str::<Hello>(older).unwrap().upload_objects, None);
}

#[tokio::test]
async fn names_and_entries_are_as_the_store_has_them() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let names: Ledgers = served.get(&served.world.recipient, "/v1/ledgers").await.ok(200).json();
    assert_eq!(names.ledgers, ["vault", "dataset/cohort-7"]);
    for ledger in [LedgerId::Vault, dataset_ledger()] {
        let stored = served.world.vault.entries(&ledger, 0).await.unwrap();
        for from in 0..=stored.len() {
            for single in ["", "&single=true"] {
                let target = format!("/v1/ledgers/{ledger}/entries?from={from}{single}");
                let answer = served.get(&served.world.recipient, target).await.ok(200);
                assert_eq!(answer.headers["content-type"], "application/vnd.seqvault.entries");
                assert!(!answer.headers.contains_key("seqvault-more"));
                assert_eq!(entries::parse(answer.body).unwrap(), stored[from..]);
            }
        }
    }
    let none = served.get(&served.world.recipient, "/v1/ledgers/dataset/other/entries").await.ok(200);
    assert!(none.body.is_empty());
}

#[tokio::test]
async fn numbers_and_queries_have_one_spelling() {
    let served = Served::new().await;
    for query in ["from=01", "from=-1", "from=1e3", "from=10000000000", "from=", "from=1&from=2", "single=yes", "to=4"]
    {
        served.get(&served.world.officer, format!("/v1/ledgers/vault/entries?{query}")).await.is(Type::Malformed);
    }
    served.get(&served.world.officer, "/v1/ledgers/dataset/UP/entries").await.is(Type::Malformed);
    served.get(&served.world.officer, "/v1/ledgers/other/x/entries").await.is(Type::Malformed);
}

#[tokio::test]
async fn an_append_takes_its_number_once() {
    let mut served = Served::new().await;
    let talk = served.world.small_talk();
    let entry = served.world.sign(&served.world.officer, &LedgerId::Vault, talk);
    let seq = served.world.next_seq(&LedgerId::Vault);
    let at = |seq: u64| format!("/v1/ledgers/vault/entries/{seq}");
    let problem = served.put(&served.world.officer, at(seq + 1), entry.clone()).await.is(Type::NotNext);
    assert_eq!(problem.next, Some(seq));
    served.put(&served.world.officer, at(seq), entry.clone()).await.ok(201);
    served.put(&served.world.officer, at(seq), entry.clone()).await.ok(201);
    let talk = served.world.small_talk();
    let other = served.world.sign(&served.world.officer, &LedgerId::Vault, talk.clone());
    served.put(&served.world.officer, at(seq), other.clone()).await.is(Type::Taken);
    let problem = served.put(&served.world.officer, at(seq + 1), other).await.is(Type::Void);
    assert!(problem.reason.is_some());
    served.world.follow(&LedgerId::Vault, &entry);
    let by_recipient = served.world.sign(&served.world.recipient, &LedgerId::Vault, talk);
    assert_eq!(
        served.put(&served.world.recipient, at(seq + 1), by_recipient).await.is(Type::Void).reason.unwrap(),
        "not an officer"
    );
}

#[tokio::test]
async fn an_entry_that_is_too_long_is_refused_by_its_length() {
    let served = Served::new().await;
    let mut request = crate::client::Asked::new(&served.world, "PUT", "/v1/ledgers/vault/entries/9")
        .with("{}")
        .by(&served.world.officer);
    request.headers_mut().insert("content-length", "16777217".parse().unwrap());
    let problem = served.send(request).await.is(Type::TooLarge);
    assert_eq!(problem.max, Some(16 << 20));
}

#[tokio::test]
async fn a_turn_keeps_others_waiting_and_its_holder_not() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let ledger = dataset_ledger();
    let (turn, at) = (format!("/v1/ledgers/{ledger}/turn"), format!("/v1/ledgers/{ledger}/entries"));
    let began = Instant::now();
    let given: Turn = served.post(&served.world.officer, &turn, "").await.ok(200).json();
    assert_eq!((given.next, given.milliseconds), (served.world.next_seq(&ledger), 2000));
    let opened = Body::UploadOpened(UploadOpened { ends: 1 << 40, upload: UploadId([1; 16]) });
    let entry = served.world.sign(&served.world.uploader, &ledger, opened);
    served.put(&served.world.uploader, format!("{at}/{}", given.next), entry.clone()).await.ok(201);
    assert!(began.elapsed().as_millis() >= 1900, "{:?}", began.elapsed());
    served.world.follow(&ledger, &entry);
    // Whoever waits for the own turn's end is never quick. Who has a busy machine is, one of these times.
    let mut took = Vec::new();
    while took.iter().all(|took| *took >= 1000) {
        assert!(took.len() < 5, "{took:?}");
        let given: Turn = served.post(&served.world.officer, &turn, "").await.ok(200).json();
        let began = Instant::now();
        // What would not count is refused at once: it takes nobody's number.
        served.put(&served.world.recipient, format!("{at}/{}", given.next), "{}").await.is(Type::Void);
        let on = took.len() % 2 == 0;
        let body = Body::UploaderSet(UploaderSet { member: served.world.recipient.member.clone(), on });
        let entry = served.world.sign(&served.world.officer, &ledger, body);
        served.put(&served.world.officer, format!("{at}/{}", given.next), entry.clone()).await.ok(201);
        took.push(began.elapsed().as_millis());
        served.world.follow(&ledger, &entry);
    }
}
