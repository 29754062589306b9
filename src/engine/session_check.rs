//! Checks that a session is still the one that a rotation was opened for, and that the time of AWS is known. It is
//! checked again after each sleep of `--wait`, which may last weeks. Each answer serves all rotations for a few
//! seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account_label::called;
use super::accounts::Account;
use super::aws_clock::CONFIRMED_AFTER;
use super::rate_limit::Operation;
use super::session::{Session, elsewhere};
use super::survey::Due;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::denied::{self, Denied};
use crate::rotation::record::Rotation;
use crate::types::name::{AccountId, StoreIdentity, StoreName};

/// The greatest age of an answer that serves another rotation.
const SERVES_FOR: Duration = Duration::from_secs(5);
/// How many times AWS is asked for a second `Date` before a rotation is left as it is.
const MOST_DATES: u32 = 4;
/// The wait after a call that AWS did not answer.
const AFTER_NO_ANSWER: Duration = Duration::from_secs(1);

/// Why a rotation cannot continue after a sleep.
#[derive(Debug)]
pub enum CheckError {
    /// An account or a store did not answer. It is asked again later.
    NoAnswer(String),
    /// A store denies access to its identity.
    Denied(Denied),
    /// The account or a store is another one.
    WrongSession(String),
}

impl Session {
    /// Returns when two responses of AWS agree on the time. The first `Date` of a process cannot be compared with
    /// another, and a wait that began in another process must not end because of a wrong one.
    ///
    /// # Errors
    /// A message: AWS did not answer, or its responses do not agree.
    pub async fn confirm_time(&self, account: &Account) -> Result<(), String> {
        let _alone = self.recent.dates.lock().await;
        let mut last = "AWS's answers do not agree on what time it is".to_owned();
        for _ in 0..MOST_DATES {
            if self.aws_clock.is_confirmed() {
                return Ok(());
            }
            let asked = account.limiter.read(Operation::GetCallerIdentity, || account.ports.identity.caller()).await;
            let pause = match asked {
                Ok(caller) => {
                    self.saw_date(caller.at);
                    CONFIRMED_AFTER + AFTER_NO_ANSWER
                }
                Err(error) => {
                    last = error.message;
                    AFTER_NO_ANSWER
                }
            };
            if self.aws_clock.is_confirmed() {
                return Ok(());
            }
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.stop.wait() => break,
            }
        }
        Err(last)
    }

    /// Asks again for the identity of the caller and of the stores.
    ///
    /// # Errors
    /// [`CheckError`]: nothing may be concluded from what this session observes.
    pub async fn still_matches(&self, rotation: &Rotation, account: &Account) -> Result<(), CheckError> {
        self.same_account(rotation, account).await?;
        for (name, recorded) in &rotation.opened.stores {
            let now = self.identity_of(name).await;
            let now = now.map_err(|error| match error.kind {
                CallErrorKind::Denied => {
                    let resource = format!("the identity of store {name}");
                    CheckError::Denied(Denied::new(denied::Operation::ReadStore, resource, error.message))
                }
                CallErrorKind::Throttled
                | CallErrorKind::Credentials
                | CallErrorKind::Unavailable
                | CallErrorKind::Invalid
                | CallErrorKind::NoSuchEntity
                | CallErrorKind::Other => CheckError::NoAnswer(format!("store {name}: {}", error.message)),
            })?;
            if now != *recorded {
                let here = format!("is another store now (identity {now}, recorded was {recorded})");
                return Err(CheckError::WrongSession(elsewhere(rotation, name, &here)));
            }
        }
        Ok(())
    }

    async fn same_account(&self, rotation: &Rotation, account: &Account) -> Result<(), CheckError> {
        let (whose, wanted) = (called(rotation), &rotation.opened.account);
        let mut asked = self.recent.accounts.lock().await;
        let now = self.clock.monotonic();
        let who = account.caller.arn.clone();
        if asked.get(&who).is_some_and(|at| now.saturating_sub(*at) < SERVES_FOR) {
            return Ok(());
        }
        let caller = account.limiter.read(Operation::GetCallerIdentity, || account.ports.identity.caller()).await;
        let caller = caller.map_err(|error| CheckError::NoAnswer(error.message))?;
        self.saw_date(caller.at);
        if caller.account != *wanted {
            return Err(CheckError::WrongSession(format!(
                "the credentials in use are of account {} ({}) now, but {whose} is of account {wanted}: nothing \
                 was changed; use credentials of {wanted} and run `rotator resume`",
                caller.account, caller.arn
            )));
        }
        asked.insert(who, now);
        Ok(())
    }

    async fn identity_of(&self, name: &StoreName) -> Result<StoreIdentity, CallError> {
        let mut asked = self.recent.stores.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, identity)) = asked.get(name)
            && now.saturating_sub(*at) < SERVES_FOR
        {
            return Ok(identity.clone());
        }
        let Some(store) = self.stores.get(name) else {
            // The account was checked when the session was connected: a rotation of a store that is not configured is
            // not advanced.
            return Err(CallError::new(CallErrorKind::Other, "it is not configured"));
        };
        let identity = self.stores.limiter.read(Operation::Store, || store.identity()).await?;
        asked.insert(name.clone(), (now, identity.clone()));
        Ok(identity)
    }
}

impl Session {
    /// Returns why a rotation cannot continue, if the credentials of its account or of one of its stores have failed.
    #[must_use]
    pub fn lacks_credentials(&self, rotation: &Rotation) -> Option<String> {
        let opened = &rotation.opened;
        let account = self.account_failed(&opened.account);
        account.or_else(|| opened.stores.keys().find_map(|store| self.store_failed(store)))
    }

    /// Returns whether the same holds for a key that is due.
    pub(super) fn lacks_credentials_for(&self, due: &Due) -> bool {
        let mut stores = due.places.iter().map(|place| &place.store);
        self.account_failed(&due.account).is_some() || stores.any(|store| self.store_failed(store).is_some())
    }

    /// Returns why a store did not answer a moment ago, if one did not: to ask it again would take as long again.
    pub(super) fn did_not_answer(&self) -> Option<CallError> {
        if self.clock.monotonic().saturating_sub(self.connected_at) >= SERVES_FOR {
            return None;
        }
        let mut failed = self.stores.identities.values().filter_map(|identity| identity.as_ref().err());
        failed.find(|error| error.kind == CallErrorKind::Unavailable).cloned()
    }

    /// Returns the identities of the stores of this key.
    ///
    /// # Errors
    /// A store did not return its identity when the session was connected.
    pub(super) fn identities_of_stores(&self, due: &Due) -> Result<BTreeMap<StoreName, StoreIdentity>, CallError> {
        let mut stores = BTreeMap::new();
        for place in &due.places {
            match self.stores.identities.get(&place.store) {
                Some(Ok(identity)) => stores.insert(place.store.clone(), identity.clone()),
                Some(Err(error)) => {
                    let said = format!("store {} does not say which one it is: {}", place.store, error.message);
                    return Err(CallError::new(error.kind, said));
                }
                None => {
                    let said = format!("store {} is not configured", place.store);
                    return Err(CallError::new(CallErrorKind::Other, said));
                }
            };
        }
        Ok(stores)
    }

    /// Returns why the credentials of this account are not used any more.
    pub(super) fn account_failed(&self, account: &AccountId) -> Option<String> {
        self.accounts.of(account)?.own.failed().map(str::to_owned)
    }

    /// Returns why the credentials of this store are not used any more.
    pub(super) fn store_failed(&self, store: &StoreName) -> Option<String> {
        self.own_of_stores.get(store)?.failed().map(str::to_owned)
    }
}
