//! Why no rotation is opened for a candidate. The survey makes a note of it.

use super::found::place_notes;
use crate::discovery::{Candidate, SkipReason};
use crate::journal::campaign::{LeftAloneNote, NoteDetail};
use crate::ports::call::CallErrorKind;
use crate::types::name::{AccountId, UserName};
use crate::types::time::Timestamp;

/// The reason to skip a candidate, and whether it needs an operator.
pub(in crate::engine) struct Skip {
    pub(in crate::engine) reason: SkipReason,
    pub(in crate::engine) message: String,
    pub(super) due: bool,
    pub(in crate::engine) recheck: bool,
    /// When its age will make the key due.
    pub(super) due_at: Option<Timestamp>,
    detail: Option<Box<NoteDetail>>,
}

impl Skip {
    pub(super) fn new(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), due: false, recheck: false, due_at: None, detail: None }
    }

    pub(super) fn recheck(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { recheck: true, ..Self::new(reason, message) }
    }

    pub(in crate::engine) fn needs_operator(reason: SkipReason, message: impl Into<String>) -> Self {
        Self { due: true, ..Self::new(reason, message) }
    }

    /// The key is too young.
    pub(super) fn not_before(due_at: Timestamp, reason: SkipReason, message: impl Into<String>) -> Self {
        Self { due_at: Some(due_at), ..Self::new(reason, message) }
    }

    /// The same with what the message says, in fields.
    pub(super) fn with(self, detail: NoteDetail) -> Self {
        Self { detail: Some(Box::new(detail)), ..self }
    }

    /// The same for a call of this action that failed.
    pub(super) fn of_call(self, action: &str, failed: CallErrorKind) -> Self {
        let denied = failed == CallErrorKind::Denied;
        self.with(NoteDetail::FailedCall { action: action.to_owned(), denied })
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    pub(super) fn about(self, candidate: &Candidate, whose: Option<(AccountId, UserName)>) -> LeftAloneNote {
        LeftAloneNote {
            key_id: Some(candidate.key_id.clone()),
            places: place_notes(&candidate.places),
            reason: self.reason.into(),
            message: self.message,
            due: self.due,
            whose,
            detail: self.detail.map(|detail| *detail),
        }
    }
}
