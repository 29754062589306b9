//! The stores of the configuration: the URI of each, and the settings of its `[[store]]` table.

use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::file::{STORE_FORMS, StoreTable, Stores};
use super::layers::Origin;
use super::values::{base, globs, not_empty};
use crate::adapters::stores::Naming;
use crate::adapters::{ExecProgram, shown_url};
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

/// The kind and the location of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// The embedded store: an SQLite file.
    Sqlite(PathBuf),
    /// A document, or a folder of them.
    File(PathBuf),
    /// A file that is encrypted with sops, or a folder of such files.
    Sops(PathBuf),
    /// AWS Secrets Manager: the secrets with this prefix.
    SecretsManager(String),
    /// AWS Systems Manager Parameter Store: the parameters below this path.
    ParameterStore(String),
    /// A KV engine of Vault or OpenBao: its mount, and a path below the mount.
    Vault(String),
    /// The Secrets of a namespace of a Kubernetes cluster; if empty, of all namespaces.
    Kubernetes(String),
    /// A program that reads and writes entries.
    Exec(ExecProgram),
}

/// The URI of a store, and the name of the store in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUri {
    /// The URI with an absolute path, which means the same in every working directory.
    pub name: StoreName,
    pub kind: StoreKind,
}

impl StoreUri {
    /// Parses a URI; a relative path is relative to `base`.
    ///
    /// # Errors
    /// [`CliError::usage`] if the URI is not valid.
    pub fn parse(text: &str, base: &Path, host: &HostEnv) -> Result<Self, CliError> {
        let shown = shown_url(text);
        let unknown =
            |hint: String| CliError::usage(format!("the store `{shown}` has a form that rotator does not know"), hint);
        match text.split_once(':') {
            Some((scheme @ ("sqlite" | "file" | "sops"), path)) => {
                let path = path_of(text, scheme, path, base, host)?;
                match scheme {
                    "sqlite" => Self::embedded(path),
                    "sops" => Self::new("sops", path, StoreKind::Sops),
                    _ => Self::new("file", path, StoreKind::File),
                }
            }
            Some((scheme @ ("aws-secretsmanager" | "aws-ssm"), rest)) if rest.starts_with("arn:") => {
                Err(named_by_arn(text, scheme, rest))
            }
            Some((scheme @ ("aws-secretsmanager" | "aws-ssm"), rest)) => {
                let name = StoreName::new(text).map_err(|error| unknown(error.to_string()))?;
                let is_secrets = scheme == "aws-secretsmanager";
                let kind = if is_secrets { StoreKind::SecretsManager } else { StoreKind::ParameterStore };
                Ok(Self { name, kind: kind(rest.to_owned()) })
            }
            Some(("exec", rest)) if rest.trim().is_empty() => {
                Err(CliError::usage(format!("the store `{text}` names no program"), "write exec:COMMAND"))
            }
            Some(("exec", rest)) => {
                let name = StoreName::new(text).map_err(|error| unknown(error.to_string()))?;
                Ok(Self { name, kind: StoreKind::Exec(program_of(rest, base, host)?) })
            }
            Some(("vault", rest)) if rest.starts_with("//") => Err(CliError::usage(
                format!("the store `{shown}` names a host"),
                "write vault:MOUNT, and set VAULT_ADDR, or address in a [[store]]",
            )),
            Some(("vault", rest)) if rest.trim_matches('/').is_empty() => Err(CliError::usage(
                format!("the store `{text}` names no mount"),
                "write vault:MOUNT, for example vault:secret",
            )),
            Some(("vault", rest)) => {
                let name = StoreName::new(text).map_err(|error| unknown(error.to_string()))?;
                Ok(Self { name, kind: StoreKind::Vault(rest.to_owned()) })
            }
            Some(("kubernetes", rest)) if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
                Err(CliError::usage(
                    format!("the store `{shown}` names no namespace"),
                    "write kubernetes:NAMESPACE, or kubernetes: for all of them; context of the [[store]] names the cluster",
                ))
            }
            Some(("kubernetes", rest)) => {
                let name = StoreName::new(text).map_err(|error| unknown(error.to_string()))?;
                Ok(Self { name, kind: StoreKind::Kubernetes(rest.to_owned()) })
            }
            Some(_) => Err(unknown(format!("this version of rotator knows {STORE_FORMS}"))),
            None => Err(unknown(format!("did you mean `sqlite:{shown}`, or `file:{shown}`?"))),
        }
    }

    /// The URI of the embedded store at this path.
    pub(super) fn embedded(path: PathBuf) -> Result<Self, CliError> {
        Self::new("sqlite", path, StoreKind::Sqlite)
    }

    fn new(scheme: &str, path: PathBuf, kind: impl FnOnce(PathBuf) -> StoreKind) -> Result<Self, CliError> {
        let name = StoreName::new(format!("{scheme}:{}", path.display()))
            .map_err(|error| CliError::usage(error.to_string(), "name another file with --store"))?;
        Ok(Self { name, kind: kind(path) })
    }

    /// Whether this is an AWS store, which has a region and an account.
    #[must_use]
    pub const fn is_of_aws(&self) -> bool {
        matches!(self.kind, StoreKind::SecretsManager(_) | StoreKind::ParameterStore(_))
    }

    /// The file of an embedded store.
    #[must_use]
    pub fn embedded_path(&self) -> Option<&Path> {
        match &self.kind {
            StoreKind::Sqlite(path) => Some(path),
            StoreKind::File(_)
            | StoreKind::Sops(_)
            | StoreKind::SecretsManager(_)
            | StoreKind::ParameterStore(_)
            | StoreKind::Vault(_)
            | StoreKind::Kubernetes(_)
            | StoreKind::Exec(_) => None,
        }
    }
}

