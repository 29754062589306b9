//! Every reading of stored bytes, to a bounded depth: what discovery sees in them and what the search sees are the same.
//!
//! The bytes are read as they are, as UTF-16, without the escapes of JSON and YAML and those of URLs, out of base 64 in
//! each alignment, and out of gzip; whatever that gives is read in all of these ways again. What is kept of a reading
//! are its words: an id is one, or stands within one.
//!
//! A yes too many only keeps a key that could go; a no too many breaks whoever still reads it. So no reading is preferred
//! to another, and what is not read to its end is told: [`Unopened`].

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::Read as _;

use zeroize::Zeroizing;

use super::escapes::{Unescaped, without_backslashes, without_percents};
use super::signature::{self, Compressed};

/// How many encodings may lie around an id.
pub(super) const DEEPEST: usize = 6;

/// The shortest id (16 characters). Shorter words are not kept, nor are shorter texts among bytes that are none: they
/// keep the readings of noise small.
const SHORTEST: usize = 16;

/// How many characters of base 64 the shortest id takes at least.
const SHORTEST_WRAPPED: usize = 22;

/// How many bytes may be read, for each byte of the value or of what was compressed in it. An ordinary document
/// takes ten or twenty, also where encodings are nested; only what is made to be costly takes more.
const READ_FOR_EACH_BYTE: usize = 128;

/// What even the smallest value may take.
const READ_AT_LEAST: usize = 1024 * 1024;

/// What it costs to try whether something is compressed: the memory for it is made anew each time.
const OF_ONE_ATTEMPT: usize = 64 * 1024;

/// How many bytes may come out of what is compressed in one value.
const MOST_INFLATED: usize = 32 * 1024 * 1024;

/// How many bytes identify gzip data: ID1, ID2 and CM (RFC 1952, 2.3.1).
const GZIP_MAGIC: usize = 3;

/// Stands between two texts, and in no text.
const BREAK: u8 = 0xff;

/// Why a value was not read to its end: it may name any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unopened {
    /// An archive, or compressed data; of this kind.
    Archive(&'static str),
    /// More encodings lie within each other than are taken off.
    TooDeep,
    /// It takes more work than a value may.
    TooMuch,
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(kind) => write!(f, "it holds {kind} data, which rotator does not open"),
            Self::TooDeep => write!(f, "more than {DEEPEST} encodings lie within each other in it"),
            Self::TooMuch => f.write_str("what is encoded or compressed in it is too much to be searched"),
        }
    }
}

/// What the readings of some bytes have in them.
pub(super) struct Decoded {
    /// The words of at least [`SHORTEST`] letters, digits and underscores, each on a line. Overwritten when dropped.
    pub(super) words: Zeroizing<Vec<u8>>,
    /// How many bytes of these are words of the value as it is.
    pub(super) plain: usize,
    /// Why there may be more.
    pub(super) unopened: Option<Unopened>,
}

/// Reads the bytes in every way. The time is linear in their number.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Decoder { words, plain, unopened, .. } = decoder_of(bytes);
    Decoded { words, plain, unopened }
}

fn decoder_of(bytes: &[u8]) -> Decoder {
    let mut decoder = Decoder {
        words: Zeroizing::new(Vec::new()),
        plain: 0,
        unread: VecDeque::new(),
        seen: HashSet::new(),
        hasher: RandomState::new(),
        budget: READ_AT_LEAST.saturating_add(bytes.len().saturating_mul(READ_FOR_EACH_BYTE)),
        inflatable: MOST_INFLATED,
        whole: BTreeSet::new(),
        damaged: Vec::new(),
        unopened: None,
    };
    decoder.met(0, texts(bytes));
    decoder.plain = decoder.words.len();
    decoder.bytes(0, bytes);
    while let Some((depth, text)) = decoder.unread.pop_front() {
        decoder.text(depth, &text);
    }
    if !decoder.damaged.iter().all(|damaged| decoder.is_whole_elsewhere(damaged)) {
        decoder.not_opened(Unopened::Archive("damaged gzip"));
    }
    decoder
}

