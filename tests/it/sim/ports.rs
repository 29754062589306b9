//! The ports to the simulated IAM, STS and stores. A fault may strike each call.

use std::time::Duration;

use async_trait::async_trait;
use rotator::journal::write_ahead::{Journaled, WriteOrder};
use rotator::ports::call::{CallError, CallErrorKind};
use rotator::ports::iam::{Iam, LastUsed};
use rotator::ports::identity::{Caller, Identity, UserResource, WhoIs};
use rotator::ports::secret_store::{Capabilities, Reading, SecretStore, Version, Write};
use rotator::ports::sink::{Sink, SinkWrite};
use rotator::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey, Effect as _, WriteSink};
use rotator::rotation::intent::Intent;
use rotator::rotation::observed::{KeySeen, KeyStatus, KeyUse, KeysSeen};
use rotator::rotation::policy::LATE_REQUEST;
use rotator::types::failure::{Failure, Refusal, RefusalKind};
use rotator::types::name::{AccessKeyId, AccountId, EntryName, SinkName, StoreIdentity, StoreName, UserId, UserName};
use rotator::types::secret::{NewKey, SecretKey, SecretValue};
use rotator::types::time::Timestamp;

use super::effects::NO_USER;
use super::faults::{Op, Trouble};
use super::freshness::{Facts, Read, Removal};
use super::kinds;
use super::process::{Process, lock};
use super::state::{By, Effect, Key, SINK, SimState};

/// The account everything lives in.
const ACCOUNT: &str = "123456789012";

/// An entry that cannot be read while [`Trouble::Unreadable`] lasts.
pub(crate) const NOTE: &str = "notes/under/lock";

impl SimState {
    /// The keys of a user as lists show them, or `None` for an unknown user.
    fn listed(&self, user: &str) -> Option<Vec<KeySeen>> {
        let (now, visibility) = (self.now, &self.visibility);
        let user = &self.called(user)?;
        let keys = self.users.get(user)?;
        let seen = |key: &Key| {
            let stale = now - key.changed < visibility.stale_status;
            KeySeen {
                id: AccessKeyId::new(key.id.clone()).expect("an id"),
                status: if key.active == stale { KeyStatus::Inactive } else { KeyStatus::Active },
                created: Timestamp::from_unix_seconds(key.created / 1000),
            }
        };
        let there = keys.iter().filter(|key| !visibility.unlisted.hold(now - key.made)).map(seen);
        let ghosts = self.ghosts.iter().filter(|(of, _, until)| of == user && *until > now);
        Some(there.chain(ghosts.map(|(_, key, _)| seen(key))).collect())
    }

    /// The response of STS to a pair.
    fn who_is(&mut self, id: &str, secret: &str, at: Timestamp) -> WhoIs {
        let (now, somebody_else) = (self.now, self.has(Trouble::SomebodyElse));
        let refuses = self.has(Trouble::AcceptsNone);
        let spans = self.visibility.unaccepted.clone();
        if self.has(Trouble::Forbids) {
            self.hit("STS forbade the question");
            return WhoIs::Forbidden { code: "AccessDenied".to_owned() };
        }
        let not_accepted = WhoIs::NotAccepted { code: "InvalidClientTokenId".to_owned() };
        let Some(user) = self.users.iter().find(|(_, keys)| keys.iter().any(|key| key.id == id)) else {
            return not_accepted;
        };
        let user = user.0.clone();
        let key = self.find(id).expect("just seen");
        if refuses || !key.active || spans.hold(now - key.made) || key.secret != secret {
            return not_accepted;
        }
        key.used = Some(now);
        let account = AccountId::new(ACCOUNT).expect("an account");
        if somebody_else {
            self.hit("answered as another user");
            return WhoIs::User { account, user: UserResource::new("another/user"), id: None, at };
        }
        let id = UserId::new(self.unique_id(&user)).ok();
        WhoIs::User { account, user: UserResource::new(self.name_of(&user)), id, at }
    }