/// The error for an ARN, which is neither a prefix nor a path, so that nothing would be found. The hint is derived
/// from the ARN: the name follows the sixth colon for a secret, where six random letters are appended
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html>), and `parameter` otherwise.
fn named_by_arn(text: &str, scheme: &str, arn: &str) -> CliError {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let region = parts.get(3).copied().filter(|region| !region.is_empty()).unwrap_or("…");
    let name = match (scheme, parts.get(5), parts.get(6)) {
        ("aws-secretsmanager", Some(_), Some(name)) => {
            let bare = name.rsplit_once('-').filter(|(_, random)| random.len() == 6);
            bare.map_or(*name, |(name, _)| name)
        }
        (_, Some(name), None) => name.strip_prefix("parameter").unwrap_or(name),
        (..) => "…",
    };
    let folder = name.rfind('/').map_or("", |at| &name[..=at]);
    CliError::usage(
        format!("the store `{text}` is named by an ARN, and a store is all whose names begin alike"),
        format!(
            "write {scheme}:{folder} with include = [\"*/{}\"] and region = \"{region}\" in a [[store]]",
            name.trim_start_matches(folder)
        ),
    )
}

/// The program of a URI: words separated by blanks. A program name with a slash is a path, relative to `base`;
/// another name is looked up in `PATH`. The program starts in `base`, so relative paths in its arguments start there,
/// too.
pub(super) fn program_of(words: &str, base: &Path, host: &HostEnv) -> Result<ExecProgram, CliError> {
    let mut program = ExecProgram { folder: Some(base.to_owned()), ..ExecProgram::of_words(words) };
    if let Some(first) = program.words.first_mut().filter(|first| first.contains('/')) {
        *first = host.absolute(base, Path::new(first.as_str()))?.display().to_string();
    }
    Ok(program)
}

/// The absolute path of a URI.
fn path_of(text: &str, scheme: &str, path: &str, base: &Path, host: &HostEnv) -> Result<PathBuf, CliError> {
    let hint = || format!("write {scheme}:PATH");
    let path = match path.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => {
            return Err(CliError::usage(
                format!("the store `{}` names a host, and {scheme} is a file", shown_url(text)),
                hint(),
            ));
        }
        None => path,
    };
    if path.is_empty() || path == ":memory:" {
        return Err(CliError::usage(format!("the store `{text}` names no file"), hint()));
    }
    host.absolute(base, Path::new(path))
}
