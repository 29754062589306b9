//! How much is read of an answer and in a scan, counted while it is read: a server or a program that never ends takes
//! neither all memory nor all time. `docs/stores.md` has the table.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that is read of one answer of a server. The largest that a store gives is a Secret of 1 MiB in Kubernetes, or
/// one of 1 MiB in Vault whose letters are all escaped.
pub(in crate::adapters) const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The most that one scan reads of one store.
pub(in crate::adapters) const LARGEST_SCAN: usize = 128 * 1024 * 1024;

/// The most pages of one list. Each has to bring something, and the largest quota is Parameter Store's: 110,000 in pages of
/// ten.
pub(in crate::adapters) const MOST_PAGES: usize = 50_000;

/// What a page costs beside what it holds: a list of empty pages ends, too.
const PAGE: usize = 1024;

/// Which bound was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::adapters) enum TooLarge {
    /// That of an answer.
    #[error("its answer is larger than {} MiB, and rotator reads no more of one", mebibytes(LARGEST_ANSWER))]
    Answer,
    /// That of a scan.
    #[error(
        "it holds more than {} MiB, and rotator reads no more in one scan; make several stores of it, each a part",
        mebibytes(LARGEST_SCAN)
    )]
    Scan,
}

const fn mebibytes(bytes: usize) -> usize {
    bytes / (1024 * 1024)
}

/// What may still be read in one scan.
pub(in crate::adapters) struct Budget(AtomicUsize);

impl Budget {
    pub(in crate::adapters) fn of_a_scan() -> Self {
        Self(AtomicUsize::new(LARGEST_SCAN))
    }

    /// So much was read.
    ///
    /// # Errors
    /// [`TooLarge::Scan`] if that is more than may be.
    pub(in crate::adapters) fn take(&self, bytes: usize) -> Result<(), TooLarge> {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, take).map(|_| ()).map_err(|_| TooLarge::Scan)
    }

    /// A page of a list, which holds so much.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(in crate::adapters) fn take_page(&self, bytes: usize) -> Result<(), TooLarge> {
        self.take(bytes.saturating_add(PAGE))
    }
}

/// One answer while it is read.
pub(in crate::adapters) struct Answered<'b> {
    bytes: Vec<u8>,
    budget: &'b Budget,
}

impl<'b> Answered<'b> {
    pub(in crate::adapters) fn new(budget: &'b Budget) -> Self {
        Self { bytes: Vec::new(), budget }
    }

    /// Goes on with this part of it.
    ///
    /// # Errors
    /// [`TooLarge`]; what was read of an answer that is too large counts for nothing: it may be asked for in parts.
    pub(in crate::adapters) fn push(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        if self.bytes.len() + part.len() > LARGEST_ANSWER {
            self.budget.0.fetch_add(self.bytes.len(), Ordering::Relaxed);
            return Err(TooLarge::Answer);
        }
        self.budget.take(part.len())?;
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// All of it.
    pub(in crate::adapters) fn whole(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_a_scan_have_an_end() {
        let budget = Budget::of_a_scan();
        let part = vec![0; LARGEST_ANSWER / 2];
        for _ in 0..LARGEST_SCAN / LARGEST_ANSWER {
            let mut answered = Answered::new(&budget);
            assert_eq!(answered.push(&part), Ok(()));
            assert_eq!(answered.push(&part), Ok(()));
            assert_eq!(answered.whole().len(), LARGEST_ANSWER);
        }
        assert_eq!(Answered::new(&budget).push(b"x"), Err(TooLarge::Scan));
        let budget = Budget::of_a_scan();
        for _ in 0..2 * LARGEST_SCAN / LARGEST_ANSWER {
            let mut answered = Answered::new(&budget);
            assert_eq!((answered.push(&part), answered.push(&part)), (Ok(()), Ok(())));
            assert_eq!(answered.push(b"x"), Err(TooLarge::Answer), "and it counts for nothing");
        }
        let pages = (0..).take_while(|_| budget.take_page(0).is_ok()).count();
        assert_eq!(pages, LARGEST_SCAN / PAGE, "pages that hold nothing end, too");
    }
}