    /// A service that still has an old key has used it a moment ago.
    fn is_used(&mut self, id: &str) {
        let now = self.now;
        let Some((user, _)) = self.in_use.clone().filter(|(_, until)| now < *until) else { return };
        let keys = self.users.get_mut(&user).into_iter().flatten();
        if let Some(key) = keys.into_iter().find(|key| key.id == id && key.by == By::Stored && key.active) {
            key.used = key.used.max(Some(now - 2_000));
        }
    }

    /// Counts how often in a row a pair was heard to be its user's. An answer that was lost says nothing.
    fn heard(&mut self, id: &str, answer: &WhoIs) {
        // The user may have been renamed since it was answered: then its unique id tells that it is the same user.
        let whose = self.owner_of(id).map(|user| (UserResource::new(self.name_of(user)), self.unique_id(user)));
        if let Some(key) = self.find(id) {
            let is_whose = matches!(
                (answer, &whose),
                (WhoIs::User { user, id, .. }, Some((name, unique)))
                    if user == name || id.as_ref().is_some_and(|id| id.as_str() == unique)
            );
            key.proved = if is_whose { key.proved + 1 } else { 0 };
        }
    }
}

impl Process {
    /// A call that reads has been answered.
    fn has_read<T>(&self, began: i64, note: impl FnOnce(&mut Facts, Read) -> T) {
        let mut state = lock(&self.state);
        let ended = state.now;
        note(&mut state.facts, Read { began, ended });
    }

    fn owner_of(&self, key: &AccessKeyId) -> String {
        lock(&self.state).owner_of(key.as_str()).unwrap_or_default().to_owned()
    }

    /// Checks that a removal relies on fresh facts; other intents pass.
    fn sends_removal(&self, user: &UserName, intent: &Intent) {
        let removal = match intent {
            Intent::DeactivateOld | Intent::DeleteOld => Removal::Old,
            Intent::DeactivateNew { .. } | Intent::DiscardNew { .. } => Removal::New,
            Intent::DeleteNamed { .. } => Removal::Named,
            Intent::CreateNew { .. }
            | Intent::StoreNew
            | Intent::RestoreOld
            | Intent::FenceStore
            | Intent::WriteSink { .. }
            | Intent::ReactivateOld
            | Intent::ReactivateNew { .. } => return,
        };
        let mut state = lock(&self.state);
        if state.epoch == self.epoch {
            let user = state.whose(user.as_str());
            state.check_age(&user, removal);
        }
    }
}

#[async_trait]
impl Iam for Process {
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError> {
        let (at, began, whose) = (self.at(), self.millis(), lock(&self.state).whose(user.as_str()));
        let seen =
            self.call(Op::ListKeys, &whose, |state| Ok(KeysSeen { at, keys: state.listed(user.as_str()) })).await?;
        self.has_read(began, |facts, read| facts.lists.insert(whose, read));
        Ok(seen)
    }

    async fn last_used(&self, key: &AccessKeyId) -> Result<Option<LastUsed>, CallError> {
        let owner = self.owner_of(key);
        let reported = self.call(Op::LastUsed, &owner, |state| {
            state.is_used(key.as_str());
            let shown = state.now - state.visibility.last_used;
            if state.find(key.as_str()).is_some_and(|key| key.used.is_some_and(|used| used > shown)) {
                state.hit(kinds::USE_SHOWN_LATE);
            }
            let whose = state.users.iter().find_map(|(user, keys)| {
                keys.iter()
                    .find(|seen| seen.id == key.as_str())
                    .map(|key| (user.clone(), key.used.filter(|used| *used <= shown)))
            });
            Ok(whose.map(|(user, used)| LastUsed {
                user: UserName::new(state.name_of(&user)).ok(),
                used: used.map(|at| KeyUse::at(Timestamp::from_unix_seconds(at / 1000))),
            }))
        });
        let reported = reported.await;
        if owner.is_empty() && reported.as_ref().is_err_and(|error| error.kind == CallErrorKind::Denied) {
            lock(&self.state).hit(kinds::REFUSED_FOR_A_STALE_KEY);
        }
        reported
    }

    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure> {
        let user = order.effect().user.to_string();
        let whose = lock(&self.state).whose(&user);
        let key = self.effect(Op::Create, &whose, Effect::Create { user }).await?.expect("a create yields a key");
        let id = AccessKeyId::new(key.id).expect("an id");
        Ok(Created { key: NewKey { id, secret: SecretKey::new(key.secret) }, at: self.at() })
    }

