//! Everything that the engine works with, connected: accounts, stores, sinks, clock and options.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::account_label::called;
use super::accounts::{Account, AccountPorts, Accounts, SessionError};
use super::aws_clock::AwsClock;
use super::observe::scan::{ScanContext, Scans};
use super::options::{EngineOptions, Progress};
use super::own_credentials::{Failures, Own, guard_store};
use super::rate_limit::{Operation, RateLimiter};
use super::shutdown::Stop;
use super::sinks::{Identities, SinkPorts, Sinks};
use super::stores::Stores;
use super::write_locks::WriteLocks;
use crate::journal::clock::Clock;
use crate::ports::call::CallErrorKind;
use crate::ports::identity::Caller;
use crate::ports::secret_store::SecretStore;
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, StoreIdentity, StoreName};
use crate::types::time::Timestamp;

/// The ports as configured.
pub struct Ports {
    /// At least one.
    pub accounts: Vec<AccountPorts>,
    /// The keys that rotator signs with. It never rotates one of them.
    pub own_keys: BTreeSet<AccessKeyId>,
    pub stores: Vec<Arc<dyn SecretStore>>,
    pub sinks: Vec<SinkPorts>,
    pub clock: Arc<dyn Clock>,
}

/// Why a rotation does not belong to this session.
pub enum Mismatch<'a> {
    /// The account or a store is another one. The message names both values.
    WrongSession(String),
    /// The account is the right one, and a store denies access to its identity.
    StoreDenied(&'a Account),
}

/// The latest answers of accounts and stores.
#[derive(Debug, Default)]
pub struct RecentChecks {
    /// One rotation asks for a second `Date`, and the others wait for it.
    pub(super) dates: tokio::sync::Mutex<()>,
    pub(super) stores: tokio::sync::Mutex<BTreeMap<StoreName, (Duration, StoreIdentity)>>,
    pub(super) accounts: tokio::sync::Mutex<BTreeMap<String, Duration>>,
}

/// A connected session: the identities of the callers and of the stores are known.
pub struct Session {
    /// The keys that rotator signs with. It never rotates one of them.
    pub own_keys: BTreeSet<AccessKeyId>,
    pub clock: Arc<dyn Clock>,
    pub options: EngineOptions,
    pub accounts: Accounts,
    pub stores: Stores,
    pub sinks: Sinks,
    pub aws_clock: AwsClock,
    pub recent: RecentChecks,
    pub scans: Scans,
    pub write_locks: WriteLocks,
    pub stop: Arc<Stop>,
    /// Which of rotator's own credentials have failed.
    pub failures: Arc<Failures>,
    /// When the stores were asked for their identities, by the monotonic clock.
    pub(super) connected_at: Duration,
    /// The credentials that each store is called with.
    pub(super) own_of_stores: BTreeMap<StoreName, Arc<Own>>,
}

impl Session {
    /// Returns when a rotation is to be left as it is: at a signal, or, if the process holds a new key, when no time is
    /// left to store or discard that key. The journal then holds what is in doubt.
    pub(super) async fn leaving(&self, in_hand: bool) {
        self.stop.wait().await;
        if in_hand {
            let clock = &self.clock;
            clock.sleep(self.stop.time_left(clock.as_ref())).await;
        }
    }

    /// Asks each account for the identity of the caller, and each store for its identity.
    ///
    /// # Errors
    /// [`SessionError`] if no account answers. A store that does not answer, or one account of several, is not an
    /// error, because it affects only its own rotations.
    pub async fn connect(ports: Ports, options: EngineOptions, stop: Arc<Stop>) -> Result<Self, SessionError> {
        let Ports { accounts, own_keys, stores, sinks, clock } = ports;
        let slots = Arc::new(Semaphore::new(options.concurrency.max(1)));
        let failures = Arc::new(Failures::default());
        let accounts = Accounts::connect(accounts, &options, &slots, &clock, &failures).await?;
        let guarded: Vec<_> =
            stores.into_iter().map(|store| guard_store(store, &failures, options.watcher.as_ref())).collect();
        let own_of_stores = guarded.iter().map(|(store, own)| (store.name().clone(), own.clone())).collect();
        let all: Vec<_> = guarded.into_iter().map(|(store, _)| store).collect();
        // The stores have slots of their own: a store in a file must not keep a slot from a call that takes far longer.
        let slots = Arc::new(Semaphore::new(options.concurrency.max(1)));
        let limiter = RateLimiter::new(slots, options.rate, clock.clone());
        let mut dates = accounts.reachable().iter().map(|account| account.caller.at);
        let aws_clock = AwsClock::new(dates.next().unwrap_or_else(|| clock.now()), clock.monotonic());
        dates.for_each(|at| _ = aws_clock.saw(at, clock.monotonic()));
        // At the same time: one that does not answer is not to hold up the others.
        let identities = join_all(all.iter().map(async |store: &Arc<dyn SecretStore>| {
            (store.name().clone(), limiter.read(Operation::Store, || store.identity()).await)
        }));
        let identities: BTreeMap<_, _> = identities.await.into_iter().collect();
        let mut of_sinks = Identities::new();
        for SinkPorts { sink, .. } in &sinks {
            let identity = limiter.read(Operation::Store, || sink.identity()).await;
            of_sinks.insert(sink.name().clone(), identity);
        }
        Ok(Self {
            own_keys,
            connected_at: clock.monotonic(),
            clock,
            options,
            accounts,
            stores: Stores { all, identities, limiter },
            sinks: Sinks { all: sinks, identities: of_sinks },
            aws_clock,
            recent: RecentChecks::default(),
            scans: Scans::default(),
            write_locks: WriteLocks::default(),
            stop,
            failures,
            own_of_stores,
        })
    }

