//! The URI of a store: its kind and its location.

use std::path::{Path, PathBuf};

use crate::adapters::{ExecProgram, shown_url};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::StoreName;

/// The supported forms of a store URI.
pub(super) const FORMS: &str = "sqlite:PATH, file:PATH, sops:PATH, aws-secretsmanager:[PREFIX], aws-ssm:[/PATH], vault:MOUNT[/PATH], \
     kubernetes:[NAMESPACE], exec:COMMAND";

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
            Some(_) => Err(unknown(format!("this version of rotator knows {FORMS}"))),
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
