use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::*;
use crate::harness::End;
use crate::harness::scenario::Template;

mod traits;

/// Six devices that always listen, with the best coverage, and five kilobytes for them.
const BASE: &str = "
[run]
name = \"test\"
duration = \"2d\"
[campaign]
image_bytes = 5000
[[cell]]
id = 1
[devices]
count = 6
ramp = \"1/s\"
";

/// All devices of one kind.
fn all(mix: &str, traits: &str) -> String {
    format!(
        "{BASE}\n[[mix]]\nradio = {{ ce0 = 1 }}\nuplink = {{ pattern = \"interval\", every = \"30m\" }}\n\
         {mix}\n[mix.traits]\nsleep = \"never\"\n{traits}\n"
    )
}

struct Run {
    log: String,
    result: RunResult,
}

fn run_with(text: &str, seed: u64) -> Run {
    let scenario = Scenario::parse(text).unwrap_or_else(|it| panic!("{it}\n{text}"));
    let mut log = String::new();
    let mut take = |text: &str| {
        log.push_str(text);
        Ok(())
    };
    let result = run(&scenario, seed, &mut take, &mut |_| {}).unwrap();
    Run { log, result }
}

fn run_of(text: &str) -> Run {
    run_with(text, 1)
}

impl Run {
    fn count(&self, what: &str) -> usize {
        self.log.lines().filter(|line| line.contains(what)).count()
    }

    /// What devices' lines say, with their times in seconds.
    fn lines(&self, of: &str) -> Vec<(f64, &str)> {
        let lines = self.log.lines().filter_map(|line| line.split_once(' '));
        let lines = lines.filter(|(_, what)| what.starts_with(of));
        let seconds = lines.map(|(at, what)| {
            let (number, unit) = at.split_at(
                at.find(|c: char| c.is_ascii_alphabetic() || c == 'µ')
                    .unwrap(),
            );
            let number: f64 = number.parse().unwrap();
            let scale = match unit {
                "s" => 1.0,
                "ms" => 1e-3,
                _ => 1e-6,
            };
            (number * scale, what)
        });
        seconds.collect()
    }
}

#[test]
fn a_seed_gives_one_log_to_the_last_byte_and_its_hash_is_told() {
    let one = run_of(&all("", ""));
    assert_eq!(one.result.end, End::AllDone, "{}", one.log);
    assert_eq!(one.result.updated, 6);
    let other = run_of(&all("", ""));
    assert!(one.log == other.log, "two logs of one seed");
    let sha256 = hex::encode(Sha256::digest(&one.log));
    assert_eq!(one.result.log_sha256.as_deref(), Some(sha256.as_str()));
    assert_ne!(
        run_with(&all("", ""), 2).result.log_sha256,
        one.result.log_sha256
    );
}

/// Each fault, in every attempt of every device: what the log says of it, and whether a device can be
/// updated all the same.
#[test]
fn each_fault_shows_in_the_log() {
    for (fault, said, updated) in [
        ("power_cut_downloading", "PowerCut", false),
        ("power_cut_downloaded", "PowerCut", true),
        ("power_cut_updating", "PowerCut", false),
        ("no_space", "DownloadFailed { result: 2 }", false),
        ("out_of_memory", "DownloadFailed { result: 3 }", false),
        ("connection_lost", "DownloadFailed { result: 4 }", false),
        ("wrong_hash", "DownloadFailed { result: 5 }", false),
        ("wrong_type", "DownloadFailed { result: 6 }", false),
        (
            "bad_uri",
            "failure: Some(Failure { reason: InvalidUri",
            false,
        ),
        ("update_failed", "UpdateEnded { result: 8 }", false),
        ("old_version", "UpdateEnded { result: 1 }", false),
        ("brick", "Bricked", false),
        ("boot_loop", "RolledBack { version: \"2.0.0\" }", false),
    ] {
        let run = run_of(&all(&format!("faults = {{ {fault} = 1.0 }}"), ""));
        assert!(run.count(said) >= 6, "{fault}: {}", run.log);
        if updated {
            assert_eq!(run.result.updated, 6, "{fault}: {}", run.log);
        } else {
            assert_eq!(run.result.updated, 0, "{fault}: {}", run.log);
        }
        if fault == "boot_loop" {
            assert_eq!(run.count("BootFailed"), 18, "{}", run.log);
        }
    }
}

