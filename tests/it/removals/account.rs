//! Fake IAM, STS, store and clock whose calls take time and are recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rotator::journal::clock::Clock;
use rotator::journal::write_ahead::{Journaled, WriteOrder};
use rotator::ports::call::CallError;
use rotator::ports::iam::{Iam, LastUsed};
use rotator::ports::identity::{Caller, Identity, UserResource, WhoIs};
use rotator::ports::secret_store::{Capabilities, Reading, SecretStore, Version, Write};
use rotator::rotation::effect::{ChangeStatus, CreateNew, Created, DeleteKey};
use rotator::rotation::observed::{KeySeen, KeyStatus, KeysSeen};
use rotator::types::failure::{Failure, Refusal, RefusalKind};
use rotator::types::name::{AccessKeyId, AccountId, EntryName, StoreIdentity, StoreName, UserName};
use rotator::types::secret::{NewKey, SecretKey, SecretValue};
use rotator::types::time::Timestamp;
use tokio::sync::Notify;

use super::virtual_time::VirtualTime;

const ACCOUNT: &str = "123456789012";
const EPOCH: i64 = 1_700_000_000;
/// The longest time between the last read of the final check and the removal.
const AFTER_THE_LAST_READ: Duration = Duration::from_secs(5);
/// The longest time since the first read began: thirty seconds and one call time-out.
const AFTER_THE_FIRST_READ: Duration = Duration::from_secs(40);

/// The durations of calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowness {
    pub(super) aws: Duration,
    pub(super) store_read: Duration,
}

impl Default for Slowness {
    fn default() -> Self {
        Self { aws: Duration::from_millis(40), store_read: Duration::from_millis(20) }
    }
}

struct Key {
    id: String,
    secret: String,
    old: bool,
}

/// When something about a user was read last: began and ended.
#[derive(Clone, Copy, Default)]
struct Seen {
    places: (Duration, Duration),
    keys: (Duration, Duration),
    proof: (Duration, Duration),
}

#[derive(Default)]
struct AccountState {
    users: BTreeMap<String, Vec<Key>>,
    entries: BTreeMap<String, (u64, String)>,
    first_pairs: BTreeMap<String, (String, String)>,
    serial: u64,
    put_back: BTreeMap<String, Duration>,
    seen: BTreeMap<String, Seen>,
    scans: Vec<(Duration, Duration)>,
    /// When each removal was sent, of whose key, and what was read of it before.
    removals: Vec<(Duration, String, Seen)>,
    throttled: BTreeMap<String, u32>,
    throttles: u32,
    signal: Option<Duration>,
    /// An entry that cannot be read appears with the first write.
    locks_an_entry: bool,
    written: bool,
    /// For how long the machine has been suspended.
    suspended: Duration,
    /// When an entry that names the old key of the first user was written.
    noted: Option<Duration>,
}

pub(super) struct Account {
    name: StoreName,
    pub(super) clock: Arc<VirtualTime>,
    slowness: Slowness,
    state: Mutex<AccountState>,
    removing: Notify,
}

fn user_name(number: usize) -> String {
    format!("app{number:04}-prod")
}

impl Account {
    pub(super) fn with_users(users: usize) -> Arc<Self> {
        Self::slow(users, Slowness::default())
    }

