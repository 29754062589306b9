//! Base 64 in a text, in each alignment, decoded only where there may be something in it.
//!
//! Other text may precede the groups of four characters without a break. So each run of base 64 is decoded from its
//! first, second, third and fourth character on. Hardly any of these readings means anything, and one pass over the
//! characters shows which do: decoded text has the highest bit of each byte clear, and each kind of compressed data
//! begins with certain bits.

use super::deflate::{FED, Feed};
use super::text::{BREAK, SHORTEST};
use crate::discovery::wiped::Wiped;

/// How many characters of base 64 the shortest id takes at least.
pub(super) const SHORTEST_WRAPPED: usize = 22;

/// Ends a run. It has all bits that a text must not have.
const END: u8 = 0xff;

/// A blank or line end in base 64: skipped.
const BLANK: u8 = 0x40;

/// How many ends follow the last run, so that each pass may read a whole block.
const PADDING: usize = 32;

/// The six bits that a character of either base 64 alphabet encodes.
static SEXTETS: [u8; 256] = {
    let mut sextets = [END; 256];
    let mut at = 0;
    while at < 256 {
        sextets[at] = match at as u8 {
            byte @ b'A'..=b'Z' => byte - b'A',
            byte @ b'a'..=b'z' => byte - b'a' + 26,
            byte @ b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b' ' | b'\t' | b'\n' | b'\r' => BLANK,
            _ => END,
        };
        at += 1;
    }
    sextets
};

/// The runs of base 64 in a text, without blanks, one byte for each character and an end after each run.
#[derive(Default)]
pub(super) struct Sextets {
    all: Wiped,
    count: usize,
    /// How many bytes are decoded in each alignment.
    decoded: [usize; 4],
}

impl Sextets {
    /// Makes room for the runs of a text of this length.
    pub(super) fn clear(&mut self, length: usize) {
        let most = length + 1 + PADDING;
        if self.all.len() < most {
            self.all = Wiped::zeros(most);
        }
        self.count = 0;
        self.decoded = [0; 4];
    }

    /// Adds a run: nothing but base 64 and blanks.
    pub(super) fn push_run(&mut self, run: &[u8]) {
        let into = &mut self.all[self.count..][..=run.len()];
        let mut count = 0;
        for byte in run {
            let sextet = SEXTETS[usize::from(*byte)];
            into[count] = sextet;
            count += usize::from(sextet != BLANK);
        }
        into[count] = END;
        self.count += count + 1;
        for (begin, decoded) in self.decoded.iter_mut().enumerate() {
            *decoded += count.saturating_sub(begin) * 6 / 8 + 1;
        }
    }

    pub(super) fn finish(&mut self) {
        self.all[self.count..][..PADDING].fill(END);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes the alignment `begin` has decoded.
    pub(super) fn decoded_len(&self, begin: usize) -> usize {
        self.decoded[begin]
    }

    /// The characters of all runs, each run with an end, and the padding.
    pub(super) fn padded(&self) -> &[u8] {
        &self.all[..self.count + PADDING]
    }

    /// How many characters and ends there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Decodes each run from its character `begin` on.
    pub(super) fn decode(&self, begin: usize) -> Wiped {
        let mut plain = Wiped::with_capacity(self.decoded[begin]);
        for run in self.all[..self.count].split_inclusive(|sextet| *sextet == END) {
            let run = run[..run.len() - 1].get(begin..).unwrap_or_default();
            let (groups, rest) = run.as_chunks::<4>();
            for group in groups {
                plain.extend_from_slice(&decode_group(*group));
            }
            if let [one, two, ..] = rest {
                plain.push(one << 2 | two >> 4);
            }
            if let [_, two, three] = rest {
                plain.push(two << 4 | three >> 2);
            }
            plain.push(BREAK);
        }
        plain
    }

    /// The bytes that the alignment `begin` has decoded, from its first one on.
    pub(super) fn bytes(&self, begin: usize) -> Bytes<'_> {
        let mut bytes = Bytes { all: &self.all[..self.count], group: 0, number: 0, begin, is_in_run: false };
        bytes.enter_run(0);
        bytes
    }

