//! Every reading of stored bytes, to a bounded depth: what discovery sees in them and what the search sees are the same.
//!
//! The bytes are read as they are, as UTF-16, without the escapes of JSON and YAML and those of URLs, out of base 64 in
//! each alignment, and out of gzip; whatever that gives is read in all of these ways again. What each reading has of
//! text is shown to the caller at once and kept nowhere.
//!
//! A false match only keeps a key that could be deleted; a missed one breaks a program that still reads the key. So
//! every reading counts, and what is not read to its end is reported: [`Unopened`].
//!
//! A value may have any size: it is read by windows, one after the other, each of which begins somewhat before the end of
//! the one before. What is compressed is read from its beginning to its end, however far that is, as long as no other
//! encoding lies around it; else a window has to hold all of it.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use zeroize::Zeroizing;

use self::base64::Sextets;
use self::deflate::Attempt;
use self::hits::{Hits, Trial};
use self::inflate::{Inflated, Whole, inflate};
use self::scan::{Found, scan};
use self::text::{BREAK, SHORTEST, narrow, texts};
use super::escapes::{Unescaped, without_backslashes, without_percents};
use super::signature::{self, Compressed};
use super::source::{self, Source};

mod base64;
mod deflate;
mod hits;
mod inflate;
mod scan;
mod text;

/// How many encodings may lie around an id.
pub(super) const DEEPEST: usize = 6;

/// How many bytes may be read, for each byte of the value or of what was compressed in it. An ordinary document
/// takes ten or twenty, also where encodings are nested; only what is made to be costly takes more.
const READ_FOR_EACH_BYTE: usize = 128;

/// What even the smallest value may take.
const READ_AT_LEAST: usize = 1024 * 1024;

/// What it costs to try whether something is compressed: the memory for it is made anew each time.
const OF_ONE_ATTEMPT: usize = 64 * 1024;

/// How many bytes of what may be zlib data are tried before a decompressor is made for them.
const MOST_TRIED: usize = 4 * 1024;

/// How many bytes may be decompressed from one value.
const MOST_INFLATED: usize = 32 * 1024 * 1024;

/// How many bytes identify gzip data: ID1, ID2 and CM (RFC 1952, 2.3.1).
const GZIP_MAGIC: usize = 3;

/// The length of the longest signature of compressed data.
const LONGEST_HEAD: usize = 10;

/// By which parts a value is read.
struct Windows {
    /// How much of it is read at once: most values at once in whole.
    size: usize,
    /// How much of it the next window repeats, because one window must contain an id with all its encodings. Six
    /// encodings make an id some hundred bytes long, and ten thousand if each of them is UTF-16 as well.
    overlap: usize,
    /// The same where the window cuts off what is compressed and then encoded: as much as a Secret of Helm's takes at most.
    wide_overlap: usize,
    /// zlib data is recognized for certain after this many bytes that could be decompressed.
    surely_zlib: u64,
}

impl Windows {
    const OF_VALUES: Self =
        Self { size: 4 * 1024 * 1024, overlap: 256 * 1024, wide_overlap: 2 * 1024 * 1024, surely_zlib: 16 * 1024 };
}

/// Why a value was not read to its end: it may name any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unopened {
    /// An archive, or compressed data; of this kind.
    Archive(&'static str),
    /// More encodings lie within each other than are taken off.
    TooDeep,
    /// It takes more work than a value may.
    TooMuch,
    /// The store stopped giving it.
    Unread,
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(kind) => write!(f, "it holds {kind} data, which rotator does not open"),
            Self::TooDeep => write!(f, "more than {DEEPEST} encodings lie within each other in it"),
            Self::TooMuch => f.write_str("what is encoded or compressed in it is too much to be searched"),
            Self::Unread => f.write_str("it could not be read to its end"),
        }
    }
}

/// Reads the value in every way. Why there may be more in it than was met. The time is linear in its size.
pub(super) fn decode(value: &dyn Source, met: &mut dyn FnMut(&[u8])) -> Option<Unopened> {
    decoder_of(value, &Windows::OF_VALUES, met).unopened
}

