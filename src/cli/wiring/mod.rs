//! Joins the drive to the adapters: the only place that knows both.

pub mod aws;

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::config::{Config, SinkKind, SinkSettings, StoreKind, StoreSettings};
use super::error::CliError;
use super::exit::Exit;
use super::output::progress;
use super::output::terminal::Terminal;
use super::wiring::aws::AwsAccounts;
use crate::adapters::ExecProgram;
use crate::adapters::sinks::exec::ExecSink;
use crate::adapters::sqlite_journal::{JournalLock, LockError, SqliteJournal, SyncReader};
use crate::adapters::stores::embedded::{EmbeddedStore, StoreKey};
use crate::adapters::stores::exec::ExecStore;
use crate::adapters::stores::file::{FileStore, OwnFiles};
#[cfg(feature = "kubernetes")]
use crate::adapters::stores::kubernetes::{KubernetesSettings, KubernetesStore, KubernetesStoreError};
use crate::adapters::stores::sops::{SopsStore, SopsStoreError};
use crate::adapters::stores::vault::{VaultSettings, VaultStore, VaultStoreError};
use crate::adapters::stores::{Backend, BackendStore, FilteredStore};
use crate::engine::report::with_causes;
use crate::engine::session::{EngineOptions, Ports, Session, SessionError};
use crate::engine::shutdown::Stop;
use crate::engine::sinks::SinkPorts;
use crate::journal::clock::Clock;
use crate::journal::store::StorageError;
use crate::journal::write_ahead::Journal;
use crate::ports::call::CallErrorKind;
use crate::ports::secret_store::SecretStore;
use crate::ports::sink::Sink;

/// What `main` took out of the environment before anything could inherit it, and what it was started with.
#[derive(Default)]
pub struct FromEnvironment {
    /// `ROTATOR_STORE_KEY`.
    pub store_key: Option<Zeroizing<String>>,
    /// `ROTATOR_STORE_NEW_KEY`.
    pub new_store_key: Option<Zeroizing<String>>,
    /// Whether SIGHUP is to be ignored, as under `nohup`.
    pub ignores_hangup: bool,
}

impl FromEnvironment {
    /// The store's key, where one was given.
    ///
    /// # Errors
    /// [`CliError::usage`] if the variable holds something else.
    pub fn key(&self) -> Result<Option<StoreKey>, CliError> {
        parsed("ROTATOR_STORE_KEY", self.store_key.as_ref(), "put the store's own key there, or unset it")
    }

    /// The key that `rotator store rekey` seals the store under, where one was given.
    ///
    /// # Errors
    /// [`CliError::usage`] if the variable holds something else.
    pub fn new_key(&self) -> Result<Option<StoreKey>, CliError> {
        parsed("ROTATOR_STORE_NEW_KEY", self.new_store_key.as_ref(), "put the new key there, or unset it")
    }
}

fn parsed(variable: &str, text: Option<&Zeroizing<String>>, help: &str) -> Result<Option<StoreKey>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let key = StoreKey::from_base64(text);
    key.map(Some).map_err(|error| CliError::usage(format!("{variable} holds no key: {error}"), help))
}

/// The journal, held: no other rotator writes it while this lives.
pub struct HeldJournal {
    /// The journal.
    pub journal: Journal,
    _lock: JournalLock,
}

/// Takes the journal's lock and opens it, making it where there is none.
///
/// # Errors
/// Exit code 5 if another process has it, 1 if it cannot be used.
pub fn hold_journal(path: &Path, clock: &Arc<dyn Clock>) -> Result<HeldJournal, CliError> {
    SqliteJournal::check_writable(path).map_err(|error| journal_failed(&error))?;
    let lock = JournalLock::acquire(path).map_err(|error| match &error {
        LockError::HeldBy { .. } => CliError {
            message: error.to_string(),
            hint: "`rotator status` shows what it is doing".to_owned(),
            exit: Exit::Busy,
            is_about_credentials: false,
        },
        LockError::File(_) => journal_failed(&error),
    })?;
    let journal = SqliteJournal::open(path).map_err(|error| journal_failed(&error))?;
    Ok(HeldJournal { journal: Journal::new(Arc::new(journal), Arc::clone(clock)), _lock: lock })
}

/// The journal for reading only; `None` where there is none yet.
///
/// # Errors
/// Exit code 1 if there is one that cannot be read.
pub fn read_journal(path: &Path) -> Result<Option<SyncReader>, CliError> {
    SqliteJournal::open_read_only(path).map_err(|error| journal_failed(&error))
}

fn journal_failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(with_causes(error), "nothing was changed; `rotator doctor` checks the rest")
}

