//! All that the drive works with, put together by whoever calls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::aws_clock::AwsClock;
use super::pace::{Operation, Pace};
use super::scans::Scans;
use super::stop::Stop;
use crate::journal::clock::Clock;
use crate::planted::{self, Planted};
use crate::ports::call::CallError;
use crate::ports::iam::Iam;
use crate::ports::identity::{Caller, Identity};
use crate::ports::secret_store::SecretStore;
use crate::rotation::name::{StoreIdentity, StoreName};
use crate::rotation::policy::Timestamp;
use crate::rotation::standing::Rotation;

/// Is told of every change of a rotation, for progress on a terminal.
pub type Watcher = Arc<dyn Fn(&Rotation) + Send + Sync>;

/// The outside world as configured.
pub struct Ports {
    /// IAM.
    pub iam: Arc<dyn Iam>,
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// Every configured store.
    pub stores: Vec<Arc<dyn SecretStore>>,
    /// This machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// How the drive is to behave; not frozen in any rotation.
pub struct Manner {
    /// Calls in flight.
    pub concurrency: usize,
    /// Calls a second of one operation.
    pub rate: Option<f64>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Whether to wait for times to come instead of leaving rotations in flight.
    pub wait: bool,
    /// Patterns of entries that may stay unread (the operator's word).
    pub unread_ok: globset::GlobSet,
    /// Is told of changes.
    pub watcher: Option<Watcher>,
}

/// Why the drive could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ArriveError {
    /// STS did not say who we are.
    #[error("find out whose credentials are in use: {0}")]
    Caller(#[source] CallError),
}

/// The world, arrived in: who we are and which stores answer is known.
pub struct World {
    /// The ports.
    pub ports: Ports,
    /// How to behave.
    pub manner: Manner,
    /// The pacer.
    pub pace: Pace,
    /// AWS's clock.
    pub aws_clock: AwsClock,
    /// Scans of every entry.
    pub scans: Scans,
    /// Whether to stop.
    pub stop: Arc<Stop>,
    /// Who we are.
    pub caller: Caller,
    /// What each configured store says it is, or why it does not.
    pub stores: BTreeMap<StoreName, Result<StoreIdentity, CallError>>,
}

impl World {
    /// Asks who we are and what each store is.
    ///
    /// # Errors
    /// [`ArriveError`] if AWS does not answer. A store that does not is no error: it harms only its own rotations.
    pub async fn arrive(ports: Ports, manner: Manner, stop: Arc<Stop>) -> Result<Self, ArriveError> {
        let pace = Pace::new(manner.concurrency, manner.rate, ports.clock.clone());
        let caller =
            pace.read(Operation::GetCallerIdentity, || ports.identity.caller()).await.map_err(ArriveError::Caller)?;
        let aws_clock = AwsClock::new(caller.at, ports.clock.monotonic());
        let mut stores = BTreeMap::new();
        for store in &ports.stores {
            let identity = pace.read(Operation::Store, || store.identity()).await;
            stores.insert(store.name().clone(), identity);
        }
        Ok(Self { ports, manner, pace, aws_clock, scans: Scans::default(), stop, caller, stores })
    }

    /// AWS's clock now, in whole seconds as AWS itself tells it: an estimate compares with a `Date` only so.
    #[must_use]
    pub fn aws_now(&self) -> Timestamp {
        if planted::is(Planted::LocalClock) {
            return self.ports.clock.now();
        }
        Timestamp::from_unix_seconds(self.aws_clock.now(self.ports.clock.monotonic()).as_unix_seconds())
    }

    /// Takes the date of an answer in.
    pub fn saw_date(&self, at: Timestamp) {
        self.aws_clock.saw(at, self.ports.clock.monotonic());
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

    /// Whether this is the world the rotation was opened in: "absent", seen from elsewhere, says nothing.
    ///
    /// # Errors
    /// For people: what differs, both values named.
    pub fn is_home_of(&self, rotation: &Rotation) -> Result<(), String> {
        let opened = &rotation.opened;
        if self.caller.account != opened.account && !planted::is(Planted::AccountNotChecked) {
            return Err(format!(
                "the credentials in use are of account {} ({}), but rotation {} is of account {}: nothing was \
                 changed; use credentials of {} and run `rotator resume`",
                self.caller.account, self.caller.arn, rotation.id, opened.account, opened.account
            ));
        }
        for (name, recorded) in &opened.stores {
            let here = match self.stores.get(name) {
                Some(Ok(identity)) if identity == recorded => continue,
                Some(Ok(identity)) => format!("is another store (identity {identity}, recorded was {recorded})"),
                Some(Err(error)) => format!("cannot be used: {error}"),
                None => "is not configured".to_owned(),
            };
            return Err(format!(
                "store {name} {here}, and rotation {} has places in it: nothing was changed; bring that store back \
                 and run `rotator resume`",
                rotation.id
            ));
        }
        Ok(())
    }
}