struct Decoder {
    words: Zeroizing<Vec<u8>>,
    plain: usize,
    /// Texts and how many encodings were around each, the outer ones first.
    unread: VecDeque<(usize, Zeroizing<Vec<u8>>)>,
    /// Length and hash of the texts that were met.
    seen: HashSet<(usize, u64)>,
    hasher: RandomState,
    budget: usize,
    inflatable: usize,
    /// How what could be decompressed begins, and how what could not: a part of the former, where its base 64 is cut into
    /// lines that this reading does not join.
    whole: BTreeSet<Vec<u8>>,
    damaged: Vec<Vec<u8>>,
    unopened: Option<Unopened>,
}

impl Decoder {
    /// The first reason stays, but an archive is a better one: it can be named.
    fn not_opened(&mut self, why: Unopened) {
        self.unopened = Some(self.unopened.map_or(why, |before| before.min(why)));
    }

    /// Whether another reading opened what this one found cut off, after 16 bytes or where its text ended.
    fn is_whole_elsewhere(&self, damaged: &[u8]) -> bool {
        let is_whole =
            |part: &[u8]| self.whole.range(part.to_vec()..).next().is_some_and(|whole| whole.starts_with(part));
        let ends = memchr::memchr_iter(BREAK, damaged).filter(|end| *end >= GZIP_MAGIC);
        ends.chain([damaged.len()]).any(|end| is_whole(&damaged[..end]))
    }

    /// Whether so many bytes may still be read.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.unwrap_or_default();
        if left.is_none() {
            self.not_opened(Unopened::TooMuch);
        }
        left.is_some()
    }

    /// Takes in what came out of `depth` encodings.
    fn bytes(&mut self, depth: usize, bytes: &[u8]) {
        if !self.spend(bytes.len()) {
            return;
        }
        if let Some(kind) = signature::archive(bytes) {
            self.not_opened(Unopened::Archive(kind));
        }
        self.met(depth, texts(bytes));
        // UTF-16 of either order, with a mark or without: what is ASCII has a zero beside each letter.
        if memchr::memchr(0, bytes).is_some() {
            let mut narrow = Zeroizing::new(Vec::with_capacity(bytes.len()));
            narrow.extend(bytes.iter().filter(|byte| **byte != 0));
            self.met(depth, texts(&narrow));
        }
        self.compressed(depth, bytes);
    }

    /// Keeps a text to be read, and its words.
    fn met(&mut self, depth: usize, text: Zeroizing<Vec<u8>>) {
        if text.is_empty() || !self.seen.insert((text.len(), self.hasher.hash_one(text.as_slice()))) {
            return;
        }
        for word in text.split(|byte| !is_of_word(*byte)).filter(|word| word.len() >= SHORTEST) {
            self.words.extend_from_slice(word);
            self.words.push(b'\n');
        }
        self.unread.push_back((depth, text));
    }

    fn text(&mut self, depth: usize, text: &[u8]) {
        for unescaped in [without_backslashes(text), without_percents(text)] {
            let Some(Unescaped { plain, spells_letters }) = unescaped else { continue };
            if depth < DEEPEST {
                self.bytes(depth + 1, &plain);
            } else if spells_letters {
                self.not_opened(Unopened::TooDeep);
            }
        }
        for begin in 0..4 {
            // The budget is that of what comes out: three bytes for four characters.
            if !self.spend(text.len()) {
                return;
            }
            let plain = out_of_base64(text, begin);
            if depth < DEEPEST {
                self.bytes(depth + 1, &plain);
            } else if holds_something(&plain) {
                self.not_opened(Unopened::TooDeep);
            }
        }
    }

    /// Opens what gzip or zlib has compressed, wherever it begins.
    fn compressed(&mut self, depth: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((kind, from_here)) = signature::compressed(rest) {
            if !self.spend(OF_ONE_ATTEMPT) {
                return;
            }
            let most = self.inflatable.min(self.budget);
            let Inflated { plain, whole, left } = match kind {
                Compressed::Gzip => inflate(flate2::bufread::GzDecoder::new(from_here), most, |it| it.into_inner()),
                Compressed::Zlib => inflate(flate2::bufread::ZlibDecoder::new(from_here), most, |it| it.into_inner()),
            };
            match (whole, kind) {
                (Whole::Yes, _) if depth >= DEEPEST => self.not_opened(Unopened::TooDeep),
                (Whole::Yes, _) => {
                    self.whole.insert(beginning(from_here));
                }
                (Whole::Damaged, Compressed::Gzip) => self.damaged.push(beginning(from_here)),
                // Two bytes are no proof that it is zlib's.
                (Whole::Damaged, Compressed::Zlib) => {}
                (Whole::TooMuch, _) => self.not_opened(Unopened::TooMuch),
            }
            self.inflatable -= plain.len();
            self.budget = self.budget.saturating_add(plain.len().saturating_mul(READ_FOR_EACH_BYTE));
            if depth < DEEPEST && whole != Whole::TooMuch {
                self.bytes(depth + 1, &plain);
            }
            // Another member may follow.
            rest = if whole == Whole::Yes { left } else { &from_here[1..] };
        }
    }
}

