//! Lists in pages: `?limit=&cursor=`, and `Link: rel="next"` (RFC 8288) where more follows.

use std::fmt::Write as _;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::{Problem, kinds};
use crate::store::Page;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;
/// No cursor of ours is longer: a name has at most 255 bytes, an id of a key 64.
const CURSOR_BYTES_MAX: usize = 255;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most rows, 1 to 1000; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where to go on: taken from the `Link` header of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// For lists with parameters of their own.
    pub(crate) fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// A page of a list that is ordered by name.
    pub(crate) fn by_name(self) -> Result<PageRequest, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid("limit", "must be 1 to 1000"));
        }
        if let Some(cursor) = &self.cursor
            && (cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX)
        {
            return Err(invalid("cursor", "is not one that was given out"));
        }
        Ok(PageRequest {
            after: self.cursor,
            limit,
        })
    }

    /// A page of a list that is ordered by number.
    pub(crate) fn by_number(self) -> Result<PageRequest, Problem> {
        let page = self.by_name()?;
        match &page.after {
            Some(after) if after.parse::<u64>().is_err() => {
                Err(invalid("cursor", "is not one that was given out"))
            }
            Some(_) | None => Ok(page),
        }
    }
}

/// A page that was asked for.
#[derive(Debug)]
pub(crate) struct PageRequest {
    after: Option<String>,
    limit: u32,
}

impl PageRequest {
    /// The store's page: one row more than asked for, which tells whether a next page exists.
    pub(crate) fn to_store(&self) -> Page {
        Page {
            after: self.after.clone(),
            limit: self.limit + 1,
        }
    }

    /// Where the page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The most rows.
    pub(crate) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// The next page of a list that is not cut here.
    pub(crate) fn next_after(&self, cursor: Option<String>) -> NextPage {
        NextPage {
            cursor,
            limit: self.limit,
        }
    }

    /// Cuts the rows to the page, and says where the next one begins if there is one.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> String) -> NextPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        NextPage {
            cursor: rows.last().filter(|_| more).map(key),
            limit: self.limit,
        }
    }
}

/// Where the next page begins.
#[derive(Debug)]
pub(crate) struct NextPage {
    cursor: Option<String>,
    limit: u32,
}

impl NextPage {
    /// The rows as a JSON array, with a `Link` to the next page of `path`; `filter` is what else the
    /// query had.
    pub(crate) fn respond<T: Serialize>(
        self,
        path: &str,
        filter: &[(&str, Option<&str>)],
        rows: Vec<T>,
    ) -> Response {
        let mut response = Json(rows).into_response();
        let Some(cursor) = self.cursor else {
            return response;
        };
        let mut target = format!("{path}?limit={}&cursor={}", self.limit, percent(&cursor));
        for (name, value) in filter {
            if let Some(value) = value {
                let _ = write!(target, "&{name}={}", percent(value));
            }
        }
        // What was percent-encoded is always a valid header value.
        if let Ok(link) = HeaderValue::from_str(&format!("<{target}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
pub(super) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn invalid(field: &str, fault: &str) -> Problem {
    Problem::new(kinds::INVALID_QUERY, format!("{field} {fault}")).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for limit in [0, 1001] {
            assert!(PageQuery::new(Some(limit), None).by_name().is_err());
        }
        assert!(PageQuery::new(Some(1000), None).by_name().is_ok());
    }

    #[test]
    fn only_a_row_too_many_makes_a_next_page() {
        let page = PageQuery::new(Some(2), None).by_name().expect("a page");
        let mut rows = vec![1, 2];
        assert_eq!(page.cut(&mut rows, ToString::to_string).cursor, None);
        let mut rows = vec![1, 2, 3];
        let next = page.cut(&mut rows, ToString::to_string);
        assert_eq!((next.cursor.as_deref(), rows.len()), (Some("2"), 2));
    }

    #[test]
    fn what_is_not_unreserved_is_percent_encoded() {
        assert_eq!(percent("urn:imei:1 é>"), "urn%3Aimei%3A1%20%C3%A9%3E");
    }
}
