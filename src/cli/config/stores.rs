//! Which stores there are: each by its URI, with what the configuration makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::layers::{Origin, Table};
use super::location::absolute;
use super::values::globs;
use crate::adapters::ExecProgram;
use crate::adapters::shown_url;
use crate::adapters::stores::Naming;
use crate::cli::error::CliError;
use crate::types::name::StoreName;

/// The forms a store's URI may have.
const FORMS: &str = "sqlite:PATH, file:PATH, sops:PATH, aws-secretsmanager:[PREFIX], aws-ssm:[/PATH], vault:MOUNT[/PATH], \
     kubernetes:[NAMESPACE], exec:COMMAND";

/// What kind of store, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// The embedded store: an SQLite file.
    Sqlite(PathBuf),
    /// A document, or a folder of them.
    File(PathBuf),
    /// A file encrypted with sops, or a folder with such files.
    Sops(PathBuf),
    /// AWS Secrets Manager: secrets whose names begin so.
    SecretsManager(String),
    /// AWS Systems Manager Parameter Store: parameters below this path.
    ParameterStore(String),
    /// A KV engine of Vault or OpenBao: its mount, and a path below it.
    Vault(String),
    /// The Secrets of a namespace of a Kubernetes cluster; empty: of all.
    Kubernetes(String),
    /// Whatever a program reads and writes.
    Exec(ExecProgram),
}

/// What only Vault has a use for.
const OF_VAULT: [&str; 8] =
    ["address", "namespace", "auth", "auth_mount", "role", "token_file", "secret_id_file", "ca_file"];

/// What only Kubernetes has a use for.
const OF_KUBERNETES: [&str; 3] = ["kubeconfig", "context", "selector"];

/// A store and the name it has in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUri {
    /// The URI with an absolute path, so that it means the same from every folder.
    pub name: StoreName,
    /// What it says.
    pub kind: StoreKind,
}

impl StoreUri {
    /// Reads a URI; a relative path begins at `base`.
    ///
    /// # Errors
    /// [`CliError::usage`] if it is none.
    pub fn parse(text: &str, base: &Path) -> Result<Self, CliError> {
        let shown = shown_url(text);
        let unknown =
            |hint: String| CliError::usage(format!("the store `{shown}` has a form that rotator does not know"), hint);
        match text.split_once(':') {
            Some((scheme @ ("sqlite" | "file" | "sops"), path)) => {
                let path = path_of(text, scheme, path, base)?;
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
                Ok(Self { name, kind: StoreKind::Exec(program_of(rest, base)) })
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
            Some(_) => Err(unknown(format!("this version of rotator knows {FORMS}"))),
            None => Err(unknown(format!("did you mean `sqlite:{shown}`, or `file:{shown}`?"))),
        }
    }

    /// The embedded store at this path.
    pub(super) fn embedded(path: PathBuf) -> Result<Self, CliError> {
        Self::new("sqlite", path, StoreKind::Sqlite)
    }

    fn new(scheme: &str, path: PathBuf, kind: impl FnOnce(PathBuf) -> StoreKind) -> Result<Self, CliError> {
        let name = StoreName::new(format!("{scheme}:{}", path.display()))
            .map_err(|error| CliError::usage(error.to_string(), "name another file with --store"))?;
        Ok(Self { name, kind: kind(path) })
    }

    /// Whether it is one of AWS's own, in a region and an account.
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

/// Neither a prefix nor a path is an ARN, so that nothing would ever be found. What to write instead can be read from it:
/// the name stands behind the sixth colon of a secret, with six random letters at its end
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html>), and behind `parameter` otherwise.
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

/// The program that a URI names: words separated by blanks. A program with a slash in its name is a path, which begins at
/// `base`, as every path does; one without is looked up in `PATH`. It is started in `base`, so that a relative path among
/// its arguments begins there, too.
pub(super) fn program_of(words: &str, base: &Path) -> ExecProgram {
    let mut program = ExecProgram { folder: Some(base.to_owned()), ..ExecProgram::of_words(words) };
    if let Some(first) = program.words.first_mut().filter(|first| first.contains('/')) {
        *first = absolute(base, Path::new(first.as_str())).display().to_string();
    }
    program
}

/// What to write in the place of a text that is no region.
pub(super) const A_REGION: &str = "write the name of a region, such as eu-central-1";

/// Whether a text may be a region: it becomes a part of the name of the host that is called.
pub(super) fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What to write in the place of a name that no variable has.
pub(super) const A_VARIABLE: &str = "write the names of environment variables, such as [\"GH_TOKEN\"]";

/// The variables that a table names for its program.
///
/// # Errors
/// The first text that is the name of no variable.
pub(super) fn variables(table: &Table) -> Result<Vec<String>, String> {
    let is_name = |name: &str| {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    match table.texts("env").iter().find(|name| !is_name(name)) {
        Some(name) => Err(name.clone()),
        None => Ok(table.texts("env").to_vec()),
    }
}

/// The absolute path that a URI names.
fn path_of(text: &str, scheme: &str, path: &str, base: &Path) -> Result<PathBuf, CliError> {
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
    Ok(absolute(base, Path::new(path)))
}

/// A store as configured.
#[derive(Debug)]
pub struct StoreSettings {
    /// Which.
    pub uri: StoreUri,
    /// How its own names become entries.
    pub naming: Naming,
    /// The entries that are seen; all, where nothing is said.
    pub include: Option<GlobSet>,
    /// The same as they are written.
    pub include_patterns: Vec<String>,
    /// The entries that are not.
    pub exclude: GlobSet,
    /// Whether nothing is ever written to it.
    pub read_only: bool,
    /// The AWS region it is in; none: that of the SDK's default chain.
    pub region: Option<String>,
    /// The `[[account]]` it is in, by name or number; none: that of the credentials in use.
    pub account: Option<String>,
    /// What only Vault has a use for, by key.
    pub of_vault: BTreeMap<&'static str, String>,
    /// What only Kubernetes has a use for, by key.
    pub of_kubernetes: BTreeMap<&'static str, String>,
    /// Whether it is meant that the server's certificate is not verified.
    pub allow_insecure_tls: bool,
    /// The variables that the store's program is given beside those that every program gets.
    pub env: Vec<String>,
}

impl StoreSettings {
    /// The store of a URI, all of it.
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
            of_vault: BTreeMap::new(),
            of_kubernetes: BTreeMap::new(),
            allow_insecure_tls: false,
            env: Vec::new(),
        }
    }

