//! The OpenAPI document says what the router does, and nothing else. Spec section 7.1.

use std::collections::BTreeSet;

use axum::body::Body;
use http::Request;
use serde_json::Value;
use vault_server::wire::problem::Type;

use crate::client::Served;

async fn document(served: &Served) -> Value {
    let request = Request::get("/v1/openapi.json").body(Body::empty()).unwrap();
    let answer = served.send(request).await.ok(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

/// Method and path of each operation.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let each = |(path, methods): (&String, &Value)| -> Vec<(String, String)> {
        methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.iter().flat_map(each).collect()
}

#[tokio::test]
async fn each_operation_of_the_document_is_one_of_the_router_and_the_other_way_round() {
    let served = Served::new().await;
    let document = document(&served).await;
    let operations = operations(&document);
    for (method, path) in &operations {
        let path = path.replace("{name}", "seqvault-format").replace(['{', '}'], "");
        let request = Request::builder().method(method.as_str()).uri(path).body(Body::empty()).unwrap();
        let answer = served.send(request).await;
        assert!(answer.status == 200 || answer.status == 401, "{method}: {answer:?}");
    }
    // The routes as they stand in the source: `.route("<path>", <method>(...)`.
    let source = include_str!("../../src/http.rs");
    let mut routed = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap().replace("{*name}", "{name}");
        let handlers = route.split_once("\",").unwrap().1.split(".fallback(").next().unwrap();
        for method in ["get", "put", "post", "head", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                // Ids of datasets and of exposures are written in two ways, so they are two paths of the document.
                for id in ["dataset/{dataset}", "exposure/{exposure}"] {
                    routed.insert((method.to_uppercase(), path.replace("{kind}/{id}", id)));
                }
            }
        }
    }
    assert_eq!(operations, routed);
}

#[tokio::test]
async fn each_problem_type_is_in_the_document_and_all_but_two_operations_are_signed() {
    let served = Served::new().await;
    let document = document(&served).await;
    let kinds = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"].as_array().unwrap();
    let kinds: BTreeSet<&str> = kinds.iter().map(|kind| kind.as_str().unwrap()).collect();
    let all: Vec<String> = Type::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(kinds, all.iter().map(String::as_str).collect());
    let unsigned: Vec<_> = operations(&document)
        .into_iter()
        .filter(|(method, path)| {
            document["paths"][path][method.to_lowercase()]["security"].as_array().is_none_or(Vec::is_empty)
        })
        .map(|(_, path)| path)
        .collect();
    assert_eq!(unsigned, ["/v1/openapi.json", "/v1/vault"]);
}

#[tokio::test]
async fn the_document_says_how_names_are_written_and_which_statuses_there_are() {
    let served = Served::new().await;
    let document = document(&served).await;
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            let is_bounded = ["pattern", "maximum"].iter().any(|bound| !schema[*bound].is_null());
            assert!(is_bounded || parameter["name"] == "single", "{method} {path}: {parameter}");
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.contains_key("default") && responses.contains_key("503"), "{method} {path}");
        let is_signed = !operation["security"].is_null();
        assert_eq!(responses.contains_key("401"), is_signed, "{method} {path}");
        assert_eq!(responses.contains_key("411"), matches!(method.as_str(), "PUT" | "POST"), "{method} {path}");
        for response in responses.values() {
            assert_eq!(response["headers"]["Seqvault-Request-Id"]["required"], true, "{method} {path}");
        }
    }
    let schemas = &document["components"]["schemas"];
    let bounded = ["Sweep/properties/upload", "LinksWanted/properties/get/items", "PutWanted/properties/name"];
    for at in bounded {
        assert!(schemas.pointer(&format!("/{at}/pattern")).is_some(), "{at}");
    }
    assert!(schemas["PutWanted"]["properties"]["length"]["maximum"].is_u64());
    // Grown later: a client has to do without it.
    assert_eq!(schemas["Hello"]["properties"]["upload_objects"]["type"], "integer");
    let required = schemas["Hello"]["required"].as_array().unwrap();
    assert_eq!(required, &["vault", "api", "server", "time", "links"]);
}
