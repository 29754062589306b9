//! A right that is missing: which call was refused, and about what. What is known of one is on record, so that no run
//! makes a new key for it again. No call is made here.

use serde::{Deserialize, Serialize};

use crate::types::name::AccessKeyId;

/// How many writes of the new pair must be refused for lack of a right, `settle` apart, before it is given up.
pub const MOST_DENIED_WRITES: u32 = 2;

/// Where nothing else shows whether a right is there now, a new key is made to find out at most this often.
pub const ONE_KEY_IN: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What may be refused for lack of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
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
    /// For the operator.
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
    /// What was answered, for the operator.
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

    /// The same, where what is missing is not a right but a lock that another program holds.
    #[must_use]
    pub fn by_a_lock(self) -> Self {
        Self { operation: Operation::LockStore, ..self }
    }
}
