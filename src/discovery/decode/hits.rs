//! Which alignments of base 64 have the beginning of compressed data or of an archive in them.

use std::sync::LazyLock;

use super::base64::{Runs, Sextets};
use super::deflate::{self, Attempt};
use super::text::{SHORTEST, is_of_text};
use crate::discovery::signature;

/// What one alignment holds besides text.
#[derive(Default)]
pub(super) struct Hits {
    /// Whether there may be compressed data or an archive.
    pub(super) is_any: bool,
    /// For what looks like zlib data and certainly holds nothing: how many bytes a decompressor makes of each.
    pub(super) empty: Vec<usize>,
}

/// Finds the beginnings of signatures: for each pair of characters the groups of signatures that have it, in the lower byte
/// as the first pair of four characters, in the upper byte as the second one.
static PAIRS: LazyLock<Box<[u16; 4096]>> = LazyLock::new(|| {
    let mut pairs = Box::new([0; 4096]);
    let mut group = 0;
    for place in 0..2 {
        for offset in [0, 2, 4] {
            for second in signature::ZLIB_SECOND {
                mark(&mut pairs, &[signature::ZLIB_FIRST, second], place, offset, 1 << group);
            }
            group += 1;
        }
    }
    for place in 0..2 {
        for offset in [0, 2, 4] {
            for begin in signature::long_ones() {
                mark(&mut pairs, begin, place, offset, 1 << group);
            }
        }
        group += 1;
    }
    pairs
});

/// Marks the pairs of a signature that begins in the character `place` of four, at its bit `offset`.
fn mark(pairs: &mut [u16; 4096], begin: &[u8], place: usize, offset: usize, group: u16) {
    for (second, group) in [(0_usize, group), (12, group << 8)] {
        let (mut mask, mut value) = (0, 0);
        for at in 0..12 {
            let bit = (second + at).checked_sub(place * 6 + offset);
            if let Some(bit) = bit.filter(|bit| bit / 8 < begin.len()) {
                mask |= 1 << (11 - at);
                value |= u16::from(begin[bit / 8] >> (7 - bit % 8) & 1) << (11 - at);
            }
        }
        for pair in (0..4096).filter(|pair| pair & mask == value) {
            pairs[index(pair)] |= group;
        }
    }
}

/// The index of a pair whose first character is in the upper six bits: there it is in the lower ones, as in memory.
fn index(pair: u16) -> usize {
    usize::from(pair >> 6 | (pair & 63) << 6)
}

/// How what looks like zlib data is tried.
pub(super) struct Trial<'t> {
    /// How many bytes are tried at most.
    pub(super) most: usize,
    /// How many may come out of them.
    pub(super) most_out: usize,
    /// What came out of the last ones.
    pub(super) out: &'t mut deflate::Out,
}

/// What there is in each alignment.
pub(super) fn hits(sextets: &Sextets, trial: &mut Trial<'_>) -> [Hits; 4] {
    let mut hits = <[Hits; 4]>::default();
    let all = sextets.padded();
    let pairs = &**PAIRS;
    let mut runs = Runs::new(all);
    let mut before = 0;
    for (number, sixteen) in all[..sextets.count() + 16].as_chunks::<16>().0.iter().enumerate() {
        let (mut found, first) = (0, before);
        for eight in sixteen.as_chunks::<8>().0 {
            let eight = u64::from_le_bytes(*eight);
            let indices = (eight & 0x003f_003f_003f_003f) | (eight >> 2 & 0x0fc0_0fc0_0fc0_0fc0);
            for pair in 0..4 {
                let now = pairs[(indices >> (16 * pair) & 0xfff) as usize];
                found |= before & now >> 8;
                before = now;
            }
        }
        if found & 0xff != 0 {
            let mut before = first;
            for pair in 0..8 {
                let at = number * 16 + pair * 2;
                let now = pairs[usize::from(all[at] & 63) | usize::from(all[at + 1] & 63) << 6];
                if before & now >> 8 & 0xff != 0 {
                    // Four characters match, the first of which is two before this pair.
                    at_place(sextets, &mut runs, at - 2, &mut hits, trial);
                    at_place(sextets, &mut runs, at - 1, &mut hits, trial);
                }
                before = now;
            }
        }
    }
    // Some signatures count only where decoded bytes begin.
    if !sextets.is_empty() {
        for (begin, hits) in hits.iter_mut().enumerate() {
            let mut bytes = sextets.bytes(begin);
            hits.is_any |= matches!((bytes.next(), bytes.next()), (Some(b'%'), Some(b'P')) | (Some(0x1f), Some(0x9d)));
        }
    }
    hits
}

