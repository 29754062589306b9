//! One pass over bytes: which runs of base 64 are in them, and which other readings they may have.

use super::base64::{SHORTEST_WRAPPED, Sextets};
use super::text::is_of_text;

/// What bytes have in them, as one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found(u8);

impl Found {
    /// A byte that is in no text.
    pub(super) const NOT_TEXT: Self = Self(1);
    /// A zero: the bytes may be UTF-16.
    pub(super) const ZERO: Self = Self(2);
    pub(super) const BACKSLASH: Self = Self(4);
    pub(super) const PERCENT: Self = Self(8);
    /// A byte that every signature of an archive has at its second place or later, or one of them.
    pub(super) const ARCHIVE: Self = Self(16);
    /// A byte that is the second one of compressed data.
    pub(super) const COMPRESSED: Self = Self(32);

    pub(super) const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }
}

/// What each byte between two runs of base 64 means.
static MEANS: [u8; 256] = {
    let mut means = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let at = byte as u8;
        if !is_of_text(at) {
            means[byte] |= Found::NOT_TEXT.0;
        }
        means[byte] |= match at {
            0 => Found::ZERO.0,
            b'\\' => Found::BACKSLASH.0,
            b'%' => Found::PERCENT.0,
            _ => 0,
        };
        // `PK\x03`, `PK\x05`, `7z\xbc`, `\xfd7z`, `\x28\xb5`, `\x04\x22`, `1AY&`, `Rar!\x1a`, `LZIP\x01`.
        if matches!(at, 0x03 | 0x05 | 0xbc | 0xfd | 0xb5 | 0x04 | b'&' | 0x1a | 0x01) {
            means[byte] |= Found::ARCHIVE.0;
        }
        if matches!(at, 0x8b | 0x01 | 0x5e | 0x9c | 0xda) {
            means[byte] |= Found::COMPRESSED.0;
        }
        byte += 1;
    }
    means
};

const BLOCK: usize = 64;

/// Collects the runs of base 64 in `bytes`, and says what else is in them.
pub(super) fn scan(bytes: &[u8], sextets: &mut Sextets) -> Found {
    sextets.clear(bytes.len());
    let mut found = 0;
    let mut begin = 0;
    let mut end_run = |at: usize| {
        if at - begin >= SHORTEST_WRAPPED {
            sextets.push_run(&bytes[begin..at]);
        }
        begin = at + 1;
    };
    let mut blocks = bytes.chunks_exact(BLOCK);
    let mut at = 0;
    let mut block_of = |ends: u64, at: usize| {
        let mut ends = ends;
        while ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            found |= MEANS[usize::from(bytes[end])];
            end_run(end);
            ends &= ends - 1;
        }
    };
    for block in &mut blocks {
        let block: &[u8; BLOCK] = block.try_into().expect("of this size");
        block_of(ends(block), at);
        at += BLOCK;
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        let all = ends(&block) & ((1 << rest.len()) - 1);
        block.fill(0);
        std::hint::black_box(&mut block);
        block_of(all, at);
    }
    end_run(bytes.len());
    sextets.finish();
    Found(found)
}

/// Which bytes of a block are neither a character of base 64 nor a blank, one bit each. Written so that the compiler
/// makes vector instructions of it.
fn ends(block: &[u8; BLOCK]) -> u64 {
    let mut is_end = [0_u8; BLOCK];
    for (is_end, byte) in is_end.iter_mut().zip(block) {
        let byte = *byte;
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        // `/` precedes the digits.
        let is_digit = byte.wrapping_sub(b'/') < 11;
        let is_other = (byte == b'+') | (byte == b'-') | (byte == b'_');
        let is_blank = (byte == b' ') | (byte == b'\n') | (byte == b'\r') | (byte == b'\t');
        *is_end = u8::from(!(is_letter | is_digit | is_other | is_blank));
    }
    let mut ends = 0;
    for (number, eight) in is_end.chunks_exact(8).enumerate() {
        let eight = u64::from_le_bytes(eight.try_into().expect("eight"));
        // Moves the lowest bit of each byte to the highest byte.
        ends |= (eight.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * number);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_run_is_seen_at_each_place() {
        for byte in 0..=255_u8 {
            let is_end = !(byte.is_ascii_alphanumeric() || b"+-/_ \n\r\t".contains(&byte));
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                assert_eq!(ends(&block), u64::from(is_end) << at, "{byte} at {at}");
            }
            assert!(is_end || MEANS[usize::from(byte)] == 0, "{byte} means something");
        }
    }
}