/// What a failing read or write of the open journal means for the command.
#[must_use]
pub fn storage_failed(error: &StorageError) -> CliError {
    CliError::failed(format!("the journal failed: {}", with_causes(error)), "mend the cause, then `rotator resume`")
}

/// The stores for the engine: each has to be there.
///
/// # Errors
/// Exit code 1 if one is not, or cannot be opened.
pub async fn open_stores(
    config: &Config,
    given: &FromEnvironment,
    aws: &AwsAccounts,
) -> Result<Vec<Arc<dyn SecretStore>>, CliError> {
    let mut stores = Vec::new();
    for settings in &config.stores {
        let store = open_store(config, settings, given, aws).await?;
        if let Some(why) = store.unverified() {
            tracing::warn!("{}: {why}", settings.uri.name);
        }
        stores.push(store);
    }
    Ok(stores)
}

/// One store. Nothing is asked of a server yet.
///
/// # Errors
/// As [`open_stores`].
pub async fn open_store(
    config: &Config,
    settings: &StoreSettings,
    given: &FromEnvironment,
    aws: &AwsAccounts,
) -> Result<Arc<dyn SecretStore>, CliError> {
    let name = &settings.uri.name;
    let (aws, region) = (aws.of_store(settings), settings.region.as_deref());
    let backend: Arc<dyn Backend> = match &settings.uri.kind {
        StoreKind::Sqlite(path) => {
            let embedded = open_embedded_at(path, given)?.named(name.clone());
            return Ok(narrowed(settings, Arc::new(embedded)));
        }
        StoreKind::File(path) => {
            Arc::new(FileStore::open(path).and_then(|store| store.without(own_files(config))).map_err(|error| {
                CliError::failed(with_causes(&error), "name an existing file or folder with --store file:PATH")
            })?)
        }
        StoreKind::Sops(path) => {
            let opened = SopsStore::open(path, "sops", settings.env.clone(), config.call_timeout).await;
            Arc::new(opened.map_err(|error| sops_failed(&error))?)
        }
        StoreKind::SecretsManager(prefix) => {
            Arc::new(aws.secrets_manager_store(region, prefix).await.map_err(|error| aws_failed(&error))?)
        }
        StoreKind::ParameterStore(path) => {
            Arc::new(aws.parameter_store_at(region, path).await.map_err(|error| aws_failed(&error))?)
        }
        StoreKind::Vault(rest) => {
            let table = |key: &str| settings.of_vault.get(key).cloned();
            let environment = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
            let vault = VaultSettings::of(rest, &table, &environment, config.call_timeout);
            Arc::new(
                VaultStore::open(vault.map_err(|error| vault_failed(&error))?)
                    .await
                    .map_err(|error| vault_failed(&error))?,
            )
        }
        StoreKind::Kubernetes(namespace) => open_kubernetes(config, settings, namespace).await?,
        StoreKind::Exec(program) => {
            let program = ExecProgram { env: settings.env.clone(), ..program.clone() };
            let opened = ExecStore::open(program, config.call_timeout).await;
            Arc::new(opened.map_err(|error| {
                CliError::failed(error.message, "nothing was changed; docs/stores.md has the protocol of exec: stores")
            })?)
        }
    };
    Ok(narrowed(settings, Arc::new(BackendStore::new(name.clone(), settings.naming.clone(), backend))))
}

/// What is never part of a store, although it names keys.
fn own_files(config: &Config) -> OwnFiles {
    let embedded = config.stores.iter().filter_map(|store| match &store.uri.kind {
        StoreKind::Sqlite(path) => Some(path.clone()),
        StoreKind::File(_)
        | StoreKind::Sops(_)
        | StoreKind::SecretsManager(_)
        | StoreKind::ParameterStore(_)
        | StoreKind::Vault(_)
        | StoreKind::Kubernetes(_)
        | StoreKind::Exec(_) => None,
    });
    OwnFiles::of(embedded.chain([config.journal.clone()]).chain(config.file.clone()).collect())
}

fn sops_failed(error: &SopsStoreError) -> CliError {
    match error {
        SopsStoreError::File(_) => {
            CliError::failed(with_causes(error), "name an existing file or folder with --store sops:PATH")
        }
        SopsStoreError::Program(_) => CliError::failed(
            format!("failed to {}", with_causes(error)),
            "nothing was changed; install sops 3.11 or a later one, so that it is found in PATH",
        ),
    }
}

