//! The AWS accounts that keys may be of: for each the ports, who we are there, and which places it has keys in.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::GlobSet;
use tokio::sync::Semaphore;

use super::own_credentials::{Failures, Own, guard_account};
use super::rate_limit::{Operation, Pace};
use super::session::{ArriveError, Manner};
use crate::discovery::Place;
use crate::journal::clock::Clock;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::Iam;
use crate::ports::identity::{Caller, Identity};
use crate::rotation::name::{AccessKeyId, AccountId, StoreName};

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

/// What is known of an account before it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// What people call it.
    pub name: Option<String>,
    /// Its number.
    pub id: Option<AccountId>,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.name, &self.id) {
            (Some(name), Some(id)) => write!(f, "{name} ({id})"),
            (Some(name), None) => f.write_str(name),
            (None, Some(id)) => write!(f, "{id}"),
            (None, None) => f.write_str("of the credentials in use"),
        }
    }
}

/// An account that answered.
pub struct Account {
    /// Its ports.
    pub ports: AccountPorts,
    /// Who we are there.
    pub caller: Caller,
    /// Its pacer: IAM's quota is an account's own.
    pub pace: Pace,
    /// The credentials that its calls are made with.
    pub(super) own: Arc<Own>,
}

/// Every configured account.
pub struct Accounts {
    arrived: Vec<Account>,
    /// Those that did not answer, or are others than was said, and why.
    absent: Vec<(Label, CallError)>,
}

impl Accounts {
    /// Asks each who we are there. `slots` bounds the calls in flight in all of them.
    ///
    /// # Errors
    /// [`ArriveError`] if none answers, or two are one.
    pub(super) async fn arrive(
        configured: Vec<AccountPorts>,
        manner: &Manner,
        slots: &Arc<Semaphore>,
        clock: &Arc<dyn Clock>,
        failures: &Arc<Failures>,
    ) -> Result<Self, ArriveError> {
        let asked = configured.into_iter().map(|ports| async move {
            let AccountPorts { label, iam, identity, covers } = ports;
            let (iam, identity, own) = guard_account(&label, iam, identity, failures);
            let ports = AccountPorts { label, iam, identity, covers };
            let pace = Pace::new(slots.clone(), manner.rate, clock.clone());
            let answer = pace.read(Operation::GetCallerIdentity, || ports.identity.caller()).await;
            (ports, pace, own, answer)
        });
        let mut accounts = Self { arrived: Vec::new(), absent: Vec::new() };
        for (ports, pace, own, answer) in futures_util::future::join_all(asked).await {
            let expected = ports.label.id.as_ref();
            match answer {
                Ok(caller) if expected.is_some_and(|id| *id != caller.account) => {
                    let message = format!("its credentials are of account {} ({})", caller.account, caller.arn);
                    accounts.absent.push((ports.label, CallError::new(CallErrorKind::Credentials, message)));
                }
                Ok(caller) => {
                    if let Some(other) = accounts.of(&caller.account) {
                        return Err(ArriveError::Twice {
                            one: other.ports.label.to_string(),
                            other: ports.label.to_string(),
                            account: caller.account,
                        });
                    }
                    accounts.arrived.push(Account { ports, caller, pace, own });
                }
                Err(error) => accounts.absent.push((ports.label, error)),
            }
        }
        if !accounts.arrived.is_empty() {
            accounts.absent.iter().for_each(|(label, error)| tracing::warn!("account {label} cannot be used: {error}"));
        }
        match accounts.absent.first() {
            Some((_, error)) if accounts.arrived.is_empty() => Err(ArriveError::Caller(error.clone())),
            Some(_) | None => Ok(accounts),
        }
    }

    /// Those that answered; at least one.
    #[must_use]
    pub fn arrived(&self) -> &[Account] {
        &self.arrived
    }

    /// Those that did not, and why.
    #[must_use]
    pub fn absent(&self) -> &[(Label, CallError)] {
        &self.absent
    }

    /// Whether several are configured.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.arrived.len() + self.absent.len() > 1
    }

    /// The account of this number.
    #[must_use]
    pub fn of(&self, id: &AccountId) -> Option<&Account> {
        self.arrived.iter().find(|account| account.caller.account == *id)
    }

    /// Whose key it is, by its number: `sts:GetAccessKeyInfo`, asked once for each of AWS's partitions, which know nothing
    /// of one another. `None`: nobody knows it.
    ///
    /// # Errors
    /// If nobody says, and somebody might.
    pub(super) async fn account_of(&self, key: &AccessKeyId) -> Result<Option<AccountId>, CallError> {
        let mut asked = BTreeSet::new();
        let mut told = Ok(None);
        for account in &self.arrived {
            if !asked.insert(account.caller.partition().to_owned()) {
                continue;
            }
            let ask = || account.ports.identity.account_of(key);
            match account.pace.read(Operation::GetAccessKeyInfo, ask).await {
                Ok(Some(id)) if self.of(&id).is_some() || self.why_absent(&id).is_some() => return Ok(Some(id)),
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
    pub fn why_absent(&self, id: &AccountId) -> Option<&CallError> {
        self.absent.iter().find(|(label, _)| label.id.as_ref() == Some(id)).map(|(_, error)| error)
    }
}
