//! The ports onto the simulated world. Each touch may be struck by a fault.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rotator::journal::clock::Clock;
use rotator::journal::write_ahead::{Journaled, WriteOrder};
use rotator::ports::call::{CallError, CallErrorKind};
use rotator::ports::iam::{Iam, LastUsed};
use rotator::ports::identity::{Caller, Identity, UserResource, WhoIs};
use rotator::ports::secret_store::{Capabilities, Reading, SecretStore, Version, Write};
use rotator::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey};
use rotator::rotation::failure::{Failure, Refusal, RefusalKind};
use rotator::rotation::known::{KeySeen, KeyStatus, KeysSeen};
use rotator::rotation::name::{AccessKeyId, AccountId, EntryName, StoreIdentity, StoreName, UserName};
use rotator::rotation::policy::Timestamp;
use rotator::rotation::secret::{NewKey, SecretKey, SecretValue};

use super::faults::Fault;
use super::state::{Effect, Key, State};

/// The world's state, shared by all ports.
pub(crate) type Shared = Arc<Mutex<State>>;

pub(crate) fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The account everything lives in.
pub(crate) const ACCOUNT: &str = "123456789012";

/// One process's view of the world: dead after its crash.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) state: Shared,
    pub(crate) epoch: u64,
    pub(crate) crashed: Arc<tokio::sync::Notify>,
}

/// How a touch came out, before the port words it.
pub(crate) enum Touched<T> {
    Answered(T),
    Lost,
    Throttled,
}

impl Process {
    pub(crate) fn new(state: &Shared) -> Self {
        let epoch = lock(state).epoch;
        Self { state: state.clone(), epoch, crashed: Arc::default() }
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(lock(&self.state).now / 1000)
    }

    /// Dies: nothing of this process touches the world again.
    pub(crate) async fn die(&self) -> ! {
        {
            let mut state = lock(&self.state);
            if state.epoch == self.epoch {
                state.epoch += 1;
            }
        }
        self.crashed.notify_one();
        std::future::pending::<()>().await;
        unreachable!("a dead process does not go on")
    }

    /// One touch: `late` is what a held request will do.
    pub(crate) async fn touch<T>(
        &self,
        what: &str,
        late: Option<Effect>,
        act: impl FnOnce(&mut State) -> T,
    ) -> Touched<T> {
        tokio::task::yield_now().await;
        let (alive, fault) = {
            let mut state = lock(&self.state);
            if state.epoch == self.epoch { (true, state.touch(what)) } else { (false, None) }
        };
        if !alive {
            std::future::pending::<()>().await;
        }
        let done = |act: &mut dyn FnMut(&mut State) -> T| {
            let mut state = lock(&self.state);
            state.advance(20);
            let answer = act(&mut state);
            state.check(what);
            answer
        };
        let mut act = Some(act);
        let mut act = |state: &mut State| (act.take().expect("acts once"))(state);
        match fault {
            None => Touched::Answered(done(&mut act)),
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::CrashAfter) => {
                let _ = done(&mut act);
                self.die().await
            }
            Some(Fault::LostBefore) => Touched::Lost,
            Some(Fault::LostAfter) => {
                let _ = done(&mut act);
                Touched::Lost
            }
            Some(Fault::Late(seconds)) => {
                let mut state = lock(&self.state);
                if let Some(effect) = late {
                    let due = state.now + i64::from(seconds) * 1000;
                    state.late.push((due, effect));
                }
                Touched::Lost
            }
            Some(Fault::Throttled) => Touched::Throttled,
        }
    }

    async fn call<T>(&self, what: &str, act: impl FnOnce(&mut State) -> Result<T, CallError>) -> Result<T, CallError> {
        match self.touch(what, None, act).await {
            Touched::Answered(answer) => answer,
            Touched::Lost => Err(CallError::new(CallErrorKind::Unavailable, format!("{what}: no answer"))),
            Touched::Throttled => Err(CallError::new(CallErrorKind::Throttled, format!("{what}: Throttling"))),
        }
    }

    async fn effect(&self, what: &str, effect: Effect) -> Result<Option<Key>, Failure> {
        let late = effect.clone();
        match self.touch(what, Some(late), |state| state.have(effect)).await {
            Touched::Answered(Ok(key)) => Ok(key),
            Touched::Answered(Err(code)) => {
                let kind = match code {
                    "NoSuchEntity" => RefusalKind::NoSuchEntity,
                    "LimitExceeded" => RefusalKind::LimitExceeded,
                    _ => RefusalKind::Stale,
                };
                Err(Refusal::new(kind, format!("{what}: {code}")).into())
            }
            Touched::Lost => Err(Failure::Unknown(format!("{what}: no answer"))),
            Touched::Throttled => Err(Refusal::new(RefusalKind::Throttled, format!("{what}: Throttling")).into()),
        }
    }
}

