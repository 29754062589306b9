//! The state of a rotation, and the facts that hold in it.
//!
//! | state | what it means |
//! |---|---|
//! | `Settled(phase)` | the facts of the phase hold and nothing is under way |
//! | `InDoubt(phase, intent)` | they hold, but for what the intent's effect may have changed |
//! | `Blocked(phase, intent, reason)` | as settled or in doubt, and an operator is needed |
//! | `Closed(ending)` | for good |

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::event::Ending;
use super::intent::Intent;
use crate::types::name::AccessKeyId;
use crate::types::secret::Fingerprint;
use crate::types::time::Timestamp;

/// How we know that the new key is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "claim", rename_all = "kebab-case")]
pub enum Provenance {
    /// IAM's reply named it: surely ours.
    Acknowledged {
        /// Of its secret.
        fingerprint: Fingerprint,
    },
    /// It bears the marks of a lost reply: most likely ours. Its secret is lost.
    #[serde(rename = "evidence")]
    Inferred,
}

/// The key that this rotation made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyState {
    /// Its id.
    pub key: AccessKeyId,
    /// How we know.
    #[serde(rename = "claim")]
    pub provenance: Provenance,
    /// When it was made inactive, on mere evidence.
    pub deactivated: Option<Timestamp>,
    /// From when on no write of its pair can land any more.
    pub fenced: Option<Timestamp>,
    /// Whether a write of its pair with an unknown outcome may still take effect.
    pub write_may_land: bool,
    /// Whether a write of the old pair with an unknown outcome may still take effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub old_may_land: bool,
    /// Whether a delete of it with an unknown outcome may still be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard_may_land: bool,
}

impl NewKeyState {
    /// A key that is known of, and of which nothing else is on record yet.
    #[must_use]
    pub const fn new(key: AccessKeyId, provenance: Provenance) -> Self {
        Self {
            key,
            provenance,
            deactivated: None,
            fenced: None,
            write_may_land: false,
            old_may_land: false,
            discard_may_land: false,
        }
    }

    /// The fingerprint of its secret, where its reply was read.
    #[must_use]
    pub const fn fingerprint(&self) -> Option<&Fingerprint> {
        match &self.provenance {
            Provenance::Acknowledged { fingerprint } => Some(fingerprint),
            Provenance::Inferred => None,
        }
    }
}

/// How far a rotation has settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// The plan is frozen. Every place held the old pair when it was. No key of ours exists.
    Opened,
    /// IAM holds the new key. No place is known to hold it. The old key is as it was.
    CreatedNew {
        /// The new key.
        made: NewKeyState,
    },
    /// Every place has been seen to hold the new pair. The old key is as it was.
    StoredNew {
        /// The new key, acknowledged.
        made: NewKeyState,
        /// Since when, by AWS's clock.
        stored_at: Timestamp,
    },
    /// As `stored-new`, and we made the old key inactive.
    DeactivatedOld {
        /// The new key, acknowledged.
        made: NewKeyState,
        /// When the places held the new pair, by AWS's clock.
        stored_at: Timestamp,
        /// Since when the old key is inactive, by AWS's clock.
        deactivated_at: Timestamp,
    },
}

impl Phase {
    /// The name in the JSON document.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::CreatedNew { .. } => "created-new",
            Self::StoredNew { .. } => "stored-new",
            Self::DeactivatedOld { .. } => "deactivated-old",
        }
    }

    /// The new key, where there is one.
    #[must_use]
    pub const fn made(&self) -> Option<&NewKeyState> {
        match self {
            Self::Opened => None,
            Self::CreatedNew { made } | Self::StoredNew { made, .. } | Self::DeactivatedOld { made, .. } => Some(made),
        }
    }
}

/// The state of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum State {
    /// Nothing is under way.
    Settled {
        /// What holds.
        phase: Phase,
    },
    /// An effect may or may not have happened.
    InDoubt {
        /// What held before it.
        phase: Phase,
        /// The effect.
        intent: Intent,
    },
    /// An operator is needed.
    Blocked {
        /// What holds.
        phase: Phase,
        /// The effect in doubt, if any.
        intent: Option<Intent>,
        /// Why.
        reason: BlockReason,
    },
    /// For good.
    Closed {
        /// How.
        ending: Ending,
    },
}

impl State {
    /// The phase, while the rotation is open.
    #[must_use]
    pub const fn phase(&self) -> Option<&Phase> {
        match self {
            Self::Settled { phase } | Self::InDoubt { phase, .. } | Self::Blocked { phase, .. } => Some(phase),
            Self::Closed { .. } => None,
        }
    }

    /// The effect in doubt, if any.
    #[must_use]
    pub const fn intent(&self) -> Option<&Intent> {
        match self {
            Self::InDoubt { intent, .. } | Self::Blocked { intent: Some(intent), .. } => Some(intent),
            Self::Settled { .. } | Self::Blocked { intent: None, .. } | Self::Closed { .. } => None,
        }
    }

    /// The name of the phase or ending.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settled { phase } | Self::InDoubt { phase, .. } | Self::Blocked { phase, .. } => phase.name(),
            Self::Closed { ending } => ending.name(),
        }
    }
}
