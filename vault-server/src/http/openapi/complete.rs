//! What the handlers' attributes can't say of themselves: how names and numbers are written, which problems there are, what headers an
//! answer has. Spec sections 1.2, 6.1, 7.1, 7.6.
//!
//! A program that sends what the document allows must get nothing that it doesn't have, and a server must refuse what it doesn't allow:
//! `.ci/long schemathesis` compares the two.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vault_core::layout::MAX_NUMBER;
use vault_core::pack::PACK_LEN;

use crate::wire;
use crate::wire::problem::Type;

const ID: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const RANDOM: &str = "[0-9a-f]{32}";
const HASH: &str = "[0-9a-f]{64}";
const NUMBER: &str = "[0-9]{10}";

/// What any request may be told.
const ANY: [Type; 4] = [Type::Malformed, Type::Internal, Type::Busy, Type::Stopping];
/// What a signed one may be told as well.
const SIGNED: [Type; 14] = [
    Type::Unsigned,
    Type::BadSignature,
    Type::UnknownCard,
    Type::Replayed,
    Type::Clock,
    Type::OtherVault,
    Type::NotAllowed,
    Type::NotFound,
    Type::Stopped,
    Type::TooMany,
    Type::Archived,
    Type::Misnamed,
    Type::Damaged,
    Type::Storage,
];
/// And one with a body.
const BODY: [Type; 3] = [Type::Digest, Type::Length, Type::TooLarge];

/// Completes a document.
pub(super) fn complete(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    *paths = std::mem::take(paths).into_iter().flat_map(|(path, item)| told_apart(path, item)).collect();
    for (path, item) in paths.iter_mut() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete_operation(path, method, operation);
        }
    }
    let own = [
        ("Sweep/properties/upload", string(RANDOM)),
        ("LinksWanted/properties/get/items", string(&pack())),
        ("LinksWanted/properties/get/maxItems", json!(wire::MAX_LINKS)),
        ("LinksWanted/properties/put/maxItems", json!(wire::MAX_LINKS)),
        ("PutWanted/properties/name", string(&pack())),
        ("PutWanted/properties/length/minimum", json!(1)),
        ("PutWanted/properties/length/maximum", json!(PACK_LEN)),
    ];
    for (at, value) in own {
        set(document, &format!("/components/schemas/{at}"), value);
    }
}

/// Ledgers of datasets and of exposures have ids of two forms, so they are two paths here.
fn told_apart(path: String, item: Value) -> Vec<(String, Value)> {
    if !path.contains("{kind}/{id}") {
        return vec![(path, item)];
    }
    let kinds = [("dataset", "{dataset}", "dataset"), ("exposure", "{exposure}", "exposure")];
    kinds
        .map(|(kind, id, name)| {
            (path.replace("{kind}/{id}", &format!("{kind}/{id}")), of_kind(item.clone(), kind, name))
        })
        .into()
}

fn of_kind(mut item: Value, kind: &str, name: &str) -> Value {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(id) = operation.get("operationId").and_then(Value::as_str).map(|id| format!("{id}_of_{kind}")) {
            set(operation, "/operationId", json!(id));
        }
        let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { continue };
        parameters.retain(|parameter| parameter.get("name") != Some(&json!("kind")));
        for parameter in parameters.iter_mut().filter(|parameter| parameter.get("name") == Some(&json!("id"))) {
            set(parameter, "/name", json!(name));
        }
    }
    item
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let form = parameter.get("name").and_then(Value::as_str).and_then(form);
        if let Some(form) = form {
            set(parameter, "/schema", form);
        }
    }
    for at in ["/requestBody/content", "/responses/200/content", "/responses/206/content"] {
        let contents = operation.pointer_mut(at).and_then(Value::as_object_mut).into_iter().flatten();
        for (_, content) in contents.filter(|(kind, _)| kind.as_str() != "application/json") {
            // Bytes as they are, which have no schema.
            *content = json!({});
        }
    }
    let problems = problems(path, method, operation.get("security").is_some());
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.remove("default");
    for (status, names) in problems {
        let content = json!({wire::PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}});
        responses.insert(status.to_string(), json!({"description": names.join(", "), "content": content}));
    }
    for (status, response) in responses.iter_mut() {
        set(response, "/headers", headers(path, status));
    }
}

