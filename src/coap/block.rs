//! The Block options, and blocks of a body on its way out (RFC 7959 §2).

use bytes::Bytes;

use super::{OptionNumber, Options, Response};

/// The value of a Block1 or Block2 option (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockValue {
    /// Which block, counted in blocks of its own size: 0 to [`Self::NUM_MAX`].
    pub num: u32,
    /// Whether more blocks follow.
    pub more: bool,
    /// The size's exponent: a block has `2^(szx + 4)` bytes; 0 to [`Self::SZX_MAX`].
    pub szx: u8,
}

/// Why there is no such block. Each is answered 4.00 (RFC 7959 §2.2, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The option has more than three bytes.
    #[error("a block option has more than 3 bytes")]
    Length,
    /// SZX 7 is reserved, and so is anything above.
    #[error("the block size is reserved")]
    Size,
    /// The block begins at or behind the end of the body.
    #[error("the block lies past the end")]
    PastEnd,
    /// The number does not fit in 20 bits.
    #[error("the block number is too large")]
    Number,
}

impl BlockValue {
    /// The largest number: 20 bits.
    pub const NUM_MAX: u32 = (1 << 20) - 1;
    /// The largest size exponent: 1024 bytes.
    pub const SZX_MAX: u8 = 6;

    /// Decodes an option's value.
    ///
    /// # Errors
    /// For more than three bytes, and for the reserved size.
    pub fn decode(value: &[u8]) -> Result<Self, BlockError> {
        if value.len() > 3 {
            return Err(BlockError::Length);
        }
        let bits = value
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let szx = match bits & 0b111 {
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 3,
            4 => 4,
            5 => 5,
            6 => 6,
            _ => return Err(BlockError::Size),
        };
        Ok(Self {
            num: bits >> 4,
            more: bits & 0b1000 != 0,
            szx,
        })
    }

    /// Reads the option `number` (Block1 or Block2); `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn from_options(
        options: &Options,
        number: OptionNumber,
    ) -> Result<Option<Self>, BlockError> {
        options
            .first(number)
            .map(|value| Self::decode(value))
            .transpose()
    }

    /// Encodes it as an option's value. A number or size out of range counts as the largest.
    pub fn encode(self) -> Bytes {
        let mut options = Options::new();
        options.push_uint(OptionNumber::BLOCK2, self.bits());
        options
            .first(OptionNumber::BLOCK2)
            .cloned()
            .unwrap_or_default()
    }

    /// Adds it to options as `number` (Block1 or Block2), in place of one that is there.
    pub fn put(self, options: &mut Options, number: OptionNumber) {
        options.remove(number);
        options.push_uint(number, self.bits());
    }

    /// The size of a block in bytes: 16 to 1024.
    pub const fn size_bytes(self) -> usize {
        16 << self.szx_in_range()
    }

    /// Where the block begins in the body, in bytes.
    pub const fn offset(self) -> usize {
        self.num as usize * self.size_bytes()
    }

    const fn szx_in_range(self) -> u8 {
        if self.szx > Self::SZX_MAX {
            Self::SZX_MAX
        } else {
            self.szx
        }
    }

    fn bits(self) -> u32 {
        let more = if self.more { 0b1000 } else { 0 };
        self.num.min(Self::NUM_MAX) << 4 | more | u32::from(self.szx_in_range())
    }
}

/// The block of `body` that was asked for, as a shared slice; the first one in blocks of
/// `default_szx` where nothing was asked. Nothing is remembered: any block may be asked for at any
/// time, and a size that changes on the way is right by its offset (RFC 7959 §2.4). The size is
/// always the one asked for, so never larger.
///
/// # Errors
/// Where the block lies past the end, or its number would not fit in an option.
pub fn block2_slice(
    body: &Bytes,
    requested: Option<BlockValue>,
    default_szx: u8,
) -> Result<(BlockValue, Bytes), BlockError> {
    let block = requested.unwrap_or(BlockValue {
        num: 0,
        more: false,
        szx: default_szx,
    });
    if block.szx > BlockValue::SZX_MAX {
        return Err(BlockError::Size);
    }
    if block.num > BlockValue::NUM_MAX {
        return Err(BlockError::Number);
    }
    let start = block.offset();
    if start >= body.len() && block.num > 0 {
        return Err(BlockError::PastEnd);
    }
    let end = body.len().min(start + block.size_bytes());
    let answer = BlockValue {
        more: end < body.len(),
        ..block
    };
    Ok((answer, body.slice(start..end)))
}

impl Response {
    /// With one block of a body of `size_bytes`: Block2, Size2, and the body's ETag of 1 to 8 bytes
    /// (RFC 7959 §2.4, §4).
    #[must_use]
    pub fn with_block2(mut self, block: BlockValue, payload: Bytes, size_bytes: u32) -> Self {
        block.put(&mut self.options, OptionNumber::BLOCK2);
        self.options.push_uint(OptionNumber::SIZE2, size_bytes);
        self.payload = payload;
        self
    }

