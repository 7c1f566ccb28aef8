//! What a written path means: `self`, `super`, imports under other names and re-exports followed
//! to where the path ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Form, Named, Names};
use crate::tree::{SourceFile, Tree};

/// How far imports of imports are followed; far beyond what anyone writes.
const HOPS_MAX: usize = 16;

/// The package's own library, as its binary calls it.
const LIBRARY: &str = "narrowcast";

/// A full path: first `crate`, the name of a crate, or [`UNKNOWN`].
pub(crate) type FullPath = Vec<String>;

/// Begins a path that belongs to a local name: a type, a variable, a macro's argument.
pub(crate) const UNKNOWN: &str = "?";

/// A name in a file with all that it can mean.
pub(crate) struct Meaning {
    pub(crate) line: usize,
    /// As it reads with `self`, `super` and local names replaced.
    pub(crate) direct: Vec<FullPath>,
    /// The same and what it is re-exported from.
    pub(crate) all: BTreeSet<FullPath>,
    pub(crate) form: Form,
}

impl Meaning {
    /// Everything under the path is brought in, or handed on to others.
    pub(crate) fn spreads(&self) -> bool {
        matches!(
            self.form,
            Form::Use { glob: true, .. } | Form::Use { public: true, .. }
        )
    }
}

#[derive(Default)]
struct Scope {
    imports: BTreeMap<String, Vec<Named>>,
    globs: Vec<Named>,
}

/// The imports of all modules.
pub(crate) struct Resolver<'a> {
    scopes: BTreeMap<Vec<String>, Scope>,
    dependencies: &'a BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        let mut scopes: BTreeMap<Vec<String>, Scope> = BTreeMap::new();
        for file in &tree.files {
            scopes.entry(file.module.clone()).or_default();
            for named in Names::of(file).paths {
                let scope = scopes.entry(named.module.clone()).or_default();
                match &named.form {
                    Form::Use { glob: true, .. } => scope.globs.push(named),
                    Form::Use {
                        local: Some(local), ..
                    } => scope.imports.entry(local.clone()).or_default().push(named),
                    Form::Use { .. } | Form::Plain | Form::Absolute | Form::Associated => {}
                }
            }
        }
        Self {
            scopes,
            dependencies: &tree.dependencies,
        }
    }

    /// Every path that `file` names, with its meanings.
    pub(crate) fn meanings(&self, file: &SourceFile) -> Vec<Meaning> {
        Names::of(file)
            .paths
            .into_iter()
            .map(|named| {
                let direct = self.full_paths(&named, 0);
                Meaning {
                    line: named.line,
                    all: self.followed(&direct),
                    direct,
                    form: named.form,
                }
            })
            .collect()
    }

    fn full_paths(&self, named: &Named, hops: usize) -> Vec<FullPath> {
        let absolute = match named.form {
            Form::Absolute => true,
            Form::Use { absolute, .. } => absolute,
            Form::Associated => return vec![unknown(&named.segments)],
            Form::Plain => false,
        };
        let Some((first, rest)) = named.segments.split_first() else {
            return Vec::new();
        };
        if absolute {
            return vec![crate_path(first, rest)];
        }
        let is_word = rest.is_empty() && !matches!(named.form, Form::Use { .. });
        match first.as_str() {
            "crate" | LIBRARY => vec![crate_path(first, rest)],
            "self" => vec![own_path(&named.module, rest)],
            "super" => vec![climb(&named.module, &named.segments)],
            _ if is_word && !self.is_import(&named.module, first) => {
                vec![unknown(&named.segments)]
            }
            _ => self.meaning_in(&named.module, first, rest, hops, Some(named)),
        }
    }

    /// What `first::rest` means in `module`, where `first` is not a keyword.
    fn meaning_in(
        &self,
        module: &[String],
        first: &str,
        rest: &[String],
        hops: usize,
        asking: Option<&Named>,
    ) -> Vec<FullPath> {
        let child: Vec<String> = module.iter().cloned().chain([first.to_owned()]).collect();
        if self.scopes.contains_key(&child) {
            return vec![own_path(&child, rest)];
        }
        let imported = self.imported(module, first, rest, hops, asking);
        if !imported.is_empty() {
            return imported;
        }
        if self.is_crate(first) {
            return vec![crate_path(first, rest)];
        }
        let mut path = unknown(&[first.to_owned()]);
        path.extend_from_slice(rest);
        vec![path]
    }

    /// What `first::rest` means by the imports of `module`, its globs of our own modules included.
    fn imported(
        &self,
        module: &[String],
        first: &str,
        rest: &[String],
        hops: usize,
        asking: Option<&Named>,
    ) -> Vec<FullPath> {
        let Some(scope) = self.scopes.get(module).filter(|_| hops < HOPS_MAX) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        // An import does not explain itself: `use rand;` means the crate.
        let others = scope.imports.get(first).into_iter().flatten();
        for import in others.filter(|import| asking != Some(*import)) {
            for mut path in self.full_paths(import, hops + 1) {
                path.extend_from_slice(rest);
                found.push(path);
            }
        }
        for glob in scope.globs.iter().filter(|glob| asking != Some(*glob)) {
            for path in self.full_paths(glob, hops + 1) {
                if let Some(("crate", inner)) = path.split_first().map(|(a, b)| (a.as_str(), b)) {
                    found.extend(self.imported(inner, first, rest, hops + 1, None));
                }
            }
        }
        found
    }

    /// `paths`, and what they come to by way of re-exports in our own modules.
    fn followed(&self, paths: &[FullPath]) -> BTreeSet<FullPath> {
        let mut all: BTreeSet<FullPath> = paths.iter().cloned().collect();
        let mut open: Vec<FullPath> = paths.to_vec();
        for _ in 0..HOPS_MAX {
            let mut next = Vec::new();
            for path in open.iter().filter(|path| path[0] == "crate") {
                for at in 1..path.len() {
                    let (module, rest) = (&path[1..at], &path[at + 1..]);
                    next.extend(self.imported(module, &path[at], rest, 0, None));
                }
            }
            open = next
                .into_iter()
                .filter(|path| all.insert(path.clone()))
                .collect();
        }
        all
    }

    fn is_import(&self, module: &[String], name: &str) -> bool {
        self.scopes
            .get(module)
            .is_some_and(|scope| scope.imports.contains_key(name))
    }

    fn is_crate(&self, name: &str) -> bool {
        matches!(name, "std" | "core" | "alloc") || self.dependencies.contains(name)
    }
}

