//! One cell whose devices all report between 8 and 9 h, under every policy: how long a campaign takes,
//! what fails, and how long devices download.
//!
//! `cargo bench --bench burst [-- SEED...]`; without seeds, 1.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::num::NonZeroU16;
use std::process::ExitCode;

use narrowcast::model::{AdmissionMode, AdmissionPolicy, AirtimePermille, WaitingRoomPolicy};
use narrowcast::sim::{CeLevel, Report, Scenario, ScenarioError};

const ASSUMED: &str = "\
Of the model: 800/150/50 devices of CE0/1/2 in one cell, 100 KB, ACK_TIMEOUT 15 s, awake 93 s, update and
reboot 2 min. Computed, not measured: 35/8/0.8 kbit/s down for a carrier of CE0/1/2 alone; round trips of
0.5/2/8 s (95 %: 2/6/20 s). Assumed: airtime in equal shares, loss of 0.5/2/5 % each way, 70 % of the
downlink for this server, 62.5/14.3/1.43 kbit/s up, coverage that stays, a new time in the hour each day,
one cell, five retries and at midnight what has failed again. It ranks policies; it promises no times.";

/// More than ever wait: who is of weak coverage comes when the others are done.
const ALL_PASS: u32 = 1000;

/// What must come of the waiting room with airtime, against plain `per_class`.
const T95_RATIO_MIN: f64 = 3.0;
const FAILURES_RATIO_MIN: u64 = 5;

/// A policy, as settings and campaigns say it.
struct Policy {
    name: &'static str,
    mode: AdmissionMode,
    airtime_permille: u16,
    room: WaitingRoomPolicy,
    /// `None`: as the server does unless told.
    passed_over_max: Option<u32>,
}

impl Policy {
    const fn new(name: &'static str, mode: AdmissionMode, airtime_permille: u16) -> Self {
        Self {
            name,
            mode,
            airtime_permille,
            room: WaitingRoomPolicy::OFF,
            passed_over_max: None,
        }
    }

    const fn held(self, room: WaitingRoomPolicy) -> Self {
        Self { room, ..self }
    }

    const fn weak_last(self) -> Self {
        Self {
            passed_over_max: Some(ALL_PASS),
            ..self
        }
    }

    fn run(&self, seed: u64) -> Result<Report, ScenarioError> {
        let mut scenario = Scenario::burst(seed).with_waiting_room(self.room);
        scenario.admission = AdmissionPolicy {
            mode: self.mode,
            airtime: NonZeroU16::new(self.airtime_permille).map(AirtimePermille),
        };
        scenario.passed_over_max = self.passed_over_max.unwrap_or(scenario.passed_over_max);
        scenario.run()
    }
}

fn policies() -> Vec<Policy> {
    use AdmissionMode::{PerCell, PerClass, Strictest};
    let room = Scenario::FOUR_HOURS;
    vec![
        Policy::new("per_class", PerClass, 0),
        Policy::new("per_cell", PerCell, 0),
        Policy::new("strictest", Strictest, 0),
        Policy::new("airtime 1000", PerClass, 1000),
        Policy::new("airtime 1000, weak last", PerClass, 1000).weak_last(),
        Policy::new("room 10 min, per_class", PerClass, 0).held(WaitingRoomPolicy::default()),
        Policy::new("room 4 h, per_class", PerClass, 0).held(room),
        Policy::new("room 4 h, per_cell", PerCell, 0).held(room),
        Policy::new("room 4 h, strictest", Strictest, 0).held(room),
        Policy::new("room 4 h, airtime 1000", PerClass, 1000).held(room),
        Policy::new("room 4 h, airtime 500, weak last", PerClass, 500)
            .held(room)
            .weak_last(),
        // The one that is compared with the first.
        Policy::new("room 4 h, airtime 1000, weak last", PerClass, 1000)
            .held(room)
            .weak_last(),
    ]
}

fn main() -> ExitCode {
    let seeds: Vec<u64> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    println!("{ASSUMED}");
    let mut holds = true;
    for seed in if seeds.is_empty() { vec![1] } else { seeds } {
        match table(seed) {
            Ok(of_seed) => holds &= of_seed,
            Err(error) => {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the table of a seed; whether all holds that must.
fn table(seed: u64) -> Result<bool, ScenarioError> {
    println!("\nseed {seed}");
    println!(
        "{:<34} {:>6} {:>6} {:>6} {:>8} {:>6}  {:>16} {:>8}",
        "", "t50 d", "t95 d", "t100 d", "failures", "active", "fetch 0/1/2 min", "1000 dgr"
    );
    let mut reports = Vec::new();
    let mut holds = true;
    for policy in policies() {
        let report = policy.run(seed)?;
        print(policy.name, &report);
        if !report.verdict.holds() {
            println!("    {:?}", report.verdict);
            holds = false;
        }
        reports.push(report);
    }
    let (Some(plain), Some(best)) = (reports.first(), reports.last()) else {
        return Ok(false);
    };
    let days = |report: &Report| days_to(report, 95).unwrap_or(f64::INFINITY);
    let ratio = days(plain) / days(best);
    let (failed, plain_failed) = (best.failed_attempts(), plain.failed_attempts());
    println!("t95 {ratio:.2} times shorter, {failed} failures for {plain_failed}");
    Ok(holds && ratio >= T95_RATIO_MIN && failed * FAILURES_RATIO_MIN <= plain_failed)
}

fn days_to(report: &Report, percent: usize) -> Option<f64> {
    let after = report.updated_percent(percent)?;
    Some(after.as_secs_f64() / 86_400.0)
}

fn print(name: &str, report: &Report) {
    let days = |percent| match days_to(report, percent) {
        Some(days) => format!("{days:.2}"),
        None => "-".to_owned(),
    };
    let minutes = CeLevel::ALL.map(|level| match report.download_median.get(&level) {
        Some(median) => format!("{:.1}", median.as_secs_f64() / 60.0),
        None => "-".to_owned(),
    });
    println!(
        "{name:<34} {:>6} {:>6} {:>6} {:>8} {:>6}  {:>16} {:>8}",
        days(50),
        days(95),
        days(100),
        report.failed_attempts(),
        report.downloads_peak,
        minutes.join("/"),
        (report.datagrams_up + report.datagrams_down) / 1000,
    );
}
