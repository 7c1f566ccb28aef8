//! What Prometheus sees of the core: its counters, handed over now and then.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::clock::Instant;
use crate::engine::{Engine, EngineCounters};
use crate::model::CoverageTier;
use crate::net::UdpEndpoint;

/// How old what a scrape sees may be while inputs come.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How old the kernel's count may be.
const DROPS_EVERY: Duration = Duration::from_secs(5);

/// Hands counters over.
#[derive(Debug, Default)]
pub(super) struct Telemetry {
    reported_at: Option<Instant>,
    /// An input came since.
    behind: bool,
}

impl Telemetry {
    /// At the start, and after each input.
    pub(super) fn observe(&mut self, now: Instant, engine: &Engine, unsent: u64) {
        self.behind = true;
        if self.reported_at.is_some_and(|at| now < at + REPORT_EVERY) {
            return;
        }
        self.reported_at = Some(now);
        self.behind = false;
        report(engine);
        counter!("narrowcast_datagrams_unsent_total").absolute(unsent);
    }

    /// When the last inputs are to be handed over, if no other comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.reported_at
            .filter(|_| self.behind)
            .map(|at| at + REPORT_EVERY)
    }

    pub(super) fn committed(&self, records: usize, took: Duration) {
        histogram!("narrowcast_store_commit_seconds").record(took.as_secs_f64());
        counter!("narrowcast_store_records_total").increment(records as u64);
    }

    pub(super) fn commit_failed(&self) {
        counter!("narrowcast_store_commit_failures_total").increment(1);
    }
}

/// Hands over what the kernel dropped of a listener, until the runtime ends or the listener is gone.
pub(super) fn watch_receive_drops(udp: &UdpEndpoint) {
    let drops = match udp.receive_drops() {
        Ok(drops) => drops,
        Err(error) => {
            tracing::info!(%error, "what a full receive buffer drops is not shown here");
            return;
        }
    };
    tokio::spawn(async move {
        let mut reported = 0;
        loop {
            let drops = drops.clone();
            let Ok(Ok(total)) = tokio::task::spawn_blocking(move || drops.read()).await else {
                return;
            };
            if total > reported {
                tracing::warn!(total, "the receive buffer was full: datagrams were dropped");
                reported = total;
            }
            counter!("narrowcast_udp_receive_drops_total").absolute(total);
            tokio::time::sleep(DROPS_EVERY).await;
        }
    });
}

fn report(engine: &Engine) {
    let engine_counters = engine.counters();
    gauge!("narrowcast_registrations").set(engine.registrations() as f64);
    for (operation, value) in [
        ("register", engine_counters.registers),
        ("update", engine_counters.registration_updates),
        ("deregister", engine_counters.deregisters),
        (
            "refused",
            engine_counters.registrations_refused - engine_counters.registers_too_often,
        ),
        ("too_often", engine_counters.registers_too_often),
        ("expired", engine_counters.registrations_expired),
    ] {
        counter!("narrowcast_registration_requests_total", "operation" => operation)
            .absolute(value);
    }
    report_flapping(engine);
    for (result, value) in [
        ("accepted", engine_counters.sends),
        ("unknown", engine_counters.sends_unknown),
        ("ambiguous", engine_counters.sends_ambiguous),
        ("malformed", engine_counters.sends_malformed),
    ] {
        counter!("narrowcast_sends_total", "result" => result).absolute(value);
    }
    report_uplinks(engine_counters);
    counter!("narrowcast_blocks_served_total").absolute(engine_counters.blocks);
    counter!("narrowcast_block_bytes_served_total").absolute(engine_counters.block_bytes);
    counter!("narrowcast_attempts_total", "result" => "succeeded")
        .absolute(engine_counters.attempts_succeeded);
    counter!("narrowcast_attempts_total", "result" => "failed")
        .absolute(engine_counters.attempts_failed);
    counter!("narrowcast_admissions_total", "result" => "granted")
        .absolute(engine_counters.slots_granted);
    counter!("narrowcast_admissions_total", "result" => "queued")
        .absolute(engine_counters.slots_queued);
    for &tier in CoverageTier::ALL {
        gauge!("narrowcast_slots_in_use", "tier" => tier.word())
            .set(engine.slots_in_use(tier) as f64);
    }
    gauge!("narrowcast_waiting_room_devices").set(engine.waiting_room_devices() as f64);
    counter!("narrowcast_pings_total").absolute(engine_counters.pings);
    report_held(engine);
    report_messages(engine);
}

fn report_held(engine: &Engine) {
    let held = engine.held();
    for (what, value) in [
        ("duplicates", held.coap.dedup_entries),
        ("exchanges", held.coap.requests),
        ("message_ids", held.coap.message_ids),
        ("block1_bodies", held.coap.block1_bodies),
        ("transfers", held.coap.transfers),
        ("observations", held.coap.observations),
        ("deadlines", held.coap.deadlines),
        ("tasks", held.tasks),
        ("device_requests", held.device_requests),
        ("downloads", held.downloads),
        ("flapping_watched", held.flapping_watched),
        ("register_rates", held.register_rates),
        ("products", held.products),
        ("device_kinds", held.device_kinds),
    ] {
        gauge!("narrowcast_held", "what" => what).set(value as f64);
    }
}

fn report_messages(engine: &Engine) {
    let coap = engine.coap_counters();
    for (name, value) in [
        ("received", coap.received),
        ("sent", coap.sent),
        ("malformed", coap.malformed),
        ("duplicate", coap.duplicates),
        ("retransmitted", coap.retransmissions),
        ("timed_out", coap.timeouts),
        ("acknowledged", coap.acknowledgements),
        ("response", coap.responses),
        ("notification", coap.notifications),
        ("unmatched", coap.unmatched),
        ("reset", coap.resets),
        ("transfer_broken", coap.transfers_broken),
        ("unproved", coap.unproved),
        ("echoed", coap.echoed),
    ] {
        counter!("narrowcast_coap_messages_total", "kind" => name).absolute(value);
    }
}

fn report_flapping(engine: &Engine) {
    let counters = engine.counters();
    counter!("narrowcast_takeovers_total").absolute(counters.takeovers);
    counter!("narrowcast_endpoints_flagged_total").absolute(counters.endpoints_flagged);
    gauge!("narrowcast_endpoints_flapping").set(engine.endpoints_flapping() as f64);
}

fn report_uplinks(counters: &EngineCounters) {
    for (result, value) in [
        ("kept", counters.uplinks),
        ("too_long", counters.uplinks_too_long),
    ] {
        counter!("narrowcast_uplinks_total", "result" => result).absolute(value);
    }
}
