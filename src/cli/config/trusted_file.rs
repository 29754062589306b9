//! Which configuration file is read, and why it is trusted. A file that the user names is trusted. A file that was
//! only found may belong to another user or be part of a downloaded folder: it could run programs as this user and
//! send files and tokens away.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layers::Layers;
use super::reach::{Reach, reach};
use crate::adapters::allowed::AllowedFiles;
use crate::adapters::ownership;
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::cli::output::given;
use crate::types::error_text::with_causes;
use crate::types::shell::quoted;

/// The name of the configuration file.
pub const FILE_NAME: &str = "rotator.toml";

/// The maximum length of a configuration file.
const LARGEST: u64 = 1024 * 1024;

/// The maximum number of reasons in a refusal.
const MOST_REASONS: usize = 3;

/// How a file was selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By this flag or variable.
    Named(&'static str),
    /// In this configuration folder.
    InPlace(&'static str),
    /// In the working directory.
    WorkingDirectory,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(by) => write!(f, "named with {by}"),
            Self::InPlace(folder) => write!(f, "found in {folder}"),
            Self::WorkingDirectory => f.write_str("found in the working directory"),
        }
    }
}

/// Why a file is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The user named it with this flag or variable.
    Named(&'static str),
    /// `rotator allow` has recorded its content.
    Allowed,
    /// It is in this configuration folder, and no other user can change it.
    InPlace(&'static str),
    /// No other user can change it, and it does nothing that needs permission.
    Harmless,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(by) => write!(f, "trusted: it was named with {by}"),
            Self::Allowed => f.write_str("trusted: `rotator allow` has recorded it as it is"),
            Self::InPlace(folder) => write!(f, "trusted: it is in {folder}, and only you and root can write it"),
            Self::Harmless => f.write_str(
                "trusted: only you and root can write it and its folder; it runs no program, names no file outside its \
                 folder and sends no token anywhere",
            ),
        }
    }
}

/// A configuration file that was read.
pub(crate) struct Found {
    /// The absolute path of the file.
    pub(crate) path: PathBuf,
    /// The content of the file.
    pub(crate) text: String,
    pub(crate) way: Way,
    metadata: Metadata,
}

