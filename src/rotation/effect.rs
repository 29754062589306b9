//! What rotator may do to the world, and the intent that must be durable before each of it.
//!
//! An [`Effect`] has an [`Intent`] (journaled before) and turns its result into an [`Outcome`] (journaled after). The
//! trait is sealed: the effects below are all there are. Nothing here performs one.

use std::collections::BTreeSet;

use super::event::Outcome;
use super::intent::{AfterDiscard, Intent};
use crate::types::name::{AccessKeyId, RotationId, StoreName, UserName};
use crate::types::secret::NewKey;
use crate::types::time::Timestamp;

mod sealed {
    pub trait Sealed {}
}

/// Something that changes IAM or a store.
pub trait Effect: sealed::Sealed + Send {
    /// What the effect yields when it certainly happened.
    type Yield: Send;

    /// What the journal must hold first.
    fn intent(&self) -> Intent;

    /// Returns what the journal holds after the effect. `intent` is the one that was journaled; `None`: it is the intent
    /// of another effect.
    fn outcome(intent: &Intent, rotation: RotationId, yielded: &Self::Yield) -> Option<Outcome>;
}

/// Create a key for `user`.
#[derive(Debug)]
pub struct CreateNew {
    /// Whose key.
    pub user: UserName,
    /// The ids listed just before.
    pub listed: BTreeSet<AccessKeyId>,
    /// AWS's clock then.
    pub asked_at: Timestamp,
    /// When the call times out.
    pub give_up_at: Timestamp,
}

/// A key as `CreateAccessKey` answered it.
#[derive(Debug)]
pub struct Created {
    /// The pair.
    pub key: NewKey,
    /// AWS's clock when it answered.
    pub at: Timestamp,
}

impl sealed::Sealed for CreateNew {}
impl Effect for CreateNew {
    type Yield = Created;

    fn intent(&self) -> Intent {
        Intent::CreateNew { listed: self.listed.clone(), asked_at: self.asked_at, give_up_at: self.give_up_at }
    }

    fn outcome(_: &Intent, rotation: RotationId, created: &Created) -> Option<Outcome> {
        Some(match created.key.secret.fingerprint(rotation) {
            Some(fingerprint) => Outcome::Created { key: created.key.id.clone(), fingerprint, at: created.at },
            // The port takes no reply without a whole secret; should one get here, its key is ours to discard.
            None => Outcome::FoundCreated { key: created.key.id.clone() },
        })
    }
}

/// Why entries of stores are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// The new pair.
    StoreNew,
    /// The old pair, back again.
    RestoreOld,
    /// The values as they are, so that their versions change.
    FenceStore,
}

/// Write entries of one or more stores.
#[derive(Debug)]
pub struct WriteEntries {
    /// Why.
    pub kind: WriteKind,
    /// Which stores.
    pub stores: BTreeSet<StoreName>,
}

impl sealed::Sealed for WriteEntries {}
impl Effect for WriteEntries {
    /// AWS's clock when the last write was read back.
    type Yield = Timestamp;

    fn intent(&self) -> Intent {
        match self.kind {
            WriteKind::StoreNew => Intent::StoreNew,
            WriteKind::RestoreOld => Intent::RestoreOld,
            WriteKind::FenceStore => Intent::FenceStore,
        }
    }

    fn outcome(intent: &Intent, _: RotationId, at: &Timestamp) -> Option<Outcome> {
        Outcome::of_intent(intent, *at)
    }
}

/// Write a pair to a sink.
#[derive(Debug)]
pub struct WriteSink {
    /// Which of the plan's sinks.
    pub sink: usize,
    /// The pair of this key.
    pub key: AccessKeyId,
    /// AWS's clock when it is asked for.
    pub asked_at: Timestamp,
    /// Until when it may still take effect, by the same clock.
    pub until: Timestamp,
}

impl sealed::Sealed for WriteSink {}
impl Effect for WriteSink {
    /// AWS's clock when it was acknowledged.
    type Yield = Timestamp;

    fn intent(&self) -> Intent {
        let Self { sink, key, asked_at, until } = self;
        Intent::WriteSink { sink: *sink, key: key.clone(), asked_at: *asked_at, until: *until }
    }

