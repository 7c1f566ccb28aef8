//! Places where a debug build dies on demand, for the tests of crashes; a release build has none.
//!
//! `NARROWCAST_FAILPOINT=after_commit:execute_intended:3` ends the process, without a word to anyone,
//! when the third batch with such a record has been committed and nothing of it is sent.

use crate::model::{Record, TimelineStep};

/// Where, around a batch's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The records are drained from the engine; the store has not seen them.
    BeforeCommit,
    /// They are durable; what rests on them is not sent.
    AfterCommit,
    /// All that rests on them is sent.
    AfterSend,
}

/// What a batch has to hold for the point to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A block, which rests on no commit: it counts after it was sent.
    Block,
    /// A registration.
    Registered,
    /// An operator's request to a device.
    DeviceRequest,
    /// A line of a device's history.
    Step(TimelineStep),
}

/// The one that is armed, if any.
#[derive(Debug, Default)]
pub(super) struct Failpoint {
    armed: Option<Armed>,
}

#[derive(Debug, PartialEq, Eq)]
struct Armed {
    point: Point,
    mark: Mark,
    /// How often it is still to be reached.
    left: u32,
}

impl Failpoint {
    /// Armed by the environment; a text that is none is said and arms nothing.
    pub(super) fn from_environment() -> Self {
        const VARIABLE: &str = "NARROWCAST_FAILPOINT";
        if !cfg!(debug_assertions) {
            return Self::default();
        }
        let Ok(text) = std::env::var(VARIABLE) else {
            return Self::default();
        };
        let armed = Armed::parse(&text);
        if armed.is_none() {
            tracing::error!(%text, "{VARIABLE} is not POINT:MARK:COUNT");
        }
        Self { armed }
    }

    /// A batch has come to this point.
    pub(super) fn reach(&mut self, point: Point, records: &[Record]) {
        self.reach_if(|armed| {
            armed.point == point && records.iter().any(|record| armed.mark.is_in(record))
        });
    }

    /// A block was sent.
    pub(super) fn reach_block(&mut self) {
        self.reach_if(|armed| armed.mark == Mark::Block);
    }

    fn reach_if(&mut self, holds: impl FnOnce(&Armed) -> bool) {
        if !cfg!(debug_assertions) {
            return;
        }
        let Some(armed) = &mut self.armed else {
            return;
        };
        if holds(armed) {
            armed.left -= 1;
            if armed.left == 0 {
                // As SIGKILL does: no destructor runs, nothing is flushed.
                std::process::abort();
            }
        }
    }
}

impl Armed {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(':');
        let point = match words.next()? {
            "before_commit" => Point::BeforeCommit,
            "after_commit" => Point::AfterCommit,
            "after_send" => Point::AfterSend,
            _ => return None,
        };
        let mark = match words.next()? {
            "block" => Mark::Block,
            "registered" => Mark::Registered,
            "device_request" => Mark::DeviceRequest,
            step => Mark::Step(TimelineStep::from_word(step)?),
        };
        let left = words.next()?.parse().ok().filter(|&left| left > 0)?;
        words.next().is_none().then_some(Self { point, mark, left })
    }
}

impl Mark {
    fn is_in(self, record: &Record) -> bool {
        match self {
            Self::Block => false,
            Self::Registered => matches!(record, Record::Registered(_)),
            Self::DeviceRequest => matches!(record, Record::DeviceRequest(_)),
            Self::Step(step) => matches!(record, Record::Timeline(entry) if entry.step == step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_is_a_point_a_mark_and_a_count() {
        assert_eq!(
            Armed::parse("after_commit:execute_intended:3"),
            Some(Armed {
                point: Point::AfterCommit,
                mark: Mark::Step(TimelineStep::ExecuteIntended),
                left: 3,
            })
        );
        for wrong in [
            "",
            "after_commit",
            "after_commit:block",
            "later:block:1",
            "after_send:nothing:1",
            "after_send:block:0",
            "after_send:block:1:1",
        ] {
            assert_eq!(Armed::parse(wrong), None, "{wrong}");
        }
    }
}
