//! Maps a store's own names to entries `<app>/<environment>/<secret-name>` and back, one to one.
//!
//! A name of three segments stays the same. A longer name keeps its first two segments, and the slashes of the rest
//! become `%2F`. A shorter name is filled with `-` from the left, and an empty segment is `_`. With a scope
//! (`[[store]] scope = "shop/live"`) every name is one secret of that app and environment.

use crate::types::name::{EntryName, InvalidName};

/// The replacement of a missing segment.
const NONE: &str = "-";

/// The replacement of an empty segment.
const EMPTY: &str = "_";

/// The naming of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// The `<app>/<environment>` of all entries, if there is a scope.
    scope: Option<String>,
}

impl Naming {
    /// A naming with the scope `<app>/<environment>`.
    ///
    /// # Errors
    /// [`InvalidName`] if the scope does not have two segments.
    pub fn within(scope: &str) -> Result<Self, InvalidName> {
        let entry = EntryName::new(format!("{scope}/x"))?;
        Ok(Self { scope: Some(entry.scope().to_owned()) })
    }

    /// The scope, if there is one.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The entry of the own name `native`.
    ///
    /// # Errors
    /// [`InvalidName`] if the entry would be too long.
    pub fn entry(&self, native: &str) -> Result<EntryName, InvalidName> {
        if let Some(scope) = &self.scope {
            return EntryName::new(format!("{scope}/{}", written(native)));
        }
        let mut parts = native.splitn(3, '/');
        let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let outer = |text: &str| if text == NONE { "%2D".to_owned() } else { written(text) };
        EntryName::new(match (second, third) {
            (Some(second), Some(rest)) => format!("{}/{}/{}", outer(first), outer(second), written(rest)),
            (Some(second), None) => format!("{NONE}/{}/{}", outer(first), written(second)),
            (None, _) => format!("{NONE}/{NONE}/{}", written(first)),
        })
    }

    /// The own name of `entry`; none if the store cannot have such an entry.
    #[must_use]
    pub fn native(&self, entry: &EntryName) -> Option<String> {
        let native = if let Some(scope) = &self.scope {
            (entry.scope() == scope).then(|| read(entry.secret_name()))??
        } else {
            let outer = [entry.app(), entry.environment()].into_iter().filter(|segment| *segment != NONE);
            let segments: Option<Vec<String>> = outer.chain([entry.secret_name()]).map(read).collect();
            segments?.join("/")
        };
        // Only the canonical form is accepted, so that an entry has one name.
        (self.entry(&native).as_ref() == Ok(entry)).then_some(native)
    }
}

/// Encodes a text as one segment.
fn written(text: &str) -> String {
    if text.is_empty() || text == EMPTY {
        return if text.is_empty() { EMPTY } else { "%5F" }.to_owned();
    }
    let blank = text.trim().is_empty();
    let mut segment = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '%' || letter == '/' || letter.is_control() || blank {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                segment.push_str(&format!("%{byte:02X}"));
            }
        } else {
            segment.push(letter);
        }
    }
    segment
}

/// Decodes a segment.
fn read(segment: &str) -> Option<String> {
    if segment == EMPTY {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_every_length_become_entries() {
        let naming = Naming::default();
        for (native, entry) in [
            ("shop/live/AWS_ACCESS_KEY_ID", "shop/live/AWS_ACCESS_KEY_ID"),
            ("shop/live/eu/aws", "shop/live/eu%2Faws"),
            ("live/aws", "-/live/aws"),
            ("aws", "-/-/aws"),
            (".env", "-/-/.env"),
            ("-/x", "-/%2D/x"),
            ("a//b", "a/_/b"),
            ("a/b/", "a/b/_"),
            ("a/b/_", "a/b/%5F"),
            ("100%", "-/-/100%25"),
            ("", "-/-/_"),
            ("a/ /b", "a/%20/b"),
        ] {
            assert_eq!(naming.entry(native).expect("an entry").as_str(), entry);
            assert_eq!(naming.native(&EntryName::new(entry).expect("valid")).as_deref(), Some(native), "{entry}");
        }
        let scoped = Naming::within("shop/live").expect("two segments");
        assert_eq!(scoped.entry("a/b").expect("an entry").as_str(), "shop/live/a%2Fb");
        assert_eq!(scoped.native(&EntryName::new("shop/test/a").expect("valid")), None);
        assert!(Naming::within("shop").is_err() && Naming::within("shop/live/x").is_err());
    }

    #[test]
    fn an_entry_that_no_native_name_maps_to_has_no_native_name() {
        for entry in ["a/b/%zz", "a/b/c%2", "a/b/%41", "a/b/%ff", "a/-/b"] {
            assert_eq!(Naming::default().native(&EntryName::new(entry).expect("valid")), None, "{entry}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(native in "[-_a-c/% \u{e9}\n]{0,12}", scoped in any::<bool>()) {
            let naming = if scoped { Naming::within("shop/live").expect("two segments") } else { Naming::default() };
            let entry = naming.entry(&native).expect("short enough");
            prop_assert_eq!(naming.native(&entry), Some(native));
        }
    }
}
