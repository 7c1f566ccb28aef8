//! Many datagrams: from one peer, from thousands, and of bytes that chance chose.

use std::collections::BTreeSet;

use coap_lite::{MessageClass, Packet};
use narrowcast::coap::{Code, MessageType, OptionNumber};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::coap::{
    Stranger, confirmable, decode, get, loopback, non_confirmable, post, register, short,
    with_option,
};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(16, "amplification", amplification),
    Row::new(17, "5000 observations", observations),
    Row::new(27, "5000 addresses", addresses),
    Row::new(29, "20,000 mutants", mutants).registering(&["mutant"]),
    Row::new(30, "10,000 datagrams of chance", chance),
];

const WELL_KNOWN: &str = "/.well-known/core";
/// Sent before the answers are looked at: the kernel keeps that many.
const WINDOW: usize = 32;
const GROWTH_KIB_MAX: u64 = 96 * 1024;

/// RFC 9175 §2.4: what an address gets that has proved nothing is at most 136 bytes, or three times
/// what it sent; a longer answer of ours would ask for an Echo first. Blocks of an image go to whom the
/// capability was told.
fn amplification(site: &Site) {
    const BYTES_MAX: usize = 136;
    let mut peer = site.stranger();
    let mut long = get(WELL_KNOWN);
    for _ in 0..20 {
        long = long.with_query(&"x".repeat(50));
    }
    let block2 = |request| with_option(request, OptionNumber::BLOCK2.0, &[0x06]);
    for request in [
        get("/"),
        get(WELL_KNOWN),
        block2(get(WELL_KNOWN)),
        long,
        get("/rd"),
        post("/rd"),
        post("/rd/0"),
        post("/dp"),
        register("nobody"),
        block2(get("/fw/00112233445566778899aabbccddeeff")),
        with_option(get("/"), OptionNumber::PROXY_URI.0, b"coap://127.0.0.1/"),
        with_option(get("/"), 9001, b""),
        with_option(get("/"), 65_535, b""),
    ] {
        let (id, other) = (peer.id(), peer.id());
        for datagram in [
            confirmable(id, request.clone()),
            non_confirmable(other, request),
        ] {
            // One answer, which is not repeated: nobody acknowledges it.
            let answers = peer.exchange(std::slice::from_ref(&datagram));
            assert!(
                answers.len() <= 1,
                "{}: {}",
                short(&datagram),
                answers.len()
            );
            for answer in answers {
                let most = BYTES_MAX.max(3 * datagram.len());
                assert!(
                    answer.len() <= most,
                    "{} for {}",
                    answer.len(),
                    short(&datagram)
                );
                assert_ne!(decode(&answer).kind, MessageType::Confirmable);
            }
        }
    }
}

/// Nothing of the server's can be observed: the answer has no Observe, and nothing is kept.
fn observations(site: &Site) {
    const TOKENS: usize = 5000;
    let mut peer = site.stranger();
    let before_kib = site.growth_kib();
    for _ in 0..TOKENS.div_ceil(WINDOW) {
        // The token is the message id.
        let observe = || with_option(get(WELL_KNOWN), OptionNumber::OBSERVE.0, &[]);
        let window: Vec<_> = (0..WINDOW)
            .map(|_| confirmable(peer.id(), observe()))
            .collect();
        let answers = peer.exchange(&window);
        assert_eq!(answers.len(), window.len());
        for answer in answers {
            let answer = decode(&answer);
            assert_eq!(answer.code, Code::CONTENT);
            assert!(answer.options.first(OptionNumber::OBSERVE).is_none());
        }
    }
    assert!(site.growth_kib().saturating_sub(before_kib) < GROWTH_KIB_MAX);
}

fn addresses(site: &Site) {
    const ADDRESSES: usize = 5000;
    for number in 0..ADDRESSES {
        let mut peer = Stranger::from_address(loopback(number + 1), site.server.coap);
        // A ping behind it is answered too.
        let answer = peer.ask(get(WELL_KNOWN));
        assert_eq!(answer.code, Code::CONTENT);
    }
    assert!(site.growth_kib() < GROWTH_KIB_MAX);
}

