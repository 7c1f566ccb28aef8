//! The CoRE link format (RFC 6690) of a Register's payload: which objects and instances a device has.

use std::collections::BTreeMap;

use super::Path;

/// The objects and instances that a device named in its Register (LwM2M 1.0 §5.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where the device has its objects, `/lwm2m` for instance; empty where that is the root.
    alternate_path: String,
    /// Sorted, each once.
    paths: Vec<Path>,
    /// Few devices name any; sorted, each once.
    resources: Vec<Path>,
    /// Of objects of which the device said one; the last word counts.
    versions: BTreeMap<u16, ObjectVersion>,
}

/// The version of an object, which devices say where it is not 1.0 (LwM2M 1.1 §7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectVersion {
    /// The number before the dot.
    pub major: u8,
    /// The number after it.
    pub minor: u8,
}

impl ObjectVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

/// Why a payload is no usable list of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not the grammar of RFC 6690 §2.
    #[error("malformed link format at byte {offset}")]
    Malformed {
        /// Where reading ended, in bytes.
        offset: usize,
    },
    /// More links than are taken.
    #[error("more than {limit} links")]
    TooMany {
        /// The configured limit.
        limit: usize,
    },
}

/// The resource type of the link that names the alternate path (LwM2M 1.0 §5.3.1).
const ALTERNATE_PATH_TYPE: &str = "oma.lwm2m";

impl Links {
    /// Parses a payload of at most `links_max` links. An empty one has no objects: some modules send
    /// that (carrier flows §3.7). Links that name no path of LwM2M are ignored.
    ///
    /// # Errors
    /// Where the text is not link format, or has too many links.
    pub fn parse(text: &str, links_max: usize) -> Result<Self, LinkError> {
        let mut reader = Reader { text, offset: 0 };
        let mut targets = Vec::new();
        let mut alternate_path = "";
        while !reader.is_at_end() {
            if !targets.is_empty() {
                reader.expect(',')?;
            }
            if targets.len() == links_max {
                return Err(LinkError::TooMany { limit: links_max });
            }
            let link = reader.link()?;
            if link.is_alternate_path && link.target.starts_with('/') {
                alternate_path = link.target.trim_end_matches('/');
            }
            targets.push((link.target, link.version));
        }
        let named = targets.into_iter().filter_map(|(target, version)| {
            Some((Path::parse(target.strip_prefix(alternate_path)?)?, version))
        });
        let mut versions = BTreeMap::new();
        let mut paths = Vec::new();
        for (path, version) in named {
            versions.extend(version.map(|version| (path.object, version)));
            paths.push(path);
        }
        paths.sort_unstable();
        paths.dedup();
        let (resources, paths) = paths.into_iter().partition(|path| path.resource.is_some());
        Ok(Self {
            alternate_path: alternate_path.to_owned(),
            paths,
            resources,
            versions,
        })
    }

    /// What stands before the device's paths: empty, or `/lwm2m` and the like.
    pub fn alternate_path(&self) -> &str {
        &self.alternate_path
    }

    /// The objects and instances, sorted.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The resources that the device named, sorted: few name any.
    pub fn resources(&self) -> &[Path] {
        &self.resources
    }

    /// The version of an object, where the device said one; else it is 1.0.
    pub fn version(&self, object: u16) -> Option<ObjectVersion> {
        self.versions.get(&object).copied()
    }

    /// Whether the device named this object, or an instance of it.
    pub fn has_object(&self, object: u16) -> bool {
        let from = self.paths.partition_point(|path| path.object < object);
        self.paths
            .get(from)
            .is_some_and(|path| path.object == object)
    }

    /// Whether the device named this instance.
    pub fn has_instance(&self, object: u16, instance: u16) -> bool {
        self.paths
            .binary_search(&Path::of_instance(object, instance))
            .is_ok()
    }
}

struct Link<'t> {
    target: &'t str,
    is_alternate_path: bool,
    version: Option<ObjectVersion>,
}

