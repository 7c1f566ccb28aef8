//! What a connection waits for, and until when: it is told the time, and waits for nothing itself.

use super::ConnectionLimits;
use super::pace::Pace;
use crate::clock::Instant;

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    limits: ConnectionLimits,
    phase: Phase,
    until: Instant,
    /// How fast the answer is taken.
    answer: Pace,
    /// The client takes nothing more just now.
    write_blocked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    FirstByte,
    Head,
    /// A request is read and answered: the router's time, and the body's pace, hold.
    Request,
    Idle,
}

/// Which deadline came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    FirstByte,
    Head,
    Idle,
    Answer,
}

impl Expired {
    /// The name of its setting, for metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte_timeout",
            Self::Head => "header_timeout",
            Self::Idle => "idle_timeout",
            Self::Answer => "answer_rate_min",
        }
    }
}

impl Deadlines {
    pub(super) fn new(now: Instant, limits: ConnectionLimits) -> Self {
        Self {
            limits,
            phase: Phase::FirstByte,
            until: now + limits.first_byte_timeout,
            answer: Pace::new(now, limits.rate_min_bytes_per_second, limits.rate_grace),
            write_blocked: false,
        }
    }

    /// Bytes came. Those of a body that nobody reads any more count as a next head.
    pub(super) fn received(&mut self, now: Instant) {
        match self.phase {
            Phase::FirstByte | Phase::Idle => {
                self.phase = Phase::Head;
                self.until = now + self.limits.header_timeout;
            }
            Phase::Head | Phase::Request => {}
        }
    }

    /// A head was read as a whole.
    pub(super) fn request_begun(&mut self) {
        self.phase = Phase::Request;
    }

    /// An answer is there to be sent.
    pub(super) fn answer_begun(&mut self, now: Instant) {
        self.answer = Pace::new(
            now,
            self.limits.rate_min_bytes_per_second,
            self.limits.rate_grace,
        );
    }

    /// The answer is made as a whole; some of it may still have to be sent.
    pub(super) fn answer_ended(&mut self, now: Instant) {
        self.phase = Phase::Idle;
        self.until = now + self.limits.idle_timeout;
    }

    /// Bytes of an answer were taken.
    pub(super) fn sent(&mut self, now: Instant, bytes: usize) {
        self.answer.passed(now, bytes);
        self.write_blocked = false;
        if self.phase == Phase::Idle {
            self.until = now + self.limits.idle_timeout;
        }
    }

    /// All that was made of an answer is with the socket.
    pub(super) fn flushed(&mut self, now: Instant) {
        if self.write_blocked {
            self.sent(now, 0);
        }
    }

    /// The client takes nothing more just now.
    pub(super) fn send_blocked(&mut self) {
        self.write_blocked = true;
    }

    /// Whether nothing would be lost if it were closed now.
    pub(super) fn is_between_requests(&self) -> bool {
        self.phase != Phase::Request && !self.write_blocked
    }

    /// The next deadline, and which.
    pub(super) fn next(&self) -> Option<(Instant, Expired)> {
        if self.write_blocked {
            return Some((self.answer.until(), Expired::Answer));
        }
        let expired = match self.phase {
            Phase::FirstByte => Expired::FirstByte,
            Phase::Head => Expired::Head,
            Phase::Idle => Expired::Idle,
            Phase::Request => return None,
        };
        Some((self.until, expired))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn deadlines() -> Deadlines {
        let seconds = Duration::from_secs;
        let limits = ConnectionLimits {
            first_byte_timeout: seconds(1),
            header_timeout: seconds(2),
            rate_min_bytes_per_second: 100,
            rate_grace: seconds(3),
            idle_timeout: seconds(4),
            ..ConnectionLimits::default()
        };
        Deadlines::new(at(0), limits)
    }

    #[test]
    fn each_phase_has_its_own_deadline() {
        let mut deadlines = deadlines();
        assert_eq!(deadlines.next(), Some((at(1), Expired::FirstByte)));
        deadlines.received(at(1));
        assert_eq!(deadlines.next(), Some((at(3), Expired::Head)));
        deadlines.request_begun();
        assert_eq!(deadlines.next(), None);
        deadlines.answer_begun(at(5));
        deadlines.sent(at(5), 10);
        deadlines.answer_ended(at(6));
        assert_eq!(deadlines.next(), Some((at(10), Expired::Idle)));
        deadlines.received(at(9));
        assert_eq!(deadlines.next(), Some((at(11), Expired::Head)));
    }

    /// A device at 200 bytes a second, whose socket takes 32 KiB at a time.
    #[test]
    fn a_device_may_take_an_image_for_an_hour() {
        let limits = ConnectionLimits {
            rate_min_bytes_per_second: 100,
            rate_grace: Duration::from_secs(600),
            ..ConnectionLimits::default()
        };
        let mut deadlines = Deadlines::new(at(0), limits);
        deadlines.received(at(0));
        deadlines.request_begun();
        deadlines.answer_begun(at(0));
        for second in (0..3600).step_by(32 * 1024 / 200) {
            deadlines.sent(at(second), 32 * 1024);
            deadlines.send_blocked();
            let (until, expired) = deadlines.next().unwrap();
            assert_eq!(expired, Expired::Answer);
            assert!(until > at(second + 32 * 1024 / 200), "{second} s");
        }
    }

    #[test]
    fn a_head_that_dribbles_gets_no_more_time() {
        let mut deadlines = deadlines();
        deadlines.received(at(0));
        deadlines.received(at(1));
        assert_eq!(deadlines.next(), Some((at(2), Expired::Head)));
    }

    #[test]
    fn an_answer_that_is_still_sent_is_not_idle_but_has_to_go_on() {
        let mut deadlines = deadlines();
        deadlines.received(at(0));
        deadlines.request_begun();
        deadlines.answer_begun(at(100));
        deadlines.sent(at(100), 1000);
        deadlines.send_blocked();
        deadlines.answer_ended(at(100));
        assert_eq!(deadlines.next(), Some((at(103), Expired::Answer)));
        assert!(!deadlines.is_between_requests());
        deadlines.sent(at(102), 100);
        deadlines.send_blocked();
        assert_eq!(deadlines.next(), Some((at(104), Expired::Answer)));
        deadlines.sent(at(103), 100);
        assert_eq!(deadlines.next(), Some((at(107), Expired::Idle)));
    }
}
