//! Reads a stored text as fields: each text that could be half of a pair, with its bytes and how it is written.
//!
//! What the fields mean is not decided here.

use zeroize::Zeroizing;

use super::field::{Field, Group, Writing};
use super::{connection, dotenv, json, toml, yaml};
use crate::types::place::Location;

/// The fields of `text` as the first kind of document that fits: JSON, a connection string with a pair in it, dotenv
/// or INI without the arrays and inline tables of TOML, TOML, YAML. Any other text is read as lines, without the lines
/// that are no assignment.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    if let Some(fields) = json::fields(text) {
        return Some(fields);
    }
    let alone = whole(text);
    if alone.text.is_ok_and(|alone| connection::pair(&alone).is_some()) {
        return None;
    }
    lines_or_toml(text).or_else(|| yaml::fields(text)).or_else(|| dotenv::lenient(text))
}

/// Dotenv or INI, else TOML. Text may be both, and means the same then, but for TOML's nested values.
fn lines_or_toml(text: &str) -> Option<Vec<Field>> {
    let Some(fields) = dotenv::fields(text) else { return toml::fields(text) };
    let nests = |field: &Field| field.writing == Writing::Bare && text[field.span.clone()].starts_with(['{', '[']);
    let has_nested = fields.iter().any(nests) && fields.iter().all(|field| field.text.is_ok() || nests(field));
    if has_nested { toml::fields(text).or(Some(fields)) } else { Some(fields) }
}

/// The whole value as one field: all but the blanks, line ends and byte order mark around it.
pub(super) fn whole(text: &str) -> Field {
    let trimmed = text.trim_start_matches(is_around).trim_end_matches(is_around);
    let start = text.len() - text.trim_start_matches(is_around).len();
    Field {
        location: Location::WholeValue,
        name: None,
        group: Group::Section(None),
        span: start..start + trimmed.len(),
        text: Ok(Zeroizing::new(trimmed.to_owned())),
        writing: Writing::Whole,
        twice: false,
        alias_group: 0,
    }
}

fn is_around(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{feff}'
}

/// The fields of `text`, read as the kind of document that `location` is in. For a part of a connection string, that
/// is the document around the string.
pub(super) fn fields_as(text: &str, location: &Location) -> Option<Vec<Field>> {
    match location {
        Location::WholeValue => Some(vec![whole(text)]),
        Location::Json { .. } => json::fields(text),
        Location::Variable { .. } => dotenv::lenient(text),
        Location::Toml { .. } => toml::fields(text),
        Location::Yaml { .. } => yaml::fields(text),
        Location::Connection { within, .. } | Location::Nested { within, .. } => fields_as(text, within),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blanks_around_a_whole_value_are_not_it() {
        for (text, span) in [("a", 0..1), (" a\r\n", 1..2), ("\u{feff}a b\n\n", 3..6), ("", 0..0), (" \n", 2..2)] {
            let field = whole(text);
            assert_eq!(field.span, span, "{text:?}");
            assert_eq!(&text[field.span.clone()], field.text.expect("always there").as_str());
        }
    }
}
