//! The owner of a key. It is queried if the user of a rotation is not found, or if no key of the rotation is in its
//! list, because the user may have been renamed.

use super::state::{Executor, Unseen};
use crate::engine::accounts::Account;
use crate::engine::rate_limit::Operation;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::observed::KeyOwner;
use crate::types::name::AccessKeyId;

impl Executor<'_> {
    /// Asks `GetAccessKeyLastUsed`, the only call that names the user of a key. Its answer may be stale, so the key
    /// list of that user has to confirm it.
    pub(super) async fn owner_of(&self, key: &AccessKeyId) -> Result<KeyOwner, Unseen> {
        let Account { ports, limiter, .. } = self.account;
        let asked = limiter.read(Operation::GetAccessKeyLastUsed, || ports.iam.last_used(key)).await;
        let user = match asked {
            Ok(None) => return Ok(KeyOwner::NoSuchKey),
            Ok(Some(said)) => said.user,
            Err(error) => return unclear(error),
        };
        let Some(user) = user else {
            return Ok(KeyOwner::Unclear(format!("IAM does not say whose key {key} is")));
        };
        match limiter.read(Operation::ListAccessKeys, || ports.iam.list_keys(&user)).await {
            Ok(keys) => {
                let _ = self.session.saw_date(keys.at);
                let lists_it = keys.find(key).is_some();
                let why = || format!("IAM says that {key} is {user}'s, and does not list it for {user}");
                Ok(if lists_it { KeyOwner::User(user.clone()) } else { KeyOwner::Unclear(why()) })
            }
            Err(error) => unclear(CallError { message: format!("{key} is {user}'s now; {}", error.message), ..error }),
        }
    }
}

/// A denial counts as an answer, because IAM denies this call for a key that it does not know. A transient failure,
/// such as throttling, is not an answer.
fn unclear(error: CallError) -> Result<KeyOwner, Unseen> {
    match error.kind {
        CallErrorKind::Denied | CallErrorKind::NoSuchEntity | CallErrorKind::Invalid => {
            Ok(KeyOwner::Unclear(error.message))
        }
        CallErrorKind::Credentials => Err(Unseen::Credentials(error.message)),
        CallErrorKind::Throttled | CallErrorKind::Unavailable | CallErrorKind::Other => {
            Err(Unseen::Otherwise(error.message))
        }
    }
}
