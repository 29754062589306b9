//! Why a rotation is blocked, in words for an operator, each with the command that resolves it.

mod words;

use serde::{Deserialize, Serialize};

use self::words::{COPIES, cannot_abort, changed_elsewhere, lack, not_found, old_key_gone, reverted, unclaimed};
use super::denied::{Denied, Operation};
use crate::types::name::{AccessKeyId, RotationId, UserName};
use crate::types::shell::quoted;
use crate::types::time::Timestamp;

/// Why an operator is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum BlockReason {
    /// The user has a second key that is not ours: there is no room for a new one.
    SpareKey {
        /// That key.
        key: AccessKeyId,
        /// Its status and age, for the operator.
        described: String,
    },
    /// After a lost reply to `CreateAccessKey` there are keys that may or may not be ours.
    UnclaimedKeys {
        /// Those keys.
        keys: Vec<AccessKeyId>,
        /// Which mark is missing.
        why: String,
    },
    /// A place holds neither the old pair nor the new one.
    #[serde(rename = "somebody-wrote")]
    ChangedElsewhere {
        /// The places.
        places: Vec<String>,
        /// The places that still hold the new pair.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        still_new: Vec<String>,
        /// Whether IAM does not list the new key any more, as far as it was asked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_key_gone: bool,
    },
    /// A place holds the old pair again after every place held the new one.
    Reverted {
        /// The places.
        places: Vec<String>,
        /// The places that still hold the new pair.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        still_new: Vec<String>,
        /// Whether IAM does not list the new key any more, as far as it was asked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_key_gone: bool,
    },
    /// A place holds the old pair again, whose key IAM does not list any more: there is no way back.
    OldKeyGone {
        /// That key.
        key: AccessKeyId,
        /// The places.
        places: Vec<String>,
        /// The places that still hold the new pair.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        still_new: Vec<String>,
        /// Whether IAM does not list the new key any more, as far as it was asked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_key_gone: bool,
    },
    /// Entries that are no places of this rotation still name the key that is to be removed.
    #[serde(rename = "still-named")]
    StillReferenced {
        /// The key.
        key: AccessKeyId,
        /// The entries.
        entries: Vec<String>,
    },
    /// Entries that cannot be read may name the key that is to be removed.
    Unreadable {
        /// The entries.
        entries: Vec<String>,
    },
    /// The new key, which every place holds, is missing or inactive in IAM.
    NewKeyNotActive {
        /// That key.
        key: AccessKeyId,
        /// How IAM shows it.
        seen: String,
    },
    /// The new key, which every place holds, is not listed in IAM any more.
    NewKeyGone {
        /// That key.
        key: AccessKeyId,
    },
    /// Places hold the new pair, but a delete of its key was sent and its outcome is unknown.
    NewKeyDiscarded {
        /// That key.
        key: AccessKeyId,
    },
    /// The pair as read back from the store does not authenticate as the user.
    StoredPairFails {
        /// That key.
        key: AccessKeyId,
        /// What was answered.
        answer: String,
    },
    /// The new pair authenticates as another user.
    WrongIdentity {
        /// That key.
        key: AccessKeyId,
        /// Who answered.
        answer: String,
    },
    /// The old key was made active again after rotator had deactivated it.
    OldKeyReactivated {
        /// That key.
        key: AccessKeyId,
    },
    /// An abort was asked for and the places hold the old pair, but IAM has the old key switched off.
    OldKeyNotActive {
        /// That key.
        key: AccessKeyId,
        /// How IAM shows it.
        seen: String,
    },
    /// This rotation has made as many keys as it may.
    TooManyCreates,
    /// An abort was asked for, but the places hold the new pair.
    CannotAbort {
        /// Which.
        places: Vec<String>,
        /// Whether IAM does not list the new key any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_key_gone: bool,
    },
    /// A right is missing, or a lock: a call was refused twice, `settle` apart, or `CreateAccessKey` once.
    AccessDenied {
        /// Which call, about what.
        denied: Denied,
        /// Describes the keys of this rotation in IAM, for the operator.
        state: String,
        /// Whether it is the old key's last use that cannot be asked for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        finish: bool,
        /// Whether only another new key would show that the right is there, of which one a day is made.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        once_a_day: bool,
        /// Whether every place holds the new pair.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stored: bool,
    },
    /// The old key is still used, longer after the overlap than the policy waits.
    StillInUse {
        /// That key.
        key: AccessKeyId,
        /// When it was used last.
        at: Timestamp,
        /// By which service of AWS, where IAM says so.
        service: String,
        /// In which region.
        region: String,
    },
    /// IAM has no such user, and the owner of its keys is unknown: the user was renamed or deleted.
    UserNotFound {
        /// The last known name of the user.
        user: UserName,
        /// The keys of this rotation, which may be there under another name.
        keys: Vec<AccessKeyId>,
        /// Why the owner is unknown.
        why: String,
        /// Whether every place holds the new pair.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stored: bool,
    },
}