/// The problems of an operation by their status.
fn problems(path: &str, method: &str, is_signed: bool) -> BTreeMap<u16, Vec<&'static str>> {
    let own: &[Type] = match (method, path) {
        ("put", path) if path.contains("/entries/") => {
            &[Type::Taken, Type::NotNext, Type::Void, Type::Missing, Type::Quota]
        }
        ("get", path) if path.contains("/objects/") => &[Type::Range],
        ("put", path) if path.contains("/objects/") => &[Type::Differs, Type::Missing],
        ("post", "/v1/links") => &[Type::NoLinks, Type::Quota],
        ("delete", _) => &[Type::Conflict, Type::Missing],
        ("post", path) if path.contains("/datasets/") => &[Type::Conflict, Type::Missing],
        _ => &[],
    };
    let signed: &[Type] = if is_signed { &SIGNED } else { &[] };
    let body: &[Type] = if matches!(method, "put" | "post") { &BODY } else { &[] };
    let mut found = BTreeMap::<u16, Vec<_>>::new();
    for of in [ANY.as_slice(), signed, body, own].into_iter().flatten() {
        let (name, status) = of.row();
        found.entry(status).or_default().push(name);
    }
    found
}

fn headers(path: &str, status: &str) -> Value {
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    let mut all = Map::new();
    let mut id = header("the request's id, as the server's log has it", string("[0-9a-f]{16}"));
    set(&mut id, "/required", json!(true));
    all.insert("Seqvault-Request-Id".to_owned(), id);
    if status == "200" && path.ends_with("/entries") {
        let more = header("there are more entries", json!({"type": "string", "enum": ["true"]}));
        all.insert("Seqvault-More".to_owned(), more);
    }
    if status == "206" {
        let range = header("which bytes these are, and of how many", string("bytes [0-9]+-[0-9]+/[0-9]+"));
        all.insert("Content-Range".to_owned(), range);
    }
    if matches!(status, "429" | "503") {
        let after = header("seconds, where waiting helps", json!({"type": "integer", "minimum": 0}));
        all.insert("Retry-After".to_owned(), after);
    }
    all.into()
}

/// How a parameter is written.
fn form(name: &str) -> Option<Value> {
    match name {
        "dataset" => Some(string(ID)),
        "exposure" => Some(string(HASH)),
        "seq" | "from" => Some(json!({"type": "integer", "minimum": 0, "maximum": MAX_NUMBER})),
        "name" => Some(string(&object())),
        // At most eighteen digits: no number that a program may have trouble with.
        "Range" => Some(string("bytes=[0-9]{1,18}-[0-9]{1,18}")),
        _ => None,
    }
}

fn pack() -> String {
    format!("packs/{ID}/{RANDOM}/{RANDOM}")
}

/// Every name of section 6.1.
fn object() -> String {
    let ledger = format!("(vault|dataset/{ID}|exposure/{HASH})");
    let sealed = format!("(grants/{ID}/{HASH}-{HASH}|headers/{RANDOM}-{HASH}|table-{HASH})");
    [
        "seqvault-format".to_owned(),
        format!("ledger/{ledger}/(bundle-(16|256)-)?{NUMBER}"),
        format!("seen/{HASH}"),
        format!("epochs/{ID}/{NUMBER}/{sealed}"),
        format!("epochs/_subject/{NUMBER}/{ID}/{HASH}-{HASH}"),
        format!("kept/{ID}/{HASH}"),
        format!("manifests/{ID}/{RANDOM}"),
        format!("{}(\\.(list|groups))?", pack()),
        format!("index/{ID}/{ID}"),
    ]
    .join("|")
}

fn string(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^({pattern})$")})
}

/// Sets a member of an object that is there; a document without it is left as it is, and its test misses it.
fn set(document: &mut Value, at: &str, value: Value) {
    let Some((object, member)) = at.rsplit_once('/') else { return };
    if let Some(object) = document.pointer_mut(object).and_then(Value::as_object_mut) {
        object.insert(member.to_owned(), value);
    }
}
