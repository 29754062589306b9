//! Where a rotation stands, and the facts that hold there.
//!
//! | standing | what it means |
//! |---|---|
//! | `Settled(phase)` | the facts of the phase hold and nothing is under way |
//! | `InDoubt(phase, intent)` | they hold, but for what the intent's effect may have changed |
//! | `Blocked(phase, intent, reason)` | as settled or in doubt, and a person is needed |
//! | `Closed(ending)` | for good |

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::denied::Denied;
use super::effect::Intent;
use super::event::{Ending, Opened};
use super::lost_create::LostCreate;
use super::policy::Timestamp;
use super::sink::SinkState;
use crate::types::name::{AccessKeyId, RotationId};
use crate::types::place::Place;
use crate::types::secret::Fingerprint;

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
    pub claim: Provenance,
    /// When it was made inactive, on mere evidence.
    pub deactivated: Option<Timestamp>,
    /// From when on no write of its pair can land any more.
    pub fenced: Option<Timestamp>,
    /// Whether a write of its pair may land that nobody heard the end of.
    pub write_may_land: bool,
    /// Whether a write of the old pair may land that nobody heard the end of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub old_may_land: bool,
    /// Whether a delete of it may be executed yet that nobody heard the end of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard_may_land: bool,
}

impl NewKeyState {
    /// A key that is known of, and of which nothing else is on record yet.
    #[must_use]
    pub const fn new(key: AccessKeyId, claim: Provenance) -> Self {
        Self {
            key,
            claim,
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
        match &self.claim {
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
        /// When the places had it, by AWS's clock.
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

/// Where a rotation stands.
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
    /// A person is needed.
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

/// A first look that has to be confirmed by a second, `settle` later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSighting {
    /// AWS's clock at it.
    pub at: Timestamp,
    /// What was seen.
    pub seen: String,
}

/// A rewrite of the old values whose end nobody heard: landing after the new pair is stored, it would undo that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// It may land at any time.
    Lost,
    /// It cannot land after this moment.
    Fenced(Timestamp),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One rotation as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Its id.
    pub id: RotationId,
    /// The frozen plan.
    pub opened: Opened,
    /// Where it stands.
    pub standing: State,
    /// How many creates were sent and not refused.
    pub creates: u32,
    /// How many writes of the new pair in a row did not come to `stored-new`.
    pub refused_writes: u32,
    /// How many writes of the new pair were refused for lack of a right.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denied_writes: u32,
    /// Whether the last of these writes was refused because another program held a lock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked_out: bool,
    /// The right for want of which it was blocked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
    /// The right for want of which an effect was refused last, where no effect since has shown that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Denied>,
    /// Whether it was refused for want of the same right before that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused_again: bool,
    /// The right for want of which the last new key was given up: none is made until it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Denied>,
    /// How many new keys were given up so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys_withheld: u32,
    /// AWS's clock when the last create was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_last: Option<Timestamp>,
    /// A rewrite of the old values, made while there is no new key, that nobody heard the end of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Lost creates that may be executed yet.
    pub watched: Vec<LostCreate>,
    /// Keys that a person said are not ours.
    pub kept: BTreeSet<AccessKeyId>,
    /// Keys that a person named to be deleted, and that are not yet.
    pub named: BTreeSet<AccessKeyId>,
    /// Whether a person asked to give up.
    pub abort_asked: bool,
    /// Whether a person asked that the old key be active again.
    pub reactivate_asked: bool,
    /// Whether somebody made the old key active again after we had deactivated it.
    #[serde(default)]
    pub reactivated: bool,
    /// Whether a delete of the old key may be executed yet that nobody heard the end of.
    #[serde(default)]
    pub old_delete_may_land: bool,
    /// Whether a deactivation of the old key may be executed yet that nobody heard the end of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deactivation_may_land: bool,
    /// Whether the old key has been seen inactive after such a deactivation: active after that, an operator wants it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen_inactive: bool,
    /// Keys other than the old one with a deactivation that may be executed yet, because its end was never heard.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_turn_inactive: BTreeSet<AccessKeyId>,
    /// A create that was refused because the user had two keys already: it may be the second answer to a request that was
    /// executed twice, and the key then its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_create: Option<LostCreate>,
    /// Whether an operator has said that the user, which IAM does not find, is gone with its keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_given_up: bool,
    /// Why the store did not take the new pair, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_said: Option<String>,
    /// Late copies among the places that wait for the new pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Place>,
    /// Late copies that did not take it, and are not tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Place>,
    /// What became of each of the plan's sinks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkState>,
    /// A first look that waits for its second.
    pub first_look: Option<FirstSighting>,
    /// Keys that turned up late and were reported.
    pub late_keys: BTreeSet<AccessKeyId>,
    /// Why the last thing that failed or waits does so, for people.
    pub last_error: Option<String>,
    /// When it will be looked at again, where a time is known.
    pub waiting_until: Option<Timestamp>,
    /// How many intents were journaled.
    pub attempts: u32,
    /// The new key of this rotation, also after it closed; not one that was discarded.
    pub new_key: Option<AccessKeyId>,
}

impl Rotation {
    /// A rotation as its first line says.
    #[must_use]
    pub fn open(id: RotationId, opened: Opened) -> Self {
        let may_turn_inactive = opened.may_turn_inactive.clone();
        Self {
            id,
            sinks: vec![SinkState::default(); opened.sinks.len()],
            opened,
            standing: State::Settled { phase: Phase::Opened },
            creates: 0,
            refused_writes: 0,
            denied_writes: 0,
            locked_out: false,
            denied: None,
            refused: None,
            refused_again: false,
            withheld: None,
            keys_withheld: 0,
            created_last: None,
            probe: None,
            watched: Vec::new(),
            kept: BTreeSet::new(),
            named: BTreeSet::new(),
            abort_asked: false,
            reactivate_asked: false,
            reactivated: false,
            old_delete_may_land: false,
            deactivation_may_land: false,
            seen_inactive: false,
            may_turn_inactive,
            refused_create: None,
            user_given_up: false,
            store_said: None,
            added: Vec::new(),
            left_out: Vec::new(),
            first_look: None,
            late_keys: BTreeSet::new(),
            last_error: None,
            waiting_until: None,
            attempts: 0,
            new_key: None,
        }
    }

    /// Whether it is closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.standing, State::Closed { .. })
    }

    /// Whether it ended `aborted` by itself: its old key still wants another rotation.
    #[must_use]
    pub const fn gave_up(&self) -> bool {
        matches!(self.standing, State::Closed { ending: Ending::Aborted }) && !self.abort_asked
    }

    /// The key that this rotation made, while it is open.
    #[must_use]
    pub fn made(&self) -> Option<&NewKeyState> {
        self.standing.phase().and_then(Phase::made)
    }

    /// The keys that tell its user from any other: the old one and the new one.
    pub fn own_keys(&self) -> impl Iterator<Item = &AccessKeyId> {
        std::iter::once(&self.opened.old_key).chain(self.made().map(|made| &made.key))
    }

    /// The keys that a removal of this rotation may concern: the old one, the new one, those that an operator named.
    pub fn keys(&self) -> impl Iterator<Item = &AccessKeyId> {
        self.own_keys().chain(&self.named)
    }

    /// Whether this is neither the old key nor the new one.
    #[must_use]
    pub fn is_strangers(&self, key: &AccessKeyId) -> bool {
        *key != self.opened.old_key && self.made().is_none_or(|made| made.key != *key)
    }

    /// Whether a person wants the old key active: rotator does not deactivate it again.
    #[must_use]
    pub const fn is_never_deactivated_again(&self) -> bool {
        self.reactivate_asked || self.reactivated
    }

    /// Until when a lost create of this rotation is watched; also after it closed.
    #[must_use]
    pub fn watched_until(&self) -> Option<Timestamp> {
        self.watched.iter().map(LostCreate::until).max()
    }

    /// The wait that the policy asks for between `stored-new` and the removal of the old key.
    #[must_use]
    pub const fn overlap(&self) -> Duration {
        self.opened.policy.overlap
    }
}
