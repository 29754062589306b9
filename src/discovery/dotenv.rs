//! The variables of a dotenv file and the keys of an INI file, each with the bytes of its value.
//!
//! Only what every reader takes for the same is given a text: a value with escapes or expansions has none. A line that
//! is no assignment, comment or section makes the whole text something else (a script, prose), which is not edited.

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::field::{Field, FieldText, Group, Room, Unclear, Writing};
use super::key_format;
use crate::types::place::Location;

/// The assignments in the text; none where it is neither dotenv nor INI, or has no assignment.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    read(text, Foreign::Refused)
}

/// The same without the lines of other forms: commands of a shell, names without a value, names with brackets. Their
/// content is neither read nor changed.
pub(super) fn lenient(text: &str) -> Option<Vec<Field>> {
    read(text, Foreign::SteppedOver)
}

/// What is made of a line that is no assignment, comment or section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Foreign {
    Refused,
    SteppedOver,
}

fn read(text: &str, foreign: Foreign) -> Option<Vec<Field>> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { text, at: start };
    let (mut section, mut room): (Option<String>, _) = (None, Room::new());
    let mut fields: Vec<Field> = Vec::new();
    let mut seen: BTreeMap<Location, usize> = BTreeMap::new();
    // After what may be the head of a section and cannot be read nothing is known to be of the section before.
    let mut is_lost = false;
    while let Some(byte) = reader.peek() {
        let begin = reader.at;
        let item = match byte {
            b'\n' | b'\r' | b'#' | b';' => reader.end_line().map(|()| Item::Nothing),
            b'[' => reader.section().map(Item::Section),
            _ => reader.assignment(),
        };
        match item {
            None if foreign == Foreign::Refused => return None,
            None => {
                reader.at = begin;
                is_lost = is_lost || reader.may_be_a_section();
                if section.is_some()
                    && reader.is_indented()
                    && let Some(field) = fields.last_mut()
                {
                    field.text = Err(Unclear::Folded);
                }
                reader.at += reader.line().len();
                reader.at += reader.rest().find('\n').map_or(reader.rest().len(), |end| end + 1);
            }
            Some(Item::Nothing) => {}
            Some(Item::Section(name)) => (section, is_lost) = (Some(name), false),
            Some(Item::Assignment(..)) if is_lost => {}
            Some(Item::Assignment(variable, span, text, writing)) => {
                room.take_field(2 * (section.as_ref().map_or(0, String::len) + variable.len()))?;
                let location = Location::Variable { section: section.clone(), variable: variable.clone() };
                let twice = if let Some(first) = seen.get(&location) {
                    fields.get_mut(*first).into_iter().for_each(|field| field.twice = true);
                    true
                } else {
                    seen.insert(location.clone(), fields.len());
                    false
                };
                let group = Group::Section(section.clone());
                fields.push(Field {
                    location,
                    name: Some(variable),
                    group,
                    span,
                    text,
                    writing,
                    twice,
                    alias_group: 0,
                });
            }
        }
    }
    (!fields.is_empty()).then_some(fields)
}

/// One line, or the several lines of a quoted value.
enum Item {
    /// Empty, or a comment.
    Nothing,
    Section(String),
    Assignment(String, Range<usize>, FieldText, Writing),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Steps over spaces and tabs; the byte that follows, none at the end of the text.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    /// The rest of the line, without its end.
    fn line(&self) -> &'a str {
        let rest = self.rest();
        let line = rest.split('\n').next().unwrap_or_default();
        if line.len() < rest.len() { line.strip_suffix('\r').unwrap_or(line) } else { line }
    }

    /// Steps over blanks, a comment and the end of the line. None if the line has other text there.
    fn end_line(&mut self) -> Option<()> {
        if matches!(self.peek(), Some(b'#' | b';')) {
            self.at += self.line().len();
        }
        let rest = self.rest();
        let end = if rest.starts_with("\r\n") { 2 } else { 1 };
        if rest.is_empty() || rest.starts_with('\n') || end == 2 {
            self.at = (self.at + end).min(self.text.len());
            return Some(());
        }
        None
    }

    /// `[name]`
    fn section(&mut self) -> Option<String> {
        let name = self.line().strip_prefix('[')?.split(']').next()?;
        self.at += name.len() + 1;
        if !self.rest().starts_with(']') {
            return None;
        }
        self.at += 1;
        self.end_line()?;
        Some(name.trim().to_owned())
    }

    /// `[name` and not `[ -f .env ]`, which is a shell's.
    fn may_be_a_section(&self) -> bool {
        let inner = self.line().trim_start_matches('[');
        inner.len() < self.line().len() && !inner.starts_with([' ', '\t'])
    }

    fn is_indented(&self) -> bool {
        self.text[..self.at].ends_with([' ', '\t'])
    }

    fn assignment(&mut self) -> Option<Item> {
        let variable = self.name()?;
        let (span, text, writing) = self.value()?;
        Some(Item::Assignment(variable, span, text, writing))
    }

    /// `export NAME =`
    fn name(&mut self) -> Option<String> {
        let (before, _) = self.line().split_once('=')?;
        self.at += before.len() + 1;
        let name = before.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(before).trim();
        let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        // Names in INI files have spaces at times (`log level`).
        let words = name.split([' ', '\t']).all(|word| word.chars().all(is_name));
        (words && name.starts_with(|first: char| first.is_alphanumeric() || first == '_')).then(|| name.to_owned())
    }

    /// A value and the end of its line: the bytes within any quotes, and what they say to every reader.
    fn value(&mut self) -> Option<(Range<usize>, FieldText, Writing)> {
        let first = self.peek();
        let (span, writing) = match first {
            Some(quote @ (b'\'' | b'"')) => {
                let start = self.at + 1;
                let end = self.closing(start, quote)?;
                self.at = end + 1;
                (start..end, if quote == b'"' { Writing::DoubleQuoted } else { Writing::SingleQuoted })
            }
            _ => {
                let value = without_comment(self.line()).trim_end();
                let start = self.at;
                self.at += value.len();
                (start..self.at, Writing::Bare)
            }
        };
        self.end_line()?;
        let said = &self.text[span.clone()];
        let unclear: &[char] = match first {
            Some(b'\'') => &['\\'],
            Some(b'"') => &['\\', '$', '`'],
            _ => &['\'', '"', '\\', '$', '`'],
        };
        let text = match said.contains(unclear) {
            true if first == Some(b'{') && is_json(said) => Ok(Zeroizing::new(said.to_owned())),
            true if key_format::is_reference(said) => Err(Unclear::Reference),
            true => Err(Unclear::Shell),
            false => Ok(Zeroizing::new(said.to_owned())),
        };
        Some((span, text, writing))
    }

    /// The end of a quoted value, which may have several lines.
    fn closing(&self, start: usize, quote: u8) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            match bytes.get(at)? {
                byte if *byte == quote => return Some(at),
                b'\\' if quote == b'"' => at += 2,
                _ => at += 1,
            }
        }
    }
}

