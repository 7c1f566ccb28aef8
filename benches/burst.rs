//! One cell under every policy: how long a campaign takes, what fails, and how long devices download.
//!
//! `cargo bench --bench burst [-- SEED...]`; without seeds, 1 to 5. The whole table is of the first seed, of
//! the others what must hold.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::time::Duration;

use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, TierLimits, WaitingRoomPolicy,
};
use narrowcast::sim::{CeLevel, Report, Stop, Trial, TrialError, UplinkPattern};

const ASSUMED: &str = "\
Of the model: 800/150/50 devices of CE0/1/2 in one cell, 100 KB, ACK_TIMEOUT 15 s, awake 93 s, update and
reboot 2 min. Computed, not measured: 35/8/0.8 kbit/s down for a carrier of CE0/1/2 alone; round trips of
0.5/2/8 s (95 %: 2/6/20 s). Assumed: airtime in equal shares, loss of 0.5/2/5 % each way, 70 % of the
downlink for this server, 62.5/14.3/1.43 kbit/s up, coverage that stays, a new time in the hour each day,
one cell, five retries and at midnight what has failed again. It ranks policies; it promises no times.";

/// What must come of the waiting room with airtime, against plain `per_class`.
const T95_RATIO_MIN: f64 = 3.0;
const FAILURES_RATIO_MIN: u64 = 5;

/// How many days are played at the most where devices stand in each other's way so that some never end.
const HOPELESS_DAYS: u32 = 20;

/// More than there are devices.
const NO_CAP: TierLimits = TierLimits {
    tier0: 100_000,
    tier1: 100_000,
    tier2: 100_000,
    unknown: 100_000,
};

/// A row of the table: a policy, as settings and campaigns say it, and when devices speak. What it does not
/// say is as the server does it unless told.
#[derive(Clone)]
struct Row {
    name: &'static str,
    admission: AdmissionPolicy,
    limits: TierLimits,
    room: WaitingRoomPolicy,
    uplink: Option<UplinkPattern>,
    ack_timeout: Option<Duration>,
    days_max: Option<u32>,
}

impl Row {
    fn new(name: &'static str, mode: AdmissionMode, airtime_permille: u16) -> Self {
        Self {
            name,
            admission: AdmissionPolicy {
                mode,
                airtime: NonZeroU16::new(airtime_permille).map(AirtimePermille),
            },
            limits: TierLimits::default(),
            room: WaitingRoomPolicy::OFF,
            uplink: None,
            ack_timeout: None,
            days_max: None,
        }
    }

    fn held(self, room: WaitingRoomPolicy) -> Self {
        Self { room, ..self }
    }

    fn speaking(self, uplink: UplinkPattern) -> Self {
        let uplink = Some(uplink);
        Self { uplink, ..self }
    }

    /// Nothing is limited.
    fn without_cap(self) -> Self {
        Self {
            limits: NO_CAP,
            days_max: Some(HOPELESS_DAYS),
            ..self
        }
    }

    fn run(&self, seed: u64) -> Result<Report, TrialError> {
        let mut trial = Trial::burst(seed).with_waiting_room(self.room);
        trial.admission = self.admission;
        trial.limits = self.limits;
        trial.uplink = self.uplink.unwrap_or(trial.uplink);
        trial.ack_timeout = self.ack_timeout.unwrap_or(trial.ack_timeout);
        if let Some(days_max) = self.days_max {
            trial.stop = Stop::WhenAllAreUpdated { days_max };
        }
        trial.run()
    }
}

/// What the waiting room with airtime is compared with.
fn plain() -> Row {
    Row::new("per_class", AdmissionMode::PerClass, 0)
}

/// What is compared with it.
fn best() -> Row {
    Row::new("room 4 h, airtime 500", AdmissionMode::PerClass, 500).held(Trial::FOUR_HOURS)
}

