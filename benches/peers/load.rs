//! The workloads. Each prints one line of JSON for each phase.
//!
//! Options, as `name=value`: `clients` at once, `peers` addresses in all, `seconds` at most, `size` of
//! blocks in bytes, `devices`, `first` device's number, `pid` of the server, whose use of CPU and memory
//! is read before and after, `phases` of registration, `rate` of registrations a second at most, `once`
//! where each client asks once, `fresh` where each request has a socket of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::LocalSet;

use crate::client::Client;
use crate::usage;
use crate::wire::{
    CHANGED, CON, CONTENT, CONTENT_FORMAT, CREATED, DELETE, DELETED, GET, LOCATION_PATH, POST,
    Reader, URI_PATH, URI_QUERY, Writer,
};

/// The Register payload of a meter, in the link format, which is 40.
const LINKS: &[u8] =
    br#"</>;rt="oma.lwm2m",</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,</7/0>,</19/0>,</19/1>,</3303/0>"#;
const LINK_FORMAT: u8 = 40;

/// From how many addresses an image is fetched, however few at once.
const PEERS_MIN: u32 = 100;

struct Options(BTreeMap<String, u64>);

impl Options {
    fn new(words: &[&str]) -> Self {
        let pair = |word: &&str| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Self(words.iter().map(pair).collect())
    }

    fn get(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(default)
    }
}

/// What a phase did.
#[derive(Default)]
struct Tally {
    /// Of each operation, in microseconds.
    took_us: RefCell<Vec<u32>>,
    operations: Cell<u64>,
    retransmissions: Cell<u64>,
    unanswered: Cell<u64>,
    wrong: Cell<u64>,
}

impl Tally {
    fn done(&self, began: Instant) {
        self.operations.set(self.operations.get() + 1);
        let us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.took_us.borrow_mut().push(us);
    }
}

fn add(cell: &Cell<u64>, by: u64) {
    cell.set(cell.get() + by);
}

/// Runs `clients` tasks to their end, and prints what came of them.
fn phase<F: Future<Output = ()> + 'static>(
    name: &str,
    options: &Options,
    client: impl Fn(u32, Rc<Tally>, Instant) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let pid = u32::try_from(options.get("pid", 0)).unwrap();
    let tally = Rc::new(Tally::default());
    let (began, cpu_before) = (Instant::now(), usage::cpu_s(pid));
    let until = began + Duration::from_secs(options.get("seconds", 3));
    let clients = u32::try_from(options.get("clients", 1)).unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let spawn = |number| tokio::task::spawn_local(client(number, Rc::clone(&tally), until));
        let tasks: Vec<_> = (0..clients).map(spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let cpu_s = usage::cpu_s(pid) - cpu_before;
    let mut took = tally.took_us.take();
    took.sort_unstable();
    let quantile = |part: f64| took.get((took.len() as f64 * part) as usize).copied();
    let operations = tally.operations.get();
    println!(
        "{}",
        json!({
            "phase": name,
            "operations": operations,
            "seconds": seconds,
            "per_second": operations as f64 / seconds,
            "server_us": cpu_s * 1e6 / operations.max(1) as f64,
            "rss_bytes": usage::rss_bytes(pid),
            "p50_us": quantile(0.5),
            "p99_us": quantile(0.99),
            "retransmissions": tally.retransmissions.get(),
            "unanswered": tally.unanswered.get(),
            "wrong": tally.wrong.get(),
        })
    );
}

/// The UDP echo's own load: `size` bytes there and back.
pub(crate) fn echoed(server: SocketAddr, words: &[&str]) {
    let options = Options::new(words);
    let size = options.get("size", 60) as usize;
    phase("echo", &options, |number, tally, until| async move {
        let mut client = Client::new(number, 0, server).await;
        let bytes = vec![0_u8; size];
        while Instant::now() < until {
            let began = Instant::now();
            match client.echo(&bytes).await {
                Some(len) if len == size => tally.done(began),
                Some(_) => add(&tally.wrong, 1),
                None => add(&tally.unanswered, 1),
            }
        }
    });
}

/// Tiny requests, each of a client's from the next of its addresses. Those of `fresh` are opened anew for
/// each request.
pub(crate) fn get(server: SocketAddr, path: &str, words: &[&str]) {
    let options = Options::new(words);
    let clients = options.get("clients", 1);
    let addresses = u32::try_from(options.get("peers", clients).div_ceil(clients)).unwrap();
    let clients = u32::try_from(clients).unwrap();
    let is_fresh = options.get("fresh", 0) == 1;
    let only_once = options.get("once", 0) == 1;
    let path = path.to_owned();
    phase("get", &options, |number, tally, until| {
        let path = path.clone();
        async move {
            let mut own = Vec::new();
            for turn in 0..addresses {
                let number = number + turn * clients;
                if !is_fresh {
                    own.push(Client::new(number, 0, server).await);
                }
            }
            let mut turn = 0;
            loop {
                let (place, round) = (turn % addresses, turn / addresses);
                let mut fresh = None;
                let client = if is_fresh {
                    let number = number + place * clients;
                    fresh.insert(Client::new(number, round as u16, server).await)
                } else {
                    &mut own[place as usize]
                };
                turn += 1;
                let id = client.id();
                let request = Writer::new(CON, GET, id, &id.to_be_bytes())
                    .path(URI_PATH, &path)
                    .bytes;
                let began = Instant::now();
                match client.ask(&request).await.and_then(Reader::new) {
                    Some(answer) if answer.code() == CONTENT => tally.done(began),
                    Some(_) => add(&tally.wrong, 1),
                    None => add(&tally.unanswered, 1),
                }
                add(
                    &tally.retransmissions,
                    std::mem::take(&mut client.retransmissions),
                );
                if only_once || Instant::now() >= until {
                    break;
                }
            }
        }
    });
}

