//! All that the engine works with, put together by whoever calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::accounts::{Account, AccountPorts, Accounts};
use super::aws_clock::AwsClock;
use super::executor::write_locks::WriteLocks;
use super::observe::scan::Scans;
use super::own_credentials::{Failures, Own, guard_store};
use super::rate_limit::{Operation, RateLimiter};
use super::session_check::RecentChecks;
use super::shutdown::Stop;
use super::sinks::{Identities, SinkPorts};
use crate::journal::clock::Clock;
use crate::planted::{self, Planted};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::identity::Caller;
use crate::ports::secret_store::SecretStore;
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, AccountId, StoreIdentity, StoreName};
use crate::types::time::Timestamp;

/// Is told of every change of a rotation, for progress on a terminal.
pub type Watcher = Arc<dyn Fn(&Rotation) + Send + Sync>;

/// The outside world as configured.
pub struct Ports {
    /// Every configured account; at least one.
    pub accounts: Vec<AccountPorts>,
    /// The keys that rotator signs with, wherever it does: it never rotates one of them.
    pub own_keys: BTreeSet<AccessKeyId>,
    /// Every configured store.
    pub stores: Vec<Arc<dyn SecretStore>>,
    /// Every configured sink.
    pub sinks: Vec<SinkPorts>,
    /// This machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// How the engine is to behave; not frozen in any rotation.
pub struct EngineOptions {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls a second of one operation.
    pub rate: Option<f64>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Whether to wait for times to come instead of leaving rotations in flight.
    pub wait: bool,
    /// With `wait`: how far apart scans of all entries begin at least. A scan that takes long is followed by a longer pause.
    pub scan_interval: Duration,
    /// Patterns of entries that may stay unread (the operator's word).
    pub unread_ok: globset::GlobSet,
    /// Is told of changes.
    pub watcher: Option<Watcher>,
}

/// Why the engine could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// STS did not say who we are.
    #[error("find out whose credentials are in use: {0}")]
    Caller(#[source] CallError),
    /// Two tables of the configuration are one account.
    #[error("tell the accounts apart: {one} and {other} are both account {account}; configure it once")]
    SameAccount {
        /// One of them.
        one: String,
        /// The other.
        other: String,
        /// What both are.
        account: AccountId,
    },
}

/// Why a rotation is not at home here.
pub enum Mismatch<'a> {
    /// This is another world. For people: what differs, both values named.
    WrongSession(String),
    /// This is its account, and a store refuses for lack of a right to say which one it is.
    StoreDenied(&'a Account),
}

/// The world, arrived in: who we are and which stores answer is known.
pub struct Session {
    /// The ports.
    pub ports: Ports,
    /// How to behave.
    pub options: EngineOptions,
    /// Every account.
    pub accounts: Accounts,
    /// The pacer of the stores.
    pub limiter: RateLimiter,
    /// AWS's clock.
    pub aws_clock: AwsClock,
    /// What was asked lately of accounts and stores.
    pub recent: RecentChecks,
    /// Scans of every entry.
    pub scans: Scans,
    /// Whose turn it is to write.
    pub write_locks: WriteLocks,
    /// Whether to stop.
    pub stop: Arc<Stop>,
    /// Which of rotator's own credentials have failed.
    pub failures: Arc<Failures>,
    /// The credentials that each store is called with.
    pub(super) own_of_stores: BTreeMap<StoreName, Arc<Own>>,
    /// What each configured store says it is, or why it does not.
    pub stores: BTreeMap<StoreName, Result<StoreIdentity, CallError>>,
    /// What each configured sink says it is, or why it does not.
    pub sinks: Identities,
}

impl Session {
    /// Returns when a rotation is to be left as it is: at a signal, and with a new key in hand when there is no time
    /// left to store or discard it. What is in doubt then is in the journal.
    pub(super) async fn leaving(&self, in_hand: bool) {
        self.stop.wait().await;
        if in_hand {
            let clock = &self.ports.clock;
            clock.sleep(self.stop.time_left(clock.as_ref())).await;
        }
    }