/// All others.
fn rows() -> Vec<Row> {
    use AdmissionMode::{PerCell, PerClass, Strictest};
    let room = Trial::FOUR_HOURS;
    let (awake, spread) = (UplinkPattern::AlwaysAwake, UplinkPattern::Uniform24h);
    let mut two_seconds = Row::new("uniform 24 h, ACK_TIMEOUT 2 s", PerClass, 0).speaking(spread);
    two_seconds.ack_timeout = Some(Duration::from_secs(2));
    two_seconds.days_max = Some(HOPELESS_DAYS);
    vec![
        Row::new("always awake, no cap", PerClass, 0)
            .speaking(awake)
            .without_cap(),
        Row::new("always awake, per_class", PerClass, 0).speaking(awake),
        Row::new("always awake, per_cell", PerCell, 0).speaking(awake),
        Row::new("always awake, strictest", Strictest, 0).speaking(awake),
        Row::new("always awake, airtime 500", PerClass, 500).speaking(awake),
        Row::new("no cap", PerClass, 0).without_cap(),
        Row::new("per_cell", PerCell, 0),
        Row::new("strictest", Strictest, 0),
        Row::new("airtime 500", PerClass, 500),
        Row::new("room 10 min, per_class", PerClass, 0).held(WaitingRoomPolicy::default()),
        Row::new("room 4 h, per_class", PerClass, 0).held(room),
        Row::new("room 4 h, per_cell", PerCell, 0).held(room),
        Row::new("room 4 h, strictest", Strictest, 0).held(room),
        Row::new("room 4 h, airtime 1000", PerClass, 1000).held(room),
        Row::new("uniform 24 h, per_class", PerClass, 0).speaking(spread),
        two_seconds,
    ]
}

fn main() -> ExitCode {
    let mut seeds: Vec<u64> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if seeds.is_empty() {
        seeds = (1..=5).collect();
    }
    println!("{ASSUMED}");
    let mut holds = true;
    for (at, seed) in seeds.into_iter().enumerate() {
        let rows = if at == 0 { rows() } else { Vec::new() };
        match table(seed, &rows) {
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

/// Prints what of the table is wanted of a seed; whether all holds that must.
fn table(seed: u64, rows: &[Row]) -> Result<bool, TrialError> {
    println!("\nseed {seed}");
    println!(
        "{:<30} {:>6} {:>6} {:>6} {:>8} {:>6}  {:>16} {:>8}",
        "", "t50 d", "t95 d", "t100 d", "failures", "active", "fetch 0/1/2 min", "1000 dgr"
    );
    let mut holds = true;
    for row in rows {
        holds &= holds_for(row, &row.run(seed)?);
    }
    let (plain, best) = (plain(), best());
    let (of_plain, of_best) = (plain.run(seed)?, best.run(seed)?);
    holds &= holds_for(&plain, &of_plain);
    holds &= holds_for(&best, &of_best);
    let days = |report: &Report| days_to(report, 95).unwrap_or(f64::INFINITY);
    let ratio = days(&of_plain) / days(&of_best);
    let (failed, plain_failed) = (of_best.failed_attempts(), of_plain.failed_attempts());
    println!("t95 {ratio:.2} times shorter, {failed} failures for {plain_failed}");
    Ok(holds && ratio >= T95_RATIO_MIN && failed * FAILURES_RATIO_MIN <= plain_failed)
}

/// Prints a row; whether limits, flashes and images are as they must be.
fn holds_for(row: &Row, report: &Report) -> bool {
    print(row.name, report);
    let holds = report.verdict.holds();
    if !holds {
        println!("    {:?}", report.verdict);
    }
    holds
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
        "{name:<30} {:>6} {:>6} {:>6} {:>8} {:>6}  {:>16} {:>8}",
        days(50),
        days(95),
        days(100),
        report.failed_attempts(),
        report.downloads_peak,
        minutes.join("/"),
        (report.datagrams_up + report.datagrams_down) / 1000,
    );
}
