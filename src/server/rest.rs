//! The bounds of the REST side, as they are set.

use crate::config::{
    CellsConfig, DeviceHttpConfig, DeviceHttpsConfig, DeviceRequestsConfig, EventsConfig,
    HttpConfig, WebhooksConfig,
};
use crate::http::{ConnectionLimits, EventLimits, HttpLimits, LinkLimits, Tiers};

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
        ..ConnectionLimits::default()
    }
}

/// What devices may do to them, by HTTP and by HTTPS.
pub(super) fn device_connection_limits(
    config: &DeviceHttpConfig,
    https: &DeviceHttpsConfig,
) -> ConnectionLimits {
    ConnectionLimits {
        handshake_timeout: https.handshake_timeout,
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

/// What links may be.
pub(super) fn link_limits(config: &DeviceHttpConfig) -> LinkLimits {
    LinkLimits {
        links_max: count(config.links_max),
        ttl: config.link_ttl,
        ttl_max: config.link_ttl_max,
        kept: config.links_kept,
    }
}

/// What requests may ask for.
pub(super) fn request_limits(
    config: &HttpConfig,
    device_requests: &DeviceRequestsConfig,
) -> HttpLimits {
    HttpLimits {
        requests_max: count(config.requests_max),
        request_timeout: config.request_timeout,
        device_wait: device_requests.wait,
        device_ttl: device_requests.ttl,
        device_ttl_max: device_requests.ttl_max,
        ..HttpLimits::default()
    }
}

/// What is told of what happens.
pub(super) fn event_limits(events: &EventsConfig, webhooks: &WebhooksConfig) -> EventLimits {
    EventLimits {
        kept_max: events.kept_max,
        kept_for: events.kept_for,
        streams_max: count(events.streams_max),
        heartbeat: events.heartbeat,
        webhooks_max: count(webhooks.webhooks_max),
        deliveries_kept: webhooks.deliveries_kept,
    }
}

/// What is shown of the coverage tiers.
pub(super) const fn tiers(config: &CellsConfig) -> Tiers {
    Tiers {
        borders: config.borders(),
        limits: config.limits.limits(),
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
        let device_requests = DeviceRequestsConfig::default();
        let limits = request_limits(&config, &device_requests);
        assert_eq!(limits, HttpLimits::default());
        let limits = link_limits(&DeviceHttpConfig::default());
        assert_eq!(limits, LinkLimits::default());
        let limits = event_limits(&EventsConfig::default(), &WebhooksConfig::default());
        assert_eq!(limits, EventLimits::default());
    }
}
