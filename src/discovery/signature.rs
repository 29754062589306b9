//! By which bytes compressed data is recognised: what the decoder opens, what it does not, and what is harmless.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Archives and compressed data that are not opened: what each is called, and how it begins. Long enough that they are
/// looked for anywhere: what is encrypted or drawn does not have them by chance.
const ARCHIVES: [(&str, &[u8]); 9] = [
    ("zip", b"PK\x03\x04"),
    ("zip", b"PK\x05\x06\0\0\0\0"),
    ("7z", b"7z\xbc\xaf\x27\x1c"),
    ("xz", b"\xfd7zXZ\0"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("lz4", b"\x04\x22\x4d\x18"),
    ("bzip2", b"\x31\x41\x59\x26\x53\x59"),
    ("rar", b"Rar!\x1a\x07"),
    ("lzip", b"LZIP\x01"),
];

/// How images and keystores begin, and what age has encrypted. They may have the bytes of an archive in them, and hold no
/// text that anything takes a key from.
const HARMLESS: [&[u8]; 9] = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"\0\0\x01\0",
    b"\xfe\xed\xfe\xed",
    b"\xce\xce\xce\xce",
    b"age-encryption.org/",
];

static SIGNATURES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let signatures = ARCHIVES.map(|(_, signature)| signature);
    AhoCorasick::new(signatures).expect("nine short signatures make an automaton")
});

/// Whether bytes that begin like this hold no text, whatever their content is.
pub(super) fn is_harmless(begin: &[u8]) -> bool {
    let is_webp = begin.starts_with(b"RIFF") && begin.get(8..12) == Some(b"WEBP");
    is_webp || HARMLESS.iter().any(|start| begin.starts_with(start))
}

/// What kind of archive the bytes are, or hold.
pub(super) fn archive(bytes: &[u8]) -> Option<&'static str> {
    if is_harmless(bytes) {
        return None;
    }
    archive_at_the_beginning(bytes).or_else(|| archive_within(bytes))
}

/// The kind of an archive that is recognised only where the bytes begin.
pub(super) fn archive_at_the_beginning(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"%PDF-") {
        return Some("PDF");
    }
    match bytes {
        // The third byte says how many bits a code has at most, 9 to 16, and leaves two bits unset.
        [0x1f, 0x9d, flags, codes @ ..] if matches!(flags & 0x7f, 9..=16) && are_codes_of_compress(*flags, codes) => {
            Some("compress")
        }
        _ => None,
    }
}

/// Whether these may be the first codes of `compress`: nine bits each, and each a letter or a text that is known by then.
/// The three bytes before are too few alone: the base 64 of one random secret in 300,000 has them, and would count as an
/// archive that may name any key.
fn are_codes_of_compress(flags: u8, bytes: &[u8]) -> bool {
    // In block mode the code after the letters clears the table, which may happen at any time.
    let (is_block_mode, letters) = (flags & 0x80 != 0, 256);
    let first_free = if is_block_mode { letters + 1 } else { letters };
    let codes = (0..).map_while(|number: usize| {
        let bit = number * 9;
        let two = [*bytes.get(bit / 8)?, *bytes.get(bit / 8 + 1)?];
        Some((number, usize::from(u16::from_le_bytes(two) >> (bit % 8) & 0x1ff)))
    });
    for (number, code) in codes {
        // From here on a code has ten bits.
        if first_free + number > 512 || (is_block_mode && code == letters && number > 0) {
            return true;
        }
        let is_known = code < letters || (number > 0 && (first_free..first_free + number).contains(&code));
        if !is_known {
            return false;
        }
    }
    true
}

/// The kind of an archive that begins anywhere in the bytes.
pub(super) fn archive_within(bytes: &[u8]) -> Option<&'static str> {
    // One pass for all of them.
    let found = SIGNATURES.find_overlapping_iter(bytes).map(|found| (found.pattern().as_usize(), found.start()));
    let first = found.filter(|(number, at)| fits(ARCHIVES[*number].0, bytes, *at)).map(|(number, _)| number).min();
    first.map(|number| ARCHIVES[number].0)
}

/// Whether the bytes around a signature match it.
fn fits(kind: &str, bytes: &[u8], at: usize) -> bool {
    match kind {
        // The version needed to extract is below 10.0, and of 16 bits.
        "zip" => matches!(bytes.get(at + 4..at + 6), Some([0..=99, 0])),
        // The first block follows `BZh` and the size of the blocks.
        "bzip2" => at.checked_sub(4).is_some_and(|start| bytes[start..].starts_with(b"BZh")),
        // Reserved bits.
        "zstd" => bytes.get(at + 4).is_some_and(|flags| flags & 0b1000 == 0),
        "lz4" => bytes.get(at + 4).is_some_and(|flags| flags & 0b1100_0010 == 0b0100_0000),
        _ => true,
    }
}

/// Compressed data that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressed {
    /// Its header is right in all that a header shows.
    Gzip,
    /// Two bytes only tell it: it may be something else.
    Zlib,
}

