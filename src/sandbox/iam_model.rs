//! The rules of IAM and STS for one account: the effect of each call, and when it is refused.
//!
//! This module has no sockets, XML or signatures, so every rule can be tested as a function call.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use jiff::Timestamp;

use crate::types::name::{AccessKeyId, AccountId};
use crate::types::secret::{NewKey, SecretKey};

use super::account::{
    Clock, Decision, Key, KeyStatus, KeySummary, LastUse, User, Uses, random_key_id, random_secret, random_user_id,
};
use super::action::{Action, Service};
use super::error::ApiError;

/// IAM's quota of keys for one user, active or not
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
pub const KEYS_PER_USER: usize = 2;

/// The age of the keys that exist from the start.
const LONG_AGO: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How the account differs from an immediately consistent one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    /// Whether user names may contain `/`, which IAM refuses and moto accepts.
    pub allow_slash_in_user_names: bool,
    /// How long `ListAccessKeys` does not show a new key (IAM is eventually consistent).
    pub new_keys_invisible_for: Duration,
    /// How long a new key is refused with `InvalidClientTokenId`.
    pub new_keys_invalid_for: Duration,
    /// The delay until `GetAccessKeyLastUsed` reports a use.
    pub last_used_lag: Duration,
    /// How long listings show the previous status of a key.
    pub status_lag: Duration,
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) user_id: String,
    pub(super) arn: String,
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The start of the next page, if there is one.
    pub(super) marker: Option<String>,
}

/// The simulated account.
pub(super) struct IamModel {
    pub(super) account: AccountId,
    pub(super) behaviour: Behaviour,
    pub(super) clock: Clock,
    /// The users by their names in lower case: user names are unique regardless of case.
    users: BTreeMap<String, User>,
    keys: HashMap<AccessKeyId, Key>,
    next_serial: u64,
}

impl IamModel {
    pub(super) fn new(account: AccountId, behaviour: Behaviour) -> Self {
        let (users, keys) = (BTreeMap::new(), HashMap::new());
        Self { account, behaviour, clock: Clock::default(), users, keys, next_serial: 1 }
    }

    /// The ARN of a user, or of the session of a role.
    pub(super) fn arn(&self, user: &User) -> String {
        if let Some(session) = &user.session {
            return format!("arn:aws:sts::{}:assumed-role/{}/{session}", self.account, user.name);
        }
        format!("arn:aws:iam::{}:user{}{}", self.account, user.path, user.name)
    }

    // --- the caller ---

    /// The secret of the key `id`, if the key authenticates now.
    pub(super) fn signing_secret(&self, id: &str) -> Result<&SecretKey, ApiError> {
        let key = self.find_key(id).ok_or_else(ApiError::invalid_client_token_id)?;
        match key.status {
            KeyStatus::Active if !self.is_younger(key, self.behaviour.new_keys_invalid_for) => Ok(&key.secret),
            KeyStatus::Active | KeyStatus::Inactive | KeyStatus::Expired => Err(ApiError::invalid_client_token_id()),
        }
    }

    /// Records that `id` has signed a request, and returns its user.
    pub(super) fn note_use(&mut self, id: &str, service: Service, region: &str) -> Result<Caller, ApiError> {
        let (at, lag) = (self.clock.now(), self.behaviour.last_used_lag);
        let key = Self::key_id(id).and_then(|id| self.keys.get_mut(&id));
        let key = key.ok_or_else(ApiError::invalid_client_token_id)?;
        key.uses.note(LastUse { at, service, region: region.to_owned() }, lag);
        let user = &self.users[&key.owner];
        Ok(Caller { user: user.name.clone(), user_id: user.id.clone(), arn: self.arn(user) })
    }

    /// Whether `caller` may call `action` on `resource`. IAM denies what no policy allows, except that
    /// `GetCallerIdentity` needs no permission
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
    pub(super) fn authorize(&self, caller: &Caller, action: Action, resource: &str) -> Result<(), ApiError> {
        if action == Action::GetCallerIdentity {
            return Ok(());
        }
        let name = format!("{}:{}", action.service().name(), action.name());
        match self.users.get(&caller.user.to_lowercase()).map(|user| Decision::about(user, &name)) {
            Some(Decision::Allowed) => Ok(()),
            Some(Decision::ExplicitDeny | Decision::ImplicitDeny) | None => {
                Err(ApiError::access_denied(&caller.arn, action, resource))
            }
        }
    }

    /// The name of the user whose key this is.
    pub(super) fn owner_of(&self, id: &str) -> Option<&str> {
        self.find_key(id).map(|key| self.users[&key.owner].name.as_str())
    }

    // --- users ---

