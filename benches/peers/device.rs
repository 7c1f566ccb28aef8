//! One device that takes the URI of an image and prints it, so that others can fetch the image: a
//! download is there for as long as its task is.

use std::net::{SocketAddr, UdpSocket};

use crate::wire::{
    ACK, CHANGED, CON, CONTENT, CONTENT_FORMAT, GET, NOT_FOUND, OBSERVE, POST, PUT, Reader,
    URI_PATH, URI_QUERY, Writer,
};

const LINKS: &[u8] = b"</1/0>,</3/0>,</4/0>,</5/0>,</19/0>";

pub(crate) fn run(server: SocketAddr, endpoint: &str) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.connect(server).unwrap();
    let register = Writer::new(CON, POST, 1, b"r")
        .path(URI_PATH, "/rd")
        .option(CONTENT_FORMAT, &[40])
        .option(URI_QUERY, format!("ep={endpoint}").as_bytes())
        .option(URI_QUERY, b"lt=86400")
        .option(URI_QUERY, b"lwm2m=1.0")
        .option(URI_QUERY, b"b=U")
        .payload(LINKS);
    socket.send(&register).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let Ok(len) = socket.recv(&mut buffer) else {
            continue;
        };
        let Some(request) = Reader::new(&buffer[..len]) else {
            continue;
        };
        if request.kind() == CON {
            let answer = answer(&request);
            socket.send(&answer).unwrap();
        }
    }
}

/// As text, which every server of LwM2M 1.0 reads.
fn answer(request: &Reader<'_>) -> Vec<u8> {
    let (mut path, mut observes) = (Vec::new(), false);
    let payload = request.options(|number, value| {
        if number == URI_PATH {
            path.push(String::from_utf8_lossy(value).into_owned());
        }
        observes |= number == OBSERVE && value.is_empty();
    });
    let path = path.join("/");
    let with = |code| Writer::new(ACK, code, request.id(), request.token());
    let text = |text: &str| {
        let answer = if observes {
            with(CONTENT).option(OBSERVE, &[1])
        } else {
            with(CONTENT)
        };
        answer.option(CONTENT_FORMAT, &[]).payload(text.as_bytes())
    };
    match (request.code(), path.as_str()) {
        (0, _) => vec![0x70, 0, (request.id() >> 8) as u8, request.id() as u8],
        (PUT, "5/0/1") => {
            let uri = payload.map(String::from_utf8_lossy).unwrap_or_default();
            println!("{uri}");
            with(CHANGED).bytes
        }
        (GET, "5/0/3" | "5/0/5") => text("0"),
        (GET, "3/0/3") => text("1.0.0"),
        (GET, "4/0/8") => text("1"),
        (GET, "4/0/2") => text("-90"),
        (GET, "4/0/11") => text("15"),
        _ => with(NOT_FOUND).bytes,
    }
}
