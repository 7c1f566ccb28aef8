//! Admission and release with long queues: the time of one must not grow with the tasks that wait.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use narrowcast::model::{AdmissionPolicy, CellId, CoverageTier, SlotClaim, TaskId};
use narrowcast::scheduler::{CellScheduler, SchedulerConfig};

const CELLS: u32 = 100;

fn claim(task: u64) -> SlotClaim {
    let cells = u64::from(CELLS);
    SlotClaim {
        cell: CellId(u32::try_from(task % cells).unwrap_or(0)),
        tier: CoverageTier::Tier1,
    }
}

/// A scheduler with so many tasks in its queues; every second one's device sleeps.
fn queued(tasks: u64) -> CellScheduler {
    let mut scheduler = CellScheduler::new(SchedulerConfig {
        queue_max: 2_000_000,
        ..SchedulerConfig::default()
    });
    for task in 0..tasks {
        scheduler.request(TaskId(task), claim(task), AdmissionPolicy::default(), None);
    }
    for task in (0..tasks).filter(|task| (task / u64::from(CELLS)) % 2 == 1) {
        scheduler.suspend(TaskId(task));
    }
    scheduler
}

fn scheduler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    for tasks in [10_000_u64, 1_000_000] {
        // A slot is handed on, and who had it asks again: the queue stays as long as it is.
        let mut scheduler = queued(tasks);
        let mut holders: Vec<TaskId> = (0..u64::from(CELLS)).map(TaskId).collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("release_and_request", tasks), |bencher| {
            bencher.iter(|| {
                let holder = holders[turn % holders.len()];
                let granted = black_box(scheduler.release(holder));
                scheduler.request(holder, claim(holder.0), AdmissionPolicy::default(), None);
                if let Some(next) = granted.first() {
                    let at = turn % holders.len();
                    holders[at] = *next;
                }
                turn += 1;
            });
        });

        // A device wakes and sleeps again somewhere in the queue.
        let mut scheduler = queued(tasks);
        let cells = u64::from(CELLS);
        let sleepers = tasks / (2 * cells) - 10;
        let mut turn = 0_u64;
        group.bench_function(BenchmarkId::new("resume_and_suspend", tasks), |bencher| {
            bencher.iter(|| {
                let row = 2 * (10 + turn.wrapping_mul(7_919) % sleepers) + 1;
                let task = TaskId(row * cells + turn % cells);
                black_box(scheduler.request(task, claim(task.0), AdmissionPolicy::default(), None));
                scheduler.suspend(task);
                turn += 1;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler);
criterion_main!(benches);
