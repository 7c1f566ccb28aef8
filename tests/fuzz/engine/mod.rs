//! A million datagrams into one engine, while it updates devices.
//!
//! Two sorts of devices are registered. What the honest ones say arrives as they said it: whatever
//! else comes, each must be flashed once, and never have to register again. The captured ones belong
//! to the adversary, who knows their names, locations, tokens and capabilities, and speaks for them
//! from any address. In an honest device's name it sends too, but without its secrets: over plain
//! CoAP a name, a token, a location, and for a Send the address are all that a device proves itself by.

mod adversary;
mod bench;
mod census;
mod fleet;
mod known;

use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::model::TaskState;

use adversary::{Adversary, Half};
use bench::Bench;

const DATAGRAMS: u64 = 1_000_000;
/// How often all that must hold is looked at.
const CHECK_EVERY: u64 = 1_000;
/// How often the captured devices get a campaign of their own.
const CAMPAIGN_EVERY: u64 = 40_000;
/// How often the key of the campaign that has just begun is revoked: every third of them.
const REVOKE_EVERY: u64 = 3 * CAMPAIGN_EVERY;
/// The clock goes on by up to this between two datagrams: 1,000,000 take eight hours.
const GAP_MAX: Duration = Duration::from_millis(60);

#[test]
fn a_million_hostile_datagrams_change_nothing_for_honest_devices() {
    let seed = std::env::var("NARROWCAST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut bench = Bench::new(seed);
    let mut adversary = Adversary::new(seed);
    let honest = bench.campaign_for_honest();
    bench.run_for(Duration::from_secs(60));
    for number in 0..DATAGRAMS {
        if number % CAMPAIGN_EVERY == 0 {
            bench.campaign_for_captured();
        }
        if number % REVOKE_EVERY == CAMPAIGN_EVERY / 20 {
            bench.revoke_newest();
        }
        if number == DATAGRAMS / 2 {
            bench.enter_late();
        }
        bench.run_for(adversary.gap(GAP_MAX));
        let half = if number % 2 == 0 {
            Half::Bytes
        } else {
            Half::Structure
        };
        let datagram = adversary.next(&mut bench.known, half);
        bench.attack(number, &datagram);
        if number % CHECK_EVERY == 0 {
            bench.check();
        }
    }
    bench.print();
    bench.census.check(DATAGRAMS);
    bench.run_until_final(honest);
    bench.check();
    bench.check_revoked();
    for task in bench.tasks_of(honest) {
        assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    }
    let verdict = bench.verdict();
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.flashed, fleet::HONEST as u64);
    bench.all_honest_speak();
    assert!(bench.now.instant > Instant::ORIGIN);
}
