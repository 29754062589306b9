//! The rules that an operator sets for a rotation.
//!
//! The rules in force when a rotation is opened are frozen in its `opened` event. No clock is read here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::time::Timestamp;

/// What to do when a user has two keys already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpareKey {
    /// Name the spare key and wait for an operator.
    Block,
    /// Delete the spare if it is inactive; otherwise block.
    DeleteInactive,
}

/// What to do with a key that bears every mark of a lost reply of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unclaimed {
    /// Deactivate it, look again after `settle`, discard it.
    Reclaim,
    /// Name it and wait for an operator.
    Report,
}

/// What to do when the old key is still used after `stored-new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StillInUse {
    /// Go on: last-use lags, and with no overlap every key would look used.
    Ignore,
    /// Wait until it has been quiet for as long as the overlap.
    Wait,
}

/// The rules for one rotation. A journal from before a rule existed means its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How long both keys stay active after `stored-new`.
    pub overlap: Duration,
    /// How long the old key stays inactive before it is deleted; zero: no deactivation step at all.
    pub quarantine: Duration,
    /// How long "not listed" proves nothing, IAM being eventually consistent.
    pub settle: Duration,
    /// How many times in a row the new pair must answer as the expected user.
    pub confirmations: u32,
    /// The time over which the confirmations are spread.
    pub proof_span: Duration,
    /// When to give up a new pair that AWS does not accept; where AWS does not say, five times as late.
    pub proof_timeout: Duration,
    /// Two keys already.
    pub spare_key: SpareKey,
    /// A key that is most likely ours.
    pub unclaimed: Unclaimed,
    /// How long a key that is most likely ours stays inactive before its last use is asked for once more and it is
    /// deleted: last use lags.
    #[serde(skip_serializing_if = "is_usual")]
    pub unclaimed_after: Duration,
    /// An old key still in use.
    pub still_in_use: StillInUse,
    /// How long after the overlap a service that still uses the old key is waited for, before an operator is needed.
    #[serde(skip_serializing_if = "is_default_patience")]
    pub still_in_use_for: Duration,
}

/// A journal from before the setting existed means this, and one that means this has the same form.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

fn is_default_patience(patience: &Duration) -> bool {
    *patience == PATIENCE
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overlap: Duration::ZERO,
            quarantine: Duration::ZERO,
            settle: Duration::from_secs(60),
            confirmations: 3,
            proof_span: Duration::from_secs(10),
            proof_timeout: Duration::from_secs(120),
            spare_key: SpareKey::Block,
            unclaimed: Unclaimed::Reclaim,
            unclaimed_after: UNCLAIMED_AFTER,
            still_in_use: StillInUse::Ignore,
            still_in_use_for: PATIENCE,
        }
    }
}

/// What a journal without `unclaimed_after` means; part of its form, so it never changes.
const UNCLAIMED_AFTER: Duration = Duration::from_secs(15 * 60);

fn is_usual(unclaimed_after: &Duration) -> bool {
    *unclaimed_after == UNCLAIMED_AFTER
}

impl Policy {
    /// Whether an old key is deleted as soon as every place holds the new pair.
    #[must_use]
    pub const fn deletes_at_once(&self) -> bool {
        self.overlap.is_zero() && self.quarantine.is_zero()
    }

    /// From when on a look contradicts one of this moment, by AWS's dates: `settle` later. These are whole seconds, of
    /// which the first may have been as good as over: one more, or it could be a second less than was asked for.
    #[must_use]
    pub fn settled_after(&self, moment: Timestamp) -> Timestamp {
        if self.settle.is_zero() { moment } else { moment.plus(self.settle + Duration::from_secs(1)) }
    }

    /// From when on a key that is held on evidence, and was deactivated at this moment, may be deleted.
    #[must_use]
    pub fn unclaimed_since(&self, deactivated: Timestamp) -> Timestamp {
        self.settled_after(deactivated).max(deactivated.plus(self.unclaimed_after))
    }
}

/// How many creates one rotation may spend before it is blocked.
pub const MOST_CREATES: u32 = 5;

/// How many writes of the new pair may fail in a row before it is given up.
pub const MOST_REFUSED_WRITES: u32 = 3;

/// How long after its intent AWS may still execute a signed request: a signature is good for 15 minutes
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>), and one more.
pub const LATE_REQUEST: Duration = Duration::from_secs(16 * 60);

/// How far AWS's clocks may differ at the early end of an attempt's window.
pub const WINDOW_BEFORE: Duration = Duration::from_secs(2);

/// How long after the attempt's time-out a key may still be dated to count as the attempt's.
pub const WINDOW_AFTER: Duration = Duration::from_secs(60);
