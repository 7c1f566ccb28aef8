//! Bodies in blocks that are not what they say (RFC 7959), and payloads that are bombs.

use narrowcast::coap::{BlockValue, Code, ContentFormat, Message, OptionNumber, Request};

use crate::coap::{
    Stranger, confirmable, decode, get, location, loopback, post, register, with_option,
};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(18, "Block2 SZX 7, past the end", odd_block2),
    Row::new(19, "Block1 lone, short, Size1", odd_block1),
    Row::new(20, "10,000 half-open Block1", half_open).registering(&["blockwise"]),
    Row::new(21, "endless Block1", endless),
    Row::new(22, "100 kB of links, broken ones", links).registering(&["linked"]),
    Row::new(28, "/bs, /dp, bombs", bombs).registering(&["bomber"]),
];

/// The most bytes of a body in blocks.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The memory that unfinished bodies may cost.
const GROWTH_KIB_MAX: u64 = 96 * 1024;

/// One piece of a Register's body.
fn piece(endpoint: &str, num: u32, more: bool, szx: u8, bytes: Vec<u8>) -> Request {
    let mut request = register(endpoint);
    BlockValue { num, more, szx }.put(&mut request.options, OptionNumber::BLOCK1);
    request.payload = bytes.into();
    request
}

/// A refusal may say what is wrong, and has nothing of the image.
fn odd_block2(site: &Site) {
    const DIAGNOSTIC_BYTES_MAX: usize = 32;
    let mut peer = site.stranger();
    let refused = |peer: &mut Stranger, value: &[u8]| {
        let request = with_option(get(&site.image_path), OptionNumber::BLOCK2.0, value);
        let answer = peer.expect(Code::BAD_REQUEST, request);
        assert!(answer.payload.len() <= DIAGNOSTIC_BYTES_MAX, "{answer:?}");
        assert!(answer.options.first(OptionNumber::BLOCK2).is_none());
    };
    // SZX 7, alone and with each number.
    for value in [
        &[0x07][..],
        &[0x0f],
        &[0x17],
        &[0xff, 0xff, 0xff],
        &[0, 0, 0x07],
    ] {
        refused(&mut peer, value);
    }
    // Of 64 KiB, 64 blocks of 1024 bytes, and 4096 of 16.
    for (num, szx) in [
        (64, 6),
        (65, 6),
        ((1 << 20) - 1, 6),
        (4096, 0),
        ((1 << 20) - 1, 0),
    ] {
        let block = BlockValue {
            num,
            more: false,
            szx,
        };
        refused(&mut peer, &block.encode());
    }
    for path in ["/.well-known/core", "/rd", "/fw/00"] {
        let request = with_option(get(path), OptionNumber::BLOCK2.0, &[0x07]);
        peer.expect(Code::BAD_REQUEST, request);
    }
}

fn odd_block1(site: &Site) {
    let mut peer = site.stranger();
    for num in [1, 5, (1 << 20) - 1] {
        let code = if num > 63 {
            Code::REQUEST_ENTITY_TOO_LARGE
        } else {
            Code::REQUEST_ENTITY_INCOMPLETE
        };
        peer.expect(code, piece("lone", num, true, 6, vec![b' '; 1024]));
    }
    // Shorter than its block, longer, and SZX 7.
    peer.expect(
        Code::BAD_REQUEST,
        piece("short", 0, true, 6, vec![b' '; 1023]),
    );
    peer.expect(
        Code::BAD_REQUEST,
        piece("long", 0, true, 5, vec![b' '; 1024]),
    );
    let reserved = with_option(register("reserved"), OptionNumber::BLOCK1.0, &[0x0f]);
    peer.expect(Code::BAD_REQUEST, reserved);
    // Blocks that shrink, over what was sent otherwise before.
    peer.expect(
        Code::CONTINUE,
        piece("shrinks", 0, true, 6, vec![b' '; 1024]),
    );
    peer.expect(
        Code::REQUEST_ENTITY_INCOMPLETE,
        piece("shrinks", 1, true, 5, vec![b'x'; 512]),
    );
    // What is announced is not allocated: an option of 8 bytes is none that is known.
    let announced = |size: &[u8]| {
        let request = piece("announces", 0, true, 6, vec![b' '; 1024]);
        with_option(request, OptionNumber::SIZE1.0, size)
    };
    peer.expect(Code::CONTINUE, announced(&[0xff; 8]));
    for size in [u32::MAX, 1 << 31, 65_537] {
        let answer = peer.expect(
            Code::REQUEST_ENTITY_TOO_LARGE,
            announced(&size.to_be_bytes()),
        );
        let limit = answer.options.uint(OptionNumber::SIZE1);
        assert_eq!(limit, u32::try_from(BODY_BYTES_MAX).ok());
    }
    assert!(site.growth_kib() < GROWTH_KIB_MAX);
}

