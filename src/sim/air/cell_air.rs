//! One cell's air in both directions.

use std::num::NonZeroU8;
use std::time::Duration;

use rand::rngs::StdRng;

use super::{CeLevel, Direction, SharedCarrier};
use crate::clock::Instant;

/// The carriers of one cell, with what is under way on them.
#[derive(Debug)]
pub struct CellAir<T> {
    uplink: SharedCarrier<T>,
    downlink: SharedCarrier<T>,
    /// The part of the downlink that is there for what this server sends; the rest is the meters' own
    /// traffic.
    downlink_share_percent: NonZeroU8,
}

impl<T> CellAir<T> {
    /// Still air, of which so much of the downlink is ours, in per cent; above 100 counts as 100.
    pub fn new(downlink_share_percent: NonZeroU8) -> Self {
        Self {
            uplink: SharedCarrier::default(),
            downlink: SharedCarrier::default(),
            downlink_share_percent,
        }
    }

    /// How long a datagram waits before it takes air, for a round trip that was drawn: nothing where
    /// its own airtime is half of the round trip already.
    pub fn turn(
        &self,
        level: CeLevel,
        direction: Direction,
        bytes: usize,
        rng: &mut StdRng,
    ) -> Duration {
        let half = level.round_trip(rng) / 2;
        half.saturating_sub(level.airtime(direction, bytes))
    }

    /// A datagram takes air from now on.
    pub fn begin(
        &mut self,
        now: Instant,
        level: CeLevel,
        direction: Direction,
        bytes: usize,
        datagram: T,
    ) {
        let airtime = level.airtime(direction, bytes);
        match direction {
            Direction::Uplink => self.uplink.begin(now, airtime, datagram),
            Direction::Downlink => {
                let share = u32::from(self.downlink_share_percent.get().min(100));
                self.downlink.begin(now, airtime * 100 / share, datagram);
            }
        }
    }

    /// When the next datagram of this direction is across, unless another begins before.
    pub fn poll_timeout(&self, direction: Direction) -> Option<Instant> {
        self.carrier(direction).poll_timeout()
    }

    /// The next datagram of this direction that is across by `now`. To be called until `None` before
    /// anything begins at `now`.
    pub fn poll_arrival(&mut self, direction: Direction, now: Instant) -> Option<T> {
        let carrier = match direction {
            Direction::Uplink => &mut self.uplink,
            Direction::Downlink => &mut self.downlink,
        };
        carrier.poll_end(now).map(|(datagram, _)| datagram)
    }

    /// How long anything was under way in this direction, so far.
    pub fn busy(&self, direction: Direction) -> Duration {
        self.carrier(direction).busy()
    }

    const fn carrier(&self, direction: Direction) -> &SharedCarrier<T> {
        match direction {
            Direction::Uplink => &self.uplink,
            Direction::Downlink => &self.downlink,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const BLOCK_BYTES: usize = 512;
    const GET_BYTES: usize = 48;

    fn air() -> CellAir<()> {
        CellAir::new(NonZeroU8::new(100).unwrap())
    }

    /// A datagram of a device that is alone: from its sending to its arrival.
    fn alone(
        air: &mut CellAir<()>,
        begun: Instant,
        way: (CeLevel, Direction, usize),
        rng: &mut StdRng,
    ) -> Instant {
        let (level, direction, bytes) = way;
        let on_air = begun + air.turn(level, direction, bytes, rng);
        air.begin(on_air, level, direction, bytes, ());
        let arrives = air.poll_timeout(direction).unwrap();
        assert_eq!(air.poll_arrival(direction, arrives), Some(()));
        arrives
    }

    /// The times per block of 512 bytes that were computed for one device alone: 0.49 s, 1.1 to 2.3 s,
    /// about 10 s.
    #[test]
    fn a_block_alone_takes_as_long_as_it_was_computed_to() {
        let mut rng = StdRng::seed_from_u64(3);
        for (level, least_ms, most_ms) in [
            (CeLevel::Ce0, 450, 620),
            (CeLevel::Ce1, 1_100, 2_300),
            (CeLevel::Ce2, 8_500, 11_500),
        ] {
            let (mut air, mut now) = (air(), Instant::ORIGIN);
            let mut times: Vec<_> = (0..2_001)
                .map(|_| {
                    let begun = now;
                    now = alone(
                        &mut air,
                        now,
                        (level, Direction::Uplink, GET_BYTES),
                        &mut rng,
                    );
                    now = alone(
                        &mut air,
                        now,
                        (level, Direction::Downlink, BLOCK_BYTES),
                        &mut rng,
                    );
                    now.saturating_since(begun).as_millis()
                })
                .collect();
            times.sort_unstable();
            let median = times[1_000];
            assert!(
                (least_ms..most_ms).contains(&median),
                "{level:?}: {median} ms"
            );
        }
    }

    #[test]
    fn a_full_downlink_brings_its_capacity_across_and_of_it_our_share() {
        for (level, share_percent) in [(CeLevel::Ce0, 100), (CeLevel::Ce1, 70), (CeLevel::Ce2, 35)]
        {
            let mut air = CellAir::new(NonZeroU8::new(share_percent).unwrap());
            for _ in 0..100 {
                air.begin(Instant::ORIGIN, level, Direction::Downlink, BLOCK_BYTES, ());
            }
            let mut last = Instant::ORIGIN;
            while let Some(at) = air.poll_timeout(Direction::Downlink) {
                last = at;
                air.poll_arrival(Direction::Downlink, at);
            }
            let bits = 100 * BLOCK_BYTES as u64 * 8 * 1000;
            let per_second = bits / u64::try_from(last.since_origin().as_millis()).unwrap();
            let expected =
                level.carrier_bits_per_second(Direction::Downlink) * u64::from(share_percent) / 100;
            assert!(
                per_second.abs_diff(expected) <= expected / 100,
                "{per_second} bit/s"
            );
        }
    }
}
