//! What a value is read from while it is searched: bytes in memory, or bytes that stay where they are.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use crate::types::secret::SecretValue;

/// The bytes of one value. Where they are not in memory, only a part of them is at a time.
pub trait Source: Send + Sync {
    /// All of it, where it is in memory.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// Fills `into` with the bytes from `at` on, and returns their number. The number is smaller than `into` only at
    /// the end.
    ///
    /// # Errors
    /// It cannot be read any more.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = from(self, at);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Source for SecretValue {
    fn in_memory(&self) -> Option<&[u8]> {
        Some(self.expose())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.expose().read_at(at, into)
    }
}

/// The part of `bytes` that begins at `at`.
pub(super) fn from(bytes: &[u8], at: u64) -> &[u8] {
    usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

/// Fills `buffer` with the window that begins at `at`.
pub(super) fn fill(buffer: &mut Zeroizing<Vec<u8>>, size: usize, value: &dyn Source, at: u64) -> io::Result<()> {
    buffer.resize(size, 0);
    let mut filled = 0;
    while filled < size {
        match value.read_at(at + filled as u64, &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    buffer.truncate(filled);
    Ok(())
}

/// How much of a source that is not in memory is asked for at once.
const CHUNK: usize = 64 * 1024;

/// A source from some byte on, for a decompressor.
pub(super) struct Tail<'s> {
    source: &'s dyn Source,
    begin: u64,
    at: u64,
    /// The bytes at `at`, if the source is not in memory.
    buffer: Zeroizing<Vec<u8>>,
    used: usize,
}

impl<'s> Tail<'s> {
    pub(super) fn new(source: &'s dyn Source, begin: u64) -> Self {
        Self { source, begin, at: begin, buffer: Zeroizing::new(Vec::new()), used: 0 }
    }

    /// How many bytes were taken of it.
    pub(super) const fn taken(&self) -> u64 {
        self.at - self.begin
    }
}

impl Read for Tail<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Tail<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(all) = self.source.in_memory() {
            return Ok(from(all, self.at));
        }
        if self.used == self.buffer.len() {
            self.buffer.resize(CHUNK, 0);
            let count = self.source.read_at(self.at, &mut self.buffer)?;
            self.buffer.truncate(count);
            self.used = 0;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
        if self.source.in_memory().is_none() {
            self.used += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a file: nothing of it is in memory.
    struct Elsewhere(Vec<u8>);

    impl Source for Elsewhere {
        fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
            self.0.as_slice().read_at(at, into)
        }
    }

    #[test]
    fn a_tail_is_what_stands_from_there_on() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let (here, elsewhere) = (bytes.as_slice(), Elsewhere(bytes.clone()));
        for source in [&here as &dyn Source, &elsewhere] {
            let mut tail = Tail::new(source, 70_001);
            let mut read = Vec::new();
            tail.read_to_end(&mut read).expect("read");
            assert!(read == bytes[70_001..] && tail.taken() == read.len() as u64);
            assert_eq!(Tail::new(source, 300_000).read(&mut [0; 4]).expect("read"), 0);
        }
    }
}
