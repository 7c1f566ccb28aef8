//! `POST /api/v1/tokens`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME_CHARS_MAX, new_token};
use crate::http::error::Problem;
use crate::http::extract::JsonBody;
use crate::http::{HttpState, Role, fields};
use crate::model::AuditActor;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateToken {
    /// Who or what it is for, unique.
    name: String,
    /// `viewer`, `operator`, `approver`, `admin` or `key-admin`.
    role: String,
}

/// A token that was made. `Debug` is left out: it holds the token.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    /// Who or what it is for.
    name: String,
    /// What it allows.
    role: String,
    /// The token: shown this once.
    token: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Makes a token and shows it once.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, description = "Made", body = CreatedToken)))]
pub(crate) async fn create_token(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    JsonBody(body): JsonBody<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    fields::title("name", &body.name, NAME_CHARS_MAX)?;
    let role = fields::word("role", &body.role, &Role::ALL, Role::word)?;
    let token = new_token(&body.name, role, state.now_utc());
    let created_at = fields::time(token.stored.created_at);
    let added = state
        .store
        .add_token(token.stored, state.stamp(actor))
        .await;
    added.map_err(|error| {
        Problem::of_store(error, format_args!("token '{}'", body.name)).with_field("name")
    })?;
    let created = CreatedToken {
        name: body.name,
        role: body.role,
        token: token.text,
        created_at,
    };
    Ok((StatusCode::CREATED, Json(created)))
}
