//! Builds what a command works with from the configuration: AWS, the stores and the sinks. Only this module knows both the
//! engine and the adapters.

pub mod aws;
pub mod embedded;
pub mod journal;
mod kubernetes;
mod stores;
mod vault;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws::{AwsAccounts, aws_failed, no_answer_hint};
use globset::GlobSet;

use super::config::{Config, SinkKind, SinkSettings, StoreKind, StoreSettings};
use super::context::Context;
use super::error::CliError;
use super::host_env::HostEnv;
use crate::adapters::aws::{MfaSessions, NO_ANSWER};
use crate::adapters::sinks::exec::ExecSink;
use crate::adapters::stores::{Backend, BackendStore, EntryPatterns, FilteredStore};
use crate::engine::accounts::SessionError;
use crate::engine::options::{EngineOptions, Watcher};
use crate::engine::session::{Ports, Session};
use crate::engine::shutdown::Stop;
use crate::engine::sinks::SinkPorts;
use crate::journal::clock::Clock;
use crate::ports::call::CallErrorKind;
use crate::ports::secret_store::SecretStore;
use crate::ports::sink::Sink;
use crate::types::name::AccessKeyId;

/// Everything outside this process that a configuration names.
pub struct Wired {
    pub aws: AwsAccounts,
    pub stores: Vec<Arc<dyn SecretStore>>,
    pub sinks: Vec<SinkPorts>,
    /// The keys that rotator itself signs with, which are never rotated.
    pub own_keys: BTreeSet<AccessKeyId>,
}

/// Builds what the configuration names. Each store has to exist; AWS is called only to begin sessions that ask for MFA.
///
/// # Errors
/// Exit code 1 if a store is missing or cannot be opened, or if an endpoint cannot be used.
pub async fn build(config: &Config, host: &HostEnv, mfa: &Arc<MfaSessions>) -> Result<Wired, CliError> {
    let aws = Box::pin(AwsAccounts::of(config, mfa)).await?;
    let mut stores = Vec::new();
    for settings in &config.stores {
        let store = open_store(config, host, settings, &aws).await?;
        if let Some(why) = store.unverified() {
            tracing::warn!("{}: {why}", settings.uri.name);
        }
        stores.push(store);
    }
    let own_keys = aws.own_keys(config).await;
    Ok(Wired { aws, stores, sinks: open_sinks(config).await, own_keys })
}

/// Opens one store, under the name and with the filter of its configuration.
///
/// # Errors
/// As [`build`].
pub async fn open_store(
    config: &Config,
    host: &HostEnv,
    settings: &StoreSettings,
    aws: &AwsAccounts,
) -> Result<Arc<dyn SecretStore>, CliError> {
    let backend: Arc<dyn Backend> = match &settings.uri.kind {
        // The embedded store uses entry names itself.
        StoreKind::Sqlite(path) => {
            let store = embedded::open_at(path, host)?.named(settings.uri.name.clone());
            return Ok(filtered(settings, Arc::new(store)));
        }
        StoreKind::File(path) => Arc::new(stores::file(config, path)?),
        StoreKind::Sops(path) => Arc::new(stores::sops(config, settings, path).await?),
        StoreKind::SecretsManager(prefix) => Arc::new(stores::secrets_manager(aws, settings, prefix).await?),
        StoreKind::ParameterStore(path) => Arc::new(stores::parameter_store(aws, settings, path).await?),
        StoreKind::Vault(location) => Arc::new(vault::open(config, host, settings, location).await?),
        StoreKind::Kubernetes(namespace) => kubernetes::open(config, host, settings, namespace).await?,
        StoreKind::Exec(program) => Arc::new(stores::exec(config, settings, program).await?),
    };
    let named = BackendStore::new(settings.uri.name.clone(), settings.naming.clone(), backend);
    Ok(filtered(settings, Arc::new(named)))
}

fn filtered(settings: &StoreSettings, store: Arc<dyn SecretStore>) -> Arc<dyn SecretStore> {
    if !settings.is_narrowed() {
        return store;
    }
    let of = |setting, texts: &Vec<String>, set: &GlobSet| EntryPatterns::new(setting, texts.clone(), set.clone());
    let include = settings.include.as_ref().map(|set| of("include", &settings.table.include, set));
    let exclude = of("exclude", &settings.table.exclude, &settings.exclude);
    Arc::new(FilteredStore { store, include, exclude, read_only: settings.table.read_only })
}

/// Opens all sinks at the same time, since each may be a program that calls a server. A failing sink affects only the
/// keys that it follows.
async fn open_sinks(config: &Config) -> Vec<SinkPorts> {
    let open = async |settings: &SinkSettings| {
        let sink: Arc<dyn Sink> = match &settings.kind {
            SinkKind::Exec(program) => {
                Arc::new(ExecSink::open(settings.name.clone(), program.clone(), config.call_timeout).await)
            }
        };
        SinkPorts { sink, follows: settings.follows.clone(), of_store: settings.of_store.clone() }
    };
    futures_util::future::join_all(config.sinks.iter().map(open)).await
}

/// Builds what the configuration names and connects to it.
///
/// # Errors
/// As [`build`]; exit code 1 if AWS does not answer.
pub async fn connect(
    config: &Config,
    context: &Context,
    clock: &Arc<dyn Clock>,
    stop: &Arc<Stop>,
    wait: bool,
    watcher: Option<Watcher>,
) -> Result<Arc<Session>, CliError> {
    let built = tokio::select! {
        built = build(config, &context.host, &context.mfa) => built,
        // An operator may leave a prompt for a code by a signal.
        () = stop.wait() => Err(CliError::failed("it was interrupted before it began", "nothing was changed; run it again")),
    };
    let Wired { aws, stores, sinks, own_keys } = built?;
    let ports = Ports { accounts: aws.ports(), own_keys, stores, sinks, clock: Arc::clone(clock) };
    let options = EngineOptions {
        concurrency: config.concurrency,
        rate: config.rate,
        call_timeout: config.call_timeout,
        wait,
        scan_interval: config.scan_interval,
        unread_ok: config.unread_ok.clone(),
        watcher,
    };
    let mut session = Session::connect(ports, options, Arc::clone(stop))
        .await
        .map_err(|error| not_connected(&error, &context.host))?;
    // Each account and each store has been called by now, so each chain of credentials has been used.
    session.own_keys.extend(aws.keys_behind());
    Ok(Arc::new(session))
}

/// The error if AWS does not say whose credentials are in use.
pub fn not_connected(error: &SessionError, host: &HostEnv) -> CliError {
    let failed = aws_failed(error);
    match error {
        SessionError::Caller(caller) => match caller.kind {
            CallErrorKind::Credentials => CliError { is_about_credentials: true, ..failed },
            CallErrorKind::Unavailable if caller.message.contains(NO_ANSWER) => {
                CliError { hint: no_answer_hint(host), ..failed }
            }
            CallErrorKind::Unavailable
            | CallErrorKind::Throttled
            | CallErrorKind::Denied
            | CallErrorKind::Invalid
            | CallErrorKind::NoSuchEntity
            | CallErrorKind::Other => failed,
        },
        SessionError::SameAccount { .. } => failed,
    }
}
