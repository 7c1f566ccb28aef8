//! The address of a receiver.

use std::net::{IpAddr, SocketAddr};

use axum::http::Uri;
use axum::http::uri::Scheme;

/// A URL that events cannot be posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHookUrl {
    /// Not an absolute URL.
    #[error("must be a URL such as https://host.example/path")]
    NotAUrl,
    /// Of another scheme.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// With a name and a pass-phrase, which would be shown to who lists webhooks.
    #[error("must name no user: deliveries are signed")]
    User,
    /// Too long.
    #[error("must have at most {} bytes", HookUrl::BYTES_MAX)]
    TooLong,
}

/// Where events are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookUrl {
    /// Whether by HTTPS.
    pub tls: bool,
    /// The name or the address, an IPv6 address without brackets.
    pub host: String,
    /// The port, 80 or 443 where none is named.
    pub port: u16,
    /// `Host`.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl HookUrl {
    /// The longest, in bytes.
    pub const BYTES_MAX: usize = 2048;

    /// Reads an absolute `http` or `https` URL.
    ///
    /// # Errors
    /// Where it is none, or names a user.
    pub fn parse(text: &str) -> Result<Self, InvalidHookUrl> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidHookUrl::TooLong);
        }
        // What follows a '#' is never sent.
        let uri: Uri = match text.contains('#') {
            true => return Err(InvalidHookUrl::NotAUrl),
            false => text.parse().map_err(|_| InvalidHookUrl::NotAUrl)?,
        };
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) => return Err(InvalidHookUrl::Scheme),
            None => return Err(InvalidHookUrl::NotAUrl),
        };
        let authority = uri.authority().ok_or(InvalidHookUrl::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(InvalidHookUrl::User);
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        // A port that is no number is not the default one.
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => return Err(InvalidHookUrl::NotAUrl),
        };
        if host.is_empty() {
            return Err(InvalidHookUrl::NotAUrl);
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            authority: authority.to_string(),
            target: target.to_owned(),
        })
    }

    /// The address, where the URL names no name.
    pub fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = HookUrl::parse("https://hooks.example/a/b?c=d").unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.target.as_str()),
            (true, "hooks.example", 443, "/a/b?c=d")
        );
        assert_eq!(url.address(), None);
        let url = HookUrl::parse("http://[::1]:8080").unwrap();
        assert_eq!(url.target, "/");
        assert_eq!(url.authority, "[::1]:8080");
        assert_eq!(url.address(), Some("[::1]:8080".parse().unwrap()));
    }

    #[test]
    fn what_is_no_url_to_post_to_is_refused() {
        for (text, fault) in [
            ("", InvalidHookUrl::NotAUrl),
            ("/hook", InvalidHookUrl::NotAUrl),
            ("hooks.example", InvalidHookUrl::NotAUrl),
            ("https://", InvalidHookUrl::NotAUrl),
            ("https://a/b c", InvalidHookUrl::NotAUrl),
            ("https://a/b#c", InvalidHookUrl::NotAUrl),
            ("https://a:0/", InvalidHookUrl::NotAUrl),
            ("https://a:99999/", InvalidHookUrl::NotAUrl),
            ("ftp://a/", InvalidHookUrl::Scheme),
            ("file:///etc/passwd", InvalidHookUrl::Scheme),
            ("https://user:pass@a/", InvalidHookUrl::User),
        ] {
            let refused = HookUrl::parse(text).unwrap_err();
            let is_file = text.starts_with("file");
            assert!(refused == fault || is_file, "{text}: {refused}");
        }
        let long = format!("https://a/{}", "x".repeat(HookUrl::BYTES_MAX));
        assert_eq!(HookUrl::parse(&long), Err(InvalidHookUrl::TooLong));
    }
}
