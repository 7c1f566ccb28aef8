//! The source files as they stand: parsed, with what only tests compile marked.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::{fs, io};

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One file under `src/`.
pub(crate) struct SourceFile {
    /// From the package's folder, with `/`: `src/coap/codec.rs`.
    pub(crate) path: String,
    /// `["coap", "codec"]`; empty for `src/lib.rs`, `["main"]` for `src/main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
    pub(crate) tokens: TokenStream,
    /// Bytes that only a test build compiles.
    test_only: Vec<Range<usize>>,
    /// Modules written in braces, with the bytes between them, outermost first.
    inline_modules: Vec<(String, Range<usize>)>,
}

impl SourceFile {
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let syntax = syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?;
        let tokens = text
            .parse()
            .map_err(|error| format!("{path}: not Rust: {error}"))?;
        let mut ranges = Ranges::default();
        ranges.visit_file(&syntax);
        if syntax.attrs.iter().any(is_test_only) {
            ranges.test_only.push(0..text.len());
        }
        Ok(Self {
            path: path.to_owned(),
            module: module_of(path),
            text: text.to_owned(),
            syntax,
            tokens,
            test_only: ranges.test_only,
            inline_modules: ranges.inline_modules,
        })
    }

    pub(crate) fn is_test_only(&self, byte: usize) -> bool {
        self.test_only.iter().any(|range| range.contains(&byte))
    }

    /// The module that the byte stands in: the file's own, or one in braces within it.
    pub(crate) fn module_at(&self, byte: usize) -> Vec<String> {
        let within = self
            .inline_modules
            .iter()
            .filter(|(_, range)| range.contains(&byte))
            .map(|(name, _)| name.clone());
        self.module.iter().cloned().chain(within).collect()
    }

    /// The top-level module that the file belongs to; empty for `src/lib.rs`.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Modules in files of their own that only a test build compiles.
    fn test_only_children(&self) -> impl Iterator<Item = Vec<String>> {
        self.syntax.items.iter().filter_map(|item| {
            let syn::Item::Mod(module) = item else {
                return None;
            };
            let in_own_file = module.content.is_none();
            (in_own_file && module.attrs.iter().any(is_test_only)).then(|| {
                let name = module.ident.to_string();
                self.module.iter().cloned().chain([name]).collect()
            })
        })
    }
}

/// All files under `src/` but those that only a test build compiles, in the order of their paths.
pub(crate) struct Tree {
    pub(crate) files: Vec<SourceFile>,
    /// The names by which code calls the packages in `[dependencies]`.
    pub(crate) dependencies: BTreeSet<String>,
}

impl Tree {
    /// Reads the package that this test belongs to.
    pub(crate) fn read() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        read_folder(root, "src", &mut sources).map_err(|error| format!("src: {error}"))?;
        let manifest = fs::read_to_string(root.join("Cargo.toml"))
            .map_err(|error| format!("Cargo.toml: {error}"))?;
        Self::from_sources(&sources, dependency_names(&manifest)?)
    }

    pub(crate) fn from_sources(
        sources: &[(String, String)],
        dependencies: BTreeSet<String>,
    ) -> Result<Self, String> {
        let mut files = sources
            .iter()
            .map(|(path, text)| SourceFile::parse(path, text))
            .collect::<Result<Vec<_>, _>>()?;
        let test_only: Vec<Vec<String>> = files
            .iter()
            .flat_map(SourceFile::test_only_children)
            .collect();
        files.retain(|file| !test_only.iter().any(|test| file.module.starts_with(test)));
        Ok(Self {
            files,
            dependencies,
        })
    }

    /// A tree made up for a test of the rules.
    pub(crate) fn planted(sources: &[(&str, &str)]) -> Self {
        let sources: Vec<_> = sources
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let manifest = "[dependencies]\nasync-trait = '1'\naxum = '1'\nbytes = '1'\nclap = '1'\n\
                        coap-lite = '1'\ndashmap = '1'\njiff = '1'\nrand = '1'\nreqwest = '1'\n\
                        rsa = '1'\nserde = '1'\nsqlx = '1'\nthiserror = '1'\ntokio = '1'\n\
                        utoipa = '1'\nzip = '1'";
        match dependency_names(manifest).and_then(|names| Self::from_sources(&sources, names)) {
            Ok(tree) => tree,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Attributes under which a node is compiled for tests alone: `test`, `cfg(test)`,
/// `cfg(all(test, …))`.
pub(crate) fn is_test_only(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Meta>()
            .is_ok_and(|condition| needs_test(&condition))
}

fn needs_test(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(
                syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated,
            )
            .is_ok_and(|parts| parts.iter().any(needs_test)),
        syn::Meta::List(_) | syn::Meta::NameValue(_) => false,
    }
}

#[derive(Default)]
struct Ranges {
    test_only: Vec<Range<usize>>,
    inline_modules: Vec<(String, Range<usize>)>,
}

impl Ranges {
    fn note(&mut self, attributes: &[syn::Attribute], node: &impl Spanned) {
        if attributes.iter().any(is_test_only) {
            self.test_only.push(node.span().byte_range());
        }
    }
}

impl<'ast> Visit<'ast> for Ranges {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.note(attributes_of(item), item);
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if let Some((braces, _)) = &module.content {
            let range = braces.span.join().byte_range();
            self.inline_modules.push((module.ident.to_string(), range));
        }
        visit::visit_item_mod(self, module);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.attrs, function);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.note(&field.attrs, field);
        visit::visit_field(self, field);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.note(&variant.attrs, variant);
        visit::visit_variant(self, variant);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.note(&arm.attrs, arm);
        visit::visit_arm(self, arm);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        self.note(&local.attrs, local);
        visit::visit_local(self, local);
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "`syn` may add kinds of items; what is not named here is never taken for test code"
)]
fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `src/coap/codec.rs` and `src/coap/codec/mod.rs` → `["coap", "codec"]`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Vec::new(),
        _ => path.split('/').map(ToOwned::to_owned).collect(),
    }
}

fn read_folder(root: &Path, folder: &str, into: &mut Vec<(String, String)>) -> io::Result<()> {
    let mut names = fs::read_dir(root.join(folder))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            read_folder(root, &path, into)?;
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path))?;
            into.push((path, text));
        }
    }
    Ok(())
}

fn dependency_names(manifest: &str) -> Result<BTreeSet<String>, String> {
    let manifest: toml::Table =
        toml::from_str(manifest).map_err(|error| format!("Cargo.toml: {error}"))?;
    let dependencies = manifest
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .ok_or("Cargo.toml has no [dependencies]")?;
    Ok(dependencies
        .keys()
        .map(|name| name.replace('-', "_"))
        .collect())
}

#[test]
fn a_file_that_only_tests_compile_is_left_out() {
    let tree = Tree::planted(&[
        ("src/coap/mod.rs", "#[cfg(test)] mod fixtures; mod codec;"),
        ("src/coap/fixtures.rs", ""),
        ("src/coap/codec.rs", ""),
    ]);
    let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["src/coap/mod.rs", "src/coap/codec.rs"]);
}

#[test]
fn a_condition_that_also_holds_without_tests_hides_nothing() {
    let is_hidden = |condition: &str| {
        let text = format!("#[cfg({condition})] fn f() {{}}");
        SourceFile::parse("src/coap.rs", &text).is_ok_and(|file| file.is_test_only(text.len() - 1))
    };
    assert!(is_hidden("test"));
    assert!(is_hidden("all(test, unix)"));
    assert!(!is_hidden("not(test)"));
    assert!(!is_hidden("any(test, unix)"));
    assert!(!is_hidden("unix"));
}
