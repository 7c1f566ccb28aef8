//! CoAP messages and options (RFC 7252 §3), block options (RFC 7959 §2.2).

use narrowcast::coap::{
    BlockError, BlockValue, Code, DecodeError, Message, MessageType, OptionNumber, Options,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};
use crate::seeds;

const OPTIONS_MAX: usize = 32;

/// A message has one spelling: what decodes is written again to the byte.
fn check(datagram: &[u8]) -> Result<(), DecodeError> {
    // A copy of the datagram; of options a list that doubles up to its bound.
    let message = bounded(datagram.len(), 4096, 1, || {
        Message::decode(datagram, OPTIONS_MAX)
    })?;
    assert!(message.options.len() <= OPTIONS_MAX);
    let numbers = message.options.iter().map(|(number, _)| number);
    assert!(numbers.is_sorted());
    let values: usize = message.options.iter().map(|(_, value)| value.len()).sum();
    assert!(values + message.payload.len() <= datagram.len());
    assert!(matches!(message.code.class(), 0 | 2 | 4 | 5));
    if message.code == Code::EMPTY {
        assert_eq!(datagram.len(), 4);
    } else {
        assert_ne!(message.kind, MessageType::Reset);
    }
    assert_eq!(message.encode().to_vec(), datagram);
    Ok(())
}

#[test]
fn what_clients_send_decodes_and_so_does_no_prefix_of_a_header() {
    for datagram in seeds::datagrams() {
        assert_eq!(check(&datagram), Ok(()));
        let header_and_token = 4 + usize::from(datagram[0] & 0x0f);
        for end in 0..datagram.len() {
            let cut = check(&datagram[..end]);
            assert!(cut.is_err() || end >= header_and_token, "{end}");
        }
    }
}

#[test]
fn twenty_thousand_options_cost_no_more_than_the_first_few() {
    let mut datagram = vec![0x40, 1, 0, 1];
    datagram.resize(65_507, 0);
    assert_eq!(check(&datagram), Err(DecodeError::TooManyOptions));
}

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn mutants_are_written_again_to_the_byte_or_refused(
        datagram in mutants(seeds::datagrams(), &[]),
    ) {
        let _: Result<(), DecodeError> = check(&datagram);
    }

    #[test]
    fn any_bytes_are_written_again_or_refused(datagram in vec(any::<u8>(), 0..100)) {
        let _: Result<(), DecodeError> = check(&datagram);
    }

    #[test]
    fn an_integer_option_of_up_to_four_bytes_keeps_its_value(value in vec(any::<u8>(), 0..7)) {
        let mut options = Options::new();
        options.push(OptionNumber::SIZE1, value.clone());
        let read = options.uint(OptionNumber::SIZE1);
        prop_assert_eq!(read.is_some(), value.len() <= 4);
        if let Some(read) = read {
            let mut again = Options::new();
            again.push_uint(OptionNumber::SIZE1, read);
            prop_assert_eq!(again.uint(OptionNumber::SIZE1), Some(read));
            let written = again.first(OptionNumber::SIZE1).unwrap();
            prop_assert!(value.ends_with(written), "without leading zeros");
        }
    }

    #[test]
    fn a_block_option_keeps_its_value_or_is_refused(value in vec(any::<u8>(), 0..6)) {
        match BlockValue::decode(&value) {
            Ok(block) => {
                prop_assert!(value.len() <= 3 && block.num <= BlockValue::NUM_MAX);
                prop_assert!(block.szx <= BlockValue::SZX_MAX && block.size_bytes() <= 1024);
                prop_assert_eq!(BlockValue::decode(&block.encode()), Ok(block));
            }
            Err(BlockError::Length) => prop_assert!(value.len() > 3),
            Err(BlockError::Size) => prop_assert_eq!(value.last().map(|last| last & 7), Some(7)),
            Err(error @ (BlockError::PastEnd | BlockError::Number)) => {
                prop_assert!(false, "{error} says nothing of a value alone");
            }
        }
    }
}
