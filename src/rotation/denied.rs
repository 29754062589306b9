//! A right that is missing: which call was refused, and about what. What is known of one is on record, so that no run
//! makes a new key for it again. No call is made here.

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::effect::Intent;
use super::state::{Phase, Rotation};
use crate::types::name::AccessKeyId;

/// How many writes of the new pair must be refused for lack of a right, `settle` apart, before it is given up.
pub const MOST_DENIED_WRITES: u32 = 2;

/// Where nothing else shows whether a right is there now, a new key is made to find out at most this often.
pub const ONE_KEY_IN: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What may be refused for lack of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's own names")]
pub enum Operation {
    ListAccessKeys,
    GetAccessKeyLastUsed,
    CreateAccessKey,
    UpdateAccessKey,
    DeleteAccessKey,
    GetCallerIdentity,
    /// Reading entries of a store, by whatever calls that takes.
    ReadStore,
    /// Writing entries of a store.
    WriteStore,
    /// Taking the lock under which entries of a store are written.
    LockStore,
}

impl Operation {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListAccessKeys => "ListAccessKeys",
            Self::GetAccessKeyLastUsed => "GetAccessKeyLastUsed",
            Self::CreateAccessKey => "CreateAccessKey",
            Self::UpdateAccessKey => "UpdateAccessKey",
            Self::DeleteAccessKey => "DeleteAccessKey",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::ReadStore => "reading",
            Self::WriteStore => "writing",
            Self::LockStore => "locking",
        }
    }
}

/// A call that was refused for lack of a right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// Which call.
    pub operation: Operation,
    /// About what: a key, a user, a store.
    pub resource: String,
    /// Which key, where it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<AccessKeyId>,
    /// What was answered, for people.
    pub answer: String,
}

impl Denied {
    /// A refusal of `operation` on `resource`, in the words of `answer`.
    #[must_use]
    pub fn new(operation: Operation, resource: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { operation, resource: resource.into(), key: None, answer: answer.into() }
    }

    /// Whether the same right was missing before. Answers are worded anew each time (request ids).
    #[must_use]
    pub fn is_again(&self, before: &Self) -> bool {
        self.operation == before.operation && self.resource == before.resource
    }

    /// Whether a write of the store is what was refused: another one shows whether it still is.
    #[must_use]
    pub const fn is_of_a_write(&self) -> bool {
        matches!(self.operation, Operation::WriteStore | Operation::LockStore)
    }

    /// A call of IAM's about one key.
    #[must_use]
    pub fn of_key(rotation: &Rotation, operation: Operation, key: &AccessKeyId, answer: impl Into<String>) -> Self {
        let resource = format!("{key} of user {}", rotation.opened.user);
        Self { key: Some(key.clone()), ..Self::new(operation, resource, answer) }
    }

    /// A call of IAM's about the user.
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

    /// The same, where what is missing is not a right but a lock that another program holds.
    #[must_use]
    pub fn by_a_lock(self) -> Self {
        Self { operation: Operation::LockStore, ..self }
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
        BlockReason::AccessDenied { state: self.in_iam(), finish, once_a_day: false, denied }
    }

    /// The same, where only another new key would show that the right is there.
    #[must_use]
    pub fn blocked_for_a_day(&self, denied: Denied) -> BlockReason {
        BlockReason::AccessDenied { state: self.in_iam(), finish: false, once_a_day: true, denied }
    }

    /// The block where IAM does not find the user, and cannot say who has its keys.
    #[must_use]
    pub fn user_not_found(&self, why: String) -> BlockReason {
        let stored = matches!(self.standing.phase(), Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }));
        BlockReason::UserNotFound {
            user: self.opened.user.clone(),
            keys: self.own_keys().cloned().collect(),
            why,
            stored,
        }
    }

    /// What of this rotation is in IAM, for people.
    fn in_iam(&self) -> String {
        let old = &self.opened.old_key;
        // The reply to a deletion may be lost.
        let still = match self.standing.intent() {
            Some(Intent::DeleteOld) => "may be deleted already",
            _ if self.old_delete_may_land => "may be deleted already",
            _ => "is still in IAM",
        };
        match self.standing.phase() {
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
