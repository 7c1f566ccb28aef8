//! What peers of DTLS send to the port that speaks plain CoAP.
//!
//! A record begins with a byte that no CoAP message of version 1 begins with, so nothing is said to any
//! of them (RFC 7252 §3): nothing is amplified, and who shakes hands is not told to go on.

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::coap::{Stranger, get, loopback, short};
use crate::records::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT, Program, TLS12_CID,
    client_hello, fragment, mutant, record, renumbered, session,
};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(31, "ClientHellos, forged cookies", hellos),
    Row::new(32, "5000 hellos of 250 addresses", hello_flood),
    Row::new(33, "fragments, alerts, CIDs, mutants", forged_records),
    Row::new(34, "10,000 failing handshakes", failing_handshakes),
    Row::new(35, "replayed records", replays),
];

const WELL_KNOWN: &str = "/.well-known/core";
/// Sent before it is looked whether something is said: the kernel keeps that many.
const WINDOW: usize = 32;
/// Memory that a flood may cost; what is kept of nobody costs nothing, and honest peers go on beside it.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// Asserts that nothing is said to any of these, and that CoAP is behind them; how many they are.
#[track_caller]
fn expect_silence(peer: &mut Stranger, datagrams: &[Vec<u8>]) -> usize {
    for window in datagrams.chunks(WINDOW) {
        let answers = peer.exchange(window);
        let said = short(&answers.concat());
        assert!(
            answers.is_empty(),
            "{said} to one of {}",
            short(&window.concat())
        );
    }
    datagrams.len()
}

/// Plays what may leave nothing behind but a counter; it says how many datagrams it has sent, at least.
fn play(site: &Site, play: impl FnOnce() -> usize) {
    let malformed = || {
        let series = "narrowcast_coap_messages_total{kind=\"malformed\"}";
        site.server.metric(series)
    };
    let (before, before_kib) = (malformed(), site.growth_kib());
    let sent = play();
    let growth_kib = site.growth_kib().saturating_sub(before_kib);
    assert!(growth_kib < GROWTH_KIB_MAX, "{growth_kib} KiB");
    site.until("the last of them", || malformed() >= before + sent);
}

fn hellos(site: &Site) {
    let mut rng = StdRng::seed_from_u64(31);
    let mut peer = site.stranger();
    play(site, || {
        let mut sent = 0;
        for length in [0, 1, 16, 20, 32, 254, 255] {
            let mut cookie = vec![0; length];
            rng.fill_bytes(&mut cookie);
            let hello = client_hello(&mut rng, 0, &cookie);
            // As it is sent again, and with a cookie that is another's.
            let again = (0..4).map(|number| renumbered(&hello, 0, number));
            sent += expect_silence(&mut peer, &again.collect::<Vec<_>>());
            sent += expect_silence(&mut site.stranger(), &[hello]);
        }
        // Those that OpenSSL writes, the second with a cookie that a server gave it.
        let real = session();
        sent + expect_silence(&mut peer, &real[..2])
    });
}

fn hello_flood(site: &Site) {
    const ADDRESSES: usize = 250;
    const HELLOS: usize = 5000;
    let mut rng = StdRng::seed_from_u64(32);
    let mut peers: Vec<_> = (0..ADDRESSES)
        .map(|number| Stranger::from_address(loopback(number + 1), site.server.coap))
        .collect();
    play(site, || {
        for number in 0..HELLOS {
            if number % ADDRESSES == 0 {
                // All before have been taken: none is lost in a buffer that is full.
                expect_silence(&mut peers[0], &[vec![HANDSHAKE]]);
            }
            let hello = client_hello(&mut rng, number as u64, &[]);
            peers[number % ADDRESSES].send(&hello);
        }
        for peer in &mut peers {
            assert!(peer.ask(get(WELL_KNOWN)).code.is_success());
        }
        HELLOS
    });
}

fn forged_records(site: &Site) {
    const FRAGMENTS: usize = 2000;
    const MUTANTS: usize = 5000;
    let mut rng = StdRng::seed_from_u64(33);
    let mut peer = site.stranger();
    let claims: Vec<_> = (0..FRAGMENTS)
        .map(|number| {
            // The first, the last and any byte of 16 MB.
            let offset = [0, 0xff_fff0, rng.gen_range(0..0xff_ffff)][number % 3];
            let kind = [1, 2, 11, 14, 16, 20][number % 6];
            let piece = fragment(kind, 0xff_ffff, number as u16 % 3, offset, &[0xaa; 15]);
            record(HANDSHAKE, 0, number as u64, &piece)
        })
        .collect();
    play(site, || expect_silence(&mut peer, &claims));
    let real = session();
    let mut forged = forgeries(&real[0]);
    play(site, || expect_silence(&mut peer, &forged));
    forged.extend(real);
    let mutants: Vec<_> = (0..MUTANTS).map(|_| mutant(&mut rng, &forged)).collect();
    play(site, || expect_silence(&mut peer, &mutants));
}

