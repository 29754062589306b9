//! `schema`: prints a JSON Schema, with which an editor completes and checks a file.

use crate::cli::args::SchemaCommand;
use crate::cli::config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::terminal::to_stdout;

/// Runs `rotator schema …`.
///
/// # Errors
/// Exit code 1 if stdout cannot be written.
pub fn schema(command: &SchemaCommand) -> Result<Exit, CliError> {
    match command {
        SchemaCommand::Config => to_stdout(&to_bytes(&config::schema()))?,
    }
    Ok(Exit::Done)
}
