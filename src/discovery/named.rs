//! Whether a value names an id: as it is, JSON-escaped, URL-encoded, or wrapped in base 64.
//!
//! Asked for every old key against every stored value before a key is removed, so both sides are prepared once. A yes
//! too many only keeps a key that could go; a no too many breaks whoever still reads it. Hence no word boundaries and
//! no guess at a value's form: every reading is tried.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use zeroize::Zeroizing;

use super::form;
use crate::rotation::name::AccessKeyId;
use crate::rotation::secret::SecretValue;

/// Escapes within escapes (JSON in JSON, `%2541`) are taken off this many times.
const NESTED: usize = 3;

/// Whether `value` names `id`. For many ids or values, prepare [`Haystack`] and [`Needle`].
#[must_use]
pub fn names(value: &SecretValue, id: &AccessKeyId) -> bool {
    Haystack::new(value).names(&Needle::new(id))
}

/// An id, prepared to be sought in many values.
#[derive(Debug, Clone)]
pub struct Needle {
    plain: Finder<'static>,
    wrapped: [Finder<'static>; 3],
}

impl Needle {
    /// Prepares the id.
    #[must_use]
    pub fn new(id: &AccessKeyId) -> Self {
        Self {
            plain: Finder::new(id.as_str()).into_owned(),
            wrapped: [0, 1, 2].map(|before| Finder::new(&wrapped(id, before)).into_owned()),
        }
    }
}

/// What base 64 makes of the id when `before` (0 to 2) bytes precede it in its group of three: only the characters
/// that no neighbour has a part in. These are the same in the standard and the URL-safe alphabet, since letters,
/// digits and underscores give neither of the two characters in which the alphabets differ.
fn wrapped(id: &AccessKeyId, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(id.as_str().as_bytes());
    let whole = STANDARD.encode(&bytes);
    // 8 bits a byte, 6 bits a character.
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    whole[first..last].to_owned()
}

/// A value, prepared to have many ids sought in it. Its copies are overwritten when it is dropped.
pub struct Haystack<'v> {
    raw: &'v [u8],
    /// The value with escapes taken off; only where it has any.
    unescaped: Vec<Zeroizing<Vec<u8>>>,
    /// The value and its unescaped readings without blanks and line ends: base 64 may be wrapped. Only where there are
    /// any.
    joined: Vec<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Haystack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Haystack(…)")
    }
}

impl<'v> Haystack<'v> {
    /// Prepares the value.
    #[must_use]
    pub fn new(value: &'v SecretValue) -> Self {
        let raw = value.expose();
        let mut unescaped: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut begin = 0;
        for round in 0..NESTED {
            let end = unescaped.len();
            let readings: Vec<_> = if round == 0 {
                [without_backslashes(raw), without_percents(raw)].into_iter().flatten().collect()
            } else {
                let once_more = |bytes: &Zeroizing<Vec<u8>>| [without_backslashes(bytes), without_percents(bytes)];
                unescaped[begin..end].iter().flat_map(once_more).flatten().collect()
            };
            begin = end;
            for reading in readings {
                if !unescaped.contains(&reading) {
                    unescaped.push(reading);
                }
            }
        }
        let joined =
            std::iter::once(raw).chain(unescaped.iter().map(|bytes| bytes.as_slice())).filter_map(joined).collect();
        Self { raw, unescaped, joined }
    }

    /// Whether the value names the id.
    #[must_use]
    pub fn names(&self, id: &Needle) -> bool {
        let has_wrapped = |bytes: &[u8]| id.wrapped.iter().any(|wrapped| wrapped.find(bytes).is_some());
        self.readings().any(|bytes| id.plain.find(bytes).is_some() || has_wrapped(bytes))
            || self.joined.iter().any(|bytes| has_wrapped(bytes))
    }

    /// Every id that the value names and that can be told by its form alone.
    pub(super) fn ids(&self) -> BTreeSet<AccessKeyId> {
        let mut ids: BTreeSet<AccessKeyId> = self.readings().flat_map(form::ids_within).collect();
        for bytes in self.readings().chain(self.joined.iter().map(|bytes| bytes.as_slice())) {
            unwrap_base64(bytes, &mut ids);
        }
        ids
    }

    fn readings(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.raw).chain(self.unescaped.iter().map(|bytes| bytes.as_slice()))
    }
}

/// Collects the ids within whatever in `bytes` may be base 64.
fn unwrap_base64(bytes: &[u8], ids: &mut BTreeSet<AccessKeyId>) {
    const SHORTEST: usize = 26; // characters, of 20 bytes
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    for run in bytes.split(|byte| !in_alphabet(byte)).filter(|run| run.len() >= SHORTEST) {
        let standard: Zeroizing<Vec<u8>> = Zeroizing::new(
            run.iter()
                .map(|byte| match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    other => *other,
                })
                .collect(),
        );
        // Where its groups of four begin is not known: something else may stand before it without a break.
        for begin in 0..4 {
            let group = &standard[begin..begin + (standard.len() - begin) / 4 * 4];
            if let Ok(plain) = STANDARD.decode(group).map(Zeroizing::new) {
                ids.extend(form::ids_within(&plain));
            }
        }
    }
}

/// The bytes with JSON's escapes taken off; none where there are none.
fn without_backslashes(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'\\', bytes)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (byte, length) = match (first, after) {
            (b'\\', [b'u', digits @ ..]) => match hexadecimal(digits.get(..4)) {
                // Ids are ASCII: whatever else is escaped cannot be part of one.
                Some(code) => (u8::try_from(code).unwrap_or(b'?'), 6),
                None => (b'\\', 1),
            },
            (b'\\', [b'n' | b'r' | b't' | b'f' | b'b', ..]) => (b'\n', 2),
            (b'\\', [escaped @ (b'\\' | b'"' | b'/'), ..]) => (*escaped, 2),
            _ => (*first, 1),
        };
        plain.push(byte);
        rest = &rest[length..];
    }
    Some(plain)
}

/// The bytes with `%XX` taken off; none where there is none.
fn without_percents(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'%', bytes)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = if *first == b'%' { hexadecimal(after.get(..2)) } else { None };
        let (byte, length) = code.and_then(|code| u8::try_from(code).ok()).map_or((*first, 1), |byte| (byte, 3));
        plain.push(byte);
        rest = &rest[length..];
    }
    (plain.len() < bytes.len()).then_some(plain)
}

fn hexadecimal(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// The bytes without blanks and line ends; none where there are none.
fn joined(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let trimmed = bytes.trim_ascii();
    if !trimmed.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let mut joined = Zeroizing::new(Vec::with_capacity(trimmed.len()));
    joined.extend(trimmed.iter().filter(|byte| !byte.is_ascii_whitespace()));
    Some(joined)
}

#[cfg(test)]
mod tests;
