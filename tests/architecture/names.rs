//! What a file names: every path and every word in its code, macros and attributes included,
//! comments, strings and test code not.
//!
//! Tokens are read, not the syntax tree, because a macro's arguments have no tree. Spelling
//! (`crate :: x`, line breaks, comments in between) does not matter to them.

use std::iter;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::tree::SourceFile;

/// A path as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// The module it is written in.
    pub(crate) module: Vec<String>,
    /// `["super", "codec"]`; a macro variable is `"$name"`.
    pub(crate) segments: Vec<String>,
    pub(crate) form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In an expression, a type, an attribute, a macro.
    Plain,
    /// The same with `::` in front: a crate, whatever else has its name.
    Absolute,
    /// What follows `::` after a type in angle brackets: `Vec::<u8>::new` → `["new"]`.
    Associated,
    Use {
        /// The name it has from here on; none for `as _` and for `*`.
        local: Option<String>,
        glob: bool,
        public: bool,
        absolute: bool,
    },
}

/// One identifier, and how it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// `text!…`
    pub(crate) is_macro_call: bool,
    /// The first word within `#[…]`.
    pub(crate) is_attribute: bool,
}

#[derive(Default)]
pub(crate) struct Names {
    pub(crate) paths: Vec<Named>,
    pub(crate) words: Vec<Word>,
}

impl Names {
    pub(crate) fn of(file: &SourceFile) -> Self {
        let mut reader = Reader {
            file,
            names: Self::default(),
        };
        reader.read(file.tokens.clone(), false);
        reader.names
    }
}

struct Reader<'a> {
    file: &'a SourceFile,
    names: Names,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream, in_attribute: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if self.file.is_test_only(token.span().byte_range().start) {
                at += 1;
                continue;
            }
            at += match token {
                TokenTree::Ident(word) if word == "use" => self
                    .read_use(&tokens, at)
                    .unwrap_or_else(|| self.read_path(&tokens, at)),
                TokenTree::Ident(_) => self.read_path(&tokens, at),
                TokenTree::Punct(mark) if mark.as_char() == '#' => self.read_attribute(&tokens, at),
                TokenTree::Punct(_) if is_path_mark(&tokens, at) => self.read_path(&tokens, at),
                TokenTree::Group(group) => {
                    self.read(group.stream(), in_attribute);
                    1
                }
                TokenTree::Literal(literal) if in_attribute => {
                    self.read_quoted_path(&literal.to_string(), literal.span());
                    1
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => 1,
            };
        }
    }

    /// `#[…]` or `#![…]`; documentation is passed over. Returns how many tokens it took.
    fn read_attribute(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let inner = usize::from(is_mark(tokens.get(at + 1), '!'));
        let Some(TokenTree::Group(group)) = tokens.get(at + 1 + inner) else {
            return 1;
        };
        if group.delimiter() != Delimiter::Bracket {
            return 1;
        }
        if let Some(TokenTree::Ident(name)) = group.stream().into_iter().next() {
            self.word(&name, false, true);
            if name == "doc" {
                return 2 + inner;
            }
        }
        self.read(group.stream(), true);
        2 + inner
    }

    /// `use …;`, also inside a macro. Returns how many tokens it took, none where it is not one.
    fn read_use(&mut self, tokens: &[TokenTree], at: usize) -> Option<usize> {
        let length = tokens[at..]
            .iter()
            .position(|token| is_mark(Some(token), ';'))?
            + 1;
        let item: syn::ItemUse =
            syn::parse2(tokens[at..at + length].iter().cloned().collect()).ok()?;
        let public = is_public(&tokens[..at]);
        let absolute = item.leading_colon.is_some();
        for leaf in leaves(&item.tree) {
            self.names
                .words
                .extend(leaf.segments.iter().map(|(text, span)| Word {
                    line: span.start().line,
                    text: text.clone(),
                    is_macro_call: false,
                    is_attribute: false,
                }));
            let Some((_, span)) = leaf.segments.last() else {
                continue;
            };
            let segments = leaf.segments.iter().map(|(text, _)| text.clone()).collect();
            let form = Form::Use {
                local: leaf.local,
                glob: leaf.glob,
                public,
                absolute,
            };
            self.path(*span, segments, form);
        }
        Some(length)
    }

    /// A path, a word alone, or a macro's name. Returns how many tokens it took.
    fn read_path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let before = &tokens[..start];
        let mut at = start;
        let mut form = Form::Plain;
        if is_path_mark(tokens, at) {
            form = if ends_in_angle(before) {
                Form::Associated
            } else {
                Form::Absolute
            };
            at += 2;
        }
        let mut segments: Vec<String> = Vec::new();
        let mut idents: Vec<&Ident> = Vec::new();
        while let Some((segment, ident, length)) = segment_at(tokens, at) {
            let is_first_variable =
                segments.is_empty() && is_mark(before.last(), '$') && segment != "crate";
            segments.push(if is_first_variable {
                format!("${segment}")
            } else {
                segment
            });
            idents.push(ident);
            at += length;
            let ends = segments.len() == 1 && form == Form::Plain && is_keyword(ident);
            if ends || !is_path_mark(tokens, at) {
                break;
            }
            if segment_at(tokens, at + 2).is_none() {
                self.read_braces_after(tokens.get(at + 2), &segments);
                break;
            }
            at += 2;
        }
        let is_macro_call = is_mark(tokens.get(at), '!') && !is_mark(tokens.get(at + 1), '=');
        for (index, ident) in idents.iter().enumerate() {
            self.word(ident, is_macro_call && index + 1 == idents.len(), false);
        }
        let is_member = is_mark(before.last(), '.') && !is_range(before);
        if let Some(last) = idents.last()
            && !is_member
        {
            self.path(last.span(), segments, form);
        }
        (at - start).max(1)
    }

    /// `prefix::{…}` and `prefix::*` in a macro's arguments: taken for the whole of `prefix`.
    fn read_braces_after(&mut self, next: Option<&TokenTree>, prefix: &[String]) {
        let opens_braces =
            |group: &Group| matches!(group.delimiter(), Delimiter::Brace | Delimiter::None);
        let is_whole = match next {
            Some(TokenTree::Group(group)) => opens_braces(group),
            other => is_mark(other, '*') || is_mark(other, '$'),
        };
        if let (true, Some(next)) = (is_whole, next) {
            let form = Form::Use {
                local: None,
                glob: true,
                public: false,
                absolute: false,
            };
            self.path(next.span(), prefix.to_vec(), form);
        }
    }

    /// `#[serde(with = "crate::http::form")]` names code too.
    fn read_quoted_path(&mut self, literal: &str, span: Span) {
        let text = literal.trim_matches('"');
        if let Ok(path) = syn::parse_str::<syn::Path>(text)
            && path.segments.len() > 1
        {
            let segments = path.segments.iter().map(|part| part.ident.to_string());
            self.path(span, segments.collect(), Form::Plain);
        }
    }

    fn path(&mut self, span: Span, segments: Vec<String>, form: Form) {
        self.names.paths.push(Named {
            line: span.start().line,
            module: self.file.module_at(span.byte_range().start),
            segments,
            form,
        });
    }

    fn word(&mut self, ident: &Ident, is_macro_call: bool, is_attribute: bool) {
        self.names.words.push(Word {
            line: ident.span().start().line,
            text: ident.to_string(),
            is_macro_call,
            is_attribute,
        });
    }
}

