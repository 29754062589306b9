//! `ports::iam::Iam`: ListAccessKeys, GetAccessKeyLastUsed, CreateAccessKey, UpdateAccessKey and DeleteAccessKey.
//! Each call names a user: without a user name IAM acts on the caller's own user.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_iam::types::{AccessKey, AccessKeyMetadata, StatusType};

use super::client::Aws;
use super::error::{AwsCallError, Call};
use super::refusal_text::Missing;
use super::response_check::{Recorded, ResponseCheck, is_word};
use crate::journal::write_ahead::Journaled;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::{Iam, LastUsed};
use crate::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey};
use crate::rotation::observed::{KeySeen, KeyStatus, KeyUse, KeysSeen};
use crate::types::failure::Failure;
use crate::types::name::{AccessKeyId, UserName};
use crate::types::secret::{NewKey, SecretKey};
use crate::types::time::Timestamp;

/// The maximum number of pages for the keys of one user. The quota is two keys and a page has a hundred
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>), so one page is usual.
const MOST_PAGES: usize = 20;

/// The minimum length of a secret access key: IAM returns 40 characters of the base-64 alphabet, without padding.
const SHORTEST_SECRET: usize = 40;

const NO_DATE: &str = "the answer has no Date header that can be read, and decisions use AWS's clock";
const NOT_UNDERSTOOD: &str = "the answer lists a key without an id or a date that can be read";

#[async_trait]
impl Iam for Aws {
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError> {
        let call = about_user("ListAccessKeys", user);
        let mut keys: Vec<KeySeen> = Vec::new();
        let mut first_page_at = None;
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let response = ResponseCheck::default();
            let request = self.iam.list_access_keys().user_name(user.as_str()).set_marker(marker.take());
            let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
            let (page, seen) = match response.check(&call, result) {
                Ok(page) => page,
                Err(error) if error.refusal_code() == Some("NoSuchEntity") => {
                    let at = error.at.ok_or_else(|| no_date(&error))?;
                    return Ok(KeysSeen { at, keys: None });
                }
                Err(error) => return Err(error.into_call_error()),
            };
            // The time of the first page counts for the whole list, since later pages are newer.
            let Some(at) = first_page_at.or(seen.at) else { return Err(unreadable(&call, seen, NO_DATE)) };
            first_page_at = Some(at);
            for metadata in &page.access_key_metadata {
                // Names are unique in an account regardless of case.
                if metadata.user_name().is_some_and(|name| !name.eq_ignore_ascii_case(user.as_str())) {
                    return Err(unreadable(&call, seen, "the answer lists a key of another user"));
                }
                let Some(key) = key_seen(metadata) else { return Err(unreadable(&call, seen, NOT_UNDERSTOOD)) };
                if keys.iter().all(|known| known.id != key.id) {
                    keys.push(key);
                }
            }
            if !page.is_truncated {
                return Ok(KeysSeen { at, keys: Some(keys) });
            }
            marker = page.marker;
            if marker.is_none() {
                return Err(unreadable(&call, seen, "the answer says there is more, and not where"));
            }
        }
        Err(CallError::new(
            CallErrorKind::Other,
            format!("call {call}: there are more than {MOST_PAGES} pages of keys"),
        ))
    }

    /// IAM answers `AccessDenied` both for an unknown key and for a missing permission, and a missing permission must
    /// not count as an unknown key. So both are [`CallErrorKind::Denied`], and `None` is the `NoSuchEntity` of a
    /// simulation.
    async fn last_used(&self, key: &AccessKeyId) -> Result<Option<LastUsed>, CallError> {
        let call = Call::xml("GetAccessKeyLastUsed", format!("key {key}"));
        let response = ResponseCheck::default();
        let request = self.iam.get_access_key_last_used().access_key_id(key.as_str());
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (output, seen) = match response.check(&call, result) {
            Ok(answer) => answer,
            Err(error) if error.refusal_code() == Some("NoSuchEntity") => return Ok(None),
            Err(error) => return Err(error.into_call_error()),
        };
        // A missing element does not mean that the key was never used.
        let Some(used) = output.access_key_last_used else {
            return Err(unreadable(&call, seen, "the answer does not say when the key was last used"));
        };
        let used = used.last_used_date.map(|date| KeyUse {
            at: Timestamp::from_unix_seconds(date.secs()),
            service: told(used.service_name),
            region: told(used.region),
        });
        let Ok(user) = output.user_name.map(UserName::new).transpose() else {
            return Err(unreadable(&call, seen, "the answer names a user by no possible name"));
        };
        Ok(Some(LastUsed { user, used }))
    }

    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure> {
        let effect = order.effect();
        let call = about_user("CreateAccessKey", &effect.user);
        let response = ResponseCheck::default();
        let request = self.iam.create_access_key().user_name(effect.user.as_str());
        let request = request.customize().interceptor(response.clone());
        let result = Box::pin(request.send()).await;
        let (output, seen) = response.check(&call, result).map_err(AwsCallError::into_failure)?;
        // A missing header must not cost the secret; the time of the preceding list is close enough.
        let at = seen.at.unwrap_or(effect.asked_at);
        match new_key(output.access_key, &effect.user, &effect.listed) {
            Ok(key) => Ok(Created { key, at }),
            Err(why) => Err(AwsCallError::unreadable(&call, seen, why).into_failure()),
        }
    }

    async fn change_status(&self, order: Journaled<ChangeStatus>) -> Result<Timestamp, Failure> {
        let effect = order.effect();
        let call = about_key("UpdateAccessKey", effect.key(), effect.user());
        let response = ResponseCheck::default();
        let status = if effect.active() { StatusType::Active } else { StatusType::Inactive };
        let request = self.iam.update_access_key().user_name(effect.user().as_str());
        let request = request.access_key_id(effect.key().as_str()).status(status);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (_, seen) = response.check(&call, result).map_err(AwsCallError::into_failure)?;
        seen.at.ok_or_else(|| AwsCallError::unreadable(&call, seen, NO_DATE).into_failure())
    }

    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure> {
        let effect = order.effect();
        let call = about_key("DeleteAccessKey", effect.key(), effect.user());
        let response = ResponseCheck::default();
        let effect_is_young = effect.is_young();
        let request = self.iam.delete_access_key().user_name(effect.user().as_str());
        let request = request.access_key_id(effect.key().as_str());
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        match response.check(&call, result) {
            Ok((_, seen)) => seen.at.ok_or_else(|| AwsCallError::unreadable(&call, seen, NO_DATE).into_failure()),
            // The key may be too new for IAM to find it everywhere; a later list decides.
            Err(error) if error.refusal_code() == Some("NoSuchEntity") && effect_is_young => {
                Err(Failure::Unknown(format!("{error}; IAM may not know the key everywhere yet, so it is asked again")))
            }
            Err(error) if error.refusal_code() == Some("NoSuchEntity") => gone(error),
            Err(error) => Err(error.into_failure()),
        }
    }
}

