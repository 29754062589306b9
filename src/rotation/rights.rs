//! Which right a refused call of a rotation lacked, whether the rotation is known to lack it, and the block for it.

use super::block_reason::BlockReason;
use super::denied::{Denied, Operation};
use super::intent::Intent;
use super::record::Rotation;
use super::state::Phase;
use crate::types::name::AccessKeyId;

impl Denied {
    /// Describes a refused call of IAM about one key.
    #[must_use]
    pub fn of_key(rotation: &Rotation, operation: Operation, key: &AccessKeyId, answer: impl Into<String>) -> Self {
        let resource = format!("{key} of user {}", rotation.opened.user);
        Self { key: Some(key.clone()), ..Self::new(operation, resource, answer) }
    }

    /// Describes a refused call of IAM about the user.
    #[must_use]
    pub fn of_user(rotation: &Rotation, operation: Operation, answer: impl Into<String>) -> Self {
        Self::new(operation, format!("user {}", rotation.opened.user), answer)
    }

    /// A write of the places.
    #[must_use]
    pub fn of_write(rotation: &Rotation, answer: impl Into<String>) -> Self {
        let stores: Vec<&str> = rotation.opened.stores.keys().map(crate::types::name::StoreName::as_str).collect();
        Self::new(Operation::WriteStore, stores.join(" and "), answer)
    }

    /// The new pair, refused by STS.
    #[must_use]
    pub fn of_proof(rotation: &Rotation, key: &AccessKeyId, answer: impl Into<String>) -> Self {
        // Not the key's id: the next new key meets the same refusal.
        let whose = if *key == rotation.opened.old_key { "old" } else { "new" };
        Self::new(Operation::GetCallerIdentity, format!("the {whose} pair of user {}", rotation.opened.user), answer)
    }

    /// An effect that was refused. `None`: a sink, for which nothing but asking again helps.
    #[must_use]
    pub fn of_effect(rotation: &Rotation, intent: &Intent, answer: &str) -> Option<Self> {
        let old = &rotation.opened.old_key;
        let of_key = |operation, key| Some(Self::of_key(rotation, operation, key, answer));
        match intent {
            Intent::CreateNew { .. } => Some(Self::of_user(rotation, Operation::CreateAccessKey, answer)),
            Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore => Some(Self::of_write(rotation, answer)),
            Intent::WriteSink { .. } => None,
            Intent::DeactivateOld | Intent::ReactivateOld => of_key(Operation::UpdateAccessKey, old),
            Intent::DeactivateNew { key } | Intent::ReactivateNew { key } => of_key(Operation::UpdateAccessKey, key),
            Intent::DeleteOld => of_key(Operation::DeleteAccessKey, old),
            Intent::DiscardNew { key, .. } | Intent::DeleteNamed { key } => of_key(Operation::DeleteAccessKey, key),
        }
    }
}

impl Rotation {
    /// Whether this right was missing when the rotation was blocked last, or when its last new key was discarded: then
    /// one more refusal says that it still is. The same holds after two refusals of an effect on record: where a wait
    /// ended the run after each, no run hears a second one.
    #[must_use]
    pub fn is_known_to_lack(&self, denied: &Denied) -> bool {
        let twice = self.refused.as_ref().filter(|_| self.refused_again);
        [self.denied.as_ref(), self.withheld.as_ref(), twice]
            .into_iter()
            .flatten()
            .any(|before| denied.is_again(before))
    }

    /// Whether a write of the places was refused last for want of a right or of a lock.
    #[must_use]
    pub fn may_not_write(&self) -> bool {
        self.refused.as_ref().is_some_and(Denied::is_of_a_write)
    }

    /// Whether IAM refused to delete this key when it was asked last.
    #[must_use]
    pub fn may_not_delete(&self, key: &AccessKeyId) -> bool {
        let refused =
            |denied: &Denied| denied.operation == Operation::DeleteAccessKey && denied.key.as_ref() == Some(key);
        self.denied.as_ref().is_some_and(refused)
    }

    /// The block for want of this right.
    #[must_use]
    pub fn blocked_for(&self, denied: Denied) -> BlockReason {
        let last_use = denied.operation == Operation::GetAccessKeyLastUsed;
        let finish = last_use && denied.key.as_ref() == Some(&self.opened.old_key);
        BlockReason::AccessDenied { state: self.in_iam(), finish, once_a_day: false, stored: self.is_stored(), denied }
    }

    /// The same, where only another new key would show that the right is there.
    #[must_use]
    pub fn blocked_for_a_day(&self, denied: Denied) -> BlockReason {
        BlockReason::AccessDenied {
            state: self.in_iam(),
            finish: false,
            once_a_day: true,
            stored: self.is_stored(),
            denied,
        }
    }

    /// The block where IAM does not find the user, and cannot say who has its keys.
    #[must_use]
    pub fn user_not_found(&self, why: String) -> BlockReason {
        BlockReason::UserNotFound {
            user: self.opened.user.clone(),
            keys: self.own_keys().cloned().collect(),
            why,
            stored: self.is_stored(),
        }
    }

    /// Whether every place holds the new pair, as far as the record says.
    const fn is_stored(&self) -> bool {
        matches!(self.state.phase(), Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }))
    }

    /// Describes the keys of this rotation in IAM, for the operator.
    fn in_iam(&self) -> String {
        let old = &self.opened.old_key;
        // The reply to a deletion may be lost.
        let still = match self.state.intent() {
            Some(Intent::DeleteOld) => "may be deleted already",
            _ if self.old_delete_may_land => "may be deleted already",
            _ => "is still in IAM",
        };
        match self.state.phase() {
            None => String::new(),
            Some(Phase::Opened) => format!("the old key {old} is as it was, and IAM has no new one of this rotation"),
            Some(Phase::CreatedNew { made }) => {
                format!("the old key {old} is as it was, and IAM has the new key {} beside it", made.key)
            }
            Some(Phase::StoredNew { made, .. }) => {
                format!("every place holds the new pair {}, and the old key {old} {still}", made.key)
            }
            Some(Phase::DeactivatedOld { made, .. }) => {
                format!("every place holds the new pair {}, and the old key {old}, inactive, {still}", made.key)
            }
        }
    }
}
