//! Which options may stand in a message, how often and how long (RFC 7252 §5.4).

use super::{OptionNumber, Options};

/// The critical options that a request to us may have.
const IN_REQUESTS: [OptionNumber; 7] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK2,
    OptionNumber::BLOCK1,
];
/// The critical options that a response to us may have.
const IN_RESPONSES: [OptionNumber; 2] = [OptionNumber::BLOCK2, OptionNumber::BLOCK1];

/// Checks the options of a request. Elective ones that break a rule are taken away.
///
/// # Errors
/// The first critical option that is not understood, or breaks a rule (§5.4.1, §5.4.3, §5.4.5).
pub(super) fn check_request(options: &mut Options) -> Result<(), OptionNumber> {
    check(options, &IN_REQUESTS)
}

/// Checks the options of a response in the same way.
///
/// # Errors
/// As [`check_request`].
pub(super) fn check_response(options: &mut Options) -> Result<(), OptionNumber> {
    check(options, &IN_RESPONSES)
}

fn check(options: &mut Options, understood: &[OptionNumber]) -> Result<(), OptionNumber> {
    let mut previous = None;
    let mut breaks_elective = false;
    for (number, value) in options.iter() {
        let is_repeated = previous.replace(number) == Some(number);
        let breaks_rule = breaks_rule(number, value.len(), is_repeated);
        if number.is_critical() && (breaks_rule || !understood.contains(&number)) {
            return Err(number);
        }
        breaks_elective |= breaks_rule;
    }
    if breaks_elective {
        let mut previous = None;
        options.retain(|number, value| {
            let is_repeated = previous.replace(number) == Some(number);
            !breaks_rule(number, value.len(), is_repeated)
        });
    }
    Ok(())
}

/// Whether an option that we know is too short, too long, or there again.
fn breaks_rule(number: OptionNumber, length_bytes: usize, is_repeated: bool) -> bool {
    definition(number).is_some_and(|definition| {
        is_repeated && !definition.is_repeatable
            || length_bytes < definition.bytes_min
            || length_bytes > definition.bytes_max
    })
}

/// One row of RFC 7252 §5.10, RFC 7641 §2, RFC 7959 §2.1, RFC 9175 §2.2 and §3.2.
struct Definition {
    bytes_min: usize,
    bytes_max: usize,
    is_repeatable: bool,
}

const fn definition(number: OptionNumber) -> Option<Definition> {
    let (bytes_min, bytes_max, is_repeatable) = match number {
        OptionNumber::IF_MATCH => (0, 8, true),
        OptionNumber::ETAG => (1, 8, true),
        OptionNumber::IF_NONE_MATCH => (0, 0, false),
        OptionNumber::URI_HOST | OptionNumber::PROXY_SCHEME => (1, 255, false),
        OptionNumber::OBSERVE | OptionNumber::BLOCK1 | OptionNumber::BLOCK2 => (0, 3, false),
        OptionNumber::URI_PORT | OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT => {
            (0, 2, false)
        }
        OptionNumber::LOCATION_PATH
        | OptionNumber::URI_PATH
        | OptionNumber::URI_QUERY
        | OptionNumber::LOCATION_QUERY => (0, 255, true),
        OptionNumber::MAX_AGE | OptionNumber::SIZE1 | OptionNumber::SIZE2 => (0, 4, false),
        OptionNumber::PROXY_URI => (1, 1034, false),
        OptionNumber::ECHO => (1, 40, false),
        OptionNumber::REQUEST_TAG => (0, 8, true),
        _ => return None,
    };
    Some(Definition {
        bytes_min,
        bytes_max,
        is_repeatable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[(OptionNumber, usize)]) -> Options {
        let mut options = Options::new();
        for &(number, bytes) in list {
            options.push(number, vec![b'x'; bytes]);
        }
        options
    }

    fn refused(list: &[(OptionNumber, usize)]) -> Option<OptionNumber> {
        check_request(&mut options(list)).err()
    }

    #[test]
    fn critical_options_that_we_do_not_serve_are_refused() {
        for number in [1, 5, 9, 35, 39, 9001].map(OptionNumber) {
            assert_eq!(refused(&[(number, 0)]), Some(number));
        }
        assert_eq!(refused(&[(OptionNumber(9002), 700)]), None, "elective");
    }

    #[test]
    fn repeated_and_overlong_critical_options_are_refused() {
        for list in [
            [(OptionNumber::URI_PATH, 2), (OptionNumber::URI_PATH, 256)],
            [(OptionNumber::URI_PORT, 5), (OptionNumber::URI_PATH, 2)],
            [(OptionNumber::URI_HOST, 0), (OptionNumber::URI_PATH, 2)],
            [(OptionNumber::ACCEPT, 1), (OptionNumber::ACCEPT, 1)],
            [(OptionNumber::BLOCK2, 1), (OptionNumber::BLOCK2, 1)],
            [(OptionNumber::BLOCK1, 4), (OptionNumber::URI_PATH, 2)],
        ] {
            assert!(refused(&list).is_some(), "{list:?}");
        }
        let paths = [(OptionNumber::URI_PATH, 0), (OptionNumber::URI_PATH, 255)];
        assert_eq!(refused(&paths), None);
    }

    #[test]
    fn elective_options_that_break_a_rule_are_ignored() {
        let mut list = options(&[
            (OptionNumber::ETAG, 9),
            (OptionNumber::OBSERVE, 4),
            (OptionNumber::CONTENT_FORMAT, 1),
            (OptionNumber::CONTENT_FORMAT, 2),
            (OptionNumber(9002), 700),
        ]);
        assert_eq!(check_response(&mut list), Ok(()));
        let kept = options(&[(OptionNumber::CONTENT_FORMAT, 1), (OptionNumber(9002), 700)]);
        assert_eq!(list, kept);
    }

    #[test]
    fn a_response_may_have_block_options_and_no_path() {
        assert_eq!(
            check_response(&mut options(&[(OptionNumber::BLOCK2, 3)])),
            Ok(())
        );
        let path = OptionNumber::URI_PATH;
        assert_eq!(check_response(&mut options(&[(path, 1)])), Err(path));
    }
}
