//! A create whose reply was lost and which seems not to have happened: until when a key of it may still turn up.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::policy::{LATE_REQUEST, WINDOW_AFTER, WINDOW_BEFORE};
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// A `CreateAccessKey` whose reply was lost and which seems not to have happened: a request once signed may still be
/// executed until [`LATE_REQUEST`] after its intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostCreate {
    /// The ids listed before it.
    pub listed: BTreeSet<AccessKeyId>,
    /// AWS's clock at its intent.
    pub asked_at: Timestamp,
    /// When it timed out.
    pub give_up_at: Timestamp,
}

impl LostCreate {
    /// Until when a key of this attempt may still turn up.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.asked_at.plus(LATE_REQUEST)
    }

    /// Whether a key that was not there before, and created then, may be a late child of this attempt.
    #[must_use]
    pub fn may_have_made(&self, key: &AccessKeyId, created: Timestamp) -> bool {
        !self.listed.contains(key) && created >= self.asked_at.minus(WINDOW_BEFORE) && created <= self.until()
    }
}

/// Whether `created` lies inside an attempt's window.
#[must_use]
pub fn in_window(created: Timestamp, asked_at: Timestamp, give_up_at: Timestamp) -> bool {
    created >= asked_at.minus(WINDOW_BEFORE) && created <= give_up_at.plus(WINDOW_AFTER)
}