fn half_open(site: &Site) {
    const ADDRESSES: usize = 250;
    const PER_ADDRESS: u16 = 40;
    let mut peers: Vec<_> = (0..ADDRESSES)
        .map(|number| Stranger::from_address(loopback(number + 1), site.server.coap))
        .collect();
    for peer in &mut peers {
        let begun: Vec<_> = (0..PER_ADDRESS)
            .map(|tag| {
                let request = piece("half", 0, true, 6, vec![b' '; 1024]);
                let tag = tag.to_be_bytes();
                let request = with_option(request, OptionNumber::REQUEST_TAG.0, &tag);
                confirmable(peer.id(), request)
            })
            .collect();
        let answers = peer.exchange(&begun);
        assert_eq!(answers.len(), begun.len());
        let codes = answers.iter().map(|answer| decode(answer).code);
        assert!(codes.into_iter().all(|code| code == Code::CONTINUE));
    }
    assert!(site.growth_kib() < GROWTH_KIB_MAX);
    // Of each address the first ones had to go for its later ones.
    let first = piece("half", 1, true, 6, vec![b' '; 1024]);
    let first = with_option(first, OptionNumber::REQUEST_TAG.0, &[0, 0]);
    peers[ADDRESSES - 1].expect(Code::REQUEST_ENTITY_INCOMPLETE, first);
    // A device that does as it should finds room, and keeps it.
    let mut device = site.stranger();
    let body = "</3/0>,</5/0>,</4/0>,</3303/0>,</3304/0>";
    let mut pieces = body.as_bytes().chunks(16).enumerate().peekable();
    while let Some((num, bytes)) = pieces.next() {
        let more = pieces.peek().is_some();
        let num = u32::try_from(num).unwrap();
        let request = piece("blockwise", num, more, 0, bytes.to_vec());
        let code = if more { Code::CONTINUE } else { Code::CREATED };
        device.expect(code, request);
    }
}

fn endless(site: &Site) {
    const PIECES: u32 = 8192;
    let mut peer = site.stranger();
    let before_kib = site.growth_kib();
    let taken = u32::try_from(BODY_BYTES_MAX / 1024).unwrap();
    let mut window = Vec::new();
    let mut codes = Vec::new();
    for num in 0..PIECES {
        let request = piece("endless", num, true, 6, vec![b' '; 1024]);
        window.push(confirmable(peer.id(), request));
        if window.len() == 32 {
            let answers = peer.exchange(&window);
            codes.extend(answers.iter().map(|answer| decode(answer).code));
            window.clear();
        }
    }
    let expected = |num| match num {
        _ if num < taken => Code::CONTINUE,
        _ => Code::REQUEST_ENTITY_TOO_LARGE,
    };
    let expected: Vec<_> = (0..PIECES).map(expected).collect();
    let odd = codes
        .iter()
        .zip(&expected)
        .position(|(is, should)| is != should);
    assert_eq!((codes.len(), odd), (expected.len(), None));
    assert!(site.growth_kib().saturating_sub(before_kib) < 8 * 1024);
}

