//! What the air does to datagrams, from a seed.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Impairments in percent; order is kept only by chance, as each copy has its own delay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    pub(crate) delay_min: Duration,
    pub(crate) delay_max: Duration,
}

impl Link {
    /// Loses nothing and doubles nothing.
    pub(crate) const fn clean() -> Self {
        Self {
            loss: 0,
            duplication: 0,
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_millis(400),
        }
    }

    /// A cell with bad coverage: some of 10 to 30 % lost, some doubled, seconds of delay.
    pub(crate) fn bad(rng: &mut StdRng) -> Self {
        Self {
            loss: rng.gen_range(10..=30),
            duplication: rng.gen_range(5..=20),
            delay_min: Duration::from_millis(50),
            delay_max: Duration::from_millis(rng.gen_range(500..8_000)),
        }
    }

    /// The delay of each copy of one datagram that arrives.
    pub(crate) fn copies(&self, rng: &mut StdRng) -> Vec<Duration> {
        let sent = if percent(rng, self.duplication) { 2 } else { 1 };
        let mut copies = Vec::new();
        for _ in 0..sent {
            if !percent(rng, self.loss) {
                copies.push(rng.gen_range(self.delay_min..=self.delay_max));
            }
        }
        copies
    }
}

pub(crate) fn percent(rng: &mut StdRng, percent: u32) -> bool {
    rng.gen_range(0..100) < percent
}