/// Whether `path` is `prefix` or lies under it.
pub(crate) fn is_under(path: &[String], prefix: &str) -> bool {
    let mut path = path.iter();
    prefix
        .split("::")
        .all(|segment| path.next().is_some_and(|own| own == segment))
}

fn crate_path(first: &str, rest: &[String]) -> FullPath {
    let first = match first {
        LIBRARY => "crate",
        "core" | "alloc" => "std",
        _ => first,
    };
    [first.to_owned()]
        .into_iter()
        .chain(rest.iter().cloned())
        .collect()
}

fn own_path(module: &[String], rest: &[String]) -> FullPath {
    ["crate".to_owned()]
        .into_iter()
        .chain(module.iter().cloned())
        .chain(rest.iter().cloned())
        .collect()
}

/// `super::super::x` from `module`.
fn climb(module: &[String], segments: &[String]) -> FullPath {
    let steps = segments.iter().take_while(|part| *part == "super").count();
    let kept = module.len().saturating_sub(steps);
    own_path(&module[..kept], &segments[steps..])
}

fn unknown(segments: &[String]) -> FullPath {
    [UNKNOWN.to_owned()]
        .into_iter()
        .chain(segments.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that the last file of `sources` can mean.
    fn meanings(sources: &[(&str, &str)]) -> BTreeSet<String> {
        let tree = Tree::planted(sources);
        let resolver = Resolver::new(&tree);
        let file = tree.files.last().unwrap();
        let all = resolver.meanings(file).into_iter();
        all.flat_map(|meaning| meaning.all)
            .map(|path| path.join("::"))
            .collect()
    }

    fn assert_means(sources: &[(&str, &str)], path: &str) {
        let all = meanings(sources);
        assert!(all.contains(path), "`{path}` is not among {all:?}");
    }

    #[test]
    fn self_and_super_are_followed_up_the_tree() {
        let file = "src/coap/block/slice.rs";
        assert_means(
            &[(file, "use self::x::Y;")],
            "crate::coap::block::slice::x::Y",
        );
        assert_means(&[(file, "use super::Y;")], "crate::coap::block::Y");
        assert_means(
            &[(file, "use super::super::super::http::Y;")],
            "crate::http::Y",
        );
        assert_means(
            &[("src/coap/block/mod.rs", "use super::super::http::Y;")],
            "crate::http::Y",
        );
        assert_means(
            &[(
                "src/coap.rs",
                "mod inner { fn f() { super::super::http::y() } }",
            )],
            "crate::http::y",
        );
    }

    #[test]
    fn another_name_is_followed_to_what_it_stands_for() {
        for text in [
            "use std::fs as f; fn g() { f::read() }",
            "use std::{fs as f}; fn g() { f::read() }",
            "use std::{self as s}; fn g() { s::fs::read() }",
            "use std as s; use s::fs as f; fn g() { f::read() }",
            "use core as s; fn g() { s::fs::read() }",
            "fn g() { ::std::fs::read() }",
            "use std::fs as f; fn g() { m!(f::read()) }",
            "use std::fs::{self}; fn g() { fs::read() }",
        ] {
            assert_means(&[("src/coap.rs", text)], "std::fs::read");
        }
    }

    #[test]
    fn a_reexport_is_followed_into_the_file_that_made_it() {
        assert_means(
            &[
                ("src/store/mod.rs", "mod rows; pub use rows::Row;"),
                ("src/store/rows.rs", "pub use sqlx::Row;"),
                ("src/http/mod.rs", "use crate::store::Row;"),
            ],
            "sqlx::Row",
        );
        assert_means(
            &[
                ("src/store/mod.rs", "use sqlx::Row;"),
                ("src/store/rows.rs", "use super::*; fn f() -> Row {}"),
                ("src/http/mod.rs", "use crate::store::rows::Row;"),
            ],
            "sqlx::Row",
        );
    }

    #[test]
    fn a_module_of_ours_goes_before_a_crate_of_its_name() {
        let all = meanings(&[
            ("src/http/zip.rs", ""),
            ("src/http/mod.rs", "mod zip; fn f() { zip::open() }"),
        ]);
        assert!(all.contains("crate::http::zip::open"), "{all:?}");
        assert!(!all.contains("zip::open"), "{all:?}");
    }

    #[test]
    fn imports_that_go_in_circles_come_to_an_end() {
        assert_means(
            &[(
                "src/coap.rs",
                "use self::a as b; use self::b as a; fn f() { a::x() }",
            )],
            "crate::coap::b::x",
        );
    }
}
