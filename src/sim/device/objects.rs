//! Answers for Objects 3, 4, 5 and 19.

use crate::clock::Instant;
use crate::coap::{Code, ContentFormat, OptionNumber, Reliability, Request, Response, Token};
use crate::lwm2m::{Path, SenmlRecord, Value, encode_pack, encode_value, path};
use crate::model::Peer;

use super::config::NotifyReliability;
use super::{Observer, Sent, SimDevice, SocketKind};

/// Update Result, cancelled.
const RESULT_CANCELLED: u8 = 10;

impl SimDevice {
    /// The response to a request of the server.
    pub(super) fn answer(&mut self, now: Instant, request: &Request, token: Token) -> Response {
        let path = request.path().and_then(|segments| {
            let path = format!("/{}", segments.join("/"));
            Path::parse(path.strip_prefix(&self.alternate_path)?)
        });
        let Some(path) = path else {
            return Response::new(Code::NOT_FOUND);
        };
        if request.code == Code::POST
            && let Some(response) = self.execute_own(now, path, request)
        {
            return response;
        }
        if request.code == Code::GET {
            self.drift_signal(now, path);
            self.read(path, request, token)
        } else if request.code == Code::PUT {
            self.write(now, path, request)
        } else if request.code == Code::POST && path == path::FIRMWARE_UPDATE {
            self.execute(now, request)
        } else if request.code == Code::POST
            && path == path::FIRMWARE_CANCEL
            && self.config.quirks.cancels
        {
            Response::new(self.cancel(now, RESULT_CANCELLED))
        } else {
            Response::new(Code::METHOD_NOT_ALLOWED)
        }
    }

    /// Tells the server of a new value, where it observes it.
    pub(super) fn notify(&mut self, now: Instant, path: Path) -> Option<Sent> {
        if self.config.quirks.never_notifies {
            return None;
        }
        let response = self.content(path);
        let observer = self.observers.get_mut(&path)?;
        observer.sequence += 1;
        let (token, sequence) = (observer.token, observer.sequence);
        let reliability = match self.config.notify {
            NotifyReliability::Confirmable => Reliability::Confirmable,
            NotifyReliability::NonConfirmable => Reliability::NonConfirmable,
        };
        let parameters = self.config.parameters();
        let server = Peer::Address(self.config.server);
        self.main
            .notify(
                now,
                &server,
                token,
                sequence,
                response,
                reliability,
                &parameters,
            )
            .ok()
            .map(|id| Sent {
                socket: SocketKind::Main,
                id,
            })
    }

    /// Sends data of its own on `/19/0/0`, where the server observes it.
    pub fn send_uplink(&mut self, now: Instant) {
        self.count_radio_on(now);
        self.uplink_sequence += 1;
        self.notify(now, path::UPLINK_DATA);
        self.pump(now);
    }

    /// Sends values on its own account (LwM2M 1.1 §6.4.6); ones that the format cannot hold are not
    /// sent.
    pub fn send_values(&mut self, now: Instant, format: ContentFormat, values: &[SenmlRecord]) {
        self.count_radio_on(now);
        if let Ok(payload) = encode_pack(format, values) {
            let request = Request::new(Code::POST, "/dp").with_payload(format, payload);
            self.send(now, SocketKind::Main, request);
            self.pump(now);
        }
    }

    fn read(&mut self, path: Path, request: &Request, token: Token) -> Response {
        let mut response = self.content(path);
        match request.options.uint(OptionNumber::OBSERVE) {
            Some(0) if response.code.is_success() => {
                let observer = Observer { token, sequence: 1 };
                self.observers.insert(path, observer);
                response
                    .options
                    .push_uint(OptionNumber::OBSERVE, observer.sequence);
            }
            Some(1) => {
                self.observers.remove(&path);
            }
            Some(_) | None => {}
        }
        if path == path::FIRMWARE_UPDATE_RESULT {
            self.update
                .result_was_read(self.config.quirks.result_reads_once);
        }
        response
    }

