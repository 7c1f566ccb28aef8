//! Whom a request says that it is for (RFC 9112 §3.2): two readers of one message must not see two hosts
//! in it.

use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Version, header};

use crate::http::error::{Problem, kinds};

/// Refuses a request without a Host, with more than one, and with one that is none. HTTP/1.0 may do
/// without.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let fault = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (Some(host), None) if is_host(host) => return Ok(()),
        (None, _) => "the request has no Host",
        (Some(_), None) => "the Host is neither a name nor an address",
        (Some(_), Some(_)) => "the request has more than one Host",
    };
    Err(Problem::new(kinds::INVALID_HOST, fault))
}

/// RFC 3986 §3.2.2 and §3.2.3, which allow a name to be empty; nobody logs in here.
fn is_host(host: &HeaderValue) -> bool {
    let bytes = host.as_bytes();
    bytes.is_empty() || !bytes.contains(&b'@') && Authority::try_from(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(version: Version, hosts: &[&'static str]) -> bool {
        let mut request = Request::get("/").version(version);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        check(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn there_is_one_host_and_it_is_one() {
        for host in ["x", "x:8080", "192.0.2.1:80", "[2001:db8::1]:80", ""] {
            assert!(is_taken(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["x y", "x/y", "x@y", "x:y:z", "x\"y", "[::1"] {
            assert!(!is_taken(Version::HTTP_11, &[host]), "{host}");
        }
        assert!(!is_taken(Version::HTTP_11, &["x", "x"]));
    }

    #[test]
    fn only_before_http_1_1_there_may_be_none() {
        assert!(is_taken(Version::HTTP_10, &[]));
        assert!(!is_taken(Version::HTTP_10, &["x", "y"]));
        assert!(!is_taken(Version::HTTP_11, &[]));
    }
}
