//! The AWS accounts that keys may be of: for each the ports, who we are there, and which places it has keys in.

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
    /// Patterns of `<app>/<environment>`; every one, where there is none.
    pub environments: Option<GlobSet>,
    /// These stores; every one, where there is none.
    pub stores: Option<BTreeSet<StoreName>>,
}

impl Covers {
    /// Whether a pair that stands there may be of this account.
    #[must_use]
    pub fn holds(&self, place: &Place) -> bool {
        let environment = self.environments.as_ref().is_none_or(|globs| globs.is_match(place.id.entry.scope()));
        environment && self.stores.as_ref().is_none_or(|stores| stores.contains(&place.store))
    }
}

/// An account as configured.
pub struct AccountPorts {
    /// What people call it, and its number where that is known beforehand.
    pub label: Label,
    /// Its IAM.
    pub iam: Arc<dyn Iam>,
    /// Its STS.
    pub identity: Arc<dyn Identity>,
    /// Where its keys stand.
    pub covers: Covers,
}

impl AccountPorts {
    /// The account of the credentials in use, whichever it is.
    pub fn of_credentials(iam: Arc<dyn Iam>, identity: Arc<dyn Identity>) -> Self {
        Self { label: Label::default(), iam, identity, covers: Covers::default() }
    }
}

/// An account that answered.
pub struct Account {
    /// Its ports.
    pub ports: AccountPorts,
    /// Who we are there.
    pub caller: Caller,
    /// Its pacer: IAM's quota is an account's own.
    pub limiter: RateLimiter,
    /// The credentials that its calls are made with.
    pub(super) own: Arc<Own>,
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

/// Every configured account.
pub struct Accounts {
    reachable: Vec<Account>,
    /// Those that did not answer, or are others than was said, and why.
    unreachable: Vec<(Label, CallError)>,
}

impl Accounts {
    /// Asks each who we are there. `slots` bounds the calls in flight in all of them.
    ///
    /// # Errors
    /// [`SessionError`] if none answers, or two are one.
    pub(super) async fn connect(
        configured: Vec<AccountPorts>,
        options: &EngineOptions,
        slots: &Arc<Semaphore>,
        clock: &Arc<dyn Clock>,
        failures: &Arc<Failures>,
    ) -> Result<Self, SessionError> {
        let asked = configured.into_iter().map(|ports| async move {
            let AccountPorts { label, iam, identity, covers } = ports;
            let (iam, identity, own) = guard_account(&label, iam, identity, failures);
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

    /// Those that answered; at least one.
    #[must_use]
    pub fn reachable(&self) -> &[Account] {
        &self.reachable
    }

    /// Those that did not, and why.
    #[must_use]
    pub fn unreachable(&self) -> &[(Label, CallError)] {
        &self.unreachable
    }

    /// Whether several are configured.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.reachable.len() + self.unreachable.len() > 1
    }

    /// The account of this number.
    #[must_use]
    pub fn of(&self, id: &AccountId) -> Option<&Account> {
        self.reachable.iter().find(|account| account.caller.account == *id)
    }

    /// Whose key it is, by its number: `sts:GetAccessKeyInfo`, asked once for each of AWS's partitions, which know nothing
    /// of one another. `None`: nobody knows it.
    ///
    /// # Errors
    /// If nobody says, and somebody might.
    pub(super) async fn account_of(&self, key: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        let mut asked = BTreeSet::new();
        let mut told = Ok(None);
        for account in &self.reachable {
            if !asked.insert(account.caller.partition().to_owned()) {
                continue;
            }
            let ask = || account.ports.identity.account_of(key);
            match account.limiter.read(Operation::GetAccessKeyInfo, ask).await {
                Ok(Some(id)) if self.of(&id).is_some() || self.why_unreachable(&id).is_some() => return Ok(Some(id)),
                Ok(Some(id)) => told = Ok(Some(id)),
                Ok(None) => {}
                Err(error) if !matches!(told, Ok(Some(_))) => told = Err(error),
                Err(_) => {}
            }
        }
        told
    }

    /// Why this account cannot be used, if it is configured and did not answer.
    #[must_use]
    pub fn why_unreachable(&self, id: &AccountId) -> Option<&CallError> {
        self.unreachable.iter().find(|(label, _)| label.id.as_ref() == Some(id)).map(|(_, error)| error)
    }
}