/// By which the same data is known in two readings: little more than its header.
fn beginning(compressed: &[u8]) -> Vec<u8> {
    compressed[..compressed.len().min(16)].to_vec()
}

/// What came out of compressed data.
struct Inflated<'b> {
    plain: Zeroizing<Vec<u8>>,
    whole: Whole,
    /// What follows it.
    left: &'b [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    Damaged,
    TooMuch,
}

fn inflate<'b, D: std::io::Read>(mut decoder: D, most: usize, left: impl Fn(D) -> &'b [u8]) -> Inflated<'b> {
    let mut plain = Zeroizing::new(Vec::new());
    let read = (&mut decoder).take(most as u64 + 1).read_to_end(&mut plain);
    let whole = match read {
        Ok(_) if plain.len() > most => Whole::TooMuch,
        Ok(_) => Whole::Yes,
        Err(_) => Whole::Damaged,
    };
    plain.truncate(most);
    Inflated { plain, whole, left: left(decoder) }
}

/// Whether anything would come of reading these bytes.
fn holds_something(bytes: &[u8]) -> bool {
    let narrow = || Zeroizing::new(bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<u8>>());
    signature::compressed(bytes).is_some()
        || signature::archive(bytes).is_some()
        || !texts(bytes).is_empty()
        || (memchr::memchr(0, bytes).is_some() && !texts(&narrow()).is_empty())
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The texts in the bytes: ASCII, and long enough for an id. Whatever is around an id and in however many encodings, the
/// characters that say it are ASCII and stand together.
fn texts(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let is_of_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let texts = || bytes.split(|byte| !is_of_text(*byte)).filter(|text| text.len() >= SHORTEST);
    let mut joined = Zeroizing::new(Vec::with_capacity(texts().map(|text| text.len() + 1).sum()));
    for text in texts() {
        joined.extend_from_slice(text);
        joined.push(BREAK);
    }
    joined
}

/// What comes out of each run of base 64 of either alphabet, its groups of four beginning at its character `begin`: where
/// they do is not known, since something else may stand before them without a break. Blanks and line ends are passed over.
fn out_of_base64(text: &[u8], begin: usize) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    for run in text.split(|byte| sextet(*byte).is_none() && !byte.is_ascii_whitespace()) {
        if run.len() < SHORTEST_WRAPPED {
            continue;
        }
        let (mut bits, mut count) = (0_u32, 0_u32);
        for six in run.iter().filter_map(|byte| sextet(*byte)).skip(begin) {
            bits = (bits << 6 | u32::from(six)) & 0xfff;
            count += 6;
            if count >= 8 {
                count -= 8;
                plain.push((bits >> count & 0xff) as u8);
            }
        }
        plain.push(BREAK);
    }
    plain
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

#[cfg(test)]
mod tests;
