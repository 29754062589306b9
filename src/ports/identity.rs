//! The interface of STS: `sts:GetCallerIdentity` returns the identity of a pair and needs no permission
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).

use async_trait::async_trait;

use super::call::CallError;
use crate::types::name::{AccessKeyId, AccountId, UserId, UserName};
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

/// The identity of the credentials in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the credentials in use.
    pub account: AccountId,
    /// The ARN of the credentials in use.
    pub arn: String,
    /// The id of the key that rotator signs with.
    pub key: Option<AccessKeyId>,
    /// AWS's clock when it answered.
    pub at: Timestamp,
}

impl Caller {
    /// AWS's partition: `aws`, `aws-cn`, `aws-us-gov`
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// The end of a session that only an operator can begin again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    pub at: Timestamp,
    /// Where the session is from, for messages.
    pub source: String,
    /// How another or a longer session begins.
    pub hint: String,
}

/// The identity that a pair authenticates as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhoIs {
    /// An IAM user.
    User {
        account: AccountId,
        user: UserResource,
        /// The unique id of the user, if the answer has one. The id stays the same when the user is renamed.
        id: Option<UserId>,
        /// AWS's clock when it answered.
        at: Timestamp,
    },
    /// Another identity, such as an assumed role or the root user.
    Other { arn: String },
    /// AWS did not accept the pair. This is normal right after a create.
    NotAccepted {
        /// AWS's error code.
        code: String,
    },
    /// The call was not allowed, which says nothing about the pair. The call needs no permission, so an endpoint policy or a
    /// network perimeter refused it
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
    Forbidden {
        /// AWS's error code.
        code: String,
    },
}

/// STS.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Returns the identity of the credentials in use.
    async fn caller(&self) -> Result<Caller, CallError>;

    /// Returns the account of a key by `sts:GetAccessKeyInfo`, which needs only the id of the key
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>). `None`: AWS knows no such key.
    async fn account_of(&self, id: &AccessKeyId) -> Result<Option<AccountId>, CallError>;

    /// Returns the source of the credentials in use for messages, such as a profile, or nothing if the source is unknown.
    fn credentials(&self) -> Option<String> {
        None
    }

    /// Returns when the session of the credentials in use ends, if that is known and only an operator can begin another.
    fn session_end(&self) -> Option<SessionEnd> {
        None
    }

    /// Returns the identity of this pair. The call counts as a use of the key, so only `engine::campaign::old_pair` proves an
    /// old pair.
    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError>;
}

/// The part after `user/` of an IAM user's ARN. A path in it cannot be distinguished from the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserResource(String);

impl UserResource {
    /// Takes the part of the ARN after `user/`.
    #[must_use]
    pub fn new(resource: impl Into<String>) -> Self {
        Self(resource.into())
    }

    /// Returns whether this may be that user: the whole text, or the text after a path, is the name. Names are unique in an
    /// account whatever their path and case, so the account and the name identify the user.
    #[must_use]
    pub fn is_user(&self, user: &UserName) -> bool {
        let (whole, name) = (self.0.as_bytes(), user.as_str().as_bytes());
        let Some((path, last)) = whole.split_at_checked(whole.len().wrapping_sub(name.len())) else { return false };
        last.eq_ignore_ascii_case(name) && (path.is_empty() || path.ends_with(b"/"))
    }
}

impl std::fmt::Display for UserResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
