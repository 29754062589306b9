//! The lines of a journal, and the form of what the journal keeps: JSON with the version of the form, and nothing that this rotator does not know.
//!
//! An older rotator must not act on half of a record. A field that it dropped could be a condition of a removal, so what
//! is unknown is refused and never passed over. serde's own `deny_unknown_fields` does not see into the variants without
//! fields of an internally tagged enum, which most intents are; here the value is written out again and compared.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::rotation::event::Event;
use crate::rotation::record::Rotation;
use crate::types::name::RotationId;
use crate::types::time::Timestamp;

/// One line: append-only, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub rotation: RotationId,
    /// 1 for `opened`, then one more each.
    pub seq: u64,
    /// The local clock.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A rotation as the journal's summary keeps it, in the same transaction as its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The rotation after its last line.
    pub rotation: Rotation,
    /// That line's number.
    pub seq: u64,
    /// When it was opened, by the local clock.
    pub opened_at: Timestamp,
    /// When its last line was written, by the local clock.
    pub updated_at: Timestamp,
}

/// The version that each new line, summary and note carries. It is raised together with a migration of the file: builds
/// that are older then refuse the file before they read a line of it. What has no version is of version 1.
pub const FORMAT: u64 = 2;

/// The name of the field that holds the version.
const VERSION: &str = "format";

/// Why a text of the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Another rotator, a newer one, wrote it.
    #[error("it has format {found}, and this rotator knows {FORMAT} at most")]
    NewerFormat {
        /// Its version.
        found: u64,
    },
    /// It says something for which this rotator has no word.
    #[error("this rotator does not know {what}")]
    Unknown {
        /// The field, or serde's words for the variant.
        what: String,
    },
    /// It is not what rotator writes.
    #[error(transparent)]
    Nonsense(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    format: u64,
    #[serde(flatten)]
    value: &'a T,
}

/// The text of a value: an object of JSON that begins with its version.
///
/// # Errors
/// serde's, if the value is no object: a defect of rotator.
pub fn write<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Versioned { format: FORMAT, value })
}

/// The value of a text, if every word of it is known.
///
/// # Errors
/// [`FormError`]: it is not to be acted on.
pub fn read<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, FormError> {
    // What this rotator wrote is the same text again, so it has nothing that is unknown.
    if let Ok(value) = serde_json::from_str::<T>(text)
        && is_written_as(&value, text)
    {
        return Ok(value);
    }
    read_other(text)
}

/// Whether [`write`] returns this text for the value. No text is made for it.
fn is_written_as<T: Serialize>(value: &T, text: &str) -> bool {
    let mut rest = Rest(text.as_bytes());
    serde_json::to_writer(&mut rest, &Versioned { format: FORMAT, value }).is_ok() && rest.0.is_empty()
}

/// The part of a text that is not yet written. It accepts this part only.
struct Rest<'a>(&'a [u8]);

impl std::io::Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads what is not exactly the text that this rotator would write: that of another version.
fn read_other<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, FormError> {
    let mut found: Value = serde_json::from_str(text)?;
    if let Some(version) = found.as_object_mut().and_then(|fields| fields.remove(VERSION)) {
        // A version that is no number is of a rotator that counts otherwise.
        let version = version.as_u64().unwrap_or(u64::MAX);
        if version > FORMAT {
            return Err(FormError::NewerFormat { found: version });
        }
    }
    let value = T::deserialize(&found).map_err(unknown_or_nonsense)?;
    match unknown_field(&found, &serde_json::to_value(&value)?) {
        Some(path) => Err(FormError::Unknown { what: format!("the field `{path}`") }),
        None => Ok(value),
    }
}

/// serde has no type of error for a variant that it does not know, but words that begin alike.
fn unknown_or_nonsense(error: serde_json::Error) -> FormError {
    let what = error.to_string();
    if what.starts_with("unknown variant") {
        // Which variants are known is of no use to an operator.
        let what = what.split(',').next().unwrap_or_default().to_owned();
        return FormError::Unknown { what: what.replacen("unknown variant", "the word", 1) };
    }
    FormError::Nonsense(error)
}

/// The path of the first field in `found` that `known`, the same value written out again, does not have.
fn unknown_field(found: &Value, known: &Value) -> Option<String> {
    match (found, known) {
        (Value::Object(found), Value::Object(known)) => found.iter().find_map(|(name, value)| {
            let Some(known) = known.get(name) else { return Some(name.clone()) };
            unknown_field(value, known).map(|rest| format!("{name}.{rest}"))
        }),
        (Value::Array(found), Value::Array(known)) => {
            let inner = found.iter().zip(known).enumerate();
            inner
                .into_iter()
                .find_map(|(index, (found, known))| unknown_field(found, known).map(|rest| format!("{index}.{rest}")))
        }
        (Value::Object(found), _) => found.keys().next().cloned(),
        (Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::event::NotDone;
    use crate::rotation::intent::Intent;

    #[test]
    fn what_is_written_carries_the_version_and_reads_back() {
        let text = write(&Event::Intended(Intent::DeleteOld)).expect("an object");
        assert_eq!(text, r#"{"format":2,"event":"intended","intent":"delete-old"}"#);
        assert_eq!(read::<Event>(&text).expect("known"), Event::Intended(Intent::DeleteOld));
        let first = r#"{"event":"not-done","why":"seen"}"#;
        assert_eq!(read::<Event>(first).expect("of version 1"), Event::NotDone(NotDone::Seen));
    }

    #[test]
    fn what_is_not_known_is_refused_wherever_it_stands() {
        for (text, names) in [
            (r#"{"format":3,"event":"unblocked"}"#, "format 3"),
            (r#"{"format":"x","event":"unblocked"}"#, "format"),
            (r#"{"event":"moved"}"#, "`moved`"),
            (r#"{"event":"intended","intent":"move"}"#, "`move`"),
            (r#"{"event":"unblocked","by":"x"}"#, "`by`"),
            (r#"{"event":"intended","intent":"delete-old","unless":"used"}"#, "`unless`"),
            (r#"{"event":"not-done","why":"refused","kind":"other","message":"no","code":"x"}"#, "`code`"),
            (r#"{"event":"blocked","reason":"too-many-creates","most":6}"#, "`most`"),
            (r#"{"event":"blocked","reason":"teapot"}"#, "`teapot`"),
        ] {
            let error = read::<Event>(text).expect_err(text);
            assert!(!matches!(error, FormError::Nonsense(_)), "{text}: {error:?}");
            assert!(error.to_string().contains(names) && !error.to_string().contains("expected"), "{text}: {error}");
        }
        for text in ["", "{}", "[]", "{\"event\":\"deferred\"}"] {
            assert!(matches!(read::<Event>(text), Err(FormError::Nonsense(_))), "{text}");
        }
    }
}
