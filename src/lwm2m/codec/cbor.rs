//! CBOR items (RFC 8949) within our bounds, and application/cbor: one value (LwM2M 1.1 §7.4.3).
//!
//! Written is the core deterministic form (RFC 8949 §4.2.1): the shortest of every number and length,
//! no length left open, map keys in the order of their bytes.

use std::convert::Infallible;

use minicbor::data::IanaTag;
use minicbor::encode::Error;
use minicbor::{Decoder, Encoder};

use super::senml::{Number, PackError, PackLimits};
use crate::lwm2m::value::Value;

/// Ends an array or a map whose length was left open.
const BREAK: u8 = 0xff;

/// Reads a payload that is one value. A time may say that it is one.
pub(in crate::lwm2m) fn decode(payload: &[u8], limits: &PackLimits) -> Result<Value, PackError> {
    let mut items = Items::new(payload, limits);
    let is_time = |tag| tag == IanaTag::DateTime.tag() || tag == IanaTag::Timestamp.tag();
    if items.major()? == Major::TAG && Decoder::new(payload).tag().is_ok_and(is_time) {
        items.tag()?;
    }
    let value = match items.major()? {
        Major::BYTES => Value::Opaque(items.bytes()?.into()),
        Major::TEXT => Value::Text(items.text(limits.value_bytes_max)?),
        _ if items.is_boolean() => Value::Boolean(items.boolean()?),
        _ => items.number()?.into(),
    };
    items.end()?;
    Ok(value)
}

/// Writes a value alone. An object link is text, as in text/plain.
pub(in crate::lwm2m) fn encode(value: &Value) -> Result<Vec<u8>, PackError> {
    let mut writer = Writer::default();
    match value {
        Value::Text(text) => writer.text(text),
        Value::Integer(integer) => writer.integer(*integer),
        Value::Float(float) => writer.float(*float),
        Value::Boolean(boolean) => writer.boolean(*boolean),
        Value::Opaque(bytes) => writer.bytes(bytes),
        Value::ObjectLink { object, instance } => writer.text(&format!("{object}:{instance}")),
    }?;
    Ok(writer.into_bytes())
}

/// The first three bits of an item (RFC 8949 §3.1).
struct Major;

impl Major {
    const NEGATIVE: u8 = 1;
    const BYTES: u8 = 2;
    const TEXT: u8 = 3;
    const ARRAY: u8 = 4;
    const MAP: u8 = 5;
    const TAG: u8 = 6;
}

/// A reader of items, one after the other.
pub(super) struct Items<'p> {
    decoder: Decoder<'p>,
    limits: &'p PackLimits,
}

impl<'p> Items<'p> {
    pub(super) fn new(payload: &'p [u8], limits: &'p PackLimits) -> Self {
        let decoder = Decoder::new(payload);
        Self { decoder, limits }
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), PackError> {
        let is_end = self.decoder.position() == self.decoder.input().len();
        is_end.then_some(()).ok_or(PackError::Cbor)
    }

    /// Begins an array; `None`: its length is left open.
    pub(super) fn array(&mut self) -> Result<Option<u64>, PackError> {
        self.expect(Major::ARRAY)?;
        self.decoder.array().map_err(not_cbor)
    }

    /// Begins a map of so many pairs.
    pub(super) fn map(&mut self) -> Result<Option<u64>, PackError> {
        self.expect(Major::MAP)?;
        self.decoder.map().map_err(not_cbor)
    }

