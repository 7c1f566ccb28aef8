//! 重试策略: whether a failed task is tried again, and when.

use std::time::Duration;

use crate::clock::Utc;
use crate::model::{Backoff, Failure, FailureReason, RetryPacing, RetryPolicy};

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, not before this.
    RetryAt(Utc),
    /// The task has failed.
    GiveUp,
}

/// What follows attempt number `attempts_made` (from 1), which failed of `failure`. `roll` is what chance
/// says of the delay, of all that a `u32` can be.
///
/// A cause has a bound of its own beside the policy's. It counts all attempts of the task, whatever
/// they failed of: only the last cause is kept.
pub fn decide(
    policy: &RetryPolicy,
    pacing: &RetryPacing,
    failure: &Failure,
    attempts_made: u8,
    now: Utc,
    roll: u32,
) -> Next {
    let retries_max = policy
        .retries_max
        .min(RetryPolicy::RETRIES_MAX)
        .min(retries_max(failure.reason));
    let retries_made = attempts_made.saturating_sub(1);
    if retries_made < retries_max {
        Next::RetryAt(now + delay(policy, pacing, retries_made, roll))
    } else {
        Next::GiveUp
    }
}

/// How long is waited before the retry that follows `retries_made` others.
fn delay(policy: &RetryPolicy, pacing: &RetryPacing, retries_made: u8, roll: u32) -> Duration {
    let first_ms = u64::try_from(policy.delay.as_millis()).unwrap_or(u64::MAX);
    let most_ms = first_ms.max(u64::from(pacing.delay_seconds_max) * 1000);
    let delay_ms = match pacing.backoff {
        Backoff::Constant => first_ms,
        Backoff::Exponential => first_ms
            .saturating_mul(1 << retries_made.min(16))
            .min(most_ms),
    };
    // Whole numbers: every platform comes to the same.
    let jitter_ms = delay_ms.saturating_mul(pacing.jitter_percent.min(100).into()) / 100;
    let share_ms = (u128::from(jitter_ms) * u128::from(roll)) >> u32::BITS;
    Duration::from_millis(delay_ms.saturating_add(u64::try_from(share_ms).unwrap_or(u64::MAX)))
}

/// The longest that the retry after so many attempts is waited for.
pub fn longest_delay(policy: &RetryPolicy, pacing: &RetryPacing, attempts_made: u8) -> Duration {
    let retries_made = attempts_made.saturating_sub(1);
    delay(policy, pacing, retries_made, u32::MAX)
}

/// How often a failure of this cause is worth another try at the most.
fn retries_max(reason: FailureReason) -> u8 {
    match reason {
        // The same package on the same device comes to the same end.
        FailureReason::NoSpace
        | FailureReason::UnsupportedPackage
        | FailureReason::UnsupportedProtocol
        | FailureReason::NotEligible => 0,
        // It has waited for as long as it may.
        FailureReason::ConditionUnmet | FailureReason::ConsentMissing => 0,
        // Somebody else decides.
        FailureReason::TaskConflict
        | FailureReason::Barred
        | FailureReason::Stopped
        | FailureReason::CampaignEnded
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
        let pacing = RetryPacing::default();
        while decide(&policy, &pacing, &failure, attempts, NOW, 0) != Next::GiveUp {
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
            FailureReason::ConditionUnmet,
            FailureReason::ConsentMissing,
            FailureReason::TaskConflict,
            FailureReason::Barred,
            FailureReason::Stopped,
            FailureReason::CampaignEnded,
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
        let pacing = RetryPacing::default();
        assert_eq!(
            decide(&policy, &pacing, &failure, 1, NOW, 0),
            Next::RetryAt(Utc::from_unix_ms(1_007_000))
        );
    }

    #[test]
    fn the_delay_doubles_up_to_its_bound_or_stays() {
        let policy = RetryPolicy {
            retries_max: 5,
            delay: Duration::from_secs(120),
        };
        let seconds = |pacing: &RetryPacing, policy: &RetryPolicy| -> Vec<u64> {
            (0..5)
                .map(|made| delay(policy, pacing, made, 0).as_secs())
                .collect()
        };
        let pacing = RetryPacing {
            delay_seconds_max: 1000,
            ..RetryPacing::default()
        };
        assert_eq!(seconds(&pacing, &policy), [120, 240, 480, 960, 1000]);
        let constant = RetryPacing {
            backoff: Backoff::Constant,
            ..pacing
        };
        assert_eq!(seconds(&constant, &policy), [120; 5]);
        // What the operator asked for is not cut.
        let long = RetryPolicy {
            delay: Duration::from_secs(7200),
            ..policy
        };
        assert_eq!(seconds(&pacing, &long), [7200; 5]);
    }

    #[test]
    fn chance_adds_its_share_and_no_more() {
        let policy = RetryPolicy {
            retries_max: 5,
            delay: Duration::from_secs(100),
        };
        let pacing = RetryPacing {
            backoff: Backoff::Constant,
            jitter_percent: 50,
            ..RetryPacing::default()
        };
        let delay_ms = |roll| delay(&policy, &pacing, 0, roll).as_millis();
        assert_eq!(delay_ms(0), 100_000);
        assert_eq!(delay_ms(1 << 31), 125_000);
        assert_eq!(delay_ms(u32::MAX), 149_999);
        let longest = longest_delay(&policy, &pacing, 5);
        assert_eq!(longest, delay(&policy, &pacing, 4, u32::MAX));
    }
}