    fn content(&self, path: Path) -> Response {
        match self.value(path) {
            Some(value) => self.encode(path, &value),
            None => Response::new(Code::NOT_FOUND),
        }
    }

    fn value(&self, path: Path) -> Option<Value> {
        let (radio, condition) = (self.reported_radio(), self.config.condition);
        let number = |number: Option<i64>| number.map(Value::Integer);
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        match path {
            path::DEVICE_MANUFACTURER => text(&self.config.manufacturer),
            path::DEVICE_MODEL => text(&self.config.model),
            path::DEVICE_FIRMWARE_VERSION if self.config.quirks.constant_version => {
                text(&self.config.version)
            }
            path::DEVICE_FIRMWARE_VERSION => text(&self.version),
            path::RADIO_SIGNAL_STRENGTH => radio.rsrp.map(Value::Integer),
            path::CELL_ID => radio.cell_id.map(|cell| Value::Integer(cell.into())),
            path::SIGNAL_SNR => radio.sinr.map(Value::Integer),
            path::BATTERY_LEVEL => number(condition.battery_percent.map(i64::from)),
            path::BATTERY_STATUS => number(condition.battery_status.map(i64::from)),
            path::MEMORY_FREE => number(condition.free_kib.map(i64::from)),
            path::FIRMWARE_SEVERITY => number(self.update.severity.map(i64::from)),
            path::FIRMWARE_DEFER_PERIOD => number(self.update.defer_period.map(i64::from)),
            path::FIRMWARE_PACKAGE_URI => text(self.update.uri()),
            path::FIRMWARE_STATE => Some(Value::Integer(self.update.state().into())),
            path::FIRMWARE_UPDATE_RESULT => Some(Value::Integer(self.update.result().into())),
            path::FIRMWARE_DELIVERY_METHOD => {
                let pushed = self.config.quirks.takes_only_push;
                Some(Value::Integer(pushed.into()))
            }
            path::UPLINK_DATA => Some(Value::Opaque(
                self.uplink_sequence.to_be_bytes().to_vec().into(),
            )),
            _ => self.own_value(path),
        }
    }

    fn encode(&self, path: Path, value: &Value) -> Response {
        let response = Response::new(Code::CONTENT);
        match value {
            value if let Some(format) = self.config.quirks.answers_in => {
                match encode_value(path, format, value) {
                    Ok(payload) => response.with_payload(format, payload),
                    Err(_) => Response::new(Code::INTERNAL_SERVER_ERROR),
                }
            }
            Value::Opaque(bytes) => response.with_payload(ContentFormat::OPAQUE, bytes.clone()),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::ObjectLink { .. } => {
                let text = value.as_text().unwrap_or_default();
                response.with_payload(ContentFormat::TEXT, text)
            }
        }
    }

    /// The Package URI can be written, or the Package: which of them is the module's affair.
    fn write(&mut self, now: Instant, path: Path, request: &Request) -> Response {
        if let Some(response) = self.write_own(path, request) {
            return response;
        }
        if let Some(code) = self.take_deferral(path, request) {
            return Response::new(code);
        }
        if path == path::FIRMWARE_PACKAGE {
            return Response::new(self.take_package(now, request));
        }
        if path != path::FIRMWARE_PACKAGE_URI {
            return Response::new(Code::METHOD_NOT_ALLOWED);
        }
        // LiteOS: a missing format means TLV, and only text is a string.
        if request.content_format() != Some(ContentFormat::TEXT) {
            return Response::new(Code::BAD_REQUEST);
        }
        match std::str::from_utf8(&request.payload) {
            Ok(uri) => Response::new(self.take_uri(now, uri)),
            Err(_) => Response::new(Code::BAD_REQUEST),
        }
    }

    fn execute(&mut self, now: Instant, request: &Request) -> Response {
        if !request.payload.is_empty() {
            return Response::new(Code::BAD_REQUEST);
        }
        Response::new(self.take_execute(now))
    }
}
