//! The stores of the configuration: the URI of each, and the settings of its `[[store]]` table.

use std::path::{Path, PathBuf};

use globset::GlobSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::layers::{Layers, Origin, Table};
use super::store_uri::{FORMS, StoreKind, StoreUri};
use super::values::{A_REGION, A_VARIABLE, base, globs, is_region, not_empty, variables};
use crate::adapters::stores::Naming;
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::StoreName;

/// Reads the stores of the highest layer: flags, the environment, or the file, as URIs or as tables.
pub(super) fn read(layers: &Layers, host: &HostEnv) -> Result<Vec<StoreSettings>, CliError> {
    let Some(given) = layers.get("", "store") else {
        return Ok(vec![StoreSettings::whole(StoreUri::embedded(host.default_store()?)?)]);
    };
    not_empty("store", given)?;
    let stores: Result<Vec<_>, CliError> = if layers.stores().is_empty() {
        let uris = given.texts.iter().map(|text| StoreUri::parse(text.trim(), base(given, host), host));
        uris.map(|uri| uri.map(StoreSettings::whole)).collect()
    } else {
        layers.stores().iter().map(|table| StoreSettings::of_table(table, host)).collect()
    };
    let stores = stores?;
    check_names(&stores, &given.origin)?;
    Ok(stores)
}

/// The settings of a `[[store]]` that apply to Vault only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultTable {
    /// The URL of the server; by default `VAULT_ADDR` or `BAO_ADDR`.
    pub address: Option<String>,
    pub namespace: Option<String>,
    /// `token`, `approle` or `kubernetes`; by default `token`.
    pub auth: Option<String>,
    /// The mount of the auth method; by default its name.
    pub auth_mount: Option<String>,
    pub role: Option<String>,
    /// The file with the service account token that `kubernetes` logs in with.
    pub token_file: Option<PathBuf>,
    /// The file with the secret id that `approle` logs in with.
    pub secret_id_file: Option<PathBuf>,
    /// The file with the certificate authorities of the server.
    pub ca_file: Option<PathBuf>,
}

/// The fields of [`VaultTable`].
const OF_VAULT: [&str; 8] =
    ["address", "namespace", "auth", "auth_mount", "role", "token_file", "secret_id_file", "ca_file"];

impl VaultTable {
    fn with_absolute_paths(self, absolute: &impl Fn(&Path) -> PathBuf) -> Self {
        let path = |path: Option<PathBuf>| path.map(|path| absolute(&path));
        Self {
            token_file: path(self.token_file),
            secret_id_file: path(self.secret_id_file),
            ca_file: path(self.ca_file),
            ..self
        }
    }
}

/// The settings of a `[[store]]` that apply to Kubernetes only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesTable {
    /// The kubeconfig; by default the one that `kubectl` finds.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; by default its current context.
    pub context: Option<String>,
    /// A label selector; by default every Secret is used.
    pub selector: Option<String>,
}

/// The fields of [`KubernetesTable`].
const OF_KUBERNETES: [&str; 3] = ["kubeconfig", "context", "selector"];

impl KubernetesTable {
    fn with_absolute_paths(self, absolute: &impl Fn(&Path) -> PathBuf) -> Self {
        Self { kubeconfig: self.kubeconfig.map(|path| absolute(&path)), ..self }
    }
}

/// The settings of one store.
#[derive(Debug)]
pub struct StoreSettings {
    pub uri: StoreUri,
    /// How the store's own names become entries.
    pub naming: Naming,
    /// The entries to use; all if it is missing.
    pub include: Option<GlobSet>,
    /// The patterns of `include` as text.
    pub include_patterns: Vec<String>,
    /// The entries not to use.
    pub exclude: GlobSet,
    /// Whether the store is never written.
    pub read_only: bool,
    /// The AWS region of the store; by default that of the SDK's default chain.
    pub region: Option<String>,
    /// The `[[account]]` of the store, by name or number; by default that of the credentials in use.
    pub account: Option<String>,
    pub vault: VaultTable,
    pub kubernetes: KubernetesTable,
    /// Whether the configuration permits a server certificate that is not verified.
    pub allow_insecure_tls: bool,
    /// The variables that the program of the store gets in addition to the standard list.
    pub env: Vec<String>,
}

impl StoreSettings {
    /// The store of a URI, without a filter.
    #[must_use]
    pub fn whole(uri: StoreUri) -> Self {
        Self {
            uri,
            naming: Naming::default(),
            include: None,
            include_patterns: Vec::new(),
            exclude: GlobSet::empty(),
            read_only: false,
            region: None,
            account: None,
            vault: VaultTable::default(),
            kubernetes: KubernetesTable::default(),
            allow_insecure_tls: false,
            env: Vec::new(),
        }
    }

