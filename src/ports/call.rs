//! How a call that changes nothing can fail.

/// What kind of failure, as far as anyone acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorKind {
    /// Too many calls; later.
    Throttled,
    /// No answer, a time-out, a 5xx, an answer that does not parse; later.
    Unavailable,
    /// The credentials in use are accepted, and may not do this: a refusal of rights.
    Denied,
    /// rotator's own credentials fail, whatever it asks for: there are none, they have expired, or the other side does
    /// not know them. This says nothing of the user, the key or the entry that the call was about.
    Credentials,
    /// IAM does not take the text for a name (`ValidationError`).
    Invalid,
    /// There is no such user or key.
    NoSuchEntity,
    /// Any other no.
    Other,
}

impl CallErrorKind {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable => true,
            Self::Denied | Self::Credentials | Self::Invalid | Self::NoSuchEntity | Self::Other => false,
        }
    }
}

/// A call that failed. The message is made of the operation, error code, status and request id, never of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind.
    pub kind: CallErrorKind,
    /// For people.
    pub message: String,
}

impl CallError {
    /// A failure of this kind with a message for people.
    #[must_use]
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