#[async_trait]
impl Iam for Process {
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError> {
        let at = self.at();
        self.call("ListAccessKeys", |state| {
            let now = state.now;
            let keys = state.users.get(user.as_str()).map(|keys| {
                let shown = keys.iter().filter(|key| key.listed_from <= now);
                shown
                    .map(|key| KeySeen {
                        id: AccessKeyId::new(key.id.clone()).expect("an id"),
                        status: if key.active { KeyStatus::Active } else { KeyStatus::Inactive },
                        created: Timestamp::from_unix_seconds(key.created / 1000),
                    })
                    .collect()
            });
            Ok(KeysSeen { at, keys })
        })
        .await
    }

    async fn last_used(&self, key: &AccessKeyId) -> Result<Option<LastUsed>, CallError> {
        self.call("GetAccessKeyLastUsed", |state| {
            let whose = state.users.iter().find_map(|(user, keys)| {
                keys.iter().find(|seen| seen.id == key.as_str()).map(|key| (user.clone(), key.used))
            });
            Ok(whose.map(|(user, used)| LastUsed {
                user: UserName::new(user).ok(),
                at: used.map(|at| Timestamp::from_unix_seconds(at / 1000)),
            }))
        })
        .await
    }

    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure> {
        let user = order.effect().user.to_string();
        let key = self.effect("CreateAccessKey", Effect::Create { user }).await?.expect("a create yields a key");
        let id = AccessKeyId::new(key.id).expect("an id");
        Ok(Created { key: NewKey { id, secret: SecretKey::new(key.secret) }, at: self.at() })
    }

    async fn change_status(&self, order: Journaled<ChangeStatus>) -> Result<Timestamp, Failure> {
        let (id, active) = (order.effect().key().to_string(), order.effect().active());
        self.effect("UpdateAccessKey", Effect::Status { id, active }).await.map(|_| self.at())
    }

    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure> {
        let (user, id) = (order.effect().user().to_string(), order.effect().key().to_string());
        match self.effect("DeleteAccessKey", Effect::Delete { user, id }).await {
            Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::NoSuchEntity => Ok(self.at()),
            other => other.map(|_| self.at()),
        }
    }
}

#[async_trait]
impl Identity for Process {
    async fn caller(&self) -> Result<Caller, CallError> {
        let at = self.at();
        self.call("GetCallerIdentity (own)", |_| {
            let account = AccountId::new(ACCOUNT).expect("an account");
            Ok(Caller { account, arn: "arn:aws:iam::123456789012:user/rotator".to_owned(), key: None, at })
        })
        .await
    }

    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError> {
        let at = self.at();
        self.call("GetCallerIdentity (a pair)", |state| {
            let now = state.now;
            for (user, keys) in &mut state.users {
                for key in keys.iter_mut().filter(|key| key.id == id.as_str()) {
                    if key.active && key.valid_from <= now && key.secret == secret.expose() {
                        key.used = Some(now);
                        let account = AccountId::new(ACCOUNT).expect("an account");
                        return Ok(WhoIs::User { account, user: UserResource::new(user.clone()), at });
                    }
                }
            }
            Ok(WhoIs::NotAccepted { code: "InvalidClientTokenId".to_owned() })
        })
        .await
    }
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
        let atomic = state.stores.get(self.name.as_str()).is_some_and(|store| store.atomic);
        Capabilities { atomic, late_writes: Duration::ZERO }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let identity = StoreIdentity::new(format!("id of {}", self.name)).expect("an identity");
        self.process.call("store identity", |_| Ok(identity)).await
    }

    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError> {
        let name = self.name.to_string();
        self.process
            .call("store read all", |state| {
                let entries = state.stores.get(&name).into_iter().flat_map(|store| store.entries.iter());
                Ok(entries
                    .map(|(name, entry)| (EntryName::new(name.clone()).expect("a name"), reading(entry)))
                    .collect())
            })
            .await
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let name = self.name.to_string();
        self.process
            .call("store read", |state| {
                let store = state.stores.get(&name);
                let one = |entry: &EntryName| {
                    store.and_then(|store| store.entries.get(entry.as_str())).map_or(Reading::Missing, reading)
                };
                Ok(entries.iter().map(one).collect())
            })
            .await
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
        let atomic = self.capabilities().atomic;
        let store = self.name.to_string();
        if atomic {
            return self.process.effect("store write", Effect::Write { store, batch }).await.map(|_| ());
        }
        let mut written = 0;
        for one in batch {
            let entry = one.0.clone();
            let effect = Effect::Write { store: store.clone(), batch: vec![one] };
            match self.process.effect(&format!("store write {entry}"), effect).await {
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

fn reading((version, bytes): &(u64, Vec<u8>)) -> Reading {
    Reading::Value { version: Version(version.to_string()), value: SecretValue::new(bytes.clone()) }
}

#[async_trait]
impl Clock for Process {
    fn now(&self) -> Timestamp {
        self.at()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(lock(&self.state).now).unwrap_or_default())
    }

    async fn sleep(&self, span: Duration) {
        tokio::task::yield_now().await;
        let dead = {
            let mut state = lock(&self.state);
            let dead = state.epoch != self.epoch;
            if !dead {
                state.advance(i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4).max(1));
            }
            dead
        };
        if dead {
            std::future::pending::<()>().await;
        }
    }
}
