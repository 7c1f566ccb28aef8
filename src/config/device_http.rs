//! The listener that devices fetch packages from by HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::coap::is_reachable_host;
use super::update::check_time;

/// The most connections and header fields that can be asked for.
const COUNT_MAX: u32 = 65_536;
/// The least that a request line and the fields that clients send unasked take, in bytes.
const HEADER_BYTES_MIN: u32 = 1024;
/// A Package URI has 255 bytes at most (LwM2M 1.0, E.6), of which scheme, port, `/fw/`, capability and
/// file name take up to 113.
const HOST_BYTES_MAX: usize = 142;

/// The shortest that an operator can ask for.
const LINK_TTL_MIN: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `[device_http]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceHttpConfig {
    /// Where devices fetch packages by HTTP; nothing is heard unless it is named.
    pub listen: Option<SocketAddr>,
    /// The host in the URLs that devices are told; else `coap.public_host`, or the listener's address.
    pub public_host: Option<String>,
    /// Open connections; one more is answered 503 and closed.
    pub connections_max: u32,
    /// The same from one address (of IPv6, from one /64).
    pub connections_per_address_max: u32,
    /// How long a new connection may take to its first byte.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// How long the head of a request may take.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may stand idle after an answer.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// The head of a request, in bytes.
    pub header_bytes_max: u32,
    /// Header fields of a request.
    pub headers_max: u32,
    /// How slowly an image may be taken, on average.
    pub rate_min_bytes_per_second: u32,
    /// How far a device may fall behind that: its longest pause.
    #[serde(with = "humantime_serde")]
    pub rate_grace: Duration,
    /// Links to package files, also those that are over and still shown.
    pub links_max: u32,
    /// How long a link is good, where the operator does not say.
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    /// The longest that an operator may say.
    #[serde(with = "humantime_serde")]
    pub link_ttl_max: Duration,
    /// How long a link is shown after its time.
    #[serde(with = "humantime_serde")]
    pub links_kept: Duration,
}

impl Default for DeviceHttpConfig {
    fn default() -> Self {
        Self {
            listen: None,
            public_host: None,
            connections_max: 4096,
            connections_per_address_max: 1024,
            first_byte_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            header_bytes_max: 4096,
            headers_max: 32,
            rate_min_bytes_per_second: 100,
            rate_grace: Duration::from_secs(600),
            links_max: 10_000,
            link_ttl: DAY,
            link_ttl_max: DAY * 30,
            links_kept: DAY * 30,
        }
    }
}

impl DeviceHttpConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        check_host("device_http", self.public_host.as_deref())?;
        for (key, value, least) in [
            ("connections_max", self.connections_max, 1),
            (
                "connections_per_address_max",
                self.connections_per_address_max,
                1,
            ),
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_MIN),
            ("headers_max", self.headers_max, 1),
            ("links_max", self.links_max, 1),
            (
                "rate_min_bytes_per_second",
                self.rate_min_bytes_per_second,
                1,
            ),
        ] {
            if !(least..=COUNT_MAX).contains(&value) {
                return Err(format!(
                    "device_http.{key} must be from {least} to {COUNT_MAX}, and is {value}"
                ));
            }
        }
        for (key, time) in [
            ("device_http.first_byte_timeout", self.first_byte_timeout),
            ("device_http.header_timeout", self.header_timeout),
            ("device_http.idle_timeout", self.idle_timeout),
            ("device_http.rate_grace", self.rate_grace),
            ("device_http.links_kept", self.links_kept),
        ] {
            check_time(key, time, 1)?;
        }
        for (key, ttl) in [
            ("device_http.link_ttl", self.link_ttl),
            ("device_http.link_ttl_max", self.link_ttl_max),
        ] {
            if ttl < LINK_TTL_MIN {
                return Err(format!("{key} must be at least {LINK_TTL_MIN:?}"));
            }
            check_time(key, ttl, 1)?;
        }
        if self.link_ttl > self.link_ttl_max {
            return Err("device_http.link_ttl must be at most device_http.link_ttl_max".to_owned());
        }
        Ok(())
    }
}

/// The host in the URLs of a listener.
pub(super) fn check_host(section: &str, host: Option<&str>) -> Result<(), String> {
    match host {
        Some(host) if !is_reachable_host(host) || host.len() > HOST_BYTES_MAX => Err(format!(
            "{section}.public_host: {host:?} is no address or host name that devices can reach, of \
             {HOST_BYTES_MAX} bytes at most; the port is that of {section}.listen"
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_shuts_everybody_out_or_nobody_is_named() {
        type Spoil = fn(&mut DeviceHttpConfig);
        let wrong: [(&str, Spoil); 10] = [
            ("device_http.links_max", |it| it.links_max = 0),
            ("device_http.links_kept", |it| {
                it.links_kept = Duration::ZERO;
            }),
            ("device_http.link_ttl ", |it| {
                it.link_ttl = Duration::from_secs(59);
            }),
            ("device_http.link_ttl must be at most", |it| {
                it.link_ttl_max = Duration::from_secs(3600);
            }),
            ("device_http.public_host", |it| {
                it.public_host = Some("a/b".to_owned());
            }),
            ("device_http.public_host", |it| {
                it.public_host = Some(["abcdefgh"; 16].join("."));
            }),
            ("device_http.connections_max", |it| it.connections_max = 0),
            ("device_http.header_bytes_max", |it| {
                it.header_bytes_max = 1023;
            }),
            ("device_http.rate_min_bytes_per_second", |it| {
                it.rate_min_bytes_per_second = 0;
            }),
            ("device_http.rate_grace", |it| {
                it.rate_grace = Duration::ZERO
            }),
        ];
        for (key, spoil) in wrong {
            let mut config = DeviceHttpConfig::default();
            config.check().unwrap();
            spoil(&mut config);
            let fault = config.check().unwrap_err();
            assert!(fault.starts_with(key), "{fault}");
        }
    }
}
