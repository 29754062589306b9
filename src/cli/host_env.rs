//! The environment, the working directory and the user, and the default folders for files. Only this file reads the
//! environment for the command line and the configuration.

use std::path::{Component, Path, PathBuf};

use zeroize::Zeroizing;

use super::error::CliError;

/// The folder of root's journal and store.
const ROOT_FOLDER: &str = "/var/lib/rotator";

/// The folder of the system-wide configuration.
const SYSTEM_FOLDER: &str = "/etc/rotator";

/// What `main` took out of the environment before a library or a child process could inherit it, and what the process was
/// started with.
#[derive(Default)]
pub struct Startup {
    pub store_key: Option<Zeroizing<String>>,
    pub new_store_key: Option<Zeroizing<String>>,
    /// Whether SIGHUP is ignored, as under `nohup`.
    pub ignores_hangup: bool,
}

impl Startup {
    /// Whether the environment held the key of a store.
    #[must_use]
    pub const fn has_a_key(&self) -> bool {
        self.store_key.is_some() || self.new_store_key.is_some()
    }
}

/// What the configuration depends on and does not say itself.
#[derive(Default)]
pub struct HostEnv {
    /// The environment variables whose name and value are UTF-8.
    pub variables: Vec<(String, String)>,
    pub folder: PathBuf,
    /// The folder of the system-wide configuration.
    pub system: PathBuf,
    pub root: bool,
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

    /// The value of a variable that is set and not empty.
    pub(in crate::cli) fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a variable names the configuration file.
    #[must_use]
    pub fn names_a_file(&self) -> bool {
        self.variable("ROTATOR_CONFIG").is_some()
    }

    /// A folder of the XDG base directories; a value that is not absolute is ignored
    /// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
    pub(in crate::cli) fn xdg_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |text: &str| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
        self.variable(variable)
            .and_then(absolute)
            .or_else(|| Some(self.variable("HOME").and_then(absolute)?.join(below_home)))
    }

    /// The folder for the records of `rotator allow`: in `XDG_STATE_HOME`, for root beside the journal, otherwise
    /// below the home folder.
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

    /// The default path of the journal.
    pub(in crate::cli) fn default_journal(&self) -> Result<PathBuf, CliError> {
        Ok(self.default_folder("XDG_STATE_HOME", ".local/state", "--journal")?.join("journal.db"))
    }

    /// The default path of the embedded store.
    pub(in crate::cli) fn default_store(&self) -> Result<PathBuf, CliError> {
        Ok(self.default_folder("XDG_DATA_HOME", ".local/share", "--store")?.join("store.db"))
    }

    /// `path` as an absolute path: below the home folder if it starts with `~/`, otherwise below `base`. `~name` is
    /// not supported. Links are not resolved, since the file need not exist.
    ///
    /// # Errors
    /// [`CliError::usage`] if the home folder is needed and `HOME` does not say where it is.
    pub(in crate::cli) fn absolute(&self, base: &Path, path: &Path) -> Result<PathBuf, CliError> {
        let home = self.variable("HOME").map(Path::new).filter(|home| home.is_absolute());
        let joined = match (path.strip_prefix("~"), home) {
            (Ok(below), Some(home)) => home.join(below),
            (Ok(_), None) => {
                return Err(CliError::usage(
                    format!("{} is below the home folder, and HOME is no absolute path in UTF-8", path.display()),
                    "set HOME, or write the whole path",
                ));
            }
            (Err(_), _) => base.join(path),
        };
        Ok(without_parents(std::path::absolute(&joined).unwrap_or(joined)))
    }
}

/// The path without `..`, as far as the folders before each exist: what is shown and what the journal records is then one path.
/// Links are followed there, as the system does.
fn without_parents(path: PathBuf) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part != Component::ParentDir {
            plain.push(part);
            continue;
        }
        let Ok(folder) = plain.canonicalize() else { return path };
        plain = folder.parent().map_or_else(|| folder.clone(), Path::to_owned);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_no_parent_folder_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        std::fs::create_dir_all(root.join("a/b")).expect("made");
        std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).expect("made");
        assert_eq!(without_parents(root.join("a/../x/.env")), root.join("x/.env"));
        assert_eq!(without_parents(root.join("a/b/../../.env")), root.join(".env"));
        assert_eq!(without_parents(root.join("link/../.env")), root.join("a/.env"), "as the system finds it");
        assert_eq!(without_parents(root.join("none/../.env")), root.join("none/../.env"));
        assert_eq!(without_parents(PathBuf::from("/../etc")), PathBuf::from("/etc"));
    }
}
