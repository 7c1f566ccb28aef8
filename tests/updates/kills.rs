//! kill -9: twenty times in one campaign of a hundred meters. Nothing that was acknowledged is lost,
//! and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::model::CoverageTier;
use narrowcast::sim::{AtRest, Fleet, Judge, Limits, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::firmware::Firmware;
use crate::meters::{LIMITS, METERS, MILESTONES, Milestones, classes, endpoint, meters};
use crate::rest::{Rest, text};
use crate::server::{SHORT_TIMES, Server};

const KILLS: usize = 20;
const IMAGE_BYTES: usize = 24_001;
const PATIENCE: Duration = Duration::from_secs(85);
const LOOK: Duration = Duration::from_millis(10);

/// Repeats a run's kills, as far as chance decides them.
const SEED_VARIABLE: &str = "NARROWCAST_SEED";

/// What a kill may cost an attempt. Whether an Execute left before it cannot be known, and none is sent
/// twice; and of a block or a notification every retransmission may fall into a time when the server
/// was down.
const CAUSES: [&str; 3] = [
    "update_failed: Execute had no effect: /5/0/3 = 2",
    "connection_lost: /5/0/3 = 0, /5/0/5 = 4",
    "update_failed: /5/0/3 = 0, /5/0/5 = 8",
];

/// When the server is killed, and for how long it is down.
#[derive(Debug)]
struct Schedule {
    rng: StdRng,
    /// Milestones that must have been reached, the earliest last.
    due: Vec<usize>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Room is left for those that fall together and strike one after the other.
        let last = MILESTONES * 9 / 10;
        let mut due: Vec<_> = (0..KILLS).map(|_| rng.gen_range(0..last)).collect();
        due.sort_unstable_by(|one, other| other.cmp(one));
        Self { rng, due }
    }

    fn is_due(&mut self, reached: usize) -> bool {
        let due = self.due.last().is_some_and(|&due| due <= reached);
        if due {
            self.due.pop();
        }
        due
    }

    /// How long it still runs. Milestones are logged just before something is sent: a kill right behind
    /// them would always strike at the same place.
    fn uptime(&mut self) -> Duration {
        Duration::from_millis(self.rng.gen_range(150..450))
    }

    /// How long it is down, beside the time to start.
    fn downtime(&mut self) -> Duration {
        Duration::from_millis(self.rng.gen_range(0..100))
    }
}

/// A run: the server, its meters, and what their log says so far.
struct Run {
    server: Server,
    rest: Rest,
    fleet: Fleet,
    read: usize,
    milestones: Milestones,
    judge: Judge,
}

impl Run {
    fn read_log(&mut self) {
        for line in self.fleet.log_since(self.read) {
            self.read += 1;
            self.milestones.read(&line);
            self.judge.read(&line);
        }
    }

    /// Kills the server, starts it again, and looks for every registration that it had acknowledged.
    async fn kill(&mut self, schedule: &mut Schedule) {
        tokio::time::sleep(schedule.uptime()).await;
        self.read_log();
        self.server.kill();
        tokio::time::sleep(schedule.downtime()).await;
        self.server.restart();
        let acknowledged = self.milestones.registered();
        let shown = self.registered().await;
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|endpoint| !shown.contains(*endpoint))
            .collect();
        assert!(
            lost.is_empty(),
            "of {} acknowledged registrations these are lost: {lost:?}\n{}",
            acknowledged.len(),
            self.server.log()
        );
        // An Update to a location that was given out before the kill must be taken.
        for _ in 0..5 {
            self.fleet.speak(schedule.rng.gen_range(0..METERS));
        }
    }

    async fn registered(&self) -> BTreeSet<String> {
        let devices = self.rest.get("/devices?limit=1000").await;
        let registered = devices.as_array().unwrap().iter();
        registered
            .filter(|device| device["registered"] == true)
            .map(|device| text(&device["endpoint"]).to_owned())
            .collect()
    }
}

