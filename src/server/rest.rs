//! The bounds of the REST side, as they are set.

use crate::config::HttpConfig;
use crate::http::{ConnectionLimits, HttpLimits};

/// What clients may do to connections.
pub(super) fn connection_limits(config: &HttpConfig) -> ConnectionLimits {
    ConnectionLimits {
        connections_max: count(config.connections_max),
        connections_per_address_max: count(config.connections_per_address_max),
        first_byte_timeout: config.first_byte_timeout,
        header_timeout: config.header_timeout,
        header_bytes_max: count(config.header_bytes_max),
        headers_max: count(config.headers_max),
        rate_min_bytes_per_second: config.rate_min_bytes_per_second,
        rate_grace: config.rate_grace,
        idle_timeout: config.idle_timeout,
    }
}

/// What requests may ask for.
pub(super) fn request_limits(config: &HttpConfig) -> HttpLimits {
    HttpLimits {
        requests_max: count(config.requests_max),
        request_timeout: config.request_timeout,
        ..HttpLimits::default()
    }
}

fn count(setting: u32) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_limits() {
        let config = HttpConfig::default();
        assert_eq!(connection_limits(&config), ConnectionLimits::default());
        assert_eq!(request_limits(&config), HttpLimits::default());
    }
}