/// Records that no peer has keys for, and some that none writes.
fn forgeries(hello: &[u8]) -> Vec<Vec<u8>> {
    let mut forged = Vec::new();
    for epoch in [0, 1, 2, 0xffff] {
        for sequence in [0, 1, 0xffff_ffff_ffff] {
            for (content, fragment) in [
                (ALERT, &[2, 40][..]),
                (ALERT, &[1, 0]),
                (ALERT, &[2, 255]),
                (ALERT, &[]),
                (CHANGE_CIPHER_SPEC, &[1]),
                (CHANGE_CIPHER_SPEC, &[1; 64]),
                (HANDSHAKE, &[]),
                (HANDSHAKE, &[1, 0, 0]),
                // A heartbeat that asks for more than it brings (CVE-2014-0160).
                (HEARTBEAT, &[1, 0xff, 0xff, 0]),
                // What would be CoAP, were it decrypted.
                (APPLICATION_DATA, &[0x40, 1, 0, 1]),
            ] {
                forged.push(record(content, epoch, sequence, fragment));
            }
        }
    }
    // The length says more, or less, than there is.
    for length in [0_u16, 1, 0x4000, 0xffff] {
        let mut lying = hello.to_vec();
        lying[11..13].copy_from_slice(&length.to_be_bytes());
        forged.push(lying);
    }
    // RFC 9146 §4: the connection id stands before the length.
    for length in [0, 1, 8, 20, 255] {
        let mut datagram = record(TLS12_CID, 1, 5, &[]);
        datagram.truncate(11);
        datagram.resize(11 + length, 0xcd);
        datagram.extend([0, 24]);
        datagram.resize(datagram.len() + 24, 0x55);
        forged.push(datagram);
    }
    // RFC 9147 §4: the short header.
    forged.extend((0x20..=0x3f).map(|first| [vec![first], vec![0x77; 30]].concat()));
    forged
}

/// Programs of others get nowhere, and neither do those that break off behind any flight. Who did that
/// and then speaks CoAP is answered.
fn failing_handshakes(site: &Site) {
    const ROUNDS: usize = 3;
    const CLIENTS: usize = 12;
    const HANDSHAKES: usize = 10_000;
    /// The first retransmission comes after a second (RFC 6347 §4.2.4.1).
    const WAIT: Duration = Duration::from_millis(1500);
    play(site, || {
        for _ in 0..ROUNDS {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|way| Program::shaking_hands_with(site.server.coap, way))
                .collect();
            thread::sleep(WAIT);
            for client in clients {
                let said = client.end();
                let is_done = said.contains("Cipher") || said.contains("</");
                assert!(!is_done, "{said}");
            }
        }
        ROUNDS * CLIENTS
    });
    let real = session();
    let flights = real.iter().position(|it| it[0] == APPLICATION_DATA);
    let flights = &real[..flights.unwrap()];
    play(site, || {
        let mut sent = 0;
        for number in 0..HANDSHAKES {
            let mut peer = Stranger::from_address(loopback(number / 40 + 1), site.server.coap);
            // From the first up to any, or any alone.
            let last = number / 2 % flights.len();
            let first = [0, last][number % 2];
            sent += expect_silence(&mut peer, &flights[first..=last]);
            if number % 100 == 0 {
                assert!(peer.ask(get(WELL_KNOWN)).code.is_success());
            }
        }
        sent
    });
}

fn replays(site: &Site) {
    let real = session();
    let mut turned = real.clone();
    turned.reverse();
    let mut edges = Vec::new();
    for datagram in &real {
        for epoch in [0, 1, 2, 0xffff] {
            // The window that a receiver keeps has 64 (RFC 6347 §4.1.2.6).
            for sequence in [0, 1, 63, 64, 65, 0xffff_ffff_ffff] {
                edges.push(renumbered(datagram, epoch, sequence));
            }
        }
    }
    // From one address, from another, and from the first again.
    let mut one = site.stranger();
    let mut other = Stranger::from_address(loopback(35), site.server.coap);
    play(site, || {
        let mut sent = 0;
        for records in [&real, &real, &turned, &edges] {
            sent += expect_silence(&mut one, records);
            sent += expect_silence(&mut other, records);
            sent += expect_silence(&mut one, &records[records.len() / 2..]);
        }
        sent
    });
}
