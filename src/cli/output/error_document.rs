//! The error of a command as a JSON document.

use serde::Serialize;

use crate::cli::error::CliError;

/// The error of a command.
#[derive(Debug, Serialize)]
pub struct ErrorShown {
    /// The exit code.
    pub code: u8,
    pub message: String,
    /// What to do or run next.
    pub hint: String,
}

impl ErrorShown {
    #[must_use]
    pub fn of(error: &CliError) -> Self {
        Self { code: error.exit.code(), message: error.message.clone(), hint: error.hint.clone() }
    }
}

/// What a command prints that failed before it had a document of its own.
#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    version: u32,
    pub error: ErrorShown,
}

impl ErrorDocument {
    #[must_use]
    pub const fn new(error: ErrorShown) -> Self {
        Self { version: 1, error }
    }
}