    pub(super) fn slow(users: usize, slowness: Slowness) -> Arc<Self> {
        let mut state = AccountState::default();
        for number in 0..users {
            let user = user_name(number);
            let (id, secret) = state.mint();
            state.entries.insert(format!("app{number:04}/prod/AWS_ACCESS_KEY_ID"), (1, id.clone()));
            state.entries.insert(format!("app{number:04}/prod/AWS_SECRET_ACCESS_KEY"), (1, secret.clone()));
            state.first_pairs.insert(user.clone(), (id.clone(), secret.clone()));
            state.users.insert(user, vec![Key { id, secret, old: true }]);
        }
        let name = StoreName::new("store").expect("a name");
        let state = Mutex::new(state);
        Arc::new(Self { name, clock: Arc::default(), slowness, state, removing: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().expect("no test panics while it holds the account")
    }

    fn elapsed(&self) -> Duration {
        self.clock.now()
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(EPOCH).plus(self.elapsed())
    }

    /// The first deletes of each user's key are throttled: up to `most` times, by no rule that a test could follow.
    pub(super) fn throttles_deletes(&self, most: u32) {
        self.state().throttles = most;
    }

    /// From the first write on, the store has an entry that cannot be read.
    pub(super) fn locks_an_entry(&self) {
        self.state().locks_an_entry = true;
    }

    /// Restores the user's first pair, as an operator would, if the store holds the new one.
    pub(super) fn put_back(&self, number: usize) -> bool {
        let now = self.elapsed();
        let mut state = self.state();
        let user = user_name(number);
        let (id, secret) = state.first_pairs[&user].clone();
        if state.entries[&format!("app{number:04}/prod/AWS_ACCESS_KEY_ID")].1 == id {
            return false;
        }
        for (name, value) in [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)] {
            let entry = state.entries.get_mut(&format!("app{number:04}/prod/{name}")).expect("an entry");
            *entry = (entry.0 + 1, value);
        }
        state.put_back.insert(user, now);
        true
    }

    /// From now on an entry names the old key of the first user.
    pub(super) fn note(&self) {
        let now = self.elapsed();
        let mut state = self.state();
        let (id, _) = state.first_pairs[&user_name(0)].clone();
        state.entries.insert("notes/for/later".to_owned(), (1, id));
        state.noted = Some(now);
    }

    /// Returns the time between the write of that entry and the removal of the old key of the first user; `None` if the key
    /// was not removed.
    pub(super) fn removed_after_the_note(&self) -> Option<Duration> {
        let state = self.state();
        let sent = state.removals.iter().find(|(_, user, _)| *user == user_name(0)).map(|(sent, ..)| *sent)?;
        sent.checked_sub(state.noted?)
    }

    /// The machine is suspended for so long.
    pub(super) fn suspend(&self, span: Duration) {
        self.clock.jump(span);
        self.state().suspended += span;
    }

    /// The process does not run for this span, and all clocks advance.
    pub(super) fn stand_still(&self, span: Duration) {
        self.clock.jump(span);
    }

    /// Returns when the first removal is sent.
    pub(super) async fn first_removal(&self) {
        self.removing.notified().await;
    }

    pub(super) fn note_signal(&self) {
        let now = self.elapsed();
        self.state().signal = Some(now);
    }

    /// Returns the number of removals that were sent after the signal, and the time since the signal.
    pub(super) fn after_the_signal(&self) -> (usize, Duration) {
        let now = self.elapsed();
        let state = self.state();
        let signal = state.signal.expect("there was a signal");
        (state.removals.iter().filter(|(at, ..)| *at > signal).count(), now - signal)
    }

    pub(super) fn scans(&self) -> usize {
        self.state().scans.len()
    }

    pub(super) fn active_old_keys(&self) -> usize {
        self.state().users.values().flatten().filter(|key| key.old).count()
    }

    /// Of how many users the pair was put back while its key was there.
    pub(super) fn put_back_in_time(&self) -> usize {
        let state = self.state();
        let gone_at = |user: &String| state.removals.iter().find(|(_, of, _)| of == user).map(|(at, ..)| *at);
        state.put_back.iter().filter(|(user, at)| gone_at(user).is_none_or(|gone| gone > **at)).count()
    }

    /// Every removal rested on reads that were as fresh as is promised, and on what they showed.
    pub(super) fn facts_were_fresh(&self) {
        let state = self.state();
        assert!(!state.removals.is_empty());
        for (sent, user, seen) in &state.removals {
            let reads = [seen.places, seen.keys, seen.proof];
            let last = reads.iter().map(|read| read.1).max().expect("three");
            assert!(*sent <= last + AFTER_THE_LAST_READ, "{user}: sent {sent:?}, read until {last:?}");
            let first = reads.iter().map(|read| read.0).min().expect("three");
            assert!(*sent <= first + AFTER_THE_FIRST_READ, "{user}: sent {sent:?}, read from {first:?}");
            if let Some(put_back) = state.put_back.get(user).filter(|put_back| *put_back < sent) {
                assert!(
                    *put_back >= seen.places.0,
                    "{user}: put back {put_back:?}, read {:?}, sent {sent:?}",
                    seen.places
                );
            }
            let served = |scan: &&(Duration, Duration)| {
                scan.1 <= *sent && *sent <= scan.0 + Duration::from_secs(60) + (scan.1 - scan.0)
            };
            assert!(state.scans.iter().any(|scan| served(&scan)), "{user}: sent {sent:?}: {:?}", state.scans);
        }
    }
}

impl AccountState {
    fn mint(&mut self) -> (String, String) {
        self.serial += 1;
        let letter = |number: u64| char::from(b'A' + u8::try_from(number % 26).expect("small"));
        let tail: String =
            (0..16).map(|place| letter(self.serial / 26_u64.pow(place % 4) + u64::from(place))).collect();
        (format!("AKIA{tail}"), format!("Zx/+{:036}", self.serial))
    }

