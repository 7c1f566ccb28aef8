//! The operators' side.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;

/// The most connections, requests and bytes of a head that can be asked for.
const COUNT_MAX: u32 = 65_536;
/// The least that a request line and a token take, in bytes.
const HEADER_BYTES_MIN: u32 = 1024;

/// `[http]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where the REST interface is heard.
    pub listen: SocketAddr,
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
    /// The head of a request, in bytes.
    pub header_bytes_max: u32,
    /// Header fields of a request.
    pub headers_max: u32,
    /// How slow a body may come and an answer be taken, on average.
    pub rate_min_bytes_per_second: u32,
    /// How far either may fall behind that: the longest pause.
    #[serde(with = "humantime_serde")]
    pub rate_grace: Duration,
    /// How long a connection may stand idle after an answer.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Requests that are worked on at a time.
    pub requests_max: u32,
    /// How long a request other than an upload may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            connections_max: 1024,
            connections_per_address_max: 64,
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 8192,
            headers_max: 64,
            rate_min_bytes_per_second: 1024,
            rate_grace: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            requests_max: 256,
            request_timeout: Duration::from_secs(60),
        }
    }
}

impl HttpConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value, least) in [
            ("connections_max", self.connections_max, 1),
            (
                "connections_per_address_max",
                self.connections_per_address_max,
                1,
            ),
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_MIN),
            ("headers_max", self.headers_max, 1),
            ("requests_max", self.requests_max, 1),
        ] {
            if !(least..=COUNT_MAX).contains(&value) {
                return Err(format!(
                    "http.{key} must be from {least} to {COUNT_MAX}, and is {value}"
                ));
            }
        }
        if self.rate_min_bytes_per_second == 0 {
            return Err("http.rate_min_bytes_per_second must be more than 0".to_owned());
        }
        for (key, time) in [
            ("http.first_byte_timeout", self.first_byte_timeout),
            ("http.header_timeout", self.header_timeout),
            ("http.rate_grace", self.rate_grace),
            ("http.idle_timeout", self.idle_timeout),
            ("http.request_timeout", self.request_timeout),
        ] {
            check_time(key, time, 1)?;
        }
        Ok(())
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Whether `/metrics` needs no token.
    pub public: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_shuts_everybody_out_or_nobody_is_named() {
        type Spoil = fn(&mut HttpConfig);
        let wrong: [(&str, Spoil); 6] = [
            ("http.connections_max", |it| it.connections_max = 0),
            ("http.connections_per_address_max", |it| {
                it.connections_per_address_max = 65_537;
            }),
            ("http.header_bytes_max", |it| it.header_bytes_max = 1023),
            ("http.rate_min_bytes_per_second", |it| {
                it.rate_min_bytes_per_second = 0;
            }),
            ("http.header_timeout", |it| {
                it.header_timeout = Duration::ZERO;
            }),
            ("http.requests_max", |it| it.requests_max = 0),
        ];
        for (key, spoil) in wrong {
            let mut config = HttpConfig::default();
            config.check().unwrap();
            spoil(&mut config);
            let fault = config.check().unwrap_err();
            assert!(fault.starts_with(key), "{fault}");
        }
    }
}
