//! Why a run or resume failed outside any rotation.

use super::survey::choice::Unmatched;
use crate::journal::store::StorageError;
use crate::ports::call::CallError;

/// Why a run or resume failed outside any rotation.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] StorageError),
    /// A store cannot be read at all.
    #[error("{0}")]
    Survey(#[from] CallError),
    /// Patterns of `--only` match no key that was found or is in flight: nothing was opened.
    #[error("--only matches no key: {}", patterns.iter().map(|one| one.pattern.as_str()).collect::<Vec<_>>().join(", "))]
    NothingMatches {
        patterns: Vec<Unmatched>,
        /// The entries that could not be read, and that may hold a key that a pattern means.
        unread: Vec<String>,
    },
}
