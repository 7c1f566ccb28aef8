//! What is asked of a device, as CoAP requests, and what its answers mean.

use super::value::{DataType, decode_integers, decode_value};
use super::{PackLimits, Path, Value, path};
use crate::coap::{Code, ContentFormat, OptionNumber, Request, Response};
use crate::model::Image;

/// An operation of the device management or information reporting interface (LwM2M 1.0 §5.4, §5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read a resource.
    Read(Path),
    /// Write a text, e.g. the Package URI.
    WriteText {
        /// The resource.
        path: Path,
        /// Its new value.
        text: String,
    },
    /// Write the Package: what is longer than a block goes out in blocks, none of which is copied.
    WritePackage(Image),
    /// Execute a resource, without arguments.
    Execute(Path),
    /// Observe a resource. `coap::Endpoint::observe` adds the option and the token.
    Observe(Path),
    /// Cancel an observation. `coap::Endpoint::cancel_observation` adds option and token.
    CancelObservation(Path),
}

impl Operation {
    /// What it is about.
    pub const fn path(&self) -> Path {
        match self {
            Self::Read(path)
            | Self::WriteText { path, .. }
            | Self::Execute(path)
            | Self::Observe(path)
            | Self::CancelObservation(path) => *path,
            Self::WritePackage(_) => path::FIRMWARE_PACKAGE,
        }
    }

    /// The CoAP request, for a device whose objects lie at the root.
    pub fn request(&self) -> Request {
        self.request_below("")
    }

    /// The CoAP request, for a device whose objects lie below `alternate_path` (see
    /// [`super::Links::alternate_path`]).
    ///
    /// Modules differ in what they do without a format, so each is said: single resources are asked
    /// for as text (bytes as bytes), and a text is written as text. An Execute has neither payload nor
    /// format: some modules refuse one that has (carrier flows §3.2).
    pub fn request_below(&self, alternate_path: &str) -> Request {
        let path = format!("{alternate_path}{}", self.path());
        match self {
            Self::Read(_) | Self::Observe(_) | Self::CancelObservation(_) => {
                let mut request = Request::new(Code::GET, &path);
                // A list is no text: its device answers in what it has for lists.
                let is_list = self.path() == path::FIRMWARE_PROTOCOLS;
                if self.path().resource.is_some() && !is_list {
                    let accept = match DataType::of(self.path()) {
                        DataType::Opaque => ContentFormat::OPAQUE,
                        DataType::Text
                        | DataType::Integer
                        | DataType::Float
                        | DataType::Boolean
                        | DataType::Unknown => ContentFormat::TEXT,
                    };
                    let options = &mut request.options;
                    options.push_uint(OptionNumber::ACCEPT, accept.0.into());
                }
                request
            }
            Self::WriteText { text, .. } => Request::new(Code::PUT, &path)
                .with_payload(ContentFormat::TEXT, text.clone().into_bytes()),
            Self::WritePackage(image) => Request::new(Code::PUT, &path)
                .with_payload(ContentFormat::OPAQUE, image.bytes().clone()),
            Self::Execute(_) => Request::new(Code::POST, &path),
        }
    }
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 2.05 with a value.
    Value(Value),
    /// 2.05 with a list of integers, of a resource that has several.
    Integers(Vec<i64>),
    /// 2.04 and the like.
    Done,
    /// 4.xx or 5.xx.
    Refused(Code),
    /// 2.05 with a payload that was not understood.
    Unreadable,
    /// No answer, after all retransmissions.
    TimedOut,
    /// The device rejected the message.
    Reset,
}