/// The whole image, again and again, each time from the next of the client's addresses; an operation is a
/// block.
pub(crate) fn download(server: SocketAddr, path: &str, image: Vec<u8>, words: &[&str]) {
    let options = Options::new(words);
    let size = options.get("size", 1024) as usize;
    let szx = (size / 16).ilog2() as u8;
    let clients = u32::try_from(options.get("clients", 1)).unwrap();
    // So that no address uses its message ids up.
    let addresses = PEERS_MIN.div_ceil(clients);
    let (image, path) = (Rc::new(image), path.to_owned());
    phase("download", &options, |number, tally, until| {
        let (image, path) = (Rc::clone(&image), path.clone());
        async move {
            let mut own = Vec::new();
            for turn in 0..addresses {
                own.push(Client::new(number + turn * clients, 0, server).await);
            }
            let blocks = image.len().div_ceil(size);
            let (mut turn, mut num) = (0, 0);
            while Instant::now() < until {
                let client = &mut own[turn % addresses as usize];
                let id = client.id();
                let request = Writer::new(CON, GET, id, &number.to_be_bytes()[1..])
                    .path(URI_PATH, &path)
                    .block2(num, false, szx)
                    .bytes;
                let began = Instant::now();
                let expected = &image[num * size..((num + 1) * size).min(image.len())];
                match client.ask(&request).await.and_then(Reader::new) {
                    Some(answer) if is_block(&answer, num, expected) => tally.done(began),
                    Some(_) => add(&tally.wrong, 1),
                    None => add(&tally.unanswered, 1),
                }
                add(
                    &tally.retransmissions,
                    std::mem::take(&mut client.retransmissions),
                );
                num += 1;
                if num == blocks {
                    (num, turn) = (0, turn + 1);
                }
            }
        }
    });
}

fn is_block(answer: &Reader<'_>, num: usize, expected: &[u8]) -> bool {
    answer.code() == CONTENT
        && answer.block2().is_some_and(|(its, ..)| its == num)
        && answer.options(|_, _| {}) == Some(expected)
}

/// `devices` register, then update, then leave; each phase goes through all of them, or to the end of
/// its `seconds`.
pub(crate) fn register(server: SocketAddr, words: &[&str]) {
    let options = Options::new(words);
    let (devices, clients) = (options.get("devices", 1000), options.get("clients", 100));
    let (first, phases) = (options.get("first", 0), options.get("phases", 3));
    let rate = options.get("rate", 0);
    let every = Duration::from_nanos(1_000_000_000_u64.checked_div(rate).unwrap_or(0));
    let locations: Rc<RefCell<Vec<Option<String>>>> =
        Rc::new(RefCell::new(vec![None; devices as usize]));
    let names = ["register", "update", "deregister"];
    for (place, name) in names.into_iter().enumerate().take(phases as usize) {
        phase(name, &options, |number, tally, until| {
            let locations = Rc::clone(&locations);
            async move {
                // At a rate: each client at its own times, whether it was answered in time or not.
                let gap = every * clients as u32;
                let mut turn = tokio::time::Instant::now() + every * number;
                // Each device has an address of its own, the same in all phases: some servers know it by
                // that.
                for device in (u64::from(number)..devices).step_by(clients as usize) {
                    if Instant::now() >= until {
                        break;
                    }
                    if !gap.is_zero() {
                        tokio::time::sleep_until(turn).await;
                        turn += gap;
                    }
                    let address = u32::try_from(first + device).unwrap();
                    let mut client = Client::new(address, place as u16, server).await;
                    one(name, &mut client, first, device, &locations, &tally).await;
                    add(&tally.retransmissions, client.retransmissions);
                }
            }
        });
    }
}

async fn one(
    phase: &str,
    client: &mut Client,
    first: u64,
    device: u64,
    locations: &RefCell<Vec<Option<String>>>,
    tally: &Tally,
) {
    let id = client.id();
    let token = id.to_be_bytes();
    let location = locations.borrow()[device as usize].clone();
    let (request, expected) = match (phase, location) {
        ("register", _) => {
            let endpoint = format!("ep=urn:imei:{:015}", 860_000_000_000_000 + first + device);
            let request = Writer::new(CON, POST, id, &token)
                .path(URI_PATH, "/rd")
                .option(CONTENT_FORMAT, &[LINK_FORMAT])
                .option(URI_QUERY, endpoint.as_bytes())
                .option(URI_QUERY, b"lt=86400")
                .option(URI_QUERY, b"lwm2m=1.0")
                .option(URI_QUERY, b"b=U")
                .payload(LINKS);
            (request, CREATED)
        }
        ("update", Some(location)) => {
            let request = Writer::new(CON, POST, id, &token).path(URI_PATH, &location);
            (request.bytes, CHANGED)
        }
        (_, Some(location)) => {
            let request = Writer::new(CON, DELETE, id, &token).path(URI_PATH, &location);
            (request.bytes, DELETED)
        }
        (_, None) => return,
    };
    let began = Instant::now();
    let Some(answer) = client.ask(&request).await.and_then(Reader::new) else {
        return add(&tally.unanswered, 1);
    };
    if answer.code() != expected {
        return add(&tally.wrong, 1);
    }
    tally.done(began);
    if expected == CREATED {
        let mut location = String::new();
        answer.options(|number, value| {
            if number == LOCATION_PATH {
                location.push('/');
                location.push_str(&String::from_utf8_lossy(value));
            }
        });
        locations.borrow_mut()[device as usize] = Some(location);
    }
}
