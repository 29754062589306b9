//! The limits of responses and scans, which are counted while they are read, so that an endless server or program
//! uses neither all memory nor all time. `docs/stores.md` has the table.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum size of one response of a server. The largest valid ones are a Kubernetes Secret of 1 MiB, and a Vault
/// secret of 1 MiB whose letters are all escaped.
pub(in crate::adapters) const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The maximum size of one scan of one store.
pub(in crate::adapters) const LARGEST_SCAN: usize = 128 * 1024 * 1024;

/// The maximum number of pages of one list. The largest quota is that of Parameter Store: 110,000 parameters in pages
/// of ten.
pub(in crate::adapters) const MOST_PAGES: usize = 50_000;

/// The cost of a page in addition to its content, so that a list of empty pages ends, too.
const PAGE: usize = 1024;

/// The limit that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::adapters) enum TooLarge {
    /// The limit of a response.
    #[error("its answer is larger than {} MiB, and rotator reads no more of one", mebibytes(LARGEST_ANSWER))]
    Answer,
    /// The limit of a scan.
    #[error(
        "it holds more than {} MiB, and rotator reads no more in one scan; make several stores of it, each a part",
        mebibytes(LARGEST_SCAN)
    )]
    Scan,
}

const fn mebibytes(bytes: usize) -> usize {
    bytes / (1024 * 1024)
}

/// What one scan may still read.
pub(in crate::adapters) struct Budget(AtomicUsize);

impl Budget {
    pub(in crate::adapters) fn of_a_scan() -> Self {
        Self(AtomicUsize::new(LARGEST_SCAN))
    }

    /// Counts these bytes.
    ///
    /// # Errors
    /// [`TooLarge::Scan`] if the scan exceeds its limit.
    pub(in crate::adapters) fn take(&self, bytes: usize) -> Result<(), TooLarge> {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, take).map(|_| ()).map_err(|_| TooLarge::Scan)
    }

    /// Counts a page of a list with this content.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(in crate::adapters) fn take_page(&self, bytes: usize) -> Result<(), TooLarge> {
        self.take(bytes.saturating_add(PAGE))
    }
}

/// A response while it is being read.
pub(in crate::adapters) struct Answered<'b> {
    bytes: Vec<u8>,
    budget: &'b Budget,
}

impl<'b> Answered<'b> {
    pub(in crate::adapters) fn new(budget: &'b Budget) -> Self {
        Self { bytes: Vec::new(), budget }
    }

    /// Appends a part of the response.
    ///
    /// # Errors
    /// [`TooLarge`]. The bytes of a response that is too large are not counted, since its parts may be requested
    /// separately.
    pub(in crate::adapters) fn push(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        if self.bytes.len() + part.len() > LARGEST_ANSWER {
            self.budget.0.fetch_add(self.bytes.len(), Ordering::Relaxed);
            return Err(TooLarge::Answer);
        }
        self.budget.take(part.len())?;
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// The whole response.
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
