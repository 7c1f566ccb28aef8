//! One name for one device, in whichever form it gives its IMEI.

use crate::model::{EndpointName, InvalidName};

/// What is made of an endpoint client name before it is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointNameForm {
    /// The IMEI alone where one of the known forms holds one; other names as they stand.
    #[default]
    Imei,
    /// Every name as it stands.
    Verbatim,
}

/// Digits of an IMEI, check digit and all (3GPP TS 23.003 §6.2). The check digit is not checked:
/// modules on test benches have made-up numbers.
const IMEI_DIGITS: usize = 15;

/// The URNs that begin with an IMEI (LwM2M 1.0 §6.2.1).
const IMEI_URNS: [&str; 3] = ["urn:imei:", "urn:imei-msisdn:", "urn:imei-imsi:"];

impl EndpointNameForm {
    /// Reads an `ep`, or a name that an operator enters: `490154203237518`,
    /// `urn:imei:490154203237518`, `urn:imei-imsi:490154203237518-460000000000001` and
    /// `490154203237518;460000000000001` are one device (carrier flows §3.7).
    ///
    /// # Errors
    /// Where the name is empty, too long, or has control characters.
    pub fn normalise(self, text: &str) -> Result<EndpointName, InvalidName> {
        let name = EndpointName::parse(text)?;
        match self {
            Self::Imei => imei(text).map_or(Ok(name), EndpointName::parse),
            Self::Verbatim => Ok(name),
        }
    }
}

fn imei(text: &str) -> Option<&str> {
    let urn = IMEI_URNS.iter().find(|urn| {
        text.get(..urn.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(urn))
    });
    let rest = &text[urn.map_or(0, |urn| urn.len())..];
    let (digits, tail) = rest.split_at_checked(IMEI_DIGITS)?;
    let ends = tail.is_empty() || tail.starts_with(';') || (urn.is_some() && tail.starts_with('-'));
    (ends && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_forms_of_an_imei_are_one_name() {
        for text in [
            "490154203237518",
            "urn:imei:490154203237518",
            "URN:IMEI:490154203237518",
            "urn:imei-msisdn:490154203237518-8613800755500",
            "urn:imei-imsi:490154203237518-460000000000001",
            "490154203237518;460000000000001",
            "urn:imei:490154203237518;460000000000001",
        ] {
            let name = EndpointNameForm::Imei.normalise(text).unwrap();
            assert_eq!(name.as_str(), "490154203237518", "{text}");
            let name = EndpointNameForm::Verbatim.normalise(text).unwrap();
            assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn other_names_are_taken_as_they_stand() {
        for text in [
            "coap-node-ep",
            "urn:imei:",
            "urn:imei:49015420323751",
            "urn:imei:4901542032375189",
            "490154203237518-1",
            "49015420323751x",
            "urn:esn:490154203237518",
            "urn:imei:é90154203237518",
        ] {
            let name = EndpointNameForm::Imei.normalise(text).unwrap();
            assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn an_empty_or_overlong_name_is_refused() {
        assert!(EndpointNameForm::Imei.normalise("").is_err());
        assert!(EndpointNameForm::Imei.normalise(&"x".repeat(256)).is_err());
        assert!(EndpointNameForm::Imei.normalise("a\0b").is_err());
    }

    proptest! {
        #[test]
        fn a_name_that_is_normalised_stays_as_it_is(text in "(urn:imei(-imsi)?:)?[0-9;é-]{1,20}") {
            let name = EndpointNameForm::Imei.normalise(&text).unwrap();
            prop_assert_eq!(EndpointNameForm::Imei.normalise(name.as_str()), Ok(name));
        }
    }
}
