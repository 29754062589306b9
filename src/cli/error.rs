//! The one error of this floor: what happened, what to do next, and the exit code.

use std::fmt;

use super::exit::Exit;

/// Why a command failed. Every one says what to do next.
#[derive(Debug)]
pub struct CliError {
    /// What happened, to what; a whole sentence without its period.
    pub message: String,
    /// What to do or run next.
    pub hint: String,
    /// The code to end with.
    pub exit: Exit,
    /// Whether rotator's own credentials are what failed: then a run ends with 1 whatever is in flight.
    pub is_about_credentials: bool,
}

impl CliError {
    /// Usage or configuration: exit code 2.
    #[must_use]
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit: Exit::Usage, is_about_credentials: false }
    }

    /// Failed outside any rotation: exit code 1.
    #[must_use]
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit: Exit::Failed, is_about_credentials: false }
    }

    /// rotator's own credentials failed: exit code 1.
    #[must_use]
    pub fn of_credentials(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { is_about_credentials: true, ..Self::failed(message, hint) }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.message, self.hint)
    }
}

impl std::error::Error for CliError {}
