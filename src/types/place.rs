//! The position of a stored pair. A [`Place`] is written to the journal, so it never holds any of the stored text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::name::{EntryName, StoreName};

/// The position of a stored pair: a store and the two spots in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The store that holds both halves.
    pub store: StoreName,
    /// The position of the access key id.
    pub id: FieldRef,
    /// The position of its secret: in the same entry (a document), or in another.
    pub secret: FieldRef,
}

impl Place {
    /// The entries that hold this pair, in the order in which they are to be written: that of the secret first, that
    /// of the id last; one, where a document holds both.
    #[must_use]
    pub fn entries(&self) -> Vec<&EntryName> {
        if self.id.entry == self.secret.entry { vec![&self.id.entry] } else { vec![&self.secret.entry, &self.id.entry] }
    }

    /// `<app>` of the entry that holds the id: with [`Place::environment`] a hint at the owner.
    #[must_use]
    pub fn app(&self) -> &str {
        self.id.entry.app()
    }

    /// `<environment>` of the entry that holds the id.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.id.entry.environment()
    }
}

/// The position of one half of a pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldRef {
    /// The entry.
    pub entry: EntryName,
    /// Where in the entry.
    pub location: Location,
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::WholeValue => write!(f, "{}", self.entry),
            location @ (Location::Json { .. }
            | Location::Variable { .. }
            | Location::Toml { .. }
            | Location::Yaml { .. }
            | Location::Connection { .. }
            | Location::Nested { .. }) => write!(f, "{} at {location}", self.entry),
        }
    }
}

/// Where in an entry.
///
/// The serialised form is kept in journals: variants and fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// The whole value, without the blanks and line ends around it.
    WholeValue,
    /// A string in a JSON document.
    Json {
        /// An RFC 6901 pointer; `""` is the document itself, a lone string.
        pointer: String,
    },
    /// A variable of a dotenv file, or a key in a section of an INI file.
    Variable {
        /// The INI section; none before the first one.
        section: Option<String>,
        /// The variable's name as it is written.
        variable: String,
    },
    /// A string in a TOML document.
    Toml {
        /// An RFC 6901 pointer, through tables and arrays alike.
        pointer: String,
    },
    /// A scalar in a stream of YAML documents, where it is written: not where an alias repeats it.
    Yaml {
        /// Which document of the stream, from 0.
        document: usize,
        /// An RFC 6901 pointer.
        pointer: String,
    },
    /// Part of a connection string: of a URL, or of a list like `Key=Value;Key=Value`.
    Connection {
        /// The location of the string in the entry.
        within: Box<Location>,
        /// Which part of it.
        part: Part,
    },
    /// A text in a document that is itself a text of a document.
    Nested {
        /// The location of the inner document in the entry.
        within: Box<Location>,
        /// Where in it.
        location: Box<Location>,
    },
}

/// A part of a connection string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What is before the colon in a URL's user information.
    User,
    /// What is after it.
    Password,
    /// The value of a parameter in a URL's query.
    Parameter {
        /// The parameter's name as it is written.
        name: String,
    },
    /// A value in a list.
    Item {
        /// The name before it as it is written.
        name: String,
    },
}

impl Location {
    /// How many bytes its names have.
    pub(crate) fn names(&self) -> usize {
        match self {
            Self::WholeValue => 0,
            Self::Json { pointer } | Self::Toml { pointer } | Self::Yaml { pointer, .. } => pointer.len(),
            Self::Variable { section, variable } => section.as_ref().map_or(0, String::len) + variable.len(),
            Self::Connection { within, .. } => within.names(),
            Self::Nested { within, location } => within.names() + location.names(),
        }
    }

