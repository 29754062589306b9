//! A stored text as fields: each text that could be half of a pair, with the bytes it stands in and how it is written.
//!
//! What the fields mean is not decided here.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use super::connection::Encoding;
use super::{connection, dotenv, json, toml, yaml};
use crate::types::place::Location;

/// One text in a document.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) location: Location,
    /// The key or variable it stands under; none for an element of an array.
    pub(super) name: Option<String>,
    /// The object or section around it.
    pub(super) group: Group,
    /// The bytes that a splice replaces.
    pub(super) span: Range<usize>,
    /// What a reader gets, where that does not depend on the reader.
    pub(super) text: FieldText,
    pub(super) writing: Writing,
    /// Whether its name is there twice: which one counts depends on the reader.
    pub(super) twice: bool,
    /// Where else an anchor makes it stand: two fields with the same number stand together everywhere. 0: nowhere else.
    pub(super) ties: usize,
}

/// What all fields of a document may take, with the names of what is around each: a text whose fields take more is none that
/// is taken apart.
const MOST_TAKEN: usize = 48 * 1024 * 1024;

/// About what one field takes without its names.
const OF_ONE_FIELD: usize = 256;

/// What the fields of a document may still take.
pub(super) struct Room(usize);

impl Room {
    pub(super) const fn new() -> Self {
        Self(MOST_TAKEN)
    }

    /// `bytes` bytes are made. `None` if these are too many.
    pub(super) fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }

    /// A field is made, whose names have `names` bytes.
    pub(super) fn take_field(&mut self, names: usize) -> Option<()> {
        self.take(names.saturating_add(OF_ONE_FIELD))
    }
}

/// What a text says, or why that cannot be told.
pub(super) type FieldText = Result<Zeroizing<String>, Unclear>;

/// Why it cannot be told what a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// A shell or a dotenv library may replace parts of it.
    Shell,
    /// All of it is replaced by what it refers to.
    Reference,
    /// Its lines are joined, and its bytes are not what it says.
    Folded,
    /// A tag, which its reader makes something of.
    Tagged,
    /// Escapes within a connection string that are not those of JSON.
    Escaped,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shell => "it has shell escapes or expansions, and what it says depends on its reader",
            Self::Reference => "it refers to what is kept elsewhere",
            Self::Folded => "it is folded over lines, which rotator does not edit",
            Self::Tagged => "it has a tag, and what it says depends on its reader",
            Self::Escaped => "it is written with escapes that rotator does not take apart",
        })
    }
}

/// What stands together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// An object, array, mapping, sequence or table, by its pointer.
    Tree {
        /// Which of the documents in a stream.
        document: usize,
        /// As in RFC 6901.
        pointer: String,
    },
    /// A section of an INI file, or what stands before the first (all of a dotenv file).
    Section(Option<String>),
}

impl Group {
    /// What the only document of a text has at `pointer`.
    pub(super) const fn at(pointer: String) -> Self {
        Self::Tree { document: 0, pointer }
    }

    /// Whether `other` is this group or lies within it. Sections do not lie within each other.
    pub(super) fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tree { document: one, pointer: outer }, Self::Tree { document: other, pointer: inner }) => {
                one == other
                    && inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            (Self::Section(one), Self::Section(other)) => one == other,
            (Self::Tree { .. }, Self::Section(_)) | (Self::Section(_), Self::Tree { .. }) => false,
        }
    }

    /// The group around this one.
    pub(super) fn outer(&self) -> Option<Self> {
        match self {
            Self::Tree { document, pointer } => {
                let end = pointer.rfind('/')?;
                Some(Self::Tree { document: *document, pointer: pointer[..end].to_owned() })
            }
            Self::Section(_) => None,
        }
    }

    /// The key or index under which it stands in the group around it.
    pub(super) fn last(&self) -> Option<String> {
        match self {
            Self::Tree { pointer, .. } => {
                let (_, last) = pointer.rsplit_once('/')?;
                Some(last.replace("~1", "/").replace("~0", "~"))
            }
            Self::Section(_) => None,
        }
    }

    /// How many groups are around this one.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Tree { pointer, .. } => pointer.bytes().filter(|byte| *byte == b'/').count(),
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
    /// A YAML scalar without quotes, on one line.
    YamlPlain,
    /// The only line of a YAML scalar that begins with `|`.
    YamlLiteral,
    /// Over several lines: read, never written.
    Fixed,
    /// Part of a connection string.
    Part(Encoding),
}

impl Writing {
    /// `text` written in this way; none where it cannot be, so that every reader takes it for the same.
    pub(super) fn encode(self, text: &str) -> Option<Zeroizing<String>> {
        let as_it_is = match self {
            Self::JsonString => return serde_json::to_string(text).ok().map(Zeroizing::new),
            Self::Fixed => return None,
            Self::Part(encoding) => return encoding.encode(text),
            Self::YamlPlain => is_yaml_string(text),
            Self::Whole | Self::Bare | Self::YamlLiteral => text.bytes().all(is_plain),
            Self::SingleQuoted | Self::DoubleQuoted => text.bytes().all(|byte| is_plain(byte) || byte == b' '),
        };
        (as_it_is && !text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
    }
}

/// Bytes that mean themselves to every shell and every dotenv library, quoted or not; all of base 64 is among them.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-' | b'.' | b':' | b',' | b'@' | b'%')
}

/// Whether a YAML scalar without quotes, in braces or not, is this text to every reader, and no number.
fn is_yaml_string(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let in_numbers = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'x' | b'X' | b'o' | b'O');
    text.len() > 5 && text.bytes().all(is_word) && !text.bytes().all(in_numbers)
}

/// The fields of the document that `text` is; none where it is something else. Many texts are of several kinds: JSON is
/// JSON; a line that is a connection string with a pair in it is that; what reads as dotenv or INI is that, unless it has
/// the arrays and inline tables of TOML; then TOML; and YAML, which most texts are, comes next. What is none
/// of these is read as lines once more, without the lines that are no assignment.
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

/// Whether `pointer`, or what it lies beneath, is among `pointers`.
pub(super) fn lies_beneath(pointers: &BTreeSet<String>, pointer: &str) -> bool {
    let outer = |inner: &&'_ str| inner.rfind('/').map(|end| &pointer[..end]);
    std::iter::successors(Some(pointer), outer).any(|outer| pointers.contains(outer))
}

/// A segment of a pointer (RFC 6901).
pub(super) fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
        ties: 0,
    }
}

fn is_around(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{feff}'
}

/// The fields of `text` as the document that `location` belongs to; of a connection string, what it stands in.
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

    #[test]
    fn an_object_holds_what_lies_within() {
        let json = |pointer: &str| Group::at(pointer.to_owned());
        assert!(json("").holds(&json("/a")) && json("/a").holds(&json("/a/b")) && json("/a").holds(&json("/a")));
        assert!(!json("/a").holds(&json("/ab")) && !json("/a/b").holds(&json("/a")));
        assert_eq!(json("/a/b").outer(), Some(json("/a")));
        assert_eq!((json("/a").outer(), json("").outer()), (Some(json("")), None));
        let second = |pointer: &str| Group::Tree { document: 1, pointer: pointer.to_owned() };
        assert!(!json("").holds(&second("/a")) && second("").holds(&second("/a")));
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
