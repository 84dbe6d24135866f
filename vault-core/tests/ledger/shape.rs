//! The void rule: what is malformed, misplaced or not its author's keeps its place and changes nothing. Spec sections 1.1, 4.1, 4.2, 4.4.

use serde_json::{Value, json};
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::ids::LedgerId;
use vault_core::json::{emit_value, to_b64};
use vault_core::ledger::statement::*;

use super::world::*;

fn dataset() -> LedgerId {
    LedgerId::Dataset(dataset_id())
}

/// The payload of what uma may say next, to be bent.
fn payload(w: &mut World) -> Value {
    let (_, body) = w.upload_opened();
    serde_json::from_slice(&w.dataset_draft("uma", body).payload().unwrap()).unwrap()
}

/// What becomes of a payload after `bend`, signed by uma.
fn bent(bend: impl FnOnce(&mut Value)) -> Became {
    let mut w = World::with_dataset();
    let mut value = payload(&mut w);
    bend(&mut value);
    let stored = w.sign_value("uma", &value);
    w.would(&dataset(), stored)
}

/// What becomes of payload bytes, signed by uma.
fn bent_text(bend: impl FnOnce(String) -> String) -> Became {
    let mut w = World::with_dataset();
    let text = String::from_utf8(emit_value(&payload(&mut w)).unwrap()).unwrap();
    let stored = sign_payload(w.who("uma"), bend(text).into_bytes());
    w.would(&dataset(), stored)
}

/// What becomes of stored bytes after `bend`.
fn bent_envelope(bend: impl FnOnce(String) -> String) -> Became {
    let mut w = World::with_dataset();
    let value = payload(&mut w);
    let stored = String::from_utf8(w.sign_value("uma", &value)).unwrap();
    w.would(&dataset(), bend(stored).into_bytes())
}

#[test]
fn what_is_not_bent_is_applied() {
    assert_eq!(bent(|_| {}), Applied);
    assert_eq!(bent_text(|t| t), Applied);
    assert_eq!(bent_envelope(|t| t), Applied);
}

#[test]
fn rubbish_keeps_its_place_and_changes_nothing() {
    let mut w = World::with_dataset();
    let before = format!("{:?}", (w.data().grants(), w.data().epochs(), w.data().uploads(), w.data().cited()));
    for rubbish in [&b""[..], b"{}", b"null", b"[]", b"\xff\xfe", &[0; 4096], b"{\"payload\":\"\"}"] {
        let prev = w.data().head().unwrap();
        assert_eq!(w.put(&dataset(), rubbish.to_vec()), Void("malformed envelope"));
        let head = w.data().head().unwrap();
        assert_eq!(head.seq, prev.seq + 1);
        assert_ne!(head.hash, prev.hash);
    }
    let after = format!("{:?}", (w.data().grants(), w.data().epochs(), w.data().uploads(), w.data().cited()));
    assert_eq!(before, after);
    w.uploads("uma");
}

#[test]
fn an_entry_of_more_than_16_mib_is_malformed() {
    let w = World::with_dataset();
    assert_eq!(w.would(&dataset(), vec![b' '; MAX_ENTRY + 1]), Void("malformed: too long"));
}

#[test]
fn a_statement_of_more_than_16_mib_is_not_signed() {
    let w = World::with_dataset();
    let body = Body::FactsAmended(FactsAmended {
        facts: facts(json!({ "long": "x".repeat(MAX_ENTRY) })),
        level: 1,
        reservations: Vec::new(),
        suspends: Set::default(),
        why: text("too long"),
    });
    let signed = w.dataset_draft("stella", body).sign(|_| Ok::<_, core::convert::Infallible>([0; 64]));
    assert!(matches!(signed, Err(SignError::TooLong)), "{signed:?}");
}

#[test]
fn texts_places_and_roles_say_what_they_are() {
    assert_eq!((text("a b").to_string(), format!("{:?}", text("a b"))), ("a b".to_owned(), "\"a b\"".to_owned()));
    assert_eq!(Jurisdiction::parse("CN").unwrap().as_str(), "CN");
    for role in [Role::Officer, Role::Auditor, Role::Creator, Role::Steward, Role::Approver] {
        assert_eq!(serde_json::to_value(role).unwrap(), role.name());
    }
}

#[test]
fn an_envelope_that_is_not_canonical_is_malformed() {
    let not = Void("malformed envelope");
    assert_eq!(bent_envelope(|t| t + " "), not);
    assert_eq!(bent_envelope(|t| t.replacen(':', ": ", 1)), not);
    assert_eq!(bent_envelope(|t| t.replace("\"payloadType\":\"", "\"payloadType\":\"\\u0061")), not);
    assert_eq!(bent_envelope(|t| t.replace("]}", "],\"x\":1}")), not);
    assert_eq!(bent_envelope(|t| t.replace("statement+json", "other+json")), not);
    assert_eq!(bent_envelope(|t| t.replacen("{\"payload\":", "{\"payload\":\"\",\"payload\":", 1)), not);
    // Two signatures, and none.
    let start = |t: &str| t.find("[{").unwrap();
    assert_eq!(
        bent_envelope(|t| {
            let one = t[start(&t) + 1..t.len() - 2].to_owned();
            t.replace("]}", &format!(",{one}]}}"))
        }),
        not
    );
    assert_eq!(bent_envelope(|t| format!("{}[]}}", &t[..start(&t)])), not);
}

