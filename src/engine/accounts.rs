//! The AWS accounts that keys can belong to: the ports of each, its caller identity, and the places whose keys it owns.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::GlobSet;
use tokio::sync::Semaphore;

use super::account_label::Label;
use super::options::EngineOptions;
use super::own_credentials::{Failures, Own, guard_account};
use super::rate_limit::{Operation, RateLimiter};
use crate::journal::clock::Clock;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::Iam;
use crate::ports::identity::{Caller, Identity};
use crate::types::name::{AccessKeyId, AccountId, StoreName};
use crate::types::place::Place;

/// The places whose keys an account may have.
#[derive(Debug, Clone, Default)]
pub struct Covers {
    /// Patterns of `<app>/<environment>`. `None`: every environment.
    pub environments: Option<GlobSet>,
    /// `None`: every store.
    pub stores: Option<BTreeSet<StoreName>>,
}

impl Covers {
    /// Returns whether a pair at this place may belong to this account.
    #[must_use]
    pub fn holds(&self, place: &Place) -> bool {
        let environment = self.environments.as_ref().is_none_or(|globs| globs.is_match(place.id.entry.scope()));
        environment && self.stores.as_ref().is_none_or(|stores| stores.contains(&place.store))
    }
}

/// An account as configured.
pub struct AccountPorts {
    pub label: Label,
    pub iam: Arc<dyn Iam>,
    pub identity: Arc<dyn Identity>,
    pub covers: Covers,
}

impl AccountPorts {
    /// Returns the account of the credentials in use, whichever account that is.
    pub fn of_credentials(iam: Arc<dyn Iam>, identity: Arc<dyn Identity>) -> Self {
        Self { label: Label::default(), iam, identity, covers: Covers::default() }
    }
}

/// An account that answered.
pub struct Account {
    pub ports: AccountPorts,
    pub caller: Caller,
    /// The account's own limiter, because IAM's quota belongs to the account.
    pub limiter: RateLimiter,
    /// The credentials that sign the calls to this account.
    pub(super) own: Arc<Own>,
}

/// Why no session could be connected.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// STS did not return the identity of the caller.
    #[error("find out whose credentials are in use: {0}")]
    Caller(#[source] CallError),
    /// Two `[[account]]` tables lead to the same account.
    #[error("tell the accounts apart: {one} and {other} are both account {account}; configure it once")]
    SameAccount { one: String, other: String, account: AccountId },
}

/// Every configured account.
pub struct Accounts {
    reachable: Vec<Account>,
    /// The accounts that did not answer, or whose number is not the configured one, with the reason.
    unreachable: Vec<(Label, CallError)>,
}

impl Accounts {
    /// Asks each account for the identity of the caller. `slots` bounds the calls in flight to all accounts.
    ///
    /// # Errors
    /// [`SessionError`] if no account answers, or two tables lead to the same account.
    pub(super) async fn connect(
        configured: Vec<AccountPorts>,
        options: &EngineOptions,
        slots: &Arc<Semaphore>,
        clock: &Arc<dyn Clock>,
        failures: &Arc<Failures>,
    ) -> Result<Self, SessionError> {
        let asked = configured.into_iter().map(|ports| async move {
            let AccountPorts { label, iam, identity, covers } = ports;
            let (iam, identity, own) = guard_account(&label, iam, identity, failures, options.watcher.as_ref());
            let ports = AccountPorts { label, iam, identity, covers };
            let limiter = RateLimiter::new(slots.clone(), options.rate, clock.clone());
            let answer = limiter.read(Operation::GetCallerIdentity, || ports.identity.caller()).await;
            (ports, limiter, own, answer)
        });
        let mut accounts = Self { reachable: Vec::new(), unreachable: Vec::new() };
        for (ports, limiter, own, answer) in futures_util::future::join_all(asked).await {
            let expected = ports.label.id.as_ref();
            match answer {
                Ok(caller) if expected.is_some_and(|id| *id != caller.account) => {
                    let message = format!("its credentials are of account {} ({})", caller.account, caller.arn);
                    accounts.unreachable.push((ports.label, CallError::new(CallErrorKind::Credentials, message)));
                }
                Ok(caller) => {
                    if let Some(other) = accounts.of(&caller.account) {
                        return Err(SessionError::SameAccount {
                            one: other.ports.label.to_string(),
                            other: ports.label.to_string(),
                            account: caller.account,
                        });
                    }
                    accounts.reachable.push(Account { ports, caller, limiter, own });
                }
                Err(error) => accounts.unreachable.push((ports.label, error)),
            }
        }
        if !accounts.reachable.is_empty() {
            accounts
                .unreachable
                .iter()
                .for_each(|(label, error)| tracing::warn!("account {label} cannot be used: {error}"));
        }
        match accounts.unreachable.first() {
            Some((_, error)) if accounts.reachable.is_empty() => Err(SessionError::Caller(error.clone())),
            Some(_) | None => Ok(accounts),
        }
    }

    /// Returns the accounts that answered: at least one.
    #[must_use]
    pub fn reachable(&self) -> &[Account] {
        &self.reachable
    }

    /// Returns the accounts that did not answer, with the reason.
    #[must_use]
    pub fn unreachable(&self) -> &[(Label, CallError)] {
        &self.unreachable
    }

    #[must_use]
    pub fn are_several(&self) -> bool {
        self.reachable.len() + self.unreachable.len() > 1
    }

    #[must_use]
    pub fn of(&self, id: &AccountId) -> Option<&Account> {
        self.reachable.iter().find(|account| account.caller.account == *id)
    }

    /// Finds the account of a key. `sts:GetAccessKeyInfo` is called once for each AWS partition, because a partition
    /// does not know the keys of another. `None`: no partition knows the key.
    ///
    /// # Errors
    /// No partition named the account, and at least one did not answer.
    pub(super) async fn account_of(&self, key: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        let mut asked = BTreeSet::new();
        let mut named = Ok(None);
        for account in &self.reachable {
            if !asked.insert(account.caller.partition().to_owned()) {
                continue;
            }
            let ask = || account.ports.identity.account_of(key);
            match account.limiter.read(Operation::GetAccessKeyInfo, ask).await {
                Ok(Some(id)) if self.of(&id).is_some() || self.why_unreachable(&id).is_some() => return Ok(Some(id)),
                Ok(Some(id)) => named = Ok(Some(id)),
                Ok(None) => {}
                Err(error) if !matches!(named, Ok(Some(_))) => named = Err(error),
                Err(_) => {}
            }
        }
        named
    }

    /// Returns why a configured account cannot be used.
    #[must_use]
    pub fn why_unreachable(&self, id: &AccountId) -> Option<&CallError> {
        self.unreachable.iter().find(|(label, _)| label.id.as_ref() == Some(id)).map(|(_, error)| error)
    }
}
