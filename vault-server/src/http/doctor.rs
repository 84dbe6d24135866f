//! POST `/v1/doctor`: a check of what is derived. Spec sections 6.3, 7.1.

use axum::Json;
use axum::body::Body;
use axum::extract::State;

use super::problem::Outcome;
use super::rights::Act;
use super::service::Service;
use super::signed::Signed;
use crate::wire::problem::Problem;
use crate::wire::{Examine, Examined};

/// Looks at everything. If it is asked to, it makes again what is derived, and deletes what statements gave up: closed epochs and uploads,
/// hidden manifests, and whatever a deleted dataset still holds.
#[utoipa::path(
    post,
    path = "/v1/doctor",
    request_body(content = Examine),
    responses((status = 200, description = "What was found", body = Examined), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn examine(State(service): State<Service>, signed: Signed, body: Body) -> Outcome<Json<Examined>> {
    let asker = signed.asker().await?;
    asker.may(Act::Doctor { repair: false }, None)?;
    let Examine { repair } = signed.json(body).await?;
    asker.may(Act::Doctor { repair }, None)?;
    let _places = service.doctor(&asker.member).await?;
    let examined = service.vault().examine(asker.now, repair).await?;
    Ok(Json(Examined { findings: examined.findings, repaired: examined.repaired, damaged: examined.damaged }))
}
