//! The configuration: `rotator.toml`, the environment and the flags. This module parses and validates it, and acts on
//! nothing.

mod accounts;
mod file;
mod forms;
mod layers;
mod reach;
mod read;
mod rules;
mod schema;
mod sinks;
mod stores;
mod trusted_file;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::GlobSet;

use super::args::{ChoiceArgs, Global};
use super::error::CliError;
use super::host_env::HostEnv;
use crate::adapters::ownership;
use crate::engine::observe::scan::SCAN_INTERVAL;
use crate::engine::survey::choice::{Choice, Patterns, Rule, Terms};
use crate::engine::survey::owner_rule::Owner;
use crate::rotation::policy::Policy;

pub use accounts::AccountSettings;
pub use file::StoreTable;
pub use forms::VaultAuth;
use layers::{Layers, Origin};
pub use reach::{Reach, ReachKind};
pub use schema::schema;
use sinks::Sinks;
pub use sinks::{SinkKind, SinkSettings};
pub use stores::{StoreKind, StoreSettings, StoreUri};
pub(crate) use trusted_file::Found;
pub use trusted_file::{FILE_NAME, Trust};

/// The warning that every command gives if old keys are deleted at once.
pub const AT_ONCE: &str = "neither overlap nor quarantine is set: each old key is deleted at once, as soon as every \
                           place holds the new one";

/// The warning for `keys` that are to be rotated, of which some are deleted `at_once`.
#[must_use]
pub fn warning_at_once(at_once: usize, keys: usize) -> Option<String> {
    match at_once {
        0 => None,
        all if all == keys => Some(AT_ONCE.to_owned()),
        some => Some(format!(
            "neither overlap nor quarantine is set for {some} of these {keys} keys: each of their old keys is deleted at \
             once, as soon as every place holds the new one"
        )),
    }
}

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Why the file is trusted.
    pub trust: Option<Trust>,
    pub journal: PathBuf,
    /// The numbers of groups whose members may write the files that rotator trusts.
    pub trusted_groups: BTreeSet<u32>,
    /// The stores; at least one.
    pub stores: Vec<StoreSettings>,
    /// The accounts; if empty, only the account of the credentials in use.
    pub accounts: Vec<AccountSettings>,
    pub sinks: Vec<SinkSettings>,
    /// How the IAM user of an entry is found.
    pub owner: Owner,
    /// Only keys that match one of these patterns are rotated. `None`: every key.
    pub only: Option<Patterns>,
    /// Keys that match one of these patterns are not rotated.
    pub exclude: Patterns,
    /// How many rotations one run opens.
    pub limit: Option<usize>,
    /// The least age of a key that is due.
    pub older_than: Duration,
    /// Whether the command line sets that age to zero, so that a key is due that rotator has just made.
    pub again: bool,
    /// After how long without a use a due key is left alone. `None`: never.
    pub unused_for: Option<Duration>,
    /// The policy of new rotations.
    pub policy: Policy,
    /// Other terms for some keys.
    pub rules: Vec<Rule>,
    /// Whether a layer sets how long old keys stay, apart from the rules; an explicit `0s` counts.
    pub removal_is_set: bool,
    /// Entries that rotator need not be able to read.
    pub unread_ok: GlobSet,
    /// With `--wait`, the least time between the starts of two scans of all entries.
    pub scan_interval: Duration,
    /// The maximum number of calls in flight to AWS, and to the stores.
    pub concurrency: usize,
    /// The maximum number of calls per second and operation.
    pub rate: Option<f64>,
    /// The maximum duration of one call to AWS.
    pub call_timeout: Duration,
    /// The settings of the file that a higher layer replaces, each with that layer, as text.
    pub overridden: Vec<String>,
}

impl Config {
    /// Reads the configuration: the file, the environment above the file, the flags above both.
    ///
    /// # Errors
    /// [`CliError::usage`] for a setting that is unknown or not valid, with its origin.
    pub fn load(global: &Global, choice: &ChoiceArgs, host: &HostEnv) -> Result<Self, CliError> {
        // The file cannot determine whether it is trusted itself, so only the layers above it count.
        let mut above = Layers::default();
        above.environment(&host.variables)?;
        ownership::trust_groups(above.read()?.trusted_groups.0);
        let found = Found::look(global.config.as_deref(), host)?;
        let trust = found.as_ref().map(|found| found.trust(host)).transpose()?;
        let mut layers = Layers::default();
        if let Some(found) = &found {
            layers.file(&found.path, &found.text)?;
        }
        layers.environment(&host.variables)?;
        lay_flags(&mut layers, global, choice)?;
        let mut config = Self::of_layers(&layers, host)?;
        ownership::trust_groups(config.trusted_groups.clone());
        (config.file, config.trust) = (found.map(|found| found.path), trust);
        tracing::info!("the configuration is {}", config.origin());
        for (setting, origin) in layers.origins() {
            tracing::debug!("{setting} is from {origin}");
        }
        Ok(config)
    }

    /// What a file with this content means: by itself, without the layers above it. That these layers and the file are
    /// valid together is checked, too.
    ///
    /// # Errors
    /// [`CliError::usage`] for a setting that is not valid, with its origin.
    pub(crate) fn of_text(path: &Path, text: &str, global: &Global, host: &HostEnv) -> Result<Self, CliError> {
        let mut layers = Layers::default();
        layers.file(path, text)?;
        let config = Self::of_layers(&layers, host)?;
        layers.environment(&host.variables)?;
        lay_flags(&mut layers, global, &ChoiceArgs::default())?;
        Self::of_layers(&layers, host)?;
        Ok(config)
    }