/// Looks at what is decoded from the character `at` on, at each of its bits where a byte may begin.
fn at_place(sextets: &Sextets, runs: &mut Runs<'_>, at: usize, hits: &mut [Hits; 4], trial: &mut Trial<'_>) {
    let all = sextets.padded();
    let four = all[at..at + 4].iter().fold(0, |four, sextet| four << 6 | u32::from(sextet & 63));
    for number in 0..3 {
        let two = (four >> (8 - 2 * number) & 0xffff) as u16;
        if !signature::may_begin(two.to_be_bytes()) {
            continue;
        }
        let begin_of_run = runs.begin_of(at);
        let Some(before) = (at - begin_of_run).checked_sub(number) else { continue };
        let begin = before % 4;
        let mut bytes = sextets.bytes_from(at, number, begin);
        let mut head = [0; signature::LONGEST];
        let mut length = 0;
        for (into, byte) in head.iter_mut().zip(&mut bytes) {
            *into = byte;
            length += 1;
        }
        match signature::begins(&head[..length]) {
            None => {}
            Some(signature::Begins::Zlib) => {
                let mut bytes = sextets.bytes_from(at, number, begin);
                bytes.nth(1);
                match deflate::attempt(bytes, trial.most, trial.out) {
                    Attempt::Fails => hits[begin].empty.push(0),
                    Attempt::EndsEarly
                        if trial.out.bytes().len() < trial.most_out && has_nothing(trial.out.bytes()) =>
                    {
                        hits[begin].empty.push(trial.out.bytes().len());
                    }
                    Attempt::EndsEarly | Attempt::Uncertain => hits[begin].is_any = true,
                }
            }
            Some(signature::Begins::Other) => hits[begin].is_any = true,
        }
    }
}

/// Whether bytes certainly hold no text, no compressed data and no archive.
fn has_nothing(bytes: &[u8]) -> bool {
    let kinds = &**KINDS;
    let (mut row, mut before) = (0, 0);
    let has_something = bytes.iter().any(|byte| {
        let kind = kinds[usize::from(*byte)];
        row = (row & kind.keeps_row) + kind.of_text;
        let begins = before & kind.second;
        before = kind.first;
        usize::from(row) >= SHORTEST || begins != 0
    });
    !has_something && signature::archive_at_the_beginning(bytes).is_none()
}

/// What one byte may be.
#[derive(Clone, Copy, Default)]
struct Kind {
    of_text: u8,
    /// All bits, unless a text ends at the byte. Zeros are left out of UTF-16.
    keeps_row: u8,
    /// As which first byte of a signature it counts, a bit for some of them.
    first: u8,
    /// The same for its second byte.
    second: u8,
}

static KINDS: LazyLock<Box<[Kind; 256]>> = LazyLock::new(|| {
    let mut kinds = Box::new([Kind::default(); 256]);
    for (byte, kind) in (0..=255).zip(kinds.iter_mut()) {
        kind.of_text = u8::from(is_of_text(byte));
        kind.keeps_row = if is_of_text(byte) || byte == 0 { 0xff } else { 0 };
    }
    let zlib = signature::ZLIB_SECOND.map(|second| (0, [signature::ZLIB_FIRST, second]));
    let others = (1..).zip(signature::long_ones().map(|begin| [begin[0], begin[1]]));
    for (group, [first, second]) in others.chain(zlib) {
        kinds[usize::from(first)].first |= 1 << (group % 8);
        kinds[usize::from(second)].second |= 1 << (group % 8);
    }
    kinds
});