/// What a device's response to an operation means.
pub fn decode_answer(operation: &Operation, response: &Response, limits: &PackLimits) -> Answer {
    if !response.code.is_success() {
        return Answer::Refused(response.code);
    }
    match operation {
        Operation::WriteText { .. } | Operation::WritePackage(_) | Operation::Execute(_) => {
            Answer::Done
        }
        Operation::Read(path) | Operation::Observe(path) | Operation::CancelObservation(path) => {
            if response.code != Code::CONTENT {
                return Answer::Done;
            }
            let format = response.content_format();
            if *path == path::FIRMWARE_PROTOCOLS
                && let Ok(integers) = decode_integers(*path, format, &response.payload)
            {
                return Answer::Integers(integers);
            }
            decode_value(*path, format, &response.payload, limits)
                .map_or(Answer::Unreadable, Answer::Value)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lwm2m::path::*;

    const LIMITS: PackLimits = PackLimits::DEFAULT;

    fn written_options(request: &Request) -> Vec<(u16, Vec<u8>)> {
        let options = request.options.iter();
        options
            .map(|(number, value)| (number.0, value.to_vec()))
            .collect()
    }

    fn path_options() -> Vec<(u16, Vec<u8>)> {
        vec![(11, b"5".to_vec()), (11, b"0".to_vec())]
    }

    #[test]
    fn a_read_asks_for_text_and_for_bytes_where_the_resource_is_bytes() {
        let request = Operation::Read(FIRMWARE_STATE).request();
        let mut options = path_options();
        options.extend([(11, b"3".to_vec()), (17, vec![])]);
        assert_eq!(
            (request.code, written_options(&request)),
            (Code::GET, options)
        );
        let uplink = Operation::Observe(UPLINK_DATA).request();
        assert_eq!(uplink.options.uint(OptionNumber::ACCEPT), Some(42));
        let whole = Operation::Read(Path::of_instance(4, 0)).request();
        assert_eq!(whole.options.uint(OptionNumber::ACCEPT), None);
    }

    #[test]
    fn a_list_of_protocols_is_told_from_a_lone_number() {
        let read = Operation::Read(FIRMWARE_PROTOCOLS);
        assert_eq!(read.request().options.uint(OptionNumber::ACCEPT), None);
        let answer = |format: ContentFormat, payload: &str| {
            let mut response = Response::new(Code::CONTENT);
            response
                .options
                .push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
            response.payload = Bytes::from(hex::decode(payload).unwrap());
            decode_answer(&read, &response, &LIMITS)
        };
        let tlv = |payload| answer(ContentFormat::TLV, payload);
        assert_eq!(tlv("8608410000410102"), Answer::Integers(vec![0, 2]));
        assert_eq!(tlv("8308410000"), Answer::Integers(vec![0]));
        assert_eq!(tlv("8008"), Answer::Integers(vec![]));
        assert_eq!(tlv("c10801"), Answer::Value(Value::Integer(1)));
        let text = answer(ContentFormat::TEXT, "32");
        assert_eq!(text, Answer::Value(Value::Integer(2)));
    }

    #[test]
    fn the_uri_is_written_as_text() {
        let text = "coap://192.0.2.1:5683/fw/00".to_owned();
        let request = Operation::WriteText {
            path: FIRMWARE_PACKAGE_URI,
            text,
        }
        .request();
        let mut options = path_options();
        options.extend([(11, b"1".to_vec()), (12, vec![])]);
        assert_eq!(
            (request.code, written_options(&request)),
            (Code::PUT, options)
        );
        assert_eq!(request.payload.as_ref(), b"coap://192.0.2.1:5683/fw/00");
    }

    #[test]
    fn a_package_is_written_as_bytes_that_are_not_copied() {
        let bytes = Bytes::from(vec![7; 2000]);
        let request = Operation::WritePackage(Image::from(bytes.clone())).request();
        let mut options = path_options();
        options.extend([(11, b"0".to_vec()), (12, vec![42])]);
        assert_eq!(
            (request.code, written_options(&request)),
            (Code::PUT, options)
        );
        assert_eq!(request.payload.as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn an_execute_has_no_payload_and_no_format() {
        let request = Operation::Execute(FIRMWARE_UPDATE).request();
        let mut options = path_options();
        options.push((11, b"2".to_vec()));
        assert_eq!(
            (request.code, written_options(&request)),
            (Code::POST, options)
        );
        assert!(request.payload.is_empty());
    }

    #[test]
    fn an_alternate_path_goes_before() {
        let request = Operation::Read(FIRMWARE_STATE).request_below("/lwm2m");
        assert_eq!(request.path().unwrap(), ["lwm2m", "5", "0", "3"]);
    }

    #[test]
    fn answers_mean_what_their_code_and_payload_say() {
        let read = Operation::Read(FIRMWARE_STATE);
        let content = Response::new(Code::CONTENT);
        let state = content
            .clone()
            .with_payload(ContentFormat::TLV, Bytes::from_static(b"\xc1\x03\x02"));
        assert_eq!(
            decode_answer(&read, &state, &LIMITS),
            Answer::Value(Value::Integer(2))
        );
        let broken = content
            .clone()
            .with_payload(ContentFormat::TLV, Bytes::from_static(b"\xc1\x03"));
        assert_eq!(decode_answer(&read, &broken, &LIMITS), Answer::Unreadable);
        assert_eq!(decode_answer(&read, &content, &LIMITS), Answer::Unreadable);
        let missing = Response::new(Code::NOT_FOUND);
        assert_eq!(
            decode_answer(&read, &missing, &LIMITS),
            Answer::Refused(Code::NOT_FOUND)
        );
        let execute = Operation::Execute(FIRMWARE_UPDATE);
        let changed = Response::new(Code::CHANGED);
        assert_eq!(decode_answer(&execute, &changed, &LIMITS), Answer::Done);
        assert_eq!(
            decode_answer(&execute, &Response::new(Code::METHOD_NOT_ALLOWED), &LIMITS),
            Answer::Refused(Code::METHOD_NOT_ALLOWED)
        );
    }
}