    /// Asks who we are in each account and what each store is.
    ///
    /// # Errors
    /// [`SessionError`] if AWS does not answer for any account. A store that does not, or one account of several, is no
    /// error: it harms only its own rotations.
    pub async fn connect(mut ports: Ports, options: EngineOptions, stop: Arc<Stop>) -> Result<Self, SessionError> {
        let slots = Arc::new(Semaphore::new(options.concurrency.max(1)));
        let configured = std::mem::take(&mut ports.accounts);
        let failures = Arc::new(Failures::default());
        let accounts = Accounts::connect(configured, &options, &slots, &ports.clock, &failures).await?;
        let guarded: Vec<_> =
            std::mem::take(&mut ports.stores).into_iter().map(|store| guard_store(store, &failures)).collect();
        let own_of_stores = guarded.iter().map(|(store, own)| (store.name().clone(), own.clone())).collect();
        ports.stores = guarded.into_iter().map(|(store, _)| store).collect();
        let limiter = RateLimiter::new(slots, options.rate, ports.clock.clone());
        let mut dates = accounts.reachable().iter().map(|account| account.caller.at);
        let aws_clock = AwsClock::new(dates.next().unwrap_or_else(|| ports.clock.now()), ports.clock.monotonic());
        dates.for_each(|at| _ = aws_clock.saw(at, ports.clock.monotonic()));
        let mut stores = BTreeMap::new();
        for store in &ports.stores {
            let identity = limiter.read(Operation::Store, || store.identity()).await;
            stores.insert(store.name().clone(), identity);
        }
        let mut sinks = Identities::new();
        for SinkPorts { sink, .. } in &ports.sinks {
            let identity = limiter.read(Operation::Store, || sink.identity()).await;
            sinks.insert(sink.name().clone(), identity);
        }
        Ok(Self {
            ports,
            options,
            accounts,
            limiter,
            aws_clock,
            recent: RecentChecks::default(),
            scans: Scans::default(),
            write_locks: WriteLocks::default(),
            stop,
            failures,
            own_of_stores,
            stores,
            sinks,
        })
    }

    /// AWS's clock now, in whole seconds as AWS itself tells it: an estimate compares with a `Date` only so.
    #[must_use]
    pub fn aws_now(&self) -> Timestamp {
        if planted::is(Planted::LocalClock) {
            return self.ports.clock.now();
        }
        Timestamp::from_unix_seconds(self.aws_clock.now(self.ports.clock.monotonic()).as_unix_seconds())
    }

    /// Takes the date of an answer in. Returns the time that may be relied on for that answer.
    pub fn saw_date(&self, at: Timestamp) -> Timestamp {
        let relied_on = self.aws_clock.saw(at, self.ports.clock.monotonic());
        if planted::is(Planted::LocalClock) { self.aws_now() } else { relied_on }
    }

    /// The configured store of this name.
    #[must_use]
    pub fn store(&self, name: &StoreName) -> Option<&Arc<dyn SecretStore>> {
        self.ports.stores.iter().find(|store| store.name() == name)
    }

    /// An entry for people: with its store where there are several.
    #[must_use]
    pub fn describe(&self, store: &StoreName, entry: &impl std::fmt::Display) -> String {
        if self.ports.stores.len() > 1 { format!("{entry} in {store}") } else { entry.to_string() }
    }

    /// Whether rotator signs with this key anywhere.
    #[must_use]
    pub fn signs_with(&self, key: &AccessKeyId) -> bool {
        let mut callers = self.accounts.reachable().iter().map(|account| &account.caller);
        self.ports.own_keys.contains(key) || callers.any(|caller| caller.key.as_ref() == Some(key))
    }

    /// Whether this is the world the rotation was opened in: "absent", seen from elsewhere, says nothing. Its account.
    ///
    /// # Errors
    /// [`Mismatch`]: what differs, or that a store refused to say which one it is.
    pub fn account_for(&self, rotation: &Rotation) -> Result<&Account, Mismatch<'_>> {
        let opened = &rotation.opened;
        let account = self.configured_account(rotation).map_err(Mismatch::WrongSession)?;
        let mut refused = false;
        for (name, recorded) in &opened.stores {
            let here = match self.stores.get(name) {
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
        let (id, wanted) = (rotation.id, &rotation.opened.account);
        if let Some(account) = self.accounts.of(wanted) {
            return Ok(account);
        }
        let changed_nothing = format!("nothing was changed; use credentials of {wanted} and run `rotator resume`");
        let [first, others @ ..] = self.accounts.reachable() else {
            return Err(format!("no account answers, and rotation {id} is of account {wanted}: {changed_nothing}"));
        };
        if planted::is(Planted::AccountNotChecked) {
            return Ok(first);
        }
        if let Some(why) = self.accounts.why_unreachable(wanted) {
            return Err(format!(
                "rotation {id} is of account {wanted}, which cannot be used ({why}): {changed_nothing}"
            ));
        }
        let others = others.iter().map(|other| format!(" and {}", other.caller.account)).collect::<String>();
        let Caller { account, arn, .. } = &first.caller;
        Err(format!(
            "the credentials in use are of account {account} ({arn}){others}, but rotation {id} is of account {wanted}: \
             {changed_nothing}"
        ))
    }
}

/// What to do about a store that is not what it was, for people.
pub(super) fn elsewhere(rotation: &Rotation, store: &StoreName, here: &str) -> String {
    format!(
        "store {store} {here}, and rotation {} has places in it: nothing was changed; bring that store back and run \
         `rotator resume`",
        rotation.id
    )
}
