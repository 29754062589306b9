//! How a call that changes nothing can fail.

/// The kinds of failure that the engine treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorKind {
    /// Too many calls were sent; the call may succeed later.
    Throttled,
    /// No answer, a time-out, a 5xx or an answer that does not parse; the call may succeed later.
    Unavailable,
    /// The credentials in use are valid but lack the permission.
    Denied,
    /// rotator's own credentials are missing, expired or unknown to the server. This says nothing about the user, the key or
    /// the entry of the call.
    Credentials,
    /// IAM does not accept the text as a name (`ValidationError`).
    Invalid,
    /// There is no such user or key.
    NoSuchEntity,
    /// Any other refusal.
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
    pub kind: CallErrorKind,
    /// The message for the operator.
    pub message: String,
}

impl CallError {
    /// Builds a failure of this kind with a message for the operator.
    #[must_use]
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
