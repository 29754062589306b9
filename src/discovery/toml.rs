//! The strings of a TOML document, each with its bytes and its pointer through tables and arrays (RFC 6901).
//!
//! The `toml` crate parses the text, refuses what is nested too deeply, and gives the position of each value.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::field::{Field, Group, Room, Writing, segment};
use crate::types::place::Location;

/// Below longer pointers nothing is read: each field has a copy of its own.
const LONGEST_POINTER: usize = 4096;

/// The strings of the document in their order; none where the text is no TOML, or has none.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    if !may_be(text) {
        return None;
    }
    let document = DeTable::parse(text).ok()?;
    let mut reader = Reader { text, fields: Vec::new(), room: Room::new() };
    reader.table("", document.get_ref())?;
    let mut fields = reader.fields;
    fields.sort_by_key(|field| field.span.start);
    (!fields.is_empty()).then_some(fields)
}

/// Whether the first line that says anything may be TOML: it shows that most other texts are not TOML.
fn may_be(text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .is_some_and(|line| line.starts_with('[') || line.contains('='))
}

struct Reader<'a> {
    text: &'a str,
    fields: Vec<Field>,
    room: Room,
}

impl Reader<'_> {
    /// None: its fields take too much.
    fn table(&mut self, pointer: &str, table: &DeTable<'_>) -> Option<()> {
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            self.value(format!("{pointer}/{}", segment(name)), pointer, Some(name), value)?;
        }
        Some(())
    }

    /// Calls itself for each level; the parser has refused more than a few hundred of them.
    fn value(&mut self, pointer: String, group: &str, name: Option<&str>, value: &Spanned<DeValue<'_>>) -> Option<()> {
        if pointer.len() > LONGEST_POINTER {
            return Some(());
        }
        self.room.take(pointer.len())?;
        match value.get_ref() {
            DeValue::String(said) => {
                let span = value.span();
                let Some((quotes, writing)) = self.text.get(span.clone()).and_then(|written| quotes(written, said))
                else {
                    return Some(());
                };
                self.room.take_field(group.len() + name.map_or(0, str::len))?;
                self.fields.push(Field {
                    location: Location::Toml { pointer },
                    name: name.map(str::to_owned),
                    group: Group::at(group.to_owned()),
                    span: span.start + quotes..span.end - quotes,
                    text: Ok(Zeroizing::new(said.as_ref().to_owned())),
                    writing,
                    twice: false,
                    alias_group: 0,
                });
            }
            DeValue::Array(array) => {
                for (index, element) in array.iter().enumerate() {
                    self.value(format!("{pointer}/{index}"), &pointer, None, element)?;
                }
            }
            DeValue::Table(table) => self.table(&pointer, table)?,
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
        Some(())
    }
}

/// How long a string's quotes are, and how it is written.
fn quotes(written: &str, said: &str) -> Option<(usize, Writing)> {
    let is_literal = written.starts_with('\'');
    let is_long = written.len() >= 6 && (written.starts_with("'''") || written.starts_with("\"\"\""));
    let quotes = if is_long { 3 } else { 1 };
    let inner = written.get(quotes..written.len().checked_sub(quotes)?)?;
    let writing = match (inner.contains(['\n', '\r']), is_literal) {
        (true, _) => Writing::Fixed,
        (false, false) => Writing::DoubleQuoted,
        (false, true) if inner == said => Writing::SingleQuoted,
        (false, true) => return None,
    };
    Some((quotes, writing))
}

#[cfg(test)]
mod tests;
