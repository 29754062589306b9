//! Who a pair authenticates as: `sts:GetCallerIdentity`, which needs no permission
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).

use async_trait::async_trait;

use super::call::CallError;
use crate::types::name::{AccessKeyId, AccountId, UserId, UserName};
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

/// Who rotator itself is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the credentials in use.
    pub account: AccountId,
    /// Their ARN.
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

/// What a pair answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhoIs {
    /// An IAM user.
    User {
        /// Its account.
        account: AccountId,
        /// Who.
        user: UserResource,
        /// Its unique id, where the answer has one: it stays when the user is renamed.
        id: Option<UserId>,
        /// AWS's clock when it answered.
        at: Timestamp,
    },
    /// Something else: an assumed role, the root user.
    Other {
        /// Its ARN.
        arn: String,
    },
    /// The pair was not accepted: normal right after a create.
    NotAccepted {
        /// AWS's error code.
        code: String,
    },
    /// The call itself was not allowed, which says nothing of the pair. It needs no permission, so what refuses it is the
    /// policy of an endpoint, or a perimeter around the network
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
    Forbidden {
        /// AWS's error code.
        code: String,
    },
}

/// STS.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Who the credentials in use are.
    async fn caller(&self) -> Result<Caller, CallError>;

    /// The account that a key is of: `sts:GetAccessKeyInfo`, which uses nothing of the key but its id
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>). `None`: AWS knows no such key.
    async fn account_of(&self, id: &AccessKeyId) -> Result<Option<AccountId>, CallError>;

    /// Where the credentials in use come from, for people: the profile, the environment; nothing, where that is not known.
    fn credentials(&self) -> Option<String> {
        None
    }

    /// Who this pair is. It counts as a use of the key, and an old pair is tried by `engine::campaign::old_pair` only.
    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError>;
}

/// What follows `user/` in an IAM user's ARN: a path and a name that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserResource(String);

impl UserResource {
    /// From the part of the ARN after `user/`.
    #[must_use]
    pub fn new(resource: impl Into<String>) -> Self {
        Self(resource.into())
    }

    /// Whether this may be that user: the whole of it, or what follows its path. (Names are unique in an account
    /// whatever their path and case, so with the account it is that user.)
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
