//! The stores that need no settings but their URI: one function for each kind, with the meaning of its errors.

use std::path::Path;

use super::aws::{AwsAccounts, aws_failed};
use crate::adapters::ExecProgram;
use crate::adapters::aws::{ParameterStore, SecretsManagerStore};
use crate::adapters::stores::exec::ExecStore;
use crate::adapters::stores::file::{FileStore, OwnFiles};
use crate::adapters::stores::sops::{SopsStore, SopsStoreError};
use crate::cli::config::{Config, StoreSettings};
use crate::cli::error::CliError;
use crate::types::error_text::with_causes;

/// Opens a `file:` store, which excludes rotator's own files.
pub(super) fn file(config: &Config, path: &Path) -> Result<FileStore, CliError> {
    FileStore::open(path).and_then(|store| store.without(own_files(config))).map_err(|error| {
        CliError::failed(
            format!("failed to {}", with_causes(&error)),
            "name an existing file or folder with --store file:PATH",
        )
    })
}

/// rotator's own files, which contain key ids and are never part of a store.
fn own_files(config: &Config) -> OwnFiles {
    let embedded = config.stores.iter().filter_map(|store| store.uri.embedded_path().map(Path::to_owned));
    OwnFiles::of(embedded.chain([config.journal.clone()]).chain(config.file.clone()).collect())
}

/// Opens a `sops:` store.
pub(super) async fn sops(config: &Config, settings: &StoreSettings, path: &Path) -> Result<SopsStore, CliError> {
    let opened = SopsStore::open(path, "sops", settings.table.env.clone(), config.call_timeout).await;
    opened.map_err(|error| sops_failed(&error))
}

fn sops_failed(error: &SopsStoreError) -> CliError {
    let message = format!("failed to {}", with_causes(error));
    match error {
        SopsStoreError::File(_) => CliError::failed(message, "name an existing file or folder with --store sops:PATH"),
        SopsStoreError::Program(_) => CliError::failed(
            message,
            "nothing was changed; install sops 3.11 or a later one, so that it is found in PATH",
        ),
    }
}

/// Opens an `aws-secretsmanager:` store in its region and account.
pub(super) async fn secrets_manager(
    aws: &AwsAccounts,
    settings: &StoreSettings,
    prefix: &str,
) -> Result<SecretsManagerStore, CliError> {
    let opened = SecretsManagerStore::open(aws.of_store(settings), settings.table.region.as_deref(), prefix).await;
    opened.map_err(|error| aws_failed(&error))
}

/// Opens an `aws-ssm:` store in its region and account.
pub(super) async fn parameter_store(
    aws: &AwsAccounts,
    settings: &StoreSettings,
    path: &str,
) -> Result<ParameterStore, CliError> {
    let opened = ParameterStore::open(aws.of_store(settings), settings.table.region.as_deref(), path).await;
    opened.map_err(|error| aws_failed(&error))
}

/// Opens an `exec:` store, and asks its program for the identity of the store.
pub(super) async fn exec(
    config: &Config,
    settings: &StoreSettings,
    program: &ExecProgram,
) -> Result<ExecStore, CliError> {
    let program = ExecProgram { env: settings.table.env.clone(), ..program.clone() };
    ExecStore::open(program, config.call_timeout).await.map_err(|error| {
        CliError::failed(
            format!("failed to {error}"),
            "nothing was changed; docs/stores.md has the protocol of exec: stores",
        )
    })
}
