//! The error of a command as a JSON document.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::error::CliError;

/// The error of a command.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorShown {
    /// The exit code.
    pub code: u8,
    /// A text for operators.
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
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "rotator: a failure")]
pub struct ErrorDocument {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// Why the command failed.
    pub error: ErrorShown,
}

impl ErrorDocument {
    #[must_use]
    pub const fn new(error: ErrorShown) -> Self {
        Self { version: 1, error }
    }
}
