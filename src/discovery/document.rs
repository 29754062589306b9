//! A stored text as fields: each text that could be half of a pair, with the bytes it stands in and how it is written.
//!
//! What the fields mean is not decided here.

use std::ops::Range;

use zeroize::Zeroizing;

use super::place::Location;
use super::{json, lines};

/// One text in a document.
pub(super) struct Field {
    pub(super) location: Location,
    /// The key or variable it stands under; none for an element of an array.
    pub(super) name: Option<String>,
    /// The object or section around it.
    pub(super) group: Group,
    /// The bytes that a splice replaces.
    pub(super) span: Range<usize>,
    /// What a reader gets; none where that depends on the reader (shell escapes and expansions).
    pub(super) text: Option<Zeroizing<String>>,
    pub(super) writing: Writing,
    /// Whether its name is there twice: which one counts depends on the reader.
    pub(super) twice: bool,
}

/// What stands together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// A JSON object or array, by its pointer.
    Json(String),
    /// A section of an INI file, or what stands before the first (all of a dotenv file).
    Section(Option<String>),
}

impl Group {
    /// Whether `other` is this group or lies within it. Sections do not lie within each other.
    pub(super) fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(outer), Self::Json(inner)) => {
                inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            (Self::Section(one), Self::Section(other)) => one == other,
            (Self::Json(_), Self::Section(_)) | (Self::Section(_), Self::Json(_)) => false,
        }
    }

    /// The group around this one.
    pub(super) fn outer(&self) -> Option<Self> {
        match self {
            Self::Json(pointer) => pointer.rfind('/').map(|end| Self::Json(pointer[..end].to_owned())),
            Self::Section(_) => None,
        }
    }

    /// How many groups are around this one.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Json(pointer) => pointer.bytes().filter(|byte| *byte == b'/').count(),
            Self::Section(_) => 0,
        }
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// By itself.
    Whole,
    /// A JSON string; the span has its quotes.
    JsonString,
    /// A variable's value without quotes.
    Bare,
    /// Within `'…'`; the span is without them.
    SingleQuoted,
    /// Within `"…"`; the span is without them.
    DoubleQuoted,
}

impl Writing {
    /// `text` written in this way; none where it cannot be, so that every reader takes it for the same.
    pub(super) fn encode(self, text: &str) -> Option<Zeroizing<String>> {
        let as_it_is = match self {
            Self::JsonString => return serde_json::to_string(text).ok().map(Zeroizing::new),
            Self::Whole | Self::Bare => text.bytes().all(is_plain),
            Self::SingleQuoted | Self::DoubleQuoted => text.bytes().all(|byte| is_plain(byte) || byte == b' '),
        };
        (as_it_is && !text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
    }
}

/// Bytes that mean themselves to every shell and every dotenv library, quoted or not; all of base 64 is among them.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'.' | b':' | b',' | b'@' | b'%')
}

/// The fields of a JSON document, a dotenv file or an INI file; none where the text is something else.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    json::fields(text).or_else(|| lines::fields(text))
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
        text: Some(Zeroizing::new(trimmed.to_owned())),
        writing: Writing::Whole,
        twice: false,
    }
}

fn is_around(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{feff}'
}

/// The fields of `text` as the document that `location` belongs to.
pub(super) fn fields_as(text: &str, location: &Location) -> Option<Vec<Field>> {
    match location {
        Location::WholeValue => Some(vec![whole(text)]),
        Location::Json { .. } => json::fields(text),
        Location::Variable { .. } => lines::fields(text),
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

    #[test]
    fn an_object_holds_what_lies_within() {
        let json = |pointer: &str| Group::Json(pointer.to_owned());
        assert!(json("").holds(&json("/a")) && json("/a").holds(&json("/a/b")) && json("/a").holds(&json("/a")));
        assert!(!json("/a").holds(&json("/ab")) && !json("/a/b").holds(&json("/a")));
        assert_eq!(json("/a/b").outer(), Some(json("/a")));
        assert_eq!((json("/a").outer(), json("").outer()), (Some(json("")), None));
        let section = |name: &str| Group::Section(Some(name.to_owned()));
        assert!(section("a").holds(&section("a")) && !Group::Section(None).holds(&section("a")));
    }

    #[test]
    fn what_cannot_be_written_plainly_is_not_written() {
        for writing in [Writing::Whole, Writing::Bare, Writing::SingleQuoted, Writing::DoubleQuoted] {
            assert!(writing.encode("aZ09+/=").is_some());
            for bad in ["", "a'b", "a\"b", "a\\b", "a$b", "a`b", "a\nb", "a#b"] {
                assert!(writing.encode(bad).is_none(), "{writing:?} {bad:?}");
            }
        }
        assert_eq!(Writing::JsonString.encode("a\"\\/b").expect("any text").as_str(), r#""a\"\\/b""#);
    }
}
