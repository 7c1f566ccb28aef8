//! Messages that are none, and messages that ask for what cannot be (RFC 7252 §3 to §5).

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use narrowcast::coap::{Code, MessageType, OptionNumber};

use crate::coap::{confirmable, decode, get, non_confirmable, post, register, with_option};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(1, "runts", runts),
    Row::new(2, "other versions", other_versions),
    Row::new(3, "token lengths", token_lengths),
    Row::new(4, "a Register cut at every byte", cut_register),
    Row::new(5, "option nibbles", option_nibbles),
    Row::new(6, "option numbers", option_numbers),
    Row::new(7, "marker, Empty with content", marker_and_empty),
    Row::new(8, "code classes, methods", codes),
    Row::new(9, "stray ACKs and responses", strays),
    Row::new(10, "unknown critical option", unknown_critical_option),
    Row::new(
        11,
        "repeated, overlong options",
        repeated_and_overlong_options,
    ),
    Row::new(12, "65507 bytes, 20,000 options", huge),
    Row::new(13, "odd text", odd_text),
    Row::new(14, "Proxy-Uri", proxy_uri),
];

const WELL_KNOWN: &str = "/.well-known/core";

fn runts(site: &Site) {
    let mut peer = site.stranger();
    for length in 0..4 {
        for first in [0x40, 0x50, 0x60, 0x70, 0x00, 0xff] {
            peer.expect_silence(&[first, 1, 0][..length.min(3)]);
        }
    }
}

fn other_versions(site: &Site) {
    let mut peer = site.stranger();
    for version in [0, 2, 3] {
        for request in [get(WELL_KNOWN), register("cut")] {
            let mut datagram = confirmable(peer.id(), request);
            datagram[0] = datagram[0] & 0x3f | version << 6;
            peer.expect_silence(&datagram);
        }
    }
}

fn token_lengths(site: &Site) {
    let mut peer = site.stranger();
    for length in 9..=15 {
        // As far as it says, no further than the header, and with the extended lengths of RFC 8974.
        for rest in [&[0xaa; 15][..length], &[], &[0x00], &[0x00, 0x00, 0xaa]] {
            peer.expect_format_error(0x40 | u8::try_from(length).unwrap(), 1, rest);
        }
    }
    for length in 1..=8_u8 {
        peer.expect_format_error(0x40 | length, 1, &vec![0; usize::from(length) - 1]);
    }
}

/// One prefix is a whole message by itself: all options and no payload. Nobody can tell that something
/// is missing there; all the others are refused.
fn cut_register(site: &Site) {
    let mut peer = site.stranger();
    let mut request = register("cut");
    request.payload = "</3/0>".into();
    let whole = confirmable(0, request.clone());
    request.payload = "".into();
    let without_payload = confirmable(0, request).len();
    for length in (0..whole.len()).filter(|length| *length != without_payload) {
        let mut prefix = whole[..length].to_vec();
        if let Some(id) = prefix.get_mut(2..4) {
            id.copy_from_slice(&peer.id().to_be_bytes());
        }
        for answer in peer.exchange(&[prefix]) {
            let answer = decode(&answer);
            let refused = answer.kind == MessageType::Reset || answer.code.class() == 4;
            assert!(refused, "{length} bytes: {answer:?}");
        }
    }
}

fn option_nibbles(site: &Site) {
    let mut peer = site.stranger();
    let all: [&[u8]; 10] = [
        &[0xf0],
        &[0x0f],
        &[0xf1, 0x00],
        &[0xd0],
        &[0x0d],
        &[0xdd, 0x00],
        &[0xe0, 0x00],
        &[0x0e, 0x00],
        &[0xee, 0xff, 0xff],
        &[0xb5, b'r', b'd'],
    ];
    for options in all {
        peer.expect_format_error(0x40, 1, options);
    }
}

