//! The CoRE link format (RFC 6690) of a Register.

use narrowcast::lwm2m::{LinkError, Links};
use proptest::prelude::*;

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};
use crate::seeds;

const LINKS_MAX: usize = 64;
const TOKENS: &[&str] = &[
    "</5/0>",
    ",",
    ";",
    "<",
    ">",
    "\"",
    "\\",
    "=",
    ";rt=\"oma.lwm2m\"",
    "</lwm2m>",
    "</>",
    "</65536>",
    "</05>",
    "é",
    "\u{202e}",
    "\0",
    " ",
    ";ver=1.1",
];

/// What was understood, in one spelling.
fn spelling(links: &Links) -> String {
    let root = links.alternate_path();
    let paths = links.paths().iter().chain(links.resources());
    let paths = paths.map(|path| {
        let version = links.version(path.object);
        let version = version.map(|it| format!(";ver={}.{}", it.major, it.minor));
        format!(",<{root}{path}>{}", version.unwrap_or_default())
    });
    format!("<{root}/>;rt=\"oma.lwm2m\"{}", paths.collect::<String>())
}

fn check(text: &str) {
    // A list of targets and a list of paths, each doubling; a link has three bytes at the least.
    let parsed = bounded(text.len(), 1024, 32, || Links::parse(text, LINKS_MAX));
    let links = match parsed {
        Ok(links) => links,
        Err(LinkError::Malformed { offset }) => {
            assert!(text.is_char_boundary(offset), "{offset} of {text:?}");
            return;
        }
        Err(LinkError::TooMany { limit }) => {
            assert_eq!(limit, LINKS_MAX);
            assert!(text.matches('<').count() >= LINKS_MAX);
            return;
        }
    };
    assert!(links.paths().len() <= LINKS_MAX);
    assert!(links.paths().is_sorted_by(|a, b| a < b));
    for path in links.paths() {
        assert!(links.has_object(path.object) && path.resource.is_none());
    }
    assert!(links.paths().len() + links.resources().len() <= LINKS_MAX);
    assert!(links.resources().is_sorted_by(|a, b| a < b));
    // The spelling has one link more.
    let again = Links::parse(&spelling(&links), LINKS_MAX + 1).unwrap();
    assert_eq!(again, links);
}

#[test]
fn what_clients_register_is_understood() {
    for text in seeds::links() {
        let text = String::from_utf8(text).unwrap();
        assert!(Links::parse(&text, LINKS_MAX).unwrap().has_object(3));
        check(&text);
    }
}

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn mutants_are_understood_in_one_way_or_refused(bytes in mutants(seeds::links(), TOKENS)) {
        check(&String::from_utf8_lossy(&bytes));
    }
}
