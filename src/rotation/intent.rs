//! What the journal says before an effect: the intent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// The next step after a new key was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterDiscard {
    /// Its secret was lost: back to `opened`, create again.
    CreateAgain,
    /// The rotation is given up: `aborted`.
    Abort,
}

/// The effect that the journal says we are about to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "kebab-case")]
pub enum Intent {
    /// Create a key for the user.
    CreateNew {
        /// The ids listed just before.
        listed: BTreeSet<AccessKeyId>,
        /// AWS's clock when that list was answered.
        asked_at: Timestamp,
        /// When the attempt times out, by the same clock.
        give_up_at: Timestamp,
    },
    /// Write the new pair to every place.
    StoreNew,
    /// Write the old pair back to the places that hold the new one, because another place refused it for good.
    RestoreOld,
    /// Rewrite the old values so that a write still under way is refused.
    FenceStore,
    /// Write a pair to a sink: the new one, or the old one after an operator gave the new one up.
    WriteSink {
        /// Which of the plan's sinks.
        sink: usize,
        /// The pair of this key.
        key: AccessKeyId,
        /// AWS's clock when it was asked for.
        asked_at: Timestamp,
        /// Until when it may still take effect, by the same clock.
        until: Timestamp,
    },
    /// Make the old key inactive.
    DeactivateOld,
    /// Make the old key active again: a place names it.
    ReactivateOld,
    /// Delete the old key.
    DeleteOld,
    /// Make the new key, whose secret is lost, inactive.
    DeactivateNew {
        /// The new key.
        key: AccessKeyId,
    },
    /// Make that key active again: it is used or referenced, so it is not one of this rotation.
    ReactivateNew {
        /// The new key.
        key: AccessKeyId,
    },
    /// Delete the new key.
    DiscardNew {
        /// The new key.
        key: AccessKeyId,
        /// What then.
        then: AfterDiscard,
        /// Why, for the operator.
        #[serde(default)]
        why: String,
    },
    /// Delete a key that an operator named, or an inactive spare key that the policy names.
    DeleteNamed {
        /// That key.
        key: AccessKeyId,
    },
}

impl Intent {
    /// The name in the JSON document and in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateNew { .. } => "create-new",
            Self::StoreNew => "store-new",
            Self::RestoreOld => "restore-old",
            Self::FenceStore => "fence-store",
            Self::WriteSink { .. } => "write-sink",
            Self::DeactivateOld => "deactivate-old",
            Self::ReactivateOld => "reactivate-old",
            Self::DeleteOld => "delete-old",
            Self::DeactivateNew { .. } => "deactivate-new",
            Self::ReactivateNew { .. } => "reactivate-new",
            Self::DiscardNew { .. } => "discard-new",
            Self::DeleteNamed { .. } => "delete-named",
        }
    }
}
