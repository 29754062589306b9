//! The host as rotator finds it: the environment, the working directory, the user, and the folders where files are by
//! default. Only this file reads the environment for the command line and the configuration.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::CliError;

/// Where root keeps both.
const ROOT_FOLDER: &str = "/var/lib/rotator";

/// Where a configuration of the whole machine is.
const SYSTEM_FOLDER: &str = "/etc/rotator";

/// What `main` took out of the environment before a library or a child process could inherit it, and what the process was
/// started with.
#[derive(Default)]
pub struct Startup {
    /// `ROTATOR_STORE_KEY`.
    pub store_key: Option<Zeroizing<String>>,
    /// `ROTATOR_STORE_NEW_KEY`.
    pub new_store_key: Option<Zeroizing<String>>,
    /// Whether SIGHUP is ignored, as under `nohup`.
    pub ignores_hangup: bool,
}

/// What the configuration depends on and does not say itself.
#[derive(Default)]
pub struct HostEnv {
    /// The environment, as far as it is text.
    pub variables: Vec<(String, String)>,
    /// The working directory.
    pub folder: PathBuf,
    /// The folder with a configuration of the whole machine.
    pub system: PathBuf,
    /// Whether the user is root.
    pub root: bool,
    /// What `main` took out of the environment.
    pub startup: Startup,
}

impl HostEnv {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_this_process(startup: Startup) -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            variables: variables.collect(),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            system: PathBuf::from(SYSTEM_FOLDER),
            root: rustix::process::geteuid().is_root(),
            startup,
        }
    }

    /// A variable that is set and not empty.
    pub(in crate::cli) fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a variable names the configuration file.
    #[must_use]
    pub fn names_a_file(&self) -> bool {
        self.variable("ROTATOR_CONFIG").is_some()
    }

    /// A folder of the XDG base directories; what is not absolute is to be ignored
    /// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
    pub(in crate::cli) fn xdg_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |text: &str| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
        self.variable(variable)
            .and_then(absolute)
            .or_else(|| Some(self.variable("HOME").and_then(absolute)?.join(below_home)))
    }

    /// Where this user's word on configuration files is kept: `XDG_STATE_HOME`, else for root where its journal is, else
    /// below the user's own folder.
    pub(in crate::cli) fn state_folder(&self) -> Option<PathBuf> {
        if self.root && self.variable("XDG_STATE_HOME").is_none() {
            return Some(PathBuf::from(ROOT_FOLDER));
        }
        self.xdg_folder("XDG_STATE_HOME", ".local/state").map(|folder| folder.join("rotator"))
    }

    fn default_folder(&self, variable: &str, below_home: &str, flag: &str) -> Result<PathBuf, CliError> {
        if self.root {
            return Ok(PathBuf::from(ROOT_FOLDER));
        }
        self.xdg_folder(variable, below_home).map(|folder| folder.join("rotator")).ok_or_else(|| {
            CliError::usage(
                format!("neither {variable} nor HOME says where to keep files"),
                format!("set one of them, or name the file with {flag}"),
            )
        })
    }

    /// The journal where none is configured.
    pub(in crate::cli) fn default_journal(&self) -> Result<PathBuf, CliError> {
        Ok(self.default_folder("XDG_STATE_HOME", ".local/state", "--journal")?.join("journal.db"))
    }

    /// The file of the embedded store where no store is configured.
    pub(in crate::cli) fn default_store(&self) -> Result<PathBuf, CliError> {
        Ok(self.default_folder("XDG_DATA_HOME", ".local/share", "--store")?.join("store.db"))
    }

    /// `path` as an absolute path: from the user's own folder where it begins with `~/`, else from `base`. Another user's
    /// folder (`~name`) is not looked up. Links are not resolved: the file need not exist yet.
    pub(in crate::cli) fn absolute(&self, base: &Path, path: &Path) -> PathBuf {
        let home = self.variable("HOME").map(Path::new).filter(|home| home.is_absolute());
        let joined = match (path.strip_prefix("~"), home) {
            (Ok(below), Some(home)) => home.join(below),
            (Ok(_) | Err(_), _) => base.join(path),
        };
        std::path::absolute(&joined).unwrap_or(joined)
    }
}