/// Reads the grammar of RFC 6690 §2, and blanks before a link, which some devices put there.
struct Reader<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    const fn malformed(&self) -> LinkError {
        LinkError::Malformed {
            offset: self.offset,
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.offset += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), LinkError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    fn link(&mut self) -> Result<Link<'t>, LinkError> {
        self.take_while(|c| c == ' ');
        self.expect('<')?;
        let target = self.take_while(|c| c != '>' && c != '<');
        self.expect('>')?;
        let mut link = Link {
            target,
            is_alternate_path: false,
            version: None,
        };
        while self.take(';') {
            match self.attribute()? {
                // It may hold several types, parted by blanks (RFC 6690 §3.1).
                ("rt", value) => {
                    link.is_alternate_path |=
                        value.split(' ').any(|kind| kind == ALTERNATE_PATH_TYPE);
                }
                ("ver", value) => link.version = ObjectVersion::parse(value),
                _ => {}
            }
        }
        Ok(link)
    }

    /// The name and value of one attribute: `hb`, `ver=1.1` or `rt="oma.lwm2m"`.
    fn attribute(&mut self) -> Result<(&'t str, &'t str), LinkError> {
        let name = self.token(|c| c != '=' && is_token(c))?;
        if !self.take('=') {
            return Ok((name, ""));
        }
        let value = if self.take('"') {
            self.quoted()?
        } else {
            self.token(is_token)?
        };
        Ok((name, value))
    }

    fn token(&mut self, belongs: impl Fn(char) -> bool) -> Result<&'t str, LinkError> {
        let token = self.take_while(belongs);
        if token.is_empty() {
            return Err(self.malformed());
        }
        Ok(token)
    }

    /// What stands between quotation marks, escapes left as they are: no type we look for has any.
    fn quoted(&mut self) -> Result<&'t str, LinkError> {
        let start = self.offset;
        loop {
            self.take_while(|c| c != '"' && c != '\\');
            let end = self.offset;
            if self.take('"') {
                return Ok(&self.text[start..end]);
            }
            self.expect('\\')?;
            let escaped = self.rest().chars().next().ok_or_else(|| self.malformed())?;
            self.offset += escaped.len_utf8();
        }
    }
}

