use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::sim::{CeLevel, Fault};

/// What is wrong with a text: its line, its field and what is said.
fn fault(text: &str) -> (usize, String, String) {
    let error = Scenario::parse(text).unwrap_err();
    (error.line, error.field, error.message)
}

const DEVICES: &str = "[devices]\ncount = 10\n";

fn with(section: &str) -> String {
    format!("{DEVICES}{section}")
}

#[test]
fn every_template_is_a_scenario_of_thirty_lines_or_a_few_more() {
    for template in Template::all() {
        let scenario = template.scenario().unwrap_or_else(|it| panic!("{it}"));
        assert_eq!(scenario.name, template.name);
        assert!(!scenario.thresholds.is_empty(), "{}", template.name);
        assert_eq!(scenario.text, template.text);
        let expansion = scenario.expansion(scenario.seed);
        let of_cells: usize = expansion.cells.iter().flat_map(|cell| cell.levels).sum();
        assert_eq!(of_cells, scenario.device_count(), "{}", template.name);
    }
    let nightly = Template::find("nightly-burst").unwrap().text;
    assert!(nightly.lines().count() <= 40);
}

#[test]
fn ten_lines_are_a_scenario() {
    let scenario = Scenario::parse(DEVICES).unwrap();
    assert_eq!((scenario.device_count(), scenario.cells.len()), (10, 1));
    assert!(scenario.campaign.is_none());
    assert_eq!(scenario.mix_names().collect::<Vec<_>>(), ["plain"]);
}

#[test]
fn what_is_no_toml_is_told_by_its_line() {
    let (line, field, message) = fault("[devices]\ncount = = 3\n");
    assert_eq!((line, field.as_str()), (2, ""));
    assert!(!message.is_empty());
}

#[test]
fn a_field_that_nobody_knows_is_told_with_those_that_there_are() {
    let (line, field, message) = fault(&with("[campaign]\nimage_bytes = 1\nwindows = 3\n"));
    assert_eq!((line, field.as_str()), (5, "campaign.windows"));
    assert!(message.contains("`window`"), "{message}");
}

/// A section after [`DEVICES`]; the line, the field and some of the words of its fault.
const FAULTS: &[(&str, usize, &str, &str)] = &[
    (
        "[[mix]]\npersona = \"bc-25\"\n",
        4,
        "mix[0].persona",
        "quectel-bc25",
    ),
    (
        "[[mix]]\nradio = \"rural\"\n",
        4,
        "mix[0].radio",
        "urban, typical, basement",
    ),
    (
        "[run]\nduration = \"3 weeks\"\n",
        4,
        "run.duration",
        "\"2d03:00\"",
    ),
    (
        "[run]\nstart = \"tomorrow\"\n",
        4,
        "run.start",
        "2026-11-22T00:00:00Z",
    ),
    (
        "[campaign]\nimage_bytes = \"1 furlong\"\n",
        4,
        "campaign.image_bytes",
        "\"64KiB\"",
    ),
    (
        "[campaign]\nimage_bytes = 1\nretry = { retries_max = 6 }\n",
        5,
        "campaign.retry.retries_max",
        "0 to 5",
    ),
    (
        "[campaign]\nimage_bytes = 1\nwindow = { time_zone = \"Mars\", from_hour = 1, to_hour = 2 }\n",
        5,
        "campaign.window",
        "Mars",
    ),
    (
        "[[cell]]\nid = 1\noperation_mode = \"outband\"\n",
        5,
        "cell[0].operation_mode",
        "in_band",
    ),
    (
        "[[mix]]\ntraits = { data_every = \"0s\" }\n",
        4,
        "mix[0].traits.data_every",
        "30s",
    ),
    (
        "[[mix]]\ntraits = { lifetime = \"1h\", update_before_expiry = \"1h\" }\n",
        4,
        "mix[0].traits.update_before_expiry",
        "lifetime",
    ),
    (
        "[[mix]]\ntraits = { battery_percent = 101 }\n",
        4,
        "mix[0].traits.battery_percent",
        "0 to 100",
    ),
    (
        "[[mix]]\nimpairment = { rebind_every = \"0s\" }\n",
        4,
        "mix[0].impairment.rebind_every",
        "20m",
    ),
    (
        "[[cell]]\nid = \"0xFFFFFFFFF\"\n",
        4,
        "cell[0].id",
        "268435455",
    ),
    ("[[cell]]\nid = 1\n[[cell]]\nid = 1\n", 3, "cell", "twice"),
    ("[[mix]]\nweight = 0\n", 3, "mix", "weight = 1"),
    (
        "[[mix]]\nuplink = { pattern = \"burst\" }\n",
        4,
        "mix[0].uplink.window",
        "08:00-09:00",
    ),
    (
        "[[mix]]\nfaults = { brick = 0.7, bad_uri = 0.4 }\n",
        4,
        "mix[0].faults",
        "no more than 1",
    ),
    (
        "[[mix]]\nfaults = { brik = 0.1 }\n",
        4,
        "mix[0].faults",
        "brick",
    ),
    (
        "[[mix]]\ntraits = { quirks = [\"resumes\", \"sings\"] }\n",
        4,
        "mix[0].traits.quirks[1]",
        "never_notifies",
    ),
    (
        "[[event]]\nat = \"1h\"\ndo = \"nat_flush\"\nmix = \"nobody\"\n",
        6,
        "event[0].mix",
        "plain",
    ),
    (
        "[[event]]\nat = \"1h\"\ndo = \"server_restart\"\npercent = 3\n",
        6,
        "event[0].percent",
        "takes for",
    ),
    (
        "[[event]]\nat = \"1h\"\ndo = \"time_jump\"\n",
        3,
        "event[0].by",
        "-10m",
    ),
    (
        "[[event]]\nat = \"9d\"\ndo = \"nat_flush\"\n",
        4,
        "event[0].at",
        "duration",
    ),
    (
        "[[event]]\nat = \"1h\"\ndo = \"cell_outage\"\nfor = \"1h\"\ncells = [7]\n",
        7,
        "event[0].cells[0]",
        "no cell 7",
    ),
    (
        "[[stage]]\ndo = \"ramp_up\"\nfor = \"1m\"\ndevices = 3\n",
        3,
        "stage",
        "3 of 10",
    ),
    (
        "[thresholds]\n\"device.downlaod\" = \"max<1\"\n",
        4,
        "thresholds.\"device.downlaod\"",
        "device.downlaod",
    ),
];