    async fn change_status(&self, order: Journaled<ChangeStatus>) -> Result<Timestamp, Failure> {
        let (id, active) = (order.effect().key().to_string(), order.effect().active());
        let user = order.effect().user().to_string();
        self.sends_removal(order.effect().user(), &order.effect().intent());
        let whose = lock(&self.state).whose(&user);
        self.effect(Op::ChangeStatus, &whose, Effect::Status { user, id, active }).await.map(|_| self.at())
    }

    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure> {
        let (user, id) = (order.effect().user().to_string(), order.effect().key().to_string());
        let is_young = order.effect().is_young();
        self.sends_removal(order.effect().user(), &order.effect().intent());
        let whose = lock(&self.state).whose(&user);
        match self.effect(Op::Delete, &whose, Effect::Delete { user, id }).await {
            Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::NoSuchEntity && is_young => {
                Err(Failure::Unknown("the key may be there all the same".to_owned()))
            }
            Err(Failure::Refused(refusal)) if is_no_such_key(&refusal) => Ok(self.at()),
            other => other.map(|_| self.at()),
        }
    }
}

#[async_trait]
impl Identity for Process {
    async fn caller(&self) -> Result<Caller, CallError> {
        let at = self.at();
        self.call(Op::Caller, "", |_| {
            let account = AccountId::new(ACCOUNT).expect("an account");
            Ok(Caller { account, arn: "arn:aws:iam::123456789012:user/rotator".to_owned(), key: None, at })
        })
        .await
    }

    async fn account_of(&self, _: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        Ok(AccountId::new(ACCOUNT).ok())
    }

    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError> {
        let (at, began, owner) = (self.at(), self.millis(), self.owner_of(id));
        let answer = self
            .call(Op::WhoIs, &owner, |state| {
                if state.replaced.contains(id.as_str()) {
                    state.broken.push(format!("the old pair {id} was tried after its rotation had been opened"));
                }
                Ok(state.who_is(id.as_str(), secret.expose(), at))
            })
            .await?;
        lock(&self.state).heard(id.as_str(), &answer);
        if matches!(answer, WhoIs::User { .. }) {
            self.has_read(began, |facts, read| facts.proofs.insert(id.to_string(), read));
        }
        Ok(answer)
    }
}

/// As the adapter: that there is no such user is no success.
fn is_no_such_key(refusal: &Refusal) -> bool {
    let names_user = refusal.message.ends_with(NO_USER);
    refusal.kind == RefusalKind::NoSuchEntity && !names_user
}

/// One store of the world.
pub(crate) struct StorePort {
    pub(crate) process: Process,
    pub(crate) name: StoreName,
}

