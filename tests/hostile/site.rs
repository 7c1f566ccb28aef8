//! One server, its honest peers, and the rows that are played against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use narrowcast::clock::{Instant, SystemClock};
use serde_json::Value;

use crate::coap::Stranger;
use crate::download::{self, Downloader};
use crate::figures::{Figures, KINDS, Kind};
use crate::honest::{CANARY, Honest, NEWCOMER, NEWCOMERS};
use crate::http::{Connection, request};
use crate::registrations;
use crate::server::{Server, resident_kib};

/// What 99 of 100 honest requests take at most, whatever happens beside them.
const LATENCY_MAX: Duration = Duration::from_secs(1);
/// How much memory all the rows together may cost.
const GROWTH_KIB_MAX: u64 = 96 * 1024;
/// Connections of the operator that come and go.
const DESCRIPTORS_SLACK: usize = 4;
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// One kind of bad input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its number in the catalogue of bad inputs.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    /// Sends it, and asserts what the server says.
    pub(crate) play: fn(&Site),
    /// How the names begin of the devices that it may register.
    pub(crate) registers: &'static [&'static str],
}

impl Row {
    pub(crate) const fn new(number: u32, name: &'static str, play: fn(&Site)) -> Self {
        Self {
            number,
            name,
            play,
            registers: &[],
        }
    }

    pub(crate) const fn registering(self, registers: &'static [&'static str]) -> Self {
        Self { registers, ..self }
    }
}

/// What a row is played against.
#[derive(Debug)]
pub(crate) struct Site {
    /// They end before the server does.
    pub(crate) honest: Honest,
    pub(crate) server: Server,
    /// Where the image lies that is being downloaded.
    pub(crate) image_path: String,
    clock: SystemClock,
    resident_kib: u64,
    descriptors: usize,
}

