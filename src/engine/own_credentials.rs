//! rotator's own credentials for each account and each store. Their failure says nothing about a user, a key or an
//! entry. After it this run makes no further call with them, leaves the rotations that need them as they are, and ends
//! with the exit code for failed credentials.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Notify;

use super::account_label::Label;
use super::options::{Progress, Watcher};
use super::shutdown::Stop;
use crate::journal::clock::Clock;
use crate::journal::write_ahead::{Journaled, WriteOrder};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::{Iam, LastUsed};
use crate::ports::identity::{Caller, Identity, SessionEnd, WhoIs};
use crate::ports::secret_store::{Capabilities, Parts, Reading, Readings, SecretStore, Writable, Write};
use crate::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey};
use crate::rotation::observed::KeysSeen;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{AccessKeyId, AccountId, EntryName, StoreIdentity, StoreName, UserName};
use crate::types::secret::{SecretKey, SecretValue};
use crate::types::time::Timestamp;

/// With `--wait`, how long after a pass that lacked credentials the next one begins.
pub const TRY_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Which credentials have failed in this run.
#[derive(Debug, Default)]
pub struct Failures {
    all: Mutex<Vec<String>>,
    notify: Notify,
}

impl Failures {
    /// Returns a message for each failure.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn any(&self) -> bool {
        !self.all.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Returns when the first credentials have failed.
    pub(super) async fn first(&self) {
        let notified = self.notify.notified();
        if !self.any() {
            notified.await;
        }
    }

    fn add(&self, why: String) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(why);
        self.notify.notify_waiters();
    }
}

enum Holder {
    Account(Label, Arc<dyn Identity>),
    Store(Arc<dyn SecretStore>),
}

/// The credentials of one account or one store.
pub struct Own {
    holder: Holder,
    /// What messages call the account or the store.
    name: String,
    /// Hears of each call.
    watcher: Option<Watcher>,
    failed: OnceLock<String>,
    failures: Arc<Failures>,
}

impl Own {
    fn new(holder: Holder, failures: &Arc<Failures>, watcher: Option<&Watcher>) -> Arc<Self> {
        let name = match &holder {
            Holder::Account(label, _) if *label == Label::default() => "AWS".to_owned(),
            Holder::Account(label, _) => format!("AWS for account {label}"),
            Holder::Store(store) => store.name().to_string(),
        };
        Arc::new(Self { holder, name, watcher: watcher.cloned(), failed: OnceLock::new(), failures: failures.clone() })
    }

    fn say(&self, progress: Progress<'_>) {
        if let Some(watcher) = &self.watcher {
            watcher(progress);
        }
    }

    /// Returns why the credentials are not used any more.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Records that these credentials have failed, and returns the message for the operator.
    fn fail(&self, error: &str) -> String {
        let (whose, source) = match &self.holder {
            Holder::Account(label, identity) => {
                let of = if *label == Label::default() { String::new() } else { format!(" for account {label}") };
                (format!("rotator's own AWS credentials{of}"), identity.credentials())
            }
            Holder::Store(store) => (format!("rotator's own credentials for {}", store.name()), store.credentials()),
        };
        let source = source.map(|source| format!(" (from {source})")).unwrap_or_default();
        let why = format!("{whose}{source} failed: {error}");
        if self.failed.set(why.clone()).is_ok() {
            self.failures.add(why.clone());
        }
        why
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, CallError>> + Send) -> Result<T, CallError> {
        if let Some(why) = self.failed() {
            return Err(CallError::new(CallErrorKind::Credentials, why));
        }
        let awaited = Awaited::begin(self);
        let answer = call.await;
        awaited.end(
            answer.as_ref().err().filter(|error| error.kind == CallErrorKind::Unavailable).map(|error| &*error.message),
        );
        answer.map_err(|error| match error.kind {
            CallErrorKind::Credentials => CallError::new(error.kind, self.fail(&error.message)),
            CallErrorKind::Throttled
            | CallErrorKind::Unavailable
            | CallErrorKind::Denied
            | CallErrorKind::Invalid
            | CallErrorKind::NoSuchEntity
            | CallErrorKind::Other => error,
        })
    }

    async fn effect<T>(&self, effect: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
        if let Some(why) = self.failed() {
            return Err(Refusal::new(RefusalKind::Credentials, why).into());
        }
        let awaited = Awaited::begin(self);
        let answer = effect.await;
        awaited.end(match &answer {
            Err(Failure::Unknown(why)) => Some(why),
            Err(Failure::Refused(_)) | Ok(_) => None,
        });
        answer.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.kind == RefusalKind::Credentials => {
                Refusal::new(refusal.kind, self.fail(&refusal.message)).into()
            }
            failure @ (Failure::Refused(_) | Failure::Unknown(_)) => failure,
        })
    }
}

/// A call under way. One that is dropped has no answer, and is not waited for.
struct Awaited<'a>(Option<&'a Own>);

impl<'a> Awaited<'a> {
    fn begin(own: &'a Own) -> Self {
        own.say(Progress::Asked(&own.name));
        Self(Some(own))
    }

