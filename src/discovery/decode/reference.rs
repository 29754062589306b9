//! The decoder as it was before it skipped what cannot mean anything: it decodes each text in each alignment. The tests
//! compare the decoder with it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use zeroize::Zeroizing;

use super::inflate::{Inflated, Whole, inflate};
use super::{
    BREAK, DEEPEST, GZIP_MAGIC, LONGEST_HEAD, MOST_INFLATED, OF_ONE_ATTEMPT, READ_AT_LEAST, READ_FOR_EACH_BYTE,
    SHORTEST, Unopened, Windows,
};
use crate::discovery::escapes::{Unescaped, without_backslashes, without_percents};
use crate::discovery::signature::{self, Compressed};
use crate::discovery::source::{self, Source};

/// How many characters of base 64 the shortest id takes at least.
const SHORTEST_WRAPPED: usize = 22;

/// Reads the value in every way.
pub(super) fn decoder_of<'m>(value: &dyn Source, windows: &'m Windows, met: &'m mut dyn FnMut(&[u8])) -> Decoder<'m> {
    let mut decoder = Decoder {
        windows,
        met,
        seen: HashMap::new(),
        hasher: RandomState::new(),
        budget: READ_AT_LEAST,
        inflatable: MOST_INFLATED,
        whole: BTreeSet::new(),
        damaged: Vec::new(),
        cut: Vec::new(),
        ends: true,
        cut_off: false,
        unopened: None,
    };
    decoder.value(0, value);
    if !decoder.damaged.iter().all(|damaged| decoder.is_whole_elsewhere(damaged)) {
        decoder.not_opened(Unopened::Archive("damaged gzip"));
    }
    if !decoder.cut.iter().all(|cut| decoder.is_whole_elsewhere(cut)) {
        decoder.not_opened(Unopened::TooMuch);
    }
    decoder
}

pub(super) struct Decoder<'m> {
    windows: &'m Windows,
    met: &'m mut dyn FnMut(&[u8]),
    /// Length and hash of the texts that were met, and in how few encodings each was.
    seen: HashMap<(usize, u64), usize>,
    hasher: RandomState,
    pub(super) budget: usize,
    inflatable: usize,
    /// How what could be decompressed begins, and how what could not: a part of the former, where its base 64 is cut into
    /// lines that this reading does not join.
    whole: BTreeSet<Vec<u8>>,
    damaged: Vec<Vec<u8>>,
    /// How what a window has cut off begins.
    cut: Vec<Vec<u8>>,
    /// Whether the window in hand is the last one.
    ends: bool,
    /// Whether something was cut off by the window in hand.
    cut_off: bool,
    pub(super) unopened: Option<Unopened>,
}

/// Some bytes in hand, and what they are a part of.
struct Part<'p> {
    bytes: &'p [u8],
    whole: &'p dyn Source,
    at: u64,
    /// How many of the bytes were also in the window before.
    known: usize,
    /// Whether the bytes were decoded, and are not stored like this.
    is_decoded: bool,
}