#[test]
fn a_power_cut_keeps_what_was_fetched_or_loses_it() {
    let faults = |more: &str| format!("faults = {{ power_cut_downloading = 1.0{more} }}");
    let retry = BASE.replace(
        "image_bytes = 5000",
        "image_bytes = 5000\nretry = { retries_max = 2 }",
    );
    let of = |more, quirk| run_of(&all(&faults(more), quirk).replace(BASE, &retry));
    let kept = of("", "quirks = [\"resumes\"]");
    assert!(kept.count("DownloadResumed") > 0, "{}", kept.log);
    let lost = of(", loses_package = true", "quirks = [\"resumes\"]");
    assert_eq!(lost.count("DownloadResumed"), 0);
    assert!(lost.count("PowerCut") > 0);
}

#[test]
fn an_install_that_the_power_cut_off_goes_on_where_the_module_is_of_that_kind() {
    let faults = "faults = { power_cut_updating = 1.0 }";
    let resumed = run_of(&all(faults, "quirks = [\"resumes_install\"]"));
    assert_eq!(resumed.count("InstallResumed"), 6, "{}", resumed.log);
    assert_eq!(resumed.count("Flashed"), 6);
    assert_eq!(run_of(&all(faults, "")).count("InstallResumed"), 0);
}

#[test]
fn a_nat_forgets_a_silent_device_which_comes_back_from_another_port() {
    let silent = run_of(&all("", "nat_timeout = \"120s\""));
    assert!(silent.count("PortChanged") >= 6, "{}", silent.log);
    assert_eq!(silent.result.updated, 6);
    assert_eq!(run_of(&all("", "")).count("PortChanged"), 0);
}

#[test]
fn a_signal_that_drifts_is_told_as_it_is() {
    let drifting = run_of(&all("drift_db = 10", ""));
    assert!(drifting.count("SignalTold") >= 6, "{}", drifting.log);
    assert_eq!(run_of(&all("", "")).count("SignalTold"), 0);
}

#[test]
fn a_stack_that_takes_a_repeated_block_for_a_new_download_starts_again() {
    // What is lost is asked for again.
    let text =
        all("", "quirks = [\"restarts_after_retransmission\"]").replace("ce0 = 1", "ce2 = 1");
    let run = run_of(&text);
    assert!(run.count("DownloadRestarted") > 0, "{}", run.log);
}

#[test]
fn a_radio_that_sleeps_within_the_update_misses_blocks_that_it_waits_for() {
    let asleep = "quirks = [\"sleeps_while_waiting\"]\nawake = \"4s\"";
    let text = all("", asleep)
        .replace("sleep = \"never\"", "sleep = \"psm\"")
        .replace("ce0 = 1", "ce1 = 1");
    let awake = text.replace(asleep, "awake = \"4s\"");
    let retransmitted = |text: &str| -> u32 {
        let devices = run_of(text).result.slowest;
        devices.iter().map(|device| device.retransmitted).sum()
    };
    let (slept, woke) = (retransmitted(&text), retransmitted(&awake));
    assert!(slept > woke, "{slept} against {woke}");
}

#[test]
fn a_paged_device_answers_once_in_a_cycle() {
    let paged = all("", "edrx_cycle = \"81.92s\"\nawake = \"5s\"")
        .replace("sleep = \"never\"", "sleep = \"edrx\"");
    let (paged, awake) = (run_of(&paged), run_of(&all("", "")));
    assert_eq!(paged.result.updated, 6, "{}", paged.log);
    let last = |run: &Run| run.lines("device").last().unwrap().0;
    assert!(last(&paged) > last(&awake), "{}", paged.log);
}

#[test]
fn a_device_that_never_notifies_is_updated_all_the_same() {
    let run = run_of(&all("", "quirks = [\"never_notifies\"]"));
    assert_eq!(run.result.updated, 6, "{}", run.log);
}

fn with_event(event: &str) -> String {
    // The campaign lasts beyond the event.
    format!("{}\n[[event]]\n{event}\n", all("", "")).replace(
        "image_bytes = 5000",
        "image_bytes = 5000\nat = \"2h\"\nretry = { retries_max = 3 }",
    )
}

