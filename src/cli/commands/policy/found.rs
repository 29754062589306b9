//! The users and entries that `plan` finds, which narrow a policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::adapters::system_clock::SystemClock;
use crate::cli::commands::plan::what_is_taken;
use crate::cli::config::{Config, StoreSettings};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::passes::campaign_failed;
use crate::cli::runtime::block_on;
use crate::cli::snapshot::Snapshot;
use crate::cli::wiring;
use crate::engine::error::CampaignError;
use crate::engine::shutdown::Stop;
use crate::engine::survey::{Confirmations, survey};
use crate::journal::clock::Clock;
use crate::types::name::{AccountId, UserName};

/// The confirmed users and places.
pub(in crate::cli::commands) struct Found(pub(super) Confirmations);

/// Asks the stores and IAM, as `plan` does, and adds what is in flight in the journal.
///
/// # Errors
/// The errors of `plan`; [`CliError::usage`] if no key is found.
pub(super) fn ask(context: &Context, config: &Config) -> Result<Found, CliError> {
    let choice = config.choice();
    let (snapshot, taken) = what_is_taken(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let confirmed = block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let session =
            Box::pin(wiring::connect(config, context, &clock, &stop, false, context.terminal.watcher())).await?;
        let survey = survey(&session, &choice, &taken).await;
        survey.map(|survey| survey.confirmed).map_err(|error| campaign_failed(&CampaignError::Survey(error)))
    }))?;
    Found::with_open(confirmed, taken.users, &snapshot).ok_or_else(|| {
        CliError::usage(
            "no key was found that IAM confirms, so there is nothing to narrow the policy to",
            "see `rotator plan`; without --found the policy follows the configuration",
        )
    })
}

impl Found {
    /// What a search has confirmed, and what is in flight in the journal. `None`: there is no user.
    pub(in crate::cli::commands) fn with_open(
        mut confirmed: Confirmations,
        users: impl IntoIterator<Item = (AccountId, UserName)>,
        snapshot: &Snapshot,
    ) -> Option<Self> {
        confirmed.users.extend(users);
        for rotation in snapshot.open.iter().map(|summary| &summary.rotation) {
            confirmed.take_places(&rotation.opened.places);
        }
        (!confirmed.users.is_empty()).then_some(Self(confirmed))
    }

    /// The account of all users, if they have only one.
    pub(super) fn only_account(&self) -> Option<&str> {
        let accounts: BTreeSet<&str> = self.0.users.iter().map(|(account, _)| account.as_str()).collect();
        accounts.first().copied().filter(|_| accounts.len() == 1)
    }

    /// The users of this account; `*` means any account.
    pub(super) fn users_of(&self, account: &str) -> Vec<String> {
        let of_it = self.0.users.iter().filter(|(of, _)| account == "*" || of.as_str() == account);
        of_it.map(|(_, user)| user.to_string()).collect()
    }

    /// The names, within the store, of the entries with pairs.
    pub(super) fn natives(&self, store: &StoreSettings) -> BTreeSet<String> {
        let of_it = self.0.entries.iter().filter(|(name, _)| *name == store.uri.name);
        of_it.filter_map(|(_, entry)| store.naming.native(entry)).collect()
    }
}
