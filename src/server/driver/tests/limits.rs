//! The limits of cells count, for a later engine too, from the commit on that says who set them.

use tokio::sync::oneshot;

use super::super::*;
use super::bench::{Bench, end_commit};
use crate::engine::Command;
use crate::model::{AuditAction, AuditActor, TierLimits};
use crate::store::Page;

const SET: TierLimits = TierLimits {
    tier0: 7,
    tier1: 6,
    tier2: 5,
    unknown: 4,
};

async fn set(driver: &mut Driver) -> Result<(), EngineError> {
    let command = Command::SetCellLimits {
        limits: SET,
        overrides: Default::default(),
    };
    let (answer, mut answered) = oneshot::channel();
    let actor = Some(AuditActor::server());
    driver.handle_request(EngineRequest::Command(command, actor, answer));
    driver.commit_not_before = None;
    driver.start_commit();
    end_commit(driver).await;
    answered.try_recv().unwrap()
}

async fn entries(bench: &Bench) -> usize {
    let page = Page {
        after: None,
        limit: 1000,
    };
    let entries = bench.store.audit_entries(page).await.unwrap().into_iter();
    let word = AuditAction::CellLimitsChanged.word();
    entries.filter(|entry| entry.action == word).count()
}

#[tokio::test(start_paused = true)]
async fn limits_that_could_not_be_committed_count_in_no_later_engine() {
    let (mut driver, bench) = Bench::new().await;
    let before = driver.parts.rebuild.config.tier_limits;
    bench.store.fail(true);
    let refused = set(&mut driver).await;
    assert!(
        matches!(refused, Err(EngineError::NotCommitted(_))),
        "{refused:?}"
    );
    assert_eq!(driver.parts.rebuild.config.tier_limits, before);
    assert_eq!(entries(&bench).await, 0);

    bench.store.fail(false);
    assert_eq!(set(&mut driver).await, Ok(()));
    assert_eq!(driver.parts.rebuild.config.tier_limits, SET);
    assert_eq!(entries(&bench).await, 1);
}