    fn owner(&self, id: &str) -> Option<(&String, &Key)> {
        self.users.iter().find_map(|(user, keys)| Some((user, keys.iter().find(|key| key.id == id)?)))
    }
}

#[async_trait]
impl Clock for Account {
    fn now(&self) -> Timestamp {
        self.at()
    }

    fn monotonic(&self) -> Duration {
        self.elapsed()
    }

    fn awake(&self) -> Duration {
        self.elapsed() - self.state().suspended
    }

    async fn sleep(&self, span: Duration) {
        self.clock.sleep(span).await;
    }
}

#[async_trait]
impl Iam for Account {
    async fn list_keys(&self, user: &UserName) -> Result<KeysSeen, CallError> {
        let began = self.elapsed();
        self.clock.sleep(self.slowness.aws).await;
        let (at, ended) = (self.at(), self.elapsed());
        let mut state = self.state();
        state.seen.entry(user.to_string()).or_default().keys = (began, ended);
        let seen = |key: &Key| KeySeen {
            id: AccessKeyId::new(key.id.clone()).expect("an id"),
            status: KeyStatus::Active,
            created: Timestamp::from_unix_seconds(EPOCH - 1_000_000),
        };
        Ok(KeysSeen { at, keys: state.users.get(user.as_str()).map(|keys| keys.iter().map(seen).collect()) })
    }

    async fn last_used(&self, _: &AccessKeyId) -> Result<Option<LastUsed>, CallError> {
        Ok(None)
    }

    async fn create_key(&self, order: Journaled<CreateNew>) -> Result<Created, Failure> {
        self.clock.sleep(self.slowness.aws).await;
        let at = self.at();
        let mut state = self.state();
        let (id, secret) = state.mint();
        let key = Key { id: id.clone(), secret: secret.clone(), old: false };
        state.users.get_mut(order.effect().user.as_str()).expect("a user").push(key);
        let id = AccessKeyId::new(id).expect("an id");
        Ok(Created { key: NewKey { id, secret: SecretKey::new(secret) }, at })
    }

    async fn change_status(&self, _: Journaled<ChangeStatus>) -> Result<Timestamp, Failure> {
        unreachable!("there is no quarantine here")
    }

