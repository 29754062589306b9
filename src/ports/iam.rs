//! The interface of IAM. Every answer has the time that AWS reports.

use async_trait::async_trait;

use super::call::CallError;
use crate::journal::write_ahead::Journaled;
use crate::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey};
use crate::rotation::observed::{KeyUse, KeysSeen};
use crate::types::failure::Failure;
use crate::types::name::{AccessKeyId, UserName};
use crate::types::time::Timestamp;

/// What `GetAccessKeyLastUsed` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUsed {
    /// The user that has the key, if IAM names one.
    pub user: Option<UserName>,
    /// The last use of the key, or `None` if the key was never used. IAM reports a use with an unpublished delay.
    pub used: Option<KeyUse>,
}

/// IAM. An implementation never retries: the engine's rate limiter does.
#[async_trait]
pub trait Iam: Send + Sync {
    /// `ListAccessKeys`, all pages. No such user is an answer, not an error.
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError>;

    /// `GetAccessKeyLastUsed`; `None`: no such key.
    async fn last_used(&self, key: &AccessKeyId) -> Result<Option<LastUsed>, CallError>;

    /// `CreateAccessKey`, once. Anything but a 4xx whose body parses to an AWS error code is [`Failure::Unknown`],
    /// and so is a reply whose id or secret has not the right form or that names another user.
    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure>;

    /// `UpdateAccessKey`; AWS's clock when it answered.
    async fn change_status(&self, order: Journaled<ChangeStatus>) -> Result<Timestamp, Failure>;

    /// `DeleteAccessKey`; that there is no such key is success, that there is no such user is a refusal. AWS's clock when
    /// it answered.
    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure>;
}