#[test]
fn each_fault_is_told_with_its_line_its_field_and_what_would_be_right() {
    for (text, line, field, told) in FAULTS {
        let (at, of, message) = fault(&with(text));
        assert_eq!((at, of.as_str()), (*line, *field), "{text}: {message}");
        assert!(message.contains(told), "{text}: {message}");
    }
}

#[test]
fn a_device_is_what_it_is_however_many_there_are() {
    let template = Template::find("mixed-vendors").unwrap();
    let few = Scenario::parse(&template.text.replace("count = 400", "count = 20")).unwrap();
    let many = template.scenario().unwrap();
    for (one, other) in few.devices(5).zip(many.devices(5)) {
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }
    let seeds: BTreeSet<u64> = many.devices(5).map(|device| device.seed).collect();
    assert_eq!(seeds.len(), 400, "each has chance of its own");
    let other = many.device(6, 0);
    assert_ne!(other.seed, many.device(5, 0).seed);
}

#[test]
fn with_other_devices_a_scenario_goes_as_fast_and_each_device_is_the_same() {
    let text =
        with("[[cell]]\nid = 1\ncount = 2\n").replace("count = 10", "count = 10\nramp = \"2/s\"");
    let few = Scenario::parse(&text).unwrap();
    let many = few.with_devices(40);
    assert_eq!((many.device_count(), many.devices(1).count()), (40, 40));
    for (one, other) in few.devices(1).zip(many.devices(1)) {
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }
    let last = many.device(1, 39).config.start_after;
    assert!(
        last > Duration::from_secs(19) && last <= Duration::from_secs(20),
        "{last:?}"
    );
}

#[test]
fn with_other_devices_each_stage_moves_the_same_part() {
    let before = Template::find("50k-register").unwrap().scenario().unwrap();
    let few = before.with_devices(before.device_count() / 100);
    let of = |scenario: &Scenario| {
        let off = scenario
            .devices(1)
            .filter(|device| device.switch_off.is_some());
        let on = scenario.devices(1).map(|device| device.config.start_after);
        (off.count(), on.max().unwrap())
    };
    let ((off, on), (all_off, all_on)) = (of(&few), of(&before));
    assert_eq!(off, all_off / 100);
    assert!(
        all_on.abs_diff(on) < Duration::from_secs(60),
        "{all_on:?} {on:?}"
    );
}

