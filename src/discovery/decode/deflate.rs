//! What certainly comes out of what looks like zlib data, from its first bytes.
//!
//! Two bytes tell zlib data, and so ordinary text has them often, in base 64 above all. What follows them is hardly
//! ever right for long: here it is read until it is wrong or ends. What may be right the decompressor decides.

use crate::discovery::wiped::Wiped;

/// What a decompressor makes of some bytes.
pub(super) enum Attempt {
    /// It fails, and gives nothing.
    Fails,
    /// It fails at the end of the bytes, and what it gives until then is in the buffer.
    EndsEarly,
    /// Perhaps neither.
    Uncertain,
}

/// If more than this comes out of it, nothing is certain. A decompressor keeps nothing of what it fails in before 32 KiB.
const MOST_OUT: usize = 2 * 1024;

/// A place for what comes out, used again for each attempt.
#[derive(Default)]
pub(super) struct Out {
    bytes: Wiped,
    count: usize,
}

impl Out {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    /// Repeats bytes that came out before. Zeros are before the first one.
    fn repeat(&mut self, distance: usize, length: usize) {
        let end = self.count + length;
        match self.count.checked_sub(distance) {
            Some(begin) if length <= distance => self.bytes.copy_within(begin..begin + length, self.count),
            None if end <= distance => self.bytes[self.count..end].fill(0),
            _ => {
                for at in self.count..end {
                    self.bytes[at] = at.checked_sub(distance).map_or(0, |before| self.bytes[before]);
                }
            }
        }
        self.count = end;
    }
}

/// Gives bytes one after the other.
pub(super) trait Feed {
    /// Puts the next bytes into `into`, and returns their number: zero only at the end.
    fn feed(&mut self, into: &mut [u8; FED]) -> usize;
}

/// How many bytes are fed at once.
pub(super) const FED: usize = 48;

impl Feed for &[u8] {
    fn feed(&mut self, into: &mut [u8; FED]) -> usize {
        let count = self.len().min(FED);
        let (fed, rest) = self.split_at(count);
        into[..count].copy_from_slice(fed);
        *self = rest;
        count
    }
}

/// The longest match of deflate.
const LONGEST_MATCH: usize = 258;

/// Reads the bytes behind the two of the header, hardly more than `most`, and puts what comes out into `out`.
pub(super) fn attempt(bytes: impl Feed, most: usize, out: &mut Out) -> Attempt {
    if out.bytes.is_empty() {
        out.bytes = Wiped::zeros(MOST_OUT + LONGEST_MATCH);
    }
    out.count = 0;
    let mut bits = Bits { bytes, left: most, ready: 0, count: 0, fed: [0; FED], begin: 0, end: 0 };
    let stop = blocks(&mut bits, out);
    let is_at_end = bits.left > 0;
    bits.fed.fill(0);
    std::hint::black_box(&mut bits.fed);
    match stop {
        Err(Stop::Wrong) => Attempt::Fails,
        Err(Stop::TooFew) if is_at_end => Attempt::EndsEarly,
        Err(Stop::TooFew) | Ok(()) => Attempt::Uncertain,
    }
}

/// Why reading stops.
enum Stop {
    Wrong,
    TooFew,
}

/// Reads blocks until one is wrong, or until it is not certain that one is.
fn blocks(bits: &mut Bits<impl Feed>, out: &mut Out) -> Result<(), Stop> {
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.skip_to_byte();
                let (length, complement) = (bits.take(16)?, bits.take(16)?);
                return if length == complement ^ 0xffff { Ok(()) } else { Err(Stop::Wrong) };
            }
            1 if fixed_block(bits, out)? => {}
            // More comes out of it than is tried.
            1 => return Ok(()),
            2 => return dynamic_header(bits),
            _ => return Err(Stop::Wrong),
        }
        if is_last {
            bits.skip_to_byte();
            let sum = (0..4).try_fold(0, |sum, _| Ok(sum << 8 | bits.take(8)?))?;
            return if sum == adler32(out.bytes()) { Ok(()) } else { Err(Stop::Wrong) };
        }
    }
}