#[cfg(feature = "kubernetes")]
async fn open_kubernetes(
    config: &Config,
    settings: &StoreSettings,
    namespace: &str,
) -> Result<Arc<dyn Backend>, CliError> {
    let table = |key: &str| settings.of_kubernetes.get(key).cloned();
    let environment = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let of_cluster = KubernetesSettings::of(namespace, &table, &environment, config.call_timeout);
    let settings = KubernetesSettings { env: settings.env.clone(), ..of_cluster };
    let opened = KubernetesStore::open(settings).await.map_err(|error| {
        let (message, hint) =
            (format!("failed to {error}"), "nothing was changed; docs/stores.md has the settings of kubernetes:");
        match error {
            KubernetesStoreError::Credentials(_) => CliError::of_credentials(message, hint),
            KubernetesStoreError::NoCluster
            | KubernetesStoreError::Kubeconfig { .. }
            | KubernetesStoreError::PlainHttp { .. }
            | KubernetesStoreError::NoUrl { .. } => CliError::usage(message, hint),
        }
    })?;
    Ok(Arc::new(opened))
}

#[cfg(not(feature = "kubernetes"))]
async fn open_kubernetes(_: &Config, settings: &StoreSettings, _: &str) -> Result<Arc<dyn Backend>, CliError> {
    Err(CliError::usage(
        format!("{} cannot be used: this rotator was built without kubernetes", settings.uri.name),
        "build it with the feature `kubernetes`, which is on by default",
    ))
}

/// The sinks, asked at once: each may be a program that asks a server. One that does not answer harms only the keys that it
/// follows.
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

fn vault_failed(error: &VaultStoreError) -> CliError {
    let (message, hint) =
        (format!("failed to {error}"), "nothing was changed; docs/stores.md has the settings of vault:");
    match error {
        VaultStoreError::Login(_) => CliError::failed(message, hint),
        VaultStoreError::Refused { .. } => CliError::of_credentials(message, hint),
        VaultStoreError::NoAddress
        | VaultStoreError::PlainHttp { .. }
        | VaultStoreError::NoUrl { .. }
        | VaultStoreError::NoAuth { .. }
        | VaultStoreError::Authorities { .. } => CliError::usage(message, hint),
    }
}

fn narrowed(settings: &StoreSettings, store: Arc<dyn SecretStore>) -> Arc<dyn SecretStore> {
    if !settings.is_narrowed() {
        return store;
    }
    let (include, exclude) = (settings.include.clone(), settings.exclude.clone());
    Arc::new(FilteredStore { store, include, exclude, read_only: settings.read_only })
}

/// The embedded store as it is: a missing one is an error.
///
/// # Errors
/// Exit code 1 if it is missing or cannot be opened; 2 if none is configured.
pub fn open_embedded(config: &Config, given: &FromEnvironment) -> Result<EmbeddedStore, CliError> {
    open_embedded_at(config.embedded()?.1, given)
}

fn open_embedded_at(path: &Path, given: &FromEnvironment) -> Result<EmbeddedStore, CliError> {
    EmbeddedStore::open_existing(path, given.key()?).map_err(|error| {
        CliError::failed(
            with_causes(&error),
            "name your store with --store or ROTATOR_STORE, or fill a new one with `rotator store import FILE`",
        )
    })
}

/// IAM, STS and the stores, arrived in.
///
/// # Errors
/// Exit code 1 if the store cannot be opened or AWS does not answer.
pub async fn connect(
    config: &Config,
    given: &FromEnvironment,
    clock: &Arc<dyn Clock>,
    stop: &Arc<Stop>,
    wait: bool,
    terminal: Terminal,
) -> Result<Arc<Session>, CliError> {
    let aws = AwsAccounts::by(config).await?;
    let stores = open_stores(config, given, &aws).await?;
    let own_keys = aws.own_keys(config).await;
    let ports =
        Ports { accounts: aws.ports(), own_keys, stores, sinks: open_sinks(config).await, clock: Arc::clone(clock) };
    let options = EngineOptions {
        concurrency: config.concurrency,
        rate: config.rate,
        call_timeout: config.call_timeout,
        wait,
        scan_interval: config.scan_interval,
        unread_ok: config.unread_ok.clone(),
        watcher: terminal.progress.then(progress::watcher),
    };
    let mut session =
        Session::connect(ports, options, Arc::clone(stop)).await.map_err(|error| not_connected(&error))?;
    // Each account and each store has been called by now, so each chain of credentials has been gone through.
    session.ports.own_keys.extend(aws.keys_behind());
    Ok(Arc::new(session))
}

fn not_connected(error: &SessionError) -> CliError {
    let is_about_credentials =
        matches!(error, SessionError::Caller(caller) if caller.kind == CallErrorKind::Credentials);
    CliError { is_about_credentials, ..aws_failed(error) }
}

pub(super) fn aws_failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(
        format!("failed to {}", with_causes(error)),
        "nothing was changed; check AWS_PROFILE, AWS_REGION and the credentials, or run `rotator doctor`",
    )
}
