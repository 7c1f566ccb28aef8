//! `DELETE /api/v1/profiles/{id}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::find_profile;
use super::under_way::{campaign_of, is_over};
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::blocking::to_the_end;
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::model::AuditActor;

/// Takes a profile away: devices of the product are treated as by the server's own settings. Refused while
/// a campaign for the product is not over.
#[utoipa::path(delete, path = "/api/v1/profiles/{id}", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_profile(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    let products = Arc::clone(&state.products).write_owned().await;
    let product = find_profile(&state, id).await?.product;
    let is_unfinished = |state, counts: &_| !is_over(state, counts);
    if let Some(campaign) = campaign_of(&state, &product, is_unfinished).await? {
        let detail = format!("campaign {} is for this product and not over", campaign.0);
        return Err(Problem::new(kinds::PROFILE_IN_USE, detail));
    }
    to_the_end(async move {
        let _products = products;
        let stamp = state.stamp(actor);
        let removed = state.store.remove_profile(product.profile, stamp).await;
        removed.map_err(|error| Problem::of_store(error, format_args!("profile {id}")))?;
        let command = Command::RemoveProduct(product.profile);
        state.engine.tell(command).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