    /// Gives every setting its value.
    fn of_layers(layers: &Layers, host: &HostEnv) -> Result<Self, CliError> {
        let file = layers.read()?;
        let policy = values::policy(&file.policy)?;
        let older_than = values::time(file.policy.older_than, Duration::ZERO);
        let stores = stores::read(file.store, layers.origin("", "store"), host)?;
        let sinks = Sinks { tables: &file.sink, origin: layers.origin("", "sink"), host };
        let terms = Terms {
            older_than,
            is_named: false,
            again: older_than.is_zero() && matches!(layers.origin("policy", "older_than"), Some(Origin::Flag(_))),
            unused_for: file.policy.unused_for.and_then(|unused| unused.0),
            policy,
        };
        let rules = rules::read(&file.rule, &file.policy, &terms, layers)?;
        let Terms { older_than, again, unused_for, policy, is_named: _ } = terms;
        Ok(Self {
            file: None,
            trust: None,
            journal: match &file.journal {
                Some(path) => {
                    let origin = layers.origin("", "journal");
                    let path = values::not_empty("journal", path, origin)?;
                    host.absolute(values::base(origin, host), Path::new(path))?
                }
                None => host.default_journal()?,
            },
            trusted_groups: file.trusted_groups.0,
            accounts: accounts::read(&file.account, layers.origin("", "account"), &stores)?,
            sinks: sinks.read(&stores)?,
            stores,
            owner: values::owner(file.owner, layers)?,
            only: match file.policy.only.as_slice() {
                [] => None,
                only => Some(values::patterns(only, "only", layers)?),
            },
            exclude: values::patterns(&file.policy.exclude, "exclude", layers)?,
            limit: file.policy.limit.map(|limit| limit.0 as usize),
            older_than,
            again,
            unused_for,
            policy,
            rules,
            removal_is_set: file.policy.overlap.is_some() || file.policy.quarantine.is_some(),
            unread_ok: values::unread_ok(&file.policy, layers)?,
            scan_interval: values::time(file.policy.scan_interval, SCAN_INTERVAL),
            concurrency: file.policy.concurrency.map_or(values::DEFAULT_CONCURRENCY, |number| number.0 as usize),
            rate: file.policy.rate.map(|rate| rate.0),
            call_timeout: file.aws.call_timeout.map_or(values::DEFAULT_CALL_TIMEOUT, |time| time.0),
            overridden: layers.overridden(),
        })
    }

    /// The file that was read, and why it is trusted, as text.
    #[must_use]
    pub fn origin(&self) -> String {
        match (&self.file, &self.trust) {
            (Some(file), Some(trust)) => format!("{}, {trust}", file.display()),
            (Some(_) | None, _) => format!("without a {FILE_NAME}: the defaults, the environment and the flags"),
        }
    }

    /// The selection of keys and their policy.
    #[must_use]
    pub fn choice(&self) -> Choice {
        Choice {
            owner: self.owner.clone(),
            only: self.only.clone(),
            exclude: self.exclude.clone(),
            terms: self.terms(),
            rules: self.rules.clone(),
        }
    }

    /// The terms for the keys without a rule.
    fn terms(&self) -> Terms {
        let &Self { older_than, again, unused_for, ref policy, .. } = self;
        Terms { older_than, again, is_named: false, unused_for, policy: policy.clone() }
    }

    /// The terms for the keys without a rule, and those of each rule.
    #[must_use]
    pub fn all_terms(&self) -> Vec<Terms> {
        std::iter::once(self.terms()).chain(self.rules.iter().map(|rule| rule.terms.clone())).collect()
    }

    /// The first embedded store, which `rotator store` manages.
    ///
    /// # Errors
    /// [`CliError::usage`] if no embedded store is configured.
    pub fn embedded(&self) -> Result<(&StoreUri, &Path), CliError> {
        let mut embedded = self.stores.iter().filter_map(|store| Some((&store.uri, store.uri.embedded_path()?)));
        embedded.next().ok_or_else(|| {
            CliError::usage(
                "no embedded store is configured, and `rotator store` works on no other",
                "name one with --store sqlite:PATH; other stores have tools of their own",
            )
        })
    }

    /// Whether an old key without a rule is deleted as soon as the new pair is in the store.
    #[must_use]
    pub const fn deletes_at_once(&self) -> bool {
        self.policy.deletes_at_once()
    }
}

fn lay_flags(layers: &mut Layers, global: &Global, choice: &ChoiceArgs) -> Result<(), CliError> {
    layers.flag(("", "journal"), "--journal", global.journal.as_deref())?;
    layers.flags(("", "store"), "--store", &global.store)?;
    layers.flag(("owner", "template"), "--owner-template", choice.owner_template.as_deref())?;
    layers.flags(("policy", "only"), "--only", &choice.only)?;
    layers.flags(("policy", "exclude"), "--exclude", &choice.exclude)?;
    let policy = [
        ("limit", "--limit", &choice.limit),
        ("older_than", "--older-than", &choice.older_than),
        ("unused_for", "--unused-for", &choice.unused_for),
        ("overlap", "--overlap", &choice.overlap),
        ("quarantine", "--quarantine", &choice.quarantine),
        ("settle", "--settle", &choice.settle),
        ("confirmations", "--confirmations", &choice.confirmations),
        ("proof_span", "--proof-span", &choice.proof_span),
        ("proof_timeout", "--proof-timeout", &choice.proof_timeout),
        ("concurrency", "--concurrency", &choice.concurrency),
    ];
    policy.into_iter().try_for_each(|(key, flag, value)| layers.flag(("policy", key), flag, value.as_deref()))
}
