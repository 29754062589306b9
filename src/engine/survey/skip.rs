//! Why a candidate is not opened, before it becomes a note of the survey.

use super::found::place_notes;
use crate::discovery::{Candidate, SkipReason};
use crate::journal::campaign::LeftAloneNote;

/// A candidate that is not to be opened, and whether an operator is needed.
pub(in crate::engine) struct Skip {
    pub(in crate::engine) reason: SkipReason,
    pub(in crate::engine) message: String,
    pub(super) due: bool,
    pub(in crate::engine) recheck: bool,
}

impl Skip {
    pub(super) fn new(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: false, recheck: false }
    }

    pub(super) fn recheck(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: false, recheck: true }
    }

    pub(in crate::engine) fn needs_operator(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: true, recheck: false }
    }

    /// Whether the key is due all the same.
    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    pub(super) fn about(self, candidate: &Candidate) -> LeftAloneNote {
        LeftAloneNote {
            key_id: Some(candidate.key_id.clone()),
            places: place_notes(&candidate.places),
            reason: self.reason,
            message: self.message,
            due: self.due,
        }
    }
}
