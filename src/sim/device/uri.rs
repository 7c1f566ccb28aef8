//! What a Package URI says.

use std::net::{IpAddr, SocketAddr};

/// The port of `coap://` (RFC 7252 §6.1).
const COAP_PORT: u16 = 5683;

/// A `coap://` URI with a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PackageUri {
    /// Its host, where that is an address and no name.
    pub(super) host: Option<SocketAddr>,
    /// Its path, with the first slash.
    pub(super) path: String,
}

impl PackageUri {
    pub(super) fn parse(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("coap://")?;
        let (authority, path) = rest.split_once('/')?;
        (!authority.is_empty() && !path.is_empty()).then(|| Self {
            host: host_of(authority),
            path: format!("/{path}"),
        })
    }
}

fn host_of(authority: &str) -> Option<SocketAddr> {
    let without_port = || {
        let bare = authority.strip_prefix('[');
        let bare = bare.and_then(|it| it.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(authority).parse().ok()?;
        Some(SocketAddr::new(address, COAP_PORT))
    };
    authority.parse().ok().or_else(without_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_with_or_without_a_port_and_a_name_is_none() {
        let host = |uri: &str| PackageUri::parse(uri).unwrap().host;
        let v4 = host("coap://192.0.2.7:5700/fw/1");
        assert_eq!(v4, Some(([192, 0, 2, 7], 5700).into()));
        assert_eq!(
            host("coap://192.0.2.7/fw"),
            Some(([192, 0, 2, 7], 5683).into())
        );
        assert_eq!(host("coap://[::1]:99/fw"), "[::1]:99".parse().ok());
        assert_eq!(host("coap://[::1]/fw"), "[::1]:5683".parse().ok());
        assert_eq!(host("coap://files.example/fw"), None);
    }

    #[test]
    fn a_uri_of_another_scheme_or_without_a_path_is_none() {
        for uri in ["http://192.0.2.7/fw", "coap://192.0.2.7/", "coap:///fw", ""] {
            assert_eq!(PackageUri::parse(uri), None, "{uri}");
        }
    }
}
