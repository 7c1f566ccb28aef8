//! `narrowcast openapi`: the OpenAPI document of the REST interface.

use super::error::CliError;
use super::output::Output;

pub(super) fn run(output: &Output) -> Result<(), CliError> {
    let document = crate::http::openapi()
        .to_pretty_json()
        .map_err(CliError::failed)?;
    output.line(&document)
}