/// Plays the rows one after another, shows the figures, and fails with all that was wrong. There is a
/// row for each of the numbers.
pub(crate) fn play(rows: &[Row], numbers: RangeInclusive<u32>) {
    let played: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
    assert!(played.into_iter().eq(numbers));
    let site = Site::start();
    println!("{:>39}{}", "", Figures::head()[0]);
    println!(
        "{:<33}{:>6}{} | again images  MiB",
        "row",
        "s",
        Figures::head()[1]
    );
    let mut faults = String::new();
    for row in rows {
        for fault in site.play(row) {
            let _ = writeln!(faults, "row {} ({}): {fault}", row.number, row.name);
        }
    }
    // Devices' answers wait for commits: whether the disk was slow.
    let metrics = request("GET", "/metrics", &site.server.token, None);
    let metrics = String::from_utf8(site.server.ask(&metrics).body).unwrap();
    let commits = |line: &&str| line.starts_with("narrowcast_store_commit_seconds");
    metrics
        .lines()
        .filter(commits)
        .for_each(|line| println!("{line}"));
    for line in site.server.log() {
        // Nothing that a peer said begins a line.
        if !line.starts_with("20") {
            let _ = writeln!(faults, "a line of the log: {line:?}");
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

impl Site {
    fn start() -> Self {
        let server = Server::start();
        let own = [CANARY, download::ENDPOINT].map(str::to_owned).into_iter();
        let own = own.chain((0..NEWCOMERS).map(|number| format!("{NEWCOMER}{number}")));
        server.enter(own.chain(registrations::entered_devices()));
        let downloader = Downloader::start(&server);
        let image_path = downloader.path.clone();
        let honest = Honest::start(&server, downloader);
        let mut site = Self {
            server,
            honest,
            image_path,
            clock: SystemClock::new(),
            resident_kib: 0,
            descriptors: 0,
        };
        site.wait_for_answers();
        let warm = site.honest.figures.take();
        assert!(warm.faults.is_empty(), "{:#?}", warm.faults);
        site.resident_kib = resident_kib(site.server.pid());
        site.descriptors = site.server.descriptors();
        site
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now().instant
    }

    /// Looks until it is so.
    pub(crate) fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let started = self.now();
        while !is() {
            let waited = self.now().saturating_since(started);
            assert!(waited < PATIENCE, "{what}: not after {waited:?}");
            thread::sleep(POLL);
        }
    }

    pub(crate) fn stranger(&self) -> Stranger {
        Stranger::new(self.server.coap)
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.server.http).unwrap()
    }

    /// The kibibytes of memory that the server has more than before the first row.
    pub(crate) fn growth_kib(&self) -> u64 {
        resident_kib(self.server.pid()).saturating_sub(self.resident_kib)
    }

    fn play(&self, row: &Row) -> Vec<String> {
        let devices = self.devices(row);
        let campaign = self.campaign();
        drop(self.honest.figures.take());
        let started = self.now();
        let mut faults = Vec::new();
        let name = format!("row {}", row.number);
        let played = thread::scope(|scope| {
            let thread = thread::Builder::new().name(name);
            thread
                .spawn_scoped(scope, || (row.play)(self))
                .unwrap()
                .join()
        });
        if played.is_err() {
            faults.push("panicked, as is said above".to_owned());
        }
        let took = self.now().saturating_since(started);
        self.wait_for_answers();
        self.until("the descriptors", || {
            self.server.descriptors() <= self.descriptors + DESCRIPTORS_SLACK
        });
        if self.devices(row) != devices {
            faults.push("the list of devices is another".to_owned());
        }
        if self.campaign() != campaign {
            faults.push(format!("{campaign} became {}", self.campaign()));
        }
        let figures = self.honest.figures.take();
        self.judge(&figures, &mut faults);
        println!(
            "{:>3} {:<29}{:>6.2}{} |{:>6}{:>7}{:>5}",
            row.number,
            row.name,
            took.as_secs_f64(),
            figures.columns(),
            figures.retransmissions,
            figures.images,
            figures.resident_kib_max / 1024
        );
        faults
    }

    fn judge(&self, figures: &Figures, faults: &mut Vec<String>) {
        faults.extend(figures.faults.iter().take(5).cloned());
        for (kind, name) in KINDS {
            let latency = figures.percentile(kind, 99);
            if latency > LATENCY_MAX {
                faults.push(format!("99 of 100 of {name} took up to {latency:?}"));
            }
        }
        let growth_kib = figures.resident_kib_max.saturating_sub(self.resident_kib);
        if growth_kib > GROWTH_KIB_MAX {
            faults.push(format!("the memory grew by {growth_kib} KiB"));
        }
    }

    /// Waits until each honest peer was answered often enough, and an image has come whole.
    fn wait_for_answers(&self) {
        let before = {
            let figures = self.honest.figures.lock();
            KINDS.map(|(kind, _)| figures.count(kind) + answers_after(kind))
        };
        let images = self.honest.figures.lock().images + 1;
        self.until("the honest peers", || {
            if self.honest.is_broken() {
                resume_unwind(Box::new("an honest peer has ended"));
            }
            let figures = self.honest.figures.lock();
            let enough = |(kind, _), count| figures.count(kind) >= count;
            let mut kinds = KINDS.into_iter().zip(before);
            figures.images >= images && kinds.all(|(kind, count)| enough(kind, count))
        });
    }

    /// Every device that the row has no business with, but for what time alone changes.
    fn devices(&self, row: &Row) -> BTreeMap<String, Value> {
        let is_the_rows = |name: &str| {
            let mut beginnings = row.registers.iter().chain([&NEWCOMER]);
            beginnings.any(|it| name.starts_with(it))
        };
        let mut devices = self.all_devices();
        devices.retain(|name, _| !is_the_rows(name));
        for device in devices.values_mut() {
            device["last_seen"] = Value::Null;
        }
        devices
    }

    pub(crate) fn all_devices(&self) -> BTreeMap<String, Value> {
        let mut devices = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .server
                .get(&format!("/api/v1/devices?limit=1000{cursor}"));
            let page = page.as_array().unwrap();
            let name = |device: &Value| device["endpoint"].as_str().unwrap().to_owned();
            devices.extend(page.iter().map(|device| (name(device), device.clone())));
            match page.last() {
                Some(last) if page.len() == 1000 => {
                    let hex = name(last)
                        .bytes()
                        .map(|byte| format!("%{byte:02X}"))
                        .collect::<String>();
                    cursor = format!("&cursor={hex}");
                }
                Some(_) | None => return devices,
            }
        }
    }

    /// The state of the campaign and of its task: no peer but its device changes them.
    fn campaign(&self) -> String {
        let campaign = self.server.get("/api/v1/campaigns/1")["state"].clone();
        let tasks = self.server.get("/api/v1/campaigns/1/tasks");
        let (task, phase) = (&tasks[0]["state"], &tasks[0]["phase"]);
        format!("campaign {campaign}, task {task} in {phase}")
    }
}

/// How often each honest peer is answered after a row, for the figures. A device's answer waits for the
/// disk where records are committed; of so many that one of them did so long is no fault.
const fn answers_after(kind: Kind) -> usize {
    match kind {
        Kind::Device => 300,
        Kind::Operator => 30,
        Kind::Block => 64,
    }
}