/// Whether a value without quotes is an object of JSON's in which no shell would replace anything.
fn is_json(said: &str) -> bool {
    !said.contains(['\\', '$', '`', '\'']) && serde_json::from_str::<serde::de::IgnoredAny>(said).is_ok()
}

/// An unquoted value up to a `#` or `;` that follows a blank.
fn without_comment(line: &str) -> &str {
    if line.starts_with(['#', ';']) {
        return "";
    }
    let comment = line.as_bytes().windows(2).position(|two| matches!(two, [b' ' | b'\t', b'#' | b';']));
    comment.map_or(line, |at| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Location, text (`None`: not plain) and writing of each value.
    fn told(text: &str) -> Option<Vec<(String, Option<String>, Writing)>> {
        let fields = fields(text)?;
        Some(
            fields
                .into_iter()
                .map(|field| {
                    let said = field.text.ok().map(|said| said.to_string());
                    if let Some(said) = &said {
                        assert_eq!(said, &text[field.span]);
                    }
                    (field.location.to_string(), said, field.writing)
                })
                .collect(),
        )
    }

    #[test]
    fn the_usual_forms_of_a_value_are_read() {
        use Writing::{Bare, DoubleQuoted, SingleQuoted};
        for (line, name, said, writing) in [
            ("A=b", "A", Some("b"), Bare),
            ("A=b\r\n", "A", Some("b"), Bare),
            ("  A = b  \n", "A", Some("b"), Bare),
            ("export A=b\n", "A", Some("b"), Bare),
            ("export\tA=b", "A", Some("b"), Bare),
            ("exported=b", "exported", Some("b"), Bare),
            ("A=a=b==", "A", Some("a=b=="), Bare),
            ("A=b # why", "A", Some("b"), Bare),
            ("A=b#c", "A", Some("b#c"), Bare),
            ("A=b ;why", "A", Some("b"), Bare),
            ("A=", "A", Some(""), Bare),
            ("A= # nothing", "A", Some(""), Bare),
            ("A=b c", "A", Some("b c"), Bare),
            ("A='b' # why", "A", Some("b"), SingleQuoted),
            ("A=\"b#c\"\r\n", "A", Some("b#c"), DoubleQuoted),
            ("A=\"b\nc\"", "A", Some("b\nc"), DoubleQuoted),
            ("A=\"b\\\"c\"", "A", None, DoubleQuoted),
            ("A=\"$B\"", "A", None, DoubleQuoted),
            ("A='$B'", "A", Some("$B"), SingleQuoted),
            ("A=$B", "A", None, Bare),
            ("A=b'c", "A", None, Bare),
            ("log level = 3", "log level", Some("3"), Bare),
            ("\u{feff}A=b", "A", Some("b"), Bare),
            ("A=é", "A", Some("é"), Bare),
        ] {
            assert_eq!(told(line), Some(vec![(name.to_owned(), said.map(str::to_owned), writing)]), "{line:?}");
        }
    }

    #[test]
    fn sections_comments_and_empty_lines() {
        let text = "# one\n\nA=1\r\n; two\r\n[default]\nA=2\n\t\n[profile x] # three\nA=3";
        let names: Vec<String> = told(text).expect("INI").into_iter().map(|field| field.0).collect();
        assert_eq!(names, ["A", "[default] A", "[profile x] A"]);
    }

    #[test]
    fn a_name_that_is_there_twice_is_marked() {
        let twice =
            |text: &str| -> Vec<bool> { fields(text).expect("dotenv").iter().map(|field| field.twice).collect() };
        assert_eq!(twice("A=1\nB=2\nexport A=3\n"), [true, false, true]);
        assert_eq!(twice("[a]\nA=1\n[b]\nA=2\n[a]\nA=3"), [true, false, true]);
    }

    #[test]
    fn other_text_is_neither_dotenv_nor_ini() {
        for text in [
            "",
            "# only a comment\n",
            "[default]\n",
            "words\n",
            "A=1\nwords\n",
            "A='1",
            "A=\"1\\",
            "A='1' 2",
            "A='a'\"b\"",
            "=1",
            "if [ \"$A\" = 1 ]; then",
            "[open\nA=1",
            "A=1\rB=2\r[x",
            "https://host/?a=b",
        ] {
            assert!(told(text).is_none() || text.starts_with("A=1\r"), "{text:?}");
        }
    }
}
