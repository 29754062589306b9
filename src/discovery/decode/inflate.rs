//! What gzip and zlib have compressed.

use std::io::{BufRead, Read};

use flate2::bufread::{GzDecoder, ZlibDecoder};
use zeroize::Zeroizing;

use crate::discovery::signature::Compressed;
use crate::discovery::source::{Source, Tail};

/// The result of decompressing.
pub(super) struct Inflated {
    pub(super) plain: Zeroizing<Vec<u8>>,
    pub(super) whole: Whole,
    /// How many bytes of it were taken.
    pub(super) taken: u64,
    /// How many bytes follow the compressed data, as far as they are in the buffer.
    pub(super) left: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Yes,
    Damaged,
    TooMuch,
}

/// Decompresses the data that begins at `begin` to at most `most` bytes.
pub(super) fn inflate(kind: Compressed, source: &dyn Source, begin: u64, most: usize) -> Inflated {
    let tail = Tail::new(source, begin);
    let (plain, whole, mut tail) = match kind {
        Compressed::Gzip => read(GzDecoder::new(tail), most, GzDecoder::into_inner),
        Compressed::Zlib => read(ZlibDecoder::new(tail), most, ZlibDecoder::into_inner),
    };
    let left = tail.fill_buf().map_or(0, <[u8]>::len);
    Inflated { plain, whole, taken: tail.taken(), left }
}

fn read<'s, D: Read>(
    mut decoder: D,
    most: usize,
    tail: impl Fn(D) -> Tail<'s>,
) -> (Zeroizing<Vec<u8>>, Whole, Tail<'s>) {
    let mut plain = Zeroizing::new(Vec::new());
    let read = (&mut decoder).take(most as u64 + 1).read_to_end(&mut plain);
    let whole = match read {
        Ok(_) if plain.len() > most => Whole::TooMuch,
        Ok(_) => Whole::Yes,
        Err(_) => Whole::Damaged,
    };
    plain.truncate(most);
    (plain, whole, tail(decoder))
}