impl Found {
    /// Reads the file that is named, otherwise the first file that exists in the working directory, the XDG folder or
    /// `/etc/rotator`.
    pub(crate) fn look(named: Option<&Path>, host: &HostEnv) -> Result<Option<Self>, CliError> {
        let by_flag = named.map(|path| (path.to_owned(), "--config"));
        let by_variable = || host.variable("ROTATOR_CONFIG").map(|path| (PathBuf::from(path), "ROTATOR_CONFIG"));
        if let Some((path, by)) = by_flag.or_else(by_variable) {
            return Self::named(&path, by, host).map(Some);
        }
        let xdg = host.xdg_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("rotator"));
        let places = [
            (Some(host.folder.clone()), Way::WorkingDirectory),
            (xdg, Way::InPlace("the XDG configuration folder")),
            (Some(host.system.clone()), Way::InPlace("the configuration folder of the system")),
        ];
        for (folder, way) in places {
            let Some(path) = folder.map(|folder| folder.join(FILE_NAME)) else { continue };
            if let Some((text, metadata)) = read(&path)? {
                return Ok(Some(Self { path, text, way, metadata }));
            }
        }
        Ok(None)
    }

    /// Reads the file at this path, which has to exist.
    pub(crate) fn named(path: &Path, by: &'static str, host: &HostEnv) -> Result<Self, CliError> {
        // Relative paths in the file are relative to its folder, also in programs that are started there.
        let path = host.folder.join(path);
        match read(&path)? {
            Some((text, metadata)) => Ok(Self { path, text, way: Way::Named(by), metadata }),
            None => Err(unreadable(&path, &ErrorKind::NotFound.into())),
        }
    }

    /// Decides why the file is trusted.
    ///
    /// # Errors
    /// [`CliError::usage`] with the reason and both ways to trust the file, or if the file is not valid.
    pub(crate) fn trust(&self, host: &HostEnv) -> Result<Trust, CliError> {
        if let Way::Named(by) = self.way {
            return Ok(Trust::Named(by));
        }
        if self.is_allowed(host)? {
            return Ok(Trust::Allowed);
        }
        if let Some(why) = self.exposed()? {
            return Err(self.refused(&why, host));
        }
        if let Way::InPlace(folder) = self.way {
            return Ok(Trust::InPlace(folder));
        }
        let asks: Vec<String> =
            self.reach(host)?.into_iter().filter(|one| one.asks).map(|one| one.to_string()).collect();
        if asks.is_empty() {
            return Ok(Trust::Harmless);
        }
        let more = asks.len().saturating_sub(MOST_REASONS);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        Err(self.refused(&format!("it {}{more}", asks[..asks.len().min(MOST_REASONS)].join(", and ")), host))
    }

    /// What the file would run, read and contact.
    pub(crate) fn reach(&self, host: &HostEnv) -> Result<Vec<Reach>, CliError> {
        let mut layers = Layers::default();
        layers.file(&self.path, &self.text)?;
        reach(&layers, &self.path, host)
    }

    /// Which other user may change the file, if any.
    pub(crate) fn exposed(&self) -> Result<Option<String>, CliError> {
        if let Err(error) = ownership::check(&self.path, &self.metadata) {
            return Ok(Some(format!("{} {}", error.path.display(), error.fault)));
        }
        // For a link, the folder of the link and the folder of its target are checked.
        let real = self.path.canonicalize().map_err(|error| unreadable(&self.path, &error))?;
        let mut folders: Vec<&Path> = [self.path.parent(), real.parent()].into_iter().flatten().collect();
        folders.dedup();
        for folder in folders {
            let metadata = std::fs::metadata(folder).map_err(|error| unreadable(&self.path, &error))?;
            if let Err(error) = ownership::check(folder, &metadata) {
                return Ok(Some(format!("its folder {} {}", error.path.display(), error.fault)));
            }
        }
        Ok(None)
    }

    fn is_allowed(&self, host: &HostEnv) -> Result<bool, CliError> {
        let Some(allowed) = allowed_files(host) else { return Ok(false) };
        allowed.has(&self.known_as(), self.text.as_bytes()).map_err(|error| {
            CliError::usage(
                format!(
                    "it is not known whether {} is allowed: failed to {}",
                    self.path.display(),
                    with_causes(&error)
                ),
                format!("fix the cause, or name the file:\n  {}", given::with_config(&self.path)),
            )
        })
    }

    /// Records that this user trusts the file as it is.
    pub(crate) fn allow(&self, host: &HostEnv) -> Result<PathBuf, CliError> {
        let allowed = allowed_files(host).ok_or_else(|| {
            CliError::usage(
                "neither XDG_STATE_HOME nor HOME says where to record what is allowed",
                format!("set one of them, or name the file: rotator --config {} COMMAND", quoted(&self.path)),
            )
        })?;
        allowed.record(&self.known_as(), self.text.as_bytes()).map_err(|error| {
            CliError::failed(
                format!("{} is not allowed: failed to {}", self.path.display(), with_causes(&error)),
                format!("fix the cause, or name the file: rotator --config {} COMMAND", quoted(&self.path)),
            )
        })?;
        Ok(allowed.folder().to_owned())
    }

    /// The path under which the file is recorded; it does not depend on links in the path of the folder.
    fn known_as(&self) -> PathBuf {
        let folder = self.path.parent().and_then(|folder| folder.canonicalize().ok());
        match (folder, self.path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            (Some(_) | None, _) => self.path.clone(),
        }
    }

    fn refused(&self, why: &str, host: &HostEnv) -> CliError {
        let was_allowed = allowed_files(host).is_some_and(|allowed| allowed.knows(&self.known_as()));
        let changed = if was_allowed { "it has changed since `rotator allow` recorded it, and " } else { "" };
        CliError::usage(
            format!("the configuration {} was {} and is not trusted: {changed}{why}", self.path.display(), self.way),
            format!(
                "`rotator allow` shows what it would run, read and contact, and records that you trust it as it is; or name \
                 it:\n  {}",
                given::with_config(&self.path)
            ),
        )
    }
}

/// The records of `rotator allow`; none if the user has no folder for them.
fn allowed_files(host: &HostEnv) -> Option<AllowedFiles> {
    Some(AllowedFiles::in_folder(host.state_folder()?.join("allowed")))
}

/// The text of a regular file; none if nothing exists at the path.
fn read(path: &Path) -> Result<Option<(String, Metadata)>, CliError> {
    let failed = |error: io::Error| unreadable(path, &error);
    let missing = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match std::fs::metadata(path) {
        Ok(metadata) => is_regular(path, &metadata)?,
        // A dangling link counts as an existing file, so no other file is used instead.
        Err(error) if missing(&error) && path.symlink_metadata().is_err() => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    // A pipe may have replaced the file since the check; opening it must not block.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file: File = opened.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    is_regular(path, &metadata)?;
    let mut text = String::new();
    let length = file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > LARGEST {
        return Err(unreadable(path, &io::Error::other("it has more than 1 MiB")));
    }
    Ok(Some((text, metadata)))
}

fn is_regular(path: &Path, metadata: &Metadata) -> Result<(), CliError> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(unreadable(path, &io::Error::other("it is not a regular file, and a pipe, a device or a folder is not read")))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::usage(
        format!("the configuration file {} cannot be read: {error}", path.display()),
        "name an existing file with --config, or write one with `rotator init`",
    )
}
