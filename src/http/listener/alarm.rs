//! A timer that is set again and again.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::clock::{Instant, SystemClock};

/// Wakes its task at a deadline that may move.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once the deadline has come; otherwise the task is woken then.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        clock: &SystemClock,
        deadline: Instant,
    ) -> Poll<()> {
        let deadline = clock.deadline(deadline);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }
}
