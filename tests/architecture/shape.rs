//! How a file is laid out: not too long, tests last, and nothing that hides code from the reader
//! or from the other rules.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use crate::names::Names;
use crate::tree::{SourceFile, Tree, is_test_only};

/// Lines that hold code: blank lines, comments and tests not counted.
const CODE_LINES_MAX: usize = 500;

/// Attributes that put code where the folder tree does not show it, with the reason.
const BANNED_ATTRIBUTES: &[(&str, &str)] = &[
    ("macro_export", "puts a macro at the crate's root"),
    ("macro_use", "brings in names that no path shows"),
    ("path", "puts a module where its name does not say"),
];

pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in &tree.files {
        length_fault(file, &mut faults);
        order_faults(file, &mut faults);
        hiding_faults(file, &mut faults);
    }
    faults
}

fn length_fault(file: &SourceFile, faults: &mut Vec<String>) {
    let mut lines = BTreeSet::new();
    code_lines(file, file.tokens.clone(), &mut lines);
    if lines.len() > CODE_LINES_MAX {
        faults.push(format!(
            "{}: {} lines of code, {CODE_LINES_MAX} at the most",
            file.path,
            lines.len()
        ));
    }
}

fn code_lines(file: &SourceFile, tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let span = token.span();
        if file.is_test_only(span.byte_range().start) {
            continue;
        }
        match token {
            // A doc comment is `#[doc = "…"]` by now: its mark and its text lie on its own lines.
            TokenTree::Punct(mark)
                if mark.as_char() == '#' && is_comment(&file.text[span.byte_range()]) =>
            {
                while tokens
                    .next_if(|next| is_comment(&file.text[next.span().byte_range()]))
                    .is_some()
                {}
            }
            TokenTree::Group(group) => {
                lines.insert(group.span_open().start().line);
                lines.insert(group.span_close().end().line);
                code_lines(file, group.stream(), lines);
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                lines.extend(span.start().line..=span.end().line);
            }
        }
    }
}

/// Whether the source text of a token is that of a comment.
fn is_comment(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("/*")
}

fn order_faults(file: &SourceFile, faults: &mut Vec<String>) {
    let tests_at = file.syntax.items.iter().position(|item| {
        matches!(item, syn::Item::Mod(module)
            if module.attrs.iter().any(is_test_only)
                && (module.content.is_some() || module.ident == "tests"))
    });
    if let Some(at) = tests_at
        && at + 1 < file.syntax.items.len()
    {
        faults.push(format!("{}: code stands after its tests", file.path));
    }
}

fn hiding_faults(file: &SourceFile, faults: &mut Vec<String>) {
    let names = Names::of(file);
    for word in &names.words {
        let at = format!("{}:{}", file.path, word.line);
        if word.is_macro_call && word.text == "include" {
            faults.push(format!(
                "{at}: `include!` brings in code that no rule reads"
            ));
        }
        let banned = BANNED_ATTRIBUTES
            .iter()
            .find(|(name, _)| word.is_attribute && word.text == *name);
        if let Some((name, reason)) = banned {
            faults.push(format!("{at}: `#[{name}]` {reason}"));
        }
    }
    if let Some(pair) = names
        .words
        .windows(2)
        .find(|pair| pair[0].text == "extern" && pair[1].text == "crate")
    {
        faults.push(format!(
            "{}:{}: `extern crate` names a crate that no path shows",
            file.path, pair[0].line
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        faults(&Tree::planted(&[("src/coap/codec.rs", text)]))
    }

    #[test]
    fn a_long_file_is_found_and_comments_and_tests_do_not_count() {
        let code = "const X: u8 = 1;\n".repeat(CODE_LINES_MAX);
        let talk = "/// What it is.\n// Why.\n/* So. */\n\n".repeat(100);
        let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"fn f() {}\n".repeat(900) + "}\n";
        let within = format!("//! A file.\n{talk}{code}{tests}");
        assert!(faults_of(&within).is_empty(), "{:?}", faults_of(&within));
        let beyond = format!("const Y: u8 = 1;\n{within}").replace("//! A file.\n", "");
        assert_eq!(
            faults_of(&beyond),
            ["src/coap/codec.rs: 501 lines of code, 500 at the most"]
        );
        let text = format!("const S: &str = \"{}\";", "\n".repeat(CODE_LINES_MAX));
        assert_eq!(faults_of(&text).len(), 1, "a long string is code");
    }

    #[test]
    fn code_after_the_tests_is_found() {
        for text in [
            "#[cfg(test)] mod tests { } fn f() {}",
            "#[cfg(test)]\n#[expect(x)]\nmod tests { }\nuse a::b;",
            "#[cfg(all(test, unix))] mod tests { } fn f() {}",
            "#[cfg(test)] mod tests; fn f() {}",
            "#[cfg(test)] mod property_tests { } #[cfg(test)] mod tests { }",
        ] {
            assert_eq!(
                faults_of(text),
                ["src/coap/codec.rs: code stands after its tests"],
                "{text}"
            );
        }
        for text in [
            "fn f() {} #[cfg(test)] mod tests { fn g() {} }",
            "#[cfg(test)] use a::b; fn f() {}",
            "#[cfg(test)] mod fixtures; mod other; fn f() {}",
            "mod tests { } fn f() {}",
            "// #[cfg(test)] mod tests {}\nfn f() {}",
        ] {
            assert!(faults_of(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn code_that_the_tree_does_not_show_is_found() {
        for text in [
            "include!(\"other.rs\");",
            "fn f() { std::include!(\"other.rs\") }",
            "fn f() { m!(include!(\"other.rs\")) }",
            "#[path = \"../http/live.rs\"] mod live;",
            "mod a { #[path = \"b.rs\"] mod c; }",
            "#[macro_export] macro_rules! m { () => {} }",
            "extern crate std as s;",
        ] {
            assert_eq!(faults_of(text).len(), 1, "not found: {text}");
        }
        for text in [
            "const S: &str = include_str!(\"a.txt\"); const B: &[u8] = include_bytes!(\"b\");",
            "fn f(x: X) { x.include(); x.path(); include(x) }",
            "macro_rules! m { () => {} }",
            "// #[path = \"x.rs\"] include!(\"x\")\nconst S: &str = \"extern crate x\";",
            "#[cfg(test)] mod tests { include!(\"x.rs\"); }",
        ] {
            let found = faults_of(text);
            assert!(found.is_empty(), "{found:?} of `{text}`");
        }
    }
}
