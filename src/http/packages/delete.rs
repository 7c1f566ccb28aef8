//! `DELETE /api/v1/packages/{id}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::{in_use, remove_bytes};
use crate::http::HttpState;
use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::model::{AuditActor, PackageId};
use crate::store::StoreError;

/// Takes a package away that no campaign is of, with its bytes and its links.
#[utoipa::path(delete, path = "/api/v1/packages/{id}", tag = "packages",
    params(("id" = u64, Path, description = "The package's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_package(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    let stamp = state.stamp(actor);
    // Who leaves now leaves nothing half done.
    tokio::spawn(async move {
        // An upload of the same bytes has its row before they go, or keeps them anew after.
        let _keeping = state.keeping.lock().await;
        let unnamed = match state.store.remove_package(PackageId(id), stamp).await {
            Ok(unnamed) => unnamed,
            Err(StoreError::Conflict(_)) => return Err(in_use(&state, PackageId(id)).await?),
            Err(error) => return Err(Problem::of_store(error, format_args!("package {id}"))),
        };
        state.links.forget(PackageId(id));
        let blobs = state.package_bytes.clone();
        blocking(move || {
            remove_bytes(&blobs, &unnamed);
            Ok(StatusCode::NO_CONTENT)
        })
        .await
    })
    .await
    .map_err(|_| Problem::new(kinds::INTERNAL, "the package was not taken away"))?
}