/// Interprets `NoSuchEntity` after a delete. An unknown user says nothing about the key, which may exist under the
/// new name of the user.
fn gone(error: AwsCallError) -> Result<Timestamp, Failure> {
    match error.missing {
        Missing::Key => error.at.ok_or_else(|| Failure::Unknown(no_date(&error).message)),
        Missing::User => Err(error.into_failure()),
        Missing::Unclear => {
            Err(Failure::Unknown(format!("{error}; whether the user or the key is missing is not clear")))
        }
    }
}

fn about_user(operation: &'static str, user: &UserName) -> Call {
    Call::xml(operation, format!("user {user}"))
}

fn about_key(operation: &'static str, key: &AccessKeyId, user: &UserName) -> Call {
    Call::xml(operation, format!("key {key} of user {user}"))
}

fn unreadable(call: &Call, seen: Recorded, why: &'static str) -> CallError {
    AwsCallError::unreadable(call, seen, why).into_call_error()
}

fn no_date(error: &AwsCallError) -> CallError {
    CallError::new(CallErrorKind::Unavailable, format!("{error}, but {NO_DATE}"))
}

/// A text of the response; IAM writes `N/A` for a missing one.
fn told(word: String) -> Option<String> {
    (is_word(&word) && !word.eq_ignore_ascii_case("n/a")).then_some(word)
}

/// A listed key. A key that cannot be parsed is an error: passing it over could delete the wrong key.
fn key_seen(metadata: &AccessKeyMetadata) -> Option<KeySeen> {
    let id = AccessKeyId::new(metadata.access_key_id()?).ok()?;
    let status = match metadata.status().map(StatusType::as_str) {
        Some("Active") => KeyStatus::Active,
        Some("Inactive") => KeyStatus::Inactive,
        Some("Expired") => KeyStatus::Expired,
        Some(_) | None => KeyStatus::Other,
    };
    Some(KeySeen { id, status, created: Timestamp::from_unix_seconds(metadata.create_date()?.secs()) })
}

/// The key in a reply to `CreateAccessKey`, if the reply is valid.
fn new_key(key: Option<AccessKey>, user: &UserName, listed: &BTreeSet<AccessKeyId>) -> Result<NewKey, &'static str> {
    let key = key.ok_or("the answer holds no key")?;
    // From here on the secret is overwritten when it is dropped.
    let secret = SecretKey::new(key.secret_access_key);
    // Names are unique in an account regardless of case
    // (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html>).
    if !key.user_name.eq_ignore_ascii_case(user.as_str()) {
        return Err("the answer holds the key of another user");
    }
    let id = AccessKeyId::new(key.access_key_id).map_err(|_| "the answer holds no key id of the right form")?;
    if listed.contains(&id) {
        return Err("the answer holds a key that was there before");
    }
    if key.status != StatusType::Active {
        return Err("the answer holds a key that is not active");
    }
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if secret.expose().len() < SHORTEST_SECRET || !secret.expose().bytes().all(alphabet) {
        return Err("the answer holds no secret of the right form");
    }
    Ok(NewKey { id, secret })
}
