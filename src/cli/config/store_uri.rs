//! The URI of a store: its kind, and where it is.

use std::path::{Path, PathBuf};

use crate::adapters::{ExecProgram, shown_url};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::StoreName;

/// The forms a store's URI may have.
pub(super) const FORMS: &str = "sqlite:PATH, file:PATH, sops:PATH, aws-secretsmanager:[PREFIX], aws-ssm:[/PATH], vault:MOUNT[/PATH], \
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
                Ok(Self { name, kind: StoreKind::Exec(program_of(rest, base, host)) })
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
pub(super) fn program_of(words: &str, base: &Path, host: &HostEnv) -> ExecProgram {
    let mut program = ExecProgram { folder: Some(base.to_owned()), ..ExecProgram::of_words(words) };
    if let Some(first) = program.words.first_mut().filter(|first| first.contains('/')) {
        *first = host.absolute(base, Path::new(first.as_str())).display().to_string();
    }
    program
}

/// The absolute path that a URI names.
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
    Ok(host.absolute(base, Path::new(path)))
}
