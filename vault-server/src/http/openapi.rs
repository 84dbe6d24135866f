//! GET `/v1/openapi.json`: the resources as an OpenAPI document, made of the handlers themselves. Spec section 7.1.

mod complete;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use self::complete::complete;
use super::{doctor, hello, ledgers, links, objects, removals};
use crate::wire::problem::Type;

/// What the document is made of.
#[derive(OpenApi)]
#[openapi(
    info(title = "seqvault", description = "Requests to a seqvault server: docs/spec/7-server.md. All but two are signed (7.2). The slashes of an object's name stand in the path as they are."),
    paths(
        hello::hello,
        document,
        ledgers::names,
        ledgers::vault_entries,
        ledgers::entries,
        ledgers::append_to_vault,
        ledgers::append,
        ledgers::vault_turn,
        ledgers::turn,
        objects::read,
        objects::look,
        objects::write,
        links::give,
        removals::withdraw,
        removals::delete_epochs,
        removals::sweep,
        removals::delete_hidden,
        removals::delete_all,
        doctor::examine,
    ),
    modifiers(&Signature, &Types)
)]
struct Api;

/// The signature of section 7.2, which OpenAPI has no words for.
struct Signature;

impl Modify for Signature {
    fn modify(&self, document: &mut Document) {
        let value = ApiKeyValue::with_description(
            "Signature",
            "RFC 9421 by a member's card, with Signature-Input, Seqvault-Vault and, for PUT and POST, Content-Digest",
        );
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("signature", SecurityScheme::ApiKey(ApiKey::Header(value)));
        }
    }
}

/// The types of problems.
struct Types;

impl Modify for Types {
    fn modify(&self, document: &mut Document) {
        let problem = document.components.as_mut().and_then(|components| components.schemas.get_mut("Problem"));
        let Some(RefOr::T(Schema::Object(problem))) = problem else { return };
        let Some(RefOr::T(Schema::Object(kind))) = problem.properties.get_mut("type") else { return };
        kind.enum_values = Some(Type::ALL.into_iter().map(|of| of.to_string().into()).collect());
    }
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    complete(&mut document);
    format!("{document:#}")
});

/// GET `/v1/openapi.json`
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "This document", content_type = "application/json"))
)]
pub(super) async fn document() -> Response {
    let mut response = TEXT.as_str().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
