//! A field of a document: a text that may be half of a pair, the bytes that hold it, and how it is written.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::types::place::Location;

/// One text in a document.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) location: Location,
    /// The key or variable that names it; none for an element of an array.
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
    /// The copies that an anchor makes of it: two fields with the same number are copied to the same groups. 0: no
    /// copies.
    pub(super) alias_group: usize,
}

/// What all fields of a document may take, with the names of what is around each: a text whose fields take more is not
/// taken apart.
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

/// What a text says, or why that is unclear.
pub(super) type FieldText = Result<Zeroizing<String>, Unclear>;

/// Why it is unclear what a text says.
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

/// The part of a document that directly contains a field: fields of one group can be a pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// An object, array, mapping, sequence or table, by its pointer.
    Tree {
        /// Which of the documents in a stream.
        document: usize,
        /// As in RFC 6901.
        pointer: String,
    },
    /// A section of an INI file, or the part before the first section (all of a dotenv file).
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

    /// Its key or index in the group around it.
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

/// How a part is written in its string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// What is written as it is, besides letters and digits; all else is percent-encoded.
    pub(super) plain: &'static [u8],
    /// Whether there may be a percent sign: not where the text has no percent sign yet and INI readers take it for interpolation.
    pub(super) percent: bool,
}

impl Encoding {
    pub(super) fn encode(self, text: &str) -> Option<Zeroizing<String>> {
        let mut written = Zeroizing::new(String::with_capacity(text.len() * 3));
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || self.plain.contains(&byte) {
                written.push(char::from(byte));
            } else if self.percent {
                written.push('%');
                for digit in [byte >> 4, byte & 0xf] {
                    written.push(char::from_digit(u32::from(digit), 16)?.to_ascii_uppercase());
                }
            } else {
                return None;
            }
        }
        (!text.is_empty()).then_some(written)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_text_with_special_characters_is_not_encoded_plainly() {
        for writing in [Writing::Whole, Writing::Bare, Writing::SingleQuoted, Writing::DoubleQuoted] {
            assert!(writing.encode("aZ09+/=").is_some());
            for bad in ["", "a'b", "a\"b", "a\\b", "a$b", "a`b", "a\nb", "a#b"] {
                assert!(writing.encode(bad).is_none(), "{writing:?} {bad:?}");
            }
        }
        assert_eq!(Writing::JsonString.encode("a\"\\/b").expect("any text").as_str(), r#""a\"\\/b""#);
    }
}
