//! What every command gets: the global options, the environment of the host and the terminal.

use std::sync::Arc;

use super::args::{ChoiceArgs, Global};
use super::config::Config;
use super::error::CliError;
use super::host_env::HostEnv;
use super::output::terminal::Terminal;
use crate::adapters::aws::MfaSessions;

/// The context of a command.
pub struct Context {
    pub global: Global,
    /// The environment, the working directory and the user.
    pub host: HostEnv,
    /// Where the command writes its output.
    pub terminal: Terminal,
    /// The sessions of roles that ask for MFA.
    pub mfa: Arc<MfaSessions>,
}

impl Context {
    /// The configuration with these flags above the other layers.
    ///
    /// # Errors
    /// [`CliError::usage`] if the configuration is not valid.
    pub fn config(&self, choice: &ChoiceArgs) -> Result<Config, CliError> {
        Config::load(&self.global, choice, &self.host)
    }
}