    pub(super) fn create_user(&mut self, name: &str, path: &str, administrator: bool) -> Result<&User, ApiError> {
        self.check_new_user_name(name)?;
        if !(path.starts_with('/') && path.ends_with('/') && path.len() <= 512) {
            return Err(ApiError::validation(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
                 characters and/or / characters.",
            ));
        }
        let handle = name.to_lowercase();
        if self.users.contains_key(&handle) {
            return Err(ApiError::entity_already_exists(name));
        }
        let (id, created) = (random_user_id(), self.clock.now());
        let (name, path) = (name.to_owned(), path.to_owned());
        let (session, denied) = (None, BTreeMap::new());
        let user = User { name, path, id, created, administrator, session, denied, keys: Vec::new() };
        Ok(self.users.entry(handle).or_insert(user))
    }

    pub(super) fn user(&self, name: &str) -> Result<&User, ApiError> {
        self.check_user_name(name)?;
        self.users.get(&name.to_lowercase()).ok_or_else(|| ApiError::no_such_user(name))
    }

    /// Takes an action away from a user or a role: `explicit` denies it, as a statement of a policy can, and otherwise
    /// no policy allows it.
    pub(super) fn deny(&mut self, name: &str, action: &str, explicit: bool) -> Result<(), ApiError> {
        self.user(name)?;
        if let Some(user) = self.users.get_mut(&name.to_lowercase()) {
            user.denied.insert(action.to_owned(), explicit);
        }
        Ok(())
    }

    /// Creates a role with all permissions that is assumed for a session.
    pub(super) fn create_role(&mut self, name: &str, path: &str, session: &str) -> Result<(), ApiError> {
        self.create_user(name, path, true)?;
        if let Some(role) = self.users.get_mut(&name.to_lowercase()) {
            role.session = Some(session.to_owned());
        }
        Ok(())
    }

    pub(super) fn delete_user(&mut self, name: &str) -> Result<(), ApiError> {
        if !self.user(name)?.keys.is_empty() {
            return Err(ApiError::delete_conflict());
        }
        self.users.remove(&name.to_lowercase());
        Ok(())
    }

    /// Gives a user another name; its id and its keys stay
    /// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html>).
    pub(super) fn rename_user(&mut self, name: &str, new_name: &str) -> Result<(), ApiError> {
        self.user(name)?;
        self.check_new_user_name(new_name)?;
        let (before, after) = (name.to_lowercase(), new_name.to_lowercase());
        if before != after && self.users.contains_key(&after) {
            return Err(ApiError::entity_already_exists(new_name));
        }
        if let Some(mut user) = self.users.remove(&before) {
            new_name.clone_into(&mut user.name);
            self.users.insert(after.clone(), user);
        }
        for key in self.keys.values_mut().filter(|key| key.owner == before) {
            key.owner.clone_from(&after);
        }
        Ok(())
    }

    /// Users by name, `limit` of them, after the one that `marker` names.
    pub(super) fn list_users(&self, marker: Option<&str>, limit: usize) -> Page<&User> {
        let after = marker.map_or(Bound::Unbounded, |marker| Bound::Excluded(marker.to_owned()));
        let mut users = self.users.range((after, Bound::Unbounded));
        let items: Vec<&User> = users.by_ref().take(limit).map(|(_, user)| user).collect();
        let last = items.last().map(|user| user.name.to_lowercase());
        Page { marker: last.filter(|_| users.next().is_some()), items }
    }

    // --- keys ---

    pub(super) fn create_access_key(&mut self, user: &str) -> Result<(NewKey, Timestamp), ApiError> {
        // The quota counts keys that listings do not show yet: IAM writes in one place and tells it in many.
        if self.user(user)?.keys.len() >= KEYS_PER_USER {
            return Err(ApiError::keys_per_user(KEYS_PER_USER));
        }
        let (id, secret, created) = (random_key_id(), random_secret(), self.clock.now());
        let told = SecretKey::new(secret.expose().to_owned());
        self.add_key(user, id.clone(), secret, KeyStatus::Active, created)?;
        Ok((NewKey { id, secret: told }, created))
    }

    /// Puts a key in, quota or not: seeding may build what a race has been seen to build.
    pub(super) fn add_key(
        &mut self,
        user: &str,
        id: AccessKeyId,
        secret: SecretKey,
        status: KeyStatus,
        created: Timestamp,
    ) -> Result<(), ApiError> {
        self.user(user)?;
        if self.keys.contains_key(&id) {
            return Err(ApiError::validation(format!("The Access Key with id {id} is taken already.")));
        }
        let (owner, serial) = (user.to_lowercase(), self.next_serial);
        self.next_serial += 1;
        if let Some(user) = self.users.get_mut(&owner) {
            user.keys.push(id.clone());
        }
        self.keys.insert(
            id.clone(),
            Key { id, secret, owner, status, former_status: None, created, serial, uses: Uses::default() },
        );
        Ok(())
    }

