//! The embedded store, and the keys that `main` took out of the environment for it.

use std::path::Path;

use zeroize::Zeroizing;

use crate::adapters::stores::embedded::{EmbeddedStore, StoreKey};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::error_text::with_causes;

/// The key of the store, where `ROTATOR_STORE_KEY` gives one.
///
/// # Errors
/// [`CliError::usage`] if the variable holds something else.
pub fn store_key(host: &HostEnv) -> Result<Option<StoreKey>, CliError> {
    parsed("ROTATOR_STORE_KEY", host.startup.store_key.as_ref(), "put the store's own key there, or unset it")
}

/// The key that `rotator store rekey` seals the store under, where `ROTATOR_STORE_NEW_KEY` gives one.
///
/// # Errors
/// [`CliError::usage`] if the variable holds something else.
pub fn new_store_key(host: &HostEnv) -> Result<Option<StoreKey>, CliError> {
    parsed("ROTATOR_STORE_NEW_KEY", host.startup.new_store_key.as_ref(), "put the new key there, or unset it")
}

fn parsed(variable: &str, text: Option<&Zeroizing<String>>, help: &str) -> Result<Option<StoreKey>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let key = StoreKey::from_base64(text);
    key.map(Some).map_err(|error| CliError::usage(format!("{variable} does not contain a key: {error}"), help))
}

/// Opens the configured embedded store, which has to exist.
///
/// # Errors
/// Exit code 1 if the store is missing or cannot be opened; 2 if none is configured.
pub fn open(config: &Config, host: &HostEnv) -> Result<EmbeddedStore, CliError> {
    open_at(config.embedded()?.1, host)
}

pub(super) fn open_at(path: &Path, host: &HostEnv) -> Result<EmbeddedStore, CliError> {
    EmbeddedStore::open(path, store_key(host)?).map_err(|error| {
        // Only where no store is configured is this the path, unless it is configured as well.
        let is_default = host.default_store().is_ok_and(|default| default == path) && !path.exists();
        let hint = match is_default {
            true => {
                "this is the store where nothing names another one: go to the folder of your rotator.toml, or name that file with \
                 --config or a store with --store or ROTATOR_STORE; to begin, `rotator init` writes a rotator.toml, and \
                 `rotator store import FILE` fills a new store"
            }
            false => "name your store with --store or ROTATOR_STORE, or fill a new one with `rotator store import FILE`",
        };
        CliError::failed(format!("failed to {}", with_causes(&error)), hint)
    })
}