#[test]
fn a_card_in_the_place_of_a_statement_is_malformed() {
    let w = World::with_dataset();
    let stored = w.who("uma").card.stored().to_vec();
    assert_eq!(w.would(&dataset(), stored), Void("malformed: not a statement"));
}

#[test]
fn the_keyid_is_the_card_of_the_payload() {
    let mut w = World::with_dataset();
    let value = payload(&mut w);
    let (uma, other) = (w.who("uma"), w.card("ulf"));
    let sign = |pae: &[u8]| Ok::<_, std::convert::Infallible>(uma.key.sign(pae));
    let envelope = Envelope::signed_with(PayloadType::Statement, emit_value(&value).unwrap(), other, sign).unwrap();
    assert_eq!(w.would(&dataset(), envelope.emit()), Void("malformed: keyid is not the card"));
}

#[test]
fn a_payload_with_other_members_is_malformed() {
    let not = Void("malformed payload");
    assert_eq!(bent(|v| v["more"] = json!(1)), not);
    assert_eq!(bent(|v| drop(v.as_object_mut().unwrap().remove("critical"))), not);
    assert_eq!(bent(|v| v["vault_head"]["more"] = json!(1)), not);
    assert_eq!(bent(|v| v["critical"] = json!(1)), not);
    assert_eq!(bent(|v| v["author"] = json!("Uma")), not);
    assert_eq!(bent(|v| v["ledger"] = json!("dataset/../d1")), not);
    assert_eq!(bent(|v| v["time"] = json!(-1)), not);
    assert_eq!(bent(|v| v["time"] = Value::Null), not);
}

#[test]
fn a_payload_that_is_not_canonical_is_malformed() {
    let not = Void("malformed payload");
    assert_eq!(bent_text(|t| t.replacen("{\"author\":\"uma\"", "{\"author\":\"uma\",\"author\":\"uma\"", 1)), not);
    assert_eq!(bent_text(|t| t.replacen("{\"author\":\"uma\"", "{\"author\":\"stella\",\"author\":\"uma\"", 1)), not);
    assert_eq!(bent_text(|t| t.replace("\"critical\":true,\"format\":1", "\"format\":1,\"critical\":true")), not);
    assert_eq!(bent_text(|t| t.replace("\"format\":1,", "\"format\":1.0,")), not);
    assert_eq!(bent_text(|t| t.replace("\"format\":1,", "\"format\":1e0,")), not);
    assert_eq!(bent_text(|t| t.replace("\"format\":1,", "\"format\": 1,")), not);
    assert_eq!(bent_text(|t| t.replace("\"uma\"", "\"um\\u0061\"")), not);
    assert_eq!(bent_text(|t| t + "\n"), not);
    assert_eq!(bent_text(|t| t.replace("\"time\":18", "\"time\":90071992547409918")), not);
}

#[test]
fn a_body_with_other_members_is_malformed() {
    let not = Void("malformed body");
    assert_eq!(bent(|v| v["body"]["more"] = json!(1)), not);
    assert_eq!(bent(|v| drop(v["body"].as_object_mut().unwrap().remove("ends"))), not);
    assert_eq!(bent(|v| v["body"]["ends"] = json!("soon")), not);
    assert_eq!(bent(|v| v["body"]["upload"] = json!("AB")), not);
    assert_eq!(bent(|v| v["body"] = json!([])), not);
    // A member that may be null is still there.
    let mut w = World::with_dataset();
    let granted = w.granted("rolf");
    let mut value: Value = serde_json::from_slice(&w.dataset_draft("stella", granted).payload().unwrap()).unwrap();
    assert_eq!(w.would(&dataset(), w.sign_value("stella", &value)), Applied);
    value["body"].as_object_mut().unwrap().remove("trace");
    assert_eq!(w.would(&dataset(), w.sign_value("stella", &value)), not);
}

#[test]
fn sets_are_ascending_and_texts_without_control_characters() {
    let mut w = World::with_dataset();
    w.add_card("rolf/2");
    let granted = w.granted("rolf");
    let good: Value = serde_json::from_slice(&w.dataset_draft("stella", granted).payload().unwrap()).unwrap();
    let outcome = |bend: fn(&mut Vec<Value>)| {
        let mut value = good.clone();
        bend(value["body"]["seals"].as_array_mut().unwrap());
        w.would(&dataset(), w.sign_value("stella", &value))
    };
    assert_eq!(outcome(|_| {}), Applied);
    assert_eq!(outcome(|seals| seals.reverse()), Void("malformed body"));
    assert_eq!(outcome(|seals| seals.push(seals[1].clone())), Void("malformed body"));

    for text in ["a\nb", "\u{7f}", "\u{85}", &"x".repeat(1025)] {
        let body = revoked("rita");
        let mut value: Value = serde_json::from_slice(&w.dataset_draft("stella", body).payload().unwrap()).unwrap();
        value["body"]["reason"] = json!(text);
        assert_eq!(w.would(&dataset(), w.sign_value("stella", &value)), Void("malformed body"), "{text:?}");
    }
}