async fn begin(seed: u64, clock: SystemClock) -> (Run, u64) {
    let limits = format!(
        "{SHORT_TIMES}\n[cells.limits]\ntier0 = {}\ntier1 = {}\ntier2 = {}\nunknown = {}\n",
        LIMITS.tier0, LIMITS.tier1, LIMITS.tier2, LIMITS.unknown
    );
    let server = Server::start(&limits);
    let rest = server.rest();
    let firmware = Firmware::new(IMAGE_BYTES);
    let package = rest.upload(&firmware).await;
    let endpoints: Vec<_> = (0..METERS).map(endpoint).collect();
    for endpoint in &endpoints {
        rest.enter(endpoint).await;
    }
    let endpoints: Vec<_> = endpoints.iter().map(String::as_str).collect();
    let campaign = rest.run_campaign(package, &endpoints, 3).await;
    let fleet = Fleet::start(meters(server.coap()), clock, seed).unwrap();
    let judge = Judge::new(Limits {
        tiers: LIMITS,
        image: firmware.sha256(),
        // A kill may cost an attempt its Execute; the device keeps its image.
        at_rest: AtRest::Resting,
        classes: classes(),
    });
    let run = Run {
        server,
        rest,
        fleet,
        read: 0,
        milestones: Milestones::new(),
        judge,
    };
    (run, campaign)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_survives_twenty_kills_without_a_loss_or_a_repetition() {
    let clock = SystemClock::new();
    let seed = env::var(SEED_VARIABLE).map_or_else(
        |_| clock.now().utc.unix_ms().unsigned_abs(),
        |seed| seed.parse().unwrap(),
    );
    println!("{SEED_VARIABLE}={seed}");
    let mut schedule = Schedule::new(seed);
    let (mut run, campaign) = begin(seed, clock).await;
    let begun = clock.now().instant;

    let mut kills_at_percent = BTreeMap::<usize, usize>::new();
    while !(schedule.due.is_empty() && is_over(&run.rest, campaign).await) {
        run.read_log();
        let reached = run.milestones.count();
        if schedule.is_due(reached) {
            let seconds = (clock.now().instant - begun).as_secs_f64();
            let by_kind = run.milestones.by_kind();
            println!(
                "{seconds:5.1} s: kill; registered, told, downloaded, executed, ended {by_kind:?}"
            );
            *kills_at_percent
                .entry(reached * 10 / MILESTONES * 10)
                .or_default() += 1;
            run.kill(&mut schedule).await;
        }
        if clock.now().instant - begun > PATIENCE {
            let report = run.server.report(campaign).await;
            panic!(
                "seed {seed}: not over after {PATIENCE:?}: {:?}\n{report}",
                run.milestones.by_kind()
            );
        }
        tokio::time::sleep(LOOK).await;
    }

    let seconds = (clock.now().instant - begun).as_secs_f64();
    println!("{seconds:.1} s, kills by percent of the way: {kills_at_percent:?}");
    assert_eq!(kills_at_percent.values().sum::<usize>(), KILLS);
    check(run, campaign).await;
}

/// Every task has succeeded, the meters' own log holds nothing forbidden, every limit was reached.
async fn check(mut run: Run, campaign: u64) {
    run.read_log();
    let tasks = run.rest.tasks(campaign).await;
    for task in tasks.iter().filter(|task| task["attempt"] != 1) {
        let failed = failures(&run.rest, text(&task["endpoint"])).await;
        println!(
            "{}: attempt {}, {failed:?}",
            task["endpoint"], task["attempt"]
        );
        let known = |detail: &String| CAUSES.iter().any(|cause| detail.starts_with(cause));
        assert!(failed.iter().all(known), "{task:#}");
    }
    let succeeded = tasks.iter().filter(|task| task["state"] == "succeeded");
    let report = run.server.report(campaign).await;
    assert_eq!(succeeded.count(), METERS, "{report}");

    let verdict = run.judge.verdict();
    let Verdict {
        flashed,
        second_flashes,
        repeated_executes,
        wrong_images,
        ..
    } = &verdict;
    println!(
        "flashed {flashed}, second flashes {second_flashes}, repeated executes \
         {repeated_executes}, wrong images {wrong_images}, limits passed {}",
        verdict.limits_passed.len()
    );
    assert!(verdict.holds(), "{verdict:#?}");
    assert_eq!(verdict.flashed, METERS as u64);
    for &tier in CoverageTier::ALL {
        let mut of_tier = verdict.peaks.iter().filter(|peak| peak.tier == tier);
        let reached = of_tier.any(|peak| peak.peak == peak.limit);
        assert!(reached, "nobody had to wait in tier {tier}: {verdict:#?}");
    }
    let turned_away = run.milestones.turned_away();
    assert!(
        turned_away.is_empty(),
        "registered again without a boot: {turned_away:?}"
    );
    assert_eq!(run.fleet.running(), METERS, "a meter broke");
}

/// Why attempts of a meter failed.
async fn failures(rest: &Rest, endpoint: &str) -> Vec<String> {
    let timeline = rest.get(&format!("/devices/{endpoint}/timeline")).await;
    let lines = timeline.as_array().unwrap().iter();
    lines
        .filter(|line| line["step"] == "failed")
        .map(|line| text(&line["detail"]).to_owned())
        .collect()
}

async fn is_over(rest: &Rest, campaign: u64) -> bool {
    let campaign = rest.get(&format!("/campaigns/{campaign}")).await;
    matches!(text(&campaign["state"]), "succeeded" | "failed" | "stopped")
}
