//! The server's HTTP. Spec page 7.
//!
//! | to | look in |
//! |---|---|
//! | accept connections, bound their number and time, end them | [`serve`] |
//! | read certificates, and again when they change | [`tls`] |
//! | know what a request did: its id, its log line, its numbers | [`trace`], [`metrics`] |
//! | tell whether the server lives and can answer | [`health`] |
//! | know what all requests share, and its bounds | [`service`] |
//! | verify who asks | `signed`, `nonces`, `rate` |
//! | judge who may what | [`rights`] |
//! | share one look at a ledger among those who wait for it | `waves`, `looks` |
//! | append one after another | `turns` |
//! | answer | one file a resource: `hello`, `ledgers`, `objects`, `links`, `removals`, `doctor`, [`openapi`] |
//! | say why not | `problem`, the only place that turns errors into statuses |
//!
//! A handler is three steps: what is asked and by whom, the vault's service, the answer.

mod answer;
mod body;
mod doctor;
pub mod health;
mod hello;
mod ledgers;
mod links;
mod looks;
pub mod metrics;
mod nonces;
mod objects;
pub mod openapi;
pub mod problem;
mod rate;
mod removals;
pub mod rights;
pub mod serve;
pub mod service;
mod signed;
pub mod tls;
pub mod trace;
mod turns;
mod waves;

use axum::Router;
use axum::routing::{get, post, put};

pub use service::{Clock, Service, Settings};

/// Everything of spec page 7 but the health checks.
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/v1/vault", get(hello::hello))
        .route("/v1/ledgers", get(ledgers::names))
        .route("/v1/ledgers/vault/entries", get(ledgers::vault_entries))
        .route("/v1/ledgers/{kind}/{id}/entries", get(ledgers::entries))
        .route("/v1/ledgers/vault/entries/{seq}", put(ledgers::append_to_vault))
        .route("/v1/ledgers/{kind}/{id}/entries/{seq}", put(ledgers::append))
        .route("/v1/ledgers/vault/turn", post(ledgers::vault_turn))
        .route("/v1/ledgers/{kind}/{id}/turn", post(ledgers::turn))
        .route(
            "/v1/objects/{*name}",
            get(objects::read).head(objects::look).put(objects::write).delete(removals::withdraw),
        )
        .route("/v1/datasets/{dataset}/delete-epochs", post(removals::delete_epochs))
        .route("/v1/datasets/{dataset}/sweep", post(removals::sweep))
        .route("/v1/datasets/{dataset}/delete-hidden", post(removals::delete_hidden))
        .route("/v1/datasets/{dataset}/delete-all", post(removals::delete_all))
        .route("/v1/links", post(links::give))
        .route("/v1/doctor", post(doctor::examine))
        .route("/v1/openapi.json", get(openapi::document))
        .fallback(answer::no_such_resource)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(axum::middleware::from_fn_with_state(service.clone(), answer::finish))
        .with_state(service)
}
