//! `GET /api/v1/devices/{endpoint}/resources/{path}`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;

use super::view::{AnswerView, DeviceRequestView};
use super::{Question, ask, parse_path};
use crate::http::HttpState;
use crate::http::auth::Role;
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::model::{AuditActor, DeviceOperation};

/// How a device is read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadQuery {
    /// Whether to list what is there, with its attributes, instead of its values.
    #[serde(default)]
    discover: bool,
    /// For how long to wait for a device that sleeps; 24 hours unless configured otherwise.
    ttl_seconds: Option<u64>,
}

/// Reads (or discovers) an object, an instance or a resource on the device. It costs the device radio
/// and power, so it is no viewer's. A device that sleeps, or does not answer in time, is asked when it
/// is next heard: 202, and `Location` says where the answer will be.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/resources/{*path}", tag = "devices",
    params(
        ("endpoint" = String, Path, description = "The endpoint client name"),
        ("path" = String, Path, description = "Object, instance or resource, such as 3/0/3"),
        ReadQuery,
    ),
    responses(
        (status = 200, description = "What the device answered", body = AnswerView),
        (status = 202, description = "It is asked when it is next heard", body = DeviceRequestView,
            headers(("Location" = String, description = "Where the answer will be"))),
    ))]
pub(crate) async fn read_resource(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(role): Extension<Role>,
    PathParams((endpoint, path)): PathParams<(String, String)>,
    QueryParams(query): QueryParams<ReadQuery>,
) -> Result<Response, Problem> {
    let operation = if query.discover {
        DeviceOperation::Discover
    } else {
        DeviceOperation::Read
    };
    let question = Question {
        endpoint: state.endpoint("endpoint", &endpoint)?,
        operation,
        path: parse_path(&path)?,
        content: Bytes::new(),
        ttl_seconds: query.ttl_seconds,
        actor,
        role,
    };
    ask(&state, question).await
}
