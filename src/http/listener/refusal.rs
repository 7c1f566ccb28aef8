//! The answer to a connection for which there is no place: no request of it is read.

use std::sync::LazyLock;

use crate::http::error::{Problem, RETRY_AFTER_SECONDS, kinds};
use crate::http::hardening::HEADERS;
use crate::model::Language;

/// A whole answer, 503, as it is written to the socket.
pub(super) static NO_PLACE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "there are too many connections, from this address or in all";
    let body = Problem::new(kinds::UNAVAILABLE, detail).to_json(Language::En);
    let mut answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
         retry-after: {RETRY_AFTER_SECONDS}\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    for (name, value) in HEADERS {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut answer = (answer + "\r\n").into_bytes();
    answer.extend(body);
    answer
});
