//! Registers that are sent again, that ask for what cannot be, that are another's, and that are many.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use narrowcast::coap::{Code, MessageId, MessageType, OptionNumber, Request};
use narrowcast::model::EndpointName;

use crate::coap::{
    Stranger, confirmable, decode, get, location, loopback, post, register, with_option,
};
use crate::honest::CANARY;
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(15, "a Register five times", repeated).registering(&["twice"]),
    Row::new(23, "endpoint names", endpoint_names).registering(&ODD_NAMES),
    Row::new(24, "lifetime, version, binding", queries).registering(&["clamped"]),
    Row::new(25, "guessed locations", guesses),
    Row::new(26, "2000 Registers at once", storm).registering(&["storm-"]),
];

/// Names that break what shows them carelessly: a page, a spreadsheet, a terminal, a query.
const ODD_NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "=HYPERLINK(\"http://x\")",
    "\u{202e}lve",
    "'; DROP TABLE devices; --",
    "${jndi:ldap://x}",
    "../../../etc/passwd",
];

const STORM: usize = 2000;

/// What the rows register, but for the storm.
pub(crate) fn entered_devices() -> impl Iterator<Item = String> {
    let names = [
        "cut",
        "twice",
        "clamped",
        "blockwise",
        "linked",
        "bomber",
        "mutant",
    ];
    let odd = ODD_NAMES.into_iter();
    names.into_iter().chain(odd).map(str::to_owned)
}

fn repeated(site: &Site) {
    let mut peer = site.stranger();
    let id = peer.id();
    let datagram = confirmable(id, register("twice"));
    // All at once, and one once the first was answered.
    let mut answers = peer.exchange(&vec![datagram.clone(); 4]);
    answers.extend(peer.exchange(&[datagram]));
    assert_eq!(answers.len(), 5);
    let distinct: BTreeSet<_> = answers.iter().collect();
    assert_eq!(distinct.len(), 1, "{answers:02x?}");
    let first = location(&decode(&answers[0]));
    peer.expect(Code::CHANGED, post(&first));
    // The same device under a new message id: it has one registration, the newer one.
    let second = location(&peer.ask(register("twice")));
    assert_ne!(first, second);
    peer.expect(Code::NOT_FOUND, post(&first));
    peer.expect(Code::CHANGED, post(&second));
}

/// A query of more than 255 bytes is no query (RFC 7252 §5.10): 4.02 rather than 4.00.
fn endpoint_names(site: &Site) {
    let mut peer = site.stranger();
    let named = |name: &[u8]| {
        let mut request = post("/rd").with_query("lwm2m=1.0");
        request.payload = "</3/0>".into();
        with_option(request, OptionNumber::URI_QUERY.0, &[b"ep=", name].concat())
    };
    for (name, code) in [
        (&b""[..], Code::BAD_REQUEST),
        (b"nul\0", Code::BAD_REQUEST),
        (b"line\r\n", Code::BAD_REQUEST),
        (b"\xff\xfe", Code::BAD_REQUEST),
        (&[b'x'; 252], Code::FORBIDDEN),
        (&[b'x'; 256], Code::BAD_OPTION),
        (&[b'x'; 1200], Code::BAD_OPTION),
        (b"<img src=x>", Code::FORBIDDEN),
        (b"=1+1", Code::FORBIDDEN),
    ] {
        let answer = peer.ask(named(name));
        assert_eq!(answer.code, code, "{}", String::from_utf8_lossy(name));
    }
    let mut nameless = post("/rd");
    nameless.payload = "</3/0>".into();
    peer.expect(Code::BAD_REQUEST, nameless);
    // One that an operator has entered is served, and shown as it is.
    for name in ODD_NAMES {
        EndpointName::parse(name).unwrap();
        location(&peer.ask(named(name.as_bytes())));
    }
    let devices = site.all_devices();
    for name in ODD_NAMES {
        assert_eq!(devices[name]["registered"], true, "{name}");
    }
}

