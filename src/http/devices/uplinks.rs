//! `/api/v1/devices/{endpoint}/uplinks` and `…/downlinks`: the device's own data (Object 19).

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::resources::{
    AnswerView, DeviceRequestView, Question, ask, from_base64, keep_value, known, to_base64,
};
use crate::http::auth::Role;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::http::{HttpState, fields};
use crate::lwm2m::{Value, path};
use crate::model::{AuditActor, DeviceOperation, Uplink};

const LIMIT_MAX: u32 = 1000;

/// How many.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UplinksQuery {
    /// The most, 1 to 1000; all that are kept unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// One message of a device's own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uplink)]
pub(crate) struct UplinkView {
    /// When it came.
    #[schema(format = DateTime)]
    at: String,
    /// Its bytes in base64.
    payload_base64: String,
}

/// A message to a device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownlinkBody {
    /// Its bytes in base64.
    payload_base64: String,
    /// For how long to wait for a device that sleeps; 24 hours unless configured otherwise.
    ttl_seconds: Option<u64>,
}

impl From<Uplink> for UplinkView {
    fn from(uplink: Uplink) -> Self {
        Self {
            at: fields::time(uplink.at),
            payload_base64: to_base64(&uplink.payload),
        }
    }
}

/// What a device sent of its own data (`/19/0/0`), newest first: as many as are configured to be kept.
/// Each was kept before the device was told that it arrived; one that it sent twice may be here twice.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/uplinks", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name"), UplinksQuery),
    responses((status = 200, description = "The uplinks", body = Vec<UplinkView>)))]
pub(crate) async fn list_uplinks(
    State(state): State<HttpState>,
    PathParams(endpoint): PathParams<String>,
    QueryParams(query): QueryParams<UplinksQuery>,
) -> Result<Json<Vec<UplinkView>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_MAX);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let problem = Problem::new(kinds::INVALID_QUERY, "limit must be 1 to 1000");
        return Err(problem.with_field("limit"));
    }
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    known(&state, &endpoint).await?;
    let uplinks = state.store.uplinks(&endpoint, limit).await?;
    Ok(Json(uplinks.into_iter().map(UplinkView::from).collect()))
}

/// Sends a device data (`/19/1/0`), at most once; as a write of that resource.
#[utoipa::path(post, path = "/api/v1/devices/{endpoint}/downlinks", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    request_body = DownlinkBody,
    responses(
        (status = 200, description = "The device took it", body = AnswerView),
        (status = 202, description = "It is sent when the device is next heard", body = DeviceRequestView,
            headers(("Location" = String, description = "Where the answer will be"))),
    ))]
pub(crate) async fn send_downlink(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(role): Extension<Role>,
    PathParams(endpoint): PathParams<String>,
    JsonBody(body): JsonBody<DownlinkBody>,
) -> Result<Response, Problem> {
    let payload = from_base64("payload_base64", &body.payload_base64)?;
    let path = path::DOWNLINK_DATA;
    let question = Question {
        endpoint: state.endpoint("endpoint", &endpoint)?,
        operation: DeviceOperation::Write,
        path,
        content: keep_value(path, Value::Opaque(payload))?,
        ttl_seconds: body.ttl_seconds,
        actor,
        role,
    };
    ask(&state, question).await
}
