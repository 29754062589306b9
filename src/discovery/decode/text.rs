//! What counts as text in bytes.

use crate::discovery::wiped::Wiped;

/// The shortest id (16 characters). Shorter words are not kept, nor are shorter texts among bytes that are not text: they
/// keep the readings of noise small.
pub(super) const SHORTEST: usize = 16;

/// Stands between two texts, and in no text.
pub(super) const BREAK: u8 = 0xff;

pub(super) const fn is_of_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// The texts in the bytes: ASCII, and long enough for an id. In every encoding, an id is one uninterrupted run of
/// ASCII characters.
pub(super) fn texts(bytes: &[u8]) -> Wiped {
    let mut joined = Wiped::with_capacity(bytes.len() + 1);
    for text in bytes.split(|byte| !is_of_text(*byte)).filter(|text| text.len() >= SHORTEST) {
        joined.extend_from_slice(text);
        joined.push(BREAK);
    }
    joined
}

pub(super) fn narrow(bytes: &[u8]) -> Wiped {
    let mut narrow = Wiped::with_capacity(bytes.len());
    narrow.extend(bytes.iter().filter(|byte| **byte != 0));
    narrow
}