fn mutants(site: &Site) {
    const MUTANTS: usize = 20_000;
    let seeds = seeds();
    let mut rng = StdRng::seed_from_u64(20_000);
    let mut peer = site.stranger();
    let (mut well_formed, mut successes) = (0, 0);
    for _ in 0..MUTANTS.div_ceil(WINDOW) {
        let window: Vec<_> = (0..WINDOW).map(|_| mutant(&mut rng, &seeds)).collect();
        let sound = ids(window.iter().filter(|datagram| is_well_formed(datagram)));
        let sent = ids(window.iter());
        well_formed += sound.len();
        for answer in peer.exchange(&window) {
            let answer = decode(&answer);
            let id = answer.id.0;
            let is_success = answer.code.is_success();
            successes += usize::from(is_success);
            match answer.kind {
                MessageType::Acknowledgement if is_success => {
                    assert!(sound.contains(&id), "{answer:?}")
                }
                MessageType::Acknowledgement | MessageType::Reset => {
                    assert!(sent.contains(&id), "{answer:?}")
                }
                MessageType::NonConfirmable => {
                    assert!(!is_success || !sound.is_empty(), "{answer:?}")
                }
                MessageType::Confirmable => panic!("{answer:?}"),
            }
            // A changed option may have become a Proxy-Uri, and the device may register too often.
            let allowed = [Code::PROXYING_NOT_SUPPORTED, Code::SERVICE_UNAVAILABLE];
            let is_fault = answer.code.class() == 5 && !allowed.contains(&answer.code);
            assert!(!is_fault, "{answer:?}");
        }
    }
    // The run went beyond the decoder.
    assert!(
        well_formed > MUTANTS / 4 && successes > 100,
        "{well_formed}, {successes}"
    );
}

fn chance(site: &Site) {
    const DATAGRAMS: usize = 10_000;
    let mut rng = StdRng::seed_from_u64(10_000);
    let mut peer = site.stranger();
    for _ in 0..DATAGRAMS.div_ceil(WINDOW) {
        let window: Vec<_> = (0..WINDOW)
            .map(|_| {
                let mut datagram = vec![0; rng.gen_range(0..1400)];
                rng.fill_bytes(&mut datagram);
                datagram
            })
            .collect();
        for answer in peer.exchange(&window) {
            let answer = decode(&answer);
            let is_refusal = answer.kind == MessageType::Reset || answer.code.class() == 4;
            assert!(is_refusal, "{answer:?}");
        }
    }
}

/// What clients of others sent, and a Register that is taken.
fn seeds() -> Vec<Vec<u8>> {
    let recorded = include_str!("../fuzz/seeds/datagrams.txt").lines();
    let recorded = recorded.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let recorded = recorded.map(|line| hex::decode(line).unwrap());
    let own = [register("mutant"), get(WELL_KNOWN), post("/dp")];
    let own = own.map(|request| confirmable(1, request));
    // Every third one is ours: the others are of devices that nobody entered.
    let mut seeds: Vec<_> = recorded.collect();
    let own = own.iter().cycle().take(seeds.len() / 2).cloned();
    seeds.extend(own.collect::<Vec<_>>());
    seeds
}

/// A seed under an id that chance chose, with up to three changes.
fn mutant(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = seeds[rng.gen_range(0..seeds.len())].clone();
    // Below those of pings.
    datagram[2] = rng.gen_range(0..0xc0);
    datagram[3] = rng.r#gen();
    for _ in 0..rng.gen_range(0..=3) {
        let at = rng.gen_range(0..=datagram.len());
        match rng.gen_range(0..6) {
            0 => datagram.truncate(at),
            1 => datagram.insert(at, rng.r#gen()),
            2 => {
                let end = datagram.len().min(at + rng.gen_range(1..9));
                datagram.drain(at..end);
            }
            3 => {
                let end = datagram.len().min(at + rng.gen_range(1..40));
                let piece = datagram[at..end].repeat(rng.gen_range(1..20));
                datagram.splice(at..at, piece);
            }
            4 => {
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= 1 << rng.gen_range(0..8);
                }
            }
            _ => {
                if let Some(byte) = datagram.get_mut(at) {
                    *byte = rng.r#gen();
                }
            }
        }
    }
    datagram
}

fn ids<'a>(datagrams: impl Iterator<Item = &'a Vec<u8>>) -> BTreeSet<u16> {
    let id = |datagram: &Vec<u8>| Some(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
    datagrams.filter_map(id).collect()
}

/// By a decoder that the server does not use, and by what that one lets through (RFC 7252 §3).
fn is_well_formed(datagram: &[u8]) -> bool {
    let Ok(packet) = Packet::from_bytes(datagram) else {
        return false;
    };
    let is_version_1 = datagram[0] >> 6 == 1;
    let is_empty = packet.header.code == MessageClass::Empty;
    is_version_1 && (!is_empty || datagram.len() == 4)
}
