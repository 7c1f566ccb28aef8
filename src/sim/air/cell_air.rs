//! One cell's air in both directions.

use std::time::Duration;

use rand::rngs::StdRng;

use super::{Carrier, CeLevel, Direction, SharedCarrier};
use crate::clock::Instant;

/// The carriers of one cell, with what is under way on them.
#[derive(Debug)]
pub struct CellAir<T> {
    uplink: SharedCarrier<T>,
    downlink: SharedCarrier<T>,
    carrier: Carrier,
}

impl<T> CellAir<T> {
    /// Still air.
    pub fn new(carrier: Carrier) -> Self {
        Self {
            uplink: SharedCarrier::default(),
            downlink: SharedCarrier::default(),
            carrier,
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
        let round_trip = level.round_trip(rng);
        let half = self.carrier.operation_mode.round_trip(level, round_trip) / 2;
        half.saturating_sub(self.airtime(level, direction, bytes))
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
        let airtime = self.airtime(level, direction, bytes);
        match direction {
            Direction::Uplink => self.uplink.begin(now, airtime, datagram),
            Direction::Downlink => {
                let share = u32::from(self.carrier.downlink_share_percent.get().min(100));
                self.downlink.begin(now, airtime * 100 / share, datagram);
            }
        }
    }

    /// When the next datagram of this direction is across, unless another begins before.
    pub fn poll_timeout(&self, direction: Direction) -> Option<Instant> {
        self.shared(direction).poll_timeout()
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
        self.shared(direction).busy()
    }

    /// How long a datagram takes with all of this carrier to itself.
    fn airtime(&self, level: CeLevel, direction: Direction, bytes: usize) -> Duration {
        let airtime = level.airtime(direction, bytes);
        match direction {
            // Assumption: what an in-band carrier lacks is power, which devices have all the same.
            Direction::Uplink => airtime,
            Direction::Downlink => self.carrier.operation_mode.downlink(level, airtime),
        }
    }

    const fn shared(&self, direction: Direction) -> &SharedCarrier<T> {
        match direction {
            Direction::Uplink => &self.uplink,
            Direction::Downlink => &self.downlink,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use rand::SeedableRng;

    use super::super::OperationMode;
    use super::*;

    const BLOCK_BYTES: usize = 512;
    const GET_BYTES: usize = 48;

    fn air(operation_mode: OperationMode, share_percent: u8) -> CellAir<()> {
        CellAir::new(Carrier {
            operation_mode,
            downlink_share_percent: NonZeroU8::new(share_percent).unwrap(),
        })
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
    /// about 10 s; in-band 0.57 to 1 s, 1.2 to 2.1 s, 49 s.
    #[test]
    fn a_block_alone_takes_as_long_as_it_was_computed_to() {
        let mut rng = StdRng::seed_from_u64(3);
        let (standalone, in_band) = (OperationMode::Standalone, OperationMode::InBand);
        for (mode, level, least_ms, most_ms) in [
            (standalone, CeLevel::Ce0, 450, 620),
            (standalone, CeLevel::Ce1, 1_100, 2_300),
            (standalone, CeLevel::Ce2, 8_500, 11_500),
            (in_band, CeLevel::Ce0, 570, 1_000),
            (in_band, CeLevel::Ce1, 1_200, 2_310),
            (in_band, CeLevel::Ce2, 44_100, 53_900),
        ] {
            let (mut air, mut now) = (air(mode, 100), Instant::ORIGIN);
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
            let mut air = air(OperationMode::Standalone, share_percent);
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
