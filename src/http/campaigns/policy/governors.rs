//! What slows or ends a campaign as a whole, as it comes and as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rollout::{on_errors_word, parse_on_errors};
use crate::http::error::Problem;
use crate::model::{ErrorThreshold, Governors};

/// How many failures are too many, of all the campaign's tasks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ErrorThreshold)]
pub(crate) struct ErrorThresholdView {
    /// More than so many of a hundred ended tasks.
    #[schema(maximum = 100)]
    failed_percent_max: u8,
    /// Not before so many tasks have ended.
    #[schema(minimum = 1)]
    #[serde(default = "ended_min")]
    ended_min: u64,
    /// `pause` or `stop`.
    #[serde(default = "pause")]
    action: String,
}

fn ended_min() -> u64 {
    10
}

fn pause() -> String {
    "pause".to_owned()
}

/// The governors that these fields mean.
pub(in crate::http) fn parse_governors(
    starts_per_minute_max: Option<u32>,
    error_threshold: Option<ErrorThresholdView>,
) -> Result<Governors, Problem> {
    if starts_per_minute_max == Some(0) {
        let fault = "must be 1 or more; to let nothing begin, pause the campaign";
        return Err(Problem::invalid_field("starts_per_minute_max", fault));
    }
    let error_threshold = error_threshold.map(ErrorThresholdView::parse).transpose()?;
    Ok(Governors {
        starts_per_minute_max,
        error_threshold,
    })
}

impl ErrorThresholdView {
    fn parse(self) -> Result<ErrorThreshold, Problem> {
        if self.failed_percent_max > 100 {
            let field = "error_threshold.failed_percent_max";
            return Err(Problem::invalid_field(field, "must be 0 to 100"));
        }
        if self.ended_min == 0 {
            let field = "error_threshold.ended_min";
            return Err(Problem::invalid_field(field, "must be 1 or more"));
        }
        Ok(ErrorThreshold {
            failed_percent_max: self.failed_percent_max,
            ended_min: self.ended_min,
            action: parse_on_errors("error_threshold.action", &self.action)?,
        })
    }
}

impl From<ErrorThreshold> for ErrorThresholdView {
    fn from(threshold: ErrorThreshold) -> Self {
        Self {
            failed_percent_max: threshold.failed_percent_max,
            ended_min: threshold.ended_min,
            action: on_errors_word(threshold.action).to_owned(),
        }
    }
}