    fn outcome(intent: &Intent, _: RotationId, at: &Timestamp) -> Option<Outcome> {
        Outcome::of_intent(intent, *at)
    }
}

/// Make a key active or inactive.
#[derive(Debug)]
pub struct ChangeStatus {
    user: UserName,
    key: AccessKeyId,
    intent: Intent,
    active: bool,
}

impl ChangeStatus {
    /// The old key, inactive.
    #[must_use]
    pub const fn deactivate_old(user: UserName, key: AccessKeyId) -> Self {
        Self { user, key, intent: Intent::DeactivateOld, active: false }
    }

    /// The old key, active again.
    #[must_use]
    pub const fn reactivate_old(user: UserName, key: AccessKeyId) -> Self {
        Self { user, key, intent: Intent::ReactivateOld, active: true }
    }

    /// The new key, inactive.
    #[must_use]
    pub fn deactivate_new(user: UserName, key: AccessKeyId) -> Self {
        Self { user, intent: Intent::DeactivateNew { key: key.clone() }, key, active: false }
    }

    /// The new key, active again.
    #[must_use]
    pub fn reactivate_new(user: UserName, key: AccessKeyId) -> Self {
        Self { user, intent: Intent::ReactivateNew { key: key.clone() }, key, active: true }
    }

    /// Whose key.
    #[must_use]
    pub const fn user(&self) -> &UserName {
        &self.user
    }

    /// Which key.
    #[must_use]
    pub const fn key(&self) -> &AccessKeyId {
        &self.key
    }

    /// Whether it shall be active.
    #[must_use]
    pub const fn active(&self) -> bool {
        self.active
    }
}

impl sealed::Sealed for ChangeStatus {}
impl Effect for ChangeStatus {
    /// AWS's clock when it answered.
    type Yield = Timestamp;

    fn intent(&self) -> Intent {
        self.intent.clone()
    }

    fn outcome(intent: &Intent, _: RotationId, at: &Timestamp) -> Option<Outcome> {
        Outcome::of_intent(intent, *at)
    }
}

/// Delete a key. That there is no such key is success, but of a young key it is no answer.
#[derive(Debug)]
pub struct DeleteKey {
    user: UserName,
    key: AccessKeyId,
    intent: Intent,
    is_young: bool,
}

impl DeleteKey {
    /// Of a key made so lately that IAM may not know it everywhere yet: that IAM does not find it proves nothing then.
    #[must_use]
    pub const fn young(mut self, is_young: bool) -> Self {
        self.is_young = is_young;
        self
    }

    /// Whether `NoSuchEntity` proves nothing yet.
    #[must_use]
    pub const fn is_young(&self) -> bool {
        self.is_young
    }

    /// The old key.
    #[must_use]
    pub const fn old(user: UserName, key: AccessKeyId) -> Self {
        Self { user, key, intent: Intent::DeleteOld, is_young: false }
    }

    /// The new key; `why` is for the operator.
    #[must_use]
    pub fn new_key(user: UserName, key: AccessKeyId, then: AfterDiscard, why: String) -> Self {
        Self { user, intent: Intent::DiscardNew { key: key.clone(), then, why }, key, is_young: false }
    }

    /// A key that an operator, or the policy on spares, named.
    #[must_use]
    pub fn named(user: UserName, key: AccessKeyId) -> Self {
        Self { user, intent: Intent::DeleteNamed { key: key.clone() }, key, is_young: false }
    }

    /// Whose key.
    #[must_use]
    pub const fn user(&self) -> &UserName {
        &self.user
    }

    /// Which key.
    #[must_use]
    pub const fn key(&self) -> &AccessKeyId {
        &self.key
    }
}

impl sealed::Sealed for DeleteKey {}
impl Effect for DeleteKey {
    /// AWS's clock when it answered.
    type Yield = Timestamp;

    fn intent(&self) -> Intent {
        self.intent.clone()
    }

    fn outcome(intent: &Intent, _: RotationId, at: &Timestamp) -> Option<Outcome> {
        Outcome::of_intent(intent, *at)
    }
}
