//! The phases of a rollout: who is in which, and whether the next may begin.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::Progress;
use crate::model::{EndpointName, OnErrors, PhaseMembers, Rollout, RolloutPhase};

/// What a phase's tasks say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseVerdict {
    /// It is not known yet.
    Wait,
    /// Enough have succeeded.
    Enough,
    /// Too many have failed.
    Errors(OnErrors),
    /// All have ended, and too few have succeeded.
    TooFew,
}

/// Puts devices in the order of their phases. The sizes are of all phases but the last, which has what
/// is left. Within what is not named the order is by chance, and the same for the same `salt`: a phase is
/// no street.
pub fn in_phases(
    rollout: &Rollout,
    devices: Vec<EndpointName>,
    salt: &str,
) -> (Vec<EndpointName>, Vec<usize>) {
    let gates = rollout.gates();
    if gates.is_empty() {
        return (devices, Vec::new());
    }
    let total = devices.len();
    let mut left: Vec<EndpointName> = devices;
    left.sort_by_cached_key(|device| {
        let digest = Sha256::new()
            .chain_update(salt)
            .chain_update([0])
            .chain_update(device.as_str())
            .finalize();
        <[u8; 32]>::from(digest)
    });
    let (mut ordered, mut sizes) = (Vec::with_capacity(total), Vec::new());
    for gate in &gates {
        let members = match &gate.members {
            PhaseMembers::Devices(names) => {
                let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
                let (members, others) = left
                    .into_iter()
                    .partition(|device| names.contains(device.as_str()));
                left = others;
                members
            }
            PhaseMembers::Count(count) => {
                first(&mut left, usize::try_from(*count).unwrap_or(total))
            }
            PhaseMembers::Percent(percent) => {
                first(&mut left, (total * usize::from(*percent)).div_ceil(100))
            }
        };
        sizes.push(members.len());
        ordered.extend(members);
    }
    ordered.append(&mut left);
    (ordered, sizes)
}

fn first(left: &mut Vec<EndpointName>, count: usize) -> Vec<EndpointName> {
    let others = left.split_off(count.min(left.len()));
    std::mem::replace(left, others)
}

/// Whether a phase has done what the next one waits for. What was stopped counts as if it had not been
/// there, but proves nothing: a phase all of whose tasks were stopped has too few successes. So many count
/// as `failed`.
pub fn judge(gate: &RolloutPhase, counts: &Progress, failed: u64) -> PhaseVerdict {
    let total = counts.total().saturating_sub(counts.stopped);
    if failed * 100 > u64::from(gate.failed_percent_max) * total {
        PhaseVerdict::Errors(gate.on_errors)
    } else if total == 0 && counts.stopped > 0 {
        PhaseVerdict::TooFew
    } else if counts.succeeded * 100 >= u64::from(gate.success_percent_min) * total {
        PhaseVerdict::Enough
    } else if counts.unfinished() == 0 {
        PhaseVerdict::TooFew
    } else {
        PhaseVerdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskState;
    use proptest::prelude::*;

    fn phase(members: PhaseMembers) -> RolloutPhase {
        RolloutPhase {
            members,
            success_percent_min: 90,
            failed_percent_max: 10,
            on_errors: OnErrors::Pause,
            soak_hours: 0,
            approval_required: false,
        }
    }

    fn devices(count: usize) -> Vec<EndpointName> {
        let name = |number| EndpointName::parse(&format!("dev-{number:04}"));
        (0..count).map(|number| name(number).unwrap()).collect()
    }

    fn counts(succeeded: u64, failed: u64, stopped: u64, pending: u64) -> Progress {
        let mut counts = Progress::default();
        for (state, count) in [
            (TaskState::Succeeded, succeeded),
            (TaskState::Failed, failed),
            (TaskState::Stopped, stopped),
            (TaskState::Pending, pending),
        ] {
            for _ in 0..count {
                counts.add(state);
            }
        }
        counts
    }

    #[test]
    fn the_trial_is_first_then_canaries_then_parts_of_what_is_left() {
        let rollout = Rollout {
            approval_required: false,
            trial: Some("dev-0042".to_owned()),
            phases: vec![
                phase(PhaseMembers::Devices(vec![
                    "dev-0042".to_owned(),
                    "dev-0007".to_owned(),
                    "dev-0009".to_owned(),
                ])),
                phase(PhaseMembers::Count(5)),
                phase(PhaseMembers::Percent(25)),
            ],
        };
        let (ordered, sizes) = in_phases(&rollout, devices(100), "salt");
        assert_eq!(sizes, [1, 2, 5, 25]);
        assert_eq!(ordered[0].as_str(), "dev-0042");
        let canaries: BTreeSet<_> = ordered[1..3].iter().map(EndpointName::as_str).collect();
        assert_eq!(canaries, BTreeSet::from(["dev-0007", "dev-0009"]));
        let (again, _) = in_phases(&rollout, devices(100), "salt");
        assert_eq!(again, ordered);
        let (other, _) = in_phases(&rollout, devices(100), "another");
        assert_ne!(other[3..], ordered[3..]);
        let by_name = ordered[3..8].windows(2).all(|pair| pair[0] < pair[1]);
        assert!(!by_name, "no order of names: {:?}", &ordered[3..8]);
    }

    #[test]
    fn a_phase_is_judged_by_its_ends() {
        let gate = phase(PhaseMembers::Percent(10));
        for (told, failed, verdict) in [
            (counts(0, 0, 0, 10), 0, PhaseVerdict::Wait),
            (counts(8, 1, 0, 1), 1, PhaseVerdict::Wait),
            (counts(9, 1, 0, 0), 1, PhaseVerdict::Enough),
            (counts(9, 0, 0, 1), 0, PhaseVerdict::Enough),
            (counts(5, 2, 0, 3), 2, PhaseVerdict::Errors(OnErrors::Pause)),
            // One of them was excused.
            (counts(5, 2, 0, 3), 1, PhaseVerdict::Wait),
            (counts(8, 2, 0, 0), 0, PhaseVerdict::TooFew),
            // Devices that were lost are tried again, and count.
            (counts(9, 0, 0, 1), 2, PhaseVerdict::Errors(OnErrors::Pause)),
            (counts(8, 0, 0, 2), 1, PhaseVerdict::Wait),
            // What was stopped is as if it had not been there.
            (counts(9, 0, 40, 0), 0, PhaseVerdict::Enough),
            // But where nothing else was there, nothing is proven.
            (counts(0, 0, 3, 0), 0, PhaseVerdict::TooFew),
            (counts(0, 0, 3, 1), 0, PhaseVerdict::Wait),
            (counts(0, 0, 0, 0), 0, PhaseVerdict::Enough),
        ] {
            assert_eq!(judge(&gate, &told, failed), verdict, "{told:?}");
        }
    }

    proptest! {
        #[test]
        fn each_device_is_in_one_phase(
            count in 0_usize..60,
            percents in prop::collection::vec(0_u8..60, 0..5),
        ) {
            let phases = percents.iter().map(|&percent| phase(PhaseMembers::Percent(percent)));
            let rollout = Rollout { phases: phases.collect(), ..Rollout::default() };
            let (mut ordered, sizes) = in_phases(&rollout, devices(count), "salt");
            prop_assert!(sizes.iter().sum::<usize>() <= count);
            for (size, percent) in sizes.iter().zip(&percents) {
                prop_assert!(*size * 100 < count * usize::from(*percent) + 100);
            }
            ordered.sort();
            prop_assert_eq!(ordered, devices(count));
        }
    }
}
