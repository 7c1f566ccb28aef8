//! 执行详情: how many tasks of a campaign are in each state, and when it has ended.

use std::collections::BTreeMap;

use crate::model::{CampaignState, TaskState};

/// A task was said to leave a state that no task was in: the counts cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no task was counted as {state}")]
pub struct NotCounted {
    /// The state.
    pub state: TaskState,
}

/// Counts of tasks by state. Their sum changes only when a task joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Wait.
    pub pending: u64,
    /// Run.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly.
    pub failed: u64,
    /// Ended by an operator.
    pub stopped: u64,
}

impl Progress {
    /// A task joins in this state.
    pub fn add(&mut self, state: TaskState) {
        *self.count_mut(state) += 1;
    }

    /// A task that was in one state is in another.
    ///
    /// # Errors
    /// Where no task was in `from`; nothing is changed.
    pub fn handle_change(&mut self, from: TaskState, to: TaskState) -> Result<(), NotCounted> {
        let count = self.count_mut(from);
        *count = count.checked_sub(1).ok_or(NotCounted { state: from })?;
        self.add(to);
        Ok(())
    }

    /// How many tasks are in this state.
    pub const fn count(&self, state: TaskState) -> u64 {
        match state {
            TaskState::Pending => self.pending,
            TaskState::Running => self.running,
            TaskState::Succeeded => self.succeeded,
            TaskState::Failed => self.failed,
            TaskState::Stopped => self.stopped,
        }
    }

    /// All tasks.
    pub const fn total(&self) -> u64 {
        self.unfinished() + self.succeeded + self.failed + self.stopped
    }

    /// Tasks of which something is still to come.
    pub const fn unfinished(&self) -> u64 {
        self.pending + self.running
    }

    /// The state in which a campaign with these tasks has ended; `None` while one is unfinished.
    ///
    /// A failure outweighs all else. A campaign whose tasks were taken from it one by one was
    /// stopped. One without tasks has nothing that did not succeed.
    pub const fn outcome(&self) -> Option<CampaignState> {
        if self.unfinished() > 0 {
            None
        } else if self.failed > 0 {
            Some(CampaignState::Failed)
        } else if self.stopped > 0 {
            Some(CampaignState::Stopped)
        } else {
            Some(CampaignState::Succeeded)
        }
    }

    const fn count_mut(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Pending => &mut self.pending,
            TaskState::Running => &mut self.running,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed => &mut self.failed,
            TaskState::Stopped => &mut self.stopped,
        }
    }
}

/// The same by phase of the rollout, and of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseProgress {
    all: Progress,
    phases: BTreeMap<u16, Progress>,
    lost: BTreeMap<u16, u64>,
}

impl PhaseProgress {
    /// Tasks of a phase join, so many in each state.
    pub fn join(&mut self, phase: u16, counts: Progress) {
        for &state in TaskState::ALL {
            *self.all.count_mut(state) += counts.count(state);
            *self.phases.entry(phase).or_default().count_mut(state) += counts.count(state);
        }
    }

    /// A task of a phase joins in this state.
    pub fn add(&mut self, phase: u16, state: TaskState) {
        self.all.add(state);
        self.phases.entry(phase).or_default().add(state);
    }

    /// As [`Progress::handle_change`].
    ///
    /// # Errors
    /// Where no task of the phase was in `from`; nothing is changed.
    pub fn handle_change(
        &mut self,
        phase: u16,
        from: TaskState,
        to: TaskState,
    ) -> Result<(), NotCounted> {
        let counts = self.phases.entry(phase).or_default();
        counts.handle_change(from, to)?;
        self.all.handle_change(from, to)
    }

    /// The device of an unfinished task of a phase was lost after its Execute.
    pub fn lose(&mut self, phase: u16) {
        *self.lost.entry(phase).or_default() += 1;
    }

    /// A task whose device was lost has ended.
    pub fn lose_no_more(&mut self, phase: u16) {
        if let Some(lost) = self.lost.get_mut(&phase) {
            *lost = lost.saturating_sub(1);
        }
    }

    /// How many of all tasks count as failed: those that have, and those whose device was lost.
    pub fn failed(&self) -> u64 {
        self.all.failed + self.lost.values().sum::<u64>()
    }

    /// The same of one phase.
    pub fn failed_of(&self, phase: u16) -> u64 {
        self.phase(phase).failed + self.lost.get(&phase).copied().unwrap_or_default()
    }

    /// All tasks.
    pub const fn all(&self) -> &Progress {
        &self.all
    }

    /// The tasks of one phase.
    pub fn phase(&self, phase: u16) -> Progress {
        self.phases.get(&phase).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn progress(states: &[TaskState]) -> Progress {
        let mut progress = Progress::default();
        for state in states {
            progress.add(*state);
        }
        progress
    }

    #[test]
    fn a_campaign_ends_with_its_last_task() {
        use TaskState::{Failed, Pending, Running, Stopped, Succeeded};
        for (states, outcome) in [
            (vec![Succeeded, Pending], None),
            (vec![Failed, Running], None),
            (vec![Succeeded, Succeeded], Some(CampaignState::Succeeded)),
            (
                vec![Succeeded, Failed, Stopped],
                Some(CampaignState::Failed),
            ),
            (vec![Succeeded, Stopped], Some(CampaignState::Stopped)),
            (vec![], Some(CampaignState::Succeeded)),
        ] {
            assert_eq!(progress(&states).outcome(), outcome, "{states:?}");
        }
    }

    #[test]
    fn a_task_that_was_never_counted_cannot_leave() {
        let mut counts = progress(&[TaskState::Pending]);
        let before = counts;
        let left = counts.handle_change(TaskState::Running, TaskState::Failed);
        assert_eq!(
            left,
            Err(NotCounted {
                state: TaskState::Running
            })
        );
        assert_eq!(counts, before);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_tasks_after_any_changes(
            first in prop::collection::vec(prop::sample::select(TaskState::ALL), 1..30),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(TaskState::ALL)), 0..200),
        ) {
            let mut tasks = first;
            let mut counts = progress(&tasks);
            for (task, to) in changes {
                let task = task.index(tasks.len());
                prop_assert_eq!(counts.handle_change(tasks[task], to), Ok(()));
                tasks[task] = to;
                prop_assert_eq!(counts, progress(&tasks));
                prop_assert_eq!(counts.total(), tasks.len() as u64);
                let ended = tasks.iter().all(|state| state.is_final());
                prop_assert_eq!(counts.outcome().is_some(), ended);
            }
        }
    }
}
