//! Changes that rest on what was read: `ETag` and `If-Match` (RFC 9110 §8.8.3, §13.1.1).
//!
//! A tag stands for what a PUT or PATCH of the same path changes, and for nothing else that a GET shows
//! beside it: that a device was heard makes no operator's change a stale one. Each GET of one thing
//! that can be changed gives one, and each PUT and PATCH takes `If-Match`; where there is none, nothing
//! is checked.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::HttpState;
use super::error::{Problem, kinds};

/// How many bytes of a hash tell two states of a thing apart.
const TAG_BYTES: usize = 16;

/// What tells one state of a thing from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag(String);

impl EntityTag {
    /// Of a thing that these texts are all of.
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts_so_far = TagOfTexts::default();
        texts_so_far.extend(texts);
        texts_so_far.finish()
    }

    /// The answer to a GET.
    pub(super) fn with<T: Serialize>(self, body: Json<T>) -> Response {
        self.on(body.into_response())
    }

    /// The same on an answer that is made already.
    pub(super) fn on(self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::try_from(self.0) {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

/// The tag of a thing whose texts come one after the other, and are not kept.
#[derive(Debug, Default)]
pub(super) struct TagOfTexts(Sha256);

impl TagOfTexts {
    /// Takes these in.
    pub(super) fn extend<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            self.0.update((text.len() as u64).to_be_bytes());
            self.0.update(text.as_bytes());
        }
    }

    /// The tag of all that came.
    pub(super) fn finish(self) -> EntityTag {
        let digest = self.0.finalize();
        EntityTag(format!("\"{}\"", hex::encode(&digest[..TAG_BYTES])))
    }
}

/// A request's `If-Match`.
#[derive(Clone, Debug, Default)]
pub(super) struct IfMatch {
    /// Each list of tags as it came; `None` where there was none.
    given: Option<Vec<String>>,
}

impl IfMatch {
    /// Whether the thing must not have changed since it was read.
    pub(super) const fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Refuses the change where the thing is not as any of the tags says. `*` is: whatever is there.
    pub(super) fn check(&self, current: &EntityTag) -> Result<(), Problem> {
        let Some(given) = &self.given else {
            return Ok(());
        };
        let mut tags = given.iter().flat_map(|list| list.split(','));
        // A weak tag matches nothing here (RFC 9110 §8.8.3.2).
        if tags.any(|tag| tag.trim() == "*" || tag.trim() == current.0) {
            return Ok(());
        }
        let detail = format!(
            "If-Match: what is there has the ETag {} now, and nothing was changed",
            current.0
        );
        Err(Problem::new(kinds::STALE, detail))
    }

    /// The same where no tag was ever given: values that lie on a device.
    pub(super) fn check_untagged(&self) -> Result<(), Problem> {
        match &self.given {
            Some(given) if given.iter().any(|list| list.trim() != "*") => {
                let detail = "If-Match: what lies on a device has no ETag; nothing was written";
                Err(Problem::new(kinds::STALE, detail))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl FromRequestParts<HttpState> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, Problem> {
        let lists = parts.headers.get_all(header::IF_MATCH).iter();
        let lists: Vec<_> = lists
            .map(|list| String::from_utf8_lossy(list.as_bytes()).into_owned())
            .collect();
        Ok(Self {
            given: (!lists.is_empty()).then_some(lists),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lists: &[&str]) -> IfMatch {
        IfMatch {
            given: Some(lists.iter().map(|list| (*list).to_owned()).collect()),
        }
    }

    #[test]
    fn only_the_very_tag_or_a_star_matches() {
        let current = EntityTag::of(["a", "b"]);
        let tag = current.0.clone();
        IfMatch::default().check(&current).unwrap();
        for lists in [
            &["*"][..],
            &[&tag],
            &["\"x\"", &tag],
            &[&format!("\"x\" , {tag}")],
        ] {
            given(lists).check(&current).unwrap();
        }
        let bare = tag.trim_matches('"');
        for lists in [
            &[""][..],
            &["\"x\""],
            &[bare],
            &[&format!("W/{tag}")],
            &["x,y"],
        ] {
            assert!(given(lists).check(&current).is_err(), "{lists:?}");
        }
    }

    #[test]
    fn where_a_text_ends_counts() {
        let tags = [&["ab", ""][..], &["a", "b"], &["", "ab"], &["ab"]];
        for (index, tag) in tags.iter().enumerate() {
            for other in &tags[..index] {
                let of = |texts: &[&'static str]| EntityTag::of(texts.iter().copied());
                assert_ne!(of(tag), of(other));
            }
        }
    }

    #[test]
    fn what_has_no_tag_matches_a_star_alone() {
        IfMatch::default().check_untagged().unwrap();
        given(&["*"]).check_untagged().unwrap();
        assert!(given(&["\"x\""]).check_untagged().is_err());
    }
}
