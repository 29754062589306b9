//! The stores of the configuration: the URI of each, and the settings of its `[[store]]` table.

use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::layers::Origin;
use super::store_table::{StoreTable, Stores};
use super::store_uri::{StoreKind, StoreUri};
use super::values::{base, globs, not_empty};
use crate::adapters::shown_url;
use crate::adapters::stores::Naming;
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::StoreName;

/// Reads the stores of the highest layer: flags, the environment, or the file, as URIs or as tables.
pub(super) fn read(
    given: Option<Stores>,
    origin: Option<&Origin>,
    host: &HostEnv,
) -> Result<Vec<StoreSettings>, CliError> {
    let (Some(given), Some(origin)) = (given, origin) else {
        return Ok(vec![StoreSettings::whole(StoreUri::embedded(host.default_store()?)?)]);
    };
    let base = base(Some(origin), host);
    let stores: Result<Vec<_>, CliError> = match given {
        Stores::Uris(uris) => {
            not_empty("store", uris.first().map_or("", |uri| uri.trim()), Some(origin))?;
            uris.iter().map(|uri| located(uri.trim(), origin, base, host).map(StoreSettings::whole)).collect()
        }
        Stores::Tables(tables) => {
            tables.into_iter().map(|table| StoreSettings::of_table(table, origin, base, host)).collect()
        }
    };
    let stores = stores?;
    check_names(&stores, origin)?;
    Ok(stores)
}

/// Parses the URI of a store; an error names the origin, since the message of the URI does not.
fn located(uri: &str, origin: &Origin, base: &Path, host: &HostEnv) -> Result<StoreUri, CliError> {
    StoreUri::parse(uri, base, host)
        .map_err(|error| CliError { message: format!("{} (from {origin})", error.message), ..error })
}

/// The settings of one store.
#[derive(Debug)]
pub struct StoreSettings {
    pub uri: StoreUri,
    /// How the store's own names become entries.
    pub naming: Naming,
    /// The entries to use; all if it is missing.
    pub include: Option<GlobSet>,
    /// The entries not to use.
    pub exclude: GlobSet,
    /// The settings as the `[[store]]` has them, with absolute paths.
    pub table: StoreTable,
}

impl StoreSettings {
    /// The store of a URI, without a filter.
    #[must_use]
    pub fn whole(uri: StoreUri) -> Self {
        Self { uri, naming: Naming::default(), include: None, exclude: GlobSet::empty(), table: StoreTable::default() }
    }

    /// Whether the configuration restricts the store.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        self.table.read_only || self.include.is_some() || !self.exclude.is_empty()
    }

    /// Reads a `[[store]]` table.
    fn of_table(table: StoreTable, origin: &Origin, base: &Path, host: &HostEnv) -> Result<Self, CliError> {
        let bad = |key: &str, text: &str, hint: &str| {
            CliError::usage(format!("{key} of [[store]] in {origin} cannot be \"{}\"", shown_url(text)), hint)
        };
        let mut uri = located(&table.uri, origin, base, host)?;
        if let Some(name) = &table.name {
            uri.name = StoreName::new(name.as_str()).map_err(|error| bad("name", name, &error.to_string()))?;
        }
        let naming = match &table.scope {
            None => Naming::default(),
            Some(scope) if uri.embedded_path().is_some() => {
                return Err(bad("scope", scope, "the embedded store has <app>/<environment>/<secret-name> of its own"));
            }
            Some(scope) => Naming::within(scope).map_err(|_| bad("scope", scope, "write \"<app>/<environment>\""))?,
        };
        if let Some((key, text, hint)) = table.of_another_kind(&uri.kind) {
            return Err(bad(key, &text, hint));
        }
        let patterns = |key: &str, patterns: &[String]| globs(patterns, &format!("{key} of [[store]] in {origin}"));
        Ok(Self {
            naming,
            include: if table.include.is_empty() { None } else { Some(patterns("include", &table.include)?) },
            exclude: patterns("exclude", &table.exclude)?,
            table: table.with_absolute_paths(base, host)?,
            uri,
        })
    }
}

/// A setting, and its value if it is given.
type Given = (&'static str, Option<String>);

impl StoreTable {
    /// The first setting that a store of this kind has no use for: its key, its value, and why.
    fn of_another_kind(&self, kind: &StoreKind) -> Option<(&'static str, String, &'static str)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let aws = [("region", self.region.clone()), ("account", self.account.clone())];
        let vault = [
            ("address", self.address.clone()),
            ("namespace", self.namespace.clone()),
            ("auth", self.auth.map(|auth| auth.to_string())),
            ("auth_mount", self.auth_mount.clone()),
            ("role", self.role.clone()),
            ("token_file", path(&self.token_file)),
            ("secret_id_file", path(&self.secret_id_file)),
            ("ca_file", path(&self.ca_file)),
        ];
        let kubernetes = [
            ("kubeconfig", path(&self.kubeconfig)),
            ("context", self.context.clone()),
            ("selector", self.selector.clone()),
            ("allow_insecure_tls", self.allow_insecure_tls.map(|word| word.to_string())),
        ];
        let programs = [("env", self.env.first().cloned())];
        let (is_aws, is_vault, is_kubernetes, starts_a_program) = match kind {
            StoreKind::SecretsManager(_) | StoreKind::ParameterStore(_) => (true, false, false, false),
            StoreKind::Vault(_) => (false, true, false, false),
            // A Kubernetes store starts the credential plugin of the kubeconfig.
            StoreKind::Kubernetes(_) => (false, false, true, true),
            StoreKind::Exec(_) | StoreKind::Sops(_) => (false, false, false, true),
            StoreKind::Sqlite(_) | StoreKind::File(_) => (false, false, false, false),
        };
        let groups: [(bool, &[Given], &'static str); 4] = [
            (is_aws, &aws, "only an AWS store has a region and an account"),
            (is_vault, &vault, "only a vault: store has a use for it"),
            (is_kubernetes, &kubernetes, "only a kubernetes: store has a use for it"),
            (starts_a_program, &programs, "only an exec:, sops: or kubernetes: store starts a program"),
        ];
        let mut foreign = groups.into_iter().filter(|(is_used, ..)| !is_used).flat_map(|(_, settings, why)| {
            settings.iter().filter_map(move |(key, value)| Some((*key, value.clone()?, why)))
        });
        foreign.next()
    }

    fn with_absolute_paths(self, base: &Path, host: &HostEnv) -> Result<Self, CliError> {
        let path = |path: Option<PathBuf>| path.map(|path| host.absolute(base, &path)).transpose();
        Ok(Self {
            token_file: path(self.token_file)?,
            secret_id_file: path(self.secret_id_file)?,
            ca_file: path(self.ca_file)?,
            kubeconfig: path(self.kubeconfig)?,
            ..self
        })
    }
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