#[test]
fn mixes_are_as_frequent_as_their_weights_and_bring_their_traits() {
    let template = Template::find("mixed-vendors").unwrap();
    let text = template.text.replace("count = 400", "count = 4000");
    let scenario = Scenario::parse(&text).unwrap();
    let expansion = scenario.expansion(1);
    let bc25 = &expansion.mixes[0];
    assert_eq!(bc25.0, "quectel-bc25");
    assert!(bc25.1.abs_diff(1600) < 160, "{bc25:?}");
    for device in scenario.devices(1).take(200) {
        let config = &device.config;
        match device.mix {
            0 => assert!(config.quirks.resumes_install && config.model == "BC25"),
            1 => assert!(config.quirks.own_download_socket && config.radio.sinr.is_none()),
            3 => assert!(
                config
                    .faults
                    .chances
                    .iter()
                    .any(|(it, _)| *it == Fault::BootLoop)
            ),
            4 => assert!(config.radio.rsrp.is_none() && config.radio.cell_id.is_some()),
            5 => assert_eq!(config.nat_timeout, Some(Duration::from_secs(120))),
            _ => {}
        }
        assert_eq!(
            config.radio.cell_id,
            Some(100 + u32::try_from(device.cell).unwrap())
        );
    }
    assert_eq!(scenario.products().len(), 6);
}

#[test]
fn uplinks_are_as_frequent_as_their_pattern_says() {
    let of = |pattern: &str| {
        let text = with(&format!(
            "[[mix]]\nuplink = {{ pattern = \"{pattern}\" }}\n"
        ));
        let scenario = Scenario::parse(&text.replace("count = 10", "count = 4000")).unwrap();
        let devices = scenario.devices(1).map(|device| device.config);
        devices.collect::<Vec<_>>()
    };
    // TR 45.820: 40 % daily, 40 % each 2 h, 15 % each hour, 5 % each half hour.
    let mar = of("mar");
    let (daily, rest): (Vec<_>, Vec<_>) = mar.iter().partition(|it| it.daily_uplink.is_some());
    let every = |minutes: u64| {
        let every = Duration::from_secs(minutes * 60);
        rest.iter().filter(|it| it.update_interval == every).count()
    };
    let counts = [daily.len(), every(120), every(60), every(30)];
    for (count, expected) in counts.into_iter().zip([1600, 1600, 600, 200]) {
        assert!(count.abs_diff(expected) < 100, "{counts:?}");
    }
    let herd = of("midnight-herd");
    let five_minutes = Duration::from_secs(300);
    assert!(
        herd.iter()
            .all(|it| it.daily_uplink.unwrap().to <= five_minutes)
    );
}

/// The scenario of the README.
#[test]
fn what_the_readme_says_of_scenarios_is_one() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## Rehearse a campaign\n").nth(1).unwrap();
    let text = section.split("```toml\n").nth(1).unwrap();
    let text = text.split("```").next().unwrap();
    let scenario = Scenario::parse(text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    assert_eq!((scenario.device_count(), scenario.cells.len()), (2000, 20));
    assert_eq!(scenario.thresholds.len(), 6);
}

#[test]
fn a_cell_of_its_own_radio_overrules_the_mix() {
    let scenario = Template::find("bad-cell").unwrap().scenario().unwrap();
    assert!(
        scenario
            .devices(1)
            .all(|device| device.level == CeLevel::Ce2)
    );
    assert!(
        scenario
            .devices(1)
            .all(|device| device.config.drift.is_some())
    );
}

#[test]
fn stages_say_when_each_device_is_on_and_off() {
    let scenario = Template::find("50k-register").unwrap().scenario().unwrap();
    let hour = Duration::from_secs(3600);
    let first = scenario.device(1, 0);
    let last = scenario.device(1, 49_999);
    assert!(first.config.start_after < last.config.start_after);
    assert!(last.config.start_after <= hour);
    assert!(first.switch_off.unwrap() >= 5 * hour);
    assert_eq!(last.switch_off, None);
}

#[test]
fn an_event_hits_its_part_of_the_devices_that_it_means() {
    let text = with(
        "[[cell]]\nid = 1\ncount = 4\n[[event]]\nat = \"1h\"\ndo = \"power_cut\"\npercent = 30\ncells = [2, 4]\n",
    )
    .replace("count = 10", "count = 4000");
    let scenario = Scenario::parse(&text).unwrap();
    let event = &scenario.events[0];
    let cells = event.cells(1, scenario.cells.len());
    assert_eq!(cells, [1, 3]);
    let hit: Vec<_> = scenario
        .devices(1)
        .filter(|device| event.hits(1, device.place(), &cells))
        .collect();
    assert!(hit.len().abs_diff(600) < 90, "{}", hit.len());
    assert!(hit.iter().all(|device| cells.contains(&device.cell)));
}
