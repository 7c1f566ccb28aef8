//! When to send again, when to give up, and how long an id stays taken (RFC 7252 §4.8).

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::model::TransmissionPreset;

/// RFC 7252 §4.8: the timing towards one peer. The times derived from it are those of §4.8.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmissionParameters {
    /// ACK_TIMEOUT: the least time before the first retransmission.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR in thousandths, at least 1000; smaller values count as 1000.
    pub ack_random_factor_permille: u32,
    /// MAX_RETRANSMIT; more than [`Self::MAX_RETRANSMIT_LIMIT`] counts as that.
    pub max_retransmit: u8,
    /// NSTART: how many interactions with one peer may be outstanding; 0 counts as 1.
    pub nstart: u8,
    /// MAX_LATENCY: the longest that a datagram may be under way.
    pub max_latency: Duration,
    /// How the wait grows with each retransmission.
    pub backoff: RetransmissionBackoff,
}

/// How the wait for an acknowledgement grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetransmissionBackoff {
    /// It doubles (RFC 7252 §4.2).
    #[default]
    Doubled,
    /// It grows by ACK_TIMEOUT, as some modules have it.
    Added,
}

impl TransmissionParameters {
    /// The largest `max_retransmit` that takes effect: the wait doubles each time.
    pub const MAX_RETRANSMIT_LIMIT: u8 = 16;

    /// MAX_TRANSMIT_SPAN: from the first transmission to the last retransmission.
    pub fn max_transmit_span(&self) -> Duration {
        self.longest(self.waits(self.retransmissions()))
    }

    /// MAX_TRANSMIT_WAIT: from the first transmission to giving up.
    pub fn max_transmit_wait(&self) -> Duration {
        self.longest(self.waits(self.retransmissions() + 1))
    }

    /// PROCESSING_DELAY: how long a peer may take before it acknowledges.
    pub const fn processing_delay(&self) -> Duration {
        self.ack_timeout
    }

    /// MAX_RTT.
    pub fn max_rtt(&self) -> Duration {
        self.max_latency
            .saturating_mul(2)
            .saturating_add(self.processing_delay())
    }

    /// EXCHANGE_LIFETIME: how long the id of a confirmable message stays taken, and how long after
    /// an empty acknowledgement the separate response is waited for.
    pub fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span().saturating_add(self.max_rtt())
    }

    /// NON_LIFETIME: how long the id of a non-confirmable message stays taken.
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span().saturating_add(self.max_latency)
    }

    /// RFC 7252 §4.2: the first wait lies between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR.
    pub(super) fn initial_timeout(&self, rng: &mut StdRng) -> Duration {
        rng.gen_range(self.ack_timeout..=self.longest(1))
    }

    /// The wait that follows one of `timeout`, which was not answered.
    pub(super) fn next_timeout(&self, timeout: Duration) -> Duration {
        match self.backoff {
            RetransmissionBackoff::Doubled => timeout.saturating_mul(2),
            RetransmissionBackoff::Added => timeout.saturating_add(self.ack_timeout),
        }
    }

    /// The first `count` waits together, in ACK_TIMEOUTs.
    const fn waits(&self, count: u8) -> u32 {
        match self.backoff {
            RetransmissionBackoff::Doubled => (1 << count) - 1,
            RetransmissionBackoff::Added => count as u32 * (count as u32 + 1) / 2,
        }
    }

    /// MAX_RETRANSMIT as far as it takes effect.
    pub(super) fn retransmissions(&self) -> u8 {
        self.max_retransmit.min(Self::MAX_RETRANSMIT_LIMIT)
    }

    /// `ack_timeout * times * factor`, saturating.
    fn longest(&self, times: u32) -> Duration {
        let factor_permille = self.ack_random_factor_permille.max(1000);
        self.ack_timeout
            .saturating_mul(times)
            .saturating_mul(factor_permille)
            / 1000
    }
}

impl Default for TransmissionParameters {
    /// RFC 7252 §4.8.
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor_permille: 1500,
            max_retransmit: 4,
            nstart: 1,
            max_latency: Duration::from_secs(100),
            backoff: RetransmissionBackoff::Doubled,
        }
    }
}

impl From<TransmissionPreset> for TransmissionParameters {
    fn from(preset: TransmissionPreset) -> Self {
        let rfc = Self::default();
        match preset {
            TransmissionPreset::Rfc7252 => rfc,
            TransmissionPreset::NbIot => Self {
                ack_timeout: Duration::from_secs(10),
                ..rfc
            },
            TransmissionPreset::Loopback => Self {
                ack_timeout: Duration::from_millis(200),
                max_latency: Duration::from_secs(1),
                ..rfc
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_derived_times_are_those_of_rfc_7252_section_4_8_2() {
        let parameters = TransmissionParameters::default();
        assert_eq!(parameters.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(parameters.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(parameters.processing_delay(), Duration::from_secs(2));
        assert_eq!(parameters.max_rtt(), Duration::from_secs(202));
        assert_eq!(parameters.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(parameters.non_lifetime(), Duration::from_secs(145));
    }

    #[test]
    fn waits_that_are_added_to_grow_by_as_much_each_time() {
        let parameters = TransmissionParameters {
            ack_timeout: Duration::from_secs(5),
            ack_random_factor_permille: 1000,
            backoff: RetransmissionBackoff::Added,
            ..TransmissionParameters::default()
        };
        let second = parameters.next_timeout(Duration::from_secs(5));
        assert_eq!(second, Duration::from_secs(10));
        // 5, 10, 15 and 20 s, and 25 s more.
        assert_eq!(parameters.max_transmit_span(), Duration::from_secs(50));
        assert_eq!(parameters.max_transmit_wait(), Duration::from_secs(75));
    }

    #[test]
    fn the_first_wait_lies_within_the_random_factor() {
        let mut rng = StdRng::seed_from_u64(7);
        let parameters = TransmissionParameters::default();
        let waits: Vec<_> = (0..200)
            .map(|_| parameters.initial_timeout(&mut rng))
            .collect();
        assert!(
            waits
                .iter()
                .all(|wait| (2000..=3000).contains(&wait.as_millis()))
        );
        assert!(waits.iter().any(|wait| wait.as_millis() < 2200));
        assert!(waits.iter().any(|wait| wait.as_millis() > 2800));
    }

    #[test]
    fn absurd_parameters_neither_overflow_nor_panic() {
        let mut rng = StdRng::seed_from_u64(7);
        let parameters = TransmissionParameters {
            ack_timeout: Duration::MAX,
            ack_random_factor_permille: u32::MAX,
            max_retransmit: u8::MAX,
            nstart: 0,
            max_latency: Duration::MAX,
            backoff: RetransmissionBackoff::Doubled,
        };
        assert!(parameters.exchange_lifetime() >= parameters.max_transmit_span());
        let little = TransmissionParameters {
            ack_timeout: Duration::ZERO,
            ack_random_factor_permille: 0,
            ..parameters
        };
        assert_eq!(little.initial_timeout(&mut rng), Duration::ZERO);
    }
}
