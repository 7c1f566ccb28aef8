//! Deaths of the server in one campaign of a hundred meters: around every kind of commit, and kill -9
//! between. Nothing that was acknowledged is lost, and nothing is done twice.

use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::model::CoverageTier;
use narrowcast::sim::{AtRest, Fleet, Judge, Limits, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::crash_points::{Death, Deaths, POINTS};
use crate::firmware::Firmware;
use crate::meters::{LIMITS, METERS, Milestones, classes, endpoint, meters};
use crate::rest::{Rest, text};
use crate::server::{SHORT_TIMES, Server};

const IMAGE_BYTES: usize = 24_001;
const PATIENCE: Duration = Duration::from_secs(120);
/// So long a server may live that is to die at a failpoint.
const LIFE_MAX: Duration = Duration::from_secs(6);
/// A failpoint strikes at one of so many occasions.
const OCCASIONS: u32 = 2;
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

/// Each kind of step sees it die at each point.
const ROUNDS: usize = POINTS;
/// SIGKILL from outside, in a campaign of its own.
const KILLS: usize = 20;

/// A run: the server, its meters, and what their log says so far.
struct Run {
    server: Server,
    rest: Rest,
    fleet: Fleet,
    read: usize,
    milestones: Milestones,
    judge: Judge,
    /// The audit log's head at the last death, `SHA256@N`.
    audit_head: Option<String>,
}

impl Run {
    /// The audit log is a chain after each death, and has all that it had at the death before.
    fn verify_audit(&mut self) {
        let noted = self.audit_head.iter().flat_map(|head| ["--head", head]);
        let verify: Vec<_> = ["verify"].into_iter().chain(noted).collect();
        let said = self.server.audit(&verify);
        let head = said.split_whitespace().last().unwrap();
        assert!(head.contains('@'), "{said}");
        self.audit_head = Some(head.to_owned());
    }

    fn read_log(&mut self) {
        for line in self.fleet.log_since(self.read) {
            self.read += 1;
            self.milestones.read(&line);
            self.judge.read(&line);
        }
    }

    /// Starts the server again, armed or not, and looks for every registration that it had
    /// acknowledged; one that dies meanwhile has nothing to show.
    async fn restart(&mut self, failpoint: Option<&str>, rng: &mut StdRng) {
        self.read_log();
        tokio::time::sleep(Duration::from_millis(rng.gen_range(0..100))).await;
        self.verify_audit();
        self.server.restart_armed(failpoint);
        let acknowledged = self.milestones.registered();
        let shown = loop {
            match self.registered().await {
                Some(shown) => break shown,
                None if self.server.is_dead() => return,
                // It is dying: the kernel takes its sockets first.
                None => tokio::time::sleep(LOOK).await,
            }
        };
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
        // An Update to a location that was given out before the death must be taken.
        for _ in 0..5 {
            self.fleet.speak(rng.gen_range(0..METERS));
        }
    }

    async fn registered(&self) -> Option<BTreeSet<String>> {
        let devices = self.rest.try_get("/devices?limit=1000").await?;
        let registered = devices.as_array()?.iter();
        let registered = registered
            .filter(|device| device["registered"] == true)
            .map(|device| text(&device["endpoint"]).to_owned());
        Some(registered.collect())
    }

    /// Lets it run until it dies. Answers whether it did so where it should.
    async fn live_until(&mut self, death: &Death, rng: &mut StdRng, clock: SystemClock) -> bool {
        let begun = clock.now().instant;
        let long = match death {
            Death::ByChance => Duration::from_millis(rng.gen_range(50..450)),
            Death::At { .. } => LIFE_MAX,
        };
        while clock.now().instant - begun < long {
            self.read_log();
            if self.server.is_dead() {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.server.kill();
        *death == Death::ByChance
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
        milestones: Milestones::default(),
        judge,
        audit_head: None,
    };
    (run, campaign)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_survives_a_death_at_every_kind_of_step() {
    let planned = Death::plan(ROUNDS);
    survive(&planned).await.check_marks();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_survives_twenty_kills_at_any_time() {
    survive(&vec![Death::ByChance; KILLS]).await;
}

/// Runs a campaign in which the server dies so, and checks all that came of it.
async fn survive(planned: &[Death]) -> Deaths {
    let clock = SystemClock::new();
    let seed = env::var(SEED_VARIABLE).map_or_else(
        |_| clock.now().utc.unix_ms().unsigned_abs(),
        |seed| seed.parse().unwrap(),
    );
    println!("{SEED_VARIABLE}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut run, campaign) = begin(seed, clock).await;
    let begun = clock.now().instant;

    run.live_until(&Death::ByChance, &mut rng, clock).await;
    let mut deaths = Deaths::default();
    let mut to_come: VecDeque<_> = planned.iter().cloned().collect();
    while let Some(death) = to_come.pop_front() {
        let failpoint = death.failpoint(&mut rng, OCCASIONS);
        run.restart(failpoint.as_deref(), &mut rng).await;
        if run.live_until(&death, &mut rng, clock).await {
            deaths.count(&death);
        } else {
            to_come.push_back(death);
        }
        let seconds = (clock.now().instant - begun).as_secs_f64();
        let by_kind = run.milestones.by_kind();
        println!(
            "{seconds:5.1} s: {}; registered, told, downloaded, executed, ended {by_kind:?}",
            failpoint.as_deref().unwrap_or("killed")
        );
        assert!(
            clock.now().instant - begun < PATIENCE,
            "seed {seed}: these were not reached: {to_come:?}"
        );
    }
    run.restart(None, &mut rng).await;
    while !is_over(&run.rest, campaign).await {
        run.read_log();
        if clock.now().instant - begun > PATIENCE {
            let report = run.server.report(campaign).await;
            panic!(
                "seed {seed}: not over: {:?}\n{report}",
                run.milestones.by_kind()
            );
        }
        tokio::time::sleep(LOOK).await;
    }

    let seconds = (clock.now().instant - begun).as_secs_f64();
    println!("{seconds:.1} s, deaths:");
    deaths.check(planned);
    check(run, campaign).await;
    deaths
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
    let refused = run.milestones.refused();
    assert!(refused.is_empty(), "registrations forgotten: {refused:?}");
    assert_eq!(run.fleet.running(), METERS, "a meter broke");
    run.server.kill();
    run.verify_audit();
    check_audit(&run.server);
}

/// The chain holds over all deaths, and no meter was flashed without an entry that it was intended.
fn check_audit(server: &Server) {
    println!("audit: {}", server.audit(&["verify"]));
    let lines = server.audit(&["export", "--format", "ndjson"]);
    let of_action = |action: &str| -> BTreeSet<String> {
        let entries = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        entries
            .filter(|entry: &serde_json::Value| entry["action"] == action)
            .map(|entry| {
                let details: serde_json::Value =
                    serde_json::from_str(text(&entry["details"])).unwrap();
                text(&details["endpoint"]).to_owned()
            })
            .collect()
    };
    assert!(lines.contains(r#""action":"campaign_activated","actor":"test""#));
    let meters: BTreeSet<_> = (0..METERS).map(endpoint).collect();
    assert_eq!(of_action("execute_intended"), meters);
    assert_eq!(of_action("task_succeeded"), meters);
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