fn option_numbers(site: &Site) {
    let mut peer = site.stranger();
    for times in [1, 2, 3, 100] {
        peer.expect_format_error(0x40, 1, &[0xe0, 0xff, 0xff].repeat(times));
    }
    // 65535 and one more.
    peer.expect_format_error(0x40, 1, &[0xe0, 0xfe, 0xf2, 0x10]);
}

fn marker_and_empty(site: &Site) {
    let mut peer = site.stranger();
    peer.expect_format_error(0x40, 1, &[0xff]);
    peer.expect_format_error(0x40, 2, &[0xb2, b'r', b'd', 0xff]);
    for content in [&[0xff, 0x01][..], &[0x00], &[0xb1, b'a']] {
        peer.expect_format_error(0x40, 0, content);
    }
    peer.expect_format_error(0x42, 0, &[0xab]);
    peer.expect_format_error(0x42, 0, &[0xab, 0xcd]);
}

fn codes(site: &Site) {
    let mut peer = site.stranger();
    for code in [0x20, 0x21, 0x60, 0x7f, 0xc0, 0xdf, 0xe0, 0xff] {
        peer.expect_format_error(0x40, code, &[]);
    }
    for method in 8..=31 {
        for path in [WELL_KNOWN, "/rd"] {
            let mut request = get(path);
            request.code = Code(method);
            peer.expect(Code::METHOD_NOT_ALLOWED, request);
        }
    }
}

fn strays(site: &Site) {
    let mut peer = site.stranger();
    for id in (0..=u16::MAX).step_by(997) {
        let [high, low] = id.to_be_bytes();
        // ACK, RST, and responses on an ACK.
        for datagram in [
            &[0x60, 0, high, low][..],
            &[0x70, 0, high, low],
            &[0x62, 0x45, high, low, high, low],
            &[0x62, 0x44, high, low, high, low, 0xff, b'1'],
        ] {
            peer.expect_silence(datagram);
        }
        // Notifications of what nobody observes: Observe is 1, the value says State 2.
        for kind in [0x42, 0x52] {
            let notification = [kind, 0x45, high, low, high, low, 0x61, 5, 0xff, b'2'];
            peer.expect_reset(&notification);
        }
        peer.expect_reset(&[0x42, 0x44, high, low, high, low]);
    }
}

fn unknown_critical_option(site: &Site) {
    let mut peer = site.stranger();
    for path in [WELL_KNOWN, "/rd", site.image_path.as_str()] {
        peer.expect(Code::BAD_OPTION, with_option(get(path), 9001, b"x"));
        let id = peer.id();
        let datagram = non_confirmable(id, with_option(get(path), 9001, b"x"));
        peer.expect_reset(&datagram);
    }
    // An elective one is ignored.
    peer.expect(Code::CONTENT, with_option(get(WELL_KNOWN), 9002, b"x"));
}

fn repeated_and_overlong_options(site: &Site) {
    let mut peer = site.stranger();
    let twice = |number, value: &[u8]| {
        with_option(with_option(get(WELL_KNOWN), number, value), number, value)
    };
    for request in [
        with_option(get("/rd"), OptionNumber::URI_PATH.0, &[b'x'; 256]),
        with_option(get("/rd"), OptionNumber::URI_QUERY.0, &[b'x'; 256]),
        with_option(get(WELL_KNOWN), OptionNumber::URI_PORT.0, &[0; 5]),
        with_option(get(WELL_KNOWN), OptionNumber::URI_HOST.0, &[b'x'; 256]),
        with_option(get(WELL_KNOWN), OptionNumber::BLOCK2.0, &[0; 4]),
        twice(OptionNumber::ACCEPT.0, &[40]),
        twice(OptionNumber::BLOCK1.0, &[6]),
        twice(OptionNumber::URI_HOST.0, b"x"),
    ] {
        peer.expect(Code::BAD_OPTION, request);
    }
}