    /// The same from the byte on that begins in the character `at`, which is the character `number` of its group.
    pub(super) fn bytes_from(&self, at: usize, number: usize, begin: usize) -> Bytes<'_> {
        Bytes { all: &self.all[..self.count], group: at - number, number, begin, is_in_run: true }
    }

    /// In which alignments 16 bytes or more in a row may be text, or text and zeros.
    pub(super) fn with_text(&self) -> [bool; 4] {
        // The highest bits of three decoded bytes are in three of the four characters. The fourth is looked at to see
        // an end.
        const HIGHEST: u64 = u64::from_le_bytes([0x20, 0x08, 0x02, 0x80, 0x20, 0x08, 0x02, 0x80]);
        let mut with_text = [false; 4];
        let mut runs = Runs::new(self.padded());
        // 16 bytes take at least four whole groups. Of four groups in a row two that are beside each other are seen
        // in steps of three groups.
        for (number, twelve) in self.padded()[..self.count + 12].as_chunks::<12>().0.iter().enumerate() {
            for begin in 0..4 {
                let eight: [u8; 8] = twelve[begin..begin + 8].try_into().expect("eight");
                if u64::from_le_bytes(eight) & HIGHEST == 0 {
                    let at = number * 12 + begin;
                    if self.has_text_around(at) {
                        with_text[(at - runs.begin_of(at)) % 4] = true;
                    }
                }
            }
        }
        with_text
    }

    /// Whether the group at `at` and its neighbours are 16 bytes that may be text.
    fn has_text_around(&self, at: usize) -> bool {
        let all = self.padded();
        let is_text = |group: &[u8]| (group[0] & 0x20) | (group[1] & 0x08) | (group[2] & 0x02) | (group[3] & 0x80) == 0;
        let (mut begin, mut end) = (at, at);
        while end - at < 24 && is_text(&all[end..]) {
            end += 4;
        }
        while at - begin < 24 && begin >= 4 && is_text(&all[begin - 4..]) {
            begin -= 4;
        }
        let mut bytes = (end - begin) / 4 * 3;
        if let Some(before) = begin.checked_sub(4).map(|before| &all[before..]) {
            bytes += match (before[1] & 0x08, before[2] & 0x02) {
                (0, 0) => 2,
                (_, 0) => 1,
                _ => 0,
            };
        }
        let after = &all[end..];
        bytes += match (after[0] & 0x20, after[1] & 0x08) {
            (0, 0) => 2,
            (0, _) => 1,
            _ => 0,
        };
        bytes >= SHORTEST
    }
}

/// Finds the beginnings of runs, in one pass for places that follow each other.
pub(super) struct Runs<'s> {
    all: &'s [u8],
    begin: usize,
    until: usize,
}

impl<'s> Runs<'s> {
    pub(super) const fn new(all: &'s [u8]) -> Self {
        Self { all, begin: 0, until: 0 }
    }

    /// Where the run begins that `at` is in. No earlier place may be asked for afterwards.
    pub(super) fn begin_of(&mut self, at: usize) -> usize {
        if let Some(passed) = self.all.get(self.until..at) {
            if let Some(end) = memchr::memrchr(END, passed) {
                self.begin = self.until + end + 1;
            }
            self.until = at;
        }
        self.begin
    }
}

/// Decoded bytes, one by one.
pub(super) struct Bytes<'s> {
    all: &'s [u8],
    /// Where the group of four characters in hand begins.
    group: usize,
    /// Which of its three bytes is the next one.
    number: usize,
    begin: usize,
    is_in_run: bool,
}

impl Bytes<'_> {
    fn enter_run(&mut self, begin: usize) {
        self.is_in_run = begin < self.all.len();
        let skipped = self.all[begin..].iter().take(self.begin).take_while(|sextet| **sextet != END).count();
        (self.group, self.number) = (begin + skipped, 0);
    }
}

impl Feed for Bytes<'_> {
    fn feed(&mut self, into: &mut [u8; FED]) -> usize {
        let mut count = 0;
        while count + 12 <= FED {
            let is_whole = self.number == 0 && self.is_in_run;
            let sixteen = if is_whole { self.all[self.group..].first_chunk::<16>() } else { None };
            match sixteen.filter(|sixteen| sixteen.iter().fold(0, |all, one| all | one) < 64) {
                Some(sixteen) => {
                    for (four, three) in sixteen.as_chunks::<4>().0.iter().zip(into[count..].as_chunks_mut::<3>().0) {
                        *three = decode_group(*four);
                    }
                    count += 12;
                    self.group += 16;
                }
                None => {
                    let Some(byte) = self.next() else { break };
                    into[count] = byte;
                    count += 1;
                }
            }
        }
        count
    }
}

const fn decode_group([one, two, three, four]: [u8; 4]) -> [u8; 3] {
    [one << 2 | two >> 4, two << 4 | three >> 2, three << 6 | four]
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if !self.is_in_run {
            return None;
        }
        let at = self.group + self.number;
        // A run has an end.
        let (one, two) = (self.all[at], self.all.get(at + 1).copied().unwrap_or(END));
        if one == END || two == END {
            self.enter_run(if one == END { at + 1 } else { at + 2 });
            return Some(BREAK);
        }
        let byte = match self.number {
            0 => one << 2 | two >> 4,
            1 => one << 4 | two >> 2,
            _ => one << 6 | two,
        };
        self.number += 1;
        if self.number == 3 {
            (self.group, self.number) = (self.group + 4, 0);
        }
        Some(byte)
    }
}
