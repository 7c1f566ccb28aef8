//! What the honest peers saw, and how that is shown.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Who was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An Update or a Register of a device.
    Device,
    /// A list of devices for an operator.
    Operator,
    /// A block for the device that downloads.
    Block,
}

pub(crate) const KINDS: [(Kind, &str); 3] = [
    (Kind::Device, "Update, Register"),
    (Kind::Operator, "GET devices"),
    (Kind::Block, "block"),
];

/// The figures of one row.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    latencies: [Vec<Duration>; KINDS.len()],
    pub(crate) retransmissions: u32,
    /// Images that came whole and right.
    pub(crate) images: u32,
    /// The most memory that the server had.
    pub(crate) resident_kib_max: u64,
    /// What should not have been.
    pub(crate) faults: Vec<String>,
}

/// The figures, as their threads share them.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Figures>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap()
    }

    /// What has gathered since it was last taken.
    pub(crate) fn take(&self) -> Figures {
        std::mem::take(&mut *self.lock())
    }
}

impl Figures {
    pub(crate) fn answered(&mut self, kind: Kind, latency: Duration) {
        self.latencies[kind as usize].push(latency);
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.latencies[kind as usize].len()
    }

    /// The latency that so many of a hundred do not pass.
    pub(crate) fn percentile(&self, kind: Kind, percent: usize) -> Duration {
        let mut sorted = self.latencies[kind as usize].clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }

    /// Number, p50, p99 and maximum in milliseconds of each kind.
    pub(crate) fn columns(&self) -> String {
        let columns = KINDS.map(|(kind, _)| {
            let [p50, p99, max] = [50, 99, 100].map(|percent| {
                let latency = self.percentile(kind, percent);
                format!("{:>8.2}", latency.as_secs_f64() * 1000.0)
            });
            format!("{:>6}{p50}{p99}{max}", self.count(kind))
        });
        columns.join(" |")
    }

    /// The lines above [`Self::columns`].
    pub(crate) fn head() -> [String; 2] {
        let names = KINDS.map(|(_, name)| format!("{name:>30}"));
        let column = format!("{:>6}{:>8}{:>8}{:>8}", "n", "p50", "p99", "max ms");
        [names.join(" |"), [column.as_str(); 3].join(" |")]
    }
}