    /// The location of the text that holds the connection string or the inner document. Every other location is its
    /// own outermost.
    pub(crate) fn outermost(&self) -> &Self {
        match self {
            Self::Connection { within, .. } | Self::Nested { within, .. } => within.outermost(),
            Self::WholeValue | Self::Json { .. } | Self::Variable { .. } | Self::Toml { .. } | Self::Yaml { .. } => {
                self
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Password => f.write_str("password"),
            Self::Parameter { name } => write!(f, "?{name}"),
            Self::Item { name } => f.write_str(name),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WholeValue => f.write_str("whole value"),
            Self::Json { pointer } if pointer.is_empty() => f.write_str("whole JSON string"),
            Self::Json { pointer } | Self::Toml { pointer } | Self::Yaml { document: 0, pointer } => {
                f.write_str(pointer)
            }
            Self::Yaml { document, pointer } => write!(f, "{pointer} of document {}", document.saturating_add(1)),
            Self::Connection { within, part } if **within == Self::WholeValue => part.fmt(f),
            Self::Connection { within, part } => write!(f, "{within} {part}"),
            Self::Nested { within, location } => write!(f, "{within}, inside it at {location}"),
            Self::Variable { section: None, variable } => f.write_str(variable),
            Self::Variable { section: Some(section), variable } => write!(f, "[{section}] {variable}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(entry: &str, location: Location) -> FieldRef {
        FieldRef { entry: EntryName::new(entry).expect("valid"), location }
    }

    fn in_string(within: Location, part: Part) -> Location {
        Location::Connection { within: Box::new(within), part }
    }

    fn nested(within: Location, location: Location) -> Location {
        Location::Nested { within: Box::new(within), location: Box::new(location) }
    }

    #[test]
    fn the_serialised_form_is_that_of_the_first_journal() {
        let place = Place {
            store: StoreName::new("sqlite:a.db").expect("valid"),
            id: spot("a/b/c", Location::Json { pointer: "/x~1y".to_owned() }),
            secret: spot("a/b/d", Location::WholeValue),
        };
        let written = r#"{"store":"sqlite:a.db","id":{"entry":"a/b/c","location":{"json":{"pointer":"/x~1y"}}},"secret":{"entry":"a/b/d","location":"whole-value"}}"#;
        assert_eq!(serde_json::to_string(&place).expect("serialises"), written);
        assert_eq!(serde_json::from_str::<Place>(written).expect("reads back"), place);

        let variable = Location::Variable { section: Some("default".to_owned()), variable: "K".to_owned() };
        let written = r#"{"variable":{"section":"default","variable":"K"}}"#;
        assert_eq!(serde_json::to_string(&variable).expect("serialises"), written);
        assert_eq!(serde_json::from_str::<Location>(written).expect("reads back"), variable);

        for (location, written) in [
            (Location::Toml { pointer: "/a".to_owned() }, r#"{"toml":{"pointer":"/a"}}"#),
            (Location::Yaml { document: 1, pointer: "/a".to_owned() }, r#"{"yaml":{"document":1,"pointer":"/a"}}"#),
            (
                nested(Location::Json { pointer: "/f".to_owned() }, Location::Toml { pointer: "/a".to_owned() }),
                r#"{"nested":{"within":{"json":{"pointer":"/f"}},"location":{"toml":{"pointer":"/a"}}}}"#,
            ),
            (in_string(Location::WholeValue, Part::User), r#"{"connection":{"within":"whole-value","part":"user"}}"#),
            (
                in_string(variable, Part::Parameter { name: "k".to_owned() }),
                r#"{"connection":{"within":{"variable":{"section":"default","variable":"K"}},"part":{"parameter":{"name":"k"}}}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&location).expect("serialises"), written);
            assert_eq!(serde_json::from_str::<Location>(written).expect("reads back"), location);
        }
    }

    #[test]
    fn the_secret_is_written_first_and_the_id_last() {
        let store = StoreName::new("s").expect("valid");
        let two = Place {
            store: store.clone(),
            id: spot("a/b/A_ID", Location::WholeValue),
            secret: spot("a/b/Z_SECRET", Location::WholeValue),
        };
        assert_eq!(two.entries().iter().map(|name| name.secret_name()).collect::<Vec<_>>(), ["Z_SECRET", "A_ID"]);
        let one = Place { id: spot("a/b/x", Location::WholeValue), secret: spot("a/b/x", Location::WholeValue), store };
        assert_eq!(one.entries().len(), 1);
    }

    #[test]
    fn a_place_is_described_for_operators() {
        for (location, words) in [
            (Location::WholeValue, "a/b/c"),
            (Location::Json { pointer: "/aws/id".to_owned() }, "a/b/c at /aws/id"),
            (Location::Json { pointer: String::new() }, "a/b/c at whole JSON string"),
            (Location::Variable { section: None, variable: "V".to_owned() }, "a/b/c at V"),
            (Location::Variable { section: Some("s".to_owned()), variable: "V".to_owned() }, "a/b/c at [s] V"),
            (Location::Toml { pointer: "/aws/id".to_owned() }, "a/b/c at /aws/id"),
            (Location::Yaml { document: 0, pointer: "/aws/id".to_owned() }, "a/b/c at /aws/id"),
            (Location::Yaml { document: 1, pointer: "/id".to_owned() }, "a/b/c at /id of document 2"),
            (in_string(Location::WholeValue, Part::Password), "a/b/c at password"),
            (
                in_string(Location::Json { pointer: "/url".to_owned() }, Part::Parameter { name: "key".to_owned() }),
                "a/b/c at /url ?key",
            ),
            (in_string(Location::WholeValue, Part::Item { name: "Key".to_owned() }), "a/b/c at Key"),
            (
                nested(
                    Location::Json { pointer: "/file".to_owned() },
                    Location::Variable { section: Some("s".to_owned()), variable: "V".to_owned() },
                ),
                "a/b/c at /file, inside it at [s] V",
            ),
        ] {
            assert_eq!(spot("a/b/c", location).to_string(), words);
        }
    }
}
