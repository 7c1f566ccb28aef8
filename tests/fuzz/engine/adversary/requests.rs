//! Requests to each handler, with something in them that is not as it should be.

use std::net::SocketAddr;

use bytes::Bytes;
use narrowcast::coap::{
    BlockValue, Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Request, Token,
};
use rand::Rng;

use super::super::known::Known;
use super::{Adversary, Origin, Upload, pick};

impl Adversary {
    pub(super) fn request(&mut self, code: Code, segments: &[&str]) -> Message {
        let kind = if self.one_in(4) {
            MessageType::NonConfirmable
        } else {
            MessageType::Confirmable
        };
        let mut message = Message::empty(kind, MessageId(self.rng.r#gen()));
        let token_bytes = self.rng.gen_range(0..=8);
        message.token = Token::new(&self.random(token_bytes)).unwrap();
        message.code = code;
        message.options = Request::new(code, &segments.join("/")).options;
        message
    }

    pub(super) fn name(&mut self, known: &Known, origin: Origin) -> String {
        // In an honest device's name only names that nobody has: a captured one's would move there.
        let is_honest = origin == Origin::Honest;
        match self.rng.gen_range(0..10) {
            0..7 if !is_honest => pick(&mut self.rng, &known.names),
            7 => "x".repeat(self.rng.gen_range(0..300)),
            8 => pick(
                &mut self.rng,
                &[
                    "",
                    "a\0b",
                    "\u{202e}urn",
                    "a\r\nb",
                    "=1+1",
                    "${jndi:x}",
                    "<b>",
                ]
                .map(str::to_owned),
            ),
            _ => format!("nobody-{}", self.rng.gen_range(0..1000)),
        }
    }

    pub(super) fn lifetime(&mut self) -> String {
        match self.rng.gen_range(0..8) {
            0 => pick(
                &mut self.rng,
                &["0", "-1", "NaN", "4294967296", "", "1e3", "+60"].map(str::to_owned),
            ),
            1 => "4294967295".to_owned(),
            _ => self.rng.gen_range(30..4_000).to_string(),
        }
    }

    pub(super) fn register(&mut self, known: &Known, origin: Origin) -> Message {
        let mut message = self.request(Code::POST, &["rd"]);
        let version = match self.rng.gen_range(0..12) {
            0 => "999",
            1 => "1.1",
            _ => "1.0",
        };
        let binding = pick(&mut self.rng, &["U", "UQ", "UQ", "U", "ZZZ", ""]);
        let queries = [
            format!("ep={}", self.name(known, origin)),
            format!("lt={}", self.lifetime()),
            format!("lwm2m={version}"),
            format!("b={binding}"),
        ];
        for query in queries {
            message.options.push(OptionNumber::URI_QUERY, query);
        }
        self.put_links(&mut message);
        message
    }

    pub(super) fn put_links(&mut self, message: &mut Message) {
        let mut links = pick(&mut self.rng, &self.links);
        match self.rng.gen_range(0..10) {
            0 => self.change(&mut links),
            1 => links = b"</19/0>,</5/0>,".repeat(self.rng.gen_range(1..80)),
            2 => links.clear(),
            _ => {}
        }
        let format = match self.rng.gen_range(0..12) {
            0 => None,
            1 => Some(ContentFormat::TLV),
            _ => Some(ContentFormat::LINK_FORMAT),
        };
        if let Some(format) = format {
            let options = &mut message.options;
            options.push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        }
        message.payload = Bytes::from(links);
    }

    pub(super) fn location(&mut self, known: &Known, origin: Origin) -> String {
        let guess = format!(
            "{}-{:032x}",
            self.rng.gen_range(0..60),
            self.rng.r#gen::<u128>()
        );
        if origin == Origin::Honest {
            return guess;
        }
        match self.rng.gen_range(0..10) {
            0 => "0-".to_owned(),
            1 => guess,
            _ => known.locations.any(&mut self.rng).unwrap_or(guess),
        }
    }

    pub(super) fn registration_update(&mut self, known: &Known, origin: Origin) -> Message {
        let location = self.location(known, origin);
        let mut message = self.request(Code::POST, &["rd", &location]);
        if self.one_in(2) {
            let lifetime = format!("lt={}", self.lifetime());
            message.options.push(OptionNumber::URI_QUERY, lifetime);
        }
        if self.one_in(3) {
            self.put_links(&mut message);
        }
        message
    }

    pub(super) fn deregister(&mut self, known: &Known, origin: Origin) -> Message {
        let location = self.location(known, origin);
        self.request(Code::DELETE, &["rd", &location])
    }

    pub(super) fn block_request(&mut self, known: &Known, origin: Origin) -> Message {
        let guess = hex::encode(self.random(16));
        let capability = match self.rng.gen_range(0..5) {
            _ if origin == Origin::Honest => guess,
            0 => guess,
            1 => "0".repeat(self.rng.gen_range(0..40)),
            _ => known.capabilities.newest(&mut self.rng).unwrap_or(guess),
        };
        let code = if self.one_in(10) {
            Code::PUT
        } else {
            Code::GET
        };
        let mut message = self.request(code, &["fw", &capability]);
        match self.rng.gen_range(0..8) {
            0 => {}
            1 => {
                let bytes = self.rng.gen_range(0..4);
                let value = self.random(bytes);
                message.options.push(OptionNumber::BLOCK2, value);
            }
            2 => message
                .options
                .push(OptionNumber::BLOCK2, vec![0xff, 0xff, 0xf6]),
            _ => {
                let block = BlockValue {
                    num: self.rng.gen_range(0..90),
                    more: self.rng.gen_ratio(1, 10),
                    szx: self.rng.gen_range(0..=6),
                };
                block.put(&mut message.options, OptionNumber::BLOCK2);
            }
        }
        message
    }

    pub(super) fn other_request(&mut self) -> Message {
        let path: &[&str] = match self.rng.gen_range(0..5) {
            0..3 => &[".well-known", "core"],
            3 => &["bs"],
            _ => &["rd", "1", "2"],
        };
        let code = if self.one_in(8) {
            Code::POST
        } else {
            Code::GET
        };
        self.request(code, path)
    }

    /// A Send. None comes in an honest device's name: its address alone says whose it is.
    pub(super) fn send(&mut self) -> Message {
        let mut message = self.request(Code::POST, &["dp"]);
        let (format, packs) = if self.one_in(2) {
            (ContentFormat::SENML_JSON, &self.packs_json)
        } else {
            (ContentFormat::SENML_CBOR, &self.packs_cbor)
        };
        let mut pack = pick(&mut self.rng, packs);
        if self.one_in(2) {
            self.change(&mut pack);
        }
        let format = if self.one_in(10) {
            ContentFormat::TLV
        } else {
            format
        };
        let options = &mut message.options;
        options.push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        message.payload = Bytes::from(pack);
        message
    }

    /// The next piece of a Register in blocks, most often the right one.
    pub(super) fn piece(
        &mut self,
        known: &Known,
        origin: Origin,
        from: SocketAddr,
    ) -> (Message, Origin, SocketAddr) {
        if self.uploads.len() < 4 || self.one_in(10) {
            let links = pick(&mut self.rng, &self.links);
            let times = self.rng.gen_range(1..30);
            let upload = Upload {
                from,
                origin,
                name: self.name(known, origin),
                tag: self.one_in(2).then(|| self.rng.r#gen()),
                body: Bytes::from([links, b",".to_vec()].concat().repeat(times)),
                szx: self.rng.gen_range(2..=6),
                num: 0,
            };
            if self.uploads.len() >= 24 {
                self.uploads.remove(0);
            }
            self.uploads.push(upload);
        }
        let mut message = self.request(Code::POST, &["rd"]);
        message.kind = MessageType::Confirmable;
        let wrong = self.one_in(8);
        let choice = self.rng.gen_range(0..self.uploads.len());
        let upload = &mut self.uploads[choice];
        let at = 16 << upload.szx;
        let begin = (upload.num as usize * at).min(upload.body.len() - 1);
        let end = (begin + at).min(upload.body.len() - 1);
        let (origin, from) = (upload.origin, upload.from);
        let mut block = BlockValue {
            num: upload.num,
            more: end < upload.body.len() - 1,
            szx: upload.szx,
        };
        message
            .options
            .push(OptionNumber::URI_QUERY, format!("ep={}", upload.name));
        if let Some(tag) = upload.tag {
            message.options.push(OptionNumber::REQUEST_TAG, vec![tag]);
        }
        message.payload = upload.body.slice(begin..end);
        upload.num += 1;
        if !block.more {
            upload.num = 0;
        }
        if wrong {
            match self.rng.gen_range(0..4) {
                0 => block.num = self.rng.gen_range(0..=BlockValue::NUM_MAX),
                1 => message.payload = message.payload.slice(..message.payload.len() / 2),
                2 => message.options.push_uint(OptionNumber::SIZE1, u32::MAX),
                _ => block.szx = self.rng.gen_range(0..=6),
            }
        }
        block.put(&mut message.options, OptionNumber::BLOCK1);
        (message, origin, from)
    }

    pub(super) fn refused_request(&mut self) -> Message {
        let mut message = self.request(Code::GET, &["rd"]);
        match self.rng.gen_range(0..5) {
            0 => message.code = Code(self.rng.gen_range(8..32)),
            1 => {
                let uri = "coap://198.51.100.7/rd";
                message.options.push(OptionNumber::PROXY_URI, uri);
            }
            2 => message.options.push(OptionNumber(9001), Bytes::new()),
            3 => message
                .options
                .push(OptionNumber::URI_PATH, vec![b'x'; 256]),
            _ => message
                .options
                .push(OptionNumber::URI_PATH, vec![0xff, 0xfe]),
        }
        message
    }
}