    /// Whether something of it is left out.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        self.read_only || self.include.is_some() || !self.exclude.is_empty()
    }

    /// Reads a `[[store]]` table.
    pub(super) fn read(table: &Table) -> Result<Self, CliError> {
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
        let mut uri = StoreUri::parse(uri, base)?;
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
            Some(text) => Err(bad(key, text, "only a store of AWS's is in a region and an account")),
            None => Ok(None),
        };
        let flag = |key: &str| match table.text(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(key, other, "write true or false")),
        };
        let patterns = |key: &str| globs(table.texts(key), key);
        Ok(Self {
            naming,
            include: if table.texts("include").is_empty() { None } else { Some(patterns("include")?) },
            include_patterns: table.texts("include").to_vec(),
            exclude: patterns("exclude")?,
            region: of_aws("region")?,
            account: of_aws("account")?,
            of_vault: of_one_kind(table, &OF_VAULT, matches!(uri.kind, StoreKind::Vault(_)), base, |key, text| {
                bad(key, text, "only a vault: store has a use for it")
            })?,
            of_kubernetes: of_one_kind(
                table,
                &OF_KUBERNETES,
                matches!(uri.kind, StoreKind::Kubernetes(_)),
                base,
                |key, text| bad(key, text, "only a kubernetes: store has a use for it"),
            )?,
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
        // Of a cluster: the credential plugin that the kubeconfig names.
        StoreKind::Exec(_) | StoreKind::Sops(_) | StoreKind::Kubernetes(_) => true,
        StoreKind::Sqlite(_)
        | StoreKind::File(_)
        | StoreKind::Vault(_)
        | StoreKind::SecretsManager(_)
        | StoreKind::ParameterStore(_) => false,
    }
}

/// What only one kind of store has a use for; a file's path begins at `base`.
fn of_one_kind(
    table: &Table,
    keys: &[&'static str],
    is_that_kind: bool,
    base: &Path,
    bad: impl Fn(&str, &str) -> CliError,
) -> Result<BTreeMap<&'static str, String>, CliError> {
    let mut given = BTreeMap::new();
    for key in keys.iter().copied() {
        let Some(text) = table.text(key) else { continue };
        if !is_that_kind {
            return Err(bad(key, text));
        }
        let is_path = key.ends_with("_file") || key == "kubeconfig";
        given
            .insert(key, if is_path { absolute(base, Path::new(text)).display().to_string() } else { text.to_owned() });
    }
    Ok(given)
}

/// No two stores may have one name: the journal tells them apart by it.
pub(super) fn check_names(stores: &[StoreSettings], origin: &Origin) -> Result<(), CliError> {
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
