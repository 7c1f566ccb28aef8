//! The least that a server can do: one thread, one datagram a call, nothing kept that is not needed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Instant;

use crate::wire::{
    ACK, BLOCK2, CHANGED, CONTENT, CREATED, DELETE, DELETED, GET, LOCATION_PATH, NOT_FOUND, POST,
    Reader, URI_PATH, URI_QUERY, Writer, decode_block,
};

const RECEIVE_BUFFER_BYTES: usize = 32 * 1024 * 1024;

fn bind(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
        .unwrap();
    println!("ready");
    socket
}

fn serve(address: SocketAddr, mut answer: impl FnMut(&[u8], SocketAddr) -> Option<Vec<u8>>) {
    let socket = bind(address);
    let mut buffer = [0; 2048];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(answer) = answer(&buffer[..len], from) {
            // A full send buffer is a lost datagram.
            let _ = socket.send_to(&answer, from);
        }
    }
}

pub(crate) fn echo(address: SocketAddr) {
    let socket = bind(address);
    let mut buffer = [0; 2048];
    loop {
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
    }
}

/// Parses, finds, slices, answers; no state.
pub(crate) fn coapfloor(address: SocketAddr, image: &[u8]) {
    serve(address, |datagram, _| {
        let request = Reader::new(datagram)?;
        let (mut path, mut block) = (&[][..], (0, false, 6));
        request.options(|number, value| match number {
            URI_PATH => path = value,
            BLOCK2 => block = decode_block(value),
            _ => {}
        })?;
        let answer = |code| Writer::new(ACK, code, request.id(), request.token());
        if request.code() != GET {
            return Some(answer(NOT_FOUND).bytes);
        }
        match path {
            b"tiny" => Some(answer(CONTENT).payload(b"22.5 C")),
            b"image" => {
                let (num, _, szx) = block;
                let size = 16_usize << szx.min(6);
                let (from, to) = (num * size, ((num + 1) * size).min(image.len()));
                let slice = image.get(from..to)?;
                let answer = answer(CONTENT).block2(num, to < image.len(), szx);
                Some(answer.payload(slice))
            }
            _ => Some(answer(NOT_FOUND).bytes),
        }
    });
}

struct Registered {
    endpoint: Box<str>,
    address: SocketAddr,
    links: u32,
    expires_s: u64,
    lifetime_s: u32,
}

/// Endpoint to place, interned links, the place in the location; no persistence.
pub(crate) fn regfloor(address: SocketAddr) {
    let mut registered: Vec<Option<Registered>> = Vec::new();
    let mut by_endpoint: HashMap<Box<str>, usize> = HashMap::new();
    let mut links: HashMap<Box<[u8]>, u32> = HashMap::new();
    let began = Instant::now();
    serve(address, |datagram, from| {
        let request = Reader::new(datagram)?;
        let (mut place, mut endpoint, mut lifetime_s) = (None, None, 86_400);
        let payload = request.options(|number, value| match number {
            URI_PATH if value != b"rd" => {
                place = std::str::from_utf8(value)
                    .ok()
                    .and_then(|it| it.parse::<usize>().ok());
            }
            URI_QUERY => match value {
                [b'e', b'p', b'=', name @ ..] => endpoint = std::str::from_utf8(name).ok(),
                [b'l', b't', b'=', seconds @ ..] => {
                    let seconds = std::str::from_utf8(seconds).ok();
                    lifetime_s = seconds.and_then(|it| it.parse().ok()).unwrap_or(86_400);
                }
                _ => {}
            },
            _ => {}
        })?;
        let answer = |code| Writer::new(ACK, code, request.id(), request.token());
        let now_s = began.elapsed().as_secs();
        match (request.code(), place, endpoint) {
            (POST, None, Some(endpoint)) => {
                let next = links.len() as u32;
                let links = *links.entry(payload.into()).or_insert(next);
                let place = *by_endpoint.entry(endpoint.into()).or_insert_with(|| {
                    registered.push(None);
                    registered.len() - 1
                });
                registered[place] = Some(Registered {
                    endpoint: endpoint.into(),
                    address: from,
                    links,
                    expires_s: now_s + u64::from(lifetime_s),
                    lifetime_s,
                });
                let location = place.to_string();
                let answer = answer(CREATED).option(LOCATION_PATH, b"rd");
                Some(answer.option(LOCATION_PATH, location.as_bytes()).bytes)
            }
            (POST, Some(place), _) => Some(match registered.get_mut(place) {
                Some(Some(known)) => {
                    known.address = from;
                    known.expires_s = now_s + u64::from(known.lifetime_s);
                    answer(CHANGED).bytes
                }
                Some(None) | None => answer(NOT_FOUND).bytes,
            }),
            (DELETE, Some(place), _) => {
                Some(match registered.get_mut(place).and_then(Option::take) {
                    Some(gone) => {
                        by_endpoint.remove(&gone.endpoint);
                        std::hint::black_box((gone.address, gone.links, gone.expires_s));
                        answer(DELETED).bytes
                    }
                    None => answer(NOT_FOUND).bytes,
                })
            }
            _ => Some(answer(NOT_FOUND).bytes),
        }
    });
}
