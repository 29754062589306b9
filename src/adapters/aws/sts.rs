//! `ports::identity::Identity`: GetCallerIdentity with the credentials in use, or with a pair that has to prove
//! itself. Both use the same connection pool: a pair replaces the credentials of one operation, not the client.

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_sts::config::{Builder, IdentityCache};
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;

use super::client::Aws;
use super::error::{AwsCallError, Call};
use super::response_check::{Recorded, ResponseCheck};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::identity::{Caller, Identity, SessionEnd, UserResource, WhoIs};
use crate::types::name::{AccessKeyId, AccountId, UserId};
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

const OPERATION: &str = "GetCallerIdentity";

/// The codes of a call that the policy of an endpoint or a perimeter forbids
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>).
const FORBIDDEN: &[&str] = &["AccessDenied", "AccessDeniedException"];

#[async_trait]
impl Identity for Aws {
    async fn caller(&self) -> Result<Caller, CallError> {
        let call = Call::xml(OPERATION, "the credentials in use".to_owned());
        let response = ResponseCheck::default();
        let request = self.sts.get_caller_identity().customize().interceptor(response.clone());
        let result = Box::pin(request.send()).await;
        let (output, seen) = response.check(&call, result).map_err(AwsCallError::into_call_error)?;
        let key = seen.signed_by.as_deref().and_then(|id| AccessKeyId::new(id).ok());
        let answer = Answer::of(output, &call, seen)?;
        Ok(Caller { account: answer.account, arn: answer.arn, key, at: answer.at })
    }

    fn credentials(&self) -> Option<String> {
        // What is reported about a session that did not begin names all of it.
        if self.session_failure().is_some() {
            return None;
        }
        self.source.as_ref()?.in_words()
    }

    fn session_end(&self) -> Option<SessionEnd> {
        // The last session is made with the ones before it, and outlives them.
        let Some(last) = self.roles.last() else { return self.source.as_ref()?.session_end() };
        let (at, source) =
            (last.end()?, format!("{} with a code of the MFA device {}", last.role.whose, last.role.device));
        Some(SessionEnd { at, source, hint: format!("{} makes it longer, if the role allows it", last.role.setting) })
    }

    async fn account_of(&self, id: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        let call = Call::xml("GetAccessKeyInfo", format!("key {id}"));
        let response = ResponseCheck::default();
        let request = self.sts.get_access_key_info().access_key_id(id.as_str());
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (output, seen) = match response.check(&call, result) {
            Ok(answer) => answer,
            Err(error) => {
                let error = error.into_call_error();
                return if error.kind == CallErrorKind::NoSuchEntity { Ok(None) } else { Err(error) };
            }
        };
        let account = output.account.and_then(|account| AccountId::new(account).ok());
        let unreadable = || AwsCallError::unreadable(&call, seen, "the answer names no account").into_call_error();
        account.map(Some).ok_or_else(unreadable)
    }

    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError> {
        let call = Call::xml(OPERATION, format!("key {id}"));
        let response = ResponseCheck::default();
        let pair = Credentials::new(id.as_str(), secret.expose(), None, None, "rotator");
        // The SDK would build an identity cache for this operation alone, and the pair signs one request.
        let config = Builder::new().credentials_provider(pair).identity_cache(IdentityCache::no_cache());
        let request = self.sts.get_caller_identity().customize().config_override(config).interceptor(response.clone());
        let result = Box::pin(request.send()).await;
        let (output, seen) = match response.check(&call, result) {
            Ok(answer) => answer,
            // The pair signs this call, and the call needs no permission: a denial is about the pair or about the
            // network path.
            Err(error) if error.refusal_code().is_some() && (error.is_denied() || error.is_about_credentials()) => {
                let forbidden = FORBIDDEN.contains(&error.refusal_code().unwrap_or_default());
                let code = error.about(secret.expose()).shown_code();
                return Ok(if forbidden { WhoIs::Forbidden { code } } else { WhoIs::NotAccepted { code } });
            }
            Err(error) => return Err(error.about(secret.expose()).into_call_error()),
        };
        let answer = Answer::of(output, &call, seen)?;
        Ok(match user_of(&answer.arn, &answer.account) {
            Some(user) => WhoIs::User { user, account: answer.account, id: answer.user_id, at: answer.at },
            None => WhoIs::Other { arn: answer.arn },
        })
    }
}

struct Answer {
    account: AccountId,
    arn: String,
    user_id: Option<UserId>,
    at: Timestamp,
}

impl Answer {
    fn of(output: GetCallerIdentityOutput, call: &Call, seen: Recorded) -> Result<Self, CallError> {
        let unreadable = |why| AwsCallError::unreadable(call, seen.clone(), why).into_call_error();
        let account = output.account.and_then(|account| AccountId::new(account).ok());
        let account = account.ok_or_else(|| unreadable("the answer names no account"))?;
        let arn = output.arn.filter(|arn| is_arn(arn)).ok_or_else(|| unreadable("the answer holds no ARN"))?;
        let at = seen.at.ok_or_else(|| unreadable("the answer has no Date header that can be read"))?;
        let user_id = output.user_id.and_then(|id| UserId::new(id).ok());
        Ok(Self { account, arn, user_id, at })
    }
}

/// Whether the text has the six parts of an ARN and no control characters.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
        && text.splitn(6, ':').count() == 6
        && text.len() <= 2048
        && !text.contains(char::is_control)
}

/// The IAM user of an ARN: `arn:<partition>:iam::<account>:user/<path><name>`
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>). The root user, roles and
/// federated users are not IAM users.
fn user_of(arn: &str, account: &AccountId) -> Option<UserResource> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "iam", "", of, resource] = parts[..] else { return None };
    let user = resource.strip_prefix("user/").filter(|user| !user.is_empty() && !user.ends_with('/'))?;
    (of == account.as_str()).then(|| UserResource::new(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::UserName;

    fn is_user(arn: &str, name: &str) -> Option<bool> {
        let account = AccountId::new("123456789012").expect("valid");
        user_of(arn, &account).map(|user| user.is_user(&UserName::new(name).expect("valid")))
    }

    #[test]
    fn an_arn_names_a_user_with_its_path() {
        assert_eq!(is_user("arn:aws:iam::123456789012:user/bob", "bob"), Some(true));
        assert_eq!(is_user("arn:aws-cn:iam::123456789012:user/a/b/bob", "bob"), Some(true));
        assert_eq!(is_user("arn:aws:iam::123456789012:user/app1/production", "app1/production"), Some(true));
        assert_eq!(is_user("arn:aws:iam::123456789012:user/app1/production", "production"), Some(true));
        assert_eq!(is_user("arn:aws:iam::123456789012:user/app1/nonproduction", "production"), Some(false));
        assert_eq!(is_user("arn:aws:iam::123456789012:user/bob", "rob"), Some(false));
    }

    #[test]
    fn only_a_user_of_the_account_is_a_user() {
        for arn in [
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::123456789012:assumed-role/admin/session",
            "arn:aws:sts::123456789012:federated-user/bob",
            "arn:aws:iam::210987654321:user/bob",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/path/",
            "user/bob",
        ] {
            assert_eq!(is_user(arn, "bob"), None, "{arn}");
        }
    }
}
