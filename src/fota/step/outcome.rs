//! After Execute: what the device reports decides, nothing is sent again.

use crate::lwm2m::path;
use crate::model::{FailureReason, SuccessNote};

use super::super::object5::{State, UpdateResult};
use super::{Execution, Progress, Reading, Reported, Step, Terms};

/// The next step once Execute is intended. The target version is a success before this is asked.
pub(super) fn after_execute(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    match &reported.state {
        Reading::Unread => Step::Read(path::FIRMWARE_STATE),
        // A device that fetches or installs is at work; a booting one may refuse the State for a
        // while, but its version may already tell.
        Reading::Awaited | Reading::Value(State::Updating | State::Downloading) => {
            Step::AwaitOutcome
        }
        Reading::Unreadable(_) if reported.version.is_unread() => {
            Step::Read(path::DEVICE_FIRMWARE_VERSION)
        }
        Reading::Unreadable(_) => Step::AwaitOutcome,
        Reading::Value(State::Downloaded) => returned(reported, progress),
        Reading::Value(State::Idle) => idle(terms, reported, progress),
    }
}

/// State 2: the update failed, was deferred, or Execute had no effect.
fn returned(reported: &Reported, progress: &Progress) -> Step {
    if reported.version.is_unread() {
        return Step::Read(path::DEVICE_FIRMWARE_VERSION);
    }
    if reported.result.is_unread() {
        return Step::Read(path::FIRMWARE_UPDATE_RESULT);
    }
    match reported.result.value() {
        Some(UpdateResult::Deferred) => Step::AwaitDeferred,
        Some(UpdateResult::UpdateFailed) => Step::fail(
            FailureReason::UpdateFailed,
            "/5/0/3 = 2, /5/0/5 = 8 after Execute".to_owned(),
        ),
        // What an uplink brings right after Execute may be older than its effect.
        Some(_) | None if progress.execution == Execution::Open && !progress.settled => {
            Step::Settle
        }
        Some(_) | None => Step::fail(
            FailureReason::UpdateFailed,
            format!("Execute had no effect: /5/0/3 = 2, {}", evidence(reported)),
        ),
    }
}

/// State 0: the update is over, or the device has forgotten it.
fn idle(terms: &Terms, reported: &Reported, progress: &Progress) -> Step {
    if progress.resumed && reported.version.is_unread() {
        return Step::Read(path::DEVICE_FIRMWARE_VERSION);
    }
    if reported.result.is_unread() {
        return Step::Read(path::FIRMWARE_UPDATE_RESULT);
    }
    let result = reported.result.value().copied();
    if terms.settings.trust_result_only && result == Some(UpdateResult::Success) {
        return Step::Succeed(None);
    }
    if reported.version.is_unread() {
        return Step::Read(path::DEVICE_FIRMWARE_VERSION);
    }
    if result == Some(UpdateResult::Deferred) {
        return Step::AwaitDeferred;
    }
    if let Some(reason) = result.and_then(UpdateResult::failure_reason) {
        return Step::fail(reason, format!("/5/0/3 = 0, {}", evidence(reported)));
    }
    let succeeded = result == Some(UpdateResult::Success);
    if reported.version.value().is_none() {
        return if succeeded {
            Step::Succeed(Some(SuccessNote::Unconfirmed))
        } else {
            Step::fail(
                FailureReason::VerificationTimeout,
                format!("/5/0/3 = 0, {}", evidence(reported)),
            )
        };
    }
    if !progress.settled {
        return Step::Settle;
    }
    let reason = if result == Some(UpdateResult::Initial) {
        // Result 0 and the old version: the device has forgotten the update.
        FailureReason::UpdateFailed
    } else {
        FailureReason::VersionMismatch
    };
    Step::fail(reason, format!("/5/0/3 = 0, {}", evidence(reported)))
}

fn evidence(reported: &Reported) -> String {
    let result = reported.result.value().map_or_else(
        || "/5/0/5 unreadable".to_owned(),
        |result| format!("/5/0/5 = {}", result.number()),
    );
    let version = reported.version.value().map_or_else(
        || "/3/0/3 unreadable".to_owned(),
        |version| format!("/3/0/3 = {version}"),
    );
    format!("{result}, {version}")
}
