//! `POST /api/v1/devices/{endpoint}/resources/{path}`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{AnswerView, DeviceRequestView};
use super::{Question, ask, parse_path};
use crate::http::HttpState;
use crate::http::auth::Role;
use crate::http::error::Problem;
use crate::http::extract::{OptionalJsonBody, PathParams, QueryParams};
use crate::model::{AuditActor, DeviceOperation};

/// The longest list of arguments, in bytes: what a datagram of NB-IoT holds with ease.
const ARGUMENTS_BYTES_MAX: usize = 256;

/// How a device executes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExecuteQuery {
    /// For how long to wait for a device that sleeps; 24 hours unless configured otherwise.
    ttl_seconds: Option<u64>,
}

/// What is executed with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteBody {
    /// The arguments as the device gets them (LwM2M Core §6.3.5), such as `0='a',1`.
    arguments: Option<String>,
}

/// Executes a resource on the device, such as `3/0/4`, Reboot. It is sent at most once: where no answer
/// comes, as devices that reboot give none, its state is `unknown`. 202 as for a read.
#[utoipa::path(post, path = "/api/v1/devices/{endpoint}/resources/{*path}", tag = "devices",
    params(
        ("endpoint" = String, Path, description = "The endpoint client name"),
        ("path" = String, Path, description = "A resource, such as 3/0/4"),
        ExecuteQuery,
    ),
    request_body = Option<ExecuteBody>,
    responses(
        (status = 200, description = "The device took it", body = AnswerView),
        (status = 202, description = "It is sent when the device is next heard", body = DeviceRequestView,
            headers(("Location" = String, description = "Where the answer will be"))),
    ))]
pub(crate) async fn execute_resource(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(role): Extension<Role>,
    PathParams((endpoint, path)): PathParams<(String, String)>,
    QueryParams(query): QueryParams<ExecuteQuery>,
    OptionalJsonBody(body): OptionalJsonBody<ExecuteBody>,
) -> Result<Response, Problem> {
    let path = parse_path(&path)?;
    if path.resource.is_none() {
        return Err(Problem::invalid_field(
            "path",
            "only a resource is executed",
        ));
    }
    let arguments = body.arguments.unwrap_or_default();
    if arguments.len() > ARGUMENTS_BYTES_MAX
        || !arguments.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    {
        let fault = format!("must be at most {ARGUMENTS_BYTES_MAX} printable ASCII characters");
        return Err(Problem::invalid_field("arguments", fault));
    }
    let question = Question {
        endpoint: state.endpoint("endpoint", &endpoint)?,
        operation: DeviceOperation::Execute,
        path,
        content: arguments.into(),
        ttl_seconds: query.ttl_seconds,
        actor,
        role,
    };
    ask(&state, question).await
}
