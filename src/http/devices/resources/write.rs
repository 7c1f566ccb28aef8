//! `PUT /api/v1/devices/{endpoint}/resources/{path}`.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;

use super::value::{ResourceValue, WrittenValue, written_value, written_values};
use super::view::{AnswerView, DeviceRequestView};
use super::{Question, ask, parse_path};
use crate::http::HttpState;
use crate::http::auth::Role;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::http::precondition::IfMatch;
use crate::model::{AuditActor, DeviceOperation};

/// The attributes of notifications (LwM2M Core §5.1.2).
const ATTRIBUTES: [&str; 7] = ["pmin", "pmax", "epmin", "epmax", "gt", "lt", "st"];

/// How a device is written.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteQuery {
    /// Whether the resources of an instance that are not named stay as they are.
    #[serde(default)]
    partial: bool,
    /// For how long to wait for a device that sleeps; 24 hours unless configured otherwise.
    ttl_seconds: Option<u64>,
}

/// What is written: one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteBody {
    /// The value of a resource.
    value: Option<ResourceValue>,
    /// The values of an instance's resources by their ids, or of a resource's instances.
    values: Option<BTreeMap<String, WrittenValue>>,
    /// Attributes of notifications, `pmin` and the like; null takes one away.
    attributes: Option<BTreeMap<String, Option<f64>>>,
}

/// Writes a resource or an instance on the device, or attributes of notifications. It is sent at most
/// once: where no answer comes its state is `unknown`. 202 as for a read.
#[utoipa::path(put, path = "/api/v1/devices/{endpoint}/resources/{*path}", tag = "devices",
    params(
        ("endpoint" = String, Path, description = "The endpoint client name"),
        ("path" = String, Path, description = "Instance or resource, such as 3/0/14"),
        WriteQuery,
    ),
    request_body = WriteBody,
    responses(
        (status = 200, description = "The device took it", body = AnswerView),
        (status = 202, description = "It is sent when the device is next heard", body = DeviceRequestView,
            headers(("Location" = String, description = "Where the answer will be"))),
    ))]
pub(crate) async fn write_resource(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(role): Extension<Role>,
    PathParams((endpoint, path)): PathParams<(String, String)>,
    QueryParams(query): QueryParams<WriteQuery>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<WriteBody>,
) -> Result<Response, Problem> {
    if_match.check_untagged()?;
    let path = parse_path(&path)?;
    let write = if query.partial {
        DeviceOperation::PartialWrite
    } else {
        DeviceOperation::Write
    };
    let (operation, content) = match (body.value, body.values, body.attributes) {
        (Some(value), None, None) => (write, written_value(path, &value)?),
        (None, Some(values), None) => (write, written_values(path, &values)?),
        (None, None, Some(attributes)) => (
            DeviceOperation::WriteAttributes,
            attribute_query(&attributes)?,
        ),
        _ => {
            let detail = "send one of value, values and attributes";
            return Err(Problem::new(kinds::INVALID_FIELD, detail));
        }
    };
    let question = Question {
        endpoint: state.endpoint("endpoint", &endpoint)?,
        operation,
        path,
        content,
        ttl_seconds: query.ttl_seconds,
        actor,
        role,
    };
    ask(&state, question).await
}

/// `pmin=10&pmax=60`; one without a value is taken away (LwM2M Core §6.3.4).
fn attribute_query(attributes: &BTreeMap<String, Option<f64>>) -> Result<Bytes, Problem> {
    let mut parts = Vec::new();
    for (name, value) in attributes {
        if !ATTRIBUTES.contains(&name.as_str()) {
            let fault = format!("must be one of {}", ATTRIBUTES.join(", "));
            return Err(Problem::invalid_field(format!("attributes.{name}"), fault));
        }
        parts.push(match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
    }
    if parts.is_empty() {
        return Err(Problem::invalid_field("attributes", "must not be empty"));
    }
    Ok(parts.join("&").into())
}
