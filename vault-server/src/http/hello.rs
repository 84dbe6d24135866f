//! GET `/v1/vault`: what answers here. Spec section 7.1.

use axum::Json;
use axum::extract::State;

use super::service::{Service, system_time};
use crate::wire::problem::Problem;
use crate::wire::{API, Hello};

/// The program's name and version.
const SERVER: &str = concat!("seqvault/", env!("CARGO_PKG_VERSION"));

/// Says which vault is served, and how.
#[utoipa::path(
    get,
    path = "/v1/vault",
    responses((status = 200, description = "What answers here", body = Hello), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn hello(State(service): State<Service>) -> Json<Hello> {
    Json(Hello {
        vault: service.vault().id().to_string(),
        api: vec![API],
        server: SERVER.to_owned(),
        time: system_time(),
        links: service.gives_links(),
        upload_objects: Some(service.vault().upload_objects()),
    })
}