impl BlockReason {
    /// The name in the JSON document.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SpareKey { .. } => "spare-key",
            Self::UnclaimedKeys { .. } => "unclaimed-keys",
            Self::ChangedElsewhere { .. } => "changed-elsewhere",
            Self::Reverted { .. } => "reverted",
            Self::OldKeyGone { .. } => "old-key-gone",
            Self::StillReferenced { .. } => "still-referenced",
            Self::Unreadable { .. } => "unreadable",
            Self::NewKeyNotActive { .. } => "new-key-not-active",
            Self::NewKeyGone { .. } => "new-key-gone",
            Self::NewKeyDiscarded { .. } => "new-key-discarded",
            Self::StoredPairFails { .. } => "stored-pair-fails",
            Self::WrongIdentity { .. } => "wrong-identity",
            Self::OldKeyReactivated { .. } => "old-key-reactivated",
            Self::OldKeyNotActive { .. } => "old-key-not-active",
            Self::TooManyCreates => "too-many-creates",
            Self::CannotAbort { .. } => "cannot-abort",
            Self::AccessDenied { denied, .. } if matches!(denied.operation, Operation::LockStore) => "locked",
            Self::AccessDenied { .. } => "access-denied",
            Self::StillInUse { .. } => "still-in-use",
            Self::UserNotFound { .. } => "user-not-found",
        }
    }

    /// The section of the manual about it, below the root of the repository.
    #[must_use]
    pub fn docs_section(&self) -> String {
        format!("docs/operations.md#blocked-{}", self.name())
    }

    /// Whether an abort is a way out of it also after `stored-new`. The rotation may have no way forward, or the
    /// operator may already have undone it.
    #[must_use]
    pub const fn offers_abort(&self) -> bool {
        match self {
            Self::ChangedElsewhere { .. }
            | Self::Reverted { .. }
            | Self::OldKeyGone { .. }
            | Self::NewKeyNotActive { .. }
            | Self::NewKeyGone { .. }
            | Self::NewKeyDiscarded { .. }
            | Self::StoredPairFails { .. }
            | Self::WrongIdentity { .. }
            | Self::OldKeyReactivated { .. }
            | Self::OldKeyNotActive { .. }
            | Self::CannotAbort { .. } => true,
            // The stored pair cannot be tried: it may be of no use where it is.
            Self::AccessDenied { denied, .. } => matches!(denied.operation, Operation::GetCallerIdentity),
            Self::SpareKey { .. }
            | Self::UnclaimedKeys { .. }
            | Self::StillReferenced { .. }
            | Self::Unreadable { .. }
            | Self::StillInUse { .. }
            | Self::UserNotFound { .. }
            | Self::TooManyCreates => false,
        }
    }

    /// Whether this is the block `before` again. What AWS answered is worded anew each time (request ids) and does not
    /// count: each new wording would be one more line in the journal.
    #[must_use]
    pub fn is_again(&self, before: &Self) -> bool {
        if let (Self::StoredPairFails { key, .. }, Self::StoredPairFails { key: before, .. })
        | (Self::WrongIdentity { key, .. }, Self::WrongIdentity { key: before, .. }) = (self, before)
        {
            return key == before;
        }
        match (self, before) {
            (Self::AccessDenied { denied, .. }, Self::AccessDenied { denied: before, .. }) => denied.is_again(before),
            (
                Self::UserNotFound { user, keys, stored, .. },
                Self::UserNotFound { user: same, keys: of, stored: was, .. },
            ) => user == same && keys == of && stored == was,
            // Each use is one more moment.
            (
                Self::StillInUse { key, service, region, .. },
                Self::StillInUse { key: same, service: there, region: where_, .. },
            ) => key == same && service == there && region == where_,
            _ => self == before,
        }
    }

    /// Says what happened and what to do first, for the operator. `user`: whose rotation is blocked, for the commands.
    #[must_use]
    pub fn message(&self, user: &UserName) -> String {
        let name = quoted(user.as_str());
        match self {
            Self::SpareKey { key, described } => format!(
                "the user has a second key, {key} ({described}), which is not ours, so IAM has no room for a new one; \
                 delete it if nothing uses it, or abort"
            ),
            Self::UnclaimedKeys { keys, why } => unclaimed(keys, why, &name),
            Self::ChangedElsewhere { places, still_new, new_key_gone } => {
                changed_elsewhere(places, still_new, *new_key_gone)
            }
            Self::Reverted { places, still_new, new_key_gone } => reverted(places, still_new, *new_key_gone),
            Self::OldKeyGone { key, places, still_new, new_key_gone } => {
                old_key_gone(key, (places, still_new), *new_key_gone, &name)
            }
            Self::StillReferenced { key, entries } => {
                format!("{} still names {key}; change it, then resume", entries.join(", "))
            }
            Self::Unreadable { entries } => format!(
                "{} cannot be read and may name the key that is to be removed; repair it, or cover it by `[policy] \
                 unread_ok`, then resume",
                entries.join(", ")
            ),
            Self::NewKeyNotActive { key, seen } => format!(
                "the store holds the new key {key}, but IAM shows it {seen}; activate it (aws iam update-access-key --user-name \
                 {name} --access-key-id {key} --status Active) and resume, or put the old pair back and abort"
            ),
            Self::NewKeyGone { key } => format!(
                "the store holds the new key {key}, but IAM does not list it any more: programs that read it fail; put the old pair \
                 back if it still works, then abort; {COPIES}"
            ),
            Self::NewKeyDiscarded { key } => format!(
                "the store holds the new key {key}, but rotator has asked IAM to delete that key and the reply was lost: \
                 it may vanish yet; put the old pair back if it still works, then abort"
            ),
            Self::StoredPairFails { key, answer } => format!(
                "the pair of {key} as read back from the store does not authenticate: {answer}; fix the cause and \
                 resume, or put the old pair back and abort"
            ),
            Self::WrongIdentity { key, answer } => {
                format!(
                    "the new key {key} authenticates as {answer}, not as the user; abort discards it, once no place holds it"
                )
            }
            Self::OldKeyReactivated { key } => format!(
                "the old key {key} was made active again after rotator had deactivated it; rotator does not \
                 deactivate it a second time: say that it may be deleted, or put the old pair back and abort"
            ),
            Self::OldKeyNotActive { key, seen } => {
                format!("an abort was asked for, but IAM shows the old key {key} {seen}; make it active, then resume")
            }
            Self::TooManyCreates => {
                "this rotation has made as many keys as it may, and lost each; abort it and find out why".to_owned()
            }
            Self::CannotAbort { places, new_key_gone } => cannot_abort(places, *new_key_gone, &name),
            Self::AccessDenied { denied, state, finish, once_a_day, stored } => {
                lack(denied, state, *finish, *once_a_day, *stored, &name)
            }
            Self::StillInUse { key, at, service, region } => format!(
                "every place holds the new pair, but the old key {key} is still used: last at {at}, by {service} in \
                 {region}; it is still in IAM; give what uses it the new pair and resume, or delete it nevertheless: \
                 `rotator resolve {name} --finish`"
            ),
            Self::UserNotFound { user, keys, why, stored } => not_found(user, keys, why, *stored, &name),
        }
    }

    /// The command that resolves it, once the world is as the message asks.
    #[must_use]
    pub fn command(&self, id: RotationId) -> String {
        match self {
            Self::SpareKey { key, .. } => format!("rotator resolve {id} --delete-key {key}"),
            Self::UnclaimedKeys { keys, .. } => match keys.first() {
                Some(key) => format!("rotator resolve {id} --delete-key {key}"),
                None => format!("rotator resume {id}"),
            },
            Self::OldKeyReactivated { key } => format!("rotator resolve {id} --delete-key {key}"),
            Self::WrongIdentity { .. }
            | Self::ChangedElsewhere { new_key_gone: true, .. }
            | Self::Reverted { new_key_gone: true, .. }
            | Self::OldKeyGone { new_key_gone: true, .. }
            | Self::NewKeyGone { .. }
            | Self::NewKeyDiscarded { .. }
            | Self::AccessDenied { once_a_day: true, .. }
            | Self::TooManyCreates => {
                format!("rotator abort {id}")
            }
            Self::UserNotFound { stored: false, .. } => format!("rotator abort {id}"),
            Self::StillInUse { .. }
            | Self::AccessDenied { finish: true, .. }
            | Self::UserNotFound { stored: true, .. } => {
                format!("rotator resolve {id} --finish")
            }
            Self::AccessDenied {
                denied: Denied { operation: Operation::GetAccessKeyLastUsed, key: Some(key), .. },
                ..
            } => {
                format!("rotator resolve {id} --delete-key {key}")
            }
            Self::ChangedElsewhere { .. }
            | Self::Reverted { .. }
            | Self::OldKeyGone { .. }
            | Self::StillReferenced { .. }
            | Self::Unreadable { .. }
            | Self::NewKeyNotActive { .. }
            | Self::StoredPairFails { .. }
            | Self::OldKeyNotActive { .. }
            | Self::AccessDenied { .. }
            | Self::CannotAbort { .. } => format!("rotator resume {id}"),
        }
    }
}
