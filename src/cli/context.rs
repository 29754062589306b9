//! What every command is given: the global options, the host's environment and the terminal.

use super::args::{ChoiceArgs, Global};
use super::config::{Config, HostEnv};
use super::error::CliError;
use super::output::terminal::Terminal;
use super::wiring::FromEnvironment;

/// What every command works in.
pub struct Context {
    /// The global options.
    pub global: Global,
    /// What the configuration depends on.
    pub host: HostEnv,
    /// What `main` took out of the environment.
    pub given: FromEnvironment,
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
