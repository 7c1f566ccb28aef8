//! CoAP timing as real stacks have it.

use std::time::Duration;

use serde::Deserialize;

use crate::coap::{RetransmissionBackoff, TransmissionParameters};

/// When a device sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum CoapTimers {
    /// RFC 7252 §4.8: 2 s, doubled, 4 retransmissions.
    #[serde(rename = "rfc7252")]
    Rfc7252,
    /// The same from 15 s on, which "decreased retransmissions heavily" (sdk-nrf, pull request 2498).
    #[serde(rename = "nbiot-tuned")]
    NbiotTuned,
    /// Anjay's own: those of the RFC (its core.h).
    #[serde(rename = "anjay")]
    Anjay,
    /// 5 s, and 5 s more with each retry, five tries (OilFox, test cases of Quectel modules).
    #[serde(rename = "oilfox")]
    Oilfox,
}

impl From<CoapTimers> for TransmissionParameters {
    fn from(timers: CoapTimers) -> Self {
        let rfc = Self::default();
        match timers {
            CoapTimers::Rfc7252 | CoapTimers::Anjay => rfc,
            CoapTimers::NbiotTuned => Self {
                ack_timeout: Duration::from_secs(15),
                ..rfc
            },
            CoapTimers::Oilfox => Self {
                ack_timeout: Duration::from_secs(5),
                ack_random_factor_permille: 1000,
                backoff: RetransmissionBackoff::Added,
                ..rfc
            },
        }
    }
}