#[test]
fn a_kind_of_this_format_is_critical() {
    assert_eq!(bent(|v| v["critical"] = json!(false)), Void("malformed: not critical"));
}

#[test]
fn an_entry_stands_where_it_says() {
    let misplaced = Void("misplaced: names another vault, ledger or number");
    assert_eq!(bent(|v| v["vault"] = json!("00".repeat(32))), misplaced);
    assert_eq!(bent(|v| v["vault"] = json!("")), misplaced);
    assert_eq!(bent(|v| v["ledger"] = json!("dataset/d2")), misplaced);
    assert_eq!(bent(|v| v["ledger"] = json!("vault")), misplaced);
    assert_eq!(bent(|v| v["seq"] = json!(v["seq"].as_u64().unwrap() + 1)), misplaced);
    assert_eq!(bent(|v| v["seq"] = json!(v["seq"].as_u64().unwrap() - 1)), misplaced);
    assert_eq!(bent(|v| v["vault_head"] = Value::Null), Void("misplaced: names no vault head"));

    let w = World::with_dataset();
    let mut statement = w.vault_draft("olga", seen(1));
    statement.vault_head = w.state.head();
    w.refuses_statement("olga", &statement, "misplaced: a vault entry names no vault head");
}

#[test]
fn an_entry_is_not_another_entry_again() {
    let mut w = World::with_dataset();
    let stored = w.dataset.last().unwrap().clone();
    assert_eq!(w.put(&dataset(), stored), Void("misplaced: names another vault, ledger or number"));
}

#[test]
fn a_signature_is_of_the_named_card_of_the_named_author() {
    let mut w = World::with_dataset();
    let value = payload(&mut w);
    // ulf signs in uma's name, with uma's card named.
    let ulf = &w.people["ulf"];
    let sign = |pae: &[u8]| Ok::<_, std::convert::Infallible>(ulf.key.sign(pae));
    let card = w.card("uma");
    let forged = Envelope::signed_with(PayloadType::Statement, emit_value(&value).unwrap(), card, sign).unwrap();
    assert_eq!(w.would(&dataset(), forged.emit()), Void("bad signature"));

    // ulf signs in uma's name with his own card named.
    let mut bent = value.clone();
    bent["card"] = json!(w.card("ulf").to_string());
    assert_eq!(w.would(&dataset(), w.sign_value("ulf", &bent)), Void("unknown author"));

    // Somebody whom nobody enrolled.
    let mut bent = value.clone();
    bent["card"] = json!(w.card("xeno").to_string());
    bent["author"] = json!("xeno");
    assert_eq!(w.would(&dataset(), w.sign_value("xeno", &bent)), Void("unknown author"));

    // No signature at all, and one over another payload type.
    let stored = String::from_utf8(w.sign_value("uma", &value)).unwrap();
    let at = stored.find("\"sig\":\"").unwrap() + 7;
    let unsigned = format!("{}{}\"}}]}}", &stored[..at], to_b64(&[0; 64]));
    assert_eq!(w.would(&dataset(), unsigned.into_bytes()), Void("bad signature"));
    let sign = |_: &[u8]| {
        let pae = Envelope::pae(PayloadType::Card, &emit_value(&value).unwrap());
        Ok::<_, std::convert::Infallible>(w.who("uma").key.sign(&pae))
    };
    let other = Envelope::signed_with(PayloadType::Statement, emit_value(&value).unwrap(), card, sign).unwrap();
    assert_eq!(w.would(&dataset(), other.emit()), Void("bad signature"));
}

#[test]
fn a_kind_belongs_to_its_ledger() {
    let mut w = World::with_dataset();
    w.refuses("olga", seen(1), "not a kind of a dataset ledger");
    w.vault_refuses("stella", anchored(), "not a kind of the vault ledger");
    let (_, body) = w.upload_opened();
    w.counts_refuses("stella", body, "not a kind of an exposure ledger");
    let again = w.created();
    w.refuses("stella", again, "a second creation");
    let genesis = Body::Genesis(genesis(w.suite, &w.people));
    w.vault_refuses("olga", genesis, "a second genesis");
}

#[test]
fn signing_refuses_what_a_reader_would() {
    let w = World::with_dataset();
    let key = &w.who("stella").key;
    let sign = |pae: &[u8]| Ok::<_, std::convert::Infallible>(key.sign(pae));
    let mut statement = w.dataset_draft("stella", revoked("rita"));
    let signed = statement.sign(sign).unwrap();
    assert_eq!(signed, w.sign("stella", &statement));
    statement.time = 1 << 53;
    assert!(matches!(statement.sign(sign), Err(SignError::Payload(_))));
}
