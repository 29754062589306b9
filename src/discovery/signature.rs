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
    if bytes.starts_with(b"%PDF-") {
        return Some("PDF");
    }
    // The third byte says how many bits a code has, 9 to 16, and leaves two bits unset.
    if bytes.starts_with(b"\x1f\x9d") && bytes.get(2).is_some_and(|flags| matches!(flags & 0x7f, 9..=16)) {
        return Some("compress");
    }
    archive_within(bytes)
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
    let kind = |at: usize| match bytes.get(at..)? {
        [0x1f, 0x8b, 0x08, flags, _, _, _, _, 0 | 2 | 4, 0..=13 | 255, ..] if flags & 0xe0 == 0 => {
            Some(Compressed::Gzip)
        }
        // Deflate has no blocks of kind 3.
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, first, ..] if first & 0b110 != 0b110 => Some(Compressed::Zlib),
        _ => None,
    };
    memchr::memchr2_iter(0x1f, 0x78, bytes.get(from..)?).find_map(|at| Some((kind(from + at)?, from + at)))
}
