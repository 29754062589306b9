//! The error type of the command line: what happened, what to do next, and the exit code.

use std::fmt;

use super::exit::Exit;

/// The ends of hints that lead to `doctor`, which `doctor` itself leaves out.
pub const OR_DOCTOR: &str = ", or run `rotator doctor`";
pub const DOCTOR_FOR_THE_REST: &str = "; `rotator doctor` checks the rest";

/// Why a command failed, with a hint.
#[derive(Debug)]
pub struct CliError {
    /// What happened, and to what: a sentence without a period.
    pub message: String,
    /// What to do or run next.
    pub hint: String,
    /// The exit code of the command.
    pub exit: Exit,
    /// Whether rotator's own credentials failed: `run` then ends with 1, even if rotations are in flight.
    pub is_about_credentials: bool,
    /// Whether the JSON document on stdout has the error.
    pub is_in_document: bool,
}

impl CliError {
    /// An error of usage or configuration: exit code 2.
    #[must_use]
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            exit: Exit::Usage,
            is_about_credentials: false,
            is_in_document: false,
        }
    }

    /// A failure outside any rotation: exit code 1.
    #[must_use]
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            exit: Exit::Failed,
            is_about_credentials: false,
            is_in_document: false,
        }
    }

    /// A failure of rotator's own credentials: exit code 1.
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
