//! Who has a key, asked where the user of a rotation is not found or its list has none of the rotation's keys: the user may
//! have another name now.

use super::state::{Executor, Unseen};
use crate::engine::accounts::Account;
use crate::engine::rate_limit::Operation;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::observed::KeyOwner;
use crate::types::name::AccessKeyId;

impl Executor<'_> {
    /// `GetAccessKeyLastUsed` is the only call that names the user of a key. Its answer may be old, so the list of the user
    /// that it names has to bear it out.
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

/// A refusal counts as an answer: real IAM refuses this question for a key that it does not know. A failure that passes,
/// such as throttling, is no answer.
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