    pub(super) fn scan_context(&self) -> ScanContext<'_> {
        ScanContext { stores: &self.stores, options: &self.options, clock: &*self.clock, stop: &self.stop }
    }

    /// Tells the watcher of the progress, if there is one.
    pub(super) fn say(&self, progress: Progress<'_>) {
        if let Some(watcher) = &self.options.watcher {
            watcher(progress);
        }
    }

    /// Returns the time of AWS in whole seconds, as AWS reports it. Otherwise the estimate could not be compared with a
    /// `Date`.
    #[must_use]
    pub fn aws_now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.aws_clock.now(self.clock.monotonic()).as_unix_seconds())
    }

    /// Takes the date of a response in. Returns the time to rely on for this response.
    pub fn saw_date(&self, at: Timestamp) -> Timestamp {
        self.aws_clock.saw(at, self.clock.monotonic())
    }

    #[must_use]
    pub fn signs_with(&self, key: &AccessKeyId) -> bool {
        let mut callers = self.accounts.reachable().iter().map(|account| &account.caller);
        self.own_keys.contains(key) || callers.any(|caller| caller.key.as_ref() == Some(key))
    }

    /// Returns the account of a rotation, if this session is the one that the rotation was opened for: that a key is
    /// absent in another account says nothing.
    ///
    /// # Errors
    /// [`Mismatch`]: what differs, or that a store denies access to its identity.
    pub fn account_for(&self, rotation: &Rotation) -> Result<&Account, Mismatch<'_>> {
        let opened = &rotation.opened;
        let account = self.configured_account(rotation).map_err(Mismatch::WrongSession)?;
        let mut refused = false;
        for (name, recorded) in &opened.stores {
            let here = match self.stores.identities.get(name) {
                Some(Ok(identity)) if identity == recorded => continue,
                Some(Ok(identity)) => format!("is another store (identity {identity}, recorded was {recorded})"),
                Some(Err(error)) if error.kind == CallErrorKind::Denied => {
                    refused = true;
                    continue;
                }
                Some(Err(error)) => format!("cannot be used: {error}"),
                None => "is not configured".to_owned(),
            };
            return Err(Mismatch::WrongSession(elsewhere(rotation, name, &here)));
        }
        if refused { Err(Mismatch::StoreDenied(account)) } else { Ok(account) }
    }

    fn configured_account(&self, rotation: &Rotation) -> Result<&Account, String> {
        let (whose, wanted) = (called(rotation), &rotation.opened.account);
        if let Some(account) = self.accounts.of(wanted) {
            return Ok(account);
        }
        let changed_nothing = format!("nothing was changed; use credentials of {wanted} and run `rotator resume`");
        let [first, others @ ..] = self.accounts.reachable() else {
            return Err(format!("no account answers, and {whose} is of account {wanted}: {changed_nothing}"));
        };
        if let Some(why) = self.accounts.why_unreachable(wanted) {
            return Err(format!("{whose} is of account {wanted}, which cannot be used ({why}): {changed_nothing}"));
        }
        let others = others.iter().map(|other| format!(" and {}", other.caller.account)).collect::<String>();
        let Caller { account, arn, .. } = &first.caller;
        Err(format!(
            "the credentials in use are of account {account} ({arn}){others}, but {whose} is of account {wanted}: \
             {changed_nothing}"
        ))
    }
}

/// Words what to do about a store that is not the recorded one.
pub(super) fn elsewhere(rotation: &Rotation, store: &StoreName, here: &str) -> String {
    format!(
        "store {store} {here}, and {} has places in it: nothing was changed; bring that store back and run `rotator resume`",
        called(rotation)
    )
}
