//! What every command is given: the global options, the host's environment and the terminal.

use super::args::{ChoiceArgs, Global};
use super::config::Config;
use super::error::CliError;
use super::host_env::HostEnv;
use super::output::terminal::Terminal;

/// What every command works in.
pub struct Context {
    /// The global options.
    pub global: Global,
    /// The environment, the working directory and the user.
    pub host: HostEnv,
    /// How to speak.
    pub terminal: Terminal,
}

impl Context {
    /// The configuration with these flags above it.
    ///
    /// # Errors
    /// [`CliError::usage`].
    pub fn config(&self, choice: &ChoiceArgs) -> Result<Config, CliError> {
        Config::load(&self.global, choice, &self.host)
    }
}
