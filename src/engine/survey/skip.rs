//! Why no rotation is opened for a candidate. The survey makes a note of it.

use super::found::place_notes;
use crate::discovery::{Candidate, SkipReason};
use crate::journal::campaign::LeftAloneNote;

/// The reason to skip a candidate, and whether it needs an operator.
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

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    pub(super) fn about(self, candidate: &Candidate) -> LeftAloneNote {
        LeftAloneNote {
            key_id: Some(candidate.key_id.clone()),
            places: place_notes(&candidate.places),
            reason: self.reason.into(),
            message: self.message,
            due: self.due,
        }
    }
}
