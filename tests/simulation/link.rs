//! What the air does to datagrams, from a seed.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::world::{Chaos, Fault};

/// Impairments; order is kept only by chance, as each copy has its own delay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// In percent, as the next two.
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    /// Copies that take up to a minute longer.
    pub(crate) stalls: u32,
    /// Copies that others overtake: they take up to four seconds longer. In percent.
    pub(crate) overtaken: u32,
    /// Of a thousand copies, how many arrive with a bit turned over.
    pub(crate) damaged_permille: u32,
    pub(crate) delay_min: Duration,
    pub(crate) delay_max: Duration,
}

/// A copy of a datagram that arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub(crate) delay: Duration,
    pub(crate) damaged: bool,
}

impl Link {
    /// Loses nothing and doubles nothing.
    pub(crate) const fn clean() -> Self {
        Self {
            loss: 0,
            duplication: 0,
            stalls: 0,
            overtaken: 0,
            damaged_permille: 0,
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
            ..Self::clean()
        }
    }

    /// What arrives of one datagram.
    pub(crate) fn copies(&self, rng: &mut StdRng, chaos: &mut Chaos) -> Vec<Copy> {
        let mut sent = 1;
        if percent(rng, self.duplication) {
            chaos.count(Fault::Duplication);
            sent = 2;
        }
        let mut copies = Vec::new();
        for _ in 0..sent {
            if percent(rng, self.loss) {
                chaos.count(Fault::Loss);
                continue;
            }
            let mut delay = rng.gen_range(self.delay_min..=self.delay_max);
            if self.stalls > 0 && percent(rng, self.stalls) {
                chaos.count(Fault::Delay);
                delay += Duration::from_secs(rng.gen_range(10..60));
            }
            if self.overtaken > 0 && percent(rng, self.overtaken) {
                delay += Duration::from_millis(rng.gen_range(0..4_000));
            }
            let damaged =
                self.damaged_permille > 0 && rng.gen_range(0..1000) < self.damaged_permille;
            copies.push(Copy { delay, damaged });
        }
        copies
    }
}

pub(crate) fn percent(rng: &mut StdRng, percent: u32) -> bool {
    rng.gen_range(0..100) < percent
}