/// Refuses a table of code lengths that is wrong.
fn dynamic_header(bits: &mut Bits<impl Feed>) -> Result<(), Stop> {
    let (literals, distances, lengths) = (bits.take(5)?, bits.take(5)?, bits.take(4)? + 4);
    if literals > 29 || distances > 29 {
        return Err(Stop::Wrong);
    }
    let mut used = 0;
    for _ in 0..lengths {
        let length = bits.take(3)?;
        if length > 0 {
            used += 128 >> length;
        }
    }
    // The code must be complete.
    if used == 128 { Ok(()) } else { Err(Stop::Wrong) }
}

/// What the next nine bits say in a block with the fixed codes: how many of them are the code, in the lower four bits, and
/// above them the literal, or 256 and more.
static FIXED: [u16; 512] = {
    let mut fixed = [0; 512];
    let mut bits = 0;
    while bits < 512 {
        // Codes begin with their highest bit.
        let code = (bits as u16).reverse_bits() >> 7;
        let (symbol, length) = match code >> 2 {
            seven @ 0..=23 => (256 + seven, 7),
            24..=95 => ((code >> 1) - 48, 8),
            96..=99 => (280 + (code >> 1) - 192, 8),
            _ => (144 + code - 400, 9),
        };
        fixed[bits] = symbol << 4 | length;
        bits += 1;
    }
    fixed
};

/// Reads a block with the fixed codes to its end. Whether it has an end before too much comes out.
fn fixed_block(bits: &mut Bits<impl Feed>, out: &mut Out) -> Result<bool, Stop> {
    while out.count < MOST_OUT {
        bits.fill();
        let entry = FIXED[(bits.ready & 511) as usize];
        let symbol = entry >> 4;
        bits.take(u32::from(entry & 15))?;
        let code = match symbol {
            0..=255 => {
                out.bytes[out.count] = symbol as u8;
                out.count += 1;
                continue;
            }
            256 => return Ok(true),
            257..=285 => u32::from(symbol - 257),
            _ => return Err(Stop::Wrong),
        };
        let length = match code {
            0..=7 => code as usize + 3,
            28 => LONGEST_MATCH,
            _ => {
                let extra = code / 4 - 1;
                ((4 + code % 4) << extra) as usize + 3 + bits.take(extra)? as usize
            }
        };
        let code = bits.take(5)?.reverse_bits() >> 27;
        let distance = match code {
            0..=3 => code as usize + 1,
            4..=29 => {
                let extra = code / 2 - 1;
                ((2 + code % 2) << extra) as usize + 1 + bits.take(extra)? as usize
            }
            _ => return Err(Stop::Wrong),
        };
        out.repeat(distance, length);
    }
    Ok(false)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut one, mut two) = (1_u32, 0_u32);
    for byte in bytes {
        one = (one + u32::from(*byte)) % 65_521;
        two = (two + one) % 65_521;
    }
    two << 16 | one
}

/// Bits, of each byte the lowest first.
struct Bits<B> {
    bytes: B,
    /// How many bytes may still be read.
    left: usize,
    ready: u64,
    count: u32,
    /// Bytes whose bits are not ready.
    fed: [u8; FED],
    begin: usize,
    end: usize,
}

impl<B: Feed> Bits<B> {
    /// Makes enough bits ready for a literal or a match, if the data has them.
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        while self.count <= 56 {
            if self.begin == self.end && !self.feed() {
                break;
            }
            self.ready |= u64::from(self.fed[self.begin]) << self.count;
            self.begin += 1;
            self.count += 8;
        }
    }

    fn feed(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        (self.begin, self.end) = (0, self.bytes.feed(&mut self.fed));
        self.left = self.left.saturating_sub(self.end);
        self.end > 0
    }

    /// The next bits, at most 16, as a number.
    fn take(&mut self, count: u32) -> Result<u32, Stop> {
        if self.count < count {
            self.fill();
            if self.count < count {
                return Err(Stop::TooFew);
            }
        }
        let taken = self.ready & ((1 << count) - 1);
        self.ready >>= count;
        self.count -= count;
        Ok(taken as u32)
    }

    fn skip_to_byte(&mut self) {
        let rest = self.count % 8;
        self.ready >>= rest;
        self.count -= rest;
    }
}