    /// Whether another item follows in an array or map that has had `done` of its `len`. Takes the end
    /// of one whose length was left open.
    pub(super) fn has_more(&mut self, len: Option<u64>, done: u64) -> Result<bool, PackError> {
        match len {
            Some(len) => Ok(done < len),
            None if self.first_byte()? == BREAK => {
                self.decoder.set_position(self.decoder.position() + 1);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    pub(super) fn is_text(&self) -> Result<bool, PackError> {
        Ok(self.major()? == Major::TEXT)
    }

    pub(super) fn text(&mut self, bytes_max: usize) -> Result<String, PackError> {
        self.expect(Major::TEXT)?;
        let mut text = String::new();
        for piece in self.decoder.str_iter().map_err(not_cbor)? {
            let piece = piece.map_err(not_cbor)?;
            if text.len() + piece.len() > bytes_max {
                return Err(PackError::TooLong);
            }
            text.push_str(piece);
        }
        Ok(text)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, PackError> {
        self.expect(Major::BYTES)?;
        let mut bytes = Vec::new();
        for piece in self.decoder.bytes_iter().map_err(not_cbor)? {
            let piece = piece.map_err(not_cbor)?;
            if bytes.len() + piece.len() > self.limits.value_bytes_max {
                return Err(PackError::TooLong);
            }
            bytes.extend_from_slice(piece);
        }
        Ok(bytes)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, PackError> {
        if !self.is_boolean() {
            return Err(PackError::WrongType);
        }
        self.decoder.bool().map_err(not_cbor)
    }

    /// An integer, a float, or a decimal fraction (RFC 8428 §6). What is beyond an `i64` is the
    /// nearest float.
    pub(super) fn number(&mut self) -> Result<Number, PackError> {
        match self.first_byte()? {
            0xf9 => Number::finite(self.decoder.f16().map_err(not_cbor)?.into()),
            0xfa => Number::finite(self.decoder.f32().map_err(not_cbor)?.into()),
            0xfb => Number::finite(self.decoder.f64().map_err(not_cbor)?),
            _ if self.major()? == Major::TAG => self.decimal_fraction(),
            _ => {
                let integer = self.integer()?;
                Ok(i64::try_from(integer).map_or(Number::Float(integer as f64), Number::Integer))
            }
        }
    }

    pub(super) fn integer(&mut self) -> Result<i128, PackError> {
        if self.major()? > Major::NEGATIVE {
            return Err(PackError::WrongType);
        }
        self.decoder.int().map(i128::from).map_err(not_cbor)
    }

    /// Passes over one item, whatever lies in it, without going deeper than is allowed. `depth` is how
    /// deep this one lies.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), PackError> {
        // What is left of each array (one for each item) and map (two) that is open.
        let mut open: Vec<(Option<u64>, u64)> = Vec::new();
        loop {
            match self.major()? {
                Major::TAG => {
                    self.tag()?;
                    continue;
                }
                Major::ARRAY => open.push((self.array()?, 0)),
                Major::MAP => open.push((self.map()?.map(|len| len.saturating_mul(2)), 0)),
                _ if self.first_byte()? == BREAK => return Err(PackError::Cbor),
                _ => self.decoder.skip().map_err(not_cbor)?,
            }
            if depth + open.len() > self.limits.depth_max {
                return Err(PackError::TooDeep);
            }
            loop {
                let Some((len, done)) = open.last_mut() else {
                    return Ok(());
                };
                let (len, so_far) = (*len, *done);
                *done += 1;
                if self.has_more(len, so_far)? {
                    break;
                }
                open.pop();
            }
        }
    }

    fn tag(&mut self) -> Result<minicbor::data::Tag, PackError> {
        self.decoder.tag().map_err(not_cbor)
    }

    /// `[exponent, mantissa]` to the base of 10 (RFC 8949 §3.4.4).
    fn decimal_fraction(&mut self) -> Result<Number, PackError> {
        if self.tag()? != IanaTag::Decimal.tag() || self.array()? != Some(2) {
            return Err(PackError::WrongType);
        }
        let (exponent, mantissa) = (self.integer()?, self.integer()?);
        // The standard library rounds to the nearest, whatever the exponent.
        let decimal = format!("{mantissa}e{exponent}").parse();
        Number::finite(decimal.map_err(|_| PackError::NotFinite)?)
    }

    fn is_boolean(&self) -> bool {
        matches!(self.first_byte(), Ok(0xf4 | 0xf5))
    }

    fn expect(&self, major: u8) -> Result<(), PackError> {
        let is_expected = self.major()? == major;
        is_expected.then_some(()).ok_or(PackError::WrongType)
    }

    fn major(&self) -> Result<u8, PackError> {
        self.first_byte().map(|first| first >> 5)
    }

    fn first_byte(&self) -> Result<u8, PackError> {
        let first = self.decoder.input().get(self.decoder.position());
        first.copied().ok_or(PackError::Cbor)
    }
}

/// Writes items.
pub(super) struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self(Encoder::new(Vec::new()))
    }
}

impl Writer {
    pub(super) fn array(&mut self, len: usize) -> Result<(), PackError> {
        written(self.0.array(len as u64))
    }

    pub(super) fn map(&mut self, pairs: usize) -> Result<(), PackError> {
        written(self.0.map(pairs as u64))
    }

    pub(super) fn integer(&mut self, integer: i64) -> Result<(), PackError> {
        written(self.0.i64(integer))
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), PackError> {
        written(self.0.str(text))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        written(self.0.bytes(bytes))
    }

    pub(super) fn boolean(&mut self, boolean: bool) -> Result<(), PackError> {
        written(self.0.bool(boolean))
    }

    /// In the shortest of the three widths that keeps it.
    pub(super) fn float(&mut self, float: f64) -> Result<(), PackError> {
        Number::finite(float)?;
        let single = float as f32;
        if f64::from(single) != float {
            return written(self.0.f64(float));
        }
        let mut half = Encoder::new(Vec::new());
        written(half.f16(single))?;
        if Decoder::new(half.writer())
            .f16()
            .is_ok_and(|kept| kept == single)
        {
            return written(self.0.f16(single));
        }
        written(self.0.f32(single))
    }

    /// Whole seconds are written as such.
    pub(super) fn seconds(&mut self, seconds: f64) -> Result<(), PackError> {
        match Value::Float(seconds).as_integer() {
            Some(whole) => self.integer(whole),
            None => self.float(seconds),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Memory takes whatever is written to it.
fn written<T>(result: Result<T, Error<Infallible>>) -> Result<(), PackError> {
    result.map(drop).map_err(|_| PackError::Cbor)
}

fn not_cbor(_: minicbor::decode::Error) -> PackError {
    PackError::Cbor
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: PackLimits = PackLimits::DEFAULT;

    fn decode_hex(text: &str) -> Result<Value, PackError> {
        decode(&hex::decode(text).unwrap(), &LIMITS)
    }

    #[test]
    fn a_value_alone_is_of_the_type_that_it_says() {
        for (text, value) in [
            ("02", Value::Integer(2)),
            ("385f", Value::Integer(-96)),
            ("3b7fffffffffffffff", Value::Integer(i64::MIN)),
            ("f95cb0", Value::Float(300.0)),
            ("f5", Value::Boolean(true)),
            ("63312e30", Value::Text("1.0".into())),
            ("43abcdef", Value::Opaque(vec![0xab, 0xcd, 0xef].into())),
            ("c11a5182428f", Value::Integer(1_367_491_215)),
            (
                "c074323031332d30352d30325431303a34303a31355a",
                Value::Text("2013-05-02T10:40:15Z".into()),
            ),
            ("c48221196ab3", Value::Float(273.15)),
        ] {
            assert_eq!(decode_hex(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_value_is_refused() {
        for (text, refusal) in [
            ("", PackError::Cbor),
            ("0202", PackError::Cbor),
            ("6361", PackError::Cbor),
            ("61ff", PackError::Cbor),
            ("1c", PackError::Cbor),
            ("c1", PackError::Cbor),
            ("ff", PackError::WrongType),
            ("f6", PackError::WrongType),
            ("8102", PackError::WrongType),
            ("a0", PackError::WrongType),
            ("c1c102", PackError::WrongType),
            ("c24101", PackError::WrongType),
            ("c48102", PackError::WrongType),
            ("f97e00", PackError::NotFinite),
        ] {
            assert_eq!(decode_hex(text), Err(refusal), "{text}");
        }
        let limits = PackLimits {
            value_bytes_max: 2,
            ..LIMITS
        };
        for bytes in [b"\x63123", b"\x43123"] {
            assert_eq!(decode(bytes, &limits), Err(PackError::TooLong));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(value) = decode(&payload, &LIMITS) {
                let written = encode(&value).unwrap();
                prop_assert_eq!(decode(&written, &LIMITS), Ok(value));
            }
        }
    }
}