    /// Whether the configuration restricts the store.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        self.read_only || self.include.is_some() || !self.exclude.is_empty()
    }

    /// Reads a `[[store]]` table.
    fn of_table(table: &Table, host: &HostEnv) -> Result<Self, CliError> {
        let base = table.file.parent().unwrap_or(Path::new("."));
        let bad = |key: &str, text: &str, hint: &str| {
            CliError::usage(format!("{key} of [[store]] in {} cannot be \"{text}\"", table.file.display()), hint)
        };
        let Some(uri) = table.text("uri") else {
            return Err(CliError::usage(
                format!("a [[store]] in {} has no uri", table.file.display()),
                format!("write uri = \"…\" with one of {FORMS}"),
            ));
        };
        let mut uri = StoreUri::parse(uri, base, host)?;
        if let Some(name) = table.text("name") {
            uri.name = StoreName::new(name).map_err(|error| bad("name", name, &error.to_string()))?;
        }
        let naming = match table.text("scope") {
            None => Naming::default(),
            Some(scope) if uri.embedded_path().is_some() => {
                return Err(bad("scope", scope, "the embedded store has <app>/<environment>/<secret-name> of its own"));
            }
            Some(scope) => Naming::within(scope).map_err(|_| bad("scope", scope, "write \"<app>/<environment>\""))?,
        };
        let of_aws = |key: &str| match table.text(key) {
            Some(text) if key == "region" && !is_region(text) => Err(bad(key, text, A_REGION)),
            Some(text) if uri.is_of_aws() => Ok(Some(text.to_owned())),
            Some(text) => Err(bad(key, text, "only an AWS store has a region and an account")),
            None => Ok(None),
        };
        let flag = |key: &str| match table.text(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(key, other, "write true or false")),
        };
        let patterns = |key: &str| globs(table.texts(key), key);
        let absolute = |path: &Path| host.absolute(base, path);
        let is_vault = matches!(uri.kind, StoreKind::Vault(_));
        let vault: VaultTable = of_one_kind(table, &OF_VAULT, is_vault, |key, text| {
            bad(key, text, "only a vault: store has a use for it")
        })?;
        let is_kubernetes = matches!(uri.kind, StoreKind::Kubernetes(_));
        let kubernetes: KubernetesTable = of_one_kind(table, &OF_KUBERNETES, is_kubernetes, |key, text| {
            bad(key, text, "only a kubernetes: store has a use for it")
        })?;
        Ok(Self {
            naming,
            include: if table.texts("include").is_empty() { None } else { Some(patterns("include")?) },
            include_patterns: table.texts("include").to_vec(),
            exclude: patterns("exclude")?,
            region: of_aws("region")?,
            account: of_aws("account")?,
            vault: vault.with_absolute_paths(&absolute),
            kubernetes: kubernetes.with_absolute_paths(&absolute),
            env: match table.texts("env") {
                [] => Vec::new(),
                [name, ..] if !starts_a_program(&uri.kind) => {
                    return Err(bad("env", name, "only an exec:, sops: or kubernetes: store starts a program"));
                }
                _ => variables(table).map_err(|name| bad("env", &name, A_VARIABLE))?,
            },
            read_only: flag("read_only")?,
            allow_insecure_tls: match table.text("allow_insecure_tls") {
                Some(text) if !matches!(uri.kind, StoreKind::Kubernetes(_)) => {
                    return Err(bad("allow_insecure_tls", text, "only a kubernetes: store has a use for it"));
                }
                Some(_) | None => flag("allow_insecure_tls")?,
            },
            uri,
        })
    }
}

fn starts_a_program(kind: &StoreKind) -> bool {
    match kind {
        // A Kubernetes store starts the credential plugin of the kubeconfig.
        StoreKind::Exec(_) | StoreKind::Sops(_) | StoreKind::Kubernetes(_) => true,
        StoreKind::Sqlite(_)
        | StoreKind::File(_)
        | StoreKind::Vault(_)
        | StoreKind::SecretsManager(_)
        | StoreKind::ParameterStore(_) => false,
    }
}

/// Reads the keys that apply to one kind of store only; each of them is an error in the table of another kind.
fn of_one_kind<T: DeserializeOwned + Default>(
    table: &Table,
    keys: &[&'static str],
    is_that_kind: bool,
    bad: impl Fn(&str, &str) -> CliError,
) -> Result<T, CliError> {
    let mut given = keys.iter().filter_map(|key| Some((*key, table.text(key)?)));
    if is_that_kind {
        let given: toml::Table = given.map(|(key, text)| (key.to_owned(), toml::Value::from(text))).collect();
        return given.try_into().map_err(|error: toml::de::Error| defect(&error));
    }
    match given.next() {
        Some((key, text)) => Err(bad(key, text)),
        None => Ok(T::default()),
    }
}

/// The error for a typed table that cannot be built. Each value of the table is text, and each field accepts text, so
/// this is a defect.
fn defect(error: &toml::de::Error) -> CliError {
    CliError::failed(
        format!("a [[store]] could not be read: {}", error.message()),
        "nothing was changed; report this as a defect",
    )
}

/// Checks that the names of stores are unique: the journal identifies a store by its name.
fn check_names(stores: &[StoreSettings], origin: &Origin) -> Result<(), CliError> {
    for (at, store) in stores.iter().enumerate() {
        if stores[..at].iter().any(|other| other.uri.name == store.uri.name) {
            return Err(CliError::usage(
                format!("the store {} is configured twice (from {origin})", store.uri.name),
                "remove one of them; a place is written once",
            ));
        }
    }
    Ok(())
}