#[test]
fn an_events_power_cut_hits_those_that_are_in_its_phase() {
    let cut = run_of(&with_event("at = \"1h\"\ndo = \"power_cut\"\nfor = \"2m\""));
    let cuts = cut.lines("device");
    let cuts: Vec<_> = cuts
        .iter()
        .filter(|(_, what)| what.ends_with("PowerCut"))
        .collect();
    assert_eq!(cuts.len(), 6, "{}", cut.log);
    assert!(
        cuts.iter().all(|(at, _)| (at - 3600.0).abs() < 1.0),
        "{cuts:?}"
    );
    let idle = "at = \"1h\"\ndo = \"power_cut\"\nphase = \"downloading\"";
    assert_eq!(
        run_of(&with_event(idle)).count("PowerCut"),
        1,
        "but for the event's own line"
    );
}

#[test]
fn a_server_that_is_killed_is_silent_and_goes_on_from_what_it_committed() {
    let run = run_of(&with_event(
        "at = \"02:00:20\"\ndo = \"server_restart\"\nfor = \"5m\"",
    ));
    let served = run.lines("server");
    let while_down = |at: f64| at > 7220.0 && at < 7520.0;
    assert!(!served.iter().any(|(at, _)| while_down(*at)), "{}", run.log);
    assert!(served.iter().any(|(at, _)| *at >= 7520.0));
    assert_eq!(run.result.updated, 6, "{}", run.log);
    let flashed = run.count("Flashed");
    assert_eq!(flashed, 6, "none is flashed twice");
}

#[test]
fn nothing_goes_through_a_cell_that_is_out() {
    let run = run_of(&with_event(
        "at = \"1h\"\ndo = \"cell_outage\"\nfor = \"2h\"",
    ));
    let served = run.lines("server");
    let registered =
        |(at, what): &&(f64, &str)| *at > 3660.0 && *at < 10_800.0 && what.contains("Registered");
    assert!(!served.iter().any(|line| registered(&line)), "{}", run.log);
    assert!(run.count("RegistrationUnanswered") > 0, "{}", run.log);
    assert_eq!(run.result.updated, 6, "{}", run.log);
}

#[test]
fn nats_that_are_flushed_give_devices_other_ports() {
    let run = run_of(&with_event("at = \"1h\"\ndo = \"nat_flush\""));
    let second_port = |(_, what): &&(f64, &str)| what.contains(":40002");
    let moved = run.lines("server");
    let moved: Vec<_> = moved.iter().filter(second_port).collect();
    assert!(moved.len() >= 6, "{}", run.log);
    assert!(moved.iter().all(|(at, _)| *at > 3600.0));
}

#[test]
fn the_servers_clock_is_set_and_its_timers_go_on() {
    let text = with_event("at = \"1h\"\ndo = \"time_jump\"\nby = \"-3h\"");
    let scenario = Scenario::parse(&text).unwrap();
    let mut simulation = Simulation::new(&scenario, 1).unwrap();
    while simulation.step().unwrap() {}
    let now = simulation.network().now();
    let wall_ms = now.utc.unix_ms() - scenario.start.unix_ms();
    let elapsed_ms = i64::try_from(simulation.elapsed().as_millis()).unwrap();
    assert_eq!(elapsed_ms - wall_ms, 3 * 3_600_000);
    assert_eq!(simulation.finish().updated, 6);
}

#[test]
fn devices_switch_on_and_off_as_the_stages_say() {
    let text = all("", "").replace("[campaign]\nimage_bytes = 5000\n", "").replace(
        "ramp = \"1/s\"\n",
        "[[stage]]\ndo = \"ramp_up\"\nfor = \"10m\"\n[[stage]]\ndo = \"ramp_down\"\npercent = 50\nfor = \"10m\"\n",
    )
    .replace("duration = \"2d\"", "duration = \"1h\"\nuntil = \"duration\"");
    let run = run_of(&text);
    let booted = run.lines("device");
    let booted: Vec<_> = booted
        .iter()
        .filter(|(_, what)| what.contains("Booted"))
        .collect();
    assert_eq!(booted.len(), 6, "{}", run.log);
    assert!(booted.last().unwrap().0 > 400.0 && booted.last().unwrap().0 < 600.0);
    assert_eq!(run.count("SwitchedOff"), 3);
    assert_eq!(run.result.end, End::DurationOver);
}

