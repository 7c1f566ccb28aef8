//! The engine and simulated devices on one virtual clock: no sockets, no sleeps, every run repeatable
//! by its seed (`NARROWCAST_SEED=7 cargo nextest run --test simulation` runs only that one where
//! many are run; `NARROWCAST_SEEDS=20000` runs that many under every fault).
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a failed run is told from its seed")]

mod addresses;
mod admission;
mod bugs;
mod campaign;
mod cells;
mod chaos;
mod clock;
mod conditions;
mod contact_time;
mod device_requests;
mod downgrades;
mod estimates;
mod faults;
mod field_cases;
mod flapping;
mod fleet;
mod formats;
mod holds;
mod impairments;
mod lifecycle;
mod limits;
mod link;
mod loop_guard;
mod loss;
mod milestones;
mod notifications;
mod outcomes;
mod policies;
mod products;
mod push;
mod quirks;
mod reboots;
mod retries;
mod rollout;
mod schedules;
mod server;
mod settings;
mod slots;
mod stops;
mod waiting_room;
mod wire;
mod world;
