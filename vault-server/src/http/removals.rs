//! Deletions: what a statement gave up, and what no statement names. Spec sections 6.2, 7.1, 7.3.
//!
//! The rights are judged here and what may be deleted in the vault's service, each by a state that is read for it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde::de::DeserializeOwned;
use vault_core::ids::{DatasetId, UploadId};

use super::objects::{allow, parse};
use super::problem::{Outcome, Refused};
use super::rights::Act;
use super::service::{Place, Service};
use super::signed::Signed;
use crate::vault::{RemoveError, Removed, Vault};
use crate::wire::problem::{Problem, Type};
use crate::wire::{DeleteAll, DeleteEpochs, DeleteHidden, Deleted, Sweep};

/// DELETE `/v1/objects/<name>`
#[utoipa::path(
    delete,
    path = "/v1/objects/{name}",
    params(("name" = String, Path, description = "the object's name, with its slashes")),
    responses((status = 200, description = "What went", body = Deleted), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn withdraw(
    State(service): State<Service>,
    signed: Signed,
    Path(name): Path<String>,
) -> Outcome<Json<Deleted>> {
    let name = parse(&name)?;
    allow(&signed, Act::Withdraw(&name), &name).await?;
    to_the_end(signed.removal().await?, async move { service.vault().withdraw(&name).await }).await
}

/// POST `/v1/datasets/<id>/delete-epochs`
#[utoipa::path(
    post,
    path = "/v1/datasets/{dataset}/delete-epochs",
    params(("dataset" = String, Path, description = "the dataset's id")),
    request_body(content = DeleteEpochs),
    responses((status = 200, description = "What went", body = Deleted), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn delete_epochs(
    State(service): State<Service>,
    signed: Signed,
    Path(dataset): Path<String>,
    body: Body,
) -> Outcome<Json<Deleted>> {
    let dataset = allowed(&signed, &dataset, Act::Clean).await?;
    let DeleteEpochs { below } = signed.json(body).await?;
    to_the_end(signed.epoch_removal().await?, async move { service.vault().delete_epochs(&dataset, below).await }).await
}

/// POST `/v1/datasets/<id>/sweep`
#[utoipa::path(
    post,
    path = "/v1/datasets/{dataset}/sweep",
    params(("dataset" = String, Path, description = "the dataset's id")),
    request_body(content = Sweep),
    responses((status = 200, description = "What went", body = Deleted), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn sweep(
    State(service): State<Service>,
    signed: Signed,
    Path(dataset): Path<String>,
    body: Body,
) -> Outcome<Json<Deleted>> {
    signed.asker().await?;
    let Sweep { upload } = signed.json(body).await?;
    let upload: UploadId = upload.parse().map_err(|e| Refused::malformed(format!("{upload}: {e}")))?;
    let dataset = allowed(&signed, &dataset, Act::Sweep(&upload)).await?;
    to_the_end(signed.removal().await?, async move { service.vault().sweep(&dataset, &upload).await }).await
}

/// POST `/v1/datasets/<id>/delete-hidden`
#[utoipa::path(
    post,
    path = "/v1/datasets/{dataset}/delete-hidden",
    params(("dataset" = String, Path, description = "the dataset's id")),
    request_body(content = DeleteHidden),
    responses((status = 200, description = "What went", body = Deleted), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn delete_hidden(
    State(service): State<Service>,
    signed: Signed,
    Path(dataset): Path<String>,
    body: Body,
) -> Outcome<Json<Deleted>> {
    let deletion = |vault: Vault, dataset| async move { vault.delete_hidden(&dataset).await };
    of_dataset::<DeleteHidden, _>(&service, &signed, &dataset, body, deletion).await
}

/// POST `/v1/datasets/<id>/delete-all`
#[utoipa::path(
    post,
    path = "/v1/datasets/{dataset}/delete-all",
    params(("dataset" = String, Path, description = "the dataset's id")),
    request_body(content = DeleteAll),
    responses((status = 200, description = "What went", body = Deleted), (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json")),
    security(("signature" = [])),
)]
pub(super) async fn delete_all(
    State(service): State<Service>,
    signed: Signed,
    Path(dataset): Path<String>,
    body: Body,
) -> Outcome<Json<Deleted>> {
    let deletion = |vault: Vault, dataset| async move { vault.delete_dataset(&dataset).await };
    of_dataset::<DeleteAll, _>(&service, &signed, &dataset, body, deletion).await
}

/// A deletion that is said by its dataset alone: the body is an `Empty` object.
async fn of_dataset<Empty, Deletion>(
    service: &Service,
    signed: &Signed,
    dataset: &str,
    body: Body,
    deletion: impl FnOnce(Vault, DatasetId) -> Deletion,
) -> Outcome<Json<Deleted>>
where
    Empty: DeserializeOwned,
    Deletion: Future<Output = Result<Removed, RemoveError>> + Send + 'static,
{
    let dataset = allowed(signed, dataset, Act::Clean).await?;
    signed.json::<Empty>(body).await?;
    to_the_end(signed.removal().await?, deletion(service.vault().clone(), dataset)).await
}

async fn allowed(signed: &Signed, dataset: &str, act: Act<'_>) -> Result<DatasetId, Refused> {
    let dataset: DatasetId = dataset.parse().map_err(|e| Refused::malformed(format!("{dataset}: {e}")))?;
    let (asker, view) = signed.in_dataset(&dataset).await?;
    let Some(view) = view else {
        return Err(Refused::new(Type::NotFound, format!("there is no dataset {dataset}")));
    };
    asker.may(act, Some(&view))?;
    Ok(dataset)
}

/// Done to its end, whether the client waits for the answer or not.
async fn to_the_end(
    places: (Place, Place),
    removal: impl Future<Output = Result<Removed, RemoveError>> + Send + 'static,
) -> Outcome<Json<Deleted>> {
    let work = tokio::spawn(async move {
        let removed = removal.await;
        drop(places);
        removed
    });
    let removed = work.await.map_err(|_| super::waves::Broken)??;
    Ok(Json(Deleted { objects: removed.objects, kept: removed.kept }))
}