fn queries(site: &Site) {
    let mut peer = site.stranger();
    let asking = |query: &str| {
        let request = post("/rd").with_query("ep=clamped").with_query(query);
        Request {
            payload: "</3/0>".into(),
            ..request
        }
    };
    for (query, code) in [
        ("lt=0", Code::BAD_REQUEST),
        ("lt=-1", Code::BAD_REQUEST),
        ("lt=4294967296", Code::BAD_REQUEST),
        ("lt=NaN", Code::BAD_REQUEST),
        ("lt=1e3", Code::BAD_REQUEST),
        ("lt=", Code::BAD_REQUEST),
        ("b=ZZZ", Code::BAD_REQUEST),
        ("lwm2m=999", Code::PRECONDITION_FAILED),
        ("lwm2m=", Code::PRECONDITION_FAILED),
        ("ep=clamped", Code::BAD_REQUEST),
    ] {
        let answer = peer.ask(asking(query));
        assert_eq!(answer.code, code, "{query}");
    }
    assert_eq!(site.all_devices()["clamped"]["registered"], false);
    for (query, seconds) in [("lt=1", 60), ("lt=4294967295", 30 * 86_400)] {
        location(&peer.ask(asking(query)));
        let shown = &site.all_devices()["clamped"];
        assert_eq!(shown["lifetime_seconds"], seconds, "{query}");
    }
}

/// Over plain CoAP who knows a name may register it anew, which is documented; who has not seen the
/// location may neither prolong nor end a registration.
fn guesses(site: &Site) {
    const GUESSES: usize = 1000;
    let location = &site.honest.location;
    let (slot, secret) = location
        .strip_prefix("/rd/")
        .unwrap()
        .split_once('-')
        .unwrap();
    assert_eq!(secret.len(), 128 / 4, "{location}");
    let mut peer = Stranger::from_address(loopback(1), site.server.coap);
    let flipped = |at: usize| {
        let digit = u8::from_str_radix(&secret[at..=at], 16).unwrap() ^ 1;
        format!("/rd/{slot}-{}{digit:x}{}", &secret[..at], &secret[at + 1..])
    };
    let sequential = (0..GUESSES).map(|number| format!("/rd/{number}"));
    let numbered = (0..GUESSES).map(|number| format!("/rd/{slot}-{number:032x}"));
    let near = (0..secret.len()).map(flipped);
    let others_slot = (0..4).map(|slot| format!("/rd/{slot}{slot}-{secret}"));
    for guess in sequential.chain(numbered).chain(near).chain(others_slot) {
        let mut end = get(&guess);
        end.code = Code::DELETE;
        let lifetime = post(&guess).with_query("lt=60");
        let window = [end, lifetime].map(|request| confirmable(peer.id(), request));
        let codes: Vec<_> = peer
            .exchange(&window)
            .iter()
            .map(|it| decode(it).code)
            .collect();
        assert_eq!(codes, [Code::NOT_FOUND; 2], "{guess}");
    }
    let shown = &site.all_devices()[CANARY];
    assert_eq!(shown["lifetime_seconds"], 86_400);
}

/// A device waits 2 s for its answer, then 4, then 8: 14 s in all.
fn storm(site: &Site) {
    const AFTER: [Duration; 3] = [
        Duration::from_secs(2),
        Duration::from_secs(4),
        Duration::from_secs(8),
    ];
    site.server
        .enter((0..STORM).map(|number| format!("storm-{number}")));
    let mut waiting: Vec<_> = (0..STORM)
        .map(|number| {
            let mut peer = Stranger::from_address(loopback(number + 1), site.server.coap);
            let datagram = confirmable(peer.id(), register(&format!("storm-{number}")));
            (peer, datagram)
        })
        .collect();
    for time in AFTER {
        for (peer, datagram) in &waiting {
            peer.send(datagram);
        }
        let until = site.now() + time;
        while !waiting.is_empty() && site.now() < until {
            waiting.retain(|(peer, _)| !peer.arrived().iter().any(|it| is_created(it)));
            thread::sleep(Duration::from_millis(5));
        }
    }
    let answered = STORM - waiting.len();
    assert!(answered * 100 >= STORM * 99, "{answered} of {STORM}");
    // Whoever was answered is registered, and nobody twice.
    let devices = site.all_devices();
    let is_registered = |number: &usize| devices[&format!("storm-{number}")]["registered"] == true;
    let registered = (0..STORM).filter(is_registered).count();
    assert!(registered >= answered, "{registered} of {answered}");
}

fn is_created(datagram: &[u8]) -> bool {
    let answer = decode(datagram);
    assert_eq!(answer.kind, MessageType::Acknowledgement, "{answer:?}");
    assert_eq!((answer.id, answer.code), (MessageId(1), Code::CREATED));
    true
}
