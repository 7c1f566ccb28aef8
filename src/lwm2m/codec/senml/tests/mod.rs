//! SenML against RFC 8428 and the LwM2M specification.

mod examples;
mod refusals;
mod round_trips;

pub(in crate::lwm2m) use round_trips::records;

use super::*;

const LIMITS: PackLimits = PackLimits::DEFAULT;

/// A CBOR item or several, as bytes.
fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

fn number(name: &str, value: f64, time_seconds: Option<f64>) -> Resolved {
    Resolved {
        name: name.to_owned(),
        value: Value::Float(value),
        time_seconds,
    }
}

fn read_json(text: &str) -> Result<Vec<SenmlRecord>, PackError> {
    json::decode(text.as_bytes(), &LIMITS)
}

fn read_cbor(text: &str) -> Result<Vec<SenmlRecord>, PackError> {
    cbor::decode(&hex(text), &LIMITS)
}
