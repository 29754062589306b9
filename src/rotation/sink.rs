//! Sinks: places that can be written and never read, such as the secrets of GitHub Actions. A sink is written after
//! every place, and counts as holding what its API acknowledged last.
//!
//! An old key or a new key may be removed only while no sink may hold it. A write with an unknown outcome may take
//! effect until a stated moment, so until then no other pair is written to that sink.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::name::{AccessKeyId, SinkName, StoreIdentity};
use crate::types::time::Timestamp;

/// A sink in the frozen plan, and the place that it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// Which sink.
    pub sink: SinkName,
    /// What it said it was.
    pub identity: StoreIdentity,
    /// The place that it follows, by its number in the plan.
    pub place: usize,
    /// For how long after it was sent a write may still take effect there.
    pub lands_within: Duration,
}

/// What a sink's API acknowledged last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The pair of this key.
    pub key: AccessKeyId,
    /// AWS's clock then.
    pub at: Timestamp,
}

/// What became of one sink of a rotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// The pair that its API acknowledged last. None: the sink holds the old pair, or nothing.
    pub acknowledged: Option<Acknowledged>,
    /// Until when a write with an unknown outcome may still take effect, by the key of its pair.
    pub may_land: BTreeMap<AccessKeyId, Timestamp>,
    /// An operator said not to wait for it.
    pub left: bool,
    /// Since when it is not waited for, by AWS's clock. It is recorded only where an overlap begins then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
}

impl SinkState {
    /// Whether this key's pair need not be written there any more.
    #[must_use]
    pub fn has(&self, key: &AccessKeyId) -> bool {
        self.left || self.acknowledged.as_ref().is_some_and(|last| last.key == *key)
    }

    /// Whether the earlier pair need not be written there, because no other was ever sent.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.left || (self.acknowledged.is_none() && self.may_land.is_empty())
    }

    /// Since when it has this key's pair as far as can be known: it was acknowledged, or left to the operator.
    pub(super) fn followed_at(&self, key: &AccessKeyId) -> Option<Timestamp> {
        self.acknowledged.as_ref().filter(|last| last.key == *key).map(|last| last.at).or(self.left_at)
    }

    /// Whether the operator has to see to it that it gets this key's pair, and the time is not recorded yet.
    pub(super) fn was_just_left(&self, key: &AccessKeyId) -> bool {
        self.left && self.followed_at(key).is_none()
    }

    /// Until when a write of another key's pair than this one may still take effect.
    #[must_use]
    pub fn others_may_land_until(&self, key: &AccessKeyId) -> Option<Timestamp> {
        let others = self.may_land.iter().filter(|(other, _)| *other != key);
        others.map(|(_, until)| *until).max()
    }

    /// Until when any write with an unknown outcome may still take effect.
    #[must_use]
    pub fn may_land_until(&self) -> Option<Timestamp> {
        self.may_land.values().copied().max().filter(|_| !self.left)
    }

    /// A write of this key's pair was sent, and its outcome is unknown.
    pub(super) fn lost(&mut self, key: &AccessKeyId, until: Timestamp) {
        let known = self.may_land.entry(key.clone()).or_insert(until);
        *known = until.max(*known);
    }
}
