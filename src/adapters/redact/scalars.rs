//! The scalars of a stored value, which are secret. The names of fields and variables are not: an error may show
//! them.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// The maximum depth of documents within texts of documents.
const DEEPEST: usize = 4;

/// Whether `is_found` accepts any scalar of the value. A value that is not a document, or whose names are ambiguous,
/// is one scalar.
pub(super) fn any(value: &[u8], is_found: &dyn Fn(&[u8]) -> bool) -> bool {
    within(value, DEEPEST, is_found)
}

fn within(value: &[u8], deeper: usize, is_found: &dyn Fn(&[u8]) -> bool) -> bool {
    if deeper > 0 && value.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first)) {
        let found = Cell::new(false);
        let scalars = Scalars { deeper: deeper - 1, is_found, found: &found };
        let mut json = serde_json::Deserializer::from_slice(value);
        let parsed = scalars.deserialize(&mut json).and_then(|()| json.end());
        if found.get() || parsed.is_ok() {
            return found.get();
        }
    }
    // A single line may be a password with a colon; several lines with names are a document.
    if !value.trim_ascii_end().contains(&b'\n') {
        return is_found(value);
    }
    value.split(|byte| *byte == b'\n').any(|line| is_found(scalar_of(line)))
}

/// The text after `NAME=` or `name: ` in a line; the whole line if it has no name or no value.
fn scalar_of(line: &[u8]) -> &[u8] {
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-\"' ".contains(byte);
    let Some(end) = line.iter().position(|byte| b"=:".contains(byte)) else { return line };
    let (name, scalar) = (&line[..end], line[end + 1..].trim_ascii());
    let is_mark = line[end] == b'=' || line.get(end + 1).is_some_and(u8::is_ascii_whitespace);
    let is_said = !scalar.is_empty() && !scalar.starts_with(b"=");
    if is_mark && is_said && name.iter().all(is_of_a_name) { scalar } else { line }
}

#[derive(Clone, Copy)]
struct Scalars<'f> {
    deeper: usize,
    is_found: &'f dyn Fn(&[u8]) -> bool,
    found: &'f Cell<bool>,
}

impl Scalars<'_> {
    /// Ends the parse at the first scalar that is found.
    fn look<E: Error>(self, scalar: &[u8]) -> Result<(), E> {
        if within(scalar, self.deeper, self.is_found) {
            self.found.set(true);
            return Err(E::custom("found"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Scalars<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalars<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.look(text.as_bytes())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.look(number.to_string().as_bytes())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.look(number.to_string().as_bytes())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.look(number.to_string().as_bytes())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(self)?;
        }
        Ok(())
    }
}
