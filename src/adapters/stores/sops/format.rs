//! The properties of sops files: their format, whether they are encrypted, and the difference of two documents as
//! sops parses them.

use memchr::memmem;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::discovery::Source;

/// The prefix of every value that sops has encrypted, including the checksum.
const SEALED: &[u8] = b"ENC[AES256_GCM,";

/// The key that sops adds to a document.
const METADATA: &str = "sops";

/// The formats of sops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    Dotenv,
    Ini,
    /// Any other file, which is one value.
    Binary,
}

impl Format {
    /// The format that sops derives from the file name.
    pub(super) fn of(name: &str) -> Self {
        match name {
            name if name.ends_with(".yaml") || name.ends_with(".yml") => Self::Yaml,
            name if name.ends_with(".json") => Self::Json,
            name if name.ends_with(".env") => Self::Dotenv,
            name if name.ends_with(".ini") => Self::Ini,
            _ => Self::Binary,
        }
    }

    /// The name of the format in sops.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// Whether sops has written these bytes. A truncated or changed file counts, so that its failing decryption is
/// reported.
#[must_use]
pub fn is_encrypted(bytes: &[u8]) -> bool {
    memmem::find(bytes, SEALED).is_some()
}

/// Whether sops has written a value that is not in memory.
pub(super) fn is_encrypted_where_it_is(value: &dyn Source) -> std::io::Result<bool> {
    const PART: usize = 1024 * 1024;
    let (mut at, mut part) = (0, vec![0; PART]);
    loop {
        let count = value.read_at(at, &mut part)?;
        if is_encrypted(&part[..count]) {
            return Ok(true);
        }
        // The prefix may be split between two parts.
        match count.checked_sub(SEALED.len()) {
            Some(new @ 1..) => at += new as u64,
            Some(0) | None => return Ok(false),
        }
    }
}

/// A changed text of a document.
pub(super) struct Change {
    /// The index of the text, in the syntax of `sops set`.
    pub(super) index: String,
    pub(super) text: Zeroizing<String>,
}

/// Why one document cannot be changed to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChangeError {
    /// Names, numbers or the number of items differ.
    #[error("more than texts would change")]
    MoreThanTexts,
    /// `sops set` cannot take such a name.
    #[error("the name of the field, or of a table around it, contains a `[`, which `sops set` does not accept")]
    Bracket,
}

/// The texts in which `new` differs from `old`; both are documents in sops' JSON.
pub(super) fn changes(mut old: Value, mut new: Value) -> Result<Vec<Change>, ChangeError> {
    for document in [&mut old, &mut new] {
        document.as_object_mut().map(|members| members.remove(METADATA));
    }
    let mut changes = Vec::new();
    compare(&old, &new, String::new(), &mut changes)?;
    Ok(changes)
}

fn compare(old: &Value, new: &Value, index: String, changes: &mut Vec<Change>) -> Result<(), ChangeError> {
    if old == new {
        return Ok(());
    }
    if let (Value::Object(old), Value::Object(new)) = (old, new)
        && old.len() == new.len()
    {
        for (name, old) in old {
            let new = new.get(name).ok_or(ChangeError::MoreThanTexts)?;
            if old != new && name.contains('[') {
                return Err(ChangeError::Bracket);
            }
            compare(old, new, format!("{index}[\"{name}\"]"), changes)?;
        }
        return Ok(());
    }
    if let (Value::Array(old), Value::Array(new)) = (old, new)
        && old.len() == new.len()
    {
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            compare(old, new, format!("{index}[{at}]"), changes)?;
        }
        return Ok(());
    }
    let (Value::String(_), Value::String(new)) = (old, new) else { return Err(ChangeError::MoreThanTexts) };
    changes.push(Change { index, text: Zeroizing::new(new.clone()) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The index and the text of each change.
    fn told(old: Value, new: Value) -> Result<Vec<(String, String)>, ChangeError> {
        let told = changes(old, new)?.into_iter().map(|change| (change.index, change.text.to_string()));
        Ok(told.collect())
    }

    #[test]
    fn the_format_is_what_sops_takes_it_for() {
        for (name, format) in [
            ("a/b.json", Format::Json),
            ("a.yaml", Format::Yaml),
            ("a.yml", Format::Yaml),
            ("shop/.env", Format::Dotenv),
            ("live.env", Format::Dotenv),
            ("a.ini", Format::Ini),
            ("credentials", Format::Binary),
            ("a.json.enc", Format::Binary),
            ("A.JSON", Format::Binary),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }

    #[test]
    fn only_texts_change_and_each_has_its_index() {
        let old = json!({"a": {"id": "1", "n": 1.5, "l": ["x", {"secret": "2"}]}, "same": "s", "sops": {"mac": "1"}});
        let new = json!({"a": {"l": ["x", {"secret": "é\n"}], "id": "3", "n": 1.5}, "same": "s", "sops": {"mac": "2"}});
        let index = |index: &str, text: &str| (index.to_owned(), text.to_owned());
        let changed = [index(r#"["a"]["id"]"#, "3"), index(r#"["a"]["l"][1]["secret"]"#, "é\n")];
        assert_eq!(told(old.clone(), new).expect("texts"), changed);
        assert_eq!(told(old.clone(), old).expect("nothing"), []);
    }

    #[test]
    fn any_other_change_is_refused() {
        for (old, new) in [
            (json!({"a": "1"}), json!({"b": "1"})),
            (json!({"a": "1"}), json!({"a": "1", "b": "2"})),
            (json!({"a": ["1"]}), json!({"a": ["1", "2"]})),
            (json!({"a": 1}), json!({"a": 2})),
            (json!({"a": "1"}), json!({"a": 1})),
            (json!({"a": "1"}), json!({"a": {"b": "1"}})),
        ] {
            assert_eq!(told(old.clone(), new.clone()), Err(ChangeError::MoreThanTexts), "{old} {new}");
        }
        assert_eq!(told(json!({"a[0]": {"b": "1"}}), json!({"a[0]": {"b": "2"}})), Err(ChangeError::Bracket));
        assert_eq!(told(json!({"a[0]": "1", "b": "1"}), json!({"a[0]": "1", "b": "2"})).expect("texts").len(), 1);
    }
}
