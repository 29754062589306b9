//! `vault:` stores: their settings from the `[[store]]` table and from the variables of Vault's and OpenBao's own tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::adapters::stores::SERVICE_ACCOUNT;
use crate::adapters::stores::vault::{Auth, VaultSettings, VaultStore, VaultStoreError};
use crate::cli::config::{Config, StoreSettings, StoreTable, VaultAuth};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::StoreName;

/// Opens the store `vault:LOCATION` and logs in.
pub(super) async fn open(
    config: &Config,
    host: &HostEnv,
    store: &StoreSettings,
    location: &str,
) -> Result<VaultStore, CliError> {
    let failed = |error: VaultStoreError| vault_failed(&store.uri.name, &error);
    let settings = settings(location, &store.table, host, config.call_timeout).map_err(failed)?;
    VaultStore::open(settings).await.map_err(failed)
}

fn vault_failed(store: &StoreName, error: &VaultStoreError) -> CliError {
    let (message, hint) = (
        format!("{store}: failed to {error}"),
        "nothing was changed; docs/configuration.md has the settings of vault:",
    );
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

/// The settings from the location (`MOUNT[/PATH]`), the table and the environment; the table takes precedence.
fn settings(
    location: &str,
    table: &StoreTable,
    host: &HostEnv,
    call_timeout: Duration,
) -> Result<VaultSettings, VaultStoreError> {
    let location = location.trim_matches('/');
    let (mount, root) = location.split_once('/').unwrap_or((location, ""));
    Ok(VaultSettings {
        address: table.address.clone().or_else(|| variable(host, "ADDR")).ok_or(VaultStoreError::NoAddress)?,
        namespace: table.namespace.clone().or_else(|| variable(host, "NAMESPACE")),
        auth: auth(table, host)?,
        authorities: table.ca_file.clone().or_else(|| variable(host, "CACERT").map(PathBuf::from)),
        mount: mount.to_owned(),
        root: root.to_owned(),
        call_timeout,
    })
}

/// The variable `BAO_<name>`, which OpenBao's own tools ask for first, else `VAULT_<name>`.
fn variable(host: &HostEnv, name: &str) -> Option<String> {
    let found = host.variable(&format!("BAO_{name}")).or_else(|| host.variable(&format!("VAULT_{name}")));
    found.map(str::to_owned)
}

fn auth(table: &StoreTable, host: &HostEnv) -> Result<Auth, VaultStoreError> {
    let missing = |what: &str| VaultStoreError::NoAuth { what: what.to_owned() };
    let mount = |default: &str| table.auth_mount.clone().unwrap_or_else(|| default.to_owned());
    match table.auth.unwrap_or_default() {
        VaultAuth::Token => {
            let named = |name: &str| Some((host.variable(name)?.to_owned(), format!("the token in {name}")));
            let from_file = || {
                let file = Path::new(host.variable("HOME")?).join(".vault-token");
                let text = std::fs::read_to_string(&file).ok()?;
                Some((text.trim().to_owned(), format!("the token in {}", file.display())))
            };
            let found = named("BAO_TOKEN").or_else(|| named("VAULT_TOKEN")).or_else(from_file);
            let found = found.filter(|(token, _)| !token.is_empty());
            found.map(|(token, from)| Auth::Token { token: Zeroizing::new(token), from }).ok_or_else(|| {
                missing("set VAULT_TOKEN or BAO_TOKEN, log in with `vault login`, or set auth of the [[store]]")
            })
        }
        VaultAuth::AppRole => Ok(Auth::AppRole {
            mount: mount("approle"),
            role_id: table
                .role
                .clone()
                .or_else(|| variable(host, "ROLE_ID"))
                .ok_or_else(|| missing("set role of the [[store]]"))?,
            secret_id: secret_id(table, host)?,
        }),
        VaultAuth::Kubernetes => Ok(Auth::Kubernetes {
            mount: mount("kubernetes"),
            role: table.role.clone().ok_or_else(|| missing("set role of the [[store]]"))?,
            token: table.token_file.clone().unwrap_or_else(|| Path::new(SERVICE_ACCOUNT).join("token")),
        }),
    }
}

fn secret_id(table: &StoreTable, host: &HostEnv) -> Result<Zeroizing<String>, VaultStoreError> {
    let missing = |what: String| VaultStoreError::NoAuth { what };
    if let Some(file) = &table.secret_id_file {
        // It may be there in the next run, so it is no defect of the configuration.
        let text = std::fs::read_to_string(file).map_err(|error| VaultStoreError::Refused {
            from: format!("the secret id in {}", file.display()),
            why: error.to_string(),
        })?;
        return Ok(Zeroizing::new(text.trim().to_owned()));
    }
    variable(host, "SECRET_ID")
        .map(Zeroizing::new)
        .ok_or_else(|| missing("set secret_id_file of the [[store]], or VAULT_SECRET_ID".to_owned()))
}
