//! Bytes to messages and back: what every datagram costs before anything is decided.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use narrowcast::coap::{
    BlockValue, Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Options,
    Request, Token,
};
use narrowcast::lwm2m::Links;

const OPTIONS_MAX: usize = 32;
const LINKS: &str = r#"</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</4/0>,</5/0>,</19/0>,</19/1>"#;

fn message(code: Code, options: Options, payload: Bytes) -> Message {
    Message {
        kind: MessageType::Confirmable,
        code,
        id: MessageId(4_711),
        token: Token::new(&[1, 2, 3, 4, 5, 6, 7, 8]).expect("a token of 8 bytes"),
        options,
        payload,
    }
}

fn request(request: Request) -> Message {
    message(request.code, request.options, request.payload)
}

fn samples() -> Vec<(&'static str, Message)> {
    let register = Request::new(Code::POST, "/rd")
        .with_query("lwm2m=1.0")
        .with_query("ep=860000000000001")
        .with_query("lt=86400")
        .with_query("b=UQ")
        .with_payload(ContentFormat::LINK_FORMAT, LINKS);
    let block = BlockValue {
        num: 100,
        more: true,
        szx: 6,
    };
    let mut get = Request::new(Code::GET, "/fw/07070707070707070707070707070707");
    get.options.push(OptionNumber::BLOCK2, block.encode());
    let mut options = Options::default();
    options.push(OptionNumber::ETAG, Bytes::from_static(b"12345678"));
    options.push(OptionNumber::BLOCK2, block.encode());
    let content = message(Code::CONTENT, options, Bytes::from(vec![0x5a; 1024]));
    vec![
        ("register", request(register)),
        ("block_request", request(get)),
        ("block_1_kib", content),
    ]
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    for (name, message) in samples() {
        let datagram = message.clone().encode().to_vec();
        group.bench_function(format!("decode/{name}"), |bencher| {
            bencher.iter(|| Message::decode(black_box(&datagram), OPTIONS_MAX));
        });
        group.bench_function(format!("encode/{name}"), |bencher| {
            bencher.iter(|| black_box(message.clone()).encode());
        });
    }
    group.finish();
    criterion.bench_function("links/parse", |bencher| {
        bencher.iter(|| Links::parse(black_box(LINKS), 100));
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