#[async_trait]
impl SecretStore for StorePort {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let state = lock(&self.process.state);
        let store = state.stores.get(self.name.as_str()).expect("a store of the setup");
        Capabilities {
            late_writes: if store.compare_and_set { Duration::ZERO } else { LATE_REQUEST },
            read_only: false,
        }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let identity = StoreIdentity::new(format!("id of {}", self.name)).expect("an identity");
        self.process.call(Op::StoreIdentity, self.name.as_str(), |_| Ok(identity)).await
    }

    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError> {
        let (name, began) = (self.name.as_str(), self.process.millis());
        let suspended = lock(&self.process.state).suspended;
        let read = self
            .process
            .call(Op::ReadAll, name, |state| {
                let locked = state.has(Trouble::Unreadable);
                let entries = state.stores.get(name).into_iter().flat_map(|store| store.entries.iter());
                let read = |(name, entry): (&String, &(u64, Vec<u8>))| {
                    let reading = if locked && name == NOTE {
                        Reading::Unreadable("AccessDenied".to_owned())
                    } else {
                        reading(entry)
                    };
                    (EntryName::new(name.clone()).expect("a name"), reading)
                };
                Ok(entries.map(read).collect())
            })
            .await?;
        let suspended = lock(&self.process.state).suspended - suspended;
        // The scan is valid for a minute and for its own duration. Time in suspension does not count.
        self.process.has_read(began, |facts, Read { began, ended }| {
            facts.scans.insert(name.to_owned(), Read { began, ended: ended - suspended })
        });
        Ok(read)
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let (name, began) = (self.name.as_str(), self.process.millis());
        let read = self
            .process
            .call(Op::ReadPlaces, name, |state| {
                let store = state.stores.get(name);
                let one = |entry: &EntryName| {
                    store.and_then(|store| store.entries.get(entry.as_str())).map_or(Reading::Missing, reading)
                };
                Ok(entries.iter().map(one).collect())
            })
            .await?;
        let scopes = entries.iter().map(|entry| entry.scope().to_owned());
        scopes.clone().for_each(|user| _ = lock(&self.process.state).unread.remove(&user));
        self.process.has_read(began, |facts, read| {
            facts.places.extend(scopes.map(|user| ((user, name.to_owned()), read)));
        });
        Ok(read)
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        assert_eq!(order.store(), &self.name, "an order for another store");
        let batch: Vec<_> = batch
            .into_iter()
            .map(|write| {
                let version = write.replaces.0.parse().expect("a version of ours");
                (write.entry.to_string(), version, write.value.expose().to_vec())
            })
            .collect();
        let (store, where_to) = (self.name.to_string(), self.name.as_str());
        let is_atomic = lock(&self.process.state).stores.get(where_to).is_some_and(|store| store.atomic);
        if is_atomic {
            return self.process.effect(Op::Write, where_to, Effect::Write { store, batch }).await.map(|_| ());
        }
        let mut written = 0;
        for one in batch {
            let effect = Effect::Write { store: store.clone(), batch: vec![one] };
            match self.process.effect(Op::Write, where_to, effect).await {
                Ok(_) => written += 1,
                Err(Failure::Refused(refusal)) if written > 0 => {
                    return Err(Failure::Unknown(format!("half written: {refusal}")));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn forget_previous(&self, _: &[EntryName]) -> Result<(), CallError> {
        Ok(())
    }
}

/// The sink of the world.
pub(crate) struct SinkPort {
    pub(crate) process: Process,
    pub(crate) name: SinkName,
}

#[async_trait]
impl Sink for SinkPort {
    fn name(&self) -> &SinkName {
        &self.name
    }

    fn lands_within(&self) -> Duration {
        LATE_REQUEST
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let identity = StoreIdentity::new("id of the sink").expect("an identity");
        self.process.call(Op::StoreIdentity, SINK, |_| Ok(identity)).await
    }

    async fn write(&self, order: Journaled<WriteSink>, write: SinkWrite<'_>) -> Result<(), Failure> {
        let (user, id) = (write.follows.scope().to_owned(), order.effect().key.to_string());
        let effect = Effect::WriteSink { user, id, secret: write.secret.expose().to_owned() };
        self.process.effect(Op::WriteSink, SINK, effect).await.map(|_| ())
    }
}

fn reading((version, bytes): &(u64, Vec<u8>)) -> Reading {
    Reading::Value { version: Version(version.to_string()), value: SecretValue::new(bytes.clone()) }
}