/// Each template as it is, but with few devices: most are updated, nothing is done twice.
#[test]
fn every_template_runs() {
    for template in Template::all() {
        let scenario = template.scenario().unwrap();
        let count = format!("count = {}\n", scenario.device_count());
        let few = if scenario.campaign.is_some() { 12 } else { 200 };
        let text = template.text.replace(&count, &format!("count = {few}\n"));
        assert_eq!(
            Scenario::parse(&text).unwrap().device_count(),
            few,
            "{}",
            template.name
        );
        let run = run_of(&text);
        let updated = run.result.updated;
        match scenario.campaign {
            Some(_) => assert!(updated >= 11, "{}: {updated}", template.name),
            None => {
                let lines = run.lines("device");
                let registered = lines
                    .iter()
                    .filter(|(_, what)| what.ends_with(" Registered"));
                let devices: BTreeSet<_> = registered.map(|(_, what)| *what).collect();
                assert_eq!(devices.len(), few, "{}", template.name);
            }
        }
    }
}

#[test]
fn a_device_lives_the_same_life_until_others_share_its_cell() {
    // Two cells, so that the first device is alone in its own in both.
    let of = |count: usize| {
        let text = all("", "")
            .replace("[[cell]]\nid = 1", "[[cell]]\nid = 1\ncount = 3")
            .replace("count = 6", &format!("count = {count}"))
            .replace("[campaign]\nimage_bytes = 5000\n", "")
            .replace(
                "duration = \"2d\"",
                "duration = \"6h\"\nuntil = \"duration\"",
            );
        run_of(&text)
    };
    let (few, many) = (of(1), of(3));
    let first = |run: &Run| -> Vec<String> {
        let lines = run.log.lines();
        lines
            .filter(|line| line.contains(" device 0 "))
            .map(str::to_owned)
            .collect()
    };
    assert!(!first(&few).is_empty());
    assert_eq!(first(&few), first(&many));
}

fn with_threshold(threshold: &str) -> Run {
    run_of(&format!("{}[thresholds]\n{threshold}\n", all("", "")))
}

#[test]
fn a_threshold_that_is_to_end_the_run_ends_it_within_a_minute_of_breaking() {
    let broken = "threshold = \"max<1s\"";
    let to_the_end = with_threshold(&format!("\"device.download\" = {{ {broken} }}"));
    assert_eq!(to_the_end.result.end, End::AllDone, "{}", to_the_end.log);
    assert_eq!(to_the_end.result.exit_code(), 99);
    let aborts = format!("\"device.download\" = {{ {broken}, abortOnFail = true }}");
    let ended = with_threshold(&aborts);
    let threshold = "device.download: max<1s".to_owned();
    assert_eq!(ended.result.end, End::Aborted { threshold });
    assert_eq!(ended.result.exit_code(), 99);
    let downloaded = ended.lines("device");
    let mut downloaded = downloaded
        .iter()
        .filter(|(_, what)| what.contains(" Downloaded"));
    let ended_s = ended.result.duration_ms as f64 / 1e3;
    let broke_s = downloaded.next().unwrap().0;
    assert!(
        (0.0..=60.0).contains(&(ended_s - broke_s)),
        "{ended_s} {broke_s}"
    );
    assert!(
        to_the_end.log.starts_with(&ended.log),
        "the run is the same until then"
    );
    assert!(ended.result.duration_ms < to_the_end.result.duration_ms);
}

#[test]
fn a_threshold_is_not_judged_before_its_delay_and_one_that_holds_ends_nothing() {
    let delayed = with_threshold(
        "\"coap.sent\" = { threshold = \"count<1\", abort_on_fail = true, delay_abort_eval = \"90s\" }",
    );
    assert!(matches!(delayed.result.end, End::Aborted { .. }));
    assert_eq!(delayed.result.duration_ms, 120_000);
    let holds = "\"coap.sent\" = { threshold = \"count>=0\", abort_on_fail = true }";
    assert_eq!(with_threshold(holds).result.end, End::AllDone);
}

#[test]
fn a_run_of_minutes_has_a_course_of_seconds() {
    let series = run_of(&all("", "")).result.series;
    let parts = series.updated.len();
    assert!(parts > 200, "{parts} parts of {} ms", series.bucket_ms);
}

#[test]
fn days_pass_in_less_than_a_moment_each() {
    let run = run_of(&all("", "").replace("count = 6", "count = 60"));
    assert_eq!(run.result.updated, 60);
    assert!(
        run.result.duration_ms
            <= u64::try_from(Duration::from_secs(2 * 86_400).as_millis()).unwrap()
    );
}