/// The longest datagram that UDP has is 65,507 bytes; the longest that the server looks at has 2048.
fn huge(site: &Site) {
    const LONGEST: usize = 65_507;
    let mut peer = site.stranger();
    // What is read of it, and a byte of one buffer more, is a Register with all links whole.
    for read in [2047, 2048, 2049, 4096] {
        let mut request = register("cut");
        let head = confirmable(0, request.clone()).len() - request.payload.len();
        let mut payload = format!("</3/0>,</{}>", "x".repeat(read - head - 10)).into_bytes();
        payload.resize(LONGEST - head, b' ');
        request.payload = payload.into();
        let datagram = confirmable(peer.id(), request);
        assert_eq!((datagram.len(), datagram[read - 1]), (LONGEST, b'>'));
        for _ in 0..50 {
            peer.expect_silence(&datagram);
        }
    }
    let mut options = vec![0x40, 1, 0, 0, 0xb1, b'x'];
    options.resize(6 + 20_000, 0);
    options.extend([0x41, b'x'].repeat(20_000));
    for _ in 0..200 {
        let id = peer.id().to_be_bytes();
        options[2..4].copy_from_slice(&id);
        peer.expect_silence(&options);
        // As many as are looked at at all.
        peer.expect_reset(&options[..2048]);
    }
}

/// Non-UTF-8, NUL, line breaks, bidirectional marks, what other servers expand.
fn odd_text(site: &Site) {
    let mut peer = site.stranger();
    let texts: [&[u8]; 8] = [
        b"\xff\xfe",
        b"\xc0\xaf",
        b"a\0b",
        b"a\r\n2026-01-01T00:00:00Z ERROR forged",
        "\u{202e}evil".as_bytes(),
        b"${jndi:ldap://127.0.0.1/x}",
        b"{{7*7}}%0d%0a",
        b"\x1b[2J",
    ];
    for text in texts {
        let is_refused =
            |code: Code| matches!(code, Code::BAD_REQUEST | Code::FORBIDDEN | Code::NOT_FOUND);
        let path = OptionNumber::URI_PATH.0;
        for request in [
            with_option(get("/"), path, text),
            with_option(get("/fw"), path, text),
            with_option(post("/rd"), path, text),
            with_option(
                register("a"),
                OptionNumber::URI_QUERY.0,
                &[b"ep=", text].concat(),
            ),
            with_option(
                post("/rd"),
                OptionNumber::URI_QUERY.0,
                &[b"ep=", text].concat(),
            ),
        ] {
            let answer = peer.ask(request);
            assert!(is_refused(answer.code), "{text:02x?}: {answer:?}");
        }
    }
    // That the log has one line for each event is looked at once all rows are played.
}

fn proxy_uri(site: &Site) {
    let local = (Ipv4Addr::LOCALHOST, 0);
    let (tcp, udp) = (
        TcpListener::bind(local).unwrap(),
        UdpSocket::bind(local).unwrap(),
    );
    let at = tcp.local_addr().unwrap();
    let coap_at = udp.local_addr().unwrap();
    let mut peer = site.stranger();
    for uri in [
        format!("coap://{coap_at}/x"),
        format!("coaps://{coap_at}/x"),
        format!("coap+tcp://{at}/x"),
        format!("http://{at}/x"),
    ] {
        let request = with_option(get("/"), OptionNumber::PROXY_URI.0, uri.as_bytes());
        peer.expect(Code::PROXYING_NOT_SUPPORTED, request);
    }
    for scheme in ["coap", "http"] {
        let request = with_option(get("/x"), OptionNumber::PROXY_SCHEME.0, scheme.as_bytes());
        let request = with_option(request, OptionNumber::URI_HOST.0, b"127.0.0.1");
        let port = coap_at.port().to_be_bytes();
        let request = with_option(request, OptionNumber::URI_PORT.0, &port);
        peer.expect(Code::PROXYING_NOT_SUPPORTED, request);
    }
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let nobody = ErrorKind::WouldBlock;
    assert_eq!(udp.recv(&mut [0; 16]).unwrap_err().kind(), nobody);
    assert_eq!(tcp.accept().unwrap_err().kind(), nobody);
}