fn decoder_of<'m>(value: &dyn Source, windows: &'m Windows, met: &'m mut dyn FnMut(&[u8])) -> Decoder<'m> {
    let mut decoder = Decoder {
        windows,
        met,
        seen: HashMap::default(),
        hasher: RandomState::default(),
        budget: READ_AT_LEAST,
        inflatable: MOST_INFLATED,
        whole: BTreeSet::new(),
        damaged: Vec::new(),
        cut: Vec::new(),
        ends: true,
        cut_off: false,
        unopened: None,
        spare: Vec::new(),
        tried: deflate::Out::default(),
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

struct Decoder<'m> {
    windows: &'m Windows,
    met: &'m mut dyn FnMut(&[u8]),
    /// Length and hash of the texts that were met, and in how few encodings each was.
    seen: HashMap<(usize, u64), usize>,
    hasher: RandomState,
    budget: usize,
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
    unopened: Option<Unopened>,
    /// Buffers that are used again.
    spare: Vec<Sextets>,
    /// What came out of what was tried.
    tried: deflate::Out,
}

/// Where archives are looked for in bytes.
#[derive(Clone, Copy)]
enum Archives {
    /// The bytes are all, or begin as all of them do.
    FromTheBeginning,
    Within,
    /// Not at all: it is an image, or something else that is harmless.
    Nowhere,
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
    archives: Archives,
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
            let archives = match at {
                _ if is_harmless => Archives::Nowhere,
                0 => Archives::FromTheBeginning,
                _ => Archives::Within,
            };
            (self.ends, self.cut_off) = (bytes.len() < size, false);
            self.budget = self.budget.saturating_add(bytes.len().saturating_mul(READ_FOR_EACH_BYTE));
            self.part(depth, &Part { bytes, whole: value, at, known, is_decoded: false, archives });
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
        let archives = Archives::FromTheBeginning;
        self.part(depth, &Part { bytes, whole: &bytes, at: 0, known: 0, is_decoded: true, archives });
    }

    fn part(&mut self, depth: usize, part: &Part<'_>) {
        let mut sextets = self.spare.pop().unwrap_or_default();
        let found = scan(part.bytes, &mut sextets);
        self.archives(part, found);
        if self.spend(part.bytes.len()) {
            if found.has(Found::NOT_TEXT) {
                self.met(depth, &texts(part.bytes), found, &sextets);
            } else if part.bytes.len() >= SHORTEST {
                self.met(depth, part.bytes, found, &sextets);
            }
            // UTF-16 of either order, with a mark or without: what is ASCII has a zero beside each letter.
            if found.has(Found::ZERO) {
                let narrow = narrow(part.bytes);
                let found = scan(&narrow, &mut sextets);
                self.met(depth, &texts(&narrow), found, &sextets);
            }
            if found.has(Found::COMPRESSED) {
                self.compressed(depth, part);
            }
        }
        self.spare.push(sextets);
    }

    fn archives(&mut self, part: &Part<'_>, found: Found) {
        let is_harmless = match part.archives {
            Archives::FromTheBeginning => signature::is_harmless(part.bytes),
            Archives::Within => false,
            Archives::Nowhere => true,
        };
        if is_harmless {
            return;
        }
        let first = match part.archives {
            Archives::FromTheBeginning => signature::archive_at_the_beginning(part.bytes),
            Archives::Within | Archives::Nowhere => None,
        };
        let within = || if found.has(Found::ARCHIVE) { signature::archive_within(part.bytes) } else { None };
        if let Some(kind) = first.or_else(within) {
            self.not_opened(Unopened::Archive(kind));
        }
    }

    /// Shows a text, and reads it. What its bytes have, and their base 64, are in `found` and `sextets`.
    fn met(&mut self, depth: usize, text: &[u8], found: Found, sextets: &Sextets) {
        if text.is_empty() {
            return;
        }
        // The break behind it is no part of it.
        let bare = text.strip_suffix(&[BREAK]).unwrap_or(text);
        let before = self.seen.entry((bare.len(), self.hasher.hash_one(bare))).or_insert(usize::MAX);
        if *before <= depth {
            return;
        }
        *before = depth;
        (self.met)(text);
        self.text(depth, text, found, sextets);
    }

    fn text(&mut self, depth: usize, text: &[u8], found: Found, sextets: &Sextets) {
        let ends_in_a_break = text.ends_with(&[BREAK]);
        for (mark, unescape) in
            [(Found::BACKSLASH, without_backslashes as fn(&[u8]) -> _), (Found::PERCENT, without_percents)]
        {
            let unescaped = found.has(mark).then(|| unescape(text)).flatten();
            let Some(Unescaped { mut plain, spells_letters }) = unescaped else { continue };
            if !ends_in_a_break {
                plain.push(BREAK);
            }
            if depth < DEEPEST {
                self.decoded(depth + 1, &plain);
            } else if spells_letters {
                self.not_opened(Unopened::TooDeep);
            }
        }
        let length = text.len() + usize::from(!ends_in_a_break);
        let (with_text, hits) = match sextets.is_empty() {
            true => ([false; 4], <[Hits; 4]>::default()),
            false => (sextets.with_text(), hits::hits(sextets, &mut self.trial())),
        };
        for (begin, (with_text, hits)) in with_text.into_iter().zip(hits).enumerate() {
            // The decoded text, three bytes for four characters, counts against the budget.
            if !self.spend(length) {
                return;
            }
            if with_text || hits.is_any || (depth >= DEEPEST && !hits.empty.is_empty()) {
                let plain = sextets.decode(begin);
                if depth < DEEPEST {
                    self.decoded(depth + 1, &plain);
                } else if holds_something(&plain) {
                    self.not_opened(Unopened::TooDeep);
                }
            } else if depth < DEEPEST && self.spend(sextets.decoded_len(begin)) {
                // It costs as much as if it were tried.
                for count in hits.empty {
                    if !self.spend(OF_ONE_ATTEMPT) {
                        break;
                    }
                    let most = self.inflatable.min(self.budget);
                    self.inflatable -= count.min(most);
                    if count > most {
                        self.not_opened(Unopened::TooMuch);
                    } else if depth + 1 < DEEPEST {
                        self.budget = self.budget.saturating_add(count * READ_FOR_EACH_BYTE);
                        self.spend(count);
                    }
                }
            }
        }
    }

    /// How zlib data is tried: so few bytes that neither a window nor a bound matters.
    fn trial(&mut self) -> Trial<'_> {
        let most = usize::try_from(self.windows.surely_zlib).unwrap_or(usize::MAX).min(MOST_TRIED) - deflate::FED;
        Trial { most, most_out: self.windows.size, out: &mut self.tried }
    }

    /// Whether what looks like zlib data certainly gives nothing.
    fn fails(&mut self, bytes: &[u8]) -> bool {
        let Trial { most, out, .. } = self.trial();
        matches!(deflate::attempt(bytes, most, out), Attempt::Fails)
    }

    /// Opens what gzip or zlib has compressed, wherever it begins.
    fn compressed(&mut self, depth: usize, part: &Part<'_>) {
        let mut from = part.known.saturating_sub(LONGEST_HEAD);
        while let Some((kind, begin)) = signature::compressed(part.bytes, from) {
            if !self.spend(OF_ONE_ATTEMPT) {
                return;
            }
            if kind == Compressed::Zlib && self.fails(&part.bytes[begin + 2..]) {
                from = begin + 1;
                continue;
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

/// Whether these bytes have anything to read: compressed data, an archive or a text.
fn holds_something(bytes: &[u8]) -> bool {
    signature::compressed(bytes, 0).is_some()
        || signature::archive(bytes).is_some()
        || !texts(bytes).is_empty()
        || (memchr::memchr(0, bytes).is_some() && !texts(&narrow(bytes)).is_empty())
}

#[cfg(test)]
mod equivalence_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