    /// `failed`: why there is no answer.
    fn end(mut self, failed: Option<&str>) {
        if let Some(own) = self.0.take() {
            own.say(Progress::Ended(&own.name, failed));
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.0.take() {
            own.say(Progress::Ended(&own.name, None));
        }
    }
}

/// A port whose calls are made with these credentials.
struct Guarded<T: ?Sized> {
    inner: Arc<T>,
    own: Arc<Own>,
}

/// Wraps the ports of an account, so that no call is made with credentials that have failed.
pub(super) fn guard_account(
    label: &Label,
    iam: Arc<dyn Iam>,
    identity: Arc<dyn Identity>,
    failures: &Arc<Failures>,
    watcher: Option<&Watcher>,
) -> (Arc<dyn Iam>, Arc<dyn Identity>, Arc<Own>) {
    let own = Own::new(Holder::Account(label.clone(), identity.clone()), failures, watcher);
    let iam = Arc::new(Guarded { inner: iam, own: own.clone() });
    (iam, Arc::new(Guarded { inner: identity, own: own.clone() }), own)
}

/// Wraps a store in the same way.
pub(super) fn guard_store(
    store: Arc<dyn SecretStore>,
    failures: &Arc<Failures>,
    watcher: Option<&Watcher>,
) -> (Arc<dyn SecretStore>, Arc<Own>) {
    let own = Own::new(Holder::Store(store.clone()), failures, watcher);
    (Arc::new(Guarded { inner: store, own: own.clone() }), own)
}

#[async_trait]
impl Iam for Guarded<dyn Iam> {
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError> {
        self.own.call(self.inner.list_keys(user)).await
    }

    async fn last_used(&self, key: &AccessKeyId) -> Result<Option<LastUsed>, CallError> {
        self.own.call(self.inner.last_used(key)).await
    }

    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure> {
        self.own.effect(self.inner.create_key(order)).await
    }

    async fn change_status(&self, order: Journaled<ChangeStatus>) -> Result<Timestamp, Failure> {
        self.own.effect(self.inner.change_status(order)).await
    }

    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure> {
        self.own.effect(self.inner.delete_key(order)).await
    }
}

#[async_trait]
impl Identity for Guarded<dyn Identity> {
    async fn caller(&self) -> Result<Caller, CallError> {
        self.own.call(self.inner.caller()).await
    }

    async fn account_of(&self, id: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        self.own.call(self.inner.account_of(id)).await
    }

    /// Signed with the pair itself.
    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError> {
        self.inner.who_is(id, secret).await
    }

    fn credentials(&self) -> Option<String> {
        self.inner.credentials()
    }

    fn session_end(&self) -> Option<SessionEnd> {
        self.inner.session_end()
    }
}

#[async_trait]
impl SecretStore for Guarded<dyn SecretStore> {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn unit(&self, entry: &EntryName) -> String {
        self.inner.unit(entry)
    }

    fn credentials(&self) -> Option<String> {
        self.inner.credentials()
    }

    fn unverified(&self) -> Option<String> {
        self.inner.unverified()
    }

    fn unmatched_patterns(&self) -> Vec<String> {
        self.inner.unmatched_patterns()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.own.call(self.inner.identity()).await
    }

    async fn read_all(&self) -> Result<Readings, CallError> {
        self.own.call(self.inner.read_all()).await
    }

    async fn read_parts<'a>(&'a self) -> Result<Parts<'a>, CallError> {
        let parts = self.own.call(self.inner.read_parts()).await?;
        let next = move |mut parts: Parts<'a>| async move {
            let part = self.own.call(async { parts.next().await.transpose() }).await.transpose()?;
            Some((part, parts))
        };
        Ok(stream::unfold(parts, next).boxed())
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        self.own.call(self.inner.read(entries)).await
    }

    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        if self.own.failed().is_some() {
            return entries.iter().map(|_| Writable::Unknown).collect();
        }
        self.inner.writable(entries).await
    }

    async fn held(&self, entries: &[EntryName]) -> Option<String> {
        self.inner.held(entries).await
    }

    async fn staged(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.own.call(self.inner.staged(entries)).await
    }

    async fn replaced(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.own.call(self.inner.replaced(entries)).await
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        self.own.effect(self.inner.write(order, batch)).await
    }

    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError> {
        self.own.call(self.inner.forget_previous(entries)).await
    }
}

/// The result of one pass, and the credentials that failed in it.
pub struct Pass<T> {
    pub came_to: T,
    /// A message for each failure of credentials.
    pub failed: Vec<String>,
}

/// Makes passes until one lacks no credentials or a stop is asked for. Without `wait` it makes one pass. Before each wait it
/// calls `say` with what has failed.
pub async fn until_they_work<T>(
    clock: &dyn Clock,
    stop: &Stop,
    wait: bool,
    say: impl Fn(&[String]),
    mut pass: impl AsyncFnMut() -> Pass<T>,
) -> Pass<T> {
    loop {
        let made = pass().await;
        if made.failed.is_empty() || !wait || stop.asked() {
            return made;
        }
        say(&made.failed);
        tokio::select! {
            () = clock.sleep(TRY_AGAIN) => {}
            () = stop.wait() => return made,
        }
    }
}

#[cfg(test)]
mod tests;
