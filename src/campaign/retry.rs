//! 重试策略: whether a failed task is tried again, and when.

use crate::clock::Utc;
use crate::model::{Failure, FailureReason, RetryPolicy};

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, not before this.
    RetryAt(Utc),
    /// The task has failed.
    GiveUp,
}

/// What follows attempt number `attempts_made` (from 1), which failed of `failure`.
///
/// A cause has a bound of its own beside the policy's. It counts all attempts of the task, whatever
/// they failed of: only the last cause is kept.
pub fn decide(policy: &RetryPolicy, failure: &Failure, attempts_made: u8, now: Utc) -> Next {
    let retries_max = policy
        .retries_max
        .min(RetryPolicy::RETRIES_MAX)
        .min(retries_max(failure.reason));
    let retries_made = attempts_made.saturating_sub(1);
    if retries_made < retries_max {
        Next::RetryAt(now + policy.delay)
    } else {
        Next::GiveUp
    }
}

/// How often a failure of this cause is worth another try at the most.
fn retries_max(reason: FailureReason) -> u8 {
    match reason {
        // The same package on the same device comes to the same end.
        FailureReason::NoSpace
        | FailureReason::UnsupportedPackage
        | FailureReason::UnsupportedProtocol
        | FailureReason::NotEligible => 0,
        // Somebody else decides.
        FailureReason::TaskConflict
        | FailureReason::Barred
        | FailureReason::Stopped
        | FailureReason::KeyRevoked => 0,
        // Once it may have been the link; twice it is the package.
        FailureReason::IntegrityCheckFailed => 1,
        FailureReason::DeviceOffline
        | FailureReason::ContactTimeout
        | FailureReason::Flapping
        | FailureReason::VersionTimeout
        | FailureReason::CellUnknown
        | FailureReason::DownloadStalled
        | FailureReason::ResultTimeout
        | FailureReason::VerificationTimeout
        | FailureReason::VersionMismatch
        | FailureReason::OutOfMemory
        | FailureReason::ConnectionLost
        | FailureReason::InvalidUri
        | FailureReason::UpdateFailed
        | FailureReason::Cancelled => RetryPolicy::RETRIES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Utc = Utc::from_unix_ms(1_000_000);

    fn attempts(retries_max: u8, reason: FailureReason) -> u8 {
        let policy = RetryPolicy {
            retries_max,
            ..RetryPolicy::default()
        };
        let failure = Failure {
            reason,
            evidence: "/5/0/5".to_owned(),
        };
        let mut attempts = 1;
        while decide(&policy, &failure, attempts, NOW) != Next::GiveUp {
            attempts += 1;
            assert!(attempts < 100, "{reason} is tried for ever");
        }
        attempts
    }

    #[test]
    fn without_retries_a_task_has_one_attempt() {
        for &reason in FailureReason::ALL {
            assert_eq!(attempts(0, reason), 1, "{reason}");
        }
    }

    #[test]
    fn retries_follow_the_first_attempt() {
        assert_eq!(attempts(3, FailureReason::ConnectionLost), 4);
        assert_eq!(attempts(5, FailureReason::UpdateFailed), 6);
        assert_eq!(attempts(200, FailureReason::UpdateFailed), 6);
    }

    #[test]
    fn some_causes_are_final_and_a_bad_hash_is_tried_once_more() {
        for reason in [
            FailureReason::NoSpace,
            FailureReason::UnsupportedPackage,
            FailureReason::UnsupportedProtocol,
            FailureReason::NotEligible,
            FailureReason::TaskConflict,
            FailureReason::Barred,
            FailureReason::Stopped,
            FailureReason::KeyRevoked,
        ] {
            assert_eq!(attempts(5, reason), 1, "{reason}");
        }
        assert_eq!(attempts(5, FailureReason::IntegrityCheckFailed), 2);
    }

    #[test]
    fn the_next_attempt_waits_for_the_delay() {
        let policy = RetryPolicy {
            retries_max: 1,
            delay: Duration::from_secs(7),
        };
        let failure = Failure {
            reason: FailureReason::ConnectionLost,
            evidence: String::new(),
        };
        assert_eq!(
            decide(&policy, &failure, 1, NOW),
            Next::RetryAt(Utc::from_unix_ms(1_007_000))
        );
    }
}