    async fn delete_key(&self, order: Journaled<DeleteKey>) -> Result<Timestamp, Failure> {
        let user = order.effect().user().to_string();
        let sent = self.elapsed();
        self.removing.notify_waiters();
        let is_throttled = {
            let mut state = self.state();
            let most = state.throttles;
            let times = state.throttled.entry(user.clone()).or_default();
            *times += 1;
            *times <= most && !(*times).wrapping_mul(2_654_435_761).is_multiple_of(5)
        };
        self.clock.sleep(self.slowness.aws).await;
        if is_throttled {
            return Err(Refusal::new(RefusalKind::Throttled, "Throttling").into());
        }
        let mut state = self.state();
        let seen = state.seen[&user];
        state.removals.push((sent, user.clone(), seen));
        state.users.get_mut(&user).expect("a user").retain(|key| key.id != order.effect().key().as_str());
        drop(state);
        Ok(self.at())
    }
}

#[async_trait]
impl Identity for Account {
    async fn caller(&self) -> Result<Caller, CallError> {
        let account = AccountId::new(ACCOUNT).expect("an account");
        Ok(Caller { account, arn: format!("arn:aws:iam::{ACCOUNT}:user/rotator"), key: None, at: self.at() })
    }

    async fn account_of(&self, _: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        Ok(AccountId::new(ACCOUNT).ok())
    }

    async fn who_is(&self, id: &AccessKeyId, secret: &SecretKey) -> Result<WhoIs, CallError> {
        let began = self.elapsed();
        self.clock.sleep(self.slowness.aws).await;
        let (at, ended) = (self.at(), self.elapsed());
        let mut state = self.state();
        if let Some(user) = state.owner(id.as_str()).map(|(user, _)| user.clone()) {
            state.seen.entry(user).or_default().proof = (began, ended);
        }
        Ok(match state.owner(id.as_str()).filter(|(_, key)| key.secret == secret.expose()) {
            Some((user, _)) => {
                let account = AccountId::new(ACCOUNT).expect("an account");
                WhoIs::User { account, user: UserResource::new(user.clone()), id: None, at }
            }
            None => WhoIs::NotAccepted { code: "InvalidClientTokenId".to_owned() },
        })
    }
}

fn reading((version, value): &(u64, String)) -> Reading {
    Reading::Value { version: Version(version.to_string()), value: SecretValue::new(value.clone().into_bytes()) }
}

#[async_trait]
impl SecretStore for Account {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        Ok(StoreIdentity::new("store").expect("an identity"))
    }

    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError> {
        let began = self.elapsed();
        // The scan returns the values from its beginning: the worst case.
        let (entries, locks) = {
            let state = self.state();
            (state.entries.clone(), state.locks_an_entry && state.written)
        };
        self.clock.sleep(self.slowness.store_read).await;
        let ended = self.elapsed();
        self.state().scans.push((began, ended));
        let entry =
            |(name, value): (&String, &(u64, String))| (EntryName::new(name.clone()).expect("a name"), reading(value));
        let locked = (EntryName::new("notes/under/lock").expect("a name"), Reading::Unreadable("denied".to_owned()));
        let locked = Some(locked).filter(|_| locks);
        Ok(entries.iter().map(entry).chain(locked).collect())
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let began = self.elapsed();
        // The read returns the value from its beginning: the worst case.
        let readings = {
            let state = self.state();
            entries.iter().map(|name| state.entries.get(name.as_str()).map_or(Reading::Missing, reading)).collect()
        };
        self.clock.sleep(self.slowness.store_read).await;
        let ended = self.elapsed();
        let scope = entries.first().map(|name| name.scope().replace('/', "-"));
        self.state().seen.entry(scope.unwrap_or_default()).or_default().places = (began, ended);
        Ok(readings)
    }

    async fn write(&self, _: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        self.clock.sleep(self.slowness.aws).await;
        let mut state = self.state();
        let stands = |write: &Write| {
            state.entries.get(write.entry.as_str()).is_some_and(|(version, _)| version.to_string() == write.replaces.0)
        };
        if !batch.iter().all(stands) {
            return Err(Refusal::new(RefusalKind::Stale, "another version").into());
        }
        state.written = true;
        for write in batch {
            let value = String::from_utf8(write.value.expose().to_vec()).expect("text");
            let entry = state.entries.get_mut(write.entry.as_str()).expect("an entry");
            *entry = (entry.0 + 1, value);
        }
        Ok(())
    }

    async fn forget_previous(&self, _: &[EntryName]) -> Result<(), CallError> {
        Ok(())
    }
}