impl Decoder<'_> {
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

    /// Whether this number of bytes may still be read.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.unwrap_or_default();
        if left.is_none() {
            self.not_opened(Unopened::TooMuch);
        }
        left.is_some()
    }

    /// Reads a whole value, or all the decompressed bytes inside `depth` encodings, window by window.
    fn value(&mut self, depth: usize, value: &dyn Source) {
        let outer = (self.ends, self.cut_off);
        let Windows { size, overlap, wide_overlap, .. } = *self.windows;
        let (mut at, mut known, mut is_harmless) = (0, 0, false);
        let mut buffer = Zeroizing::new(Vec::new());
        loop {
            let bytes = match value.in_memory() {
                Some(all) => {
                    let rest = source::from(all, at);
                    &rest[..rest.len().min(size)]
                }
                None if source::fill(&mut buffer, size, value, at).is_ok() => buffer.as_slice(),
                None => {
                    self.not_opened(Unopened::Unread);
                    break;
                }
            };
            if at == 0 {
                is_harmless = signature::is_harmless(bytes);
            }
            let kind = if at == 0 { signature::archive(bytes) } else { signature::archive_within(bytes) };
            if let Some(kind) = kind.filter(|_| !is_harmless) {
                self.not_opened(Unopened::Archive(kind));
            }
            (self.ends, self.cut_off) = (bytes.len() < size, false);
            self.budget = self.budget.saturating_add(bytes.len().saturating_mul(READ_FOR_EACH_BYTE));
            self.part(depth, &Part { bytes, whole: value, at, known, is_decoded: false });
            if self.ends {
                break;
            }
            known = match self.cut_off {
                true => wide_overlap,
                false => overlap,
            };
            at += (size - known) as u64;
        }
        (self.ends, self.cut_off) = outer;
    }

    /// Reads bytes that were decoded from `depth` encodings.
    fn decoded(&mut self, depth: usize, bytes: &[u8]) {
        if let Some(kind) = signature::archive(bytes) {
            self.not_opened(Unopened::Archive(kind));
        }
        self.part(depth, &Part { bytes, whole: &bytes, at: 0, known: 0, is_decoded: true });
    }

    fn part(&mut self, depth: usize, part: &Part<'_>) {
        if !self.spend(part.bytes.len()) {
            return;
        }
        self.met(depth, &texts(part.bytes));
        // UTF-16 of either order, with a mark or without: what is ASCII has a zero beside each letter.
        if memchr::memchr(0, part.bytes).is_some() {
            let narrow = narrow(part.bytes);
            self.met(depth, &texts(&narrow));
        }
        self.compressed(depth, part);
    }

    /// Shows a text, and reads it.
    fn met(&mut self, depth: usize, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let before = self.seen.entry((text.len(), self.hasher.hash_one(text))).or_insert(usize::MAX);
        if *before <= depth {
            return;
        }
        *before = depth;
        (self.met)(text);
        self.text(depth, text);
    }

    fn text(&mut self, depth: usize, text: &[u8]) {
        for unescape in [without_backslashes, without_percents] {
            let Some(Unescaped { plain, spells_letters }) = unescape(text) else { continue };
            if depth < DEEPEST {
                self.decoded(depth + 1, &plain);
            } else if spells_letters {
                self.not_opened(Unopened::TooDeep);
            }
        }
        for begin in 0..4 {
            // The decoded text, three bytes for four characters, counts against the budget.
            if !self.spend(text.len()) {
                return;
            }
            let plain = out_of_base64(text, begin);
            if depth < DEEPEST {
                self.decoded(depth + 1, &plain);
            } else if holds_something(&plain) {
                self.not_opened(Unopened::TooDeep);
            }
        }
    }

    /// Opens what gzip or zlib has compressed, wherever it begins.
    fn compressed(&mut self, depth: usize, part: &Part<'_>) {
        let mut from = part.known.saturating_sub(LONGEST_HEAD);
        while let Some((kind, begin)) = signature::compressed(part.bytes, from) {
            if !self.spend(OF_ONE_ATTEMPT) {
                return;
            }
            let most = self.inflatable.min(self.budget);
            let Inflated { plain, whole, taken, left } = inflate(kind, part.whole, part.at + begin as u64, most);
            let head = &part.bytes[begin..];
            let head = head[..head.len().min(16)].to_vec();
            // Every text has at least one byte behind it. If the decompressor took that byte too, the data was cut
            // off, even without an error so far.
            let may_be_cut = part.is_decoded && !self.ends && left <= 1;
            let is_cut = may_be_cut && (left == 0 || whole == Whole::Damaged);
            match (whole, kind) {
                (Whole::Yes | Whole::Damaged, Compressed::Zlib) if is_cut && taken >= self.windows.surely_zlib => {
                    self.cut_off = true;
                    self.cut.push(head);
                }
                (Whole::Damaged, Compressed::Gzip) if is_cut => {
                    self.cut_off = true;
                    self.cut.push(head);
                }
                (Whole::Yes, _) if depth >= DEEPEST => self.not_opened(Unopened::TooDeep),
                (Whole::Yes, _) => {
                    self.whole.insert(head);
                }
                (Whole::Damaged, Compressed::Gzip) => self.damaged.push(head),
                // Two bytes are no proof that it is zlib's.
                (Whole::Damaged, Compressed::Zlib) => {}
                (Whole::TooMuch, _) => self.not_opened(Unopened::TooMuch),
            }
            self.inflatable -= plain.len();
            if depth < DEEPEST && whole != Whole::TooMuch {
                self.value(depth + 1, &plain.as_slice());
            }
            // Another member may follow.
            from =
                if whole == Whole::Yes { begin + usize::try_from(taken).unwrap_or(usize::MAX / 2) } else { begin + 1 };
        }
    }
}

fn narrow(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut narrow = Zeroizing::new(Vec::with_capacity(bytes.len()));
    narrow.extend(bytes.iter().filter(|byte| **byte != 0));
    narrow
}

/// Whether these bytes have anything to read: compressed data, an archive or a text.
fn holds_something(bytes: &[u8]) -> bool {
    signature::compressed(bytes, 0).is_some()
        || signature::archive(bytes).is_some()
        || !texts(bytes).is_empty()
        || (memchr::memchr(0, bytes).is_some() && !texts(&narrow(bytes)).is_empty())
}

/// The texts in the bytes: ASCII, and long enough for an id. In every encoding, an id is one uninterrupted run of
/// ASCII characters.
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

/// Decodes each run of base 64 of either alphabet from its character `begin` on, and skips blanks and line ends. The
/// caller tries each `begin`, because other text may precede the groups of four without a break.
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

/// The six bits that a character of either base 64 alphabet encodes.
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
