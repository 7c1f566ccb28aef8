//! What must hold all along.

use std::time::Duration;

use narrowcast::coap::Message;
use narrowcast::model::{Peer, TierBorders, Transmit};
use narrowcast::sim::{AtRest, Judge, Limits, SimDevice, Verdict};

use super::super::adversary::{Hostile, Origin};
use super::super::fleet;
use super::{Bench, TRANSMITS_MAX, UNPROVED_BYTES_MAX};

impl Bench {
    pub(super) fn check_answers(
        &mut self,
        hostile: &Hostile,
        transmits: &[Transmit],
        served: bool,
    ) {
        assert!(transmits.len() <= TRANSMITS_MAX, "{}", transmits.len());
        let request = Message::decode(&hostile.bytes, self.config.coap.options_max).ok();
        let mut answered_bytes = 0;
        for transmit in transmits {
            if transmit.peer != Peer::Address(hostile.from) {
                continue;
            }
            answered_bytes += transmit.datagram.len();
            let answer = Message::decode(&transmit.datagram.to_vec(), 32).unwrap();
            let Some(request) = request.as_ref().filter(|it| it.code.is_request()) else {
                continue;
            };
            let is_answer = answer.token == request.token && answer.code.is_response();
            if is_answer {
                self.census.answered(request, answer.code);
            }
        }
        if hostile.origin != Origin::Stranger || served || self.proved.contains(&hostile.from) {
            return;
        }
        let limit = UNPROVED_BYTES_MAX.max(3 * hostile.bytes.len());
        assert!(
            answered_bytes <= limit,
            "{answered_bytes} bytes were answered to {}",
            hostile.bytes.len()
        );
        self.strangers.0 += hostile.bytes.len() as u64;
        self.strangers.1 += answered_bytes as u64;
    }

    /// What must hold at any time.
    pub(crate) fn check(&mut self) {
        for device in self.devices.iter().filter(|device| !device.is_captured) {
            let name = &device.config.endpoint;
            // An Update that was refused would have made it register again.
            assert!(
                device.registers <= device.boots,
                "{name} had to register again"
            );
            if device.core.is_registered() {
                assert!(
                    self.engine.is_registered(&fleet::endpoint(name)),
                    "{name} is gone"
                );
            }
        }
        let attempts: u64 = self
            .tasks
            .values()
            .map(|task| u64::from(task.attempt))
            .sum();
        let executes = self.executes.len() as u64;
        assert!(
            executes <= attempts,
            "{executes} Executes in {attempts} attempts"
        );
        self.check_bounds();
    }

    pub(super) fn check_bounds(&mut self) {
        let held = self.engine.held();
        let (coap, limits) = (held.coap, &self.config.coap);
        let deadlines_max = 2 * (coap.requests + coap.block1_bodies) + 256;
        let devices_max = self.config.devices_max;
        for (what, held, limit) in [
            (
                "duplicates' answers",
                coap.dedup_entries,
                limits.dedup_entries_max,
            ),
            ("exchanges", coap.requests, limits.requests_max),
            (
                "message id sequences",
                coap.message_ids,
                limits.message_ids_max,
            ),
            (
                "Block1 bodies",
                coap.block1_bodies,
                limits.block1_bodies_max,
            ),
            ("transfers", coap.transfers, coap.requests),
            ("observations", coap.observations, held.observations),
            ("tokens", held.observations, 3 * devices_max),
            ("deadlines of messages", coap.deadlines, deadlines_max),
            ("operations", held.operations, coap.requests),
            ("registrations", held.registrations, devices_max),
            ("devices", held.devices, devices_max),
            ("reports", held.reports, held.devices),
            ("tasks", held.tasks, self.config.tasks_max),
            ("downloads", held.downloads, held.tasks),
            (
                "timers",
                held.timers,
                3 * held.tasks + self.engine.campaigns() + 1,
            ),
            ("datagrams under way", self.to_come.len(), 1_000),
        ] {
            assert!(held <= limit, "{held} {what}, {limit} allowed");
            let peak = self.peaks.entry(what).or_default();
            *peak = held.max(*peak);
        }
        let (sent, answered) = self.strangers;
        assert!(
            answered <= 3 * sent,
            "{answered} bytes to strangers, who sent {sent}"
        );
    }

    /// How far every bound was used, and what strangers got.
    pub(crate) fn print(&self) {
        self.census.print();
        println!("\n{:<44} {:>9}", "held", "at most");
        for (what, peak) in &self.peaks {
            println!("{what:<44} {peak:>9}");
        }
        let (sent, answered) = self.strangers;
        println!("\nstrangers sent {sent} bytes, and were answered {answered}");
    }

    /// Each says something, and is answered as one that is registered.
    pub(crate) fn all_honest_speak(&mut self) {
        self.run_for(Duration::from_secs(60));
        let updates = self.engine.counters().registration_updates;
        // One that awaits the answer to an Update of its own sends no other: that one counts.
        self.run_for(Duration::from_secs(5));
        for index in 0..fleet::HONEST {
            assert!(self.devices[index].core.is_registered(), "device {index}");
            self.device(index, SimDevice::speak);
        }
        self.run_for(Duration::from_secs(5));
        let updated = self.engine.counters().registration_updates - updates;
        assert!(updated >= fleet::HONEST as u64, "{updated}");
        self.check();
    }

    /// The honest devices' own log, judged.
    pub(crate) fn verdict(&self) -> Verdict {
        let honest = &self.devices[..fleet::HONEST];
        let borders = TierBorders::default();
        let mut judge = Judge::new(Limits {
            tiers: fleet::LIMITS,
            image: fleet::package(&self.image, "2.0.0", self.now.utc)
                .file
                .sha256,
            at_rest: AtRest::Resting,
            classes: honest.iter().map(|it| it.config.class(&borders)).collect(),
        });
        for line in self.log.iter().filter(|line| line.device < honest.len()) {
            judge.read(line);
        }
        judge.verdict()
    }
}