/// One name at the end of a `use` tree.
struct Leaf {
    segments: Vec<(String, Span)>,
    local: Option<String>,
    glob: bool,
}

fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    let under = |ident: &Ident, leaf: Leaf| Leaf {
        segments: iter::once((plain(ident), ident.span()))
            .chain(leaf.segments)
            .collect(),
        ..leaf
    };
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree)
            .into_iter()
            .map(|leaf| match leaf.local.as_deref() {
                // `use a::b::{self}` names `b`.
                Some("self") if leaf.segments.is_empty() => Leaf {
                    local: Some(plain(&path.ident)),
                    ..under(&path.ident, leaf)
                },
                _ => under(&path.ident, leaf),
            })
            .collect(),
        syn::UseTree::Name(name) if name.ident == "self" => vec![Leaf {
            segments: Vec::new(),
            local: Some("self".to_owned()),
            glob: false,
        }],
        syn::UseTree::Name(name) => vec![Leaf {
            segments: vec![(plain(&name.ident), name.ident.span())],
            local: Some(plain(&name.ident)),
            glob: false,
        }],
        syn::UseTree::Rename(rename) => vec![Leaf {
            segments: iter::once(&rename.ident)
                .filter(|ident| *ident != "self")
                .map(|ident| (plain(ident), ident.span()))
                .collect(),
            local: Some(plain(&rename.rename)).filter(|name| name != "_"),
            glob: false,
        }],
        syn::UseTree::Glob(_) => vec![Leaf {
            segments: Vec::new(),
            local: None,
            glob: true,
        }],
        syn::UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// A path segment at `at`: its text, its identifier, the tokens it takes. `$crate` is `crate`.
fn segment_at(tokens: &[TokenTree], at: usize) -> Option<(String, &Ident, usize)> {
    let is_variable = is_mark(tokens.get(at), '$');
    let TokenTree::Ident(ident) = tokens.get(at + usize::from(is_variable))? else {
        return None;
    };
    Some(match ident.to_string().as_str() {
        "crate" if is_variable => ("crate".to_owned(), ident, 2),
        name if is_variable => (format!("${name}"), ident, 2),
        _ => (plain(ident), ident, 1),
    })
}

/// Without the `r#` of a raw identifier.
fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").unwrap_or(&text).to_owned()
}

fn is_mark(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == wanted)
}

fn is_path_mark(tokens: &[TokenTree], at: usize) -> bool {
    is_mark(tokens.get(at), ':') && is_mark(tokens.get(at + 1), ':')
}

