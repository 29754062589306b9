//! Whether a value names an id: as it is, JSON-escaped, URL-encoded, or wrapped in base 64.
//!
//! Asked for every old key against every stored value before a key is removed, so both sides are prepared once. A yes
//! too many only keeps a key that could go; a no too many breaks whoever still reads it. Hence no word boundaries and
//! no guess at a value's form: every reading is tried.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
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
    wrapped: [Wrapped; 3],
}

impl Needle {
    /// Prepares the id.
    #[must_use]
    pub fn new(id: &AccessKeyId) -> Self {
        Self { plain: Finder::new(id.as_str()).into_owned(), wrapped: [0, 1, 2].map(|before| Wrapped::new(id, before)) }
    }
}

/// What base 64 makes of an id when 0, 1 or 2 bytes precede it in its group of three.
#[derive(Debug, Clone)]
struct Wrapped {
    /// The characters that no neighbour has a part in. They are the same in the standard and the URL-safe alphabet:
    /// letters, digits and underscores give neither of the two characters in which the alphabets differ.
    own: Finder<'static>,
    /// The id's bits in the character before, which it shares.
    first: Option<Shared>,
    /// The id's bits in the character after, which it shares.
    last: Option<Shared>,
}

/// Some of the six bits of a character.
#[derive(Debug, Clone, Copy)]
struct Shared {
    mask: u8,
    bits: u8,
}

impl Wrapped {
    fn new(id: &AccessKeyId, before: usize) -> Self {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(id.as_str().as_bytes());
        let whole = STANDARD_NO_PAD.encode(&bytes);
        // 8 bits a byte, 6 bits a character.
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        let shared = |at: Option<usize>, mask: u8| {
            let character = *whole.as_bytes().get(at?)?;
            Some(Shared { mask, bits: sextet(character)? & mask })
        };
        Self {
            own: Finder::new(&whole[first..last]).into_owned(),
            first: shared(first.checked_sub(1), 0b11_1111 >> (before * 8 % 6)),
            last: shared(Some(last), (0b11_1111_u8 << (6 - bytes.len() * 8 % 6)) & 0b11_1111),
        }
    }

    fn stands_in(&self, bytes: &[u8]) -> bool {
        let fits = |shared: Option<Shared>, character: Option<&u8>| {
            shared.is_none_or(|shared| {
                character.and_then(|character| sextet(*character)).is_some_and(|six| six & shared.mask == shared.bits)
            })
        };
        self.own.find_iter(bytes).any(|at| {
            fits(self.first, at.checked_sub(1).and_then(|before| bytes.get(before)))
                && fits(self.last, bytes.get(at + self.own.needle().len()))
        })
    }
}

/// The six bits that a character of either base 64 alphabet stands for.
const fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
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
        let has_wrapped = |bytes: &[u8]| id.wrapped.iter().any(|wrapped| wrapped.stands_in(bytes));
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
    const SHORTEST: usize = 27; // characters, of 20 bytes
    for run in bytes.split(|byte| sextet(*byte).is_none()).filter(|run| run.len() >= SHORTEST) {
        // Where its groups of four begin is not known: something else may stand before it without a break.
        for begin in 0..4 {
            let mut plain = Zeroizing::new(Vec::with_capacity(run.len()));
            for group in run[begin..].chunks(4) {
                let bits = group.iter().fold(0, |bits, byte| bits << 6 | u32::from(sextet(*byte).unwrap_or_default()));
                let [_, three @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
                plain.extend_from_slice(&three[..group.len() * 6 / 8]);
            }
            ids.extend(form::ids_within(&plain));
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
pub(super) fn without_percents(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