/// RFC 6690 §2, `ptokenchar`: printable ASCII but for four separators.
const fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Links {
        Links::parse(text, 64).unwrap()
    }

    #[test]
    fn registers_of_real_clients_are_understood() {
        let wakaama = parse(r#"</>;rt="oma.lwm2m",</1/0>,</2>,</3/0>,</4/0>,</5/0>"#);
        assert_eq!(wakaama.alternate_path(), "");
        assert!(wakaama.has_instance(5, 0) && wakaama.has_object(2) && !wakaama.has_object(19));
        let anjay = parse(r"</1/1>,</2>,</10>;ver=1.1,</10/0>,</19>,</33609/0>");
        assert!(anjay.has_object(19) && !anjay.has_instance(19, 0) && anjay.has_instance(10, 0));
        let coap_node = parse("</>;ct=11543;hb,</3/0>,</4/0>,</5/0>");
        assert_eq!(coap_node.paths().len(), 3);
        let module = parse(
            r#"</>;rt="oma.lwm2m";ct=11543,</1/0>;ver="1.1",</3/0>,</4/0>,</5/0>,</19/0>,</19/1>"#,
        );
        assert!(module.has_instance(19, 0) && module.has_instance(19, 1));
    }

    #[test]
    fn an_alternate_path_is_taken_off_wherever_its_link_stands() {
        for text in [
            r#"</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>,</lwm2m/5/0>,</3303/0>"#,
            r#"</lwm2m/3/0>,</lwm2m/5/0>,</3303/0>,</lwm2m>;if=x;rt="core oma.lwm2m""#,
            r"</lwm2m/3/0>,</lwm2m/5/0>,</3303/0>,</lwm2m/>;rt=oma.lwm2m",
        ] {
            let links = parse(text);
            assert_eq!(links.alternate_path(), "/lwm2m", "{text}");
            assert_eq!(
                links.paths(),
                [Path::of_instance(3, 0), Path::of_instance(5, 0)]
            );
        }
    }

    #[test]
    fn links_that_are_no_objects_are_ignored_and_repeated_ones_count_once() {
        let links = parse("</.well-known/core>,<coap://h/5/0>,</3/0/1>,</5/0>,</5/0>, </5>,</a>");
        assert_eq!(links.paths(), [Path::of_object(5), Path::of_instance(5, 0)]);
        assert_eq!(parse(""), Links::default());
    }

    #[test]
    fn a_resource_is_known_where_a_device_names_it() {
        let links = parse(r#"</l>;rt="oma.lwm2m",</l/5/0/10>,</l/5/0>,</5/0/9>"#);
        assert_eq!(links.resources(), [Path::of_resource(5, 0, 10)]);
        assert_eq!(links.paths(), [Path::of_instance(5, 0)]);
    }

    #[test]
    fn the_version_of_an_object_is_known_where_a_device_says_it() {
        let version = |text: &str| parse(text).version(5);
        let is_1_1 = Some(ObjectVersion { major: 1, minor: 1 });
        assert_eq!(version("</5>;ver=1.1,</5/0>"), is_1_1);
        assert_eq!(version(r#"</3/0>,</5/0>;hb;ver="1.1""#), is_1_1);
        assert_eq!(version(r#"</l>;rt="oma.lwm2m",</l/5>;ver=1.1"#), is_1_1);
        for unsaid in ["</5/0>", "</3>;ver=1.1,</5/0>", "</5>;ver=x,</5/0>"] {
            assert_eq!(version(unsaid), None, "{unsaid}");
        }
    }

    #[test]
    fn quoted_values_may_hold_anything() {
        let links = parse(r#"</3/0>;title="a,b;\"</9/0>\\é",</5/0>;x="""#);
        assert_eq!(
            links.paths(),
            [Path::of_instance(3, 0), Path::of_instance(5, 0)]
        );
    }

    #[test]
    fn malformed_payloads_are_refused_with_the_place() {
        for (text, offset) in [
            ("x", 0),
            ("</3/0", 5),
            ("</3/0>,", 7),
            ("</3/0>,,</5/0>", 7),
            ("</3/0></5/0>", 6),
            ("</3/0>;", 7),
            ("</3/0>;ver=", 11),
            ("</3/0>;=1", 7),
            (r#"</3/0>;rt="oma"#, 14),
            (r#"</3/0>;rt="oma\"#, 15),
            ("</3/<0>", 4),
        ] {
            let result = Links::parse(text, 64);
            assert_eq!(result, Err(LinkError::Malformed { offset }), "{text}");
        }
    }

    #[test]
    fn the_number_of_links_is_bounded() {
        assert!(Links::parse("</1>,</2>,</3>", 3).is_ok());
        let result = Links::parse("</1>,</2>,</3>,</4>", 3);
        assert_eq!(result, Err(LinkError::TooMany { limit: 3 }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"([</>;,="\\ a0-9é]|oma\.lwm2m|rt=){0,40}"#) {
            let _ = Links::parse(&text, 8);
        }

        #[test]
        fn every_named_instance_is_found(
            ids in proptest::collection::btree_set((any::<u16>(), any::<u16>()), 0..20),
        ) {
            let text: Vec<_> = ids.iter().map(|(o, i)| format!("</{o}/{i}>")).collect();
            let links = Links::parse(&text.join(","), 20).unwrap();
            prop_assert_eq!(links.paths().len(), ids.len());
            for (object, instance) in ids {
                prop_assert!(links.has_object(object) && links.has_instance(object, instance));
            }
        }
    }
}