/// The first data that may be compressed and begins at byte `from` or later: its kind, and where it begins.
pub(super) fn compressed(bytes: &[u8], from: usize) -> Option<(Compressed, usize)> {
    memchr::memchr2_iter(GZIP_FIRST, ZLIB_FIRST, bytes.get(from..)?)
        .find_map(|at| Some((compressed_head(&bytes[from + at..])?, from + at)))
}

/// The kind of the compressed data that begins with these bytes.
fn compressed_head(bytes: &[u8]) -> Option<Compressed> {
    match bytes {
        [GZIP_FIRST, 0x8b, 0x08, flags, _, _, _, _, 0 | 2 | 4, 0..=13 | 255, ..] if flags & 0xe0 == 0 => {
            Some(Compressed::Gzip)
        }
        // Deflate has no blocks of kind 3.
        [ZLIB_FIRST, second, first, ..] if ZLIB_SECOND.contains(second) && first & 0b110 != 0b110 => {
            Some(Compressed::Zlib)
        }
        _ => None,
    }
}

const GZIP_FIRST: u8 = 0x1f;

/// The first byte of zlib data as it is written: deflate with a window of 32 KiB.
pub(super) const ZLIB_FIRST: u8 = 0x78;

/// The second byte of zlib data: the level of compression, and a check.
pub(super) const ZLIB_SECOND: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];

/// How many bytes [`begins`] looks at.
pub(super) const LONGEST: usize = 10;

/// The beginnings that are longer than two bytes and are sought anywhere.
pub(super) fn long_ones() -> impl Iterator<Item = &'static [u8]> {
    std::iter::once([GZIP_FIRST, 0x8b, 0x08].as_slice()).chain(ARCHIVES.iter().map(|(_, begin)| *begin))
}

/// What begins with some bytes.
pub(super) enum Begins {
    /// Perhaps zlib data.
    Zlib,
    /// Gzip data or an archive.
    Other,
}

/// Whether a signature that is sought anywhere may have these two bytes first.
pub(super) const fn may_begin(two: [u8; 2]) -> bool {
    matches!(
        two,
        [ZLIB_FIRST, 0x01 | 0x5e | 0x9c | 0xda]
            | [GZIP_FIRST, 0x8b]
            | [b'P', b'K']
            | [b'7', b'z']
            | [0xfd, b'7']
            | [0x28, 0xb5]
            | [0x04, 0x22]
            | [0x31, 0x41]
            | [b'R', b'a']
            | [b'L', b'Z']
    )
}

/// Which signature that is sought anywhere these bytes begin with.
pub(super) fn begins(bytes: &[u8]) -> Option<Begins> {
    match compressed_head(bytes) {
        Some(Compressed::Zlib) => Some(Begins::Zlib),
        Some(Compressed::Gzip) => Some(Begins::Other),
        None => ARCHIVES.iter().any(|(_, begin)| bytes.starts_with(begin)).then_some(Begins::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `compress` writes, as long as its codes have nine bits.
    fn compress(text: &[u8]) -> Vec<u8> {
        let mut known: Vec<Vec<u8>> = (0..=255).map(|letter| vec![letter]).chain([Vec::new()]).collect();
        let (mut bits, mut count, mut written) = (0_u32, 0, vec![0x1f, 0x9d, 0x90]);
        let mut rest = text;
        while !rest.is_empty() && known.len() < 511 {
            let longest = (0..known.len()).filter(|code| !known[*code].is_empty() && rest.starts_with(&known[*code]));
            let code = longest.max_by_key(|code| known[*code].len()).expect("every letter is known");
            let length = known[code].len();
            known.push(rest[..rest.len().min(length + 1)].to_vec());
            rest = &rest[length..];
            bits |= u32::try_from(code).expect("nine bits") << count;
            count += 9;
            while count >= 8 {
                written.push((bits & 0xff) as u8);
                bits >>= 8;
                count -= 8;
            }
        }
        written.push((bits & 0xff) as u8);
        written
    }

    #[test]
    fn what_compress_writes_is_recognised() {
        for text in ["AKIAABCDEFGHIJ234567", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "key = AKIAABCDEFGHIJ234567\n"] {
            let written = compress(text.repeat(8).as_bytes());
            assert_eq!(archive(&written), Some("compress"), "{text}");
            assert_eq!(archive(&written[..20]), Some("compress"), "{text}, cut off");
        }
    }

    #[test]
    fn two_bytes_tell_where_a_signature_may_begin() {
        let zlib = ZLIB_SECOND.map(|second| [ZLIB_FIRST, second]);
        let begins: Vec<[u8; 2]> = long_ones().map(|begin| [begin[0], begin[1]]).chain(zlib).collect();
        for two in (0..=u16::MAX).map(u16::to_be_bytes) {
            assert_eq!(may_begin(two), begins.contains(&two), "{two:?}");
        }
    }
}