    /// With the ETag of what it carries, 1 to 8 bytes (RFC 7252 §5.10.6).
    #[must_use]
    pub fn with_etag(mut self, etag: Bytes) -> Self {
        self.options.push(OptionNumber::ETAG, etag);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(num: u32, more: bool, szx: u8) -> BlockValue {
        BlockValue { num, more, szx }
    }

    #[test]
    fn the_option_is_as_short_as_its_number_allows() {
        for (value, bytes) in [
            (block(0, false, 0), vec![]),
            (block(0, false, 6), vec![0x06]),
            (block(15, true, 2), vec![0xfa]),
            (block(16, true, 5), vec![0x01, 0x0d]),
            (block(4095, false, 6), vec![0xff, 0xf6]),
            (block(4096, false, 6), vec![0x01, 0x00, 0x06]),
            (block(BlockValue::NUM_MAX, true, 6), vec![0xff, 0xff, 0xfe]),
        ] {
            assert_eq!(value.encode(), bytes);
            assert_eq!(BlockValue::decode(&bytes), Ok(value));
        }
    }

    #[test]
    fn size_exponent_7_and_four_bytes_are_refused() {
        assert_eq!(BlockValue::decode(&[0x07]), Err(BlockError::Size));
        assert_eq!(BlockValue::decode(&[0x1f]), Err(BlockError::Size));
        assert_eq!(BlockValue::decode(&[0; 4]), Err(BlockError::Length));
    }

    #[test]
    fn without_an_option_the_first_block_has_the_default_size() {
        let body = Bytes::from(vec![1; 1000]);
        let (answer, slice) = block2_slice(&body, None, 5).unwrap();
        assert_eq!((answer, slice.len()), (block(0, true, 5), 512));
    }

    #[test]
    fn late_negotiation_goes_on_at_the_offset_of_the_smaller_size() {
        // RFC 7959 §3.1, figure 4: after block 0 of 128 bytes the client asks for 2/0/64.
        let body: Bytes = (0..=255).collect::<Vec<u8>>().into();
        let (_, first) = block2_slice(&body, None, 3).unwrap();
        assert_eq!(first.len(), 128);
        let (answer, slice) = block2_slice(&body, Some(block(2, false, 2)), 3).unwrap();
        assert_eq!(answer, block(2, true, 2));
        assert_eq!(slice, body[128..192]);
    }

    #[test]
    fn a_block_past_the_end_is_refused_and_an_empty_body_has_one_block() {
        let body = Bytes::from(vec![1; 1024]);
        let ask = |num| block2_slice(&body, Some(block(num, false, 5)), 6);
        assert_eq!(ask(1).unwrap().0, block(1, false, 5));
        assert_eq!(ask(2), Err(BlockError::PastEnd));
        assert_eq!(ask(BlockValue::NUM_MAX), Err(BlockError::PastEnd));
        assert_eq!(ask(1 << 20), Err(BlockError::Number));
        let (answer, slice) = block2_slice(&Bytes::new(), None, 6).unwrap();
        assert_eq!((answer, slice.len()), (block(0, false, 6), 0));
    }

    #[test]
    fn a_large_body_is_served_beyond_block_4095() {
        let body = Bytes::from(vec![1; 16 * 5000]);
        let (answer, slice) = block2_slice(&body, Some(block(4999, false, 0)), 6).unwrap();
        assert_eq!((answer, slice.len()), (block(4999, false, 0), 16));
    }

    #[test]
    fn a_response_with_a_block_says_its_etag_and_the_whole_size() {
        let (answer, slice) = block2_slice(&Bytes::from(vec![1; 600]), None, 5).unwrap();
        let response = Response::new(super::super::Code::CONTENT)
            .with_etag(Bytes::from_static(b"12345678"))
            .with_block2(answer, slice, 600);
        let found = BlockValue::from_options(&response.options, OptionNumber::BLOCK2);
        assert_eq!(found, Ok(Some(block(0, true, 5))));
        assert_eq!(response.options.uint(OptionNumber::SIZE2), Some(600));
        assert_eq!(
            response.options.first(OptionNumber::ETAG).unwrap(),
            "12345678"
        );
        assert_eq!(response.payload.len(), 512);
    }

    proptest! {
        #[test]
        fn every_value_is_decoded_as_it_was_encoded(
            num in 0..=BlockValue::NUM_MAX, more: bool, szx in 0..=6_u8,
        ) {
            let value = block(num, more, szx);
            prop_assert_eq!(BlockValue::decode(&value.encode()), Ok(value));
        }

        #[test]
        fn blocks_of_any_size_make_up_the_body(
            body in prop::collection::vec(any::<u8>(), 0..3000), szx in 0..=6_u8,
        ) {
            let body = Bytes::from(body);
            let mut whole = Vec::new();
            for num in 0.. {
                let (answer, slice) =
                    block2_slice(&body, Some(block(num, false, szx)), 6).unwrap();
                whole.extend_from_slice(&slice);
                if !answer.more {
                    break;
                }
                prop_assert_eq!(slice.len(), answer.size_bytes());
            }
            prop_assert_eq!(whole, body);
        }
    }
}