/// Whether the tokens end in the `>` of generic arguments, not in `->` or `=>`.
fn ends_in_angle(before: &[TokenTree]) -> bool {
    let Some((last, rest)) = before.split_last() else {
        return false;
    };
    is_mark(Some(last), '>') && !is_mark(rest.last(), '-') && !is_mark(rest.last(), '=')
}

/// Whether the tokens end in `..`.
fn is_range(before: &[TokenTree]) -> bool {
    before.len() > 1 && is_mark(before.get(before.len() - 2), '.')
}

/// Whether `pub` or `pub(…)` stands last.
fn is_public(before: &[TokenTree]) -> bool {
    let last = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            rest.last()
        }
        _ => before.last(),
    };
    matches!(last, Some(TokenTree::Ident(word)) if word == "pub")
}

/// Words after which a path begins anew: `return ::std::fs::read(…)`.
fn is_keyword(ident: &Ident) -> bool {
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern",
        "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
        "ref", "return", "static", "struct", "trait", "type", "unsafe", "use", "where", "while",
        "yield",
    ];
    KEYWORDS.iter().any(|keyword| ident == keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let file = SourceFile::parse("src/coap/codec.rs", text).unwrap();
        let paths = Names::of(&file).paths;
        paths.iter().map(|path| path.segments.join("::")).collect()
    }

    fn assert_names(text: &str, path: &str) {
        let paths = paths(text);
        assert!(
            paths.iter().any(|named| named == path),
            "`{path}` is not among {paths:?} of `{text}`"
        );
    }

    #[test]
    fn a_path_is_found_wherever_and_however_it_is_written() {
        for text in [
            "use crate::http::live;",
            "use crate::{model::Peer, http::{self, live}};",
            "use crate::{http::live as l};",
            "pub(crate) use crate :: http :: live;",
            "use crate::/* what for */http::\n    live;",
            "fn f() { use crate::http::live; }",
            "fn f() { crate::http::live::<u8>() }",
            "fn f() -> crate::http::live {}",
            "fn f() { m!(a, [b, { crate::http::live }]) }",
            "macro_rules! m { () => { $crate::http::live } }",
            "macro_rules! m { () => { use $crate::http::live; } }",
            "#[derive(crate::http::live)] struct S;",
            "#[serde(with = \"crate::http::live\")] struct S;",
            "fn f() { g(..crate::http::live) }",
            "fn f() { return crate::http::live }",
            "type T = <crate::http::live as Iterator>::Item;",
            "pub(in crate::http::live) fn f() {}",
            "fn f(x: impl crate::http::live) {}",
            "mod inner { use crate::http::live; }",
            "#[cfg(not(test))] use crate::http::live;",
        ] {
            assert_names(text, "crate::http::live");
        }
    }

    #[test]
    fn comments_strings_and_tests_name_nothing() {
        for text in [
            "// crate::http::live\n/* crate::http::live */\nfn f() {}",
            "//! crate::http::live",
            "/// See [`crate::http::live`].\nfn f() {}",
            "#[doc = \"crate::http::live\"] fn f() {}",
            "const S: &str = \"crate::http::live\";",
            "const S: &str = r#\"use crate::http::live;\"#;",
            "#[cfg(test)] mod tests { use crate::http::live; }",
            "#[cfg(test)] use crate::http::live;",
            "#[cfg(all(test, unix))] fn f() { crate::http::live() }",
            "impl S { #[cfg(test)] fn f() { crate::http::live() } }",
            "#[expect(dead_code, reason = \"see crate::http::live for it\")] fn f() {}",
        ] {
            let paths = paths(text);
            assert!(
                !paths.iter().any(|path| path.contains("live")),
                "{paths:?} of `{text}`"
            );
        }
    }

    #[test]
    fn a_path_ends_at_generic_arguments_and_a_new_one_begins() {
        assert_names("fn f() { a::b::<c::d>::e() }", "a::b");
        assert_names("fn f() { a::b::<c::d>::e() }", "c::d");
        assert_names("fn f() { a::b::<c::d>::e() }", "e");
        assert_names("fn f() { return ::std::fs::read() }", "std::fs::read");
        assert_names("fn f() -> ::std::fs::File {}", "std::fs::File");
    }

    #[test]
    fn a_macro_variable_in_a_path_is_kept_as_one() {
        assert_names(
            "macro_rules! m { ($m:ident) => { crate::$m::f() } }",
            "crate::$m::f",
        );
        assert_names("macro_rules! m { ($t:ty) => { $t::now() } }", "$t::now");
    }

    #[test]
    fn a_field_or_method_is_a_word_but_not_a_path() {
        assert!(!paths("fn f(x: X) { x.server.run() }").contains(&"server".to_owned()));
        let file = SourceFile::parse("src/coap.rs", "fn f(x: X) { x.server.run() }").unwrap();
        let words = Names::of(&file).words;
        assert!(words.iter().any(|word| word.text == "server"));
    }
}