    pub(super) fn list_access_keys(
        &self,
        user: &str,
        marker: Option<&str>,
        limit: usize,
    ) -> Result<Page<KeySummary>, ApiError> {
        let after = match marker {
            None => 0,
            Some(marker) => marker.parse::<u64>().map_err(|_| ApiError::validation("Invalid Marker."))?,
        };
        let mut visible = self
            .user(user)?
            .keys
            .iter()
            .filter_map(|id| self.keys.get(id))
            .filter(|key| key.serial > after && !self.is_younger(key, self.behaviour.new_keys_invisible_for));
        let page: Vec<&Key> = visible.by_ref().take(limit).collect();
        let last = page.last().map(|key| key.serial.to_string());
        let marker = last.filter(|_| visible.next().is_some());
        Ok(Page { items: page.into_iter().map(|key| self.listed(key)).collect(), marker })
    }

    pub(super) fn update_access_key(&mut self, user: &str, id: &str, status: KeyStatus) -> Result<(), ApiError> {
        let id = self.own_key(user, id)?;
        let now = self.clock.now();
        if let Some(key) = self.keys.get_mut(&id) {
            key.former_status = Some((key.status, now));
            key.status = status;
        }
        Ok(())
    }

    pub(super) fn delete_access_key(&mut self, user: &str, id: &str) -> Result<(), ApiError> {
        let id = self.own_key(user, id)?;
        self.keys.remove(&id);
        if let Some(user) = self.users.get_mut(&user.to_lowercase()) {
            user.keys.retain(|key| *key != id);
        }
        Ok(())
    }

    /// The key, with its owner and the last use that is reported now.
    pub(super) fn key(&self, id: &str) -> Option<KeySummary> {
        self.find_key(id).map(|key| self.summary(key))
    }

    /// Every key of `user`, shown by listings or not; none if there is no such user.
    pub(super) fn keys_of(&self, user: &str) -> Vec<KeySummary> {
        let keys = self.users.get(&user.to_lowercase()).map(|user| user.keys.as_slice()).unwrap_or_default();
        keys.iter().filter_map(|id| self.keys.get(id)).map(|key| self.summary(key)).collect()
    }

    /// Every user.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// Whether a request signed with this pair would be let in at this moment.
    pub(super) fn accepts(&self, id: &str, secret: &SecretKey) -> bool {
        self.signing_secret(id).is_ok_and(|right| right.is_same_as(secret))
    }

    /// Makes a key known everywhere, without the delays for new keys.
    pub(super) fn mature(&mut self, id: &AccessKeyId) {
        if let Some(key) = self.keys.get_mut(id) {
            key.created = key.created.checked_sub(LONG_AGO).unwrap_or(Timestamp::MIN);
        }
    }

    /// What a list shows of the key, which may be outdated.
    fn listed(&self, key: &Key) -> KeySummary {
        let is_late = |since: &Timestamp| {
            since.checked_add(self.behaviour.status_lag).is_ok_and(|shown| self.clock.now() < shown)
        };
        let former = key.former_status.filter(|(_, changed)| is_late(changed)).map(|(status, _)| status);
        KeySummary { status: former.unwrap_or(key.status), ..self.summary(key) }
    }

    fn summary(&self, key: &Key) -> KeySummary {
        KeySummary {
            id: key.id.clone(),
            user: self.users[&key.owner].name.clone(),
            status: key.status,
            created: key.created,
            last_used: key.uses.told(self.clock.now(), self.behaviour.last_used_lag).cloned(),
        }
    }

    fn key_id(id: &str) -> Option<AccessKeyId> {
        AccessKeyId::new(id).ok()
    }

    fn find_key(&self, id: &str) -> Option<&Key> {
        self.keys.get(&Self::key_id(id)?)
    }

    /// The id, if the key belongs to this user.
    fn own_key(&self, user: &str, id: &str) -> Result<AccessKeyId, ApiError> {
        let own = &self.user(user)?.keys;
        own.iter().find(|key| key.as_str() == id).cloned().ok_or_else(|| ApiError::no_such_key(id))
    }

    fn is_younger(&self, key: &Key, than: Duration) -> bool {
        key.created.checked_add(than).is_ok_and(|mature| self.clock.now() < mature)
    }

    /// Checks the rule for user names (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html>).
    fn check_user_name(&self, name: &str) -> Result<(), ApiError> {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) || (c == '/' && self.behaviour.allow_slash_in_user_names)
        };
        if name.is_empty() {
            return Err(ApiError::constraint("userName", Some(name), "have length greater than or equal to 1"));
        }
        if name.len() > 128 {
            return Err(ApiError::constraint("userName", Some(name), "have length less than or equal to 128"));
        }
        if name.chars().all(allowed) {
            return Ok(());
        }
        Err(ApiError::validation(
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-",
        ))
    }

    /// Checks a new name: it may have 64 characters, while a call may name 128.
    fn check_new_user_name(&self, name: &str) -> Result<(), ApiError> {
        self.check_user_name(name)?;
        if name.len() > 64 {
            return Err(ApiError::constraint("userName", Some(name), "have length less than or equal to 64"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
