//! `POST /api/v1/keys`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::KeyView;
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::{Problem, kinds};
use crate::http::extract::JsonBody;
use crate::http::fields;
use crate::model::{AuditActor, KeyPurpose};
use crate::store::StoredKey;

/// A key to enter. `Debug` is left out: somebody may send a private key by mistake.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// 厂商名称: whose key it is.
    manufacturer: String,
    /// SPKI in PEM, as in `public.pem`.
    public_key_pem: String,
    /// What it signs: `firmware`.
    #[serde(default = "firmware")]
    purpose: String,
}

fn firmware() -> String {
    KeyPurpose::Firmware.word().to_owned()
}

/// Enters a manufacturer's public key.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = CreateKey,
    responses((status = 201, description = "Entered", body = KeyView)))]
pub(crate) async fn create_key(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    JsonBody(body): JsonBody<CreateKey>,
) -> Result<(StatusCode, Json<KeyView>), Problem> {
    if body
        .public_key_pem
        .to_ascii_uppercase()
        .contains("PRIVATE KEY")
    {
        let detail = "public_key_pem: holds a private key; send the public key (public.pem)";
        return Err(Problem::new(kinds::PRIVATE_KEY, detail).with_field("public_key_pem"));
    }
    let manufacturer = fields::name("manufacturer", &body.manufacturer)?;
    let purpose = fields::word("purpose", &body.purpose, KeyPurpose::ALL, KeyPurpose::word)?;
    let verified = state
        .verifier
        .read_key(&body.public_key_pem)
        .map_err(|refusal| {
            Problem::of_refusal(kinds::KEY_REFUSED, refusal).with_field("public_key_pem")
        })?;
    let key = StoredKey {
        id: verified.id,
        manufacturer,
        purpose,
        algorithm: verified.algorithm,
        bits: verified.bits,
        public_key_pem: verified.public_key_pem,
        created_at: state.now_utc(),
        created_by: Some(token.0),
        retired: None,
        revoked: None,
    };
    let added = state.store.add_key(key.clone(), state.stamp(actor)).await;
    added.map_err(|error| Problem::of_store(error, format_args!("key {}", key.id)))?;
    let by = key.created_by.as_deref();
    tracing::info!(key = key.id, manufacturer = %key.manufacturer, token = by, "a key was entered");
    Ok((StatusCode::CREATED, Json(key.into())))
}
