//! How an effect can fail: it certainly did not happen, or it may have. In doubt it may have.

use serde::{Deserialize, Serialize};

/// Why an effect has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It certainly did not happen: the other side understood the request and said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It may have happened, or may happen yet: no answer, or one that proves nothing.
    #[error("{0}")]
    Unknown(String),
}

impl Failure {
    /// Adds what an operator may do about it.
    #[must_use]
    pub fn with_hint(self, hint: &str) -> Self {
        match self {
            Self::Refused(Refusal { kind, message }) => Self::Refused(Refusal::new(kind, format!("{message}; {hint}"))),
            Self::Unknown(why) => Self::Unknown(format!("{why}; {hint}")),
        }
    }
}

/// A no that was heard. The message is made of error codes, statuses and request ids, never of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of no.
    pub kind: RefusalKind,
    /// For the operator.
    pub message: String,
}

impl Refusal {
    /// Makes a refusal of this kind with a message for the operator.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The kinds of no that the machine acts on differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The user or the key is not there. That the key is not is success for a delete, and the adapter says so.
    NoSuchEntity,
    /// The user has two keys already.
    LimitExceeded,
    /// Too many calls; the same call may succeed later.
    Throttled,
    /// The credentials in use are accepted, and may not do this: a refusal of rights.
    Denied,
    /// Another program holds a lock on what is to be written, and did not release it in time.
    Locked,
    /// rotator's own credentials fail, whatever it asks for: they are missing or expired, or the other side does
    /// not know them. This says nothing of the user, the key or the entry that the effect was about.
    Credentials,
    /// The entry has changed since it was read (compare-and-set).
    Stale,
    /// Any other no.
    Other,
}
