//! One rotation as its journal describes it: the plan, the state, and what has to be remembered beside the state.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::denied::Denied;
use super::event::{Ending, Opened};
use super::intent::Intent;
use super::lost_create::LostCreate;
use super::sink::{Follower, SinkState};
use super::state::{NewKeyState, Phase, State};
use crate::types::name::{AccessKeyId, RotationId};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// What a look saw after a deactivation of the old key whose reply was lost: it was executed after all.
pub(super) const OLD_INACTIVE: &str = "old key inactive";

/// What a look saw where IAM does not list the new key, which a place may hold.
pub const NEW_NOT_LISTED: &str = "new key not listed";

/// A first look that has to be confirmed by a second, `settle` later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSighting {
    /// AWS's clock at it.
    pub at: Timestamp,
    /// What was seen.
    pub seen: String,
}

/// A rewrite of the old values with an unknown outcome. If it takes effect after the new pair is stored, it undoes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// It may still take effect at any time.
    Lost,
    /// It cannot take effect after this moment.
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
    /// The state of the rotation: phase, doubt, block or ending.
    #[serde(rename = "standing")]
    pub state: State,
    /// How many creates were sent and not refused.
    pub creates: u32,
    /// How many writes of the new pair in a row failed to reach `stored-new`.
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
    /// A rewrite of the old values, made while there is no new key, with an unknown outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Lost creates that may be executed yet.
    #[serde(rename = "watched")]
    pub lost_creates: Vec<LostCreate>,
    /// Keys that an operator said are not of this rotation.
    pub kept: BTreeSet<AccessKeyId>,
    /// Keys that an operator named to be deleted, and that are not deleted yet.
    pub named: BTreeSet<AccessKeyId>,
    /// Whether an operator asked to give up.
    pub abort_asked: bool,
    /// Whether an operator asked that the old key be active again.
    pub reactivate_asked: bool,
    /// Whether the old key was made active again after rotator had deactivated it.
    #[serde(default)]
    pub reactivated: bool,
    /// Whether a delete of the old key with an unknown outcome may still be executed.
    #[serde(default)]
    pub old_delete_may_land: bool,
    /// Whether a deactivation of the old key with an unknown outcome may still be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deactivation_may_land: bool,
    /// Whether the old key has been seen inactive after such a deactivation: active after that, an operator wants it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen_inactive: bool,
    /// Keys other than the old one with a deactivation that may be executed yet, because its end was never heard.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_turn_inactive: BTreeSet<AccessKeyId>,
    /// A create that was refused because the user already had two keys. The refusal may answer the second of two
    /// executions of one request, and then one of the keys is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_create: Option<LostCreate>,
    /// Whether an operator has said that the user, which IAM does not find, was deleted with its keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_given_up: bool,
    /// Why the store did not take the new pair, for the operator.
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
    #[serde(rename = "first_look")]
    pub first_sighting: Option<FirstSighting>,
    /// Keys that turned up late and were reported.
    pub late_keys: BTreeSet<AccessKeyId>,
    /// Why the rotation fails for now or waits, for the operator.
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
            state: State::Settled { phase: Phase::Opened },
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
            lost_creates: Vec::new(),
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
            first_sighting: None,
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
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it ended `aborted`.
    #[must_use]
    pub const fn is_aborted(&self) -> bool {
        matches!(self.state, State::Closed { ending: Ending::Aborted })
    }

    /// Whether it ended `aborted` by itself: its old key still wants another rotation.
    #[must_use]
    pub const fn gave_up(&self) -> bool {
        self.is_aborted() && !self.abort_asked
    }

    /// The key that this rotation made, while it is open.
    #[must_use]
    pub fn made(&self) -> Option<&NewKeyState> {
        self.state.phase().and_then(Phase::made)
    }

    /// Whether the latest look showed that IAM does not list the new key any more.
    #[must_use]
    pub fn shows_no_new_key(&self) -> bool {
        self.first_sighting.as_ref().is_some_and(|look| look.seen.contains(NEW_NOT_LISTED))
    }

    /// Whether two looks, as far apart as the policy asks, have shown that. `at`: when the second one was taken.
    #[must_use]
    pub fn has_lost_its_new_key(&self, at: Timestamp) -> bool {
        let first = self.first_sighting.as_ref().filter(|_| self.shows_no_new_key());
        first.is_some_and(|first| self.opened.policy.settled_after(first.at) <= at)
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

    /// Whether an operator asked for something that is shown until the rotation has done it.
    #[must_use]
    pub fn has_request(&self) -> bool {
        self.abort_asked || self.reactivate_asked || !self.named.is_empty()
    }

    /// Whether an operator wants the old key active: rotator does not deactivate it again.
    #[must_use]
    pub const fn is_never_deactivated_again(&self) -> bool {
        self.reactivate_asked || self.reactivated
    }

    /// The new key that is being deleted, if one is. Its deletion may have been sent, so it cannot be taken back.
    #[must_use]
    pub fn discards(&self) -> Option<&AccessKeyId> {
        match self.state.intent() {
            Some(Intent::DiscardNew { key, .. }) => Some(key),
            Some(_) | None => None,
        }
    }

    /// Until when a lost create of this rotation is watched; also after it closed.
    #[must_use]
    pub fn watched_until(&self) -> Option<Timestamp> {
        self.lost_creates.iter().map(LostCreate::until).max()
    }

    /// The wait that the policy asks for between `stored-new` and the removal of the old key.
    #[must_use]
    pub const fn overlap(&self) -> Duration {
        self.opened.policy.overlap
    }
}

impl Rotation {
    /// The sinks with what became of each.
    pub fn followers(&self) -> impl Iterator<Item = (&Follower, &SinkState)> {
        self.opened.sinks.iter().zip(&self.sinks)
    }

    /// The first sink that does not have the new pair yet.
    #[must_use]
    pub fn without_new(&self, made: &NewKeyState) -> Option<usize> {
        self.sinks.iter().position(|sink| !sink.has(&made.key))
    }

    /// The first sink that may have the new pair, after an operator gave it up.
    #[must_use]
    pub fn not_back(&self) -> Option<usize> {
        self.sinks.iter().position(|sink| !sink.is_untouched() && !sink.has(&self.opened.old_key))
    }

    /// Whether this pair may be written to this sink, in `stored-new`: that of the new key, or that of the old one after an
    /// operator gave the rotation up; and no other may take effect after it.
    #[must_use]
    pub fn may_write_sink(&self, made: &NewKeyState, sink: usize, key: &AccessKeyId, at: Timestamp) -> bool {
        let Some(state) = self.sinks.get(sink) else { return false };
        let wanted = *key == made.key || (self.abort_asked && *key == self.opened.old_key);
        wanted && !state.left && state.others_may_land_until(key).is_none_or(|until| until <= at)
    }

    /// Since when every place and every sink has the new pair. A sink that an operator left is taken to have it since then.
    #[must_use]
    pub fn followed_since(&self, made: &NewKeyState, stored_at: Timestamp) -> Timestamp {
        self.sinks.iter().filter_map(|sink| sink.followed_at(&made.key)).fold(stored_at, Timestamp::max)
    }

    /// The number of the first sink that was just left to the operator.
    #[must_use]
    pub fn just_left(&self, made: &NewKeyState) -> Option<usize> {
        self.sinks.iter().position(|sink| sink.was_just_left(&made.key))
    }
}