/// Sends a Register's body in blocks; answers the first message that does not ask for more.
fn in_blocks(peer: &mut Stranger, endpoint: &str, body: &[u8]) -> Message {
    let mut pieces = body.chunks(1024).enumerate().peekable();
    loop {
        let (num, bytes) = pieces.next().unwrap();
        let more = pieces.peek().is_some();
        let num = u32::try_from(num).unwrap();
        let answer = peer.ask(piece(endpoint, num, more, 6, bytes.to_vec()));
        if answer.code != Code::CONTINUE {
            return answer;
        }
    }
}

fn links(site: &Site) {
    let mut peer = site.stranger();
    let many = |bytes: usize| {
        let mut text: String = (0..bytes / 12)
            .map(|id| format!("</33000/{id}>,"))
            .collect();
        text.truncate(bytes);
        text
    };
    for bytes in [100_000, BODY_BYTES_MAX, 5000] {
        let answer = in_blocks(&mut peer, "linked", many(bytes).as_bytes());
        assert_eq!(answer.code, Code::REQUEST_ENTITY_TOO_LARGE, "{bytes}");
    }
    let broken: [&[u8]; 10] = [
        b"<",
        b"<>,",
        b"</3/0",
        b"</3/0>,",
        b"</3/0>;",
        b"</3/0>;ver=\"1.0",
        b"3/0",
        b"</3/0></5/0>",
        b"</3/0>,,</5/0>",
        b"\xff\xfe",
    ];
    for payload in broken {
        let mut request = register("linked");
        request.payload = payload.into();
        let shown = String::from_utf8_lossy(payload);
        let answer = peer.ask(request);
        assert_eq!(answer.code, Code::BAD_REQUEST, "{shown}");
    }
    assert_eq!(site.all_devices()["linked"]["registered"], false);
    let answer = in_blocks(&mut peer, "linked", b"</3/0>,</5/0>");
    location(&answer);
}

fn bombs(site: &Site) {
    let mut peer = site.stranger();
    let bombs = [
        (ContentFormat::SENML_CBOR, [0x81].repeat(900)),
        (ContentFormat::SENML_CBOR, [0x9f].repeat(900)),
        (
            ContentFormat::SENML_CBOR,
            [vec![0x9b], vec![0xff; 8]].concat(),
        ),
        (
            ContentFormat::SENML_CBOR,
            [vec![0xbb], vec![0xff; 8]].concat(),
        ),
        (
            ContentFormat::SENML_CBOR,
            [vec![0x5b], vec![0xff; 8]].concat(),
        ),
        (ContentFormat::SENML_CBOR, [0xc1].repeat(900)),
        (ContentFormat::SENML_JSON, b"[".repeat(900)),
        (ContentFormat::SENML_JSON, b"{\"a\":".repeat(180)),
        (
            ContentFormat::SENML_JSON,
            b"[{\"n\":\"/4/0/8\",\"v\":1e400}]".to_vec(),
        ),
        (ContentFormat::TLV, [0xff; 900].to_vec()),
        (ContentFormat::TLV, [0x18, 0xff, 0xff, 0xff, 0xff].to_vec()),
        (ContentFormat::CBOR, [0x81].repeat(900)),
    ];
    for (format, payload) in &bombs {
        let bomb = |path| post(path).with_payload(*format, payload.clone());
        // A stranger's are not looked at.
        peer.expect(Code::NOT_FOUND, bomb("/bs"));
        peer.expect(Code::NOT_FOUND, bomb("/dp"));
    }
    location(&peer.ask(register("bomber")));
    for (format, payload) in &bombs {
        let bomb = post("/dp").with_payload(*format, payload.clone());
        let code = match *format {
            ContentFormat::SENML_CBOR | ContentFormat::SENML_JSON => Code::BAD_REQUEST,
            _ => Code::UNSUPPORTED_CONTENT_FORMAT,
        };
        peer.expect(code, bomb);
    }
    let shown = &site.all_devices()["bomber"];
    assert!(shown["reported_at"].is_null(), "{shown}");
}
