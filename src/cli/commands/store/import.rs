//! The input of `store import`: a JSON object of entry names and string values. The errors name entries and positions
//! in the text, never a value.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use zeroize::Zeroizing;

use crate::types::name::{EntryName, InvalidName};
use crate::types::secret::SecretValue;

/// Why a text cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("it is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    #[error("its JSON ends too early")]
    CutOff,
    #[error("it is not a JSON object of names and values")]
    NotAnObject,
    /// An entry name is not valid.
    #[error("{0}")]
    Name(#[from] InvalidName),
    /// A value is not a string.
    #[error("the value of {entry} is {found}, not a string")]
    NotText {
        entry: EntryName,
        /// The JSON type of the value.
        found: &'static str,
    },
    /// An entry occurs twice, so its value is ambiguous.
    #[error("the entry {entry} is there twice")]
    Twice { entry: EntryName },
}

/// Parses the whole text.
///
/// # Errors
/// The first problem in the text.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(EntryName, SecretValue)>, Problem> {
    // Some editors write a byte order mark at the beginning.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let members: Members = serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Data => Problem::NotAnObject,
        Category::Eof => Problem::CutOff,
        Category::Syntax | Category::Io => Problem::NotJson { line: error.line(), column: error.column() },
    })?;
    let mut seen = BTreeSet::new();
    let mut entries = Vec::with_capacity(members.0.len());
    for (name, value) in members.0 {
        let entry = EntryName::new(name)?;
        if !seen.insert(entry.clone()) {
            return Err(Problem::Twice { entry });
        }
        match value {
            Value::Text(text) => entries.push((entry, SecretValue::new(text.as_bytes().to_vec()))),
            Value::Other(found) => return Err(Problem::NotText { entry, found }),
        }
    }
    Ok(entries)
}

/// The members of an object in their order, including repeated names.
struct Members(Vec<(String, Value)>);

enum Value {
    Text(Zeroizing<String>),
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfObject)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAny;
        impl<'de> Visitor<'de> for OfAny {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(Zeroizing::new(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(Zeroizing::new(text)))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other("true or false"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other("a number"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Other("a number"))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other("a number"))
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other("null"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other("a list"))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other("an object (write a document as one string, its quotes escaped)"))
            }
        }
        deserializer.deserialize_any(OfAny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn names_and_values_come_through_byte_for_byte() {
        let entries = parse("\u{feff}{\"a/b/c\": \" x\\n\", \"a/b/d\": \"ü\\u0000\"}".as_bytes()).expect("valid");
        let entries: Vec<_> = entries.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(entries, [("a/b/c", b" x\n".as_slice()), ("a/b/d", "ü\0".as_bytes())]);
        assert!(parse(b"{}").expect("valid").is_empty());
    }

    #[test]
    fn each_problem_is_named_and_no_value_is() {
        for (text, words) in [
            ("", "ends too early"),
            ("{\"a/b/c\": \"hunter2\"", "ends too early"),
            ("{\"a/b/c\": hunter2}", "line 1, column"),
            ("{\"a/b/c\": \"hunter2\"} hunter2", "line 1, column"),
            ("[\"hunter2\"]", "not a JSON object"),
            ("\"hunter2\"", "not a JSON object"),
            ("{\"a/b\": \"hunter2\"}", "\"a/b\" is not an entry name"),
            ("{\"a/b/c\": {\"x\": \"hunter2\"}}", "a/b/c is an object"),
            ("{\"a/b/c\": [\"hunter2\"]}", "a/b/c is a list"),
            ("{\"a/b/c\": 42}", "a/b/c is a number"),
            ("{\"a/b/c\": -4.2}", "a/b/c is a number"),
            ("{\"a/b/c\": null}", "a/b/c is null"),
            ("{\"a/b/c\": true}", "a/b/c is true or false"),
            ("{\"a/b/c\": \"hunter2\", \"a/b/c\": \"hunter2\"}", "a/b/c is there twice"),
        ] {
            let said = problem(text);
            assert!(said.contains(words), "{text}: {said}");
            assert!(!said.contains("hunter2") && !said.contains("42"), "{text}: {said}");
        }
    }
}
